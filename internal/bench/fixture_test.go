// Package bench holds this project's claims about speed against other
// people's tools on one large disk, both sides in one run: `make bench`.
// Seconds of a shared machine mean little; the ratios do.
package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/compact"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/partition"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// The disk: 40 GiB, of which 0.8 GiB are files, 0.5 GiB page files and 0.6 GiB
// what deleted files left; a generalized Windows with a SOFTWARE hive of
// 80 MB. Change the version with anything below, since disks are kept.
const (
	version    = "1"
	volumeSize = 40 << 30
	smallFiles = 8000 // of 4 to 120 KiB
	largeFiles = 4    // of 80 MiB
	pageFile   = 400 << 20
	swapFile   = 100 << 20
	deleted    = 600 // pieces of 1 MiB
	classes    = 205000
)

// format is one form of the disk.
type format struct {
	name, file string
	options    diskimage.Options
}

var formats = []format{
	{"raw", "windows.raw", diskimage.Options{Format: diskimage.Raw}},
	{"fixed-vhd", "fixed.vhd", diskimage.Options{Format: diskimage.VHD, Type: diskimage.Fixed}},
	{"dynamic-vhd", "dynamic.vhd", diskimage.Options{Format: diskimage.VHD, Type: diskimage.Dynamic}},
	{"vhdx", "windows.vhdx", diskimage.Options{Format: diskimage.VHDX}},
	{"qcow2", "windows.qcow2", diskimage.Options{Format: diskimage.QCOW2}},
}

// path is where a form of the disk is kept, made when it is missing: below
// build/bench, which `make clean` removes.
func (f format) path(b *testing.B) string {
	b.Helper()
	dir := filepath.Join(testutil.Root(), "build", "bench", version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(dir, f.file)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	start := time.Now()
	if f.options.Format == diskimage.Raw {
		makeDisk(b, dir, path)
	} else {
		convert(b, formats[0].path(b), path, f.options, false)
	}
	b.Logf("made %s in %s", path, time.Since(start).Round(time.Second))
	return path
}

func makeDisk(b *testing.B, dir, path string) {
	b.Helper()
	b.Setenv("TMPDIR", dir) // so that the disk can be renamed
	r := rand.New(rand.NewSource(1))
	noise := func(n int) string {
		p := make([]byte, n)
		r.Read(p)
		return string(p)
	}
	files := map[string]string{`\pagefile.sys`: noise(pageFile), `\swapfile.sys`: noise(swapFile)}
	for i := range smallFiles {
		files[fmt.Sprintf(`\Windows\WinSxS\amd64_component-%02x\file%05d.dll`, i%200, i)] = noise(4<<10 + r.Intn(116<<10))
	}
	for i := range largeFiles {
		files[fmt.Sprintf(`\Program Files\Product\large%d.cab`, i)] = noise(80 << 20)
	}
	disk := winimagetest.Disk(b, winimagetest.Spec{Generalized: true, GPT: true, Volume: volumeSize, Files: files, Software: software})
	if err := litter(disk, r); err != nil {
		b.Fatal(err)
	}
	if err := os.Rename(disk, path); err != nil {
		b.Fatal(err)
	}
}

// software fills the hive with classes, as installers do.
func software(root *hivewrite.Key) {
	for i := range classes {
		k := root.Path(fmt.Sprintf(`Classes\CLSID\{%08x-0000-4000-8000-%012x}`, uint32(i)*2654435761, i))
		k.SetString("", "a class of a component").Path("InprocServer32").SetString("ThreadingModel", "Both")
	}
}

// litter writes into free clusters what deleted files leave there.
func litter(path string, r *rand.Rand) error {
	d, err := diskimage.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	space, err := compact.FreeSpace(context.Background(), d)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	p := make([]byte, 1<<20)
	for off, left := int64(0), deleted; left > 0; off += 3 << 20 {
		start, _, err := d.NextData(off)
		if err != nil {
			return err
		}
		if start < off+int64(len(p)) || !space.Skippable(off, int64(len(p))) {
			continue
		}
		r.Read(p)
		if _, err := f.WriteAt(p, off); err != nil {
			return err
		}
		left--
	}
	return f.Sync()
}

// ntfsPartition is where Windows lies on the disk.
func ntfsPartition(b *testing.B, path string) partition.Partition {
	b.Helper()
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	table, err := partition.Read(f, st.Size(), 512)
	if err != nil {
		b.Fatal(err)
	}
	for _, p := range table.Partitions {
		if !p.IsESP() {
			return p
		}
	}
	b.Fatal("no partition for Windows")
	return partition.Partition{}
}

// extract copies the Windows partition into a file of its own, sparse.
func extract(b *testing.B, from, to string) {
	b.Helper()
	p := ntfsPartition(b, from)
	d, err := diskimage.Open(from)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	f, err := os.Create(to)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(p.Length); err != nil {
		b.Fatal(err)
	}
	for off, end := p.Start, p.Start+p.Length; off < end; {
		from, to, err := d.NextData(off)
		if err != nil {
			b.Fatal(err)
		}
		from, to = min(from, end), min(to, end)
		if _, err := io.Copy(io.NewOffsetWriter(f, from-p.Start), io.NewSectionReader(d, from, to-from)); err != nil {
			b.Fatal(err)
		}
		if from == to {
			break
		}
		off = to
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
}

// convert is ours, with the free clusters of NTFS left out or not.
func convert(b *testing.B, from, to string, o diskimage.Options, free bool) diskimage.Stats {
	b.Helper()
	d, err := diskimage.Open(from)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	if free {
		space, err := compact.FreeSpace(context.Background(), d)
		if err != nil {
			b.Fatal(err)
		}
		o.Skip = space
	}
	st, err := diskimage.Convert(context.Background(), d, to, o)
	if err != nil {
		b.Fatal(err)
	}
	return st
}

// rivals are ways of doing the same, by name; each run is timed.
type rival struct {
	name string
	run  func()
}

// race runs all rivals in turns, each in every place, and returns the seconds
// that each took on average. before comes before each run and is not timed.
func race(b *testing.B, before func(), rivals ...rival) map[string]float64 {
	b.Helper()
	total := map[string]time.Duration{}
	n := 0
	for b.Loop() {
		for i := range rivals {
			r := rivals[(i+turn)%len(rivals)]
			before()
			start := time.Now()
			r.run()
			total[r.name] += time.Since(start)
		}
		turn++
		n++
	}
	seconds := map[string]float64{}
	for _, r := range rivals {
		seconds[r.name] = total[r.name].Seconds() / float64(n)
		b.ReportMetric(seconds[r.name], r.name+"-s")
	}
	b.ReportMetric(0, "ns/op")
	return seconds
}

// skip says why also without -v, so that a table with a gap explains itself.
func skip(b *testing.B, reason string) {
	b.Helper()
	fmt.Printf("%s SKIPPED: %s\n", b.Name(), reason)
	b.Skip(reason)
}

// turn rotates the order from one race to the next.
var turn int

// tail is the end of a command's output, for messages.
func tail(out []byte) string {
	lines := strings.Split(string(bytes.TrimSpace(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}
