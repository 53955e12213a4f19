package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

const reseal = "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"

// counter counts what is read of an image.
type counter struct {
	io.ReaderAt
	reads, bytes atomic.Int64
}

func (c *counter) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.reads.Add(1)
	c.bytes.Add(int64(n))
	return n, err
}

// prove opens an image and proves it, as the builder does.
func prove(b *testing.B, path string) *counter {
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
	c := &counter{ReaderAt: f}
	d, err := diskimage.OpenReader(c, st.Size())
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	r, err := winimage.Inspect(context.Background(), d, winimage.Options{})
	if err != nil {
		b.Fatal(err)
	}
	if p := winimage.Prove(r, winimage.Expectation{}); finding.Worst(p) == finding.Fail {
		b.Fatalf("not proven: %+v", finding.Failed(p, finding.Fail))
	}
	return c
}

// BenchmarkProof proves the disk in every format: cold-ms with the image's
// pages dropped from the cache before, warm-ms right after, and what was read.
// Targets: 40 ms cold, 1 MB.
func BenchmarkProof(b *testing.B) {
	for _, f := range formats {
		b.Run(f.name, func(b *testing.B) {
			path := f.path(b)
			var cold, warm time.Duration
			var c *counter
			n := 0
			for b.Loop() {
				for range 10 { // one proof is over in no time
					dropCache(b, path)
					start := time.Now()
					c = prove(b, path)
					cold += time.Since(start)
					start = time.Now()
					prove(b, path)
					warm += time.Since(start)
					n++
				}
			}
			b.ReportMetric(float64(cold.Microseconds())/1e3/float64(n), "cold-ms")
			b.ReportMetric(float64(warm.Microseconds())/1e3/float64(n), "warm-ms")
			b.ReportMetric(float64(c.bytes.Load())/1e6, "read-MB")
			b.ReportMetric(float64(c.reads.Load()), "reads")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkProofAgainstMount reads the same facts by a loop device, ntfs-3g and
// hivexget, which needs root.
func BenchmarkProofAgainstMount(b *testing.B) {
	if os.Geteuid() != 0 {
		skip(b, "loop devices need root")
	}
	for _, tool := range []string{"losetup", "mount", "umount", "ntfs-3g", "hivexget"} {
		testutil.Tool(b, tool)
	}
	path := formats[0].path(b)
	p := ntfsPartition(b, path)
	mounted := b.TempDir()
	if out, err := exec.Command("losetup", "--find").CombinedOutput(); err != nil {
		skip(b, "no loop device: "+tail(out))
	}
	command := func(name string, args ...string) string {
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			b.Fatalf("%s %v: %v\n%s", name, args, err, tail(out))
		}
		return strings.TrimSpace(string(out))
	}
	mount := func() {
		device := command("losetup", "--find", "--show", "--read-only", "--offset", strconv.FormatInt(p.Start, 10), "--sizelimit", strconv.FormatInt(p.Length, 10), path)
		defer command("losetup", "--detach", device)
		command("mount", "-t", "ntfs-3g", "-o", "ro", device, mounted)
		defer command("umount", mounted)
		config := filepath.Join(mounted, "Windows", "System32", "config")
		state := command("hivexget", filepath.Join(config, "SOFTWARE"), `\Microsoft\Windows\CurrentVersion\Setup\State`, "ImageState")
		command("hivexget", filepath.Join(config, "SYSTEM"), `\Setup`)
		command("hivexget", filepath.Join(config, "SYSTEM"), `\Setup\Status\SysprepStatus`)
		for _, name := range []string{"Sysprep_succeeded.tag", "Panther/setupact.log"} {
			if _, err := os.ReadFile(filepath.Join(mounted, "Windows", "System32", "Sysprep", name)); err != nil {
				b.Fatal(err)
			}
		}
		if state != reseal {
			b.Fatalf("hivexget says %q", state)
		}
	}
	for _, cache := range []string{"cold", "warm"} {
		b.Run(cache, func(b *testing.B) {
			seconds := race(b, func() {
				if cache == "cold" {
					dropCache(b, path)
				}
			}, rival{"ours", func() { prove(b, path) }}, rival{"mount", mount})
			b.ReportMetric(seconds["mount"]/seconds["ours"], "ratio")
		})
	}
}

// BenchmarkProofAgainstLibguestfs reads an INI file and opens the hive in
// libguestfs's appliance.
func BenchmarkProofAgainstLibguestfs(b *testing.B) {
	tool, err := exec.LookPath("guestfish")
	if err != nil {
		skip(b, "guestfish (package libguestfs-tools) is not installed")
	}
	path := formats[0].path(b)
	device := fmt.Sprintf("/dev/sda%d", ntfsPartition(b, path).Index)
	seconds := race(b, func() {}, rival{"ours", func() { prove(b, path) }}, rival{"libguestfs", func() {
		out, err := exec.Command(tool, "--ro", "--format=raw", "-a", path, "-m", device,
			"cat", "/Windows/Setup/State/State.ini", ":", "hivex-open", "/Windows/System32/config/SOFTWARE", ":", "hivex-close").CombinedOutput()
		if err != nil || !strings.Contains(string(out), reseal) {
			b.Fatalf("guestfish: %v\n%s", err, tail(out))
		}
	}})
	b.ReportMetric(seconds["libguestfs"]/seconds["ours"], "ratio")
}
