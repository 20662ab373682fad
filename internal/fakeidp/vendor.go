// Package fakeidp is the far side of OAuth for tests: an authorization server and a resource API that keep to the RFCs until a switch of
// Behaviour makes them misbehave.
//
// It protects tests from vendors that are kinder than real ones. What it is sent must be right: codes work once, redirect URIs match exactly,
// PKCE is demanded, Basic credentials are form-encoded, no parameter comes twice. What it hands out is opaque and begins with Vendor.Mark, so
// that a test can prove that no token leaked. Its Handler starts no goroutine and reads time.Now, so it also runs in a testing/synctest bubble.
package fakeidp

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Vendor is one authorization server with its resource API. Its methods may be called at any time, also while requests are under way.
type Vendor struct {
	// Mark begins every code, access token and refresh token. Set it before the first request.
	Mark string

	issuer  string
	base    string // issuer without a final slash; every endpoint is below it
	path    string // of base
	handler http.Handler

	mu            sync.Mutex // guards all below; never held while a request stalls
	behaviour     Behaviour
	clients       map[string]Client
	trusted       map[string]func() (jose.JSONWebKeySet, error) // issuers, and their keys
	requests      []Request
	keys          []jose.JSONWebKey // private, newest last; empty until first needed, because RSA keys are slow to make
	families      []*family
	killed        int
	codes         map[string]*code
	pushed        map[string]pushed // by request_uri
	proofs        map[string]bool   // seen, by jti
	nonce         string            // the newest
	accessTokens  map[string]*accessToken
	refreshTokens map[string]*refreshToken
	devices       map[string]*device
}

// Client authentication methods at the token and revocation endpoints, by their registered names (RFC 7591 section 2).
const (
	Basic = "client_secret_basic"
	Post  = "client_secret_post"
)

// Client is a registered confidential client.
type Client struct {
	ID, Secret   string
	AuthMethods  []string // Basic, Post; empty = either
	RedirectURIs []string // compared exactly; empty = any absolute URI
	// Issuer and Subject are those of the JWTs by which a client without a Secret authenticates (Trust).
	Issuer, Subject string
}

// Request is one request as it arrived, whatever became of it.
type Request struct {
	Time   time.Time
	Method string
	Path   string
	Query  url.Values
	Form   url.Values // of an application/x-www-form-urlencoded body
	Header http.Header
}

// New makes a vendor that listens nowhere: serve its Handler. The issuer is an http or https URL without query or fragment; it may have a path
// and may end in a slash. New panics when it is anything else.
func New(issuer string) *Vendor {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		panic(fmt.Sprintf("fakeidp: issuer %q is no http or https URL without query and fragment", issuer))
	}
	v := &Vendor{
		Mark:          "fakeidp-secret-",
		issuer:        issuer,
		base:          strings.TrimSuffix(issuer, "/"),
		path:          strings.TrimSuffix(u.Path, "/"),
		clients:       map[string]Client{},
		codes:         map[string]*code{},
		pushed:        map[string]pushed{},
		proofs:        map[string]bool{},
		accessTokens:  map[string]*accessToken{},
		refreshTokens: map[string]*refreshToken{},
		devices:       map[string]*device{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+v.path+"/.well-known/openid-configuration", v.serveDiscovery)
	mux.HandleFunc("GET /.well-known/oauth-authorization-server"+v.path, v.serveDiscovery) // RFC 8414 section 3.1: the issuer's path comes last
	mux.HandleFunc("GET "+v.path+"/jwks", v.serveKeys)
	mux.HandleFunc("GET "+v.path+"/authorize", v.serveAuthorize)
	mux.HandleFunc("POST "+v.path+"/authorize", v.serveAuthorize)
	mux.HandleFunc("POST "+v.path+"/par", v.servePush)
	mux.HandleFunc("POST "+v.path+"/token", v.serveToken)
	mux.HandleFunc("GET "+v.path+"/resource", v.serveResource)
	mux.HandleFunc("GET "+v.path+"/mcp", v.serveMCP)
	mux.HandleFunc("GET "+v.path+"/mcp/metadata", v.serveMCPMetadata)
	mux.HandleFunc("POST "+v.path+"/register", v.serveRegister)
	mux.HandleFunc("POST "+v.path+"/device_authorization", v.serveDevice)
	v.handler = v.record(mux)
	return v
}

// Start runs a vendor on a loopback port until the test ends. Stalled requests end with the test.
func Start(t testing.TB) *Vendor {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.Config.BaseContext = func(net.Listener) context.Context { return t.Context() }
	v := New("http://" + server.Listener.Addr().String())
	server.Config.Handler = v.Handler()
	server.Start()
	t.Cleanup(server.Close)
	return v
}

// Handler serves everything below the issuer, and the RFC 8414 document of an issuer with a path. Run it in an http.Server: cut connections
// are http.ErrAbortHandler panics.
func (v *Vendor) Handler() http.Handler { return v.handler }

// Issuer is the issuer URL as given to New, or http://127.0.0.1:port after Start.
func (v *Vendor) Issuer() string { return v.issuer }

// AddClient registers a client, or replaces the one with the same ID. It panics when the ID is empty, it has neither Secret nor Subject, or a method is unknown.
func (v *Vendor) AddClient(c Client) {
	if c.ID == "" || c.Secret == "" && c.Subject == "" {
		panic(fmt.Sprintf("fakeidp: client %q needs an ID and a Secret, or a Subject", c.ID))
	}
	for _, method := range c.AuthMethods {
		if method != Basic && method != Post {
			panic(fmt.Sprintf("fakeidp: client %q: authentication method %q is neither %s nor %s", c.ID, method, Basic, Post))
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.clients[c.ID] = c
}

// Set changes the behaviour from the next request on. Assign new slices and maps instead of editing those of an earlier call: a request under
// way may be reading them.
func (v *Vendor) Set(change func(*Behaviour)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change(&v.behaviour)
}

// Requests lists every request seen, in order of arrival. It keeps secrets as they were sent.
func (v *Vendor) Requests() []Request {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.requests)
}

// Count is the number of token requests seen with that grant_type, answered or not.
func (v *Vendor) Count(grantType string) int {
	n := 0
	for _, r := range v.Requests() {
		if r.Path == v.path+"/token" && r.Form.Get("grant_type") == grantType {
			n++
		}
	}
	return n
}

// record notes every request before anything can go wrong with it. It also reads the body to its end, without which net/http does not
// notice a client that gives up.
func (v *Vendor) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
		err := r.ParseForm()
		readJSON(r)
		v.mu.Lock()
		v.requests = append(v.requests, Request{time.Now(), r.Method, r.URL.Path, r.URL.Query(), r.PostForm, r.Header.Clone()})
		v.mu.Unlock()
		if err != nil {
			Behaviour{}.refuse(w, &refusal{code: "invalid_request", description: "the query or the form cannot be read"})
			return
		}
		if b := v.snapshot(); b.Revoking.revokes(r, v.path) {
			v.serveRevoke(w, r, b)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// override sets members of an answer; those that are nil are left out.
func override(members, with map[string]any) {
	maps.Copy(members, with)
	maps.DeleteFunc(members, func(_ string, value any) bool { return value == nil })
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that hung up is its own affair
}
