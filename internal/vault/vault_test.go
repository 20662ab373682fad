package vault

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3/driver"

	"credence/internal/iam"
	"credence/internal/payment"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/telemetry"
	"credence/internal/wire"
)

const (
	alpha = "111111111111"
	beta  = "222222222222"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bed is a vault with two accounts, and somebody else who can write to its database file.
type bed struct {
	*Vault
	kek   *KEK
	file  string // of the database
	other *sql.DB
	keys  map[string]AccessKey // by account and number
}

func newKEK(t testing.TB) *KEK {
	t.Helper()
	key, err := NewMasterKey()
	must(t, err)
	file := filepath.Join(t.TempDir(), "master.key")
	must(t, os.WriteFile(file, key, 0o600))
	kek, err := OpenKEK("file:" + file)
	must(t, err)
	return kek
}

func openBed(t testing.TB) *bed {
	t.Helper()
	b := &bed{kek: newKEK(t), file: filepath.Join(t.TempDir(), "credence.db"), keys: map[string]AccessKey{}}
	s, err := store.Open(context.Background(), store.Config{Path: b.file})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	b.Vault, err = New(context.Background(), Config{Store: s, KEK: b.kek, Metrics: telemetry.New()})
	must(t, err)
	b.other, err = driver.Open("file:" + b.file + "?_pragma=busy_timeout(10000)")
	must(t, err)
	t.Cleanup(func() { _ = b.other.Close() })
	must(t, b.CreateAccount(alpha))
	must(t, b.CreateAccount(beta))
	return b
}

// restart is a vault on the same database that remembers nothing.
func (b *bed) restart(t testing.TB) *Vault {
	t.Helper()
	v, err := New(context.Background(), Config{Store: b.store, KEK: b.kek, Metrics: telemetry.New()})
	must(t, err)
	return v
}

func (b *bed) exec(t testing.TB, query string, args ...any) {
	t.Helper()
	result, err := b.other.Exec(query, args...)
	must(t, err)
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		t.Fatalf("%s changed %d rows, %v", query, n, err)
	}
}

// dump is every row of every table, as text.
func (b *bed) dump(t testing.TB) string {
	t.Helper()
	var query string
	must(t, b.other.QueryRow(`SELECT group_concat(one, ' UNION ALL ') || ' ORDER BY 1' FROM (
		SELECT 'SELECT ''' || m.name || ' '' || ' || group_concat('quote(' || c.name || ')', ' || '' '' || ') || ' FROM ' || m.name AS one
		FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' GROUP BY m.name)`).Scan(&query))
	rows, err := b.other.Query(query)
	must(t, err)
	var out strings.Builder
	for rows.Next() {
		var row string
		must(t, rows.Scan(&row))
		fmt.Fprintln(&out, row)
	}
	must(t, rows.Err())
	return out.String()
}

// planted is the plaintext of one sealed value.
func planted(what, account string, n int) string {
	return fmt.Sprintf("planted %s %s %d", what, account, n)
}

func workloadOf(account string) store.Workload {
	now := time.Now()
	return store.Workload{Account: account, Name: "agent", Incarnation: "w-" + account, CreatedAt: now, UpdatedAt: now}
}

func providerName(n int) string { return fmt.Sprintf("provider-%d", n) }

func (b *bed) providerOf(t testing.TB, account string, n int) OAuth2Provider {
	t.Helper()
	callback, err := b.CallbackID(context.Background(), account, providerName(n))
	must(t, err)
	now := time.Now()
	return OAuth2Provider{
		Config: provider.Config{Vendor: wire.VendorGithubOauth2, ClientID: fmt.Sprintf("client-%d", n)},
		Row: store.OAuth2Provider{Account: account, Name: providerName(n), Incarnation: fmt.Sprintf("p-%s-%d", account, n), Generation: "g1", CallbackID: callback,
			Vendor: string(wire.VendorGithubOauth2), CreatedAt: now, UpdatedAt: now},
	}
}

func apiKeyOf(account string, n int) store.APIKeyProvider {
	now := time.Now()
	return store.APIKeyProvider{Account: account, Name: providerName(n), Incarnation: fmt.Sprintf("a-%s-%d", account, n), CreatedAt: now, UpdatedAt: now}
}

func paymentOf(account string, n int) PaymentProvider {
	now := time.Now()
	return PaymentProvider{
		Config: payment.Config{Vendor: wire.VendorCoinbaseCDP, APIKeyID: fmt.Sprintf("key-%d", n)},
		Row:    store.PaymentProvider{Account: account, Name: providerName(n), Incarnation: fmt.Sprintf("y-%s-%d", account, n), CreatedAt: now, UpdatedAt: now},
	}
}

func keyID(account string, n int) string { return fmt.Sprintf("key-%s-%d", account, n) }

func grantKey(n int) string { return fmt.Sprintf("grant-%d", n) }

func grantOf(account string, n int) store.Grant {
	now := time.Now()
	return store.Grant{Account: account, Key: grantKey(n), Flow: "USER_FEDERATION", Workload: "agent", WorkloadIncarnation: "w-" + account, Provider: providerName(1),
		ProviderIncarnation: fmt.Sprintf("p-%s-1", account), Generation: "g1", UserKey: "u", TokenType: "Bearer", State: store.GrantActive,
		ObtainedAt: now, ExpiresAt: now.Add(time.Hour), CreatedAt: now}
}

func sessionID(account string, n int) string { return fmt.Sprintf("session-%s-%d", account, n) }

func sessionOf(account string, n int) store.Session {
	now := time.Now()
	return store.Session{Account: account, ID: sessionID(account, n), Workload: "agent", WorkloadIncarnation: "w-" + account, Provider: providerName(1),
		ProviderIncarnation: fmt.Sprintf("p-%s-1", account), Generation: "g1", UserKey: "u", GrantKey: grantKey(n), ReturnURL: "https://app.example/",
		State: store.SessionPending, CreatedAt: now, ExpiresAt: now.Add(10 * time.Minute)}
}

func keyOf(account string, n int) string { return fmt.Sprintf("%s-%d", account, n) }

// fill puts two of everything that is sealed into both accounts.
func (b *bed) fill(t testing.TB) {
	t.Helper()
	ctx := context.Background()
	for _, account := range []string{alpha, beta} {
		must(t, b.store.InsertWorkload(workloadOf(account), store.Tags{}))
		for n := 1; n <= 2; n++ {
			say := func(what string) secret.String { return secret.New(planted(what, account, n)) }
			p := b.providerOf(t, account, n)
			must(t, b.SealAssertionClaims(ctx, &p.Row, AssertionClaims{Payload: map[string]string{"claim": planted("claim", account, n)}}))
			must(t, b.SealRegistrationToken(ctx, &p.Row, secret.New(planted("registration", account, n))))
			must(t, b.InsertOAuth2Provider(ctx, p, say("client secret"), store.Tags{}))
			must(t, b.InsertAPIKeyProvider(ctx, apiKeyOf(account, n), say("API key"), store.Tags{}))
			must(t, b.InsertPaymentProvider(ctx, paymentOf(account, n), PaymentSecrets{say("payment secret"), say("signing key")}, store.Tags{}))

			row := store.Key{Account: account, ID: keyID(account, n), Usage: store.KeyForTokenVault, Spec: "SYMMETRIC_DEFAULT", State: store.KeyEnabled, CreatedAt: time.Now(), UpdatedAt: time.Now()}
			var err error
			row.Material, err = b.seal(ctx, keyPlace(row), []byte(planted("key material", account, n)))
			must(t, err)
			must(t, b.store.InsertKey(row))

			issuerKey := store.IssuerKey{Account: account, ID: keyID(account, n), Algorithm: "ES384", Generation: int64(n), CreatedAt: time.Now(), SignsAt: time.Now()}
			issuerKey.Material, err = b.seal(ctx, issuerKeyPlace(issuerKey), []byte(planted("issuer key", account, n)))
			must(t, err)
			must(t, b.store.InsertIssuerKey(issuerKey, false))

			g := grantOf(account, n)
			must(t, b.SealUserName(ctx, &g, planted("user name", account, n)))
			must(t, b.SealTokens(ctx, &g, say("access token"), say("refresh token")))
			must(t, b.SealProofKey(ctx, &g, say("proof key")))
			_, err = b.PutGrant(g)
			must(t, err)

			s := sessionOf(account, n)
			must(t, b.InsertSession(ctx, s, []byte(planted("request", account, n))))
			s, err = b.Session(ctx, s.ID)
			must(t, err)
			s.State, s.CompletionID = store.SessionAuthorized, "completion "+s.ID
			must(t, b.SealCode(ctx, &s, []byte(planted("code", account, n))))
			_, err = b.UpdateSession(s)
			must(t, err)

			must(t, b.PutCeiling(ctx, account, Ceiling{Kind: store.CeilingProvider, Name: ceilingName(account, n), Ceiling: wire.Ceiling{Scopes: []string{planted("ceiling", account, n)}}, UpdatedAt: time.Now()}))
			_, err = b.PutFreeze(ctx, store.Freeze{Account: account, Kind: store.FreezeUser, ID: frozenID(account, n), CreatedAt: time.Now()}, planted("frozen user", account, n))
			must(t, err)

			hook := store.Webhook{Account: account, Name: hookName(account, n), ID: rand.Text(), URL: "https://hook.example/", CreatedAt: time.Now(), UpdatedAt: time.Now()}
			must(t, b.InsertWebhook(ctx, hook, secret.New(planted("previous webhook secret", account, n))))
			hook, err = b.store.Webhook(ctx, account, hook.Name)
			must(t, err)
			must(t, b.RotateWebhook(ctx, hook, secret.New(planted("webhook secret", account, n)), time.Now().Add(time.Hour)))

			_, err = b.PutSignInProvider(ctx, store.SignInProvider{Account: account, Name: signInName(account, n), Incarnation: rand.Text(), Issuer: "https://idp.example", ClientID: "console"}, secret.New(planted("sign-in secret", account, n)))
			must(t, err)
			must(t, b.InsertConsoleSession(ctx, store.ConsoleSession{Kind: store.ConsoleSignedIn, ProviderIncarnation: fmt.Sprintf("session-%s-%d", account, n), ExpiresAt: time.Now().Add(time.Hour)},
				consoleHandle(account, n), []byte(planted("console session", account, n))))

			user := fmt.Sprintf("user-%d", n)
			must(t, b.PutUserPolicy(account, user, "all", iam.AllowAll))
			k, err := b.CreateAccessKey(ctx, account, user, false)
			must(t, err)
			b.keys[keyOf(account, n)] = k
		}
	}
}
