package image

import (
	"archive/tar"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// ova packs files into an OVA whose OVF calls them disks.
func ova(t *testing.T, path string, disks ...string) string {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	add := func(name string, b []byte) {
		t.Helper()
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(b)), Mode: 0o640, Format: tar.FormatUSTAR}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	var references, list string
	for i, disk := range disks {
		references += fmt.Sprintf(`<File ovf:id="f%d" ovf:href="%s"/>`, i, filepath.Base(disk))
		list += fmt.Sprintf(`<Disk ovf:diskId="d%d" ovf:fileRef="f%d" ovf:capacity="1"/>`, i, i)
	}
	add("vm.ovf", []byte(`<?xml version="1.0"?><Envelope xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns="http://schemas.dmtf.org/ovf/envelope/1"><References>`+
		references+`</References><DiskSection>`+list+`</DiskSection></Envelope>`))
	for _, disk := range disks {
		b, err := os.ReadFile(disk)
		if err != nil {
			t.Fatal(err)
		}
		add(filepath.Base(disk), b)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestWhatVirtualBoxAndVMwareLeaveIsConverted: the files as those builders name them,
// in any order.
func TestWhatVirtualBoxAndVMwareLeaveIsConverted(t *testing.T) {
	vmdk := func(t *testing.T, from, to, kind string) string {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		qemu(t, "qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat="+kind, from, to)
		return to
	}
	data := func(t *testing.T) string { return put(t, "data.raw", strings.Repeat("data", 1<<18)) }
	for _, c := range []struct {
		name, builder string
		files         func(t *testing.T, windows string) []string
		disk, kept    string // the file that is read, and what is said of others
	}{
		{"an OVA", "virtualbox-iso", func(t *testing.T, windows string) []string {
			return []string{ova(t, "in/vm.ova", vmdk(t, windows, "in/vm-disk001.vmdk", "streamOptimized"))}
		}, "in/vm.ova", ""},
		{"an OVA with a data disk", "virtualbox-ovf", func(t *testing.T, windows string) []string {
			return []string{ova(t, "in/vm.ova", vmdk(t, data(t), "in/vm-disk001.vmdk", "streamOptimized"), vmdk(t, windows, "in/vm-disk002.vmdk", "streamOptimized"))}
		}, "in/vm.ova", "vm-disk001.vmdk in in/vm.ova"},
		{"an OVF with a data disk", "virtualbox-vm", func(t *testing.T, windows string) []string {
			return []string{put(t, "in/vm.ovf", "<Envelope/>"), vmdk(t, data(t), "in/vm-disk001.vmdk", "streamOptimized"), vmdk(t, windows, "in/vm-disk002.vmdk", "streamOptimized"), put(t, "in/vm.mf", "SHA1")}
		}, "in/vm-disk002.vmdk", "in/vm-disk001.vmdk"},
		{"a disk in pieces", "vmware-iso", func(t *testing.T, windows string) []string {
			vmdk(t, windows, "in/disk.vmdk", "twoGbMaxExtentSparse")
			return []string{"in/disk-s001.vmdk", "in/disk.vmdk", put(t, "in/vm.nvram", "x"), put(t, "in/vm.vmx", "x")}
		}, "in/disk.vmdk", ""},
		{"a flat disk", "vmware-vmx", func(t *testing.T, windows string) []string {
			vmdk(t, windows, "in/disk.vmdk", "monolithicFlat")
			return []string{"in/disk-flat.vmdk", "in/disk.vmdk"}
		}, "in/disk.vmdk", ""},
		{"one file", "vmware-iso", func(t *testing.T, windows string) []string {
			return []string{vmdk(t, windows, "in/disk.vmdk", "monolithicSparse")}
		}, "in/disk.vmdk", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, winimagetest.Spec{Generalized: true}, map[string]any{"packer_builder_type": c.builder, "format": "vhd", "output": "x.vhd", "compact": false, "verify": map[string]any{"compare": true}})
			windows := b.input.files[0]
			if err := os.Mkdir("in", 0o755); err != nil {
				t.Fatal(err)
			}
			b.input.files = c.files(t, windows)
			before := map[string][32]byte{}
			for _, f := range b.input.files {
				before[f] = sum(t, f)
			}
			_, keep, force, err := b.run(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if keep != (c.kept != "") || force != keep || c.kept != "" && !strings.Contains(filepath.ToSlash(b.said.String()), "files that are not in the output: "+c.kept) {
				t.Errorf("keep %t, said:\n%s", keep, &b.said)
			}
			if !strings.Contains(filepath.ToSlash(b.said.String()), "Disk of the artifact: "+c.disk+"\n") {
				t.Errorf("said:\n%s", &b.said)
			}
			// The same disk, but for the bytes that make it whole MiB.
			qemu(t, "qemu-img", "compare", "-f", "raw", "-F", "vpc", windows, "x.vhd")
			for _, f := range b.input.files {
				if sum(t, f) != before[f] {
					t.Errorf("%s was changed", f)
				}
			}

			// And without a conversion it is proven.
			proven := newBench(t, winimagetest.Spec{}, map[string]any{"packer_builder_type": c.builder})
			if err := os.Mkdir("in", 0o755); err != nil {
				t.Fatal(err)
			}
			proven.input.files = c.files(t, windows)
			if got, _, _, err := proven.run(context.Background()); err != nil || got != proven.input {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

func TestAnOVAThatIsCutOffSaysHowMuchIsMissing(t *testing.T) {
	b := newBench(t, winimagetest.Spec{Generalized: true}, map[string]any{"packer_builder_type": "virtualbox-iso", "format": "vhd"})
	path := ova(t, "vm.ova", b.input.files[0])
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, st.Size()-5000); err != nil {
		t.Fatal(err)
	}
	b.input.files = []string{path}
	if _, _, _, err := b.run(context.Background()); err == nil || !strings.Contains(err.Error(), "vm.ova") || !strings.Contains(err.Error(), "so 5000 are missing") {
		t.Errorf("%v", err)
	}
}
