// Package internal holds the test of the layout: which package may know which.
package internal

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// layers are the rooms of the house, from the ground up. A package imports only lower layers; packages of one layer do not know each other.
var layers = [][]string{
	{"internal/fault", "internal/secret", "internal/batch", "internal/telemetry", "internal/worker"},
	{"internal/iam", "internal/sigv4", "internal/audit", "internal/egress", "internal/openbao", "internal/tlog"},
	{"internal/quota"},
	{"internal/wire", "internal/oauth", "internal/store", "internal/kms", "internal/external", "internal/webhook", "internal/witness"},
	{"internal/provider", "internal/workload", "internal/payment"},
	{"internal/vault"},
	{"internal/access"},
	{"internal/control", "internal/broker", "internal/admin"},
	{"internal/edge/door"},
	{"internal/edge/awsapi", "internal/edge/consent", "internal/edge/sts", "internal/edge/issuer", "internal/edge/auditlog", "internal/edge/console"},
	{"internal/server"},
	{"cmd/credence", "cmd/demo"},
}

// testOnly are imported by tests, and by each other, but by nothing that ships.
var testOnly = []string{"internal/fakeidp", "internal/testenv", "internal/wire/wiretest", "internal/conformance", "internal/e2e", "internal/torture", "internal/bench", "internal/testvault", "internal/testpostgres", "internal/testca", "internal"}

// reserved are the libraries that one package alone may use: what must be right in one place is in one place.
var reserved = map[string][]string{
	"database/sql":                          {"internal/store", "internal/testpostgres"},
	"github.com/jackc/pgx":                  {"internal/store", "internal/testpostgres"},
	"github.com/tink-crypto/tink-go":        {"internal/vault"},
	"github.com/ncruces/go-sqlite3":         {"internal/store"},
	"code.dny.dev/ssrf":                     {"internal/egress"},
	"github.com/prometheus":                 {"internal/telemetry", "internal/server", "internal/edge/awsapi"},
	"github.com/zitadel":                    {"cmd/demo"},
	"github.com/aws/aws-sdk-go-v2/service/": {"cmd/demo", "internal/testenv", "internal/kms", "internal/external"},
	"github.com/Azure":                      {"internal/kms", "internal/external"},
	"golang.org/x/oauth2":                   {"internal/kms", "internal/external"},
	"credence/internal/kms":                 {"internal/vault"},
	"go.opentelemetry.io/otel":              {"internal/telemetry"},
	"golang.org/x/mod":                      {"internal/tlog"},
	"filippo.io/torchwood":                  {"internal/tlog"},
	"github.com/spiffe":                     {"internal/workload"},
	"math/rand":                             nil,
}

type pkg struct {
	ImportPath string
	Doc        string
	Imports    []string
	GoFiles    []string
}

func packages(t *testing.T) map[string]pkg {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Doc,Imports,GoFiles", "credence/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string]pkg{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(p.ImportPath, "credence/")] = p
	}
}

func layerOf(path string) int {
	return slices.IndexFunc(layers, func(l []string) bool { return slices.Contains(l, path) })
}

func TestArchLayers(t *testing.T) {
	for path, p := range packages(t) {
		if slices.Contains(testOnly, path) {
			continue
		}
		layer := layerOf(path)
		if layer < 0 {
			t.Errorf("%s has no layer: give it one here, and say in an ADR why it exists", path)
			continue
		}
		for _, imported := range p.Imports {
			ours, ok := strings.CutPrefix(imported, "credence/")
			if !ok {
				continue
			}
			switch {
			case slices.Contains(testOnly, ours):
				t.Errorf("%s imports %s, which is for tests", path, ours)
			case layerOf(ours) >= layer:
				t.Errorf("%s (layer %d) imports %s (layer %d): a package imports only lower layers", path, layer, ours, layerOf(ours))
			}
		}
	}
}

func TestArchReserved(t *testing.T) {
	for path, p := range packages(t) {
		for _, imported := range p.Imports {
			for library, may := range reserved {
				if (imported == library || strings.HasPrefix(imported, strings.TrimSuffix(library, "/")+"/") || strings.HasPrefix(imported, library+"/")) && !slices.Contains(may, path) {
					t.Errorf("%s imports %s, which is for %q", path, imported, may)
				}
			}
		}
	}
}

// Every package says in a sentence what it is for; run with -v to read them.
func TestArchEveryPackageSaysWhatItIsFor(t *testing.T) {
	all := packages(t)
	for i, layer := range layers {
		for _, path := range layer {
			p, ok := all[path]
			if !ok {
				t.Errorf("%s has a layer, but does not exist", path)
				continue
			}
			if len(p.Doc) < 20 || !strings.HasSuffix(p.Doc, ".") {
				t.Errorf("%s: its package comment does not begin with a sentence: %q", path, p.Doc)
			}
			t.Logf("%d  %-22s %s", i, path, p.Doc)
		}
	}
}
