package testenv

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	data "github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	control "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
)

// ReturnURL is where the application of the tests takes browsers back; nothing listens there.
const ReturnURL = "https://app.example/return"

// CreateWorkload makes a workload identity that has ReturnURL.
func (p Principal) CreateWorkload(name string) {
	p.env.T.Helper()
	_, err := p.Control().CreateWorkloadIdentity(p.env.T.Context(), &bedrockagentcorecontrol.CreateWorkloadIdentityInput{
		Name: &name, AllowedResourceOauth2ReturnUrls: []string{ReturnURL},
	})
	if err != nil {
		p.env.T.Fatal(err)
	}
}

// CreateProvider makes a CustomOauth2 provider over Vendor's discovery document.
func (p Principal) CreateProvider(name string) {
	p.env.T.Helper()
	_, err := p.Control().CreateOauth2CredentialProvider(p.env.T.Context(), &bedrockagentcorecontrol.CreateOauth2CredentialProviderInput{
		Name: &name, CredentialProviderVendor: control.CredentialProviderVendorTypeCustomOauth2, Oauth2ProviderConfigInput: p.env.CustomConfig(),
	})
	if err != nil {
		p.env.T.Fatal(err)
	}
}

// CreatePayment makes a payment credential provider; its vendor follows from its configuration.
func (p Principal) CreatePayment(name string, config control.PaymentProviderConfigurationInput) {
	p.env.T.Helper()
	vendor := control.PaymentCredentialProviderVendorTypeCoinbaseCDP
	if _, ok := config.(*control.PaymentProviderConfigurationInputMemberStripePrivyConfiguration); ok {
		vendor = control.PaymentCredentialProviderVendorTypeStripePrivy
	}
	_, err := p.Control().CreatePaymentCredentialProvider(p.env.T.Context(), &bedrockagentcorecontrol.CreatePaymentCredentialProviderInput{
		Name: &name, CredentialProviderVendor: vendor, ProviderConfigurationInput: config,
	})
	if err != nil {
		p.env.T.Fatal(err)
	}
}

// CustomConfig is the configuration for Vendor by its discovery document.
func (e *Env) CustomConfig() control.Oauth2ProviderConfigInput {
	return &control.Oauth2ProviderConfigInputMemberCustomOauth2ProviderConfig{Value: control.CustomOauth2ProviderConfigInput{
		ClientId: aws.String(ClientID), ClientSecret: aws.String(ClientSecret),
		OauthDiscovery: &control.Oauth2DiscoveryMemberDiscoveryUrl{Value: e.Vendor.Issuer() + "/.well-known/openid-configuration"},
	}}
}

// WAT mints a workload access token; user "" is nobody.
func (p Principal) WAT(workload, user string) *string {
	p.env.T.Helper()
	ctx := p.env.T.Context()
	if user == "" {
		out, err := p.Data().GetWorkloadAccessToken(ctx, &bedrockagentcore.GetWorkloadAccessTokenInput{WorkloadName: &workload})
		if err != nil {
			p.env.T.Fatal(err)
		}
		p.env.Plant(*out.WorkloadAccessToken)
		return out.WorkloadAccessToken
	}
	out, err := p.Data().GetWorkloadAccessTokenForUserId(ctx, &bedrockagentcore.GetWorkloadAccessTokenForUserIdInput{WorkloadName: &workload, UserId: &user})
	if err != nil {
		p.env.T.Fatal(err)
	}
	p.env.Plant(*out.WorkloadAccessToken)
	return out.WorkloadAccessToken
}

// Token asks for a resource token; edit may change the request.
func (p Principal) Token(wat *string, provider string, flow data.Oauth2FlowType, edit ...func(*bedrockagentcore.GetResourceOauth2TokenInput)) (*bedrockagentcore.GetResourceOauth2TokenOutput, error) {
	in := &bedrockagentcore.GetResourceOauth2TokenInput{WorkloadIdentityToken: wat, ResourceCredentialProviderName: &provider, Oauth2Flow: flow, Scopes: []string{"read"}}
	if flow == data.Oauth2FlowTypeUserFederation {
		in.ResourceOauth2ReturnUrl = aws.String(ReturnURL)
	}
	for _, f := range edit {
		f(in)
	}
	return p.Data().GetResourceOauth2Token(p.env.T.Context(), in)
}

// Complete completes the session that a return URL was given, for a user known by id.
func (p Principal) Complete(sessionURI, user string) error {
	_, err := p.Data().CompleteResourceTokenAuth(p.env.T.Context(), &bedrockagentcore.CompleteResourceTokenAuthInput{
		SessionUri: &sessionURI, UserIdentifier: &data.UserIdentifierMemberUserId{Value: user},
	})
	return err
}

// Consent takes a user all the way, in a browser of its own, and returns the access token.
func (p Principal) Consent(workload, provider, user string, edit ...func(*bedrockagentcore.GetResourceOauth2TokenInput)) string {
	t := p.env.T
	t.Helper()
	wat := p.WAT(workload, user)
	out, err := p.Token(wat, provider, data.Oauth2FlowTypeUserFederation, edit...)
	if err != nil {
		t.Fatal(err)
	}
	if out.AuthorizationUrl == nil {
		t.Fatal("no consent was asked for")
	}
	back := NewBrowser(t).Visit(*out.AuthorizationUrl)
	if err := p.Complete(back.Get("session_id"), user); err != nil {
		t.Fatal(err)
	}
	out, err = p.Token(wat, provider, data.Oauth2FlowTypeUserFederation, append(edit, func(in *bedrockagentcore.GetResourceOauth2TokenInput) {
		in.SessionUri, in.ForceAuthentication = out.SessionUri, nil
	})...)
	if err != nil || out.AccessToken == nil {
		t.Fatalf("after the consent: %+v, %v", out, err)
	}
	return *out.AccessToken
}

// Browser is a user agent with cookies of its own that follows redirects one by one.
type Browser struct {
	T      testing.TB
	Client *http.Client
	// Seen are the addresses that it was sent to, in order.
	Seen []string
}

// NewBrowser makes a browser without cookies.
func NewBrowser(t testing.TB) *Browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Browser{T: t, Client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// Get fetches one address, without following anywhere.
func (b *Browser) Get(address string) *http.Response {
	b.T.Helper()
	resp, err := b.Client.Get(address)
	if err != nil {
		b.T.Fatal(err)
	}
	b.Seen = append(b.Seen, address)
	return resp
}

// Follow goes from redirect to redirect until it stands before an address that begins with stop, which it does not fetch, or gets an answer that is none.
func (b *Browser) Follow(address, stop string) (last string, answer *http.Response) {
	b.T.Helper()
	for range 10 {
		if strings.HasPrefix(address, stop) {
			return address, nil
		}
		resp := b.Get(address)
		location := resp.Header.Get("Location")
		if location == "" {
			b.T.Cleanup(func() { _ = resp.Body.Close() })
			return address, resp
		}
		_ = resp.Body.Close()
		next, err := resp.Request.URL.Parse(location)
		if err != nil {
			b.T.Fatal(err)
		}
		address = next.String()
	}
	b.T.Fatalf("too many redirects, last to %s", address)
	return "", nil
}

// Visit follows an authorization URL to the return URL and gives its query.
func (b *Browser) Visit(address string) url.Values {
	b.T.Helper()
	last, answer := b.Follow(address, ReturnURL)
	if answer != nil {
		b.T.Fatalf("stopped at %s: HTTP %d", last, answer.StatusCode)
	}
	u, err := url.Parse(last)
	if err != nil {
		b.T.Fatal(err)
	}
	return u.Query()
}
