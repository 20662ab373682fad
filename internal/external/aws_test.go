package external

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"credence/internal/fault"
)

// documentedAWS answers GetSecretValue as the public API reference of AWS Secrets Manager says. It is not AWS: nothing here was ever run against the real service.
type documentedAWS struct {
	*httptest.Server
	mu      sync.Mutex
	secrets map[string]string // by ARN; a text, or an exception's name after !
	answer  string            // ARN that every answer gives, in place of the found one
	asked   []string          // access key id and SecretId of each request
}

func newAWS(t *testing.T, secrets map[string]string) *documentedAWS {
	d := &documentedAWS{secrets: secrets}
	d.Server = httptest.NewServer(d)
	t.Cleanup(d.Close)
	return d
}

func (d *documentedAWS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var in struct{ SecretId string }
	if r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue" || json.NewDecoder(r.Body).Decode(&in) != nil {
		http.Error(w, "", http.StatusBadRequest)
		return
	}
	_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	key, _, _ := strings.Cut(scope, "/")
	d.asked = append(d.asked, key+" "+in.SecretId)
	found, value := in.SecretId, ""
	for arn, text := range d.secrets {
		if arn == in.SecretId || strings.HasPrefix(arn, in.SecretId+"-") && len(arn) == len(in.SecretId)+7 {
			found, value = arn, text
		}
	}
	if value == "" {
		value = "!400 ResourceNotFoundException"
	}
	if d.answer != "" {
		found = d.answer
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if no, ok := strings.CutPrefix(value, "!"); ok {
		var status int
		var name string
		fmt.Sscan(no, &status, &name)
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"__type":%q,"Message":"no"}`, name)
		return
	}
	member := fmt.Sprintf(`"SecretString":%q`, value)
	if binary, ok := strings.CutPrefix(value, "binary "); ok {
		member = fmt.Sprintf(`"SecretBinary":%q`, base64.StdEncoding.EncodeToString([]byte(binary)))
	}
	if strings.HasPrefix(value, "garbage") {
		fmt.Fprintf(w, `{"ARN":[%q]}`, value)
		return
	}
	fmt.Fprintf(w, `{"ARN":%q,"Name":"x","VersionId":"v",%s}`, found, member)
}

func (d *documentedAWS) seen() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	seen := strings.Join(d.asked, ", ")
	d.asked = nil
	return seen
}

// awsFiles gives the process an identity in its environment and profiles in files.
func awsFiles(t *testing.T, config string) {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(dir+"/config", []byte(config), 0o600))
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE": dir + "/config", "AWS_SHARED_CREDENTIALS_FILE": dir + "/none", "AWS_ACCESS_KEY_ID": "AKIASERVER", "AWS_SECRET_ACCESS_KEY": "s",
		"AWS_PROFILE": "", "AWS_SESSION_TOKEN": "", "AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL": "",
	} {
		t.Setenv(name, value)
	}
}

func TestAWS(t *testing.T) {
	awsFiles(t, "")
	d := newAWS(t, map[string]string{
		awsHome + "agents/github-AbCdEf": `{"client_secret":"` + planted + `"}`,
		awsHome + "agents/binary-AbCdEf": `binary {"k":"` + planted + `"}`,
		awsHome + "agents/text-AbCdEf":   planted,
		awsHome + "agents/denied":        "!400 AccessDeniedException",
		awsHome + "agents/deleted":       "!400 InvalidRequestException",
		awsHome + "agents/encrypted":     "!400 DecryptionFailure",
		awsHome + "agents/busy":          "!400 ThrottlingException",
		awsHome + "agents/down":          "!500 InternalServiceError",
		awsHome + "agents/garbage":       "garbage " + planted,
	})
	r := New(mustPrefixes(t, alpha+"=aws-secretsmanager://"+awsHome+"agents/;identity=server;endpoint="+d.URL))
	wantSecret(t, r, "agents/github", "client_secret", planted)
	wantSecret(t, r, awsHome+"agents/github-AbCdEf", "client_secret", planted)
	wantSecret(t, r, "agents/binary", "k", planted)
	if got, want := d.seen(), "AKIASERVER "+awsHome+"agents/github, AKIASERVER "+awsHome+"agents/github-AbCdEf, AKIASERVER "+awsHome+"agents/binary"; got != want {
		t.Errorf("it asked for %s", got)
	}
	for name, test := range map[string]struct {
		kind fault.Kind
		says string
	}{
		"none":      {fault.AccessDenied, "does not exist"},
		"text":      {fault.AccessDenied, "no JSON object"},
		"denied":    {fault.AccessDenied, "refuses it with AccessDeniedException"},
		"deleted":   {fault.AccessDenied, "InvalidRequestException"},
		"encrypted": {fault.AccessDenied, "DecryptionFailure"},
		"busy":      {fault.Throttled, "AWS Secrets Manager does not answer"},
		"down":      {fault.Throttled, "AWS Secrets Manager does not answer"},
		"garbage":   {fault.Throttled, "AWS Secrets Manager does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := r.Resolve(t.Context(), alpha, "agents/"+name, "k")
			wantFault(t, err, test.kind, `"agents/`+name+`"`, test.says)
		})
	}
}

// An answer for another secret than the allowed one is not used.
func TestAWSAnswersWithAnother(t *testing.T) {
	awsFiles(t, "")
	for _, answer := range []string{awsHome + "agents/github2-AbCdEf", awsHome + "agents/github-x-AbCdE", awsHome + "prod/github-AbCdEf", awsHome + "agents/github-Ab/def"} {
		d := newAWS(t, map[string]string{awsHome + "agents/github": `{"k":"` + planted + `"}`})
		d.answer = answer
		_, err := New(mustPrefixes(t, alpha+"=aws-secretsmanager://"+awsHome+"agents/;identity=server;endpoint="+d.URL)).Resolve(t.Context(), alpha, "agents/github", "k")
		wantFault(t, err, fault.AccessDenied, "another secret")
	}
}

// The process's own identity is used for a prefix configured so, and for no other: not even when the profile of another turns out to be empty.
func TestAWSIdentity(t *testing.T) {
	awsFiles(t, `
[profile reader]
aws_access_key_id = AKIAREADER
aws_secret_access_key = s
[profile empty]
region = eu-central-1
[profile role-of-nobody]
role_arn = arn:aws:iam::999900001111:role/r
source_profile = empty
[profile role-of-reader]
role_arn = arn:aws:iam::999900001111:role/r
source_profile = reader
`)
	d := newAWS(t, map[string]string{awsHome + "a/x": `{"k":"v"}`, awsHome + "b/x": `{"k":"v"}`, awsHome + "c/x": `{"k":"v"}`, awsHome + "d/x": `{"k":"v"}`, awsHome + "e/x": `{"k":"v"}`})
	value := func(folder, identity string) string {
		return alpha + "=aws-secretsmanager://" + awsHome + folder + "/;identity=" + identity + ";endpoint=" + d.URL
	}
	r := New(mustPrefixes(t, value("a", "server"), value("b", "profile:reader"), value("c", "profile:empty"), value("d", "profile:none"), value("e", "profile:role-of-nobody")))
	wantSecret(t, r, "a/x", "k", "v")
	wantSecret(t, r, "b/x", "k", "v")
	if got, want := d.seen(), "AKIASERVER "+awsHome+"a/x, AKIAREADER "+awsHome+"b/x"; got != want {
		t.Errorf("it asked as %s", got)
	}
	for folder, identity := range map[string]string{"c": "profile:empty", "d": "profile:none", "e": "profile:role-of-nobody"} {
		_, err := r.Resolve(t.Context(), alpha, folder+"/x", "k")
		wantFault(t, err, fault.AccessDenied, "has no identity "+identity)
	}
	if got := d.seen(); got != "" {
		t.Errorf("it asked all the same, as %s", got)
	}
	if _, err := (&awsBackend{}).client(t.Context(), awsClient{region: "eu-central-1", identity: "profile:role-of-reader"}); err != nil {
		t.Errorf("a role that a profile with credentials assumes: %v", err)
	}
}

// References that lead out of the prefix are refused before the server hears of them.
func TestAWSHearsOfNothingOutside(t *testing.T) {
	awsFiles(t, "")
	d := newAWS(t, nil)
	r := New(mustPrefixes(t, alpha+"=aws-secretsmanager://"+awsHome+"agents/;identity=server;endpoint="+d.URL, beta+"=file:///run/b/"))
	for _, id := range append(outside, "one", "prod/key", "agents") {
		_, err := r.Resolve(t.Context(), alpha, id, "k")
		wantFault(t, err, fault.AccessDenied)
	}
	_, err := r.Resolve(t.Context(), beta, awsHome+"agents/x", "k")
	wantFault(t, err, fault.AccessDenied)
	if got := d.seen(); got != "" {
		t.Errorf("it was asked for %s", got)
	}
}
