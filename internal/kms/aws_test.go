package kms

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// awsService answers as the public API reference of AWS KMS and AWS STS says (no emulator of KMS could be had as a Go module). It is not AWS.
type awsService struct {
	mu      sync.Mutex
	account string
	keys    map[string]*awsTestKey
	answer  func(w http.ResponseWriter, action string) bool // instead of its own
}

type awsTestKey struct {
	spec, usage, state string
	signer             crypto.Signer
	secret             []byte
}

const awsARN = "arn:aws:kms:eu-west-1:111122223333:key/"

func newAWS(t *testing.T) *awsService {
	s := &awsService{account: "111122223333", keys: map[string]*awsTestKey{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	return s
}

func (s *awsService) create(t *testing.T, spec Spec) Key {
	t.Helper()
	k := &awsTestKey{string(spec), "SIGN_VERIFY", "Enabled", nil, make([]byte, 32)}
	if spec == Symmetric {
		k.usage = "ENCRYPT_DECRYPT"
		_, _ = rand.Read(k.secret)
	} else {
		k.signer = keyPair[spec]()
	}
	s.mu.Lock()
	arn := awsARN + fmt.Sprint("key-", len(s.keys))
	s.keys[arn] = k
	s.mu.Unlock()
	key, err := Open(t.Context(), "awskms:///"+arn, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func awsFail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("X-Amzn-Errortype", code)
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"__type":%q,"message":"says the service"}`, code)
}

func (s *awsService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "TrentService.")
	if form, _ := url.ParseQuery(string(body)); action == "" {
		action = form.Get("Action")
	}
	if s.answer != nil && s.answer(w, action) {
		return
	}
	if action == "GetCallerIdentity" {
		fmt.Fprintf(w, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Account>%s</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`, s.account)
		return
	}
	if !strings.Contains(r.Header.Get("Authorization"), "/eu-west-1/kms/aws4_request") {
		awsFail(w, 400, "InvalidSignatureException")
		return
	}
	var in struct {
		KeyID             string `json:"KeyId"`
		Plaintext         []byte
		CiphertextBlob    []byte
		EncryptionContext map[string]string
		Message           []byte
		MessageType       string
		SigningAlgorithm  string
	}
	if err := json.Unmarshal(body, &in); err != nil {
		awsFail(w, 400, "SerializationException")
		return
	}
	k := s.keys[in.KeyID]
	switch {
	case k == nil:
		awsFail(w, 400, "NotFoundException")
		return
	case action == "DescribeKey":
		s.write(w, map[string]any{"KeyMetadata": map[string]any{"Arn": in.KeyID, "KeyId": in.KeyID[len(awsARN):], "KeySpec": k.spec, "KeyUsage": k.usage, "KeyState": k.state}})
		return
	case k.state == "Disabled":
		awsFail(w, 400, "DisabledException")
		return
	case k.state != "Enabled":
		awsFail(w, 400, "KMSInvalidStateException")
		return
	}
	// A ciphertext of KMS names its key.
	id, _ := json.Marshal([]any{in.KeyID, in.EncryptionContext})
	aead, _ := seal(append([]byte(nil), k.secret...))
	switch action {
	case "Encrypt":
		s.write(w, map[string]any{"KeyId": in.KeyID, "CiphertextBlob": aead.Seal(nil, nil, in.Plaintext, id)})
	case "Decrypt":
		plaintext, err := aead.Open(nil, nil, in.CiphertextBlob, id)
		if err != nil {
			awsFail(w, 400, "InvalidCiphertextException")
			return
		}
		s.write(w, map[string]any{"KeyId": in.KeyID, "Plaintext": plaintext})
	case "Sign":
		alg := map[string]string{"RSASSA_PKCS1_V1_5_SHA_256": "RS256", "RSASSA_PSS_SHA_256": "PS256", "ECDSA_SHA_256": "ES256"}[in.SigningAlgorithm]
		if in.MessageType != "DIGEST" || len(in.Message) != 32 || (k.spec == "ECC_NIST_P256") != (alg == "ES256") {
			awsFail(w, 400, "ValidationException")
			return
		}
		s.write(w, map[string]any{"KeyId": in.KeyID, "Signature": signWith(k.signer, alg, in.Message)})
	case "GetPublicKey":
		der, _ := x509.MarshalPKIXPublicKey(k.signer.Public())
		s.write(w, map[string]any{"KeyId": in.KeyID, "PublicKey": der})
	default:
		awsFail(w, 400, "UnknownOperationException")
	}
}

func (s *awsService) write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(v)
}

func TestAWS(t *testing.T) {
	s := newAWS(t)
	contract(t, s.create, "RS256", "PS256")
}

func TestAWSStates(t *testing.T) {
	s := newAWS(t)
	k := s.create(t, Symmetric)
	arn := strings.TrimPrefix(k.(*guarded).name, "awskms:///")
	sealed, err := k.Wrap(t.Context(), []byte("p"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for state, want := range map[string]State{"Disabled": Disabled, "PendingDeletion": PendingDeletion, "PendingReplicaDeletion": PendingDeletion} {
		s.keys[arn].state = state
		if got, err := k.State(t.Context()); got != want || err != nil {
			t.Errorf("%s: %s, %v", state, got, err)
		}
		if _, err := k.Unwrap(t.Context(), sealed, nil); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: unwrap: %v", state, err)
		}
	}
	for _, state := range []string{"Creating", "PendingImport", "Unavailable", "", "Odd"} {
		s.keys[arn].state = state
		if got, err := k.State(t.Context()); err == nil {
			t.Errorf("%s: %s", state, got)
		}
	}
	keys := maps.Clone(s.keys)
	clear(s.keys)
	// A key that is gone opens, for asking what became of it.
	gone, err := Open(t.Context(), "awskms:///"+arn, Options{Spec: Symmetric})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := gone.State(t.Context()); got != Deleted || err != nil {
		t.Errorf("deleted: %s, %v", got, err)
	}
	if _, err := Open(t.Context(), "awskms:///"+arn, Options{}); !errors.Is(err, ErrRefused) {
		t.Errorf("a deleted key of unknown kind opens: %v", err)
	}
	s.account = "444455556666"
	if got, err := gone.State(t.Context()); err == nil || !strings.Contains(err.Error(), "444455556666") {
		t.Errorf("credentials of another account: %s, %v", got, err)
	}
	s.account, s.keys = "111122223333", keys
	s.keys[arn].state = "Enabled"

	// Nothing but DescribeKey's own NotFoundException says deleted.
	for _, code := range []string{"AccessDeniedException", "KMSInvalidStateException", "ValidationException", "InvalidArnException"} {
		s.answer = func(w http.ResponseWriter, _ string) bool { awsFail(w, 400, code); return true }
		if got, err := k.State(t.Context()); err == nil {
			t.Errorf("%s: %s", code, got)
		}
		if _, err := k.Unwrap(t.Context(), sealed, nil); !errors.Is(err, ErrRefused) {
			t.Errorf("%s is no refusal: %v", code, err)
		}
	}
	clear(s.keys)
	s.answer = func(w http.ResponseWriter, action string) bool {
		if action == "GetCallerIdentity" {
			awsFail(w, 403, "AccessDenied")
		}
		return action == "GetCallerIdentity"
	}
	if got, err := k.State(t.Context()); err == nil {
		t.Errorf("not found, but in an unknown account: %s", got)
	}
}

func TestAWSOutages(t *testing.T) {
	s := newAWS(t)
	k := s.create(t, Symmetric)
	arn := strings.TrimPrefix(k.(*guarded).name, "awskms:///")
	for name, answer := range map[string]func(w http.ResponseWriter){
		"throttled":   func(w http.ResponseWriter) { awsFail(w, 400, "ThrottlingException") },
		"internal":    func(w http.ResponseWriter) { awsFail(w, 500, "KMSInternalException") },
		"unavailable": func(w http.ResponseWriter) { awsFail(w, 500, "KeyUnavailableException") },
		"dependency":  func(w http.ResponseWriter) { awsFail(w, 503, "DependencyTimeoutException") },
		"old token":   func(w http.ResponseWriter) { awsFail(w, 400, "ExpiredTokenException") },
		"wrong clock": func(w http.ResponseWriter) { awsFail(w, 400, "InvalidSignatureException") },
		"proxy's 404": func(w http.ResponseWriter) { http.Error(w, "<h1>no such page</h1>", 404) },
		"not JSON":    func(w http.ResponseWriter) { fmt.Fprint(w, "hello") },
		"too large": func(w http.ResponseWriter) {
			fmt.Fprintf(w, `{"KeyMetadata":{"Arn":%q,"KeyState":"Enabled","Description":%q}}`, arn, strings.Repeat("x", maxBody))
		},
		"proxy's JSON": func(w http.ResponseWriter) { w.WriteHeader(403); fmt.Fprint(w, `{"message":"no"}`) },
		"another's": func(w http.ResponseWriter) {
			fmt.Fprint(w, `{"KeyMetadata":{"Arn":"arn:aws:kms:eu-west-1:111122223333:key/other","KeyState":"Enabled"}}`)
		},
		"empty answer": func(w http.ResponseWriter) {},
	} {
		s.answer = func(w http.ResponseWriter, _ string) bool { answer(w); return true }
		if got, err := k.State(t.Context()); err == nil || errors.Is(err, ErrRefused) {
			t.Errorf("%s: %q, %v; want an outage", name, got, err)
		}
	}
	s.answer = nil
	t.Setenv("AWS_ENDPOINT_URL", "http://"+nobody(t))
	k, err := Open(t.Context(), k.(*guarded).name, Options{Spec: Symmetric})
	if err != nil {
		t.Fatal(err)
	}
	outage(t, "nobody listens", k)
}

func TestAWSOtherKinds(t *testing.T) {
	s := newAWS(t)
	for spec, usage := range map[string]string{"HMAC_256": "GENERATE_VERIFY_MAC", "ECC_SECG_P256K1": "SIGN_VERIFY", "RSA_2048": "ENCRYPT_DECRYPT", "ECC_NIST_P256": "KEY_AGREEMENT"} {
		s.keys[awsARN+"a"] = &awsTestKey{spec: spec, usage: usage, state: "Enabled"}
		if _, err := Open(t.Context(), "awskms:///"+awsARN+"a", Options{}); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), usage) {
			t.Errorf("%s for %s opens: %v", spec, usage, err)
		}
	}
}
