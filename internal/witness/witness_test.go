package witness_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"filippo.io/torchwood"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"credence/internal/tlog"
	"credence/internal/witness"
)

const account = "123456789012"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// writer is a log that can be given any past.
type writer struct {
	signer tlog.Signer
	vkey   string
}

func newWriter(t *testing.T) writer {
	t.Helper()
	skey, vkey, err := tlog.NewSigner(rand.Reader, "vault.example/audit/"+account)
	must(t, err)
	signer, err := tlog.ParseSigner(skey)
	must(t, err)
	return writer{signer, vkey}
}

// log has so many entries; those from changed on are other ones.
func (w writer) log(t *testing.T, size, changed int) witness.Log {
	t.Helper()
	tree, err := tlog.NewTree(0, nil)
	must(t, err)
	for n := range size {
		tree.Add(tlog.LeafHash(fmt.Appendf(nil, "%d %v", n, n >= changed)))
	}
	head, err := tree.Head()
	must(t, err)
	text, err := w.signer.Checkpoint(head)
	must(t, err)
	return witness.Log{Account: account, VerifierKey: w.vkey, Checkpoint: text, Head: head, Prove: func(earlier int64) ([]tlog.Hash, error) {
		return tlog.ProveHead(head, earlier, func(tiles []tlog.Tile) (out [][]byte, _ error) {
			for _, tile := range tiles {
				out = append(out, tree.Changed()[tlog.Place{Level: tile.L, N: tile.N}][:tile.W*32])
			}
			return out, nil
		})
	}}
}

const never = 1 << 30

// rules holds a sink to what every sink is for.
func rules(t *testing.T, sink witness.Sink, w writer, last func() []byte) {
	t.Helper()
	publish := func(l witness.Log) error { _, err := sink.Publish(t.Context(), l); return err }
	must(t, publish(w.log(t, 10, never)))
	must(t, publish(w.log(t, 10, never)))
	must(t, publish(w.log(t, 700, never)))
	kept := string(last())
	if !strings.Contains(kept, "\n700\n") {
		t.Fatalf("it keeps %q", kept)
	}
	for name, c := range map[string]struct {
		log  witness.Log
		says string
	}{
		"an older state restored":           {w.log(t, 600, never), "it was cut back"},
		"a tree cut back, and signed anew":  {w.log(t, 650, 640), "it was cut back"},
		"a fork that is longer":             {w.log(t, 900, 690), "(a fork)"},
		"a fork of the same size":           {w.log(t, 700, 699), "(a fork)"},
		"another log by another, named so":  {newWriter(t).log(t, 800, never), ""},
		"an older state, gone on otherwise": {w.log(t, 701, 500), "(a fork)"},
	} {
		err := publish(c.log)
		if _, ok := errors.AsType[*witness.Conflict](err); err == nil || !strings.Contains(err.Error(), c.says) || !ok && c.says != "" {
			t.Errorf("%s: %v", name, err)
		}
		if string(last()) != kept {
			t.Fatalf("%s: what was outside is replaced", name)
		}
	}
	must(t, publish(w.log(t, 1000, never)))
	if !strings.Contains(string(last()), "\n1000\n") {
		t.Error("what is right is not published any more")
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	sink, err := witness.Parse("file:"+dir, nil)
	must(t, err)
	w := newWriter(t)
	rules(t, sink, w, func() []byte {
		text, vkey, err := witness.Folder(dir).Last(account)
		must(t, err)
		if vkey != w.vkey {
			t.Errorf("verifier key %s", vkey)
		}
		return text
	})
	// Whoever damages the file does not get it replaced, nor who puts an earlier state there that the log never signed.
	earlier, _, _ := strings.Cut(string(w.log(t, 900, never).Checkpoint), "\n\n")
	for name, text := range map[string]string{"damaged": "x\n1\n\n— x y\n", "unsigned": earlier + "\n\n— vault.example/audit/" + account + " AAAAAAAA\n"} {
		must(t, os.WriteFile(filepath.Join(dir, account, witness.CheckpointFile), []byte(text), 0o600))
		_, err := sink.Publish(t.Context(), w.log(t, 1100, never))
		if _, ok := errors.AsType[*witness.Conflict](err); !ok {
			t.Errorf("%s: the checkpoint was replaced: %v", name, err)
		}
	}
}

// peer is a witness by the words of c2sp.org/tlog-witness, with another implementation of the tree.
type peer struct {
	t      *testing.T
	signer *torchwood.CosignatureSigner
	log    note.Verifier

	mu   sync.Mutex
	size int64
	root []byte
	text []byte
}

func (p *peer) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	head, text, ok := strings.Cut(string(body), "\n\n")
	lines := strings.Split(head, "\n")
	var old int64
	if _, err := fmt.Sscanf(lines[0], "old %d", &old); err != nil || !ok || r.Method != http.MethodPost || r.URL.Path != "/w/add-checkpoint" {
		rw.WriteHeader(400)
		return
	}
	n, err := note.Open([]byte(text), note.VerifierList(p.log))
	if err != nil {
		rw.WriteHeader(403)
		return
	}
	c, err := torchwood.ParseCheckpoint(n.Text)
	if err != nil || old > c.N {
		rw.WriteHeader(400)
		return
	}
	if old != p.size {
		rw.Header().Set("Content-Type", "text/x.tlog.size")
		rw.WriteHeader(409)
		_, _ = fmt.Fprintf(rw, "%d\n", p.size)
		return
	}
	var hashes [][]byte
	for _, line := range lines[1:] {
		h, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			rw.WriteHeader(400)
			return
		}
		hashes = append(hashes, h)
	}
	if old > 0 && proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(old), uint64(c.N), hashes, p.root, c.Hash[:]) != nil || old == 0 && len(hashes) > 0 {
		rw.WriteHeader(422)
		return
	}
	p.size, p.root, p.text = c.N, c.Hash[:], []byte(text)
	signed, err := note.Sign(&note.Note{Text: n.Text}, p.signer)
	if err != nil {
		p.t.Error(err)
	}
	_, signature, _ := strings.Cut(string(signed), "\n\n")
	_, _ = io.WriteString(rw, signature)
}

func TestWitness(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	signer, err := torchwood.NewCosignatureSigner("witness.example/w", private)
	must(t, err)
	w := newWriter(t)
	known, err := note.NewVerifier(w.vkey)
	must(t, err)
	p := &peer{t: t, signer: signer, log: known}
	server := httptest.NewServer(p)
	defer server.Close()
	sink, err := witness.Parse(server.URL+"/w/#"+signer.Verifier().String(), server.Client())
	must(t, err)
	rules(t, sink, w, func() []byte { p.mu.Lock(); defer p.mu.Unlock(); return p.text })

	l := w.log(t, 1100, never)
	signatures, err := sink.Publish(t.Context(), l)
	must(t, err)
	log, err := tlog.ParseKey(w.vkey)
	must(t, err)
	key, err := tlog.ParseWitness(signer.Verifier().String())
	must(t, err)
	if h, err := tlog.OpenCheckpoint(append(l.Checkpoint, signatures...), log, key); err != nil || h != l.Head {
		t.Errorf("cosigned: %v, %v", h, err)
	}
	if _, err := tlog.OpenCheckpoint(w.log(t, 1100, never).Checkpoint, log, key); err == nil {
		t.Error("a checkpoint without the witness's signature")
	}
	// A signature by another key of the witness's name is none.
	_, other, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	if p.signer, err = torchwood.NewCosignatureSigner("witness.example/w", other); err != nil {
		t.Fatal(err)
	}
	if _, err := sink.Publish(t.Context(), w.log(t, 1200, never)); err == nil {
		t.Error("a stranger's signature is taken")
	}
}

func TestParse(t *testing.T) {
	for _, bad := range []string{"", "file:", "file:relative", "/dir", "ftp://x/#k", "https://w.example/", "https://w.example/#nokey", "https://user@w.example/#k", "https://w.example/?q#k"} {
		if s, err := witness.Parse(bad, nil); err == nil {
			t.Errorf("%q is %v", bad, s)
		}
	}
}
