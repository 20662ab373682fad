package wire

// CreateConsentPortalInput is the request of CreateConsentPortal.
type CreateConsentPortalInput struct {
	Name             string                  `json:"name" wire:"required,len=1..50,pattern=consentPortalName"`
	Description      *string                 `json:"description" wire:"len=0..4096"`
	ExecutionRoleArn string                  `json:"executionRoleArn" wire:"required,len=1..2048,pattern=roleArn"`
	IdpConfig        *ConsentPortalIdpConfig `json:"idpConfig" wire:"required"`
	Sources          []ConsentPortalSource   `json:"sources" wire:"required,items=1..1"`
	Tags             map[string]string       `json:"tags" wire:"items=0..50,key.len=1..128,key.pattern=tag,value.len=0..256,value.pattern=tag"`
}

// CreateConsentPortalOutput is the answer of CreateConsentPortal.
type CreateConsentPortalOutput GetConsentPortalOutput

// ConsentPortalIdpConfig says how users sign in at a consent portal.
type ConsentPortalIdpConfig struct {
	CredentialProviderArn string   `json:"credentialProviderArn" wire:"required,pattern=oauth2CredentialProviderArn"`
	Scopes                []string `json:"scopes" wire:"required,items=0..100,each.len=1..128"`
	Audience              *string  `json:"audience,omitzero" wire:"len=1..2048"`
}

// ConsentPortalSource names what a consent portal serves: a workload identity by its ARN, or a gateway by its ARN or id.
type ConsentPortalSource struct {
	Identifier string                  `json:"identifier" wire:"required,len=1..2048,pattern=consentPortalSource"`
	Type       ConsentPortalSourceType `json:"type" wire:"required"`
}

// ConsentPortalSourceType is the type of a source. The API has one; what is named shows in the identifier.
type ConsentPortalSourceType string

// SourceGateway is the one type of source.
const SourceGateway ConsentPortalSourceType = "agentcore-gateway"

// Values are the values of the enum ConsentPortalSourceType.
func (ConsentPortalSourceType) Values() []string { return texts(SourceGateway) }

// ConsentPortalStatus is the state of a consent portal.
type ConsentPortalStatus string

// The states that a consent portal here can have: it is made at once, and fails when what it rests on is deleted.
const (
	PortalActive ConsentPortalStatus = "ACTIVE"
	PortalFailed ConsentPortalStatus = "FAILED"
)

// Values are the values of the enum ConsentPortalStatus.
func (ConsentPortalStatus) Values() []string {
	return []string{"CREATING", string(PortalActive), "UPDATING", "UPDATE_FAILED", "DELETING", string(PortalFailed)}
}

// GetConsentPortalInput is the request of GetConsentPortal.
type GetConsentPortalInput struct {
	ConsentPortalIdentifier string `json:"consentPortalIdentifier" wire:"required,len=1..2048,pattern=consentPortalIdentifier"`
}

// GetConsentPortalOutput is the answer of GetConsentPortal.
type GetConsentPortalOutput struct {
	ConsentPortalArn *string                 `json:"consentPortalArn,omitzero"`
	ConsentPortalId  *string                 `json:"consentPortalId,omitzero"`
	Name             *string                 `json:"name,omitzero"`
	Description      *string                 `json:"description,omitzero"`
	ExecutionRoleArn *string                 `json:"executionRoleArn,omitzero"`
	IdpConfig        *ConsentPortalIdpConfig `json:"idpConfig,omitzero"`
	PortalUrl        *string                 `json:"portalUrl,omitzero"`
	Sources          []ConsentPortalSource   `json:"sources,omitzero" wire:"items=1..1"`
	Status           *ConsentPortalStatus    `json:"status,omitzero"`
	StatusReason     *string                 `json:"statusReason,omitzero"`
	CreatedAt        Time                    `json:"createdAt,omitzero"`
	UpdatedAt        Time                    `json:"updatedAt,omitzero"`
}

// ListConsentPortalsInput is the request of ListConsentPortals. NextToken is that of the answer before.
type ListConsentPortalsInput struct {
	NextToken  *string `json:"nextToken"`
	MaxResults *int32  `json:"maxResults" wire:"range=1..100"`
}

// ListConsentPortalsOutput is the answer of ListConsentPortals. Without NextToken it is the last page.
type ListConsentPortalsOutput struct {
	ConsentPortals []ConsentPortalSummary `json:"consentPortals" wire:"required"`
	NextToken      *string                `json:"nextToken,omitzero"`
}

// ConsentPortalSummary is one consent portal in a list.
type ConsentPortalSummary struct {
	ConsentPortalArn *string               `json:"consentPortalArn,omitzero"`
	ConsentPortalId  *string               `json:"consentPortalId,omitzero"`
	Name             *string               `json:"name,omitzero"`
	Description      *string               `json:"description,omitzero"`
	PortalUrl        *string               `json:"portalUrl,omitzero"`
	Sources          []ConsentPortalSource `json:"sources,omitzero" wire:"items=1..1"`
	Status           *ConsentPortalStatus  `json:"status,omitzero"`
	CreatedAt        Time                  `json:"createdAt,omitzero"`
	UpdatedAt        Time                  `json:"updatedAt,omitzero"`
}

// UpdateConsentPortalInput is the request of UpdateConsentPortal. What it leaves out stays.
type UpdateConsentPortalInput struct {
	ConsentPortalIdentifier string                  `json:"consentPortalIdentifier" wire:"required,len=1..2048,pattern=consentPortalIdentifier"`
	Description             *string                 `json:"description" wire:"len=0..4096"`
	ExecutionRoleArn        *string                 `json:"executionRoleArn" wire:"len=1..2048,pattern=roleArn"`
	IdpConfig               *ConsentPortalIdpConfig `json:"idpConfig"`
}

// UpdateConsentPortalOutput is the answer of UpdateConsentPortal.
type UpdateConsentPortalOutput GetConsentPortalOutput

// DeleteConsentPortalInput is the request of DeleteConsentPortal.
type DeleteConsentPortalInput GetConsentPortalInput

// DeleteConsentPortalOutput is the answer of DeleteConsentPortal.
type DeleteConsentPortalOutput struct{}
