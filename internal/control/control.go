// Package control is the plane of resources: workload identities, credential providers, consent portals, the token vault, and the tags of all of them.
//
// It protects what later requests rest on: a return URL that could leak a session is refused when it is registered, an endpoint that no token may go to
// when it is given, and a change of vendor without its secret.
package control

import (
	"context"
	"errors"
	"strings"
	"time"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/oauth"
	"credence/internal/provider"
	"credence/internal/store"
	"credence/internal/vault"
)

// Config is what the plane is made of.
type Config struct {
	Vault     *vault.Vault
	Store     *store.Store // for rows without secrets
	Gate      *access.Gate
	Resolver  *provider.Resolver
	ARNs      iam.ARNs
	OAuth     *oauth.Client
	Explorer  oauth.Explorer
	CheckURL  func(string) error // refuses a URL that Credence would not call
	PublicURL string             // without a slash at the end
}

// Control is the plane.
type Control struct{ Config }

// New makes the plane.
func New(cfg Config) *Control { return &Control{cfg} }

const service = "bedrock-agentcore:"

// allow is the first call of every operation.
func (c *Control) allow(caller iam.Caller, operation string, resources ...string) error {
	return c.Gate.Allow(caller, access.Request{Action: service + operation, Resources: resources})
}

// allowTagged is the first call of every operation that gives tags.
func (c *Control) allowTagged(caller iam.Caller, operation string, tags map[string]string, resources ...string) error {
	return c.Gate.Allow(caller, access.Request{Action: service + operation, Resources: resources, RequestTags: tags})
}

// page opens the cursor of a list. A nextToken that is not of this list and account is refused; the refusal is recorded.
func (c *Control) page(ctx context.Context, caller iam.Caller, operation string, nextToken *string, maxResults *int32, most int) (store.Page, error) {
	p := store.Page{Limit: most}
	if maxResults != nil {
		p.Limit = int(*maxResults)
	}
	if nextToken == nil {
		return p, nil
	}
	after, ok, err := c.Vault.OpenHandle(ctx, caller.Account, cursor(operation), *nextToken)
	if err != nil {
		return p, err
	}
	if !ok {
		return p, c.Gate.Refuse(caller, access.Request{Action: service + operation}, fault.Invalid("nextToken", "is not one that %s returned: leave it out to begin anew", operation))
	}
	p.After = string(after)
	return p, nil
}

// cursor is the kind of handle that continues a list.
func cursor(operation string) string { return "cursor " + operation }

// nextToken seals where a list goes on; nil when it is at its end.
func (c *Control) nextToken(ctx context.Context, account, operation, last string, more bool) (*string, error) {
	if !more {
		return nil, nil
	}
	token, err := c.Vault.SealHandle(ctx, account, cursor(operation), []byte(last))
	return &token, err
}

// named is the name in an ARN that begins with prefix; "", which nothing is named, for an ARN of anything else or of another account or region.
func (c *Control) named(account, arn, prefix string) string {
	path, ok := c.ARNs.Path(account, arn)
	name, found := strings.CutPrefix(path, prefix)
	if !ok || !found {
		return ""
	}
	return name
}

// notFound is the API's answer for a resource that does not exist; other errors pass.
func notFound(err error, arn string) error {
	if errors.Is(err, fault.NotFound) {
		return fault.New(fault.NotFound, "Resource not found: %s", arn)
	}
	return err
}

// again repeats an update that lost a race, on what is there by then.
func again(update func() error) (err error) {
	for range 5 {
		if err = update(); !errors.Is(err, fault.ConcurrentModification) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return fault.Wrap(fault.Conflict, err, "The resource is being changed by others: try again")
}
