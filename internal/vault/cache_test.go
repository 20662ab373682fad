package vault

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"credence/internal/fault"
	"credence/internal/secret"
	"credence/internal/store"
)

// noun is one kind of row that is cached, with a number in it that counts its writes.
type noun struct {
	insert func() error      // adds the row with the number 0
	write  func(n int) error // returns once the row says n
	remove func() error      // takes the row away
	read   func() (int, error)
	hold   func(*testing.T) (release func()) // begins to load the row, and stops when it was read but is not kept yet
}

// hold begins a load through a cache and stops it between the database and the cache, where a write of somebody else can come in between.
func hold[T any](t *testing.T, c *cache[T], key string, load func(context.Context) (T, error)) (release func()) {
	t.Helper()
	loaded, resume, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var first sync.Once
	go func() {
		defer close(done)
		_, _ = c.get(context.Background(), key, func(ctx context.Context) (T, error) {
			v, err := load(ctx)
			first.Do(func() { close(loaded) })
			<-resume
			return v, err
		})
	}()
	<-loaded
	release = sync.OnceFunc(func() { close(resume); <-done })
	t.Cleanup(release)
	return release
}

// nouns are all that are cached. The number stands in a column that every write changes.
func nouns(t *testing.T, b *bed) map[string]noun {
	ctx := context.Background()
	// Grants need their parents.
	must(t, b.store.InsertWorkload(workloadOf(alpha), store.Tags{}))
	must(t, b.InsertOAuth2Provider(ctx, b.providerOf(t, alpha, 1), secret.New("x"), store.Tags{}))
	must(t, b.PutUserPolicy(alpha, "ada", "0", readAll))
	number := func(text string, err error) (int, error) {
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(text)
	}

	agent := workloadOf(alpha)
	agent.Name, agent.Incarnation, agent.ReturnURLs = "other", "w-other", []string{"0"}
	workloads := noun{
		insert: func() error { return b.store.InsertWorkload(agent, store.Tags{}) },
		write: func(n int) error {
			w := agent
			w.ReturnURLs = []string{strconv.Itoa(n)}
			return b.UpdateWorkload(w)
		},
		remove: func() error { return b.DeleteWorkload(alpha, agent.Name, "") },
		read: func() (int, error) {
			w, err := b.Workload(ctx, alpha, agent.Name)
			if err != nil {
				return 0, err
			}
			return strconv.Atoi(w.ReturnURLs[0])
		},
		hold: func(t *testing.T) func() {
			return hold(t, b.workloads, key(alpha, agent.Name), func(ctx context.Context) (store.Workload, error) { return b.store.Workload(ctx, alpha, agent.Name) })
		},
	}

	github := b.providerOf(t, alpha, 2)
	github.Config.ClientID = "0"
	providers := noun{
		insert: func() error { return b.InsertOAuth2Provider(ctx, github, secret.New("0"), store.Tags{}) },
		write: func(n int) error {
			row, err := b.store.OAuth2Provider(ctx, alpha, github.Row.Name)
			if err != nil {
				return err
			}
			p := OAuth2Provider{Row: row, Config: github.Config}
			p.Config.ClientID = strconv.Itoa(n)
			return b.UpdateOAuth2Provider(ctx, p, secret.New(p.Config.ClientID))
		},
		remove: func() error { return b.DeleteOAuth2Provider(alpha, github.Row.Name, "") },
		read: func() (int, error) {
			p, err := b.OAuth2Provider(ctx, alpha, github.Row.Name)
			if err != nil {
				return 0, err
			}
			if s, err := b.ClientSecret(ctx, p); err != nil || s.Reveal() != p.Config.ClientID {
				return 0, fmt.Errorf("client id %s has the secret %s: %w", p.Config.ClientID, s.Reveal(), err)
			}
			return strconv.Atoi(p.Config.ClientID)
		},
		hold: func(t *testing.T) func() {
			return hold(t, b.providers, key(alpha, github.Row.Name), func(ctx context.Context) (*OAuth2Provider, error) {
				row, err := b.store.OAuth2Provider(ctx, alpha, github.Row.Name)
				if err != nil {
					return nil, err
				}
				return newOAuth2Provider(row)
			})
		},
	}

	stored := apiKeyOf(alpha, 1)
	apiKeys := noun{
		insert: func() error { return b.InsertAPIKeyProvider(ctx, stored, secret.New("0"), store.Tags{}) },
		write:  func(n int) error { return b.UpdateAPIKeyProvider(ctx, stored, secret.New(strconv.Itoa(n))) },
		remove: func() error { return b.DeleteAPIKeyProvider(alpha, stored.Name, "") },
		read:   func() (int, error) { return number(readAPIKey(b.Vault, alpha, stored.Name)) },
		hold: func(t *testing.T) func() {
			return hold(t, b.apiKeys, key(alpha, stored.Name), func(ctx context.Context) (store.APIKeyProvider, error) {
				return b.store.APIKeyProvider(ctx, alpha, stored.Name)
			})
		},
	}

	wallet := paymentOf(alpha, 1)
	payments := noun{
		insert: func() error {
			wallet.Config.APIKeyID = "0"
			return b.InsertPaymentProvider(ctx, wallet, PaymentSecrets{secret.New("0"), secret.New("0")}, store.Tags{})
		},
		write: func(n int) error {
			row, err := b.store.PaymentProvider(ctx, alpha, wallet.Row.Name)
			if err != nil {
				return err
			}
			p := PaymentProvider{Row: row, Config: wallet.Config}
			p.Config.APIKeyID = strconv.Itoa(n)
			return b.UpdatePaymentProvider(ctx, p, PaymentSecrets{SigningKey: secret.New(p.Config.APIKeyID)})
		},
		remove: func() error { return b.DeletePaymentProvider(alpha, wallet.Row.Name, "") },
		read: func() (int, error) {
			p, err := b.PaymentProvider(ctx, alpha, wallet.Row.Name)
			if err != nil {
				return 0, err
			}
			if s, err := b.paymentSecrets(ctx, p.Row); err != nil || s.SigningKey.Reveal() != p.Config.APIKeyID || s.Secret.Reveal() != "0" {
				return 0, fmt.Errorf("key %s has the secrets %s and %s: %w", p.Config.APIKeyID, s.Secret.Reveal(), s.SigningKey.Reveal(), err)
			}
			return strconv.Atoi(p.Config.APIKeyID)
		},
		hold: func(t *testing.T) func() {
			return hold(t, b.payments, key(alpha, wallet.Row.Name), func(ctx context.Context) (*PaymentProvider, error) {
				row, err := b.store.PaymentProvider(ctx, alpha, wallet.Row.Name)
				if err != nil {
					return nil, err
				}
				return newPaymentProvider(row)
			})
		},
	}

	grant := grantOf(alpha, 1)
	var version int64
	var session int
	seal := func(n int) (g store.Grant, err error) {
		g = grant
		g.Version = version
		return g, b.SealTokens(ctx, &g, secret.New(strconv.Itoa(n)), secret.String{})
	}
	grants := noun{
		insert: func() error {
			g, err := seal(0)
			if err != nil {
				return err
			}
			version, err = b.PutGrant(g)
			return err
		},
		write: func(n int) error { // each of the three ways in turn
			g, err := seal(n)
			if err != nil {
				return err
			}
			switch n % 3 {
			case 0:
				version, err = b.PutGrant(g)
			case 1:
				version, err = b.UpdateGrant(g)
			default:
				session++
				s := sessionOf(alpha, session)
				if err := b.InsertSession(ctx, s, nil); err != nil {
					return err
				}
				if s, err = b.Session(ctx, s.ID); err != nil {
					return err
				}
				s.State = store.SessionCompleted
				version, err = b.CompleteSession(s, g)
			}
			return err
		},
		remove: func() error { return b.DeleteWorkload(alpha, "agent", "") },
		read: func() (int, error) {
			return number(ofGrant(b.Vault, alpha, grant.Key, b.AccessToken))
		},
		hold: func(t *testing.T) func() {
			return hold(t, b.grants, key(alpha, grant.Key), func(ctx context.Context) (store.Grant, error) { return b.store.Grant(ctx, alpha, grant.Key) })
		},
	}

	var k AccessKey
	callers := noun{
		insert: func() (err error) {
			k, err = b.CreateAccessKey(ctx, alpha, "ada", false)
			return err
		},
		write: func(n int) error { return b.PutUserPolicy(alpha, "ada", strconv.Itoa(n), readAll) },
		remove: func() error {
			_, err := b.CreateAccessKey(ctx, alpha, "ada", true)
			return err
		},
		read: func() (int, error) {
			c, _, err := b.Caller(ctx, credential(k.ID))
			if errors.Is(err, fault.UnknownCaller) {
				return 0, fault.NotFound
			}
			return len(c.Policies) - 1, err
		},
		hold: func(t *testing.T) func() {
			return hold(t, b.callers, k.ID, func(ctx context.Context) (*caller, error) { return b.loadCaller(ctx, k.ID) })
		},
	}
	return map[string]noun{"workload identity": workloads, "OAuth2 provider": providers, "API key provider": apiKeys, "payment provider": payments, "grant": grants, "caller": callers}
}

// reads reads, but waits for nobody long: who joins a load that began before a write would wait for what that load found.
func (n noun) reads() (number int, err error) {
	done := make(chan struct{})
	var got int
	var failed error
	go func() {
		defer close(done)
		got, failed = n.read()
	}()
	select {
	case <-done:
		return got, failed
	case <-time.After(time.Second):
		return 0, errors.New("it waits for a load that began before the write")
	}
}

func (n noun) wantReads(t *testing.T, want int, when string) {
	t.Helper()
	if got, err := n.reads(); err != nil || got != want {
		t.Errorf("%s: reads %d, %v, want %d", when, got, err, want)
	}
}

func (n noun) wantGone(t *testing.T, when string) {
	t.Helper()
	if got, err := n.reads(); !errors.Is(err, fault.NotFound) {
		t.Errorf("%s: reads %d, %v, want not_found", when, got, err)
	}
}

var nounNames = []string{"workload identity", "OAuth2 provider", "API key provider", "payment provider", "grant", "caller"}

func eachNoun(t *testing.T, test func(*testing.T, noun)) {
	for _, name := range nounNames {
		t.Run(name, func(t *testing.T) { test(t, nouns(t, openBed(t))[name]) })
	}
}

func TestReadsSeeTheLastWrite(t *testing.T) {
	eachNoun(t, func(t *testing.T, n noun) {
		must(t, n.insert())
		n.wantReads(t, 0, "after the insert")
		for i := 1; i <= 6; i++ {
			must(t, n.write(i))
			n.wantReads(t, i, fmt.Sprintf("after write %d", i))
			n.wantReads(t, i, "once more")
		}
		must(t, n.remove())
		n.wantGone(t, "after it was removed")
	})
}

// A load that began before a write must not bring the old row back: not to those who read after the write, and not into the cache.
func TestWriteDuringALoad(t *testing.T) {
	eachNoun(t, func(t *testing.T, n noun) {
		must(t, n.insert())
		release := n.hold(t)
		must(t, n.write(1))
		n.wantReads(t, 1, "while the old load is under way")
		release()
		n.wantReads(t, 1, "after the old load ended")
	})
}

func TestRemovalDuringALoad(t *testing.T) {
	eachNoun(t, func(t *testing.T, n noun) {
		must(t, n.insert())
		release := n.hold(t)
		must(t, n.remove())
		n.wantGone(t, "while the old load is under way")
		release()
		n.wantGone(t, "after the old load ended")
	})
}

// Who reads after a row was made finds it, though somebody else is just about to learn that there is none.
func TestInsertDuringALoad(t *testing.T) {
	all := nouns(t, openBed(t))
	// Nobody knows an access key before it is made; workload identities are made past the vault.
	for _, name := range []string{"OAuth2 provider", "API key provider", "grant"} {
		t.Run(name, func(t *testing.T) {
			n := all[name]
			release := n.hold(t)
			must(t, n.insert())
			n.wantReads(t, 0, "while the old load is under way")
			release()
			n.wantReads(t, 0, "after the old load ended")
		})
	}
}

// Whatever readers and writers do at the same time: a read that begins after a write returned never sees the row of before.
func TestReadersAndWriters(t *testing.T) {
	eachNoun(t, func(t *testing.T, n noun) {
		must(t, n.insert())
		var written atomic.Int64
		var stop atomic.Bool
		var readers sync.WaitGroup
		for range 3 {
			readers.Go(func() {
				for !stop.Load() {
					floor := int(written.Load())
					got, err := n.read()
					if err != nil || got < floor {
						t.Errorf("reads %d, %v, after write %d returned", got, err, floor)
						return
					}
				}
			})
		}
		for i := 1; i <= 40; i++ {
			must(t, n.write(i))
			written.Store(int64(i))
		}
		stop.Store(true)
		readers.Wait()
		n.wantReads(t, 40, "at the end")
	})
}

// The grants of a provider end with it, also those that are remembered.
func TestGrantsEndWithTheirProvider(t *testing.T) {
	b := openBed(t)
	b.fill(t)
	read := func() (string, error) { return ofGrant(b.Vault, alpha, grantKey(1), b.AccessToken) }
	if _, err := read(); err != nil {
		t.Fatal(err)
	}
	must(t, b.DeleteOAuth2Provider(alpha, providerName(1), ""))
	if got, err := read(); !errors.Is(err, fault.NotFound) {
		t.Errorf("%q, %v, want not_found", got, err)
	}
	if got, err := ofGrant(b.Vault, beta, grantKey(1), b.AccessToken); err != nil || got != planted("access token", beta, 1) {
		t.Errorf("another account's: %q, %v", got, err)
	}
}

func TestReloadGrant(t *testing.T) {
	b := openBed(t)
	b.fill(t)
	before, err := b.Grant(t.Context(), alpha, grantKey(1))
	must(t, err)
	b.exec(t, `UPDATE grants SET last_error = 'by another process', version = version + 1 WHERE account = ? AND grant_key = ?`, alpha, grantKey(1))
	after, err := b.ReloadGrant(t.Context(), alpha, grantKey(1))
	must(t, err)
	if before.LastError != "" || after.LastError != "by another process" || after.Version != before.Version+1 {
		t.Errorf("%+v, then %+v", before, after)
	}
	again, err := b.Grant(t.Context(), alpha, grantKey(1))
	if err != nil || again.Version != after.Version {
		t.Errorf("the reloaded one is not kept: %+v, %v", again, err)
	}
}

// Accounts do not share rows, though names and keys are equal.
func TestCachesKeepAccountsApart(t *testing.T) {
	b := openBed(t)
	b.fill(t)
	for range 2 {
		for _, account := range []string{alpha, beta} {
			w, err := b.Workload(t.Context(), account, "agent")
			if err != nil || w.Account != account {
				t.Errorf("workload of %s: %+v, %v", account, w, err)
			}
			for what, read := range map[string]func() (string, error){
				"client secret": func() (string, error) { return readClientSecret(b.Vault, account, providerName(1)) },
				"API key":       func() (string, error) { return readAPIKey(b.Vault, account, providerName(1)) },
				"signing key": func() (string, error) {
					return readPayment(b.Vault, account, providerName(1), func(s PaymentSecrets) secret.String { return s.SigningKey })
				},
				"access token": func() (string, error) { return ofGrant(b.Vault, account, grantKey(1), b.AccessToken) },
			} {
				if got, err := read(); err != nil || got != planted(what, account, 1) {
					t.Errorf("%s of %s: %q, %v", what, account, got, err)
				}
			}
		}
	}
	if _, err := b.Workload(t.Context(), beta, alpha+"agent"); !errors.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
}

// What is remembered was sealed and stays sealed: a plaintext lives no longer than its use.
func TestCachesHoldNoPlaintext(t *testing.T) {
	b := openBed(t)
	b.fill(t)
	for _, c := range columns {
		if _, err := c.read(b.Vault, b, alpha, 1); err != nil {
			t.Fatal(err)
		}
	}
	var seen strings.Builder
	for _, p := range b.providers.rows.All() {
		fmt.Fprintln(&seen, p.row.Row.Name, p.row.Row.Config, string(p.row.Row.ClientSecret))
	}
	for _, p := range b.apiKeys.rows.All() {
		fmt.Fprintln(&seen, p.row.Name, string(p.row.APIKey))
	}
	for _, p := range b.payments.rows.All() {
		fmt.Fprintln(&seen, p.row.Row.Name, p.row.Row.Config, string(p.row.Row.Secret), string(p.row.Row.SigningKey))
	}
	for _, g := range b.grants.rows.All() {
		fmt.Fprintln(&seen, g.row.Key, string(g.row.AccessToken), string(g.row.RefreshToken), string(g.row.ProofKey), string(g.row.UserName))
	}
	for _, c := range b.callers.rows.All() {
		fmt.Fprintln(&seen, c.row.key.User, string(c.row.key.Secret))
	}
	for _, name := range []string{providerName(1), grantKey(1), "user-1"} {
		if !strings.Contains(seen.String(), name) {
			t.Errorf("%s is not remembered", name)
		}
	}
	for _, c := range columns {
		if strings.Contains(seen.String(), c.want(b, alpha, 1)) {
			t.Errorf("a cache holds the plaintext of %s.%s", c.table, c.column)
		}
	}
	if strings.Contains(seen.String(), b.keys[keyOf(alpha, 1)].Secret.Reveal()) {
		t.Error("a cache holds the secret of an access key")
	}
}
