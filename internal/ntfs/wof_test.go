package ntfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

func TestXpressVectors(t *testing.T) {
	b, err := os.ReadFile(testutil.Corpus(t, "disks", "go-ntfs-xpress-huffman_vectors.txt"))
	if err != nil {
		t.Fatal(err)
	}
	vector := regexp.MustCompile(`^\{"(\w+)", \[\]byte\(("(?:[^"\\]|\\.)*")\), \[\]byte\(("(?:[^"\\]|\\.)*")\), true\},$`)
	n := 0
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		m := vector.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			t.Fatalf("vector not understood: %.60s", line)
		}
		packed, err1 := strconv.Unquote(m[2])
		plain, err2 := strconv.Unquote(m[3])
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		got := make([]byte, len(plain))
		err := xpressHuffman(got, []byte(packed))
		if m[1] == "Huff0" {
			// Its encoder put the bytes of a long match one word earlier than
			// [MS-XCA] 2.1.4.3 and wimlib do, where the code of the match
			// begins a new word: such data is told, not guessed at.
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("Huff0: %v", err)
			}
		} else if err != nil {
			t.Errorf("%s (%d bytes from %d): %v", m[1], len(plain), len(packed), err)
		} else if string(got) != plain {
			t.Errorf("%s: content differs", m[1])
		}
		n++
	}
	if n != 7 {
		t.Errorf("%d vectors, want 7", n)
	}
}

// sampleContent has text, calls, noise and long repeats, so that all block
// types and match lengths occur.
func sampleContent() []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for i := range 4000 {
		fmt.Fprintf(&b, "2026-01-01 00:00:%02d, Info  SYSPRP line %d of setupact.log\r\n", i%60, i)
	}
	for range 20000 {
		b.WriteByte(0xe8)
		binary.Write(&b, binary.LittleEndian, r.Int32N(1<<18))
		b.WriteByte(byte(r.Uint32()))
	}
	b.Write(make([]byte, 150000))
	noise := make([]byte, 100000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	b.Write(noise)
	return b.Bytes()
}

// wimResource packs content by wimlib and returns the resource, which is
// laid out as WOF does it.
func wimResource(t testing.TB, content []byte, compression string, chunk int) []byte {
	t.Helper()
	tool := testutil.Tool(t, "wimlib-imagex")
	dir := t.TempDir()
	file, wim := filepath.Join(dir, "content"), filepath.Join(dir, "x.wim")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	capture := func(source string) ([]byte, error) {
		return exec.Command(tool, "capture", source, wim, "--compress="+compression, "--chunk-size="+strconv.Itoa(chunk)).CombinedOutput()
	}
	if _, err := capture(file); err != nil {
		// A single file is captured as a directory tree elsewhere.
		src := filepath.Join(dir, "tree")
		if err := os.MkdirAll(src, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file, filepath.Join(src, "content")); err != nil {
			t.Fatal(err)
		}
		if out, err := capture(src); err != nil {
			t.Fatalf("wimlib-imagex: %v\n%s", err, out)
		}
	}
	b, err := os.ReadFile(wim)
	if err != nil {
		t.Fatal(err)
	}
	// The table of resources: 24 bytes of place and size, 26 of the rest.
	table := b[48:72]
	for e := b[le.Uint64(table[8:]):][:le.Uint64(table)&(1<<56-1)]; len(e) >= 50; e = e[50:] {
		if le.Uint64(e[16:]) == uint64(len(content)) && e[7]&4 != 0 {
			return b[le.Uint64(e[8:]):][:le.Uint64(e)&(1<<56-1)]
		}
	}
	t.Fatal("no compressed resource of that size in the WIM")
	return nil
}

var wofCases = []struct {
	name      string
	algorithm uint32
	compress  string
	chunk     int
}{
	{"XPRESS4K", 0, "XPRESS", 4 << 10},
	{"LZX", 1, "LZX", 32 << 10},
	{"XPRESS8K", 2, "XPRESS", 8 << 10},
	{"XPRESS16K", 3, "XPRESS", 16 << 10},
}

func TestContentPackedByWimlibIsUnpacked(t *testing.T) {
	content := sampleContent()
	for _, c := range wofCases {
		t.Run(c.name, func(t *testing.T) {
			packed := wimResource(t, content, c.compress, c.chunk)
			w := &wof{
				data:       &stream{resident: packed, size: int64(len(packed))},
				size:       int64(len(content)),
				chunkSize:  int64(c.chunk),
				decompress: xpressHuffman,
				cached:     -1,
			}
			if c.name == "LZX" {
				w.decompress = lzx
			}
			got := make([]byte, len(content))
			if err := w.read(got, 0); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, content) {
				i := 0
				for got[i] == content[i] {
					i++
				}
				t.Errorf("content differs at byte %d of %d", i, len(content))
			}
			middle := make([]byte, 1000)
			if err := w.read(middle, 99_500); err != nil || !bytes.Equal(middle, content[99_500:100_500]) {
				t.Errorf("reading across chunks: %v", err)
			}
		})
	}
}

func TestPlainLZXBlocks(t *testing.T) {
	// wimlib stores chunks that do not shrink as they are; Windows may also
	// write blocks of type 3. Two of them, the first of an odd length: three
	// bits of type, a zero, sixteen of size, twelve of padding.
	content := sampleContent()[:32<<10]
	var b []byte
	for _, part := range [][]byte{content[:1001], content[1001:]} {
		header := uint32(3)<<29 | uint32(len(part))<<12
		b = le.AppendUint16(b, uint16(header>>16))
		b = le.AppendUint16(b, uint16(header))
		b = append(b, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0)
		b = append(b, part...)
		if len(part)%2 == 1 {
			b = append(b, 0)
		}
	}
	got := make([]byte, len(content))
	want := bytes.Clone(content)
	undoCalls(want)
	if err := lzx(got, b); err != nil || !bytes.Equal(got, want) {
		t.Errorf("plain blocks: %v", err)
	}
	if err := lzx(got, b[:20000]); !errors.Is(err, ErrCorrupt) {
		t.Errorf("cut off: %v", err)
	}
	// A block that takes its size from the format: 12 bits of padding.
	whole := append([]byte{0, 0x70, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0}, content...)
	if err := lzx(got, whole); err != nil || !bytes.Equal(got, want) {
		t.Errorf("plain block of the usual size: %v", err)
	}
	whole[2] = 0
	if err := lzx(got, whole); !errors.Is(err, ErrCorrupt) {
		t.Errorf("recent distance of zero: %v", err)
	}
}
