package e2e

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// newZitadel starts the certified zitadel/oidc with the storage and pages of its own example. Any user may sign in, with the password "any".
func newZitadel() (*vendor, error) { return newZitadelTrusting("", "") }

// newZitadelTrusting is newZitadel that takes the JWTs of another issuer in exchange, and those of a third one for who acts.
func newZitadelTrusting(issuer, actors string) (*vendor, error) {
	server := httptest.NewUnstartedServer(nil)
	v := &vendor{
		issuer: strings.Replace("http://"+server.Listener.Addr().String(), "127.0.0.1", "localhost", 1) + "/",
		clients: map[string]vendorClient{
			"short":   {Name: "short", ID: "short client:/+%@ ", Secret: "short secret:/+%@ &=?#"},
			"machine": {Name: "machine", ID: "sid1", Secret: "verysecret"}, // of the example
		},
		stop: func() (string, error) { server.Close(); return "", nil },
	}
	s := &zitadelStorage{trusted: issuer, actors: actors, Storage: storage.NewStorageWithClients(anybody{}, map[string]*storage.Client{
		v.clients["short"].ID:   storage.WebClient(v.clients["short"].ID, v.clients["short"].Secret),
		v.clients["machine"].ID: storage.WebClient(v.clients["machine"].ID, v.clients["machine"].Secret), // so that it may introspect
	})}
	v.allow = func(client, redirectURI string, _ json.RawMessage) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.redirectURIs = append(s.redirectURIs, redirectURI)
		v.add(vendorEvent{Event: "registered", Client: client, RedirectURI: redirectURI})
		return nil
	}
	// What it logs goes nowhere, and so does all else of this process that goes to the default logger.
	server.Config.Handler = v.tap(exampleop.SetupServer(v.issuer, s, slog.New(slog.DiscardHandler), false))
	server.Start()
	return v, nil
}

// zitadelStorage is the example's, with redirect URIs that are registered later, tokens of a short life, and exchanges (exchange_test.go) for JWTs.
type zitadelStorage struct {
	*storage.Storage
	trusted      string // issuer whose JWTs are taken in exchange, for JWTs; "" is none
	actors       string // issuer whose JWTs say who acts; "" is none but the server itself
	mu           sync.Mutex
	redirectURIs []string
}

func (s *zitadelStorage) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := s.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return registeredClient{c, append([]string{}, s.redirectURIs...), s.trusted != ""}, nil
}

// ClientCredentials is the example's; the server takes no opaque token of its own for an actor's.
func (s *zitadelStorage) ClientCredentials(ctx context.Context, id, clientSecret string) (op.Client, error) {
	c, err := s.Storage.ClientCredentials(ctx, id, clientSecret)
	if err != nil {
		return nil, err
	}
	return registeredClient{c, nil, s.trusted != ""}, nil
}

func (s *zitadelStorage) CreateAccessToken(ctx context.Context, r op.TokenRequest) (string, time.Time, error) {
	id, _, err := s.Storage.CreateAccessToken(ctx, r)
	return id, time.Now().Add(shortLife), err
}

func (s *zitadelStorage) CreateAccessAndRefreshTokens(ctx context.Context, r op.TokenRequest, current string) (id, refresh string, expires time.Time, err error) {
	id, refresh, _, err = s.Storage.CreateAccessAndRefreshTokens(ctx, r, current)
	return id, refresh, time.Now().Add(shortLife), err
}

type registeredClient struct {
	op.Client
	redirectURIs []string
	jwt          bool
}

func (c registeredClient) AccessTokenType() op.AccessTokenType {
	if c.jwt {
		return op.AccessTokenTypeJWT
	}
	return c.Client.AccessTokenType()
}

func (c registeredClient) RedirectURIs() []string { return c.redirectURIs }

// anybody is a store of users in which everybody is.
type anybody struct{}

func (anybody) GetUserByID(id string) *storage.User {
	return &storage.User{ID: id, Username: id, Password: "any"}
}

func (anybody) GetUserByUsername(name string) *storage.User { return anybody{}.GetUserByID(name) }

func (anybody) ExampleClientID() string { return storage.ServiceUserID }
