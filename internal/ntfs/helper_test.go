package ntfs

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fixture is the volume of testdata, as bytes that a test may change.
func fixture(t testing.TB) []byte {
	t.Helper()
	m := gunzip(t, filepath.Join("testdata", "volume.raw.gz"))
	b := make([]byte, m.size)
	if _, err := m.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

func openBytes(t testing.TB, b []byte) *Volume {
	t.Helper()
	v, err := Open(bytes.NewReader(b), 0, int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// listed is what the volume of the fixture holds: size and SHA-256 by path.
func listed(t testing.TB) map[string]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "volume.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		path, rest, _ := strings.Cut(line, "\t")
		want[path] = rest
	}
	return want
}

// walk calls f with every file below a directory.
func walk(t testing.TB, v *Volume, dir *file, prefix string, f func(path string, file *file)) {
	t.Helper()
	entries, err := entriesOf(dir)
	if err != nil {
		t.Fatalf("%s: %v", prefix, err)
	}
	for _, e := range entries {
		file, err := v.open(e.ref)
		if err != nil {
			t.Fatalf("%s%s: %v", prefix, e.name, err)
		}
		if e.IsDir() != file.rec.directory {
			t.Errorf("%s%s: directory in the index %v, in the record %v", prefix, e.name, e.IsDir(), file.rec.directory)
		}
		f(prefix+e.name, file)
		if file.rec.directory {
			walk(t, v, file, prefix+e.name+"/", f)
		}
	}
}

// entriesOf lists a directory.
func entriesOf(dir *file) (entries []*dirEntry, err error) {
	list, err := dir.list()
	if err != nil {
		return nil, err
	}
	for {
		e, err := list.next()
		if err == io.EOF {
			return entries, nil
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
}

// streamsOf names the data streams of a file; the empty one is the content.
func streamsOf(f *file) (names []string, err error) {
	add := func(kind uint32, name string) {
		if kind == kindData && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if f.rec.find(kindAttributeList) == nil {
		for _, a := range f.rec.attributes {
			add(a.kind, a.name)
		}
		return names, nil
	}
	list, err := f.attributeList()
	for _, e := range list {
		add(e.kind, e.name)
	}
	return names, err
}

func hashOf(t testing.TB, name string, s *stream) string {
	t.Helper()
	h := sha256.New()
	if n, err := io.Copy(h, io.NewSectionReader(s, 0, s.size)); err != nil || n != s.size {
		t.Errorf("%s: %d of %d bytes, %v", name, n, s.size, err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// patchRecord changes an MFT record, inside and behind the fixup.
func patchRecord(t testing.TB, image []byte, number int64, change func([]byte)) {
	t.Helper()
	v := openBytes(t, image)
	b := make([]byte, v.recordSize)
	off := number * v.recordSize
	if err := v.mft.readFull(b, off); err != nil {
		t.Fatal(err)
	}
	if err := fixup(b, "FILE"); err != nil {
		t.Fatal(err)
	}
	change(b)
	o := le.Uint16(b[4:])
	for i := 1; i <= len(b)/512; i++ {
		copy(b[int(o)+2*i:], b[i*512-2:i*512])
		copy(b[i*512-2:i*512], b[o:o+2])
	}
	at := bytes.Index(image, func() []byte {
		raw := make([]byte, v.recordSize)
		if err := v.mft.readFull(raw, off); err != nil {
			t.Fatal(err)
		}
		return raw
	}())
	copy(image[at:], b)
}

// residentValue is the value of an attribute within the bytes of a record.
func residentValue(r []byte, kind uint32) []byte {
	for off := int(le.Uint16(r[20:])); le.Uint32(r[off:]) != kindEnd; off += int(le.Uint32(r[off+4:])) {
		if a := r[off:]; le.Uint32(a) == kind {
			return a[le.Uint16(a[20:]):][:le.Uint32(a[16:])]
		}
	}
	return nil
}
