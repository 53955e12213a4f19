package diskimage

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"unicode/utf16"
)

const vhdNoBlock = 0xffffffff

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
	f, damage, err := readFooter(s)
	if err != nil {
		return nil, err
	}
	info := s.info(VHD, map[uint32]Type{vhdTypeFixed: Fixed, vhdTypeDynamic: Dynamic, vhdTypeDifferencing: Differencing}[f.DiskType])
	info.VirtualSize = int64(f.CurrentSize)
	info.Creator = f.app()
	f.warnings(&info)
	if damage != "" {
		info.FooterDamaged = true
		info.warn("%s", damage)
	}
	switch f.DiskType {
	case vhdTypeFixed:
		if info.VirtualSize > s.size-footerSize {
			return nil, cutOff("VHD footer", s.size, info.VirtualSize+footerSize)
		}
		if info.VirtualSize < s.size-footerSize {
			info.warn("the file holds %d bytes more than the disk", s.size-footerSize-info.VirtualSize)
		}
		d := &flat{source: s, info: info}
		d.info.warnSector(gptSector(d))
		return d, nil
	case vhdTypeDynamic, vhdTypeDifferencing:
		return openDynamicVHD(s, f, info)
	}
	return nil, unsupported("VHD footer: disk type %d", f.DiskType)
}

// readFooter reads the footer at the end or, when that one is damaged, the copy
// that all but fixed disks have at the start. damage: one of the two is of no use, or
// they do not agree, and other programs may take the other one (QEMU reads the copy
// at the start, block/vpc.c).
func readFooter(s source) (f vhdFooter, damage string, err error) {
	if s.size < footerSize {
		return f, "", corrupt("the file of %d bytes is too short for a VHD footer", s.size)
	}
	b, err := readStruct(s, s.size-footerSize, be, &f)
	if err != nil {
		return f, "", fmt.Errorf("reading VHD footer: %w", err)
	}
	broken := f.check(b)
	if broken == nil && f.DiskType == vhdTypeFixed {
		return f, "", nil
	}
	var c vhdFooter
	if b, err = readStruct(s, 0, be, &c); err != nil {
		return f, "", fmt.Errorf("reading copy of VHD footer: %w", err)
	}
	copied := c.check(b)
	switch {
	case broken != nil && copied == nil && c.DiskType != vhdTypeFixed:
		return c, "the footer at the end of the file is damaged; its copy at the start was used", nil
	case broken != nil && f.wholeBefore(s.size):
		return f, "", fmt.Errorf("%w; the disk before the footer is whole: cut the footer off and read it as a raw disk (truncate -s -512 FILE), or have a new one written from that (qemu-img convert -f raw -O vpc -o subformat=fixed,force_size=on)", broken)
	case broken != nil:
		return f, "", broken
	case copied != nil:
		return f, fmt.Sprintf("the copy of the footer at the start of the file is damaged (%v); the one at the end was used, other programs read the copy only", copied), nil
	case c.CurrentSize != f.CurrentSize || c.DiskType != f.DiskType || c.DataOffset != f.DataOffset || c.UniqueID != f.UniqueID:
		return f, "the footer at the end of the file and its copy at the start differ; the one at the end was used, other programs read the copy only", nil
	}
	return f, "", nil
}

// wholeBefore reports whether a damaged footer is that of a fixed disk all of
// which is there, by its size or, where that is what is damaged, by its type.
func (f vhdFooter) wholeBefore(fileSize int64) bool {
	return string(f.Cookie[:]) == vhdCookie && (f.DiskType == vhdTypeFixed || int64(f.CurrentSize) == fileSize-footerSize) && fileSize%512 == 0
}

func openDynamicVHD(s source, f vhdFooter, info Info) (Disk, error) {
	if f.DataOffset > uint64(s.size) {
		return nil, corrupt("VHD footer: data offset %d lies beyond the file", f.DataOffset)
	}
	h, err := readVHDHeader(s, int64(f.DataOffset))
	if err != nil {
		return nil, err
	}
	bs := int64(h.BlockSize)
	if bs < 4*kib || bs&(bs-1) != 0 || bs > 256*mib {
		return nil, corrupt("VHD dynamic disk header: block size %d", bs)
	}
	info.BlockSize = bs
	n := (info.VirtualSize + bs - 1) / bs
	if n > int64(h.MaxTableEntries) {
		return nil, corrupt("VHD dynamic disk header: %d table entries, the disk needs %d", h.MaxTableEntries, n)
	}
	if 4*n > maxTable {
		return nil, unsupported("VHD block allocation table of %d entries", n)
	}
	if h.TableOffset > uint64(s.size) || 4*n > s.size-int64(h.TableOffset) {
		return nil, corrupt("VHD block allocation table of %d bytes at %d lies beyond the file", 4*n, h.TableOffset)
	}
	header, table := int64(f.DataOffset), int64(h.TableOffset)
	t := &vhdTable{entries: make([]uint32, n), bitmapSize: roundUp((bs/512+7)/8, 512), diff: f.DiskType == vhdTypeDifferencing}
	if _, err := readStruct(s, table, be, t.entries); err != nil {
		return nil, fmt.Errorf("reading VHD block allocation table: %w", err)
	}
	spans, need := []span{{header, header + vhdHeaderSize}, {table, table + 4*n}}, int64(0)
	for i, e := range t.entries {
		if e == vhdNoBlock {
			continue
		}
		from := int64(e) * 512
		// The last block may be cut to the disk.
		to := from + t.bitmapSize + min(bs, info.VirtualSize-int64(i)*bs)
		if from < footerSize || beyond(from, info.VirtualSize) {
			return nil, corrupt("VHD block allocation table: block %d at sector %d lies outside the file", i, e)
		}
		if need = max(need, to); to > s.size {
			continue
		}
		if int64(len(spans)) > s.size/bs+8 { // blocks share no byte
			return nil, corrupt("VHD block allocation table: more blocks are in the file than fit into it")
		}
		spans = append(spans, span{from, to})
	}
	if need > s.size {
		return nil, cutOff("VHD block allocation table", s.size, need+footerSize)
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
	d.info.warnSector(gptSector(d))
	return d, nil
}

// attachVHDParent opens the disk that the header of a differencing disk names.
func (d *blockDisk) attachVHDParent(h vhdHeader) error {
	candidates, err := vhdParents(d.source, h)
	if err != nil {
		return err
	}
	parent, err := d.openParent(candidates, VHD, anyCase)
	if err != nil {
		return err
	}
	if got, ok := vhdID(parent); !ok || got != h.ParentUniqueID {
		parent.Close()
		return fmt.Errorf("%w: %s has the id %x, the child was made on %x: it is another disk; copy the right one there", ErrParent, parent.Info().Files[0], got, h.ParentUniqueID)
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
	return f.UniqueID, err == nil
}

// vhdParents are the places to look for the parent, best first: the relative
// locator, the absolute one where it means something, and a file of that name
// beside the child.
func vhdParents(s source, h vhdHeader) ([]string, error) {
	var relative, absolute string
	for i, l := range h.ParentLocatorEntry {
		code, size, at := string(l.PlatformCode[:]), int64(l.PlatformDataLength), l.PlatformDataOffset
		if code != "W2ru" && code != "W2ku" {
			continue
		}
		if size > 64*kib || at > uint64(s.size) {
			return nil, corrupt("VHD parent locator %d: %d bytes at %d", i, size, at)
		}
		name := make([]uint16, size/2)
		if _, err := readStruct(s, int64(at), le, name); err != nil {
			return nil, fmt.Errorf("reading VHD parent locator %d: %w", i, err)
		}
		if code == "W2ru" {
			relative = utf16String(name)
		} else {
			absolute = utf16String(name)
		}
	}
	return parentCandidates(relative, absolute, utf16String(h.ParentUnicodeName[:])), nil
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

// utf16String is a text that ends at the first zero, if any.
func utf16String(u []uint16) string {
	if i := slices.Index(u, 0); i >= 0 {
		u = u[:i]
	}
	return string(utf16.Decode(u))
}

func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }
