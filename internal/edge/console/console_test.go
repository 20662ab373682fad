package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"credence/internal/audit"
	"credence/internal/edge/console"
	"credence/internal/server"
	"credence/internal/testenv"
)

// patience is for conditions that only a broken program or a standing machine keeps from coming about.
const patience = 40 * time.Second

// form shows an access key.
func form(id, secret string) url.Values {
	return url.Values{"access-key-id": {id}, "secret-access-key": {secret}}
}

// Break-glass takes the access key of a user who may, for a while, tells everybody who looks, and says the same of every key that is none.
func TestBreakGlass(t *testing.T) {
	b := open(t)
	key := b.Admin.Credentials()
	b.Plant(key.SecretAccessKey)
	var wrong string
	refused := func(name, id, secret string) {
		t.Helper()
		w := testenv.NewBrowser(t)
		s := b.post(w, "/console/break-glass", form(id, secret))
		said, _, _ := strings.Cut(s.text, "Reference")
		if wrong == "" {
			wrong = said
		}
		if s.status != 403 || s.heading() != "This access key is not accepted" || said != wrong {
			t.Errorf("%s: %s: %s", name, s, s.text)
		}
		b.outside(w)
	}
	before := len(b.Audit(account))
	refused("an unknown key", "AKIAAAAAAAAAAAAAAAAA", key.SecretAccessKey)
	refused("another secret", key.AccessKeyID, key.SecretAccessKey+"x")
	refused("a part of the secret", key.AccessKeyID, key.SecretAccessKey[:39])
	refused("no secret", key.AccessKeyID, "")
	refused("nothing", "", "")
	if n := len(b.Audit(account)); n != before {
		t.Errorf("strangers made %d entries", n-before)
	}

	w := testenv.NewBrowser(t)
	s := b.post(w, "/console/break-glass", form(key.AccessKeyID, key.SecretAccessKey))
	b.inside(s, "You came by an access key.")
	if !strings.Contains(s.text, ":user/admin") {
		t.Errorf("home says %s", s.text)
	}
	b.Plant(b.cookie(w, "credence-console"))
	if s := b.browse(w, b.URL+"/console/audit?outcome=denied", ""); s.status != 200 {
		t.Errorf("audit log: %s", s)
	}
	var events []audit.Event
	for _, e := range b.Audit(account) {
		if e.Action == "credence:BreakGlass" {
			events = append(events, e)
		}
	}
	if len(events) != 1 || events[0].Outcome != audit.Allowed || events[0].AccessKey != key.AccessKeyID || !strings.HasSuffix(events[0].Caller, ":user/admin") || events[0].SourceIP == "" {
		t.Errorf("recorded %+v", events)
	}
	if !strings.Contains(b.Log(), "level=WARN msg=\"somebody is at the console by an access key\"") {
		t.Error("there is no warning in the log")
	}
	if ok, no := b.Metric(`credence_console_sign_ins_total{kind="break_glass",outcome="ok"}`), b.Metric(`credence_console_sign_ins_total{kind="break_glass",outcome="wrong_key"}`); ok != 1 || no != 5 {
		t.Errorf("counted %d and %d", ok, no)
	}

	// The key's end is the session's, and an inactive key is as unknown as none.
	carol := b.NewUser(account, "carol", everything)
	theirs := carol.Credentials()
	in := testenv.NewBrowser(t)
	b.inside(b.post(in, "/console/break-glass", form(theirs.AccessKeyID, theirs.SecretAccessKey)), "carol")
	b.must("UpdateAccessKey", object{"userName": "carol", "accessKeyId": theirs.AccessKeyID, "status": "Inactive"})
	b.outside(in)
	refused("an inactive key", theirs.AccessKeyID, theirs.SecretAccessKey)

	// Whoever may not break glass is told so, in the words that tools know.
	nobody := b.NewUser(account, "nobody", "").Credentials()
	s = b.post(testenv.NewBrowser(t), "/console/break-glass", form(nobody.AccessKeyID, nobody.SecretAccessKey))
	if s.status != 403 || s.heading() != "You may not do this" || !strings.Contains(s.text, "user/nobody is not authorized to perform: credence:BreakGlass on resource: arn:aws:credence:us-east-1:"+account+":console/default") {
		t.Errorf("without the right: %s: %s", s, s.text)
	}
	// A key of a session is no user's.
	if strings.HasPrefix(key.AccessKeyID, "ASIA") {
		t.Error("the administrator has no key of his own")
	}
}

// One address shows so many keys, and others go on.
func TestBreakGlassIsBounded(t *testing.T) {
	b := open(t, func(c *server.Config) { c.Quotas = []string{"rate.*=off", "rate.ConsoleBreakGlass=1"} })
	w := testenv.NewBrowser(t)
	limited := false
	for range 50 {
		if s := b.post(w, "/console/break-glass", form("AKIAAAAAAAAAAAAAAAAA", "x")); s.status == http.StatusTooManyRequests {
			limited = true
			break
		}
	}
	if !limited {
		t.Error("fifty at once were looked at")
	}
}

// Every operation of the door is asked by a role without rights: it sees the denial's words and nothing else, and that is recorded; and by nobody.
func TestDenyAllSweep(t *testing.T) {
	b := open(t)
	b.role("nobody", b.Vendor, clientID, group("nobodies"), "")
	const secretName = "a-name-that-nobody-may-see"
	b.Admin.CreateWorkload(secretName)
	b.is("mallory", "nobodies")
	for _, op := range console.Operations() {
		t.Run(op.Name, func(t *testing.T) {
			w := testenv.NewBrowser(t)
			b.inside(b.signIn(w, "people"), "nobody")
			ask := func(w *testenv.Browser) seen {
				path := strings.NewReplacer("{account}", account, "{provider}", "people").Replace(op.Path)
				if op.Method == http.MethodPost {
					return b.post(w, path, nil)
				}
				return b.read(w.Get(b.URL + path))
			}
			before := len(b.Audit(account))
			s := ask(w)
			events := b.Audit(account)[before:]
			if strings.Contains(s.text, secretName) {
				t.Errorf("it shows what nobody may see: %s", s.text)
			}
			switch {
			case op.Stranger:
				if len(events) != 0 {
					t.Errorf("a stranger made %+v", events)
				}
			case op.Action == "": // whoever is signed in may
				if s.status != 200 || len(events) != 1 || events[0].Outcome != audit.Allowed || events[0].Subject != "mallory" {
					t.Errorf("%s, recorded %+v", s, events)
				}
			default:
				words := "assumed-role/nobody/mallory@acme.example is not authorized to perform: " + op.Action + " on resource: arn:aws:credence:us-east-1:" + account
				if s.status != 403 || !strings.Contains(s.text, words) {
					t.Errorf("%s: %s", s, s.text)
				}
				if len(events) != 1 || events[0].Outcome != audit.Denied || events[0].Action != op.Action || events[0].Subject != "mallory" {
					t.Errorf("recorded %+v", events)
				}
			}
			if !op.Stranger {
				if s := ask(testenv.NewBrowser(t)); s.status != http.StatusSeeOther && s.heading() != "Sign in to Credence" || strings.Contains(s.text, account) {
					t.Errorf("without a session: %s: %s", s, s.text)
				}
			}
		})
	}
}

// The audit log's page finds what its form asks for, the newest first, and goes on to older entries; nothing in it becomes markup.
func TestAuditPage(t *testing.T) {
	b := open(t)
	b.Admin.CreateWorkload("agent")
	b.Admin.CreateWorkload("other")
	for range 60 {
		b.Admin.WAT("agent", `<img src=x onerror="alert(1)">`)
	}
	b.Admin.WAT("other", "bob")
	b.NewUser(account, "nobody", "").Call("/identities/GetWorkloadIdentity", `{"name":"agent"}`)
	w := testenv.NewBrowser(t)
	b.inside(b.signIn(w, "people"), "auditor")
	// What is recorded becomes an entry within a moment.
	page := func(query string, rows int) seen {
		t.Helper()
		var s seen
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if s = b.browse(w, b.URL+"/console/audit?"+query, ""); strings.Count(s.text, "<tr>")-1 == rows {
				return s
			}
		}
		t.Fatalf("%s has %d rows, want %d: %s", query, strings.Count(s.text, "<tr>")-1, rows, s)
		return s
	}
	if s := page("outcome=denied", 1); !strings.Contains(s.text, "user/nobody") { // the last of them
		t.Errorf("%s", s.text)
	}
	s := page("workload=agent&outcome=allowed", 50)
	if strings.Contains(s.text, "<img") || !strings.Contains(s.text, "&lt;img") {
		t.Error("a name became markup")
	}
	_, older, _ := strings.Cut(s.text, `href="/console/audit?`)
	older, _, _ = strings.Cut(older, `"`)
	if !strings.Contains(older, "workload=agent") {
		t.Fatalf("older entries are at %q", older)
	}
	if s := page(strings.ReplaceAll(older, "&amp;", "&"), 10); !strings.Contains(s.text, ">Newest<") {
		t.Errorf("%s", s.text)
	}
	if s := page("user-id=bob", 1); !strings.Contains(s.text, "bob") || strings.Contains(s.text, "&lt;img") {
		t.Errorf("%s", s.text)
	}
	page("from=2100-01-01T00:00", -1) // there is no table
	for query, says := range map[string]string{"from=yesterday": "From must be a date", "outcome=perhaps": "outcome", "issuer=https://idp.example": "subject", "after=x": "nextToken"} {
		if s := b.browse(w, b.URL+"/console/audit?"+query, ""); s.status != 400 || !strings.Contains(s.text, says) {
			t.Errorf("%s: %s: %s", query, s, s.text)
		}
	}
}

// The grants' page shows who may act as whom, and no token.
func TestGrantsPage(t *testing.T) {
	b := open(t)
	b.Admin.CreateWorkload("agent")
	b.Admin.CreateProvider("vendor")
	b.Admin.Consent("agent", "vendor", "alice")
	w := testenv.NewBrowser(t)
	b.is("alice", "admins")
	b.inside(b.signIn(w, "people"), "auditor")
	s := b.browse(w, b.URL+"/console/grants?user-id=alice", "")
	if s.status != 200 || !strings.Contains(s.text, ">agent<") || !strings.Contains(s.text, "active") || strings.Contains(s.text, b.Vendor.Mark) {
		t.Errorf("%s: %s", s, s.text)
	}
	if s := b.browse(w, b.URL+"/console/grants?user-id=bob", ""); strings.Contains(s.text, ">agent<") || !strings.Contains(s.text, "nothing to show") {
		t.Errorf("%s", s.text)
	}
}
