package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"

	"credence/internal/secret"
	"credence/internal/server"
)

// stage is everything that runs in the demo, and all on loopback.
type stage struct {
	dir      string // temporary
	credence *server.Server
	stop     context.CancelFunc
	stopped  chan error

	vendor        *authServer
	vendorURL     string
	tokenRequests atomic.Int32 // that the vendor has seen
	apiURL        string
	app           *application
	appURL        string
	servers       []*http.Server

	data    *bedrockagentcore.Client
	control *bedrockagentcorecontrol.Client

	mu      sync.Mutex
	secrets []secret.String // that must not be found on disk
}

const clientID = "Demo Agent"

func newStage(ctx context.Context) (_ *stage, err error) {
	s := &stage{stopped: make(chan error, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "credence-demo-"); err != nil {
		return nil, err
	}
	cfg := server.Config{
		Listen: "127.0.0.1:0", DataDir: filepath.Join(s.dir, "credence-data"), Region: "us-east-1", AccountID: "123456789012",
		Dev: true, // the vendor is on this machine
		Log: slog.New(slog.DiscardHandler),
	}
	if s.credence, err = server.New(ctx, cfg); err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	go func() { s.stopped <- s.credence.Run(running) }()

	vendor, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.vendorURL = "http://" + vendor.Addr().String()
	if s.vendor, err = newAuthServer(s.vendorURL, clientID, s.keep(secret.New("the client secret of the demo")).Reveal(), "", tokenLifetime); err != nil {
		return nil, err
	}
	s.serve(vendor, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path == "/token" {
			s.tokenRequests.Add(1)
		}
		s.vendor.ServeHTTP(w, r)
	}))
	if s.apiURL, err = s.listen(newResource(s.vendor)); err != nil {
		return nil, err
	}
	s.app = &application{returned: make(chan returned, 1)}
	if s.appURL, err = s.listen(s.app); err != nil {
		return nil, err
	}

	// Nothing here is special: the credentials file that Credence made, and its URL as the endpoint.
	sdk, err := config.LoadDefaultConfig(ctx, config.WithSharedCredentialsFiles([]string{s.credence.FirstStart.Credentials}), config.WithSharedConfigFiles(nil),
		config.WithSharedConfigProfile("default"), config.WithRegion(s.credence.FirstStart.Region), config.WithBaseEndpoint(s.credence.URL()))
	if err != nil {
		return nil, err
	}
	s.data, s.control = bedrockagentcore.NewFromConfig(sdk), bedrockagentcorecontrol.NewFromConfig(sdk)
	return s, nil
}

func (s *stage) listen(h http.Handler) (url string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	s.serve(l, h)
	return "http://" + l.Addr().String(), nil
}

func (s *stage) serve(l net.Listener, h http.Handler) {
	hs := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	s.servers = append(s.servers, hs)
	go func() { _ = hs.Serve(l) }()
}

// keep remembers a secret of the journey.
func (s *stage) keep(v secret.String) secret.String {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets = append(s.secrets, v)
	return v
}

// inClear counts the secrets of the journey that stand in clear in Credence's database and logs, as strings and grep would find them.
func (s *stage) inClear() (found, all int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range []string{"credence.db", "credence.db-wal", "credence.db-shm"} {
		content, err := os.ReadFile(filepath.Join(s.dir, "credence-data", name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return 0, 0, err
		}
		for _, v := range s.secrets {
			if bytes.Contains(content, []byte(v.Reveal())) {
				found++
			}
		}
	}
	return found, len(s.secrets), nil
}

func (s *stage) close() error {
	for _, hs := range s.servers {
		_ = hs.Close()
	}
	var err error
	if s.stop != nil {
		s.stop()
		err = <-s.stopped
	}
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	if err != nil {
		return fmt.Errorf("cleaning up: %w", err)
	}
	return nil
}
