package broker

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"time"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/oauth"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/wire"
)

// reportedBad is the last error of a grant whose token its resource refused, when there was no better one to be had.
const reportedBad = "reported_bad"

// ReportBadToken is for an access token that its resource refused before its time, as after a change of password. The grant is refreshed, once for each token
// that is reported; when that brings nothing, the next GetResourceOauth2Token asks for a consent. A token that is not the current one changes nothing.
func (b *Broker) ReportBadToken(ctx context.Context, c iam.Caller, in *wire.ReportBadTokenInput) (*wire.ReportBadTokenOutput, error) {
	hash, g, found, err := b.reported(ctx, c, in)
	if err != nil {
		return nil, err
	}
	if found {
		if found, err = b.isToken(ctx, g, hash); err != nil {
			return nil, err
		}
	}
	if !found {
		return &wire.ReportBadTokenOutput{WasCurrent: new(false), NextStep: "Nothing was done, since it is not the current token: get that with GetResourceOauth2Token."}, nil
	}
	p, err := b.oauth2Provider(ctx, g.Account, g.Provider)
	if err != nil {
		return nil, err
	}
	now, err := share(b, "report "+g.Account+g.Key+hash, 0, func() (store.Grant, error) {
		now, err := b.renewBad(context.WithoutCancel(ctx), p, g, hash)
		if err == nil { // the others would serve it until it is to be renewed
			err = b.Vault.TellReplicas(g.Account)
		}
		return now, err
	})
	if err != nil {
		return nil, err
	}
	state := grantState(now)
	out := &wire.ReportBadTokenOutput{WasCurrent: new(true), State: &state, NextStep: "Get another token with GetResourceOauth2Token."}
	if state != wire.GrantActive {
		out.NextStep, err = b.nextStep(ctx, now, state)
	}
	return out, err
}

// reported decides on a report and finds the grant that it is about: found is false when there is none.
func (b *Broker) reported(ctx context.Context, c iam.Caller, in *wire.ReportBadTokenInput) (hash string, g store.Grant, found bool, err error) {
	const operation = "ReportBadToken"
	byID := in.GrantId != nil
	if agents := in.WorkloadIdentityToken != nil && in.ResourceCredentialProviderName != nil; byID == agents || byID && (in.WorkloadIdentityToken != nil || in.ResourceCredentialProviderName != nil) {
		err = fault.Invalid("grantId", "must be given, or workloadIdentityToken and resourceCredentialProviderName instead of it")
	} else if (in.AccessToken == nil) == (in.AccessTokenSha256 == nil) {
		err = fault.Invalid("accessToken", "must be given, or accessTokenSha256 instead of it")
	}
	req := access.Request{Action: "credence:" + operation, Resources: []string{b.grantARN(c.Account, "*")}}
	if err != nil {
		return "", g, false, b.Gate.Refuse(c, req, err)
	}
	if in.AccessTokenSha256 != nil {
		hash = *in.AccessTokenSha256
	} else {
		hash = digest(in.AccessToken.Reveal())
	}
	if byID {
		if g, err = b.allowedGrant(ctx, c, operation, *in.GrantId); err != nil {
			return "", g, false, err
		}
		req.Resources = []string{b.grantARN(c.Account, g.Key)}
		req.Workload, req.Provider, req.UserKey = g.Workload, g.Provider, g.UserKey
		if req.User, err = b.Vault.UserName(ctx, g); err != nil {
			return "", g, false, err
		}
		return hash, g, true, b.Gate.NotFrozen(ctx, c, req)
	}
	req.Resources = []string{b.ARNs.OAuth2Provider(c.Account, *in.ResourceCredentialProviderName)}
	a, err := b.open(ctx, c, *in.WorkloadIdentityToken)
	if err != nil {
		return "", g, false, b.Gate.Refuse(c, req, err)
	}
	req.Resources = append(req.Resources, b.agentResources(c.Account, a.row.Name)...)
	b.concerns(&req, a, *in.ResourceCredentialProviderName)
	if err := b.Gate.AllowIssue(ctx, c, req); err != nil {
		return "", g, false, err
	}
	g, found, err = b.grantOfToken(ctx, a, *in.ResourceCredentialProviderName, hash)
	return hash, g, found, err
}

// grantOfToken finds, among the grants that a workload access token reaches at a provider, the one whose access token has a hash.
func (b *Broker) grantOfToken(ctx context.Context, a agent, provider, hash string) (store.Grant, bool, error) {
	own := store.GrantFilter{Account: a.account, Workload: a.row.Name, Provider: provider, Flow: string(wire.FlowM2M), States: []store.GrantState{store.GrantActive}}
	filters := []store.GrantFilter{own}
	if !a.token.User.IsZero() {
		users := own
		users.Flow, users.UserKey = string(wire.FlowUserFederation), a.token.User.Key()
		filters = append(filters, users)
	}
	for _, f := range filters {
		page := store.Page{Limit: 100}
		for more := true; more; {
			var rows []store.Grant
			var err error
			if rows, more, err = b.Vault.Grants(ctx, f, page); err != nil {
				return store.Grant{}, false, err
			}
			for _, g := range rows {
				page.After = g.Key
				if is, err := b.isToken(ctx, g, hash); is || err != nil {
					return g, is, err
				}
			}
		}
	}
	return store.Grant{}, false, nil
}

// isToken tells whether a grant's access token has a hash: hex SHA-256.
func (b *Broker) isToken(ctx context.Context, g store.Grant, hash string) (bool, error) {
	if g.State != store.GrantActive || g.AccessToken == nil {
		return false, nil
	}
	token, err := b.Vault.AccessToken(ctx, g)
	if err != nil {
		return false, err
	}
	sum := sha256.Sum256([]byte(token.Reveal()))
	return subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(hash)) == 1, nil
}

// renewBad has a grant serve another token than the one with a hash, and answers the grant as it stands then.
func (b *Broker) renewBad(ctx context.Context, p *vault.OAuth2Provider, g store.Grant, hash string) (store.Grant, error) {
	if g.Flow == string(wire.FlowM2M) {
		return b.expire(ctx, g) // the next request gets another
	}
	if g.RefreshToken == nil {
		return b.giveUp(ctx, g)
	}
	another := func(now store.Grant) bool { return string(now.AccessToken) != string(g.AccessToken) }
	renewed, err := b.refreshUnderLease(ctx, p, g.Account, g.Key, another, true)
	if e, ok := errors.AsType[*oauth.Error](err); ok && e.Silent {
		return b.reloadThen(ctx, g, b.expire) // it may mean invalid_grant: the next request asks the user, and the grant lives until the answer
	}
	if errors.Is(err, errDead) {
		return b.Vault.ReloadGrant(ctx, g.Account, g.Key)
	}
	if err != nil {
		return g, err
	}
	if same, err := b.isToken(ctx, renewed, hash); err != nil {
		return g, err
	} else if same { // a vendor that gives it again
		return b.giveUp(ctx, renewed)
	}
	return renewed, nil
}

// expire ends the access token of a grant, unless somebody renewed it meanwhile.
func (b *Broker) expire(ctx context.Context, g store.Grant) (store.Grant, error) {
	g.ExpiresAt = time.Now()
	if _, err := b.Writes.UpdateGrant(g); err != nil && !errors.Is(err, fault.ConcurrentModification) {
		return g, err
	}
	return b.Vault.ReloadGrant(ctx, g.Account, g.Key)
}

// giveUp ends a grant that has nothing better to serve, unless somebody renewed it meanwhile.
func (b *Broker) giveUp(ctx context.Context, g store.Grant) (store.Grant, error) {
	if err := b.bury(ctx, g, reportedBad); !errors.Is(err, errDead) {
		return g, err
	}
	return b.Vault.ReloadGrant(ctx, g.Account, g.Key)
}

func (b *Broker) reloadThen(ctx context.Context, g store.Grant, do func(context.Context, store.Grant) (store.Grant, error)) (store.Grant, error) {
	now, err := b.Vault.ReloadGrant(ctx, g.Account, g.Key)
	if err != nil || now.State != store.GrantActive || string(now.AccessToken) != string(g.AccessToken) {
		return now, err
	}
	return do(ctx, now)
}
