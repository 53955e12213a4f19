package ntfs

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// linksOf are the links of a folder by their name.
func linksOf(t *testing.T, v *Volume, path string) map[string]Link {
	t.Helper()
	f, err := v.find(path)
	if err != nil {
		t.Fatal(err)
	}
	list, err := (&Node{f}).Links()
	if err != nil {
		t.Fatal(err)
	}
	links := map[string]Link{}
	for _, l := range list {
		links[string(utf16.Decode(l.Name))] = l
	}
	return links
}

func TestABackupSeesAllOfAFile(t *testing.T) {
	v := openBytes(t, fixture(t))
	root := linksOf(t, v, ".")
	for name := range root {
		if strings.HasPrefix(name, "$") || name == "." {
			t.Errorf("%s of NTFS itself is listed", name)
		}
	}
	n, err := v.Node(root["streams.txt"].Reference)
	if err != nil {
		t.Fatal(err)
	}
	m, err := n.Metadata()
	if err != nil || m.Folder || m.Links != 1 || !slices.Equal(m.Streams, []string{"second"}) || m.Created < 0x01d0000000000000 || m.Reparse != nil || m.ObjectID != nil {
		t.Fatalf("%+v, %v", m, err)
	}
	if len(m.Descriptor) < minDescriptor || m.Descriptor[0] != 1 || m.SecurityID != 0 { // it is of an old kind
		t.Errorf("descriptor %d, %x", m.SecurityID, m.Descriptor)
	}
	s, err := n.Stream("second")
	if err != nil || s.Size() != int64(len("another stream")) {
		t.Errorf("%v, %v", s, err)
	}
	for name, l := range linksOf(t, v, "wof") {
		n, err := v.Node(l.Reference)
		if err != nil {
			t.Fatal(err)
		}
		m, err := n.Metadata()
		if err != nil || len(m.Streams) != 0 || m.Reparse != nil || m.Attributes&(attributeSparse|attributeReparse) != 0 {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
		if s, err := n.Stream(""); err != nil || s.Size() != 189890 {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}

func TestADescriptorThatIsDamagedIsReadFromItsMirror(t *testing.T) {
	r := gunzip(t, filepath.Join("..", "capture", "testdata", "volume.raw.gz"))
	image := make([]byte, r.size)
	if _, err := r.ReadAt(image, 0); err != nil {
		t.Fatal(err)
	}
	v := openBytes(t, image)
	f, err := v.find("Windows/System32/noise.bin")
	if err != nil {
		t.Fatal(err)
	}
	m, err := (&Node{f}).Metadata()
	if err != nil {
		t.Fatal(err)
	}
	want, err := v.Descriptor(m.SecurityID)
	if err != nil {
		t.Fatal(err)
	}
	place := v.secure.at[m.SecurityID]
	// damage changes a byte of one of the two.
	damage := func(off int64) {
		i := v.secure.stream.runAt(off / v.cluster)
		r := v.secure.stream.runs[i]
		image[r.LCN*v.cluster+off-r.VCN*v.cluster+30] ^= 1
	}
	damage(place.offset)
	if got, err := openBytes(t, image).Descriptor(m.SecurityID); err != nil || !slices.Equal(got, want) {
		t.Errorf("%x, %v", got, err)
	}
	damage(place.offset + descriptorMirror)
	if _, err := openBytes(t, image).Descriptor(m.SecurityID); !errors.Is(err, ErrCorrupt) {
		t.Errorf("both are damaged: %v", err)
	}
	if _, err := openBytes(t, image).Descriptor(1 << 30); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a number that there is not: %v", err)
	}
}

func TestAnEntryOfAnIndexIsHeldAgainstItsLengths(t *testing.T) {
	// A node with one entry of $SII, then the last one.
	node := func(change func(entry []byte)) []byte {
		b := make([]byte, 16+40+16)
		le.PutUint32(b, 16)
		le.PutUint32(b[4:], uint32(len(b)))
		e := b[16:]
		le.PutUint16(e, 20)     // data at
		le.PutUint16(e[2:], 20) // so long
		le.PutUint16(e[8:], 40) // the entry
		le.PutUint16(e[10:], 4) // the key
		le.PutUint16(b[16+40+8:], 16)
		le.PutUint16(b[16+40+12:], 2)
		if change != nil {
			change(e)
		}
		return b
	}
	if entries, err := parseSecurityIDs(node(nil)); err != nil || len(entries) != 2 || len(entries[0].key) != 24 {
		t.Fatalf("%v, %v", entries, err)
	}
	for name, change := range map[string]func([]byte){
		"data outside":          func(e []byte) { le.PutUint16(e, 24) },
		"data over the key":     func(e []byte) { le.PutUint16(e, 18) },
		"data too short":        func(e []byte) { le.PutUint16(e[2:], 19) },
		"data too long":         func(e []byte) { le.PutUint16(e[2:], 21) },
		"a key of another kind": func(e []byte) { le.PutUint16(e[10:], 8) },
		"an entry too long":     func(e []byte) { le.PutUint16(e[8:], 64) },
	} {
		if _, err := parseSecurityIDs(node(change)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
