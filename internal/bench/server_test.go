//go:build linux

package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"
	"runtime/metrics"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/uuid"

	"credence/internal/audit"
	"credence/internal/edge/awsapi"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/server"
	"credence/internal/sigv4"
	"credence/internal/wire"
)

// dataDirVariable makes a run of the test binary the server process, with the data directory that it names.
const dataDirVariable = "CREDENCE_BENCH_DATA_DIR"

const (
	account = "123456789012"
	region  = "us-east-1"

	syncTime = 250 * time.Microsecond // of a small write on the disk of docs/performance.md
)

// listening is what the server process says, as JSON on its standard output, once it serves: the base URL of each of its servers.
type listening struct {
	Bare, Verifying, Credence, Durable string
	Control                            string
}

// serve is the server process. It ends when its standard input does, and so never outlives the client process.
func serve(dataDir string) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()

	var sink switched
	logFile, err := os.Create(filepath.Join(filepath.Dir(dataDir), "credence.log"))
	if err != nil {
		return err
	}
	defer func() { _ = logFile.Close() }()
	// Dev, because the vendor is in the other process, on loopback and without TLS; nothing else on the way of a cached token depends on it but
	// the count of requests, which is on and lets all through.
	s, err := server.New(ctx, server.Config{
		Listen: "127.0.0.1:0", DataDir: dataDir, Region: region, AccountID: account, Dev: true, Quotas: []string{"rate.*=1000000"}, AuditSink: sink.over, Log: slog.New(slog.NewTextHandler(logFile, nil)),
	})
	if err != nil {
		return err
	}
	journal, err := newJournal(filepath.Join(filepath.Dir(dataDir), "journal"))
	if err != nil {
		return errors.Join(err, s.Close())
	}
	defer func() { _ = journal.file.Close() }()
	sink.plain = journal
	f := fixed{audit: audit.New(journal)}
	control := http.NewServeMux()
	control.HandleFunc("GET /usage", serveUsage)
	control.HandleFunc("POST /answer", f.set)
	control.HandleFunc("POST /audit", sink.set)
	control.HandleFunc("GET /profile", pprof.Profile)
	control.Handle("GET /allocs", pprof.Handler("allocs"))
	l := listening{Credence: s.URL()}
	for url, h := range map[*string]http.Handler{&l.Bare: http.HandlerFunc(f.answer), &l.Verifying: http.HandlerFunc(f.verify), &l.Durable: http.HandlerFunc(f.record), &l.Control: control} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return errors.Join(err, s.Close())
		}
		*url = "http://" + listener.Addr().String()
		go func() { _ = http.Serve(listener, h) }() // until the process ends
	}
	if err := json.NewEncoder(os.Stdout).Encode(l); err != nil {
		return errors.Join(err, s.Close())
	}
	return s.Run(ctx)
}

// switched is an audit sink that is the database's, or what it is measured against.
type switched struct {
	database, plain audit.Sink
	to              atomic.Pointer[audit.Sink]
}

func (s *switched) over(database audit.Sink) audit.Sink {
	s.database = database
	return s
}

func (s *switched) AppendAudit(batches []audit.Batch) error {
	if to := s.to.Load(); to != nil {
		return (*to).AppendAudit(batches)
	}
	return s.database.AppendAudit(batches)
}

// nowhere is a sink that keeps nothing, after a while: without any, it is what memory costs.
type nowhere struct{ wait time.Duration }

func (n nowhere) AppendAudit([]audit.Batch) error {
	if n.wait > 0 {
		time.Sleep(n.wait)
	}
	return nil
}

func (s *switched) set(w http.ResponseWriter, r *http.Request) {
	to, ok := map[string]audit.Sink{"database": s.database, "memory": nowhere{}, "wait": nowhere{syncTime}, "plain": s.plain}[r.URL.Query().Get("to")]
	if !ok {
		http.Error(w, "no such sink", http.StatusBadRequest)
		return
	}
	s.to.Store(&to)
}

// fixed are the servers that Credence is measured against: they know one caller and one answer.
type fixed struct {
	known atomic.Pointer[knownAnswer]
	audit *audit.Log
}

type knownAnswer struct {
	AccessKeyID string
	SigningKey  []byte
	Body        []byte
}

func (f *fixed) set(w http.ResponseWriter, r *http.Request) {
	var k knownAnswer
	if err := json.NewDecoder(r.Body).Decode(&k); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.known.Store(&k)
}

// answer is the least that an HTTP server can do.
func (f *fixed) answer(w http.ResponseWriter, _ *http.Request) {
	body := f.known.Load().Body
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

// verify is what any server of this operation has to do before it can answer: read the request, decode it, and know that its signature is right.
func (f *fixed) verify(w http.ResponseWriter, r *http.Request) {
	if f.verified(w, r) {
		f.answer(w, r)
	}
}

// record is verify with the least that an audit log can cost: an event of Credence's size, with others in one write to a plain file that has its
// length already, and is on disk before the answer.
func (f *fixed) record(w http.ResponseWriter, r *http.Request) {
	if !f.verified(w, r) {
		return
	}
	arns := iam.ARNs{Region: region}
	err := f.audit.Record(audit.Event{
		Account: account, Caller: iam.User(account, "admin"), AccessKey: f.known.Load().AccessKeyID, SourceIP: "127.0.0.1", RequestID: w.Header().Get("X-Amzn-Requestid"),
		Action: "bedrock-agentcore:GetResourceOauth2Token", Outcome: audit.Allowed, Workload: workloadName,
		Resources: []string{arns.OAuth2Provider(account, providerName), arns.Vault(account, iam.DefaultVault), arns.Workload(account, workloadName), arns.Directory(account)},
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	f.answer(w, r)
}

func (f *fixed) verified(w http.ResponseWriter, r *http.Request) bool {
	body := make([]byte, max(r.ContentLength, 0))
	if _, err := io.ReadFull(r.Body, body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	if _, err := sigv4.Verify(r, body, awsapi.SigningName, time.Now(), f.lookup); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return false
	}
	var in wire.GetResourceOauth2TokenInput
	if err := wire.Decode(body, &wire.Outside{Header: r.Header}, &in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	w.Header().Set("X-Amzn-Requestid", uuid.NewString())
	return true
}

// journal is an audit sink on a plain file, which it fills again and again.
type journal struct {
	file *os.File
	at   int64
}

const journalSize = 4 << 20 // as SQLite's write-ahead log has it

func newJournal(path string) (*journal, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	_, err = file.Write(make([]byte, journalSize))
	return &journal{file: file}, errors.Join(err, file.Sync())
}

func (j *journal) AppendAudit(batches []audit.Batch) error {
	for _, b := range batches {
		if j.at+int64(len(b.Events)) > journalSize {
			j.at = 0
		}
		n, err := j.file.WriteAt(b.Events, j.at)
		if err != nil {
			return err
		}
		j.at += int64(n)
	}
	return syscall.Fdatasync(int(j.file.Fd()))
}

func (f *fixed) lookup(_ context.Context, c sigv4.Credential) (string, []byte, error) {
	k := f.known.Load()
	if c.AccessKeyID != k.AccessKeyID {
		return "", nil, fault.UnknownCaller
	}
	return k.AccessKeyID, k.SigningKey, nil
}

// usage is what the server process has used up.
type usage struct {
	CPU      time.Duration // user and system, since its start
	Resident int64         // bytes
	Heap     int64         // bytes that the last garbage collection found alive
}

func serveUsage(w http.ResponseWriter, r *http.Request) {
	u, err := ownUsage()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(w).Encode(u)
}

// ownUsage is that of this process.
func ownUsage() (u usage, err error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return u, err
	}
	u.CPU = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	statm, err := os.ReadFile("/proc/self/statm") // in pages: size, resident, …
	if err != nil {
		return u, err
	}
	fields := bytes.Fields(statm)
	if len(fields) < 2 {
		return u, fmt.Errorf("/proc/self/statm holds %q", statm)
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	u.Resident = pages * int64(os.Getpagesize())
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	u.Heap = int64(live[0].Value.Uint64())
	return u, err
}
