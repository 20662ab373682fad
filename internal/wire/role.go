package wire

// Role is what somebody without an access key may become for a while. RevokedBefore is when RevokeRoleSessions ended the sessions there were.
type Role struct {
	RoleName                 string            `json:"roleName" wire:"required"`
	RoleId                   string            `json:"roleId" wire:"required"`
	Arn                      string            `json:"arn" wire:"required"`
	Description              *string           `json:"description,omitzero"`
	AssumeRolePolicyDocument string            `json:"assumeRolePolicyDocument" wire:"required"`
	MaxSessionDuration       *int32            `json:"maxSessionDuration" wire:"required"` // seconds
	RevokedBefore            *Time             `json:"revokedBefore,omitzero"`
	Tags                     map[string]string `json:"tags,omitzero"`
	CreatedTime              Time              `json:"createdTime" wire:"required"`
	LastUpdatedTime          Time              `json:"lastUpdatedTime" wire:"required"`
}

// CreateRoleInput is the request of CreateRole. TrustEverySubject says, beside a trust policy that does so, that every subject of an issuer is meant.
type CreateRoleInput struct {
	RoleName                 string            `json:"roleName" wire:"required,len=1..64,pattern=principalName"`
	AssumeRolePolicyDocument string            `json:"assumeRolePolicyDocument" wire:"required,len=1..20480"`
	TrustEverySubject        *bool             `json:"trustEverySubject,omitzero"`
	Description              *string           `json:"description,omitzero" wire:"len=0..1000"`
	MaxSessionDuration       *int32            `json:"maxSessionDuration,omitzero" wire:"range=900..43200"` // default 3600
	Tags                     map[string]string `json:"tags,omitzero" wire:"items=0..50,key.len=1..128,key.pattern=tag,value.len=0..256,value.pattern=tag"`
}

// CreateRoleOutput is the answer of CreateRole.
type CreateRoleOutput Role

// GetRoleInput is the request of GetRole.
type GetRoleInput struct {
	RoleName string `json:"roleName" wire:"required,len=1..64,pattern=principalName"`
}

// GetRoleOutput is the answer of GetRole.
type GetRoleOutput Role

// ListRolesInput is the request of ListRoles.
type ListRolesInput struct{}

// ListRolesOutput is the answer of ListRoles.
type ListRolesOutput struct {
	Roles []Role `json:"roles" wire:"required"`
}

// UpdateRoleInput is the request of UpdateRole: what is left out stays, tags are replaced.
type UpdateRoleInput struct {
	RoleName           string            `json:"roleName" wire:"required,len=1..64,pattern=principalName"`
	Description        *string           `json:"description,omitzero" wire:"len=0..1000"`
	MaxSessionDuration *int32            `json:"maxSessionDuration,omitzero" wire:"range=900..43200"`
	Tags               map[string]string `json:"tags,omitzero" wire:"items=0..50,key.len=1..128,key.pattern=tag,value.len=0..256,value.pattern=tag"`
}

// UpdateRoleOutput is the answer of UpdateRole.
type UpdateRoleOutput Role

// UpdateAssumeRolePolicyInput is the request of UpdateAssumeRolePolicy. Sessions that there are go on.
type UpdateAssumeRolePolicyInput struct {
	RoleName          string `json:"roleName" wire:"required,len=1..64,pattern=principalName"`
	PolicyDocument    string `json:"policyDocument" wire:"required,len=1..20480"`
	TrustEverySubject *bool  `json:"trustEverySubject,omitzero"`
}

// UpdateAssumeRolePolicyOutput is the answer of UpdateAssumeRolePolicy.
type UpdateAssumeRolePolicyOutput struct{}

// DeleteRoleInput is the request of DeleteRole. Its sessions end.
type DeleteRoleInput struct {
	RoleName string `json:"roleName" wire:"required,len=1..64,pattern=principalName"`
}

// DeleteRoleOutput is the answer of DeleteRole.
type DeleteRoleOutput struct{}

// RevokeRoleSessionsInput is the request of RevokeRoleSessions. IssuedBefore, in epoch seconds, is now when it is left out, and at most now.
type RevokeRoleSessionsInput struct {
	RoleName     string `json:"roleName" wire:"required,len=1..64,pattern=principalName"`
	IssuedBefore *int64 `json:"issuedBefore,omitzero"`
}

// RevokeRoleSessionsOutput is the answer of RevokeRoleSessions: sessions that were issued up to RevokedBefore are refused.
type RevokeRoleSessionsOutput struct {
	RevokedBefore Time `json:"revokedBefore" wire:"required"`
}

// PutRolePolicyInput is the request of PutRolePolicy: a policy that the role alone has, or another document for the one of that name.
type PutRolePolicyInput struct {
	RoleName       string `json:"roleName" wire:"required,len=1..64,pattern=principalName"`
	PolicyName     string `json:"policyName" wire:"required,len=1..128,pattern=principalName"`
	PolicyDocument string `json:"policyDocument" wire:"required,len=1..20480"`
}

// PutRolePolicyOutput is the answer of PutRolePolicy.
type PutRolePolicyOutput struct{}

// GetRolePolicyInput is the request of GetRolePolicy.
type GetRolePolicyInput struct {
	RoleName   string `json:"roleName" wire:"required,len=1..64,pattern=principalName"`
	PolicyName string `json:"policyName" wire:"required,len=1..128,pattern=principalName"`
}

// GetRolePolicyOutput is the answer of GetRolePolicy. The document is as it was given.
type GetRolePolicyOutput struct {
	RoleName        string `json:"roleName" wire:"required"`
	PolicyName      string `json:"policyName" wire:"required"`
	PolicyDocument  string `json:"policyDocument" wire:"required"`
	LastUpdatedTime Time   `json:"lastUpdatedTime" wire:"required"`
}

// ListRolePoliciesInput is the request of ListRolePolicies.
type ListRolePoliciesInput struct {
	RoleName string `json:"roleName" wire:"required,len=1..64,pattern=principalName"`
}

// ListRolePoliciesOutput is the answer of ListRolePolicies.
type ListRolePoliciesOutput struct {
	PolicyNames []string `json:"policyNames" wire:"required"`
}

// DeleteRolePolicyInput is the request of DeleteRolePolicy.
type DeleteRolePolicyInput struct {
	RoleName   string `json:"roleName" wire:"required,len=1..64,pattern=principalName"`
	PolicyName string `json:"policyName" wire:"required,len=1..128,pattern=principalName"`
}

// DeleteRolePolicyOutput is the answer of DeleteRolePolicy.
type DeleteRolePolicyOutput struct{}
