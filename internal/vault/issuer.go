package vault

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"

	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/wire"
)

const (
	// MaxIDTokenLife is how long an ID token may live (AWS STS, GetWebIdentityToken).
	MaxIDTokenLife = time.Hour

	issuerKeyLife = 90 * 24 * time.Hour // that a key signs before another is made
	// A key is published so long before it signs: longer than anybody keeps the document (edge/issuer says an hour).
	issuerKeyAhead = 24 * time.Hour
	// A key stays published so long after it signed last: its tokens' life, and what clocks may differ.
	issuerKeyAfter = MaxIDTokenLife + 10*time.Minute
)

// issuerAlgorithms are those that AWS STS signs with.
var issuerAlgorithms = []jose.SignatureAlgorithm{jose.ES384, jose.RS256}

// IssuerURL is the issuer (claim iss) that an account is.
func IssuerURL(publicURL, account string) string { return publicURL + "/issuer/" + account }

// IssuerKey is a published key of an account as an issuer.
type IssuerKey struct {
	Public    jose.JSONWebKey
	State     wire.IssuerKeyState
	CreatedAt time.Time
	SignsAt   time.Time
	EndsAt    time.Time // when it leaves the document; zero when no other key follows yet
}

// IssuerKeys are the published keys of an account, at first use made; fault.NotFound when there is no such account.
func (v *Vault) IssuerKeys(ctx context.Context, account string) ([]IssuerKey, error) {
	rows, err := v.issuerKeyRows(ctx, account, issuerAlgorithms...)
	if err != nil {
		return nil, err
	}
	var out []IssuerKey
	now := time.Now()
	for _, alg := range issuerAlgorithms {
		signing := signingKey(rows, alg, now)
		for i, r := range rows {
			if r.Algorithm != string(alg) {
				continue
			}
			k := IssuerKey{State: wire.IssuerKeyActive, CreatedAt: r.CreatedAt, SignsAt: r.SignsAt}
			switch {
			case r.Generation < signing.Generation:
				k.State, k.EndsAt = wire.IssuerKeyRetired, rows[i+1].SignsAt.Add(issuerKeyAfter)
				if !now.Before(k.EndsAt) {
					continue
				}
			case r.Generation > signing.Generation:
				k.State = wire.IssuerKeyPending
			case i+1 < len(rows) && rows[i+1].Algorithm == r.Algorithm:
				k.EndsAt = rows[i+1].SignsAt.Add(issuerKeyAfter)
			}
			if err := json.Unmarshal([]byte(r.PublicKey), &k.Public); err != nil {
				return nil, fmt.Errorf("issuer key %s of account %s: %w", r.ID, account, err)
			}
			out = append(out, k)
		}
	}
	return out, nil
}

// issuerKeyRows are the keys of an account by algorithm and generation; of each wanted algorithm there is one at least.
func (v *Vault) issuerKeyRows(ctx context.Context, account string, wanted ...jose.SignatureAlgorithm) ([]store.IssuerKey, error) {
	if err := v.AccountExists(ctx, account); err != nil {
		return nil, err
	}
	load := func(ctx context.Context) ([]store.IssuerKey, error) { return v.store.IssuerKeys(ctx, account) }
	rows, err := v.issuers.get(ctx, account, load)
	missing := func() []jose.SignatureAlgorithm {
		return slices.DeleteFunc(slices.Clone(wanted), func(a jose.SignatureAlgorithm) bool { return signingKey(rows, a, time.Now()).ID != "" })
	}
	if err != nil || len(missing()) == 0 {
		return rows, err
	}
	// The first key signs at once: nobody has seen a document without it.
	for _, alg := range missing() {
		if _, err, _ := v.openings.Do("issuer key "+account+string(alg), func() (any, error) {
			return nil, v.addIssuerKey(context.WithoutCancel(ctx), account, alg, 1, time.Now(), false)
		}); err != nil && !errors.Is(err, fault.Conflict) { // another replica was first
			return nil, err
		}
	}
	if rows, err = load(ctx); err == nil && len(missing()) > 0 {
		err = fmt.Errorf("account %s has no key of its issuer for %s", account, missing())
	}
	return rows, err
}

// AccountExists answers nil or fault.NotFound. Strangers ask, about whatever they like, and an account may be deleted: nothing is remembered.
func (v *Vault) AccountExists(ctx context.Context, account string) error {
	if !iam.ValidAccount(account) {
		return fault.NotFound
	}
	_, err := v.store.Keyset(ctx, account, purposeRows)
	return err
}

// signingKey is the key of an algorithm that signs now: the latest one whose time has come, by a clock that may be a little behind the one that set it.
func signingKey(rows []store.IssuerKey, alg jose.SignatureAlgorithm, now time.Time) (key store.IssuerKey) {
	for _, r := range rows {
		if r.Algorithm == string(alg) && (key.ID == "" || !r.SignsAt.After(now)) {
			key = r
		}
	}
	return key
}

func issuerKeyPlace(k store.IssuerKey) place {
	return place{"issuer_keys", "material", k.Account, k.ID}
}

// addIssuerKey makes a key of the next generation; fault.Conflict when somebody else did.
func (v *Vault) addIssuerKey(ctx context.Context, account string, alg jose.SignatureAlgorithm, generation int64, signsAt time.Time, alone bool) error {
	var private crypto.Signer
	var err error
	switch alg {
	case jose.ES384:
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	default:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		return err
	}
	k := store.IssuerKey{Account: account, ID: uuid.NewString(), Algorithm: string(alg), Generation: generation, CreatedAt: time.Now(), SignsAt: signsAt}
	public, err := jose.JSONWebKey{Key: private.Public(), KeyID: k.ID, Algorithm: k.Algorithm, Use: "sig"}.MarshalJSON()
	if err != nil {
		return err
	}
	k.PublicKey = string(public)
	material, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	if k.Material, err = v.seal(ctx, issuerKeyPlace(k), material); err != nil {
		return err
	}
	if err := v.record(account, "credence:CreateIssuerKey", k.ID); err != nil {
		return err
	}
	defer v.issuers.forget(account)
	return v.store.InsertIssuerKey(k, alone)
}

// RotateIssuerKeys makes new keys of an account's issuer. They are published now and sign in a day; what is still to sign stays. With withdraw they sign at
// once, and all earlier keys are withdrawn: tokens that they signed are worth nothing any more to whoever looks at the document again.
func (v *Vault) RotateIssuerKeys(ctx context.Context, account string, withdraw bool) error {
	rows, err := v.issuerKeyRows(ctx, account, issuerAlgorithms...)
	if err != nil {
		return err
	}
	for _, alg := range issuerAlgorithms {
		signsAt := time.Now()
		if !withdraw {
			signsAt = signsAt.Add(issuerKeyAhead)
		}
		if err := v.rotateIssuerKey(ctx, rows, account, alg, signsAt, withdraw); err != nil {
			return err
		}
	}
	return nil
}

func (v *Vault) rotateIssuerKey(ctx context.Context, rows []store.IssuerKey, account string, alg jose.SignatureAlgorithm, signsAt time.Time, withdraw bool) error {
	var latest store.IssuerKey
	for _, r := range rows {
		if r.Algorithm == string(alg) {
			latest = r
		}
	}
	if latest.SignsAt.After(time.Now()) && !withdraw {
		return nil
	}
	err := v.addIssuerKey(ctx, account, alg, latest.Generation+1, signsAt, withdraw)
	if errors.Is(err, fault.Conflict) {
		if withdraw {
			return fault.New(fault.Conflict, "The keys of the issuer are being rotated by somebody else: try again")
		}
		return nil
	}
	return err
}

// RenewIssuerKeys makes the successors of keys that have signed for long enough, and removes those whose tokens have all ended, in every account.
func (v *Vault) RenewIssuerKeys(ctx context.Context) error {
	accounts, err := v.store.Accounts(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, account := range accounts {
		if err := v.renewIssuerKeys(ctx, account); err != nil {
			errs = append(errs, fmt.Errorf("account %s: %w", account, err))
		}
	}
	return errors.Join(errs...)
}

func (v *Vault) renewIssuerKeys(ctx context.Context, account string) error {
	rows, err := v.store.IssuerKeys(ctx, account)
	if err != nil {
		return err
	}
	now := time.Now()
	for i, r := range rows {
		if last := i+1 == len(rows) || rows[i+1].Algorithm != r.Algorithm; !last {
			if now.Before(rows[i+1].SignsAt.Add(issuerKeyAfter)) {
				continue
			}
			if err := v.record(account, "credence:DeleteIssuerKey", r.ID); err != nil {
				return err
			}
			if err := v.store.DeleteIssuerKey(r); err != nil {
				return err
			}
			continue
		}
		if now.Before(r.SignsAt.Add(issuerKeyLife - issuerKeyAhead)) {
			continue
		}
		if err := v.rotateIssuerKey(ctx, rows, account, jose.SignatureAlgorithm(r.Algorithm), now.Add(issuerKeyAhead), false); err != nil {
			return err
		}
	}
	return nil
}

// IDToken is what an account, as an issuer, says of one of its principals or workload identities.
type IDToken struct {
	Account   string
	Issuer    string   // IssuerURL
	Subject   string   // ARN of the account
	Audience  []string // one at least
	Algorithm wire.WebIdentityTokenAlgorithm
	Life      time.Duration // at most MaxIDTokenLife
	Ago       time.Duration // how long ago it says that it was issued, for readers whose clock is behind
	Region    string
	Tags      map[string]string
}

// SignIDToken is all that the keys of an issuer ever sign. Its claims are those of AWS STS (IAM User Guide, "Understanding token claims").
func (v *Vault) SignIDToken(ctx context.Context, t IDToken) (_ secret.String, expires time.Time, _ error) {
	alg := jose.SignatureAlgorithm(t.Algorithm)
	if t.Issuer == "" || t.Subject == "" || len(t.Audience) == 0 || t.Life <= 0 || t.Life > MaxIDTokenLife || !slices.Contains(issuerAlgorithms, alg) {
		return secret.String{}, expires, errors.New("an ID token needs an issuer, a subject, an audience, an algorithm and a lifetime of at most an hour")
	}
	rows, err := v.issuerKeyRows(ctx, t.Account, alg)
	if err != nil {
		return secret.String{}, expires, err
	}
	now := time.Now()
	row := signingKey(rows, alg, now)
	material, err := v.open(ctx, issuerKeyPlace(row), row.Material)
	if err != nil {
		return secret.String{}, expires, err
	}
	private, err := x509.ParsePKCS8PrivateKey(material)
	if err != nil {
		return secret.String{}, expires, fmt.Errorf("issuer key %s of account %s is damaged", row.ID, t.Account) // the cause could quote it
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: private, KeyID: row.ID}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return secret.String{}, expires, err
	}
	var audience any = t.Audience
	if len(t.Audience) == 1 {
		audience = t.Audience[0]
	}
	about := map[string]any{"aws_account": t.Account, "source_region": t.Region}
	if len(t.Tags) > 0 {
		about["request_tags"] = t.Tags
	}
	now = now.Add(-t.Ago)
	expires = now.Add(t.Life).Truncate(time.Second)
	token, err := jwt.Signed(signer).Claims(map[string]any{
		"iss": t.Issuer, "sub": t.Subject, "aud": audience, "iat": now.Unix(), "exp": expires.Unix(), "jti": rand.Text(), "https://sts.amazonaws.com/": about,
	}).Serialize()
	return secret.New(token), expires, err
}

// SignWorkloadToken makes the ID token by which a workload identity proves to the vendor of a provider who it is: as the client (RFC 7521 section 4.2), or as who
// acts for a user (RFC 8693 section 2.1). It is for that vendor's token endpoint, or its
// issuer where the provider's config says so, and leaves only for target, where that is on a host of the vendor's.
func (v *Vault) SignWorkloadToken(ctx context.Context, p *OAuth2Provider, vendor provider.Vendor, target, issuer, subject, region string) (secret.String, error) {
	if err := onlyToVendor(p, vendor, target); err != nil {
		return secret.String{}, err
	}
	if err := v.usable(ctx, p.Row.Account, fault.Decryption); err != nil {
		return secret.String{}, err
	}
	audience, err := vendorAudience(p, vendor, "")
	if err != nil {
		return secret.String{}, err
	}
	token, _, err := v.SignIDToken(ctx, IDToken{
		Account: p.Row.Account, Issuer: issuer, Subject: subject, Audience: []string{audience}, Algorithm: wire.WebIdentityTokenRS256, Life: assertionLifetime, Ago: clockTolerance, Region: region,
	})
	return token, err
}
