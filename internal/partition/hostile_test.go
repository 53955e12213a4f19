package partition

import (
	"bytes"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"
)

// padded is a disk of 2 MiB of which only the beginning is not zero, so that
// the fuzzer has little to carry.
type padded []byte

const paddedSize = 2 << 20

func (p padded) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(b)) > paddedSize {
		return 0, io.ErrUnexpectedEOF
	}
	clear(b)
	if off < int64(len(p)) {
		copy(b, p[off:])
	}
	return len(b), nil
}

func FuzzPartition(f *testing.F) {
	f.Add(gptDisk(512)[:6*512])
	f.Add(gptDisk(4096)[:2*4096+4*128])
	f.Add(mbrDisk(512, [3]uint32{7, 64, 16}, [3]uint32{5, 80, 40}))
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := Read(padded(b), paddedSize, 0)
		if err != nil {
			return
		}
		for _, p := range table.Partitions {
			if p.Start <= 0 || p.Length <= 0 || p.Start+p.Length > paddedSize {
				t.Errorf("partition outside the disk: %+v", p)
			}
		}
	})
}

func TestDamagedTablesNeitherPanicNorExhaustMemory(t *testing.T) {
	n := 8000
	if s := os.Getenv("SYSPREP_MUTATIONS"); s != "" {
		total, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		n = total * n / 20000
	}
	r := rand.New(rand.NewPCG(6, 6))
	seeds := [][]byte{gptDisk(512)[:6*512], gptDisk(4096)[:2*4096+4*128], mbrDisk(2048, [3]uint32{7, 64, 16}, [3]uint32{5, 80, 40})}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	refused := 0
	for i := range n {
		b := bytes.Clone(seeds[i%len(seeds)])
		sector := []int{512, 4096, 512}[i%len(seeds)]
		for range 1 + r.IntN(24) {
			at := r.IntN(len(b))
			if r.IntN(2) == 0 {
				at = []int{446 + r.IntN(66), sector + r.IntN(92)}[r.IntN(2)] % len(b)
			}
			b[at] = byte(r.Uint32())
		}
		if r.IntN(4) > 0 { // with a right checksum, to get further
			h := b[sector%len(b):]
			clear(h[16:20])
			le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:92]))
		}
		table, err := Read(padded(b), paddedSize, 0)
		if err != nil {
			refused++
			continue
		}
		for _, p := range table.Partitions {
			if p.Start <= 0 || p.Length <= 0 || p.Start+p.Length > paddedSize {
				t.Fatalf("partition outside the disk: %+v", p)
			}
		}
	}
	runtime.ReadMemStats(&after)
	grown := (int64(after.Sys) - int64(before.Sys)) >> 20
	t.Logf("%d tables, %d refused, %d MiB", n, refused, grown)
	if grown > 256 {
		t.Errorf("%d MiB of memory were taken", grown)
	}
	if n >= 100 && refused < n/2 {
		t.Errorf("only %d of %d damaged tables were refused", refused, n)
	}
}
