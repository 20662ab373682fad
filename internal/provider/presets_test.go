package provider_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"credence/internal/egress"
	"credence/internal/oauth"
	"credence/internal/provider"
	"credence/internal/wire"
)

var update = flag.Bool("update", false, "write testdata/presets.golden and docs/vendors.md anew")

// A preset says where users' tokens go: whoever changes one shows it in a second file.
func TestPresetsAreTheGoldenOnes(t *testing.T) {
	got, err := json.MarshalIndent(provider.Presets, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	file := filepath.Join("testdata", "presets.golden")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("presets.go and %s differ; if the change is meant, run go test -update (-golden +presets.go)\n%s", file, d)
	}
}

func TestPresetsAreSound(t *testing.T) {
	out, err := egress.New(egress.Config{})
	if err != nil {
		t.Fatal(err)
	}
	resolver := provider.NewResolver(provider.Presets, nil)
	seen := map[wire.CredentialProviderVendor]bool{}
	for _, p := range provider.Presets {
		t.Run(string(p.Name), func(t *testing.T) {
			if seen[p.Name] || p.Name == wire.VendorCustomOauth2 || p.Name == "" {
				t.Error("the name is taken, or no vendor's")
			}
			seen[p.Name] = true
			at := resolver.Located(provider.Config{Vendor: p.Name})
			for member, u := range map[string]string{
				"Issuer": at.Issuer, "AuthorizationEndpoint": at.AuthorizationEndpoint, "TokenEndpoint": at.TokenEndpoint, "DiscoveryURL": at.DiscoveryURL,
			} {
				needed := strings.HasSuffix(member, "Endpoint") && !p.OfCustomer
				if err := out.CheckURL(u); err != nil && (u != "" || needed) || p.OfCustomer && u != "" {
					t.Errorf("%s %q %v", member, u, err)
				}
			}
			if r := at.Revocation; !p.OfCustomer {
				if err := out.CheckURL(r.Endpoint); err != nil && (r.Endpoint != "" || p.Revocation.Endpoint != "") {
					t.Errorf("Revocation.Endpoint %q is %q: %v", p.Revocation.Endpoint, r.Endpoint, err)
				}
			} else if r.Endpoint != "" || strings.Contains(p.Revocation.Endpoint, ":") {
				t.Errorf("Revocation.Endpoint %q is not the customer's", p.Revocation.Endpoint)
			}
			if r := p.Revocation; r.Source == "" && r.Note == "" || r.Source != "" && (out.CheckURL(r.Source) != nil || r.Endpoint == "") {
				t.Errorf("the documentation of its revocation is missing: %q", r.Source)
			}
			if err := out.CheckURL(p.Source); err != nil || p.Register == "" || p.Refresh == "" {
				t.Errorf("its documentation is missing: %q %v", p.Source, err)
			}
			for name := range p.Header {
				if slices.Contains([]string{"Accept", "Content-Type", "Authorization"}, name) || http.CanonicalHeaderKey(name) != name {
					t.Errorf("Header %q", name)
				}
			}
			if p.AuthMethod != oauth.ClientSecretBasic && p.AuthMethod != oauth.ClientSecretPost {
				t.Errorf("AuthMethod %q", p.AuthMethod)
			}
			for _, name := range p.FrontChannelOnly {
				if name != strings.ToLower(name) {
					t.Errorf("FrontChannelOnly %q is never found: names are compared in lower case", name)
				}
			}
			for name := range p.AuthorizeParameters {
				if oauth.IsProtected(name) {
					t.Errorf("AuthorizeParameters: %q is the standard's own", name)
				}
			}
			if p.OnBehalfOf != nil {
				for name := range p.OnBehalfOf.Parameters {
					if oauth.IsProtected(name) {
						t.Errorf("OnBehalfOf: %q is the standard's own", name)
					}
				}
			}
			for alias, name := range p.ScopeAliases {
				if p.CanonicalScope(name) != name {
					t.Errorf("ScopeAliases: %q stands for %q, which stands for another", alias, name)
				}
			}
		})
	}
	for _, name := range wire.CredentialProviderVendor("").Values() {
		if v := wire.CredentialProviderVendor(name); v != wire.VendorCustomOauth2 && !seen[v] {
			t.Errorf("%s has no preset", v)
		}
	}
}

func revocationText(r provider.Revocation) string {
	if r.Endpoint == "" {
		return "none. " + r.Note
	}
	method, endpoint := r.Method, "`"+r.Endpoint+"`"
	if method == "" {
		method = http.MethodPost
	}
	if strings.HasPrefix(r.Endpoint, "/") {
		endpoint = "the token endpoint with `" + r.Endpoint + "` in the place of `/token`"
	}
	text := "`" + method + "` " + endpoint + ", with the grant's "
	switch r.Token {
	case "":
		text += "refresh token and access token"
	default:
		text += strings.ReplaceAll(string(r.Token), "_", " ")
	}
	if r.Auth != "" {
		text += ", authentication `" + string(r.Auth) + "`"
	}
	if r.JSON {
		text += ", in JSON"
	}
	text += map[provider.Reach]string{
		provider.ReachGrant:  ". It ends this grant only.",
		provider.ReachPerson: ". Not sent while the same user has another grant of this client, which it may end, too.",
		provider.ReachClient: ". Not sent while anybody has another grant of this client, which it may end, too.",
	}[r.Reach]
	if r.Note != "" {
		text += " " + r.Note
	}
	if r.Source != "" {
		text += " <" + r.Source + ">"
	}
	return text
}

// docs/vendors.md tells people what the presets know.
func TestVendorsAreDocumented(t *testing.T) {
	var got strings.Builder
	got.WriteString("# Vendors\n\nWhat Credence knows of each vendor of the API, and what to do there. This page is made from internal/provider/presets.go.\n\n" +
		"The callback URL is in the answer of CreateOauth2CredentialProvider. A vendor that is not listed is a `CustomOauth2` with its discovery URL or endpoints.\n")
	for _, p := range provider.Presets {
		fmt.Fprintf(&got, "\n## %s\n\n- Register: %s\n- Refresh tokens: %s\n", p.Name, p.Register, p.Refresh)
		switch {
		case p.OfCustomer:
			got.WriteString("- Endpoints: each customer has its own; give `issuer`, `authorizationEndpoint` and `tokenEndpoint`.\n")
		default:
			fmt.Fprintf(&got, "- Endpoints: `%s`, `%s`%s\n", p.AuthorizationEndpoint, p.TokenEndpoint, map[bool]string{true: "; another host by `vendorHost` (header `X-Credence-Vendor-Host`)"}[p.HostOverride])
		}
		fmt.Fprintf(&got, "- Client authentication: `%s`%s\n", p.AuthMethod, map[bool]string{true: ", request in JSON"}[p.JSONRequest])
		if p.AuthorizeParameters != nil {
			fmt.Fprintf(&got, "- Sent to the authorization endpoint: `%s`, unless customParameters say otherwise.\n", p.AuthorizeParameters.Encode())
		}
		if p.M2MGrantType != "" {
			fmt.Fprintf(&got, "- M2M: grant type `%s`\n", p.M2MGrantType)
		}
		if o := p.OnBehalfOf; o != nil {
			fmt.Fprintf(&got, "- On behalf of: `%s` with `%s`, unless customParameters say otherwise.\n", o.GrantType, o.Parameters.Encode())
		}
		if p.Lifetime != 0 {
			fmt.Fprintf(&got, "- Its answers do not say how long a token lives; %s is assumed.\n", p.Lifetime)
		}
		if p.RefreshTokenIdle != 0 {
			fmt.Fprintf(&got, "- A refresh token that is not used for %.0f days ends; Credence uses it in time.\n", p.RefreshTokenIdle.Hours()/24)
		}
		fmt.Fprintf(&got, "- Revocation: %s\n", revocationText(p.Revocation))
		fmt.Fprintf(&got, "- Documentation: <%s>\n", p.Source)
	}
	file := filepath.Join("..", "..", "docs", "vendors.md")
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Errorf("presets.go and docs/vendors.md differ; run go test ./internal/provider -update (-page +presets.go)\n%s", d)
	}
}
