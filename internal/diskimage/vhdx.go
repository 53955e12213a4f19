package diskimage

import (
	"fmt"
	"strings"
)

// States of a payload block ([MS-VHDX] 2.5.1.1).
const (
	vhdxNotPresent       = 0
	vhdxUndefined        = 1
	vhdxZero             = 2
	vhdxUnmapped         = 3
	vhdxFullyPresent     = 6
	vhdxPartiallyPresent = 7
)

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
	var ident vhdxFileIdentifier
	if _, err := readStruct(s, 0, le, &ident); err != nil {
		return nil, fmt.Errorf("reading VHDX file identifier: %w", err)
	}
	if string(ident.Signature[:]) != vhdxFileSign {
		return nil, corrupt("VHDX file identifier: signature %q", ident.Signature)
	}
	info := s.info(VHDX, Dynamic)
	info.Creator = utf16String(ident.Creator[:])
	h, err := readVHDXHeader(s)
	if err != nil {
		return nil, err
	}
	if h.LogGuid != (guid{}) {
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
	d.info.warnSector(gptSector(d))
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
	table := make([]uint64, entries)
	if _, err := readStruct(s, r.bat.from, le, table); err != nil {
		return nil, fmt.Errorf("reading VHDX block allocation table: %w", err)
	}
	spans, need := []span{{0, mib}, r.bat, r.metadata, h.log()}, int64(0)
	place := func(what string, i int64, e uint64, size int64) error {
		from := vhdxOffset(e)
		if from < mib || beyond(from, m.size) {
			return corrupt("VHDX block allocation table: %s block %d at %d lies outside the file", what, i, from)
		}
		if need = max(need, from+size); from+size > s.size {
			return nil
		}
		// Blocks that share no byte are no more than fit into the file.
		if int64(len(spans)) > s.size/mib+8 {
			return corrupt("VHDX block allocation table: more blocks are in the file than fit into it")
		}
		spans = append(spans, span{from, from + size})
		return nil
	}
	t.payload = make([]uint64, blocks)
	for i := range blocks {
		e := table[i+i/t.chunk]
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
			e := table[c*(t.chunk+1)+t.chunk]
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
	if need > s.size {
		return nil, cutOff("VHDX block allocation table", s.size, need)
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
	parent, err := d.openParent(candidates, VHDX, anyCase)
	if err != nil {
		return err
	}
	h, err := readVHDXHeader(parent.(*blockDisk).source)
	if err != nil {
		parent.Close()
		return err
	}
	got := "{" + h.DataWriteGuid.String() + "}"
	if !strings.EqualFold(got, locator["parent_linkage"]) && !strings.EqualFold(got, locator["parent_linkage2"]) {
		parent.Close()
		return fmt.Errorf("%w: %s is now %s, the child was made on %s: the parent was changed or is another disk; copy the one there that the child was made on",
			ErrParent, parent.Info().Files[0], got, locator["parent_linkage"])
	}
	d.parent = &parentDisk{Disk: parent}
	d.info.adopt(parent)
	return nil
}
