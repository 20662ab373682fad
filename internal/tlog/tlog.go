// Package tlog is the arithmetic of a transparency log: what entries make of a Merkle tree, and the forms in which C2SP has trees, checkpoints and proofs.
//
// It protects the past: whoever has an earlier checkpoint finds out that an entry was changed, dropped, added or moved. It keeps nothing, signs
// with the signer that it is given, and believes no tile that does not lead to a signed root. Hashes are those of RFC 6962 section 2.1 (SHA-256).
package tlog

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Hash is a node of the tree.
type Hash = tlog.Hash

// Head is a tree: how many entries it has, and its root.
type Head = tlog.Tree

// Tile is part of the tree (c2sp.org/tlog-tiles): W hashes from N·256 on of level L. L is -1 for the entries themselves.
type Tile = tlog.Tile

const (
	// TileWidth is how many hashes, or entries, a full tile has.
	TileWidth = torchwood.TileWidth
	// MaxEntry is how many bytes an entry may have.
	MaxEntry  = 1<<16 - 1
	height    = torchwood.TileHeight
	levels    = 8 // 64 bits of entries
	entryTile = -1
)

// LeafHash is that of an entry.
func LeafHash(entry []byte) Hash { return tlog.RecordHash(entry) }

// Place is where a tile is; how wide it is depends on the size of the tree.
type Place struct {
	Level int
	N     int64
}

// Edge is where the last hashes of a tree are, level by level: the tiles that are not full. They are all that an addition and the root need.
func Edge(size int64) (places []Place) {
	for level := range levels {
		if n := size >> (height * level); n%TileWidth != 0 {
			places = append(places, Place{level, n / TileWidth})
		}
	}
	return places
}

// Tree is a tree to which entries are added. It holds its edge alone.
type Tree struct {
	size    int64
	edge    [levels][]byte // hashes of the last tile of each level, fewer than a full one has
	changed map[Place][]byte
}

// NewTree is the tree of a size, whose edge is as Edge says and as it was stored; missing or short tiles are an error.
func NewTree(size int64, edge map[Place][]byte) (*Tree, error) {
	t := &Tree{size: size, changed: map[Place][]byte{}}
	for _, p := range Edge(size) {
		want := int(size>>(height*p.Level)) % TileWidth * tlog.HashSize
		if len(edge[p]) < want {
			return nil, fmt.Errorf("tile %d of level %d has %d bytes, and not the %d of a tree of %d entries", p.N, p.Level, len(edge[p]), want, size)
		}
		t.edge[p.Level] = bytes.Clone(edge[p][:want])
	}
	return t, nil
}

// Add adds an entry by its hash.
func (t *Tree) Add(leaf Hash) {
	h := leaf
	for level := range levels {
		t.edge[level] = append(t.edge[level], h[:]...)
		p := Place{level, t.size >> (height * (level + 1))}
		t.changed[p] = t.edge[level]
		if len(t.edge[level]) < TileWidth*tlog.HashSize {
			break
		}
		h = fullHash(t.edge[level])
		t.edge[level] = nil
	}
	t.size++
}

// fullHash is the root of a full tile.
func fullHash(data []byte) Hash {
	nodes := make([]Hash, len(data)/tlog.HashSize)
	for i := range nodes {
		copy(nodes[i][:], data[i*tlog.HashSize:])
	}
	for ; len(nodes) > 1; nodes = nodes[:len(nodes)/2] {
		for i := range len(nodes) / 2 {
			nodes[i] = tlog.NodeHash(nodes[2*i], nodes[2*i+1])
		}
	}
	return nodes[0]
}

// Changed are the tiles that additions changed, each with all its hashes.
func (t *Tree) Changed() map[Place][]byte { return t.changed }

// Forget is for trees that are only counted: what changed until now is not asked for.
func (t *Tree) Forget() { clear(t.changed) }

// Size is how many entries the tree has.
func (t *Tree) Size() int64 { return t.size }

// Head is the tree's root.
func (t *Tree) Head() (Head, error) {
	if t.size == 0 {
		return Empty(), nil
	}
	root, err := tlog.TreeHash(t.size, tlog.HashReaderFunc(func(indexes []int64) ([]Hash, error) {
		out := make([]Hash, len(indexes))
		for i, index := range indexes {
			tile := tlog.TileForIndex(height, index)
			if tile.L >= levels || tile.N != t.size>>(height*(tile.L+1)) || len(t.edge[tile.L]) < tile.W*tlog.HashSize {
				return nil, fmt.Errorf("hash %d is not at the edge of a tree of %d entries", index, t.size)
			}
			var err error
			if out[i], err = tlog.HashFromTile(tile, t.edge[tile.L][:tile.W*tlog.HashSize], index); err != nil {
				return nil, err
			}
		}
		return out, nil
	}))
	return Head{N: t.size, Hash: root}, err
}

// Tiles reads tiles of a tree: each with exactly W hashes.
type Tiles func(tiles []Tile) ([][]byte, error)

// Height of the tiles.
func (Tiles) Height() int { return height }

// ReadTiles reads tiles.
func (f Tiles) ReadTiles(tiles []Tile) ([][]byte, error) { return f(tiles) }

// SaveTiles is of no use here.
func (Tiles) SaveTiles([]Tile, [][]byte) {}

// ProveEntry is the inclusion proof of an entry (RFC 6962 section 2.1.1). Tiles that do not lead to the root are an error.
func ProveEntry(h Head, index int64, tiles Tiles) ([]Hash, error) {
	return tlog.ProveRecord(h.N, index, tlog.TileHashReader(h, tiles))
}

// ProveHead is the consistency proof between the tree as it was with fewer entries and as it is (RFC 6962 section 2.1.2). None is needed for no entries.
func ProveHead(h Head, earlier int64, tiles Tiles) ([]Hash, error) {
	if earlier == 0 {
		return nil, nil
	}
	return tlog.ProveTree(h.N, earlier, tlog.TileHashReader(h, tiles))
}

// CheckHead tells whether a consistency proof shows that the tree began with the earlier one.
func CheckHead(proof []Hash, h, earlier Head) error {
	if earlier.N == 0 {
		return nil
	}
	return tlog.CheckTree(proof, h.N, h.Hash, earlier.N, earlier.Hash)
}

// LeafHashes are the hashes of the entries in a tile of level 0.
func LeafHashes(tile []byte) []Hash {
	out := make([]Hash, len(tile)/tlog.HashSize)
	for i := range out {
		copy(out[i][:], tile[i*tlog.HashSize:])
	}
	return out
}

// Path is that of a tile below a log's URL.
func Path(t Tile) string { return torchwood.TilePath(t) }

// ParsePath is the tile of a path; it is a tile of entries when IsEntries.
func ParsePath(path string) (Tile, error) { return torchwood.ParseTilePath(path) }

// IsEntries tells whether a tile has entries instead of hashes.
func IsEntries(t Tile) bool { return t.L == entryTile }

// TilesOf are the tiles of one level of a tree, -1 for its entries, from the n-th on.
func TilesOf(size int64, level int, n int64) func(yield func(Tile) bool) {
	count := size >> (height * max(level, 0))
	return func(yield func(Tile) bool) {
		for ; n*TileWidth < count; n++ {
			if !yield(Tile{H: height, L: level, N: n, W: int(min(TileWidth, count-n*TileWidth))}) {
				return
			}
		}
	}
}

// AppendEntry adds an entry to a bundle of them.
func AppendEntry(bundle, entry []byte) ([]byte, error) {
	return torchwood.AppendTileEntry(bundle, entry)
}

// Entries are those of a bundle.
func Entries(bundle []byte) (out [][]byte, err error) {
	for len(bundle) > 0 {
		var entry []byte
		if entry, bundle, err = torchwood.ReadTileEntry(bundle); err != nil {
			return out, err
		}
		out = append(out, entry)
	}
	return out, nil
}

// Signer signs checkpoints of one log.
type Signer struct{ note note.Signer }

// Checkpoint signs a head (c2sp.org/tlog-checkpoint). The name of the log is that of its key.
func (s Signer) Checkpoint(h Head) ([]byte, error) {
	return note.Sign(&note.Note{Text: torchwood.Checkpoint{Origin: s.note.Name(), Tree: h}.String()}, s.note)
}

// Key is who signs checkpoints: the log, or a witness.
type Key struct{ note.Verifier }

// ParseKey reads the verifier key of a log (c2sp.org/signed-note, Ed25519): NAME+HASH+KEY.
func ParseKey(vkey string) (Key, error) {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return Key{}, errors.New("is not a verifier key of the form NAME+HASH+KEY (c2sp.org/signed-note)")
	}
	return Key{v}, nil
}

// ParseWitness reads the verifier key of a witness (c2sp.org/tlog-cosignature, Ed25519).
func ParseWitness(vkey string) (Key, error) {
	v, err := torchwood.NewCosignatureVerifier(vkey)
	if err != nil {
		return Key{}, errors.New("is not a witness's verifier key of the form NAME+HASH+KEY (c2sp.org/tlog-cosignature, Ed25519)")
	}
	return Key{v}, nil
}

// OpenCheckpoint is the head that a checkpoint of the log says; it must be signed by the log's key, whose name is the log's, and by all the witnesses.
func OpenCheckpoint(text []byte, log Key, witnesses ...Key) (Head, error) {
	if log.Verifier == nil {
		return Head{}, errors.New("no verifier key")
	}
	policies := []torchwood.Policy{torchwood.OriginPolicy(log.Name()), torchwood.SingleVerifierPolicy(log.Verifier)}
	for _, w := range witnesses {
		policies = append(policies, torchwood.SingleVerifierPolicy(w.Verifier))
	}
	c, _, err := torchwood.VerifyCheckpoint(text, torchwood.ThresholdPolicy(len(policies), policies...))
	return c.Tree, err
}

// ClaimedHead is what a checkpoint says, whoever signed it.
func ClaimedHead(text []byte) (origin string, h Head, err error) {
	body, _, ok := bytes.Cut(text, []byte("\n\n"))
	if !ok {
		return "", h, errors.New("is not a checkpoint (c2sp.org/tlog-checkpoint)")
	}
	c, err := torchwood.ParseCheckpoint(string(body) + "\n")
	return c.Origin, c.Tree, err
}

// FormatProof is the proof of an entry with the checkpoint that it is for (c2sp.org/tlog-proof).
func FormatProof(index int64, proof []Hash, checkpoint []byte) []byte {
	return torchwood.FormatProof(index, proof, checkpoint)
}

// CheckProof tells whether a proof of FormatProof shows that the log has the entry.
func CheckProof(proof, entry []byte, log Key) error {
	policy := torchwood.ThresholdPolicy(2, torchwood.OriginPolicy(log.Name()), torchwood.SingleVerifierPolicy(log.Verifier))
	return torchwood.VerifyProof(policy, LeafHash(entry), proof)
}

// NewSigner makes a key that signs checkpoints of the log named origin: skey is secret, vkey verifies.
func NewSigner(random io.Reader, origin string) (skey, vkey string, err error) {
	return note.GenerateKey(random, origin)
}

// ParseSigner reads a skey.
func ParseSigner(skey string) (Signer, error) {
	s, err := note.NewSigner(skey)
	if err != nil {
		return Signer{}, errors.New("the log's signing key is damaged") // the cause could quote it
	}
	return Signer{s}, nil
}

// Empty is the head of a log without entries.
func Empty() Head { return Head{Hash: tlog.Hash(sha256.Sum256(nil))} }
