package kms

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

// gcpKey is a key of Google Cloud KMS, by its REST API (v1). Six requests of it are all we need: the generated client would add 50 s to a build and 11 MB to
// the program.
type gcpKey struct {
	key     string // projects/…/cryptoKeys/K
	version string // /cryptoKeyVersions/N, or ""
	base    string
	http    *http.Client
	tokens  oauth2.TokenSource
}

func openGCP(_ context.Context, key, version string) (backend, error) {
	client := httpClient()
	// The token source keeps this context: it must outlive the call.
	forever := context.WithValue(context.Background(), oauth2.HTTPClient, client)
	c, err := google.FindDefaultCredentials(forever, "https://www.googleapis.com/auth/cloudkms")
	if err != nil {
		return nil, err
	}
	return &gcpKey{key, version, "https://cloudkms.googleapis.com/v1/", client, c.TokenSource}, nil
}

// gcpError is the form of every error of Google's APIs.
type gcpError struct {
	Code    int    `json:"code"`
	Status  string `json:"status"`
	Message string `json:"message"`
}

func (e *gcpError) Error() string {
	return fmt.Sprintf("gcpkms: %s: %.300q", e.Status, e.Message)
}

func (e *gcpError) Unwrap() error {
	if slices.Contains([]string{"FAILED_PRECONDITION", "NOT_FOUND", "PERMISSION_DENIED", "INVALID_ARGUMENT"}, e.Status) {
		return ErrRefused
	}
	return nil
}

func (k *gcpKey) do(ctx context.Context, method, path string, in, out any) error {
	token, err := k.tokens.Token()
	if err != nil {
		return fmt.Errorf("gcpkms: credentials: %w", err)
	}
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, k.base+path, body)
	if err != nil {
		return err
	}
	token.SetAuthHeader(req)
	req.Header.Set("Content-Type", "application/json")
	resp, err := k.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		var answer struct {
			Error *gcpError `json:"error"`
		}
		if json.Unmarshal(text, &answer) == nil && answer.Error != nil && answer.Error.Code == resp.StatusCode {
			return answer.Error
		}
		return fmt.Errorf("gcpkms: answered with status %d, not in the form of its errors", resp.StatusCode)
	}
	if json.Unmarshal(text, out) != nil {
		return errors.New("gcpkms: the answer is not of the documented form")
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func crc32c(data []byte) int64 { return int64(crc32.Checksum(data, castagnoli)) }

// errGarbled: the checksums by which both sides tell whether what was sent is what arrived differ.
var errGarbled = errors.New("the request or the answer was damaged on its way to Google Cloud KMS")

type gcpText struct {
	Plaintext     []byte `json:"plaintext,omitempty"`
	PlaintextCRC  int64  `json:"plaintextCrc32c,omitempty,string"`
	Ciphertext    []byte `json:"ciphertext,omitempty"`
	CiphertextCRC int64  `json:"ciphertextCrc32c,omitempty,string"`
	Bound         []byte `json:"additionalAuthenticatedData,omitempty"`
	BoundCRC      int64  `json:"additionalAuthenticatedDataCrc32c,omitempty,string"`
	VerifiedText  bool   `json:"verifiedPlaintextCrc32c,omitempty"`
	VerifiedBound bool   `json:"verifiedAdditionalAuthenticatedDataCrc32c,omitempty"`
}

func (k *gcpKey) wrap(ctx context.Context, plaintext, bound []byte) ([]byte, error) {
	var out gcpText
	in := gcpText{Plaintext: plaintext, PlaintextCRC: crc32c(plaintext), Bound: bound, BoundCRC: crc32c(bound)}
	if err := k.do(ctx, http.MethodPost, k.key+k.version+":encrypt", in, &out); err != nil {
		return nil, err
	}
	if out.CiphertextCRC != crc32c(out.Ciphertext) || len(plaintext) > 0 && !out.VerifiedText || len(bound) > 0 && !out.VerifiedBound {
		return nil, errGarbled
	}
	return out.Ciphertext, nil
}

func (k *gcpKey) unwrap(ctx context.Context, sealed, bound []byte) ([]byte, error) {
	var out gcpText
	in := gcpText{Ciphertext: sealed, CiphertextCRC: crc32c(sealed), Bound: bound, BoundCRC: crc32c(bound)}
	if err := k.do(ctx, http.MethodPost, k.key+":decrypt", in, &out); err != nil {
		return nil, err
	}
	if out.PlaintextCRC != crc32c(out.Plaintext) {
		return nil, errGarbled
	}
	return out.Plaintext, nil
}

// gcpAlgs are the algorithms of keys that sign: each makes one kind of signature.
var gcpAlgs = map[string]struct {
	spec Spec
	alg  string
}{
	"RSA_SIGN_PKCS1_2048_SHA256": {RSA2048, "RS256"}, "RSA_SIGN_PKCS1_3072_SHA256": {RSA3072, "RS256"}, "RSA_SIGN_PKCS1_4096_SHA256": {RSA4096, "RS256"},
	"RSA_SIGN_PSS_2048_SHA256": {RSA2048, "PS256"}, "RSA_SIGN_PSS_3072_SHA256": {RSA3072, "PS256"}, "RSA_SIGN_PSS_4096_SHA256": {RSA4096, "PS256"},
	"EC_SIGN_P256_SHA256": {P256, "ES256"},
}

func (k *gcpKey) sign(ctx context.Context, alg string, message []byte) ([]byte, error) {
	var version gcpVersion
	if err := k.do(ctx, http.MethodGet, k.key+k.version, nil, &version); err != nil {
		return nil, err
	}
	if can := gcpAlgs[version.Algorithm].alg; can != alg {
		return nil, refuse("it is of algorithm %s, which does not sign %s", version.Algorithm, alg)
	}
	sum := sha256.Sum256(message)
	in := map[string]any{"digest": map[string][]byte{"sha256": sum[:]}, "digestCrc32c": fmt.Sprint(crc32c(sum[:]))}
	var out struct {
		Signature []byte `json:"signature"`
		CRC       int64  `json:"signatureCrc32c,string"`
		Verified  bool   `json:"verifiedDigestCrc32c"`
	}
	if err := k.do(ctx, http.MethodPost, k.key+k.version+":asymmetricSign", in, &out); err != nil {
		return nil, err
	}
	if !out.Verified || out.CRC != crc32c(out.Signature) {
		return nil, errGarbled
	}
	if alg == "ES256" {
		return joseForm(out.Signature)
	}
	return out.Signature, nil
}

func (k *gcpKey) public(ctx context.Context) (crypto.PublicKey, error) {
	var out struct {
		PEM string `json:"pem"`
		CRC int64  `json:"pemCrc32c,string"`
	}
	if err := k.do(ctx, http.MethodGet, k.key+k.version+"/publicKey", nil, &out); err != nil {
		return nil, err
	}
	if out.CRC != crc32c([]byte(out.PEM)) {
		return nil, errGarbled
	}
	return parsePEM(out.PEM)
}

type gcpVersion struct {
	State     string `json:"state"`
	Algorithm string `json:"algorithm"`
}

// state of a key without version is that of the version which wraps; but deleted it is only when all its versions are, since each may have wrapped something.
func (k *gcpKey) state(ctx context.Context) (State, error) {
	if k.version != "" {
		var v gcpVersion
		if err := k.do(ctx, http.MethodGet, k.key+k.version, nil, &v); err != nil {
			return "", err
		}
		return gcpState(v.State)
	}
	var key struct {
		Primary *gcpVersion `json:"primary"`
	}
	if err := k.do(ctx, http.MethodGet, k.key, nil, &key); err != nil {
		return "", err
	}
	if key.Primary != nil {
		if s, err := gcpState(key.Primary.State); err != nil || s == Enabled || s == Disabled {
			return s, err
		}
	}
	states := map[State]int{}
	for page := ""; ; {
		var out struct {
			Versions []gcpVersion `json:"cryptoKeyVersions"`
			Next     string       `json:"nextPageToken"`
		}
		if err := k.do(ctx, http.MethodGet, k.key+"/cryptoKeyVersions?pageSize=1000&pageToken="+url.QueryEscape(page), nil, &out); err != nil {
			return "", err
		}
		for _, v := range out.Versions {
			s, err := gcpState(v.State)
			if err != nil {
				return "", err
			}
			states[s]++
		}
		if page = out.Next; page == "" {
			break
		}
	}
	switch {
	case states[Enabled]+states[Disabled] > 0: // but none of them wraps
		return Disabled, nil
	case states[PendingDeletion] > 0:
		return PendingDeletion, nil
	case states[Deleted] > 0:
		return Deleted, nil
	}
	return "", errors.New("gcpkms: says that it has no versions")
}

func gcpState(s string) (State, error) {
	switch s {
	case "ENABLED":
		return Enabled, nil
	case "DISABLED":
		return Disabled, nil
	case "DESTROY_SCHEDULED":
		return PendingDeletion, nil
	case "DESTROYED":
		return Deleted, nil
	}
	return "", fmt.Errorf("gcpkms: says that it is %.100q", s)
}

func (k *gcpKey) spec(ctx context.Context) (Spec, error) {
	var key struct {
		Purpose string `json:"purpose"`
	}
	if err := k.do(ctx, http.MethodGet, k.key, nil, &key); err != nil {
		return "", err
	}
	switch key.Purpose {
	case "ENCRYPT_DECRYPT":
		return Symmetric, nil
	case "ASYMMETRIC_SIGN":
		if k.version == "" {
			return "", refuse("a signing key of Google Cloud KMS needs its version: append /cryptoKeyVersions/N")
		}
		var v gcpVersion
		if err := k.do(ctx, http.MethodGet, k.key+k.version, nil, &v); err != nil {
			return "", err
		}
		if a, ok := gcpAlgs[v.Algorithm]; ok {
			return a.spec, nil
		}
		known := make([]string, 0, len(gcpAlgs))
		for name := range gcpAlgs {
			known = append(known, name)
		}
		slices.Sort(known)
		return "", refuse("it is of algorithm %s; supported are %s", v.Algorithm, strings.Join(known, ", "))
	}
	return "", refuse("it is of purpose %s; supported are ENCRYPT_DECRYPT and ASYMMETRIC_SIGN", key.Purpose)
}
