package store

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"credence/internal/fault"
)

func accessKey(id, user string) AccessKey {
	return AccessKey{ID: id, Account: alpha, User: user, Secret: []byte{1}, Active: true, CreatedAt: noon}
}

// epochMoves wants every change to be told to other replicas, in the transaction that makes it.
func (s *Store) epochMoves(t *testing.T, what string, change func() error) {
	t.Helper()
	before, err := s.Epochs(t.Context())
	must(t, err)
	must(t, change())
	after, err := s.Epochs(t.Context())
	must(t, err)
	if after[alpha] <= before[alpha] || after[beta] != before[beta] {
		t.Errorf("%s: epochs %v, then %v", what, before, after)
	}
}

func TestUsersKeysAndPolicies(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s, ctx := open(t), t.Context()
		ada, err := s.InsertUser(User{Account: alpha, Name: "ada", Tags: map[string]string{"team": "ü"}, CreatedAt: noon})
		must(t, err)
		_, err = s.InsertUser(User{Account: alpha, Name: "ada", CreatedAt: noon})
		want(t, err, fault.Conflict)
		got, err := s.User(ctx, alpha, "ada")
		must(t, err)
		same(t, got, ada)
		_, err = s.User(ctx, beta, "ada")
		want(t, err, fault.NotFound)
		s.epochMoves(t, "TagUser", func() error { return s.TagUser(alpha, "ada", nil) })
		if got, err = s.User(ctx, alpha, "ada"); len(got.Tags) != 0 || err != nil {
			t.Errorf("%+v, %v", got, err)
		}

		// Nobody's policies and keys are refused: the next of that name would have them.
		want(t, s.PutPolicy(Policy{beta, UserPrincipal("ada"), "p", "{}", noon}, nil), fault.NotFound)
		want(t, s.AddAccessKey(accessKey("AKIANOBODY", "nobody")), fault.NotFound)
		p := Policy{alpha, UserPrincipal("ada"), "p", "one", noon}
		s.epochMoves(t, "PutPolicy", func() error { return s.PutPolicy(p, nil) })
		p.Document = "two"
		must(t, s.PutPolicy(p, nil))
		policies, err := s.Policies(ctx, alpha, p.Principal)
		must(t, err)
		same(t, policies, []Policy{p})
		for i := 1; i < policiesPerPrincipal; i++ {
			must(t, s.PutPolicy(Policy{alpha, p.Principal, fmt.Sprint("p", i), "{}", noon}, nil))
		}
		want(t, s.PutPolicy(Policy{alpha, p.Principal, "more", "{}", noon}, nil), fault.Quota)
		s.epochMoves(t, "DeletePolicy", func() error { return s.DeletePolicy(alpha, p.Principal, "p1", nil) })
		want(t, s.DeletePolicy(alpha, p.Principal, "p1", nil), fault.NotFound)

		one := accessKey("AKIAONE", "ada")
		s.epochMoves(t, "AddAccessKey", func() error { return s.AddAccessKey(one) })
		want(t, s.AddAccessKey(one), fault.Conflict)
		must(t, s.AddAccessKey(accessKey("AKIATWO", "ada")))
		want(t, s.AddAccessKey(accessKey("AKIATHREE", "ada")), fault.Quota)
		k, err := s.AccessKey(ctx, "AKIAONE")
		must(t, err)
		same(t, k, one)
		s.epochMoves(t, "SetAccessKeyActive", func() error { return s.SetAccessKeyActive(alpha, "ada", "AKIAONE", false, nil) })
		want(t, s.SetAccessKeyActive(alpha, "bob", "AKIAONE", true, nil), fault.NotFound)
		want(t, s.SetAccessKeyActive(beta, "ada", "AKIAONE", true, nil), fault.NotFound)
		want(t, s.DeleteAccessKey(alpha, "bob", "AKIAONE", nil), fault.NotFound)
		later := noon.Add(time.Hour)
		must(t, s.MarkKeysUsed([]KeyUse{{"AKIAONE", later, "sts"}, {"AKIAONE", noon, "bedrock-agentcore"}, {"AKIANOBODY", noon, "x"}}))
		keys, err := s.AccessKeys(ctx, alpha, "ada")
		must(t, err)
		if len(keys) != 2 || keys[0].Active || !keys[0].UsedAt.Equal(later) || keys[0].UsedService != "sts" || !keys[1].UsedAt.IsZero() {
			t.Errorf("%+v", keys)
		}
		s.epochMoves(t, "DeleteAccessKey", func() error { return s.DeleteAccessKey(alpha, "ada", "AKIAONE", nil) })

		s.epochMoves(t, "DeleteUser", func() error { return s.DeleteUser(alpha, "ada", nil) })
		want(t, s.DeleteUser(alpha, "ada", nil), fault.NotFound)
		again, err := s.InsertUser(User{Account: alpha, Name: "ada", CreatedAt: noon})
		must(t, err)
		policies, err = s.Policies(ctx, alpha, p.Principal)
		if again.ID == ada.ID || len(policies) != 0 || err != nil {
			t.Errorf("the next of that name inherits %q, %v, %v", again.ID, policies, err)
		}
		_, err = s.AccessKey(ctx, "AKIATWO")
		want(t, err, fault.NotFound)

		// The beginning: keys and policies bring their user, replace ends other keys.
		if has, err := s.Bootstrapped(ctx); has || err != nil {
			t.Errorf("bootstrapped %v, %v", has, err)
		}
		must(t, s.PutUserPolicy(alpha, "admin", "all", "one", noon))
		must(t, s.InsertAccessKey(accessKey("AKIAONE", "admin"), false))
		must(t, s.InsertAccessKey(accessKey("AKIATWO", "admin"), true))
		_, err = s.AccessKey(ctx, "AKIAONE")
		want(t, err, fault.NotFound)
		must(t, s.DeleteAccessKey(alpha, "admin", "AKIATWO", nil))
		if has, err := s.Bootstrapped(ctx); !has || err != nil {
			t.Errorf("bootstrapped %v, %v", has, err)
		}
		users, err := s.Users(ctx, alpha)
		if len(users) != 2 || users[1].Name != "admin" && users[0].Name != "admin" || err != nil {
			t.Errorf("%+v, %v", users, err)
		}
	})
}

// What would leave nobody who administers the account is undone, unless nobody asks or there was nobody.
func TestLastAdministrator(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s := open(t)
		asked := 0
		administers := func(user string, documents []Policy) bool {
			asked++
			return slices.ContainsFunc(documents, func(p Policy) bool { return p.Document == "all" && p.Principal == UserPrincipal(user) })
		}
		must(t, s.PutUserPolicy(alpha, "ada", "p", "all", noon))
		must(t, s.PutUserPolicy(alpha, "bob", "p", "little", noon))
		must(t, s.PutUserPolicy(alpha, "eve", "p", "all", noon)) // without a key she can do nothing
		must(t, s.PutUserPolicy(beta, "ada", "p", "all", noon))
		must(t, s.InsertAccessKey(accessKey("AKIAADA", "ada"), false))
		must(t, s.InsertAccessKey(accessKey("AKIABOB", "bob"), false))
		ada := Policy{alpha, UserPrincipal("ada"), "p", "little", noon}
		for name, change := range map[string]func(Administers) error{
			"DeleteUser":         func(a Administers) error { return s.DeleteUser(alpha, "ada", a) },
			"PutPolicy":          func(a Administers) error { return s.PutPolicy(ada, a) },
			"DeletePolicy":       func(a Administers) error { return s.DeletePolicy(alpha, ada.Principal, "p", a) },
			"SetAccessKeyActive": func(a Administers) error { return s.SetAccessKeyActive(alpha, "ada", "AKIAADA", false, a) },
			"DeleteAccessKey":    func(a Administers) error { return s.DeleteAccessKey(alpha, "ada", "AKIAADA", a) },
		} {
			if err := change(administers); !errors.Is(err, ErrLastAdministrator) {
				t.Errorf("%s: %v", name, err)
			}
		}
		must(t, s.DeleteAccessKey(alpha, "bob", "AKIABOB", administers))
		eve := accessKey("AKIAEVE", "eve")
		must(t, s.AddAccessKey(eve))
		must(t, s.DeleteUser(alpha, "ada", administers))
		must(t, s.SetAccessKeyActive(alpha, "eve", "AKIAEVE", false, nil)) // with force
		asked = 0
		must(t, s.DeleteUser(alpha, "eve", administers))
		if asked != 0 {
			t.Errorf("%d were asked about, who have no key in use", asked)
		}
	})
}

func TestRoles(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s, ctx := open(t), t.Context()
		r, err := s.InsertRole(Role{Account: alpha, Name: "agent", TrustPolicy: "trust", MaxSession: time.Hour, Tags: map[string]string{"a": "b"}, CreatedAt: noon, UpdatedAt: noon})
		must(t, err)
		_, err = s.InsertRole(r)
		want(t, err, fault.Conflict)
		must(t, s.PutPolicy(Policy{alpha, RolePrincipal("agent"), "p", "{}", noon}, nil))
		got, err := s.Role(ctx, alpha, "agent")
		must(t, err)
		same(t, got, r)
		_, err = s.Role(ctx, beta, "agent")
		want(t, err, fault.NotFound)
		s.epochMoves(t, "ChangeRole", func() error {
			_, err := s.ChangeRole(alpha, "agent", func(r *Role) error { r.Description, r.MaxSession, r.EverySubject = "ü", 2*time.Hour, true; return nil })
			return err
		})
		cause := errors.New("no")
		if _, err := s.ChangeRole(alpha, "agent", func(r *Role) error { r.Description = "x"; return cause }); !errors.Is(err, cause) {
			t.Error(err)
		}
		_, err = s.ChangeRole(alpha, "none", func(*Role) error { return nil })
		want(t, err, fault.NotFound)
		s.epochMoves(t, "RevokeRoleSessions", func() error { _, err := s.RevokeRoleSessions(alpha, "agent", noon.Add(time.Hour), false); return err })
		got, err = s.RevokeRoleSessions(alpha, "agent", noon, true) // nothing comes back
		must(t, err)
		if got.Description != "ü" || got.MaxSession != 2*time.Hour || !got.EverySubject || got.Generation != 1 || !got.RevokedBefore.Equal(noon.Add(time.Hour)) {
			t.Errorf("%+v", got)
		}
		_, err = s.RevokeRoleSessions(beta, "agent", noon, false)
		want(t, err, fault.NotFound)
		roles, err := s.Roles(ctx, alpha)
		must(t, err)
		same(t, roles, []Role{got})
		s.epochMoves(t, "DeleteRole", func() error { return s.DeleteRole(alpha, "agent") })
		want(t, s.DeleteRole(alpha, "agent"), fault.NotFound)
		again, err := s.InsertRole(r)
		must(t, err)
		policies, err := s.Policies(ctx, alpha, RolePrincipal("agent"))
		if again.ID == r.ID || len(policies) != 0 || err != nil {
			t.Errorf("the next of that name inherits %q, %v, %v", again.ID, policies, err)
		}
	})
}

// The first account of an installation is the operator's, whatever becomes of it.
func TestOperator(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s, ctx := open(t), t.Context() // alpha, beta
		const gamma = "333333333333"
		must(t, s.InsertAccount(gamma, noon, nil, Administrator{"admin", "all", "{}", AccessKey{ID: "AKIAGAMMA", Account: gamma, User: "admin", Secret: []byte{1}, Active: true, CreatedAt: noon}}))
		if k, err := s.AccessKey(ctx, "AKIAGAMMA"); k.Account != gamma || err != nil {
			t.Errorf("%+v, %v", k, err)
		}
		policies, err := s.Policies(ctx, gamma, UserPrincipal("admin"))
		if len(policies) != 1 || err != nil {
			t.Errorf("%+v, %v", policies, err)
		}
		for account, want := range map[string]bool{alpha: true, beta: false, gamma: false, "444444444444": false} {
			if is, err := s.Operates(ctx, account); is != want || err != nil {
				t.Errorf("%s: %v, %v", account, is, err)
			}
		}
		must(t, s.DeleteAccount(beta, "arn", false))
		accounts, err := s.EveryAccount(ctx)
		if len(accounts) != 3 || !accounts[0].Operator || accounts[1].DeletedFrom.IsZero() || accounts[2].Operator || err != nil {
			t.Errorf("%+v, %v", accounts, err)
		}
	})
}
