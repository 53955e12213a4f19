package diskimage

import (
	"archive/tar"
	"bytes"
	"compress/zlib"
	"fmt"
	"strings"
)

// The files here are made by hand, from the specification: a sparse file with its
// tables where QEMU and VMware put them, and one that was written as a stream, which
// QEMU cannot write.

const (
	testGrain = 64 * kib
	testDesc  = 1 // sectors
)

func descriptor(kind, parent string, lines ...string) []byte {
	return []byte("# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=" + parent + "\ncreateType=\"" + kind + "\"\n\n# Extent description\n" +
		strings.Join(lines, "\n") + "\n\n# The Disk Data Base\n#DDB\nddb.adapterType = \"lsilogic\"\n")
}

func testHeader(size int64, flags uint32) vmdkHeader {
	return vmdkHeader{
		MagicNumber: [4]byte([]byte(vmdkMagic)), Version: 1, Flags: vmdkNewLines | flags, Capacity: uint64(size / vmdkSector), GrainSize: uint64(testGrain / vmdkSector),
		DescriptorOffset: testDesc, DescriptorSize: 20, NumGTEsPerGT: vmdkPerTable,
		SingleEndLineChar: '\n', NonEndLineChar: ' ', DoubleEndLineChar1: '\r', DoubleEndLineChar2: '\n',
	}
}

// sparseVMDK is a sparse extent with its descriptor, or without one where that is
// nil. Grains that are in zero are marked as zeros, those of zeros are left out.
func sparseVMDK(disk, desc []byte, zero ...int64) []byte {
	size := int64(len(disk))
	h := testHeader(size, vmdkRedundant|vmdkZeroGrains)
	if desc == nil {
		h.DescriptorOffset, h.DescriptorSize = 0, 0
	}
	tables := h.tables(size)
	directory := roundUp(4*tables, vmdkSector)
	h.RGDOffset = 21
	h.GDOffset = h.RGDOffset + uint64((directory+tables*vmdkTableSize)/vmdkSector)
	h.OverHead = uint64(roundUp(int64(h.GDOffset)*vmdkSector+directory+tables*vmdkTableSize, vmdkSector) / vmdkSector)
	b := make([]byte, h.OverHead*vmdkSector)
	copy(b, pack(le, h))
	copy(b[vmdkSector:], desc)
	for _, at := range []uint64{h.RGDOffset, h.GDOffset} {
		for i := range tables {
			le.PutUint32(b[int64(at)*vmdkSector+4*i:], uint32((int64(at)*vmdkSector+directory+i*vmdkTableSize)/vmdkSector))
		}
	}
	entry := func(g int64, v uint32) {
		for _, at := range []uint64{h.RGDOffset, h.GDOffset} {
			le.PutUint32(b[int64(at)*vmdkSector+directory+4*g:], v)
		}
	}
	for g := int64(0); g*testGrain < size; g++ {
		p := disk[g*testGrain : min((g+1)*testGrain, size)]
		if !isZero(p) {
			entry(g, uint32(len(b)/vmdkSector))
			b = append(b, p...)
			b = append(b, make([]byte, testGrain-int64(len(p)))...)
		}
	}
	for _, g := range zero {
		entry(g, 1)
	}
	return b
}

// streamVMDK is a stream-optimized disk as VirtualBox and ovftool write it: its
// directory is known at the end only.
func streamVMDK(disk []byte) []byte {
	size := int64(len(disk))
	h := testHeader(size, vmdkCompressed|vmdkMarkers)
	h.Version, h.CompressAlgorithm, h.GDOffset, h.OverHead = 3, vmdkDeflate, vmdkAtEnd, 21
	b := make([]byte, h.OverHead*vmdkSector)
	copy(b, pack(le, h))
	copy(b[vmdkSector:], descriptor("streamOptimized", "ffffffff", fmt.Sprintf("RW %d SPARSE \"x.vmdk\"", size/vmdkSector)))
	pad := func() { b = append(b, make([]byte, roundUp(int64(len(b)), vmdkSector)-int64(len(b)))...) }
	marker := func(sectors uint64, kind uint32) {
		b = append(b, pack(le, vmdkMarker{sectors, 0, kind})...)
		pad()
	}
	directory := make([]uint32, h.tables(size))
	for i := range directory {
		table, used := make([]uint32, vmdkPerTable), false
		for k := range int64(vmdkPerTable) {
			at := int64(i)*h.coverage() + k*testGrain
			if at >= size || isZero(disk[at:min(at+testGrain, size)]) {
				continue
			}
			grain := make([]byte, testGrain)
			copy(grain, disk[at:])
			packed := streamPack(grain)
			table[k], used = uint32(len(b)/vmdkSector), true
			b = append(b, pack(le, uint64(at/vmdkSector), uint32(len(packed)))...)
			b = append(b, packed...)
			pad()
		}
		if used {
			marker(vmdkTableSize/vmdkSector, 1)
			directory[i] = uint32(len(b) / vmdkSector)
			b = append(b, pack(le, table)...)
		}
	}
	marker(uint64(roundUp(4*int64(len(directory)), vmdkSector)/vmdkSector), 2)
	h.GDOffset = uint64(len(b) / vmdkSector)
	b = append(b, pack(le, directory)...)
	pad()
	marker(1, vmdkFooterMarker)
	b = append(b, pack(le, h)...)
	marker(0, vmdkEndOfStream)
	return b
}

func streamPack(b []byte) []byte {
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	z.Write(b)
	z.Close()
	return packed.Bytes()
}

// tarFile is a file of an archive.
type tarFile struct {
	name    string
	content []byte
}

func tarOf(files ...tarFile) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Size: int64(len(f.content)), Mode: 0o644, Format: tar.FormatUSTAR}); err != nil {
			panic(err)
		}
		if _, err := w.Write(f.content); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// ovf describes a machine with these files as disks, each with more attributes.
func ovf(more string, names ...string) []byte {
	var files, disks string
	for i, name := range names {
		files += fmt.Sprintf("<File ovf:href=%q ovf:id=\"file%d\" ovf:size=\"123456\" %s/>\n", name, i, more)
		disks += fmt.Sprintf("<Disk ovf:diskId=\"vmdisk%d\" ovf:fileRef=\"file%d\" ovf:capacity=\"60\" ovf:format=\"http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized\"/>\n", i, i)
	}
	return []byte(`<?xml version="1.0" encoding="UTF-8"?>
<Envelope ovf:version="1.0" xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
<References>` + files + `<File ovf:href="cd.iso" ovf:id="cd"/></References>
<DiskSection><Info>List of the virtual disks</Info>` + disks + `<Disk ovf:diskId="empty" ovf:capacity="10"/></DiskSection>
<VirtualSystem ovf:id="vm"><Info>A machine</Info></VirtualSystem>
</Envelope>`)
}
