package running

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

// QEMU holds shared locks on single bytes from 100 on.
func TestAMachineWhoseDiskIsLockedIsNotOff(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk.vhd")
	if err := os.WriteFile(disk, make([]byte, 512), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := heldLock(disk); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(disk, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_RDLCK, Start: 101, Len: 1}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock); err != nil {
		t.Fatal(err)
	}
	if err := heldLock(disk); !errors.Is(err, unix.EBUSY) {
		t.Errorf("a locked disk: %v", err)
	}
	var looks atomic.Int32
	seen := make(chan struct{})
	d := quick(disk, func() bool {
		if looks.Add(1) == 20 {
			close(seen)
		}
		return false
	})
	fates, err := d.Start(t.Context(), hypervisor.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	d.ExpectOff()
	<-seen
	select {
	case f := <-fates:
		t.Fatalf("taken for off: %s", f)
	default:
	}
	f.Close()
	if f := <-fates; !f.Clean() {
		t.Errorf("got %s", f)
	}
}
