//go:build e2e && linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// mounted makes a folder on a file system of its own.
func mounted(t *testing.T, options string) string {
	t.Helper()
	if os.Getuid() != 0 {
		testutil.Missing(t, "only root may mount the small file systems that this test fills")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		testutil.Missing(t, fmt.Sprintf("mounting a tmpfs: %v", err))
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestEveryHostFault runs a conversion on a host that is not kind. Whatever the
// host does, the input is untouched, and what has the name of the output is an
// image that was proven, or nothing. `make faults` prints the table.
func TestEveryHostFault(t *testing.T) {
	spec := winimagetest.Spec{Generalized: true}
	good := winimagetest.Disk(t, spec)
	type fault struct {
		name string
		// folder is where the output goes.
		folder func(t *testing.T) string
		// says is a part of what the user is told.
		says string
		// succeeds: the fault may not cost the image.
		succeeds bool
	}
	faults := []fault{
		{"no room for the output", func(t *testing.T) string { return mounted(t, "size=1m") }, "not enough free space", false},
		{"read-only file system", func(t *testing.T) string { return mounted(t, "ro") }, "read-only file system", false},
		{"a file where the folder should be", func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "file")
			write(t, path, "mine")
			return path
		}, "not a folder", false},
		{"a dangling link as folder", func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "link")
			if err := os.Symlink("nowhere/at/all", path); err != nil {
				t.Fatal(err)
			}
			return path
		}, "output", false},
	}
	// A file system that runs out of inodes fails at one step after the other:
	// lock, scratch folder, mark, disk, report.
	for n := 1; n <= 5; n++ {
		f := fault{fmt.Sprintf("room for %d names", n), func(t *testing.T) string { return mounted(t, fmt.Sprintf("nr_inodes=%d", n+1)) }, "no space left on device", n == 5}
		if f.succeeds {
			f.says = "Image: "
		}
		faults = append(faults, f)
	}
	faults = append(faults, fault{"none", func(t *testing.T) string { return filepath.Join(t.TempDir(), "out") }, "Image: ", true})
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 1, ' ', tabwriter.Debug)
	fmt.Fprintln(w, "host fault\t exit code\t output\t kept\t left\t time\t what is said")
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			dir := t.TempDir()
			input := filepath.Join(dir, "disk.raw")
			copyFile(t, good, input)
			before := sum(t, input)
			folder := f.folder(t)
			output := filepath.Join(folder, "x.raw")
			began := time.Now()
			out, code := convert(t, dir, fmt.Sprintf("output = %q\n      keep_input_artifact = true\n      compact = false", output), input)
			took := time.Since(began).Round(100 * time.Millisecond)
			if !exists(input) || sum(t, input) != before {
				t.Error("the input is gone or changed")
			}
			made := exists(output)
			if made != (code == 0) || f.succeeds && code != 0 {
				t.Errorf("exit code %d, output there: %t\n%s", code, made, out)
			}
			if made {
				if sum(t, output) != before {
					t.Error("the output is not the input")
				}
				if !strings.Contains(out, "Proven: ") {
					t.Errorf("the output was not proven\n%s", out)
				}
			}
			if !strings.Contains(out, f.says) {
				t.Errorf("the user is not told %q:\n%s", f.says, out)
			}
			var left []string
			kept := filepath.Join(folder, "x-finished-1.raw")
			if exists(kept) {
				// An image that was proven is kept, and the user is told where.
				if sum(t, kept) != before || !strings.Contains(out, "it is kept as "+kept) {
					t.Errorf("kept %s:\n%s", kept, out)
				}
			}
			if entries, err := os.ReadDir(folder); err == nil {
				for _, e := range entries {
					if path := filepath.Join(folder, e.Name()); path != kept && e.Name() != "x.raw" && e.Name() != "x.raw.report.json" {
						left = append(left, e.Name())
					}
				}
			}
			if len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
			if text, err := os.ReadFile(folder); err == nil && string(text) != "mine" {
				t.Errorf("the file in the way holds %q", text)
			}
			first := ""
			for _, line := range strings.Split(out, "\n") {
				if strings.Contains(line, f.says) {
					first = strings.TrimSpace(strings.ReplaceAll(line, folder, "OUT"))
					break
				}
			}
			fmt.Fprintf(w, "%s\t %d\t %t\t %t\t %d\t %s\t %.120s\n", f.name, code, made, exists(kept), len(left), took, first)
		})
	}
	if err := w.Flush(); err != nil {
		t.Error(err)
	}
	t.Logf("\n%s", table.String())
}
