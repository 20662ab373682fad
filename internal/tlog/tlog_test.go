package tlog_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"pgregory.net/rapid"

	"credence/internal/tlog"
)

func entry(n int64) []byte { return fmt.Appendf(nil, `{"id":%d}`, n) }

// grown is a tree that was built in parts, each from what the one before it stored.
type grown struct {
	stored map[tlog.Place][]byte
	head   tlog.Head
}

func grow(t interface{ Fatal(...any) }, parts ...int) *grown {
	g := &grown{stored: map[tlog.Place][]byte{}, head: tlog.Empty()}
	for _, part := range parts {
		tree, err := tlog.NewTree(g.head.N, g.stored)
		if err != nil {
			t.Fatal(err)
		}
		for range part {
			tree.Add(tlog.LeafHash(entry(tree.Size())))
		}
		for p, hashes := range tree.Changed() {
			g.stored[p] = bytes.Clone(hashes)
		}
		if g.head, err = tree.Head(); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

func (g *grown) tiles(tiles []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, t := range tiles {
		hashes := g.stored[tlog.Place{Level: t.L, N: t.N}]
		if len(hashes) < t.W*32 {
			return nil, errors.New("no such tile")
		}
		out = append(out, hashes[:t.W*32])
	}
	return out, nil
}

// otherRoot is the root of so many entries by another implementation (transparency-dev/merkle).
func otherRoot(t interface{ Fatal(...any) }, size int64) []byte {
	r := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)
	for n := range size {
		if err := r.Append(rfc6962.DefaultHasher.HashLeaf(entry(n)), nil); err != nil {
			t.Fatal(err)
		}
	}
	if size == 0 {
		return rfc6962.DefaultHasher.EmptyRoot()
	}
	root, err := r.GetRootHash(nil)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func nodes(hashes []tlog.Hash) (out [][]byte) {
	for _, h := range hashes {
		out = append(out, h[:])
	}
	return out
}

// Roots, inclusion and consistency proofs are those of another implementation, in whatever parts the tree grew.
func TestAgreesWithAnotherImplementation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 5), rapid.IntRange(0, 700), rapid.Just(256)), 1, 4).Draw(t, "parts")
		g := grow(t, parts...)
		if root := otherRoot(t, g.head.N); !bytes.Equal(root, g.head.Hash[:]) {
			t.Fatalf("root of %d entries is %x, not %x", g.head.N, g.head.Hash, root)
		}
		if g.head.N == 0 {
			return
		}
		index := rapid.Int64Range(0, g.head.N-1).Draw(t, "index")
		p, err := tlog.ProveEntry(g.head, index, g.tiles)
		if err != nil {
			t.Fatal(err)
		}
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(index), uint64(g.head.N), rfc6962.DefaultHasher.HashLeaf(entry(index)), nodes(p), g.head.Hash[:]); err != nil {
			t.Error(err)
		}
		earlier := rapid.Int64Range(0, g.head.N).Draw(t, "earlier")
		c, err := tlog.ProveHead(g.head, earlier, g.tiles)
		if err != nil {
			t.Fatal(err)
		}
		if err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(earlier), uint64(g.head.N), nodes(c), otherRoot(t, earlier), g.head.Hash[:]); err != nil {
			t.Error(err)
		}
		if err := tlog.CheckHead(c, g.head, tlog.Head{N: earlier, Hash: tlog.Hash(otherRoot(t, earlier))}); err != nil {
			t.Error(err)
		}
		if earlier > 0 && tlog.CheckHead(c, g.head, tlog.Head{N: earlier, Hash: tlog.Hash{1}}) == nil {
			t.Error("another past is consistent")
		}
	})
}

// A tree beyond two levels of tiles.
func TestLargeTree(t *testing.T) {
	g := grow(t, 70_000)
	if root := otherRoot(t, 70_000); !bytes.Equal(root, g.head.Hash[:]) {
		t.Errorf("root %x, not %x", g.head.Hash, root)
	}
	// As the specification counts them.
	for level, want := range map[int][2]int{0: {274, 112}, 1: {2, 17}, 2: {1, 1}} {
		n, last := 0, 0
		for tile := range tlog.TilesOf(70_000, level, 0) {
			n, last = n+1, tile.W
		}
		if n != want[0] || last != want[1] {
			t.Errorf("level %d has %d tiles, the last of %d hashes; want %v", level, n, last, want)
		}
	}
	// A hash that was changed leads to no root, so it proves nothing.
	g.stored[tlog.Place{Level: 0, N: 3}][5] ^= 1
	if _, err := tlog.ProveEntry(g.head, 3*256, g.tiles); err == nil {
		t.Error("a proof from a changed tile")
	}
	if _, err := tlog.NewTree(70_000, map[tlog.Place][]byte{}); err == nil {
		t.Error("a tree without its edge")
	}
}

// A checkpoint verifies by the words of the specification alone (c2sp.org/signed-note, tlog-checkpoint) and crypto/ed25519.
func TestCheckpointByTheSpecification(t *testing.T) {
	const origin = "vault.example/audit/123456789012"
	skey, vkey, err := tlog.NewSigner(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := tlog.ParseSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	g := grow(t, 300)
	text, err := signer.Checkpoint(g.head)
	if err != nil {
		t.Fatal(err)
	}
	body, signature, _ := strings.Cut(string(text), "\n\n")
	if want := fmt.Sprintf("%s\n300\n%s", origin, base64.StdEncoding.EncodeToString(otherRoot(t, 300))); body != want {
		t.Errorf("it says\n%s\nwant\n%s", body, want)
	}
	name, rest, _ := strings.Cut(vkey, "+")
	_, key64, _ := strings.Cut(rest, "+")
	key, err := base64.StdEncoding.DecodeString(key64)
	if err != nil || name != origin || len(key) != 33 || key[0] != 1 {
		t.Fatalf("verifier key %s: %v", vkey, err)
	}
	sig, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(strings.TrimPrefix(signature, "— "+origin+" "), "\n"))
	if err != nil || len(sig) != 4+64 || !ed25519.Verify(key[1:], []byte(body+"\n"), sig[4:]) {
		t.Errorf("signature %q: %v", signature, err)
	}
	if hash, _, _ := strings.Cut(rest, "+"); fmt.Sprintf("%08x", binary.BigEndian.Uint32(sig)) != hash {
		t.Errorf("signed by key %x, not %s", sig[:4], hash)
	}

	log, err := tlog.ParseKey(vkey)
	if err != nil {
		t.Fatal(err)
	}
	if h, err := tlog.OpenCheckpoint(text, log); err != nil || h != g.head {
		t.Errorf("%v, %v", h, err)
	}
	if h, err := tlog.OpenCheckpoint(bytes.Replace(text, []byte("\n300\n"), []byte("\n301\n"), 1), log); err == nil {
		t.Errorf("a changed checkpoint is signed: %v", h)
	}
	_, other, err := tlog.NewSigner(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := tlog.ParseKey(other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tlog.OpenCheckpoint(text, stranger); err == nil {
		t.Error("another key of the same name verifies it")
	}
	p, err := tlog.ProveEntry(g.head, 7, g.tiles)
	if err != nil {
		t.Fatal(err)
	}
	if err := tlog.CheckProof(tlog.FormatProof(7, p, text), entry(7), log); err != nil {
		t.Error(err)
	}
	if err := tlog.CheckProof(tlog.FormatProof(7, p, text), entry(8), log); err == nil {
		t.Error("a proof of another entry")
	}
	if err := tlog.CheckProof(tlog.FormatProof(7, p, text), entry(7), stranger); err == nil {
		t.Error("a proof by another log")
	}
}

func TestEntries(t *testing.T) {
	var bundle []byte
	var err error
	for _, e := range []string{"one", "", strings.Repeat("x", tlog.MaxEntry)} {
		if bundle, err = tlog.AppendEntry(bundle, []byte(e)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := tlog.Entries(bundle)
	if err != nil || len(got) != 3 || string(got[0]) != "one" || len(got[1]) != 0 || len(got[2]) != tlog.MaxEntry {
		t.Errorf("%d entries, %v", len(got), err)
	}
	if _, err := tlog.AppendEntry(nil, make([]byte, tlog.MaxEntry+1)); err == nil {
		t.Error("an entry that is too long")
	}
	if _, err := tlog.Entries(bundle[:len(bundle)-1]); err == nil {
		t.Error("half an entry")
	}
}
