package store

import (
	"testing"
	"time"

	"credence/internal/fault"
)

func kmsKey(account, id, uri string) Key {
	k := Key{Account: account, ID: id, Usage: KeyForTokenVault, Spec: "SYMMETRIC_DEFAULT", URI: uri, Resource: uri, State: KeyEnabled, CreatedAt: noon, UpdatedAt: noon, Version: 1}
	if uri == "" {
		k.Material = []byte("sealed")
	}
	return k
}

func TestKeys(t *testing.T) {
	s, ctx := open(t), t.Context()
	k := kmsKey(alpha, "k1", "")
	must(t, s.InsertKey(k))
	want(t, s.InsertKey(k), fault.Conflict)
	must(t, s.InsertKey(kmsKey(beta, "k1", "")))
	must(t, s.InsertKey(kmsKey(alpha, "k2", "awskms:///a")))
	// One resource has one account and one use.
	want(t, s.InsertKey(kmsKey(beta, "k3", "awskms:///a")), fault.Conflict)
	want(t, s.InsertKey(kmsKey(alpha, "k3", "awskms:///a")), fault.Conflict)

	got, err := s.Key(ctx, alpha, "k1")
	must(t, err)
	same(t, got, k)
	_, err = s.Key(ctx, beta, "k2")
	want(t, err, fault.NotFound)
	all, err := s.Keys(ctx, alpha)
	must(t, err)
	same(t, all, []Key{k, kmsKey(alpha, "k2", "awskms:///a")})

	later := noon.Add(time.Hour)
	must(t, s.SetKeyState(k, KeyDisabled, later))
	want(t, s.SetKeyState(k, KeyEnabled, later), fault.ConcurrentModification)
	want(t, s.DeleteKey(k, true, later), fault.ConcurrentModification)
	k.State, k.UpdatedAt, k.Version = KeyDisabled, later, 2
	got, err = s.Key(ctx, alpha, "k1")
	must(t, err)
	same(t, got, k)
}

// A key that is in use goes only by force, and one elsewhere that seals a vault not even then: nothing would be destroyed, but the vault never open again.
func TestDeleteKey(t *testing.T) {
	s, ctx := open(t), t.Context()
	p := oauth2Provider(alpha, "gh")
	p.AssertionKey = "signs"
	must(t, s.InsertOAuth2Provider(p, "default", Tags{}))
	for _, test := range []struct {
		id, uri       string
		seals         bool
		asked, forced error
	}{
		{"free", "", false, nil, nil},
		{"seals", "", true, fault.Conflict, nil},
		{"signs", "", false, fault.Conflict, nil},
		{"signs", "awskms:///signs", false, fault.Conflict, nil},
		{"free elsewhere", "awskms:///free", false, nil, nil},
		{"seals elsewhere", "awskms:///seals", true, fault.Conflict, fault.Conflict},
	} {
		t.Run(test.id+" "+test.uri, func(t *testing.T) {
			for force, err := range map[bool]error{false: test.asked, true: test.forced} {
				k := kmsKey(alpha, test.id, test.uri)
				must(t, s.write(func(t *tx) error { return t.exec(`DELETE FROM keys WHERE account = $1`, alpha) }))
				must(t, s.InsertKey(k))
				if test.seals {
					ks, err := s.Keyset(ctx, alpha, PurposeTokens)
					must(t, err)
					ks.KeyID = k.ID
					must(t, s.RewrapKeyset(ks, "default", noon))
				}
				got := s.DeleteKey(k, force, noon)
				if err != nil {
					want(t, got, err)
					_, found := s.Key(ctx, alpha, k.ID)
					must(t, found)
					continue
				}
				must(t, got)
				left, found := s.Key(ctx, alpha, k.ID)
				if k.URI != "" {
					want(t, found, fault.NotFound)
				} else if must(t, found); left.State != KeyDeleted || left.Material != nil {
					t.Errorf("left: %+v", left)
				}
			}
		})
	}
}

func TestRewrapKeyset(t *testing.T) {
	s, ctx := open(t), t.Context()
	k, err := s.Keyset(ctx, alpha, PurposeTokens)
	must(t, err)
	k.Sealed, k.KeyID = []byte("anew"), "key"
	want(t, s.RewrapKeyset(k, "default", noon), fault.ConcurrentModification) // no such key
	must(t, s.InsertKey(kmsKey(beta, "key", "")))
	want(t, s.RewrapKeyset(k, "default", noon), fault.ConcurrentModification) // another account's
	row := kmsKey(alpha, "key", "")
	must(t, s.InsertKey(row))
	want(t, s.RewrapKeyset(k, "default", noon), fault.NotFound) // no vault
	must(t, s.InsertOAuth2Provider(oauth2Provider(alpha, "gh"), "default", Tags{}))
	must(t, s.SetKeyState(row, KeyDisabled, noon))
	want(t, s.RewrapKeyset(k, "default", noon), fault.ConcurrentModification)
	row.Version++
	must(t, s.SetKeyState(row, KeyEnabled, noon))

	must(t, s.RewrapKeyset(k, "default", noon.Add(time.Hour)))
	want(t, s.RewrapKeyset(k, "default", noon), fault.ConcurrentModification) // somebody was faster
	got, err := s.Keyset(ctx, alpha, PurposeTokens)
	must(t, err)
	k.Version++
	same(t, got, k)
	v, err := s.TokenVault(ctx, alpha, "default")
	must(t, err)
	same(t, v, TokenVault{alpha, "default", "key", noon.Add(time.Hour)})
	other, err := s.Keyset(ctx, beta, PurposeTokens)
	must(t, err)
	same(t, other, Keyset{beta, PurposeTokens, "t", "", []byte("tokens of " + beta), 1})
}

// With the keyset goes what it sealed, in this account; what comes late from before is not written, not even over a row that looks the same.
func TestResetKeyset(t *testing.T) {
	s, ctx := open(t), t.Context()
	grants := map[string]Grant{}
	sessions := map[string]Session{}
	for _, account := range []string{alpha, beta} {
		w, p := workload(account, "agent"), oauth2Provider(account, "gh")
		must(t, s.InsertWorkload(w, Tags{}))
		must(t, s.InsertOAuth2Provider(p, "default", Tags{}))
		g, n := grant(w, p, "k"), session(w, p, "s-"+account)
		_, err := s.PutGrant(g)
		must(t, err)
		must(t, s.InsertSession(n))
		grants[account], sessions[account] = g, n
	}
	old, err := s.Keyset(ctx, alpha, PurposeTokens)
	must(t, err)
	stale := old
	stale.Version--
	want(t, s.ResetKeyset(stale, Keyset{ID: "t2"}, "default", noon), fault.ConcurrentModification)
	_, err = s.Grant(ctx, alpha, "k")
	must(t, err)

	must(t, s.ResetKeyset(old, Keyset{ID: "t2", Sealed: []byte("fresh")}, "default", noon))
	_, err = s.Grant(ctx, alpha, "k")
	want(t, err, fault.NotFound)
	_, err = s.Session(ctx, "s-"+alpha)
	want(t, err, fault.NotFound)
	_, err = s.OAuth2Provider(ctx, alpha, "gh")
	must(t, err)
	_, err = s.Grant(ctx, beta, "k")
	must(t, err)
	_, err = s.Session(ctx, "s-"+beta)
	must(t, err)

	_, err = s.PutGrant(grants[alpha])
	want(t, err, fault.NotFound)
	want(t, s.InsertSession(sessions[alpha]), fault.ConcurrentModification)
	anew := grants[alpha]
	anew.Keyset = "t2"
	version, err := s.PutGrant(anew)
	must(t, err)
	late := grants[alpha] // of the same version, but sealed by what is gone
	late.Version = version
	_, err = s.UpdateGrant(late)
	want(t, err, fault.ConcurrentModification)
	got, err := s.Grant(ctx, alpha, "k")
	must(t, err)
	same(t, got, anew)
}
