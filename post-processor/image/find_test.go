package image

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

func TestTheDiskIsTheOneWithWindows(t *testing.T) {
	windows := func(path string) candidate { return candidate{path: path, windows: 1, disk: true} }
	for _, c := range []struct {
		name        string
		found       []candidate
		want, wrong string
	}{
		{"one disk", []candidate{windows("a")}, "a", ""},
		{"a data disk beside it", []candidate{{path: "data", disk: true}, windows("a")}, "a", ""},
		{"a file that may be anything beside it", []candidate{{path: "efivars"}, windows("a")}, "a", ""},
		{"a broken file beside it", []candidate{{path: "x", problem: errors.New("x: corrupt")}, windows("a")}, "a", ""},
		{"two with Windows", []candidate{windows("a"), windows("b")}, "", "a, b; name the right one"},
		{"none with Windows, one disk: the proof will say so", []candidate{{path: "a", disk: true}, {path: "other"}}, "a", ""},
		{"none with Windows, two disks", []candidate{{path: "a", disk: true}, {path: "b", disk: true}}, "", "a; b"},
		{"only one that cannot be read", []candidate{{path: "a", problem: errors.New("a: this is a VMDK file")}}, "", "VMDK"},
		{"nothing like a disk", []candidate{{path: "notes"}}, "", "none of the files"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var files []string
			for _, f := range c.found {
				files = append(files, f.path)
			}
			got, err := choose(c.found, files)
			if got != c.want || (err != nil) != (c.wrong != "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%q, %v; want %q, %q", got, err, c.want, c.wrong)
			}
		})
	}
}

func TestTheDiskIsFoundByContent(t *testing.T) {
	dir := t.TempDir()
	disk := filepath.Join(dir, "packer-windows") // qemu's builder adds no extension by default
	if err := os.Rename(winimagetest.Disk(t, winimagetest.Spec{Generalized: true}), disk); err != nil {
		t.Fatal(err)
	}
	var files []string
	for name, size := range map[string]int64{"efivars.fd": 64 << 10, "VM.vmcx": 100, "huge.iso": 1 << 20, "vars": 64 << 10, "empty": 0} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	files = append(files, disk, dir, filepath.Join(dir, "gone"))
	if got, err := findDisk(context.Background(), files, nil); got.path != disk || len(got.left) != 0 || err != nil {
		t.Errorf("%+v, %v; want %s", got, err, disk)
	}
	if _, err := findDisk(context.Background(), nil, nil); err == nil || !strings.Contains(err.Error(), "no files") {
		t.Errorf("error %v for an artifact of the cloud", err)
	}
}

func TestADiskAndItsParentAreOneDisk(t *testing.T) {
	qemuImg := testutil.Tool(t, "qemu-img")
	parent := winimagetest.Disk(t, winimagetest.Spec{Generalized: true})
	child := filepath.Join(t.TempDir(), "child.qcow2")
	if out, err := exec.Command(qemuImg, "create", "-q", "-f", "qcow2", "-b", parent, "-F", "raw", child).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, err := findDisk(context.Background(), []string{parent, child}, []string{parent}); got.path != child || len(got.left) != 0 || err != nil {
		t.Errorf("%+v, %v; want the child", got, err)
	}
	// Two disks that have nothing to do with one another.
	other := filepath.Join(t.TempDir(), "other.vhdx")
	src, err := diskimage.Open(parent)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if _, err := diskimage.Convert(context.Background(), src, other, diskimage.Options{Format: diskimage.VHDX}); err != nil {
		t.Fatal(err)
	}
	if _, err := findDisk(context.Background(), []string{parent, other}, nil); err == nil || !strings.Contains(err.Error(), parent) || !strings.Contains(err.Error(), other) {
		t.Errorf("error %v, want one that names both", err)
	}
}
