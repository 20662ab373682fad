package wire

// The operations on ceilings are extensions: what may be had at most, whatever policies allow and users consent to.

// CeilingTarget is what a ceiling is of: every credential provider of a name, or a workload identity.
type CeilingTarget struct {
	_                              struct{} `wire:"union"`
	ResourceCredentialProviderName *string  `json:"resourceCredentialProviderName,omitzero" wire:"len=1..128,pattern=credentialProviderName"`
	WorkloadName                   *string  `json:"workloadName,omitzero" wire:"len=3..255,pattern=workloadName"`
}

// Ceiling is a ceiling. A member that is left out limits nothing; an empty list of scopes or resources allows none.
type Ceiling struct {
	// WorkloadNames, of a provider: only these may use it.
	WorkloadNames []string `json:"workloadNames,omitzero" wire:"items=1..200,each.len=3..255,each.pattern=workloadName"`
	// ResourceCredentialProviderNames, of a workload identity: it may use only these.
	ResourceCredentialProviderNames []string `json:"resourceCredentialProviderNames,omitzero" wire:"items=1..200,each.len=1..128,each.pattern=credentialProviderName"`
	// Users, and users of the JWTs of UserIssuers: only for these may anybody act. Who acts for no user is not meant; Oauth2Flows can say that.
	Users       []GrantUser `json:"users,omitzero" wire:"items=1..200"`
	UserIssuers []string    `json:"userIssuers,omitzero" wire:"items=1..20,each.len=1..2048"`
	// Scopes that tokens may have at most.
	Scopes []string `json:"scopes,omitzero" wire:"items=0..200,each.len=1..128"`
	// Oauth2Flows by which tokens may be got.
	Oauth2Flows []string `json:"oauth2Flows,omitzero" wire:"items=1..3,each.len=1..64"`
	// Resources and audiences that tokens may be for; a request must then name one.
	Resources []string `json:"resources,omitzero" wire:"items=0..200,each.len=1..2048"`
	// MaximumGrantAgeSeconds is after how long a user has to consent anew.
	MaximumGrantAgeSeconds *int32 `json:"maximumGrantAgeSeconds,omitzero" wire:"range=60..2147483647"`
}

// PutCeilingInput is the request of PutCeiling. An older ceiling of the target is replaced as a whole.
type PutCeilingInput struct {
	Target  *CeilingTarget `json:"target" wire:"required"`
	Ceiling *Ceiling       `json:"ceiling" wire:"required"`
}

// PutCeilingOutput is the answer of PutCeiling.
type PutCeilingOutput CeilingSummary

// CeilingSummary is one ceiling. Target is readable: provider NAME or workload NAME.
type CeilingSummary struct {
	CeilingArn      string   `json:"ceilingArn" wire:"required"`
	Target          string   `json:"target" wire:"required"`
	Ceiling         *Ceiling `json:"ceiling" wire:"required"`
	LastUpdatedBy   string   `json:"lastUpdatedBy" wire:"required"`
	LastUpdatedTime Time     `json:"lastUpdatedTime" wire:"required"`
}

// GetCeilingInput is the request of GetCeiling.
type GetCeilingInput struct {
	Target *CeilingTarget `json:"target" wire:"required"`
}

// GetCeilingOutput is the answer of GetCeiling.
type GetCeilingOutput CeilingSummary

// DeleteCeilingInput is the request of DeleteCeiling.
type DeleteCeilingInput struct {
	Target *CeilingTarget `json:"target" wire:"required"`
}

// DeleteCeilingOutput is the answer of DeleteCeiling.
type DeleteCeilingOutput struct{}

// ListCeilingsInput is the request of ListCeilings.
type ListCeilingsInput struct{}

// ListCeilingsOutput is the answer of ListCeilings.
type ListCeilingsOutput struct {
	Ceilings []CeilingSummary `json:"ceilings" wire:"required"`
}
