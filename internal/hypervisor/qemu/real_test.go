//go:build unix

package qemu

import (
	"context"
	"fmt"
	"image/png"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// Programs of a boot sector.
var (
	// powersOff writes SLP_EN with type S5 to the ACPI control register, where
	// SeaBIOS has put it (0x604) and where it used to be (0xb004).
	powersOff = []byte{
		0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef, // mov dx,0x604; mov ax,0x2000; out dx,ax
		0xba, 0x04, 0xb0, 0xef, //                   mov dx,0xb004; out dx,ax
		0xfa, 0xf4, 0xeb, 0xfd,
	}
	// loops for ever, deaf to the power button.
	loops = []byte{0xfa, 0xf4, 0xeb, 0xfd} // cli; hlt; jmp
	// wantsTwoPresses powers off at the second press of the power button: it
	// enables the button in PM1_EN (0x602) and reads it in PM1_STS (0x600).
	wantsTwoPresses = append([]byte{
		0xfa,                                     // cli
		0xba, 0x02, 0x06, 0xb8, 0x00, 0x01, 0xef, // mov dx,0x602; mov ax,0x100; out dx,ax
		0xb1, 0x02, //                               mov cl,2
		0xba, 0x00, 0x06, 0xed, 0xf6, 0xc4, 0x01, 0x74, 0xf7, // mov dx,0x600; in ax,dx; test ah,1; jz
		0xb8, 0x00, 0x01, 0xef, 0xfe, 0xc9, 0x75, 0xef, //       mov ax,0x100; out dx,ax; dec cl; jnz
	}, powersOff...)
	// tripleFaults enters an interrupt with an empty vector table; the
	// processor gives up and the board resets.
	tripleFaults = []byte{
		0xfa,                         // cli
		0x0f, 0x01, 0x1e, 0x10, 0x7c, // lidt [0x7c10]
		0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, // mov eax,cr0; or al,1; mov cr0,eax
		0xcc, 0x90, // int3; at 0x7c10: limit 0, base 0
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	}
)

func bootDisk(t *testing.T, program []byte) hypervisor.Disk {
	t.Helper()
	disk := make([]byte, 1<<20)
	copy(disk, program)
	disk[510], disk[511] = 0x55, 0xaa
	path := filepath.Join(t.TempDir(), "disk, with comma.raw")
	if err := os.WriteFile(path, disk, 0o600); err != nil {
		t.Fatal(err)
	}
	return hypervisor.Disk{Path: path, Format: "raw"}
}

func specFor(t *testing.T, program []byte) hypervisor.Spec {
	return hypervisor.Spec{
		Name: "test, " + t.Name(), Disk: bootDisk(t, program), CPUs: 1, MemoryMB: 64, Firmware: hypervisor.FirmwareBIOS,
		GuestPort: 5985, ScratchDir: t.TempDir(),
	}
}

// boot starts a machine and makes sure that nothing of it stays.
func boot(t *testing.T, options Options, spec hypervisor.Spec, tell ...func(hypervisor.Event)) (*Machine, <-chan hypervisor.Fate) {
	t.Helper()
	testutil.Tool(t, "qemu-system-x86_64")
	return start(t, quiet(options), spec, tell...)
}

func start(t *testing.T, d *Machine, spec hypervisor.Spec, tell ...func(hypervisor.Event)) (*Machine, <-chan hypervisor.Fate) {
	t.Helper()
	for _, tell := range tell {
		d.Report(tell)
	}
	fates, err := d.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	pid := d.process.cmd.Process.Pid
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
		if err := d.Close(); err != nil {
			t.Errorf("closing again: %v", err)
		}
		if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
			t.Errorf("process %d is still there: %v", pid, err)
		}
	})
	return d, fates
}

func awaitFate(t *testing.T, fates <-chan hypervisor.Fate) hypervisor.Fate {
	t.Helper()
	select {
	case f, ok := <-fates:
		if !ok {
			t.Fatal("the channel closed without a fate")
		}
		if _, more := <-fates; more {
			t.Fatal("more than one fate")
		}
		return f
	case <-time.After(time.Minute):
		t.Fatal("no fate within a minute")
	}
	panic("unreachable")
}

func TestGuestThatPowersOffIsClean(t *testing.T) {
	for _, c := range []struct{ machineType, disk, network string }{
		{"auto", "auto", "auto"}, {"pc", "sata", "e1000e"}, {"pc", "virtio", "virtio"},
		{"q35", "auto", "auto"}, {"q35", "nvme", "virtio"}, {"pc-i440fx-7.2", "auto", "e1000"},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			options := plain
			options.MachineType, options.DiskInterface, options.NetworkInterface = c.machineType, c.disk, c.network
			_, fates := boot(t, options, specFor(t, powersOff))
			if f := awaitFate(t, fates); !f.Clean() || f.Cause != hypervisor.CauseGuestShutdown || f.When.IsZero() {
				t.Fatalf("got %+v", f)
			}
		})
	}
}

func TestGuestThatPowersOffUnderKVM(t *testing.T) {
	try := tryAccelerator(testutil.Tool(t, "qemu-system-x86_64"), "pc", t.TempDir())
	_, _, _, broken := chooseAccelerator(t.Context(), "kvm", "auto", "linux", try)
	spec, options := specFor(t, powersOff), plain
	options.Accelerator = "kvm"
	if broken != nil {
		// Then insisting on it has to be refused, not to hang.
		if _, err := quiet(options).Start(t.Context(), spec); err == nil || !strings.Contains(err.Error(), `set accelerator = "tcg"`) {
			t.Fatalf("got %v although %v", err, broken)
		}
		return
	}
	_, fates := boot(t, options, spec)
	if f := awaitFate(t, fates); f.Cause != hypervisor.CauseGuestShutdown {
		t.Fatalf("got %+v", f)
	}
}

func TestGuestThatCannotBootEndsAsRestartLoop(t *testing.T) {
	var said []string
	testutil.Tool(t, "qemu-system-x86_64")
	_, fates := start(t, newMachine(plain, func(s string) { said = append(said, s) }), specFor(t, tripleFaults))
	f := awaitFate(t, fates)
	if f.Clean() || f.Cause != hypervisor.CauseGuestReset || !strings.Contains(f.String(), "cannot boot") {
		t.Fatalf("got %+v", f)
	}
	if !strings.Contains(strings.Join(said, "\n"), "The guest restarts (1).") {
		t.Errorf("restarts were not told: %q", said)
	}
}

func TestRestartAfterProvisioningIsTheFate(t *testing.T) {
	d := quiet(plain)
	d.ExpectOff()
	testutil.Tool(t, "qemu-system-x86_64")
	fates, err := d.Start(t.Context(), specFor(t, tripleFaults))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if f := awaitFate(t, fates); f.Cause != hypervisor.CauseGuestReset || !strings.Contains(f.String(), "not generalized any more") {
		t.Fatalf("got %+v", f)
	}
}

func TestDeafGuestIsPhotographedAskedAndKilled(t *testing.T) {
	d, fates := boot(t, plain, specFor(t, loops))
	for _, v := range []version{d.monitor.version, {Major: 6}} { // the second takes the way of old versions
		d.monitor.version = v
		picture := filepath.Join(t.TempDir(), "screen.png")
		if err := d.Screenshot(t.Context(), picture); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(picture)
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(file)
		file.Close()
		if err != nil || img.Bounds().Dx() < 320 {
			t.Fatalf("version %v: picture %v, %v", v, img, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(d.scratch, "screen*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := d.PowerDown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f := awaitFate(t, fates); f.Cause != hypervisor.CauseKilled || f.Clean() {
		t.Fatalf("got %+v", f)
	}
	if err := d.PowerDown(t.Context()); err == nil {
		t.Error("a machine that is off cannot be asked")
	}
}

// A guest that takes the first press for something else obeys the next: QEMU
// hands on each of them.
func TestThePowerButtonCanBePressedAgain(t *testing.T) {
	d, fates := boot(t, plain, specFor(t, wantsTwoPresses))
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for pressed := 0; ; {
		select {
		case f := <-fates:
			if f.Cause != hypervisor.CauseHostRequest || !f.Clean() || pressed < 2 {
				t.Errorf("after %d presses: %s", pressed, f)
			}
			return
		case <-ticker.C:
			if d.PowerDown(t.Context()) == nil {
				pressed++
			}
			if pressed > 300 {
				t.Fatal("it does not obey")
			}
		}
	}
}

func TestQEMUKilledFromOutsideIsACrash(t *testing.T) {
	d, fates := boot(t, plain, specFor(t, loops))
	if err := syscall.Kill(d.process.cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if f := awaitFate(t, fates); f.Cause != hypervisor.CauseCrash || !strings.Contains(f.String(), "killed") {
		t.Fatalf("got %+v", f)
	}
}

func TestStoppedQEMUIsKilledAllTheSame(t *testing.T) {
	d, fates := boot(t, plain, specFor(t, loops))
	if err := syscall.Kill(d.process.cmd.Process.Pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := d.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f := awaitFate(t, fates); f.Cause != hypervisor.CauseKilled {
		t.Fatalf("got %+v", f)
	}
}

func TestEndpointIsForwardedOnLoopbackOnly(t *testing.T) {
	d, _ := boot(t, plain, specFor(t, loops))
	e, err := d.Endpoint(t.Context())
	if err != nil || e.Host != "127.0.0.1" {
		t.Fatalf("got %+v, %v", e, err)
	}
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", e.Host, e.Port), 5*time.Second)
	if err != nil {
		t.Fatalf("QEMU does not listen: %v", err)
	}
	conn.Close()
}

func TestStartFailsWithTheCommandAndItsOutput(t *testing.T) {
	testutil.Tool(t, "qemu-system-x86_64")
	spec, options := specFor(t, loops), plain
	options.QemuArguments = []string{"-device", "no-such-device"}
	d := quiet(options)
	_, err := d.Start(t.Context(), spec)
	if err == nil || !strings.Contains(err.Error(), "-nodefaults") || !strings.Contains(err.Error(), "'no-such-device' is not a valid device model name") {
		t.Fatalf("got %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Endpoint(t.Context()); err == nil {
		t.Error("a machine that did not start has no endpoint")
	}
}

func TestTakenPortIsRecognised(t *testing.T) {
	binary := testutil.Tool(t, "qemu-system-x86_64")
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	options, err := resolve(plain, hypervisor.FirmwareBIOS, hypervisor.GuestDrivers{})
	if err != nil {
		t.Fatal(err)
	}
	options.CPUModel = "max"
	d := quiet(plain)
	d.binary = binary
	err = d.launch(t.Context(), hardware{spec: specFor(t, loops), options: options, hostPort: taken.Addr().(*net.TCPAddr).Port})
	if err == nil || !strings.Contains(err.Error(), "host forwarding") {
		t.Fatalf("got %v", err)
	}
}

func TestCancelledStartLeavesNothing(t *testing.T) {
	testutil.Tool(t, "qemu-system-x86_64")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d := quiet(plain)
	if _, err := d.Start(ctx, specFor(t, loops)); err == nil {
		t.Fatal("started")
	}
	if d.process != nil {
		t.Fatal("a process is left")
	}
}

func TestUEFIGuestBootsWithItsOwnVariables(t *testing.T) {
	binary := testutil.Tool(t, "qemu-system-x86_64")
	if _, err := findFirmware(binary, "q35"); err != nil {
		testutil.Missing(t, err.Error())
	}
	spec := specFor(t, loops)
	spec.Firmware, spec.MemoryMB = hypervisor.FirmwareUEFI, 256
	d, _ := boot(t, plain, spec)
	if info, err := os.Stat(filepath.Join(spec.ScratchDir, "efivars.fd")); err != nil || info.Size() == 0 {
		t.Fatalf("variables were not copied: %v", err)
	}
	if err := d.Screenshot(t.Context(), filepath.Join(t.TempDir(), "x.png")); err != nil {
		t.Fatal(err)
	}
}

func TestAcceleratorIsProvenByRunningIt(t *testing.T) {
	binary := testutil.Tool(t, "qemu-system-x86_64")
	try := tryAccelerator(binary, "q35", t.TempDir())
	if err := try(t.Context(), "tcg", "max"); err != nil {
		t.Errorf("TCG has to work everywhere: %v", err)
	}
	err := try(t.Context(), "no-such", "max")
	if err == nil || !strings.Contains(err.Error(), "invalid accelerator no-such") {
		t.Errorf("got %v", err)
	}
	foreign := map[bool]string{true: "kvm", false: "hvf"}[runtime.GOOS == "darwin"]
	if err := try(t.Context(), foreign, "max"); err == nil {
		t.Errorf("%s cannot work on %s", foreign, runtime.GOOS)
	}
}

// QEMU lists the disk of a machine that runs.
func TestAMachineSaysWhatItsGuestHasWritten(t *testing.T) {
	m, _ := boot(t, Options{Accelerator: "tcg"}, specFor(t, []byte{0xfa, 0xf4, 0xeb, 0xfd})) // stands still
	if written, err := hypervisor.Meter(m).Written(t.Context()); err != nil || written != 0 {
		t.Errorf("%d, %v", written, err)
	}
	if _, err := newMachine(Options{}, nil).Written(t.Context()); err == nil {
		t.Error("a machine that was not started has written something")
	}
}
