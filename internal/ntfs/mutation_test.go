package ntfs

import (
	"bytes"
	"context"
	"fmt"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// patched is an image with some bytes changed. It counts what is read: a
// reader that goes round in circles exceeds its budget.
type patched struct {
	image  []byte
	bytes  map[int64]byte
	reads  map[int64]bool // offsets of the sectors read, if not nil
	budget int64
}

const readBudget = 64 << 20

func (p *patched) ReadAt(b []byte, off int64) (int, error) {
	if p.budget -= int64(len(b)) + 512; p.budget < 0 {
		return 0, fmt.Errorf("more than %d bytes were read", readBudget)
	}
	if off < 0 || off+int64(len(b)) > int64(len(p.image)) {
		return 0, io.ErrUnexpectedEOF
	}
	copy(b, p.image[off:])
	for at, v := range p.bytes {
		if at >= off && at < off+int64(len(b)) {
			b[at-off] = v
		}
	}
	if p.reads != nil {
		for s := off &^ 511; s < off+int64(len(b)); s += 512 {
			p.reads[s] = true
		}
	}
	return len(b), nil
}

// explore does with a volume what a proof does, and more.
func explore(r io.ReaderAt, size int64, full bool) error {
	v, err := Open(r, 0, size)
	if err != nil {
		return err
	}
	var first error
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	for _, path := range []string{"Windows/System32/Sysprep/Sysprep_succeeded.tag", "COMPRESSED/setupact.log", "Новая папка/ñandú 𝄞.txt", "pieces.bin", "sparse.bin", "wof/lzx", "wof/xpress4k", "streams.txt"} {
		f, err := v.find(path)
		keep(err)
		if err != nil {
			continue
		}
		_, err = f.info(path)
		keep(err)
		names, err := streamsOf(f)
		keep(err)
		for _, name := range names {
			s, err := f.open(name)
			keep(err)
			if err == nil {
				_, err = s.ReadAt(make([]byte, min(s.size, 40<<10)), max(0, s.size-40<<10))
				if err != io.EOF {
					keep(err)
				}
			}
		}
	}
	for _, path := range []string{".", "many"} {
		f, err := v.find(path)
		keep(err)
		if err == nil {
			_, err = entriesOf(f)
			keep(err)
		}
	}
	keep(backUp(v))
	_, err = v.LogClean()
	keep(err)
	_, err = v.Hibernation()
	keep(err)
	_, err = v.ShadowCopies()
	keep(err)
	if full {
		_, err = v.FreeMap(context.Background(), "sparse.bin")
		keep(err)
	}
	return first
}

// backUp does what a capture does with the folders that have all kinds of files.
func backUp(v *Volume) error {
	root, err := v.RootNode()
	if err != nil {
		return err
	}
	links, err := root.Links()
	if err != nil {
		return err
	}
	for _, l := range links {
		n, err := v.Node(l.Reference)
		if err != nil {
			return err
		}
		m, err := n.Metadata()
		if err != nil {
			return err
		}
		if _, err := v.Descriptor(m.SecurityID); m.SecurityID != 0 && err != nil {
			return err
		}
		for _, name := range append(m.Streams, "") {
			s, err := n.Stream(name)
			if err != nil && !m.Folder {
				return err
			}
			if err == nil {
				_, _ = s.ReadAt(make([]byte, min(s.Size(), 4<<10)), 0) // explore reads them
			}
		}
		if m.Folder && m.Reparse == nil {
			if _, err := n.Links(); err != nil {
				return err
			}
		}
	}
	return nil
}

func TestDamagedVolumesNeitherPanicNorHangNorExhaustMemory(t *testing.T) {
	n := testutil.Fewer(6000)
	if s := os.Getenv("SYSPREP_MUTATIONS"); s != "" {
		total, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		n = total * n / 20000
	}
	image := fixture(t)
	probe := &patched{image: image, reads: map[int64]bool{}, budget: readBudget}
	if err := explore(probe, int64(len(image)), false); err != nil {
		t.Fatal(err)
	}
	var sectors []int64
	for s := range int64(len(image) / 512) {
		if probe.reads[s*512] {
			sectors = append(sectors, s*512)
		}
	}
	r := rand.New(rand.NewPCG(5, 5))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	refused := 0
	for i := range n {
		p := &patched{image: image, bytes: map[int64]byte{}, budget: readBudget}
		for range 1 + r.IntN(24) {
			at := sectors[r.IntN(len(sectors))]
			if r.IntN(2) == 0 { // boot sector and the first records decide most
				at = sectors[r.IntN(min(len(sectors), 80))]
			}
			p.bytes[at+r.Int64N(512)] = byte(r.Uint32())
		}
		err := explore(p, int64(len(image)), i%20 == 0)
		if err != nil {
			refused++
			if strings.Contains(err.Error(), "bytes were read") {
				t.Fatalf("image %d (%v): %v", i, p.bytes, err)
			}
		}
	}
	runtime.ReadMemStats(&after)
	grown := (int64(after.Sys) - int64(before.Sys)) >> 20
	t.Logf("%d volumes, %d refused, %d MiB", n, refused, grown)
	if grown > 256 {
		t.Errorf("%d MiB of memory were taken", grown)
	}
	if n >= 100 && refused < n/4 {
		t.Errorf("only %d of %d damaged volumes were refused", refused, n)
	}
}

// FuzzNTFS changes bytes of the fixture: each five bytes of input are an
// offset and a value.
func FuzzNTFS(f *testing.F) {
	image := fixture(f)
	f.Add([]byte{})
	for _, at := range []int{13, 48, 64, 4*4096 + 22, 4*4096 + 1024*5 + 40} {
		f.Add([]byte{byte(at), byte(at >> 8), byte(at >> 16), 1})
	}
	f.Fuzz(func(t *testing.T, patch []byte) {
		p := &patched{image: image, bytes: map[int64]byte{}, budget: readBudget}
		for ; len(patch) >= 4 && len(p.bytes) < 64; patch = patch[4:] {
			at := int64(patch[0]) | int64(patch[1])<<8 | int64(patch[2])<<16
			p.bytes[at%int64(len(image))] = patch[3]
		}
		if err := explore(p, int64(len(image)), false); err != nil && strings.Contains(err.Error(), "bytes were read") {
			t.Error(err)
		}
	})
}

// FuzzDecompress gives foreign bytes to the three decompressors.
func FuzzDecompress(f *testing.F) {
	f.Add([]byte("\x3a\xb0\x00abcabcabc\x00\x00"))
	f.Add(bytes.Repeat([]byte{0x88}, 300))
	f.Add([]byte{0x00, 0x30, 0x44, 0x44, 0x44})
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, decompress := range map[string]func(dst, src []byte) error{"LZNT1": lznt1, "XPRESS": xpressHuffman, "LZX": lzx} {
			dst := make([]byte, 32<<10)
			_ = decompress(dst, b)
			if len(dst) != 32<<10 {
				t.Error(name)
			}
		}
	})
}
