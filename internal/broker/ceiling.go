package broker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/provider"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/wire"
)

// tokenScopes are the scopes of a grant's access token, as far as the vendor or the consent says.
func tokenScopes(g store.Grant) []string {
	if len(g.TokenScopes) > 0 {
		return g.TokenScopes
	}
	return g.GrantedScopes
}

// allows reports whether a ceiling has a scope, by whatever name the vendor calls it.
func allows(c *vault.Ceiling, v provider.Vendor, scope string) bool {
	is := func(s string) bool { return v.CanonicalScope(s) == v.CanonicalScope(scope) }
	return c.Scopes == nil || slices.ContainsFunc(c.Scopes, is)
}

// cut leaves the scopes that every ceiling allows.
func cut(ceilings []vault.Ceiling, v provider.Vendor, scopes []string) []string {
	for i := range ceilings {
		scopes = slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return !allows(&ceilings[i], v, s) })
	}
	return scopes
}

// aboveScopes is what of an access token a ceiling does not allow, "" when it allows all. A token of which nobody says what it may is not below any.
func aboveScopes(c *vault.Ceiling, v provider.Vendor, g store.Grant) string {
	if c.Scopes == nil {
		return ""
	}
	have := tokenScopes(g)
	if len(have) == 0 {
		return fmt.Sprintf("a token whose scopes neither the request nor the vendor says, but %q", c.Scopes)
	}
	for _, s := range have {
		if !allows(c, v, s) {
			return fmt.Sprintf("the scope %q, which the vendor's token has, but %q", s, c.Scopes)
		}
	}
	return ""
}

// tooOld finds the ceiling by which the user of a grant has to consent anew; nil when there is none.
func tooOld(ceilings []vault.Ceiling, g store.Grant) *vault.Ceiling {
	for i := range ceilings {
		c := &ceilings[i]
		if age := c.MaximumGrantAgeSeconds; age != nil && g.Flow == string(wire.FlowUserFederation) && time.Since(g.CreatedAt) > time.Duration(*age)*time.Second {
			return c
		}
	}
	return nil
}

// within reports whether every ceiling allows the scopes of an access token.
func (b *Broker) within(ceilings []vault.Ceiling, v provider.Vendor, g store.Grant) bool {
	return !slices.ContainsFunc(ceilings, func(c vault.Ceiling) bool { return aboveScopes(&c, v, g) != "" })
}

// beneath denies, and records, an access token that is above a ceiling by now, however it was come by: cached, renewed, or just consented to.
func (b *Broker) beneath(ctx context.Context, c iam.Caller, allowed access.Request, v provider.Vendor, g store.Grant) error {
	if err := b.Gate.Beneath(ctx, c, allowed); err != nil {
		return err
	}
	ceilings, err := b.Vault.Ceilings(ctx, g.Account, g.Workload, g.Provider)
	if err != nil {
		return err
	}
	for i := range ceilings {
		if what := aboveScopes(&ceilings[i], v, g); what != "" {
			return b.Gate.Above(c, allowed, &ceilings[i], what)
		}
	}
	if old := tooOld(ceilings, g); old != nil {
		return b.Gate.Above(c, allowed, old, fmt.Sprintf("a grant older than %d seconds", *old.MaximumGrantAgeSeconds))
	}
	return nil
}

// narrow reports whether an access token needs no other scopes: it is below every ceiling, or no other would be; and lacks nothing that a ceiling took away,
// and that the request wants and may have by now.
func (r request) narrow(g store.Grant) bool {
	if r.narrowing == nil || len(r.ceilings) == 0 && len(g.TokenScopes) == 0 {
		return true
	}
	for i := range r.ceilings {
		if aboveScopes(&r.ceilings[i], r.traits, g) != "" {
			return r.narrowing.has(g)
		}
	}
	if len(g.TokenScopes) == 0 {
		return true
	}
	has := func(l []string, scope string) bool {
		return slices.ContainsFunc(l, func(s string) bool { return r.traits.CanonicalScope(s) == r.traits.CanonicalScope(scope) })
	}
	return !slices.ContainsFunc(r.in.Scopes, func(s string) bool { return has(g.GrantedScopes, s) && !has(g.TokenScopes, s) })
}

// narrowed are the scopes that a refresh asks for, so that its token is below every ceiling; none when the grant's own are. When nothing is left of them, the
// vendor is not asked.
func (b *Broker) narrowed(ctx context.Context, v provider.Vendor, g store.Grant) ([]string, error) {
	ceilings, err := b.Vault.Ceilings(ctx, g.Account, g.Workload, g.Provider)
	if err != nil {
		return nil, err
	}
	left := cut(ceilings, v, g.GrantedScopes)
	switch {
	case len(left) == len(g.GrantedScopes):
		return nil, nil
	case len(left) == 0:
		return nil, &fault.Fault{Kind: fault.AccessDenied, Msg: fmt.Sprintf("The %s allows none of the scopes that the user granted, %q: who may do credence:PutCeiling can change it", &ceilings[0], g.GrantedScopes), RetryAfter: time.Hour}
	}
	return left, nil
}

// stubborn remembers access tokens that a vendor did not narrow, so that it is not asked again with every request.
type stubborn struct {
	mu   sync.Mutex
	keys map[string]time.Time // when the token was obtained, by account and grant key
}

const maxStubborn = 10000

func (s *stubborn) add(g store.Grant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil || len(s.keys) >= maxStubborn {
		s.keys = map[string]time.Time{}
	}
	s.keys[g.Account+g.Key] = g.ObtainedAt.Truncate(time.Millisecond)
}

func (s *stubborn) has(g store.Grant) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.keys[g.Account+g.Key]
	return ok && at.Equal(g.ObtainedAt.Truncate(time.Millisecond))
}
