package diskimage

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

const (
	vhdCookie  = "conectix"
	footerSize = 512

	// maxVHD is the largest disk a VHD can hold ([VHD] and Windows: 2040 GiB).
	maxVHD = 2040 * gib

	vhdTypeFixed        = 2
	vhdTypeDynamic      = 3
	vhdTypeDifferencing = 4
)

// vhdEpoch is the zero of VHD time stamps.
var vhdEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// footer is the hard disk footer ([VHD], "Hard Disk Footer Format").
type footer struct {
	dataOffset uint64
	creator    string // 4 bytes
	version    uint32
	size       uint64 // current size
	cylinders  uint16
	heads      uint8
	sectors    uint8
	diskType   uint32
	id         [16]byte
	savedState bool
}

func parseFooter(b []byte) (footer, error) {
	be := binary.BigEndian
	if string(b[:8]) != vhdCookie {
		return footer{}, corrupt("VHD footer: cookie %q is not %q", b[:8], vhdCookie)
	}
	if got, want := vhdChecksum(b[:footerSize], 64), be.Uint32(b[64:]); got != want {
		return footer{}, corrupt("VHD footer: checksum is %#08x, the content gives %#08x", want, got)
	}
	if v := be.Uint32(b[12:]); v>>16 != 1 {
		return footer{}, unsupported("VHD footer: format version %d.%d", v>>16, v&0xffff)
	}
	f := footer{
		dataOffset: be.Uint64(b[16:]), creator: string(b[28:32]), version: be.Uint32(b[32:]),
		size: be.Uint64(b[48:]), cylinders: be.Uint16(b[56:]), heads: b[58], sectors: b[59],
		diskType: be.Uint32(b[60:]), savedState: b[84] != 0,
	}
	copy(f.id[:], b[68:])
	if f.size == 0 || f.size%512 != 0 || f.size > uint64(maxDisk) {
		return footer{}, corrupt("VHD footer: current size %d", f.size)
	}
	return f, nil
}

// newFooter describes a disk of the given size the way Windows does: creator
// "win ", whose readers take the size from the footer and not from the
// geometry.
func newFooter(size int64, diskType uint32, id [16]byte) footer {
	f := footer{dataOffset: ^uint64(0), creator: "win ", version: 0x000a0000, size: uint64(size), diskType: diskType, id: id}
	if diskType != vhdTypeFixed {
		f.dataOffset = footerSize
	}
	f.cylinders, f.heads, f.sectors = geometry(size)
	return f
}

func (f footer) marshal(now time.Time) []byte {
	be := binary.BigEndian
	b := make([]byte, footerSize)
	copy(b, vhdCookie)
	be.PutUint32(b[8:], 2) // features: the reserved bit is always set
	be.PutUint32(b[12:], 0x00010000)
	be.PutUint64(b[16:], f.dataOffset)
	be.PutUint32(b[24:], uint32(now.Sub(vhdEpoch)/time.Second))
	copy(b[28:32], f.creator)
	be.PutUint32(b[32:], f.version)
	copy(b[36:40], "Wi2k")
	be.PutUint64(b[40:], f.size)
	be.PutUint64(b[48:], f.size)
	be.PutUint16(b[56:], f.cylinders)
	b[58], b[59] = f.heads, f.sectors
	be.PutUint32(b[60:], f.diskType)
	copy(b[68:84], f.id[:])
	be.PutUint32(b[64:], vhdChecksum(b, 64))
	return b
}

// app is the creator for a report.
func (f footer) app() string {
	name := strings.TrimRight(f.creator, " \x00")
	return fmt.Sprintf("%q %d.%d", name, f.version>>16, f.version&0xffff)
}

// warnings are what other programs make of the footer.
func (f footer) warnings(i *Info) {
	i.warnSize()
	chs := int64(f.cylinders) * int64(f.heads) * int64(f.sectors) * 512
	// QEMU and old readers take the size from the geometry unless they know
	// the creator as one whose current size counts (QEMU block/vpc.c).
	switch f.creator {
	case "win ", "qem2", "d2v ", "tap\x00", "CTXS", "wa\x00\x00":
	default:
		if chs != int64(f.size) && chs < 65535*16*255*512 {
			i.warn("size %d is not what the geometry of creator %q gives (%d); QEMU reads the latter", f.size, f.creator, chs)
		}
	}
	if f.savedState {
		i.warn("the footer says that the machine was saved, not shut down")
	}
}

// vhdChecksum is the one's complement of the sum of all bytes but the
// checksum's own four.
func vhdChecksum(b []byte, at int) uint32 {
	var sum uint32
	for i, c := range b {
		if i < at || i >= at+4 {
			sum += uint32(c)
		}
	}
	return ^sum
}

// geometry is the CHS calculation of [VHD], appendix.
func geometry(size int64) (cylinders uint16, heads, sectors uint8) {
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
	return uint16(ch / h), uint8(h), uint8(s)
}
