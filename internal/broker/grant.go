package broker

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"credence/internal/oauth"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/wire"
)

// identity is everything that two requests must share to share a grant.
type identity struct {
	account     string
	generation  string // of the provider
	incarnation string // of the workload
	userKey     string // "" for M2M
	subject     string // ON_BEHALF_OF_TOKEN_EXCHANGE: hex SHA-256 of the inbound JWT
	actor       string // ON_BEHALF_OF_TOKEN_EXCHANGE: who acts for the user, and how the vendor is told
	flow        wire.Oauth2Flow
	resources   []string
	audiences   []string
	parameters  map[string]string // those that affect the token
	scopes      []string          // the exact set; USER_FEDERATION: none, a grant serves any part of what was asked
}

// key is the one name of a grant: of its row, cache entry, single flight and lease. Hex SHA-256 over a version and length-prefixed
// fields; lists are sets.
func (i identity) key() string {
	var stack [512]byte // holds most identities; append moves a longer one to the heap
	b := appendField(stack[:0], "credence grant v1")
	b = appendField(b, i.account)
	b = appendField(b, i.generation)
	b = appendField(b, i.incarnation)
	b = appendField(b, i.userKey)
	b = appendField(b, string(i.flow))
	b = appendSet(b, i.resources)
	b = appendSet(b, i.audiences)
	b = binary.BigEndian.AppendUint32(b, uint32(len(i.parameters)))
	for _, name := range slices.Sorted(maps.Keys(i.parameters)) {
		b = appendField(b, name)
		b = appendField(b, i.parameters[name])
	}
	b = appendSet(b, i.scopes)
	if i.flow == wire.FlowOnBehalfOfTokenExchange {
		b = appendField(b, i.subject)
		b = appendField(b, i.actor)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func appendField(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

func appendSet(b []byte, l []string) []byte {
	if len(l) > 1 {
		l = slices.Clone(l)
		slices.Sort(l)
		l = slices.Compact(l)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(l)))
	for _, s := range l {
		b = appendField(b, s)
	}
	return b
}

// identify makes the identity of a request. Parameters that the standard protects are not sent, so they are no part of it; those that
// only steer a consent do not change the token.
func identify(a agent, p *vault.OAuth2Provider, in *wire.GetResourceOauth2TokenInput, v provider.Vendor) identity {
	i := identity{
		account: a.account, generation: p.Row.Generation, incarnation: a.row.Incarnation,
		flow: in.Oauth2Flow, resources: in.Resources, audiences: in.Audiences,
	}
	userFederation := in.Oauth2Flow == wire.FlowUserFederation
	switch in.Oauth2Flow {
	case wire.FlowUserFederation:
		i.userKey = a.token.User.Key()
	case wire.FlowOnBehalfOfTokenExchange:
		i.userKey, i.scopes = a.token.User.Key(), canonical(v, in.Scopes)
		i.subject, i.actor = digest(a.token.JWT.Reveal()), actor(a, v.OnBehalfOf)
	default:
		i.scopes = canonical(v, in.Scopes)
	}
	for name, value := range in.CustomParameters {
		if oauth.IsProtected(name) || userFederation && v.FrontChannel(name) {
			continue
		}
		if i.parameters == nil {
			i.parameters = map[string]string{}
		}
		i.parameters[name] = value.Reveal()
	}
	return i
}

func canonical(v provider.Vendor, scopes []string) []string {
	out := make([]string, len(scopes))
	for i, s := range scopes {
		out[i] = v.CanonicalScope(s)
	}
	return out
}

// serves reports whether a grant covers the scopes of a request: all were asked for at the consent or are granted. With scopeMatch exact,
// only what the vendor granted counts, and it must be the same set.
func serves(g store.Grant, p *vault.OAuth2Provider, v provider.Vendor, scopes []string) bool {
	if g.State != store.GrantActive {
		return false
	}
	if p.Config.ScopeMatch == wire.ScopeMatchExact {
		set := func(l []string) []string { return slices.Compact(slices.Sorted(slices.Values(canonical(v, l)))) }
		return slices.Equal(set(scopes), set(g.GrantedScopes))
	}
	for _, s := range scopes {
		c := v.CanonicalScope(s)
		is := func(have string) bool { return v.CanonicalScope(have) == c }
		if !slices.ContainsFunc(g.AskedScopes, is) && !slices.ContainsFunc(g.GrantedScopes, is) {
			return false
		}
	}
	return true
}

// margin is how long before its end a token is renewed: a tenth of its life, at most a minute.
func margin(g store.Grant) time.Duration { return min(time.Minute, life(g)/10) }

// fresh reports whether a grant's access token needs no renewal yet. One whose end the vendor did not say is always fresh.
func fresh(g store.Grant) bool {
	return g.ExpiresAt.IsZero() || time.Now().Before(g.ExpiresAt.Add(-margin(g)))
}

// valid reports whether a grant's access token has not ended.
func valid(g store.Grant) bool { return g.ExpiresAt.IsZero() || time.Now().Before(g.ExpiresAt) }

// fill puts a vendor's answer into a grant: tokens sealed, scopes and times. A refresh token that the answer leaves out stays the old one.
// narrowed are the scopes that a ceiling left of the grant's, if it took some away.
func (b *Broker) fill(ctx context.Context, g *store.Grant, t oauth.Token, defaultLifetime time.Duration, narrowed ...string) error {
	oldRefresh := g.RefreshToken
	if err := b.Vault.SealTokens(ctx, g, t.AccessToken, t.RefreshToken); err != nil {
		return err
	}
	if g.RefreshToken == nil {
		g.RefreshToken = oldRefresh
	}
	var proofKey secret.String
	if t.ProofKey != nil {
		proofKey = t.ProofKey.Text()
	}
	if err := b.Vault.SealProofKey(ctx, g, proofKey); err != nil {
		return err
	}
	g.TokenScopes = nil
	g.TokenType, g.State, g.LastError, g.IntentAt, g.Failures, g.RetryAt = t.TokenType, store.GrantActive, "", time.Time{}, 0, time.Time{}
	switch {
	case narrowed != nil: // what the user granted is more, and comes back when the ceiling goes
		if g.TokenScopes = t.Scopes; t.Scopes == nil {
			g.TokenScopes = narrowed
		}
	case t.Scopes != nil:
		g.GrantedScopes = t.Scopes
	case g.GrantedScopes == nil: // RFC 6749 section 5.1: not said means as asked
		g.GrantedScopes = g.AskedScopes
	}
	// An answer may have been long under way, or this process asleep: a lifetime counts from the question, so that none is served after its end.
	g.ObtainedAt, g.ExpiresAt = t.AskedAt, time.Time{}
	lifetime := max(t.ExpiresIn, 0)
	if lifetime == 0 && (g.RefreshToken != nil || g.Flow != string(wire.FlowUserFederation)) { // a guess must not cost a consent
		lifetime = defaultLifetime
	}
	if lifetime > 0 {
		g.ExpiresAt = g.ObtainedAt.Add(lifetime)
	}
	return nil
}

// newGrant is a grant with everything but tokens.
func newGrant(a agent, p *vault.OAuth2Provider, flow wire.Oauth2Flow, grantKey string, scopes []string) store.Grant {
	return store.Grant{
		Account: a.account, Key: grantKey, Flow: string(flow), Workload: a.row.Name, WorkloadIncarnation: a.row.Incarnation,
		Provider: p.Row.Name, ProviderIncarnation: p.Row.Incarnation, Generation: p.Row.Generation, UserKey: a.token.User.Key(),
		AskedScopes: slices.Compact(slices.Sorted(slices.Values(scopes))), CreatedAt: time.Now(),
	}
}
