package diskimage

import (
	"bytes"
	"encoding/binary"
	"math/rand"
	"reflect"
	"testing"
	"testing/quick"
)

// TestStructuresAreReadAsTheyAreWritten packs structures of any content, reads
// them, and packs them again. The lengths are those of the specifications.
func TestStructuresAreReadAsTheyAreWritten(t *testing.T) {
	for _, c := range []struct {
		structure any
		order     binary.ByteOrder
		length    int
	}{
		{vhdFooter{}, be, 512},
		{vhdHeader{}, be, 1024},
		{vhdLocator{}, be, 24},
		{vhdxFileIdentifier{}, le, 520},
		{vhdxHeader{}, le, 80},
		{vhdxRegionTable{}, le, 16},
		{vhdxRegionEntry{}, le, 32},
		{vhdxLogEntry{}, le, 64},
		{vhdxDescriptor{}, le, 32},
		{vhdxMetadataTable{}, le, 32},
		{vhdxMetadataEntry{}, le, 32},
		{vhdxFileParameters{}, le, 8},
		{vhdxLocator{}, le, 20},
		{vhdxLocatorEntry{}, le, 12},
		{qcow2Header{}, be, 112},
		{qcow2Extension{}, be, 8},
		{vmdkHeader{}, le, 512},
		{vmdkMarker{}, le, 16},
	} {
		kind := reflect.TypeOf(c.structure)
		t.Run(kind.Name(), func(t *testing.T) {
			r := rand.New(rand.NewSource(1))
			for range 100 {
				want := anyOf(kind, r)
				b := pack(c.order, want.Interface())
				if len(b) != c.length {
					t.Fatalf("%d bytes, the specification says %d", len(b), c.length)
				}
				got := reflect.New(kind)
				raw, err := readStruct(bytes.NewReader(append([]byte{1, 2, 3}, b...)), 3, c.order, got.Interface())
				if err != nil || !bytes.Equal(raw, b) || got.Elem().Interface() != want.Interface() {
					t.Fatalf("%+v was read as %+v, %v", want, got.Elem(), err)
				}
				if _, err := readStruct(bytes.NewReader(b), 1, c.order, got.Interface()); err == nil {
					t.Fatal("a structure that is cut off was read")
				}
			}
		})
	}
}

// anyOf is a structure whose fields hold anything but where it has none.
func anyOf(kind reflect.Type, r *rand.Rand) reflect.Value {
	v := reflect.New(kind).Elem()
	for i := range kind.NumField() {
		switch f := v.Field(i); {
		case kind.Field(i).Name == "_":
		case f.Kind() == reflect.Struct:
			f.Set(anyOf(f.Type(), r))
		case f.Kind() == reflect.Array && f.Type().Elem().Kind() == reflect.Struct:
			for j := range f.Len() {
				f.Index(j).Set(anyOf(f.Type().Elem(), r))
			}
		default:
			value, _ := quick.Value(f.Type(), r) // numbers and arrays of them
			f.Set(value)
		}
	}
	return v
}

// TestFieldsLieWhereTheSpecificationPutsThem looks at what is written by the
// offsets that the specifications state.
func TestFieldsLieWhereTheSpecificationPutsThem(t *testing.T) {
	footer := newVHDFooter(3<<20, vhdTypeDynamic, newID())
	header := vhdHeader{TableOffset: 1536, MaxTableEntries: 7, BlockSize: 2 << 20, ParentUniqueID: newID()}
	header.ParentLocatorEntry[7].PlatformDataOffset = 4096
	q := newQcow2Header(3 << 20)
	q.BackingFileOffset, q.L1TableOffset, q.RefcountTableOffset, q.IncompatibleFeatures, q.CompressionType = 200, 1, 2, 3, 4
	h := vhdxHeader{SequenceNumber: 5, DataWriteGuid: newID(), LogGuid: newID(), Version: 1, LogLength: 1 << 20, LogOffset: 2 << 20}
	l := vhdxLogEntry{EntryLength: 4096, Tail: 8192, SequenceNumber: 9, DescriptorCount: 3, LogGuid: newID(), LastFileOffset: 10}
	v := vmdkHeader{Flags: 3, Capacity: 100, GrainSize: 128, DescriptorOffset: 1, DescriptorSize: 20, NumGTEsPerGT: 512, RGDOffset: 21, GDOffset: 26, UncleanShutdown: 1, CompressAlgorithm: 7}
	for _, c := range []struct {
		name string
		b    []byte
		at   int
		want []byte
	}{
		{"VMDK header: flags to descriptor", pack(le, v), 8, pack(le, uint32(3), uint64(100), uint64(128), uint64(1), uint64(20))},
		{"VMDK header: tables", pack(le, v), 44, pack(le, uint32(512), uint64(21), uint64(26))},
		{"VMDK header: unclean and compression", pack(le, v), 72, []byte{1, 0, 0, 0, 0, 7, 0}},
		{"footer: data offset", footer.encode(), 16, pack(be, uint64(512))},
		{"footer: creator", footer.encode(), 28, []byte("win ")},
		{"footer: current size", footer.encode(), 48, pack(be, uint64(3<<20))},
		{"footer: disk type", footer.encode(), 60, pack(be, uint32(3))},
		{"footer: id", footer.encode(), 68, footer.UniqueID[:]},
		{"header: table offset", header.encode(), 16, pack(be, uint64(1536))},
		{"header: entries and block size", header.encode(), 28, pack(be, uint32(7), uint32(2<<20))},
		{"header: parent", header.encode(), 40, header.ParentUniqueID[:]},
		{"header: last locator", header.encode(), 576 + 7*24 + 16, pack(be, uint64(4096))},
		{"qcow2: backing file", pack(be, q), 8, pack(be, uint64(200))},
		{"qcow2: cluster bits and size", pack(be, q), 20, pack(be, uint32(16), uint64(3<<20))},
		{"qcow2: L1 and reference counts", pack(be, q), 40, pack(be, uint64(1), uint64(2))},
		{"qcow2: incompatible features", pack(be, q), 72, pack(be, uint64(3))},
		{"qcow2: reference count bits and length", pack(be, q), 96, pack(be, uint32(4), uint32(104), byte(4))},
		{"VHDX header: sequence number", pack(le, h), 8, pack(le, uint64(5))},
		{"VHDX header: data write and log", pack(le, h), 32, append(h.DataWriteGuid[:], h.LogGuid[:]...)},
		{"VHDX header: version and log", pack(le, h), 66, pack(le, uint16(1), uint32(1<<20), uint64(2<<20))},
		{"VHDX log entry: length to count", pack(le, l), 8, pack(le, uint32(4096), uint32(8192), uint64(9), uint32(3))},
		{"VHDX log entry: log and last offset", pack(le, l), 32, append(l.LogGuid[:], pack(le, uint64(0), uint64(10))...)},
	} {
		if got := c.b[c.at:min(c.at+len(c.want), len(c.b))]; !bytes.Equal(got, c.want) {
			t.Errorf("%s: %x at %d, want %x", c.name, got, c.at, c.want)
		}
	}
}

// TestVHDChecksumIsThatOfTheSpecification computes it as [VHD] does, over the
// structure with zeros for the checksum, for which any value may stand.
func TestVHDChecksumIsThatOfTheSpecification(t *testing.T) {
	f := newVHDFooter(9<<20, vhdTypeFixed, newID())
	b := f.encode()
	held := be.Uint32(b[64:])
	clear(b[64:68])
	sum := uint32(0)
	for _, c := range b {
		sum += uint32(c)
	}
	if held != ^sum {
		t.Errorf("footer has the checksum %#x, want %#x", held, ^sum)
	}
	for _, other := range []uint32{0, 1, 0xffffffff, 0x12345678} {
		be.PutUint32(b[64:], other)
		if got := vhdChecksum(b, other); got != ^sum {
			t.Errorf("with %#x: %#x, want %#x", other, got, ^sum)
		}
	}
	if f.Checksum = 0x5a5a5a5a; !bytes.Equal(f.encode()[64:68], pack(be, held)) {
		t.Error("the checksum depends on the one that was there")
	}
}
