package tlog_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"credence/internal/tlog"
)

// served is a log as it is read: paths and what they answer.
type served map[string][]byte

func (s served) read(_ context.Context, path string) ([]byte, error) {
	content, ok := s[path]
	if !ok {
		return nil, errors.New("404 " + path)
	}
	return content, nil
}

// signing is a log with its key.
type signing struct {
	signer tlog.Signer
	key    tlog.Key
}

func newSigning(t *testing.T) signing {
	t.Helper()
	skey, vkey, err := tlog.NewSigner(rand.Reader, "vault.example/audit/1")
	if err != nil {
		t.Fatal(err)
	}
	signer, err1 := tlog.ParseSigner(skey)
	key, err2 := tlog.ParseKey(vkey)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return signing{signer, key}
}

// serve is a log of these entries, whole.
func (s signing) serve(t *testing.T, entries [][]byte) (served, tlog.Head) {
	t.Helper()
	tree, err := tlog.NewTree(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		tree.Add(tlog.LeafHash(e))
	}
	head, err := tree.Head()
	if err != nil {
		t.Fatal(err)
	}
	out := served{}
	if out["checkpoint"], err = s.signer.Checkpoint(head); err != nil {
		t.Fatal(err)
	}
	for p, hashes := range tree.Changed() {
		for tile := range tlog.TilesOf(head.N, p.Level, p.N) {
			out[tlog.Path(tile)] = bytes.Clone(hashes)
			break
		}
	}
	for tile := range tlog.TilesOf(head.N, -1, 0) {
		out.put(t, tile, entries[tile.N*256:tile.N*256+int64(tile.W)])
	}
	return out, head
}

func (s served) put(t *testing.T, tile tlog.Tile, entries [][]byte) {
	t.Helper()
	var bundle []byte
	for _, e := range entries {
		var err error
		if bundle, err = tlog.AppendEntry(bundle, e); err != nil {
			t.Fatal(err)
		}
	}
	s[tlog.Path(tile)] = bundle
}

func texts(from, to int64) (out [][]byte) {
	for n := from; n < to; n++ {
		out = append(out, entry(n))
	}
	return out
}

func (s signing) findings(t *testing.T, log served, first int64, outside ...tlog.Head) []string {
	t.Helper()
	r, err := tlog.Verify(t.Context(), log.read, s.key, first, outside, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range r.Findings {
		out = append(out, f.String())
	}
	return out
}

// Whatever somebody does to the stored entries and hashes is found, and where.
func TestVerifyLocates(t *testing.T) {
	s := newSigning(t)
	const size = 600
	log, head := s.serve(t, texts(0, size))
	_, earlier := s.serve(t, texts(0, 300))
	if found := s.findings(t, log, 0, earlier, head, tlog.Empty()); found != nil {
		t.Fatalf("an untouched log: %q", found)
	}
	second := tlog.Tile{H: 8, L: -1, N: 1, W: 256}
	whole := texts(256, 512)
	at := func(n int64) int { return int(n - 256) }
	swapped := slices.Clone(whole)
	swapped[at(300)], swapped[at(400)] = swapped[at(400)], swapped[at(300)]
	for name, test := range map[string]struct {
		entries [][]byte
		want    []string
	}{
		"one byte flipped": {slices.Replace(slices.Clone(whole), at(300), at(301), []byte(`{"id":301 }`)), []string{"entry 300 was changed"}},
		"one dropped":      {slices.Delete(slices.Clone(whole), at(300), at(301)), []string{"entry 300 is missing"}},
		"the last dropped": {whole[:255], []string{"entry 511 is missing"}},
		"two swapped":      {swapped, []string{"entry 300 was moved: it stands in the place of entry 400", "entry 400 was moved: it stands in the place of entry 300"}},
		"one put in":       {slices.Insert(slices.Clone(whole), at(300), []byte("forged")), []string{"entry 300 was put in: it was never logged"}},
		"one twice":        {slices.Insert(slices.Clone(whole), at(300), entry(299)), []string{"entry 512 was put in: an entry stands there twice"}},
		"all dropped":      {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			was := log[tlog.Path(second)]
			defer func() { log[tlog.Path(second)] = was }()
			log.put(t, second, test.entries)
			got := s.findings(t, log, 0)
			if test.want == nil {
				if len(got) < 100 || got[0] != "entry 256 is missing" {
					t.Errorf("%d findings: %q", len(got), got)
				}
				return
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q\nwant %q", got, test.want)
			}
		})
	}
	t.Run("any byte of anything", func(t *testing.T) {
		for path, content := range log {
			for _, i := range []int{0, len(content) / 3, len(content) / 2, len(content) - 1} {
				content[i] ^= 1
				r, err := tlog.Verify(t.Context(), log.read, s.key, 0, nil, nil)
				if err == nil && len(r.Findings) == 0 {
					t.Errorf("byte %d of %s is changed, and nobody sees it", i, path)
				}
				content[i] ^= 1
			}
		}
	})
	t.Run("entries and all their hashes", func(t *testing.T) {
		forged := texts(0, size)
		forged[300] = []byte("forged")
		other, _ := s.serve(t, forged)
		other["checkpoint"] = log["checkpoint"] // without the key there is no other
		if found := s.findings(t, other, 0); len(found) != 1 || !strings.Contains(found[0], "do not lead to the root that is signed for 600 entries") {
			t.Errorf("%q", found)
		}
	})
	t.Run("a removed segment", func(t *testing.T) {
		path := tlog.Path(tlog.Tile{H: 8, L: -1, N: 0, W: 256})
		was := log[path]
		defer func() { log[path] = was }()
		delete(log, path)
		if found := s.findings(t, log, 256, earlier); found != nil {
			t.Errorf("by retention: %q", found)
		}
		if found := s.findings(t, log, 0); len(found) == 0 {
			t.Error("by nobody's leave: not found")
		}
	})
}

// What is right in itself, and signed, but not what was before: an older state restored, a tree cut back and signed anew, a fork.
func TestVerifyAgainstTheOutside(t *testing.T) {
	s := newSigning(t)
	_, outside := s.serve(t, texts(0, 400))
	older, _ := s.serve(t, texts(0, 300))
	forged := texts(0, 500)
	forged[350] = []byte("forged")
	fork, _ := s.serve(t, forged)
	short := slices.Delete(texts(0, 400), 350, 351)
	cut, _ := s.serve(t, short)
	same := texts(0, 400)
	same[399] = []byte("forged")
	equal, _ := s.serve(t, same)
	for name, test := range map[string]struct {
		log  served
		want string
	}{
		"an older state": {older, "was cut back: it has 300 entries, but had 400"},
		"signed anew":    {cut, "was cut back: it has 399 entries, but had 400"},
		"a fork":         {fork, "(a fork): its first 400 entries"},
		"of equal size":  {equal, "(a fork): its first 400 entries"},
	} {
		if found := s.findings(t, test.log, 0); found != nil {
			t.Errorf("%s is right in itself: %q", name, found)
		}
		if found := s.findings(t, test.log, 0, outside); len(found) != 1 || !strings.Contains(found[0], test.want) {
			t.Errorf("%s: %q", name, found)
		}
	}
	stranger := newSigning(t)
	log, _ := stranger.serve(t, texts(0, 10))
	if found := s.findings(t, log, 0); len(found) != 1 || !strings.Contains(found[0], "not signed by the key") {
		t.Errorf("signed by somebody else: %q", found)
	}
}

// Every entry that is right is handed on, in order.
func TestVerifyHandsEntriesOn(t *testing.T) {
	s := newSigning(t)
	log, _ := s.serve(t, texts(0, 600))
	var got []string
	if _, err := tlog.Verify(t.Context(), log.read, s.key, 0, nil, func(n int64, e []byte) error {
		got = append(got, fmt.Sprintf("%d %s", n, e))
		return nil
	}); err != nil || len(got) != 600 || got[511] != `511 {"id":511}` {
		t.Errorf("%d entries, %v", len(got), err)
	}
}
