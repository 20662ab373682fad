package sts_test

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"
	"github.com/zitadel/oidc/v3/pkg/client"
	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/oidc"

	"credence/internal/audit"
	"credence/internal/edge/sts"
	"credence/internal/server"
	"credence/internal/testca"
	"credence/internal/testenv"
)

const other = "222222222222"

// forms are a valid request of every operation.
var forms = map[string]string{
	"GetCallerIdentity": "Action=GetCallerIdentity&Version=2011-06-15",
	"AssumeRole":        "Action=AssumeRole&Version=2011-06-15&RoleSessionName=me&RoleArn=arn:aws:iam::" + testenv.Account + ":role/operator",
	// The token comes last, and is the caller's.
	"AssumeRoleWithWebIdentity": "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=me&RoleArn=arn:aws:iam::" + testenv.Account + ":role/agent&WebIdentityToken=",
	"AssumeRoleWithCertificate": "Action=AssumeRoleWithCertificate&Version=2011-06-15&RoleSessionName=me&RoleArn=arn:aws:iam::" + testenv.Account + ":role/certified",
	"GetWebIdentityToken":       "Action=GetWebIdentityToken&Version=2011-06-15&Audience.member.1=https%3A%2F%2Fapi.example&SigningAlgorithm=RS256",
}

// resources are those of operations that are about something else than the caller.
var resources = map[string]string{"AssumeRole": "arn:aws:iam::" + testenv.Account + ":role/operator"}

// failure is an error as the protocol has it.
type failure struct {
	XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

func form(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }

func post(e *testenv.Env, p testenv.Principal, body string) testenv.Answer {
	return e.Do(p.Sign("/", body, "sts", time.Now(), form))
}

func failed(t *testing.T, a testenv.Answer) failure {
	t.Helper()
	var f failure
	if err := xml.Unmarshal([]byte(a.Body), &f); err != nil {
		t.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
	if f.RequestID == "" || f.RequestID != a.Header.Get("X-Amzn-Requestid") || a.Header.Get("Content-Type") != "text/xml" || (f.Type == "Receiver") != (a.Status >= 500) {
		t.Errorf("%d %v %s", a.Status, a.Header, a.Body)
	}
	return f
}

// verify reads a token as a service does that trusts the issuer: by its discovery document and keys, with a certified library.
func verify(t *testing.T, issuer, audience, token string) (*oidc.IDTokenClaims, error) {
	t.Helper()
	found, err := client.Discover(t.Context(), issuer, http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	keys := rp.NewRemoteKeySet(http.DefaultClient, found.JwksURI)
	return rp.VerifyIDToken[*oidc.IDTokenClaims](t.Context(), token, rp.NewIDTokenVerifier(found.Issuer, audience, keys, rp.WithSupportedSigningAlgorithms(found.IDTokenSigningAlgValuesSupported...)))
}

func TestGetWebIdentityToken(t *testing.T) {
	e := testenv.Start(t)
	issuer := e.URL + "/issuer/" + testenv.Account
	ci := e.NewUser(testenv.Account, "ci", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:GetWebIdentityToken","Resource":"*"}]}`)
	for _, alg := range []string{"RS256", "ES384"} {
		out, err := ci.STS().GetWebIdentityToken(t.Context(), &sdk.GetWebIdentityTokenInput{
			Audience: []string{"https://api.example"}, SigningAlgorithm: &alg, DurationSeconds: aws.Int32(60),
			Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("größe 1")}, {Key: aws.String("empty"), Value: aws.String("")}},
		})
		if err != nil {
			t.Fatal(err)
		}
		e.Plant(*out.WebIdentityToken)
		claims, err := verify(t, issuer, "https://api.example", *out.WebIdentityToken)
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if claims.Subject != "arn:aws:iam::"+testenv.Account+":user/ci" || !claims.GetExpiration().Equal(*out.Expiration) || claims.GetExpiration().Sub(claims.GetIssuedAt()) != time.Minute || string(claims.SignatureAlg) != alg {
			t.Errorf("%s: %+v", alg, claims)
		}
		about, _ := json.Marshal(claims.Claims["https://sts.amazonaws.com/"])
		if string(about) != `{"aws_account":"`+testenv.Account+`","request_tags":{"empty":"","team":"größe 1"},"source_region":"us-east-1"}` {
			t.Errorf("%s: it says %s", alg, about)
		}
		if _, err := verify(t, issuer, "https://other.example", *out.WebIdentityToken); err == nil {
			t.Error("a service that it is not for takes it")
		}
		if _, err := verify(t, e.URL+"/issuer/"+e.NewAccount(map[string]string{"RS256": other, "ES384": "333333333333"}[alg]).Account, "https://api.example", *out.WebIdentityToken); err == nil {
			t.Error("another account's issuer verifies it")
		}
	}
	// Without a duration: five minutes. Several audiences stay a list.
	out, err := ci.STS().GetWebIdentityToken(t.Context(), &sdk.GetWebIdentityTokenInput{Audience: []string{"a", "b"}, SigningAlgorithm: aws.String("ES384")})
	if err != nil {
		t.Fatal(err)
	}
	e.Plant(*out.WebIdentityToken)
	var said struct {
		Audience []string       `json:"aud"`
		Issued   int64          `json:"iat"`
		Expires  int64          `json:"exp"`
		About    map[string]any `json:"https://sts.amazonaws.com/"`
	}
	if payload, err := base64.RawURLEncoding.DecodeString(strings.Split(*out.WebIdentityToken, ".")[1]); err != nil || json.Unmarshal(payload, &said) != nil {
		t.Fatalf("%s (%v)", *out.WebIdentityToken, err)
	}
	if strings.Join(said.Audience, " ") != "a b" || said.Expires-said.Issued != 300 || len(said.About) != 2 {
		t.Errorf("%+v", said)
	}
}

func TestGetCallerIdentity(t *testing.T) {
	e := testenv.Start(t)
	deny := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}`
	seen := map[string]string{}
	for _, p := range []struct {
		testenv.Principal
		arn string
	}{
		{e.Admin, "arn:aws:iam::" + testenv.Account + ":user/admin"}, {e.NewUser(testenv.Account, "ci", deny), "arn:aws:iam::" + testenv.Account + ":user/ci"},
		{e.NewAccount(other), "arn:aws:iam::" + other + ":user/admin"},
	} {
		before := len(e.Audit(p.Account))
		out, err := p.STS().GetCallerIdentity(t.Context(), &sdk.GetCallerIdentityInput{})
		if err != nil {
			t.Fatalf("%s: %v", p.arn, err)
		}
		if *out.Arn != p.arn || *out.Account != p.Account || len(*out.UserId) != 21 || seen[*out.UserId] != "" {
			t.Errorf("%s: %s %s %s", p.arn, *out.Arn, *out.Account, *out.UserId)
		}
		seen[*out.UserId] = p.arn
		if events := e.Audit(p.Account)[before:]; len(events) != 1 || events[0].Action != "sts:GetCallerIdentity" || events[0].Outcome != audit.Allowed || events[0].Caller != p.arn {
			t.Errorf("recorded %+v", events)
		}
	}
}

// Every operation of the table, by a caller without rights: AccessDenied and one audit record, but where everyone may.
func TestDenyAllSweep(t *testing.T) {
	e, ca := startTLS(t)
	root := testca.New(t)
	putBundle(t, e.Admin, trustDomain, root)
	newRole(t, e, "certified", certified(trustDomain, spiffeID))
	nobody := e.NewUser(testenv.Account, "nobody", "")
	newRole(t, e, "agent", federated(e, "agent"))
	newRole(t, e, "operator", `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::`+testenv.Account+`:root"},"Action":"sts:AssumeRole"}`)
	for _, op := range sts.Operations(nil) {
		body, ok := forms[op.Name]
		if !ok {
			t.Fatalf("operation %s has no request here: add one, so that no door opens unseen", op.Name)
		}
		for _, allowed := range []bool{false, true} {
			p, denied := nobody, !op.Everyone
			if allowed {
				p, denied = e.Admin, false
			}
			before := len(e.Audit(testenv.Account))
			body := body
			e.Client = ca.Client(t, nil)
			if op.Name == "AssumeRoleWithCertificate" { // who comes is who the certificate says
				e.Client = ca.Client(t, root.SVID(t, map[bool]string{false: "spiffe://acme.example/nobody", true: spiffeID}[allowed]))
			} else if op.Unsigned { // who comes is who the token says
				body += url.QueryEscape(webToken(e, map[bool]string{false: "nobody", true: "agent"}[allowed]))
			}
			a := post(e, p, body)
			if denied && op.Unsigned {
				if f := failed(t, a); a.Status != 403 || f.Code != "AccessDenied" || f.Message != "Not authorized to perform "+op.Action {
					t.Errorf("%s answered %d %+v", op.Name, a.Status, f)
				}
			} else if denied {
				f := failed(t, a)
				me := "arn:aws:iam::" + testenv.Account + ":user/nobody"
				want := "User: " + me + " is not authorized to perform: " + op.Action + " on resource: " + cmp.Or(resources[op.Name], me) + " because no identity-based policy allows the " + op.Action + " action"
				if a.Status != 403 || f.Code != "AccessDenied" || f.Message != want {
					t.Errorf("%s answered %d %+v", op.Name, a.Status, f)
				}
			} else if a.Status != 200 || !strings.Contains(a.Body, "<"+op.Name+"Result>") {
				t.Errorf("%s answered %d %s", op.Name, a.Status, a.Body)
			}
			events := e.Audit(testenv.Account)[before:]
			if len(events) != 1 || (events[0].Outcome == audit.Denied) != denied || events[0].Action != op.Action || events[0].RequestID != a.Header.Get("X-Amzn-Requestid") {
				t.Errorf("%s recorded %+v", op.Name, events)
			}
		}
	}
}

// What is wrong is said in the words of STS; nothing unsigned, foreign or malformed comes through, and no audit event is made of it.
func TestRefusals(t *testing.T) {
	e := testenv.Start(t)
	before := len(e.Audit(testenv.Account))
	const valid = "Action=GetWebIdentityToken&Version=2011-06-15&SigningAlgorithm=RS256&Audience.member.1=a"
	for _, c := range []struct{ body, code, says string }{
		{"", "InvalidAction", "Action is missing"},
		{"Action=AssumeRoleWithSAML&Version=2011-06-15", "InvalidAction", `"AssumeRoleWithSAML"`},
		{"Action=GetCallerIdentity", "InvalidAction", "2011-06-15"},
		{"Action=GetCallerIdentity&Version=2010-05-08", "InvalidAction", "2010-05-08"},
		{"Action=getcalleridentity&Version=2011-06-15", "InvalidAction", "getcalleridentity"},
		{"Action=GetCallerIdentity&Version=2011-06-15&Action=GetWebIdentityToken", "ValidationError", "2 parameters"},
		{"Action=GetCallerIdentity;Version=%zz", "ValidationError", "no form"},
		{`{"Action":"GetCallerIdentity"}`, "InvalidAction", "missing"},
		{"Action=GetWebIdentityToken&Version=2011-06-15&SigningAlgorithm=RS256", "ValidationError", "Audience"},
		{"Action=GetWebIdentityToken&Version=2011-06-15&Audience.member.1=a", "ValidationError", "SigningAlgorithm"},
		{strings.Replace(valid, "RS256", "HS256", 1), "ValidationError", "SigningAlgorithm"},
		{strings.Replace(valid, "RS256", "none", 1), "ValidationError", "SigningAlgorithm"},
		{valid + "&Audience.member.3=c", "ValidationError", "Audience"},
		{valid + "&Audience.member.02=c", "ValidationError", "Audience"},
		{strings.Replace(valid, "member.1=a", "member.1=", 1), "ValidationError", "Audience[0]"},
		{valid + "&DurationSeconds=59", "ValidationError", "DurationSeconds"},
		{valid + "&DurationSeconds=3601", "ValidationError", "DurationSeconds"},
		{valid + "&DurationSeconds=1e3", "ValidationError", "DurationSeconds"},
		{valid + "&DurationSeconds=9999999999", "ValidationError", "DurationSeconds"},
		{valid + "&Tags.member.1.Key=a&Tags.member.1.Value=1&Tags.member.2.Key=a&Tags.member.2.Value=2", "ValidationError", `"a" twice`},
		{valid + "&Tags.member.1.Key=%3Cscript%3E", "ValidationError", "Tags"},
		{valid + "&Tags.member.1.Value=x", "ValidationError", "Tags"},
		{valid + "&Tags.member.1.Key=" + strings.Repeat("k", 129), "ValidationError", "Tags[0].Key"},
	} {
		a := post(e, e.Admin, c.body)
		if f := failed(t, a); a.Status != 400 || f.Code != c.code || !strings.Contains(f.Message, c.says) {
			t.Errorf("%s: %d %s %s", c.body, a.Status, f.Code, f.Message)
		}
	}
	ofBody := len(e.Audit(testenv.Account))

	signed := func(service string, edit ...func(*http.Request)) testenv.Answer {
		return e.Do(e.Admin.Sign("/", valid, service, time.Now(), append(edit, form)...))
	}
	tampered := e.Admin.Sign("/", valid, "sts", time.Now(), form)
	tampered.Header.Set("X-Amz-Content-Sha256", strings.Repeat("0", 64))
	unsigned, err := http.NewRequest(http.MethodPost, e.URL+"/", strings.NewReader(valid))
	if err != nil {
		t.Fatal(err)
	}
	large, err := http.NewRequest(http.MethodPost, e.URL+"/", strings.NewReader(strings.Repeat("x", 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		answer testenv.Answer
		status int
		code   string
	}{
		"no signature":                 {e.Do(unsigned), 403, "MissingAuthenticationToken"},
		"of the other door":            {signed("bedrock-agentcore"), 403, "SignatureDoesNotMatch"},
		"another body":                 {e.Do(tampered), 403, "SignatureDoesNotMatch"},
		"an hour ago":                  {e.Do(e.Admin.Sign("/", valid, "sts", time.Now().Add(-time.Hour), form)), 403, "SignatureDoesNotMatch"},
		"a body that is far too large": {e.Do(large), 413, "RequestEntityTooLarge"},
	} {
		if f := failed(t, c.answer); c.answer.Status != c.status || f.Code != c.code {
			t.Errorf("%s: %d %+v", name, c.answer.Status, f)
		}
	}
	// And a signature for this door opens none of the others.
	if a := e.Do(e.Admin.Sign("/identities/ListWorkloadIdentities", "{}", "sts", time.Now())); a.Status != 403 || a.Type() != "InvalidSignatureException" {
		t.Errorf("the API takes a signature for sts: %d %s", a.Status, a.Body)
	}
	if a := e.Do(e.Admin.Sign("/?"+url.Values{"Action": {"GetCallerIdentity"}, "Version": {"2011-06-15"}}.Encode(), "", "sts", time.Now())); failed(t, a).Code != "InvalidAction" {
		t.Errorf("by the query: %d %s", a.Status, a.Body)
	}
	if after := len(e.Audit(testenv.Account)); after != ofBody || ofBody-before > 3 { // tags are looked at by the plane
		t.Errorf("%d and %d audit events of what came to no decision", ofBody-before, after-ofBody)
	}
}

// An account's requests over its rate are refused in the way that SDKs repeat, and counted; those of another go on.
func TestRate(t *testing.T) {
	e := testenv.Start(t, func(c *server.Config) {
		c.Quotas = []string{"rate.*=off", testenv.Account + ":rate.GetCallerIdentity=1"}
	})
	ask := func(p testenv.Principal) string {
		_, err := p.STS().GetCallerIdentity(t.Context(), &sdk.GetCallerIdentityInput{})
		if f, ok := errors.AsType[smithy.APIError](err); ok {
			return f.ErrorCode()
		} else if err != nil {
			t.Fatal(err)
		}
		return ""
	}
	for n := 0; ask(e.Admin) == ""; n++ { // until two come within a second, however slow the machine is
		if n == 1000 {
			t.Fatal("nothing is refused")
		}
	}
	if code := ask(e.NewAccount(other)); code != "" {
		t.Errorf("another account: %s", code)
	}
	if e.Metric(`credence_throttled_requests_total{operation="GetCallerIdentity"}`) == 0 {
		t.Error("it is not counted")
	}
}

// Who is frozen with the account gets no ID token either.
func TestFrozenAccount(t *testing.T) {
	e := testenv.Start(t)
	if got := e.Admin.Call("/credence/Freeze", `{"target":{"account":true}}`); got.Status != http.StatusOK && got.Status != http.StatusCreated {
		t.Fatal(got)
	}
	if f := failed(t, post(e, e.Admin, forms["GetWebIdentityToken"])); f.Code != "AccessDenied" || !strings.Contains(f.Message, "frozen") {
		t.Errorf("%+v", f)
	}
	if got := post(e, e.Admin, forms["GetCallerIdentity"]); got.Status != http.StatusOK {
		t.Errorf("who one is, is no secret: %+v", got)
	}
}
