package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"credence/internal/access"
	"credence/internal/admin"
	"credence/internal/audit"
	"credence/internal/egress"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/telemetry"
	"credence/internal/vault"
	"credence/internal/wire"
	"credence/internal/workload"
)

const (
	alpha = "111111111111"
	beta  = "222222222222"

	google = "https://accounts.google.com"
	okta   = "https://example.okta.com/oauth2/default"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bed is the plane over a real database.
type bed struct {
	*admin.Admin
	store *store.Store
}

func open(t *testing.T) bed {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "credence.db"), egress.Config{})
}

func openAt(t *testing.T, path string, out egress.Config) bed {
	t.Helper()
	s, err := store.Open(context.Background(), store.Config{Path: path})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	master, err := vault.NewMasterKey()
	must(t, err)
	file := filepath.Join(t.TempDir(), "master.key")
	must(t, os.WriteFile(file, master, 0o600))
	kek, err := vault.OpenKEK("file:" + file)
	must(t, err)
	v, err := vault.New(context.Background(), vault.Config{Store: s, KEK: kek, Metrics: telemetry.New()})
	must(t, err)
	for _, account := range []string{alpha, beta} {
		must(t, v.CreateAccount(account))
	}
	client, err := egress.New(out)
	must(t, err)
	metrics := telemetry.New()
	return bed{admin.New(admin.Config{
		Vault: v, Store: s, Gate: access.New(audit.New(s), nil, iam.ARNs{Region: "eu-west-1"}, metrics), ARNs: iam.ARNs{Region: "eu-west-1"}, CheckURL: client.CheckURL,
		HTTP: client, Deliveries: s, AuditLogs: s, Metrics: metrics, Log: slog.New(slog.DiscardHandler),
	}), s}
}

func caller(t *testing.T, account, policy string) iam.Caller {
	t.Helper()
	p, err := iam.ParsePolicy([]byte(policy))
	must(t, err)
	return iam.Caller{Account: account, ARN: iam.User(account, "admin"), Policies: []*iam.Policy{p}}
}

func administrator(t *testing.T, account string) iam.Caller { return caller(t, account, iam.AllowAll) }

func (b bed) put(t *testing.T, c iam.Caller, issuer string, audiences ...string) (*wire.PutTrustedIssuerOutput, error) {
	t.Helper()
	return b.PutTrustedIssuer(t.Context(), c, &wire.PutTrustedIssuerInput{Issuer: issuer, Audiences: audiences})
}

// trusted are the issuers of an account with their audiences, in the order of the list.
func (b bed) trusted(t *testing.T, account string) (issuers []string, audiences [][]string) {
	t.Helper()
	out, err := b.ListTrustedIssuers(t.Context(), administrator(t, account), &wire.ListTrustedIssuersInput{})
	must(t, err)
	for _, i := range out.TrustedIssuers {
		issuers, audiences = append(issuers, i.Issuer), append(audiences, i.Audiences)
	}
	return issuers, audiences
}

func TestTrustedIssuers(t *testing.T) {
	b := open(t)
	c := administrator(t, alpha)
	out, err := b.put(t, c, okta, "api://agents", "credence")
	must(t, err)
	if out.Issuer != okta || !cmp.Equal(out.Audiences, []string{"api://agents", "credence"}) || time.Since(out.CreatedTime.Time) > time.Minute {
		t.Errorf("%+v", out)
	}
	_, err = b.put(t, c, google, "client-1")
	must(t, err)

	t.Run("are listed by name", func(t *testing.T) {
		issuers, audiences := b.trusted(t, alpha)
		if d := cmp.Diff([]string{google, okta}, issuers); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([][]string{{"client-1"}, {"api://agents", "credence"}}, audiences); d != "" {
			t.Error(d)
		}
	})
	t.Run("belong to one account", func(t *testing.T) {
		if issuers, _ := b.trusted(t, beta); issuers != nil {
			t.Errorf("another account trusts %q", issuers)
		}
		_, err := b.DeleteTrustedIssuer(t.Context(), administrator(t, beta), &wire.DeleteTrustedIssuerInput{Issuer: okta})
		if f, ok := errors.AsType[*fault.Fault](err); !ok || f.Kind != fault.NotFound || f.Msg != `The issuer "`+okta+`" is not trusted in account `+beta {
			t.Errorf("got %v", err)
		}
	})
	t.Run("put again has new audiences", func(t *testing.T) {
		_, err := b.put(t, c, okta, "other")
		must(t, err)
		if _, audiences := b.trusted(t, alpha); !cmp.Equal(audiences, [][]string{{"client-1"}, {"other"}}) {
			t.Errorf("audiences %q", audiences)
		}
	})
	t.Run("are compared bytewise", func(t *testing.T) {
		_, err := b.DeleteTrustedIssuer(t.Context(), c, &wire.DeleteTrustedIssuerInput{Issuer: google + "/"})
		if !errors.Is(err, fault.NotFound) {
			t.Errorf("got %v, want not_found", err)
		}
	})
	t.Run("deleted are trusted no more", func(t *testing.T) {
		_, err := b.DeleteTrustedIssuer(t.Context(), c, &wire.DeleteTrustedIssuerInput{Issuer: okta})
		must(t, err)
		if issuers, _ := b.trusted(t, alpha); !cmp.Equal(issuers, []string{google}) {
			t.Errorf("still trusted: %q", issuers)
		}
		if _, err := b.store.TrustedIssuer(t.Context(), alpha, okta); !errors.Is(err, fault.NotFound) {
			t.Errorf("the row is still there: %v", err)
		}
	})
}

// An issuer whose document Credence would never fetch is refused at once, and nothing is written.
func TestPutTrustedIssuerRefusesWhatIsNeverFetched(t *testing.T) {
	b := open(t)
	for _, issuer := range []string{
		"http://idp.example", "https://10.0.0.1", "https://[::ffff:10.0.0.1]", "https://169.254.169.254", "https://127.0.0.1:8443", "https://localhost",
		"https://user:planted-password@idp.example", "https://idp.example/#x", "idp.example", "javascript:alert(1)", "https://idp.example/\n",
	} {
		_, err := b.put(t, administrator(t, alpha), issuer, "credence")
		f, ok := errors.AsType[*fault.Fault](err)
		if !ok || f.Kind != fault.Validation || len(f.Fields) != 1 || f.Fields[0].Name != "issuer" {
			t.Errorf("%q: %v", issuer, err)
		} else if strings.Contains(f.Msg, "planted-password") {
			t.Errorf("the message repeats the password: %s", f.Msg)
		}
	}
	if issuers, _ := b.trusted(t, alpha); issuers != nil {
		t.Errorf("written all the same: %q", issuers)
	}
}

// With --dev an issuer may be on this machine.
func TestPutTrustedIssuerInDevelopment(t *testing.T) {
	b := openAt(t, filepath.Join(t.TempDir(), "credence.db"), egress.Config{Dev: true})
	_, err := b.put(t, administrator(t, alpha), "http://127.0.0.1:9000", "credence")
	must(t, err)
}

// Each operation asks for its own action on the issuer's own ARN, and a refusal is recorded and changes nothing.
func TestTrustedIssuersNeedRights(t *testing.T) {
	b := open(t)
	_, err := b.put(t, administrator(t, alpha), okta, "credence")
	must(t, err)

	const oktaARN = "arn:aws:credence:eu-west-1:" + alpha + ":trusted-issuer/https:%2F%2Fexample.okta.com%2Foauth2%2Fdefault"
	allow := func(action, resource string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}]}`
	}
	put := func(c iam.Caller) error { _, err := b.put(t, c, okta, "credence"); return err }
	list := func(c iam.Caller) error {
		_, err := b.ListTrustedIssuers(t.Context(), c, &wire.ListTrustedIssuersInput{})
		return err
	}
	remove := func(c iam.Caller) error {
		_, err := b.DeleteTrustedIssuer(t.Context(), c, &wire.DeleteTrustedIssuerInput{Issuer: okta})
		return err
	}
	for _, test := range []struct {
		name, policy string
		call         func(iam.Caller) error
		allowed      bool
	}{
		{"put with another action", allow("credence:ListTrustedIssuers", "*"), put, false},
		{"put of another issuer", allow("credence:PutTrustedIssuer", "arn:aws:credence:eu-west-1:"+alpha+":trusted-issuer/https:%2F%2Faccounts.google.com"), put, false},
		{"put with an AWS wildcard", allow("bedrock-agentcore:*", "*"), put, false},
		{"put", allow("credence:PutTrustedIssuer", oktaARN), put, true},
		{"list with the right to one issuer", allow("credence:ListTrustedIssuers", oktaARN), list, false},
		{"list", allow("credence:ListTrustedIssuers", "arn:aws:credence:eu-west-1:"+alpha+":trusted-issuer/*"), list, true},
		{"delete with another account's ARN", allow("credence:DeleteTrustedIssuer", "arn:aws:credence:eu-west-1:"+beta+":*"), remove, false},
		{"delete with another action", allow("credence:PutTrustedIssuer", "*"), remove, false},
		{"delete", allow("credence:DeleteTrustedIssuer", oktaARN), remove, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := b.outcomes(t)
			err := test.call(caller(t, alpha, test.policy))
			if test.allowed {
				must(t, err)
			} else if !errors.Is(err, fault.AccessDenied) {
				t.Errorf("got %v, want access_denied", err)
			}
			want := audit.Denied
			if test.allowed {
				want = audit.Allowed
			}
			if after := b.outcomes(t); len(after) != len(before)+1 || after[len(before)] != want {
				t.Errorf("recorded %v, want one more, %s", after[len(before):], want)
			}
			if _, err := b.store.TrustedIssuer(t.Context(), alpha, okta); err != nil && test.name != "delete" {
				t.Errorf("the issuer is gone: %v", err)
			}
		})
	}
}

// outcomes are those of the events that account alpha has, in order.
func (b bed) outcomes(t *testing.T) (all []audit.Outcome) {
	t.Helper()
	batches, err := b.store.AuditBatches(t.Context(), alpha)
	must(t, err)
	for _, batch := range batches {
		for line := range bytes.Lines(batch.Events) {
			var e audit.Event
			must(t, json.Unmarshal(line, &e))
			all = append(all, e.Outcome)
		}
	}
	return all
}

// An issuer that is put again was created when it was first put: the answer says what the list says.
func TestPutTrustedIssuerAgainTellsItsCreation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "credence.db")
	synctest.Test(t, func(t *testing.T) {
		b := openAt(t, path, egress.Config{})
		first, err := b.put(t, administrator(t, alpha), okta, "credence")
		must(t, err)
		time.Sleep(time.Hour)
		again, err := b.put(t, administrator(t, alpha), okta, "credence", "other")
		must(t, err)
		out, err := b.ListTrustedIssuers(t.Context(), administrator(t, alpha), &wire.ListTrustedIssuersInput{})
		must(t, err)
		if listed := out.TrustedIssuers[0].CreatedTime; !again.CreatedTime.Equal(listed.Time) {
			t.Errorf("the answer says %s, the list %s (first put %s)", again.CreatedTime, listed, first.CreatedTime)
		}
	})
}

// Claims that are to make users are looked at before they are taken; who leaves them out changes nothing.
func TestUserKeyClaims(t *testing.T) {
	b, c := open(t), administrator(t, alpha)
	put := func(claims ...string) (*wire.PutTrustedIssuerOutput, error) {
		return b.PutTrustedIssuer(t.Context(), c, &wire.PutTrustedIssuerInput{Issuer: okta, Audiences: []string{"a"}, UserKeyClaims: claims})
	}
	for _, bad := range [][]string{{"iss"}, {"email", "email"}, {"exp"}, {"email_verified"}} {
		if _, err := put(bad...); !errors.Is(err, fault.Validation) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := b.store.TrustedIssuer(t.Context(), alpha, okta); !errors.Is(err, fault.NotFound) {
		t.Errorf("what was refused is there: %v", err)
	}
	for _, test := range []struct{ put, then string }{{"", "sub"}, {"email", "email"}, {"", "email"}, {"sub", "sub"}, {"oid tid", "oid tid"}} {
		out, err := put(strings.Fields(test.put)...)
		if err != nil || strings.Join(out.UserKeyClaims, " ") != test.then {
			t.Errorf("%q: %+v, %v", test.put, out, err)
		}
	}
}

// Whom a freeze stops, other claims do not free: they would make another user of the same JWT.
func TestUserKeyClaimsOfTheFrozen(t *testing.T) {
	b, c := open(t), administrator(t, alpha)
	put := func(claims ...string) error {
		_, err := b.PutTrustedIssuer(t.Context(), c, &wire.PutTrustedIssuerInput{Issuer: okta, Audiences: []string{"a"}, UserKeyClaims: claims})
		return err
	}
	must(t, put())
	freeze := func(u workload.User) func() {
		f := store.Freeze{Account: alpha, Kind: store.FreezeUser, ID: u.Key(), CreatedAt: time.Now()}
		_, err := b.Vault.PutFreeze(t.Context(), f, u.String())
		must(t, err)
		return func() { must(t, b.Vault.DeleteFreeze(alpha, f.Kind, f.ID)) }
	}
	for _, other := range []workload.User{{Kind: workload.KindID, ID: "alice"}, {Kind: workload.KindJWT, Issuer: okta + "2", Subject: "alice"}} {
		defer freeze(other)()
	}
	must(t, put("email"))
	must(t, put("sub"))
	thaw := freeze(workload.User{Kind: workload.KindJWT, Issuer: okta, Subject: "alice"})
	if err := put("email"); !errors.Is(err, fault.Validation) || !strings.Contains(err.Error(), `"alice" is frozen`) {
		t.Errorf("%v", err)
	}
	must(t, put("sub"))
	must(t, put())
	if _, err := b.DeleteTrustedIssuer(t.Context(), c, &wire.DeleteTrustedIssuerInput{Issuer: okta}); err != nil {
		t.Fatal(err)
	}
	if err := put("email"); !errors.Is(err, fault.Validation) { // nor by taking it away first
		t.Errorf("%v", err)
	}
	must(t, put())
	thaw()
	must(t, put("tid", "oid"))
	defer freeze(workload.UserByClaims(okta, workload.Claim{Name: "oid", Value: "1"}, workload.Claim{Name: "tid", Value: "2"}))()
	must(t, put("oid", "tid"))
	if err := put("oid"); !errors.Is(err, fault.Validation) {
		t.Errorf("%v", err)
	}
	must(t, b.store.DeleteTrustedIssuer(alpha, okta))
	if err := put(); !errors.Is(err, fault.Validation) { // which would be sub
		t.Errorf("%v", err)
	}
}
