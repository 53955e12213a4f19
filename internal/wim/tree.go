package wim

import (
	"context"
	"crypto/sha1"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
)

// Attributes of files ([MS-FSCC] 2.6).
const (
	attributeReparse   = 0x400
	attributeEncrypted = 0x4000
)

// maxDepth is how deep folders may be: a path of Windows has at most 32767 units.
const maxDepth = 16 << 10

// dentry is a name in the image. There are hundreds of thousands, and little is kept of
// each.
type dentry struct {
	name, short string // UTF-16, little-endian
	*inode
	children []*dentry
	below    int64 // where they are in the metadata
}

// inode is what the names of a file have in common.
type inode struct {
	attributes, tag          uint32
	security                 int32
	group                    uint32 // of names of one file, 0: it has one name
	created, accessed, wrote uint64
	hash                     digest // of the content
	extra                    *extra
	bytes                    int64 // of all streams
	rigid                    uint16
}

// extra is what few files have.
type extra struct {
	object  []byte
	reparse digest
	streams []named
}

// named is a named stream; its name is UTF-16.
type named struct {
	name string
	hash digest
}

// tree walks a volume, stores its contents and keeps its names.
type tree struct {
	ctx      context.Context
	src      Source
	store    *store
	exclude  map[string]bool
	seen     map[uint64]*inode // files with several names, by reference
	folders  map[uint64]bool
	groups   uint32
	security *security
	root     *dentry
	size     int64 // of the metadata
	result   Result
}

// exclusions are paths as walk compares them.
func exclusions(paths []string) map[string]bool {
	m := map[string]bool{}
	for _, p := range paths {
		m[strings.ToUpper(p)] = true
	}
	return m
}

func (t *tree) walk() error {
	f, err := t.src.Root()
	if err != nil {
		return fmt.Errorf(`\: %w`, err)
	}
	m, err := f.Metadata()
	if err == nil && !m.Folder {
		err = fmt.Errorf("%w: the root is no folder", ErrSource)
	}
	if err != nil {
		return fmt.Errorf(`\: %w`, err)
	}
	t.root = &dentry{}
	if t.root.inode, err = t.inode(f, m); err != nil {
		return fmt.Errorf(`\: %w`, err)
	}
	t.result.Content += t.root.bytes
	return t.folder(f, t.root, "", 0)
}

// folder takes in what is in a folder.
func (t *tree) folder(f File, d *dentry, path string, depth int) error {
	links, err := f.Links()
	if err == nil && depth >= maxDepth {
		err = fmt.Errorf("%w: folders are more than %d deep", ErrSource, maxDepth)
	}
	if err != nil {
		return fmt.Errorf(`%s\: %w`, path, err)
	}
	d.children = make([]*dentry, 0, len(links))
	for _, l := range links {
		if err := t.ctx.Err(); err != nil {
			return context.Cause(t.ctx)
		}
		below := path + `\` + string(utf16.Decode(l.Name))
		if t.exclude[strings.ToUpper(below)] {
			t.result.Excluded = append(t.result.Excluded, below)
			continue
		}
		if err := t.link(l, d, below, depth); err != nil {
			return err
		}
	}
	return nil
}

// link takes in a name.
func (t *tree) link(l Link, into *dentry, path string, depth int) error {
	d := &dentry{name: wide(l.Name), short: wide(l.Short)}
	if len(d.name) == 0 || len(d.name) > maxName || len(d.short) > maxName {
		return fmt.Errorf("%s: %w: a name of %d bytes", path, ErrSource, len(d.name))
	}
	if d.inode = t.seen[l.Reference]; d.inode != nil {
		if d.group == 0 {
			t.groups++
			d.group = t.groups
		}
		t.result.Files++
		t.result.Content += d.bytes
		t.result.Shared += d.bytes
		into.children = append(into.children, d)
		return nil
	}
	f, err := t.src.Open(l.Reference)
	var m Metadata
	if err == nil {
		m, err = f.Metadata()
	}
	if err == nil {
		d.inode, err = t.inode(f, m)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	into.children = append(into.children, d)
	t.result.Content += d.bytes
	if !m.Folder {
		t.result.Files++
		// Where a reparse point has its tag there is no room for a group.
		if m.Links > 1 && m.Reparse == nil {
			t.seen[l.Reference] = d.inode
		}
		return nil
	}
	if t.folders[l.Reference] {
		return fmt.Errorf("%s: %w: the folder stands in two places", path, ErrSource)
	}
	t.folders[l.Reference] = true
	if m.Reparse != nil {
		t.result.Files++
		return nil
	}
	t.result.Folders++
	return t.folder(f, d, path, depth+1)
}

const maxName = 2 * 255 // bytes

// inode stores what is in a file.
func (t *tree) inode(f File, m Metadata) (*inode, error) {
	if m.Attributes&attributeEncrypted != 0 && !m.Folder {
		return nil, ErrEncrypted
	}
	in := &inode{attributes: m.Attributes, created: m.Created, accessed: m.Accessed, wrote: m.Written}
	var err error
	if in.security, err = t.security.number(m); err != nil {
		return nil, err
	}
	if len(m.ObjectID) > 0 || len(m.Reparse) > 0 || len(m.Streams) > 0 {
		in.extra = &extra{}
	}
	if len(m.ObjectID) > 0 {
		in.extra.object = make([]byte, objectIDSize)
		copy(in.extra.object, m.ObjectID)
	}
	if len(m.Reparse) > 0 {
		if len(m.Reparse) < 8 {
			return nil, fmt.Errorf("%w: a reparse point of %d bytes", ErrSource, len(m.Reparse))
		}
		in.attributes |= attributeReparse
		in.tag, in.rigid = le.Uint32(m.Reparse), notFixed
		if in.extra.reparse, err = t.bytes(m.Reparse[8:]); err != nil {
			return nil, err
		}
	}
	if !m.Folder {
		if in.hash, err = t.stream(f, in, ""); err != nil {
			return nil, err
		}
	}
	for _, name := range m.Streams {
		s := named{name: string(encodeUTF16(name)[2:])}
		if len(s.name) > maxName {
			return nil, fmt.Errorf("%w: a stream whose name has %d bytes", ErrSource, len(s.name))
		}
		if s.hash, err = t.stream(f, in, name); err != nil {
			return nil, fmt.Errorf("stream %s: %w", name, err)
		}
		in.extra.streams = append(in.extra.streams, s)
	}
	return in, nil
}

// maxContent is what a file has at most on NTFS with clusters of 4 KiB.
const maxContent = 16 << 40

// stream stores a stream of a file.
func (t *tree) stream(f File, in *inode, name string) (digest, error) {
	s, err := f.Stream(name)
	if err != nil {
		return digest{}, err
	}
	if s.Size() > maxContent {
		return digest{}, fmt.Errorf("%w: a content of %d bytes", ErrSource, s.Size())
	}
	in.bytes += s.Size()
	return t.put(s.Size(), func() (io.Reader, error) {
		_, err := s.Seek(0, io.SeekStart)
		return s, err
	})
}

func (t *tree) bytes(b []byte) (digest, error) {
	return t.put(int64(len(b)), func() (io.Reader, error) { return strings.NewReader(string(b)), nil })
}

func (t *tree) put(size int64, open func() (io.Reader, error)) (digest, error) {
	b, err := t.store.put(size, open, 0)
	if b == nil || err != nil {
		return digest{}, err
	}
	return b.hash, nil
}

// security are the descriptors of the image, each once.
type security struct {
	src    Source
	byID   map[uint32]int32
	byHash map[digest]int32
	all    [][]byte
	bytes  int
}

// What NTFS allows is 64 KiB each; some megabytes are what a Windows has in all.
const maxSecurity = 64 << 20

func newSecurity(src Source) *security {
	return &security{src: src, byID: map[uint32]int32{}, byHash: map[digest]int32{}}
}

// number is that of a file's descriptor, -1 for none.
func (s *security) number(m Metadata) (int32, error) {
	if m.SecurityID == 0 {
		if len(m.Descriptor) == 0 {
			return -1, nil
		}
		return s.add(m.Descriptor)
	}
	if n, ok := s.byID[m.SecurityID]; ok {
		return n, nil
	}
	b, err := s.src.Descriptor(m.SecurityID)
	if err != nil {
		return 0, err
	}
	n, err := s.add(b)
	s.byID[m.SecurityID] = n
	return n, err
}

func (s *security) add(b []byte) (int32, error) {
	h := sha1.Sum(b)
	if n, ok := s.byHash[h]; ok {
		return n, nil
	}
	if s.bytes += len(b) + 8; s.bytes > maxSecurity {
		return 0, fmt.Errorf("%w: security descriptors have more than %d MiB", ErrSource, maxSecurity>>20)
	}
	n := int32(len(s.all))
	s.byHash[h] = n
	s.all = append(s.all, b)
	return n, nil
}

// wide is a name as it is stored.
func wide(units []uint16) string {
	b := make([]byte, 0, 2*len(units))
	for _, u := range units {
		b = le.AppendUint16(b, u)
	}
	return string(b)
}

// encodeUTF16 is a text with a mark of its byte order.
func encodeUTF16(s string) []byte {
	b := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		b = le.AppendUint16(b, u)
	}
	return b
}
