package ntfs

import (
	"fmt"
	"unicode/utf16"
)

// Attribute types (section "Attributes").
const (
	kindStandardInformation = 0x10
	kindAttributeList       = 0x20
	kindFileName            = 0x30
	kindObjectID            = 0x40
	kindSecurityDescriptor  = 0x50
	kindVolumeInformation   = 0x70
	kindData                = 0x80
	kindIndexRoot           = 0x90
	kindIndexAllocation     = 0xa0
	kindBitmap              = 0xb0
	kindReparsePoint        = 0xc0

	kindEnd = 0xffffffff
)

// record is a decoded MFT record (section "FILE Record").
type record struct {
	number     int64
	sequence   uint16
	inUse      bool
	directory  bool
	viewIndex  bool   // a file of NTFS itself that has indices and no content
	base       uint64 // reference to the base record, 0 in a base record
	attributes []*attribute
}

// attribute is an attribute, or one piece of it, as a record holds it
// (section "Attribute Header").
type attribute struct {
	kind        uint32
	name        string
	id          uint16
	flags       uint16
	nonResident bool
	value       []byte // resident
	startVCN    int64  // the rest: non-resident
	lastVCN     int64
	unit        uint16 // logarithm of clusters per compression unit
	runs        []byte
	size        int64
	initialized int64
}

const (
	flagCompressed = 0x00ff
	flagEncrypted  = 0x4000
)

// parseRecord checks and decodes a record; b is kept and changed.
func parseRecord(b []byte, number int64) (*record, error) {
	rec, err := decodeRecord(b, number)
	if err != nil {
		return nil, fmt.Errorf("MFT record %d: %w", number, err)
	}
	return rec, nil
}

func decodeRecord(b []byte, number int64) (*record, error) {
	if err := fixup(b, "FILE"); err != nil {
		return nil, err
	}
	flags := le.Uint16(b[22:])
	rec := &record{
		number:    number,
		sequence:  le.Uint16(b[16:]),
		inUse:     flags&1 != 0,
		directory: flags&2 != 0,
		viewIndex: flags&8 != 0,
		base:      le.Uint64(b[32:]),
	}
	used, off := int(le.Uint32(b[24:])), int(le.Uint16(b[20:]))
	if used > len(b) || off < 42 || off%8 != 0 {
		return nil, corrupt("%d of %d bytes are used, attributes begin at %d", used, len(b), off)
	}
	for {
		if off+4 > used {
			return nil, corrupt("no end of attributes")
		}
		if le.Uint32(b[off:]) == kindEnd {
			return rec, nil
		}
		if off+24 > used {
			return nil, corrupt("attribute header at %d is cut off", off)
		}
		length := int(le.Uint32(b[off+4:]))
		if length < 24 || length%8 != 0 || length > used-off {
			return nil, corrupt("attribute at %d has a length of %d", off, length)
		}
		a, err := parseAttribute(b[off : off+length])
		if err != nil {
			return nil, err
		}
		rec.attributes = append(rec.attributes, a)
		off += length
	}
}

func parseAttribute(b []byte) (*attribute, error) {
	a := &attribute{kind: le.Uint32(b), nonResident: b[8] != 0, flags: le.Uint16(b[12:]), id: le.Uint16(b[14:])}
	if length, off := 2*int(b[9]), int(le.Uint16(b[10:])); length > 0 {
		if off+length > len(b) {
			return nil, corrupt("name of attribute %#x is cut off", a.kind)
		}
		a.name = decodeUTF16(b[off : off+length])
	}
	if !a.nonResident {
		length, off := int(le.Uint32(b[16:])), int(le.Uint16(b[20:]))
		if off > len(b) || length > len(b)-off {
			return nil, corrupt("value of attribute %#x is cut off", a.kind)
		}
		a.value = b[off : off+length]
		return a, nil
	}
	if len(b) < 64 {
		return nil, corrupt("header of non-resident attribute %#x is cut off", a.kind)
	}
	a.startVCN, a.lastVCN = int64(le.Uint64(b[16:])), int64(le.Uint64(b[24:]))
	a.unit = le.Uint16(b[34:])
	a.size, a.initialized = int64(le.Uint64(b[48:])), int64(le.Uint64(b[56:]))
	off := int(le.Uint16(b[32:]))
	if off < 64 || off > len(b) {
		return nil, corrupt("run list of attribute %#x is cut off", a.kind)
	}
	a.runs = b[off:]
	return a, nil
}

// fixup checks and undoes the update sequence that guards a record against
// torn writes (section "Fixup"). Its stride is 512 bytes on all disks.
func fixup(b []byte, signature string) error {
	if string(b[:4]) != signature {
		return corrupt("signature is %q, not %q", b[:4], signature)
	}
	off, count := int(le.Uint16(b[4:])), int(le.Uint16(b[6:]))
	if count != len(b)/512+1 || off < 8 || off+2*count > 510 {
		return corrupt("update sequence of %d at %d in %d bytes", count, off, len(b))
	}
	for i := 1; i < count; i++ {
		last := b[i*512-2 : i*512]
		if last[0] != b[off] || last[1] != b[off+1] {
			return corrupt("torn write: sector %d of %s record has another update sequence", i, signature)
		}
		copy(last, b[off+2*i:off+2*i+2])
	}
	return nil
}

func (rec *record) find(kind uint32) *attribute {
	for _, a := range rec.attributes {
		if a.kind == kind {
			return a
		}
	}
	return nil
}

// record reads an MFT record that must be in use.
func (v *Volume) record(number int64) (*record, error) {
	rec, err := v.anyRecord(number)
	if err != nil {
		return nil, err
	}
	if !rec.inUse {
		return nil, corrupt("MFT record %d is not in use", number)
	}
	return rec, nil
}

func (v *Volume) anyRecord(number int64) (*record, error) {
	if number < 0 || number >= v.mft.size/v.recordSize {
		return nil, corrupt("MFT record %d of %d", number, v.mft.size/v.recordSize)
	}
	if err := v.budget.Spend(v.recordSize, 1); err != nil {
		return nil, err
	}
	b := make([]byte, v.recordSize)
	if err := v.mft.readFull(b, number*v.recordSize); err != nil {
		return nil, fmt.Errorf("reading MFT record %d: %w", number, err)
	}
	return parseRecord(b, number)
}

// referenced reads the record of a file reference: 48 bits of number, 16 bits
// of sequence, which must match unless zero.
func (v *Volume) referenced(ref uint64) (*record, error) {
	rec, err := v.record(int64(ref & refNumber))
	if err != nil {
		return nil, err
	}
	if s := uint16(ref >> 48); s != 0 && s != rec.sequence {
		return nil, corrupt("reference to MFT record %d with sequence %d, it has %d", rec.number, s, rec.sequence)
	}
	return rec, nil
}

const refNumber = 1<<48 - 1

func decodeUTF16(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = le.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}
