package broker

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"credence/internal/audit"
	"credence/internal/fakeidp"
	"credence/internal/fault"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/testpostgres"
	"credence/internal/wire"
	"credence/internal/workload"
)

func byEmail(email string) *wire.GrantUser {
	return &wire.GrantUser{JwtClaims: &wire.GrantClaimsUser{Issuer: issuer, Claims: map[string]string{"email": email}}}
}

func (f *fixture) trust(claims ...string) {
	f.t.Helper()
	_, err := f.store.PutTrustedIssuer(store.TrustedIssuer{Account: account, Issuer: issuer, Audiences: []string{"app"}, UserKeyClaims: claims, CreatedAt: time.Now()})
	f.must(err)
}

func (f *fixture) userToken(sub, email string) secret.String {
	return secret.New(f.vendor.Sign(map[string]any{"sub": sub, "aud": "app", "email": email, "email_verified": true}))
}

// byJWT has a request come from the user of a JWT.
func (f *fixture) byJWT(token secret.String) func(*tokenInput) {
	f.t.Helper()
	wat, err := f.GetWorkloadAccessTokenForJWT(context.Background(), f.caller, &wire.GetWorkloadAccessTokenForJWTInput{WorkloadName: "agent", UserToken: token})
	f.must(err)
	return func(in *tokenInput) { in.WorkloadIdentityToken = secret.New(wat.WorkloadAccessToken) }
}

func (f *fixture) rekeying(from, to *wire.GrantUser, dry bool) (*wire.RekeyGrantsOutput, error) {
	return f.RekeyGrants(context.Background(), f.caller, &wire.RekeyGrantsInput{From: from, To: to, DryRun: &dry})
}

// rekeyed wants one grant moved and none skipped, and answers its new id.
func (f *fixture) rekeyed(from, to *wire.GrantUser) string {
	f.t.Helper()
	out, err := f.rekeying(from, to, false)
	f.must(err)
	if len(out.RekeyedGrants) != 1 || len(out.Skipped) != 0 {
		f.t.Fatalf("%+v", out)
	}
	return out.RekeyedGrants[0].GrantId
}

// skips wants nothing moved and one grant skipped for a reason, and every grant as it was.
func (f *fixture) skips(t *testing.T, from, to *wire.GrantUser, reason string) {
	t.Helper()
	before := f.grants()
	for _, dry := range []bool{true, false} {
		out, err := f.rekeying(from, to, dry)
		if err != nil || len(out.RekeyedGrants) != 0 || len(out.Skipped) != 1 || !strings.Contains(out.Skipped[0].Reason, reason) {
			t.Errorf("dry run %t: %+v, %v", dry, out, err)
		}
	}
	if after := f.grants(); !slices.Equal(before, after) {
		t.Errorf("was\n%s\nand is\n%s", before, after)
	}
}

// grants are all rows, as text.
func (f *fixture) grants() (all []string) {
	f.t.Helper()
	rows, _, err := f.Vault.Grants(context.Background(), store.GrantFilter{Account: account}, store.Page{Limit: 100})
	f.must(err)
	for _, g := range rows {
		g.RetryAt, g.RenewAt = time.Time{}, time.Time{} // which are read as what is left
		text, err := json.Marshal(g)
		f.must(err)
		all = append(all, string(text))
	}
	return all
}

func onEachEngine(t *testing.T, test func(*testing.T, *fixture)) {
	t.Run("SQLite", func(t *testing.T) { test(t, newFixture(t, t.TempDir())) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, newFixtureOn(t, t.TempDir(), testpostgres.Database(t), true)) })
}

// A user whom the application named goes on as the user of a JWT: nobody is asked again, the token and its proof key are the same and renewable, and the old name has nothing.
func TestRekey(t *testing.T) {
	onEachEngine(t, func(t *testing.T, f *fixture) {
		bound(f, func(*fakeidp.DPoP) {})
		f.trust("email")
		token, before := f.granted("alice"), f.row("alice")
		f.granted("bob")
		alice := f.byJWT(f.userToken("1", "alice@x"))
		f.needsConsent("x", alice)

		dry, err := f.rekeying(byID("alice"), byEmail("alice@x"), true)
		f.must(err)
		if len(dry.RekeyedGrants) != 1 || !*dry.DryRun || f.token("alice") != token {
			t.Errorf("%+v", dry)
		}
		f.needsConsent("x", alice)

		id := f.rekeyed(byID("alice"), byEmail("alice@x"))
		if id != dry.RekeyedGrants[0].GrantId || f.token("x", alice) != token {
			t.Error("another grant than the dry run said, or another token")
		}
		f.needsConsent("alice")
		g, err := f.Vault.ReloadGrant(context.Background(), account, id)
		f.must(err)
		key, err := f.Vault.ProofKey(context.Background(), g)
		f.must(err)
		name, err := f.Vault.UserName(context.Background(), g)
		f.must(err)
		if key.IsZero() || name != `claims:"`+issuer+`" "email" "alice@x"` || !g.CreatedAt.Equal(before.CreatedAt) {
			t.Errorf("%+v of %s", g, name)
		}
		g.ExpiresAt = time.Now().Add(-time.Minute) // its time has come
		_, err = f.Vault.UpdateGrant(g)
		f.must(err)
		if f.token("x", alice) == token {
			t.Error("it was not renewed")
		}
		f.token("bob")

		again, err := f.rekeying(byID("alice"), byEmail("alice@x"), false)
		if err != nil || len(again.RekeyedGrants)+len(again.Skipped) != 0 {
			t.Errorf("once more: %+v, %v", again, err)
		}
		f.rekeyed(byEmail("alice@x"), byID("alice")) // and back
		f.token("alice")
	})
}

// What a copy of a row under the new key would be worth: nothing opens that was sealed for the old one.
func TestRekeySealsAnew(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.granted("alice")
	old := f.row("alice")
	f.rekeyed(byID("alice"), byID("alice2"))
	g := f.row("alice2")
	if string(g.AccessToken) == string(old.AccessToken) || string(g.RefreshToken) == string(old.RefreshToken) || string(g.UserName) == string(old.UserName) {
		t.Error("what is sealed is the same")
	}
	g.RefreshToken = old.RefreshToken
	if _, err := f.Vault.RefreshToken(context.Background(), g); !errors.Is(err, fault.Decryption) {
		t.Errorf("what was sealed for another row: %v", err)
	}
}

// One event for each grant, which names both of its ids and both users, and says when nothing came of it.
func TestRekeyIsRecorded(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.granted("alice")
	old := f.row("alice").Key
	id := f.rekeyed(byID("alice"), byID("alice2"))
	all := f.events("credence:RekeyGrants")
	if len(all) != 2 || all[0].User != `id:"alice"` || all[1].User != `id:"alice2"` || all[1].Reason != `from id:"alice"` || all[1].Outcome != audit.Allowed ||
		!strings.HasSuffix(all[1].Resources[0], old) || !strings.HasSuffix(all[1].Resources[1], id) {
		t.Errorf("%+v", all)
	}
	f.granted("alice")
	f.skips(t, byID("alice"), byID("alice2"), "live grant")
	if last := f.lastEvent(); last.Outcome != audit.Abandoned || !strings.Contains(last.Reason, "live grant") {
		t.Errorf("%+v", last)
	}
}

// What must not be moved is named and stays as it is, and is moved when it may be.
func TestRekeySkips(t *testing.T) {
	from, to := byID("alice"), byEmail("alice@x")
	revoke := func(f *fixture, in wire.RevokeGrantsInput) {
		_, err := f.RevokeGrants(context.Background(), f.caller, &in)
		f.must(err)
	}
	for name, test := range map[string]struct {
		because func(f *fixture) (end func())
		reason  string
	}{
		"a live grant": {func(f *fixture) func() {
			f.granted("alice")
			f.rekeyed(from, to)
			f.granted("alice")
			return func() {
				revoke(f, wire.RevokeGrantsInput{User: to})
				f.revokeDue(context.Background())
			}
		}, "there is a live grant"},
		"a grant whose vendor is still being told": {func(f *fixture) func() {
			f.granted("alice")
			f.rekeyed(from, to)
			f.granted("alice")
			revoke(f, wire.RevokeGrantsInput{User: to})
			return func() { f.revokeDue(context.Background()) }
		}, "still being told"},
		// Whether it may be told shows by the other grants that the user has, by key.
		"another grant of the user whose vendor is still being told": {func(f *fixture) func() {
			f.addProvider("other")
			f.granted("alice")
			f.granted("alice", func(in *tokenInput) { in.ResourceCredentialProviderName = "other" })
			revoke(f, wire.RevokeGrantsInput{User: from, ResourceCredentialProviderName: new("other")})
			return func() { f.revokeDue(context.Background()) }
		}, "another grant of its user"},
		"a ceiling": {func(f *fixture) func() {
			f.granted("alice")
			f.ceiling(store.CeilingProvider, "vendor", wire.Ceiling{Users: []wire.GrantUser{*from}})
			return func() { f.ceiling(store.CeilingProvider, "vendor", wire.Ceiling{Users: []wire.GrantUser{*to}}) }
		}, `The ceiling of credential provider "vendor" does not allow the user claims:`},
		"a frozen provider": {func(f *fixture) func() {
			f.granted("alice")
			target := wire.FreezeTarget{ResourceCredentialProviderName: new("vendor")}
			f.freeze(target)
			return func() { f.unfreeze(target) }
		}, "frozen"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, t.TempDir())
			f.trust("email")
			end := test.because(f)
			f.skips(t, from, to, test.reason)
			end()
			f.rekeyed(from, to)
			f.token("x", f.byJWT(f.userToken("1", "alice@x")))
		})
	}
}

// Nobody moves what is being renewed, or was when a process died: the answer of the vendor would find no grant.
func TestRekeyDuringARefresh(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.granted("alice")
	g := f.row("alice")
	l, err := f.store.AcquireLease(account, grantLease(g.Key), time.Minute)
	f.must(err)
	out, err := f.rekeying(byID("alice"), byID("alice2"), false)
	if err != nil || len(out.Skipped) != 1 || !strings.Contains(out.Skipped[0].Reason, "being renewed") {
		t.Errorf("%+v, %v", out, err)
	}
	f.must(f.store.ReleaseLease(l))
	for _, at := range []time.Time{time.Now(), time.Now().Add(-time.Hour)} {
		g = f.row("alice")
		g.IntentAt = at
		_, err := f.Vault.UpdateGrant(g)
		f.must(err)
		f.skips(t, byID("alice"), byID("alice2"), "try again")
	}
	// One that begins after it was looked at is seen by the row.
	_, err = f.Vault.UpdateGrant(f.edited(g.Key, func(g *store.Grant) { g.IntentAt = time.Time{} }))
	f.must(err)
	seen := f.row("alice")
	_, err = f.Vault.UpdateGrant(f.edited(g.Key, func(g *store.Grant) { g.IntentAt = time.Now() }))
	f.must(err)
	to := workload.User{Kind: workload.KindID, ID: "alice2"}
	why, err := f.Vault.RekeyGrant(context.Background(), seen, plainKey(seen, to.Key()), to.Key(), to.String(), false)
	if err != nil || !strings.Contains(why, "changed meanwhile") || f.row("alice").RefreshToken == nil {
		t.Errorf("%q, %v", why, err)
	}
}

func (f *fixture) edited(key string, edit func(*store.Grant)) store.Grant {
	f.t.Helper()
	g, err := f.store.Grant(context.Background(), account, key)
	f.must(err)
	edit(&g)
	return g
}

// What was cut off in the middle goes on by being asked for again: each grant is at one of the two users, whole.
func TestRekeyIsResumed(t *testing.T) {
	f := newFixture(t, t.TempDir())
	for _, p := range []string{"p2", "p3"} {
		f.addProvider(p)
		f.granted("alice", func(in *tokenInput) { in.ResourceCredentialProviderName = p })
	}
	f.granted("alice")
	rows, _, err := f.Vault.Grants(context.Background(), store.GrantFilter{Account: account}, store.Page{Limit: 10})
	f.must(err)
	l, err := f.store.AcquireLease(account, grantLease(rows[1].Key), time.Minute)
	f.must(err)
	out, err := f.rekeying(byID("alice"), byID("alice2"), false)
	f.must(err)
	if len(out.RekeyedGrants) != 2 || len(out.Skipped) != 1 || out.Skipped[0].GrantId != rows[1].Key {
		t.Errorf("%+v", out)
	}
	f.must(f.store.ReleaseLease(l))
	f.crash()
	f.rekeyed(byID("alice"), byID("alice2"))
	for _, p := range []string{"vendor", "p2", "p3"} {
		f.token("alice2", func(in *tokenInput) { in.ResourceCredentialProviderName = p })
	}
}

// Whom a freeze stops, no other name frees; nor is anything given to one who is frozen.
func TestRekeyOfTheFrozen(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.granted("alice")
	before := f.grants()
	for _, target := range []wire.FreezeTarget{{User: byID("alice")}, {User: byID("alice2")}, {Account: new(true)}} {
		f.freeze(target)
		for _, dry := range []bool{true, false} {
			_, err := f.rekeying(byID("alice"), byID("alice2"), dry)
			is(t, err, fault.AccessDenied, "frozen")
		}
		f.unfreeze(target)
	}
	if !slices.Equal(f.grants(), before) {
		t.Error("something was moved")
	}
	_, err := f.rekeying(byID("alice"), byID("alice"), false)
	is(t, err, fault.Validation, "to")
}

// A consent that the old user has in flight does not bring back, under the old name, what was moved.
func TestRekeyEndsConsentsInFlight(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.granted("alice")
	wider := f.needsConsent("alice", func(in *tokenInput) { in.ForceAuthentication = new(true) })
	id := f.consent(browser{}, wider.AuthorizationUrl).Get("session_id")
	f.rekeyed(byID("alice"), byID("alice2"))
	is(t, f.complete(id, "alice"), fault.AccessDenied, "given to another user key")
	if f.vendor.Count("authorization_code") != 1 {
		t.Error("the code was sent")
	}
	f.token("alice2")
}

// customParameters are part of a grant's key and not kept, and what is no consent is not moved.
func TestRekeyLeavesOthersAlone(t *testing.T) {
	f := newFixture(t, t.TempDir())
	special := func(in *tokenInput) { in.CustomParameters = map[string]secret.String{"tenant": secret.New("a")} }
	f.granted("alice", special)
	own := f.token("")
	f.skips(t, byID("alice"), byID("alice2"), "customParameters")
	f.token("alice", special)
	f.granted("bob")
	_, err := f.RevokeGrants(context.Background(), f.caller, &wire.RevokeGrantsInput{User: byID("bob")})
	f.must(err)
	out, err := f.rekeying(byID("bob"), byID("bob2"), false)
	if err != nil || len(out.RekeyedGrants)+len(out.Skipped) != 0 || f.token("") != own {
		t.Errorf("%+v, %v", out, err)
	}
}

// The setting is read when a user comes: what is stored stays whose it is, and is there again when the setting is.
func TestUserKeyClaimsReinterpretNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, f *fixture) {
		f.trust("sub")
		jwt := f.userToken("alice@x", "alice@x") // whose subject reads like an address
		complete := func(out *wire.GetResourceOauth2TokenOutput, token secret.String) error {
			id := f.consent(browser{}, out.AuthorizationUrl).Get("session_id")
			_, err := f.CompleteResourceTokenAuth(context.Background(), f.caller, &wire.CompleteResourceTokenAuthInput{SessionUri: id, UserIdentifier: &wire.UserIdentifier{UserToken: &token}})
			return err
		}
		bySub := f.byJWT(jwt)
		f.must(complete(f.needsConsent("x", bySub), jwt))
		token, rows := f.token("x", bySub), f.grants()

		f.trust("email")
		byAddress := f.byJWT(jwt)
		out := f.needsConsent("x", byAddress)
		if !slices.Equal(f.grants(), rows) {
			t.Error("a row changed")
		}
		if f.token("x", bySub) != token { // a workload access token says whose it is
			t.Error("another token")
		}
		// The session is the user's by the same key: another subject with the same address completes it, and the same subject with another address does not.
		f.must(complete(out, f.userToken("other", "alice@x")))
		second := f.needsConsent("x", byAddress, func(in *tokenInput) { in.ForceAuthentication = new(true) })
		is(t, complete(second, f.userToken("alice@x", "Alice@x")), fault.AccessDenied, "another user")
		if f.token("x", byAddress) == token || len(f.grants()) != 2 {
			t.Error("the two share a grant")
		}

		f.trust("sub")
		if f.token("x", f.byJWT(jwt)) != token {
			t.Error("the grant is not there again")
		}
	})
}
