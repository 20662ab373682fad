package wire

// The operations on users, access keys, roles and policies are extensions. They use the names of AWS IAM, whose principals the API names by ARN.

// User is a user of the account.
type User struct {
	UserName    string            `json:"userName" wire:"required"`
	UserId      string            `json:"userId" wire:"required"`
	Arn         string            `json:"arn" wire:"required"`
	Tags        map[string]string `json:"tags,omitzero"`
	CreatedTime Time              `json:"createdTime" wire:"required"`
}

// CreateUserInput is the request of CreateUser.
type CreateUserInput struct {
	UserName string            `json:"userName" wire:"required,len=1..64,pattern=principalName"`
	Tags     map[string]string `json:"tags,omitzero" wire:"items=0..50,key.len=1..128,key.pattern=tag,value.len=0..256,value.pattern=tag"`
}

// CreateUserOutput is the answer of CreateUser.
type CreateUserOutput User

// GetUserInput is the request of GetUser.
type GetUserInput struct {
	UserName string `json:"userName" wire:"required,len=1..64,pattern=principalName"`
}

// GetUserOutput is the answer of GetUser.
type GetUserOutput User

// ListUsersInput is the request of ListUsers.
type ListUsersInput struct{}

// ListUsersOutput is the answer of ListUsers.
type ListUsersOutput struct {
	Users []User `json:"users" wire:"required"`
}

// UpdateUserInput is the request of UpdateUser: tags in place of those that the user has.
type UpdateUserInput struct {
	UserName string            `json:"userName" wire:"required,len=1..64,pattern=principalName"`
	Tags     map[string]string `json:"tags" wire:"required,items=0..50,key.len=1..128,key.pattern=tag,value.len=0..256,value.pattern=tag"`
}

// UpdateUserOutput is the answer of UpdateUser.
type UpdateUserOutput User

// DeleteUserInput is the request of DeleteUser. Force deletes the last user with an access key who administers the account, here and in other operations that take rights away.
type DeleteUserInput struct {
	UserName string `json:"userName" wire:"required,len=1..64,pattern=principalName"`
	Force    *bool  `json:"force,omitzero"`
}

// DeleteUserOutput is the answer of DeleteUser.
type DeleteUserOutput struct{}

// AccessKeyStatus is whether requests with an access key are accepted.
type AccessKeyStatus string

// The states.
const (
	AccessKeyActive   AccessKeyStatus = "Active"
	AccessKeyInactive AccessKeyStatus = "Inactive"
)

// Values are the values of the enum.
func (AccessKeyStatus) Values() []string { return texts(AccessKeyActive, AccessKeyInactive) }

// CreateAccessKeyInput is the request of CreateAccessKey.
type CreateAccessKeyInput struct {
	UserName string `json:"userName" wire:"required,len=1..64,pattern=principalName"`
}

// CreateAccessKeyOutput is the answer of CreateAccessKey. The secret is shown here and never again.
type CreateAccessKeyOutput struct {
	UserName        string          `json:"userName" wire:"required"`
	AccessKeyId     string          `json:"accessKeyId" wire:"required"`
	SecretAccessKey string          `json:"secretAccessKey" wire:"required,sensitive"`
	Status          AccessKeyStatus `json:"status" wire:"required"`
	CreatedTime     Time            `json:"createdTime" wire:"required"`
}

// AccessKeyMetadata is an access key without its secret. LastUsedTime is a minute or so behind.
type AccessKeyMetadata struct {
	UserName        string          `json:"userName" wire:"required"`
	AccessKeyId     string          `json:"accessKeyId" wire:"required"`
	Status          AccessKeyStatus `json:"status" wire:"required"`
	CreatedTime     Time            `json:"createdTime" wire:"required"`
	LastUsedTime    *Time           `json:"lastUsedTime,omitzero"`
	LastUsedService *string         `json:"lastUsedService,omitzero"`
}

// ListAccessKeysInput is the request of ListAccessKeys.
type ListAccessKeysInput struct {
	UserName string `json:"userName" wire:"required,len=1..64,pattern=principalName"`
}

// ListAccessKeysOutput is the answer of ListAccessKeys, the oldest first.
type ListAccessKeysOutput struct {
	AccessKeys []AccessKeyMetadata `json:"accessKeys" wire:"required"`
}

// UpdateAccessKeyInput is the request of UpdateAccessKey.
type UpdateAccessKeyInput struct {
	UserName    string          `json:"userName" wire:"required,len=1..64,pattern=principalName"`
	AccessKeyId string          `json:"accessKeyId" wire:"required,len=16..128,pattern=accessKeyId"`
	Status      AccessKeyStatus `json:"status" wire:"required"`
	Force       *bool           `json:"force,omitzero"`
}

// UpdateAccessKeyOutput is the answer of UpdateAccessKey.
type UpdateAccessKeyOutput struct{}

// DeleteAccessKeyInput is the request of DeleteAccessKey.
type DeleteAccessKeyInput struct {
	UserName    string `json:"userName" wire:"required,len=1..64,pattern=principalName"`
	AccessKeyId string `json:"accessKeyId" wire:"required,len=16..128,pattern=accessKeyId"`
	Force       *bool  `json:"force,omitzero"`
}

// DeleteAccessKeyOutput is the answer of DeleteAccessKey.
type DeleteAccessKeyOutput struct{}

// PutUserPolicyInput is the request of PutUserPolicy: a policy that the user alone has, or another document for the one of that name.
type PutUserPolicyInput struct {
	UserName       string `json:"userName" wire:"required,len=1..64,pattern=principalName"`
	PolicyName     string `json:"policyName" wire:"required,len=1..128,pattern=principalName"`
	PolicyDocument string `json:"policyDocument" wire:"required,len=1..20480"`
	Force          *bool  `json:"force,omitzero"`
}

// PutUserPolicyOutput is the answer of PutUserPolicy.
type PutUserPolicyOutput struct{}

// GetUserPolicyInput is the request of GetUserPolicy.
type GetUserPolicyInput struct {
	UserName   string `json:"userName" wire:"required,len=1..64,pattern=principalName"`
	PolicyName string `json:"policyName" wire:"required,len=1..128,pattern=principalName"`
}

// GetUserPolicyOutput is the answer of GetUserPolicy. The document is as it was given.
type GetUserPolicyOutput struct {
	UserName        string `json:"userName" wire:"required"`
	PolicyName      string `json:"policyName" wire:"required"`
	PolicyDocument  string `json:"policyDocument" wire:"required"`
	LastUpdatedTime Time   `json:"lastUpdatedTime" wire:"required"`
}

// ListUserPoliciesInput is the request of ListUserPolicies.
type ListUserPoliciesInput struct {
	UserName string `json:"userName" wire:"required,len=1..64,pattern=principalName"`
}

// ListUserPoliciesOutput is the answer of ListUserPolicies.
type ListUserPoliciesOutput struct {
	PolicyNames []string `json:"policyNames" wire:"required"`
}

// DeleteUserPolicyInput is the request of DeleteUserPolicy.
type DeleteUserPolicyInput struct {
	UserName   string `json:"userName" wire:"required,len=1..64,pattern=principalName"`
	PolicyName string `json:"policyName" wire:"required,len=1..128,pattern=principalName"`
	Force      *bool  `json:"force,omitzero"`
}

// DeleteUserPolicyOutput is the answer of DeleteUserPolicy.
type DeleteUserPolicyOutput struct{}

// ExplainPolicyInput is the request of ExplainPolicy: would the policies of a user or role allow an action on a resource? Context are condition keys with their values.
type ExplainPolicyInput struct {
	PrincipalArn string            `json:"principalArn" wire:"required,len=20..2048"`
	Action       string            `json:"action" wire:"required,len=3..256"`
	Resource     string            `json:"resource" wire:"required,len=1..2048"`
	Context      map[string]string `json:"context,omitzero" wire:"items=0..50,key.len=1..256,value.len=0..2048"`
}

// PolicyDecision is what policies say to a request, in the words of AWS.
type PolicyDecision string

// The decisions.
const (
	PolicyAllowed      PolicyDecision = "allowed"
	PolicyExplicitDeny PolicyDecision = "explicitDeny"
	PolicyImplicitDeny PolicyDecision = "implicitDeny"
)

// Values are the values of the enum.
func (PolicyDecision) Values() []string {
	return texts(PolicyAllowed, PolicyExplicitDeny, PolicyImplicitDeny)
}

// ExplainPolicyOutput is the answer of ExplainPolicy. Statement names the statement that decided, or says what is lacking.
type ExplainPolicyOutput struct {
	Decision  PolicyDecision `json:"decision" wire:"required"`
	Statement string         `json:"statement" wire:"required"`
}
