package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"filippo.io/age"
	"golang.org/x/sync/singleflight"

	"credence/internal/access"
	"credence/internal/egress"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/oauth"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/telemetry"
	"credence/internal/vault"
	"credence/internal/wire"
	"credence/internal/workload"
)

// Config is what a broker is made of.
type Config struct {
	Vault     *vault.Vault
	Writes    Writes // the vault, or what wraps it
	Leases    Leases
	Outbox    Outbox
	Renewals  Renewals
	Devices   Devices
	Gate      *access.Gate
	Resolver  *provider.Resolver
	OAuth     *oauth.Client
	Users     *workload.Verifier
	ARNs      iam.ARNs
	CheckURL  func(string) error // refuses a URL that Credence would not call
	PublicURL string             // without a slash at the end
	Dev       bool               // sessions may be completed by sessionUri
	Metrics   *telemetry.Metrics
	Log       *slog.Logger
	// ExportRecipients may read what ExportGrants gives away; none: nothing is given away.
	ExportRecipients []age.Recipient
}

// Writes are those that follow an outside effect: once a vendor has answered, losing one of them would lose a grant.
// Each is a compare-and-swap, all or nothing, durable when it returns nil; after an error the write may or may not have happened.
type Writes interface {
	PutGrant(store.Grant) (version int64, err error)
	UpdateGrant(store.Grant) (version int64, err error)
	UpdateSession(store.Session) (version int64, err error)
	CompleteSession(store.Session, store.Grant) (version int64, err error)
	InsertRevocation(store.Revocation) error
	SettleRevocations(account, grantKey string) error
	AuthorizeDevice(s store.Session, r store.Revocation, due time.Duration) error
}

// Leases keep two processes from doing the same thing. AcquireLease answers fault.ConcurrentModification while somebody holds it.
type Leases interface {
	AcquireLease(account, name string, d time.Duration) (store.Lease, error)
	RenewLease(l store.Lease, d time.Duration) error
	ReleaseLease(store.Lease) error
}

// Broker is the plane of tokens.
type Broker struct {
	Config
	flights  singleflight.Group // by kind of call, account and key
	flying   sync.WaitGroup
	upstream upstream
	uses     uses
	failures failures

	registered, probed sync.Map // incarnation of a provider → time.Time
	stubborn           stubborn
}

// New makes a broker.
func New(cfg Config) *Broker { return &Broker{Config: cfg} }

const (
	// vendorTimeout bounds one call to a token endpoint; egress has a shorter one of its own.
	vendorTimeout = 12 * time.Second
	// leaseTime is longer than a call to a vendor, and short enough for another replica to try again within a vendor's grace, often 30 seconds, when the
	// holder has died. What takes longer renews it.
	leaseTime  = 15 * time.Second
	leaseRenew = leaseTime / 3
)

// agent is who a workload access token stands for, after its workload identity was found to be the same one.
type agent struct {
	account string
	caller  string // ARN of who signed the request
	token   workload.Token
	row     store.Workload
}

// open opens the workload access token of a request. One that is foreign, expired, or of a deleted workload is an Unauthorized fault.
func (b *Broker) open(ctx context.Context, c iam.Caller, wat secret.String) (agent, error) {
	t, err := workload.Open(ctx, b.Vault, c.Account, wat)
	if err != nil {
		return agent{}, err
	}
	row, err := b.Vault.Workload(ctx, c.Account, t.Workload)
	if err != nil && !errors.Is(err, fault.NotFound) {
		return agent{}, err
	}
	if err != nil || row.Incarnation != t.Incarnation {
		return agent{}, fault.New(fault.Unauthorized, "The workload identity of this workload access token was deleted: get a new token for one that exists")
	}
	return agent{c.Account, c.ARN, t, row}, nil
}

// agentResources are what every use of a workload access token touches, beside the provider.
func (b *Broker) agentResources(account, workloadName string) []string {
	return []string{b.ARNs.Vault(account, iam.DefaultVault), b.ARNs.Workload(account, workloadName), b.ARNs.Directory(account)}
}

// concerns says whom a request concerns: a freeze of any of them denies it.
func (b *Broker) concerns(req *access.Request, a agent, provider string) {
	req.Workload, req.User, req.UserKey, req.Provider = a.row.Name, a.token.User.String(), a.token.User.Key(), provider
	actsFor(req, a.token.User, a.token.JWT)
}

// actsFor tells conditions of policies about the user of a request, and the verified JWT that says so.
func actsFor(req *access.Request, user workload.User, jwt secret.String) {
	req.UserID, req.UserIssuer = user.ID, user.Issuer
	if user.Verified() {
		req.JWT = sync.OnceValue(func() iam.JWTClaims { return workload.Claims(jwt) })
	}
}

// vendorCall is one call to an endpoint of a vendor when it is the account's turn, with its own deadline and metric.
func (b *Broker) vendorCall(ctx context.Context, account, target string, v provider.Vendor, grantType string, call func(context.Context) (oauth.Token, error)) (oauth.Token, error) {
	ctx = context.WithoutCancel(ctx)
	start := time.Now()
	t, err := b.upstream.do(ctx, account, target, func() (oauth.Token, error) {
		ctx, cancel := egress.WithTimeout(ctx, vendorTimeout, context.DeadlineExceeded)
		defer cancel()
		asked := time.Now()
		t, err := call(ctx)
		t.AskedAt = asked
		return t, err
	})
	outcome := "ok"
	if e, ok := errors.AsType[*oauth.Error](err); ok {
		outcome = string(e.Outcome)
		if refusesClient(e.Code) {
			b.Metrics.ClientRefusals.WithLabelValues(string(v.Name), e.Code).Inc()
		}
	} else if err != nil {
		outcome = "error"
	}
	b.Metrics.ObserveVendor(string(v.Name), grantType, outcome, start)
	return t, err
}

// endpoint is the token endpoint of a provider with its client authentication, which is good for one request of a workload identity, and with the key that the
// tokens of g are bound to, or that new ones will be; a grant without tokens is the zero one.
func (b *Broker) endpoint(ctx context.Context, p *vault.OAuth2Provider, v provider.Vendor, workload string, g store.Grant) (oauth.Endpoint, error) {
	auth, err := b.clientAuth(ctx, p, v, workload, v.TokenEndpoint)
	if err != nil {
		return oauth.Endpoint{}, err
	}
	e := endpointWith(v, auth)
	e.DPoP, err = b.dpop(ctx, v, g)
	return e, err
}

// clientAuth is how the client of a provider authenticates one request of a workload identity to target, an endpoint of its vendor.
func (b *Broker) clientAuth(ctx context.Context, p *vault.OAuth2Provider, v provider.Vendor, workload, target string) (oauth.ClientAuth, error) {
	auth := oauth.ClientAuth{Method: v.AuthMethod, ID: p.Config.ClientID}
	var err error
	switch {
	case auth.Method == oauth.Anonymous || auth.Method == oauth.None:
	case p.Config.AuthMethod == wire.MethodAwsIamIdTokenJwt:
		auth.Renew = func(ctx context.Context) (secret.String, error) { return b.idToken(ctx, p, v, workload, target) }
	case auth.Method == oauth.PrivateKeyJWT || auth.Method == oauth.ClientSecretJWT:
		auth.Renew = func(ctx context.Context) (secret.String, error) {
			return b.Vault.SignClientAssertion(ctx, p, v, target)
		}
	case auth.Method == oauth.TLSClientAuth:
		var pem secret.String
		if pem, err = b.Vault.ClientSecret(ctx, p); err == nil {
			if auth.Certificate, err = oauth.ParseClientCertificate(pem); err != nil {
				err = fault.New(fault.AccessDenied, "The client of provider %s cannot be authenticated: its secret %v", p.Row.Name, err)
			}
		}
	default:
		auth.Secret, err = b.Vault.ClientSecret(ctx, p)
	}
	if auth.Renew != nil {
		auth.Assertion, err = auth.Renew(ctx)
	}
	return auth, err
}

// idToken is what the account, as an issuer, says to the vendor of a provider of one of its workload identities.
func (b *Broker) idToken(ctx context.Context, p *vault.OAuth2Provider, v provider.Vendor, workload, target string) (secret.String, error) {
	account := p.Row.Account
	return b.Vault.SignWorkloadToken(ctx, p, v, target, vault.IssuerURL(b.PublicURL, account), b.ARNs.Workload(account, workload), b.ARNs.Region)
}

func endpointWith(v provider.Vendor, auth oauth.ClientAuth) oauth.Endpoint {
	return oauth.Endpoint{URL: v.TokenEndpoint, Auth: auth, ResponseScopeSeparator: v.ResponseScopeSeparator, Header: v.Header, JSON: v.JSONRequest}
}

// vendor finds the vendor of a provider; one that cannot be reached for discovery is to be tried again later.
func (b *Broker) vendor(ctx context.Context, p *vault.OAuth2Provider) (provider.Vendor, error) {
	v, err := b.Resolver.Vendor(ctx, p.Config)
	if err != nil {
		return v, &fault.Fault{Kind: fault.Throttled, Msg: "The discovery document of provider " + p.Row.Name + " cannot be used: " + err.Error(), RetryAfter: 5 * time.Second, Err: err}
	}
	return v, nil
}

// vendorFault is what the caller of an operation sees of a vendor's answer. Only what a retry may mend is a ThrottlingException.
func vendorFault(p *vault.OAuth2Provider, err error) error {
	e, ok := errors.AsType[*oauth.Error](err)
	if !ok {
		return err
	}
	switch e.Outcome {
	case oauth.Refused:
		return &fault.Fault{Kind: fault.Validation, Reason: fault.FieldValidationFailed, Msg: "The vendor of provider " + p.Row.Name + " refused: " + e.Error(), Err: err,
			Fields: []fault.Field{{Name: "resourceCredentialProviderName", Message: e.Error()}}}
	default:
		return &fault.Fault{Kind: fault.Throttled, Msg: "The vendor of provider " + p.Row.Name + " does not answer as it should: " + e.Error() + "; try again later", RetryAfter: max(e.RetryAfter, time.Second), Err: err}
	}
}

// unsupported has what is told of a refusal say what the vendor offers instead, where that is why it refused. Nothing is refused for the metadata alone: some do not
// list all that their server does.
func unsupported(v provider.Vendor, refusal, told error) error {
	e, isVendor := errors.AsType[*oauth.Error](refusal)
	f, isFault := errors.AsType[*fault.Fault](told)
	if isVendor && isFault && e.Outcome == oauth.Refused && e.Code == "unsupported_grant_type" && len(v.GrantTypes) > 0 {
		f.Msg += fmt.Sprintf(". The metadata of the vendor offer the grant types %.500q", v.GrantTypes)
	}
	return told
}

// oauth2Provider finds the provider that a request names, or answers the API's 404.
func (b *Broker) oauth2Provider(ctx context.Context, account, name string) (*vault.OAuth2Provider, error) {
	p, err := b.Vault.OAuth2Provider(ctx, account, name)
	if errors.Is(err, fault.NotFound) {
		return nil, fault.New(fault.NotFound, "Resource not found: %s", b.ARNs.OAuth2Provider(account, name))
	}
	return p, err
}

// answer is a served grant as the API says it, unless somebody was frozen while it was got, or its token is above a ceiling.
func (b *Broker) answer(ctx context.Context, r request, g store.Grant) (*wire.GetResourceOauth2TokenOutput, error) {
	if err := b.Gate.NotFrozen(ctx, r.caller, r.allowed); err != nil {
		return nil, err
	}
	if err := b.beneath(ctx, r.caller, r.allowed, r.traits, g); err != nil {
		return nil, err
	}
	token, err := b.Vault.AccessToken(ctx, g)
	if err != nil {
		return nil, err
	}
	b.used(g, r.provider)
	out := &wire.GetResourceOauth2TokenOutput{GrantedScopes: tokenScopes(g), TokenType: g.TokenType}
	if !g.ExpiresAt.IsZero() {
		out.AccessTokenExpiresAt = &wire.Time{Time: g.ExpiresAt}
	}
	out.AccessToken = token.Reveal()
	return out, nil
}
