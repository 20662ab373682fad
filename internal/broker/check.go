package broker

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/oauth"
	"credence/internal/provider"
	"credence/internal/vault"
	"credence/internal/wire"
)

// TestOauth2CredentialProvider tells what of a provider is right and what is wrong, without a user, and without a token, code or consent: the vendor's document is
// read, its token endpoint gets a code that nobody has issued, and its authorization endpoint is opened as a browser would.
func (b *Broker) TestOauth2CredentialProvider(ctx context.Context, c iam.Caller, in *wire.TestOauth2CredentialProviderInput) (*wire.TestOauth2CredentialProviderOutput, error) {
	arn := b.ARNs.OAuth2Provider(c.Account, in.Name)
	req := access.Request{Action: "credence:TestOauth2CredentialProvider", Resources: []string{arn, b.ARNs.Vault(c.Account, iam.DefaultVault)}, Provider: in.Name}
	if err := b.Gate.AllowIssue(ctx, c, req); err != nil {
		return nil, err
	}
	p, err := b.oauth2Provider(ctx, c.Account, in.Name)
	if err != nil {
		return nil, err
	}
	v, discovery := b.checkDiscovery(ctx, p)
	out := &wire.TestOauth2CredentialProviderOutput{Checks: []wire.ProviderCheck{discovery}}
	add := func(name wire.ProviderCheckName, check func() (wire.ProviderCheckStatus, string)) {
		status, message := wire.CheckUnknown, "Nothing can be said before the discovery document can be used."
		if discovery.Status == wire.CheckOk {
			status, message = check()
		}
		out.Checks = append(out.Checks, wire.ProviderCheck{Name: name, Status: status, Message: message})
	}
	add(wire.CheckClientAuthentication, func() (wire.ProviderCheckStatus, string) {
		if p.Config.AuthMethod == wire.MethodAwsIamIdTokenJwt {
			return wire.CheckUnknown, "Each workload identity authenticates as itself, by an ID token of this account, so nothing is sent in the name of none."
		}
		return clientCheck(p, v, b.probe(ctx, p, v))
	})
	add(wire.CheckPkce, func() (wire.ProviderCheckStatus, string) { return b.checkPKCE(ctx, p) })
	add(wire.CheckRedirectUri, func() (wire.ProviderCheckStatus, string) { return b.checkRedirectURI(ctx, p, v) })
	return out, nil
}

func (b *Broker) checkDiscovery(ctx context.Context, p *vault.OAuth2Provider) (provider.Vendor, wire.ProviderCheck) {
	check := func(status wire.ProviderCheckStatus, format string, args ...any) wire.ProviderCheck {
		return wire.ProviderCheck{Name: wire.CheckDiscovery, Status: status, Message: fmt.Sprintf(format, args...)}
	}
	v, err := b.Resolver.Vendor(ctx, p.Config)
	switch {
	case err != nil:
		return v, check(wire.CheckFailed, "The discovery document cannot be used: %v.", err)
	case p.Config.DiscoveryURL != "":
		return v, check(wire.CheckOk, "%q speaks for issuer %q, whose token endpoint is %q.", p.Config.DiscoveryURL, v.Issuer, v.TokenEndpoint)
	}
	return v, check(wire.CheckOk, "No document is needed: the token endpoint is %q.", v.TokenEndpoint)
}

// Error codes of a token endpoint: RFC 6749's, and those of vendors with words of their own.
var (
	codeRefused   = []string{"invalid_grant", "bad_verification_code", "invalid_code", "bad_code"}
	clientRefused = []string{"invalid_client", "incorrect_client_credentials", "invalid_client_id", "bad_client_secret", "invalid_client_credentials"}
)

func clientCheck(p *vault.OAuth2Provider, v provider.Vendor, err error) (wire.ProviderCheckStatus, string) {
	e, ok := errors.AsType[*oauth.Error](err)
	switch {
	case err == nil:
		return wire.CheckUnknown, "The token endpoint gave a token for a code that it had not issued, so it does not look at codes, and perhaps not at clients either."
	case !ok:
		if f, isFault := errors.AsType[*fault.Fault](err); isFault {
			return wire.CheckFailed, f.Msg + "."
		}
		return wire.CheckUnknown, "The client's credentials cannot be had here; the server's log has the cause."
	case e.Outcome != oauth.Refused:
		return wire.CheckUnknown, fmt.Sprintf("The token endpoint %q does not answer as it should: %v.", v.TokenEndpoint, e)
	case slices.Contains(codeRefused, e.Code):
		return wire.CheckOk, fmt.Sprintf("The vendor knows client %q and takes its authentication by %s.", p.Config.ClientID, v.AuthMethod)
	case slices.Contains(clientRefused, e.Code) || e.Code == "" && (e.Status == 401 || e.Status == 403):
		return wire.CheckFailed, fmt.Sprintf("The vendor does not take the authentication of client %q by %s, so its id, its secret or key, or the method is wrong: %v.", p.Config.ClientID, v.AuthMethod, e)
	case e.Code == "unauthorized_client":
		return wire.CheckFailed, fmt.Sprintf("The vendor knows client %q, but does not let it use authorization codes, as USER_FEDERATION needs: %v.", p.Config.ClientID, e)
	}
	return wire.CheckUnknown, fmt.Sprintf("The vendor says of a code that it has not issued neither that nor that the client is wrong: %v.", e)
}

func (b *Broker) checkPKCE(ctx context.Context, p *vault.OAuth2Provider) (wire.ProviderCheckStatus, string) {
	m, known, err := b.Resolver.Metadata(ctx, p.Config)
	switch {
	case err != nil || !known || len(m.CodeChallengeMethods) == 0:
		return wire.CheckUnknown, "The vendor does not say whether it takes PKCE, which is always sent (S256); servers that do not know it pass over it."
	case slices.Contains(m.CodeChallengeMethods, "S256"):
		return wire.CheckOk, "The vendor takes PKCE with S256."
	}
	return wire.CheckFailed, fmt.Sprintf("The vendor takes PKCE only with %q, and S256 is what is sent: a code that is stolen could be used.", m.CodeChallengeMethods)
}

// pushCheck is what an authorization request tells of a redirect URI that came to nothing before a browser could take it.
func pushCheck(err error, callback string) (wire.ProviderCheckStatus, string) {
	if e, ok := errors.AsType[*oauth.Error](err); ok {
		if e.Outcome == oauth.Refused && !slices.Contains(clientRefused, e.Code) {
			return wire.CheckFailed, fmt.Sprintf("The vendor refuses the authorization request when it is pushed: %v; compare the redirect URI registered there with %q.", e, callback)
		}
		return wire.CheckUnknown, fmt.Sprintf("The vendor does not take the authorization request when it is pushed: %v.", e)
	}
	if i, ok := errors.AsType[*Interruption](err); ok && i.Err != nil {
		err = i.Err
	}
	if f, ok := errors.AsType[*fault.Fault](err); ok {
		return wire.CheckFailed, f.Msg + "."
	}
	return wire.CheckFailed, fmt.Sprintf("No browser can be sent to the vendor: %v.", err)
}

// noUser are errors with which a server says at the redirect URI that it would have to ask somebody (OpenID Connect Core section 3.1.2.6).
var noUser = []string{"login_required", "interaction_required", "consent_required", "account_selection_required"}

func (b *Broker) checkRedirectURI(ctx context.Context, p *vault.OAuth2Provider, v provider.Vendor) (wire.ProviderCheckStatus, string) {
	callback := provider.CallbackURL(b.PublicURL, p.Row.CallbackID)
	request := oauth.AuthorizationRequest{
		Endpoint: v.AuthorizationEndpoint, ClientID: p.Config.ClientID, RedirectURI: callback, State: "none", ScopeSeparator: v.ScopeSeparator, Verifier: oauth.NewVerifier(),
		Extra: url.Values{"prompt": {"none"}}, // OpenID Connect: do not ask anybody, but answer at the redirect URI
	}
	for name, values := range v.AuthorizeParameters {
		if name != "prompt" {
			request.Extra[name] = values
		}
	}
	if p.Config.Resource != "" {
		request.Resources = v.Resources([]string{p.Config.Resource})
	}
	if m, known, err := b.Resolver.Metadata(ctx, p.Config); err == nil && known && slices.Contains(m.ScopesSupported, "openid") {
		request.Scopes, request.Nonce = []string{"openid"}, "none"
	}
	if v.PushEndpoint != "" && p.Config.AuthMethod == wire.MethodAwsIamIdTokenJwt {
		return wire.CheckUnknown, "The vendor takes pushed authorization requests, which each workload identity sends as itself, by an ID token of this account."
	}
	location, err := b.front(ctx, p, v, "", request)
	if e, ok := errors.AsType[*oauth.Error](err); ok && slices.Contains(clientRefused, e.Code) && !v.PushRequired { // which is another check's matter
		v.PushEndpoint = ""
		location, err = b.front(ctx, p, v, "", request)
	}
	if err != nil {
		return pushCheck(err, callback)
	}
	status, to, err := b.OAuth.Open(ctx, location)
	at := fmt.Sprintf("authorization endpoint %q", v.AuthorizationEndpoint)
	switch {
	case err != nil:
		return wire.CheckUnknown, fmt.Sprintf("The %s does not answer: %v.", at, err)
	case to == callback || strings.HasPrefix(to, callback+"?") || strings.HasPrefix(to, callback+"#"):
		answer, err := url.Parse(to)
		if err != nil {
			return wire.CheckUnknown, fmt.Sprintf("The %s sends browsers to a URL that cannot be read.", at)
		}
		if code := answer.Query().Get("error"); code != "" && !slices.Contains(noUser, code) {
			cb := oauth.CleanError(code, answer.Query().Get("error_description"))
			return wire.CheckOk, fmt.Sprintf("%q is registered; without scopes and without a user the vendor answers there: %s.", callback, cb)
		}
		return wire.CheckOk, fmt.Sprintf("%q is registered at the vendor.", callback)
	case status >= 500 || status == 429:
		return wire.CheckUnknown, fmt.Sprintf("The %s answers HTTP %d.", at, status)
	case status >= 400:
		return wire.CheckFailed, fmt.Sprintf("The %s answers HTTP %d instead of going on: register %q as redirect URI of client %q at the vendor, and look whether there is such a client.", at, status, callback, p.Config.ClientID)
	}
	return wire.CheckUnknown, fmt.Sprintf("The %s answers HTTP %d, a page for a user or a way to one: the vendor tells of a wrong redirect URI only there, so compare it with %q.", at, status, callback)
}
