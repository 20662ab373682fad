package external

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

// gcpBackend is Google Secret Manager. One GET of its REST API is all that is needed; Google's client for it would add 6 MB to the binary.
type gcpBackend struct {
	mu      sync.Mutex
	clients map[identity]*http.Client
}

const (
	gcpEndpoint = "https://secretmanager.googleapis.com"
	gcpScope    = "https://www.googleapis.com/auth/cloud-platform"
)

func (b *gcpBackend) read(ctx context.Context, p prefix, r reference) (members, error) {
	client, err := b.client(p.identity)
	if err != nil {
		return nil, err
	}
	path := slices.Clone(r.path)
	if len(path) == 4 {
		path = append(path, "versions", "latest")
	}
	endpoint := gcpEndpoint
	if p.endpoint != "" {
		endpoint = strings.TrimSuffix(p.endpoint, "/")
	}
	for i, s := range path {
		path[i] = url.PathEscape(s)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/v1/"+strings.Join(path, "/")+":access", nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok && e.Response.StatusCode < 500 {
			return nil, refusal{fmt.Sprintf("Google refuses identity %s of this server", p.identity), fmt.Errorf("status %d, %s", e.Response.StatusCode, e.ErrorCode)}
		}
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, refusal{"Google Secret Manager says that it does not exist", nil}
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden: // 400: the version is disabled or destroyed
		return nil, refusal{"Google Secret Manager refuses it with status " + resp.Status, nil}
	default:
		return nil, fmt.Errorf("status %s of Google Secret Manager", resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4*maxSecret))
	if err != nil {
		return nil, err
	}
	var out struct {
		Payload struct {
			Data string `json:"data"`
		} `json:"payload"`
	}
	if json.Unmarshal(body, &out) != nil { // the error would quote the secret
		return nil, errors.New("the answer of Google Secret Manager is no JSON of the documented form")
	}
	text, err := base64.StdEncoding.DecodeString(out.Payload.Data)
	if err != nil {
		return nil, errors.New("the answer of Google Secret Manager is no base64")
	}
	return objectOrText(r.path[3], text)
}

// client logs in as the identity. It outlives the request, and so do the tokens that it gets.
func (b *gcpBackend) client(as identity) (*http.Client, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c, ok := b.clients[as]; ok {
		return c, nil
	}
	bounded := &http.Client{Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, bounded)
	var credentials *google.Credentials
	var err error
	if _, path, ok := strings.Cut(string(as), ":"); ok {
		var text []byte
		if text, err = os.ReadFile(path); err == nil {
			credentials, err = credentialsIn(ctx, text)
		}
	} else {
		credentials, err = google.FindDefaultCredentials(ctx, gcpScope)
	}
	if err != nil {
		return nil, refusal{fmt.Sprintf("this server has no identity %s for Google", as), err}
	}
	c := oauth2.NewClient(ctx, credentials.TokenSource)
	c.CheckRedirect = bounded.CheckRedirect
	if b.clients == nil {
		b.clients = map[identity]*http.Client{}
	}
	b.clients[as] = c
	return c, nil
}

// credentialsIn reads the credentials of a service account or of workload identity federation.
func credentialsIn(ctx context.Context, text []byte) (*google.Credentials, error) {
	var file struct {
		Type google.CredentialsType `json:"type"`
	}
	if json.Unmarshal(text, &file) != nil || file.Type != google.ServiceAccount && file.Type != google.ExternalAccount { // the error would quote the key
		return nil, errors.New("the file holds no credentials of type service_account or external_account")
	}
	c, err := google.CredentialsFromJSONWithType(ctx, text, file.Type, gcpScope)
	if err != nil {
		return nil, errors.New("the file holds no usable credentials")
	}
	return c, nil
}
