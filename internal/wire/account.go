package wire

// CreateAccountInput is the request of CreateAccount, for callers of the operator's account. Without AccountId the new account gets a random one.
type CreateAccountInput struct {
	AccountId *string `json:"accountId,omitzero" wire:"len=1..64"`
}

// CreateAccountOutput is the answer of CreateAccount: the account and the access key of its first administrator, whose secret is shown here and never again.
type CreateAccountOutput struct {
	AccountId       string `json:"accountId" wire:"required"`
	UserName        string `json:"userName" wire:"required"`
	AccessKeyId     string `json:"accessKeyId" wire:"required"`
	SecretAccessKey string `json:"secretAccessKey" wire:"required,sensitive"`
}

// ListAccountsInput is the request of ListAccounts, for callers of the operator's account.
type ListAccountsInput struct{}

// ListAccountsOutput is the answer of ListAccounts.
type ListAccountsOutput struct {
	Accounts []Account `json:"accounts" wire:"required"`
}

// Account is an account of the installation.
type Account struct {
	AccountId    string `json:"accountId" wire:"required"`
	Operator     *bool  `json:"operator" wire:"required"` // it makes the others
	CreatedTime  Time   `json:"createdTime" wire:"required"`
	DeletionTime *Time  `json:"deletionTime,omitzero"` // when its deletion was begun
}

// DeleteAccountInput is the request of DeleteAccount. AccountId is the caller's own account, to confirm what is meant; Force deletes the last one of an installation.
type DeleteAccountInput struct {
	AccountId string `json:"accountId" wire:"required,len=1..64"`
	Force     *bool  `json:"force,omitzero"`
}

// DeleteAccountOutput is the answer of DeleteAccount: of how many grants vendors have still to be told before the account's keys are destroyed.
type DeleteAccountOutput struct {
	AccountId          string `json:"accountId" wire:"required"`
	PendingRevocations *int64 `json:"pendingRevocations" wire:"required"`
	RequestedTime      Time   `json:"requestedTime" wire:"required"`
}
