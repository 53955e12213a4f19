package diskimage

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
)

const vhdxSignature = "vhdxfile"

// States of a payload block ([MS-VHDX] 2.5.1.1).
const (
	vhdxNotPresent       = 0
	vhdxUndefined        = 1
	vhdxZero             = 2
	vhdxUnmapped         = 3
	vhdxFullyPresent     = 6
	vhdxPartiallyPresent = 7
)

// GUIDs as they lie in the file ([MS-VHDX] 2.2.3, 2.6.1.2, 2.6.2).
var (
	vhdxRegionBAT      = guid(0x2dc27766, 0xf623, 0x4200, 0x9d64115e9bfd4a08)
	vhdxRegionMetadata = guid(0x8b7ca206, 0x4790, 0x4b9a, 0xb8fe575f050f886e)
	vhdxItemFile       = guid(0xcaa16737, 0xfa36, 0x4d43, 0xb3b633f0aa44e76b)
	vhdxItemSize       = guid(0x2fa54224, 0xcd1b, 0x4876, 0xb2115dbed83bf4b8)
	vhdxItemID         = guid(0xbeca12ab, 0xb2e6, 0x4523, 0x93efc309e000c746)
	vhdxItemLogical    = guid(0x8141bf1d, 0xa96f, 0x4709, 0xba47f233a8faab5f)
	vhdxItemPhysical   = guid(0xcda348c7, 0x445d, 0x4471, 0x9cc9e9885251c556)
	vhdxItemLocator    = guid(0xa8d35f2d, 0xb30b, 0x454d, 0xabf7d3d84834ab0c)
	vhdxLocatorType    = guid(0xb04aefb7, 0xd19e, 0x4a81, 0xb78925b8e9445913)
)

func guid(a uint32, b, c uint16, d uint64) (g [16]byte) {
	binary.LittleEndian.PutUint32(g[0:], a)
	binary.LittleEndian.PutUint16(g[4:], b)
	binary.LittleEndian.PutUint16(g[6:], c)
	binary.BigEndian.PutUint64(g[8:], d)
	return g
}

func guidString(g [16]byte) string {
	le := binary.LittleEndian
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", le.Uint32(g[0:]), le.Uint16(g[4:]), le.Uint16(g[6:]), g[8:10], g[10:])
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// vhdxCRC is the CRC-32C of b with the checksum's own four bytes at 4 as zeros.
func vhdxCRC(b []byte) uint32 {
	c := crc32.Update(0, castagnoli, b[:4])
	c = crc32.Update(c, castagnoli, make([]byte, 4))
	return crc32.Update(c, castagnoli, b[8:])
}

// vhdxTable is the block allocation table ([MS-VHDX] 2.5): after every chunk
// of payload entries comes the entry of the chunk's sector bitmap block.
type vhdxTable struct {
	payload []uint64
	bitmaps []uint64
	// chunk is how many payload blocks one sector bitmap block describes.
	chunk       int64
	bitmapBytes int64 // of one payload block
	diff        bool
}

func (t *vhdxTable) block(i int64) (blockState, int64) {
	e := t.payload[i]
	at := vhdxOffset(e)
	switch e & 7 {
	case vhdxFullyPresent:
		return inFile, at
	case vhdxPartiallyPresent:
		return mixed, at
	case vhdxNotPresent:
		return inParent, at
	}
	return allZero, at
}

func (t *vhdxTable) bitmap(i int64) int64 {
	return vhdxOffset(t.bitmaps[i/t.chunk]) + i%t.chunk*t.bitmapBytes
}

func vhdxOffset(entry uint64) int64 { return int64(entry >> 20 << 20) }

func openVHDX(s source) (Disk, error) {
	ident := make([]byte, 520)
	if err := readFull(s, ident, 0); err != nil {
		return nil, fmt.Errorf("reading VHDX file identifier: %w", err)
	}
	if string(ident[:8]) != vhdxSignature {
		return nil, corrupt("VHDX file identifier: signature %q", ident[:8])
	}
	info := s.info(VHDX, Dynamic)
	info.Creator = utf16String(ident[8:], binary.LittleEndian)
	h, err := readVHDXHeader(s)
	if err != nil {
		return nil, err
	}
	if h.logID != [16]byte{} {
		replayed, err := replayVHDXLog(s, h)
		if err != nil {
			return nil, fmt.Errorf("replaying VHDX log: %w", err)
		}
		s.ReaderAt, s.size = replayed, replayed.size
		info.LogReplayed = true
		info.warn("the VHDX was not closed cleanly; its log was replayed in memory")
	}
	regions, err := readVHDXRegions(s)
	if err != nil {
		return nil, err
	}
	m, err := readVHDXMetadata(s, regions.metadata)
	if err != nil {
		return nil, err
	}
	info.VirtualSize, info.BlockSize, info.SectorSize = m.size, m.blockSize, m.logical
	info.warnSize()
	if m.fixed {
		info.Type = Fixed
	}
	if m.hasParent {
		info.Type = Differencing
	}
	t, err := readVHDXTable(s, h, regions, m)
	if err != nil {
		return nil, err
	}
	d := &blockDisk{source: s, info: info, table: t}
	if m.hasParent {
		if err := d.attachVHDXParent(m.locator); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func readVHDXTable(s source, h vhdxHeader, r vhdxRegions, m vhdxMetadata) (*vhdxTable, error) {
	t := &vhdxTable{diff: m.hasParent, chunk: (1 << 23) * int64(m.logical) / m.blockSize}
	t.bitmapBytes = m.blockSize / int64(m.logical) / 8
	blocks := (m.size + m.blockSize - 1) / m.blockSize
	chunks := (blocks + t.chunk - 1) / t.chunk
	entries := blocks + (blocks-1)/t.chunk
	if m.hasParent {
		entries = chunks * (t.chunk + 1)
	}
	if 8*entries > maxTable {
		return nil, unsupported("VHDX block allocation table of %d entries", entries)
	}
	if 8*entries > r.bat.to-r.bat.from {
		return nil, corrupt("VHDX block allocation table of %d bytes, the disk needs %d", r.bat.to-r.bat.from, 8*entries)
	}
	raw := make([]byte, 8*entries)
	if err := readFull(s, raw, r.bat.from); err != nil {
		return nil, fmt.Errorf("reading VHDX block allocation table: %w", err)
	}
	at := func(i int64) uint64 { return binary.LittleEndian.Uint64(raw[8*i:]) }
	spans := []span{{0, mib}, r.bat, r.metadata, h.log}
	place := func(what string, i int64, e uint64, size int64) error {
		from := vhdxOffset(e)
		if from < mib || from > s.size || size > s.size-from {
			return corrupt("VHDX block allocation table: %s block %d at %d lies outside the file", what, i, from)
		}
		spans = append(spans, span{from, from + size})
		return nil
	}
	t.payload = make([]uint64, blocks)
	for i := range blocks {
		e := at(i + i/t.chunk)
		t.payload[i] = e
		switch st := e & 7; {
		case st == vhdxFullyPresent || st == vhdxPartiallyPresent && t.diff:
			// A last block may be cut to the disk.
			if err := place("payload", i, e, min(m.blockSize, m.size-i*m.blockSize)); err != nil {
				return nil, err
			}
		case st > vhdxUnmapped:
			return nil, corrupt("VHDX block allocation table: payload block %d has the state %d", i, st)
		}
	}
	if t.diff {
		t.bitmaps = make([]uint64, chunks)
		for c := range chunks {
			e := at(c*(t.chunk+1) + t.chunk)
			t.bitmaps[c] = e
			if e&7 == vhdxFullyPresent {
				if err := place("sector bitmap", c, e, mib); err != nil {
					return nil, err
				}
			}
		}
		for i, e := range t.payload {
			if e&7 == vhdxPartiallyPresent && t.bitmaps[int64(i)/t.chunk]&7 != vhdxFullyPresent {
				return nil, corrupt("VHDX block allocation table: payload block %d needs a sector bitmap that is not there", i)
			}
		}
	}
	if err := overlap(spans); err != nil {
		return nil, fmt.Errorf("checking VHDX block allocation table: %w", err)
	}
	return t, nil
}

// attachVHDXParent opens the disk that the parent locator names ([MS-VHDX]
// 2.6.2.6) and checks that nobody wrote to it since the child was made.
func (d *blockDisk) attachVHDXParent(locator map[string]string) error {
	candidates := parentCandidates(locator["relative_path"], locator["absolute_win32_path"], "")
	parent, err := d.openParent(candidates, VHDX)
	if err != nil {
		return err
	}
	h, err := readVHDXHeader(parent.(*blockDisk).source)
	if err != nil {
		parent.Close()
		return err
	}
	got := "{" + guidString(h.dataWriteID) + "}"
	if !strings.EqualFold(got, locator["parent_linkage"]) && !strings.EqualFold(got, locator["parent_linkage2"]) {
		parent.Close()
		return fmt.Errorf("%w: %s is now %s, the child was made on %s: the parent was changed or is another disk",
			ErrParent, parent.Info().Files[0], got, locator["parent_linkage"])
	}
	d.parent = &parentDisk{Disk: parent}
	d.info.adopt(parent)
	return nil
}
