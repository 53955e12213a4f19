package diskimage

import (
	"encoding/binary"
	"fmt"
)

const (
	vhdxHeader1  = 64 << 10
	vhdxHeader2  = 128 << 10
	vhdxRegions1 = 192 << 10
	vhdxRegions2 = 256 << 10
	vhdxTableLen = 64 << 10
	vhdxMaxItems = 2047
)

// vhdxHeader is the part of the file header that counts for reading
// ([MS-VHDX] 2.2.2).
type vhdxHeader struct {
	sequence    uint64
	dataWriteID [16]byte
	logID       [16]byte
	log         span
}

// readVHDXHeader returns the current one of the two headers: the valid one
// with the higher sequence number.
func readVHDXHeader(s source) (h vhdxHeader, err error) {
	le := binary.LittleEndian
	found := false
	b := make([]byte, 4096)
	for _, at := range []int64{vhdxHeader1, vhdxHeader2} {
		if err := readFull(s, b, at); err != nil {
			return h, fmt.Errorf("reading VHDX header at %d: %w", at, err)
		}
		seq := le.Uint64(b[8:])
		if string(b[:4]) != "head" || vhdxCRC(b) != le.Uint32(b[4:]) || found && seq <= h.sequence {
			continue
		}
		if v := le.Uint16(b[66:]); v != 1 {
			return h, unsupported("VHDX header: version %d", v)
		}
		found = true
		h = vhdxHeader{sequence: seq}
		copy(h.dataWriteID[:], b[32:])
		copy(h.logID[:], b[48:])
		length, from := int64(le.Uint32(b[68:])), le.Uint64(b[72:])
		if from%uint64(mib) != 0 || length%mib != 0 || from < uint64(mib) || from > uint64(s.size) || length > s.size-int64(from) {
			return h, corrupt("VHDX header: log of %d bytes at %d", length, from)
		}
		h.log = span{int64(from), int64(from) + length}
		if v := le.Uint16(b[64:]); v != 0 && h.logID != [16]byte{} {
			return h, unsupported("VHDX header: log version %d", v)
		}
	}
	if !found {
		return h, corrupt("VHDX header: neither of the two is valid (signature, checksum)")
	}
	return h, nil
}

// vhdxRegions are the regions that every VHDX has.
type vhdxRegions struct{ bat, metadata span }

// readVHDXRegions reads the first valid region table ([MS-VHDX] 2.2.3).
func readVHDXRegions(s source) (r vhdxRegions, err error) {
	le := binary.LittleEndian
	b := make([]byte, vhdxTableLen)
	valid := false
	for _, at := range []int64{vhdxRegions1, vhdxRegions2} {
		if err := readFull(s, b, at); err != nil {
			return r, fmt.Errorf("reading VHDX region table at %d: %w", at, err)
		}
		if valid = string(b[:4]) == "regi" && vhdxCRC(b) == le.Uint32(b[4:]); valid {
			break
		}
	}
	if !valid {
		return r, corrupt("VHDX region table: neither of the two is valid (signature, checksum)")
	}
	n := int(le.Uint32(b[8:]))
	if n > vhdxMaxItems {
		return r, corrupt("VHDX region table: %d entries", n)
	}
	for i := range n {
		e := b[16+32*i:]
		from, length := le.Uint64(e[16:]), int64(le.Uint32(e[24:]))
		if from < uint64(mib) || from%uint64(mib) != 0 || from > uint64(s.size) || length > s.size-int64(from) {
			return r, corrupt("VHDX region table: region %d of %d bytes at %d lies outside the file", i, length, from)
		}
		region := span{int64(from), int64(from) + length}
		var dst *span
		switch [16]byte(e[:16]) {
		case vhdxRegionBAT:
			dst = &r.bat
		case vhdxRegionMetadata:
			dst = &r.metadata
		default:
			if le.Uint32(e[28:])&1 != 0 {
				return r, unsupported("VHDX region table: unknown required region %s", guidString([16]byte(e[:16])))
			}
			continue
		}
		if dst.to != 0 {
			return r, corrupt("VHDX region table: region %d is there twice", i)
		}
		*dst = region
	}
	if r.bat.to == 0 || r.metadata.to == 0 {
		return r, corrupt("VHDX region table: block allocation table or metadata region missing")
	}
	return r, nil
}

// vhdxMetadata are the metadata items ([MS-VHDX] 2.6.2).
type vhdxMetadata struct {
	blockSize, size  int64
	logical          int
	fixed, hasParent bool
	locator          map[string]string
}

func readVHDXMetadata(s source, region span) (m vhdxMetadata, err error) {
	le := binary.LittleEndian
	if region.to-region.from < vhdxTableLen {
		return m, corrupt("VHDX metadata region of %d bytes", region.to-region.from)
	}
	b := make([]byte, vhdxTableLen)
	if err := readFull(s, b, region.from); err != nil {
		return m, fmt.Errorf("reading VHDX metadata table: %w", err)
	}
	if string(b[:8]) != "metadata" {
		return m, corrupt("VHDX metadata table: signature %q", b[:8])
	}
	n := int(le.Uint16(b[10:]))
	if n > vhdxMaxItems {
		return m, corrupt("VHDX metadata table: %d entries", n)
	}
	items := map[[16]byte][]byte{}
	// What is read at least, and at most for the locator, of each known item.
	want := map[[16]byte]int64{vhdxItemFile: 8, vhdxItemSize: 8, vhdxItemID: 16, vhdxItemLogical: 4, vhdxItemPhysical: 4, vhdxItemLocator: 20}
	for i := range n {
		e := b[32+32*i:]
		id := [16]byte(e[:16])
		at, length, flags := int64(le.Uint32(e[16:])), int64(le.Uint32(e[20:])), le.Uint32(e[24:])
		least, known := want[id]
		if !known {
			if flags&4 != 0 {
				return m, unsupported("VHDX metadata table: unknown required item %s", guidString(id))
			}
			continue
		}
		if items[id] != nil {
			return m, corrupt("VHDX metadata table: item %s is there twice", guidString(id))
		}
		if length < least || length > mib || at < vhdxTableLen || at+length > region.to-region.from {
			return m, corrupt("VHDX metadata table: item %s of %d bytes at %d", guidString(id), length, at)
		}
		v := make([]byte, length)
		if err := readFull(s, v, region.from+at); err != nil {
			return m, fmt.Errorf("reading VHDX metadata item %s: %w", guidString(id), err)
		}
		items[id] = v
	}
	for id, name := range map[[16]byte]string{vhdxItemFile: "file parameters", vhdxItemSize: "virtual disk size", vhdxItemLogical: "logical sector size"} {
		if items[id] == nil {
			return m, corrupt("VHDX metadata: no %s", name)
		}
	}
	m.blockSize = int64(le.Uint32(items[vhdxItemFile]))
	flags := le.Uint32(items[vhdxItemFile][4:])
	m.fixed, m.hasParent = flags&1 != 0, flags&2 != 0
	size := le.Uint64(items[vhdxItemSize])
	m.logical = int(le.Uint32(items[vhdxItemLogical]))
	if m.logical != 512 && m.logical != 4096 {
		return m, corrupt("VHDX metadata: logical sector size %d", m.logical)
	}
	if m.blockSize < mib || m.blockSize > 256*mib || m.blockSize&(m.blockSize-1) != 0 {
		return m, corrupt("VHDX metadata: block size %d", m.blockSize)
	}
	if size == 0 || size > uint64(maxDisk) || size%uint64(m.logical) != 0 {
		return m, corrupt("VHDX metadata: virtual disk size %d", size)
	}
	m.size = int64(size)
	if m.hasParent {
		if m.locator, err = parseVHDXLocator(items[vhdxItemLocator]); err != nil {
			return m, err
		}
	}
	return m, nil
}

// parseVHDXLocator reads the key-value pairs of a parent locator ([MS-VHDX]
// 2.6.2.6).
func parseVHDXLocator(b []byte) (map[string]string, error) {
	le := binary.LittleEndian
	if len(b) < 20 {
		return nil, corrupt("VHDX metadata: a differencing disk without parent locator")
	}
	if id := [16]byte(b[:16]); id != vhdxLocatorType {
		return nil, unsupported("VHDX parent locator of type %s", guidString(id))
	}
	n := int(le.Uint16(b[18:]))
	if 20+12*n > len(b) {
		return nil, corrupt("VHDX parent locator: %d entries in %d bytes", n, len(b))
	}
	text := func(at uint32, length uint16) (string, error) {
		if int64(at)+int64(length) > int64(len(b)) {
			return "", corrupt("VHDX parent locator: text of %d bytes at %d", length, at)
		}
		return utf16String(b[at:at+uint32(length)], le), nil
	}
	pairs := map[string]string{}
	for i := range n {
		e := b[20+12*i:]
		key, err := text(le.Uint32(e), le.Uint16(e[8:]))
		if err != nil {
			return nil, err
		}
		if pairs[key], err = text(le.Uint32(e[4:]), le.Uint16(e[10:])); err != nil {
			return nil, err
		}
	}
	return pairs, nil
}
