package diskimage

import (
	"fmt"
	"strings"
	"time"
)

const (
	vhdCookie       = "conectix"
	vhdHeaderCookie = "cxsparse"
	footerSize      = 512
	vhdHeaderSize   = 1024

	// maxVHD is the largest disk a VHD can hold ([VHD] and Windows: 2040 GiB).
	maxVHD = 2040 * gib

	vhdTypeFixed        = 2
	vhdTypeDynamic      = 3
	vhdTypeDifferencing = 4

	vhdVersion  = 0x00010000 // of both structures
	vhdReserved = 2          // the bit of Features that is always set
	vhdNowhere  = ^uint64(0) // no structure follows
)

// vhdEpoch is the zero of VHD time stamps.
var vhdEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// vhdFooter is the hard disk footer ([VHD], "Hard Disk Footer Format"), big
// endian like all of the format.
type vhdFooter struct {
	Cookie                      [8]byte
	Features, FileFormatVersion uint32
	DataOffset                  uint64
	TimeStamp                   uint32 // seconds after vhdEpoch
	CreatorApplication          [4]byte
	CreatorVersion              uint32
	CreatorHostOS               [4]byte
	OriginalSize, CurrentSize   uint64
	DiskGeometry                vhdGeometry
	DiskType, Checksum          uint32
	UniqueID                    [16]byte
	SavedState                  uint8
	_                           [427]byte
}

type vhdGeometry struct {
	Cylinder               uint16
	Heads, SectorsPerTrack uint8
}

// vhdHeader is the header of dynamic and differencing disks ([VHD], "Dynamic
// Disk Header Format").
type vhdHeader struct {
	Cookie                                              [8]byte
	DataOffset, TableOffset                             uint64
	HeaderVersion, MaxTableEntries, BlockSize, Checksum uint32
	ParentUniqueID                                      [16]byte
	ParentTimeStamp, _                                  uint32
	ParentUnicodeName                                   [256]uint16
	ParentLocatorEntry                                  [8]vhdLocator
	_                                                   [256]byte
}

type vhdLocator struct {
	PlatformCode                             [4]byte
	PlatformDataSpace, PlatformDataLength, _ uint32
	PlatformDataOffset                       uint64
}

// check judges a footer read from b.
func (f vhdFooter) check(b []byte) error {
	if string(f.Cookie[:]) != vhdCookie {
		return corrupt("VHD footer: cookie %q is not %q", f.Cookie, vhdCookie)
	}
	if sum := vhdChecksum(b, f.Checksum); sum != f.Checksum {
		return corrupt("VHD footer: checksum is %#08x, the content gives %#08x", f.Checksum, sum)
	}
	if v := f.FileFormatVersion; v>>16 != vhdVersion>>16 {
		return unsupported("VHD footer: format version %d.%d", v>>16, v&0xffff)
	}
	if n := f.CurrentSize; n == 0 || n%512 != 0 || n > uint64(maxDisk) {
		return corrupt("VHD footer: current size %d", n)
	}
	return nil
}

// onlyOne is the way out of damage to what the file holds once.
const onlyOne = "; the file has no second one: copy or download it again"

func readVHDHeader(s source, off int64) (h vhdHeader, err error) {
	b, err := readStruct(s, off, be, &h)
	if err != nil {
		return h, fmt.Errorf("reading VHD dynamic disk header: %w", err)
	}
	if string(h.Cookie[:]) != vhdHeaderCookie {
		return h, told{corrupt("VHD dynamic disk header: cookie %q is not %q%s", h.Cookie, vhdHeaderCookie, onlyOne)}
	}
	if sum := vhdChecksum(b, h.Checksum); sum != h.Checksum {
		return h, told{corrupt("VHD dynamic disk header: checksum is %#08x, the content gives %#08x%s", h.Checksum, sum, onlyOne)}
	}
	return h, nil
}

// newVHDFooter describes a disk of the given size the way Windows does: creator
// "win ", whose readers take the size from the footer and not from the
// geometry.
func newVHDFooter(size int64, diskType uint32, id [16]byte) vhdFooter {
	f := vhdFooter{
		Cookie: [8]byte([]byte(vhdCookie)), Features: vhdReserved, FileFormatVersion: vhdVersion, DataOffset: vhdNowhere,
		TimeStamp:          uint32(time.Since(vhdEpoch) / time.Second),
		CreatorApplication: [4]byte([]byte("win ")), CreatorVersion: 0x000a0000, CreatorHostOS: [4]byte([]byte("Wi2k")),
		OriginalSize: uint64(size), CurrentSize: uint64(size), DiskGeometry: geometry(size), DiskType: diskType, UniqueID: id,
	}
	if diskType != vhdTypeFixed {
		f.DataOffset = footerSize
	}
	return f
}

// encode is the footer with its checksum.
func (f vhdFooter) encode() []byte {
	f.Checksum = 0
	f.Checksum = vhdChecksum(pack(be, f), 0)
	return pack(be, f)
}

// encode is the header with its checksum.
func (h vhdHeader) encode() []byte {
	h.Checksum = 0
	h.Checksum = vhdChecksum(pack(be, h), 0)
	return pack(be, h)
}

// app is the creator for a report.
func (f vhdFooter) app() string {
	name := strings.TrimRight(string(f.CreatorApplication[:]), " \x00")
	return fmt.Sprintf("%q %d.%d", name, f.CreatorVersion>>16, f.CreatorVersion&0xffff)
}

// warnings are what other programs make of the footer.
func (f vhdFooter) warnings(i *Info) {
	i.warnSize()
	g := f.DiskGeometry
	chs := int64(g.Cylinder) * int64(g.Heads) * int64(g.SectorsPerTrack) * 512
	// QEMU and old readers take the size from the geometry unless they know
	// the creator as one whose current size counts (QEMU block/vpc.c).
	switch creator := string(f.CreatorApplication[:]); creator {
	case "win ", "qem2", "d2v ", "tap\x00", "CTXS", "wa\x00\x00":
	default:
		if chs != int64(f.CurrentSize) && chs < 65535*16*255*512 {
			i.warn("size %d is not what the geometry of creator %q gives (%d); QEMU reads the latter", f.CurrentSize, creator, chs)
		}
	}
	if f.SavedState != 0 {
		i.warn("the footer says that the machine was saved, not shut down")
	}
}

// vhdChecksum is the one's complement of the sum of all bytes of a structure
// but the four of the checksum that it holds.
func vhdChecksum(b []byte, held uint32) uint32 {
	var sum uint32
	for _, c := range b {
		sum += uint32(c)
	}
	for ; held != 0; held >>= 8 {
		sum -= held & 0xff
	}
	return ^sum
}

// geometry is the CHS calculation of [VHD], appendix.
func geometry(size int64) vhdGeometry {
	const limit = 65535 * 16 * 255
	total := min(size/512, limit)
	var h, s, ch int64
	if total >= 65535*16*63 {
		h, s = 16, 255
		ch = total / s
	} else {
		s = 17
		ch = total / s
		h = max((ch+1023)/1024, 4)
		if ch >= h*1024 || h > 16 {
			h, s = 16, 31
			ch = total / s
		}
		if ch >= h*1024 {
			h, s = 16, 63
			ch = total / s
		}
	}
	return vhdGeometry{uint16(ch / h), uint8(h), uint8(s)}
}
