package vault

import (
	"errors"
	"testing"

	"credence/internal/fault"
	"credence/internal/tlog"
)

// The key of an audit log signs for its own account, log and verifier key, before and after a restart, and opens nowhere else.
func TestAuditSigner(t *testing.T) {
	b := openBed(t)
	l, err := b.AuditLog(t.Context(), alpha, "host/audit/"+alpha)
	must(t, err)
	again, err := b.AuditLog(t.Context(), alpha, "elsewhere")
	must(t, err)
	if again.Origin != l.Origin || again.VerifierKey != l.VerifierKey {
		t.Errorf("the log has another name: %+v", again)
	}
	key, err := tlog.ParseKey(l.VerifierKey)
	must(t, err)
	if h, err := tlog.OpenCheckpoint(l.Checkpoint, key); err != nil || h != tlog.Empty() {
		t.Errorf("it begins with %v, %v", h, err)
	}
	head := tlog.Head{N: 1, Hash: tlog.LeafHash([]byte("e"))}
	text, err := b.SignCheckpoint(t.Context(), l, head)
	must(t, err)
	if h, err := tlog.OpenCheckpoint(text, key); err != nil || h != head {
		t.Errorf("signed %v, %v", h, err)
	}
	other, err := b.AuditLog(t.Context(), beta, "host/audit/"+beta)
	must(t, err)
	for name, edit := range map[string]func(){
		"another account":      func() { l.Account = beta },
		"another origin":       func() { l.Origin = other.Origin },
		"another verifier key": func() { l.VerifierKey = other.VerifierKey },
		"another signer":       func() { l.Signer = other.Signer },
	} {
		was := l
		edit()
		if _, err := b.SignCheckpoint(t.Context(), l, head); !errors.Is(err, fault.Decryption) {
			t.Errorf("%s: %v", name, err)
		}
		l = was
	}
}
