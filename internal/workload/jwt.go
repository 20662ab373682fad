package workload

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"credence/internal/fault"
	"credence/internal/oauth"
	"credence/internal/secret"
)

// Issuers says which issuers of user JWTs an account trusts; *store.Store, behind the server's wiring, is one.
// It answers fault.NotFound for an issuer that is not listed.
type Issuers interface {
	// Trust are the audiences that an issuer's JWTs must name one of, and the claims that make its users.
	Trust(ctx context.Context, account, issuer string) (audiences, userKeyClaims []string, err error)
}

// VerifierConfig is what a verifier is made of.
type VerifierConfig struct {
	Issuers   Issuers
	Discovery *oauth.Discovery
	Keys      *oauth.KeySets
	AnyIssuer bool // --dev: issuers need not be listed
}

// Verifier verifies the JWTs of users (RFC 7519, RFC 8725).
type Verifier struct{ VerifierConfig }

// NewVerifier makes a verifier.
func NewVerifier(cfg VerifierConfig) *Verifier { return &Verifier{cfg} }

// Clocks of issuers may differ from ours by this much.
const clockSkew = time.Minute

// algorithms that a user JWT may be signed with: asymmetric only, so that a public key is never taken for a shared secret.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// Verify tells the user of a JWT that an account trusts. asOf is the time by which it must not have ended: now, or the beginning of the session that it completes.
// Keys come from the issuer's discovery document and nowhere else. The error is an Unauthorized fault that says what is wrong, or a Throttled one when the issuer is away.
func (v *Verifier) Verify(ctx context.Context, account string, token secret.String, asOf time.Time) (User, error) {
	refuse := func(format string, args ...any) (User, error) {
		return User{}, fault.New(fault.Unauthorized, "The user token is not accepted: "+format, args...)
	}
	t, err := jwt.ParseSigned(token.Reveal(), algorithms)
	if err != nil {
		return refuse("it is not a JWT signed with one of %s", algorithmNames())
	}
	var unverified, c jwt.Claims
	if err := t.UnsafeClaimsWithoutVerification(&unverified); err != nil {
		return refuse("its claims are not a JSON object of the right types")
	}
	if unverified.Issuer == "" || unverified.Subject == "" {
		return refuse("it must have the claims iss and sub")
	}

	audiences, claims, err := v.Issuers.Trust(ctx, account, unverified.Issuer)
	listed := err == nil
	if err != nil && !errors.Is(err, fault.NotFound) {
		return User{}, err
	}
	if !listed && !v.AnyIssuer {
		return refuse("its issuer %q is not trusted in account %s. To trust it: credence issuer add %s --audience %s", unverified.Issuer, account,
			shellWord(unverified.Issuer), shellWord(firstOr(unverified.Audience, "AUDIENCE")))
	}
	if listed && !slices.ContainsFunc(unverified.Audience, func(a string) bool { return slices.Contains(audiences, a) }) {
		return refuse("its audience %q is none of those that account %s accepts from %q: %q", []string(unverified.Audience), account, unverified.Issuer, audiences)
	}

	if err := v.verifySignature(ctx, t, unverified.Issuer, &c); err != nil {
		if errors.Is(err, errSignature) {
			return refuse("%v", err)
		}
		return User{}, &fault.Fault{Kind: fault.Throttled, Msg: "The user token cannot be checked now: " + err.Error(), RetryAfter: 5 * time.Second, Err: err}
	}
	switch err := c.ValidateWithLeeway(jwt.Expected{Time: time.Now()}, clockSkew); {
	case c.Expiry == nil:
		return refuse("it must have the claim exp")
	case errors.Is(err, jwt.ErrExpired) && !asOf.Add(-clockSkew).After(c.Expiry.Time()):
	case errors.Is(err, jwt.ErrExpired):
		return refuse("it expired at %s", c.Expiry.Time().UTC().Format(time.RFC3339))
	case err != nil:
		return refuse("%s", strings.TrimPrefix(err.Error(), "go-jose/go-jose/jwt: "))
	}
	if !listed {
		claims = subjectAlone
	}
	user, err := userOf(t, claims)
	if err != nil {
		return refuse("%v", err)
	}
	return user, nil
}

// VerifyWebIdentity verifies a JWT of one of the issuers that a role trusts, and answers all its claims; who may have it as audience is the trust policy's. Of an issuer that
// is not among them nothing is asked. The error is an ExpiredCaller fault, of a token that was good; a Throttled one when the issuer is away; else an Unauthorized one,
// for logs.
func (v *Verifier) VerifyWebIdentity(ctx context.Context, token secret.String, issuers []string) (map[string]any, error) {
	refuse := func(format string, args ...any) (map[string]any, error) {
		return nil, fault.New(fault.Unauthorized, "The web identity token is not accepted: "+format, args...)
	}
	t, err := jwt.ParseSigned(token.Reveal(), algorithms)
	if err != nil {
		return refuse("it is not a JWT signed with one of %s", algorithmNames())
	}
	var unverified, c jwt.Claims
	if err := t.UnsafeClaimsWithoutVerification(&unverified); err != nil {
		return refuse("its claims are not a JSON object of the right types")
	}
	if !slices.Contains(issuers, unverified.Issuer) {
		return refuse("the role does not trust its issuer")
	}
	if err := v.verifySignature(ctx, t, unverified.Issuer, &c); err != nil {
		if errors.Is(err, errSignature) {
			return refuse("%v", err)
		}
		return nil, &fault.Fault{Kind: fault.Throttled, Msg: "The web identity token cannot be checked now: its issuer does not answer", RetryAfter: 5 * time.Second, Err: err}
	}
	switch err := c.ValidateWithLeeway(jwt.Expected{Time: time.Now()}, clockSkew); {
	case c.Expiry == nil || c.Subject == "":
		return refuse("it must have the claims exp and sub")
	case errors.Is(err, jwt.ErrExpired):
		return nil, fault.New(fault.ExpiredCaller, "Token expired at %s", c.Expiry.Time().UTC().Format(time.RFC3339))
	case err != nil:
		return refuse("%s", strings.TrimPrefix(err.Error(), "go-jose/go-jose/jwt: "))
	}
	claims := map[string]any{}
	if err := t.UnsafeClaimsWithoutVerification(&claims); err != nil { // they were verified just now
		return refuse("its claims are not a JSON object")
	}
	return claims, nil
}

// IDToken is the ID token that a sign-in brought, with what it must say.
type IDToken struct {
	Token    secret.String
	Issuer   string
	ClientID string
	Nonce    string
}

// VerifyIDToken verifies an ID token (OpenID Connect Core section 3.1.3.7), and answers its claims; aud is a list, and there is no email that its issuer has not verified.
// The error is an Unauthorized fault, for logs, or a Throttled one when the issuer is away.
func (v *Verifier) VerifyIDToken(ctx context.Context, in IDToken) (map[string]any, error) {
	refuse := func(format string, args ...any) (map[string]any, error) {
		return nil, fault.New(fault.Unauthorized, "The ID token is not accepted: "+format, args...)
	}
	t, err := jwt.ParseSigned(in.Token.Reveal(), algorithms)
	if err != nil {
		return refuse("it is not a JWT signed with one of %s", algorithmNames())
	}
	var c jwt.Claims
	if err := v.verifySignature(ctx, t, in.Issuer, &c); err != nil {
		if errors.Is(err, errSignature) {
			return refuse("%v", err)
		}
		return nil, &fault.Fault{Kind: fault.Throttled, Msg: "The ID token cannot be checked now: its issuer does not answer", RetryAfter: 5 * time.Second, Err: err}
	}
	claims := map[string]any{}
	if err := t.UnsafeClaimsWithoutVerification(&claims); err != nil { // they were verified just now
		return refuse("its claims are not a JSON object")
	}
	azp, named := claims["azp"]
	nonce, _ := claims["nonce"].(string)
	switch err := c.ValidateWithLeeway(jwt.Expected{Issuer: in.Issuer, AnyAudience: jwt.Audience{in.ClientID}, Time: time.Now()}, clockSkew); {
	case err != nil:
		return refuse("%s", strings.TrimPrefix(err.Error(), "go-jose/go-jose/jwt: "))
	case c.Expiry == nil || c.Subject == "":
		return refuse("it must have the claims exp and sub")
	case named && azp != in.ClientID, !named && len(c.Audience) > 1:
		return refuse("it was made for another client (azp)")
	case in.Nonce == "" || !secret.New(nonce).Equal(secret.New(in.Nonce)):
		return refuse("its nonce is not that of this sign-in")
	}
	audiences := make([]any, len(c.Audience))
	for i, a := range c.Audience {
		audiences[i] = a
	}
	claims["aud"] = audiences
	if claims["email_verified"] != true {
		delete(claims, "email")
	}
	return claims, nil
}

// JWTExpires is when the JWT in t ends. It was verified when t was minted, and is read as it was then.
func (t Token) JWTExpires() (time.Time, error) {
	parsed, err := jwt.ParseSigned(t.JWT.Reveal(), algorithms)
	if err != nil {
		return time.Time{}, err
	}
	var c jwt.Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&c); err != nil {
		return time.Time{}, err
	}
	if c.Expiry == nil {
		return time.Time{}, errors.New("the user token has no claim exp")
	}
	return c.Expiry.Time(), nil
}

var errSignature = errors.New("its signature does not verify with its issuer's keys")

// verifySignature checks the one signature with the keys that the issuer publishes, and reads the claims; jku, x5u and jwk in the header count for nothing.
func (v *Verifier) verifySignature(ctx context.Context, t *jwt.JSONWebToken, issuer string, c *jwt.Claims) error {
	m, err := v.Discovery.Metadata(ctx, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return err
	}
	if m.Issuer != issuer {
		return fmt.Errorf("%w: the discovery document calls itself %q, the token %q", errSignature, m.Issuer, issuer)
	}
	if m.JWKSURI == "" {
		return fmt.Errorf("%w: the discovery document of %q names no jwks_uri", errSignature, issuer)
	}
	keys, err := v.Keys.Keys(ctx, m.JWKSURI, t.Headers[0].KeyID)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.Algorithm != "" && k.Algorithm != t.Headers[0].Algorithm {
			continue
		}
		if t.Claims(k.Key, c) == nil {
			return nil
		}
	}
	return errSignature
}

func algorithmNames() string {
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = string(a)
	}
	return strings.Join(names, ", ")
}

func firstOr(l []string, otherwise string) string {
	if len(l) > 0 {
		return l[0]
	}
	return otherwise
}

// shellWord quotes a word of a command that somebody may paste.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
