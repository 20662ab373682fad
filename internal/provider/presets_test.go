package provider_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"credence/internal/egress"
	"credence/internal/oauth"
	"credence/internal/provider"
	"credence/internal/wire"
)

var update = flag.Bool("update", false, "write testdata/presets.golden anew")

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
	seen := map[wire.CredentialProviderVendor]bool{}
	for _, p := range provider.Presets {
		t.Run(string(p.Name), func(t *testing.T) {
			if seen[p.Name] || p.Name == wire.VendorCustomOauth2 || p.Name == "" {
				t.Error("the name is taken, or no vendor's")
			}
			seen[p.Name] = true
			for member, u := range map[string]string{
				"Issuer": p.Issuer, "AuthorizationEndpoint": p.AuthorizationEndpoint, "TokenEndpoint": p.TokenEndpoint, "DiscoveryURL": p.DiscoveryURL,
			} {
				if err := out.CheckURL(u); err != nil && (u != "" || member != "DiscoveryURL") {
					t.Errorf("%s %q %v", member, u, err)
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
			for alias, name := range p.ScopeAliases {
				if p.CanonicalScope(name) != name {
					t.Errorf("ScopeAliases: %q stands for %q, which stands for another", alias, name)
				}
			}
		})
	}
}
