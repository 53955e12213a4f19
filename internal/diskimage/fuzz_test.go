package diskimage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"io"
	"math/rand"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
)

// exercise opens an image of foreign bytes and reads from it what a proof and
// a conversion would. It must come back, with or without an error.
func exercise(t testing.TB, b []byte) (opened bool) {
	d, err := openBytes(b)
	if err != nil {
		if d != nil {
			t.Fatal("a disk and an error")
		}
		return false
	}
	defer d.Close()
	size := d.Size()
	if size <= 0 || size > maxDisk {
		t.Fatalf("a disk of %d bytes", size)
	}
	buf := make([]byte, 70001)
	read := func(off int64) {
		n, err := d.ReadAt(buf, off)
		if n < 0 || n > len(buf) || n < len(buf) && err == nil || err == io.EOF && off+int64(n) != size {
			t.Fatalf("reading %d bytes at %d of %d: %d, %v", len(buf), off, size, n, err)
		}
	}
	for _, off := range []int64{0, size / 3, size - 1} {
		read(off)
	}
	off := int64(0)
	for range 1000 {
		start, end, err := d.NextData(off)
		if err != nil {
			return true
		}
		if start < off || end < start || end > size || start == end && start != size {
			t.Fatalf("NextData(%d) = %d, %d of %d", off, start, end, size)
		}
		if start == end {
			return true
		}
		if off == 0 || start%11 == 0 {
			read(start)
		}
		off = end
	}
	return true
}

func FuzzVHD(f *testing.F) {
	f.Add(smallVHD())
	fixed := append(make([]byte, 1024), newVHDFooter(1024, vhdTypeFixed, newID()).encode()...)
	f.Add(fixed)
	f.Fuzz(func(t *testing.T, b []byte) {
		exercise(t, b)
		reseal(b)
		exercise(t, b)
	})
}

// patch lays a fuzzed part over an image, as far as it goes.
type patch struct {
	at, limit int64
}

// fuzzParts fuzzes the parts of an image that are too far apart to be mutated
// as one.
func fuzzParts(base []byte, parts []patch) (seeds [][]byte, try func(t *testing.T, fuzzed ...[]byte)) {
	for _, p := range parts {
		seeds = append(seeds, base[p.at:p.at+p.limit])
	}
	b := bytes.Clone(base)
	last := parts[len(parts)-1]
	return seeds, func(t *testing.T, fuzzed ...[]byte) {
		for i, p := range parts {
			copy(b[p.at:p.at+p.limit], fuzzed[i])
		}
		reseal(b)
		exercise(t, b)
		copy(b, base[:last.at+last.limit])
	}
}

func FuzzVHDX(f *testing.F) {
	// The last of the dirty log's entries, which start at the first sector.
	base := dirtyVHDX(fixtures(f)["vhdx"], 0, 1)
	seeds, try := fuzzParts(base, []patch{
		{vhdxHeader2, 128}, {vhdxRegions1, 128}, {vhdxLogAt, 3 * logSector},
		{vhdxMetadataAt, 256}, {vhdxMetadataAt + vhdxItemsAt, 64}, {vhdxTableAt, 64},
	})
	f.Add(seeds[0], seeds[1], seeds[2], seeds[3], seeds[4], seeds[5])
	f.Fuzz(func(t *testing.T, header, regions, log, metadata, items, table []byte) {
		try(t, header, regions, log, metadata, items, table)
	})
}

func FuzzQcow2(f *testing.F) {
	base := fixtures(f)["qcow2"]
	h, err := readQcow2Map(source{ReaderAt: bytes.NewReader(base), size: int64(len(base))})
	if err != nil {
		f.Fatal(err)
	}
	l1 := int64(binary.BigEndian.Uint64(base[40:]))
	seeds, try := fuzzParts(base, []patch{{0, 256}, {h.l2(0), 1024}, {l1, 64}})
	f.Add(seeds[0], seeds[1], seeds[2])
	for at, v := range map[int]byte{79: qcow2ExtendedL2, 7: 2} {
		header := bytes.Clone(seeds[0])
		header[at] = v
		f.Add(header, seeds[1], seeds[2])
	}
	compressed := bytes.Clone(seeds[1])
	compressed[0] = 0x40
	f.Add(seeds[0], compressed, seeds[2])
	f.Fuzz(func(t *testing.T, header, l2, l1 []byte) { try(t, header, l2, l1) })
}

func FuzzVMDK(f *testing.F) {
	disk := bytes.Repeat([]byte("data"), 1024)
	sparse := plainSparse(disk)
	f.Add(sparse[:len(sparse)-int(testGrain)+len(disk)]) // small enough to be mutated usefully
	f.Add(streamVMDK(append(disk, make([]byte, 3*testGrain)...)))
	f.Add(descriptor("custom", "ffffffff", "RW 2048 ZERO", "RW 7 ZERO"))
	f.Fuzz(func(t *testing.T, b []byte) { exercise(t, b) })
}

func FuzzOVA(f *testing.F) {
	disk := streamVMDK(bootable(4096))
	f.Add(tarOf(tarFile{"vm.ovf", ovf("", "a.vmdk")}, tarFile{"a.vmdk", disk}))
	f.Add(tarOf(tarFile{"vm.ovf", ovf(`ovf:compression="gzip"`, "a.vmdk", "b.vmdk")}, tarFile{"a.vmdk", disk}, tarFile{"b.vmdk", disk}))
	f.Fuzz(func(t *testing.T, b []byte) { exercise(t, b) })
}

// FuzzVMDKDescriptor: extents never add up to what no disk has.
func FuzzVMDKDescriptor(f *testing.F) {
	f.Add(descriptor("monolithicFlat", "12345678", `RW 2048 FLAT "x.vmdk" 0`, `RDONLY 1 SPARSE "a b"`, "NOACCESS 3 ZERO"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := parseDescriptor(b)
		if err == nil && len(d.extents) > vmdkMaxExtents {
			t.Fatalf("%d extents", len(d.extents))
		}
		for _, e := range d.extents {
			if e.sectors <= 0 || e.sectors > maxDisk/vmdkSector || e.offset < 0 || e.offset > maxDisk/vmdkSector {
				t.Fatalf("%+v", e)
			}
		}
	})
}

// smallVHD is a dynamic VHD of two blocks of 4 KiB, small enough to be mutated
// usefully.
func smallVHD() []byte {
	w := vhdWriter{size: 8192, table: []uint32{5, vhdNoBlock}}
	b := w.header(4096)
	b = append(b, bytes.Repeat([]byte{0xff}, 512+4096)...)
	return append(b, b[:footerSize]...)
}

// traced notes which sectors of an image opening and reading it looks at.
type traced struct {
	*bytes.Reader
	sectors map[int64]bool
}

func (r traced) ReadAt(p []byte, off int64) (int, error) {
	for s := off / 512; s <= (off+int64(min(len(p), 64<<10))-1)/512; s++ {
		r.sectors[s] = true
	}
	return r.Reader.ReadAt(p, off)
}

// mutations is how many damaged images a test run tries; set SYSPREP_MUTATIONS
// for more.
func mutations(t *testing.T) int {
	if s := os.Getenv("SYSPREP_MUTATIONS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			t.Fatalf("SYSPREP_MUTATIONS=%q is not a number above 0", s)
		}
		return n
	}
	return testutil.Fewer(20000)
}

// TestDamagedImagesAreReadOrRefused changes 1 to 24 bytes in the sectors that
// are read, half of the time with checksums made right again. A hang shows as
// the time-out of the test run.
func TestDamagedImagesAreReadOrRefused(t *testing.T) {
	all := fixtures(t)
	all["vhd-small"] = smallVHD()
	n := mutations(t) / len(all)
	var names []string
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			base := all[name]
			hot := traced{bytes.NewReader(base), map[int64]bool{}}
			d, err := OpenReader(hot, int64(len(base)))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.ReadAt(make([]byte, 512), d.Size()-512); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			var sectors []int64
			for s := range hot.sectors {
				// Sectors of zeros in the tables are many and say little.
				if p := base[s*512:]; len(p) >= 512 && !isZero(p[:512]) {
					sectors = append(sectors, s)
				}
			}
			slices.Sort(sectors)
			opened := 0
			var before, after runtime.MemStats
			b := bytes.Clone(base)
			for i := range n {
				r := rand.New(rand.NewSource(int64(i)))
				s := sectors[r.Intn(len(sectors))]
				for range 1 + r.Intn(24) {
					if r.Intn(6) == 0 {
						s = sectors[r.Intn(len(sectors))]
					}
					at := s*512 + int64(r.Intn(512))
					if r.Intn(2) == 0 {
						at = s*512 + int64(r.Intn(128)) // where the fields are
					}
					switch r.Intn(3) {
					case 0:
						b[at] = byte(r.Intn(256))
					case 1:
						b[at] ^= 1 << r.Intn(8)
					case 2:
						b[at] = []byte{0, 0xff, 0x7f, 0x80, 1}[r.Intn(5)]
					}
				}
				if r.Intn(2) == 0 {
					reseal(b)
				}
				runtime.ReadMemStats(&before)
				if exercise(t, b) {
					opened++
				}
				runtime.ReadMemStats(&after)
				if used := after.TotalAlloc - before.TotalAlloc; used > 256<<20 {
					t.Fatalf("mutation %d took %d MiB of memory", i, used>>20)
				}
				restore(b, base, sectors)
			}
			t.Logf("%d of %d damaged images could still be opened", opened, n)
		})
	}
}

// restore undoes mutations and resealing.
func restore(b, base []byte, sectors []int64) {
	for _, s := range sectors {
		copy(b[s*512:s*512+512], base[s*512:])
	}
	if bytes.HasPrefix(base, []byte(vhdxFileSign)) {
		copy(b[:vhdxMetadataAt], base[:vhdxMetadataAt])
	} else {
		copy(b[:2048], base)
		copy(b[len(b)-footerSize:], base[len(base)-footerSize:])
	}
}
