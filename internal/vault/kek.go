package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"credence/internal/kms"
)

// KEK is the key-encryption key: it seals the keysets of accounts and nothing else.
type KEK struct {
	aead     tink.AEADWithContext
	resource string // what its URI names; "" for a key that is here, which nobody can take away
}

// OpenKEK opens the key that uri names: file:PATH of a master key file, or a symmetric key at a key management service (kms.Open has the forms), which is
// not asked yet. Errors name the file, or of a URI no more than its scheme, and say what to do.
func OpenKEK(uri string) (*KEK, error) {
	scheme, path, _ := strings.Cut(uri, ":")
	if scheme != "file" {
		return openKEKElsewhere(scheme, uri)
	}
	if path == "" {
		return nil, kekForm(scheme)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(text)))
	if err != nil {
		return nil, fmt.Errorf("master key %s is not a key file (a Tink keyset in JSON); restore it from a backup", path) // the cause could quote the file
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, fmt.Errorf("master key %s holds no AEAD key; restore it from a backup", path)
	}
	return &KEK{aead: here{primitive}}, nil
}

func openKEKElsewhere(scheme, uri string) (*KEK, error) {
	name, err := kms.Name(uri)
	if err != nil {
		return nil, kekForm(scheme) // the cause quotes the URI
	}
	key, err := kms.Open(context.Background(), uri, kms.Options{Spec: kms.Symmetric})
	if err != nil {
		return nil, fmt.Errorf("the key-encryption key cannot be used: %w", err)
	}
	return &KEK{elsewhere{key}, name}, nil
}

func kekForm(scheme string) error {
	return fmt.Errorf("the key-encryption key %q is not of a known kind: use file:PATH of a master key file, awskms:///arn:aws:kms:REGION:ACCOUNT:key/ID, "+
		"gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K, azurekeyvault://VAULT.vault.azure.net/keys/NAME or openbao://HOST/MOUNT/keys/NAME", scheme+":…")
}

// here is a key in memory.
type here struct{ tink.AEAD }

func (h here) EncryptWithContext(_ context.Context, plaintext, associatedData []byte) ([]byte, error) {
	return h.Encrypt(plaintext, associatedData)
}

func (h here) DecryptWithContext(_ context.Context, ciphertext, associatedData []byte) ([]byte, error) {
	return h.Decrypt(ciphertext, associatedData)
}

// NewMasterKey makes the content of a new master key file.
func NewMasterKey() ([]byte, error) {
	handle, err := keyset.NewHandle(aead.XAES256GCM192BitNonceKeyTemplate())
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&out))
	return append(out.Bytes(), '\n'), err
}

// errWrongKEK: the database was made with another key.
var errWrongKEK = errors.New("the key-encryption key does not open this database: it was made with another one; give that one (its file, or the backup that holds it)")

// The key-check value proves at start that KEK and database belong together.
const keyCheck = "key_check"

var keyCheckText = []byte("credence")

func (k *KEK) check(ctx context.Context, sealed []byte) error {
	text, err := k.aead.DecryptWithContext(ctx, sealed, []byte(keyCheck))
	if err != nil && k.resource != "" {
		return fmt.Errorf("the key-encryption key does not open this database: it is another one, or its service does not let us use it: %w", err)
	}
	if err != nil || !bytes.Equal(text, keyCheckText) {
		return errWrongKEK
	}
	return nil
}
