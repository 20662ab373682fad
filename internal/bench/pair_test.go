//go:build linux

package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	data "github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	control "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"

	"credence/internal/edge/awsapi"
	"credence/internal/fakeidp"
	"credence/internal/secret"
	"credence/internal/sigv4"
)

const (
	tokenLength  = 1024 // of the vendor's access tokens
	workloadName = "agent"
	providerName = "vendor"
	clientID     = "credence"
	clientSecret = "client-secret"
)

// pair is both processes, ready for load.
type pair struct {
	bare, verifying, credence, durable subject
	memory, waiting, plain             subject // credence with another audit sink
	control                            string  // URL
	credentials                        aws.CredentialsProvider
	wat                                *string
	token                              string
	answer                             []byte // the body that all servers answer
	patientUntil                       time.Time
}

// subject is a server that is measured.
type subject struct {
	name, url string
	audit     string // the sink of Credence's audit events
}

func (p *pair) servers() []subject {
	return []subject{p.bare, p.verifying, p.credence, p.durable, p.memory, p.waiting, p.plain}
}

// switchAudit has Credence keep audit events in the database, or, as what is measured beside it, elsewhere.
func (p *pair) switchAudit(b testing.TB, s subject) {
	b.Helper()
	resp, err := http.Post(p.control+"/audit?to="+s.audit, "", nil)
	if err != nil {
		b.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b.Fatalf("the server process has no audit sink %q", s.audit)
	}
}

// start runs a server process until the test ends. In it, Credence has got a token from a vendor in this process, and the others know what it answers.
func start(b testing.TB) *pair {
	b.Helper()
	vendor := fakeidp.Start(b)
	vendor.AddClient(fakeidp.Client{ID: clientID, Secret: clientSecret})
	vendor.Mark = strings.Repeat("m", tokenLength-len("access-")-26) // what else an access token of the vendor has
	dataDir := filepath.Join(b.TempDir(), "data")
	l := startServer(b, dataDir)
	p := &pair{
		bare: subject{"a bare", l.Bare, "memory"}, verifying: subject{"b verifying", l.Verifying, "memory"}, credence: subject{"c credence", l.Credence, "database"}, durable: subject{"d durable", l.Durable, "memory"},
		memory: subject{"e in memory", l.Credence, "memory"}, waiting: subject{"f waiting", l.Credence, "wait"}, plain: subject{"g plain file", l.Credence, "plain"},
		control: l.Control, patientUntil: time.Now().Add(patience),
	}
	if err := p.prepare(b, filepath.Join(dataDir, "credentials"), vendor.Issuer()); err != nil {
		b.Fatal(err)
	}
	return p
}

func startServer(b testing.TB, dataDir string) (l listening) {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env, cmd.Stderr = append(os.Environ(), dataDirVariable+"="+dataDir), os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close() // the server process takes it as the end
		if err := cmd.Wait(); err != nil {
			b.Errorf("server process: %v", err)
		}
	})
	if err := json.NewDecoder(stdout).Decode(&l); err != nil {
		b.Fatalf("the server process does not say where it listens: %v", err)
	}
	return l
}

// prepare gets the token that will be asked for, with a workload and a provider of its own.
func (p *pair) prepare(b testing.TB, credentialsFile, issuer string) error {
	ctx := b.Context()
	file, err := config.LoadSharedConfigProfile(ctx, "default", func(o *config.LoadSharedConfigOptions) {
		o.CredentialsFiles, o.ConfigFiles = []string{credentialsFile}, []string{}
	})
	if err != nil {
		return err
	}
	key := file.Credentials
	p.credentials = credentials.StaticCredentialsProvider{Value: key}

	c := bedrockagentcorecontrol.New(bedrockagentcorecontrol.Options{BaseEndpoint: &p.credence.url, Region: region, Credentials: p.credentials})
	_, err1 := c.CreateWorkloadIdentity(ctx, &bedrockagentcorecontrol.CreateWorkloadIdentityInput{Name: aws.String(workloadName)})
	_, err2 := c.CreateOauth2CredentialProvider(ctx, &bedrockagentcorecontrol.CreateOauth2CredentialProviderInput{
		Name: aws.String(providerName), CredentialProviderVendor: control.CredentialProviderVendorTypeCustomOauth2,
		Oauth2ProviderConfigInput: &control.Oauth2ProviderConfigInputMemberCustomOauth2ProviderConfig{Value: control.CustomOauth2ProviderConfigInput{
			ClientId: aws.String(clientID), ClientSecret: aws.String(clientSecret),
			OauthDiscovery: &control.Oauth2DiscoveryMemberDiscoveryUrl{Value: issuer + "/.well-known/openid-configuration"},
		}},
	})
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	d := p.client(p.credence, http.DefaultClient)
	minted, err := d.GetWorkloadAccessToken(ctx, &bedrockagentcore.GetWorkloadAccessTokenInput{WorkloadName: aws.String(workloadName)})
	if err != nil {
		return err
	}
	p.wat = minted.WorkloadAccessToken
	out, err := d.GetResourceOauth2Token(ctx, p.input())
	if err != nil {
		return err
	}
	if p.token = *out.AccessToken; len(p.token) != tokenLength {
		return fmt.Errorf("the vendor's access token has %d characters, not %d", len(p.token), tokenLength)
	}

	first, err := dial(p.request(b, p.credence))
	if err != nil {
		return err
	}
	p.answer = first.body
	today := time.Now().UTC().Format("20060102") // a run over midnight fails at b
	return errors.Join(first.Close(), p.tell(knownAnswer{
		AccessKeyID: key.AccessKeyID, SigningKey: sigv4.Derive(secret.New(key.SecretAccessKey), today, region, awsapi.SigningName), Body: p.answer,
	}))
}

// tell tells the fixed servers what they know.
func (p *pair) tell(k knownAnswer) error {
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	resp, err := http.Post(p.control+"/answer", "application/json", bytes.NewReader(text))
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New("the server process does not take its answer: " + resp.Status)
	}
	return nil
}

// usage asks what the server process has used up.
func (p *pair) usage() (u usage, err error) {
	resp, err := http.Get(p.control + "/usage")
	if err != nil {
		return u, err
	}
	err = json.NewDecoder(resp.Body).Decode(&u)
	return u, errors.Join(err, resp.Body.Close())
}

func (p *pair) input() *bedrockagentcore.GetResourceOauth2TokenInput {
	return &bedrockagentcore.GetResourceOauth2TokenInput{
		WorkloadIdentityToken: p.wat, ResourceCredentialProviderName: aws.String(providerName), Oauth2Flow: data.Oauth2FlowTypeM2m, Scopes: []string{"read", "write"},
	}
}

func (p *pair) client(s subject, via bedrockagentcore.HTTPClient) *bedrockagentcore.Client {
	return bedrockagentcore.New(bedrockagentcore.Options{BaseEndpoint: &s.url, Region: region, Credentials: p.credentials, RetryMaxAttempts: 1, HTTPClient: via})
}

// request is a request as it goes over a connection.
type request struct {
	host  string // host:port
	bytes []byte
}

// Do sends r as the AWS SDK's HTTP client, and keeps it.
func (r *request) Do(sdk *http.Request) (_ *http.Response, err error) {
	r.host = sdk.URL.Host
	if r.bytes, err = httputil.DumpRequestOut(sdk, true); err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(sdk)
}

// request has the AWS SDK ask a server for the token, and gives the request that it made. It is good for five minutes.
func (p *pair) request(b testing.TB, s subject) request {
	b.Helper()
	var r request
	out, err := p.client(s, &r).GetResourceOauth2Token(b.Context(), p.input())
	if err != nil {
		b.Fatalf("%s: %v", s.name, err)
	}
	if *out.AccessToken != p.token {
		b.Fatalf("%s answers another token", s.name)
	}
	return r
}
