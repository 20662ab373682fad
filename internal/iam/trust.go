package iam

import (
	"encoding/json"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The actions of trust policies.
const (
	AssumeRole                = "sts:AssumeRole"
	AssumeRoleWithWebIdentity = "sts:AssumeRoleWithWebIdentity"
	AssumeRoleWithCertificate = "sts:AssumeRoleWithCertificate"
	TagSession                = "sts:TagSession"
	SetSourceIdentity         = "sts:SetSourceIdentity"
	SignIn                    = "credence:SignIn"
)

var trustActions = []string{AssumeRole, AssumeRoleWithWebIdentity, AssumeRoleWithCertificate, SignIn, TagSession, SetSourceIdentity}

// TrustPolicy says who may assume a role. It is a policy whose statements have a Principal and no Resource:
//
//   - {"Federated": "https://issuer.example"}, or with AWS's arn:aws:iam::ACCOUNT:oidc-provider/issuer.example: whoever brings a JWT of this issuer
//     (sts:AssumeRoleWithWebIdentity), or whom it vouches for at one of the account's sign-in providers (credence:SignIn): neither does for the other. Condition keys
//     issuer.example:CLAIM are its claims. A statement names one issuer.
//   - {"X509": "TRUST_DOMAIN"}: whoever proves an X.509 certificate of the trust bundle of a SPIFFE trust domain (sts:AssumeRoleWithCertificate). Condition keys x509:SAN/URI (a SPIFFE ID is
//     one), x509:SAN/DNS, which have many values, and x509:Subject/CN.
//   - {"AWS": "ARN"}: a user, or the sessions of a role, or with arn:aws:iam::ACCOUNT:root every principal of the account (sts:AssumeRole).
//   - "*", in a statement that denies.
//
// Every statement that allows pins its subjects; see ParseTrustPolicy.
type TrustPolicy struct {
	account    string
	statements []trustStatement
}

type trustStatement struct {
	sid        string
	allow      bool
	actions    []string
	principal  principal
	conditions []condition
}

// principal is one kind of principal with its names.
type principal struct {
	kind  string // Federated, X509, AWS or *
	names []string
}

// Subjects says how far a trust policy may reach.
type Subjects bool

// The two ways of reading a trust policy.
const (
	TrustPinnedSubjects Subjects = false // the default
	TrustEverySubject   Subjects = true  // somebody has said twice that every subject of an issuer may assume the role
)

// ParseTrustPolicy reads the trust policy of a role of an account. What it refuses is a *SyntaxError.
//
// A statement that allows a web identity must pin the audience (claim aud) and the subject (sub); one that allows certificates, x509:SAN/URI. A pin is
// a condition StringEquals, or StringLike where the text before the first wildcard ends at a delimiter and names more than the kind of subject:
// repo:acme/app:ref:* is one, repo:acme* and repo:* are not. No …Not…, no …IfExists, no ForAllValues is a pin, and ForAnyValue is one
// only of what has many values by its nature: aud and x509:SAN/URI. A subject that pull requests of GitHub match pins nobody who matters. With TrustEverySubject
// the subject needs no pin, the audience still does: a token for another service must never do.
//
// A statement that allows nobody but people who sign in may pin another claim that says who they are in place of the subject, as email or groups, also by
// ForAnyValue:StringEquals: their issuer is one that an administrator has made a sign-in provider. Where everybody can have an account it must be sub or email.
func ParseTrustPolicy(account string, text []byte, subjects Subjects) (*TrustPolicy, error) {
	r, list, err := readStatements(text)
	if err != nil {
		return nil, err
	}
	p := &TrustPolicy{account: account}
	for _, n := range list {
		s, err := r.trustStatement(n, account)
		if err != nil {
			return nil, err
		}
		if err := r.pinned(n, &s, subjects); err != nil {
			return nil, err
		}
		p.statements = append(p.statements, s)
	}
	return p, nil
}

func (r *reader) trustStatement(n *node, account string) (s trustStatement, err error) {
	var effect bool
	var condition *node
	for _, m := range n.members {
		switch m.name {
		case "Sid":
			s.sid = m.value.text
		case "Effect":
			effect = true
			s.allow, err = r.effect(m.value)
		case "Principal":
			s.principal, err = r.principal(m.value, account)
		case "Action":
			s.actions, err = r.trustActions(m.value)
		case "Condition":
			condition = m.value
		default:
			err = r.fail(m.offset, "%q is not an element of a statement of a trust policy: Sid, Effect, Principal, Action and Condition are", m.name)
		}
		if err != nil {
			return s, err
		}
	}
	switch {
	case !effect:
		return s, r.fail(n.offset, "Effect is missing: it must be \"Allow\" or \"Deny\"")
	case s.principal.kind == "":
		return s, r.fail(n.offset, "Principal is missing")
	case s.actions == nil:
		return s, r.fail(n.offset, "Action is missing")
	case s.principal.kind == "*" && s.allow:
		return s, r.fail(n.offset, "the Principal \"*\" is for statements that deny")
	}
	keys := keySet{names: []map[string]keyKind{globalKeys, trustKeys}, tags: trustTags}
	var wanted []string
	switch s.principal.kind {
	case "Federated":
		keys.claims, wanted = s.principal.host()+":", []string{AssumeRoleWithWebIdentity, SignIn}
	case "X509":
		keys.names, wanted = append(keys.names, certificateKeys), []string{AssumeRoleWithCertificate}
	case "AWS":
		keys.names, wanted = append(keys.names, callerKeys), []string{AssumeRole}
		keys.tags = map[string]keyKind{"aws:requesttag/": requestTag, "aws:principaltag/": principalTag}
	}
	for _, a := range []string{AssumeRole, AssumeRoleWithWebIdentity, AssumeRoleWithCertificate, SignIn} {
		if wanted != nil && !slices.Contains(wanted, a) && slices.Contains(s.actions, a) {
			return s, r.fail(n.offset, "the action of a Principal %s is %s, not %s", s.principal.kind, strings.Join(wanted, " or "), a)
		}
	}
	if condition != nil {
		s.conditions, err = r.conditions(condition, keys)
	}
	return s, err
}

func (r *reader) trustActions(n *node) ([]string, error) {
	items, err := r.many(n, "Action")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, n := range items {
		a, err := r.str(n, "Action")
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(trustActions, func(known string) bool { return strings.EqualFold(known, a) })
		if i < 0 {
			return nil, r.fail(n.offset, "the Action %q is not one of a trust policy: %s are", a, strings.Join(trustActions, ", "))
		}
		out = append(out, trustActions[i])
	}
	return out, nil
}

func (r *reader) principal(n *node, account string) (p principal, err error) {
	if n.kind == '"' && n.text == "*" {
		return principal{kind: "*"}, nil
	}
	if n.kind != '{' || len(n.members) != 1 {
		return p, r.fail(n.offset, "Principal must be an object with one of Federated, X509 and AWS: write one statement for each kind")
	}
	m := n.members[0]
	p.kind = m.name
	items, err := r.many(m.value, m.name)
	if err != nil {
		return p, err
	}
	if len(items) > 1 && p.kind != "AWS" {
		return p, r.fail(items[1].offset, "a statement has one %s: write a statement for each, with its own conditions", p.kind)
	}
	for _, n := range items {
		name, err := r.str(n, p.kind)
		if err != nil {
			return p, err
		}
		switch p.kind {
		case "Federated":
			name, err = r.issuer(n, name, account)
		case "X509":
			if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "" {
				err = r.fail(n.offset, "X509 must be a SPIFFE trust domain, as acme.example, not %q", name)
			}
		case "AWS":
			if !assumes(account, name) {
				err = r.fail(n.offset, "AWS must be the ARN of a user or role of account %s, or arn:aws:iam::%s:root, without wildcards, not %q", account, account, name)
			}
		default:
			err = r.fail(m.offset, "%q is not a kind of principal: Federated, X509 and AWS are", p.kind)
		}
		if err != nil {
			return p, err
		}
		p.names = append(p.names, name)
	}
	return p, nil
}

// issuer is the URL of an issuer, as it stands in the claim iss.
func (r *reader) issuer(n *node, name, account string) (string, error) {
	if host, ok := strings.CutPrefix(name, "arn:aws:iam::"+account+":oidc-provider/"); ok {
		name = "https://" + host
	}
	u, err := url.Parse(name)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(name, "*?$ ") {
		return "", r.fail(n.offset, "Federated must be the URL of an issuer, as https://issuer.example, or arn:aws:iam::%s:oidc-provider/issuer.example, not %q", account, name)
	}
	return name, nil
}

func assumes(account, arn string) bool {
	path, ok := strings.CutPrefix(arn, "arn:aws:iam::"+account+":")
	kind, name, named := strings.Cut(path, "/")
	return ok && !strings.ContainsAny(path, "*?$") && (path == "root" || named && name != "" && (kind == "user" || kind == "role"))
}

// TrustRequest is somebody who wants to assume a role. Exactly one of Claims, Certificate and Caller says who.
type TrustRequest struct {
	Claims      map[string]any // of a web identity token, or an ID token, whose signature, lifetime and issuer were verified
	SignIn      bool           // Claims are of the ID token of somebody who signs in at a provider of the account; its aud is a list
	Certificate *Certificate   // whose chain, lifetime and use were verified
	Caller      *Caller

	SessionName    string
	SourceIdentity string            // "" when none is asked for
	Tags           map[string]string // of the session
	SourceIP       netip.Addr
	Secure         bool
	Region         string
	Time           time.Time // zero: now
}

// Certificate is what a verified X.509 certificate says.
type Certificate struct {
	Bundle    string // the trust domain of the trust bundle it chains to
	URIs, DNS []string
	CN        string
}

// Issuers are those whose web identity tokens could assume the role. No other may be called, or have its keys asked for.
func (p *TrustPolicy) Issuers() []string { return p.names("Federated", AssumeRoleWithWebIdentity) }

// SignInIssuers are those at which people could sign in for the role.
func (p *TrustPolicy) SignInIssuers() []string { return p.names("Federated", SignIn) }

// Bundles are the trust bundles whose certificates could assume the role.
func (p *TrustPolicy) Bundles() []string { return p.names("X509", AssumeRoleWithCertificate) }

// names are the principals of a kind that some statement allows an action.
func (p *TrustPolicy) names(kind, action string) []string {
	var out []string
	for i := range p.statements {
		if s := &p.statements[i]; s.allow && s.principal.kind == kind && slices.Contains(s.actions, action) {
			out = append(out, s.principal.names...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Evaluate decides whether r may assume the role, with the tags and the source identity that it asks for: each needs an action of its own
// (sts:TagSession, sts:SetSourceIdentity), as at AWS.
func (p *TrustPolicy) Evaluate(r *TrustRequest) Decision {
	var action string
	switch {
	case r.Claims != nil && r.Certificate == nil && r.Caller == nil && r.SignIn:
		action = SignIn
	case r.Claims != nil && r.Certificate == nil && r.Caller == nil:
		action = AssumeRoleWithWebIdentity
	case r.Claims == nil && r.Certificate != nil && r.Caller == nil:
		action = AssumeRoleWithCertificate
	case r.Claims == nil && r.Certificate == nil && r.Caller != nil:
		action = AssumeRole
	default:
		return Decision{Missing: Trust}
	}
	actions := []string{action}
	if len(r.Tags) > 0 {
		actions = append(actions, TagSession)
	}
	if r.SourceIdentity != "" {
		actions = append(actions, SetSourceIdentity)
	}
	var first Decision
	for i, action := range actions {
		d := p.decide(action, r)
		if !d.Allowed {
			return d
		}
		if i == 0 {
			first = d
		}
	}
	return first
}

func (p *TrustPolicy) decide(action string, r *TrustRequest) Decision {
	e := env{caller: r.Caller, trust: r, request: &Request{Action: action, Region: r.Region, Time: r.Time, RequestTags: r.Tags}}
	d := Decision{Missing: Trust}
	for i := range p.statements {
		s := &p.statements[i]
		if s.allow && d.Allowed || !s.applies(&e, p.account) {
			continue
		}
		by := Statement{Source: Trust, Sid: s.sid, Index: i + 1}
		if !s.allow {
			return Decision{ExplicitDeny: true, Statement: by}
		}
		d = Decision{Allowed: true, Statement: by}
	}
	return d
}

func (s *trustStatement) applies(e *env, account string) bool {
	if !slices.Contains(s.actions, e.request.Action) || !s.principal.is(e.trust, account) {
		return false
	}
	for i := range s.conditions {
		c := &s.conditions[i]
		if s.allow && e.trust.SignIn && c.each == anyValue && c.key.kind == tokenClaim && !e.trust.lists(c.key.name) {
			return false // a group is one of a list, and not a text that may hold anything
		}
		if !c.holds(e, s.allow) {
			return false
		}
	}
	return true
}

// lists reports whether a claim is a list.
func (r *TrustRequest) lists(claim string) bool {
	switch r.Claims[claim].(type) {
	case []string, []any:
		return true
	}
	return false
}

// host is the issuer without its scheme: how condition keys begin.
func (p *principal) host() string {
	_, host, _ := strings.Cut(p.names[0], "://")
	return host
}

func (p *principal) is(r *TrustRequest, account string) bool {
	switch p.kind {
	case "*":
		return true
	case "Federated":
		issuer, ok := r.Claims["iss"].(string)
		return ok && slices.Contains(p.names, issuer)
	case "X509":
		return r.Certificate != nil && slices.Contains(p.names, r.Certificate.Bundle)
	case "AWS":
		c := r.Caller
		return c != nil && c.Account == account && (slices.Contains(p.names, c.PrincipalARN()) || slices.Contains(p.names, "arn:aws:iam::"+account+":root"))
	}
	return false
}

// value is what a token or a certificate says. A claim that is neither text, number, truth nor a list of text counts as missing.
func (r *TrustRequest) value(k *key) (one string, many []string, ok bool) {
	if c := r.Certificate; c != nil {
		switch k.kind {
		case certificateURI:
			return "", c.URIs, len(c.URIs) > 0
		case certificateDNS:
			return "", c.DNS, len(c.DNS) > 0
		case certificateCN:
			return c.CN, nil, c.CN != ""
		}
	}
	if k.kind != tokenClaim {
		return "", nil, false
	}
	switch v := r.Claims[k.name].(type) {
	case string:
		return v, nil, v != ""
	case bool:
		return strconv.FormatBool(v), nil, true
	case json.Number:
		return v.String(), nil, true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil, true
	case []string:
		return "", v, len(v) > 0
	case []any:
		for _, item := range v {
			s, ok := item.(string)
			if !ok {
				return "", nil, false
			}
			many = append(many, s)
		}
		return "", many, len(many) > 0
	}
	return "", nil, false
}
