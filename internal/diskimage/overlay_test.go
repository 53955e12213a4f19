package diskimage

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

func TestOverlayIsWhatQEMUMakes(t *testing.T) {
	disk := pattern(3 << 20)
	copy(disk, "the first sector")
	raw, fixed, dynamic := writeFile(t, "raw", disk), filepath.Join(t.TempDir(), "fixed"), filepath.Join(t.TempDir(), "dynamic")
	convertTo(t, raw, fixed, Options{Format: VHD})
	convertTo(t, raw, dynamic, Options{Format: VHD, Type: Dynamic})
	for _, c := range []struct {
		backing, format string
		size            int64
	}{
		{raw, "raw", 3 << 20}, {fixed, "raw", 3 << 20}, {dynamic, "vpc", 3 << 20},
		{raw, "raw", 512}, {raw, "raw", 1 << 29}, {raw, "raw", 1<<29 + 512}, {raw, "raw", 64 << 40},
	} {
		path := filepath.Join(t.TempDir(), "overlay.qcow2")
		if err := WriteOverlay(path, c.backing, c.format, c.size); err != nil {
			t.Fatal(err)
		}
		d := open(t, path, Allow(c.backing))
		head := make([]byte, 512)
		if _, err := d.ReadAt(head, 0); err != nil || d.Size() != c.size || !bytes.Equal(head, disk[:512]) {
			t.Errorf("%+v: %d bytes, %v", c, d.Size(), err)
		}
		for _, args := range [][]string{{"check", "-f", "qcow2", path}, {"compare", "-f", "qcow2", "-F", "raw", path, raw}} {
			if args[0] == "compare" && c.size != 3<<20 {
				continue
			}
			run(t, "qemu-img", args...)
		}
	}
}

func TestOverlayRefusesWhatQcow2CannotSay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "overlay.qcow2")
	if err := WriteOverlay(path, strings.Repeat("x", 1024), "raw", 1); err == nil {
		t.Error("a path of 1024 bytes was taken")
	}
	if err := WriteOverlay(path, "x", "raw", 0); err == nil {
		t.Error("an empty disk was taken")
	}
}
