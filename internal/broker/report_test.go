package broker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"testing"
	"time"

	"credence/internal/fakeidp"
	"credence/internal/fault"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/wire"
)

// report is what an agent of a user does with a token that its resource refused.
func (f *fixture) report(user, token string) (*wire.ReportBadTokenOutput, error) {
	return f.ReportBadToken(context.Background(), f.caller, &wire.ReportBadTokenInput{
		WorkloadIdentityToken: new(f.wat(user)), ResourceCredentialProviderName: new("vendor"), AccessToken: new(secret.New(token)),
	})
}

func hashOf(token string) *string {
	sum := sha256.Sum256([]byte(token))
	return new(hex.EncodeToString(sum[:]))
}

// However many report a token, it is refreshed once, and everybody is served the next one. What is not the current token changes nothing.
func TestReportBadTokenOnce(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, first string) {
		replicas := []*fixture{f, f.replica()}
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.StallAfterIssue = time.Second })
		grantID := f.row("alice").Key
		var wg sync.WaitGroup
		for n := range 32 {
			wg.Go(func() {
				out, err := replicas[n%2].report("alice", first)
				if n%4 > 1 {
					out, err = replicas[n%2].ReportBadToken(context.Background(), f.caller, &wire.ReportBadTokenInput{GrantId: &grantID, AccessTokenSha256: hashOf(first)})
				}
				if err != nil {
					t.Error(err)
				} else if *out.WasCurrent && *out.State != wire.GrantActive {
					t.Errorf("%+v", out)
				}
			})
		}
		wg.Wait()
		next := f.token("alice")
		if n := f.vendor.Count("refresh_token"); n != 1 || next == first || f.vendor.FamiliesKilled() != 0 {
			t.Errorf("%d refreshes, another token: %t", n, next != first)
		}
		version := f.row("alice").Version
		f.granted("bob")
		for _, token := range []string{first, "unknown", "x"} {
			if out, err := f.report("alice", token); err != nil || *out.WasCurrent || out.State != nil {
				t.Errorf("%+v, %v", out, err)
			}
		}
		for _, user := range []string{"bob", ""} { // a token of another user
			if out, err := f.report(user, next); err != nil || *out.WasCurrent {
				t.Errorf("%+v, %v", out, err)
			}
		}
		if f.row("alice").Version != version || f.token("alice") != next {
			t.Error("the grant was changed by a report of another token")
		}
		if out, err := f.report("alice", next); err != nil || !*out.WasCurrent || f.token("alice") == next {
			t.Errorf("the next token cannot be reported: %+v, %v", out, err)
		}
	})
}

// What comes of a report: another token, or a consent; a vendor that is away changes nothing.
func TestReportBadToken(t *testing.T) {
	for name, test := range map[string]struct {
		bring   func(*fixture)
		err     error
		state   wire.GrantState
		consent bool // is asked for next
		stored  store.GrantState
	}{
		"the vendor renews it":         {func(*fixture) {}, nil, wire.GrantActive, false, store.GrantActive},
		"the vendor ended it":          {func(f *fixture) { f.vendor.RevokeAll() }, nil, wire.GrantDead, true, store.GrantDead},
		"the vendor refuses silently":  {func(f *fixture) { f.vendor.Set(func(b *fakeidp.Behaviour) { b.Silent, b.Status = true, 400 }) }, nil, wire.GrantDegraded, true, store.GrantActive},
		"the vendor gives it again":    {func(f *fixture) { f.again() }, nil, wire.GrantDead, true, store.GrantDead},
		"the vendor is away":           {func(f *fixture) { f.wire.set(true) }, fault.Throttled, "", false, store.GrantActive},
		"the vendor refuses us":        {func(f *fixture) { f.vendor.AddClient(fakeidp.Client{ID: "client", Secret: "another"}) }, fault.Validation, "", false, store.GrantActive},
		"there is no refresh token":    {func(f *fixture) { f.withoutRefreshToken() }, nil, wire.GrantDead, true, store.GrantDead},
		"somebody revoked it just now": {func(f *fixture) { _, err := some(wire.RevokeGrantsInput{All: new(true)})(f); f.must(err) }, nil, "", true, store.GrantRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			timed(t, func(t *testing.T, f *fixture, _ string) {
				token := f.token("alice")
				if name == "there is no refresh token" {
					test.bring(f)
					token = f.token("alice")
				} else {
					test.bring(f)
				}
				out, err := f.report("alice", token)
				if test.err != nil {
					is(t, err, test.err, "")
				} else if err != nil || test.state == "" && *out.WasCurrent || test.state != "" && (!*out.WasCurrent || *out.State != test.state || out.NextStep == "") {
					t.Fatalf("%+v, %v", out, err)
				}
				if row := f.row("alice"); row.State != test.stored {
					t.Errorf("the grant is %s", row.State)
				}
				if test.consent {
					f.needsConsent("alice")
					return
				}
				if next := f.token("alice"); (next == token) != (test.err != nil) {
					t.Errorf("the same token: %t", next == token)
				}
			})
		})
	}
}

// again has the vendor answer a refresh with the token that there is.
func (f *fixture) again() {
	token, err := f.Vault.AccessToken(context.Background(), f.row("alice"))
	f.must(err)
	f.vendor.Set(func(b *fakeidp.Behaviour) { b.ExtraTokenMembers = map[string]any{"access_token": token.Reveal()} })
}

func (f *fixture) withoutRefreshToken() {
	f.vendor.Set(func(b *fakeidp.Behaviour) { b.NoRefreshToken = true })
	f.granted("alice", func(in *tokenInput) { in.ForceAuthentication = new(true) })
}

// A workload's own token that was refused is got anew.
func TestReportBadTokenM2M(t *testing.T) {
	f := newFixture(t, t.TempDir())
	first := f.token("")
	out, err := f.report("alice", first) // whoever it acts for: the token is the workload's
	if err != nil || !*out.WasCurrent || *out.State != wire.GrantExpired {
		t.Fatalf("%+v, %v", out, err)
	}
	if f.token("") == first {
		t.Error("the same token")
	}
}

func TestReportBadTokenInput(t *testing.T) {
	f := newFixture(t, t.TempDir())
	id, wat, token := new(*hashOf("g")), new(f.wat("alice")), new(secret.New("t"))
	for _, in := range []wire.ReportBadTokenInput{
		{}, {GrantId: id}, {AccessToken: token}, {GrantId: id, AccessToken: token, AccessTokenSha256: hashOf("t")}, {WorkloadIdentityToken: wat, AccessToken: token},
		{GrantId: id, WorkloadIdentityToken: wat, AccessToken: token}, {GrantId: id, WorkloadIdentityToken: wat, ResourceCredentialProviderName: new("vendor"), AccessToken: token},
	} {
		_, err := f.ReportBadToken(context.Background(), f.caller, &in)
		is(t, err, fault.Validation, "must be given")
	}
	_, err := f.ReportBadToken(context.Background(), f.caller, &wire.ReportBadTokenInput{GrantId: id, AccessToken: token})
	is(t, err, fault.NotFound, "grant/"+*id)
	_, err = f.ReportBadToken(context.Background(), f.caller, &wire.ReportBadTokenInput{WorkloadIdentityToken: new(secret.New("x")), ResourceCredentialProviderName: new("vendor"), AccessToken: token})
	is(t, err, fault.Unauthorized, "")
}

// A token that was reported to one replica is served by no other one a second later.
func TestReportBadTokenReachesReplicas(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, first string) {
		f.replicas = true
		other := f.replica()
		ctx, cancel := context.WithCancel(t.Context())
		var following sync.WaitGroup
		following.Go(func() { other.Vault.Follow(ctx) })
		defer following.Wait()
		defer cancel()
		time.Sleep(time.Second)
		if other.token("alice") != first {
			t.Fatal("another token")
		}
		_, err := f.report("alice", first)
		f.must(err)
		time.Sleep(time.Second)
		if other.token("alice") == first {
			t.Error("another replica serves a token that its resource refuses")
		}
	})
}
