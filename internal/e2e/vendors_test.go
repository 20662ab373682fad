package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	data "github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"

	"credence/internal/audit"
	"credence/internal/fakeidp"
	"credence/internal/provider"
	"credence/internal/server"
	"credence/internal/testenv"
	"credence/internal/wire"
)

// A quirk is how a vendor's documentation says that it differs from the RFCs.
type quirk struct {
	auth      string // the only client authentication that it takes; "" is either
	behaviour func(*fakeidp.Behaviour)
	m2m       map[string]string           // customParameters of M2M
	lifetime  time.Duration               // of a token of which the vendor does not say it
	member    string                      // of the union; "" is includedOauth2ProviderConfig
	revoking  *fakeidp.Revoking           // nil: the vendor has no way to revoke
	granted   []string                    // the scopes that the vendor says it granted, when they are not those that were asked for
	differs   func(*testing.T, *scenario) // what else is to be seen
}

var quirks = map[wire.CredentialProviderVendor]quirk{
	wire.VendorGoogleOauth2: {revoking: &fakeidp.Revoking{Auth: fakeidp.ByNobody, NoHint: true, Family: true}, member: "google", auth: fakeidp.Post, granted: []string{"https://www.googleapis.com/auth/userinfo.email", "two"}, behaviour: func(b *fakeidp.Behaviour) {
		b.OfflineNeeds = url.Values{"access_type": {"offline"}, "prompt": {"consent"}}
		b.KeepRefreshToken, b.RenameScopes = true, map[string]string{"one": "https://www.googleapis.com/auth/userinfo.email"}
	}},
	wire.VendorGithubOauth2: {revoking: &fakeidp.Revoking{At: "DELETE /applications/" + testenv.ClientID + "/grant", Auth: fakeidp.Basic, Parameter: "access_token", NoHint: true, JSON: true, Only: "access_token", Family: true, Status: 204}, member: "github", auth: fakeidp.Post, behaviour: func(b *fakeidp.Behaviour) { b.ScopeComma, b.ErrorsAre200 = true, true }},
	wire.VendorSlackOauth2: {revoking: &fakeidp.Revoking{At: "POST /api/auth.revoke", Auth: fakeidp.ByToken, Family: true}, member: "slack", behaviour: func(b *fakeidp.Behaviour) {
		b.ScopeSeparator, b.ScopeComma, b.OKMember, b.ErrorsAre200, b.NestedUserToken = ",", true, true, true, true
	}, differs: slackUserToken},
	wire.VendorSalesforceOauth2: {revoking: &fakeidp.Revoking{Auth: fakeidp.ByNobody, NoHint: true}, member: "salesforce", lifetime: 15 * time.Minute, behaviour: func(b *fakeidp.Behaviour) {
		b.OmitExpiresIn, b.KeepRefreshToken, b.ExtraTokenMembers = true, true, map[string]any{"instance_url": "https://example.my.salesforce.com", "id": "https://login.salesforce.com/id/1"}
	}},
	wire.VendorMicrosoftOauth2: {member: "microsoft", auth: fakeidp.Post, behaviour: func(b *fakeidp.Behaviour) { b.ExtraTokenMembers = map[string]any{"ext_expires_in": 3600} }},
	wire.VendorAtlassianOauth2: {member: "atlassian", behaviour: func(b *fakeidp.Behaviour) {
		b.AuthorizeNeeds = url.Values{"audience": {"api.atlassian.com"}, "prompt": {"consent"}}
	}},
	wire.VendorLinkedinOauth2: {revoking: &fakeidp.Revoking{At: "POST /oauth/v2/revoke", Auth: fakeidp.Post, NoHint: true, Only: "access_token", Family: true}, member: "linkedin", auth: fakeidp.Post, behaviour: func(b *fakeidp.Behaviour) { b.KeepRefreshToken, b.ScopeComma = true, true }},
	wire.VendorXOauth2:        {revoking: &fakeidp.Revoking{Auth: fakeidp.Basic}, auth: fakeidp.Basic},
	wire.VendorOktaOauth2:     {revoking: &fakeidp.Revoking{Auth: fakeidp.Basic}, auth: fakeidp.Basic},
	wire.VendorOneLoginOauth2: {revoking: &fakeidp.Revoking{At: "POST /token/revocation", Auth: fakeidp.Post}, auth: fakeidp.Post},
	wire.VendorPingOneOauth2:  {revoking: &fakeidp.Revoking{Auth: fakeidp.Basic}, auth: fakeidp.Basic},
	wire.VendorFacebookOauth2: {revoking: &fakeidp.Revoking{At: "DELETE /me/permissions", Auth: fakeidp.ByToken, Family: true}, behaviour: func(b *fakeidp.Behaviour) { b.ScopeSeparator, b.OmitScope, b.NoRefreshToken = ",", true, true }},
	wire.VendorYandexOauth2:   {revoking: &fakeidp.Revoking{At: "POST /revoke_token", Parameter: "access_token", NoHint: true, Only: "access_token", Family: true}, behaviour: func(b *fakeidp.Behaviour) { b.OmitScope = true }},
	wire.VendorRedditOauth2: {revoking: &fakeidp.Revoking{At: "POST /api/v1/revoke_token", Auth: fakeidp.Basic, Status: 204}, auth: fakeidp.Basic, behaviour: func(b *fakeidp.Behaviour) {
		b.OfflineNeeds, b.HeaderNeeds, b.KeepRefreshToken = url.Values{"duration": {"permanent"}}, "User-Agent", true
	}},
	wire.VendorZoomOauth2:    {revoking: &fakeidp.Revoking{Auth: fakeidp.Basic, NoHint: true, Only: "access_token", Family: true}, auth: fakeidp.Basic, m2m: map[string]string{"account_id": "zoom-account"}, behaviour: func(b *fakeidp.Behaviour) { b.M2MGrantType, b.M2MNeeds = "account_credentials", "account_id" }},
	wire.VendorTwitchOauth2:  {revoking: &fakeidp.Revoking{Auth: fakeidp.ByID, NoHint: true, Only: "access_token", Family: true}, auth: fakeidp.Post, behaviour: func(b *fakeidp.Behaviour) { b.ScopeArray = true }},
	wire.VendorSpotifyOauth2: {auth: fakeidp.Basic, behaviour: func(b *fakeidp.Behaviour) { b.KeepRefreshToken = true }},
	wire.VendorDropboxOauth2: {revoking: &fakeidp.Revoking{At: "POST /2/auth/token/revoke", Auth: fakeidp.ByToken, Family: true}, behaviour: func(b *fakeidp.Behaviour) {
		b.OfflineNeeds, b.KeepRefreshToken = url.Values{"token_access_type": {"offline"}}, true
	}},
	wire.VendorNotionOauth2: {revoking: &fakeidp.Revoking{Auth: fakeidp.Basic, NoHint: true, JSON: true, Only: "access_token", Family: true}, auth: fakeidp.Basic, behaviour: func(b *fakeidp.Behaviour) {
		b.JSONRequests, b.OmitScope, b.AuthorizeNeeds, b.HeaderNeeds = true, true, url.Values{"owner": {"user"}}, "Notion-Version"
	}},
	wire.VendorHubspotOauth2:    {revoking: &fakeidp.Revoking{At: "POST /oauth/2026-03/token/revoke", Auth: fakeidp.Post, Only: "refresh_token", Status: 204}, auth: fakeidp.Post, behaviour: func(b *fakeidp.Behaviour) { b.KeepRefreshToken, b.OmitScope = true, true }},
	wire.VendorCyberArkOauth2:   {revoking: &fakeidp.Revoking{Auth: fakeidp.Basic, NoHint: true}, auth: fakeidp.Basic},
	wire.VendorFusionAuthOauth2: {auth: fakeidp.Basic},
	wire.VendorAuth0Oauth2:      {revoking: &fakeidp.Revoking{Auth: fakeidp.Post, NoHint: true, Only: "refresh_token"}, auth: fakeidp.Post},
	wire.VendorCognitoOauth2:    {revoking: &fakeidp.Revoking{Auth: fakeidp.Basic, NoHint: true, Only: "refresh_token"}, auth: fakeidp.Basic},
}

// scenario is a server and a vendor that knows its client.
type scenario struct {
	*testenv.Env
	vendor *fakeidp.Vendor
}

// tokenLife is short enough to wait for.
const tokenLife = 250 * time.Millisecond

// Every preset takes a user through consent, refresh and the end of the grant, and a workload through M2M, at a vendor with the ways that its documentation tells.
func TestPresets(t *testing.T) {
	for _, preset := range provider.Presets {
		t.Run(string(preset.Name), func(t *testing.T) {
			t.Parallel()
			q, ok := quirks[preset.Name]
			if !ok {
				t.Fatal("say what is special of this vendor")
			}
			s := newScenario(t, preset, q)
			token := func(flow data.Oauth2FlowType, edit ...func(*bedrockagentcore.GetResourceOauth2TokenInput)) *bedrockagentcore.GetResourceOauth2TokenOutput {
				t.Helper()
				out, err := s.Admin.Token(s.Admin.WAT("agent", "alice"), "vendor", flow, append(edit, scopes)...)
				if err != nil {
					t.Fatal(err)
				}
				return out
			}
			wants := func(access string) {
				t.Helper()
				info, live := s.vendor.Introspect(access)
				want := q.granted
				if want == nil {
					want = []string{"one", "two"}
				}
				if !live || !slices.Equal(info.Scopes, want) {
					t.Errorf("the token is good for %q (live: %t), want %q", info.Scopes, live, want)
				}
			}

			first := s.Admin.Consent("agent", "vendor", "alice", scopes)
			wants(first)
			if q.lifetime != 0 {
				cached := token(data.Oauth2FlowTypeUserFederation)
				if cached.AccessToken == nil || *cached.AccessToken != first {
					t.Error("a token whose end the vendor does not say is not kept")
				}
				if ends := s.ends(t); ends < q.lifetime-time.Minute || ends > q.lifetime {
					t.Errorf("it ends in %s, want %s", ends, q.lifetime)
				}
			} else {
				time.Sleep(tokenLife)
				next := token(data.Oauth2FlowTypeUserFederation)
				if refreshes := preset.Name != wire.VendorFacebookOauth2; refreshes != (next.AccessToken != nil) {
					t.Fatalf("after the token's end: %+v", next)
				}
				if next.AccessToken != nil {
					wants(*next.AccessToken)
					if *next.AccessToken == first {
						t.Error("the token is the old one")
					}
				}
				s.vendor.RevokeAll()
				time.Sleep(tokenLife)
				if gone := token(data.Oauth2FlowTypeUserFederation); gone.AuthorizationUrl == nil {
					t.Errorf("after the vendor revoked everything: %+v, want a consent", gone)
				}
			}

			m2m := token(data.Oauth2FlowTypeM2m, func(in *bedrockagentcore.GetResourceOauth2TokenInput) { in.CustomParameters = q.m2m })
			wants(*m2m.AccessToken)
			if q.differs != nil {
				q.differs(t, s)
			}
			s.deleteAndRevoke(t, q)
		})
	}
}

func scopes(in *bedrockagentcore.GetResourceOauth2TokenInput) { in.Scopes = []string{"one", "two"} }

func newScenario(t *testing.T, preset provider.Vendor, q quirk) *scenario {
	t.Helper()
	vendor := fakeidp.Start(t)
	client := fakeidp.Client{ID: testenv.ClientID, Secret: testenv.ClientSecret}
	if q.auth != "" {
		client.AuthMethods = []string{q.auth}
	}
	vendor.AddClient(client)
	vendor.Set(func(b *fakeidp.Behaviour) {
		b.OmitIss = !preset.IssInResponse
		if q.behaviour != nil {
			q.behaviour(b)
		}
		if q.revoking != nil {
			b.Revoking = *q.revoking
		}
		if !b.OmitExpiresIn {
			b.ExtraTokenMembers = maps.Clone(b.ExtraTokenMembers)
			if b.ExtraTokenMembers == nil {
				b.ExtraTokenMembers = map[string]any{}
			}
			b.ExtraTokenMembers["expires_in"] = tokenLife.Seconds()
		}
	})
	more := ""
	if preset.OfCustomer {
		more = fmt.Sprintf(`,"issuer":%q,"authorizationEndpoint":"%s/authorize","tokenEndpoint":"%[2]s/token"`, vendor.Issuer(), vendor.Issuer())
	} else { // all of the preset but where it is
		if preset.Issuer != "" {
			preset.Issuer = vendor.Issuer()
		}
		preset.AuthorizationEndpoint, preset.TokenEndpoint = vendor.Issuer()+"/authorize", vendor.Issuer()+"/token"
		if _, after, ok := strings.Cut(preset.Revocation.Endpoint, "://"); ok {
			_, path, _ := strings.Cut(after, "/")
			preset.Revocation.Endpoint = vendor.Issuer() + "/" + path
		}
	}
	s := &scenario{testenv.Start(t, func(c *server.Config) { c.Presets = []provider.Vendor{preset} }), vendor}
	s.Plant(vendor.Mark)
	s.Admin.CreateWorkload("agent")
	member := "included"
	if q.member != "" {
		member = q.member
	}
	body := fmt.Sprintf(`{"name":"vendor","credentialProviderVendor":%q,"oauth2ProviderConfigInput":{"%sOauth2ProviderConfig":{"clientId":%q,"clientSecret":%q%s}}}`,
		preset.Name, member, testenv.ClientID, testenv.ClientSecret, more)
	if a := s.Admin.Call("/identities/CreateOauth2CredentialProvider", body); a.Status != 201 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	return s
}

// ends is how long the user's token lives on, by an extension member of the answer.
func (s *scenario) ends(t *testing.T) time.Duration {
	t.Helper()
	var out struct{ AccessTokenExpiresAt float64 }
	a := s.Admin.Call("/identities/oauth2/token", fmt.Sprintf(`{"workloadIdentityToken":%q,"resourceCredentialProviderName":"vendor","scopes":["one","two"],"oauth2Flow":"USER_FEDERATION"}`,
		*s.Admin.WAT("agent", "alice")))
	if err := json.Unmarshal([]byte(a.Body), &out); err != nil {
		t.Fatal(err)
	}
	return time.Until(time.UnixMilli(int64(out.AccessTokenExpiresAt * 1000)))
}

// When the provider is deleted, its vendor is told as its documentation wants it, and the grants are dead there: one whose access token is good, and one
// whose access token has ended.
func (s *scenario) deleteAndRevoke(t *testing.T, q quirk) {
	t.Helper()
	ended := s.Admin.Consent("agent", "vendor", "dave", scopes)
	s.vendor.Set(func(b *fakeidp.Behaviour) {
		b.ExtraTokenMembers = maps.Clone(b.ExtraTokenMembers)
		if !b.OmitExpiresIn {
			b.ExtraTokenMembers["expires_in"] = 3600
		}
	})
	good := s.Admin.Consent("agent", "vendor", "carol", scopes)
	time.Sleep(tokenLife)
	asked := len(s.vendor.Requests())
	if a := s.Admin.Call("/identities/DeleteOauth2CredentialProvider", `{"name":"vendor"}`); a.Status != 204 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	receipts := s.receipts(t, "carol", "dave")
	for user, access := range map[string]string{"carol": good, "dave": ended} {
		_, live := s.vendor.Introspect(access)
		receipt := receipts[user]
		switch {
		case q.revoking == nil:
			if !live || receipt.Outcome != audit.Abandoned || len(s.vendor.Requests()) != asked {
				t.Errorf("%s at a vendor without revocation: live %t, %d requests, receipt %q", user, live, len(s.vendor.Requests())-asked, receipt.Reason)
			}
		case user == "dave" && s.vendor.Snapshot().NoRefreshToken: // nothing of it was good any more
			if _, ok := receipts[user]; ok {
				t.Errorf("%s: %q", user, receipt.Reason)
			}
		case live || receipt.Outcome != audit.Performed || !strings.HasPrefix(receipt.Reason, "revoked (provider_deleted): "):
			t.Errorf("%s: live %t, receipt %q %q", user, live, receipt.Outcome, receipt.Reason)
		}
	}
}

// receipts waits until the outbox is empty, and gives the receipts of users.
func (s *scenario) receipts(t *testing.T, users ...string) map[string]audit.Event {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); s.Pending() > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d revocations are pending", s.Pending())
		}
	}
	found := map[string]audit.Event{}
	for _, e := range s.Audit(testenv.Account) {
		for _, user := range users {
			if e.Action == "credence:RevokeAtVendor" && e.User == fmt.Sprintf("id:%q", user) {
				found[user] = e
			}
		}
	}
	return found
}

// Without scopes for the bot, Slack gives a user's token, for the scopes that a parameter of its own names.
func slackUserToken(t *testing.T, s *scenario) {
	user := func(in *bedrockagentcore.GetResourceOauth2TokenInput) {
		in.Scopes, in.CustomParameters = []string{}, map[string]string{"user_scope": "chat:write"}
	}
	access := s.Admin.Consent("agent", "vendor", "bob", user)
	if _, live := s.vendor.Introspect(access); !live {
		t.Error("the token in authed_user is not found")
	}
	requests := s.vendor.Requests()
	i := slices.IndexFunc(requests, func(r fakeidp.Request) bool {
		return strings.HasSuffix(r.Path, "/authorize") && r.Query.Has("user_scope")
	})
	if i < 0 || requests[i].Query.Get("user_scope") != "chat:write" || requests[i].Query.Has("scope") {
		t.Errorf("the vendor was not asked for the user's scopes")
	}
	out, err := s.Admin.Token(s.Admin.WAT("agent", "bob"), "vendor", data.Oauth2FlowTypeUserFederation, func(in *bedrockagentcore.GetResourceOauth2TokenInput) {
		in.Scopes, in.CustomParameters = []string{}, map[string]string{"user_scope": "files:write"}
		in.ResourceOauth2ReturnUrl = aws.String(testenv.ReturnURL)
	})
	if err != nil || out.AuthorizationUrl == nil {
		t.Errorf("other user scopes are another grant, but %+v, %v", out, err)
	}
}
