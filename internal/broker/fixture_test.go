package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"credence/internal/access"
	"credence/internal/audit"
	"credence/internal/external"
	"credence/internal/fakeidp"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/oauth"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/telemetry"
	"credence/internal/vault"
	"credence/internal/wire"
	"credence/internal/workload"
)

const (
	account   = "111111111111"
	publicURL = "http://127.0.0.1:8080"
	returnURL = "https://app.example/return?tab=1"
	issuer    = "http://vendor.example"
)

// fixture is a broker over a real store and vault, and a vendor without a network in between, so that it also lives in synctest bubbles.
type fixture struct {
	*Broker
	t      testing.TB
	path   string
	store  *store.Store
	vendor *fakeidp.Vendor
	wire   *direct
	faults *faults
	caller iam.Caller

	external []string // prefixes of secrets that are kept elsewhere
	url      string   // of a PostgreSQL database, instead of SQLite
	replicas bool     // others write to the database
}

// newFixture opens a broker on the database at dir; a second one on the same dir is a restart, or another process.
func newFixture(t testing.TB, dir string) *fixture {
	t.Helper()
	return newFixtureOn(t, dir, "", false)
}

// newFixtureOn is newFixture on another database than dir's, or with other writers.
func newFixtureOn(t testing.TB, dir, database string, replicas bool) *fixture {
	t.Helper()
	f := &fixture{t: t, path: filepath.Join(dir, "credence.db"), url: database, replicas: replicas, vendor: fakeidp.New(issuer)}
	f.vendor.AddClient(fakeidp.Client{ID: "client", Secret: "client-secret"})
	f.wire = &direct{handler: f.vendor.Handler(), asked: map[string]bool{}}
	f.open(dir)
	if err := f.Vault.CreateAccount(account); err != nil {
		t.Fatal(err)
	}
	f.addWorkload("agent")
	f.addProvider("vendor")
	return f
}

func (f *fixture) open(dir string) {
	f.t.Helper()
	ctx := context.Background()
	keyFile := filepath.Join(dir, "master.key")
	if _, err := os.Stat(keyFile); errors.Is(err, os.ErrNotExist) {
		key, err := vault.NewMasterKey()
		f.must(err)
		f.must(os.WriteFile(keyFile, key, 0o600))
	}
	kek, err := vault.OpenKEK("file:" + keyFile)
	f.must(err)
	f.store, err = store.Open(ctx, store.Config{Path: f.path, URL: f.url})
	f.must(err)
	metrics := telemetry.New()
	prefixes, err := external.ParsePrefixes(f.external)
	f.must(err)
	v, err := vault.New(ctx, vault.Config{Store: f.store, KEK: kek, External: external.New(prefixes), Metrics: metrics, Replicas: f.replicas})
	f.must(err)
	discovery := oauth.NewDiscovery(f.wire, func(string) error { return nil })
	f.faults = &faults{Writes: v}
	f.Broker = New(Config{
		Vault: v, Writes: f.faults, Leases: held{f.store, f.faults}, Outbox: f.store, Renewals: f.store, Devices: f.store, CheckURL: func(string) error { return nil }, Gate: access.New(audit.New(f.store), v, iam.ARNs{Region: "us-east-1"}, metrics),
		Resolver: provider.NewResolver(provider.Presets, discovery), OAuth: &oauth.Client{HTTP: sleepy{f.wire, f.faults}, NotSent: func(err error) bool { return errors.Is(err, errNotSent) }},
		Users: workload.NewVerifier(workload.VerifierConfig{Issuers: f.store, Discovery: discovery, Keys: oauth.NewKeySets(f.wire)}),
		ARNs:  iam.ARNs{Region: "us-east-1"}, PublicURL: publicURL, Metrics: metrics, Log: slog.New(slog.DiscardHandler),
	})
	policy, err := iam.ParsePolicy([]byte(iam.AllowAll))
	f.must(err)
	f.caller = iam.Caller{Account: account, ARN: iam.User(account, "admin"), Policies: []*iam.Policy{policy}}
}

// crash is what a kill does: the process's memory is gone, the database stays. The vendor goes on.
func (f *fixture) crash() {
	f.t.Helper()
	f.Wait()
	f.must(f.store.Close())
	f.open(filepath.Dir(f.path))
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) addWorkload(name string) {
	f.t.Helper()
	now := time.Now()
	f.must(f.store.InsertWorkload(store.Workload{Account: account, Name: name, Incarnation: rand.Text(), ReturnURLs: []string{returnURL}, CreatedAt: now, UpdatedAt: now}, store.Tags{}))
}

func (f *fixture) addProvider(name string) {
	f.t.Helper()
	id, err := f.Vault.CallbackID(context.Background(), account, name)
	f.must(err)
	now := time.Now()
	p := vault.OAuth2Provider{
		Config: provider.Config{Vendor: wire.VendorCustomOauth2, ClientID: "client", DiscoveryURL: issuer + "/.well-known/openid-configuration", Confirm: wire.ConfirmNever},
		Row:    store.OAuth2Provider{Account: account, Name: name, Incarnation: rand.Text(), Generation: rand.Text(), CallbackID: id, Vendor: "CustomOauth2", CreatedAt: now, UpdatedAt: now},
	}
	f.must(f.Vault.InsertOAuth2Provider(context.Background(), p, secret.New("client-secret"), store.Tags{}))
}

// change edits the stored config of a provider; newGeneration begins another generation, as control does.
func (f *fixture) change(name string, newGeneration bool, edit func(*provider.Config)) {
	f.t.Helper()
	current, err := f.Vault.OAuth2Provider(context.Background(), account, name)
	f.must(err)
	p := *current
	edit(&p.Config)
	var s secret.String
	if newGeneration {
		p.Row.Generation, s = rand.Text(), secret.New("client-secret")
	}
	f.must(f.Vault.UpdateOAuth2Provider(context.Background(), p, s))
}

func (f *fixture) wat(user string) secret.String {
	f.t.Helper()
	w, err := f.Vault.Workload(context.Background(), account, "agent")
	f.must(err)
	tok := workload.Token{Workload: w.Name, Incarnation: w.Incarnation}
	if user != "" {
		tok.User = workload.User{Kind: workload.KindID, ID: user}
	}
	wat, err := workload.Mint(context.Background(), f.Vault, account, tok)
	f.must(err)
	return wat
}

type tokenInput = wire.GetResourceOauth2TokenInput

// ask is one GetResourceOauth2Token: M2M for user "", else USER_FEDERATION.
func (f *fixture) ask(user string, edit ...func(*tokenInput)) (*wire.GetResourceOauth2TokenOutput, error) {
	in := &tokenInput{WorkloadIdentityToken: f.wat(user), ResourceCredentialProviderName: "vendor", Scopes: []string{"read"}, Oauth2Flow: wire.FlowM2M}
	if user != "" {
		in.Oauth2Flow, in.ResourceOauth2ReturnUrl = wire.FlowUserFederation, new(returnURL)
	}
	for _, e := range edit {
		e(in)
	}
	return f.GetResourceOauth2Token(context.Background(), f.caller, in)
}

// token asks and expects a token.
func (f *fixture) token(user string, edit ...func(*tokenInput)) string {
	f.t.Helper()
	out, err := f.ask(user, edit...)
	f.must(err)
	if out.AccessToken == "" {
		f.t.Fatalf("no token, but %+v", out)
	}
	return out.AccessToken
}

// needsConsent asks and expects an authorization URL.
func (f *fixture) needsConsent(user string, edit ...func(*tokenInput)) *wire.GetResourceOauth2TokenOutput {
	f.t.Helper()
	out, err := f.ask(user, edit...)
	f.must(err)
	if out.AuthorizationUrl == "" || out.SessionUri == nil || *out.SessionStatus != wire.SessionInProgress || out.AccessToken != "" {
		f.t.Fatalf("no consent asked for: %+v", out)
	}
	return out
}

// browser holds the cookies of one browser.
type browser map[string]string

func (b browser) cookie(name string) string { return b[name] }

// open opens an authorization URL and gives the vendor's address.
func (f *fixture) openURL(b browser, authorizationURL string) (string, error) {
	u, err := url.Parse(authorizationURL)
	f.must(err)
	o, err := f.OpenAuthorization(context.Background(), u.Query().Get("request_uri"), u.Query().Get("attempt"), b.cookie)
	if err != nil {
		return "", err
	}
	if o.Cookie != nil {
		b[o.Cookie.Name] = o.Cookie.Value
	}
	return o.Location, nil
}

// approve has the vendor approve, and gives the callback's id and query.
func (f *fixture) approve(vendorURL string) (id, query string) {
	f.t.Helper()
	req := httptest.NewRequest(http.MethodGet, vendorURL, nil)
	w := httptest.NewRecorder()
	f.vendor.Handler().ServeHTTP(w, req)
	u, err := url.Parse(w.Header().Get("Location"))
	f.must(err)
	if !strings.HasPrefix(u.String(), publicURL) {
		f.t.Fatalf("the vendor answered %d %s %s", w.Code, u, w.Body)
	}
	return u.Path[strings.LastIndex(u.Path, "/")+1:], u.RawQuery
}

// consent goes through browser and vendor, and gives the query of the return URL.
func (f *fixture) consent(b browser, authorizationURL string) url.Values {
	f.t.Helper()
	vendorURL, err := f.openURL(b, authorizationURL)
	f.must(err)
	id, query := f.approve(vendorURL)
	c, err := f.FinishAuthorization(context.Background(), id, query, b.cookie)
	f.must(err)
	u, err := url.Parse(c.Location)
	f.must(err)
	if !strings.HasPrefix(c.Location, returnURL) {
		f.t.Fatalf("sent to %s", c.Location)
	}
	return u.Query()
}

func (f *fixture) complete(sessionURI, user string) error {
	_, err := f.CompleteResourceTokenAuth(context.Background(), f.caller, &wire.CompleteResourceTokenAuthInput{
		SessionUri: sessionURI, UserIdentifier: &wire.UserIdentifier{UserId: &user},
	})
	return err
}

// grant takes a user all the way to a token.
func (f *fixture) granted(user string, edit ...func(*tokenInput)) string {
	f.t.Helper()
	out := f.needsConsent(user, edit...)
	back := f.consent(browser{}, out.AuthorizationUrl)
	f.must(f.complete(back.Get("session_id"), user))
	return f.token(user, append(edit, func(in *tokenInput) { in.SessionUri, in.ForceAuthentication = out.SessionUri, nil })...)
}

// row is the one grant of a user in the database.
func (f *fixture) row(user string, edit ...func(*tokenInput)) store.Grant {
	f.t.Helper()
	ctx := context.Background()
	in := &tokenInput{Oauth2Flow: wire.FlowUserFederation}
	for _, e := range edit {
		e(in)
	}
	p, err := f.Vault.OAuth2Provider(ctx, account, "vendor")
	f.must(err)
	w, err := f.Vault.Workload(ctx, account, "agent")
	f.must(err)
	a := agent{account, "", workload.Token{User: workload.User{Kind: workload.KindID, ID: user}}, w}
	g, err := f.store.Grant(ctx, account, identify(a, p, in, f.Resolver.Traits(p.Config)).key())
	f.must(err)
	return g
}

// direct is the way to the vendor: no network, but a request that is cut, stalls or never leaves looks as it does on one.
type direct struct {
	handler http.Handler
	mu      sync.Mutex
	down    bool
	asked   map[string]bool // hosts
}

// hosts are those that requests went to.
func (d *direct) hosts() map[string]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.asked)
}

var errNotSent = errors.New("connection refused")

func (d *direct) set(down bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = down
}

func (d *direct) Do(req *http.Request) (_ *http.Response, err error) {
	d.mu.Lock()
	down := d.down
	d.asked[req.URL.Host] = true
	d.mu.Unlock()
	if down {
		return nil, errNotSent
	}
	if req.Body != nil {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		req.Body = io.NopCloser(strings.NewReader(string(body)))
	}
	in := req.Clone(req.Context())
	in.RequestURI = req.URL.RequestURI()
	w := httptest.NewRecorder()
	defer func() {
		if recover() != nil { // http.ErrAbortHandler: the vendor cut the connection
			err = io.ErrUnexpectedEOF
		}
	}()
	d.handler.ServeHTTP(w, in)
	if err := context.Cause(req.Context()); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// faults is the vault's writes, with a fault put into the next ones.
type faults struct {
	Writes
	mu   sync.Mutex
	plan plan
	dead bool // the process was killed: nothing of it reaches the database any more

	asleep, slept, miss bool // the process is stopped, or was; what the vendor answers next gets lost while it is
}

// plan is what happens to the next writes, one after the other.
type plan []func(write func() (int64, error)) (int64, error)

var errDisk = errors.New("disk full")

// Faults of a write: it fails and is not there; it is there but its answer is lost.
func lost(func() (int64, error)) (int64, error) { return 0, errDisk }

func unheard(write func() (int64, error)) (int64, error) {
	_, _ = write()
	return 0, errDisk
}

// dies kills the process at a write, which is there or not.
func (f *faults) dies(there bool) func(func() (int64, error)) (int64, error) {
	return func(write func() (int64, error)) (int64, error) {
		if there {
			_, _ = write()
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.dead = true
		return 0, errDisk
	}
}

// stop is what a stopped process does: nothing, until its lease has ended.
func (f *faults) stop() {
	f.set(func() { f.asleep, f.slept = true, true })
	time.Sleep(leaseTime + 5*time.Second)
	f.set(func() { f.asleep = false })
}

func (f *faults) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// sleeps stops the process before or after a write.
func (f *faults) sleeps(after bool) func(func() (int64, error)) (int64, error) {
	return func(write func() (int64, error)) (int64, error) {
		if !after {
			f.stop()
			return write()
		}
		version, err := write()
		f.stop()
		return version, err
	}
}

// misses has the process stopped at the vendor's next answer, which is lost meanwhile.
func (f *faults) misses(write func() (int64, error)) (int64, error) {
	f.set(func() { f.miss = true })
	return write()
}

// stopped tells whether the process was killed or stopped.
func (f *faults) stopped() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead || f.slept
}

func (f *faults) sleeping() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asleep
}

// sleepy is the wire of a process that may be stopped.
type sleepy struct {
	wire   *direct
	faults *faults
}

func (s sleepy) Do(req *http.Request) (*http.Response, error) {
	resp, err := s.wire.Do(req)
	miss := false
	s.faults.set(func() { miss, s.faults.miss = s.faults.miss, false })
	if miss {
		s.faults.stop()
		return nil, io.ErrUnexpectedEOF
	}
	return resp, err
}

func (f *faults) died() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

// held are leases that a process which was killed neither renews nor gives back, and one that is stopped does not renew.
type held struct {
	Leases
	faults *faults
}

func (h held) RenewLease(l store.Lease, d time.Duration) error {
	if h.faults.died() || h.faults.sleeping() {
		return errDisk
	}
	return h.Leases.RenewLease(l, d)
}

func (h held) ReleaseLease(l store.Lease) error {
	if h.faults.died() {
		return errDisk
	}
	return h.Leases.ReleaseLease(l)
}

func fine(write func() (int64, error)) (int64, error) { return write() }

func (f *faults) next(p ...func(func() (int64, error)) (int64, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plan = p
}

func (f *faults) do(write func() (int64, error)) (int64, error) {
	f.mu.Lock()
	how := fine
	if f.dead {
		how = lost
	} else if len(f.plan) > 0 {
		how, f.plan = f.plan[0], f.plan[1:]
	}
	f.mu.Unlock()
	return how(write)
}

func (f *faults) PutGrant(g store.Grant) (int64, error) {
	return f.do(func() (int64, error) { return f.Writes.PutGrant(g) })
}

func (f *faults) UpdateGrant(g store.Grant) (int64, error) {
	return f.do(func() (int64, error) { return f.Writes.UpdateGrant(g) })
}

func (f *faults) UpdateSession(s store.Session) (int64, error) {
	return f.do(func() (int64, error) { return f.Writes.UpdateSession(s) })
}

func (f *faults) CompleteSession(s store.Session, g store.Grant) (int64, error) {
	return f.do(func() (int64, error) { return f.Writes.CompleteSession(s, g) })
}

func (f *faults) InsertRevocation(r store.Revocation) error {
	_, err := f.do(func() (int64, error) { return 0, f.Writes.InsertRevocation(r) })
	return err
}

func (f *faults) SettleRevocations(account, key string) error {
	_, err := f.do(func() (int64, error) { return 0, f.Writes.SettleRevocations(account, key) })
	return err
}

func is(t testing.TB, err, kind error, fragment string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(errText(err), fragment) {
		t.Errorf("got %v, want %v with %q", err, kind, fragment)
	}
}

func errText(err error) string {
	if f, ok := errors.AsType[*fault.Fault](err); ok {
		return f.Msg
	}
	return ""
}
