package external

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"credence/internal/fault"
	"credence/internal/secret"
)

const (
	// timeout bounds one call of a backend, logins and retries included.
	timeout = 10 * time.Second
	// A secret that was read is used for so long; a change elsewhere is seen after it at the latest.
	keepRead = 60 * time.Second
	// A backend that failed or refused is left alone for so long.
	keepFailed = 2 * time.Second
	// maxSecret bounds what is read of one secret.
	maxSecret = 64 << 10
	// cacheEntries bounds the secrets in memory.
	cacheEntries = 1000
)

// members are the named parts of a secret.
type members map[string]secret.String

// backend reads a secret below a prefix. An error that is no refusal is an outage.
type backend interface {
	read(ctx context.Context, p prefix, r reference) (members, error)
}

// refusal is a backend's definite answer: waiting will not change it. The text is shown to callers, the cause to logs; neither holds anything of the secret.
type refusal struct {
	text  string
	cause error
}

func (r refusal) Error() string { return r.text }

// Resolver gets secrets for accounts. It is safe for concurrent use.
type Resolver struct {
	prefixes *Prefixes
	files    files
	remote   map[string]backend // by scheme
	cache    *otter.Cache[string, cached]
	flights  singleflight.Group
}

// cached is a secret, or why there is none, until a time.
type cached struct {
	members members
	err     error
	until   time.Time
}

// New makes a resolver. Backends are reached at the first use.
func New(p *Prefixes) *Resolver {
	return &Resolver{
		prefixes: p,
		remote:   map[string]backend{awsScheme: &awsBackend{}, gcpScheme: &gcpBackend{}, azureScheme: &azureBackend{}, openbaoScheme: &openbaoBackend{}},
		cache:    otter.Must(&otter.Options[string, cached]{MaximumSize: cacheEntries}),
	}
}

// Resolve gets the member jsonKey of the secret that an account means by id: an ARN or name of AWS Secrets Manager, or a URI. Whether the account may is
// looked at every time. Errors are faults that tell the id and the reason: AccessDenied for what stays so, Throttled for an outage.
//
// A secret that is no JSON object has one member, named as the last part of its path.
func (r *Resolver) Resolve(ctx context.Context, account, id, jsonKey string) (secret.String, error) {
	ref, p, err := r.prefixes.secret(account, id)
	if err != nil {
		return secret.String{}, fault.New(fault.AccessDenied, "Access denied when retrieving secret %q: it %v", id, err)
	}
	m, err := r.read(ctx, account, p, ref)
	if err == nil && m[jsonKey].IsZero() {
		err = refusal{fmt.Sprintf("it has no text under the key %q", jsonKey), nil}
	}
	if no, ok := errors.AsType[refusal](err); ok {
		return secret.String{}, &fault.Fault{Kind: fault.AccessDenied, Msg: fmt.Sprintf("Access denied when retrieving secret %q: %v", id, no), Err: no.cause}
	}
	if err != nil {
		return secret.String{}, &fault.Fault{Kind: fault.Throttled, Msg: fmt.Sprintf("Secret %q cannot be retrieved just now, since %s does not answer as it should: try again later", id, backendNames[ref.scheme]), RetryAfter: keepFailed, Err: err}
	}
	return m[jsonKey], nil
}

var backendNames = map[string]string{fileScheme: "its directory", awsScheme: "AWS Secrets Manager", gcpScheme: "Google Secret Manager", azureScheme: "Azure Key Vault", openbaoScheme: "OpenBao"}

// read gets a secret. Files are read anew each time: that is quick, and what their symlinks lead to may have changed.
func (r *Resolver) read(ctx context.Context, account string, p prefix, ref reference) (members, error) {
	if ref.scheme == fileScheme {
		return r.files.read(p, ref)
	}
	key := account + ref.String()
	if c, ok := r.cache.GetIfPresent(key); ok && time.Now().Before(c.until) {
		return c.members, c.err
	}
	flight := r.flights.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		defer cancel()
		m, err := r.remote[ref.scheme].read(ctx, p, ref)
		c := cached{m, err, time.Now().Add(keepRead)}
		if err != nil {
			c.until = time.Now().Add(keepFailed)
		}
		r.cache.Set(key, c)
		return m, err
	})
	select {
	case result := <-flight:
		m, _ := result.Val.(members)
		return m, result.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// object takes the JSON object apart that a secret is. Members that are no text are left out.
func object(text []byte) (members, error) {
	var all map[string]jsontext.Value
	if len(text) > maxSecret {
		return nil, refusal{fmt.Sprintf("it is larger than %d bytes", maxSecret), nil}
	}
	if json.Unmarshal(text, &all) != nil || all == nil { // the error would quote the secret
		return nil, refusal{"it is no JSON object whose names differ", nil}
	}
	m := make(members, len(all))
	for name, value := range all {
		var s string
		if value.Kind() == '"' && json.Unmarshal(value, &s) == nil {
			m[name] = secret.New(s)
		}
	}
	return m, nil
}

// objectOrText is for backends that keep plain texts as well: such a text is the one member, under the name of the secret. Whatever begins as an object must be one.
func objectOrText(name string, text []byte) (members, error) {
	if strings.HasPrefix(strings.TrimLeft(string(text), " \t\r\n"), "{") || len(text) > maxSecret {
		return object(text)
	}
	return members{name: secret.New(strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"))}, nil
}
