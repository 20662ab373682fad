package iam

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

const (
	trustAccount = "123456789012"
	githubIssuer = "https://token.actions.githubusercontent.com"
	gh           = "token.actions.githubusercontent.com"
)

// federated is a trust policy of GitHub Actions.
func federated(condition string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"` + githubIssuer + `"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":` + condition + `}]}`
}

const audience = `"StringEquals":{"` + gh + `:aud":"sts.amazonaws.com"}`

func parseTrust(t *testing.T, doc string) *TrustPolicy {
	t.Helper()
	p, err := ParseTrustPolicy(trustAccount, []byte(doc), TrustPinnedSubjects)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What does not pin its subjects is refused, unless said twice; what does not pin its audience is refused even then.
func TestTrustPolicyPinsSubjects(t *testing.T) {
	sub := func(operator, value string) string {
		return `{` + audience + `,"` + operator + `":{"` + gh + `:sub":` + value + `}}`
	}
	for name, condition := range map[string]string{
		"no subject":                     `{` + audience + `}`,
		"only repository_owner":          `{"StringEquals":{"` + gh + `:aud":"sts.amazonaws.com","` + gh + `:repository_owner":"acme"}}`,
		"only repository":                `{"StringEquals":{"` + gh + `:aud":"sts.amazonaws.com","` + gh + `:repository":"acme/app"}}`,
		"a prefix inside a name":         sub("StringLike", `"repo:acme*"`),
		"every repository":               sub("StringLike", `"repo:*"`),
		"every repository, by its owner": sub("StringLike", `"repo:*/app:ref:refs/heads/main"`),
		"everything":                     sub("StringLike", `"*"`),
		"anything of a length":           sub("StringLike", `"????*"`),
		"an empty subject":               sub("StringLike", `""`),
		"a name cut off":                 sub("StringLike", `"repo:acme/ap?:ref:refs/heads/main"`),
		"a branch cut off":               sub("StringLike", `"repo:acme/app:ref:refs/heads/rel*"`),
		"pull requests":                  sub("StringEquals", `"repo:acme/app:pull_request"`),
		"pull requests among others":     sub("StringEquals", `["repo:acme/app:ref:refs/heads/main","repo:acme/app:pull_request"]`),
		"pull requests by a pattern":     sub("StringLike", `"repo:acme/app:pull_*"`),
		"whatever a repository runs":     sub("StringLike", `"repo:acme/app:*"`),
		"whatever an organisation runs":  sub("StringLike", `"repo:acme/*"`),
		"a subject of the owner only":    sub("StringEquals", `"repository_owner:acme"`),
		"every service account":          sub("StringLike", `"system:serviceaccount:*"`),
		"every project of GitLab":        sub("StringLike", `"project_path:*"`),
		"every trust domain":             sub("StringLike", `"spiffe://*"`),
		"all of a trust domain":          sub("StringLike", `"spiffe://acme.example/*"`),
		"one good value and one bad":     sub("StringLike", `["repo:acme/app:ref:refs/heads/*","repo:*"]`),
		"StringNotEquals":                sub("StringNotEquals", `"repo:evil/app:ref:refs/heads/main"`),
		"StringNotLike":                  sub("StringNotLike", `"repo:evil/*"`),
		"StringEqualsIfExists":           sub("StringEqualsIfExists", `"repo:acme/app:ref:refs/heads/main"`),
		"StringLikeIfExists":             sub("StringLikeIfExists", `"repo:acme/app:ref:refs/heads/*"`),
		"ForAllValues":                   sub("ForAllValues:StringEquals", `"repo:acme/app:ref:refs/heads/main"`),
		"ForAnyValue of a subject":       sub("ForAnyValue:StringEquals", `"repo:acme/app:ref:refs/heads/main"`),
		"a claim that is a list":         `{` + audience + `,"ForAnyValue:StringEquals":{"` + gh + `:groups":"admins"}}`,
		"StringEqualsIgnoreCase":         sub("StringEqualsIgnoreCase", `"repo:acme/app:ref:refs/heads/main"`),
		"Null":                           sub("Null", `"false"`),
		"another claim of GitHub":        `{` + audience + `,"StringEquals":{"` + gh + `:job_workflow_ref":"acme/app/.github/workflows/x.yml@refs/heads/main"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Count(condition, `"StringEquals":`) > 1 { // as one object: a name may stand only once
				condition = strings.Replace(condition, `"},"StringEquals":{`, `",`, 1)
			}
			doc := []byte(federated(condition))
			_, err := ParseTrustPolicy(trustAccount, doc, TrustPinnedSubjects)
			if e, ok := errors.AsType[*SyntaxError](err); !ok || e.Line != 1 || e.Column != 38 || !strings.Contains(e.Msg, "second time") {
				t.Errorf("got %v, want it refused where the statement begins", err)
			}
			if _, err := ParseTrustPolicy(trustAccount, doc, TrustEverySubject); err != nil {
				t.Errorf("said twice: %v", err)
			}
		})
	}
	const good = `"` + gh + `:sub":"repo:acme/app:ref:refs/heads/main"`
	for name, condition := range map[string]string{
		"no audience":              `{"StringEquals":{` + good + `}}`,
		"every audience":           `{"StringEquals":{` + good + `},"StringLike":{"` + gh + `:aud":"*"}}`,
		"an audience IfExists":     `{"StringEquals":{` + good + `},"StringEqualsIfExists":{"` + gh + `:aud":"x"}}`,
		"not an audience":          `{"StringEquals":{` + good + `},"StringNotEquals":{"` + gh + `:aud":"x"}}`,
		"ForAllValues of audience": `{"StringEquals":{` + good + `},"ForAllValues:StringEquals":{"` + gh + `:aud":"x"}}`,
	} {
		for _, subjects := range []Subjects{TrustPinnedSubjects, TrustEverySubject} {
			if _, err := ParseTrustPolicy(trustAccount, []byte(federated(condition)), subjects); err == nil || !strings.Contains(err.Error(), "any service") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for _, sub := range []string{
		`"StringLike":{"` + gh + `:sub":["repo:acme/app:ref:refs/heads/*","repo:acme/app:environment:*"]}`,
		`"StringLike":{"` + gh + `:sub":"repo:acme/*:ref:refs/heads/main"}`,
		`"StringLike":{"` + gh + `:sub":"system:serviceaccount:agents:*"}`,
		`"StringLike":{"` + gh + `:sub":"project_path:acme/*"}`,
		`"StringLike":{"` + gh + `:sub":"spiffe://acme.example/agents/*"}`,
		`"StringLike":{"` + gh + `:sub":"system:serviceaccount:agents:mail"}`,
		`"StringLike":{"` + gh + `:sub":"organization:acme:project:*"}`,
	} {
		parseTrust(t, federated(`{`+audience+`,`+sub+`}`))
	}
	parseTrust(t, federated(`{"StringEquals":{`+good+`},"ForAnyValue:StringEquals":{"`+gh+`:aud":["a","b"]}}`))
	parseTrust(t, `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRoleWithWebIdentity","Condition":{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}}`)
}

func TestParseTrustPolicyRefuses(t *testing.T) {
	statement := func(s string) string { return `{"Version":"2012-10-17","Statement":` + s + `}` }
	pinned := `"Condition":{"StringEquals":{"issuer.example:aud":"x","issuer.example:sub":"y"}}`
	for name, doc := range map[string]string{
		"no principal":               statement(`{"Effect":"Allow","Action":"sts:AssumeRole"}`),
		"no action":                  statement(`{"Effect":"Allow","Principal":{"Federated":"https://issuer.example"},` + pinned + `}`),
		"a resource":                 statement(`{"Effect":"Allow","Principal":{"Federated":"https://issuer.example"},"Resource":"*","Action":"sts:AssumeRoleWithWebIdentity",` + pinned + `}`),
		"NotPrincipal":               statement(`{"Effect":"Deny","NotPrincipal":{"Federated":"https://issuer.example"},"Action":"sts:AssumeRoleWithWebIdentity"}`),
		"everybody":                  statement(`{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRoleWithWebIdentity",` + pinned + `}`),
		"every AWS principal":        statement(`{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}`),
		"another account":            statement(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::210987654321:root"},"Action":"sts:AssumeRole"}`),
		"users by wildcard":          statement(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/*"},"Action":"sts:AssumeRole"}`),
		"a service":                  statement(`{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}`),
		"two issuers":                statement(`{"Effect":"Allow","Principal":{"Federated":["https://issuer.example","https://other.example"]},"Action":"sts:AssumeRoleWithWebIdentity",` + pinned + `}`),
		"two kinds":                  statement(`{"Effect":"Allow","Principal":{"Federated":"https://issuer.example","AWS":"arn:aws:iam::123456789012:root"},"Action":"sts:AssumeRoleWithWebIdentity",` + pinned + `}`),
		"an issuer that is no URL":   statement(`{"Effect":"Allow","Principal":{"Federated":"issuer.example"},"Action":"sts:AssumeRoleWithWebIdentity",` + pinned + `}`),
		"an issuer with wildcard":    statement(`{"Effect":"Allow","Principal":{"Federated":"https://*.example"},"Action":"sts:AssumeRoleWithWebIdentity",` + pinned + `}`),
		"an issuer of elsewhere":     statement(`{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::210987654321:oidc-provider/issuer.example"},"Action":"sts:AssumeRoleWithWebIdentity",` + pinned + `}`),
		"every action":               statement(`{"Effect":"Allow","Principal":{"Federated":"https://issuer.example"},"Action":"sts:*",` + pinned + `}`),
		"the action of users":        statement(`{"Effect":"Allow","Principal":{"Federated":"https://issuer.example"},"Action":"sts:AssumeRole",` + pinned + `}`),
		"a claim of another issuer":  statement(`{"Effect":"Allow","Principal":{"Federated":"https://issuer.example"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"issuer.example:aud":"x","other.example:sub":"y"}}}`),
		"a claim of a longer issuer": statement(`{"Effect":"Allow","Principal":{"Federated":"https://issuer.example/tenant"},"Action":"sts:AssumeRoleWithWebIdentity",` + pinned + `}`),
		"a variable":                 statement(`{"Effect":"Allow","Principal":{"Federated":"https://issuer.example"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"issuer.example:aud":"x","issuer.example:sub":"${issuer.example:sub}"}}}`),
		"a key of policies":          statement(`{"Effect":"Allow","Principal":{"Federated":"https://issuer.example"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"aws:username":"x"}}}`),
		"every certificate":          statement(`{"Effect":"Allow","Principal":{"X509":"spire"},"Action":"sts:AssumeRoleWithCertificate"}`),
		"every SPIFFE ID":            statement(`{"Effect":"Allow","Principal":{"X509":"spire"},"Action":"sts:AssumeRoleWithCertificate","Condition":{"ForAnyValue:StringLike":{"x509:SAN/URI":"spiffe://*"}}}`),
		"all of a bundle":            statement(`{"Effect":"Allow","Principal":{"X509":"acme.example"},"Action":"sts:AssumeRoleWithCertificate","Condition":{"ForAnyValue:StringLike":{"x509:SAN/URI":"spiffe://acme.example/*"}}}`),
		"certificates by name only":  statement(`{"Effect":"Allow","Principal":{"X509":"spire"},"Action":"sts:AssumeRoleWithCertificate","Condition":{"StringEquals":{"x509:Subject/CN":"agent"}}}`),
	} {
		if _, err := ParseTrustPolicy(trustAccount, []byte(doc), TrustPinnedSubjects); err == nil {
			t.Errorf("%s: it was taken", name)
		} else if _, ok := errors.AsType[*SyntaxError](err); !ok {
			t.Errorf("%s: %v does not say where", name, err)
		}
	}
}

func TestTrustPolicyEvaluatesClaims(t *testing.T) {
	p := parseTrust(t, `{"Version":"2012-10-17","Statement":[
		{"Sid":"Main","Effect":"Allow","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"},"Action":["sts:AssumeRoleWithWebIdentity","sts:TagSession"],
		 "Condition":{"StringEquals":{"`+gh+`:aud":"sts.amazonaws.com","`+gh+`:repository_visibility":"private"},"StringLike":{"`+gh+`:sub":"repo:acme/app:ref:refs/heads/*"},"StringEqualsIfExists":{"aws:RequestTag/team":"blue"},"StringNotEquals":{"`+gh+`:actor":"mallory"}}},
		{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRoleWithWebIdentity","Condition":{"IpAddress":{"aws:SourceIp":"198.51.100.0/24"}}}]}`)
	if got := p.Issuers(); !slices.Equal(got, []string{githubIssuer}) {
		t.Errorf("issuers %q", got)
	}
	request := func(claims string) *TrustRequest {
		r := &TrustRequest{SourceIP: netip.MustParseAddr("192.0.2.1"), SessionName: "s"}
		if err := json.Unmarshal([]byte(claims), &r.Claims); err != nil {
			t.Fatal(err)
		}
		return r
	}
	const good = `{"iss":"` + githubIssuer + `","aud":"sts.amazonaws.com","sub":"repo:acme/app:ref:refs/heads/main","repository_visibility":"private","actor":"alice"}`
	for claims, want := range map[string]bool{
		good: true,
		strings.Replace(good, `"sts.amazonaws.com"`, `["sts.amazonaws.com"]`, 1):                                          true, // RFC 7519: a list of one is that one
		strings.Replace(good, `"sts.amazonaws.com"`, `["sts.amazonaws.com","other"]`, 1):                                  false,
		strings.Replace(good, `"sts.amazonaws.com"`, `"other"`, 1):                                                        false,
		strings.Replace(good, `"aud":"sts.amazonaws.com",`, ``, 1):                                                        false,
		strings.Replace(good, githubIssuer, githubIssuer+"/", 1):                                                          false,
		strings.Replace(good, githubIssuer, "https://evil.example", 1):                                                    false,
		strings.Replace(good, `"iss":"`+githubIssuer+`",`, ``, 1):                                                         false,
		strings.Replace(good, `acme/app`, `acme/application`, 1):                                                          false,
		strings.Replace(good, `ref:refs/heads/main`, `pull_request`, 1):                                                   false,
		strings.Replace(good, `"repo:acme/app:ref:refs/heads/main"`, `["repo:acme/app:ref:refs/heads/main","repo:x"]`, 1): false,
		strings.Replace(good, `"repo:acme/app:ref:refs/heads/main"`, `{"a":1}`, 1):                                        false,
		strings.Replace(good, `"private"`, `null`, 1):                                                                     false,
		strings.Replace(good, `"private"`, `["private",1]`, 1):                                                            false,
		strings.Replace(good, `"alice"`, `"mallory"`, 1):                                                                  false,
		strings.Replace(good, `"alice"`, `["mallory","alice"]`, 1):                                                        false, // nor does a list slip past a negation
		strings.Replace(good, `,"actor":"alice"`, ``, 1):                                                                  true,
	} {
		if d := p.Evaluate(request(claims)); d.Allowed != want {
			t.Errorf("%s: %+v", claims, d)
		}
	}
	if d := p.Evaluate(request(good)); d.Statement.String() != `trust policy, statement 1 "Main"` {
		t.Errorf("decided by %v", d.Statement)
	}
	for name, c := range map[string]struct {
		change func(*TrustRequest)
		want   bool
	}{
		"from a forbidden network": {func(r *TrustRequest) { r.SourceIP = netip.MustParseAddr("198.51.100.9") }, false},
		"with a tag":               {func(r *TrustRequest) { r.Tags = map[string]string{"team": "blue"} }, true},
		"with another tag":         {func(r *TrustRequest) { r.Tags = map[string]string{"team": "red"} }, false},
		"with a source identity, which nothing allows": {func(r *TrustRequest) { r.SourceIdentity = "alice" }, false},
		"as two at once": {func(r *TrustRequest) { r.Caller = &Caller{} }, false},
		"as nobody":      {func(r *TrustRequest) { r.Claims = nil }, false},
	} {
		r := request(good)
		c.change(r)
		if d := p.Evaluate(r); d.Allowed != c.want {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func TestTrustPolicyOfCertificatesAndUsers(t *testing.T) {
	p := parseTrust(t, `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"X509":"spire"},"Action":"sts:AssumeRoleWithCertificate","Condition":{"ForAnyValue:StringLike":{"x509:SAN/URI":"spiffe://acme.example/agents/*"}}},
		{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::123456789012:user/alice","arn:aws:iam::123456789012:role/agents"]},"Action":["sts:AssumeRole","sts:SetSourceIdentity"],"Condition":{"StringEqualsIfExists":{"sts:SourceIdentity":"alice"}}}]}`)
	if got := p.Bundles(); !slices.Equal(got, []string{"spire"}) || p.Issuers() != nil {
		t.Errorf("bundles %q, issuers %q", got, p.Issuers())
	}
	for name, c := range map[string]struct {
		r    TrustRequest
		want bool
	}{
		"its SPIFFE ID":         {TrustRequest{Certificate: &Certificate{Bundle: "spire", URIs: []string{"spiffe://acme.example/agents/mail"}}}, true},
		"another SPIFFE ID":     {TrustRequest{Certificate: &Certificate{Bundle: "spire", URIs: []string{"spiffe://acme.example/agentsx"}}}, false},
		"of another bundle":     {TrustRequest{Certificate: &Certificate{Bundle: "other", URIs: []string{"spiffe://acme.example/agents/mail"}}}, false},
		"without SPIFFE ID":     {TrustRequest{Certificate: &Certificate{Bundle: "spire"}}, false},
		"alice":                 {TrustRequest{Caller: &Caller{Account: trustAccount, ARN: User(trustAccount, "alice")}}, true},
		"alice as herself":      {TrustRequest{SourceIdentity: "alice", Caller: &Caller{Account: trustAccount, ARN: User(trustAccount, "alice")}}, true},
		"alice as bob":          {TrustRequest{SourceIdentity: "bob", Caller: &Caller{Account: trustAccount, ARN: User(trustAccount, "alice")}}, false},
		"bob":                   {TrustRequest{Caller: &Caller{Account: trustAccount, ARN: User(trustAccount, "bob")}}, false},
		"alice of elsewhere":    {TrustRequest{Caller: &Caller{Account: "210987654321", ARN: User(trustAccount, "alice")}}, false},
		"a session of the role": {TrustRequest{Caller: &Caller{Account: trustAccount, Kind: KindAssumedRole, Name: "agents", ARN: AssumedRole(trustAccount, "agents", "s")}}, true},
	} {
		if d := p.Evaluate(&c.r); d.Allowed != c.want {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func FuzzTrustPolicy(f *testing.F) {
	f.Add(federated(`{`+audience+`,"StringLike":{"`+gh+`:sub":"repo:acme/app:ref:refs/heads/*"}}`), "repo:acme/app:ref:refs/heads/main")
	f.Add(federated(`{`+audience+`,"StringLike":{"`+gh+`:sub":"repo:*"}}`), "repo:acme/app:pull_request")
	f.Add(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"X509":"spire"},"Action":"sts:AssumeRoleWithCertificate","Condition":{"ForAnyValue:StringEquals":{"x509:SAN/URI":"spiffe://a/b"}}}]}`, "")
	f.Fuzz(func(t *testing.T, doc, sub string) {
		p, err := ParseTrustPolicy(trustAccount, []byte(doc), TrustPinnedSubjects)
		if err != nil {
			if _, ok := errors.AsType[*SyntaxError](err); !ok {
				t.Errorf("%q: %v", doc, err)
			}
			return
		}
		for _, issuer := range append(p.Issuers(), "https://issuer.example") {
			claims := map[string]any{"iss": issuer, "aud": "sts.amazonaws.com", "sub": sub}
			trusted := p.Evaluate(&TrustRequest{Claims: claims}).Allowed
			if trusted && (sub == "" || strings.HasPrefix(sub, "repo:") && strings.HasSuffix(sub, ":pull_request")) {
				t.Errorf("%s trusts %q", doc, sub)
			}
			if trusted && !slices.Contains(p.Issuers(), issuer) {
				t.Errorf("%s trusts %q", doc, issuer)
			}
			claims["sub"] = "\x00" + sub // no policy that pins a prefix trusts this unless it names it
			if p.Evaluate(&TrustRequest{Claims: claims}).Allowed && !strings.Contains(doc, `\u0000`) {
				t.Errorf("%s trusts %q", doc, claims["sub"])
			}
			delete(claims, "aud")
			claims["sub"] = sub
			if p.Evaluate(&TrustRequest{Claims: claims}).Allowed {
				t.Errorf("%s trusts a token without audience", doc)
			}
		}
		p.Evaluate(&TrustRequest{Certificate: &Certificate{Bundle: "spire", URIs: []string{sub}}})
	})
}

const peopleIssuer = "https://idp.example"

// people is a trust policy for whoever signs in at an issuer.
func people(issuer, action, condition string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"` + issuer + `"},"Action":` + action + `,"Condition":` + condition + `}]}`
}

// Who may sign in is pinned by who he is or by a group, and never by what says nothing of him; at an issuer where everybody can have an account, a group pins nobody.
func TestSignInPinsPeople(t *testing.T) {
	const aud = `"StringEquals":{"idp.example:aud":"console"}`
	const signIn = `"credence:SignIn"`
	for _, c := range []struct {
		name, policy string
		fine         bool
	}{
		{"a subject", people(peopleIssuer, signIn, `{"StringEquals":{"idp.example:aud":"console","idp.example:sub":"alice"}}`), true},
		{"an address", people(peopleIssuer, signIn, `{"StringEquals":{"idp.example:aud":"console","idp.example:email":["a@acme.example","b@acme.example"]}}`), true},
		{"a group", people(peopleIssuer, signIn, `{`+aud+`,"ForAnyValue:StringEquals":{"idp.example:groups":"admins"}}`), true},
		{"a group and tags", people(peopleIssuer, `["credence:SignIn","sts:TagSession"]`, `{`+aud+`,"ForAnyValue:StringEquals":{"idp.example:groups":"admins"}}`), true},
		{"no audience", people(peopleIssuer, signIn, `{"StringEquals":{"idp.example:sub":"alice"}}`), false},
		{"nobody", people(peopleIssuer, signIn, `{`+aud+`}`), false},
		{"a verified address", people(peopleIssuer, signIn, `{"StringEquals":{"idp.example:aud":"console","idp.example:email_verified":"true"}}`), false},
		{"the client", people(peopleIssuer, signIn, `{"StringEquals":{"idp.example:aud":"console","idp.example:azp":"console"}}`), false},
		{"a factor", people(peopleIssuer, signIn, `{`+aud+`,"ForAnyValue:StringEquals":{"idp.example:amr":"mfa"}}`), false},
		{"all groups among", people(peopleIssuer, signIn, `{`+aud+`,"ForAllValues:StringEquals":{"idp.example:groups":"admins"}}`), false},
		{"a group if there is one", people(peopleIssuer, signIn, `{`+aud+`,"StringEqualsIfExists":{"idp.example:groups":"admins"}}`), false},
		{"any group", people(peopleIssuer, signIn, `{`+aud+`,"ForAnyValue:StringLike":{"idp.example:groups":"*"}}`), false},
		{"any address of a domain", people(peopleIssuer, signIn, `{`+aud+`,"StringLike":{"idp.example:email":"*@acme.example"}}`), false},
		{"some subject", people(peopleIssuer, signIn, `{`+aud+`,"ForAnyValue:StringEquals":{"idp.example:sub":"alice"}}`), false},
		{"some address", people(peopleIssuer, signIn, `{`+aud+`,"ForAnyValue:StringEquals":{"idp.example:email":"a@acme.example"}}`), false},
		{"a group for programs, too", people(peopleIssuer, `["credence:SignIn","sts:AssumeRoleWithWebIdentity"]`, `{`+aud+`,"ForAnyValue:StringEquals":{"idp.example:groups":"admins"}}`), false},
		{"a group for programs", people(peopleIssuer, `"sts:AssumeRoleWithWebIdentity"`, `{`+aud+`,"ForAnyValue:StringEquals":{"idp.example:groups":"admins"}}`), false},
		{"a group at an open issuer", people("https://accounts.google.com", signIn, `{"StringEquals":{"accounts.google.com:aud":"console"},"ForAnyValue:StringEquals":{"accounts.google.com:groups":"admins"}}`), false},
		{"a domain at an open issuer", people("https://accounts.google.com", signIn, `{"StringEquals":{"accounts.google.com:aud":"console","accounts.google.com:hd":"acme.example"}}`), false},
		{"an address at an open issuer", people("https://accounts.google.com", signIn, `{"StringEquals":{"accounts.google.com:aud":"console","accounts.google.com:email":"a@acme.example"}}`), true},
		{"users who sign in", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"credence:SignIn"}}`, false},
	} {
		if _, err := ParseTrustPolicy(trustAccount, []byte(c.policy), TrustPinnedSubjects); (err == nil) != c.fine {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := ParseTrustPolicy(trustAccount, []byte(people(peopleIssuer, signIn, `{`+aud+`}`)), TrustEverySubject); err != nil {
		t.Errorf("said twice: %v", err)
	}
}

// A sign-in and a web identity do not stand for each other, and a group is one of a list.
func TestSignInIsNoWebIdentity(t *testing.T) {
	group := parseTrust(t, people(peopleIssuer, `"credence:SignIn"`, `{"StringEquals":{"idp.example:aud":"console"},"ForAnyValue:StringEquals":{"idp.example:groups":"admins"}}`))
	subject := `{"StringEquals":{"idp.example:aud":"console","idp.example:sub":"alice"}}`
	program := parseTrust(t, people(peopleIssuer, `"sts:AssumeRoleWithWebIdentity"`, subject))
	person := parseTrust(t, people(peopleIssuer, `"credence:SignIn"`, subject))
	if program.SignInIssuers() != nil || person.Issuers() != nil || !slices.Equal(person.SignInIssuers(), []string{peopleIssuer}) {
		t.Errorf("issuers %q, %q, %q", program.SignInIssuers(), person.Issuers(), person.SignInIssuers())
	}
	claims := func(groups any) map[string]any {
		return map[string]any{"iss": peopleIssuer, "sub": "alice", "aud": []any{"console"}, "groups": groups}
	}
	for _, c := range []struct {
		name   string
		policy *TrustPolicy
		r      TrustRequest
		want   bool
	}{
		{"a group", group, TrustRequest{SignIn: true, Claims: claims([]any{"staff", "admins"})}, true},
		{"another group", group, TrustRequest{SignIn: true, Claims: claims([]any{"staff"})}, false},
		{"a group as text", group, TrustRequest{SignIn: true, Claims: claims("admins")}, false},
		{"a group in a text", group, TrustRequest{SignIn: true, Claims: claims("staff,admins")}, false},
		{"a group of another kind", group, TrustRequest{SignIn: true, Claims: claims([]any{"admins", 7.0})}, false},
		{"no group", group, TrustRequest{SignIn: true, Claims: claims(nil)}, false},
		{"a program at a role of people", person, TrustRequest{Claims: claims(nil)}, false},
		{"a person at a role of programs", program, TrustRequest{SignIn: true, Claims: claims(nil)}, false},
		{"a person", person, TrustRequest{SignIn: true, Claims: claims(nil)}, true},
		{"a program", program, TrustRequest{Claims: claims(nil)}, true},
	} {
		if d := c.policy.Evaluate(&c.r); d.Allowed != c.want {
			t.Errorf("%s: %+v", c.name, d)
		}
	}
}
