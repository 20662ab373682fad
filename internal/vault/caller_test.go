package vault

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/secret"
	"credence/internal/sigv4"
)

const (
	readAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"bedrock-agentcore:*","Resource":"*"}]}`
	action  = "bedrock-agentcore:GetWorkloadIdentity"
	arn     = "arn:aws:bedrock-agentcore:us-east-1:" + alpha + ":workload-identity-directory/default"
)

func may(c iam.Caller) bool {
	return iam.Evaluate(&c, &iam.Request{Action: action, Resources: []string{arn}}).Allowed
}

func (b *bed) newKey(t *testing.T, account, user string, replace bool) AccessKey {
	t.Helper()
	k, err := b.CreateAccessKey(t.Context(), account, user, replace)
	must(t, err)
	return k
}

func wantUnknown(t *testing.T, c iam.Caller, signingKey []byte, err error) {
	t.Helper()
	f, ok := errors.AsType[*fault.Fault](err)
	if !ok || f.Kind != fault.UnknownCaller || f.Msg != "The security token included in the request is invalid." || f.Err != nil {
		t.Errorf("got %v, want unknown_caller", err)
	}
	if c.Account != "" || c.Policies != nil || signingKey != nil {
		t.Errorf("with the error came %+v and the key %x", c, signingKey)
	}
}

func TestCaller(t *testing.T) {
	b := openBed(t)
	must(t, b.PutUserPolicy(alpha, "ada", "read", readAll))
	k := b.newKey(t, alpha, "ada", false)
	if !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(k.ID) {
		t.Errorf("the id %q has not the form of an access key id", k.ID)
	}
	if raw, err := base64.StdEncoding.DecodeString(k.Secret.Reveal()); err != nil || len(raw) != 30 {
		t.Errorf("the secret has %d bytes, %v, want 30", len(raw), err)
	}
	for name, v := range map[string]*Vault{"the same vault": b.Vault, "once more": b.Vault, "after a restart": b.restart(t)} {
		c, signingKey, err := v.Caller(t.Context(), credential(k.ID))
		must(t, err)
		if c.Account != alpha || c.ARN != "arn:aws:iam::111111111111:user/ada" || c.AccessKeyID != k.ID || !may(c) || c.SourceIP.IsValid() || c.RequestID != "" {
			t.Errorf("%s: %+v", name, c)
		}
		if want := sigv4.Derive(k.Secret, "20261122", "us-east-1", "bedrock-agentcore"); string(signingKey) != string(want) {
			t.Errorf("%s: signing key %x, want %x", name, signingKey, want)
		}
	}
}

func TestCallersNobodyKnows(t *testing.T) {
	b := openBed(t)
	k := b.newKey(t, alpha, "ada", false)
	withToken := credential(k.ID)
	withToken.SessionToken = secret.New("session")
	for name, c := range map[string]sigv4.Credential{
		"another key": credential("AKIAAAAAAAAAAAAAAAAA"), "no key": credential(""), "lower case": credential(strings.ToLower(k.ID)),
		"a pattern": credential("AKIA%"), "a session token": withToken,
	} {
		t.Run(name, func(t *testing.T) {
			caller, signingKey, err := b.Caller(t.Context(), c)
			wantUnknown(t, caller, signingKey, err)
		})
	}
	t.Run("that nobody knew is not remembered", func(t *testing.T) {
		_, _, err := b.Caller(t.Context(), credential("AKIALATERLATERLATER1"))
		if !errors.Is(err, fault.UnknownCaller) {
			t.Errorf("%v", err)
		}
		row, err := b.store.AccessKey(t.Context(), k.ID)
		must(t, err)
		row.ID = "AKIALATERLATERLATER1"
		row.Secret, err = b.seal(t.Context(), accessKeyPlace(row), []byte(k.Secret.Reveal()))
		must(t, err)
		must(t, b.store.InsertAccessKey(row, false))
		if _, _, err := b.Caller(t.Context(), credential(row.ID)); err != nil {
			t.Errorf("known by now: %v", err)
		}
	})
}

// Somebody without a policy is somebody, who may do nothing.
func TestCallerWithoutPolicies(t *testing.T) {
	b := openBed(t)
	k := b.newKey(t, alpha, "nobody", false)
	c, signingKey, err := b.Caller(t.Context(), credential(k.ID))
	if err != nil || c.Account != alpha || len(signingKey) != 32 || may(c) {
		t.Errorf("%+v, %v", c, err)
	}
}

// Rights and keys that are taken away are gone with the next request.
func TestChangesBiteAtOnce(t *testing.T) {
	b := openBed(t)
	must(t, b.PutUserPolicy(alpha, "ada", "read", readAll))
	k, other := b.newKey(t, alpha, "ada", false), b.newKey(t, alpha, "bob", false)
	caller := func(t *testing.T, k AccessKey) iam.Caller {
		t.Helper()
		c, _, err := b.Caller(t.Context(), credential(k.ID))
		must(t, err)
		return c
	}
	if !may(caller(t, k)) || may(caller(t, other)) {
		t.Fatal("the policies are wrong from the start")
	}
	t.Run("a policy is added", func(t *testing.T) {
		must(t, b.PutUserPolicy(alpha, "ada", "deny", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}`))
		if may(caller(t, k)) {
			t.Error("the old policies still count")
		}
	})
	t.Run("a policy is replaced", func(t *testing.T) {
		must(t, b.PutUserPolicy(alpha, "ada", "deny", readAll))
		if !may(caller(t, k)) {
			t.Error("the old policies still count")
		}
	})
	t.Run("a policy that cannot be read changes nothing", func(t *testing.T) {
		before := b.dump(t)
		if err := b.PutUserPolicy(alpha, "ada", "deny", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringIs":{"aws:username":"ada"}}}]}`); err == nil {
			t.Error("taken")
		}
		if b.dump(t) != before {
			t.Error("rows changed")
		}
	})
	t.Run("another account's user of that name", func(t *testing.T) {
		must(t, b.PutUserPolicy(beta, "ada", "deny", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}`))
		if !may(caller(t, k)) {
			t.Error("the other account's policy counts")
		}
	})
	t.Run("a second key", func(t *testing.T) {
		second := b.newKey(t, alpha, "ada", false)
		if !may(caller(t, second)) || !may(caller(t, k)) {
			t.Error("one of the two is not good")
		}
		fresh := b.newKey(t, alpha, "ada", true)
		for _, old := range []AccessKey{k, second} {
			c, signingKey, err := b.Caller(t.Context(), credential(old.ID))
			wantUnknown(t, c, signingKey, err)
		}
		if !may(caller(t, fresh)) {
			t.Error("the key that replaced them is not good")
		}
		caller(t, other) // still there
	})
}

// One caller's derived keys are few: regions and services are what a stranger writes.
func TestSigningKeysAreBounded(t *testing.T) {
	b := openBed(t)
	k := b.newKey(t, alpha, "ada", false)
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for n := range 50 {
				c := credential(k.ID)
				c.Region = fmt.Sprintf("region-%d", (n+worker)%25)
				_, signingKey, err := b.Caller(context.Background(), c)
				if want := sigv4.Derive(k.Secret, c.Date, c.Region, c.Service); err != nil || string(signingKey) != string(want) {
					t.Errorf("%s: %x, %v, want %x", c.Region, signingKey, err, want)
				}
			}
		})
	}
	all.Wait()
	kept := 0
	for _, c := range b.callers.rows.All() {
		kept += len(c.row.signing)
	}
	if kept == 0 || kept > maxSigningKeys {
		t.Errorf("%d signing keys are kept, want some and at most %d", kept, maxSigningKeys)
	}
}

// A fault of ours is not the caller's: it must not read like a wrong key.
func TestCallerWhenSomethingIsBroken(t *testing.T) {
	b := openBed(t)
	must(t, b.PutUserPolicy(alpha, "ada", "read", readAll))
	k := b.newKey(t, alpha, "ada", false)
	wantOurs := func(t *testing.T, says string) {
		t.Helper()
		c, signingKey, err := b.restart(t).Caller(t.Context(), credential(k.ID))
		if err == nil || errors.Is(err, fault.UnknownCaller) || !strings.Contains(err.Error(), says) || c.Account != "" || signingKey != nil {
			t.Errorf("%+v, %v, want an error of ours that says %s", c, err, says)
		}
	}
	t.Run("a stored policy", func(t *testing.T) {
		b.exec(t, `UPDATE principal_policies SET document = '{}' WHERE principal = 'user/ada'`)
		wantOurs(t, "arn:aws:iam::111111111111:user/ada")
		b.exec(t, `UPDATE principal_policies SET document = ? WHERE principal = 'user/ada'`, readAll)
	})
	t.Run("the database", func(t *testing.T) {
		v := b.restart(t)
		must(t, b.store.Close())
		if _, _, err := v.Caller(t.Context(), credential(k.ID)); err == nil || errors.Is(err, fault.UnknownCaller) {
			t.Errorf("got %v, want an error of ours", err)
		}
	})
}
