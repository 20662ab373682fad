package vault

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"credence/internal/fault"
	"credence/internal/secret"
	"credence/internal/sigv4"
	"credence/internal/store"
)

// sealed is one column that holds sealed values.
type sealed struct {
	table, column string
	what          string                                                            // in planted
	key           func(b *bed, account string, n int) (condition string)            // of the row, in SQL
	read          func(v *Vault, b *bed, account string, n int) (string, error)     // by way of the vault
	plaintext     func(b *bed, account string, n int) (as string)                   // what read must answer; nil: as planted
	rowKeys       map[string]func(v *Vault, b *bed, account string) (string, error) // columns that name the row, changed to CHANGED in alpha's first; how it is read then
}

func byAccountAnd(column string, value func(account string, n int) string) func(*bed, string, int) string {
	return func(_ *bed, account string, n int) string {
		return fmt.Sprintf("account = '%s' AND %s = '%s'", account, column, value(account, n))
	}
}

func named(_ string, n int) string { return providerName(n) }

const changed = "changed"

func readClientSecret(v *Vault, account, name string) (string, error) {
	p, err := v.OAuth2Provider(context.Background(), account, name)
	if err != nil {
		return "", err
	}
	s, err := v.ClientSecret(context.Background(), p)
	return s.Reveal(), err
}

func readAPIKey(v *Vault, account, name string) (string, error) {
	p, err := v.APIKeyProvider(context.Background(), account, name)
	if err != nil {
		return "", err
	}
	s, err := v.APIKey(context.Background(), p)
	return s.Reveal(), err
}

// readPayment opens both secrets of a payment provider and gives one; outside of this package there are only signers.
func readPayment(v *Vault, account, name string, pick func(PaymentSecrets) secret.String) (string, error) {
	p, err := v.PaymentProvider(context.Background(), account, name)
	if err != nil {
		return "", err
	}
	s, err := v.paymentSecrets(context.Background(), p.Row)
	if err != nil {
		return "", err
	}
	return pick(s).Reveal(), nil
}

func paymentColumn(column, what string, pick func(PaymentSecrets) secret.String) sealed {
	return sealed{
		table: "payment_providers", column: column, what: what, key: byAccountAnd("name", named),
		read: func(v *Vault, _ *bed, account string, n int) (string, error) {
			return readPayment(v, account, providerName(n), pick)
		},
		rowKeys: rowKeys{
			"name": func(v *Vault, _ *bed, account string) (string, error) { return readPayment(v, account, changed, pick) },
			"incarnation": func(v *Vault, _ *bed, account string) (string, error) {
				return readPayment(v, account, providerName(1), pick)
			},
			"account": func(v *Vault, _ *bed, _ string) (string, error) { return readPayment(v, beta, providerName(1), pick) },
		},
	}
}

func readClaim(v *Vault, account, name string) (string, error) {
	row, err := v.store.OAuth2Provider(context.Background(), account, name)
	if err != nil {
		return "", err
	}
	c, err := v.AssertionClaims(context.Background(), row)
	return c.Payload["claim"], err
}

func readRegistration(v *Vault, account, name string) (string, error) {
	p, err := v.OAuth2Provider(context.Background(), account, name)
	if err != nil {
		return "", err
	}
	token, err := v.RegistrationToken(context.Background(), p)
	return token.Reveal(), err
}

// readMaterial opens a key as openKey does.
func readMaterial(v *Vault, account, id string) (string, error) {
	k, err := v.store.Key(context.Background(), account, id)
	if err != nil {
		return "", err
	}
	plaintext, err := v.open(context.Background(), keyPlace(k), k.Material)
	return string(plaintext), err
}

func readIssuerKey(v *Vault, account, id string) (string, error) {
	keys, err := v.store.IssuerKeys(context.Background(), account)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(keys, func(k store.IssuerKey) bool { return k.ID == id })
	if i < 0 {
		return "", fault.NotFound
	}
	plaintext, err := v.open(context.Background(), issuerKeyPlace(keys[i]), keys[i].Material)
	return string(plaintext), err
}

// ofGrant reads one column of a grant by its key.
func ofGrant(v *Vault, account, key string, open func(context.Context, store.Grant) (secret.String, error)) (string, error) {
	g, err := v.Grant(context.Background(), account, key)
	if err != nil {
		return "", err
	}
	s, err := open(context.Background(), g)
	return s.Reveal(), err
}

// ofSession reads one column of a session by its id.
func ofSession(v *Vault, id string, open func(context.Context, store.Session) ([]byte, error)) (string, error) {
	s, err := v.Session(context.Background(), id)
	if err != nil {
		return "", err
	}
	plaintext, err := open(context.Background(), s)
	return string(plaintext), err
}

func credential(id string) sigv4.Credential {
	return sigv4.Credential{AccessKeyID: id, Date: "20261122", Region: "us-east-1", Service: "bedrock-agentcore"}
}

func readSigningKey(v *Vault, id string) (string, error) {
	_, k, err := v.Caller(context.Background(), credential(id))
	return string(k), err
}

func userName(v *Vault) func(context.Context, store.Grant) (secret.String, error) {
	return func(ctx context.Context, g store.Grant) (secret.String, error) {
		name, err := v.UserName(ctx, g)
		return secret.New(name), err
	}
}

func frozenID(_ string, n int) string { return fmt.Sprintf("frozen-%d", n) }

// readFrozen reads the name of a frozen user by its id.
func readFrozen(v *Vault, account, id string) (string, error) {
	all, err := v.Freezes(context.Background(), account)
	if err != nil {
		return "", err
	}
	for _, f := range all {
		if f.ID == id {
			return v.FrozenUser(context.Background(), f)
		}
	}
	return "", fault.NotFound
}

func ceilingName(_ string, n int) string { return fmt.Sprintf("ceiling-%d", n) }

// readCeiling reads the first scope of a ceiling.
func readCeiling(v *Vault, account string, kind store.CeilingKind, name string) (string, error) {
	all, err := v.AllCeilings(context.Background(), account)
	if err != nil {
		return "", err
	}
	for _, c := range all {
		if c.Kind == kind && c.Name == name {
			return c.Scopes[0], nil
		}
	}
	return "", fault.NotFound
}

func signInName(_ string, n int) string { return fmt.Sprintf("people-%d", n) }

// readSignIn reads the client secret of a sign-in provider by its name.
func readSignIn(v *Vault, account, name string) (string, error) {
	p, err := v.store.SignInProvider(context.Background(), account, name)
	if err != nil {
		return "", err
	}
	s, err := v.SignInSecret(context.Background(), p)
	return s.Reveal(), err
}

// consoleHandle is what a browser has.
func consoleHandle(account string, n int) secret.String {
	return secret.New(fmt.Sprintf("%s.handle-%d", account, n))
}

func hookName(_ string, n int) string { return fmt.Sprintf("hook-%d", n) }

// readHook reads the nth of a webhook's secrets by its name.
func readHook(v *Vault, account, name string, n int) (string, error) {
	w, err := v.store.Webhook(context.Background(), account, name)
	if err != nil {
		return "", err
	}
	all, err := v.WebhookSecrets(context.Background(), w)
	if err != nil {
		return "", err
	}
	return all[n].Reveal(), nil
}

func hookColumn(column, what string, nth int) sealed {
	return sealed{
		table: "webhooks", column: column, what: what, key: byAccountAnd("name", hookName),
		read: func(v *Vault, _ *bed, account string, n int) (string, error) {
			return readHook(v, account, hookName(account, n), nth)
		},
		rowKeys: rowKeys{
			"name": func(v *Vault, _ *bed, account string) (string, error) { return readHook(v, account, changed, nth) },
			"id": func(v *Vault, _ *bed, account string) (string, error) {
				return readHook(v, account, hookName(account, 1), nth)
			},
			"account": func(v *Vault, _ *bed, _ string) (string, error) { return readHook(v, beta, hookName(beta, 1), nth) },
		},
	}
}

type rowKeys = map[string]func(v *Vault, b *bed, account string) (string, error)

func grantColumn(column, what string, open func(*Vault) func(context.Context, store.Grant) (secret.String, error)) sealed {
	return sealed{
		table: "grants", column: column, what: what, key: byAccountAnd("grant_key", func(_ string, n int) string { return grantKey(n) }),
		read: func(v *Vault, _ *bed, account string, n int) (string, error) {
			return ofGrant(v, account, grantKey(n), open(v))
		},
		rowKeys: rowKeys{
			"grant_key": func(v *Vault, _ *bed, account string) (string, error) { return ofGrant(v, account, changed, open(v)) },
			"account":   func(v *Vault, _ *bed, _ string) (string, error) { return ofGrant(v, beta, grantKey(1), open(v)) },
		},
	}
}

func sessionColumn(column string, open func(*Vault) func(context.Context, store.Session) ([]byte, error)) sealed {
	return sealed{
		table: "authorization_sessions", column: column, what: column, key: byAccountAnd("id", sessionID),
		read: func(v *Vault, _ *bed, account string, n int) (string, error) {
			return ofSession(v, sessionID(account, n), open(v))
		},
		rowKeys: rowKeys{
			"id":      func(v *Vault, _ *bed, _ string) (string, error) { return ofSession(v, changed, open(v)) },
			"account": func(v *Vault, _ *bed, _ string) (string, error) { return ofSession(v, sessionID(alpha, 1), open(v)) },
		},
	}
}

// columns are all that hold sealed values. TestEverySealedColumnIsListed sees to it.
var columns = []sealed{
	{
		table: "oauth2_providers", column: "client_secret", what: "client secret", key: byAccountAnd("name", named),
		read: func(v *Vault, _ *bed, account string, n int) (string, error) {
			return readClientSecret(v, account, providerName(n))
		},
		rowKeys: rowKeys{
			"name": func(v *Vault, _ *bed, account string) (string, error) { return readClientSecret(v, account, changed) },
			"incarnation": func(v *Vault, _ *bed, account string) (string, error) {
				return readClientSecret(v, account, providerName(1))
			},
			"generation": func(v *Vault, _ *bed, account string) (string, error) {
				return readClientSecret(v, account, providerName(1))
			},
			"account": func(v *Vault, _ *bed, _ string) (string, error) { return readClientSecret(v, beta, providerName(1)) },
		},
	},
	{
		table: "apikey_providers", column: "api_key", what: "API key", key: byAccountAnd("name", named),
		read: func(v *Vault, _ *bed, account string, n int) (string, error) {
			return readAPIKey(v, account, providerName(n))
		},
		rowKeys: rowKeys{
			"name":        func(v *Vault, _ *bed, account string) (string, error) { return readAPIKey(v, account, changed) },
			"incarnation": func(v *Vault, _ *bed, account string) (string, error) { return readAPIKey(v, account, providerName(1)) },
			"account":     func(v *Vault, _ *bed, _ string) (string, error) { return readAPIKey(v, beta, providerName(1)) },
		},
	},
	{
		table: "oauth2_providers", column: "assertion_claims", what: "claim", key: byAccountAnd("name", named),
		read: func(v *Vault, _ *bed, account string, n int) (string, error) {
			return readClaim(v, account, providerName(n))
		},
		rowKeys: rowKeys{
			"name":        func(v *Vault, _ *bed, account string) (string, error) { return readClaim(v, account, changed) },
			"incarnation": func(v *Vault, _ *bed, account string) (string, error) { return readClaim(v, account, providerName(1)) },
			"generation":  func(v *Vault, _ *bed, account string) (string, error) { return readClaim(v, account, providerName(1)) },
			"account":     func(v *Vault, _ *bed, _ string) (string, error) { return readClaim(v, beta, providerName(1)) },
		},
	},
	{
		table: "oauth2_providers", column: "registration_token", what: "registration", key: byAccountAnd("name", named),
		read: func(v *Vault, _ *bed, account string, n int) (string, error) {
			return readRegistration(v, account, providerName(n))
		},
		rowKeys: rowKeys{
			"name": func(v *Vault, _ *bed, account string) (string, error) { return readRegistration(v, account, changed) },
			"incarnation": func(v *Vault, _ *bed, account string) (string, error) {
				return readRegistration(v, account, providerName(1))
			},
			"generation": func(v *Vault, _ *bed, account string) (string, error) {
				return readRegistration(v, account, providerName(1))
			},
			"account": func(v *Vault, _ *bed, _ string) (string, error) { return readRegistration(v, beta, providerName(1)) },
		},
	},
	{
		table: "keys", column: "material", what: "key material", key: byAccountAnd("id", keyID),
		read: func(v *Vault, _ *bed, account string, n int) (string, error) {
			return readMaterial(v, account, keyID(account, n))
		},
		rowKeys: rowKeys{
			"id":      func(v *Vault, _ *bed, account string) (string, error) { return readMaterial(v, account, changed) },
			"account": func(v *Vault, _ *bed, _ string) (string, error) { return readMaterial(v, beta, keyID(alpha, 1)) },
		},
	},
	{
		table: "issuer_keys", column: "material", what: "issuer key", key: byAccountAnd("id", keyID),
		read: func(v *Vault, _ *bed, account string, n int) (string, error) {
			return readIssuerKey(v, account, keyID(account, n))
		},
		rowKeys: rowKeys{
			"id":      func(v *Vault, _ *bed, account string) (string, error) { return readIssuerKey(v, account, changed) },
			"account": func(v *Vault, _ *bed, _ string) (string, error) { return readIssuerKey(v, beta, keyID(alpha, 1)) },
		},
	},
	paymentColumn("secret", "payment secret", func(s PaymentSecrets) secret.String { return s.Secret }),
	paymentColumn("signing_key", "signing key", func(s PaymentSecrets) secret.String { return s.SigningKey }),
	grantColumn("access_token", "access token", func(v *Vault) func(context.Context, store.Grant) (secret.String, error) { return v.AccessToken }),
	grantColumn("refresh_token", "refresh token", func(v *Vault) func(context.Context, store.Grant) (secret.String, error) { return v.RefreshToken }),
	grantColumn("proof_key", "proof key", func(v *Vault) func(context.Context, store.Grant) (secret.String, error) { return v.ProofKey }),
	grantColumn("user_name", "user name", userName),
	sessionColumn("request", func(v *Vault) func(context.Context, store.Session) ([]byte, error) { return v.SessionRequest }),
	sessionColumn("code", func(v *Vault) func(context.Context, store.Session) ([]byte, error) { return v.OpenCode }),
	{
		table: "freezes", column: "user_name", what: "frozen user", key: byAccountAnd("id", frozenID),
		read: func(v *Vault, _ *bed, account string, n int) (string, error) {
			return readFrozen(v, account, frozenID(account, n))
		},
		rowKeys: rowKeys{
			"id": func(v *Vault, _ *bed, account string) (string, error) { return readFrozen(v, account, changed) },
			"kind": func(v *Vault, _ *bed, account string) (string, error) {
				return readFrozen(v, account, frozenID(account, 1))
			},
			"account": func(v *Vault, _ *bed, _ string) (string, error) { return readFrozen(v, beta, frozenID(beta, 1)) },
		},
	},
	{
		table: "ceilings", column: "document", what: "ceiling", key: byAccountAnd("name", ceilingName),
		read: func(v *Vault, _ *bed, account string, n int) (string, error) {
			return readCeiling(v, account, store.CeilingProvider, ceilingName(account, n))
		},
		rowKeys: rowKeys{
			"name": func(v *Vault, _ *bed, account string) (string, error) {
				return readCeiling(v, account, store.CeilingProvider, changed)
			},
			"kind": func(v *Vault, _ *bed, account string) (string, error) {
				return readCeiling(v, account, changed, ceilingName(account, 1))
			},
			"account": func(v *Vault, _ *bed, _ string) (string, error) {
				return readCeiling(v, beta, store.CeilingProvider, ceilingName(beta, 1))
			},
		},
	},
	{
		table: "sign_in_providers", column: "client_secret", what: "sign-in secret", key: byAccountAnd("name", signInName),
		read: func(v *Vault, _ *bed, account string, n int) (string, error) {
			return readSignIn(v, account, signInName(account, n))
		},
		rowKeys: rowKeys{
			"name": func(v *Vault, _ *bed, account string) (string, error) { return readSignIn(v, account, changed) },
			"incarnation": func(v *Vault, _ *bed, account string) (string, error) {
				return readSignIn(v, account, signInName(account, 1))
			},
			"account": func(v *Vault, _ *bed, _ string) (string, error) { return readSignIn(v, beta, signInName(beta, 1)) },
		},
	},
	{
		table: "console_sessions", column: "content", what: "console session",
		key: func(_ *bed, account string, n int) string {
			return fmt.Sprintf("account = '%s' AND provider_incarnation = 'session-%s-%d'", account, account, n)
		},
		read: func(v *Vault, _ *bed, account string, n int) (string, error) {
			_, content, err := v.ConsoleSession(context.Background(), consoleHandle(account, n), store.ConsoleSignedIn)
			return string(content), err
		},
		rowKeys: rowKeys{ // id and account are found by the digest of a handle
			"kind": func(v *Vault, _ *bed, account string) (string, error) {
				_, content, err := v.ConsoleSession(context.Background(), consoleHandle(account, 1), changed)
				return string(content), err
			},
		},
	},
	hookColumn("secret", "webhook secret", 0),
	hookColumn("previous_secret", "previous webhook secret", 1),
	{
		table: "access_keys", column: "secret",
		key: func(b *bed, account string, n int) string {
			return fmt.Sprintf("access_key_id = '%s'", b.keys[keyOf(account, n)].ID)
		},
		read: func(v *Vault, b *bed, account string, n int) (string, error) {
			return readSigningKey(v, b.keys[keyOf(account, n)].ID)
		},
		plaintext: func(b *bed, account string, n int) string {
			return string(sigv4.Derive(b.keys[keyOf(account, n)].Secret, "20261122", "us-east-1", "bedrock-agentcore"))
		},
		rowKeys: rowKeys{
			"access_key_id": func(v *Vault, _ *bed, _ string) (string, error) { return readSigningKey(v, changed) },
			"account":       func(v *Vault, b *bed, _ string) (string, error) { return readSigningKey(v, b.keys[keyOf(alpha, 1)].ID) },
		},
	},
}

func (c sealed) want(b *bed, account string, n int) string {
	if c.plaintext != nil {
		return c.plaintext(b, account, n)
	}
	return planted(c.what, account, n)
}

func (c sealed) at(b *bed, account string, n int) string { return c.key(b, account, n) }

// replace sets the column of one row, runs test, and puts back what was there.
func (c sealed) replace(t *testing.T, b *bed, account string, n int, with string, args []any, test func()) {
	t.Helper()
	var was []byte
	must(t, b.other.QueryRow("SELECT "+c.column+" FROM "+c.table+" WHERE "+c.at(b, account, n)).Scan(&was))
	b.exec(t, "UPDATE "+c.table+" SET "+c.column+" = "+with+" WHERE "+c.at(b, account, n), args...)
	test()
	b.exec(t, "UPDATE "+c.table+" SET "+c.column+" = ? WHERE "+c.at(b, account, n), was)
}

// wantClosed wants a Decryption fault that tells nothing of the plaintext.
func wantClosed(t *testing.T, plaintext string, err error) {
	t.Helper()
	if !errors.Is(err, fault.Decryption) || plaintext != "" {
		t.Errorf("it opens: %q, %v", plaintext, err)
	}
	if err != nil && strings.Contains(err.Error(), "planted") {
		t.Errorf("the error holds a secret: %v", err)
	}
}

// The vault's own columns are those of the schema that hold bytes. One that is added must be added to these tests.
func TestEverySealedColumnIsListed(t *testing.T) {
	b := openBed(t)
	known := map[string]bool{"meta.value": true, "keysets.sealed": true, "audit_batches.events": true, "webhook_deliveries.user_name": true} // no account's plaintext, tested elsewhere, or with the seal of a grant
	for _, c := range []string{"user_name", "access_token", "refresh_token", "proof_key", "client_secret", "assertion_claims"} {             // they keep the seals of grants and providers
		known["revocations."+c] = true
	}
	for _, c := range []string{"audit_logs.signer", "audit_logs.checkpoint", "audit_logs.cosigned", "audit_chunks.entries", "audit_tiles.hashes", "trust_bundles.certificates"} { // audit_test.go; the others are no secrets
		known[c] = true
	}
	for _, c := range columns {
		known[c.table+"."+c.column] = true
	}
	rows, err := b.other.Query(`SELECT m.name || '.' || c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND c.type = 'BYTEA'`)
	must(t, err)
	n := 0
	for rows.Next() {
		var name string
		must(t, rows.Scan(&name))
		n++
		if !known[name] {
			t.Errorf("%s is not tested", name)
		}
	}
	must(t, rows.Err())
	if n != len(known) {
		t.Errorf("%d columns hold bytes, %d are known", n, len(known))
	}
}

// Everything sealed opens in its own place, before and after a restart, and nowhere else: not in another row, account, column or table, nor when
// the row that it stands in is given another name, incarnation, generation or account.
func TestSealedValuesAreBoundToTheirPlace(t *testing.T) {
	b := openBed(t)
	b.fill(t)
	opens := func(t *testing.T) {
		t.Helper()
		v := b.restart(t)
		for _, c := range columns {
			for _, account := range []string{alpha, beta} {
				for n := 1; n <= 2; n++ {
					if got, err := c.read(v, b, account, n); err != nil || got != c.want(b, account, n) {
						t.Errorf("%s.%s of %s, %d: %q, %v", c.table, c.column, account, n, got, err)
					}
				}
			}
		}
	}
	t.Run("in its place", opens)

	for _, c := range columns {
		t.Run(c.table+"."+c.column, func(t *testing.T) {
			closed := func(t *testing.T, with string, args ...any) {
				t.Helper()
				c.replace(t, b, alpha, 1, with, args, func() {
					got, err := c.read(b.restart(t), b, alpha, 1)
					wantClosed(t, got, err)
				})
			}
			from := func(d sealed, account string, n int) string {
				return "(SELECT " + d.column + " FROM " + d.table + " WHERE " + d.at(b, account, n) + ")"
			}
			t.Run("of another row", func(t *testing.T) { closed(t, from(c, alpha, 2)) })
			t.Run("of another account", func(t *testing.T) { closed(t, from(c, beta, 1)) })
			for _, d := range columns {
				if d.table != c.table || d.column != c.column {
					t.Run("of "+d.table+"."+d.column, func(t *testing.T) { closed(t, from(d, alpha, 1)) })
				}
			}
			t.Run("cut", func(t *testing.T) { closed(t, "substr("+c.column+", 1, length("+c.column+") - 1)") })
			t.Run("longer", func(t *testing.T) { closed(t, c.column+" || x'00'") })
			t.Run("short", func(t *testing.T) { closed(t, "x'01'") })
			t.Run("plaintext", func(t *testing.T) { closed(t, "?", []byte("planted")) })

			for column, read := range c.rowKeys {
				t.Run("with another "+column, func(t *testing.T) {
					key, value := sealed{table: c.table, column: column, key: c.key}, any(changed)
					if column == "account" {
						value = beta
						if c.table != "access_keys" && c.table != "authorization_sessions" { // their ids are unique, the others make room
							b.exec(t, "UPDATE "+c.table+" SET account = 'away' WHERE "+c.at(b, beta, 1))
							defer b.exec(t, "UPDATE "+c.table+" SET account = ? WHERE "+strings.Replace(c.at(b, beta, 1), beta, "away", 1), beta)
						}
					}
					key.rename(t, b, value, func() {
						got, err := read(b.restart(t), b, alpha)
						wantClosed(t, got, err)
					})
				})
			}
		})
	}
	t.Run("in its place again", opens)
}

// rename changes a column that names alpha's first row, runs test, and changes it back; the row is found by its rowid meanwhile.
func (c sealed) rename(t *testing.T, b *bed, to any, test func()) {
	t.Helper()
	var rowid int64
	var was string
	must(t, b.other.QueryRow("SELECT rowid, "+c.column+" FROM "+c.table+" WHERE "+c.at(b, alpha, 1)).Scan(&rowid, &was))
	b.exec(t, "UPDATE "+c.table+" SET "+c.column+" = ? WHERE rowid = ?", to, rowid)
	test()
	b.exec(t, "UPDATE "+c.table+" SET "+c.column+" = ? WHERE rowid = ?", was, rowid)
}

// Each bit of a sealed value counts.
func TestSealedValuesDoNotBend(t *testing.T) {
	b := openBed(t)
	b.fill(t)
	g, err := b.Grant(t.Context(), alpha, grantKey(1))
	must(t, err)
	for i := range g.AccessToken {
		for bit := range 8 {
			bent := g
			bent.AccessToken = bytes.Clone(g.AccessToken)
			bent.AccessToken[i] ^= 1 << bit
			got, err := b.AccessToken(t.Context(), bent)
			wantClosed(t, got.Reveal(), err)
		}
	}
}

// Equal plaintexts do not look equal: nobody can tell from the rows that two users share a token.
func TestEqualPlaintextsLookDifferent(t *testing.T) {
	b := openBed(t)
	var one, two store.Grant
	one.Account, one.Key, two.Account, two.Key = alpha, "k", alpha, "k"
	same := secret.New("the same token")
	must(t, b.SealTokens(t.Context(), &one, same, same))
	must(t, b.SealTokens(t.Context(), &two, same, same))
	if bytes.Equal(one.AccessToken, two.AccessToken) || bytes.Equal(one.RefreshToken, two.RefreshToken) {
		t.Error("sealing the same twice gives the same")
	}
}

// A grant without a refresh token has none, also when it had one before; a provider without a secret has none.
func TestNoSecretIsNone(t *testing.T) {
	b := openBed(t)
	g := store.Grant{Account: alpha, Key: "k", RefreshToken: []byte("old")}
	must(t, b.SealTokens(t.Context(), &g, secret.New("access"), secret.String{}))
	if g.RefreshToken != nil {
		t.Errorf("refresh token %x", g.RefreshToken)
	}
	must(t, b.InsertOAuth2Provider(t.Context(), b.providerOf(t, alpha, 1), secret.String{}, store.Tags{}))
	if got, err := readClientSecret(b.Vault, alpha, providerName(1)); err != nil || got != "" {
		t.Errorf("%q, %v", got, err)
	}
}

// No plaintext stands in any file of the database, neither as it is nor in a form that a person would try.
func TestFilesHoldNoPlaintext(t *testing.T) {
	b := openBed(t)
	b.fill(t)
	handle, err := b.SealHandle(t.Context(), alpha, "kind", []byte("planted handle"))
	must(t, err)
	if raw, _ := base64.RawURLEncoding.DecodeString(handle); bytes.Contains(raw, []byte("planted")) || len(raw) == 0 {
		t.Error("a handle shows its content")
	}
	var secrets []string
	for _, c := range columns {
		for _, account := range []string{alpha, beta} {
			for n := 1; n <= 2; n++ {
				if c.what != "" {
					secrets = append(secrets, planted(c.what, account, n))
				} else {
					secrets = append(secrets, b.keys[keyOf(account, n)].Secret.Reveal(), c.want(b, account, n))
				}
			}
		}
	}
	readable := false
	for _, file := range []string{b.file, b.file + "-wal", b.file + "-shm"} {
		content, err := os.ReadFile(file)
		must(t, err)
		readable = readable || bytes.Contains(content, []byte(providerName(1)))
		for _, s := range secrets {
			for form, text := range map[string]string{"as it is": s, "hex": hex.EncodeToString([]byte(s)), "base64": base64.RawStdEncoding.EncodeToString([]byte(s))} {
				if bytes.Contains(content, []byte(text)) {
					t.Errorf("%s holds %.20q… (%s)", file, s, form)
				}
			}
		}
	}
	if !readable {
		t.Error("no file holds even the names: the rows are elsewhere")
	}
}
