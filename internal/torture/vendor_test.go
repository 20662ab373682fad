package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	control "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"credence/internal/fakeidp"
)

// vendor is one that rotates refresh tokens and ends the family when one is used twice, with a book of what it answered.
type vendor struct {
	*fakeidp.Vendor
	name  string
	grace time.Duration

	mu        sync.Mutex
	issued    map[string]fakeidp.TokenInfo // access tokens
	spent     map[string]bool              // refresh tokens
	refreshes int                          // that were answered with a token
}

const clientID, clientSecret = "torture", "secret of torture"

func startVendor(t testing.TB, name string, lifetime, grace time.Duration) *vendor {
	t.Helper()
	v := &vendor{name: name, grace: grace, issued: map[string]fakeidp.TokenInfo{}, spent: map[string]bool{}}
	server := httptest.NewUnstartedServer(v)
	v.Vendor = fakeidp.New("http://" + server.Listener.Addr().String())
	v.AddClient(fakeidp.Client{ID: clientID, Secret: clientSecret})
	v.Set(func(b *fakeidp.Behaviour) {
		b.AccessTokenLifetime, b.RefreshGrace, b.ReuseKillsFamily = lifetime, grace, true
	})
	server.Start()
	t.Cleanup(func() {
		v.calm()
		server.CloseClientConnections()
		server.Close()
	})
	return v
}

// calm ends all trouble.
func (v *vendor) calm() {
	v.Set(func(b *fakeidp.Behaviour) { b.Failures, b.Times = fakeidp.Failures{}, 0 })
}

// trouble is in the next few token requests.
func (v *vendor) trouble(times int, f fakeidp.Failures) {
	v.Set(func(b *fakeidp.Behaviour) { b.Failures, b.Times = f, times })
}

// distance is how long an answer of the token endpoint is under way: when most processes that die at a refresh do.
const distance = 150 * time.Millisecond

// ServeHTTP writes down each token before anybody has it.
func (v *vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/token" {
		v.Handler().ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := httptest.NewRecorder()
	v.Handler().ServeHTTP(answer, r) // panics where it cuts the connection
	var got struct {
		AccessToken string `json:"access_token"`
	}
	if answer.Code == http.StatusOK && json.Unmarshal(answer.Body.Bytes(), &got) == nil {
		form, _ := url.ParseQuery(string(body))
		info, _ := v.Introspect(got.AccessToken)
		v.mu.Lock()
		v.issued[got.AccessToken] = info
		if spent := form.Get("refresh_token"); spent != "" {
			v.refreshes++
			v.spent[spent] = true
		}
		v.mu.Unlock()
	}
	time.Sleep(distance)
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

func (v *vendor) book(token string) (fakeidp.TokenInfo, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	info, ok := v.issued[token]
	return info, ok
}

// counts are the refreshes answered and the refresh tokens that were spent by them.
func (v *vendor) counts() (refreshes, spent int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.refreshes, len(v.spent)
}

// register makes the credential provider of a vendor.
func (in *installation) register(v *vendor) {
	in.t.Helper()
	_, err := in.control().CreateOauth2CredentialProvider(context.Background(), &bedrockagentcorecontrol.CreateOauth2CredentialProviderInput{
		Name: &v.name, CredentialProviderVendor: control.CredentialProviderVendorTypeCustomOauth2,
		Oauth2ProviderConfigInput: &control.Oauth2ProviderConfigInputMemberCustomOauth2ProviderConfig{Value: control.CustomOauth2ProviderConfigInput{
			ClientId: aws.String(clientID), ClientSecret: aws.String(clientSecret),
			OauthDiscovery: &control.Oauth2DiscoveryMemberDiscoveryUrl{Value: v.Issuer() + "/.well-known/openid-configuration"},
		}},
	}, func(o *bedrockagentcorecontrol.Options) {
		if v.grace > 0 {
			o.APIOptions = append(o.APIOptions, smithyhttp.AddHeaderValue("X-Credence-Refresh-Token-Grace-Seconds", strconv.Itoa(int(v.grace.Seconds()))))
		}
	})
	if err != nil {
		in.t.Fatal(err)
	}
}
