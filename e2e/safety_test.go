//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// artifactTemplate hands files to sysprep-image as a builder's artifact would.
func artifactTemplate(options string, files ...string) string {
	quoted := make([]string, len(files))
	for i, f := range files {
		quoted[i] = fmt.Sprintf("%q", f)
	}
	return fmt.Sprintf(`
source "null" "disk" { communicator = "none" }
build {
  sources = ["source.null.disk"]
  post-processors {
    post-processor "artifice" { files = [%s] }
    post-processor "sysprep-image" {
      format = "raw"
      %s
    }
  }
}
`, strings.Join(quoted, ", "), options)
}

// convert runs a forced build over files of an artifact, in dir.
func convert(t *testing.T, dir, options string, files ...string) (out string, code int) {
	t.Helper()
	write(t, filepath.Join(dir, "image.pkr.hcl"), artifactTemplate(options, files...))
	out, _, code = runPacker(t, dir, nil, "build", "-color=false", "-force", "image.pkr.hcl")
	return out, code
}

// diskAt makes a small disk of the simulated Windows at a path.
func diskAt(t *testing.T, path string, spec winimagetest.Spec) string {
	t.Helper()
	disk := winimagetest.Disk(t, spec)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	copyFile(t, disk, path)
	return path
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

const oldReport = `{"schema": 1, "proof": {"proven": true}}`

func TestAnImageThatIsItsOwnInputIsRefused(t *testing.T) {
	for name, output := range map[string]string{"relative": "in/disk.raw", "through a link": "link/disk.raw", "hard link": "hard.raw"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			disk := diskAt(t, filepath.Join(dir, "in", "disk.raw"), winimagetest.Spec{Generalized: true})
			if err := os.Symlink("in", filepath.Join(dir, "link")); err != nil {
				t.Fatal(err)
			}
			if err := os.Link(disk, filepath.Join(dir, "hard.raw")); err != nil {
				t.Fatal(err)
			}
			before := sum(t, disk)
			out, code := convert(t, dir, fmt.Sprintf("output = %q", output), disk)
			if code == 0 || !strings.Contains(out, "is the same file as") {
				t.Errorf("exit code %d:\n%s", code, out)
			}
			if !exists(disk) || sum(t, disk) != before {
				t.Error("the image is gone or changed")
			}
		})
	}
}

func TestADataDiskOutlivesTheConversion(t *testing.T) {
	dir := t.TempDir()
	disk := diskAt(t, filepath.Join(dir, "in", "os.raw"), winimagetest.Spec{Generalized: true})
	data := filepath.Join(dir, "in", "data.raw")
	write(t, data, strings.Repeat("precious", 1<<18))
	out, code := convert(t, dir, "output = \"out/x.raw\"\n      keep_input_artifact = false", disk, data)
	if code != 0 || !strings.Contains(out, "the input is kept") || !strings.Contains(out, data) {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	for _, path := range []string{disk, data, filepath.Join(dir, "out", "x.raw")} {
		if !exists(path) {
			t.Errorf("%s is gone", path)
		}
	}
	// Without a data disk it goes, as without the option everywhere.
	out, code = convert(t, dir, "output = \"out/x.raw\"", disk)
	if code != 0 || exists(disk) {
		t.Errorf("exit code %d, the input is there: %t\n%s", code, exists(disk), out)
	}
}

func TestAForcedConversionThatFailsKeepsTheOldImage(t *testing.T) {
	dir := t.TempDir()
	disk := diskAt(t, filepath.Join(dir, "in", "os.raw"), winimagetest.Spec{})
	old, report := filepath.Join(dir, "x.raw"), filepath.Join(dir, "x.raw.report.json")
	write(t, old, "the good image")
	write(t, report, oldReport)
	out, code := convert(t, dir, `output = "x.raw"`, disk)
	if code == 0 || !strings.Contains(out, "x.raw.not-proven.report.json") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	for path, want := range map[string]string{old: "the good image", report: oldReport} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s holds %.40q, %v", path, got, err)
		}
	}
}

// builderInto boots the guest into a folder. Its password is wrong, so that it
// goes on waiting.
func builderInto(t *testing.T, folder string) *packerRun {
	t.Helper()
	return machine{source: fmt.Sprintf("output_directory = %q", folder), password: "wrong", force: true}.start(t)
}

// eventually waits for something that another process does.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(cancelLimit)
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("not within %s: %s", cancelLimit, what)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func TestOneFolderHoldsOneBuildAndItsOldImage(t *testing.T) {
	t.Parallel()
	output := filepath.Join(t.TempDir(), "output")
	old, report := filepath.Join(output, "image.vhd"), filepath.Join(output, "image.vhd.report.json")
	if err := os.Mkdir(output, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, old, "the good image")
	write(t, report, oldReport)
	untouched := func() bool {
		entries, err := os.ReadDir(output)
		if err != nil {
			t.Fatal(err)
		}
		disk, _ := os.ReadFile(old)
		text, _ := os.ReadFile(report)
		return len(entries) == 2 && string(disk) == "the good image" && string(text) == oldReport
	}
	const booted = "Waiting for WinRM"

	// A second build is refused; a closed terminal leaves nothing behind.
	first := builderInto(t, output)
	first.waitLine(booted)
	if !exists(old) || !exists(report) {
		t.Error("the old image was removed before there is a new one")
	}
	second := builderInto(t, output)
	second.expect(1, "is in use by another build")
	if err := syscall.Kill(-first.cmd.Process.Pid, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	first.wait()
	eventually(t, "the old image alone is left", untouched)

	// What a killed build left is removed by the next.
	third := builderInto(t, output)
	third.waitLine(booted)
	if err := syscall.Kill(-third.cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	third.wait()
	eventually(t, "QEMU has ended", func() bool { return len(processesNaming(t, output)) == 0 })
	if left, _ := filepath.Glob(filepath.Join(output, ".scratch-*", "disk.qcow2")); len(left) != 1 {
		t.Fatalf("the killed build left %v; there is nothing to show", left)
	}
	fourth := builderInto(t, output)
	fourth.waitLine("Removed what an earlier build left behind when it was killed")
	fourth.waitLine(booted)
	fourth.interrupt()
	eventually(t, "the old image alone is left", untouched)
}
