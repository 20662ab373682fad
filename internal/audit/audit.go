// Package audit records who did what, before it happens.
//
// It protects the people whose tokens are used: no answer leaves before the record of it is durable, and what cannot be recorded
// is refused. An event holds names and decisions, never a token, code, key or state.
package audit

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"math"
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

	// Of what the server does by itself, in the name of an earlier decision; Reason says how it went.
	Performed Outcome = "performed"
	Abandoned Outcome = "abandoned" // it could not be done
)

// Event is one decision, or a receipt of what followed from one.
type Event struct {
	ID        string    `json:"id"` // UUIDv7
	Time      time.Time `json:"time"`
	Account   string    `json:"account"`
	Caller    string    `json:"caller"` // ARN; of a receipt, that of what was done
	AccessKey string    `json:"accessKey,omitempty"`
	Subject   string    `json:"subject,omitempty"` // of a role session: who assumed the role, as his issuer or trust anchor names him
	SourceIP  string    `json:"sourceIp,omitempty"`
	RequestID string    `json:"requestId,omitempty"`
	TraceID   string    `json:"traceId,omitempty"` // W3C Trace Context
	Action    string    `json:"action"`            // service:Operation
	Resources []string  `json:"resources,omitempty"`
	Workload  string    `json:"workload,omitempty"`
	Provider  string    `json:"provider,omitempty"` // name of the credential provider
	User      string    `json:"user,omitempty"`     // kind and readable form, as the workload access token says
	Outcome   Outcome   `json:"outcome"`
	Reason    string    `json:"reason,omitempty"`
	Repeated  *Repeated `json:"repeated,omitempty"` // of a summary
}

// Repeated makes an event a summary of those that came after the one that is recorded for itself, alike in account, caller, access key, action and outcome. What
// else it says is of the last of them.
type Repeated struct {
	Count int64     `json:"count"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

// Batch is the events of one account that become durable together, one JSON object a line.
type Batch struct {
	Account string
	ID      string // UUIDv7: batches sort by time
	Time    time.Time
	Events  []byte
}

// Sink makes batches durable: all of them or none, before it returns. It does not keep them: their memory is used again.
type Sink interface {
	AppendAudit([]Batch) error
}

// Log records events through a Sink, many concurrent ones in one write.
type Log struct {
	sink    Sink
	group   *batch.Group[Event]
	repeats repeats

	// Of the one write that is under way.
	random  io.Reader // buffered; ids are no secrets
	batches []Batch   // emptied, they keep their memory
}

// MaxEvent is how many bytes an event may have as JSON: an entry of a transparency log (c2sp.org/tlog-tiles) has a length of 16 bits.
const MaxEvent = 1<<16 - 1

// maxEvents is how many one write has at most.
const maxEvents = 512

// gather is how long a busy log waits for as many callers as there were the last time: a millisecond. Where they are so many that they keep a processor busy they
// wait for each other anyway, and the larger the batch, the less each of them pays for it (design: at most 5 ms).
func gather(callers int) time.Duration {
	const (
		least, most = time.Millisecond, 5 * time.Millisecond
		each        = 60 * time.Microsecond // of a processor, for one request
	)
	return min(max(least, time.Duration(callers)*each), most)
}

// New makes a log.
func New(sink Sink) *Log {
	l := &Log{sink: sink, random: bufio.NewReaderSize(rand.Reader, 1024)}
	l.group = batch.New(maxEvents, gather, l.write)
	return l
}

// Record makes e durable and then returns; it fills ID and Time. An error means that e is not recorded: the caller must refuse. While Run runs, a denial or
// refusal like one of the last minute is only counted, and follows in a summary.
func (l *Log) Record(e Event) error {
	e.Time = time.Now().UTC()
	if n := e.length(); n > MaxEvent {
		return fmt.Errorf("an audit event of %d bytes is longer than an entry of the log may be, %d", n, MaxEvent)
	}
	if e.Outcome != Denied && e.Outcome != Refused {
		return l.group.Do(e)
	}
	if l.repeats.counted(e) {
		return nil
	}
	err := l.group.Do(e)
	if err == nil {
		l.repeats.begin(e)
	}
	return err
}

// length is that of e as JSON with an id; of one that is surely short enough, a guess.
func (e *Event) length() int {
	n := len(e.Account) + len(e.Caller) + len(e.AccessKey) + len(e.SourceIP) + len(e.RequestID) + len(e.TraceID) + len(e.Action) + len(e.Workload) + len(e.Provider) +
		len(e.User) + len(e.Outcome) + len(e.Reason)
	for _, r := range e.Resources {
		n += len(r) + 3
	}
	if n = 6*n + 1024; n <= MaxEvent { // JSON writes a byte as six at most
		return n
	}
	whole := *e
	whole.ID = uuid.Max.String()
	whole.Repeated = &Repeated{math.MaxInt64, e.Time, e.Time}
	return len(whole.appendJSON(nil))
}

func (l *Log) write(events []Event) []error {
	if err := l.append(events); err != nil {
		return slices.Repeat([]error{err}, len(events))
	}
	return nil
}

func (l *Log) append(events []Event) error {
	used := l.batches[:0]
	defer func() { l.batches = used }()
	for _, e := range events {
		i := slices.IndexFunc(used, func(b Batch) bool { return b.Account == e.Account })
		if i < 0 {
			id, err := uuid.NewV7FromReader(l.random)
			if err != nil {
				return fmt.Errorf("audit batch id: %w", err)
			}
			i, used = len(used), slices.Grow(used, 1)[:len(used)+1] // what stood there lends its memory
			used[i] = Batch{Account: e.Account, ID: id.String(), Time: time.Now().UTC(), Events: memory(used[i])}
		}
		id, err := uuid.NewV7FromReader(l.random)
		if err != nil {
			return fmt.Errorf("audit event id: %w", err)
		}
		e.ID = id.String()
		used[i].Events = append(e.appendJSON(used[i].Events), '\n')
	}
	return l.sink.AppendAudit(used)
}

// memory is that of an old batch, unless it is so large that it would lie idle.
func memory(old Batch) []byte {
	if cap(old.Events) > 1<<20 {
		return nil
	}
	return old.Events[:0]
}
