package diskimage

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"unicode/utf16"
)

const (
	vhdHeaderCookie = "cxsparse"
	vhdHeaderSize   = 1024
	vhdNoBlock      = 0xffffffff
)

// vhdTable is the block allocation table: the sector of each block's bitmap,
// which its data follows.
type vhdTable struct {
	entries    []uint32
	bitmapSize int64
	// diff: the bitmaps count. In a dynamic disk they only say which sectors
	// were ever written; the others are zeros in the file as well.
	diff bool
}

func (t *vhdTable) block(i int64) (blockState, int64) {
	e := t.entries[i]
	switch {
	case e == vhdNoBlock:
		return inParent, 0
	case t.diff:
		return mixed, int64(e)*512 + t.bitmapSize
	}
	return inFile, int64(e)*512 + t.bitmapSize
}

func (t *vhdTable) bitmap(i int64) int64 { return int64(t.entries[i]) * 512 }

func openVHD(s source) (Disk, error) {
	f, fromHeader, err := readFooter(s)
	if err != nil {
		return nil, err
	}
	info := s.info(VHD, map[uint32]Type{vhdTypeFixed: Fixed, vhdTypeDynamic: Dynamic, vhdTypeDifferencing: Differencing}[f.diskType])
	info.VirtualSize = int64(f.size)
	info.Creator = f.app()
	f.warnings(&info)
	if fromHeader {
		info.warn("the footer at the end of the file is damaged; its copy at the start was used")
	}
	switch f.diskType {
	case vhdTypeFixed:
		if info.VirtualSize > s.size-footerSize {
			return nil, corrupt("VHD footer: a fixed disk of %d bytes in a file of %d: the file was cut off", f.size, s.size)
		}
		if info.VirtualSize < s.size-footerSize {
			info.warn("the file holds %d bytes more than the disk", s.size-footerSize-info.VirtualSize)
		}
		return &flat{source: s, info: info}, nil
	case vhdTypeDynamic, vhdTypeDifferencing:
		return openDynamicVHD(s, f, info)
	}
	return nil, unsupported("VHD footer: disk type %d", f.diskType)
}

// readFooter reads the footer at the end or, when that one is damaged, the copy
// that all but fixed disks have at the start.
func readFooter(s source) (f footer, fromHeader bool, err error) {
	if s.size < footerSize {
		return footer{}, false, corrupt("the file of %d bytes is too short for a VHD footer", s.size)
	}
	b := make([]byte, footerSize)
	if err := readFull(s, b, s.size-footerSize); err != nil {
		return footer{}, false, fmt.Errorf("reading VHD footer: %w", err)
	}
	f, err = parseFooter(b)
	if err == nil {
		return f, false, nil
	}
	if rerr := readFull(s, b, 0); rerr != nil {
		return footer{}, false, fmt.Errorf("reading copy of VHD footer: %w", rerr)
	}
	if c, cerr := parseFooter(b); cerr == nil && c.diskType != vhdTypeFixed {
		return c, true, nil
	}
	return footer{}, false, err
}

func openDynamicVHD(s source, f footer, info Info) (Disk, error) {
	be := binary.BigEndian
	h := make([]byte, vhdHeaderSize)
	if f.dataOffset > uint64(s.size) {
		return nil, corrupt("VHD footer: data offset %d lies beyond the file", f.dataOffset)
	}
	if err := readFull(s, h, int64(f.dataOffset)); err != nil {
		return nil, fmt.Errorf("reading VHD dynamic disk header: %w", err)
	}
	if string(h[:8]) != vhdHeaderCookie {
		return nil, corrupt("VHD dynamic disk header: cookie %q is not %q", h[:8], vhdHeaderCookie)
	}
	if got, want := vhdChecksum(h, 36), be.Uint32(h[36:]); got != want {
		return nil, corrupt("VHD dynamic disk header: checksum is %#08x, the content gives %#08x", want, got)
	}
	tableAt, maxEntries := be.Uint64(h[16:]), int64(be.Uint32(h[28:]))
	bs := int64(be.Uint32(h[32:]))
	if bs < 4*kib || bs&(bs-1) != 0 || bs > 256*mib {
		return nil, corrupt("VHD dynamic disk header: block size %d", bs)
	}
	info.BlockSize = bs
	n := (info.VirtualSize + bs - 1) / bs
	if n > maxEntries {
		return nil, corrupt("VHD dynamic disk header: %d table entries, the disk needs %d", maxEntries, n)
	}
	if 4*n > maxTable {
		return nil, unsupported("VHD block allocation table of %d entries", n)
	}
	if tableAt > uint64(s.size) || 4*n > s.size-int64(tableAt) {
		return nil, corrupt("VHD block allocation table of %d bytes at %d lies beyond the file", 4*n, tableAt)
	}
	t := &vhdTable{bitmapSize: roundUp((bs/512+7)/8, 512), diff: f.diskType == vhdTypeDifferencing}
	raw := make([]byte, 4*n)
	if err := readFull(s, raw, int64(tableAt)); err != nil {
		return nil, fmt.Errorf("reading VHD block allocation table: %w", err)
	}
	t.entries = make([]uint32, n)
	spans := []span{{int64(f.dataOffset), int64(f.dataOffset) + vhdHeaderSize}, {int64(tableAt), int64(tableAt) + 4*n}}
	for i := range t.entries {
		e := be.Uint32(raw[4*i:])
		t.entries[i] = e
		if e == vhdNoBlock {
			continue
		}
		from := int64(e) * 512
		// The last block may be cut to the disk.
		to := from + t.bitmapSize + min(bs, info.VirtualSize-int64(i)*bs)
		if from < footerSize || to > s.size {
			return nil, corrupt("VHD block allocation table: block %d at sector %d lies outside the file", i, e)
		}
		spans = append(spans, span{from, to})
	}
	if err := overlap(spans); err != nil {
		return nil, fmt.Errorf("checking VHD block allocation table: %w", err)
	}
	d := &blockDisk{source: s, info: info, table: t, msbFirst: true}
	if t.diff {
		if err := d.attachVHDParent(h); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// attachVHDParent opens the disk that the header of a differencing disk names.
func (d *blockDisk) attachVHDParent(header []byte) error {
	candidates, err := vhdParents(d.source, header)
	if err != nil {
		return err
	}
	parent, err := d.openParent(candidates, VHD)
	if err != nil {
		return err
	}
	var id [16]byte
	copy(id[:], header[40:])
	got, ok := vhdID(parent)
	if !ok || got != id {
		parent.Close()
		return fmt.Errorf("%w: %s has the id %x, the child was made on %x", ErrParent, parent.Info().Files[0], got, id)
	}
	d.parent = &parentDisk{Disk: parent}
	d.info.adopt(parent)
	return nil
}

func vhdID(d Disk) (id [16]byte, ok bool) {
	var s source
	switch p := d.(type) {
	case *flat:
		s = p.source
	case *blockDisk:
		s = p.source
	}
	f, _, err := readFooter(s)
	return f.id, err == nil
}

// vhdParents are the places to look for the parent, best first: the relative
// locator, the absolute one where it means something, and a file of that name
// beside the child.
func vhdParents(s source, h []byte) ([]string, error) {
	be := binary.BigEndian
	var relative, absolute string
	for i := range 8 {
		e := h[576+24*i:]
		code, size, at := string(e[:4]), int64(be.Uint32(e[8:])), be.Uint64(e[16:])
		if code != "W2ru" && code != "W2ku" {
			continue
		}
		if size > 64*kib || at > uint64(s.size) {
			return nil, corrupt("VHD parent locator %d: %d bytes at %d", i, size, at)
		}
		b := make([]byte, size)
		if err := readFull(s, b, int64(at)); err != nil {
			return nil, fmt.Errorf("reading VHD parent locator %d: %w", i, err)
		}
		if code == "W2ru" {
			relative = utf16String(b, binary.LittleEndian)
		} else {
			absolute = utf16String(b, binary.LittleEndian)
		}
	}
	return parentCandidates(relative, absolute, utf16String(h[64:576], be)), nil
}

// parentCandidates turns what a child says of its parent into paths of this
// system. Absolute Windows paths are only followed on Windows, and never to
// another machine.
func parentCandidates(relative, absolute, name string) []string {
	var c []string
	add := func(p string) {
		if p != "" && !strings.ContainsRune(p, 0) {
			c = append(c, p)
		}
	}
	rel := strings.ReplaceAll(relative, `\`, "/")
	if !strings.HasPrefix(rel, "/") && !strings.Contains(rel, ":") {
		add(rel)
	}
	if runtime.GOOS == "windows" && !strings.HasPrefix(absolute, `\\`) {
		add(absolute)
	}
	add(baseName(absolute))
	add(baseName(name))
	return c
}

func utf16String(b []byte, o binary.ByteOrder) string {
	u := make([]uint16, 0, len(b)/2)
	for ; len(b) >= 2; b = b[2:] {
		c := o.Uint16(b)
		if c == 0 {
			break
		}
		u = append(u, c)
	}
	return string(utf16.Decode(u))
}

func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }
