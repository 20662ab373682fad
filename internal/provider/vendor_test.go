package provider_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"credence/internal/egress"
	"credence/internal/fakeidp"
	"credence/internal/oauth"
	"credence/internal/provider"
	"credence/internal/wire"
)

// newResolver resolves over real HTTP; http and loopback are open, as with --dev.
func newResolver(t *testing.T) *provider.Resolver {
	t.Helper()
	out, err := egress.New(egress.Config{Dev: true})
	if err != nil {
		t.Fatal(err)
	}
	return provider.NewResolver(provider.Presets, oauth.NewDiscovery(out, out.CheckURL))
}

func discoveryURL(v *fakeidp.Vendor) string { return v.Issuer() + "/.well-known/openid-configuration" }

func TestVendorByDiscovery(t *testing.T) {
	idp, r := fakeidp.Start(t), newResolver(t)
	v, err := r.Vendor(t.Context(), provider.Config{Vendor: wire.VendorCustomOauth2, ClientID: "c", DiscoveryURL: discoveryURL(idp)})
	if err != nil {
		t.Fatal(err)
	}
	want := provider.Vendor{
		Name: wire.VendorCustomOauth2, Issuer: idp.Issuer(), AuthorizationEndpoint: idp.Issuer() + "/authorize", TokenEndpoint: idp.Issuer() + "/token",
		GrantTypes: []string{"authorization_code", "client_credentials", "refresh_token"}, IssInResponse: true, AuthMethod: oauth.ClientSecretBasic, Revocation: provider.Revocation{Endpoint: idp.Issuer() + "/revoke"},
	}
	if d := cmp.Diff(want, v); d != "" {
		t.Error(d)
	}
}

// Whether iss at the callback can be demanded is the vendor's word (RFC 9207 section 3).
func TestVendorWithoutIssInResponse(t *testing.T) {
	idp, r := fakeidp.Start(t), newResolver(t)
	idp.Set(func(b *fakeidp.Behaviour) {
		b.ExtraMetadata = map[string]any{"authorization_response_iss_parameter_supported": nil}
	})
	v, err := r.Vendor(t.Context(), provider.Config{Vendor: wire.VendorCustomOauth2, DiscoveryURL: discoveryURL(idp)})
	if err != nil || v.IssInResponse {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestVendorWhoseDiscoveryFails(t *testing.T) {
	for name, test := range map[string]struct {
		change  func(*fakeidp.Behaviour)
		message string
	}{
		"away":           {func(b *fakeidp.Behaviour) { b.DiscoveryStatus = http.StatusBadGateway }, "HTTP 502"},
		"another issuer": {func(b *fakeidp.Behaviour) { b.LieInDiscovery = "https://evil.example" }, `another issuer, "https://evil.example"`},
		"forbidden endpoint": {func(b *fakeidp.Behaviour) {
			b.ExtraMetadata = map[string]any{"token_endpoint": "https://169.254.169.254/token"}
		}, "token_endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			idp, r := fakeidp.Start(t), newResolver(t)
			idp.Set(test.change)
			v, err := r.Vendor(t.Context(), provider.Config{Vendor: wire.VendorCustomOauth2, DiscoveryURL: discoveryURL(idp)})
			if err == nil || !strings.Contains(err.Error(), test.message) || !strings.Contains(err.Error(), discoveryURL(idp)) {
				t.Errorf("error %v, want one with %s and the URL", err, test.message)
			}
			if d := cmp.Diff(provider.Vendor{}, v); d != "" {
				t.Errorf("a vendor came with the error: %s", d)
			}
		})
	}
}

// Explicit metadata and presets are used as they stand: nobody is asked.
func TestVendorIsNotAskedWhatIsKnown(t *testing.T) {
	r := provider.NewResolver(provider.Presets, oauth.NewDiscovery(nobody{t}, func(string) error { return nil }))
	t.Run("metadata", func(t *testing.T) {
		v, err := r.Vendor(t.Context(), explicit())
		want := provider.Vendor{
			Name: wire.VendorCustomOauth2, Issuer: "https://idp.example", AuthorizationEndpoint: "https://idp.example/authorize", TokenEndpoint: "https://idp.example/token",
			AuthMethod: oauth.ClientSecretPost,
		}
		if d := cmp.Diff(want, v); d != "" || err != nil {
			t.Error(d, err)
		}
	})
	for _, preset := range provider.Presets {
		t.Run(string(preset.Name), func(t *testing.T) {
			c, want := provider.Config{Vendor: preset.Name, ClientID: "c", Tenant: "t"}, preset
			if preset.OfCustomer {
				c.Metadata = explicit().Metadata
				want.Issuer, want.AuthorizationEndpoint, want.TokenEndpoint = c.Metadata.Issuer, c.Metadata.AuthorizationEndpoint, c.Metadata.TokenEndpoint
				want.AuthMethod = oauth.ClientSecretPost // what the metadata list first
			}
			for _, u := range []*string{&want.Issuer, &want.AuthorizationEndpoint, &want.TokenEndpoint} {
				*u = strings.ReplaceAll(*u, "{tenant}", "t")
			}
			if strings.HasPrefix(preset.Revocation.Endpoint, "/") {
				want.Revocation.Endpoint = strings.Replace(want.TokenEndpoint, "/token", preset.Revocation.Endpoint, 1)
			}
			want.Revocation.Endpoint = strings.ReplaceAll(want.Revocation.Endpoint, "{client_id}", "c")
			v, err := r.Vendor(t.Context(), c)
			if d := cmp.Diff(want, v); d != "" || err != nil {
				t.Error(d, err)
			}
			if d := cmp.Diff(preset, r.Traits(provider.Config{Vendor: preset.Name})); d != "" {
				t.Errorf("Traits: %s", d)
			}
		})
	}
	t.Run("traits of a vendor that would be asked", func(t *testing.T) {
		want := provider.Vendor{Name: wire.VendorCustomOauth2, AuthMethod: oauth.ClientSecretPost}
		if d := cmp.Diff(want, r.Traits(discovered())); d != "" {
			t.Error(d)
		}
	})
}

// nobody is a network on which every request is wrong.
type nobody struct{ t *testing.T }

func (n nobody) Do(r *http.Request) (*http.Response, error) {
	n.t.Errorf("%s was asked", r.URL)
	return nil, http.ErrServerClosed
}

func TestUnknownVendor(t *testing.T) {
	r := provider.NewResolver(nil, nil)
	if _, err := r.Vendor(t.Context(), provider.Config{Vendor: wire.VendorZoomOauth2, DiscoveryURL: "https://zoom.us/.well-known/openid-configuration"}); err == nil ||
		!strings.Contains(err.Error(), "ZoomOauth2") {
		t.Errorf("error %v, want one that names the vendor", err)
	}
	r = newResolver(t)
	if _, ok := r.Preset(wire.VendorCustomOauth2); ok {
		t.Error("CustomOauth2 is a preset")
	}
	if p, ok := r.Preset(wire.VendorGithubOauth2); !ok || p.TokenEndpoint != "https://github.com/login/oauth/access_token" {
		t.Errorf("%+v, %v", p, ok)
	}
}

// The method is the API's word, else the first of explicit metadata, else the preset's or basic, or post where the vendor's document lists it and not basic.
func TestAuthMethod(t *testing.T) {
	const basic, post = oauth.ClientSecretBasic, oauth.ClientSecretPost
	idp := fakeidp.Start(t)
	custom := func(m wire.ClientAuthenticationMethod, listed []string) provider.Config {
		return provider.Config{Vendor: wire.VendorCustomOauth2, AuthMethod: m, Metadata: &provider.Metadata{
			Issuer: "https://i.example", AuthorizationEndpoint: "https://i.example/a", TokenEndpoint: "https://i.example/t", TokenEndpointAuthMethods: listed,
		}}
	}
	byDiscovery := func(m wire.ClientAuthenticationMethod) provider.Config {
		return provider.Config{Vendor: wire.VendorCustomOauth2, AuthMethod: m, DiscoveryURL: discoveryURL(idp)}
	}
	for name, test := range map[string]struct {
		config provider.Config
		says   any // token_endpoint_auth_methods_supported of the document; nil leaves it out
		want   oauth.AuthMethod
	}{
		"metadata lists nothing":                    {custom("", nil), nil, basic},
		"metadata lists post first":                 {custom("", []string{"client_secret_post", "client_secret_basic"}), nil, post},
		"metadata lists basic first":                {custom("", []string{"client_secret_basic", "client_secret_post"}), nil, basic},
		"post asked for":                            {custom(wire.MethodClientSecretPost, nil), nil, post},
		"basic asked for":                           {custom(wire.MethodClientSecretBasic, nil), nil, basic},
		"document says nothing":                     {byDiscovery(""), nil, basic},
		"document lists both":                       {byDiscovery(""), []string{"client_secret_post", "client_secret_basic"}, basic},
		"document lists post only":                  {byDiscovery(""), []string{"private_key_jwt", "client_secret_post"}, post},
		"document lists neither":                    {byDiscovery(""), []string{"private_key_jwt"}, basic},
		"document lists post only, basic asked for": {byDiscovery(wire.MethodClientSecretBasic), []string{"client_secret_post"}, basic},
		"document lists basic only, post asked for": {byDiscovery(wire.MethodClientSecretPost), []string{"client_secret_basic"}, post},
		"preset":                  {provider.Config{Vendor: wire.VendorGithubOauth2}, nil, post},
		"preset, basic asked for": {provider.Config{Vendor: wire.VendorGithubOauth2, AuthMethod: wire.MethodClientSecretBasic}, nil, basic},
	} {
		t.Run(name, func(t *testing.T) {
			idp.Set(func(b *fakeidp.Behaviour) {
				b.ExtraMetadata = map[string]any{"token_endpoint_auth_methods_supported": test.says}
			})
			r := newResolver(t)
			v, err := r.Vendor(t.Context(), test.config)
			if err != nil || v.AuthMethod != test.want {
				t.Errorf("method %s, %v, want %s", v.AuthMethod, err, test.want)
			}
			if p, ok := r.Preset(test.config.Vendor); ok && p.AuthMethod != post {
				t.Errorf("one provider's choice changed the preset to %s", p.AuthMethod)
			}
		})
	}
}

func TestFrontChannel(t *testing.T) {
	google := newResolver(t).Traits(provider.Config{Vendor: wire.VendorGoogleOauth2})
	custom := newResolver(t).Traits(discovered())
	for name, want := range map[string]struct{ google, custom bool }{
		"prompt":      {true, true},
		"login_hint":  {true, true},
		"PROMPT":      {true, true}, // names of parameters that vendors take in any case must not make two grants
		"access_type": {true, false},
		"hd":          {true, false},
		"audience":    {false, false}, // changes the token
		"resource":    {false, false},
		"tenant":      {false, false},
		"prompt2":     {false, false},
		"":            {false, false},
	} {
		if got := google.FrontChannel(name); got != want.google {
			t.Errorf("Google: %q is front-channel = %v, want %v", name, got, want.google)
		}
		if got := custom.FrontChannel(name); got != want.custom {
			t.Errorf("custom: %q is front-channel = %v, want %v", name, got, want.custom)
		}
	}
}

func TestCanonicalScope(t *testing.T) {
	google := newResolver(t).Traits(provider.Config{Vendor: wire.VendorGoogleOauth2})
	for scope, want := range map[string]string{
		"email": "https://www.googleapis.com/auth/userinfo.email",
		"https://www.googleapis.com/auth/userinfo.email": "https://www.googleapis.com/auth/userinfo.email",
		"Email":  "Email", // scopes are case-sensitive (RFC 6749 section 3.3)
		"openid": "openid",
		"":       "",
	} {
		if got := google.CanonicalScope(scope); got != want {
			t.Errorf("%q is compared as %q, want %q", scope, got, want)
		}
	}
	if got := (provider.Vendor{}).CanonicalScope("email"); got != "email" {
		t.Errorf("without aliases, email is compared as %q", got)
	}
}
