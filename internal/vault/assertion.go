package vault

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"credence/internal/fault"
	"credence/internal/kms"
	"credence/internal/oauth"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/wire"
)

// assertionLifetime is how long a vendor may take a client assertion.
const assertionLifetime = 5 * time.Minute

// AssertionClaims are what client assertions of a provider say beside what they must. Of the latter they can choose one: aud, between the issuer and the
// token endpoint of the provider.
type AssertionClaims struct {
	Header  map[string]string `json:"header,omitempty"`
	Payload map[string]string `json:"payload,omitempty"`
}

// ReservedClaim reports whether a header parameter or claim is the assertion's own. Case does not count: some readers pass over it.
func ReservedClaim(name string) bool {
	return slices.Contains([]string{"alg", "typ", "kid", "iss", "sub", "aud", "jti", "iat", "nbf", "exp"}, strings.ToLower(name))
}

func assertionClaimsPlace(r store.OAuth2Provider) place {
	p := clientSecretPlace(r)
	p.column = "assertion_claims"
	return p
}

// SealAssertionClaims puts claims into the row of a provider, sealed.
func (v *Vault) SealAssertionClaims(ctx context.Context, r *store.OAuth2Provider, c AssertionClaims) error {
	r.AssertionClaims = nil
	if len(c.Header) == 0 && len(c.Payload) == 0 {
		return nil
	}
	text, err := json.Marshal(c)
	if err == nil {
		r.AssertionClaims, err = v.seal(ctx, assertionClaimsPlace(*r), text)
	}
	return err
}

// AssertionClaims opens what SealAssertionClaims sealed.
func (v *Vault) AssertionClaims(ctx context.Context, r store.OAuth2Provider) (c AssertionClaims, err error) {
	if r.AssertionClaims == nil {
		return c, nil
	}
	text, err := v.open(ctx, assertionClaimsPlace(r), r.AssertionClaims)
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(text, &c)
}

// CheckAssertionKey refuses a key that SignClientAssertion would not use for a client of the account, with that algorithm.
func (v *Vault) CheckAssertionKey(ctx context.Context, account, id, clientID string, alg wire.SigningAlgorithm) error {
	k, _, err := v.assertionKey(ctx, account, id, clientID)
	if err != nil {
		return keyFault(err)
	}
	if rsa := strings.HasPrefix(k.Spec, "RSA_"); rsa != (alg == wire.AlgorithmRS256 || alg == wire.AlgorithmPS256) {
		return keyFault(refused(id, "is %s, with which %s cannot be signed", k.Spec, alg))
	}
	return nil
}

// assertionKey opens an enabled key of the account that is for assertions of that client.
func (v *Vault) assertionKey(ctx context.Context, account, id, clientID string) (store.Key, kms.Key, error) {
	row, key, err := v.useKey(ctx, account, id, store.KeyForAssertions)
	if err == nil && (row.ClientID == "" || row.ClientID != clientID) {
		err = refused(id, "signs for another client")
	}
	return row, key, err
}

// onlyToVendor refuses to prove anything to a host that is not the vendor's.
func onlyToVendor(p *OAuth2Provider, vendor provider.Vendor, target string) error {
	if !vendor.Has(target) {
		return fault.New(fault.AccessDenied, "The client assertion of provider %s would go to %q, which is on no host of its vendor", p.Row.Name, target)
	}
	return nil
}

// SignClientAssertion makes the assertion by which a provider's client proves to its vendor who it is (RFC 7523 section 2.2). It signs only with an enabled key
// of the provider's account that is for assertions of this client, and only for the vendor itself: aud is its token endpoint or its issuer, and target, where
// the assertion is sent to, is on a host of the vendor's. Errors may be shown to the account's callers.
func (v *Vault) SignClientAssertion(ctx context.Context, p *OAuth2Provider, vendor provider.Vendor, target string) (secret.String, error) {
	if err := onlyToVendor(p, vendor, target); err != nil {
		return secret.String{}, err
	}
	if err := v.usable(ctx, p.Row.Account, fault.Decryption); err != nil {
		return secret.String{}, err
	}
	if vendor.AuthMethod == oauth.ClientSecretJWT {
		return v.signWithSecret(ctx, p, vendor)
	}
	claims, err := v.AssertionClaims(ctx, p.Row)
	if err != nil {
		return secret.String{}, err
	}
	audience, err := vendorAudience(p, vendor, claims.Payload["aud"])
	if err != nil {
		return secret.String{}, err
	}
	return v.signWithKey(ctx, p, func(header map[string]any) string { return assertion(header, p.Config, claims, audience, time.Now()) })
}

// SignRequestObject signs the parameters of an authorization request of a provider's client (RFC 9101), for the issuer of its vendor and nobody else. What is
// signed is no client assertion: it has another type and no sub (section 10.8).
func (v *Vault) SignRequestObject(ctx context.Context, p *OAuth2Provider, vendor provider.Vendor, parameters url.Values) (secret.String, error) {
	if err := v.usable(ctx, p.Row.Account, fault.Decryption); err != nil {
		return secret.String{}, err
	}
	if vendor.Issuer == "" {
		return secret.String{}, fault.New(fault.AccessDenied, "The authorization requests of provider %s cannot be signed: nobody knows the issuer of its vendor, whom they would be for", p.Row.Name)
	}
	claims := map[string]any{}
	for name, values := range parameters {
		claims[name] = values
		if len(values) == 1 {
			claims[name] = values[0]
		}
	}
	delete(claims, "sub")
	now := time.Now().Add(-clockTolerance)
	maps.Copy(claims, map[string]any{
		"iss": p.Config.ClientID, "client_id": p.Config.ClientID, "aud": vendor.Issuer, "jti": rand.Text(), "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(assertionLifetime).Unix(),
	})
	return v.signWithKey(ctx, p, func(header map[string]any) string {
		header["typ"] = "oauth-authz-req+jwt"
		return part(header) + "." + part(claims)
	})
}

// signWithKey signs a message for the client of a provider with its key; header says by which.
func (v *Vault) signWithKey(ctx context.Context, p *OAuth2Provider, compose func(header map[string]any) string) (secret.String, error) {
	row, key, err := v.assertionKey(ctx, p.Row.Account, p.Row.AssertionKey, p.Config.ClientID)
	if err != nil {
		return secret.String{}, assertionFault(p, err)
	}
	message := compose(map[string]any{"alg": p.Config.SigningAlgorithm, "kid": row.ID})
	signature, err := key.Sign(ctx, string(p.Config.SigningAlgorithm), []byte(message))
	if err != nil {
		return secret.String{}, assertionFault(p, ofService(row.ID, err))
	}
	return secret.New(message + "." + base64.RawURLEncoding.EncodeToString(signature)), nil
}

// vendorAudience is whom an assertion for the vendor of a provider is for: its token endpoint, unless what is wanted, or the provider's config says, is its issuer.
func vendorAudience(p *OAuth2Provider, vendor provider.Vendor, wanted string) (string, error) {
	audience := cmp.Or(wanted, vendor.TokenEndpoint)
	if p.Config.AssertionAudience == wire.AudienceIssuer {
		audience = vendor.Issuer
	}
	if audience == "" || audience != vendor.TokenEndpoint && audience != vendor.Issuer {
		return "", fault.New(fault.AccessDenied, "The client assertion of provider %s would be for %q, which is neither the token endpoint nor the issuer of its vendor", p.Row.Name, audience)
	}
	return audience, nil
}

// signWithSecret makes the assertion of a client whose secret is the key, by HS256 (OpenID Connect Core section 9).
func (v *Vault) signWithSecret(ctx context.Context, p *OAuth2Provider, vendor provider.Vendor) (secret.String, error) {
	audience, err := vendorAudience(p, vendor, "")
	if err != nil {
		return secret.String{}, err
	}
	clientSecret, err := v.ClientSecret(ctx, p)
	if err != nil {
		return secret.String{}, err
	}
	message := assertion(map[string]any{"alg": "HS256"}, p.Config, AssertionClaims{}, audience, time.Now())
	mac := hmac.New(sha256.New, []byte(clientSecret.Reveal()))
	mac.Write([]byte(message))
	return secret.New(message + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))), nil
}

// clockTolerance is how far the clock of a vendor may be behind ours.
const clockTolerance = 10 * time.Second

// assertion is what is signed; header says by what.
func assertion(header map[string]any, c provider.Config, more AssertionClaims, audience string, now time.Time) string {
	header["typ"], now = "JWT", now.Add(-clockTolerance)
	with := func(more map[string]string, own map[string]any) map[string]any {
		for name, value := range more {
			if !ReservedClaim(name) {
				own[name] = value
			}
		}
		return own
	}
	return part(with(more.Header, header)) + "." + part(with(more.Payload, map[string]any{
		"iss": c.ClientID, "sub": c.ClientID, "aud": audience, "jti": rand.Text(), "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(assertionLifetime).Unix(),
	}))
}

// part is one of a JWT.
func part(members map[string]any) string {
	text, _ := json.Marshal(members) // strings, lists of them and numbers always marshal
	return base64.RawURLEncoding.EncodeToString(text)
}

// assertionFault says why nothing was signed. Only an outage may be over when it is tried again.
func assertionFault(p *OAuth2Provider, err error) error {
	e, ok := errors.AsType[*keyError](err)
	switch {
	case !ok:
		return err
	case errors.Is(err, kms.ErrRefused):
		return fault.Wrap(fault.Decryption, err, "The client of provider %s cannot be authenticated: its key %s %s", p.Row.Name, e.id, e.reason)
	}
	return &fault.Fault{Kind: fault.Throttled, Msg: "The client of provider " + p.Row.Name + " cannot be authenticated: its key " + e.id + " " + e.reason + "; try again", RetryAfter: time.Second, Err: err}
}
