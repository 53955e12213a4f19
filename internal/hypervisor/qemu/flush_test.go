//go:build unix

package qemu

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

// copiesItself writes the boot sector to sector 5 through the BIOS, which does not
// flush, and loops.
var copiesItself = []byte{
	0x31, 0xc0, 0x8e, 0xc0, 0xbb, 0x00, 0x7c, // es:bx = 0:7c00
	0xb9, 0x06, 0x00, 0xba, 0x80, 0x00, 0xb8, 0x01, 0x03, 0xcd, 0x13, // write one sector
	0xfa, 0xf4, 0xeb, 0xfd,
}

// Where the overlay keeps what was written is in QEMU's memory, until it is told to
// write that out.
func TestAnOverlayCanBeReadWhileItsMachineRuns(t *testing.T) {
	spec := specFor(t, copiesItself)
	base := spec.Disk
	overlay := filepath.Join(t.TempDir(), "overlay.qcow2")
	if err := diskimage.WriteOverlay(overlay, base.Path, base.Format, 1<<20); err != nil {
		t.Fatal(err)
	}
	spec.Disk = hypervisor.Disk{Path: overlay, Format: "qcow2", BackingFormat: base.Format}
	m, _ := boot(t, plain, spec)
	sector := func() []byte {
		d, err := diskimage.Open(overlay, diskimage.Allow(filepath.Dir(base.Path)))
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		b := make([]byte, 512)
		if _, err := d.ReadAt(b, 5*512); err != nil {
			t.Fatal(err)
		}
		return b
	}
	for ends := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if written, err := m.Written(t.Context()); err != nil {
			t.Fatal(err)
		} else if written > 0 {
			break
		}
		if time.Now().After(ends) {
			t.Fatal("the guest wrote nothing")
		}
	}
	read, err := m.BytesRead(t.Context())
	if err != nil || read == 0 {
		t.Errorf("it has read %d bytes, %v", read, err)
	}
	before := bytes.HasPrefix(sector(), copiesItself)
	if err := m.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(sector(), copiesItself) {
		t.Error("what the guest has written is not in the overlay")
	}
	if before {
		t.Log("this QEMU wrote it out by itself")
	}
}
