package wire

import "credence/internal/secret"

// ImportGrantsInput is the request of ImportGrants: all of them, or none. DryRun looks and changes nothing.
type ImportGrantsInput struct {
	Grants []ImportGrant `json:"grants" wire:"required,items=1..500"`
	DryRun *bool         `json:"dryRun,omitzero"`
}

// ImportGrant is what a user gave some other system: a refresh token of the provider's client. Resources, Audiences and CustomParameters are what GetResourceOauth2Token will
// say, too, for this grant to serve it.
type ImportGrant struct {
	WorkloadName                   string                   `json:"workloadName" wire:"required,len=3..255,pattern=workloadName"`
	ResourceCredentialProviderName string                   `json:"resourceCredentialProviderName" wire:"required,len=1..128,pattern=credentialProviderName"`
	User                           *GrantUser               `json:"user" wire:"required"`
	Scopes                         []string                 `json:"scopes,omitzero" wire:"items=0..100"`
	RefreshToken                   secret.String            `json:"refreshToken" wire:"required,len=1..131072"`
	Resources                      []string                 `json:"resources,omitzero" wire:"items=0..20"`
	Audiences                      []string                 `json:"audiences,omitzero" wire:"items=0..20"`
	CustomParameters               map[string]secret.String `json:"customParameters,omitzero" wire:"items=0..50,key.len=1..256,key.pattern=customParameterName,value.len=1..2048"`
}

// ImportGrantsOutput is the answer of ImportGrants: the ids of the grants, in the order of the request.
type ImportGrantsOutput struct {
	GrantIds []string `json:"grantIds" wire:"required,each.pattern=sha256"`
	DryRun   *bool    `json:"dryRun" wire:"required"`
}

// ExportGrantsInput is the request of ExportGrants: the grants for which all that is given holds. All of an account are named by All and nothing else.
type ExportGrantsInput struct {
	User                           *GrantUser `json:"user,omitzero"`
	WorkloadName                   *string    `json:"workloadName,omitzero" wire:"len=3..255,pattern=workloadName"`
	ResourceCredentialProviderName *string    `json:"resourceCredentialProviderName,omitzero" wire:"len=1..128,pattern=credentialProviderName"`
	All                            *bool      `json:"all,omitzero"`
	NextToken                      *string    `json:"nextToken,omitzero"`
}

// ExportGrantsOutput is the answer of ExportGrants. EncryptedGrants is an armored age file, to the recipients that the server was started with, of what ImportGrants takes.
type ExportGrantsOutput struct {
	EncryptedGrants *string        `json:"encryptedGrants,omitzero"`
	ExportedGrants  *int64         `json:"exportedGrants" wire:"required"`
	Skipped         []SkippedGrant `json:"skipped,omitzero"`
	NextToken       *string        `json:"nextToken,omitzero"`
}

// SkippedGrant is one that was chosen and is not in the export.
type SkippedGrant struct {
	GrantId string `json:"grantId" wire:"required,pattern=sha256"`
	Reason  string `json:"reason" wire:"required"`
}
