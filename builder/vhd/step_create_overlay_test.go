package vhd

import (
	"bytes"
	"crypto/sha256"
	"os"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

func TestCreateOverlayChoosesOverlayOrCopy(t *testing.T) {
	raw := rawDisk(t, 3<<20, nil)
	drivers := map[string]hypervisor.Options{
		"a hypervisor that boots VHDX":                        fakeMaker{format: "vhdx"},
		"a hypervisor that reads what QEMU does not":          fakeOverlayer{fakeMaker{format: "qcow2"}},
		"a hypervisor that boots qcow2 and knows no overlays": fakeMaker{format: "qcow2"},
	}
	for _, c := range []struct {
		name    string
		source  string
		change  func(*diskimage.Info)
		backing string
		says    string
	}{
		{"raw", raw, nil, "raw", ""},
		{"a fixed VHD is raw data and a footer", convertTo(t, raw, diskimage.Options{Format: diskimage.VHD}), nil, "raw", ""},
		{"a dynamic VHD", convertTo(t, raw, diskimage.Options{Format: diskimage.VHD, Type: diskimage.Dynamic}), nil, "vpc", ""},
		{"VHDX", convertTo(t, raw, diskimage.Options{Format: diskimage.VHDX}), nil, "vhdx", ""},
		{"qcow2", convertTo(t, raw, diskimage.Options{Format: diskimage.QCOW2}), nil, "qcow2", ""},
		{"a VHDX with a log", raw, func(i *diskimage.Info) { i.LogReplayed = true }, "", "not closed cleanly"},
		{"a differencing disk", raw, func(i *diskimage.Info) { i.Type = diskimage.Differencing }, "", "differencing"},
		{"a hypervisor that boots VHDX", raw, nil, "", "the hypervisor boots vhdx"},
		{"a hypervisor that reads what QEMU does not", raw, func(i *diskimage.Info) { i.GuessedFormat = true }, "raw", ""},
		{"a hypervisor that boots qcow2 and knows no overlays", raw, nil, "", "the hypervisor boots qcow2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, err := os.ReadFile(c.source)
			if err != nil {
				t.Fatal(err)
			}
			b := newBench(t, map[string]any{"source_path": c.source})
			b.wantContinue(t, new(stepInspectSource).Run(t.Context(), b))
			if c.change != nil {
				c.change(&b.run.source)
			}
			b.run.scratch = t.TempDir()
			if driver := drivers[c.name]; driver != nil {
				b.run.driver = driver
			}
			b.wantContinue(t, new(stepCreateOverlay).Run(t.Context(), b))
			if b.run.disk.Format != b.run.driver.(hypervisor.Maker).DiskFormat() || b.run.disk.BackingFormat != c.backing {
				t.Errorf("got %+v", b.run.disk)
			}
			if said := joined(b); !strings.Contains(said, c.says) || c.says == "" && strings.Contains(said, "Copying") || drivers[c.name] != nil && strings.Contains(said, "QEMU") {
				t.Errorf("%q was not said: %s", c.says, said)
			}
			flat := convertTo(t, b.run.disk.Path, diskimage.Options{Format: diskimage.Raw})
			if sum(t, flat) != sum(t, raw) {
				t.Error("the overlay shows another disk than its source")
			}
			if after, err := os.ReadFile(c.source); err != nil || !bytes.Equal(before, after) {
				t.Errorf("the source changed: %v", err)
			}
		})
	}
	b := newBench(t, nil)
	b.run.scratch, b.run.source = t.TempDir(), diskimage.Info{Files: []string{"/no/such/disk"}, LogReplayed: true}
	b.wantHalt(t, new(stepCreateOverlay).Run(t.Context(), b), "copying source disk", "/no/such/disk")
	b.Remove("error")
	b.wantQuietHalt(t, new(stepCreateOverlay).Run(cancelled(), b))
	b.run.driver = fakeMaker{format: "vmdk"}
	b.wantHalt(t, new(stepCreateOverlay).Run(t.Context(), b), "vmdk")
}

func joined(b *bench) string {
	var lines []string
	for _, m := range b.said.SayMessages {
		lines = append(lines, m.Message)
	}
	return strings.Join(lines, "\n")
}

func sum(t *testing.T, path string) [32]byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(data)
}
