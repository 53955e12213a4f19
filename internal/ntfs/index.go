package ntfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"unicode/utf16"
)

const (
	namespaceWin32 = 1 // a long name beside a short one
	namespaceDOS   = 2 // a short name beside a long one
	maxDepth       = 32
)

// directory is an index (section "Index"): $I30 of a directory, or another one.
type directory struct {
	v         *Volume
	blockSize int64
	vcnSize   int64 // bytes one VCN of the index counts
	root      []indexEntry
	blocks    *stream // nil: the root holds everything
	inUse     []byte  // one bit per block
	parse     func([]byte) ([]indexEntry, error)
}

type indexEntry struct {
	ref  uint64 // of a directory
	key  []byte // a $FILE_NAME of a directory, nil in the last entry of a node
	down int64  // VCN of the node with the smaller names, -1: none
}

func (f *file) directory() (*directory, error) {
	if !f.rec.directory {
		return nil, fmt.Errorf("record %d is not a directory: %w", f.rec.number, fs.ErrNotExist)
	}
	return f.index("$I30", kindFileName, parseNode)
}

// index opens an index of that name over attributes of that kind, none for 0.
func (f *file) index(name string, kind uint32, parse func([]byte) ([]indexEntry, error)) (*directory, error) {
	pieces, err := f.pieces(kindIndexRoot, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, corrupt("directory of record %d has no $INDEX_ROOT", f.rec.number)
	}
	if err != nil {
		return nil, err
	}
	b := pieces[0].value
	if len(b) < 32 || le.Uint32(b) != kind || kind == kindFileName && le.Uint32(b[4:]) != 1 {
		return nil, corrupt("$INDEX_ROOT of record %d is not one of names", f.rec.number)
	}
	d := &directory{v: f.v, blockSize: int64(le.Uint32(b[8:])), vcnSize: f.v.cluster, parse: parse}
	if d.blockSize < 512 || d.blockSize > 64<<10 || d.blockSize%512 != 0 {
		return nil, corrupt("index blocks of %d bytes in record %d", d.blockSize, f.rec.number)
	}
	if d.blockSize < f.v.cluster {
		d.vcnSize = 512
	}
	if d.root, err = parse(b[16:]); err != nil {
		return nil, fmt.Errorf("$INDEX_ROOT of record %d: %w", f.rec.number, err)
	}
	pieces, err = f.pieces(kindIndexAllocation, name)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err == nil {
		d.blocks, err = f.v.newStream(pieces, false)
	}
	if err != nil {
		return nil, fmt.Errorf("$INDEX_ALLOCATION of record %d: %w", f.rec.number, err)
	}
	if d.inUse, err = f.indexBitmap(name); err != nil {
		return nil, fmt.Errorf("index $BITMAP of record %d: %w", f.rec.number, err)
	}
	return d, nil
}

func (f *file) indexBitmap(name string) ([]byte, error) {
	pieces, err := f.pieces(kindBitmap, name)
	if err != nil {
		return nil, err
	}
	s, err := f.v.newStream(pieces, false)
	if err != nil {
		return nil, err
	}
	if s.size > 1<<20 { // eight million blocks
		return nil, corrupt("%d bytes", s.size)
	}
	if err := f.v.budget.Spend(s.size, 0); err != nil {
		return nil, err
	}
	b := make([]byte, s.size)
	return b, s.readFull(b, 0)
}

// node reads an index block that must be in use (section "Index Record").
func (d *directory) node(vcn int64) ([]indexEntry, error) {
	if d.blocks == nil || vcn < 0 || vcn > d.blocks.size/d.vcnSize {
		return nil, corrupt("index block at cluster %d does not exist", vcn)
	}
	off := vcn * d.vcnSize
	if n := off / d.blockSize; n/8 >= int64(len(d.inUse)) || d.inUse[n/8]>>(n%8)&1 == 0 {
		return nil, corrupt("index block at cluster %d is marked free", vcn)
	}
	if err := d.v.budget.Spend(d.blockSize, 1); err != nil {
		return nil, err
	}
	b := make([]byte, d.blockSize)
	err := d.blocks.readFull(b, off)
	if err == nil {
		err = fixup(b, "INDX")
	}
	if err != nil {
		return nil, fmt.Errorf("index block at cluster %d: %w", vcn, err)
	}
	if got := int64(le.Uint64(b[16:])); got != vcn {
		return nil, corrupt("index block at cluster %d says it is at %d", vcn, got)
	}
	return d.parse(b[24:])
}

// parseNode decodes the entries of a node of names.
func parseNode(b []byte) ([]indexEntry, error) {
	return eachEntry(b, func(e []byte, room int) ([]byte, error) {
		keyLength := int(le.Uint16(e[10:]))
		if keyLength < 66 || keyLength > room || 66+2*int(e[16+64]) > keyLength {
			return nil, corrupt("index entry with a name of %d bytes", keyLength)
		}
		return e[16 : 16+keyLength], nil
	})
}

// eachEntry decodes the entries of a node; b begins with the node header
// (sections "Index Header", "Index Entry"). key takes what is wanted of an entry, which
// has room for so many bytes behind its header.
func eachEntry(b []byte, key func(entry []byte, room int) ([]byte, error)) ([]indexEntry, error) {
	if len(b) < 16 {
		return nil, corrupt("index node of %d bytes", len(b))
	}
	first, end := int64(le.Uint32(b)), int64(le.Uint32(b[4:]))
	if end > int64(len(b)) || first > end {
		return nil, corrupt("index node with entries from %d to %d of %d", first, end, len(b))
	}
	var out []indexEntry
	for b = b[first:end]; ; {
		if len(b) < 16 {
			return nil, corrupt("index node without a last entry")
		}
		length, flags := int(le.Uint16(b[8:])), le.Uint16(b[12:])
		if length < 16 || length%8 != 0 || length > len(b) {
			return nil, corrupt("index entry of %d bytes", length)
		}
		e := indexEntry{ref: le.Uint64(b), down: -1}
		room := length - 16
		if flags&1 != 0 {
			if room -= 8; room < 0 {
				return nil, corrupt("index entry of %d bytes with a subnode", length)
			}
			if e.down = int64(le.Uint64(b[length-8:])); e.down < 0 {
				return nil, corrupt("index entry with subnode %d", e.down)
			}
		}
		if flags&2 != 0 {
			return append(out, e), nil
		}
		var err error
		if e.key, err = key(b[:length], room); err != nil {
			return nil, err
		}
		out = append(out, e)
		b = b[length:]
	}
}

// parseView decodes the entries of a node of an index that is not over files: what is kept
// of each is its key and the beginning of its data.
func parseView(b []byte, keyLength, dataLength int) ([]indexEntry, error) {
	return eachEntry(b, func(e []byte, room int) ([]byte, error) {
		off, length, key := int(le.Uint16(e)), int(le.Uint16(e[2:])), int(le.Uint16(e[10:]))
		if key != keyLength || key > room || length < dataLength || off < 16+key || off+length > 16+room {
			return nil, corrupt("index entry with a key of %d bytes and %d bytes of data at %d", key, length, off)
		}
		return append(bytes.Clone(e[16:16+key]), e[off:off+dataLength]...), nil
	})
}

// each calls f with the key of every entry of an index.
func (d *directory) each(f func(key []byte) error) error {
	walk := treeWalk{d: d, seen: map[int64]bool{}, stack: []level{{entries: d.root}}}
	for {
		e, err := walk.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && e.key != nil {
			err = f(e.key)
		}
		if err != nil {
			return err
		}
	}
}

// keyName is the name in a $FILE_NAME (section "$FILE_NAME").
func keyName(key []byte) []uint16 {
	units := make([]uint16, key[64])
	for i := range units {
		units[i] = le.Uint16(key[66+2*i:])
	}
	return units
}

// listing goes through the names of a directory in the order of NTFS, without
// the short (8.3) names that stand beside long ones and without "." .
type listing struct {
	f    *file
	walk treeWalk
}

func (f *file) list() (*listing, error) {
	d, err := f.directory()
	if err != nil {
		return nil, err
	}
	return &listing{f, treeWalk{d: d, seen: map[int64]bool{}, stack: []level{{entries: d.root}}}}, nil
}

// next returns io.EOF behind the last entry.
func (l *listing) next() (*dirEntry, error) {
	for {
		e, err := l.walk.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil, err
		case err != nil:
			return nil, fmt.Errorf("reading directory of record %d: %w", l.f.rec.number, err)
		case e.key == nil || e.key[65] == namespaceDOS || e.ref&refNumber == uint64(l.f.rec.number):
			continue
		}
		return l.f.v.entry(e)
	}
}

// entry decodes what an index entry says of a file (section "$FILE_NAME"). One
// that is damaged is irregular and ends no listing: what stands beside it has to
// be found.
func (v *Volume) entry(e indexEntry) (*dirEntry, error) {
	const hasReparsePoint, isDirectory = 0x400, 0x10000000
	flags := le.Uint32(e.key[56:])
	name := string(utf16.Decode(keyName(e.key)))
	entry := &dirEntry{v: v, name: escaped(name), ref: e.ref}
	switch {
	case entry.name != name:
		entry.kind, entry.damage = fs.ModeIrregular, corrupt("the name of the file is %q", name)
		return entry, nil
	case flags&isDirectory != 0:
		entry.kind = fs.ModeDir
	}
	if flags&hasReparsePoint == 0 {
		return entry, nil
	}
	link, err := v.linkAt(e.ref)
	switch {
	case errors.Is(err, ErrCorrupt):
		entry.kind, entry.damage = fs.ModeIrregular, err
	case err != nil:
		return nil, fmt.Errorf("%s: %w", entry.name, err)
	case link:
		entry.kind = fs.ModeSymlink
	}
	return entry, nil
}

// escaped replaces in a name what would make it another path in io/fs.
func escaped(name string) string {
	switch name {
	case "":
		return "%"
	case ".", "..":
		return strings.ReplaceAll(name, ".", "%2E")
	}
	return strings.ReplaceAll(name, "/", "%2F")
}

// linkAt is isLink of the file that an index entry refers to.
func (v *Volume) linkAt(ref uint64) (bool, error) {
	f, err := v.open(ref)
	if err != nil {
		return false, err
	}
	return f.isLink()
}

// treeWalk visits all nodes of a directory's tree.
type treeWalk struct {
	d     *directory
	seen  map[int64]bool
	stack []level // from the root to the node at hand
}

// level is what is left of a node.
type level struct {
	entries []indexEntry
	below   bool // the node of smaller names was visited
}

// next returns io.EOF behind the last entry.
func (w *treeWalk) next() (indexEntry, error) {
	for len(w.stack) > 0 {
		top := &w.stack[len(w.stack)-1]
		if len(top.entries) == 0 {
			w.stack = w.stack[:len(w.stack)-1]
			continue
		}
		e := top.entries[0]
		if e.down < 0 || top.below {
			top.entries, top.below = top.entries[1:], false
			return e, nil
		}
		top.below = true
		if len(w.stack) > maxDepth {
			return e, corrupt("index is more than %d levels deep", maxDepth)
		}
		if w.seen[e.down] {
			return e, corrupt("index block at cluster %d has two parents", e.down)
		}
		w.seen[e.down] = true
		sub, err := w.d.node(e.down)
		if err != nil {
			return e, err
		}
		w.stack = append(w.stack, level{entries: sub})
	}
	return indexEntry{}, io.EOF
}

// lookup finds a name by the order of the tree, without regard to case.
func (f *file) lookup(name string) (*file, error) {
	d, err := f.directory()
	if err != nil {
		return nil, err
	}
	want := utf16.Encode([]rune(name))
	node := d.root
	for range maxDepth {
		down := int64(-1)
		for _, e := range node {
			order := -1
			if e.key != nil {
				if order, err = f.v.compare(want, keyName(e.key)); err != nil {
					return nil, err
				}
			}
			if order == 0 {
				return f.v.open(e.ref)
			}
			if order < 0 {
				down = e.down
				break
			}
		}
		if down < 0 {
			return nil, fs.ErrNotExist
		}
		if node, err = d.node(down); err != nil {
			return nil, err
		}
	}
	return nil, corrupt("index of record %d is more than %d levels deep", f.rec.number, maxDepth)
}

// open opens the file an index entry refers to.
func (v *Volume) open(ref uint64) (*file, error) {
	rec, err := v.referenced(ref)
	if err != nil {
		return nil, err
	}
	if rec.base != 0 {
		return nil, corrupt("directory entry names extension record %d", rec.number)
	}
	return &file{v, rec}, nil
}

// compare orders names by the volume's own upcase table.
func (v *Volume) compare(a, b []uint16) (int, error) {
	for i := range min(len(a), len(b)) {
		x, err := v.up(a[i])
		if err != nil {
			return 0, err
		}
		y, err := v.up(b[i])
		if err != nil {
			return 0, err
		}
		if x != y {
			return int(x) - int(y), nil
		}
	}
	return len(a) - len(b), nil
}

// up reads $UpCase only for a name that is not ASCII.
func (v *Volume) up(c uint16) (uint16, error) {
	if c < 0x80 {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		return c, nil
	}
	if v.upcase == nil {
		b, err := v.readSystem(recordUpCase, 128<<10)
		if err == nil && len(b) != 128<<10 {
			err = corrupt("%d bytes", len(b))
		}
		if err != nil {
			return 0, fmt.Errorf("reading $UpCase: %w", err)
		}
		v.upcase = make([]uint16, 1<<16)
		for i := range v.upcase {
			v.upcase[i] = le.Uint16(b[2*i:])
		}
	}
	return v.upcase[c], nil
}
