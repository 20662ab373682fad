package broker

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/wire"
	"credence/internal/workload"
)

// exportPage is how many grants one export looks at; ImportGrants takes as many.
const exportPage = 500

// exported is a grant as ImportGrants takes it. It exists in no other place than under the encryption.
type exported struct {
	WorkloadName                   string          `json:"workloadName"`
	ResourceCredentialProviderName string          `json:"resourceCredentialProviderName"`
	User                           *wire.GrantUser `json:"user"`
	Scopes                         []string        `json:"scopes,omitempty"`
	RefreshToken                   string          `json:"refreshToken"`
	Resources                      []string        `json:"resources,omitempty"`
	Audiences                      []string        `json:"audiences,omitempty"`
}

// ExportGrants gives refresh tokens away, encrypted to the recipients of the server's configuration and to nobody whom a request names. Every grant has an audit event before
// it is opened.
func (b *Broker) ExportGrants(ctx context.Context, c iam.Caller, in *wire.ExportGrantsInput) (*wire.ExportGrantsOutput, error) {
	const operation = "ExportGrants"
	f, req := b.choose(c, operation, in.User, in.WorkloadName, in.ResourceCredentialProviderName)
	page := store.Page{Limit: exportPage}
	if err := b.allowPage(ctx, c, operation, req, in.NextToken, &page); err != nil {
		return nil, err
	}
	if err := wholeAccount(f, in.All, "export"); err != nil {
		return nil, err
	}
	if len(b.ExportRecipients) == 0 {
		return nil, fault.New(fault.AccessDenied, "This server exports no grants: the operator has to start it with --export-recipient")
	}
	rows, more, err := b.Vault.Grants(ctx, f, page)
	if err != nil {
		return nil, err
	}
	out := &wire.ExportGrantsOutput{}
	var all []exported
	for _, g := range rows {
		if why := b.notExportable(ctx, g); why != "" {
			out.Skipped = append(out.Skipped, wire.SkippedGrant{GrantId: g.Key, Reason: why})
			continue
		}
		e, err := b.export(ctx, c, g)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	out.ExportedGrants = new(int64(len(all)))
	if len(all) > 0 {
		if out.EncryptedGrants, err = encryptTo(b.ExportRecipients, all); err != nil {
			return nil, err
		}
	}
	if more {
		token, err := b.Vault.SealHandle(ctx, c.Account, "cursor "+operation, []byte(rows[len(rows)-1].Key))
		if err != nil {
			return nil, err
		}
		out.NextToken = &token
	}
	return out, nil
}

// notExportable says why a grant is of no use elsewhere; "" when it is. What cannot be said in an import would there be a grant that nobody asks for.
func (b *Broker) notExportable(ctx context.Context, g store.Grant) string {
	switch {
	case g.State != store.GrantActive:
		return "it is " + string(g.State)
	case g.Flow != string(wire.FlowUserFederation):
		return "no user gave it: GetResourceOauth2Token gets another at any time"
	case g.RefreshToken == nil:
		return "it has no refresh token"
	case underWay(g):
		return "it is being renewed: export it again"
	case !g.IntentAt.IsZero():
		return "its refresh token may be spent"
	}
	p, err := b.Vault.OAuth2Provider(ctx, g.Account, g.Provider)
	if err != nil || p.Row.Incarnation != g.ProviderIncarnation || p.Row.Generation != g.Generation {
		return "its provider was deleted or changed"
	}
	if plainKey(g, g.UserKey) != g.Key {
		return "it was asked for with customParameters, which are not kept"
	}
	return ""
}

// plainKey is the key that a user's consent would have that was asked for like g without customParameters.
func plainKey(g store.Grant, userKey string) string {
	return identity{account: g.Account, generation: g.Generation, incarnation: g.WorkloadIncarnation, userKey: userKey, flow: wire.FlowUserFederation, resources: g.Resources, audiences: g.Audiences}.key()
}

func (b *Broker) export(ctx context.Context, c iam.Caller, g store.Grant) (exported, error) {
	name, err := b.Vault.UserName(ctx, g)
	if err != nil {
		return exported{}, err
	}
	u, err := workload.ParseUser(name)
	if err == nil && u.Key() != g.UserKey {
		err = errors.New("the user of a grant is not the one of its key")
	}
	if err != nil {
		return exported{}, err
	}
	if err := b.Gate.Allow(c, access.Request{Action: "credence:ExportGrants", Resources: []string{b.grantARN(g.Account, g.Key)}, Workload: g.Workload, User: name}); err != nil {
		return exported{}, err
	}
	token, err := b.Vault.RefreshToken(ctx, g)
	if err != nil {
		return exported{}, err
	}
	return exported{g.Workload, g.Provider, u.GrantUser(), union(g.AskedScopes, g.GrantedScopes), token.Reveal(), g.Resources, g.Audiences}, nil
}

// encryptTo is an armored age file of what ImportGrants takes.
func encryptTo(recipients []age.Recipient, all []exported) (*string, error) {
	var text strings.Builder
	armored := armor.NewWriter(&text)
	sealed, err := age.Encrypt(armored, recipients...)
	if err != nil {
		return nil, err
	}
	err = json.NewEncoder(sealed).Encode(map[string]any{"grants": all})
	if err = errors.Join(err, sealed.Close(), armored.Close()); err != nil {
		return nil, err
	}
	return new(text.String()), nil
}
