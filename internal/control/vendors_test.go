package control_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"credence/internal/egress"
	"credence/internal/fault"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/wire"
)

const union = "oauth2ProviderConfigInput"

// vendorMembers are the vendors that have a member of the union of their own; all others share includedOauth2ProviderConfig.
var vendorMembers = map[vendor]string{
	wire.VendorGoogleOauth2: "googleOauth2ProviderConfig", wire.VendorGithubOauth2: "githubOauth2ProviderConfig", wire.VendorSlackOauth2: "slackOauth2ProviderConfig",
	wire.VendorSalesforceOauth2: "salesforceOauth2ProviderConfig", wire.VendorMicrosoftOauth2: "microsoftOauth2ProviderConfig",
	wire.VendorAtlassianOauth2: "atlassianOauth2ProviderConfig", wire.VendorLinkedinOauth2: "linkedinOauth2ProviderConfig",
}

// vendorConfig is the smallest configuration for a vendor, as a client sends it; more adds members.
func vendorConfig(t *testing.T, v vendor, more map[string]string) *configInput {
	t.Helper()
	members := map[string]string{"clientId": "client-1", "clientSecret": planted}
	preset := presetOf(v)
	if preset.OfCustomer {
		members["issuer"], members["authorizationEndpoint"], members["tokenEndpoint"] = "https://idp.example", "https://idp.example/authorize", "https://idp.example/token"
	}
	for name, value := range more {
		members[name] = value
		if value == "" {
			delete(members, name)
		}
	}
	member := vendorMembers[v]
	if member == "" {
		member = "includedOauth2ProviderConfig"
	}
	body, err := json.Marshal(map[string]any{"name": "x", "credentialProviderVendor": v, union: map[string]any{member: members}})
	must(t, err)
	var in wire.CreateOauth2CredentialProviderInput
	must(t, wire.Decode(body, nil, &in))
	return in.Oauth2ProviderConfigInput
}

func presetOf(v vendor) provider.Vendor {
	for _, p := range provider.Presets {
		if p.Name == v {
			return p
		}
	}
	return provider.Vendor{}
}

// discoveryOf is what an answer says of the vendor: its member of the union, with issuer and endpoints.
func discoveryOf(t *testing.T, out *wire.Oauth2ProviderConfigOutput) (member string, _ *wire.Oauth2Discovery) {
	t.Helper()
	text, err := wire.Encode(out)
	must(t, err)
	var all map[string]struct{ OauthDiscovery *wire.Oauth2Discovery }
	must(t, json.Unmarshal(text, &all))
	if len(all) != 1 {
		t.Fatalf("the output union is %s", text)
	}
	for member, v := range all {
		return member, v.OauthDiscovery
	}
	return "", nil
}

// Every vendor of the API is there, in the member of the union that is its own, on the way in and out.
func TestEveryVendor(t *testing.T) {
	b := open(t)
	for _, name := range vendor("").Values() {
		v := vendor(name)
		if v == wire.VendorCustomOauth2 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			created, err := b.createProvider(t, name, v, vendorConfig(t, v, nil))
			must(t, err)
			member, d := discoveryOf(t, created.Oauth2ProviderConfigOutput)
			if want := vendorMembers[v]; member != want && (want != "" || member != "includedOauth2ProviderConfig") {
				t.Errorf("it is told in %s", member)
			}
			if d == nil || d.DiscoveryUrl == nil && (d.AuthorizationServerMetadata.Issuer == "" || d.AuthorizationServerMetadata.TokenEndpoint == "") {
				t.Errorf("where it is is not told: %+v", d)
			}
			for other, wrong := range map[vendor]string{wire.VendorGoogleOauth2: "googleOauth2ProviderConfig", wire.VendorXOauth2: "includedOauth2ProviderConfig"} {
				if wrong == member {
					continue
				}
				_, err = b.createProvider(t, "wrong", v, vendorConfig(t, other, nil))
				wantInvalid(t, err, union, "must have the member "+member)
			}
			_, err = b.createProvider(t, "no-secret", v, vendorConfig(t, v, map[string]string{"clientSecret": ""}))
			wantInvalid(t, err, union+"."+member+".clientSecret", "is required")
		})
	}
}

// Vendors whose customers have servers of their own need all three URLs; for the others, what is given replaces the preset's.
func TestEndpointsOfVendors(t *testing.T) {
	b := open(t)
	for _, name := range []string{"issuer", "authorizationEndpoint", "tokenEndpoint"} {
		_, err := b.createProvider(t, "okta", wire.VendorOktaOauth2, vendorConfig(t, wire.VendorOktaOauth2, map[string]string{name: ""}))
		wantInvalid(t, err, union+".includedOauth2ProviderConfig."+name, "is required for OktaOauth2")
		for _, bad := range []string{"http://idp.example/x", "https://10.0.0.1/x", "https://user:" + planted + "@idp.example/x", "javascript:alert(1)"} {
			for _, v := range []vendor{wire.VendorOktaOauth2, wire.VendorSpotifyOauth2} {
				_, err := b.createProvider(t, "bad", v, vendorConfig(t, v, map[string]string{name: bad}))
				wantInvalid(t, err, union+".includedOauth2ProviderConfig."+name)
			}
		}
	}
	created, err := b.createProvider(t, "okta", wire.VendorOktaOauth2, vendorConfig(t, wire.VendorOktaOauth2, nil))
	must(t, err)
	_, d := discoveryOf(t, created.Oauth2ProviderConfigOutput)
	want := &wire.Oauth2AuthorizationServerMetadata{Issuer: "https://idp.example", AuthorizationEndpoint: "https://idp.example/authorize", TokenEndpoint: "https://idp.example/token"}
	if diff := cmp.Diff(want, d.AuthorizationServerMetadata); diff != "" {
		t.Error(diff)
	}

	created, err = b.createProvider(t, "spotify", wire.VendorSpotifyOauth2, vendorConfig(t, wire.VendorSpotifyOauth2, map[string]string{"tokenEndpoint": "https://proxy.example/token"}))
	must(t, err)
	_, d = discoveryOf(t, created.Oauth2ProviderConfigOutput)
	want = &wire.Oauth2AuthorizationServerMetadata{Issuer: "https://accounts.spotify.com", AuthorizationEndpoint: "https://accounts.spotify.com/authorize", TokenEndpoint: "https://proxy.example/token"}
	if diff := cmp.Diff(want, d.AuthorizationServerMetadata); diff != "" {
		t.Error(diff)
	}
	_, err = b.updateProvider(t, "spotify", wire.VendorSpotifyOauth2, vendorConfig(t, wire.VendorSpotifyOauth2, map[string]string{"tokenEndpoint": "https://evil.example/token", "clientSecret": ""}))
	wantInvalid(t, err, union+".includedOauth2ProviderConfig.clientSecret", "is required when")
}

func TestTenantOfMicrosoft(t *testing.T) {
	b := open(t)
	for _, bad := range []string{"a/b", "..", ".", "a?b", "a#b", "a%2fb", "{tenant}", "ten ant"} {
		_, err := b.createProvider(t, "bad", wire.VendorMicrosoftOauth2, vendorConfig(t, wire.VendorMicrosoftOauth2, map[string]string{"tenantId": bad}))
		wantInvalid(t, err, union+".microsoftOauth2ProviderConfig.tenantId", "directory")
	}
	for tenant, want := range map[string]string{"": "common", "contoso.onmicrosoft.com": "contoso.onmicrosoft.com"} {
		name := "entra-" + strings.ReplaceAll(want, ".", "-")
		created, err := b.createProvider(t, name, wire.VendorMicrosoftOauth2, vendorConfig(t, wire.VendorMicrosoftOauth2, map[string]string{"tenantId": tenant}))
		must(t, err)
		_, d := discoveryOf(t, created.Oauth2ProviderConfigOutput)
		if got := d.AuthorizationServerMetadata.TokenEndpoint; got != "https://login.microsoftonline.com/"+want+"/oauth2/v2.0/token" {
			t.Errorf("tenant %q: %s", tenant, got)
		}
	}
	_, err := b.updateProvider(t, "entra-common", wire.VendorMicrosoftOauth2, vendorConfig(t, wire.VendorMicrosoftOauth2, map[string]string{"tenantId": "other", "clientSecret": ""}))
	wantInvalid(t, err, union+".microsoftOauth2ProviderConfig.clientSecret", "is required when")
}

// A vendor that customers run themselves is found at their host, and nowhere else; a new host is a new generation.
func TestHostOfVendors(t *testing.T) {
	b := open(t)
	create := func(name string, v vendor, host string) (*wire.CreateOauth2CredentialProviderOutput, error) {
		return b.CreateOauth2CredentialProvider(t.Context(), administrator(t, alpha), &wire.CreateOauth2CredentialProviderInput{
			Name: name, CredentialProviderVendor: v, Oauth2ProviderConfigInput: vendorConfig(t, v, nil), Oauth2ProviderOptions: wire.Oauth2ProviderOptions{VendorHost: &host},
		})
	}
	for _, p := range provider.Presets {
		created, err := create("at-"+string(p.Name), p.Name, "vendor.example")
		if !p.HostOverride {
			wantInvalid(t, err, "vendorHost", string(p.Name))
			continue
		}
		must(t, err)
		_, d := discoveryOf(t, created.Oauth2ProviderConfigOutput)
		m := d.AuthorizationServerMetadata
		for _, u := range []string{m.Issuer, m.AuthorizationEndpoint, m.TokenEndpoint} {
			if u != "https://vendor.example" && !strings.HasPrefix(u, "https://vendor.example/") {
				t.Errorf("%s is still at %s", p.Name, u)
			}
		}
		if created.VendorHost == nil || *created.VendorHost != "vendor.example" {
			t.Errorf("%s: the answer says the host %v", p.Name, created.VendorHost)
		}
	}
	for _, private := range []string{"10.0.0.1", "127.0.0.1:8080", "localhost", "169.254.169.254", "2130706433"} {
		_, err := create("private", wire.VendorGithubOauth2, private)
		wantInvalid(t, err, "vendorHost")
	}
	_, err := b.UpdateOauth2CredentialProvider(t.Context(), administrator(t, alpha), &wire.UpdateOauth2CredentialProviderInput{
		Name: "at-GithubOauth2", CredentialProviderVendor: wire.VendorGithubOauth2, Oauth2ProviderOptions: wire.Oauth2ProviderOptions{VendorHost: new("evil.example")},
		Oauth2ProviderConfigInput: vendorConfig(t, wire.VendorGithubOauth2, map[string]string{"clientSecret": ""}),
	})
	wantInvalid(t, err, union+".githubOauth2ProviderConfig.clientSecret", "is required when")
	var body = []byte(`{"name":"x","credentialProviderVendor":"GithubOauth2","vendorHost":"user@evil.example","oauth2ProviderConfigInput":{"githubOauth2ProviderConfig":{"clientId":"c"}}}`)
	var in wire.CreateOauth2CredentialProviderInput
	wantInvalid(t, wire.Decode(body, nil, &in), "vendorHost")
}

// With --dev a vendor may stand on this machine.
func TestHostOfVendorsInDevelopment(t *testing.T) {
	b := openIn(t, t.TempDir(), egress.Config{Dev: true})
	_, err := b.CreateOauth2CredentialProvider(t.Context(), administrator(t, alpha), &wire.CreateOauth2CredentialProviderInput{
		Name: "github", CredentialProviderVendor: wire.VendorGithubOauth2, Oauth2ProviderOptions: wire.Oauth2ProviderOptions{VendorHost: new("localhost:8443")},
		Oauth2ProviderConfigInput: &configInput{GithubOauth2ProviderConfig: &vendorInput{ClientId: "c", ClientSecret: new(secret.New(planted))}},
	})
	must(t, err)
}

// A vendor wants the callback URL before it gives the client id that a provider is created with.
func TestCallbackURLBeforeTheProvider(t *testing.T) {
	b := open(t)
	ask := func(account, name string) (string, error) {
		out, err := b.GetCallbackUrl(t.Context(), administrator(t, account), &wire.GetCallbackUrlInput{Name: name})
		if err != nil {
			return "", err
		}
		return out.CallbackUrl, nil
	}
	before, err := ask(alpha, "spotify")
	must(t, err)
	created, err := b.createProvider(t, "spotify", wire.VendorSpotifyOauth2, vendorConfig(t, wire.VendorSpotifyOauth2, nil))
	must(t, err)
	if *created.CallbackUrl != before {
		t.Errorf("announced as %s, created with %s", before, *created.CallbackUrl)
	}
	for _, other := range [][2]string{{alpha, "spotify2"}, {beta, "spotify"}} {
		if u, err := ask(other[0], other[1]); err != nil || u == before {
			t.Errorf("%s: %s, %v", other, u, err)
		}
	}
	_, err = b.GetCallbackUrl(t.Context(), caller(t, alpha, allowOn("GetOauth2CredentialProvider", "*")), &wire.GetCallbackUrlInput{Name: "spotify"})
	if !errors.Is(err, fault.AccessDenied) {
		t.Errorf("without the right: %v", err)
	}
}
