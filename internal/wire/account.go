package wire

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
