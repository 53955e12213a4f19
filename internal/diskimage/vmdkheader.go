package diskimage

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	vmdkMagic = "KDMV"
	// vmdkSector is the unit of all places and sizes ([VMDK]), whatever the guest sees.
	vmdkSector = 512
	// vmdkPerTable is how many grains a grain table has, in every file that is known.
	vmdkPerTable  = 512
	vmdkTableSize = 4 * vmdkPerTable

	// maxGrain bounds a grain: 64 KiB is what all programs write.
	maxGrain = 16 * mib / vmdkSector
	// maxPacked bounds a grain that has to be unpacked as a whole.
	maxPacked = 2 * mib / vmdkSector
	// maxDescriptor bounds a descriptor. QEMU reads no more either (block/vmdk.c).
	maxDescriptor = mib

	vmdkNewLines   = 1 << 0  // the bytes that detect changed line ends are valid
	vmdkRedundant  = 1 << 1  // there is a copy of the grain directory and the tables
	vmdkZeroGrains = 1 << 2  // the entry 1 stands for zeros
	vmdkCompressed = 1 << 16 // grains are compressed
	vmdkMarkers    = 1 << 17 // and have markers

	vmdkDeflate = 1          // the only method of compression
	vmdkAtEnd   = ^uint64(0) // of GDOffset: it stands in the footer

	vmdkEndOfStream  = 0 // types of markers
	vmdkFooterMarker = 3
)

// vmdkHeader is the SparseExtentHeader ([VMDK], "Hosted Sparse Extents"), of which
// the footer of a stream-optimized file is a copy. Places and sizes are in sectors.
type vmdkHeader struct {
	MagicNumber                            [4]byte
	Version, Flags                         uint32
	Capacity, GrainSize                    uint64
	DescriptorOffset, DescriptorSize       uint64
	NumGTEsPerGT                           uint32
	RGDOffset, GDOffset, OverHead          uint64
	UncleanShutdown                        uint8
	SingleEndLineChar, NonEndLineChar      byte
	DoubleEndLineChar1, DoubleEndLineChar2 byte
	CompressAlgorithm                      uint16
	_                                      [433]byte
}

// vmdkMarker is what stands before each part of a stream-optimized file ([VMDK],
// "Markers"). Where Size is not 0 it is that of the compressed grain that follows,
// and Type is the beginning of that already.
type vmdkMarker struct {
	Value      uint64
	Size, Type uint32
}

// vmdkGrainMarker is the length of a marker before a grain.
const vmdkGrainMarker = 12

// readVMDKHeader reads the header or, where that says so, the footer.
func readVMDKHeader(s source) (h vmdkHeader, err error) {
	if _, err := readStruct(s, 0, le, &h); err != nil {
		return h, fmt.Errorf("reading VMDK header: %w", err)
	}
	if err := h.check(); err != nil {
		return h, err
	}
	if h.GDOffset != vmdkAtEnd {
		return h, nil
	}
	f, err := readVMDKFooter(s)
	if err != nil {
		return h, err
	}
	if f.Capacity != h.Capacity || f.GrainSize != h.GrainSize || f.GDOffset == vmdkAtEnd {
		return h, corrupt("VMDK footer: it is not that of the header: capacity %d and %d, grain size %d and %d", f.Capacity, h.Capacity, f.GrainSize, h.GrainSize)
	}
	return f, f.check()
}

// check judges what the header says of itself; places are judged by who reads them.
func (h *vmdkHeader) check() error {
	compressed := h.Flags&vmdkCompressed != 0
	switch {
	case string(h.MagicNumber[:]) != vmdkMagic:
		return corrupt("VMDK header: magic number %q is not %q", h.MagicNumber, vmdkMagic)
	case h.Version < 1 || h.Version > 3:
		return unsupported("VMDK header: version %d; %s", h.Version, toQcow2)
	case h.Flags&vmdkNewLines != 0 && (h.SingleEndLineChar != '\n' || h.NonEndLineChar != ' ' || h.DoubleEndLineChar1 != '\r' || h.DoubleEndLineChar2 != '\n'):
		return told{corrupt("VMDK header: its line ends were changed: the file was transferred as a text, which ruins it; copy it again in binary mode")}
	case h.Capacity > uint64(maxDisk/vmdkSector):
		return corrupt("VMDK header: capacity of %d sectors", h.Capacity)
	case h.Capacity == 0:
		return nil // only a descriptor
	case h.GrainSize == 0 || h.GrainSize&(h.GrainSize-1) != 0 || h.GrainSize > uint64(maxGrain):
		return corrupt("VMDK header: grain size of %d sectors", h.GrainSize)
	case h.NumGTEsPerGT != vmdkPerTable:
		return unsupported("VMDK header: grain tables of %d entries, not %d; %s", h.NumGTEsPerGT, vmdkPerTable, toQcow2)
	case compressed && h.CompressAlgorithm != vmdkDeflate:
		return unsupported("VMDK header: compressed by method %d (1 is deflate); %s", h.CompressAlgorithm, toQcow2)
	case compressed && h.GrainSize > uint64(maxPacked):
		return unsupported("VMDK header: compressed grains of %d sectors; %s", h.GrainSize, toQcow2)
	case compressed && h.Flags&vmdkMarkers == 0:
		return unsupported("VMDK header: compressed grains without markers; %s", toQcow2)
	case !compressed && h.CompressAlgorithm != 0:
		return corrupt("VMDK header: compression method %d, but the flags %#x say that nothing is compressed", h.CompressAlgorithm, h.Flags)
	}
	return nil
}

// readVMDKFooter reads the copy of the header at the end of a file that was written
// as a stream: a marker, the footer, and the marker of the end, a sector each.
func readVMDKFooter(s source) (f vmdkHeader, err error) {
	const missing = "VMDK: the footer of the stream-optimized disk, which says where all else is, is not at the end of the file: it was cut off, or never finished; copy or download it again, or export the machine again"
	at := s.size - 3*vmdkSector
	if at < vmdkSector {
		return f, told{corrupt(missing)}
	}
	var before, end vmdkMarker
	for _, part := range []struct {
		at int64
		to any
	}{{at, &before}, {at + vmdkSector, &f}, {at + 2*vmdkSector, &end}} {
		if _, err := readStruct(s, part.at, le, part.to); err != nil {
			return f, fmt.Errorf("reading VMDK footer: %w", err)
		}
	}
	if before.Size != 0 || before.Type != vmdkFooterMarker || string(f.MagicNumber[:]) != vmdkMagic ||
		end != (vmdkMarker{Type: vmdkEndOfStream}) {
		return f, told{corrupt(missing)}
	}
	return f, nil
}

// vmdkDescriptor is the text that describes a disk ([VMDK], "The Descriptor File").
type vmdkDescriptor struct {
	createType string
	cid        uint32
	parentCID  uint32
	parent     string // the name of the parent; "" where there is none
	sector     int    // of the disk, in bytes; 0 where it is not said
	extents    []vmdkExtentLine
}

// vmdkExtentLine is one line of the extent description.
type vmdkExtentLine struct {
	access, kind, name string
	sectors, offset    int64
}

const (
	vmdkNoParent = 0xffffffff
	// vmdkMaxExtents is more than any disk has: 2 TiB in pieces of 2 GB.
	vmdkMaxExtents = 1024
)

// isDescriptor knows the beginning of a descriptor.
func isDescriptor(head []byte) bool {
	const first = "# disk descriptorfile"
	text := strings.TrimLeft(strings.TrimPrefix(string(head[:min(len(head), 512)]), "\xef\xbb\xbf"), " \t\r\n")
	return len(text) >= len(first) && strings.EqualFold(text[:len(first)], first)
}

// parseDescriptor reads a descriptor, up to its first NUL. Keys that say nothing
// about where the data is are passed over.
func parseDescriptor(b []byte) (d vmdkDescriptor, err error) {
	text, _, _ := strings.Cut(string(b), "\x00")
	d.parentCID = vmdkNoParent
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(strings.TrimPrefix(line, "\xef\xbb\xbf"))
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if isExtent(line) {
			e, err := parseExtent(line)
			if err != nil {
				return d, err
			}
			if d.extents = append(d.extents, e); len(d.extents) > vmdkMaxExtents {
				return d, unsupported("VMDK descriptor: more than %d extents; %s", vmdkMaxExtents, toQcow2)
			}
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "createtype":
			d.createType = value
		case "parentfilenamehint":
			d.parent = value
		case "ddb.logicalsectorsize": // of newer programs (VMware's open-vmdk)
			if value == "4096" || value == "512" {
				d.sector, err = strconv.Atoi(value)
			}
		case "cid":
			d.cid, err = parseCID(value)
		case "parentcid":
			d.parentCID, err = parseCID(value)
		}
		if err != nil {
			return d, corrupt("VMDK descriptor: %.100q: %v", line, err)
		}
	}
	return d, nil
}

// parseCID reads a content id, eight hexadecimal digits as a rule.
func parseCID(s string) (uint32, error) {
	if len(s) > 8 {
		return 0, errors.New("more than 8 digits")
	}
	b, err := hex.DecodeString(strings.Repeat("0", 8-len(s)) + s)
	if err != nil {
		return 0, err
	}
	return be.Uint32(b), nil
}

// isExtent knows a line of the extent description by its first word.
func isExtent(line string) bool {
	words := strings.Fields(line)
	return len(words) > 1 && slices.Contains([]string{"RW", "RDONLY", "NOACCESS"}, strings.ToUpper(words[0])) && !strings.HasPrefix(words[1], "=")
}

// parseExtent reads a line such as: RW 4192256 FLAT "test-f001.vmdk" 0
func parseExtent(line string) (e vmdkExtentLine, err error) {
	front, rest, named := strings.Cut(line, `"`)
	f := strings.Fields(front)
	if named {
		var closed bool
		if e.name, rest, closed = strings.Cut(rest, `"`); !closed {
			return e, corrupt("VMDK descriptor: extent %.100q: its file name does not end", line)
		}
		f = append(f, strings.Fields(rest)...)
	}
	if len(f) < 3 {
		return e, corrupt("VMDK descriptor: extent %.100q", line)
	}
	e.access, e.kind = strings.ToUpper(f[0]), strings.ToUpper(f[2])
	if e.sectors, err = parseSectors(f[1]); err != nil || e.sectors == 0 {
		return e, corrupt("VMDK descriptor: extent %.100q: %q is no number of sectors", line, f[1])
	}
	if len(f) > 3 {
		if e.offset, err = parseSectors(f[3]); err != nil {
			return e, corrupt("VMDK descriptor: extent %.100q: %q is no offset", line, f[3])
		}
	}
	return e, nil
}
