package ntfs

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
)

// counted counts the bytes read of a volume.
type counted struct {
	*bytes.Reader
	bytes int64
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	c.bytes += int64(len(p))
	return c.Reader.ReadAt(p, off)
}

func limits(ctx context.Context, bytes, items int64) *budget.Budget {
	return budget.New(ctx, budget.Limits{Bytes: bytes, Items: items, Of: "MFT records and directories", Noun: "records"})
}

// everyName walks the whole tree.
func everyName(v *Volume) error {
	return fs.WalkDir(v.FS(), ".", func(_ string, _ fs.DirEntry, err error) error { return err })
}

func TestAVolumeIsReadWithinItsBudget(t *testing.T) {
	b := fixture(t)
	for name, limit := range map[string]*budget.Budget{"bytes": limits(t.Context(), 16<<10, 0), "records": limits(t.Context(), 0, 12)} {
		t.Run(name, func(t *testing.T) {
			r := &counted{Reader: bytes.NewReader(b)}
			v, err := OpenWithin(limit, r, 0, int64(len(b)))
			if err != nil {
				t.Fatal(err)
			}
			if err = everyName(v); !errors.Is(err, budget.ErrExceeded) {
				t.Errorf("error %v", err)
			}
			if r.bytes > 64<<10 {
				t.Errorf("%d bytes were read", r.bytes)
			}
			if _, err := v.find("anything"); !errors.Is(err, budget.ErrExceeded) {
				t.Errorf("reading goes on: %v", err)
			}
		})
	}
	if err := everyName(openBytes(t, b)); err != nil {
		t.Errorf("without a budget: %v", err)
	}
}

func TestAVolumeIsReadNoFurtherOnceItsContextHasEnded(t *testing.T) {
	b := fixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	v, err := OpenWithin(limits(ctx, 0, 0), bytes.NewReader(b), 0, int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	for range 100 {
		_, err = v.root()
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// An attribute list may name the same record again and again, each of its
// entries a record to be read.
func TestAnAttributeListOfManyEntriesIsReadWithinTheBudget(t *testing.T) {
	b := fixture(t)
	root, err := openBytes(t, b).root()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := entriesOf(root)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(entries, func(e *dirEntry) bool { return !e.IsDir() && e.ref&refNumber >= 24 })
	target := entries[at].ref
	patchRecord(t, b, int64(target&refNumber), func(r []byte) { le.PutUint64(r[32:], uint64(root.rec.number)) })
	v := openBytes(t, b)
	extension, err := v.record(int64(target & refNumber))
	if err != nil {
		t.Fatal(err)
	}
	entry := make([]byte, 32)
	le.PutUint32(entry, kindStandardInformation)
	le.PutUint16(entry[4:], 32)
	le.PutUint64(entry[16:], target)
	le.PutUint16(entry[24:], extension.find(kindStandardInformation).id)
	bomb := func(n int) *file {
		list := &attribute{kind: kindAttributeList, value: bytes.Repeat(entry, n)}
		return &file{v, &record{number: root.rec.number, attributes: []*attribute{list}}}
	}
	if pieces, err := bomb(10).pieces(kindStandardInformation, ""); err != nil || len(pieces) != 10 {
		t.Fatalf("%d pieces, %v", len(pieces), err)
	}
	r := &counted{Reader: bytes.NewReader(b)}
	v.r, v.budget = r, limits(t.Context(), 1<<20, 0)
	for range 3 {
		if _, err := bomb(8000).pieces(kindStandardInformation, ""); !errors.Is(err, budget.ErrExceeded) {
			t.Fatalf("error %v", err)
		}
	}
	if r.bytes == 0 || r.bytes > 1<<20 {
		t.Errorf("%d bytes were read", r.bytes)
	}
}

// A stream of more pieces than any file has is refused, whatever its list says.
func TestRunsAreBounded(t *testing.T) {
	v := openBytes(t, fixture(t))
	a := &attribute{kind: kindData, nonResident: true, runs: bytes.Repeat([]byte{1, 1}, maxRuns+1), lastVCN: maxRuns}
	if _, err := v.newStream([]*attribute{a}, true); !errors.Is(err, ErrCorrupt) {
		t.Errorf("error %v", err)
	}
	a.runs, a.lastVCN = a.runs[:2*maxRuns], maxRuns-1
	if _, err := v.newStream([]*attribute{a}, true); err != nil {
		t.Errorf("as many as are allowed: %v", err)
	}
}

// Runs that name the same clusters for many files are told before they are
// walked over cluster by cluster.
func TestClustersOfTwoFilesEndTheMapOfFreeClusters(t *testing.T) {
	v := openBytes(t, fixture(t))
	used := bytes.Repeat([]byte{0xff}, int(v.clusters/8+1))
	m := &FreeMap{cluster: v.cluster, clusters: v.clusters, used: used}
	run := []byte{0x24, 0, 0, 0, 0, 0, 0}
	le.PutUint32(run[1:], uint32(v.clusters))
	rec := &record{attributes: []*attribute{{kind: kindData, nonResident: true, runs: run, lastVCN: v.clusters - 1}}}
	if err := m.check(v, rec); err != nil {
		t.Fatal(err)
	}
	if err := m.check(v, rec); !errors.Is(err, ErrCorrupt) {
		t.Errorf("error %v", err)
	}
}
