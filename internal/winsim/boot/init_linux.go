package boot

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

const (
	driveC = "/win/C"
	// scenarioFile is where QEMU's -fw_cfg name=opt/org.sysprep/scenario,string=... is read.
	scenarioFile   = "/sys/firmware/qemu_fw_cfg/by_name/opt/org.sysprep/scenario/raw"
	user, password = "packer", "Demo-Passw0rd"
	// deviceWait bounds the wait for disk and NIC: under software emulation
	// drivers take seconds.
	deviceWait = 60 * time.Second
	// daemonWait bounds the wait for the NTFS driver to write everything out: on a
	// host that is busy, software emulation takes its time.
	daemonWait = 2 * time.Minute
)

// Init is PID 1 of the guest. It returns only when the machine could not be
// made to work; the kernel then panics, which the builder sees as a crash.
func Init() error {
	for _, m := range []struct{ kind, at string }{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}} {
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mounting %s: %w", m.at, err)
		}
	}
	if err := loadModules("/modules.load"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), deviceWait)
	defer cancel()
	nic, err := networkUp(ctx)
	if err != nil {
		return err
	}
	volume, err := systemVolume(ctx)
	if err != nil {
		return err
	}
	out, err := exec.Command("/sbin/lowntfs-3g", "-o", "rw,ignore_case,windows_names", volume, driveC).CombinedOutput()
	if err != nil {
		return fmt.Errorf("mounting C: from %s: %w %s", volume, err, out)
	}
	say("NIC %s, C: on %s", nic, volume)
	return serve()
}

func serve() error {
	scenario, err := readScenario()
	if err != nil {
		return err
	}
	ended, down := make(chan error, 2), make(chan struct{})
	server := &wsman.Server{
		Users: map[string]string{user: password}, Basic: true, NTLM: true, AllowUnencrypted: true,
		Machine: winsim.ComputerName,
	}
	shutSSH := func() {}
	ready := make(chan struct{}) // an answer file may restart Windows before all of it is up
	guest, err := winsim.New(winsim.Options{
		Root: filepath.Dir(driveC), User: user, Password: password, Scenario: scenario, Log: say, Sync: flush,
		Power: func(event winsim.PowerEvent) {
			<-ready
			close(down)
			// A command that holds a file open would keep C: from being unmounted.
			if err := server.Close(); err != nil {
				say("ending WinRM: %v", err)
			}
			shutSSH()
			ended <- halt(event)
		},
		WinRM: func(state winsim.WinRMState) {
			if err := winsim.ApplyWinRM(server, state); err != nil {
				say("WinRM %s: %v", state, err)
			}
		},
	})
	if err != nil {
		return err
	}
	server.Handler, server.Limits, server.Version, server.LetsIn = guest.Handler(), guest.Limits(wsman.Limits{}), guest.Version(), guest.LetsIn
	delay, ok := guest.WinRMDelay()
	settled := guest.Settled() // of this boot
	close(ready)
	go watchPowerButton(guest.PowerButton)
	if !ok {
		say("in the first boot: WinRM stays off until Windows is set up")
		select {
		case err := <-ended:
			return err
		case <-settled:
		}
	}
	server.Faults.SlowStart(delay)
	if ssh := guest.SSHServer(":22"); ssh != nil {
		shutSSH = ssh.Shut
		if err := ssh.Open(); err != nil {
			return err
		}
	}
	listener, err := net.Listen("tcp", ":5985")
	if err != nil {
		return err
	}
	say("WinRM on port 5985, scenario %+v", scenario)
	go func() {
		err := server.Serve(listener)
		select {
		case <-down: // its end is none of the machine's
		default:
			ended <- err
		}
	}()
	// After halt the kernel has stopped; anything that arrives is a failure.
	return <-ended
}

// readScenario tells how this boot is to behave. Without QEMU's configuration
// device everything goes well.
func readScenario() (winsim.Scenario, error) {
	text, err := os.ReadFile(scenarioFile)
	if errors.Is(err, os.ErrNotExist) {
		return winsim.Scenario{}, nil
	}
	if err != nil {
		return winsim.Scenario{}, err
	}
	return winsim.ParseScenario(string(text))
}

func say(format string, args ...any) {
	uptime := "?"
	if b, err := os.ReadFile("/proc/uptime"); err == nil {
		uptime = strings.Fields(string(b))[0]
	}
	fmt.Printf("guest[%s]: %s\n", uptime, fmt.Sprintf(format, args...))
}

func loadModules(list string) error {
	f, err := os.Open(list)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		m, err := os.Open(lines.Text())
		if err != nil {
			return err
		}
		// A module that finds no device is no error; the wait for disk and NIC
		// tells what is really missing.
		if err := unix.FinitModule(int(m.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.ENODEV) {
			say("module %s: %v", lines.Text(), err)
		}
		m.Close()
	}
	return lines.Err()
}

// flush puts what was written onto the disk: a sync of the kernel alone leaves it in
// the cache of the disk, which is QEMU's.
func flush() {
	unix.Sync()
	f, err := os.Open(filepath.Join(driveC, "Windows", "System32", "config", "SYSTEM"))
	if err == nil {
		err = f.Sync() // the NTFS driver syncs its device
		f.Close()
	}
	if err != nil {
		say("flushing C: %v", err)
	}
}

// halt unmounts C: so that its content is complete on the disk, then ends the
// machine as asked.
func halt(event winsim.PowerEvent) error {
	say("%v", event)
	unix.Sync()
	if err := unix.Unmount(driveC, 0); err != nil {
		// A command may still hold a file open; the FUSE daemon writes all out
		// when it is detached, too.
		say("unmounting C: %v", err)
		if err := unix.Unmount(driveC, unix.MNT_DETACH); err != nil {
			say("unmounting C: %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), daemonWait)
	defer cancel()
	if err := poll(ctx, daemonGone); err != nil {
		// Init must not return: the panic that follows restarts the machine, and
		// looks as if Windows had.
		say("the NTFS driver did not end: C: may be incomplete")
	}
	unix.Sync()
	if event == winsim.Reboot {
		return unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	}
	return unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

// daemonGone reaps what ended, as PID 1 must, and looks for the FUSE daemon.
func daemonGone() bool {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		if pid <= 0 || err != nil {
			break
		}
	}
	names, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, name := range names {
		if b, _ := os.ReadFile(name); strings.HasPrefix(string(b), "lowntfs-3g") {
			return false
		}
	}
	return true
}

// watchPowerButton calls pressed at every press of the ACPI power button
// (input event: type EV_KEY, code KEY_POWER, value 1; 24 bytes, 64-bit layout).
func watchPowerButton(pressed func()) {
	ctx, cancel := context.WithTimeout(context.Background(), deviceWait)
	defer cancel()
	var nodes []string
	err := poll(ctx, func() bool {
		nodes, _ = filepath.Glob("/dev/input/event*")
		return len(nodes) > 0
	})
	if err != nil {
		say("no power button: %v", err)
		return
	}
	for _, node := range nodes {
		go func() {
			f, err := os.Open(node)
			if err != nil {
				say("%v", err)
				return
			}
			defer f.Close()
			event := make([]byte, 24)
			for {
				if _, err := io.ReadFull(f, event); err != nil {
					return
				}
				kind, code := binary.NativeEndian.Uint16(event[16:]), binary.NativeEndian.Uint16(event[18:])
				if kind == 1 && code == 116 && event[20] == 1 {
					say("power button")
					pressed()
				}
			}
		}()
	}
}
