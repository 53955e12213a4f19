package winimage

import (
	"bytes"
	"context"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// patched is an image with some bytes changed. It counts what is read: a
// reader that goes round in circles exceeds its budget.
type patched struct {
	image  []byte
	bytes  map[int64]byte
	reads  map[int64]bool // offsets of the sectors read, if not nil
	budget int64
}

const readBudget = 256 << 20

func (p *patched) ReadAt(b []byte, off int64) (int, error) {
	if p.budget -= int64(len(b)) + 512; p.budget < 0 || off < 0 || off >= int64(len(p.image)) {
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(b, p.image[off:])
	for at, v := range p.bytes {
		if at >= off && at < off+int64(n) {
			b[at-off] = v
		}
	}
	if p.reads != nil {
		for s := off &^ 511; s < off+int64(n); s += 512 {
			p.reads[s] = true
		}
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// judge does with an image what a proof, an inspection and a diagnosis do.
func judge(p *patched) ([]finding.Finding, error) {
	d, err := diskimage.OpenReader(p, int64(len(p.image)))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	r, err := Inspect(context.Background(), d, Options{Space: true, Starting: &wanted})
	if err != nil {
		return nil, err
	}
	_, _ = ExtractLogs(context.Background(), d)
	proof := Prove(r, Expectation{})
	shown(r, proof)
	return proof, nil
}

// images is the fixture in the formats that have structures of their own.
func images(t testing.TB) [][]byte {
	t.Helper()
	raw := fixture(t)
	list := [][]byte{raw}
	for _, name := range []string{"dynamic VHD", "VHDX", "qcow2"} {
		f := convert(t, open(t, bytes.NewReader(raw), int64(len(raw))), conversions[name])
		b, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, b)
	}
	return list
}

func TestDamagedDisksNeitherPanicNorHangNorExhaustMemory(t *testing.T) {
	n := testutil.Fewer(2000)
	if s := os.Getenv("SYSPREP_MUTATIONS"); s != "" {
		total, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		n = total * n / 20000
	}
	bases := images(t)
	sectors := make([][]int64, len(bases))
	for i, b := range bases {
		probe := &patched{image: b, reads: map[int64]bool{}, budget: readBudget}
		if proof, err := judge(probe); err != nil || !proven(proof) {
			t.Fatalf("image %d as it was made: %v, %+v", i, err, finding.Failed(proof, finding.Fail))
		}
		sectors[i] = slices.Sorted(maps.Keys(probe.reads))
	}
	r := rand.New(rand.NewPCG(7, 7))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	refused := 0
	for i := range n {
		kind := i % len(bases)
		p := &patched{image: bases[kind], bytes: map[int64]byte{}, budget: readBudget}
		for range 1 + r.IntN(24) {
			at := sectors[kind][r.IntN(len(sectors[kind]))] + r.Int64N(512)
			p.bytes[at] = byte(r.Uint32())
		}
		proof, err := judge(p)
		if p.budget < 0 {
			t.Fatalf("image %d (%v): more than %d bytes were read", i, p.bytes, readBudget)
		}
		if err != nil || !proven(proof) {
			refused++
		}
	}
	runtime.ReadMemStats(&after)
	grown := (int64(after.Sys) - int64(before.Sys)) >> 20
	t.Logf("%d disks, %d not proven, %d MiB", n, refused, grown)
	if grown > 256 {
		t.Errorf("%d MiB of memory were taken", grown)
	}
	if n >= 100 && refused < n/4 {
		t.Errorf("only %d of %d damaged disks were not proven", refused, n)
	}
}

// FuzzInspect changes bytes of the fixture, in one of its formats: each five
// bytes of input are an offset and a value.
func FuzzInspect(f *testing.F) {
	bases := images(f)
	f.Add(uint8(0), []byte{})
	for _, at := range []int{446, 512 + 72, 1024, 2<<20 + 13, 2<<20 + 48, 2<<20 + 16384 + 22} {
		f.Add(uint8(at), []byte{byte(at), byte(at >> 8), byte(at >> 16), byte(at >> 24), 1})
	}
	f.Fuzz(func(t *testing.T, kind uint8, patch []byte) {
		p := &patched{image: bases[int(kind)%len(bases)], bytes: map[int64]byte{}, budget: readBudget}
		for ; len(patch) >= 5 && len(p.bytes) < 64; patch = patch[5:] {
			at := int64(patch[0]) | int64(patch[1])<<8 | int64(patch[2])<<16 | int64(patch[3])<<24
			p.bytes[at%int64(len(p.image))] = patch[4]
		}
		if _, _ = judge(p); p.budget < 0 {
			t.Error("reading has no end")
		}
	})
}
