package running

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/sshport"
)

func TestSilence(t *testing.T) {
	at := func(second int, answers bool, modified int, size int64) look {
		return look{when: time.Unix(int64(second), 0), answers: answers, modified: time.Unix(int64(modified), 0), size: size}
	}
	for _, c := range []struct {
		name  string
		looks []look
		since int64 // 0: not silent
	}{
		{"answers", []look{at(1, true, 0, 1)}, 0},
		{"silent from the first look", []look{at(1, false, 0, 1), at(2, false, 0, 1)}, 1},
		{"falls silent", []look{at(1, true, 0, 1), at(2, false, 0, 1), at(3, false, 0, 1)}, 2},
		{"comes back: it restarted", []look{at(1, false, 0, 1), at(2, true, 0, 1)}, 0},
		{"restarted, then silent", []look{at(1, false, 0, 1), at(2, true, 0, 1), at(3, false, 0, 1), at(4, false, 0, 1)}, 3},
		{"silent but still writing", []look{at(1, false, 0, 1), at(2, false, 2, 1), at(3, false, 2, 1)}, 2},
		{"silent but still growing", []look{at(1, false, 0, 1), at(2, false, 0, 2)}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s silence
			for _, l := range c.looks {
				s = s.after(l)
			}
			if s.since.IsZero() != (c.since == 0) || c.since != 0 && s.since.Unix() != c.since {
				t.Errorf("silent since %v", s.since)
			}
		})
	}
}

// quick is a machine that is looked at every millisecond.
func quick(disk string, answers func() bool) *Machine {
	m := newMachine(Options{DiskPath: disk, PowerOffSettle: time.Millisecond}, hypervisor.Build{
		Settings: hypervisor.Settings{Guest: hypervisor.Endpoint{Host: "192.0.2.1", Port: 5985}},
		Say:      func(string) {},
		OpenDisk: func(path string) error {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			return f.Close()
		},
	})
	m.interval = time.Millisecond
	m.answers = func(context.Context, hypervisor.Endpoint) bool { return answers() }
	return m
}

// watched is a machine that answers while up is set.
func watched(t *testing.T, up *atomic.Bool) (*Machine, <-chan hypervisor.Fate, string) {
	t.Helper()
	disk := filepath.Join(t.TempDir(), "disk.vhd")
	if err := os.WriteFile(disk, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := quick(disk, func() bool { return up.Load() })
	fates, err := d.Start(t.Context(), hypervisor.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close(); d.Close() })
	return d, fates, disk
}

func TestMachineIsGoneWhenSilentAfterProvisioning(t *testing.T) {
	var up atomic.Bool
	d, fates, _ := watched(t, &up)
	select { // a restart during provisioning is silent, too
	case f := <-fates:
		t.Fatalf("judged before provisioning was over: %s", f)
	case <-time.After(50 * time.Millisecond):
	}
	up.Store(true)
	d.ExpectOff()
	d.ExpectOff()
	up.Store(false)
	f := <-fates
	if f.Cause != hypervisor.CauseGone || !f.Clean() || !strings.Contains(f.String(), "no answer and no write") {
		t.Errorf("got %+v", f)
	}
	if _, more := <-fates; more {
		t.Error("a second fate")
	}
}

func TestMachineLetGoHasAFateAllTheSame(t *testing.T) {
	for _, expectOff := range []bool{false, true} {
		var up atomic.Bool
		up.Store(true)
		d, fates, _ := watched(t, &up)
		if expectOff {
			d.ExpectOff()
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if f := <-fates; f.Clean() || f.Err == nil || f.When.IsZero() {
			t.Errorf("got %+v", f)
		}
	}
}

func TestVanishedDiskIsNoCleanEnd(t *testing.T) {
	var up atomic.Bool
	d, fates, disk := watched(t, &up)
	if err := os.Remove(disk); err != nil {
		t.Fatal(err)
	}
	d.ExpectOff()
	if f := <-fates; f.Clean() || !errors.Is(f.Err, os.ErrNotExist) {
		t.Errorf("got %+v", f)
	}
}

func TestItOnlyLooks(t *testing.T) {
	var up atomic.Bool
	d, _, _ := watched(t, &up)
	switch any(d).(type) {
	case hypervisor.Reporter, hypervisor.PowerDowner, hypervisor.Killer, hypervisor.Screenshotter:
		t.Error("it claims more")
	}
	if e, err := d.Endpoint(t.Context()); err != nil || e.Host != "192.0.2.1" || e.Port != 5985 {
		t.Errorf("got %+v, %v", e, err)
	}
	if _, err := d.Start(t.Context(), hypervisor.Spec{}); err == nil {
		t.Error("started twice")
	}
	if _, err := quick("", nil).Start(t.Context(), hypervisor.Spec{Disk: hypervisor.Disk{Path: "x"}}); err == nil {
		t.Error("took a disk")
	}
	if err := quick("", nil).Close(); err != nil {
		t.Error(err)
	}
}

func TestAMachineAnswersThroughItsCommunicator(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("SSH-2.0-OpenSSH_for_Windows_9.5\r\n"))
			conn.Close()
		}
	}()
	at := hypervisor.Endpoint{Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port}
	ssh := newMachine(Options{}, hypervisor.Build{Settings: hypervisor.Settings{Communicator: "ssh"}})
	if !ssh.answers(t.Context(), at) {
		t.Error("an open port was not seen")
	}
	winrm := newMachine(Options{}, hypervisor.Build{Settings: hypervisor.Settings{Communicator: "winrm"}})
	if winrm.answers(t.Context(), at) {
		t.Error("a port that accepts is no WinRM")
	}
	broken := newMachine(Options{}, hypervisor.Build{Settings: hypervisor.Settings{Communicator: "ssh"}, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, fmt.Errorf("%w: the bastion is away", sshport.ErrWay)
	}})
	if !broken.answers(t.Context(), at) {
		t.Error("a guest is off because nothing is known of it")
	}
	far := newMachine(Options{}, hypervisor.Build{Settings: hypervisor.Settings{Communicator: "ssh"}, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, listener.Addr().String())
	}})
	if !far.answers(t.Context(), hypervisor.Endpoint{Host: "192.0.2.1", Port: 22}) {
		t.Error("a guest behind a bastion does not answer")
	}
	listener.Close()
	if ssh.answers(t.Context(), at) || far.answers(t.Context(), at) {
		t.Error("a closed port was taken for open")
	}
}

// heldError is what this system says of a file that another program holds.
func heldError() error {
	if runtime.GOOS == "windows" {
		return syscall.Errno(32) // ERROR_SHARING_VIOLATION
	}
	return syscall.EBUSY
}

func TestAMachineWhoseDiskIsHeldIsNotOff(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk.vhd")
	if err := os.WriteFile(disk, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	var held atomic.Bool
	held.Store(true)
	looks := make(chan struct{}, 1)
	var said []string
	d := quick(disk, func() bool { return false })
	d.say = func(text string) { said = append(said, text) }
	d.openDisk = func(path string) error {
		select {
		case looks <- struct{}{}:
		default:
		}
		if held.Load() {
			return fmt.Errorf("opening disk: %w", &os.PathError{Op: "open", Path: path, Err: heldError()})
		}
		return errors.New("corrupt: for the reader of the disk to tell")
	}
	fates, err := d.Start(t.Context(), hypervisor.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	d.ExpectOff()
	for range 3 {
		<-looks
	}
	select {
	case f := <-fates:
		t.Fatalf("taken for off: %s", f)
	default:
	}
	if why := d.WaitingFor(); !strings.Contains(why, disk) || !strings.Contains(why, "holds its disk") {
		t.Errorf("it waits for %q", why)
	}
	held.Store(false)
	if f := <-fates; f.Cause != hypervisor.CauseGone || !f.Clean() {
		t.Errorf("got %+v", f)
	}
	if d.WaitingFor() != "" || len(said) != 1 || !strings.Contains(said[0], disk) {
		t.Errorf("it waits for %q and said %q", d.WaitingFor(), said)
	}
}
