package fakeidp

import (
	"slices"
	"time"
)

// Behaviour is how the vendor acts. The zero value keeps to the RFCs.
type Behaviour struct {
	// Failures spoil token requests.
	Failures
	// Times limits Failures to the next so many token requests, which then clear them; 0 = until changed.
	Times int

	// At the authorization endpoint.

	Subject      string        // who approves; "" = alice
	ShowLogin    bool          // show a form that asks for the user name, with Approve and Deny, instead of approving at once
	Deny         string        // send this error code back, before any form
	CodeLifetime time.Duration // 0 = 10 minutes, the most that RFC 6749 section 4.1.2 recommends
	Pushed       bool          // the metadata offer pushed authorization requests (RFC 9126)
	PushRequired bool          // there are no others
	PushStatus   int           // the endpoint for them answers this status instead
	OmitIss      bool          // no iss at the callback, though the metadata promise it (RFC 9207)
	LieAboutIss  string        // this iss at the callback

	// What the token endpoint grants.

	AccessTokenLifetime time.Duration     // 0 = 1 hour; negative = already expired
	RenameScopes        map[string]string // requested name → granted name
	NarrowScopes        []string          // grant only these (names after RenameScopes); nil = all
	NoRefreshToken      bool              // hand out no refresh token; those already out work on
	KeepRefreshToken    bool              // do not rotate: a refresh answers no refresh token, and the one sent stays good
	RefreshGrace        time.Duration     // a rotated refresh token works on for so long and answers the successor it already has
	ReuseKillsFamily    bool              // a rotated refresh token sent past its grace revokes all tokens of its family (RFC 9700 section 4.14.2)

	// IDClaims override the claims of ID tokens, which codes of the scope openid bring; nil leaves one out. IDToken makes another token of the claims.
	IDClaims map[string]any
	IDToken  func(claims map[string]any) string

	// How the token endpoint words its answers.

	FormEncoded       bool // application/x-www-form-urlencoded instead of JSON, errors included
	OmitTokenType     bool
	OmitExpiresIn     bool
	ExpiresInString   bool // "3600" instead of 3600
	OmitScope         bool
	ScopeArray        bool           // ["a","b"] instead of "a b"
	ScopeComma        bool           // "a,b" instead of "a b"
	ExtraTokenMembers map[string]any // override the members of every 200 answer, OKWithError's included; nil leaves one out

	// ExtraResourceMetadata override the members of the metadata of the protected resource (RFC 9728); nil leaves one out.
	ExtraResourceMetadata map[string]any
	SlowDown              int // the next so many polls of device codes are told to slow down
	DPoP                  DPoP
	IDJAG                 IDJAG

	// Quirks are ways of real vendors that no RFC has.
	Quirks

	// Metadata, keys, revocation.

	DiscoveryStatus int            // the metadata endpoints answer this status instead
	LieInDiscovery  string         // this issuer in the metadata
	ExtraMetadata   map[string]any // override the members of the metadata; nil leaves one out
	DropOldKeys     bool           // the JWKS holds the newest key only
	RevokeStatus    int            // the revocation endpoint answers this status instead, with RetryAfter, and revokes nothing
	CutAfterRevoke  bool           // the revocation endpoint revokes, and closes the connection without an answer
}

// Failures are the switches that Behaviour.Times limits. Where several are set, the first in this order decides.
type Failures struct {
	// The grant is not looked at: a code or refresh token that was sent stays as it was.

	Stall       time.Duration // wait, then go on as the other switches say; a client that gives up first gets nothing done
	CutBefore   bool          // close the connection without an answer
	RedirectTo  string        // 307 to this URL
	OKWithError string        // 200 with this OAuth error code
	ErrorCode   string        // 400, or Status, with this OAuth error code
	Suberror    string        // beside ErrorCode, as Microsoft has it
	Status      int           // this HTTP status, with a plain text body unless ErrorCode is set
	Silent      bool          // Status without a body
	RetryAfter  string        // the Retry-After header of ErrorCode and Status: seconds or an HTTP date

	// The grant is processed as far as it is good: codes are used up, refresh tokens rotated, tokens live.

	StallAfterIssue time.Duration // wait, then go on as the other switches say
	CutAfterIssue   bool          // close the connection without an answer
	NotJSON         bool          // 200 with an HTML page
	HugeBody        bool          // the right answer and 8 MiB of padding
}

// Snapshot is the behaviour as it stands.
func (v *Vendor) Snapshot() Behaviour { return v.snapshot() }

// snapshot is the behaviour for one request.
func (v *Vendor) snapshot() Behaviour {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.behaviour
}

// spend is the behaviour for one token request. It uses up one of Times.
func (v *Vendor) spend() Behaviour {
	v.mu.Lock()
	defer v.mu.Unlock()
	b := v.behaviour
	if b.Times > 0 {
		v.behaviour.Times--
		if v.behaviour.Times == 0 {
			v.behaviour.Failures = Failures{}
		}
	}
	return b
}

// rename gives requested scopes the vendor's names. Names that are the vendor's already stay.
func (b Behaviour) rename(scopes []string) []string {
	renamed := slices.Clone(scopes)
	for i, s := range renamed {
		if name, ok := b.RenameScopes[s]; ok {
			renamed[i] = name
		}
	}
	return renamed
}

// grant is what the vendor makes of requested scopes.
func (b Behaviour) grant(scopes []string) []string {
	return slices.DeleteFunc(b.rename(scopes), func(s string) bool {
		return b.NarrowScopes != nil && !slices.Contains(b.NarrowScopes, s)
	})
}
