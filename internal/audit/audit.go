// Package audit records who did what, before it happens.
//
// It protects the people whose tokens are used: no answer leaves before the record of it is durable, and what cannot be recorded
// is refused. An event holds names and decisions, never a token, code, key or state.
package audit

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"credence/internal/batch"
)

// Outcome is the decision that an event records.
type Outcome string

// The outcomes.
const (
	Allowed Outcome = "allowed" // policy allows; what comes of it is the operation's own answer
	Denied  Outcome = "denied"  // policy, ceiling or freeze denies
	Refused Outcome = "refused" // a handle (workload access token, session, cursor) is not the caller's or does not open
)

// Event is one decision.
type Event struct {
	ID        string    `json:"id"` // UUIDv7
	Time      time.Time `json:"time"`
	Account   string    `json:"account"`
	Caller    string    `json:"caller"` // ARN
	AccessKey string    `json:"accessKey,omitempty"`
	SourceIP  string    `json:"sourceIp,omitempty"`
	RequestID string    `json:"requestId,omitempty"`
	Action    string    `json:"action"` // service:Operation
	Resources []string  `json:"resources,omitempty"`
	Workload  string    `json:"workload,omitempty"`
	User      string    `json:"user,omitempty"` // kind and readable form, as the workload access token says
	Outcome   Outcome   `json:"outcome"`
	Reason    string    `json:"reason,omitempty"`
}

// Batch is the events of one account that become durable together, one JSON object a line.
type Batch struct {
	Account string
	ID      string // UUIDv7: batches sort by time
	Time    time.Time
	Events  []byte
}

// Sink makes batches durable: all of them or none, before it returns.
type Sink interface {
	AppendAudit([]Batch) error
}

// Log records events through a Sink, many concurrent ones in one write.
type Log struct {
	sink  Sink
	group *batch.Group[line]
}

type line struct {
	account string
	json    []byte
}

// Events of one write, and how long a busy log gathers them (design: at most 5 ms).
const (
	maxEvents = 512
	gather    = time.Millisecond
)

// New makes a log.
func New(sink Sink) *Log {
	l := &Log{sink: sink}
	l.group = batch.New(maxEvents, gather, l.write)
	return l
}

// Record makes e durable and then returns; it fills ID and Time. An error means that e is not recorded: the caller must refuse.
func (l *Log) Record(e Event) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("audit event id: %w", err)
	}
	e.ID, e.Time = id.String(), time.Now().UTC()
	text, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("audit event: %w", err)
	}
	return l.group.Do(line{e.Account, append(text, '\n')})
}

func (l *Log) write(lines []line) []error {
	var batches []Batch
	at := map[string]int{}
	for _, ln := range lines {
		i, ok := at[ln.account]
		if !ok {
			id, err := uuid.NewV7()
			if err != nil {
				return slices.Repeat([]error{err}, len(lines))
			}
			i, at[ln.account] = len(batches), len(batches)
			batches = append(batches, Batch{Account: ln.account, ID: id.String(), Time: time.Now().UTC()})
		}
		batches[i].Events = append(batches[i].Events, ln.json...)
	}
	if err := l.sink.AppendAudit(batches); err != nil {
		return slices.Repeat([]error{err}, len(lines))
	}
	return nil
}
