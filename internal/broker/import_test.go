package broker

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"

	"credence/internal/audit"
	"credence/internal/fakeidp"
	"credence/internal/fault"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/wire"
)

// grantElsewhere is a refresh token that a user gave another system of the same client.
func (f *fixture) grantElsewhere(user string) secret.String {
	f.t.Helper()
	if out, err := f.ask(user); err != nil || out.AccessToken == "" {
		f.granted(user)
	}
	g := f.row(user)
	token, err := f.Vault.RefreshToken(context.Background(), g)
	f.must(err)
	f.forgetGrant(user)
	return token
}

// forgetGrant removes a grant here, and its vendor hears nothing.
func (f *fixture) forgetGrant(user string) {
	f.t.Helper()
	g := f.row(user)
	g.RefreshToken, g.ExpiresAt = nil, time.Now().Add(-48*time.Hour)
	_, err := f.Vault.UpdateGrant(g)
	f.must(err)
	f.must(f.store.Purge(time.Now().Add(-24 * time.Hour)))
	_, err = f.Vault.ReloadGrant(context.Background(), account, g.Key)
	if !errors.Is(err, fault.NotFound) {
		f.t.Fatal(err)
	}
}

func importOf(user string, token secret.String) wire.ImportGrant {
	return wire.ImportGrant{WorkloadName: "agent", ResourceCredentialProviderName: "vendor", User: byID(user), Scopes: []string{"read"}, RefreshToken: token}
}

func (f *fixture) importing(dry bool, grants ...wire.ImportGrant) (*wire.ImportGrantsOutput, error) {
	return f.ImportGrants(context.Background(), f.caller, &wire.ImportGrantsInput{Grants: grants, DryRun: &dry})
}

// fieldsOf are the members that a refusal names.
func fieldsOf(err error) (names []string) {
	if f, ok := errors.AsType[*fault.Fault](err); ok {
		for _, field := range f.Fields {
			names = append(names, field.Name)
		}
	}
	return names
}

// events are the audit events of an action.
func (f *fixture) events(action string) (all []audit.Event) {
	f.t.Helper()
	batches, err := f.store.AuditBatches(context.Background(), account)
	f.must(err)
	for _, b := range batches {
		for line := range strings.Lines(string(b.Events)) {
			var e audit.Event
			f.must(json.Unmarshal([]byte(line), &e))
			if e.Action == action {
				all = append(all, e)
			}
		}
	}
	return all
}

// What is imported is served once its vendor has renewed it, and not before: while the vendor is away there is nothing to serve, and one whom the vendor refuses is asked.
func TestImportedIsServedAfterOneRefresh(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, _ string) {
		token := f.grantElsewhere("bob")
		out, err := f.importing(false, importOf("bob", token), importOf("mallory", secret.New("no-token-of-this-vendor")))
		f.must(err)
		if len(out.GrantIds) != 2 || out.GrantIds[0] != f.row("bob").Key {
			t.Errorf("%+v", out)
		}
		if d := f.describe("bob"); d.State != wire.GrantExpired || d.RefreshedTime != nil || *d.User != `id:"bob"` {
			t.Errorf("%+v", d)
		}
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.Status = 503 })
		if _, err := f.ask("bob"); !errors.Is(err, fault.Throttled) {
			t.Errorf("with the vendor away: %v", err)
		}
		f.recovered("bob")
		before := f.vendor.Count("refresh_token")
		if f.token("bob") == "" || f.vendor.Count("refresh_token") != before+1 {
			t.Error("not served after one refresh")
		}
		f.needsConsent("mallory")
		if g := f.row("mallory"); g.State != store.GrantDead {
			t.Errorf("%+v", g)
		}
	})
}

// All or nothing, and a dry run is nothing: whatever is wrong with one grant of a batch is told of all, and none is there.
func TestImportIsAllOrNothing(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.granted("live")
	planted := secret.New("planted-refresh-token")
	good := importOf("good", planted)
	of := func(edit func(*wire.ImportGrant)) wire.ImportGrant {
		g := importOf("other", planted)
		edit(&g)
		return g
	}
	for name, test := range map[string]struct {
		bad   []wire.ImportGrant
		wrong string
	}{
		"no such workload": {[]wire.ImportGrant{of(func(g *wire.ImportGrant) { g.WorkloadName = "nobody" })}, "grants[1].workloadName"},
		"no such provider": {[]wire.ImportGrant{of(func(g *wire.ImportGrant) { g.ResourceCredentialProviderName = "nobody" })}, "grants[1].resourceCredentialProviderName"},
		"a live grant":     {[]wire.ImportGrant{importOf("live", planted)}, "grants[1]"},
		"the same twice":   {[]wire.ImportGrant{good}, "grants[1]"},
		"two of them":      {[]wire.ImportGrant{importOf("third", planted), importOf("live", planted)}, "grants[2]"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.importing(false, append([]wire.ImportGrant{good}, test.bad...)...)
			if got := fieldsOf(err); len(got) != 1 || got[0] != test.wrong || strings.Contains(errText(err), "planted") {
				t.Errorf("%q: %v", got, err)
			}
			if n := len(f.list(wire.ListGrantsInput{})); n != 1 {
				t.Errorf("%d grants", n)
			}
		})
	}
	out, err := f.importing(true, good)
	f.must(err)
	if n := len(f.list(wire.ListGrantsInput{})); n != 1 || !*out.DryRun || len(out.GrantIds) != 1 {
		t.Errorf("%d grants after a dry run, %+v", n, out)
	}
	if g := f.row("live"); g.AccessToken == nil {
		t.Error("the live grant was touched")
	}
}

// A grant that was revoked is not imported while its vendor is being told: the receipt must not lie. Afterwards it may be.
func TestImportAfterRevocation(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.granted("bob")
	_, err := f.RevokeGrants(context.Background(), f.caller, &wire.RevokeGrantsInput{User: byID("bob")})
	f.must(err)
	if _, err := f.importing(false, importOf("bob", secret.New("token"))); !errors.Is(err, fault.Validation) || !strings.Contains(errText(err), "still being told") {
		t.Error(err)
	}
	f.revokeDue(context.Background())
	_, err = f.importing(false, importOf("bob", secret.New("token")))
	f.must(err)
}

// Nothing is imported for whom a freeze stops, and each refusal is recorded.
func TestImportOfTheFrozen(t *testing.T) {
	f := newFixture(t, t.TempDir())
	_, err := f.Freeze(context.Background(), f.caller, &wire.FreezeInput{Target: &wire.FreezeTarget{User: byID("bob")}})
	f.must(err)
	if _, err := f.importing(false, importOf("alice", secret.New("token")), importOf("bob", secret.New("token"))); !errors.Is(err, fault.AccessDenied) {
		t.Error(err)
	}
	if n := len(f.list(wire.ListGrantsInput{})); n != 0 {
		t.Errorf("%d grants", n)
	}
}

// One audit event for each grant, with its user, and no token.
func TestImportIsRecordedGrantByGrant(t *testing.T) {
	f := newFixture(t, t.TempDir())
	_, err := f.importing(false, importOf("alice", secret.New("planted-1")), importOf("bob", secret.New("planted-2")))
	f.must(err)
	all := f.events("credence:ImportGrants")
	if len(all) != 2 || all[0].User != `id:"alice"` || all[1].User != `id:"bob"` || all[0].Workload != "agent" {
		t.Errorf("%+v", all)
	}
	text, err := json.Marshal(all)
	f.must(err)
	if strings.Contains(string(text), "planted") {
		t.Errorf("%s", text)
	}
}

// exported opens an export.
func (f *fixture) exported(out *wire.ExportGrantsOutput, id age.Identity) (in struct {
	Grants []wire.ImportGrant `json:"grants"`
}) {
	f.t.Helper()
	r, err := age.Decrypt(armor.NewReader(strings.NewReader(*out.EncryptedGrants)), id)
	f.must(err)
	text, err := io.ReadAll(r)
	f.must(err)
	f.must(json.Unmarshal(text, &in))
	return in
}

// What is exported opens with the recipient's key alone, has one audit event for each grant, and goes on elsewhere.
func TestExportGoesOnElsewhere(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, t.TempDir())
	ctx := context.Background()
	f.granted("alice")
	f.granted("bob")
	f.granted("carol", func(in *tokenInput) { in.CustomParameters = map[string]secret.String{"tenant": secret.New("a")} })
	f.token("")
	if _, err := f.ExportGrants(ctx, f.caller, &wire.ExportGrantsInput{All: new(true)}); !errors.Is(err, fault.AccessDenied) || !strings.Contains(errText(err), "--export-recipient") {
		t.Error(err)
	}
	f.ExportRecipients = []age.Recipient{id.Recipient()}
	if _, err := f.ExportGrants(ctx, f.caller, &wire.ExportGrantsInput{}); !errors.Is(err, fault.Validation) {
		t.Error(err)
	}
	before := len(f.events("credence:ExportGrants"))
	out, err := f.ExportGrants(ctx, f.caller, &wire.ExportGrantsInput{All: new(true)})
	f.must(err)
	if *out.ExportedGrants != 2 || len(out.Skipped) != 2 { // not the workload's own, nor the one with a parameter
		t.Errorf("%+v", out)
	}
	recorded := f.events("credence:ExportGrants")[before:]
	if len(recorded) != 3 { // the request, and each grant
		t.Errorf("%+v", recorded)
	}
	for _, e := range recorded[1:] {
		if len(e.Resources) != 1 || !strings.Contains(e.Resources[0], ":grant/") || strings.HasSuffix(e.Resources[0], "*") || e.User == "" {
			t.Errorf("%+v", e)
		}
	}
	stranger, err := age.GenerateX25519Identity()
	f.must(err)
	if _, err := age.Decrypt(armor.NewReader(strings.NewReader(*out.EncryptedGrants)), stranger); err == nil {
		t.Error("it opens with another key")
	}

	other := newFixture(t, t.TempDir()) // another installation, at the same vendor
	other.vendor, other.wire.handler = f.vendor, f.vendor.Handler()
	_, err = other.importing(false, f.exported(out, id).Grants...)
	f.must(err)
	for _, user := range []string{"alice", "bob"} {
		if other.token(user) == "" {
			t.Errorf("%s is not served elsewhere", user)
		}
	}
}
