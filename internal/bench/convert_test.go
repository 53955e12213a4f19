package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// scratch is a folder for outputs on the file system of the disks.
func scratch(b *testing.B, disk string) string {
	b.Helper()
	dir, err := os.MkdirTemp(filepath.Dir(disk), "scratch-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// synced runs a program and syncs what it wrote, as ours does.
func synced(b *testing.B, output, name string, args ...string) {
	b.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		b.Fatalf("%s %v: %v\n%s", name, args, err, tail(out))
	}
	toDisk(b, output)
}

func toDisk(b *testing.B, path string) {
	b.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
}

func sizeMB(b *testing.B, path string) float64 {
	b.Helper()
	st, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	return float64(st.Size()) / 1e6
}

// BenchmarkConvert converts the disk four ways: qemu-img convert, the same
// with -W -m 8, ours, and ours without the free clusters of NTFS, finding them
// included. The ratios are qemu-img's time over each, of its plain form and, for
// ours, of the one with -W -m 8 too.
func BenchmarkConvert(b *testing.B) {
	tool := testutil.Tool(b, "qemu-img")
	fixed := []string{"-O", "vpc", "-o", "subformat=fixed,force_size=on"}
	for _, c := range []struct {
		name string
		from format
		to   diskimage.Options
		args []string
	}{
		{"raw-to-fixed-vhd", formats[0], formats[1].options, fixed},
		{"raw-to-dynamic-vhd", formats[0], formats[2].options, []string{"-O", "vpc", "-o", "subformat=dynamic,force_size=on"}},
		{"raw-to-vhdx", formats[0], formats[3].options, []string{"-O", "vhdx"}},
		{"dynamic-vhd-to-fixed", formats[2], formats[1].options, fixed},
		{"qcow2-to-fixed-vhd", formats[4], formats[1].options, fixed},
	} {
		b.Run(c.name, func(b *testing.B) {
			from := c.from.path(b)
			dir := scratch(b, from)
			qemu, ours, ntfs := filepath.Join(dir, "qemu"), filepath.Join(dir, "ours"), filepath.Join(dir, "ntfs")
			args := append(append([]string{"convert", "-f", c.from.options.Format.QEMU()}, c.args...), from, qemu)
			parallel := append([]string{"convert", "-W", "-m", "8"}, args[1:]...)
			sizes := map[string]float64{}
			clean := func() {
				for _, path := range []string{qemu, ours, ntfs} {
					if _, err := os.Stat(path); err == nil {
						sizes[path] = sizeMB(b, path)
						os.Remove(path)
					}
				}
			}
			seconds := race(b, clean,
				rival{"qemu", func() { synced(b, qemu, tool, args...) }},
				rival{"qemu-W-m8", func() { synced(b, qemu, tool, parallel...) }},
				rival{"ours", func() { convert(b, from, ours, c.to, false) }},
				rival{"ours-ntfs", func() { convert(b, from, ntfs, c.to, true) }})
			clean()
			for _, name := range []string{"qemu-W-m8", "ours", "ours-ntfs"} {
				b.ReportMetric(seconds["qemu"]/seconds[name], name+"-ratio")
			}
			for _, name := range []string{"ours", "ours-ntfs"} {
				b.ReportMetric(seconds["qemu-W-m8"]/seconds[name], name+"-to-W-m8-ratio")
			}
			if c.to.Format == diskimage.VHDX {
				b.ReportMetric(sizes[qemu], "qemu-MB")
				b.ReportMetric(sizes[ours], "ours-MB")
				b.ReportMetric(sizes[ntfs], "ours-ntfs-MB")
			}
		})
	}
}

// vmdk is a form of a disk that only QEMU writes, kept beside the others.
func vmdk(b *testing.B, tool, from, kind string) string {
	b.Helper()
	path := strings.TrimSuffix(from, ".raw") + "-" + kind + ".vmdk"
	if _, err := os.Stat(path); err != nil {
		if out, err := exec.Command(tool, "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat="+kind, from, path).CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, tail(out))
		}
	}
	return path
}

// BenchmarkConvertVMDK reads VMDKs of a disk whose files shrink as programs do, into a raw
// disk and the formats of Hyper-V: qemu-img convert -W -m 8, and ours, which
// reads a sample back. The ratio is qemu-img's time over ours.
func BenchmarkConvertVMDK(b *testing.B) {
	tool := testutil.Tool(b, "qemu-img")
	disk := captureDisk(b)
	for _, kind := range []string{"monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "streamOptimized"} {
		for _, to := range []struct {
			format
			args []string
		}{
			{formats[0], []string{"-O", "raw"}},
			{formats[1], []string{"-O", "vpc", "-o", "subformat=fixed,force_size=on"}},
			{formats[3], []string{"-O", "vhdx"}},
		} {
			b.Run(kind+"-to-"+to.name, func(b *testing.B) {
				from := vmdk(b, tool, disk, kind)
				dir := scratch(b, from)
				theirs, ours := filepath.Join(dir, "theirs"), filepath.Join(dir, "ours")
				args := append(append([]string{"convert", "-W", "-m", "8", "-f", "vmdk"}, to.args...), from, theirs)
				seconds := race(b, func() { os.Remove(theirs); os.Remove(ours) },
					rival{"qemu-W-m8", func() { synced(b, theirs, tool, args...) }},
					rival{"ours", func() { convert(b, from, ours, to.options, false) }})
				b.ReportMetric(seconds["qemu-W-m8"]/seconds["ours"], "ratio")
			})
		}
	}
}

// BenchmarkCompact copies a disk without its free clusters; ntfsclone keeps the
// page files. The ratio is ntfsclone's time over ours.
func BenchmarkCompact(b *testing.B) {
	tool := testutil.Tool(b, "ntfsclone")
	from := formats[0].path(b)
	dir := scratch(b, from)
	volume, clone, copied := filepath.Join(dir, "volume"), filepath.Join(dir, "clone"), filepath.Join(dir, "copy")
	extract(b, from, volume)
	next := func() {
		for _, path := range []string{clone, copied} {
			os.Remove(path)
		}
	}
	seconds := race(b, next,
		rival{"ntfsclone", func() { synced(b, clone, tool, "--quiet", "--output", clone, volume) }},
		rival{"ours", func() { convert(b, from, copied, formats[0].options, true) }})
	b.ReportMetric(seconds["ntfsclone"]/seconds["ours"], "ratio")
}

// BenchmarkCompactAgainstVirtSparsify is the same against libguestfs, which
// frees the clusters in place.
func BenchmarkCompactAgainstVirtSparsify(b *testing.B) {
	tool, err := exec.LookPath("virt-sparsify")
	if err != nil {
		skip(b, "virt-sparsify (package guestfs-tools) is not installed")
	}
	from := formats[0].path(b)
	dir := scratch(b, from)
	ours, theirs := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
	next := func() {
		os.Remove(ours)
		convert(b, from, theirs, formats[0].options, false)
	}
	seconds := race(b, next, rival{"ours", func() { convert(b, from, ours, formats[0].options, true) }}, rival{"virt-sparsify", func() {
		synced(b, theirs, tool, "--quiet", "--in-place", "--format", "raw", theirs)
	}})
	b.ReportMetric(seconds["virt-sparsify"]/seconds["ours"], "ratio")
}
