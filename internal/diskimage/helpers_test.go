package diskimage

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// outputs are all that Convert can write.
var outputs = []Options{
	{Format: Raw},
	{Format: VHD, Type: Fixed},
	{Format: VHD, Type: Dynamic},
	{Format: VHDX},
	{Format: QCOW2},
}

// pattern is a disk with data, pages of zeros and long holes, always the same
// for the same size.
func pattern(size int64) []byte {
	r := rand.New(rand.NewSource(size))
	b := make([]byte, size)
	for at := int64(0); at < size; {
		n := min(int64(1+r.Intn(64))*512, size-at)
		switch r.Intn(6) {
		case 0, 1:
			r.Read(b[at : at+n])
		case 2:
			at += int64(r.Intn(3 << 20))
		}
		at += n
	}
	copy(b[size-512:], "the last sector")
	return b
}

func writeFile(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, path string, opts ...Option) Disk {
	t.Helper()
	d, err := Open(path, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// inner is a disk without what Open puts around it.
func inner(d Disk) Disk { return d.(guarded).Disk }

func convertTo(t testing.TB, src, dst string, o Options) Stats {
	t.Helper()
	st, err := Convert(context.Background(), open(t, src), dst, o)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// content reads a whole disk in odd pieces and checks that NextData hides
// nothing that is not zero.
func content(t testing.TB, d Disk) []byte {
	t.Helper()
	b := make([]byte, d.Size())
	r := rand.New(rand.NewSource(1))
	for off := int64(0); off < d.Size(); {
		p := b[off:min(off+1+int64(r.Intn(5<<20)), d.Size())]
		n, err := d.ReadAt(p, off)
		if n != len(p) || err != nil && !errors.Is(err, io.EOF) {
			t.Fatalf("reading %d bytes at %d: %d, %v", len(p), off, n, err)
		}
		off += int64(n)
	}
	for off := int64(0); ; {
		start, end, err := d.NextData(off)
		if err != nil {
			t.Fatal(err)
		}
		if start < off || end < start || end > d.Size() {
			t.Fatalf("NextData(%d) = %d, %d in a disk of %d", off, start, end, d.Size())
		}
		if !isZero(b[off:start]) {
			t.Fatalf("NextData(%d) = %d, %d skips data", off, start, end)
		}
		if start == end {
			if start != d.Size() {
				t.Fatalf("NextData(%d) = %d, %d: no data, but not the end", off, start, end)
			}
			return b
		}
		off = end
	}
}

func sameContent(t testing.TB, got, want []byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("disk of %d bytes, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("first difference at %d", i)
		}
	}
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, testutil.Tool(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func utf16Bytes(s string, o binary.AppendByteOrder) []byte {
	var b []byte
	for _, c := range utf16.Encode([]rune(s)) {
		b = o.AppendUint16(b, c)
	}
	return b
}

// diffVHD makes a differencing VHD over a dynamic or fixed one, with blocks of
// 2 MiB, that holds the given sectors.
func diffVHD(t testing.TB, parent, relative string, sectors map[int64][]byte, opts ...Option) []byte {
	t.Helper()
	be := binary.BigEndian
	p := open(t, parent, opts...)
	defer p.Close() // Windows lets nobody replace an open file
	id, _ := vhdID(inner(p))
	size := p.Size()
	n := (size + copyUnit - 1) / copyUnit
	tableEnd := roundUp(vhdTableAt+4*n, 512)
	locator := utf16Bytes(relative, binary.LittleEndian)
	b := make([]byte, tableEnd+512)
	copy(b[tableEnd:], locator)
	foot := newVHDFooter(size, vhdTypeDifferencing, newID()).encode()
	copy(b, foot)
	h := b[footerSize:vhdTableAt]
	copy(h, vhdHeaderCookie)
	be.PutUint64(h[8:], ^uint64(0))
	be.PutUint64(h[16:], vhdTableAt)
	be.PutUint32(h[24:], 0x00010000)
	be.PutUint32(h[28:], uint32(n))
	be.PutUint32(h[32:], uint32(copyUnit))
	copy(h[40:], id[:])
	copy(h[64:576], utf16Bytes(filepath.Base(parent), be))
	copy(h[576:], "W2ru")
	be.PutUint32(h[580:], 512)
	be.PutUint32(h[584:], uint32(len(locator)))
	be.PutUint64(h[592:], uint64(tableEnd))
	be.PutUint32(h[36:], vhdChecksum(h, 0))
	for i := range n {
		be.PutUint32(b[vhdTableAt+4*i:], vhdNoBlock)
	}
	const perBlock = copyUnit / 512
	for s, data := range sectors {
		e := b[vhdTableAt+4*(s/perBlock):]
		if be.Uint32(e) == vhdNoBlock {
			be.PutUint32(e, uint32(len(b)/512))
			b = append(b, make([]byte, 512+copyUnit)...)
			e = b[vhdTableAt+4*(s/perBlock):]
		}
		at := int64(be.Uint32(e)) * 512
		in := s % perBlock
		b[at+in/8] |= 0x80 >> (in % 8)
		copy(b[at+512+in*512:], data)
	}
	return append(b, foot...)
}

// diffVHDX makes a differencing VHDX over another one.
func diffVHDX(t testing.TB, parent, path, relative string, sectors map[int64][]byte, zeroBlock int64) {
	t.Helper()
	le := binary.LittleEndian
	p := open(t, parent)
	defer p.Close()
	ph, err := readVHDXHeader(inner(p).(*blockDisk).source)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := newVHDXWriter(f, p.Size(), p.SectorSize())
	perBlock := copyUnit / int64(p.SectorSize())
	bitmaps := map[int64]int64{}
	blocks := map[int64]int64{}
	for s, data := range sectors {
		block := s / perBlock
		c := block / w.chunk
		if bitmaps[c] == 0 {
			bitmaps[c] = w.next
			le.PutUint64(w.table[8*(c*(w.chunk+1)+w.chunk):], uint64(w.next)|vhdxFullyPresent)
			w.next += mib
		}
		if blocks[block] == 0 {
			blocks[block] = w.place(block, nil)
			w.table[8*(block+c)] |= vhdxPartiallyPresent
		}
		bit := s % (perBlock * w.chunk)
		var v [1]byte
		f.ReadAt(v[:], bitmaps[c]+bit/8)
		v[0] |= 1 << (bit % 8)
		f.WriteAt(v[:], bitmaps[c]+bit/8)
		f.WriteAt(data, blocks[block]+s%perBlock*int64(p.SectorSize()))
	}
	le.PutUint64(w.table[8*(zeroBlock+zeroBlock/w.chunk):], vhdxZero)
	if err := w.finish(); err != nil {
		t.Fatal(err)
	}
	if err := addLocator(f, w, ph.DataWriteGuid, relative); err != nil {
		t.Fatal(err)
	}
}

// addLocator makes a finished VHDX the child of the disk with this data write
// id.
func addLocator(f *os.File, w *vhdxWriter, parent guid, relative string) error {
	le := binary.LittleEndian
	meta := w.metadata()
	le.PutUint32(meta[vhdxItemsAt+4:], 2) // has parent
	pairs := [][2]string{
		{"parent_linkage", "{" + parent.String() + "}"},
		{"relative_path", relative},
		{"absolute_win32_path", `C:\VMs\` + baseName(relative)},
	}
	locator := append(vhdxLocatorVHDX[:], 0, 0, byte(len(pairs)), 0)
	var text []byte
	at := uint32(20 + 12*len(pairs))
	for _, kv := range pairs {
		k, v := uint32(2*len(kv[0])), uint32(2*len(kv[1]))
		locator = le.AppendUint32(locator, at)
		locator = le.AppendUint32(locator, at+k)
		locator = le.AppendUint16(locator, uint16(k))
		locator = le.AppendUint16(locator, uint16(v))
		text = append(append(text, utf16Bytes(kv[0], le)...), utf16Bytes(kv[1], le)...)
		at += k + v
	}
	locator = append(locator, text...)
	n := int(le.Uint16(meta[10:]))
	le.PutUint16(meta[10:], uint16(n+1))
	e := meta[32+32*n:]
	copy(e, vhdxItemLocator[:])
	le.PutUint32(e[16:], vhdxItemsAt+2048)
	le.PutUint32(e[20:], uint32(len(locator)))
	le.PutUint32(e[24:], 4)
	copy(meta[vhdxItemsAt+2048:], locator)
	_, err := f.WriteAt(meta, vhdxMetadataAt)
	return err
}

// changes are sectors of a child and what the whole disk then holds.
func changes(base []byte, sectorSize int64, sectors ...int64) (map[int64][]byte, []byte) {
	want := bytes.Clone(base)
	m := map[int64][]byte{}
	for i, s := range sectors {
		m[s] = bytes.Repeat([]byte{byte(i + 1)}, int(sectorSize))
		copy(want[s*sectorSize:], m[s])
	}
	return m, want
}
