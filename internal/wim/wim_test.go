package wim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// node is a file of a source that a test makes up; its children are its names.
type node struct {
	meta     Metadata
	content  io.ReaderAt
	size     int64
	streams  map[string]string
	children []child
	err      error
}

type child struct {
	name, short string
	*node
}

func (n *node) Metadata() (Metadata, error) { return n.meta, n.err }

func (n *node) Stream(name string) (*io.SectionReader, error) {
	if name != "" {
		return io.NewSectionReader(strings.NewReader(n.streams[name]), 0, int64(len(n.streams[name]))), nil
	}
	if n.content == nil {
		return io.NewSectionReader(strings.NewReader(""), 0, 0), nil
	}
	return io.NewSectionReader(n.content, 0, n.size), nil
}

// source is a tree with the numbers of its nodes.
type source struct {
	root  *node
	nodes []*node
}

func (s *source) Root() (File, error)                 { return s.file(s.root), nil }
func (s *source) Open(reference uint64) (File, error) { return s.file(s.nodes[reference]), nil }
func (s *source) Descriptor(id uint32) ([]byte, error) {
	if id == 99 {
		return nil, errors.New("no such descriptor")
	}
	return append(make([]byte, 20), byte(id)), nil
}

func (s *source) file(n *node) File { return numbered{n, s} }

// numbered is a node that gives its children numbers.
type numbered struct {
	*node
	s *source
}

func (n numbered) Links() (links []Link, err error) {
	for _, c := range n.children {
		reference := -1
		for i, known := range n.s.nodes {
			if known == c.node {
				reference = i
			}
		}
		if reference < 0 {
			reference = len(n.s.nodes)
			n.s.nodes = append(n.s.nodes, c.node)
		}
		links = append(links, Link{utf16.Encode([]rune(c.name)), utf16.Encode([]rune(c.short)), uint64(reference)})
	}
	return links, nil
}

func folder(children ...child) *node {
	return &node{meta: Metadata{Folder: true, Attributes: 0x10, Links: 1}, children: children}
}

func text(s string) *node {
	return &node{meta: Metadata{Attributes: 0x20, Links: 1}, content: strings.NewReader(s), size: int64(len(s))}
}

// pattern is a content of any size that shrinks: each MiB is its number and some noise.
type pattern struct{ noise []byte }

func newPattern() pattern {
	p := pattern{make([]byte, 1<<20)}
	for i := range p.noise {
		p.noise[i] = byte(uint32(i)*2654435761>>24) & 0x1f
	}
	return p
}

func (p pattern) ReadAt(b []byte, off int64) (int, error) {
	for n := 0; n < len(b); {
		at := off + int64(n)
		k := copy(b[n:], p.noise[at&(1<<20-1):])
		if at&(1<<20-1) == 0 {
			copy(b[n:], fmt.Sprintf("%08d", at>>20))
		}
		n += k
	}
	return len(b), nil
}

func TestLongContentsAreStoredOnce(t *testing.T) {
	wimlib := testutil.Tool(t, "wimlib-imagex")
	noise := make([]byte, 700_001)
	state := uint32(7)
	for i := range noise {
		state = state*1664525 + 1013904223
		noise[i] = byte(state >> 24)
	}
	long := func() *node {
		return &node{meta: Metadata{Attributes: 0x20, Links: 1}, content: newPattern(), size: 3<<20 + 5}
	}
	raw := func() *node {
		return &node{meta: Metadata{Attributes: 0x20, Links: 1}, content: bytes.NewReader(noise), size: int64(len(noise))}
	}
	// Chunks that save less than the table of chunks takes.
	tight := raw()
	barely := bytes.Clone(noise)
	copy(barely[40000:], bytes.Repeat([]byte{1}, 40))
	tight.content = bytes.NewReader(barely)
	s := &source{root: folder(child{"a", "", long()}, child{"again", "", long()}, child{"noise", "", raw()}, child{"tight", "", tight}, child{"noise again", "NOISE~1", raw()}, child{"z", "", text("end")})}
	for _, compression := range []Compression{XPRESS, None} { // what compresses changes nothing here
		path := filepath.Join(t.TempDir(), "x.wim")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Write(context.Background(), f, s, Options{Compression: compression})
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		if want := int64(3<<20 + 5 + 2*len(noise) + 3); r.Stored != want || r.Content != want+3<<20+5+int64(len(noise)) {
			t.Errorf("%s: stored %d of %d bytes, want %d", compression, r.Stored, r.Content, want)
		}
		if info, err := os.Stat(path); err != nil || info.Size() != r.Size || compression == XPRESS && r.Size > 3<<20 {
			t.Errorf("%s: %d bytes, %v", compression, r.Size, err)
		}
		if out, err := exec.Command(wimlib, "verify", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", compression, err, out)
		}
	}
}

// refusing is an output that fails at an offset.
type refusing struct{ from int64 }

var errFull = errors.New("no space left")

func (r refusing) WriteAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > r.from {
		return 0, errFull
	}
	return len(p), nil
}
func (refusing) Truncate(int64) error { return nil }

func TestWhatGoesWrongEndsWriting(t *testing.T) {
	long := &node{meta: Metadata{Links: 1}, content: newPattern(), size: 4 << 20}
	twice := folder()
	for _, c := range []struct {
		name string
		root *node
		out  Output
		want string
	}{
		{"no space", folder(child{"a", "", long}), refusing{4000}, "no space left"},
		{"no space for the header", folder(), refusing{100}, "no space left"},
		{"a file that cannot be read", folder(child{"a", "", folder(child{"b", "", &node{err: errors.New("damaged")}})}), refusing{1 << 40}, `\a\b: damaged`},
		{"an encrypted file", folder(child{"a", "", &node{meta: Metadata{Attributes: 0x4000}}}), refusing{1 << 40}, `\a: the file is encrypted by EFS`},
		{"a content that ends early", folder(child{"a", "", &node{content: strings.NewReader("abc"), size: 4}}), refusing{1 << 40}, `\a: inconsistent file system: the content ends early`},
		{"more than a file can have", folder(child{"a", "", &node{content: newPattern(), size: 16<<40 + 1}}), refusing{1 << 40}, "a content of 17592186044417 bytes"},
		{"a folder in itself", folder(child{"a", "", twice}, child{"b", "", folder(child{"c", "", twice})}), refusing{1 << 40}, `\b\c: inconsistent file system: the folder stands in two places`},
		{"a name of nothing", folder(child{"", "", text("x")}), refusing{1 << 40}, "a name of 0 bytes"},
		{"a name that is too long", folder(child{strings.Repeat("n", 256), "", text("x")}), refusing{1 << 40}, "a name of 512 bytes"},
		{"no descriptor", folder(child{"a", "", &node{meta: Metadata{SecurityID: 99}}}), refusing{1 << 40}, `\a: no such descriptor`},
		{"half a reparse point", folder(child{"a", "", &node{meta: Metadata{Reparse: make([]byte, 7)}}}), refusing{1 << 40}, "a reparse point of 7 bytes"},
		{"a root that is a file", text("x"), refusing{1 << 40}, `\: inconsistent file system: the root is no folder`},
	} {
		for _, compression := range Compressions() {
			_, err := Write(context.Background(), c.out, &source{root: c.root}, Options{Compression: Compression(compression)})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, %s: %v, want %q", c.name, compression, err, c.want)
			}
		}
	}
	if _, err := Write(context.Background(), refusing{1 << 40}, &source{root: folder()}, Options{Compression: "lzms"}); err == nil {
		t.Error("a compression that there is not is taken")
	}
}

func TestACancelledWriteEndsAndLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, after := range []int64{0, 1, 1 << 20} {
		ctx, cancel := context.WithCancelCause(context.Background())
		mine := errors.New("somebody has had enough")
		if after == 0 {
			cancel(mine)
		}
		s := &source{root: folder(child{"a", "", &node{content: newPattern(), size: 1 << 43}})}
		_, err := Write(ctx, refusing{1 << 60}, s, Options{Compression: XPRESS, Progress: func(done int64) {
			if done >= after {
				cancel(mine)
			}
		}})
		if !errors.Is(err, mine) {
			t.Errorf("after %d bytes: %v", after, err)
		}
	}
	for deadline := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

func TestMemoryDoesNotGrowWithContentAndLittleWithNames(t *testing.T) {
	names := testutil.Fewer(20000)
	var children []child
	for i := range names {
		children = append(children, child{fmt.Sprintf("file %06d.txt", i), "", &node{meta: Metadata{Attributes: 0x20, SecurityID: 1, Links: 1}}})
	}
	s := &flat{children}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var peak uint64
	_, err := Write(context.Background(), refusing{1 << 60}, s, Options{Compression: XPRESS, Workers: 2, Progress: func(done int64) {
		if done%(8<<20) < jobSize {
			runtime.GC()
			runtime.ReadMemStats(&after)
			peak = max(peak, after.HeapAlloc)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	// Half of it are the names, the rest the buffers.
	if grown := int64(peak) - int64(before.HeapAlloc); grown > 24<<20 {
		t.Errorf("%d MiB for %d names and 64 MiB of content", grown>>20, names)
	}
}

// flat is a source with one folder, and a long file behind all others.
type flat struct{ children []child }

func (f *flat) Root() (File, error) { return f, nil }
func (f *flat) Open(reference uint64) (File, error) {
	if int(reference) == len(f.children) {
		return numbered{node: &node{meta: Metadata{Links: 1}, content: newPattern(), size: int64(testutil.Fewer(64)) << 20}}, nil
	}
	return numbered{node: f.children[reference].node}, nil
}
func (f *flat) Descriptor(uint32) ([]byte, error)        { return make([]byte, 20), nil }
func (f *flat) Metadata() (Metadata, error)              { return Metadata{Folder: true}, nil }
func (f *flat) Stream(string) (*io.SectionReader, error) { return nil, errors.New("a folder") }
func (f *flat) Links() (links []Link, err error) {
	for i, c := range f.children {
		links = append(links, Link{Name: utf16.Encode([]rune(c.name)), Reference: uint64(i)})
	}
	return append(links, Link{Name: []uint16{'z'}, Reference: uint64(len(f.children))}), nil
}

// BenchmarkALongContent writes a file of more than 4 GiB, whose table of chunks has longer
// entries, and has wimlib verify it.
func BenchmarkALongContent(b *testing.B) {
	wimlib := testutil.Tool(b, "wimlib-imagex")
	const size = 4<<30 + 300<<20 + 7
	s := &source{root: folder(child{"long", "", &node{meta: Metadata{Links: 1}, content: newPattern(), size: size}})}
	path := filepath.Join(b.TempDir(), "long.wim")
	for b.Loop() {
		f, err := os.Create(path)
		if err != nil {
			b.Fatal(err)
		}
		_, err = Write(context.Background(), f, s, Options{Compression: XPRESS})
		if err := errors.Join(err, f.Close()); err != nil {
			b.Fatal(err)
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.Sys)/(1<<20), "MiB-of-memory")
		b.StopTimer()
		if out, err := exec.Command(wimlib, "verify", path).CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		b.StartTimer()
	}
	b.SetBytes(size)
}
