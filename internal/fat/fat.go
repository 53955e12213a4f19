// Package fat reads the files of a FAT12, FAT16 or FAT32 volume, such as an EFI
// system partition, strictly and without writing.
//
// Source: Microsoft, "FAT: General Overview of On-Disk Format", version 1.03
// (fatgen103), sections "Boot Sector and BPB", "FAT Data Structure", "FAT
// Directory Structure" and "FAT Long Directory Entries".
package fat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/bits"
	"strings"
	"time"
	"unicode/utf16"
)

var (
	// ErrNotFAT is the error for a volume of another kind.
	ErrNotFAT = errors.New("not a FAT volume")
	// ErrCorrupt is wrapped by errors about what the volume says of itself.
	ErrCorrupt = errors.New("corrupt FAT volume")
)

var le = binary.LittleEndian

func corrupt(format string, a ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, a...))
}

const (
	maxFolder = 2 << 20 // bytes of a directory (fatgen103: 65,536 entries)
	entrySize = 32

	volumeLabel = 0x08
	folder      = 0x10
	longName    = 0x0f
	deleted     = 0xe5
)

// Volume is an opened volume. It is not safe for concurrent use.
type Volume struct {
	r        io.ReaderAt
	start    int64
	cluster  int64 // bytes
	table    int64 // where the first FAT is, in bytes from the start
	tableEnd int64
	fixed    region // the root directory of FAT12 and FAT16
	root     uint32 // its cluster with FAT32
	data     int64  // where cluster 2 is
	clusters uint32 // highest cluster + 1
	width    int    // bits of an entry: 12, 16, 32
	page     []byte // of the FAT
	pageAt   int64
	// listed are the entries of the folder that was read last, which begins in
	// cluster listedAt: paths are looked up one after the other.
	listed   []entry
	listedAt uint32
}

type region struct{ at, length int64 }

// Open reads the boot sector of a volume that lies at start in r and is at most
// length bytes long. The error wraps ErrNotFAT or ErrCorrupt, or is one of
// reading.
func Open(r io.ReaderAt, start, length int64) (*Volume, error) {
	b := make([]byte, 512)
	if length < int64(len(b)) {
		return nil, ErrNotFAT
	}
	if _, err := r.ReadAt(b, start); err != nil {
		return nil, fmt.Errorf("reading boot sector: %w", err)
	}
	sector, perCluster := int64(le.Uint16(b[11:])), int64(b[13])
	reserved, tables := int64(le.Uint16(b[14:])), int64(b[16])
	power := func(n int64) bool { return n > 0 && bits.OnesCount64(uint64(n)) == 1 }
	if b[510] != 0x55 || b[511] != 0xaa || !power(sector) || sector < 512 || sector > 4096 || !power(perCluster) || reserved == 0 || tables == 0 || tables > 2 {
		return nil, ErrNotFAT
	}
	total, tableSize := int64(le.Uint16(b[19:])), int64(le.Uint16(b[22:]))
	if total == 0 {
		total = int64(le.Uint32(b[32:]))
	}
	wide := tableSize == 0
	if wide {
		tableSize = int64(le.Uint32(b[36:]))
	}
	v := &Volume{r: r, start: start, cluster: sector * perCluster, table: reserved * sector}
	v.tableEnd = v.table + tableSize*sector
	v.fixed = region{v.table + tables*tableSize*sector, int64(le.Uint16(b[17:])) * entrySize}
	v.data = v.fixed.at + (v.fixed.length+sector-1)/sector*sector
	count := (total*sector - v.data) / v.cluster
	if tableSize == 0 || count <= 0 || count > 0x0ffffff5 || total*sector > length {
		return nil, corrupt("%d sectors with tables of %d in a partition of %d bytes", total, tableSize, length)
	}
	v.clusters = uint32(count) + 2
	switch { // the kind is told by the number of clusters alone
	case count < 4085:
		v.width = 12
	case count < 65525:
		v.width = 16
	default:
		v.width, v.root = 32, le.Uint32(b[44:])
	}
	if wide != (v.width == 32) || int64(v.clusters)*int64(v.width)/8 > v.tableEnd-v.table {
		return nil, corrupt("%d clusters do not fit its tables", count)
	}
	return v, nil
}

// FS is the tree of files. Names are found whatever their case.
func (v *Volume) FS() fs.FS { return fileSystem{v} }

// next is the cluster behind one in its chain; end: there is none.
func (v *Volume) next(cluster uint32) (next uint32, end bool, err error) {
	bit := int64(cluster) * int64(v.width)
	at := v.table + bit/8
	page := at &^ 4095
	if v.page == nil || v.pageAt != page || at+4 > page+int64(len(v.page)) {
		v.page, v.pageAt = make([]byte, min(4096+4, max(v.tableEnd-page, 4))), page
		if n, err := v.r.ReadAt(v.page, v.start+page); n < len(v.page) {
			v.page = nil
			return 0, false, fmt.Errorf("reading FAT: %w", err)
		}
	}
	b := make([]byte, 4)
	copy(b, v.page[at-page:])
	n := le.Uint32(b)
	switch v.width {
	case 12:
		n = n >> (bit & 7) & 0xfff
	case 16:
		n &= 0xffff
	default:
		n &= 0x0fffffff
	}
	switch last := uint32(1)<<min(v.width, 28) - 8; {
	case n >= last:
		return 0, true, nil
	case n < 2 || n >= v.clusters:
		return 0, false, corrupt("cluster %d is followed by %d", cluster, n)
	}
	return n, false, nil
}

// chain returns where the clusters of a file or directory lie, for at most limit
// bytes.
func (v *Volume) chain(first uint32, limit int64) (at []int64, err error) {
	for cluster := first; int64(len(at))*v.cluster < limit; {
		if cluster < 2 || cluster >= v.clusters {
			return nil, corrupt("there is no cluster %d", cluster)
		}
		if len(at) >= int(v.clusters) {
			return nil, corrupt("the chain from cluster %d leads back to itself", first)
		}
		at = append(at, v.start+v.data+int64(cluster-2)*v.cluster)
		next, end, err := v.next(cluster)
		if err != nil {
			return nil, err
		}
		if end {
			return at, nil
		}
		cluster = next
	}
	return at, nil
}

// entry is a file or folder.
type entry struct {
	name, short string
	attributes  byte
	first       uint32
	size        int64
	modified    time.Time
}

func (e entry) isFolder() bool { return e.attributes&folder != 0 }

// list reads a directory, unless it is the one that was read last.
func (v *Volume) list(dir entry) (entries []entry, err error) {
	if v.listed != nil && v.listedAt == dir.first {
		return v.listed, nil
	}
	if entries, err = v.entries(dir); err == nil && entries != nil {
		v.listed, v.listedAt = entries, dir.first
	}
	return entries, err
}

// entries reads a directory.
func (v *Volume) entries(dir entry) (entries []entry, err error) {
	var pieces []region
	if dir.first == 0 && v.width != 32 { // the root; ".." of its folders is not followed
		pieces = []region{{v.start + v.fixed.at, v.fixed.length}}
	} else {
		first := dir.first
		if first == 0 {
			first = v.root
		}
		at, err := v.chain(first, maxFolder)
		if err != nil {
			return nil, err
		}
		for _, a := range at {
			pieces = append(pieces, region{a, v.cluster})
		}
	}
	var long longest
	for _, p := range pieces {
		b := make([]byte, p.length)
		if n, err := v.r.ReadAt(b, p.at); n < len(b) {
			return nil, fmt.Errorf("reading directory: %w", err)
		}
		for ; len(b) >= entrySize; b = b[entrySize:] {
			switch {
			case b[0] == 0:
				return entries, nil
			case b[0] == deleted:
				long = longest{}
			case b[11]&0x3f == longName:
				long.add(b)
			case b[11]&volumeLabel != 0:
				long = longest{}
			default:
				e := v.decode(b)
				if e.name = long.of(b[:11]); e.name == "" {
					e.name = e.short
				}
				long = longest{}
				if e.name != "." && e.name != ".." {
					entries = append(entries, e)
				}
			}
		}
	}
	return entries, nil
}

func (v *Volume) decode(b []byte) entry {
	name, ending := strings.TrimRight(string(b[:8]), " "), strings.TrimRight(string(b[8:11]), " ")
	// Windows NT keeps small letters in two bits of NTRes, which it then hides.
	if b[12]&0x08 != 0 {
		name = strings.ToLower(name)
	}
	if b[12]&0x10 != 0 {
		ending = strings.ToLower(ending)
	}
	if ending != "" {
		name += "." + ending
	}
	e := entry{short: name, attributes: b[11], first: uint32(le.Uint16(b[26:])), size: int64(le.Uint32(b[28:]))}
	if e.isFolder() {
		e.size = 0 // as fatgen103 wants it; what stands there says nothing
	}
	if v.width == 32 {
		e.first |= uint32(le.Uint16(b[20:])) << 16
	}
	day, clock := int(le.Uint16(b[24:])), int(le.Uint16(b[22:]))
	e.modified = time.Date(1980+day>>9, time.Month(day>>5&15), day&31, clock>>11, clock>>5&63, clock&31*2, 0, time.UTC)
	return e
}

// longest gathers the pieces of a long name, which stand before its entry, the
// last one first.
type longest struct {
	units []uint16
	next  byte // number of the piece that is expected
	sum   byte
}

func (l *longest) add(b []byte) {
	number := b[0] & 0x1f
	if b[0]&0x40 != 0 {
		*l = longest{next: number, sum: b[13]}
	}
	if number == 0 || number != l.next || b[13] != l.sum {
		*l = longest{}
		return
	}
	var piece []uint16
	for _, part := range [][]byte{b[1:11], b[14:26], b[28:32]} {
		for i := 0; i+1 < len(part); i += 2 {
			piece = append(piece, le.Uint16(part[i:]))
		}
	}
	l.units, l.next = append(piece, l.units...), number-1
}

// of is the long name that belongs to a short one, "" where there is none.
func (l *longest) of(short []byte) string {
	var sum byte
	for _, c := range short {
		sum = sum>>1 | sum<<7
		sum += c
	}
	if l.units == nil || l.next != 0 || sum != l.sum {
		return ""
	}
	for i, u := range l.units {
		if u == 0 {
			return string(utf16.Decode(l.units[:i]))
		}
	}
	return string(utf16.Decode(l.units))
}
