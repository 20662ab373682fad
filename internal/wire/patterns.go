package wire

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// patterns are the regular expressions of the API model by the names that tags use. A value must match from its first character to its last.
var patterns = map[string]*pattern{
	// The model's segments have no digits, which would make oauth2credentialprovider/NAME untaggable.
	"taggableArn": {source: `arn:[^:]*:bedrock-agentcore:[a-z0-9-]+:[0-9]{12}:([a-z0-9-]+/[^/]+)(/[a-z0-9-]+/[^/]+)*`},
	// The model says nothing about the members of consent portals.
	"consentPortalName":       {source: `[a-zA-Z0-9_-]+`},
	"consentPortalIdentifier": {source: `(arn:[^:\s]*:bedrock-agentcore:[a-z0-9-]+:[0-9]{12}:consent-portal/)?[a-zA-Z0-9_-]+`},
	"consentPortalSource":     {source: `arn:[^:\s]*:bedrock-agentcore:[a-z0-9-]+:[0-9]{12}:(gateway/[a-zA-Z0-9-]+|workload-identity-directory/default/workload-identity/[A-Za-z0-9_.-]+)|[a-zA-Z0-9-]+`},
	"roleArn":                 {source: `arn:aws[a-z-]*:iam::[0-9]{12}:role/[^\s]+`},
	// The model has \w for the scheme of a return URL, which refuses that of a native app, com.example.app:/done (RFC 8252 section 7.1).
	"returnUrl":                       {source: `[\w.+-]+:(\/?\/?)[^\s]+`},
	"workloadName":                    {source: `[A-Za-z0-9_.-]+`},
	"credentialProviderName":          {source: `[a-zA-Z0-9\-_]+`},
	"tokenVaultId":                    {source: `[a-zA-Z0-9\-_]+`},
	"requestUri":                      {source: `urn:ietf:params:oauth:request_uri:[a-zA-Z0-9-._~]+`},
	"userToken":                       {source: `[A-Za-z0-9-_=]+.[A-Za-z0-9-_=]+.[A-Za-z0-9-_=]+`},
	"customParameterName":             {source: `[a-zA-Z0-9\-_\.]+`},
	"tag":                             {source: `[a-zA-Z0-9\s._:/=+@-]*`},
	"host":                            {source: `[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*(:[0-9]{1,5})?`},
	"discoveryUrl":                    {source: `.+/\.well-known/(openid-configuration|oauth-authorization-server)`},
	"tokenEndpointAuthMethod":         {source: `(client_secret_post|client_secret_basic)`},
	"httpMethod":                      {source: `[A-Za-z0-9!#$%&'*+.^_|~-]+`},
	"dpopNonce":                       {source: `[\x21\x23-\x5B\x5D-\x7E]+`},
	"principalName":                   {source: `[A-Za-z0-9_+=,.@-]+`},
	"trustDomain":                     {source: `[a-z0-9._-]+`},
	"accessKeyId":                     {source: `[A-Z0-9_]+`},
	"claimName":                       {source: `[A-Za-z0-9_.:#-]+`},
	"kmsKeyArn":                       {source: `arn:aws(|-cn|-us-gov):kms:[a-zA-Z0-9-]*:[0-9]{12}:key/[a-zA-Z0-9-]{36}`},
	"kmsKeyId":                        {source: `(arn:aws(|-cn|-us-gov):kms:[a-zA-Z0-9-]*:[0-9]{12}:key/)?[a-zA-Z0-9-]{36}`},
	"secretArn":                       {source: `arn:(aws|aws-us-gov):secretsmanager:[A-Za-z0-9-]{1,64}:[0-9]{12}:secret:[a-zA-Z0-9-_/+=.@!]+`},
	"oauth2CredentialProviderArn":     {source: providerArn("oauth2credentialprovider")},
	"apiKeyCredentialProviderArn":     {source: providerArn("apikeycredentialprovider")},
	"paymentCredentialProviderArn":    {source: providerArn("paymentcredentialprovider")},
	"webhookEventType":                {source: strings.ReplaceAll(webhookEventTypes, ".", `\.`)},
	"sha256":                          {source: `[0-9a-f]{64}`},
	"paymentId":                       {source: `[a-zA-Z0-9\-_]+`},
	"paymentSecret":                   {source: `[a-zA-Z0-9+/=\-_\s]*`},
	"authorizationPrivateKey":         {source: `(wallet-auth:)?[a-zA-Z0-9+/=\-_\s]*`},
	"requestHost":                     {source: `[a-zA-Z0-9\-\.]+`},
	"requestPath":                     {source: `/[a-zA-Z0-9/_\-\.~%?=&]+`},
	"requestBody":                     {source: `[\x09\x0A\x0D\x20-\x7E]+`},
	"resourceConfigurationIdentifier": {source: `((rcfg-[0-9a-z]{17})|(arn:[a-z0-9\-]+:vpc-lattice:[a-zA-Z0-9\-]+:\d{12}:resourceconfiguration/rcfg-[0-9a-z]{17}))`},
	"vpcId":                           {source: `vpc-(([0-9a-z]{8})|([0-9a-z]{17}))`},
	"subnetId":                        {source: `subnet-[0-9a-zA-Z]{8,17}`},
	"securityGroupId":                 {source: `sg-(([0-9a-z]{8})|([0-9a-z]{17}))`},
}

// providerArn differs from the model, whose provider ARNs still name the service acps and refuse the _ that provider names may have.
func providerArn(resourceType string) string {
	return `arn:(aws|aws-us-gov):bedrock-agentcore:[A-Za-z0-9-]{1,64}:[0-9]{12}:token-vault/[a-zA-Z0-9-._]+/` + resourceType + `/[a-zA-Z0-9-._]+`
}

// A pattern is a regular expression that is compiled at its first use. Package regexp would be twenty times slower on the ambiguous
// ones: 10 ms for one JWT of 130 kB.
type pattern struct {
	source string
	once   sync.Once
	automaton
}

func (p *pattern) matches(s string) bool {
	p.once.Do(func() { p.automaton = newAutomaton(p.source) })
	return p.automaton.matches(s)
}

// An automaton decides a regular expression in one table look-up a character, whatever the text.
type automaton struct {
	next   [][symbols]uint16 // state, symbol → state; state 0 has no way out, state 1 is the start
	accept []bool
}

// symbols are the ASCII characters and one for all the others, which no pattern tells apart.
const symbols = utf8.RuneSelf + 1

func (a automaton) matches(s string) bool {
	state := uint16(1)
	for _, r := range s {
		state = a.next[state][min(r, utf8.RuneSelf)]
	}
	return a.accept[state]
}

// newAutomaton is the subset construction: a state of the automaton is the set of instructions at which the program of the expression may be.
func newAutomaton(source string) automaton {
	re, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		panic(fmt.Sprintf("wire: pattern %s: %v", source, err))
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		panic(fmt.Sprintf("wire: pattern %s: %v", source, err))
	}

	a := automaton{next: make([][symbols]uint16, 1), accept: make([]bool, 1)}
	states := map[string]uint16{fmt.Sprint([]uint32{}): 0}
	var state func(at []uint32) uint16
	state = func(at []uint32) uint16 {
		slices.Sort(at)
		key := fmt.Sprint(at)
		if id, ok := states[key]; ok {
			return id
		}
		id := uint16(len(a.next))
		states[key] = id
		a.next = append(a.next, [symbols]uint16{})
		a.accept = append(a.accept, slices.ContainsFunc(at, func(pc uint32) bool { return prog.Inst[pc].Op == syntax.InstMatch }))
		for symbol := range symbols {
			to := []uint32{}
			for _, pc := range at {
				if prog.Inst[pc].MatchRune(rune(symbol)) {
					to = follow(prog, to, prog.Inst[pc].Out)
				}
			}
			next := state(to)
			a.next[id][symbol] = next
		}
		return id
	}
	state(follow(prog, nil, uint32(prog.Start)))
	return a
}

// follow adds to set the instructions that the program reaches from pc without reading a character.
func follow(prog *syntax.Prog, set []uint32, pc uint32) []uint32 {
	inst := &prog.Inst[pc]
	switch inst.Op {
	case syntax.InstAlt, syntax.InstAltMatch:
		return follow(prog, follow(prog, set, inst.Out), inst.Arg)
	case syntax.InstCapture, syntax.InstNop:
		return follow(prog, set, inst.Out)
	case syntax.InstEmptyWidth:
		panic("wire: a pattern needs no anchors")
	}
	if !slices.Contains(set, pc) {
		set = append(set, pc)
	}
	return set
}
