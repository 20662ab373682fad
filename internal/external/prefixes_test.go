package external

import (
	"net/netip"
	"net/url"
	"path"
	"strings"
	"testing"
)

const (
	alpha   = "111122223333"
	beta    = "444455556666"
	awsHome = "arn:aws:secretsmanager:eu-central-1:999900001111:secret:"
)

func mustPrefixes(t testing.TB, values ...string) *Prefixes {
	t.Helper()
	p, err := ParsePrefixes(values)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A prefix that is wider than it looks, that says not as whom a cloud is asked, or that nothing could be below, stops the start with a text that says what to do.
func TestParsePrefixesRefuses(t *testing.T) {
	for value, want := range map[string]string{
		"file:///run/secrets/":                          "12 digits",
		"12345=file:///run/secrets/":                    "12 digits",
		alpha + "=/run/secrets/":                        "must be a URI",
		alpha + "=file:///run/secrets":                  "must end with /",
		alpha + "=file:///":                             "too wide",
		alpha + "=file:////":                            "empty segment",
		alpha + "=file://run/secrets/":                  "file:///",
		alpha + "=file:///run/../secrets/":              `".."`,
		alpha + "=file:///run/secrets/;identity=server": "takes no identity",
		alpha + "=file:///run/secrets/;idenity=server":  "none of identity",
		alpha + "=file:///run/secrets/?x=y":             "takes no query",
		alpha + "=ftp://host/secrets/":                  `"ftp" is none of`,
		alpha + "=aws-secretsmanager://" + awsHome:      "add ;identity=server",
		alpha + "=aws-secretsmanager://arn:aws:secretsmanager:eu-central-1:;identity=server":            "must go on with arn:aws:secretsmanager:REGION:ACCOUNT:secret:",
		alpha + "=aws-secretsmanager://arn:aws:secretsmanager:*:999900001111:secret:;identity=server":   "must go on with",
		alpha + "=aws-secretsmanager://arn:aws:s3:eu-central-1:999900001111:secret:a/;identity=server":  "must go on with",
		alpha + "=aws-secretsmanager://" + awsHome + "agents/*;identity=server":                         "no ARN has",
		alpha + "=aws-secretsmanager://" + awsHome + "agents/;identity=profile:":                        "identity",
		alpha + "=aws-secretsmanager://" + awsHome + "agents/;identity=file:/x":                         "identity",
		alpha + "=aws-secretsmanager://" + awsHome + "agents/;identity=server;endpoint=http://10.0.0.1": "https URL",
		alpha + "=gcp-secretmanager://projects/p/secrets/":                                              "add ;identity=server",
		alpha + "=gcp-secretmanager://projects/p/;identity=server":                                      "too wide",
		alpha + "=gcp-secretmanager://projects/p/secret/;identity=server":                               `"secrets" in place of "secret"`,
		alpha + "=gcp-secretmanager://projects/p/secrets/;identity=file:relative.json":                  "identity",
		alpha + "=azurekeyvault://v.vault.azure.net/secrets/":                                           "add ;identity=server",
		alpha + "=azurekeyvault://v.vault.azure.net/;identity=server":                                   "too wide",
		alpha + "=azurekeyvault://v.vault.azure.net/certificates/;identity=server":                      `"secrets" or "keys"`,
		alpha + "=azurekeyvault://v.vault.azure.net/keys/;identity=profile:x":                           "identity",
		alpha + "=openbao://bao.example.com/":                                                           "too wide",
		alpha + "=openbao://bao.example.com/transit/keys/;identity=server":                              "takes no identity",
		alpha + "=awskms:///arn:aws:kms:eu-central-1:999900001111:key/":                                 "add ;identity=server",
		alpha + "=awskms:///arn:aws:kms:eu-central-1:999900001111:alias/x;identity=server":              "must go on with",
		alpha + "=gcpkms://projects/;identity=server":                                                   "too wide",
	} {
		if _, err := ParsePrefixes([]string{value}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), value) {
			t.Errorf("%s: %v, want %s", value, err, want)
		}
	}
	if _, err := ParsePrefixes([]string{"x", "y"}); err == nil || !strings.Contains(err.Error(), `"x"`) || !strings.Contains(err.Error(), `"y"`) {
		t.Errorf("not every problem is told: %v", err)
	}
}

// secrets is a configuration with every kind of secret for alpha, and one directory for beta.
func secrets(t testing.TB) *Prefixes {
	return mustPrefixes(t,
		alpha+"=file:///run/a/",
		beta+"=file:///run/b/",
		alpha+"=aws-secretsmanager://"+awsHome+"agents/;identity=server",
		alpha+"=aws-secretsmanager://"+awsHome+"one-AbCdEf;identity=profile:reader",
		alpha+"=gcp-secretmanager://projects/p/secrets/;identity=server",
		alpha+"=azurekeyvault://v.vault.azure.net/secrets/;identity=server",
		alpha+"=openbao://bao.example.com/kv/agents/",
		alpha+"=openbao://[2001:db8::1]:8200/kv/",
	)
}

// What is below a prefix of the account is allowed, in the one spelling that follows from it.
func TestSecretBelowPrefix(t *testing.T) {
	p := secrets(t)
	for id, want := range map[string]string{
		"file:///run/a/github":                                     "file:///run/a/github",
		"FILE:///run/a/github":                                     "file:///run/a/github",
		"file:///run/a/..data/github":                              "file:///run/a/..data/github",
		"file:///run/a/my%20key":                                   "file:///run/a/my%20key",
		"file:///run/%61/github":                                   "file:///run/a/github",
		awsHome + "agents/github-AbCdEf":                           "aws-secretsmanager://" + awsHome + "agents/github-AbCdEf",
		"aws-secretsmanager://" + awsHome + "agents/github":        "aws-secretsmanager://" + awsHome + "agents/github",
		"agents/github":                                            "aws-secretsmanager://" + awsHome + "agents/github",
		"one-AbCdEf":                                               "aws-secretsmanager://" + awsHome + "one-AbCdEf",
		"gcp-secretmanager://projects/p/secrets/github":            "gcp-secretmanager://projects/p/secrets/github",
		"gcp-secretmanager://projects/p/secrets/github/versions/3": "gcp-secretmanager://projects/p/secrets/github/versions/3",
		"azurekeyvault://V.Vault.Azure.Net/secrets/github":         "azurekeyvault://v.vault.azure.net/secrets/github",
		"openbao://BAO.example.com/kv/agents/github":               "openbao://bao.example.com/kv/agents/github",
		"vault://bao.example.com/kv/agents/github":                 "openbao://bao.example.com/kv/agents/github",
		"openbao://[2001:DB8:0::1]:8200/kv/x":                      "openbao://[2001:db8::1]/kv/x",
		"openbao://bao.example.com:8200/kv/agents/github":          "openbao://bao.example.com/kv/agents/github",
	} {
		r, _, err := p.secret(alpha, id)
		if err != nil || r.String() != want {
			t.Errorf("%s: %s, %v", id, r, err)
			continue
		}
		if _, _, err := p.secret(beta, id); err == nil {
			t.Errorf("%s is allowed to another account", id)
		}
		if _, _, err := (&Prefixes{}).secret(alpha, id); err == nil {
			t.Errorf("%s is allowed without any prefix", id)
		}
		if _, _, err := (*Prefixes)(nil).secret(alpha, id); err == nil {
			t.Errorf("%s is allowed without a configuration", id)
		}
	}
}

// outside are references that come near a prefix of alpha's and are not below it.
var outside = []string{
	// siblings and parents
	"file:///run/ab/github", "file:///run/a", "file:///run/a/", "file:///run/b/github", "file:///run/", "file:///run/abc",
	"agents-prod/github", "agentsx", "agents", awsHome + "agents", awsHome + "agents/", awsHome + "agents-prod/x", awsHome + "one-AbCdEfg", awsHome + "one-AbCdEf/x", awsHome + "one",
	"openbao://bao.example.com/kv/agents", "openbao://bao.example.com/kv/agentsx/y", "openbao://bao.example.com/kv2/agents/x",
	// out by dots
	"file:///run/a/../b/github", "file:///run/a/./github", "file:///run/a/..", "file:///run/a//github", "file:////run/a/github",
	"file:///run/a/%2e%2e/b/github", "file:///run/a/%2E%2e/b/github", "file:///run/a/.%2e/b", "file:///run/a/%252e%252e/b/github", "file:///run/a/%25252e", "file:///run/a/%2fetc", "file:///run/a/..%2fb",
	"file:///run/a/%5c..%5cb", `file:///run/a/..\b`, "file:///run/a/x%00", "file:///run/a/x\x00", "file:///run/a/%0a", "file:///run/a/x%", "file:///run/a/%zz", "file:///run/a/x%25",
	"file:///run/a/\u202egithub", "file:///run/a/\xff", "file:///run/a/%ff", "file:///run/a/x?y", "file:///run/a/x#y", "file://localhost/run/a/x", "file:/run/a/x", "file://run/a/x", "/run/a/github", "run/a/github",
	"agents/../prod/key", "agents/./x", "agents//x", "agents/%2e%2e/x", "agents/x?y", "agents/x:y", "agents/x ",
	"gcp-secretmanager://projects/p/secrets/../../q/secrets/x", "openbao://bao.example.com/kv/agents/../../sys/x", "openbao://bao.example.com/kv/agents/%2e%2e/x",
	// case
	"file:///run/A/github", "file:///RUN/a/github", "Agents/github", "gcp-secretmanager://projects/P/secrets/x", "azurekeyvault://v.vault.azure.net/Secrets/x", "openbao://bao.example.com/KV/agents/x",
	strings.Replace(awsHome, "arn:", "ARN:", 1) + "agents/x", strings.Replace(awsHome, "eu-central-1", "EU-CENTRAL-1", 1) + "agents/x",
	// another region, account, partition, service
	strings.Replace(awsHome, "eu-central-1", "eu-west-1", 1) + "agents/x", strings.Replace(awsHome, "999900001111", "999900001112", 1) + "agents/x", strings.Replace(awsHome, "aws:", "aws-cn:", 1) + "agents/x",
	strings.Replace(awsHome, "eu-central-1", "eu-central-1.evil.example", 1) + "agents/x", strings.Replace(awsHome, "secretsmanager", "ssm", 1) + "agents/x", "arn:aws:secretsmanager:::secret:agents/x",
	// hosts
	"openbao://bao.example.com./kv/agents/x", "openbao://bao.example.com:8201/kv/agents/x", "openbao://user@bao.example.com/kv/agents/x", "openbao://bao.example.com@evil.example/kv/agents/x",
	"openbao://bao.example.com%2fkv/agents/x", "openbao://bao.example.com%00/kv/agents/x", "openbao://bao.example.com:/kv/agents/x", "openbao://bao.example.com:08200/kv/agents/x", "openbao://evil.example/kv/agents/x",
	`openbao://bao.example.com\@evil.example/kv/agents/x`, "openbao://bao.example.com?@evil.example/kv/agents/x", "openbao://bao.example.com#/kv/agents/x", "openbao:///kv/agents/x", "openbao://bao.example.com/kv/agents/x?tls=off",
	"openbao://bao。example.com/kv/agents/x", "openbao://ｂao.example.com/kv/agents/x",
	"openbao://[2001:db8::1]:8201/kv/x", "openbao://[2001:db8::1/kv/x", "openbao://[[2001:db8::1]]/kv/x", "openbao://[127.0.0.1]/kv/x", "openbao://[2001:db8::2]:8200/kv/x", "openbao://[2001:db8::1%25eth0]:8200/kv/x", "openbao://[2001:db8::1]:08200/kv/x", "openbao://2001:db8::1:8200/kv/x", "openbao://[::ffff:32.1.13.184]:8200/kv/x",
	"azurekeyvault://v.vault.azure.net.evil.example/secrets/x", "azurekeyvault://v.vault.azure.net:8443/secrets/x", "azurekeyvault://w.vault.azure.net/secrets/x",
	// other things than a secret
	"azurekeyvault://v.vault.azure.net/keys/x", "azurekeyvault://v.vault.azure.net/secrets/x/v/more", "gcp-secretmanager://projects/p/secrets/x/versions", "gcp-secretmanager://projects/p/secrets/x/version/1", "gcp-secretmanager://projects/p",
	"openbao://[2001:db8::1]:8200/kv/keys/x", "openbao://[2001:db8::1]:8200/kv", "", "://", "arn:", "http://v.vault.azure.net/secrets/x",
}

func TestSecretOutsidePrefix(t *testing.T) {
	p := secrets(t)
	for _, id := range outside {
		if r, _, err := p.secret(alpha, id); err == nil {
			t.Errorf("%q is allowed, as %s", id, r)
		}
	}
	if _, _, err := p.secret(alpha, "file:///run/a/"+strings.Repeat("x", maxReference)); err == nil {
		t.Error("an endless reference is allowed")
	}
}

// A name alone is looked for where the account's AWS secrets are; where that is nowhere or in two places, it is refused.
func TestSecretByName(t *testing.T) {
	other := strings.Replace(awsHome, "eu-central-1", "eu-west-1", 1)
	for want, values := range map[string][]string{
		"configured no prefix": {alpha + "=file:///run/a/"},
		"give its ARN":         {alpha + "=aws-secretsmanager://" + awsHome + ";identity=server", alpha + "=aws-secretsmanager://" + other + ";identity=server"},
	} {
		if _, _, err := mustPrefixes(t, values...).secret(alpha, "agents/github"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// The narrowest prefix decides as whom a cloud is asked.
func TestNarrowestPrefix(t *testing.T) {
	p := mustPrefixes(t,
		alpha+"=aws-secretsmanager://"+awsHome+";identity=profile:wide",
		alpha+"=aws-secretsmanager://"+awsHome+"agents/prod/;identity=profile:narrow",
		alpha+"=aws-secretsmanager://"+awsHome+"agents/;identity=profile:middle",
	)
	for id, want := range map[string]identity{"x": "profile:wide", "agents/x": "profile:middle", "agents/prod/x": "profile:narrow", "agents/prod": "profile:middle"} {
		if _, one, err := p.secret(alpha, id); err != nil || one.identity != want {
			t.Errorf("%s: %s, %v", id, one.identity, err)
		}
	}
}

// Keys are allowed below key prefixes only, in one spelling, and never as secrets.
func TestAllowKeys(t *testing.T) {
	const awsKeys = "awskms:///arn:aws:kms:eu-central-1:999900001111:key/"
	p := mustPrefixes(t,
		alpha+"="+awsKeys+";identity=server",
		alpha+"=gcpkms://projects/p/locations/global/keyRings/r/;identity=server",
		alpha+"=azurekeyvault://v.vault.azure.net/keys/;identity=server",
		alpha+"=openbao://bao.example.com/transit/keys/",
		alpha+"=openbao://127.0.0.1:4711/transit/keys/one?tls=off",
		alpha+"=openbao://bao.example.com/kv/",
	)
	good := []string{
		awsKeys + "0f0e0d0c-0b0a-0908-0706-050403020100",
		"gcpkms://projects/p/locations/global/keyRings/r/cryptoKeys/k",
		"gcpkms://projects/p/locations/global/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
		"azurekeyvault://v.vault.azure.net/keys/k",
		"openbao://bao.example.com/transit/keys/k",
		"openbao://127.0.0.1:4711/transit/keys/one?tls=off",
	}
	for _, uri := range good {
		if err := p.Allow(alpha, uri); err != nil {
			t.Errorf("%s: %v", uri, err)
		}
		if err := p.Allow(beta, uri); err == nil {
			t.Errorf("%s is allowed to another account", uri)
		}
		if err := (*Prefixes)(nil).Allow(alpha, uri); err == nil {
			t.Errorf("%s is allowed without a configuration", uri)
		}
		if _, _, err := p.secret(alpha, uri); err == nil {
			t.Errorf("%s is allowed as a secret", uri)
		}
	}
	for _, uri := range []string{
		awsKeys + "x/y", awsKeys, "awskms://arn:aws:kms:eu-central-1:999900001111:key/x", "awskms:///alias/x", "awskms:///arn:aws:kms:eu-central-1:999900001111:alias/x",
		awsKeys + "x?endpoint=http://evil.example", "openbao://bao.example.com/transit/keys/k?tls=off", "openbao://127.0.0.1:4711/transit/keys/one", "openbao://127.0.0.1:4711/transit/keys/two?tls=off",
		"openbao://bao.example.com/kv/keys/k", "openbao://bao.example.com/kv/agents/k", "openbao://bao.example.com/transit/keys/k/config", "openbao://bao.example.com/transit/keys/../k",
		"OPENBAO://bao.example.com/transit/keys/k", "openbao://bao.example.com:8200/transit/keys/k", "vault://bao.example.com/transit/keys/k", "openbao://BAO.example.com/transit/keys/k", "openbao://bao.example.com/transit/keys/%6b",
		"azurekeyvault://v.vault.azure.net/secrets/k", "gcpkms://projects/p/locations/global/keyRings/r/cryptoKeys", "gcpkms://projects/p/locations/global/keyRings/rr/cryptoKeys/k", "file:///run/key",
	} {
		if err := p.Allow(alpha, uri); err == nil {
			t.Errorf("%s is allowed", uri)
		}
	}
}

// Whatever is parsed has one spelling, which parses to itself, and a path that net/url and path.Clean leave as it is: no later reader makes something else of it.
func FuzzReference(f *testing.F) {
	p := secrets(f)
	for _, id := range outside {
		f.Add(id)
	}
	for _, seed := range []string{"file:///run/a/github", "agents/!", "agents/github", awsHome + "agents/x", "openbao://[2001:DB8::1]:8200/kv/x", "gcp-secretmanager://projects/p/secrets/x", "vault://bao.example.com/kv/agents/a%20b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		r, one, err := p.secret(alpha, id)
		if err != nil {
			return
		}
		canonical := r.String()
		if again, err := parse(canonical); err != nil || again.String() != canonical || !one.covers(again) {
			t.Fatalf("%q is read as %s, which is read as %s, %v", id, canonical, again, err)
		}
		joined := "/" + strings.Join(r.path, "/")
		if path.Clean(joined) != joined || strings.ContainsAny(joined, "%\\\x00") {
			t.Fatalf("%q has the path %q", id, joined)
		}
		if r.scheme == awsScheme {
			if !strings.HasPrefix(r.arn(), awsHome) {
				t.Fatalf("%q is %s", id, r.arn())
			}
			return
		}
		u, err := url.Parse(canonical)
		if err != nil {
			t.Fatalf("%q is read as %s: %v", id, canonical, err)
		}
		full := joined
		if r.scheme == gcpScheme {
			full = strings.TrimPrefix(joined, "/projects")
		}
		if u.Path != full || u.User != nil || u.Fragment != "" || u.RawQuery != "" {
			t.Fatalf("%q is read as %s, and by net/url as %q", id, canonical, u.Path)
		}
		allowed := map[string]string{"": "/run/a/", "projects": "/p/secrets/", "v.vault.azure.net": "/secrets/", "bao.example.com": "/kv/agents/", "[2001:db8::1]": "/kv/"}
		if below, ok := allowed[u.Host]; !ok || !strings.HasPrefix(u.Path, below) {
			t.Fatalf("%q is read as %s, which is below no prefix", id, canonical)
		}
		if a, err := netip.ParseAddr(u.Hostname()); err == nil && a != netip.MustParseAddr("2001:db8::1") {
			t.Fatalf("%q is at %s", id, a)
		}
	})
}
