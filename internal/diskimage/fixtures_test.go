package diskimage

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// imageOf is a small disk in some format, as bytes.
func imageOf(t testing.TB, disk []byte, o Options) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	convertTo(t, writeFile(t, "disk.raw", disk), path, o)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// dirtyVHDX takes the first page of the block allocation table out of a VHDX
// written here and leaves it in the log, in as many entries as asked for and
// starting at the given sector of the ring, as a crash would.
func dirtyVHDX(clean []byte, start int64, entries int) []byte {
	le := binary.LittleEndian
	b := bytes.Clone(clean)
	id := newID()
	const ring = 1 << 20
	page := bytes.Clone(b[vhdxTableAt : vhdxTableAt+logSector])
	copy(b[vhdxTableAt:], bytes.Repeat([]byte{0xa5}, logSector))
	tail := start * logSector
	for i := range entries {
		last := i == entries-1
		e := make([]byte, 3*logSector)
		seq := uint64(7 + i)
		copy(e, "loge")
		le.PutUint32(e[8:], uint32(len(e)))
		le.PutUint32(e[12:], uint32(tail))
		le.PutUint64(e[16:], seq)
		le.PutUint32(e[24:], 3)
		copy(e[32:], id[:])
		le.PutUint64(e[48:], uint64(len(b)))
		le.PutUint64(e[56:], uint64(len(b)))
		// The last entry has the page, those before it have others; then
		// zeros over the table's second page, which is empty.
		content := bytes.Repeat([]byte{byte(i)}, logSector)
		if last {
			content = page
		}
		for j, to := range []int64{vhdxTableAt, vhdxTableAt + 8*logSector} {
			if j == 1 {
				content = make([]byte, logSector)
			}
			d := e[64+32*j:]
			copy(d, "desc")
			copy(d[4:8], content[4092:])
			copy(d[8:16], content)
			le.PutUint64(d[16:], uint64(to))
			le.PutUint64(d[24:], seq)
			s := e[(1+j)*logSector:]
			copy(s[8:4092], content[8:])
			copy(s, "data")
			le.PutUint32(s[4:], uint32(seq>>32))
			le.PutUint32(s[4092:], uint32(seq))
		}
		z := e[64+64:]
		copy(z, "zero")
		le.PutUint64(z[8:], logSector)
		le.PutUint64(z[16:], uint64(vhdxTableAt+logSector))
		le.PutUint64(z[24:], seq)
		le.PutUint32(e[4:], vhdxCRC(e))
		for k := range e {
			b[vhdxLogAt+(start*logSector+int64(k))%ring] = e[k]
		}
		start = (start + 3) % (ring / logSector)
	}
	for _, at := range []int{vhdxHeader1, vhdxHeader2} {
		copy(b[at+48:], id[:])
	}
	reseal(b)
	return b
}

// reseal makes the checksums of an image right again, so that changed fields
// are judged by themselves.
func reseal(b []byte) {
	be, le := binary.BigEndian, binary.LittleEndian
	crc := func(at, n int) {
		if len(b) >= at+n {
			le.PutUint32(b[at+4:], vhdxCRC(b[at:at+n]))
		}
	}
	if bytes.HasPrefix(b, []byte(vhdxFileSign)) {
		crc(vhdxHeader1, 4096)
		crc(vhdxHeader2, 4096)
		crc(vhdxRegions1, vhdxTableLen)
		crc(vhdxRegions2, vhdxTableLen)
		for at := int(vhdxLogAt); at+logSector <= len(b) && at < int(vhdxMetadataAt); at += logSector {
			if n := int(le.Uint32(b[at+8:])); string(b[at:at+4]) == "loge" && n >= logSector && n <= int(vhdxMetadataAt)-at {
				crc(at, n)
			}
		}
		return
	}
	sum := func(at, n, field int) {
		if at >= 0 && len(b) >= at+n {
			be.PutUint32(b[at+field:], vhdChecksum(b[at:at+n], be.Uint32(b[at+field:])))
		}
	}
	if bytes.HasPrefix(b, []byte(vhdCookie)) {
		sum(0, footerSize, 64)
		sum(footerSize, vhdHeaderSize, 36)
	}
	if len(b) > footerSize && string(b[len(b)-footerSize:][:8]) == vhdCookie {
		sum(len(b)-footerSize, footerSize, 64)
	}
}

// fixtures are images of every kind, some KiB to some MiB each.
func fixtures(t testing.TB) map[string][]byte {
	disk := make([]byte, 5<<20)
	copy(disk, "boot")
	copy(disk[3<<20:], bytes.Repeat([]byte{3}, 70000))
	copy(disk[5<<20-512:], "last")
	m := map[string][]byte{
		"vhd-fixed":   imageOf(t, disk[:1<<20], Options{Format: VHD}),
		"vhd-dynamic": imageOf(t, disk, Options{Format: VHD, Type: Dynamic}),
		"vhdx":        imageOf(t, disk, Options{Format: VHDX}),
		"qcow2":       imageOf(t, disk, Options{Format: QCOW2}),
	}
	m["vhdx-dirty"] = dirtyVHDX(m["vhdx"], 250, 3)
	m["vmdk-sparse"], m["vmdk-stream"] = plainSparse(disk), streamVMDK(disk)
	m["vmdk-ova"] = tarOf(tarFile{"vm.ovf", ovf("", "d.vmdk")}, tarFile{"d.vmdk", m["vmdk-stream"]})
	return m
}
