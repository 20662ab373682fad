package iam

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// ARNs names resources. They carry the server's region, whatever region a caller signed with.
type ARNs struct{ Region string }

func (a ARNs) agentcore(account, path string) string {
	return "arn:aws:bedrock-agentcore:" + a.Region + ":" + account + ":" + path
}

// Path is what an ARN says after account and region; it is false of an ARN of another account, region or partition.
func (a ARNs) Path(account, arn string) (string, bool) {
	return strings.CutPrefix(arn, a.agentcore(account, ""))
}

// Directory is the one workload identity directory of an account.
func (a ARNs) Directory(account string) string {
	return a.agentcore(account, "workload-identity-directory/default")
}

// Workload is a workload identity.
func (a ARNs) Workload(account, name string) string {
	return a.Directory(account) + "/workload-identity/" + name
}

// Vault is a token vault.
func (a ARNs) Vault(account, id string) string { return a.agentcore(account, "token-vault/"+id) }

// OAuth2Provider is an OAuth2 credential provider of the default vault.
func (a ARNs) OAuth2Provider(account, name string) string {
	return a.Vault(account, DefaultVault) + "/oauth2credentialprovider/" + name
}

// APIKeyProvider is an API key credential provider of the default vault.
func (a ARNs) APIKeyProvider(account, name string) string {
	return a.Vault(account, DefaultVault) + "/apikeycredentialprovider/" + name
}

// PaymentProvider is a payment credential provider of the default vault.
func (a ARNs) PaymentProvider(account, name string) string {
	return a.Vault(account, DefaultVault) + "/paymentcredentialprovider/" + name
}

// PaymentSecret is the Secret of a payment credential provider that stands under the name which.
func (a ARNs) PaymentSecret(account, vendor, provider, which, incarnation string) string {
	return a.Secret(account, "payment/"+strings.ToLower(vendor), provider+"/"+which, incarnation)
}

// ConsentPortal is a consent portal.
func (a ARNs) ConsentPortal(account, id string) string {
	return a.agentcore(account, "consent-portal/"+id)
}

// Secret is the name that clients see for a provider's managed secret (kind is oauth2 or apikey). The API demands one; there is
// no Secrets Manager behind it. Its six-character suffix follows from the provider's incarnation, as a real one changes on recreation.
func (a ARNs) Secret(account, kind, provider, incarnation string) string {
	sum := sha256.Sum256([]byte(incarnation))
	suffix := base32.StdEncoding.EncodeToString(sum[:])[:6]
	return "arn:aws:secretsmanager:" + a.Region + ":" + account + ":secret:bedrock-agentcore-identity!" + DefaultVault + "/" + kind + "/" + provider + "-" + suffix
}

// Key is a key that was registered with the server.
func (a ARNs) Key(account, id string) string {
	return "arn:aws:kms:" + a.Region + ":" + account + ":key/" + id
}

// KeyID is the id in the ARN of a key of the account; it is false of any other ARN.
func (a ARNs) KeyID(account, arn string) (string, bool) {
	return strings.CutPrefix(arn, a.Key(account, ""))
}

// Extension is a resource of Credence's own operations.
func (a ARNs) Extension(account, kind, id string) string {
	return "arn:aws:credence:" + a.Region + ":" + account + ":" + kind + "/" + id
}

// User is a user of an account.
func User(account, name string) string { return "arn:aws:iam::" + account + ":user/" + name }

// DefaultVault is the id of the one token vault of an account.
const DefaultVault = "default"

// ValidAccount reports whether id is a 12-digit account other than 000000000000.
func ValidAccount(id string) bool {
	return len(id) == 12 && strings.Trim(id, "0123456789") == "" && id != "000000000000"
}
