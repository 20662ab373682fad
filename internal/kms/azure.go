package kms

import (
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
)

// azureKey is a key of Azure Key Vault.
type azureKey struct {
	name, version string // version "" is the newest
	api           *azkeys.Client
}

func openAzure(host, name, version string) (backend, error) {
	o := azcore.ClientOptions{Transport: httpClient()}
	credential, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: o})
	if err != nil {
		return nil, err
	}
	return newAzure(host, name, version, credential, o)
}

func newAzure(host, name, version string, credential azcore.TokenCredential, o azcore.ClientOptions) (backend, error) {
	api, err := azkeys.NewClient("https://"+host, credential, &azkeys.ClientOptions{ClientOptions: o})
	if err != nil {
		return nil, err
	}
	return &azureKey{name, version, api}, nil
}

// envelope is what wrap makes. Key Vault has only RSA keys, and what RSA encrypts anybody can make who knows the public key: so the key also signs it.
type envelope struct {
	Version   string `json:"v"`   // of the key
	Key       []byte `json:"key"` // of AES-256-GCM, by RSA-OAEP
	Text      []byte `json:"text"`
	Signature []byte `json:"sig"` // PS256, of all the others and bound
}

func (e envelope) digest(bound []byte) []byte {
	h := sha256.New()
	for _, part := range [][]byte{[]byte("credence:envelope:1"), []byte(e.Version), e.Key, e.Text, bound} {
		sum := sha256.Sum256(part)
		h.Write(sum[:])
	}
	return h.Sum(nil)
}

func seal(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (k *azureKey) wrap(ctx context.Context, plaintext, bound []byte) ([]byte, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	aead, err := seal(key)
	if err != nil {
		return nil, err
	}
	alg := azkeys.EncryptionAlgorithmRSAOAEP256
	wrapped, err := k.api.WrapKey(ctx, k.name, k.version, azkeys.KeyOperationParameters{Algorithm: &alg, Value: key}, nil)
	if err != nil {
		return nil, azureError(err)
	}
	if wrapped.KID == nil || wrapped.KID.Version() == "" {
		return nil, errors.New("azurekeyvault: does not say which version of the key wrapped")
	}
	e := envelope{Version: wrapped.KID.Version(), Key: wrapped.Result, Text: aead.Seal(nil, nil, plaintext, bound)}
	if e.Signature, err = k.signDigest(ctx, e.Version, azkeys.SignatureAlgorithmPS256, e.digest(bound)); err != nil {
		return nil, err
	}
	return json.Marshal(e)
}

func (k *azureKey) unwrap(ctx context.Context, sealed, bound []byte) ([]byte, error) {
	var e envelope
	if json.Unmarshal(sealed, &e) != nil || e.Version == "" {
		return nil, refuse("what it should unwrap was not wrapped by it")
	}
	public, err := k.get(ctx, e.Version)
	if err != nil {
		return nil, err
	}
	signer, ok := public.(*rsa.PublicKey)
	if !ok || rsa.VerifyPSS(signer, crypto.SHA256, e.digest(bound), e.Signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) != nil {
		return nil, refuse("what it should unwrap was not wrapped by it, or for something else")
	}
	alg := azkeys.EncryptionAlgorithmRSAOAEP256
	key, err := k.api.UnwrapKey(ctx, k.name, e.Version, azkeys.KeyOperationParameters{Algorithm: &alg, Value: e.Key}, nil)
	if err != nil {
		return nil, azureError(err)
	}
	aead, err := seal(key.Result)
	if err != nil {
		return nil, refuse("what it unwrapped is no key")
	}
	plaintext, err := aead.Open(nil, nil, e.Text, bound)
	if err != nil {
		return nil, refuse("what it should unwrap was not wrapped by it, or for something else")
	}
	return plaintext, nil
}

func (k *azureKey) sign(ctx context.Context, alg string, message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	return k.signDigest(ctx, k.version, azkeys.SignatureAlgorithm(alg), sum[:]) // both have JWS's names, and its form of ES256
}

func (k *azureKey) signDigest(ctx context.Context, version string, alg azkeys.SignatureAlgorithm, digest []byte) ([]byte, error) {
	out, err := k.api.Sign(ctx, k.name, version, azkeys.SignParameters{Algorithm: &alg, Value: digest}, nil)
	if err != nil {
		return nil, azureError(err)
	}
	return out.Result, nil
}

func (k *azureKey) public(ctx context.Context) (crypto.PublicKey, error) {
	return k.get(ctx, k.version)
}

func (k *azureKey) get(ctx context.Context, version string) (crypto.PublicKey, error) {
	out, err := k.api.GetKey(ctx, k.name, version, nil)
	if err != nil {
		return nil, azureError(err)
	}
	j := out.Key
	if j == nil || j.Kty == nil {
		return nil, errors.New("azurekeyvault: the answer holds no key")
	}
	switch *j.Kty {
	case azkeys.KeyTypeRSA, azkeys.KeyTypeRSAHSM:
		if e := new(big.Int).SetBytes(j.E); e.IsInt64() && e.Int64() > 1 && e.Int64() < 1<<31 {
			return &rsa.PublicKey{N: new(big.Int).SetBytes(j.N), E: int(e.Int64())}, nil
		}
	case azkeys.KeyTypeEC, azkeys.KeyTypeECHSM:
		if j.Crv == nil || *j.Crv != azkeys.CurveNameP256 {
			return nil, refuse("it is not on the curve P-256")
		}
		if len(j.X) <= 32 && len(j.Y) <= 32 {
			point := make([]byte, 65)
			point[0] = 4
			copy(point[33-len(j.X):], j.X)
			copy(point[65-len(j.Y):], j.Y)
			return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		}
	default:
		return nil, refuse("it is of type %s; supported are RSA and EC", *j.Kty)
	}
	return nil, errors.New("azurekeyvault: the public key in the answer is damaged")
}

// state says Deleted when the vault itself finds the key neither among its keys nor among the deleted ones that can be recovered.
func (k *azureKey) state(ctx context.Context) (State, error) {
	out, err := k.api.GetKey(ctx, k.name, k.version, nil)
	if err == nil {
		if out.Attributes == nil || out.Attributes.Enabled == nil {
			return "", errors.New("azurekeyvault: does not say whether it is enabled")
		}
		if !*out.Attributes.Enabled {
			return Disabled, nil
		}
		return Enabled, nil
	}
	if keyDisabled(err) {
		return Disabled, nil
	}
	if !keyNotFound(err) {
		return "", azureError(err)
	}
	if k.version != "" { // versions go with their key
		if _, err := k.api.GetKey(ctx, k.name, "", nil); err == nil {
			return "", fmt.Errorf("azurekeyvault: has the key, but not its version %s", k.version)
		} else if !keyNotFound(err) {
			return "", azureError(err)
		}
	}
	if _, err = k.api.GetDeletedKey(ctx, k.name, nil); err == nil {
		return PendingDeletion, nil
	} else if !keyNotFound(err) {
		return "", fmt.Errorf("the deleted keys, which tell whether it is purged: %w", azureError(err))
	}
	// It may have been recovered between the two questions.
	if _, err = k.api.GetKey(ctx, k.name, k.version, nil); !keyNotFound(err) {
		return "", errors.New("azurekeyvault: contradicts itself: ask again")
	}
	return Deleted, nil
}

func (k *azureKey) spec(ctx context.Context) (Spec, error) {
	public, err := k.get(ctx, k.version)
	if err != nil {
		return "", err
	}
	return specOf(public)
}

func keyNotFound(err error) bool {
	answer, ok := errors.AsType[*azcore.ResponseError](err)
	return ok && answer.StatusCode == http.StatusNotFound && answer.ErrorCode == "KeyNotFound"
}

// keyDisabled is a refusal whose only reason is that.
func keyDisabled(err error) bool {
	answer, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok || answer.StatusCode != http.StatusForbidden {
		return false
	}
	text, err := runtime.Payload(answer.RawResponse)
	var body struct {
		Error struct {
			Inner struct {
				Code string `json:"code"`
			} `json:"innererror"`
		} `json:"error"`
	}
	return err == nil && json.Unmarshal(text, &body) == nil && body.Error.Inner.Code == "KeyDisabled"
}

func azureError(err error) error {
	answer, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok || answer.ErrorCode == "" {
		return err
	}
	// The SDK's text is a page with the whole answer.
	short := fmt.Errorf("azurekeyvault: status %d, %.100q", answer.StatusCode, answer.ErrorCode)
	switch answer.StatusCode {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict:
		return fmt.Errorf("%w: %w", ErrRefused, short)
	}
	return short
}
