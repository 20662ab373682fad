// Package witness hands checkpoints of audit logs to places that whoever writes to the database cannot change: a folder, or witnesses (c2sp.org/tlog-witness).
//
// It protects the last checkpoint that is outside: it is replaced by one whose tree begins with the tree of the one before, and by no other. A database that was set
// back to an earlier state, or goes on otherwise from there, is a Conflict, every time that it is tried.
package witness

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"credence/internal/tlog"
)

// Conflict is a checkpoint outside that the log does not agree with.
type Conflict struct{ What string }

func (c *Conflict) Error() string { return c.What }

// Log is a log that is to be witnessed.
type Log struct {
	Account     string
	VerifierKey string
	Checkpoint  []byte
	Head        tlog.Head // of Checkpoint
	// Prove is the consistency proof from an earlier size.
	Prove func(earlier int64) ([]tlog.Hash, error)
}

// Sink is a place for checkpoints.
type Sink interface {
	// Publish hands the log's checkpoint over, and returns the signature lines of whoever witnessed it. A *Conflict is an alarm.
	Publish(ctx context.Context, l Log) (cosignatures []byte, err error)
	String() string
}

// Doer makes requests; *egress.Client is one.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// Parse reads where checkpoints go: file:/DIR, or https://WITNESS/PREFIX#VERIFIER-KEY. Errors read on after the URL.
func Parse(uri string, client Doer) (Sink, error) {
	if dir, ok := strings.CutPrefix(uri, "file:"); ok {
		if !filepath.IsAbs(dir) {
			return nil, errors.New("must name a folder by its whole path: file:/var/lib/checkpoints")
		}
		return Folder(filepath.Clean(dir)), nil
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.User != nil {
		return nil, errors.New("must be file:/DIR, or https://WITNESS/PREFIX#VERIFIER-KEY")
	}
	_, fragment, _ := strings.Cut(uri, "#")
	key, err := tlog.ParseWitness(fragment)
	if err != nil {
		return nil, fmt.Errorf("what stands behind the # %w", err)
	}
	u.Fragment, u.RawFragment = "", ""
	return &remote{prefix: strings.TrimSuffix(u.String(), "/"), key: key, client: client}, nil
}

// Folder has a folder for each account with the last checkpoint, and the key that verifies it: the first that was seen, and no other.
type Folder string

func (f Folder) String() string { return "file:" + string(f) }

// The files of an account's folder.
const (
	CheckpointFile = "checkpoint"
	KeyFile        = "verifier-key"
)

// Publish writes the checkpoint.
func (f Folder) Publish(_ context.Context, l Log) ([]byte, error) {
	dir := filepath.Join(string(f), l.Account)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	was, known, err := f.Last(l.Account)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := replace(filepath.Join(dir, KeyFile), []byte(l.VerifierKey+"\n")); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	case known != l.VerifierKey:
		return nil, &Conflict{fmt.Sprintf("%s has another verifier key, %s, than the log, %s", dir, known, l.VerifierKey)}
	default:
		key, err := tlog.ParseKey(known)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, KeyFile), err)
		}
		last, err := tlog.OpenCheckpoint(was, key)
		if err != nil {
			return nil, &Conflict{fmt.Sprintf("%s is not signed by the log: %v", filepath.Join(dir, CheckpointFile), err)}
		}
		if err := follows(l, last, dir); err != nil {
			return nil, err
		}
		if last == l.Head {
			return nil, nil
		}
	}
	return nil, replace(filepath.Join(dir, CheckpointFile), l.Checkpoint)
}

// Last is the checkpoint in an account's folder, and the verifier key; os.ErrNotExist when there is none.
func (f Folder) Last(account string) (checkpoint []byte, verifierKey string, err error) {
	key, err := os.ReadFile(filepath.Join(string(f), account, KeyFile))
	if err != nil {
		return nil, "", err
	}
	checkpoint, err = os.ReadFile(filepath.Join(string(f), account, CheckpointFile))
	if errors.Is(err, os.ErrNotExist) { // stopped in between: as if it had just begun, for the same key
		return nil, "", err
	}
	return checkpoint, strings.TrimSpace(string(key)), err
}

// follows demands that the log's tree begins with an earlier one.
func follows(l Log, last tlog.Head, where string) error {
	if last.N > l.Head.N {
		return &Conflict{fmt.Sprintf("%s has a checkpoint of %d entries, but the log has %d: it was cut back, or an older state of the database was restored", where, last.N, l.Head.N)}
	}
	proof, err := l.Prove(last.N)
	if err == nil {
		err = tlog.CheckHead(proof, l.Head, last)
	}
	if err != nil {
		return &Conflict{fmt.Sprintf("the log does not begin with the %d entries of the checkpoint that %s has (a fork): %v", last.N, where, err)}
	}
	return nil
}

// replace puts new content in place of a file, whole or not at all, and durably.
func replace(path string, content []byte) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	_, err = file.Write(content)
	if err = errors.Join(err, file.Chmod(0o640), file.Sync(), file.Close()); err != nil {
		return err
	}
	if err = os.Rename(file.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// remote is a witness.
type remote struct {
	prefix string
	key    tlog.Key
	client Doer
}

func (r *remote) String() string { return r.prefix }

// Publish submits the checkpoint (add-checkpoint). What the witness has is what it says, whatever is remembered here: a size is tried, and corrected once.
func (r *remote) Publish(ctx context.Context, l Log) ([]byte, error) {
	have := int64(0)
	for range 3 {
		status, answer, err := r.add(ctx, l, have)
		switch {
		case err != nil:
			return nil, err
		case status == http.StatusConflict:
			if have, err = strconv.ParseInt(strings.TrimSuffix(string(answer), "\n"), 10, 64); err != nil || have < 0 {
				return nil, fmt.Errorf("the witness %s answered a conflict without a size", r)
			}
			if have > l.Head.N {
				return nil, &Conflict{fmt.Sprintf("the witness %s has a checkpoint of %d entries, but the log has %d: it was cut back, or an older state of the database was restored", r, have, l.Head.N)}
			}
		case status == http.StatusUnprocessableEntity:
			return nil, &Conflict{fmt.Sprintf("the witness %s says that the log does not begin with the %d entries that it knows (a fork)", r, have)}
		case status != http.StatusOK:
			return nil, fmt.Errorf("the witness %s answered %d", r, status)
		default:
			if _, err := tlog.OpenCheckpoint(append(bytes.Clone(l.Checkpoint), answer...), logKey(l), r.key); err != nil {
				return nil, fmt.Errorf("the witness %s did not sign the checkpoint: %w", r, err)
			}
			return answer, nil
		}
	}
	return nil, fmt.Errorf("somebody else submits checkpoints to the witness %s at the same time", r)
}

func logKey(l Log) tlog.Key {
	key, _ := tlog.ParseKey(l.VerifierKey) // one that is none verifies nothing
	return key
}

func (r *remote) add(ctx context.Context, l Log, have int64) (status int, answer []byte, err error) {
	var body bytes.Buffer
	fmt.Fprintf(&body, "old %d\n", have)
	proof, err := l.Prove(have)
	if err != nil {
		return 0, nil, fmt.Errorf("the log's tree does not prove that it had %d entries: %w", have, err)
	}
	for _, h := range proof {
		fmt.Fprintln(&body, base64.StdEncoding.EncodeToString(h[:]))
	}
	body.WriteString("\n")
	body.Write(l.Checkpoint)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.prefix+"/add-checkpoint", &body)
	if err != nil {
		return 0, nil, err
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, 16<<10))
	return resp.StatusCode, answer, err
}
