package torture

import (
	"context"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	data "github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"credence/internal/testenv"
)

const (
	workload = "agent"
	// A client gives up on a replica after so long and goes to the next one, as behind a load balancer.
	callTime = 5 * time.Second
)

// user is one person with one grant at one vendor.
type user struct {
	name   string
	vendor *vendor
	// atLeast is how long tokens must live on; 0: as the provider says.
	atLeast time.Duration

	mu      sync.Mutex
	wat     *string
	watAt   time.Time
	failing time.Time // since when no replica has served a token
	asked   bool      // for a consent, which means that the grant is gone
}

// ledger is what the readers saw.
type ledger struct {
	calls, served, refused, unreachable atomic.Int64
	foreign, expired, stale             atomic.Int64
	mu                                  sync.Mutex
	longest                             time.Duration // that no replica served a grant
}

// addWorkload makes the workload identity that all act through.
func (in *installation) addWorkload() {
	in.t.Helper()
	_, err := in.control().CreateWorkloadIdentity(context.Background(), &bedrockagentcorecontrol.CreateWorkloadIdentityInput{
		Name: aws.String(workload), AllowedResourceOauth2ReturnUrls: []string{testenv.ReturnURL},
	})
	if err != nil {
		in.t.Fatal(err)
	}
}

// token asks one replica; a nil token is no error but a consent that is asked for.
func (in *installation) token(ctx context.Context, r *replica, u *user, session *string) (*bedrockagentcore.GetResourceOauth2TokenOutput, error) {
	u.mu.Lock()
	wat, at := u.wat, u.watAt
	u.mu.Unlock()
	if wat == nil || time.Since(at) > 5*time.Minute {
		out, err := in.data(r).GetWorkloadAccessTokenForUserId(ctx, &bedrockagentcore.GetWorkloadAccessTokenForUserIdInput{WorkloadName: aws.String(workload), UserId: &u.name})
		if err != nil {
			return nil, err
		}
		wat = out.WorkloadAccessToken
		u.mu.Lock()
		u.wat, u.watAt = wat, time.Now()
		u.mu.Unlock()
	}
	return in.data(r).GetResourceOauth2Token(ctx, &bedrockagentcore.GetResourceOauth2TokenInput{
		WorkloadIdentityToken: wat, ResourceCredentialProviderName: &u.vendor.name, Oauth2Flow: data.Oauth2FlowTypeUserFederation, Scopes: []string{"read"},
		ResourceOauth2ReturnUrl: aws.String(testenv.ReturnURL), SessionUri: session,
	}, func(o *bedrockagentcore.Options) {
		if u.atLeast > 0 {
			o.APIOptions = append(o.APIOptions, smithyhttp.AddHeaderValue("X-Credence-Minimum-Validity-Seconds", strconv.Itoa(int(u.atLeast.Seconds()))))
		}
	})
}

// consent takes a user through the vendor and back, at one replica and, from the browser's side, the first.
func (in *installation) consent(r *replica, u *user) {
	in.t.Helper()
	ctx := context.Background()
	out, err := in.token(ctx, r, u, nil)
	if err != nil || out.AuthorizationUrl == nil {
		in.t.Errorf("%s: no consent is asked for: %+v %v", u.name, out, err)
		return
	}
	b := testenv.NewBrowser(in.t)
	atVendor, answer := b.Follow(*out.AuthorizationUrl, u.vendor.Issuer())
	if answer != nil {
		in.t.Errorf("%s: stopped at %s: HTTP %d", u.name, atVendor, answer.StatusCode)
		return
	}
	resp, err := b.Client.PostForm(atVendor, url.Values{"username": {u.name}, "decision": {"approve"}})
	if err != nil {
		in.t.Error(err)
		return
	}
	_ = resp.Body.Close()
	back := b.Visit(resp.Header.Get("Location"))
	if _, err := in.data(r).CompleteResourceTokenAuth(ctx, &bedrockagentcore.CompleteResourceTokenAuthInput{
		SessionUri: aws.String(back.Get("session_id")), UserIdentifier: &data.UserIdentifierMemberUserId{Value: u.name},
	}); err != nil {
		in.t.Errorf("%s: %v", u.name, err)
		return
	}
	if out, err = in.token(ctx, r, u, out.SessionUri); err != nil || out.AccessToken == nil {
		in.t.Errorf("%s: after the consent: %+v %v", u.name, out, err)
	}
}

// read asks for a user's token, of one replica after the other until one serves it, and holds what it gets against the vendor's book.
func (in *installation) read(t testing.TB, l *ledger, u *user) (served bool) {
	for tried, i := range rand.Perm(len(in.replicas)) {
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), callTime)
		out, err := in.token(ctx, in.replicas[i], u, nil)
		cancel()
		l.calls.Add(1)
		switch {
		case err != nil && strings.Contains(err.Error(), "StatusCode: 0"):
			l.unreachable.Add(1)
		case err != nil:
			l.refused.Add(1)
		case out.AccessToken == nil:
			u.mu.Lock()
			u.asked = true
			u.mu.Unlock()
			return false
		default:
			l.served.Add(1)
			l.check(t, u, *out.AccessToken, began)
			u.mu.Lock()
			u.failing = time.Time{}
			u.mu.Unlock()
			return true
		}
		u.mu.Lock()
		if u.failing.IsZero() {
			u.failing = began
		}
		failing := time.Since(u.failing)
		u.mu.Unlock()
		if tried == len(in.replicas)-1 {
			l.mu.Lock()
			l.longest = max(l.longest, failing)
			l.mu.Unlock()
		}
	}
	return false
}

func (l *ledger) check(t testing.TB, u *user, token string, began time.Time) {
	info, known := u.vendor.book(token)
	switch {
	case !known || info.Subject != u.name:
		l.foreign.Add(1)
		t.Errorf("%s was handed a token of %q", u.name, info.Subject)
	case !began.Before(info.Expiry):
		l.expired.Add(1)
		t.Errorf("%s was handed a token that had ended %s before the request", u.name, began.Sub(info.Expiry))
	case time.Until(info.Expiry) < u.vendor.Snapshot().AccessTokenLifetime/10:
		l.stale.Add(1)
	}
}
