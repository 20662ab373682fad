package iam

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// key is a condition key. Names compare without case, but for what follows the slash of a tag and claims of trust policies.
type key struct {
	kind keyKind
	name string // of the tag or claim, else ""
	text string // as the document has it
}

func (k key) String() string { return k.text }

type keyKind uint8

const (
	principalARN keyKind = iota + 1
	principalAccount
	principalType
	userName
	userID
	sourceIP
	requestedRegion
	currentTime
	epochTime
	secureTransport
	tokenIssueTime
	sourceIdentity
	federatedProvider
	resourceAccount
	agentUserID
	claimIssuer
	claimSubject
	claimClientID
	sessionName
	principalTag
	requestTag
	resourceTag
	certificateCN
	// From here on, keys with many values.
	tagKeys
	claimAudience
	claimScope
	certificateURI
	certificateDNS
	// A claim of a web identity token has one or many, as the token says.
	tokenClaim
)

// many reports that only ForAnyValue, ForAllValues and Null can ask about the key.
func (k keyKind) many() bool { return k >= tagKeys && k < tokenClaim }

// globalKeys can be asked about in every policy.
var globalKeys = map[string]keyKind{
	"aws:sourceip":        sourceIP,
	"aws:requestedregion": requestedRegion,
	"aws:currenttime":     currentTime,
	"aws:epochtime":       epochTime,
	"aws:securetransport": secureTransport,
	"aws:tagkeys":         tagKeys,
}

// identityKeys can be asked about in identity policies, session policies and permissions boundaries.
var identityKeys = map[string]keyKind{
	"aws:principalarn":                            principalARN,
	"aws:principalaccount":                        principalAccount,
	"aws:principaltype":                           principalType,
	"aws:username":                                userName,
	"aws:userid":                                  userID,
	"aws:tokenissuetime":                          tokenIssueTime,
	"aws:sourceidentity":                          sourceIdentity,
	"aws:federatedprovider":                       federatedProvider,
	"aws:resourceaccount":                         resourceAccount,
	"bedrock-agentcore:userid":                    agentUserID,
	"bedrock-agentcore:inboundjwtclaim/iss":       claimIssuer,
	"bedrock-agentcore:inboundjwtclaim/sub":       claimSubject,
	"bedrock-agentcore:inboundjwtclaim/client_id": claimClientID,
	"bedrock-agentcore:inboundjwtclaim/aud":       claimAudience,
	"bedrock-agentcore:inboundjwtclaim/scope":     claimScope,
}

// trustKeys can be asked about in trust policies.
var trustKeys = map[string]keyKind{
	"sts:rolesessionname": sessionName,
	"sts:sourceidentity":  sourceIdentity,
}

// certificateKeys can be asked about where a principal has an X.509 certificate.
var certificateKeys = map[string]keyKind{
	"x509:san/uri":    certificateURI,
	"x509:san/dns":    certificateDNS,
	"x509:subject/cn": certificateCN,
}

// callerKeys can be asked about where the principal of a trust policy is a user or role.
var callerKeys = map[string]keyKind{
	"aws:principalarn":     principalARN,
	"aws:principalaccount": principalAccount,
	"aws:principaltype":    principalType,
	"aws:username":         userName,
	"aws:userid":           userID,
}

// keySet is the keys that a statement can ask about.
type keySet struct {
	names  []map[string]keyKind
	tags   map[string]keyKind // prefixes
	claims string             // prefix of the keys of a web identity token's claims: the issuer, without https://, and a colon
}

var (
	identityTags = map[string]keyKind{"aws:principaltag/": principalTag, "aws:requesttag/": requestTag, "aws:resourcetag/": resourceTag, "bedrock-agentcore:resourcetag/": resourceTag}
	trustTags    = map[string]keyKind{"aws:requesttag/": requestTag}

	ofIdentity = keySet{names: []map[string]keyKind{globalKeys, identityKeys}, tags: identityTags}
)

func (s keySet) find(r *reader, offset int, text string) (key, error) {
	if s.claims != "" {
		if claim, ok := strings.CutPrefix(text, s.claims); ok && claim != "" {
			return key{tokenClaim, claim, text}, nil
		}
	}
	folded := strings.ToLower(text)
	for _, names := range s.names {
		if kind, ok := names[folded]; ok {
			return key{kind, "", text}, nil
		}
	}
	for prefix, kind := range s.tags {
		if strings.HasPrefix(folded, prefix) && len(text) > len(prefix) {
			return key{kind, text[len(prefix):], text}, nil
		}
	}
	return key{}, r.fail(offset, "the condition key %q is not one that Credence knows here; it knows %s", text, s.list())
}

func (s keySet) list() string {
	var out []string
	for _, names := range s.names {
		out = append(out, slices.Collect(maps.Keys(names))...)
	}
	for prefix := range s.tags {
		out = append(out, prefix+"KEY")
	}
	if s.claims != "" {
		out = append(out, s.claims+"CLAIM")
	}
	slices.Sort(out)
	return strings.Join(out, ", ") + " (in any case)"
}

// env is what conditions are asked about. One serves one decision.
type env struct {
	caller  *Caller // of a trust policy: nil unless a user or role assumes
	request *Request
	trust   *TrustRequest // of a trust policy

	resource string
	tags     map[string]string // of resource
	tagsRead bool
	err      error // of reading tags: nothing is allowed
	now      time.Time
}

// value is what the request says about a key: one value, or many; false when it says nothing.
func (e *env) value(k *key) (one string, many []string, ok bool) {
	some := func(s string) (string, []string, bool) { return s, nil, s != "" }
	list := func(l []string) (string, []string, bool) { return "", l, len(l) > 0 }
	if k.kind >= certificateCN && k.kind != tagKeys && k.kind != claimAudience && k.kind != claimScope {
		if e.trust == nil {
			return "", nil, false
		}
		return e.trust.value(k)
	}
	switch k.kind {
	case sourceIP:
		addr := e.sourceIP()
		if !addr.IsValid() {
			return "", nil, false
		}
		return addr.String(), nil, true
	case requestedRegion:
		return some(e.request.Region)
	case currentTime:
		return e.time().Format(time.RFC3339Nano), nil, true
	case epochTime:
		return strconv.FormatInt(e.time().Unix(), 10), nil, true
	case secureTransport:
		return strconv.FormatBool(e.secure()), nil, true
	case requestTag:
		return tag(e.request.RequestTags, k.name)
	case tagKeys:
		if len(e.request.RequestTags) == 0 {
			return list(e.request.TagKeys)
		}
		return list(append(slices.Sorted(maps.Keys(e.request.RequestTags)), e.request.TagKeys...))
	case resourceTag:
		return tag(e.resourceTags(), k.name)
	case resourceAccount:
		if parts := strings.SplitN(e.resource, ":", 6); len(parts) == 6 {
			return some(parts[4])
		}
		return "", nil, false
	case agentUserID:
		return some(e.request.UserID)
	case sessionName:
		if e.trust != nil {
			return some(e.trust.SessionName)
		}
		return "", nil, false
	case claimIssuer, claimSubject, claimClientID, claimAudience, claimScope:
		if e.request.JWT == nil {
			return "", nil, false
		}
		switch c := e.request.JWT(); k.kind {
		case claimIssuer:
			return some(c.Issuer)
		case claimSubject:
			return some(c.Subject)
		case claimClientID:
			return some(c.ClientID)
		case claimAudience:
			return list(c.Audience)
		default:
			return list(c.Scope)
		}
	case sourceIdentity:
		if e.trust != nil {
			return some(e.trust.SourceIdentity)
		}
	}
	if e.caller == nil {
		return "", nil, false
	}
	return e.principal(k)
}

// principal is what is known of the caller.
func (e *env) principal(k *key) (one string, many []string, ok bool) {
	some := func(s string) (string, []string, bool) { return s, nil, s != "" }
	c := e.caller
	switch k.kind {
	case principalARN:
		return some(c.PrincipalARN())
	case principalAccount:
		return some(c.Account)
	case principalType:
		if c.Kind == "" {
			return string(KindUser), nil, true
		}
		return string(c.Kind), nil, true
	case userName:
		if c.Kind == KindAssumedRole {
			return "", nil, false
		}
		return some(c.Name)
	case userID:
		return some(c.UserID)
	case principalTag:
		return tag(c.Tags, k.name)
	}
	if s := c.Session; s != nil {
		switch k.kind {
		case tokenIssueTime:
			return s.IssuedAt.UTC().Format(time.RFC3339Nano), nil, !s.IssuedAt.IsZero()
		case sourceIdentity:
			return some(s.SourceIdentity)
		case federatedProvider:
			return some(s.Issuer)
		}
	}
	return "", nil, false
}

// tag is the value of a tag. A name of the same case is preferred to others, which are tried in their order.
func tag(tags map[string]string, name string) (string, []string, bool) {
	if v, ok := tags[name]; ok {
		return v, nil, true
	}
	found, ok := "", false
	for k := range tags {
		if strings.EqualFold(k, name) && (!ok || k < found) {
			found, ok = k, true
		}
	}
	return tags[found], nil, ok
}

func (e *env) resourceTags() map[string]string {
	if !e.tagsRead && e.request.ResourceTags != nil && e.err == nil {
		e.tags, e.err = e.request.ResourceTags(e.resource)
		e.tagsRead = true
	}
	return e.tags
}

func (e *env) time() time.Time {
	if e.now.IsZero() {
		if e.now = e.request.Time; e.now.IsZero() {
			e.now = time.Now()
		}
		e.now = e.now.UTC()
	}
	return e.now
}

func (e *env) sourceIP() netip.Addr {
	if e.trust != nil {
		return e.trust.SourceIP.Unmap()
	}
	return e.caller.SourceIP.Unmap()
}

func (e *env) secure() bool {
	if e.trust != nil {
		return e.trust.Secure
	}
	return e.caller.Secure
}
