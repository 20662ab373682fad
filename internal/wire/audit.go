package wire

// The operations on the audit log are extensions: who did what for whom, and the proof that the answer is whole.

// AuditOutcome is the decision that an audit event records.
type AuditOutcome string

// Values are the values of the enum.
func (AuditOutcome) Values() []string {
	return []string{"allowed", "denied", "refused", "performed", "abandoned"}
}

// QueryAuditInput is the request of QueryAudit. What is left out is any; what is given must all hold.
type QueryAuditInput struct {
	User                           *GrantUser    `json:"user,omitzero"`
	WorkloadName                   *string       `json:"workloadName,omitzero" wire:"len=3..255,pattern=workloadName"`
	ResourceCredentialProviderName *string       `json:"resourceCredentialProviderName,omitzero" wire:"len=1..128,pattern=credentialProviderName"`
	CallerArn                      *string       `json:"callerArn,omitzero" wire:"len=1..2048"`
	Action                         *string       `json:"action,omitzero" wire:"len=1..256"` // such as credence:RevokeGrant
	Outcome                        *AuditOutcome `json:"outcome,omitzero"`
	StartTime                      *int64        `json:"startTime,omitzero"` // seconds since 1970
	EndTime                        *int64        `json:"endTime,omitzero"`   // exclusive
	NextToken                      *string       `json:"nextToken,omitzero"`
	MaxResults                     *int32        `json:"maxResults,omitzero" wire:"range=1..1000"`
}

// QueryAuditOutput is the answer of QueryAudit, the newest first. A page with a NextToken may have fewer entries than were asked for, even none.
type QueryAuditOutput struct {
	Entries   []AuditEntry `json:"entries" wire:"required"`
	NextToken *string      `json:"nextToken,omitzero"`
}

// AuditEntry is one entry of an audit log: Event is its text, JSON, to the byte.
type AuditEntry struct {
	Index *int64 `json:"index" wire:"required"`
	Event string `json:"event" wire:"required"`
}

// GetAuditCheckpointInput is the request of GetAuditCheckpoint.
type GetAuditCheckpointInput struct{}

// GetAuditCheckpointOutput is the answer of GetAuditCheckpoint: how far the log is. A log without entries has none.
type GetAuditCheckpointOutput struct {
	Checkpoint         string  `json:"checkpoint" wire:"required"`  // c2sp.org/tlog-checkpoint
	VerifierKey        string  `json:"verifierKey" wire:"required"` // c2sp.org/signed-note; its name is the log's origin
	TreeSize           *int64  `json:"treeSize" wire:"required"`
	FirstIndex         *int64  `json:"firstIndex" wire:"required"`  // of entries before it only hashes are kept
	CosignedCheckpoint *string `json:"cosignedCheckpoint,omitzero"` // the last one that every sink has, with the signatures of witnesses
	Path               string  `json:"path" wire:"required"`        // of the log (c2sp.org/tlog-tiles) below the address of this operation, read by a token of CreateAuditToken
}

// GetAuditProofInput is the request of GetAuditProof: the entry of an event, or at an index.
type GetAuditProofInput struct {
	_       struct{} `wire:"union"`
	EventId *string  `json:"eventId,omitzero" wire:"len=36..36"`
	Index   *int64   `json:"index,omitzero"`
}

// GetAuditProofOutput is the answer of GetAuditProof: an entry, and the proof that the log has it.
type GetAuditProofOutput struct {
	Index *int64 `json:"index" wire:"required"`
	Event string `json:"event" wire:"required"`
	Proof string `json:"proof" wire:"required"` // c2sp.org/tlog-proof
}

// CreateAuditTokenInput is the request of CreateAuditToken.
type CreateAuditTokenInput struct {
	DurationSeconds *int32 `json:"durationSeconds,omitzero" wire:"range=60..604800"` // an hour, if it is left out
}

// CreateAuditTokenOutput is the answer of CreateAuditToken: whoever has the token reads the whole log until it ends.
type CreateAuditTokenOutput struct {
	Token     string `json:"token" wire:"required,sensitive"`
	ExpiresAt Time   `json:"expiresAt" wire:"required"`
	Path      string `json:"path" wire:"required"` // of the log (c2sp.org/tlog-tiles) below the address of this operation
}
