package diskimage

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func compare(t *testing.T, aFormat Format, a string, bFormat Format, b string) {
	t.Helper()
	if out := run(t, "qemu-img", "compare", "-f", aFormat.QEMU(), "-F", bFormat.QEMU(), a, b); !strings.Contains(out, "identical") {
		t.Errorf("qemu-img compare %s %s: %s", a, b, out)
	}
}

func TestEveryFormatBecomesEveryOtherAndQEMUSeesTheSameDisk(t *testing.T) {
	for _, size := range []int64{20 << 20, 7<<20 + 512, 512, 5<<20 + 3584} {
		dir := t.TempDir()
		want := pattern(size)
		raw := writeFile(t, "disk.raw", want)
		for _, from := range outputs {
			src := filepath.Join(dir, fmt.Sprintf("%s%s", from.Format, from.Type))
			convertTo(t, raw, src, from)
			sameContent(t, content(t, open(t, src)), want)
			for _, to := range outputs {
				name := fmt.Sprintf("%s%s-%s%s", from.Format, from.Type, to.Format, to.Type)
				dst := filepath.Join(dir, name)
				convertTo(t, src, dst, to)
				d := open(t, dst)
				if d.Format() != to.Format || d.Info().Type != to.Type && to.Format == VHD {
					t.Errorf("%s is a %s %s", name, d.Info().Type, d.Format())
				}
				sameContent(t, content(t, d), want)
				compare(t, Raw, raw, to.Format, dst)
				if to.Format == VHDX || to.Format == QCOW2 {
					run(t, "qemu-img", "check", "-f", to.Format.QEMU(), dst)
				}
			}
		}
	}
}

func TestWhatQEMUWritesIsReadTheSame(t *testing.T) {
	size := int64(30 << 20)
	want := pattern(size)
	raw := writeFile(t, "disk.raw", want)
	for name, args := range map[string][]string{
		"vpc-dynamic":    {"-O", "vpc", "-o", "subformat=dynamic,force_size=on"},
		"vpc-fixed":      {"-O", "vpc", "-o", "subformat=fixed,force_size=on"},
		"vhdx":           {"-O", "vhdx"},
		"vhdx-1M":        {"-O", "vhdx", "-o", "block_size=1M"},
		"vhdx-fixed":     {"-O", "vhdx", "-o", "subformat=fixed"},
		"qcow2":          {"-O", "qcow2"},
		"qcow2-v2":       {"-O", "qcow2", "-o", "compat=0.10"},
		"qcow2-512":      {"-O", "qcow2", "-o", "cluster_size=512"},
		"qcow2-2M":       {"-O", "qcow2", "-o", "cluster_size=2M"},
		"qcow2-zlib":     {"-O", "qcow2", "-c"},
		"qcow2-zstd":     {"-O", "qcow2", "-c", "-o", "compression_type=zstd"},
		"qcow2-zstd-2M":  {"-O", "qcow2", "-c", "-o", "compression_type=zstd,cluster_size=2M"},
		"qcow2-extended": {"-O", "qcow2", "-o", "extended_l2=on,cluster_size=128k"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "disk")
			run(t, "qemu-img", append(append([]string{"convert", "-f", "raw"}, args...), raw, path)...)
			sameContent(t, content(t, open(t, path)), want)
		})
	}
}

func TestQEMUAndLibvhdiTakeTheSizeWeWrote(t *testing.T) {
	// Sizes that QEMU's own geometry arithmetic does not hit.
	for _, mibs := range []int64{14, 127, 1023, 30 << 10} {
		raw := writeFile(t, "disk.raw", []byte("boot"))
		if err := os.Truncate(raw, mibs*mib-512); err != nil {
			t.Fatal(err)
		}
		for _, o := range []Options{{Format: VHD, AlignMiB: true}, {Format: VHD, Type: Dynamic, AlignMiB: true}, {Format: VHDX, AlignMiB: true}} {
			path := filepath.Join(t.TempDir(), "disk."+string(o.Format))
			st := convertTo(t, raw, path, o)
			if st.VirtualSize != mibs*mib {
				t.Errorf("%d MiB less a sector became %d bytes", mibs, st.VirtualSize)
			}
			var info struct {
				Size int64 `json:"virtual-size"`
			}
			out := run(t, "qemu-img", "info", "--output=json", "-f", o.Format.QEMU(), path)
			if err := json.Unmarshal([]byte(out), &info); err != nil {
				t.Fatal(err)
			}
			if info.Size != mibs*mib {
				t.Errorf("qemu-img says %d bytes of a %s %s of %d MiB", info.Size, o.Type, o.Format, mibs)
			}
			if out := run(t, "vhdiinfo", path); !strings.Contains(out, fmt.Sprintf("(%d bytes)", mibs*mib)) {
				t.Errorf("vhdiinfo does not say %d bytes:\n%s", mibs*mib, out)
			}
		}
	}
}

func TestOverlayReadsWhatQEMUReads(t *testing.T) {
	base := writeFile(t, "base.raw", pattern(12<<20+512))
	for _, o := range outputs {
		t.Run(string(o.Format)+string(o.Type), func(t *testing.T) {
			dir := t.TempDir()
			convertTo(t, base, filepath.Join(dir, "base"), o)
			overlay := filepath.Join(dir, "overlay")
			// Larger than its base; a relative name.
			cmd := []string{"create", "-q", "-f", "qcow2", "-b", "base", "-F", o.Format.QEMU(), overlay, "20M"}
			run(t, "qemu-img", cmd...)
			run(t, "qemu-io", "-f", "qcow2", "-c", "write -P 7 100k 3k", "-c", "write -z 1M 256k", "-c", "write -P 9 19M 4k", overlay)
			flat := filepath.Join(dir, "flat")
			run(t, "qemu-img", "convert", "-f", "qcow2", "-O", "raw", overlay, flat)
			want, err := os.ReadFile(flat)
			if err != nil {
				t.Fatal(err)
			}
			d := open(t, overlay)
			sameContent(t, content(t, d), want)
			if files := d.Info().Files; len(files) != 2 || filepath.Base(files[1]) != "base" {
				t.Errorf("files of the chain: %q", files)
			}
			dst := filepath.Join(dir, "out.vhd")
			convertTo(t, overlay, dst, Options{Format: VHD, AlignMiB: true})
			compare(t, Raw, flat, VHD, dst)
		})
	}
}

func TestGeometryIsTheOneThatOthersWrite(t *testing.T) {
	// Virtual PC 2007 wrote this for its default disk of 127 GiB.
	if g := geometry(136365211648); g != (vhdGeometry{65278, 16, 255}) {
		t.Errorf("127 GiB: %+v", g)
	}
	for _, size := range []int64{3 * mib, 14 * mib, 40 * mib, 127 * mib, 503 * mib, 600 * mib, 1023 * mib, 4 * gib, 30 * gib, 40 * gib, 126 * gib, 500 * gib} {
		g := geometry(size)
		whole := int64(g.Cylinder) * int64(g.Heads) * int64(g.SectorsPerTrack) * 512
		path := filepath.Join(t.TempDir(), "disk.vhd")
		run(t, "qemu-img", "create", "-q", "-f", "vpc", path, fmt.Sprint(whole))
		f, _, err := readFooter(inner(open(t, path)).(*blockDisk).source)
		if err != nil {
			t.Fatal(err)
		}
		if g := geometry(whole); f.CurrentSize == uint64(whole) && f.DiskGeometry != g {
			t.Errorf("%d: %+v, qemu-img writes %+v", whole, g, f.DiskGeometry)
		}
		if f.CurrentSize != uint64(whole) {
			t.Logf("%d: qemu-img rounds to %d", whole, f.CurrentSize)
		}
	}
}

// A snapshot in a qcow2 holds what the disk was before sysprep, and is published with it.
func TestSnapshotsInAQcow2AreTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.qcow2")
	run(t, "qemu-img", "create", "-q", "-f", "qcow2", path, "1M")
	told := func() bool {
		return slices.ContainsFunc(open(t, path).Info().Warnings, func(w string) bool {
			return strings.Contains(w, "snapshots in the qcow2: 1;") && strings.Contains(w, "qemu-img snapshot -d")
		})
	}
	if told() {
		t.Error("told of a disk without")
	}
	run(t, "qemu-img", "snapshot", "-c", "before", path)
	if !told() {
		t.Error("not told")
	}
}
