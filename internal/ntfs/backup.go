package ntfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
)

// Node is a file or folder with all that a backup takes along, which fs.FS does not
// tell. Like its volume it is not safe for concurrent use.
type Node struct{ f *file }

// Link is a name in a folder.
type Link struct {
	// Name and Short are in UTF-16, as the volume has them; Short is the 8.3 name that
	// stands beside a long one, nil where there is none.
	Name, Short []uint16
	// Reference is that of the file, for Volume.Node.
	Reference uint64
}

// firstUserRecord is the first MFT record that is no file of NTFS itself; the others are
// listed in the root folder only.
const firstUserRecord = 16

// RootNode is the root folder.
func (v *Volume) RootNode() (*Node, error) {
	f, err := v.root()
	if err != nil {
		return nil, err
	}
	return &Node{f}, nil
}

// Node opens the file of a link.
func (v *Volume) Node(reference uint64) (*Node, error) {
	f, err := v.open(reference)
	if err != nil {
		return nil, err
	}
	return &Node{f}, nil
}

// Links are the names in a folder, in the order of NTFS, without the files of NTFS itself.
func (n *Node) Links() ([]Link, error) {
	d, err := n.f.directory()
	if err != nil {
		return nil, err
	}
	walk := treeWalk{d: d, seen: map[int64]bool{}, stack: []level{{entries: d.root}}}
	var links []Link
	shorts := map[uint64][]uint16{}
	for {
		e, err := walk.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading directory of record %d: %w", n.f.rec.number, err)
		}
		switch record := e.ref & refNumber; {
		case e.key == nil || record == uint64(n.f.rec.number) || record < firstUserRecord:
		case e.key[65] == namespaceDOS:
			if shorts[e.ref] != nil {
				return nil, corrupt("MFT record %d has two short names in the directory of record %d", record, n.f.rec.number)
			}
			shorts[e.ref] = keyName(e.key)
		default:
			links = append(links, Link{Name: keyName(e.key), Reference: e.ref})
			if e.key[65] == namespaceWin32 {
				links[len(links)-1].Short = []uint16{} // filled in below
			}
		}
	}
	for i, l := range links {
		if l.Short != nil {
			links[i].Short = shorts[l.Reference]
			delete(shorts, l.Reference)
		}
	}
	for reference := range shorts {
		return nil, corrupt("MFT record %d has a short name in the directory of record %d and no long one", reference&refNumber, n.f.rec.number)
	}
	return links, nil
}

// Metadata is what NTFS says of a file besides its names and its content.
type Metadata struct {
	Folder bool
	// Attributes are those of [MS-FSCC] 2.6, as programs see them: a file that Windows
	// keeps compressed by its overlay filter (WOF) is an ordinary one.
	Attributes uint32
	// Created, Written and Accessed are in units of 100 ns since 1601, UTC.
	Created, Written, Accessed uint64
	// Links is how many names the file has, without short ones.
	Links int
	// SecurityID is the number of the descriptor in $Secure, for Volume.Descriptor; 0
	// where the file has its own, Descriptor.
	SecurityID uint32
	Descriptor []byte
	// ObjectID is the object id (16 bytes) and, where the volume knows them, its birth
	// ids behind it (48); nil where there is none.
	ObjectID []byte
	// Reparse is the reparse point from its tag on, nil where there is none. That of WOF
	// is none.
	Reparse []byte
	// Streams are the named ones.
	Streams []string
}

// Attributes of files ([MS-FSCC] 2.6).
const (
	attributeDirectory = 0x10
	attributeSparse    = 0x200
	attributeReparse   = 0x400
	attributeEncrypted = 0x4000
	// attributeMask leaves out what NTFS keeps there for itself.
	attributeMask = 0x0003ffff &^ 0x8000 // a data integrity bit is one of ReFS
)

// tagDeduplicated is the tag of a file whose content lies in the store of data
// deduplication ([MS-FSCC] 2.1.2.1).
const tagDeduplicated = 0x80000013

// Metadata reads what is known of the file. The error for a file whose content cannot be
// read wraps ErrUnsupported.
func (n *Node) Metadata() (m Metadata, err error) {
	b, err := n.f.value(kindStandardInformation, 48, 1<<10)
	if err != nil {
		return m, fmt.Errorf("reading $STANDARD_INFORMATION of record %d: %w", n.f.rec.number, err)
	}
	m = Metadata{
		Folder: n.f.rec.directory, Attributes: le.Uint32(b[32:]) & attributeMask &^ (attributeDirectory | attributeReparse),
		Created: le.Uint64(b), Written: le.Uint64(b[8:]), Accessed: le.Uint64(b[24:]),
	}
	if m.Folder {
		m.Attributes |= attributeDirectory
	}
	if len(b) >= 56 {
		m.SecurityID = le.Uint32(b[52:])
	}
	if err := n.describe(&m); err != nil {
		return m, err
	}
	return m, n.reparse(&m)
}

// describe reads what other attributes say.
func (n *Node) describe(m *Metadata) (err error) {
	kinds, err := n.f.kinds()
	if err != nil {
		return err
	}
	for _, k := range kinds {
		switch {
		case k.kind == kindFileName:
			m.Links++
		case k.kind == kindData && k.name != "" && !slices.Contains(m.Streams, k.name):
			m.Streams = append(m.Streams, k.name)
		case k.kind == kindObjectID:
			if m.ObjectID, err = n.objectID(); err != nil {
				return fmt.Errorf("reading $OBJECT_ID of record %d: %w", n.f.rec.number, err)
			}
		case k.kind == kindSecurityDescriptor && m.SecurityID == 0:
			if m.Descriptor, err = n.f.value(kindSecurityDescriptor, minDescriptor, maxDescriptor); err != nil {
				return fmt.Errorf("reading $SECURITY_DESCRIPTOR of record %d: %w", n.f.rec.number, err)
			}
		}
	}
	// Short names are counted by what they are.
	names, err := n.f.pieces(kindFileName, "")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, a := range names {
		if len(a.value) >= 66 && a.value[65] == namespaceDOS {
			m.Links--
		}
	}
	return nil
}

// objectID is the attribute, with the birth ids that Windows keeps in an index.
func (n *Node) objectID() ([]byte, error) {
	id, err := n.f.value(kindObjectID, 16, 64)
	if err != nil || len(id) == 64 {
		return id, err
	}
	v := n.f.v
	if v.births == nil {
		births := map[[16]byte][48]byte{}
		if err := v.readBirths(births); err != nil {
			return nil, err
		}
		v.births = births
	}
	if birth, ok := v.births[[16]byte(id)]; ok {
		id = append(id[:16], birth[:]...)
	}
	return id, nil
}

// maxObjects is more than Windows gives ids to: files that a shortcut points to.
const maxObjects = 1 << 20

// readBirths reads the index $O of \$Extend\$ObjId: by object id the reference of the
// file, then three ids of its birth (section "$ObjId").
func (v *Volume) readBirths(into map[[16]byte][48]byte) error {
	f, err := v.find("$Extend/$ObjId")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	index, err := f.index("$O", 0, func(b []byte) ([]indexEntry, error) { return parseView(b, 16, 56) })
	if err != nil {
		return err
	}
	return index.each(func(key []byte) error {
		if len(into) == maxObjects {
			return corrupt("more than %d object ids", maxObjects)
		}
		into[[16]byte(key)] = [48]byte(key[24:])
		return nil
	})
}

// reparse reads the reparse point, and takes away that of WOF, which no program sees.
func (n *Node) reparse(m *Metadata) error {
	b, err := n.f.reparsePoint()
	if err != nil || b == nil {
		return err
	}
	switch le.Uint32(b) {
	case tagWOF:
		if _, err := n.f.openReparsed(); err != nil {
			return err
		}
		m.Attributes &^= attributeSparse
		m.Streams = slices.DeleteFunc(m.Streams, func(name string) bool { return name == wofStream })
		return nil
	case tagDeduplicated:
		return fmt.Errorf("its content lies in the store of data deduplication: %w", ErrUnsupported)
	}
	// The length counts what follows the header ([MS-FSCC] 2.1.2.2); tags that are not
	// Microsoft's have a GUID besides.
	const microsoft = 0x80000000
	header := 8
	if le.Uint32(b)&microsoft == 0 {
		header = 24
	}
	length := int(le.Uint16(b[4:]))
	if header+length > len(b) {
		return corrupt("reparse point of record %d has %d of %d bytes", n.f.rec.number, len(b), header+length)
	}
	m.Attributes |= attributeReparse
	m.Reparse = b[:header+length]
	return nil
}

// Stream opens a data stream; the empty name is the content, as a program reads it. The
// error for a missing one wraps fs.ErrNotExist. What stands behind a reparse point that is
// not one of WOF is read as it lies there.
func (n *Node) Stream(name string) (*io.SectionReader, error) {
	s, err := n.stream(name)
	if err != nil {
		return nil, err
	}
	if s.size < 0 {
		return nil, corrupt("stream of %d bytes in record %d", s.size, n.f.rec.number)
	}
	return io.NewSectionReader(s, 0, s.size), nil
}

func (n *Node) stream(name string) (*stream, error) {
	if name == "" {
		if b, err := n.f.reparsePoint(); err != nil {
			return nil, err
		} else if b != nil && le.Uint32(b) == tagWOF {
			return n.f.openReparsed()
		}
	}
	pieces, err := n.f.pieces(kindData, name)
	if err != nil {
		return nil, err
	}
	return n.f.v.newStream(pieces, false)
}

// kinds are the attributes of a file, each piece of it.
func (f *file) kinds() ([]listEntry, error) {
	if f.rec.find(kindAttributeList) != nil {
		list, err := f.attributeList()
		if err != nil {
			return nil, fmt.Errorf("attribute list of record %d: %w", f.rec.number, err)
		}
		return list, nil
	}
	list := make([]listEntry, 0, len(f.rec.attributes))
	for _, a := range f.rec.attributes {
		list = append(list, listEntry{kind: a.kind, name: a.name})
	}
	return list, nil
}

// value reads an attribute without a name that has from least to most bytes.
func (f *file) value(kind uint32, least, most int64) ([]byte, error) {
	pieces, err := f.pieces(kind, "")
	if err != nil {
		return nil, err
	}
	s, err := f.v.newStream(pieces, false)
	if err != nil {
		return nil, err
	}
	if s.size < least || s.size > most {
		return nil, corrupt("attribute %#x has %d bytes", kind, s.size)
	}
	b := make([]byte, s.size)
	return b, s.readFull(b, 0)
}
