package diskimage

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// readVHDXHeader returns the current one of the two headers: the valid one
// with the higher sequence number.
func readVHDXHeader(s source) (current vhdxHeader, err error) {
	found := false
	for _, at := range []int64{vhdxHeader1, vhdxHeader2} {
		var h vhdxHeader
		_, valid, err := readSealed(s, at, vhdxHeaderLen, vhdxHeaderSign, &h)
		if err != nil {
			return h, fmt.Errorf("reading VHDX header at %d: %w", at, err)
		}
		if !valid || found && h.SequenceNumber <= current.SequenceNumber {
			continue
		}
		if h.Version != 1 {
			return h, unsupported("VHDX header: version %d", h.Version)
		}
		if l := h.log(); h.LogOffset%uint64(mib) != 0 || h.LogLength%uint32(mib) != 0 || h.LogOffset < uint64(mib) || h.LogOffset > uint64(s.size) || l.to > s.size {
			return h, corrupt("VHDX header: log of %d bytes at %d", h.LogLength, h.LogOffset)
		}
		if h.LogVersion != 0 && h.LogGuid != (guid{}) {
			return h, unsupported("VHDX header: log version %d", h.LogVersion)
		}
		found, current = true, h
	}
	if !found {
		return current, corrupt("VHDX header: neither of the two is valid (signature, checksum)")
	}
	return current, nil
}

func (h vhdxHeader) log() span {
	return span{int64(h.LogOffset), int64(h.LogOffset) + int64(h.LogLength)}
}

// vhdxRegions are the regions that every VHDX has.
type vhdxRegions struct{ bat, metadata span }

// readVHDXRegions reads the first valid region table.
func readVHDXRegions(s source) (r vhdxRegions, err error) {
	var (
		t     vhdxRegionTable
		b     []byte
		valid bool
	)
	for _, at := range []int64{vhdxRegions1, vhdxRegions2} {
		if b, valid, err = readSealed(s, at, vhdxTableLen, vhdxRegionSign, &t); err != nil {
			return r, fmt.Errorf("reading VHDX region table at %d: %w", at, err)
		}
		if valid {
			break
		}
	}
	if !valid {
		return r, corrupt("VHDX region table: neither of the two is valid (signature, checksum)")
	}
	if t.EntryCount > vhdxMaxItems {
		return r, corrupt("VHDX region table: %d entries", t.EntryCount)
	}
	entries := make([]vhdxRegionEntry, t.EntryCount)
	if _, err := readStruct(bytes.NewReader(b), int64(binary.Size(t)), le, entries); err != nil {
		return r, fmt.Errorf("reading VHDX region table: %w", err)
	}
	for i, e := range entries {
		from, length := e.FileOffset, int64(e.Length)
		if from < uint64(mib) || from%uint64(mib) != 0 || from > uint64(s.size) || length > s.size-int64(from) {
			return r, corrupt("VHDX region table: region %d of %d bytes at %d lies outside the file", i, length, from)
		}
		var dst *span
		switch e.Guid {
		case vhdxRegionBAT:
			dst = &r.bat
		case vhdxRegionMetadata:
			dst = &r.metadata
		default:
			if e.Required&vhdxRequired != 0 {
				return r, unsupported("VHDX region table: unknown required region %s", e.Guid)
			}
			continue
		}
		if dst.to != 0 {
			return r, corrupt("VHDX region table: region %d appears twice", i)
		}
		*dst = span{int64(from), int64(from) + length}
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
	if region.to-region.from < vhdxTableLen {
		return m, corrupt("VHDX metadata region of %d bytes", region.to-region.from)
	}
	var t vhdxMetadataTable
	if _, err := readStruct(s, region.from, le, &t); err != nil {
		return m, fmt.Errorf("reading VHDX metadata table: %w", err)
	}
	if string(t.Signature[:]) != vhdxMetadataSign {
		return m, corrupt("VHDX metadata table: signature %q", t.Signature)
	}
	if t.EntryCount > vhdxMaxItems {
		return m, corrupt("VHDX metadata table: %d entries", t.EntryCount)
	}
	entries := make([]vhdxMetadataEntry, t.EntryCount)
	if _, err := readStruct(s, region.from+int64(binary.Size(t)), le, entries); err != nil {
		return m, fmt.Errorf("reading VHDX metadata table: %w", err)
	}
	items := map[guid][]byte{}
	// What is read at least, and at most for the locator, of each known item.
	want := map[guid]int64{vhdxItemFile: 8, vhdxItemSize: 8, vhdxItemID: 16, vhdxItemLogical: 4, vhdxItemPhysical: 4, vhdxItemLocator: 20}
	for _, e := range entries {
		id, at, length := e.ItemID, int64(e.Offset), int64(e.Length)
		least, known := want[id]
		if !known {
			if e.Flags&vhdxMetaIsRequired != 0 {
				return m, unsupported("VHDX metadata table: unknown required item %s", id)
			}
			continue
		}
		if items[id] != nil {
			return m, corrupt("VHDX metadata table: item %s appears twice", id)
		}
		if length < least || length > mib || at < vhdxTableLen || at+length > region.to-region.from {
			return m, corrupt("VHDX metadata table: item %s of %d bytes at %d", id, length, at)
		}
		v := make([]byte, length)
		if err := readFull(s, v, region.from+at); err != nil {
			return m, fmt.Errorf("reading VHDX metadata item %s: %w", id, err)
		}
		items[id] = v
	}
	for id, name := range map[guid]string{vhdxItemFile: "file parameters", vhdxItemSize: "virtual disk size", vhdxItemLogical: "logical sector size"} {
		if items[id] == nil {
			return m, corrupt("VHDX metadata: no %s", name)
		}
	}
	var file vhdxFileParameters
	if _, err := binary.Decode(items[vhdxItemFile], le, &file); err != nil {
		return m, fmt.Errorf("reading VHDX file parameters: %w", err)
	}
	m.blockSize = int64(file.BlockSize)
	m.fixed, m.hasParent = file.Flags&vhdxLeaveAllocated != 0, file.Flags&vhdxHasParent != 0
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
	r := bytes.NewReader(b)
	var l vhdxLocator
	if _, err := readStruct(r, 0, le, &l); err != nil {
		return nil, corrupt("VHDX metadata: a differencing disk without parent locator")
	}
	if l.LocatorType != vhdxLocatorVHDX {
		return nil, unsupported("VHDX parent locator of type %s", l.LocatorType)
	}
	entries := make([]vhdxLocatorEntry, l.KeyValueCount)
	if _, err := readStruct(r, int64(binary.Size(l)), le, entries); err != nil {
		return nil, corrupt("VHDX parent locator: %d entries in %d bytes", len(entries), len(b))
	}
	text := func(at uint32, length uint16) (string, error) {
		u := make([]uint16, length/2)
		if _, err := readStruct(r, int64(at), le, u); err != nil {
			return "", corrupt("VHDX parent locator: text of %d bytes at %d", length, at)
		}
		return utf16String(u), nil
	}
	pairs := map[string]string{}
	for _, e := range entries {
		key, err := text(e.KeyOffset, e.KeyLength)
		if err != nil {
			return nil, err
		}
		if pairs[key], err = text(e.ValueOffset, e.ValueLength); err != nil {
			return nil, err
		}
	}
	return pairs, nil
}
