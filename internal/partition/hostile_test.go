package partition

import (
	"bytes"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
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

// FuzzGrow writes edits, of a place and a byte each, into both headers of a GPT disk
// and its entries, puts the checksums right and makes the disk larger by so many
// sectors: what is to be written lies in the new disk, which holds the same
// partitions then, or there is nothing to write.
func FuzzGrow(f *testing.F) {
	f.Add(false, uint16(300), []byte{})
	f.Add(true, uint16(40), []byte{})
	f.Add(false, uint16(1), []byte{80, 16, 84, 0, 85, 1})
	f.Add(false, uint16(9), []byte{48, 0xff, 49, 0xff, 12, 0xff})
	f.Add(true, uint16(9), []byte{32, 7, 72, 200, 92, 1, 130, 3})
	f.Fuzz(func(t *testing.T, large bool, more uint16, edits []byte) {
		sector := 512
		if large {
			sector = 4096
		}
		disk := gptDisk(sector)
		edit(disk, sector, edits)
		size, newSize := int64(len(disk)), int64(len(disk)+int(more)*sector)
		patches, err := Grow(bytes.NewReader(disk), size, newSize, 0)
		if err != nil || len(patches) == 0 {
			return
		}
		before, err := Read(bytes.NewReader(disk), size, 0)
		if err != nil {
			t.Fatalf("grown, and it cannot be read: %v", err)
		}
		b := append(bytes.Clone(disk), make([]byte, newSize-size)...)
		for _, p := range patches {
			if p.At < 0 || p.At+int64(len(p.Bytes)) > newSize {
				t.Fatalf("%d bytes at %d of %d", len(p.Bytes), p.At, newSize)
			}
			copy(b[p.At:], p.Bytes)
		}
		after, err := Read(bytes.NewReader(b), newSize, 0)
		if err != nil || after.PrimaryDamage != nil || after.BackupDamage != nil || !slices.Equal(after.Partitions, before.Partitions) {
			t.Errorf("%v, %+v became %+v", err, before, after)
		}
		for _, p := range before.Partitions {
			if !bytes.Equal(b[p.Start:p.Start+p.Length], disk[p.Start:p.Start+p.Length]) {
				t.Errorf("%+v was written into", p)
			}
		}
	})
}

// edit changes both headers of a GPT disk, which keep their own places, and from 92
// on its entries.
func edit(disk []byte, sector int, edits []byte) {
	last := len(disk)/sector - 1
	for _, at := range []int{1, last} {
		h := disk[at*sector:][:sector]
		entries := disk[int(le.Uint64(h[72:]))*sector:][:128*128]
		for i := 0; i+1 < len(edits); i += 2 {
			if place := int(edits[i]); place < 92 {
				if place < 24 || place >= 40 {
					h[place] = edits[i+1]
				}
			} else {
				entries[place-92] = edits[i+1]
			}
		}
		if n := int(le.Uint32(h[80:])) * int(le.Uint32(h[84:])); n >= 0 && n <= len(entries) {
			le.PutUint32(h[88:], crc32.ChecksumIEEE(entries[:n]))
		}
		clear(h[16:20])
		le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:min(max(92, int(le.Uint32(h[12:]))), sector)]))
	}
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
