package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	data "github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	control "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"

	"credence/internal/secret"
)

// journey is the two journeys of an agent, told as they happen.
type journey struct {
	*stage
	narrator
	human human
}

const (
	agentName    = "calendar-agent"
	providerName = "acme-calendar"
)

var (
	scopesForItself = []string{scopeCalendarRead}
	scopesForAUser  = []string{scopeCalendarRead, "offline_access"}
)

func (j *journey) run(ctx context.Context) error {
	j.say("Everything here runs on this machine, in this one process, and is gone when it ends.")
	j.fact("Credence", j.credence.URL(), "keeps tokens; speaks the AgentCore Identity API")
	j.fact("Acme Calendar", j.vendorURL, "the vendor: signs people in and gives tokens")
	j.fact("its API", j.apiURL+"/events", "takes those tokens")
	j.fact("the application", j.appURL, "where the agent lives; its only tool is the AWS SDK for Go")

	if err := j.prepare(ctx); err != nil {
		return err
	}
	calls, err := j.forItself(ctx)
	if err != nil {
		return fmt.Errorf("for itself (M2M): %w", err)
	}
	if err := j.forAUser(ctx); err != nil {
		return fmt.Errorf("for a user (USER_FEDERATION): %w", err)
	}
	found, all, err := j.inClear()
	if err != nil {
		return err
	}
	if found > 0 {
		return fmt.Errorf("%d of %d secrets stand in clear in Credence's files", found, all)
	}
	j.title("Summary")
	j.result("for itself", "M2M", fmt.Sprintf("2 requests for a token, %d call to the vendor: the second was served from the vault", calls))
	j.result("for a user", "USER_FEDERATION", "one consent; the token was used, ended, and was renewed without asking anybody")
	j.result("on disk", "", fmt.Sprintf("none of the %d secrets and tokens of these journeys stands in clear in Credence's files", all))
	return nil
}

// prepare is what an operator does once.
func (j *journey) prepare(ctx context.Context) error {
	j.title("An operator prepares")
	j.step("registers the agent and where its users' browsers may come back to")
	returnURL := j.appURL + "/connected"
	w, err := j.control.CreateWorkloadIdentity(ctx, &bedrockagentcorecontrol.CreateWorkloadIdentityInput{Name: new(agentName), AllowedResourceOauth2ReturnUrls: []string{returnURL}})
	if err != nil {
		return err
	}
	j.call("CreateWorkloadIdentity", "name", agentName, "allowedResourceOauth2ReturnUrls", returnURL)
	j.answer("workloadIdentityArn", *w.WorkloadIdentityArn)

	j.step("registers Acme Calendar with the client id and secret that it gave us")
	p, err := j.control.CreateOauth2CredentialProvider(ctx, &bedrockagentcorecontrol.CreateOauth2CredentialProviderInput{
		Name: new(providerName), CredentialProviderVendor: control.CredentialProviderVendorTypeCustomOauth2,
		Oauth2ProviderConfigInput: &control.Oauth2ProviderConfigInputMemberCustomOauth2ProviderConfig{Value: control.CustomOauth2ProviderConfigInput{
			ClientId: new(clientID), ClientSecret: new(j.vendor.clientSecret.Reveal()),
			OauthDiscovery: &control.Oauth2DiscoveryMemberDiscoveryUrl{Value: j.vendorURL + "/.well-known/openid-configuration"},
		}},
	})
	if err != nil {
		return err
	}
	j.call("CreateOauth2CredentialProvider", "name", providerName, "clientId", clientID, "clientSecret", short(j.vendor.clientSecret.Reveal()))
	j.answer("callbackUrl", *p.CallbackUrl)
	j.note("tells Acme Calendar this callback URL")
	j.vendor.setRedirectURI(*p.CallbackUrl)
	return nil
}

// forItself is the M2M journey; it tells how often the vendor was called.
func (j *journey) forItself(ctx context.Context) (calls int32, err error) {
	j.title("The agent gets a token for itself (M2M)")
	j.step("says who it is")
	wat, err := j.data.GetWorkloadAccessToken(ctx, &bedrockagentcore.GetWorkloadAccessTokenInput{WorkloadName: new(agentName)})
	if err != nil {
		return 0, err
	}
	j.call("GetWorkloadAccessToken", "workloadName", agentName)
	j.answer("workloadAccessToken", j.seen(*wat.WorkloadAccessToken))

	before := j.tokenRequests.Load()
	var tokens [2]string
	for i, what := range []string{"asks for a token to Acme Calendar", "asks again, as it may before every use"} {
		j.step(what)
		out, err := j.data.GetResourceOauth2Token(ctx, &bedrockagentcore.GetResourceOauth2TokenInput{
			WorkloadIdentityToken: wat.WorkloadAccessToken, ResourceCredentialProviderName: new(providerName), Oauth2Flow: data.Oauth2FlowTypeM2m, Scopes: scopesForItself,
		})
		if err != nil {
			return 0, err
		}
		if out.AccessToken == nil {
			return 0, errors.New("no access token came")
		}
		tokens[i] = *out.AccessToken
		j.call("GetResourceOauth2Token", "oauth2Flow", "M2M", "resourceCredentialProviderName", providerName, "scopes", strings.Join(scopesForItself, " "))
		j.answer("accessToken", j.seen(tokens[i]))
		if i == 0 {
			if err := j.useToken(ctx, tokens[i]); err != nil {
				return 0, err
			}
		}
	}
	if tokens[0] != tokens[1] {
		return 0, errors.New("the second request was not served from the vault")
	}
	j.note("the same token, from the vault: the vendor was not asked again")
	return j.tokenRequests.Load() - before, nil
}

// forAUser is the USER_FEDERATION journey.
func (j *journey) forAUser(ctx context.Context) error {
	j.title("The agent gets a token for a user (USER_FEDERATION)")
	j.step("says who it is, and whom it acts for")
	wat, err := j.data.GetWorkloadAccessTokenForUserId(ctx, &bedrockagentcore.GetWorkloadAccessTokenForUserIdInput{WorkloadName: new(agentName), UserId: new(userID)})
	if err != nil {
		return err
	}
	j.call("GetWorkloadAccessTokenForUserId", "workloadName", agentName, "userId", userID)
	j.answer("workloadAccessToken", j.seen(*wat.WorkloadAccessToken))

	ask := func(sessionURI *string) (*bedrockagentcore.GetResourceOauth2TokenOutput, error) {
		return j.data.GetResourceOauth2Token(ctx, &bedrockagentcore.GetResourceOauth2TokenInput{
			WorkloadIdentityToken: wat.WorkloadAccessToken, ResourceCredentialProviderName: new(providerName), Oauth2Flow: data.Oauth2FlowTypeUserFederation,
			Scopes: scopesForAUser, ResourceOauth2ReturnUrl: new(j.appURL + "/connected"), SessionUri: sessionURI,
		})
	}
	j.step("asks for a token")
	out, err := ask(nil)
	if err != nil {
		return err
	}
	if out.AuthorizationUrl == nil {
		return errors.New("no consent was asked for")
	}
	j.call("GetResourceOauth2Token", "oauth2Flow", "USER_FEDERATION", "scopes", strings.Join(scopesForAUser, " "))
	j.answer("sessionStatus", string(out.SessionStatus))
	j.note("nobody has consented yet, so the answer is where " + userID + " has to go")

	j.step(userID + " consents in a browser")
	if err := j.human(ctx, j.narrator, *out.AuthorizationUrl); err != nil {
		return err
	}
	if err := j.complete(ctx); err != nil {
		return err
	}

	j.step("asks how its session stands")
	uri := out.SessionUri
	if out, err = ask(uri); err != nil {
		return err
	}
	if out.AccessToken == nil {
		return fmt.Errorf("no access token came: session is %s", out.SessionStatus)
	}
	first := *out.AccessToken
	j.call("GetResourceOauth2Token", "sessionUri", short(strings.TrimPrefix(*uri, sessionPrefix)))
	j.answer("accessToken", j.seen(first))
	if err := j.useToken(ctx, first); err != nil {
		return err
	}

	j.step(fmt.Sprintf("waits %s, until that token has ended", tokenLifetime))
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(tokenLifetime + 500*time.Millisecond):
	}
	if err := j.events(ctx, first, io.Discard); err == nil {
		return errors.New("the vendor still takes the token that should have ended")
	}
	j.note("the API refuses it now")
	j.step("asks once more; Credence renews the token by itself")
	if out, err = ask(nil); err != nil {
		return err
	}
	if out.AccessToken == nil || *out.AccessToken == first {
		return errors.New("the token was not renewed")
	}
	j.call("GetResourceOauth2Token", "oauth2Flow", "USER_FEDERATION")
	j.answer("accessToken", j.seen(*out.AccessToken))
	return j.useToken(ctx, *out.AccessToken)
}

// complete is what the application does when a browser comes back: it says which user is signed in there, and only then the code is exchanged.
func (j *journey) complete(ctx context.Context) error {
	var back returned
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(10 * time.Minute):
		return errors.New("nobody came back within ten minutes")
	case back = <-j.app.returned:
	}
	if back.problem != "" {
		back.done <- nil
		return fmt.Errorf("the vendor said %s", back.problem)
	}
	j.step("the browser is back at the application, which says whose browser it is")
	_, err := j.data.CompleteResourceTokenAuth(ctx, &bedrockagentcore.CompleteResourceTokenAuthInput{
		SessionUri: &back.sessionID, UserIdentifier: &data.UserIdentifierMemberUserId{Value: userID},
	})
	back.done <- err
	if err != nil {
		return err
	}
	j.call("CompleteResourceTokenAuth", "sessionUri", short(j.keep(secret.New(strings.TrimPrefix(back.sessionID, sessionPrefix))).Reveal()), "userIdentifier.userId", userID)
	j.note("now the code is exchanged; the refresh token stays in the vault for good")
	return nil
}

const sessionPrefix = "urn:ietf:params:oauth:request_uri:"

// seen keeps a token for the search on disk, and shortens it for the screen.
func (j *journey) seen(token string) string { return short(j.keep(secret.New(token)).Reveal()) }

// useToken calls the vendor's API with a token.
func (j *journey) useToken(ctx context.Context, token string) error {
	var text strings.Builder
	if err := j.events(ctx, token, &text); err != nil {
		return err
	}
	var c calendar
	if err := json.Unmarshal([]byte(text.String()), &c); err != nil {
		return err
	}
	j.note(fmt.Sprintf("uses it: the calendar of %q has %d events today, the first is %q", c.Owner, len(c.Events), c.Events[0].Title))
	return nil
}

func (j *journey) events(ctx context.Context, token string, out io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.apiURL+"/events", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the API answered %s", resp.Status)
	}
	_, err = io.Copy(out, resp.Body)
	return err
}
