package bench

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/capture"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/wim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// captureDisk is a generalized Windows with the programs and sources of this Go beside it,
// some 200 MB that shrink as programs do; it is kept like the others.
func captureDisk(b *testing.B) string {
	b.Helper()
	dir := filepath.Join(testutil.Root(), "build", "bench", version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(dir, "programs-"+runtime.Version()+".raw")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	b.Setenv("TMPDIR", dir) // so that the disk can be renamed
	files := map[string]string{}
	for _, folder := range []string{"bin", "pkg", "src"} {
		err := filepath.WalkDir(filepath.Join(runtime.GOROOT(), folder), func(name string, d os.DirEntry, err error) error { //nolint:staticcheck // the Go that runs this
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			content, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			below, err := filepath.Rel(runtime.GOROOT(), name) //nolint:staticcheck // as above
			files[`\Program Files\Go\`+filepath.ToSlash(below)] = string(content)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	disk := winimagetest.Disk(b, winimagetest.Spec{Generalized: true, GPT: true, Volume: 1 << 30, Files: files})
	if err := os.Rename(disk, path); err != nil {
		b.Fatal(err)
	}
	return path
}

// BenchmarkCapture makes a WIM of a Windows volume by wimlib and by ours, both with XPRESS
// and both with LZX at its default level, on all processors. Beside time there is processor
// time, which a busy machine spoils less: wimlib has a thread more than processors, and gets
// more of them there. wimlib gets the volume as a file of its own; ours reads it in its
// disk, and proves nothing first. The ratios are wimlib's time over ours, and the size of
// ours over wimlib's.
func BenchmarkCapture(b *testing.B) {
	tool := testutil.Tool(b, "wimlib-imagex")
	from := captureDisk(b)
	dir := scratch(b, from)
	volume, theirs, ours := filepath.Join(dir, "volume"), filepath.Join(dir, "theirs.wim"), filepath.Join(dir, "ours.wim")
	extract(b, from, volume)
	disk, err := diskimage.Open(from)
	if err != nil {
		b.Fatal(err)
	}
	defer disk.Close()
	facts, err := winimage.Inspect(context.Background(), disk, winimage.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for _, compression := range []wim.Compression{wim.XPRESS, wim.LZX} {
		b.Run(string(compression), func(b *testing.B) {
			captureBoth(b, tool, volume, theirs, ours, disk, facts, compression)
		})
	}
}

func captureBoth(b *testing.B, tool, volume, theirs, ours string, disk diskimage.Disk, facts winimage.Facts, compression wim.Compression) {
	b.Helper()
	for b.Loop() {
		start := time.Now()
		cmd := exec.Command(tool, "capture", volume, theirs, "--compress="+strings.ToUpper(string(compression)))
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, tail(out))
		}
		toDisk(b, theirs)
		other, otherCPU := time.Since(start), cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()
		start, began := time.Now(), processorTime()
		if _, err := capture.Write(context.Background(), disk, facts, ours, capture.Options{Compression: compression}); err != nil {
			b.Fatal(err)
		}
		own, ownCPU := time.Since(start), processorTime()-began
		if ownCPU > 0 {
			b.ReportMetric(otherCPU.Seconds()/ownCPU.Seconds(), "x-less-cpu-than-wimlib")
		}
		b.ReportMetric(own.Seconds(), "s")
		b.ReportMetric(other.Seconds()/own.Seconds(), "x-faster-than-wimlib")
		b.ReportMetric(sizeMB(b, ours)/sizeMB(b, theirs), "size-of-wimlib's")
		if out, err := exec.Command(tool, "verify", ours).CombinedOutput(); err != nil {
			b.Fatalf("verify: %v\n%s", err, tail(out))
		}
		for _, path := range []string{theirs, ours} {
			if err := os.Remove(path); err != nil {
				b.Fatal(err)
			}
		}
	}
}
