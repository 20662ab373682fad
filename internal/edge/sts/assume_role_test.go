package sts_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	data "github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
	sdk "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"credence/internal/audit"
	"credence/internal/fakeidp"
	"credence/internal/server"
	"credence/internal/testenv"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const audience = "credence"

func webToken(e *testenv.Env, subject string, more ...map[string]any) string {
	claims := map[string]any{"sub": subject, "aud": audience}
	for _, m := range more {
		for name, value := range m {
			claims[name] = value
		}
	}
	token := e.Vendor.Sign(claims)
	e.Plant(token)
	return token
}

// federated is a statement that trusts one subject of the test's issuer.
func federated(e *testenv.Env, subject string) string {
	_, host, _ := strings.Cut(e.Vendor.Issuer(), "://")
	return `{"Effect":"Allow","Principal":{"Federated":"` + e.Vendor.Issuer() + `"},"Action":["sts:AssumeRoleWithWebIdentity","sts:TagSession","sts:SetSourceIdentity"],"Condition":{` +
		`"StringEquals":{"` + host + `:aud":"` + audience + `","` + host + `:sub":"` + subject + `"}}}`
}

func call(t *testing.T, p testenv.Principal, operation string, in map[string]any) testenv.Answer {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	a := p.Call("/credence/"+operation, string(body))
	if a.Status/100 != 2 {
		t.Fatalf("%s: %d %s", operation, a.Status, a.Body)
	}
	return a
}

const everything = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`

// newRole makes a role that trusts by one statement, and may do everything.
func newRole(t *testing.T, e *testenv.Env, name, statement string) {
	t.Helper()
	in := map[string]any{"roleName": name, "assumeRolePolicyDocument": `{"Version":"2012-10-17","Statement":` + statement + `}`}
	call(t, e.Admin, "CreateRole", in)
	call(t, e.Admin, "PutRolePolicy", map[string]any{"roleName": name, "policyName": "all", "policyDocument": everything})
}

func roleARN(name string) string { return "arn:aws:iam::" + testenv.Account + ":role/" + name }

// anonymous is a client of STS without credentials.
func anonymous(e *testenv.Env) *sdk.Client {
	return sdk.New(sdk.Options{BaseEndpoint: aws.String(e.URL), Region: "us-east-1", RetryMaxAttempts: 1, HTTPClient: &http.Client{}})
}

func assume(e *testenv.Env, role, token string, edit ...func(*sdk.AssumeRoleWithWebIdentityInput)) (*types.Credentials, error) {
	in := &sdk.AssumeRoleWithWebIdentityInput{RoleArn: aws.String(roleARN(role)), RoleSessionName: aws.String("run-1"), WebIdentityToken: &token}
	for _, f := range edit {
		f(in)
	}
	out, err := anonymous(e).AssumeRoleWithWebIdentity(context.Background(), in)
	if err != nil {
		return nil, err
	}
	e.Plant(*out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
	return out.Credentials, nil
}

func whoami(e *testenv.Env, url string, c *types.Credentials) (string, error) {
	client := sdk.New(sdk.Options{
		BaseEndpoint: aws.String(url), Region: "us-east-1", RetryMaxAttempts: 1, HTTPClient: &http.Client{},
		Credentials: credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken),
	})
	out, err := client.GetCallerIdentity(context.Background(), &sdk.GetCallerIdentityInput{})
	if err != nil {
		return "", err
	}
	return *out.Arn, nil
}

func code(err error) string {
	if f, ok := errors.AsType[smithy.APIError](err); ok {
		return f.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// An unmodified AWS SDK that has nothing but a token file, and the environment that says where it is, gets a resource token. With the token of another subject it gets
// AccessDenied. The audit log tells both by their subjects.
func TestKeylessSDK(t *testing.T) {
	e := testenv.Start(t)
	e.Admin.CreateWorkload("agent")
	e.Admin.CreateProvider("vendor")
	newRole(t, e, "agent", federated(e, "system:serviceaccount:agents:mail"))
	file := filepath.Join(t.TempDir(), "token")
	for name, value := range map[string]string{
		"AWS_ROLE_ARN": roleARN("agent"), "AWS_WEB_IDENTITY_TOKEN_FILE": file, "AWS_ENDPOINT_URL_STS": e.URL, "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE": e.URL, "AWS_REGION": "eu-west-3",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_ROLE_SESSION_NAME": "mail-7",
	} {
		t.Setenv(name, value)
	}
	resourceToken := func(subject string) (string, error) {
		if err := os.WriteFile(file, []byte(webToken(e, subject)), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.LoadDefaultConfig(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		client := bedrockagentcore.NewFromConfig(cfg)
		wat, err := client.GetWorkloadAccessToken(t.Context(), &bedrockagentcore.GetWorkloadAccessTokenInput{WorkloadName: aws.String("agent")})
		if err != nil {
			return "", err
		}
		e.Plant(*wat.WorkloadAccessToken)
		out, err := client.GetResourceOauth2Token(t.Context(), &bedrockagentcore.GetResourceOauth2TokenInput{
			WorkloadIdentityToken: wat.WorkloadAccessToken, ResourceCredentialProviderName: aws.String("vendor"), Scopes: []string{"read"}, Oauth2Flow: data.Oauth2FlowTypeM2m,
		})
		if err != nil {
			return "", err
		}
		return *out.AccessToken, nil
	}
	before := len(e.Audit(testenv.Account))
	if token, err := resourceToken("system:serviceaccount:agents:mail"); token == "" || err != nil {
		t.Fatalf("%q, %v", token, err)
	}
	if _, err := resourceToken("system:serviceaccount:agents:other"); code(err) != "AccessDenied" {
		t.Errorf("another subject: %v", err)
	}
	events := e.Audit(testenv.Account)[before:]
	if len(events) != 4 {
		t.Fatalf("recorded %+v", events)
	}
	session := "arn:aws:sts::" + testenv.Account + ":assumed-role/agent/mail-7"
	for i, want := range []audit.Event{
		{Action: "sts:AssumeRoleWithWebIdentity", Outcome: audit.Allowed, Subject: "system:serviceaccount:agents:mail", Caller: `web-identity:"` + e.Vendor.Issuer() + `" "system:serviceaccount:agents:mail"`},
		{Action: "bedrock-agentcore:GetWorkloadAccessToken", Outcome: audit.Allowed, Subject: "system:serviceaccount:agents:mail", Caller: session},
		{Action: "bedrock-agentcore:GetResourceOauth2Token", Outcome: audit.Allowed, Subject: "system:serviceaccount:agents:mail", Caller: session},
		{Action: "sts:AssumeRoleWithWebIdentity", Outcome: audit.Denied, Subject: "system:serviceaccount:agents:other", Caller: `web-identity:"` + e.Vendor.Issuer() + `" "system:serviceaccount:agents:other"`},
	} {
		got := events[i]
		if got.Action != want.Action || got.Outcome != want.Outcome || got.Subject != want.Subject || got.Caller != want.Caller || got.SourceIP == "" || got.RequestID == "" {
			t.Errorf("event %d: %+v", i, got)
		}
		if i < 3 && (got.AccessKey != events[0].AccessKey || !strings.HasPrefix(got.AccessKey, "ASIA")) {
			t.Errorf("event %d is by the key %q, the credentials have %q", i, got.AccessKey, events[0].AccessKey)
		}
	}
	if resource := events[3].Resources; len(resource) != 1 || resource[0] != roleARN("agent") {
		t.Errorf("denied on %q", resource)
	}
}

// Who may not, gets one answer to the byte, but for its request id: whether the role is there, whom it trusts, and what is wrong with the token, is not told. No issuer is
// called that the role does not trust, and no audit event made of what nobody vouches for.
func TestStrangersAreToldNothing(t *testing.T) {
	e := testenv.Start(t)
	elsewhere := fakeidp.Start(t)
	newRole(t, e, "agent", federated(e, "agent"))
	foreign := elsewhere.Sign(map[string]any{"sub": "agent", "aud": audience})
	good := webToken(e, "agent")
	parts := strings.Split(good, ".")
	recorded := len(e.Audit(testenv.Account))
	answer := func(role, token string) string {
		resp, err := http.PostForm(e.URL+"/", url.Values{
			"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleArn": {role}, "RoleSessionName": {"me"}, "WebIdentityToken": {token},
		})
		if err != nil {
			t.Fatal(err)
		}
		var body strings.Builder
		if err := resp.Write(&body); err != nil {
			t.Fatal(err)
		}
		id, date := resp.Header.Get("X-Amzn-Requestid"), resp.Header.Get("Date")
		if resp.StatusCode != 403 || len(id) != 36 {
			t.Errorf("%s: %s", role, body.String())
		}
		return strings.NewReplacer(id, "ID", date, "DATE").Replace(body.String())
	}
	want := answer(roleARN("none"), good)
	if !strings.Contains(want, "<Code>AccessDenied</Code><Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message>") {
		t.Error(want)
	}
	for name, c := range map[string][2]string{
		"an unknown issuer":            {roleARN("agent"), foreign},
		"neither is known":             {roleARN("none"), foreign},
		"an unknown account":           {"arn:aws:iam::999999999999:role/agent", good},
		"no JWT":                       {roleARN("agent"), "none"},
		"a signature that is none":     {roleARN("agent"), parts[0] + "." + parts[1] + "." + parts[2][:len(parts[2])-8] + "AAAAAAAA"},
		"another key, the same issuer": {roleARN("agent"), elsewhere.Sign(map[string]any{"iss": e.Vendor.Issuer(), "sub": "agent", "aud": audience})},
		"no algorithm":                 {roleARN("agent"), "eyJhbGciOiJub25lIn0." + parts[1] + "."},
	} {
		if got := answer(c[0], c[1]); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
	if n := len(elsewhere.Requests()); n != 0 {
		t.Errorf("an issuer that no role trusts was called %d times: %+v", n, elsewhere.Requests())
	}
	if events := e.Audit(testenv.Account)[recorded:]; len(events) != 0 {
		t.Errorf("recorded %+v", events)
	}
	if got := answer(roleARN("agent"), webToken(e, "other")); got != want {
		t.Errorf("another subject: %s", got)
	}
	if got := answer(roleARN("agent"), webToken(e, "agent", map[string]any{"aud": "elsewhere"})); got != want {
		t.Errorf("another audience: %s", got)
	}
	if events := e.Audit(testenv.Account)[recorded:]; len(events) != 2 || events[0].Outcome != audit.Denied || events[1].Outcome != audit.Denied {
		t.Errorf("recorded %+v", events)
	}
	for at, want := range map[time.Duration]string{-2 * time.Minute: "ExpiredTokenException", -30 * time.Second: ""} { // clocks differ by up to a minute
		if _, err := assume(e, "agent", webToken(e, "agent", map[string]any{"exp": time.Now().Add(at).Unix()})); code(err) != want {
			t.Errorf("a token that ended %s ago: %v", -at, err)
		}
	}
}

// Sessions last as long as was asked, have no more rights than their policy says, and carry tags and a source identity. Without their token, or with a token of another
// session, their key is nobody's.
func TestSessions(t *testing.T) {
	e := testenv.Start(t)
	newRole(t, e, "agent", federated(e, "agent"))
	one, err := assume(e, "agent", webToken(e, "agent"))
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(*one.Expiration); left > time.Hour || left < 55*time.Minute {
		t.Errorf("it lasts %s", left)
	}
	two, err := assume(e, "agent", webToken(e, "agent"), func(in *sdk.AssumeRoleWithWebIdentityInput) { in.DurationSeconds = aws.Int32(900) })
	if err != nil || time.Until(*two.Expiration) > 15*time.Minute {
		t.Errorf("%v, %v", two, err)
	}
	if arn, err := whoami(e, e.URL, one); arn != "arn:aws:sts::"+testenv.Account+":assumed-role/agent/run-1" || err != nil {
		t.Errorf("%s, %v", arn, err)
	}
	for name, c := range map[string]types.Credentials{
		"another session's token":  {AccessKeyId: one.AccessKeyId, SecretAccessKey: one.SecretAccessKey, SessionToken: two.SessionToken},
		"no token":                 {AccessKeyId: one.AccessKeyId, SecretAccessKey: one.SecretAccessKey, SessionToken: aws.String("")},
		"a token that is none":     {AccessKeyId: one.AccessKeyId, SecretAccessKey: one.SecretAccessKey, SessionToken: aws.String("csts1." + testenv.Account + ".AAAA")},
		"of an account that isn't": {AccessKeyId: one.AccessKeyId, SecretAccessKey: one.SecretAccessKey, SessionToken: aws.String(strings.Replace(*one.SessionToken, testenv.Account, "999999999999", 1))},
		"a token beside a user's":  {AccessKeyId: aws.String(e.Admin.Credentials().AccessKeyID), SecretAccessKey: aws.String(e.Admin.Credentials().SecretAccessKey), SessionToken: one.SessionToken},
	} {
		if _, err := whoami(e, e.URL, &c); code(err) != "InvalidClientTokenId" {
			t.Errorf("%s: %v", name, err)
		}
	}
	wrong := types.Credentials{AccessKeyId: one.AccessKeyId, SecretAccessKey: two.SecretAccessKey, SessionToken: one.SessionToken}
	if _, err := whoami(e, e.URL, &wrong); code(err) != "SignatureDoesNotMatch" {
		t.Errorf("another secret: %v", err)
	}
	for name, edit := range map[string]func(*sdk.AssumeRoleWithWebIdentityInput){
		"longer than the role's":  func(in *sdk.AssumeRoleWithWebIdentityInput) { in.DurationSeconds = aws.Int32(3601) },
		"shorter than 15 minutes": func(in *sdk.AssumeRoleWithWebIdentityInput) { in.DurationSeconds = aws.Int32(899) },
		"no policy":               func(in *sdk.AssumeRoleWithWebIdentityInput) { in.Policy = aws.String(`{"Version":"2012-10-17"}`) },
		"policies by ARN": func(in *sdk.AssumeRoleWithWebIdentityInput) {
			in.PolicyArns = []types.PolicyDescriptorType{{Arn: aws.String("arn:aws:iam::aws:policy/ReadOnlyAccess")}}
		},
	} {
		if _, err := assume(e, "agent", webToken(e, "agent"), edit); code(err) != "ValidationError" {
			t.Errorf("%s: %v", name, err)
		}
	}

	less, err := assume(e, "agent", webToken(e, "agent"), func(in *sdk.AssumeRoleWithWebIdentityInput) {
		in.Policy = aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"bedrock-agentcore:ListWorkloadIdentities","Resource":"*"}}`)
	})
	if err != nil {
		t.Fatal(err)
	}
	p := e.As(testenv.Account, *less.AccessKeyId, *less.SecretAccessKey, *less.SessionToken)
	if a := p.Call("/identities/ListWorkloadIdentities", `{}`); a.Status != 200 {
		t.Errorf("what its policy allows: %s", a.Body)
	}
	if a := p.Call("/credence/ListUsers", `{}`); a.Status != 403 || !strings.Contains(a.Message(), "session policy") {
		t.Errorf("what its policy does not allow: %s", a.Body)
	}

	// A policy of the role that asks for a session tag and a source identity; an issuer gives both.
	call(t, e.Admin, "PutRolePolicy", map[string]any{"roleName": "agent", "policyName": "all", "policyDocument": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*",
		"Condition":{"StringEquals":{"aws:PrincipalTag/team":"mail","aws:SourceIdentity":"ada"}}}}`})
	for want, more := range map[int]map[string]any{
		403: {"https://aws.amazon.com/source_identity": "ada"},
		200: {"https://aws.amazon.com/source_identity": "ada", "https://aws.amazon.com/tags": map[string]any{"principal_tags": map[string]any{"team": []string{"mail"}}}},
	} {
		c, err := assume(e, "agent", webToken(e, "agent", more))
		if err != nil {
			t.Fatal(err)
		}
		if a := e.As(testenv.Account, *c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken).Call("/credence/ListUsers", `{}`); a.Status != want {
			t.Errorf("with %v: %d %s", more, a.Status, a.Body)
		}
	}
}

// A session ends when its role's sessions are revoked, or its role is deleted, also if another of that name is made; later sessions go on.
func TestSessionsAreRevoked(t *testing.T) {
	e := testenv.Start(t)
	newRole(t, e, "agent", federated(e, "agent"))
	begin := func() *types.Credentials {
		c, err := assume(e, "agent", webToken(e, "agent"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := whoami(e, e.URL, c); err != nil {
			t.Errorf("a new session: %v", err)
		}
		return c
	}
	one := begin()
	call(t, e.Admin, "RevokeRoleSessions", map[string]any{"roleName": "agent", "issuedBefore": time.Now().Add(-time.Minute).Unix()})
	if _, err := whoami(e, e.URL, one); err != nil {
		t.Errorf("it was issued later: %v", err)
	}
	call(t, e.Admin, "RevokeRoleSessions", map[string]any{"roleName": "agent"})
	if _, err := whoami(e, e.URL, one); code(err) != "ExpiredToken" {
		t.Errorf("revoked: %v", err)
	}
	time.Sleep(2 * time.Millisecond) // times have milliseconds
	two := begin()
	if a := e.Admin.Call("/credence/RevokeRoleSessions", `{"roleName":"agent","issuedBefore":99999999999}`); a.Status != 400 {
		t.Errorf("the future: %s", a.Body)
	}
	call(t, e.Admin, "DeleteRole", map[string]any{"roleName": "agent"})
	if _, err := whoami(e, e.URL, two); code(err) != "InvalidClientTokenId" {
		t.Errorf("deleted: %v", err)
	}
	newRole(t, e, "agent", federated(e, "agent"))
	if _, err := whoami(e, e.URL, two); code(err) != "InvalidClientTokenId" {
		t.Errorf("made anew: %v", err)
	}
}

// What one replica revokes, no other serves a second later.
func TestOtherReplicasObeyRevocations(t *testing.T) {
	onPostgres := testenv.OnPostgreSQL(t)
	e := testenv.Start(t, onPostgres)
	newRole(t, e, "agent", federated(e, "agent"))
	c, err := assume(e, "agent", webToken(e, "agent"))
	if err != nil {
		t.Fatal(err)
	}
	other := testenv.Start(t, func(cfg *server.Config) {
		cfg.Database, cfg.KEK = e.Config.Database, e.Config.KEK
		must(t, os.MkdirAll(cfg.DataDir, 0o700)) // the administrator is that of the first
		file, err := os.ReadFile(filepath.Join(e.Config.DataDir, "credentials"))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(cfg.DataDir, "credentials"), file, 0o600))
	}).URL
	if _, err := whoami(e, other, c); err != nil {
		t.Fatalf("the other replica: %v", err)
	}
	call(t, e.Admin, "RevokeRoleSessions", map[string]any{"roleName": "agent"})
	time.Sleep(time.Second)
	if _, err := whoami(e, other, c); code(err) != "ExpiredToken" {
		t.Errorf("revoked elsewhere: %v", err)
	}
}

// A user becomes a role that trusts him when his own policies let him, too; from a session on, for at most an hour, with the source identity that it had.
func TestAssumeRole(t *testing.T) {
	e := testenv.Start(t)
	newRole(t, e, "operator", `{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::`+testenv.Account+`:user/admin","arn:aws:iam::`+testenv.Account+`:user/poor"]},"Action":["sts:AssumeRole","sts:SetSourceIdentity"]}`)
	newRole(t, e, "next", `{"Effect":"Allow","Principal":{"AWS":"`+roleARN("operator")+`"},"Action":["sts:AssumeRole","sts:SetSourceIdentity"]}`)
	call(t, e.Admin, "UpdateRole", map[string]any{"roleName": "next", "maxSessionDuration": 43200})
	become := func(p testenv.Principal, role string, edit ...func(*sdk.AssumeRoleInput)) (testenv.Principal, error) {
		in := &sdk.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("me")}
		for _, f := range edit {
			f(in)
		}
		out, err := p.STS().AssumeRole(t.Context(), in)
		if err != nil {
			return testenv.Principal{}, err
		}
		e.Plant(*out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
		return e.As(testenv.Account, *out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken), nil
	}
	for name, c := range map[string]struct {
		p    testenv.Principal
		role string
	}{
		"whom the role does not trust":      {e.NewUser(testenv.Account, "other", everything), roleARN("operator")},
		"whose policies do not let him":     {e.NewUser(testenv.Account, "poor", ""), roleARN("operator")},
		"a role that is not there":          {e.Admin, roleARN("none")},
		"a role of another account":         {e.NewAccount(other), roleARN("operator")},
		"a role that only its session may":  {e.Admin, roleARN("next")},
		"no role at all, but of that shape": {e.Admin, "arn:aws:iam::" + testenv.Account + ":role/path/operator"},
	} {
		before := len(e.Audit(c.p.Account))
		if _, err := become(c.p, c.role); code(err) != "AccessDenied" {
			t.Errorf("%s: %v", name, err)
		}
		if events := e.Audit(c.p.Account)[before:]; len(events) != 1 || events[0].Outcome != audit.Denied {
			t.Errorf("%s: recorded %+v", name, events)
		}
	}
	operator, err := become(e.Admin, roleARN("operator"), func(in *sdk.AssumeRoleInput) { in.SourceIdentity = aws.String("ada") })
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*sdk.AssumeRoleInput){
		"for longer than an hour":      func(in *sdk.AssumeRoleInput) { in.DurationSeconds = aws.Int32(3601) },
		"with another source identity": func(in *sdk.AssumeRoleInput) { in.SourceIdentity = aws.String("eve") },
	} {
		if _, err := become(operator, roleARN("next"), edit); code(err) != "ValidationError" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := become(operator, roleARN("next")); err != nil {
		t.Errorf("a chain: %v", err)
	}
}

// One address that sends too many is told to wait, and another is served meanwhile.
func TestStrangersRate(t *testing.T) {
	e := testenv.Start(t, func(c *server.Config) { c.Quotas = []string{"rate.*=off", "rate.AssumeRoleWithWebIdentity=1"} })
	for n := 0; ; n++ {
		_, err := assume(e, "none", "none")
		if code(err) == "Throttling" {
			break
		}
		if code(err) != "AccessDenied" || n == 1000 {
			t.Fatal(err)
		}
	}
	if e.Metric(`credence_throttled_requests_total{operation="AssumeRoleWithWebIdentity"}`) == 0 {
		t.Error("it is not counted")
	}
}
