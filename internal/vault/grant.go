package vault

import (
	"context"
	"errors"
	"time"

	"credence/internal/fault"
	"credence/internal/secret"
	"credence/internal/store"
)

func grantPlace(g store.Grant, column string) place { return place{"grants", column, g.Account, g.Key} }

// Grant finds a grant; its tokens are sealed. The result's slices are shared: do not change them.
func (v *Vault) Grant(ctx context.Context, account, grantKey string) (store.Grant, error) {
	return v.grants.get(ctx, key(account, grantKey), func(ctx context.Context) (store.Grant, error) {
		return v.store.Grant(ctx, account, grantKey)
	})
}

// ReloadGrant finds a grant as the database has it now.
func (v *Vault) ReloadGrant(ctx context.Context, account, grantKey string) (store.Grant, error) {
	v.grants.forget(key(account, grantKey))
	return v.Grant(ctx, account, grantKey)
}

// SealTokens puts tokens into g, sealed. An empty refresh token means that there is none.
func (v *Vault) SealTokens(ctx context.Context, g *store.Grant, access, refresh secret.String) (err error) {
	if g.AccessToken, err = v.sealTokens(ctx, grantPlace(*g, "access_token"), &g.Keyset, []byte(access.Reveal())); err != nil {
		return err
	}
	g.RefreshToken = nil
	if !refresh.IsZero() {
		g.RefreshToken, err = v.sealTokens(ctx, grantPlace(*g, "refresh_token"), &g.Keyset, []byte(refresh.Reveal()))
	}
	return err
}

// SealRefreshToken puts a refresh token into g, sealed, and no access token.
func (v *Vault) SealRefreshToken(ctx context.Context, g *store.Grant, refresh secret.String) (err error) {
	g.AccessToken = nil
	g.RefreshToken, err = v.sealTokens(ctx, grantPlace(*g, "refresh_token"), &g.Keyset, []byte(refresh.Reveal()))
	return err
}

// ImportGrants puts grants of one account, all or none: the answer says by index why not. With dry nothing is put in any case.
func (v *Vault) ImportGrants(gs []store.Grant, dry bool) (refused map[int]string, err error) {
	refused, err = v.store.ImportGrants(gs, dry)
	for _, g := range gs {
		v.grants.forget(key(g.Account, g.Key))
	}
	if len(refused) > 0 { // the keyset may be gone
		v.written(gs[0].Account, fault.ConcurrentModification)
	}
	return refused, err
}

// RekeyGrant has a grant go on under another key, for another user, whose readable form is userName: what was sealed for its old place is sealed for the new one. The answer
// says why not; with dry nothing is changed in any case.
func (v *Vault) RekeyGrant(ctx context.Context, from store.Grant, grantKey, userKey, userName string, dry bool) (refused string, err error) {
	to := from
	to.Key, to.UserKey, to.Keyset = grantKey, userKey, ""
	for _, c := range []struct {
		column string
		sealed *[]byte
	}{{"access_token", &to.AccessToken}, {"refresh_token", &to.RefreshToken}, {"proof_key", &to.ProofKey}} {
		if *c.sealed == nil {
			continue
		}
		plaintext, err := v.openTokens(ctx, grantPlace(from, c.column), *c.sealed)
		if err != nil {
			return "", err
		}
		*c.sealed, err = v.sealTokens(ctx, grantPlace(to, c.column), &to.Keyset, plaintext)
		clear(plaintext)
		if err != nil {
			return "", err
		}
	}
	if err := v.SealUserName(ctx, &to, userName); err != nil {
		return "", err
	}
	defer v.grants.forget(key(from.Account, from.Key))
	defer v.grants.forget(key(to.Account, to.Key))
	refused, err = v.store.RekeyGrant(from, to, dry)
	if refused != "" { // the keyset may be gone
		v.written(from.Account, fault.ConcurrentModification)
	}
	return refused, err
}

// SealProofKey puts the key that the grant's tokens are bound to into g, sealed. Without one, they are bearer tokens.
func (v *Vault) SealProofKey(ctx context.Context, g *store.Grant, proofKey secret.String) (err error) {
	g.ProofKey = nil
	if !proofKey.IsZero() {
		g.ProofKey, err = v.sealTokens(ctx, grantPlace(*g, "proof_key"), &g.Keyset, []byte(proofKey.Reveal()))
	}
	return err
}

// ProofKey opens the key that the grant's tokens are bound to; empty when they are bearer tokens.
func (v *Vault) ProofKey(ctx context.Context, g store.Grant) (secret.String, error) {
	if g.ProofKey == nil {
		return secret.String{}, nil
	}
	plaintext, err := v.openTokens(ctx, grantPlace(g, "proof_key"), g.ProofKey)
	return secret.New(string(plaintext)), err
}

// BoundGrants are the active grants with tokens bound to keys that a workload has at a provider: for a user, and for nobody.
func (v *Vault) BoundGrants(ctx context.Context, p *OAuth2Provider, workloadIncarnation, userKey string) ([]store.Grant, error) {
	return v.store.BoundGrants(ctx, p.Row.Account, workloadIncarnation, p.Row.Incarnation, p.Row.Generation, userKey)
}

// SealUserName puts the readable form of the grant's user into g, sealed.
func (v *Vault) SealUserName(ctx context.Context, g *store.Grant, name string) (err error) {
	g.UserName, err = v.sealTokens(ctx, grantPlace(*g, "user_name"), &g.Keyset, []byte(name))
	return err
}

// UserName opens the readable form of the grant's user; empty without one.
func (v *Vault) UserName(ctx context.Context, g store.Grant) (string, error) {
	if g.UserName == nil {
		return "", nil
	}
	plaintext, err := v.openTokens(ctx, grantPlace(g, "user_name"), g.UserName)
	return string(plaintext), err
}

// AccessToken opens the access token of a grant.
func (v *Vault) AccessToken(ctx context.Context, g store.Grant) (secret.String, error) {
	plaintext, err := v.openTokens(ctx, grantPlace(g, "access_token"), g.AccessToken)
	return secret.New(string(plaintext)), err
}

// RefreshToken opens the refresh token of a grant that has one.
func (v *Vault) RefreshToken(ctx context.Context, g store.Grant) (secret.String, error) {
	plaintext, err := v.openTokens(ctx, grantPlace(g, "refresh_token"), g.RefreshToken)
	return secret.New(string(plaintext)), err
}

// PutGrant adds a grant or replaces the one of its key.
func (v *Vault) PutGrant(g store.Grant) (version int64, err error) {
	defer v.grants.forget(key(g.Account, g.Key))
	defer func() { v.written(g.Account, err) }()
	return v.store.PutGrant(g)
}

// UpdateGrant writes g if nobody else did meanwhile.
func (v *Vault) UpdateGrant(g store.Grant) (version int64, err error) {
	defer v.grants.forget(key(g.Account, g.Key))
	defer func() { v.written(g.Account, err) }()
	return v.store.UpdateGrant(g)
}

// MarkUsed writes down that grants are in use.
func (v *Vault) MarkUsed(uses []store.Use) error {
	defer func() {
		for _, u := range uses {
			v.grants.forget(key(u.Account, u.Key))
		}
	}()
	return v.store.MarkUsed(uses)
}

// Grants lists a page of grants by key, as the database has them now.
func (v *Vault) Grants(ctx context.Context, f store.GrantFilter, p store.Page) ([]store.Grant, bool, error) {
	return v.store.Grants(ctx, f, p)
}

// RevokeGrants ends grants and counts them; the outbox has their tokens then.
func (v *Vault) RevokeGrants(f store.GrantFilter) (int, error) {
	defer v.grants.forgetAll()
	return v.store.RevokeGrants(f)
}

// SettleRevocations says that what was under way when the grant of a key ended has brought nothing.
func (v *Vault) SettleRevocations(account, grantKey string) error {
	return v.store.SettleRevocations(account, grantKey)
}

// InsertRevocation adds to the outbox what a vendor has to be told of tokens that SealTokens sealed.
func (v *Vault) InsertRevocation(r store.Revocation) error { return v.store.InsertRevocation(r) }

// RevokedProvider is the provider of a revocation: as it stands now, when it is still the same generation, since its secret may have been renewed; else
// as it was.
func (v *Vault) RevokedProvider(ctx context.Context, r store.Revocation) (*OAuth2Provider, error) {
	p, err := v.OAuth2Provider(ctx, r.Grant.Account, r.Grant.Provider)
	if err == nil && p.Row.Incarnation == r.Grant.ProviderIncarnation && p.Row.Generation == r.Grant.Generation {
		return p, nil
	}
	if err != nil && !errors.Is(err, fault.NotFound) {
		return nil, err
	}
	return newOAuth2Provider(r.Provider())
}

func sessionPlace(s store.Session, column string) place {
	return place{"authorization_sessions", column, s.Account, s.ID}
}

// Session finds an authorization session by its id, as the database has it now.
func (v *Vault) Session(ctx context.Context, id string) (store.Session, error) {
	return v.store.Session(ctx, id)
}

// SessionByCompletion finds an authorization session by the id that its return URL was given.
func (v *Vault) SessionByCompletion(ctx context.Context, account, completionID string) (store.Session, error) {
	return v.store.SessionByCompletion(ctx, account, completionID)
}

// UpdateSession moves an authorization session on if nobody else did meanwhile.
func (v *Vault) UpdateSession(s store.Session) (version int64, err error) {
	return v.store.UpdateSession(s)
}

// InsertSession adds an authorization session; request is what it must remember of the request.
func (v *Vault) InsertSession(ctx context.Context, s store.Session, request []byte) (err error) {
	if s.Request, err = v.sealTokens(ctx, sessionPlace(s, "request"), &s.Keyset, request); err != nil {
		return err
	}
	defer func() { v.written(s.Account, err) }()
	return v.store.InsertSession(s)
}

// SessionRequest opens what a session remembers of its request.
func (v *Vault) SessionRequest(ctx context.Context, s store.Session) ([]byte, error) {
	return v.openTokens(ctx, sessionPlace(s, "request"), s.Request)
}

// SealCode puts a vendor's code, and what it takes to exchange it, into s, sealed.
func (v *Vault) SealCode(ctx context.Context, s *store.Session, code []byte) (err error) {
	s.Code, err = v.sealTokens(ctx, sessionPlace(*s, "code"), &s.Keyset, code)
	return err
}

// OpenCode opens what SealCode sealed.
func (v *Vault) OpenCode(ctx context.Context, s store.Session) ([]byte, error) {
	return v.openTokens(ctx, sessionPlace(s, "code"), s.Code)
}

// AuthorizeDevice moves a device authorization on, and puts what SealTokens sealed of it into the outbox, due after d; both or neither.
func (v *Vault) AuthorizeDevice(s store.Session, r store.Revocation, d time.Duration) (err error) {
	defer func() { v.written(s.Account, err) }()
	return v.store.AuthorizeDevice(s, r, d)
}

// CompleteSession moves a session on and puts the grant that came of it, both or neither.
func (v *Vault) CompleteSession(s store.Session, g store.Grant) (version int64, err error) {
	defer v.grants.forget(key(g.Account, g.Key))
	defer func() { v.written(g.Account, err) }()
	return v.store.CompleteSession(s, g)
}
