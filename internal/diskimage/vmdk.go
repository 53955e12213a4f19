package diskimage

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// vmdkDisk is a VMDK: its extents one behind the other.
type vmdkDisk struct {
	opener
	info    Info
	cid     uint32
	sector  int // as the descriptor says; 0 where it does not
	extents []vmdkPart
	files   []io.Closer
	parent  *parentDisk
}

// vmdkPart is an extent and the bytes of the disk that it holds.
type vmdkPart struct {
	span
	vmdkExtent
}

// vmdkExtent reads a part of a disk. Offsets are those of the extent.
type vmdkExtent interface {
	// run says what is at an offset, and how many bytes from there, at most limit, are
	// the same. With loose it is enough that they hold data, wherever that is.
	run(off, limit int64, loose bool) (vmdkRun, error)
	// read reads from a run of kind inFile or compressed, at off.
	read(p []byte, off int64, r vmdkRun) error
}

// vmdkRun is what the bytes from an offset on are: inParent, allZero, inFile or
// compressed.
type vmdkRun struct {
	kind blockState
	n    int64
	at   int64 // in the file: of the data, or of the marker of the compressed grain
	next int64 // of a compressed grain: where the one after it may lie, which is no more than a hint
}

// openVMDK opens a file that starts with a sparse header or is a descriptor.
func openVMDK(s source) (Disk, error) {
	head := make([]byte, min(int64(len(vmdkMagic)), s.size))
	if err := readFull(s, head, 0); err != nil {
		return nil, fmt.Errorf("reading the beginning of the VMDK: %w", err)
	}
	d := &vmdkDisk{opener: s.opener, info: s.info(VMDK, "")}
	d.files = append(d.files, closer(s.close))
	if err := d.open(s, string(head) == vmdkMagic); err != nil {
		_ = d.closeParts() // the reason is err
		return nil, err
	}
	d.info.VirtualSize = d.extents[len(d.extents)-1].to
	if d.path != "" {
		if _, err := os.Stat(d.path + ".lck"); err == nil {
			d.info.warn("%s.lck is there: VMware has the disk open, and what is read may be half written; shut the machine down first, or remove that if none runs", d.path)
		}
	}
	d.info.warnSize()
	table := gptSector(d)
	d.info.SectorSize = cmp.Or(d.sector, table, d.info.SectorSize)
	d.info.warnSector(table)
	return d, nil
}

// errPiece: the file is read with others only.
var errPiece = unsupported("this is one piece of a VMDK, without the descriptor that says what belongs to it; name the descriptor, a small text file beside it (NAME.vmdk to NAME-s001.vmdk)")

func (d *vmdkDisk) open(s source, sparse bool) error {
	var h vmdkHeader
	at, size := int64(0), s.size
	if sparse {
		var err error
		if h, err = readVMDKHeader(s); err != nil {
			return err
		}
		if h.DescriptorOffset == 0 || h.DescriptorSize == 0 {
			return errPiece
		}
		if h.DescriptorOffset > uint64(s.size/vmdkSector) || h.DescriptorSize > uint64(maxDescriptor/vmdkSector) {
			return corrupt("VMDK header: descriptor of %d sectors at sector %d", h.DescriptorSize, h.DescriptorOffset)
		}
		at, size = int64(h.DescriptorOffset)*vmdkSector, int64(h.DescriptorSize)*vmdkSector
	}
	if size > maxDescriptor {
		return corrupt("VMDK descriptor of %d bytes", size)
	}
	text := make([]byte, size)
	if err := readFull(s, text, at); err != nil {
		return fmt.Errorf("reading VMDK descriptor: %w", err)
	}
	desc, err := parseDescriptor(text)
	if err != nil {
		return err
	}
	if sparse && desc.createType == "" && len(desc.extents) == 0 {
		return errPiece // QEMU leaves room for a descriptor in each piece
	}
	d.info.Type, d.cid, d.sector = Type(clean(desc.createType)), desc.cid, desc.sector
	if sparse && h.Capacity > 0 {
		if len(desc.extents) > 1 {
			return unsupported("VMDK descriptor: it is in one of %d extents; %s", len(desc.extents), toQcow2)
		}
		err = d.addSparse(s, h, int64(h.Capacity)*vmdkSector)
	} else {
		err = d.openExtents(desc)
	}
	if err != nil {
		return err
	}
	return d.attachParent(desc)
}

// openExtents opens the files that a descriptor names. They lie beside it: a name
// with a folder in it is none that VMware writes for a file.
func (d *vmdkDisk) openExtents(desc vmdkDescriptor) error {
	if len(desc.extents) == 0 {
		return corrupt("VMDK descriptor: it names no extent, the files that hold the disk")
	}
	tables := int64(0)
	for _, e := range desc.extents {
		if err := d.ended(); err != nil {
			return err
		}
		size := e.sectors * vmdkSector
		if size > maxDisk-d.end() {
			return corrupt("VMDK descriptor: its extents have more than %d TiB", maxDisk/tib)
		}
		if e.access == "NOACCESS" {
			return unsupported("VMDK descriptor: extent %.100q may not be accessed; %s", e.name, toQcow2)
		}
		switch e.kind {
		case "ZERO":
			d.add(size, &vmdkFlat{})
			continue
		case "FLAT", "VMFS", "SPARSE":
		case "VMFSSPARSE", "SESPARSE":
			return unsupported("VMDK descriptor: extent %.100q is of type %s, which is not read here: %s", e.name, e.kind, fromSnapshot)
		case "VMFSRDM", "VMFSRAW":
			return unsupported("VMDK descriptor: extent %.100q is a device of the host (%s); copy the disk on that host first (vmkfstools -i)", e.name, e.kind)
		default:
			return unsupported("VMDK descriptor: extent %.100q is of the unknown type %.20q; %s", e.name, e.kind, toQcow2)
		}
		s, err := d.openPart(e.name)
		if err != nil {
			return err
		}
		d.files = append(d.files, closer(s.close))
		d.info.Files = append(d.info.Files, s.path)
		d.info.FileSize += s.size
		if e.kind == "SPARSE" {
			h, err := readVMDKHeader(s)
			if err == nil && int64(h.Capacity) < e.sectors {
				err = corrupt("VMDK header: capacity of %d sectors, its descriptor says %d", h.Capacity, e.sectors)
			}
			if tables += 4 * h.tables(size); err == nil && tables > maxTable {
				err = unsupported("VMDK grain directories of %d bytes", tables)
			}
			if err == nil {
				err = d.addSparse(s, h, size)
			}
			if err != nil {
				return fmt.Errorf("opening %s: %w", s.path, err)
			}
			continue
		}
		if need := (e.offset + e.sectors) * vmdkSector; need > s.size {
			return fmt.Errorf("opening %s: %w", s.path, cutOff("VMDK flat extent", s.size, need))
		}
		d.add(size, &vmdkFlat{ReaderAt: s.ReaderAt, at: e.offset * vmdkSector})
	}
	return nil
}

// openPart opens a file that holds data of the disk.
func (d *vmdkDisk) openPart(name string) (s source, err error) {
	o := d.opener
	o.part = true
	switch {
	case o.path == "":
		return s, unsupported("this is a VMDK descriptor, and the disk is in the file %.100q beside it, which can only be found for a file of this machine; copy or unpack them into one folder, and name the descriptor there", name)
	case name == "" || name == "." || name == ".." || strings.ContainsAny(name, `/\:`):
		return s, unsupported("VMDK descriptor: %s names %.200q as %s: only files in its own folder are read, named without one; copy the file there and correct the line", o.path, name, o.role())
	}
	path, err := o.locate(name, anyCase)
	if errors.Is(err, os.ErrNotExist) {
		return s, told{corrupt("%s names the file %q as %s, which is not in its folder: copy or download all files of the disk", o.path, name, o.role())}
	}
	if err != nil {
		return s, err
	}
	f, err := os.Open(path)
	if err != nil {
		return s, fmt.Errorf("opening a part of the disk: %w", err)
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("opening a part of the disk: %s is not a regular file", path)
	}
	if err != nil {
		f.Close()
		return s, err
	}
	o.path = path
	return source{opener: o, ReaderAt: f, size: st.Size(), close: f.Close}, nil
}

func (d *vmdkDisk) addSparse(s source, h vmdkHeader, size int64) error {
	x, warnings, err := openSparse(s, h, size)
	if err != nil {
		return err
	}
	d.info.BlockSize = x.grain
	d.info.Warnings = append(d.info.Warnings, warnings...)
	d.add(size, x)
	return nil
}

func (d *vmdkDisk) add(size int64, x vmdkExtent) {
	d.extents = append(d.extents, vmdkPart{span{d.end(), d.end() + size}, x})
}

// end is where the next extent begins.
func (d *vmdkDisk) end() int64 {
	if len(d.extents) == 0 {
		return 0
	}
	return d.extents[len(d.extents)-1].to
}

// attachParent opens the disk that a descriptor names as its parent, and checks
// that its content is the one that the child was made on.
func (d *vmdkDisk) attachParent(desc vmdkDescriptor) error {
	if desc.parentCID == vmdkNoParent {
		return nil
	}
	if desc.parent == "" {
		return corrupt("VMDK descriptor: it has the parent %08x, but does not name its file", desc.parentCID)
	}
	parent, err := d.openParent(vmdkParents(runtime.GOOS, desc.parent), VMDK, anyCase)
	if err != nil {
		return err
	}
	if got := parent.(*vmdkDisk).cid; got != desc.parentCID {
		parent.Close()
		return fmt.Errorf("%w: %s has the content id %08x, the child was made on %08x: it was changed since, or is another disk; copy the one there that the child was made on", ErrParent, parent.Info().Files[0], got, desc.parentCID)
	}
	d.parent = &parentDisk{Disk: parent}
	d.info.adopt(parent)
	return nil
}

// vmdkParents are the places to look for a parent: where it is said to be, if
// that is a path of this system, and beside the child.
func vmdkParents(goos, hint string) []string {
	var c []string
	if goos == "windows" && !strings.HasPrefix(hint, `\\`) || !strings.ContainsAny(hint, `:\`) {
		c = append(c, hint)
	}
	if name := baseName(hint); name != "" && name != hint {
		c = append(c, name)
	}
	return slices.DeleteFunc(c, func(p string) bool { return strings.ContainsRune(p, 0) })
}

func (d *vmdkDisk) Size() int64     { return d.end() }
func (d *vmdkDisk) Format() Format  { return VMDK }
func (d *vmdkDisk) SectorSize() int { return d.info.SectorSize }
func (d *vmdkDisk) Info() Info      { return d.info.copy() }
func (d *vmdkDisk) about() *Info    { return &d.info }

func (d *vmdkDisk) Close() error {
	err := d.files[0].Close()
	return cmp.Or(err, d.closeParts())
}

// closeParts closes what was opened beside the file itself.
func (d *vmdkDisk) closeParts() (err error) {
	for _, f := range d.files[1:] {
		err = cmp.Or(err, f.Close())
	}
	return cmp.Or(err, d.parent.Close())
}

// part is the extent that holds an offset, which is on the disk.
func (d *vmdkDisk) part(off int64) vmdkPart {
	i, _ := slices.BinarySearchFunc(d.extents, off, func(p vmdkPart, off int64) int {
		if p.to <= off {
			return -1
		}
		return 1
	})
	return d.extents[i]
}

func (d *vmdkDisk) ReadAt(p []byte, off int64) (int, error) {
	p, end := clip(p, off, d.Size())
	for n := 0; n < len(p); {
		at := off + int64(n)
		x := d.part(at)
		r, err := x.run(at-x.from, min(int64(len(p)-n), x.to-at), false)
		if err == nil {
			err = d.readRun(p[n:n+int(r.n)], at, x, r)
		}
		if err != nil {
			return n, fmt.Errorf("reading VMDK at %d: %w", at, err)
		}
		n += int(r.n)
	}
	return len(p), end
}

func (d *vmdkDisk) readRun(p []byte, off int64, x vmdkPart, r vmdkRun) error {
	switch r.kind {
	case inFile, compressed:
		return x.read(p, off-x.from, r)
	case inParent:
		return d.parent.read(p, off)
	}
	clear(p)
	return nil
}

func (d *vmdkDisk) NextData(off int64) (int64, int64, error) {
	size := d.Size()
	for off < size {
		if err := d.ended(); err != nil {
			return 0, 0, err
		}
		x := d.part(off)
		r, err := x.run(off-x.from, x.to-off, true)
		if err != nil {
			return 0, 0, fmt.Errorf("finding the data of the VMDK after %d: %w", off, err)
		}
		switch r.kind {
		case inFile, compressed:
			return off, off + r.n, nil
		case inParent:
			below, err := d.parent.next(off, off+r.n)
			if err != nil {
				return 0, 0, err
			}
			if below.from < below.to {
				return below.from, below.to, nil
			}
		}
		off += r.n
	}
	return size, size, nil
}

// vmdkFlat is an extent that lies in a file byte by byte or, without a file, zeros.
type vmdkFlat struct {
	io.ReaderAt
	at int64 // where it begins in the file
}

func (x *vmdkFlat) run(off, limit int64, loose bool) (vmdkRun, error) {
	if x.ReaderAt == nil {
		return vmdkRun{kind: allZero, n: limit}, nil
	}
	all := vmdkRun{kind: inFile, n: limit, at: x.at + off}
	f, ok := x.ReaderAt.(*os.File)
	if !ok || !loose {
		return all, nil
	}
	start, end, err := nextDataInFile(f, all.at, all.at+limit)
	switch {
	case errors.Is(err, errNoExtents):
		return all, nil
	case err != nil:
		return vmdkRun{}, fmt.Errorf("asking for the next extent of %s: %w", f.Name(), err)
	case start > all.at:
		return vmdkRun{kind: allZero, n: start - all.at}, nil
	}
	all.n = end - all.at
	return all, nil
}

func (x *vmdkFlat) read(p []byte, _ int64, r vmdkRun) error { return readFull(x.ReaderAt, p, r.at) }

// closer makes an io.Closer of what closes something.
type closer func() error

func (c closer) Close() error { return c() }

// parseSectors reads a number of sectors that a disk can have.
func parseSectors(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err == nil && (n < 0 || n > maxDisk/vmdkSector) {
		err = strconv.ErrRange
	}
	return n, err
}

// clean is a word of a descriptor that can be shown as a type of disk.
func clean(word string) string {
	if len(word) > 40 || strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "unknown"
	}
	return word
}
