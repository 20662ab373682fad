package tlog

import (
	"bytes"
	"context"
	"fmt"
	"slices"
)

// Source reads a log: "checkpoint", or the path of a tile (c2sp.org/tlog-tiles).
type Source func(ctx context.Context, path string) ([]byte, error)

// Finding is something that is not as it was signed.
type Finding struct {
	Index int64 // of the entry; -1 when it is of the whole log
	What  string
}

func (f Finding) String() string {
	if f.Index < 0 {
		return f.What
	}
	return fmt.Sprintf("entry %d %s", f.Index, f.What)
}

// Report is what a verification saw.
type Report struct {
	Head     Head  // as signed
	Entries  int64 // that are there, from First on
	First    int64
	Findings []Finding // none: all is as it was signed
}

// mostFindings is where a verification stops to look for more.
const mostFindings = 100

// Verify reads a whole log and holds it against its signed checkpoint, and against checkpoints that were kept outside of it. Entries before first are not asked for, only
// their hashes. each, if it is not nil, is given every entry that is as it was signed, in order. An error is about reading; what is wrong with the log is in the report.
func Verify(ctx context.Context, read Source, log Key, first int64, outside []Head, each func(index int64, entry []byte) error) (r Report, err error) {
	text, err := read(ctx, "checkpoint")
	if err != nil {
		return r, fmt.Errorf("the log's checkpoint: %w", err)
	}
	if r.Head, err = OpenCheckpoint(text, log); err != nil {
		r.find(-1, "the log's checkpoint is not signed by the key %s: %v", log.Name(), err)
		return r, nil
	}
	r.First = min(first, r.Head.N)
	outside = slices.Clone(outside)
	slices.SortFunc(outside, func(a, b Head) int { return int(min(max(a.N-b.N, -1), 1)) })
	for _, o := range outside {
		if o.N > r.Head.N {
			r.find(-1, "the log was cut back: it has %d entries, but had %d when a checkpoint was kept outside", r.Head.N, o.N)
		}
	}
	v := &verification{Report: &r, read: read, outside: outside, upper: map[Place][]byte{}}
	if v.tree, err = NewTree(0, nil); err != nil {
		return r, err
	}
	for t := range TilesOf(r.Head.N, 0, 0) {
		if err := v.tile(ctx, t, each); err != nil {
			return r, err
		}
		if len(r.Findings) >= mostFindings {
			r.find(-1, "and more: the rest was not looked at")
			return r, nil
		}
	}
	computed, err := v.tree.Head()
	if err != nil {
		return r, err
	}
	if computed != r.Head {
		r.find(-1, "the hashes of the entries do not lead to the root that is signed for %d entries", r.Head.N)
		return r, nil
	}
	return r, v.upperTiles(ctx)
}

func (r *Report) find(index int64, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{index, fmt.Sprintf(format, args...)})
}

type verification struct {
	*Report
	read    Source
	tree    *Tree
	outside []Head
	upper   map[Place][]byte // tiles above those of the entries, as they have to be
}

// tile verifies a tile of entries' hashes, and the entries.
func (v *verification) tile(ctx context.Context, t Tile, each func(int64, []byte) error) error {
	start := t.N * TileWidth
	hashes, err := v.read(ctx, Path(t))
	if err != nil {
		return fmt.Errorf("hashes of the entries from %d on: %w", start, err)
	}
	leaves := LeafHashes(hashes)
	if len(leaves) != t.W {
		v.find(start, "and those after it: their tile has %d hashes, and not %d", len(leaves), t.W)
		leaves = append(leaves, make([]Hash, TileWidth)...)[:t.W]
	}
	if start+int64(t.W) > v.First {
		entries, err := v.entries(ctx, t)
		if err != nil {
			return err
		}
		v.Entries += int64(len(entries))
		found := Compare(start, leaves, entries)
		v.Findings = append(v.Findings, found...)
		if len(found) == 0 && each != nil {
			for i, entry := range entries {
				if err := each(start+int64(i), entry); err != nil {
					return err
				}
			}
		}
	}
	for _, h := range leaves {
		v.tree.Add(h)
		for len(v.outside) > 0 && v.outside[0].N <= v.tree.Size() {
			if then, err := v.tree.Head(); err != nil {
				return err
			} else if o := v.outside[0]; o.N == then.N && o != then {
				v.find(-1, "the log is another one (a fork): its first %d entries are not those of the checkpoint that was kept outside", o.N)
			}
			v.outside = v.outside[1:]
		}
	}
	for p, hashes := range v.tree.Changed() {
		if p.Level > 0 {
			v.upper[p] = bytes.Clone(hashes)
		}
	}
	v.tree.Forget()
	return nil
}

func (v *verification) entries(ctx context.Context, t Tile) ([][]byte, error) {
	t.L = entryTile
	bundle, err := v.read(ctx, Path(t))
	if err != nil {
		v.find(t.N*TileWidth, "and those after it cannot be read: %v", err)
		return nil, ctx.Err()
	}
	entries, err := Entries(bundle)
	if err != nil {
		v.find(t.N*TileWidth+int64(len(entries)), "and those after it are damaged: %v", err)
	}
	return entries, nil
}

// upperTiles holds the tiles that proofs are made of against what they have to be.
func (v *verification) upperTiles(ctx context.Context) error {
	for level := 1; v.Head.N>>(height*level) > 0; level++ {
		for t := range TilesOf(v.Head.N, level, 0) {
			hashes, err := v.read(ctx, Path(t))
			if err != nil {
				return fmt.Errorf("tile %s: %w", Path(t), err)
			}
			if !bytes.Equal(hashes, v.upper[Place{level, t.N}]) {
				v.find(-1, "the tile %s is not what the entries make it: proofs that need it fail", Path(t))
			}
		}
	}
	return nil
}

// Compare tells how entries from an index on differ from what their hashes say: which was changed, is missing, was moved, or was never there.
func Compare(start int64, leaves []Hash, entries [][]byte) (found []Finding) {
	at := map[Hash]int{}
	for i, h := range leaves {
		at[h] = i
	}
	there, strange := map[int]bool{}, map[int]bool{} // of leaves, by index; of entries, by position
	var order []int
	for i, entry := range entries {
		j, ok := at[LeafHash(entry)]
		if !ok {
			strange[i] = true
			continue
		}
		there[j] = true
		order = append(order, j)
	}
	moved := !slices.IsSorted(order)
	for i := range leaves {
		switch {
		case !there[i] && strange[i]:
			found = append(found, Finding{start + int64(i), "was changed"})
			delete(strange, i)
		case !there[i]:
			found = append(found, Finding{start + int64(i), "is missing"})
		}
	}
	if moved {
		for i, j := range order {
			if i < len(order) && slices.Index(slices.Sorted(slices.Values(order)), j) != i {
				found = append(found, Finding{start + int64(j), fmt.Sprintf("was moved: it stands in the place of entry %d", start+int64(i))})
			}
		}
	}
	for i := range entries {
		if strange[i] {
			found = append(found, Finding{start + int64(i), "was put in: it was never logged"})
		}
	}
	slices.SortStableFunc(found, func(a, b Finding) int { return int(a.Index - b.Index) })
	if len(found) == 0 && len(entries) != len(leaves) {
		found = append(found, Finding{start + int64(len(leaves)), "was put in: an entry stands there twice"})
	}
	return found
}
