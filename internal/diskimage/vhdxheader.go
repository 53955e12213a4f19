package diskimage

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Where the parts of the header section lie ([MS-VHDX] 2.2), in bytes.
const (
	vhdxHeader1   = 64 << 10
	vhdxHeader2   = 128 << 10
	vhdxRegions1  = 192 << 10
	vhdxRegions2  = 256 << 10
	vhdxHeaderLen = 4 << 10
	vhdxTableLen  = 64 << 10 // of a region or metadata table
	vhdxMaxItems  = 2047     // in either
)

// Signatures of the structures below.
const (
	vhdxFileSign     = "vhdxfile"
	vhdxHeaderSign   = "head"
	vhdxRegionSign   = "regi"
	vhdxMetadataSign = "metadata"
	vhdxEntrySign    = "loge"
	vhdxDataDescSign = "desc"
	vhdxZeroDescSign = "zero"
	vhdxSectorSign   = "data"
)

// The structures of a VHDX under the names of [MS-VHDX], little endian. What
// is reserved is zero.
type (
	vhdxFileIdentifier struct { // 2.2.1
		Signature [8]byte
		Creator   [256]uint16
	}

	vhdxHeader struct { // 2.2.2
		Signature                             [4]byte
		Checksum                              uint32
		SequenceNumber                        uint64
		FileWriteGuid, DataWriteGuid, LogGuid guid
		LogVersion, Version                   uint16
		LogLength                             uint32
		LogOffset                             uint64
	}

	vhdxRegionTable struct { // 2.2.3.1
		Signature               [4]byte
		Checksum, EntryCount, _ uint32
	}

	vhdxRegionEntry struct { // 2.2.3.2
		Guid             guid
		FileOffset       uint64
		Length, Required uint32
	}

	vhdxLogEntry struct { // 2.3.1.1
		Signature                         [4]byte
		Checksum, EntryLength, Tail       uint32
		SequenceNumber                    uint64
		DescriptorCount, _                uint32
		LogGuid                           guid
		FlushedFileOffset, LastFileOffset uint64
	}

	// vhdxDescriptor is a data or a zero descriptor. The latter has the number
	// of zeros, ZeroLength, in place of the LeadingBytes.
	vhdxDescriptor struct { // 2.3.1.2, 2.3.1.3
		Signature                  [4]byte
		TrailingBytes              [4]byte
		LeadingBytes               [8]byte
		FileOffset, SequenceNumber uint64
	}

	vhdxMetadataTable struct { // 2.6.1.1
		Signature     [8]byte
		_, EntryCount uint16
		_             [20]byte
	}

	vhdxMetadataEntry struct { // 2.6.1.2
		ItemID                   guid
		Offset, Length, Flags, _ uint32 // the offset is within the region
	}

	vhdxFileParameters struct{ BlockSize, Flags uint32 } // 2.6.2.1

	vhdxLocator struct { // 2.6.2.6.1
		LocatorType      guid
		_, KeyValueCount uint16
	}

	vhdxLocatorEntry struct { // 2.6.2.6.2
		KeyOffset, ValueOffset uint32
		KeyLength, ValueLength uint16
	}
)

// Flags of the structures above.
const (
	vhdxRequired       = 1 // region entry
	vhdxLeaveAllocated = 1 // file parameters: a fixed disk
	vhdxHasParent      = 2 // file parameters
	vhdxIsVirtualDisk  = 2 // metadata entry
	vhdxMetaIsRequired = 4 // metadata entry
)

// guid is a GUID as it lies in the file.
type guid [16]byte

// GUIDs of [MS-VHDX] 2.2.3, 2.6.1.2 and 2.6.2.
var (
	vhdxRegionBAT      = newGUID(0x2dc27766, 0xf623, 0x4200, 0x9d64115e9bfd4a08)
	vhdxRegionMetadata = newGUID(0x8b7ca206, 0x4790, 0x4b9a, 0xb8fe575f050f886e)
	vhdxItemFile       = newGUID(0xcaa16737, 0xfa36, 0x4d43, 0xb3b633f0aa44e76b)
	vhdxItemSize       = newGUID(0x2fa54224, 0xcd1b, 0x4876, 0xb2115dbed83bf4b8)
	vhdxItemID         = newGUID(0xbeca12ab, 0xb2e6, 0x4523, 0x93efc309e000c746)
	vhdxItemLogical    = newGUID(0x8141bf1d, 0xa96f, 0x4709, 0xba47f233a8faab5f)
	vhdxItemPhysical   = newGUID(0xcda348c7, 0x445d, 0x4471, 0x9cc9e9885251c556)
	vhdxItemLocator    = newGUID(0xa8d35f2d, 0xb30b, 0x454d, 0xabf7d3d84834ab0c)
	vhdxLocatorVHDX    = newGUID(0xb04aefb7, 0xd19e, 0x4a81, 0xb78925b8e9445913)
)

func newGUID(a uint32, b, c uint16, d uint64) (g guid) {
	le.PutUint32(g[0:], a)
	le.PutUint16(g[4:], b)
	le.PutUint16(g[6:], c)
	be.PutUint64(g[8:], d)
	return g
}

func (g guid) String() string {
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", le.Uint32(g[0:]), le.Uint16(g[4:]), le.Uint16(g[6:]), g[8:10], g[10:])
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// vhdxCRC is the CRC-32C of b with zeros for the checksum, which follows the
// signature of four bytes in every structure that has one.
func vhdxCRC(b []byte) uint32 {
	c := crc32.Update(0, castagnoli, b[:4])
	c = crc32.Update(c, castagnoli, make([]byte, 4))
	return crc32.Update(c, castagnoli, b[8:])
}

// seal fills a structure up to size bytes and sets its checksum.
func seal(b []byte, size int) []byte {
	b = append(b, make([]byte, size-len(b))...)
	le.PutUint32(b[4:], vhdxCRC(b))
	return b
}

// readSealed reads size bytes that begin with a structure v and reports whether
// they have its signature and the checksum.
func readSealed(s source, at int64, size int, sign string, v any) (b []byte, valid bool, err error) {
	b = make([]byte, size)
	if err := readFull(s, b, at); err != nil {
		return nil, false, err
	}
	_, err = binary.Decode(b, le, v)
	return b, string(b[:4]) == sign && vhdxCRC(b) == le.Uint32(b[4:]), err
}
