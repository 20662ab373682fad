package wire

// CreateWorkloadIdentityInput is the request of CreateWorkloadIdentity.
type CreateWorkloadIdentityInput struct {
	Name                            string            `json:"name" wire:"required,len=3..255,pattern=workloadName"`
	AllowedResourceOauth2ReturnUrls []string          `json:"allowedResourceOauth2ReturnUrls" wire:"items=0..100,each.len=1..2048,each.pattern=returnUrl"`
	Tags                            map[string]string `json:"tags" wire:"items=0..50,key.len=1..128,key.pattern=tag,value.len=0..256,value.pattern=tag"`
	// CompleteBySessionUri, an extension, lets the initiator's own sessionUri complete an authorization session.
	CompleteBySessionUri *bool `json:"completeBySessionUri" header:"X-Credence-Complete-By-Session-Uri"`
}

// CreateWorkloadIdentityOutput is the answer of CreateWorkloadIdentity.
type CreateWorkloadIdentityOutput struct {
	Name                            string   `json:"name" wire:"required,len=3..255,pattern=workloadName"`
	WorkloadIdentityArn             string   `json:"workloadIdentityArn" wire:"required,len=1..1024"`
	AllowedResourceOauth2ReturnUrls []string `json:"allowedResourceOauth2ReturnUrls,omitzero" wire:"items=0..100,each.len=1..2048,each.pattern=returnUrl"`
	CompleteBySessionUri            *bool    `json:"completeBySessionUri,omitzero"` // extension
}

// GetWorkloadIdentityInput is the request of GetWorkloadIdentity.
type GetWorkloadIdentityInput struct {
	Name string `json:"name" wire:"required,len=3..255,pattern=workloadName"`
}

// GetWorkloadIdentityOutput is the answer of GetWorkloadIdentity.
type GetWorkloadIdentityOutput struct {
	Name                            string   `json:"name" wire:"required,len=3..255,pattern=workloadName"`
	WorkloadIdentityArn             string   `json:"workloadIdentityArn" wire:"required,len=1..1024"`
	AllowedResourceOauth2ReturnUrls []string `json:"allowedResourceOauth2ReturnUrls,omitzero" wire:"items=0..100,each.len=1..2048,each.pattern=returnUrl"`
	CreatedTime                     Time     `json:"createdTime" wire:"required"`
	LastUpdatedTime                 Time     `json:"lastUpdatedTime" wire:"required"`
	CompleteBySessionUri            *bool    `json:"completeBySessionUri,omitzero"` // extension
}

// ListWorkloadIdentitiesInput is the request of ListWorkloadIdentities. NextToken is that of the answer before.
type ListWorkloadIdentitiesInput struct {
	NextToken  *string `json:"nextToken"`
	MaxResults *int32  `json:"maxResults" wire:"range=1..20"`
}

// ListWorkloadIdentitiesOutput is the answer of ListWorkloadIdentities. Without NextToken it is the last page.
type ListWorkloadIdentitiesOutput struct {
	WorkloadIdentities []WorkloadIdentityType `json:"workloadIdentities" wire:"required"`
	NextToken          *string                `json:"nextToken,omitzero"`
}

// WorkloadIdentityType is one workload identity in a list.
type WorkloadIdentityType struct {
	Name                string `json:"name" wire:"required,len=3..255,pattern=workloadName"`
	WorkloadIdentityArn string `json:"workloadIdentityArn" wire:"required,len=1..1024"`
}

// UpdateWorkloadIdentityInput is the request of UpdateWorkloadIdentity. A list of return URLs replaces the stored one.
type UpdateWorkloadIdentityInput struct {
	Name                            string   `json:"name" wire:"required,len=3..255,pattern=workloadName"`
	AllowedResourceOauth2ReturnUrls []string `json:"allowedResourceOauth2ReturnUrls" wire:"items=0..100,each.len=1..2048,each.pattern=returnUrl"`
	CompleteBySessionUri            *bool    `json:"completeBySessionUri" header:"X-Credence-Complete-By-Session-Uri"` // extension
}

// UpdateWorkloadIdentityOutput is the answer of UpdateWorkloadIdentity.
type UpdateWorkloadIdentityOutput GetWorkloadIdentityOutput

// DeleteWorkloadIdentityInput is the request of DeleteWorkloadIdentity.
type DeleteWorkloadIdentityInput struct {
	Name string `json:"name" wire:"required,len=3..255,pattern=workloadName"`
}

// DeleteWorkloadIdentityOutput is the answer of DeleteWorkloadIdentity.
type DeleteWorkloadIdentityOutput struct{}
