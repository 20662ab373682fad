package sts_test

import (
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"credence/internal/audit"
	"credence/internal/server"
	"credence/internal/testca"
	"credence/internal/testenv"
)

const (
	trustDomain = "acme.example"
	spiffeID    = "spiffe://acme.example/agents/mail"
)

// startTLS runs a server that ends TLS itself; ca is that of its certificate.
func startTLS(t *testing.T, edit ...func(*server.Config)) (e *testenv.Env, ca *testca.CA) {
	t.Helper()
	ca = testca.New(t)
	cert, key := ca.Server(t)
	e = testenv.Start(t, append([]func(*server.Config){func(c *server.Config) { c.TLSCert, c.TLSKey = cert, key }}, edit...)...)
	e.Client = ca.Client(t, nil)
	return e, ca
}

// certified is a statement that trusts one SPIFFE ID of a trust domain.
func certified(domain, id string) string {
	return `{"Effect":"Allow","Principal":{"X509":"` + domain + `"},"Action":"sts:AssumeRoleWithCertificate","Condition":{"ForAnyValue:StringEquals":{"x509:SAN/URI":"` + id + `"}}}`
}

func putBundle(t *testing.T, p testenv.Principal, domain string, authorities ...*testca.CA) {
	t.Helper()
	var text strings.Builder
	for _, a := range authorities {
		text.WriteString(a.PEM())
	}
	call(t, p, "PutTrustBundle", map[string]any{"trustDomain": domain, "certificates": text.String()})
}

func formOf(role string, more ...string) url.Values {
	form := url.Values{"Action": {"AssumeRoleWithCertificate"}, "Version": {"2011-06-15"}, "RoleArn": {roleARN(role)}, "RoleSessionName": {"run-1"}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return form
}

// certifiedAnswer is what somebody is answered over one connection, and whether its TLS session was resumed.
type certifiedAnswer struct {
	testenv.Answer
	resumed, reused bool
}

func assumeByCertificate(t *testing.T, client *http.Client, at string, form url.Values, header ...string) (a certifiedAnswer) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, at+"/", strings.NewReader(form.Encode()))
	must(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { a.reused = i.Reused }}))
	resp, err := client.Do(req)
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	a.Answer = testenv.Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(text)}
	a.resumed = resp.TLS != nil && resp.TLS.DidResume
	return a
}

type certifiedResult struct {
	AccessKeyID string `xml:"AssumeRoleWithCertificateResult>Credentials>AccessKeyId"`
	Secret      string `xml:"AssumeRoleWithCertificateResult>Credentials>SecretAccessKey"`
	Token       string `xml:"AssumeRoleWithCertificateResult>Credentials>SessionToken"`
	Subject     string `xml:"AssumeRoleWithCertificateResult>SubjectFromCertificate"`
	TrustDomain string `xml:"AssumeRoleWithCertificateResult>TrustDomain"`
	Arn         string `xml:"AssumeRoleWithCertificateResult>AssumedRoleUser>Arn"`
}

func resultOf(t *testing.T, e *testenv.Env, a certifiedAnswer) (r certifiedResult) {
	t.Helper()
	if a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	must(t, xml.Unmarshal([]byte(a.Body), &r))
	e.Plant(r.Secret, r.Token)
	return r
}

const notByCertificate = "Not authorized to perform sts:AssumeRoleWithCertificate"

func refusedByCertificate(t *testing.T, what string, a certifiedAnswer) {
	t.Helper()
	if f := failed(t, a.Answer); a.Status != 403 || f.Code != "AccessDenied" || f.Message != notByCertificate {
		t.Errorf("%s: %d %s", what, a.Status, a.Body)
	}
}

// Whoever has an X.509-SVID of a trust domain that a role trusts is a session of that role: with its name, its length and its own policy, and its SPIFFE ID in the audit log.
func TestAssumeRoleWithCertificate(t *testing.T) {
	e, ca := startTLS(t)
	newRole(t, e, "agent", certified(trustDomain, spiffeID))
	root := testca.New(t)
	putBundle(t, e.Admin, trustDomain, testca.New(t), root)
	client := ca.Client(t, root.Intermediate(t).Intermediate(t).SVID(t, spiffeID))
	before := len(e.Audit(testenv.Account))

	got := resultOf(t, e, assumeByCertificate(t, client, e.URL, formOf("agent")))
	session := "arn:aws:sts::" + testenv.Account + ":assumed-role/agent/run-1"
	if got.Subject != spiffeID || got.TrustDomain != trustDomain || got.Arn != session {
		t.Errorf("%+v", got)
	}
	if a := e.As(testenv.Account, got.AccessKeyID, got.Secret, got.Token).Call("/credence/ListUsers", `{}`); a.Status != 200 {
		t.Errorf("the session: %d %s", a.Status, a.Body)
	}
	less := resultOf(t, e, assumeByCertificate(t, client, e.URL, formOf("agent", "Policy", `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`)))
	if a := e.As(testenv.Account, less.AccessKeyID, less.Secret, less.Token).Call("/credence/ListUsers", `{}`); a.Status != 403 {
		t.Errorf("against its session policy: %d %s", a.Status, a.Body)
	}
	for _, more := range [][]string{{"DurationSeconds", "3601"}, {"DurationSeconds", "899"}, {"PolicyArns.member.1.arn", "x"}, {"SourceIdentity", "ada"}, {"Tags.member.1.Key", "x"}, {"RoleSessionName", ""}} {
		if a := assumeByCertificate(t, client, e.URL, formOf("agent", more...)); failed(t, a.Answer).Code != "ValidationError" {
			t.Errorf("%s: %s", more, a.Body)
		}
	}
	events := e.Audit(testenv.Account)[before:]
	for i, want := range []audit.Event{
		{Action: "sts:AssumeRoleWithCertificate", Outcome: audit.Allowed, Subject: spiffeID, Caller: `certificate:"` + spiffeID + `"`, AccessKey: got.AccessKeyID},
		{Action: "credence:ListUsers", Outcome: audit.Allowed, Subject: spiffeID, Caller: session, AccessKey: got.AccessKeyID},
	} {
		if ev := events[i]; ev.Action != want.Action || ev.Outcome != want.Outcome || ev.Subject != want.Subject || ev.Caller != want.Caller || ev.AccessKey != want.AccessKey || ev.SourceIP == "" || ev.RequestID == "" {
			t.Errorf("event %d: %+v", i, ev)
		}
	}
}

// Whoever may not, gets one answer to the byte, but for its request id, whatever is wrong. An audit event is only made of whom a CA vouched for.
func TestCertificatesRefused(t *testing.T) {
	e, ca := startTLS(t)
	root, foreign, abroad := testca.New(t), testca.New(t), testca.New(t)
	putBundle(t, e.Admin, trustDomain, root)
	putBundle(t, e.Admin, "other.example", foreign)
	tenant := e.NewAccount(other)
	putBundle(t, tenant, trustDomain, abroad)
	putBundle(t, tenant, "elsewhere.example", root)
	newRole(t, e, "agent", certified(trustDomain, spiffeID))
	newRole(t, e, "other", certified("other.example", "spiffe://other.example/agents/mail"))
	newRole(t, e, "elsewhere", certified("elsewhere.example", "spiffe://elsewhere.example/agents/mail"))
	newRole(t, e, "everybody", `[`+certified(trustDomain, spiffeID)+`,{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRoleWithCertificate","Condition":{"StringEquals":{"sts:RoleSessionName":"run-1"}}}]`)
	newRole(t, e, "tokens", federated(e, spiffeID))
	good := root.SVID(t, spiffeID)
	below := root.Intermediate(t)
	alone := below.SVID(t, spiffeID)
	alone.Certificate = alone.Certificate[:1]
	narrow := root.Intermediate(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	barren := root.Intermediate(t, func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true })
	ended := root.Intermediate(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	svid := func(edit testca.Edit) *tls.Certificate { return root.SVID(t, spiffeID, edit) }

	answer := func(role string, own *tls.Certificate) string {
		a := assumeByCertificate(t, ca.Client(t, own), e.URL, formOf(role))
		id, date := a.Header.Get("X-Amzn-Requestid"), a.Header.Get("Date")
		if a.Status != 403 || len(id) != 36 {
			t.Errorf("%s: %d %s", role, a.Status, a.Body)
		}
		header := a.Header.Clone()
		header.Del("X-Amzn-Requestid")
		text, err := json.Marshal(header)
		must(t, err)
		return strings.NewReplacer(id, "ID", date, "DATE").Replace(string(text) + a.Body)
	}
	// First that it works, or every refusal below would mean nothing.
	resultOf(t, e, assumeByCertificate(t, ca.Client(t, good), e.URL, formOf("agent")))
	recorded := len(e.Audit(testenv.Account))
	want := answer("none", good)
	if !strings.Contains(want, "<Code>AccessDenied</Code><Message>"+notByCertificate+"</Message>") {
		t.Error(want)
	}
	for name, c := range map[string]struct {
		role string
		own  *tls.Certificate
	}{
		"another CA of the same name": {"agent", testca.New(t).SVID(t, spiffeID)},
		"self-signed":                 {"agent", testca.SelfSigned(t, spiffeID)},
		"expired":                     {"agent", svid(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) })},
		"not yet valid":               {"agent", svid(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(30 * time.Minute) })},
		"for servers only":            {"agent", svid(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })},
		"for nothing said":            {"agent", svid(func(c *x509.Certificate) { c.ExtKeyUsage = nil })},
		"for anything":                {"agent", svid(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} })},
		"a key not for signatures":    {"agent", svid(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment })},
		"a CA's":                      {"agent", svid(func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, c.KeyUsage|x509.KeyUsageCertSign })},
		"two URIs":                    {"agent", svid(func(c *x509.Certificate) { c.URIs = testca.URIs(t, spiffeID, "spiffe://acme.example/admin") })},
		"the same URI twice":          {"agent", svid(func(c *x509.Certificate) { c.URIs = testca.URIs(t, spiffeID, spiffeID) })},
		"no URI":                      {"agent", svid(func(c *x509.Certificate) { c.URIs, c.DNSNames = nil, []string{trustDomain} })},
		"another scheme":              {"agent", svid(func(c *x509.Certificate) { c.URIs = testca.URIs(t, "https://acme.example/agents/mail") })},
		"a port":                      {"agent", svid(func(c *x509.Certificate) { c.URIs = testca.URIs(t, "spiffe://acme.example:443/agents/mail") })},
		"a query":                     {"agent", svid(func(c *x509.Certificate) { c.URIs = testca.URIs(t, spiffeID+"?a") })},
		"dots":                        {"agent", svid(func(c *x509.Certificate) { c.URIs = testca.URIs(t, "spiffe://acme.example/agents/../agents/mail") })},
		"the trust domain itself":     {"agent", svid(func(c *x509.Certificate) { c.URIs = testca.URIs(t, "spiffe://acme.example") })},
		"a foreign trust domain":      {"agent", foreign.SVID(t, "spiffe://other.example/agents/mail")},
		"ours, by a foreign CA":       {"agent", foreign.SVID(t, spiffeID)},
		"foreign, by our CA":          {"other", root.SVID(t, "spiffe://other.example/agents/mail")},
		"another account's CA of it":  {"agent", abroad.SVID(t, spiffeID)},
		"another account's bundle":    {"elsewhere", root.SVID(t, "spiffe://elsewhere.example/agents/mail")},
		"a role that trusts tokens":   {"tokens", good},
		"the intermediate is missing": {"agent", alone},
		"an intermediate for servers": {"agent", narrow.SVID(t, spiffeID)},
		"an intermediate too many":    {"agent", barren.Intermediate(t).SVID(t, spiffeID)},
		"an intermediate that ended":  {"agent", ended.SVID(t, spiffeID)},
	} {
		if got := answer(c.role, c.own); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
	// Whoever has not the key does not even come in.
	stolen := &tls.Certificate{Certificate: good.Certificate, PrivateKey: alone.PrivateKey}
	if resp, err := ca.Client(t, stolen).PostForm(e.URL+"/", formOf("agent")); err == nil {
		_ = resp.Body.Close()
		t.Errorf("a certificate without its key: %d", resp.StatusCode)
	}
	if events := e.Audit(testenv.Account)[recorded:]; len(events) != 0 {
		t.Errorf("recorded %+v", events)
	}
	for name, c := range map[string]struct {
		role string
		own  *tls.Certificate
	}{
		"another workload":   {"agent", below.SVID(t, "spiffe://acme.example/agents/mail2")},
		"one who is refused": {"everybody", good},
	} {
		before := len(e.Audit(testenv.Account))
		if got := answer(c.role, c.own); got != want {
			t.Errorf("%s: %s", name, got)
		}
		if events := e.Audit(testenv.Account)[before:]; len(events) != 1 || events[0].Outcome != audit.Denied || events[0].Subject != c.own.Leaf.URIs[0].String() || events[0].Resources[0] != roleARN(c.role) {
			t.Errorf("%s: recorded %+v", name, events)
		}
	}
}

// A certificate counts on the connection that proves its key, and on no other: no header stands for it, and that of a proxy is nobody's.
func TestCertificateOfTheConnection(t *testing.T) {
	root := testca.New(t)
	good := root.SVID(t, spiffeID)
	escaped := url.QueryEscape("-----BEGIN CERTIFICATE-----\n")
	header := []string{"X-Forwarded-Client-Cert", "By=x;URI=" + spiffeID, "X-Forwarded-Proto", "https", "X-Forwarded-For", "192.0.2.1", "Ssl-Client-Cert", escaped, "Client-Cert", ":AAAA:"}
	e, ca := startTLS(t)
	proxied, proxiedCA := startTLS(t, func(c *server.Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	plain := testenv.Start(t)
	for name, c := range map[string]struct {
		e      *testenv.Env
		client *http.Client
	}{
		"no certificate":  {e, ca.Client(t, nil)},
		"that of a proxy": {proxied, proxiedCA.Client(t, good)},
		"no TLS":          {plain, http.DefaultClient},
	} {
		newRole(t, c.e, "agent", certified(trustDomain, spiffeID))
		putBundle(t, c.e.Admin, trustDomain, root)
		for _, role := range []string{"agent", "none"} {
			a := assumeByCertificate(t, c.client, c.e.URL, formOf(role), header...)
			if f := failed(t, a.Answer); a.Status != 403 || f.Code != "MissingAuthenticationToken" || !strings.Contains(f.Message, "proxy") {
				t.Errorf("%s: %d %s", name, a.Status, a.Body)
			}
		}
	}
	resultOf(t, e, assumeByCertificate(t, ca.Client(t, good), e.URL, formOf("agent"), header...))
}

// A TLS session that is resumed, and a connection that stays open, carry the certificate and skip nothing: once its CA is withdrawn, both are refused.
func TestResumedSessionsAreVerified(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			e, ca := startTLS(t)
			root := testca.New(t)
			putBundle(t, e.Admin, trustDomain, root)
			newRole(t, e, "agent", certified(trustDomain, spiffeID))
			good := root.SVID(t, spiffeID)
			cache := tls.NewLRUClientSessionCache(1)
			client := ca.Client(t, good, func(c *tls.Config) { c.ClientSessionCache, c.MaxVersion = cache, version })
			anew := func() certifiedAnswer {
				client.CloseIdleConnections()
				return assumeByCertificate(t, client, e.URL, formOf("agent"))
			}
			resultOf(t, e, anew())
			second := anew()
			if resultOf(t, e, second); !second.resumed {
				t.Fatal("the session is not resumed, so nothing is tested here")
			}
			call(t, e.Admin, "DeleteTrustBundle", map[string]any{"trustDomain": trustDomain})
			open := assumeByCertificate(t, client, e.URL, formOf("agent"))
			if !open.reused {
				t.Fatal("the connection was not kept open, so nothing is tested here")
			}
			refusedByCertificate(t, "on an open connection", open)
			putBundle(t, e.Admin, trustDomain, testca.New(t)) // so that certificates are still asked for
			last := anew()
			if !last.resumed {
				t.Error("the session is not resumed, so nothing is tested here")
			}
			refusedByCertificate(t, "resumed", last)
		})
	}
}

// Clients are asked for a certificate once an account trusts somebody, and need none even then: browsers would ask their users.
func TestClientsAreAskedWhenSomebodyIsTrusted(t *testing.T) {
	e, ca := startTLS(t)
	asked := func() (asked bool) {
		client := ca.Client(t, nil, func(c *tls.Config) {
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				asked = true
				return &tls.Certificate{}, nil
			}
		})
		resp, err := client.Get(e.URL + "/healthz")
		must(t, err)
		_ = resp.Body.Close()
		if resp.StatusCode != 200 || resp.ProtoMajor != 2 {
			t.Errorf("%d, HTTP/%d", resp.StatusCode, resp.ProtoMajor)
		}
		return asked
	}
	if asked() {
		t.Error("asked for a certificate that nobody could trust")
	}
	putBundle(t, e.Admin, trustDomain, testca.New(t))
	if !asked() {
		t.Error("not asked for a certificate")
	}
}

// A TLS session from the time before anybody was trusted, when no client was asked, is not resumed after it: its client would go on without the certificate that it has.
func TestSessionsOfTheUnaskedAreNotResumed(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			e, ca := startTLS(t)
			newRole(t, e, "agent", certified(trustDomain, spiffeID))
			root := testca.New(t)
			client := ca.Client(t, root.SVID(t, spiffeID), func(c *tls.Config) { c.ClientSessionCache, c.MaxVersion = tls.NewLRUClientSessionCache(1), version })
			anew := func() certifiedAnswer {
				client.CloseIdleConnections()
				return assumeByCertificate(t, client, e.URL, formOf("agent"))
			}
			anew()
			if !anew().resumed {
				t.Fatal("the session is not resumed, so nothing is tested here")
			}
			putBundle(t, e.Admin, trustDomain, root)
			resultOf(t, e, anew())
			if again := anew(); !again.resumed || again.Status != 200 {
				t.Errorf("resumed %v, %d %s", again.resumed, again.Status, again.Body)
			}
		})
	}
}

// A handshake does not wait for a database that does not answer: probes of liveness come over TLS, too.
func TestHandshakesDoNotWaitForTheDatabase(t *testing.T) {
	e, ca := startTLS(t, testenv.OnPostgreSQL(t))
	db, err := sql.Open("pgx", e.Config.Database)
	must(t, err)
	defer func() { _ = db.Close() }()
	tx, err := db.Begin()
	must(t, err)
	defer func() { _ = tx.Rollback() }()
	_, err = tx.Exec(`LOCK TABLE trust_bundles IN ACCESS EXCLUSIVE MODE`)
	must(t, err)
	client := ca.Client(t, nil)
	client.Timeout = 30 * time.Second
	resp, err := client.Get(e.URL + "/healthz")
	must(t, err)
	_ = resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("%d", resp.StatusCode)
	}
}

// What one replica withdraws, no other trusts from then on: bundles are read anew for every request, so not even the second passes that caches may take.
func TestOtherReplicasObeyWithdrawnBundles(t *testing.T) {
	onPostgres := testenv.OnPostgreSQL(t)
	e, ca := startTLS(t, onPostgres)
	root := testca.New(t)
	putBundle(t, e.Admin, trustDomain, root)
	newRole(t, e, "agent", certified(trustDomain, spiffeID))
	replica, replicaCA := startTLS(t, func(cfg *server.Config) {
		cfg.Database, cfg.KEK = e.Config.Database, e.Config.KEK
		must(t, os.MkdirAll(cfg.DataDir, 0o700)) // the administrator is that of the first
		file, err := os.ReadFile(filepath.Join(e.Config.DataDir, "credentials"))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(cfg.DataDir, "credentials"), file, 0o600))
	})
	good := root.SVID(t, spiffeID)
	client := replicaCA.Client(t, good)
	resultOf(t, e, assumeByCertificate(t, ca.Client(t, good), e.URL, formOf("agent")))
	resultOf(t, e, assumeByCertificate(t, client, replica.URL, formOf("agent")))
	putBundle(t, e.Admin, trustDomain, testca.New(t))
	refusedByCertificate(t, "replaced elsewhere", assumeByCertificate(t, client, replica.URL, formOf("agent")))
	putBundle(t, e.Admin, trustDomain, root)
	resultOf(t, e, assumeByCertificate(t, client, replica.URL, formOf("agent")))
	call(t, e.Admin, "DeleteTrustBundle", map[string]any{"trustDomain": trustDomain})
	refusedByCertificate(t, "deleted elsewhere", assumeByCertificate(t, client, replica.URL, formOf("agent")))
}
