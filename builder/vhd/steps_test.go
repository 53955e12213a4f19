package vhd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/multistep"
	"github.com/hashicorp/packer-plugin-sdk/multistep/commonsteps"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/partition"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
)

func TestFirmwareFollowsThePartitionTable(t *testing.T) {
	for _, c := range []struct {
		wanted hypervisor.Firmware
		scheme partition.Scheme
		want   hypervisor.Firmware
	}{
		{"auto", partition.MBR, "bios"}, {"auto", partition.GPT, "uefi"}, {"", partition.GPT, "uefi"},
		{"bios", partition.GPT, "bios"}, {"uefi", partition.None, "uefi"}, {"auto", partition.None, ""},
	} {
		// The tables are empty: what is missing from one does not change whose it is.
		table := partition.Table{Scheme: c.scheme}
		got, err := firmwareFor(c.wanted, table.Startup().Firmware)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q with %s: %q, %v", c.wanted, c.scheme, got, err)
		}
	}
}

func TestOnlySectorsOf512BytesBoot(t *testing.T) {
	if err := bootable(diskimage.Info{SectorSize: 512}); err != nil {
		t.Error(err)
	}
	if err := bootable(diskimage.Info{SectorSize: 4096}); err == nil || !strings.Contains(err.Error(), "4096") {
		t.Errorf("got %v", err)
	}
}

func TestInspectSourceGoesByContent(t *testing.T) {
	raw := rawDisk(t, 2<<20, nil)
	for _, o := range []diskimage.Options{
		{Format: diskimage.Raw}, {Format: diskimage.QCOW2}, {Format: diskimage.VHDX},
		{Format: diskimage.VHD, Type: diskimage.Fixed}, {Format: diskimage.VHD, Type: diskimage.Dynamic},
	} {
		t.Run(string(o.Format+" "+diskimage.Format(o.Type)), func(t *testing.T) {
			b := newBench(t, nil)
			path := filepath.Join(t.TempDir(), "misleading.txt")
			if err := os.Rename(convertTo(t, raw, o), path); err != nil {
				t.Fatal(err)
			}
			b.run.config.SourcePath = path
			b.wantContinue(t, new(stepInspectSource).Run(t.Context(), b))
			if s := b.run.source; s.Format != o.Format || s.VirtualSize != 2<<20 || b.run.firmware != "bios" || s.Files[0] != path {
				t.Errorf("got %+v, %s", s, b.run.firmware)
			}
		})
	}
}

func TestInspectSourceRefusesWhatCannotBoot(t *testing.T) {
	b := newBench(t, nil) // its disk is four bytes of text
	b.wantHalt(t, new(stepInspectSource).Run(t.Context(), b), "disk.vhd")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	b = newBench(t, map[string]any{"source_path": empty})
	b.wantHalt(t, new(stepInspectSource).Run(t.Context(), b), "no partition table", `set firmware to "bios" or "uefi"`)
	b = newBench(t, map[string]any{"source_path": empty, "firmware": "bios"})
	b.wantContinue(t, new(stepInspectSource).Run(t.Context(), b))
}

func TestInspectSourceRefusesAParentOfADownload(t *testing.T) {
	raw := rawDisk(t, 1<<20, nil)
	child := filepath.Join(t.TempDir(), "child.qcow2")
	if err := diskimage.WriteOverlay(child, raw, "raw", 1<<20); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, nil)
	b.run.config.SourceURL = "https://example.com/disk"
	b.Put(downloadKey, child)
	b.wantHalt(t, new(stepInspectSource).Run(t.Context(), b), "a downloaded disk may not", raw)
	b.run.config.SourceURL = ""
	b.wantHalt(t, new(stepInspectSource).Run(t.Context(), b), "not allowed", filepath.Base(raw), "backing_files")
	b.run.config.BackingFiles = []string{raw}
	b.wantContinue(t, new(stepInspectSource).Run(t.Context(), b))
}

func TestInspectSourceForgivesALockedDiskOfARunningMachine(t *testing.T) {
	b := newBench(t, nil)
	b.run.features, b.run.config.DiskPath = hypervisor.Features{}, b.run.config.SourcePath
	b.wantContinue(t, new(stepInspectSource).Run(t.Context(), b))
	b.wantContinue(t, new(stepCreateOverlay).Run(t.Context(), b))
	if b.run.disk.Path != b.run.config.DiskPath {
		t.Errorf("got %+v", b.run.disk)
	}
}

func TestOutputDirectoryIsMadeAndRemoved(t *testing.T) {
	for _, c := range []struct {
		name string
		fail bool
	}{{"after success it stays", false}, {"after failure it goes", true}} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, nil)
			s := new(stepOutputDirectory)
			b.wantContinue(t, s.Run(t.Context(), b))
			write(t, filepath.Join(b.run.scratch, "disk.qcow2"))
			b.run.output.path = b.run.config.outputPath()
			write(t, b.run.output.path)
			if c.fail {
				b.Put(multistep.StateHalted, true)
			}
			s.Cleanup(b)
			_, err := os.Stat(b.run.config.OutputDirectory)
			if got := errors.Is(err, os.ErrNotExist); got != c.fail {
				t.Errorf("folder gone: %v", got)
			}
			if _, err := os.Stat(b.run.scratch); err == nil {
				t.Error("scratch is still there")
			}
			if len(b.said.ErrorMessage) > 0 {
				t.Error(b.said.ErrorMessage)
			}
		})
	}
}

func TestOutputDirectoryKeepsWhatOthersMade(t *testing.T) {
	b := newBench(t, nil)
	other := filepath.Join(b.run.config.OutputDirectory, "other.txt")
	write(t, other)
	write(t, b.run.config.outputPath())
	s := new(stepOutputDirectory)
	b.wantHalt(t, s.Run(t.Context(), b), "is not empty", "-force")
	b.Put(multistep.StateHalted, true)
	s.Cleanup(b)
	for _, path := range []string{other, b.run.config.outputPath()} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}

	b.Remove("error")
	b.run.config.PackerForce = true
	s = new(stepOutputDirectory)
	b.wantContinue(t, s.Run(t.Context(), b))
	if _, err := os.Stat(b.run.config.outputPath()); err != nil {
		t.Errorf("-force removed the disk before there is another: %v", err)
	}
	s.Cleanup(b)
	if _, err := os.Stat(other); err != nil {
		t.Errorf("-force removed more than the disk: %v", err)
	}
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSpaceIsCheckedBeforeTheWork(t *testing.T) {
	for _, c := range []struct {
		name     string
		free     int64
		err      error
		existing bool
		format   string // of the disk that boots
		halts    bool
	}{
		{name: "enough", free: 5 << 20},
		{name: "room for the output but not for the changes", free: 4<<20 + 1, halts: true},
		{name: "an existing machine changes its own disk", free: 4 << 20, existing: true},
		{name: "nothing left", halts: true},
		{name: "room for a copy", free: 8 << 20, format: "vhdx"},
		{name: "room for an overlay but not for a copy", free: 5 << 20, format: "vhdx", halts: true},
		{name: "not known", err: errors.New("no such call")},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, nil)
			full := filepath.Join(t.TempDir(), "full")
			if err := os.WriteFile(full, []byte(strings.Repeat("x", 4<<20)), 0o600); err != nil {
				t.Fatal(err)
			}
			b.run.source = diskimage.Info{Files: []string{full}, VirtualSize: 8 << 20}
			if c.format != "" {
				b.run.features.DiskFormat = c.format
			}
			if c.existing {
				b.run.features = hypervisor.Features{}
			}
			action := (&stepCheckSpace{free: func(string) (int64, error) { return c.free, c.err }}).Run(t.Context(), b)
			if c.halts {
				b.wantHalt(t, action, "free space, or choose")
			} else {
				b.wantContinue(t, action)
			}
		})
	}
	if n, err := freeSpace(t.TempDir()); err != nil || n <= 0 {
		t.Errorf("free space %d, %v", n, err)
	}
}

func TestStartHandsTheMachineOver(t *testing.T) {
	b := newBench(t, map[string]any{"cpus": 3, "qemu_arguments": []string{"-x"}})
	b.run.firmware, b.run.disk, b.run.scratch = "uefi", hypervisor.Disk{Path: "d", Format: "qcow2"}, "s"
	s := new(stepStartMachine)
	b.wantContinue(t, s.Run(t.Context(), b))
	got := b.fake.spec
	if got.CPUs != 3 || got.MemoryMB != 4096 || got.Firmware != "uefi" || got.GuestPort != 5985 || !got.Headless || got.Disk != b.run.disk || got.ScratchDir != "s" || got.Arguments[0] != "-x" {
		t.Errorf("got %+v", got)
	}
	s.Cleanup(b)
	<-b.run.machine.ended
	if b.fake.called() != "start close" {
		t.Error(b.fake.called())
	}
	b.run.features, b.fake.fates = hypervisor.Features{}, make(chan hypervisor.Fate)
	b.wantContinue(t, s.Run(t.Context(), b))
	if !reflect.DeepEqual(b.fake.spec, hypervisor.Spec{}) {
		t.Errorf("a machine that exists was described: %+v", b.fake.spec)
	}
	close(b.fake.fates)
}

func TestStartThatFailsIsStillClosed(t *testing.T) {
	b := newBench(t, nil)
	b.fake.startErr = errors.New("no such device")
	s := new(stepStartMachine)
	b.wantHalt(t, s.Run(t.Context(), b), "starting the machine: no such device")
	s.Cleanup(b)
	if b.fake.called() != "start close" {
		t.Error(b.fake.called())
	}
	b.Remove("error")
	b.wantQuietHalt(t, s.Run(cancelled(), b))
}

func probing(reaches ...winrm.Reach) func(context.Context, string, int) (winrm.Reach, error) {
	return func(_ context.Context, host string, port int) (winrm.Reach, error) {
		if host != "127.0.0.1" || port != 4711 {
			return 0, fmt.Errorf("asked %s:%d", host, port)
		}
		r := reaches[0]
		if len(reaches) > 1 {
			reaches = reaches[1:]
		}
		return r, nil
	}
}

func loggingIn(err error) func(context.Context, *run, hypervisor.Endpoint) error {
	return func(context.Context, *run, hypervisor.Endpoint) error { return err }
}

func TestWaitForGuest(t *testing.T) {
	t.Run("answers and takes the password", func(t *testing.T) {
		b := started(t, nil)
		b.wantContinue(t, (&stepWaitForGuest{probing(winrm.Open), loggingIn(nil)}).Run(t.Context(), b))
	})
	t.Run("another communicator waits by itself", func(t *testing.T) {
		b := newBench(t, map[string]any{"communicator": "none"})
		b.wantContinue(t, new(stepWaitForGuest).Run(t.Context(), b))
	})
	for _, c := range []struct {
		name  string
		reach winrm.Reach
		login error
		want  string
	}{
		{"never up", winrm.Silent, nil, "has not booted so far"},
		{"port shut", winrm.Closed, nil, "the port was closed"},
		{"wrong password", winrm.Open, errRefused, `did not take user "Administrator": check winrm_username and winrm_password, and that the guest allows Basic`},
		{"no shell", winrm.Open, errors.New("quota"), "no shell could be opened (quota)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := started(t, map[string]any{"winrm_timeout": "50ms"})
			b.wantHalt(t, (&stepWaitForGuest{probing(c.reach), loggingIn(c.login)}).Run(t.Context(), b),
				c.want, "within 50ms (winrm_timeout)", "see its screen in "+b.run.config.screenPath())
			if _, err := os.Stat(b.run.config.screenPath()); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("no picture where there is no screen", func(t *testing.T) {
		b := started(t, map[string]any{"winrm_timeout": "50ms"})
		b.fake.features = hypervisor.Features{}
		b.wantHalt(t, (&stepWaitForGuest{probing(winrm.Silent), nil}).Run(t.Context(), b), "has not booted")
		if strings.Contains(b.Get("error").(error).Error(), "screen") {
			t.Error(b.Get("error"))
		}
	})
	t.Run("the machine ends", func(t *testing.T) {
		b := started(t, nil)
		b.over(crashed)
		b.wantHalt(t, (&stepWaitForGuest{probing(winrm.Silent), nil}).Run(t.Context(), b), "waiting for WinRM", "kernel fell over")
	})
	t.Run("cancel", func(t *testing.T) {
		b := started(t, nil)
		b.wantQuietHalt(t, (&stepWaitForGuest{probing(winrm.Silent), nil}).Run(cancelled(), b))
	})
}

func TestConnectEndsWithTheMachine(t *testing.T) {
	b := started(t, nil)
	b.wantContinue(t, (&stepConnect{stepFunc{run: func(context.Context, multistep.StateBag) multistep.StepAction { return multistep.ActionContinue }}}).Run(t.Context(), b))
	b.wantQuietHalt(t, (&stepConnect{untilDone}).Run(cancelled(), b))
	silent := stepFunc{run: func(context.Context, multistep.StateBag) multistep.StepAction { return multistep.ActionHalt }}
	b.wantHalt(t, (&stepConnect{silent}).Run(t.Context(), b), "connecting to the guest over winrm failed", "see its screen")
	b.over(crashed)
	b.wantHalt(t, (&stepConnect{untilDone}).Run(t.Context(), b), "connecting to the guest", "kernel fell over")
}

func TestConnectKeepsTheReasonOfTheSDK(t *testing.T) {
	b := started(t, nil)
	b.wantHalt(t, (&stepConnect{stepFunc{run: func(_ context.Context, s multistep.StateBag) multistep.StepAction {
		return halt(s, errors.New("Timeout waiting for WinRM."))
	}}}).Run(t.Context(), b), "connecting to the guest: Timeout waiting for WinRM.")
}

func TestProvision(t *testing.T) {
	failing := stepFunc{run: func(_ context.Context, s multistep.StateBag) multistep.StepAction {
		return halt(s, errors.New("script failed"))
	}}
	t.Run("a provisioner's error stays as it is", func(t *testing.T) {
		b := started(t, nil)
		b.wantHalt(t, (&StepProvision{failing}).Run(t.Context(), b))
		if got := b.Get("error").(error).Error(); got != "script failed" {
			t.Error(got)
		}
	})
	t.Run("with a dead machine it says so", func(t *testing.T) {
		b := started(t, nil)
		b.over(crashed)
		b.wantHalt(t, (&StepProvision{failing}).Run(t.Context(), b), "script failed", "kernel fell over")
	})
	t.Run("a hanging provisioner is left when its time after power-off is over", func(t *testing.T) {
		b := started(t, map[string]any{"shutdown_timeout": "20ms"})
		b.over(poweredOff)
		b.wantHalt(t, (&StepProvision{untilDone}).Run(t.Context(), b), "provisioning: the guest powered itself off")
	})
	t.Run("a provisioner of the host may go on after power-off", func(t *testing.T) {
		b := started(t, nil)
		b.over(poweredOff)
		b.wantContinue(t, (&StepProvision{stepFunc{run: func(ctx context.Context, _ multistep.StateBag) multistep.StepAction {
			if ctx.Err() != nil {
				return multistep.ActionHalt
			}
			return multistep.ActionContinue
		}}}).Run(t.Context(), b))
	})
	t.Run("cancel", func(t *testing.T) {
		b := started(t, nil)
		b.wantQuietHalt(t, (&StepProvision{untilDone}).Run(cancelled(), b))
	})
	t.Run("cleanup runs the cleanup provisioner, only after a run", func(t *testing.T) {
		b := started(t, nil)
		new(StepProvision).Cleanup(b)
		ran := false
		(&StepProvision{stepFunc{cleanup: func(multistep.StateBag) { ran = true }}}).Cleanup(b)
		if !ran {
			t.Error("did not run")
		}
	})
}

func TestTheSDKFindsTheProvisionStepByName(t *testing.T) {
	// -on-error=run-cleanup-provisioner compares the type's name.
	if name := fmt.Sprintf("%T", StepProvision{}); name != "vhd.StepProvision" {
		t.Error(name)
	}
}

func TestTheProvisionerIsToldWhereTheMachinesEventsAre(t *testing.T) {
	b := newBench(t, nil)
	b.run.scratch = t.TempDir()
	b.run.firmware = hypervisor.FirmwareBIOS
	b.Put("generated_data", map[string]any{"Kept": "yes"})
	b.wantContinue(t, new(stepStartMachine).Run(t.Context(), b))
	defer b.fake.Close()
	data := commonsteps.PopulateProvisionHookData(b)
	path, _ := data[hypervisor.EventsKey].(string)
	b.run.happens(hypervisor.Event{Kind: hypervisor.EventRestart})
	if events, err := hypervisor.ReadEvents(path); err != nil || len(events) != 1 || data["Kept"] != "yes" || filepath.Dir(path) != b.run.scratch {
		t.Errorf("%q: %v, %v", path, events, err)
	}
}

func TestWaitForPowerOff(t *testing.T) {
	short := map[string]any{"shutdown_timeout": "20ms"}
	t.Run("already off: no command is sent", func(t *testing.T) {
		b := started(t, map[string]any{"shutdown_command": "shutdown /s"})
		b.Put("communicator", packersdk.Communicator(commFunc(func(context.Context, *packersdk.RemoteCmd) error { t.Error("sent"); return nil })))
		b.over(poweredOff)
		b.wantContinue(t, new(stepWaitForPowerOff).Run(t.Context(), b))
		if b.fake.called() != "expect-off" {
			t.Error(b.fake.called())
		}
	})
	t.Run("powers off by itself while waited for", func(t *testing.T) {
		b := started(t, nil)
		go b.fake.end(poweredOff)
		b.wantContinue(t, new(stepWaitForPowerOff).Run(t.Context(), b))
	})
	t.Run("the command takes the connection with it", func(t *testing.T) {
		b := started(t, map[string]any{"shutdown_command": "shutdown /s"})
		b.Put("communicator", packersdk.Communicator(commFunc(func(_ context.Context, cmd *packersdk.RemoteCmd) error {
			if cmd.Command != "shutdown /s" || cmd.Stdout == nil || cmd.Stderr == nil {
				t.Errorf("got %+v", cmd)
			}
			b.over(poweredOff)
			return errors.New("EOF")
		})))
		b.wantContinue(t, new(stepWaitForPowerOff).Run(t.Context(), b))
	})
	t.Run("a command that never returns does not matter", func(t *testing.T) {
		b := started(t, map[string]any{"shutdown_command": "shutdown /s"})
		release := make(chan struct{})
		defer close(release)
		b.Put("communicator", packersdk.Communicator(commFunc(func(context.Context, *packersdk.RemoteCmd) error {
			b.fake.end(poweredOff)
			<-release
			return nil
		})))
		b.wantContinue(t, new(stepWaitForPowerOff).Run(t.Context(), b))
	})
	t.Run("a machine whose disk is held is told as one", func(t *testing.T) {
		b := started(t, short)
		b.fake.features = hypervisor.Features{}
		b.run.machine.Hypervisor = waiting{b.fake, "another program holds its disk: C:\\a.vhdx"}
		b.wantHalt(t, new(stepWaitForPowerOff).Run(t.Context(), b), "not off after 20ms (shutdown_timeout)", "holds its disk: C:\\a.vhdx", "shut it down")
	})
	t.Run("obeys the power button", func(t *testing.T) {
		b := started(t, short)
		b.fake.powerDown = func() { b.fake.end(hypervisor.Fate{Cause: hypervisor.CauseHostRequest}) }
		b.wantContinue(t, new(stepWaitForPowerOff).Run(t.Context(), b))
		if b.fake.called() != "expect-off power-down" {
			t.Error(b.fake.called())
		}
	})
	t.Run("is killed at last, which is a failure", func(t *testing.T) {
		b := started(t, short)
		b.wantHalt(t, new(stepWaitForPowerOff).Run(t.Context(), b), "did not power off within 20ms (shutdown_timeout)", "its disk is not an image", "see its screen in")
		if b.fake.called() != "expect-off power-down screenshot kill" {
			t.Error(b.fake.called())
		}
	})
	t.Run("an existing machine cannot be asked or killed", func(t *testing.T) {
		b := started(t, short)
		b.fake.features = hypervisor.Features{}
		b.wantHalt(t, new(stepWaitForPowerOff).Run(t.Context(), b), "was not seen to be off within 20ms")
		if b.fake.called() != "expect-off" {
			t.Error(b.fake.called())
		}
	})
	t.Run("a paused machine is named, and not asked to power off", func(t *testing.T) {
		b := started(t, short)
		b.run.happens(hypervisor.Event{Kind: hypervisor.EventPause, Detail: "somebody stopped it"})
		b.wantHalt(t, new(stepWaitForPowerOff).Run(t.Context(), b), "the machine is paused (somebody stopped it)", "its disk is not an image")
		if b.fake.called() != "expect-off screenshot kill" {
			t.Error(b.fake.called())
		}
	})
	t.Run("a restart before the end of provisioning is named", func(t *testing.T) {
		b := started(t, short)
		b.run.happens(hypervisor.Event{Kind: hypervisor.EventRestart, When: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)})
		b.wantHalt(t, new(stepWaitForPowerOff).Run(t.Context(), b), "the machine restarted last at 03:04:05", "begins the first boot of the image")
	})
	for _, fate := range []hypervisor.Fate{crashed, {Cause: hypervisor.CauseUnknown}, {Cause: hypervisor.CauseGuestReset, Err: errors.New("it came back")}} {
		t.Run("an end as "+string(fate.Cause)+" is a failure", func(t *testing.T) {
			b := started(t, nil)
			b.over(fate)
			b.wantHalt(t, new(stepWaitForPowerOff).Run(t.Context(), b), "waiting for the guest to power off: ", fate.String())
		})
	}
	t.Run("cancel", func(t *testing.T) {
		b := started(t, nil)
		b.wantQuietHalt(t, new(stepWaitForPowerOff).Run(cancelled(), b))
	})
}

func TestOnlyAGeneralizedDiskIsHandedOn(t *testing.T) {
	b := newBench(t, nil)
	b.run.disk.Path = winimagetest.Disk(t, winimagetest.Spec{})
	b.wantHalt(t, new(stepProve).Run(t.Context(), b), "IMAGE_STATE_COMPLETE")
	if b.run.report != "" {
		t.Errorf("a report %s is to be handed on", b.run.report)
	}

	b = newBench(t, nil)
	b.run.disk.Path = winimagetest.Disk(t, winimagetest.Spec{Generalized: true})
	b.wantContinue(t, new(stepProve).Run(t.Context(), b))
	if _, err := os.Stat(b.run.config.beside("report.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a report claims a proof before there is an image: %v", err)
	}
}

// What the source had tells a tag of this build from an old one; the clocks of
// guest and host have nothing to say.
func TestTheTagIsHeldAgainstTheSource(t *testing.T) {
	disk := winimagetest.Disk(t, winimagetest.Spec{Generalized: true, TagTime: time.Now().Add(-48 * time.Hour)})
	b := newBench(t, map[string]any{"source_path": disk})
	b.wantContinue(t, new(stepInspectSource).Run(t.Context(), b))
	b.run.disk.Path = disk
	b.wantHalt(t, new(stepProve).Run(t.Context(), b), "tag")
	if !strings.Contains(joined(b), "came with the source disk") {
		t.Errorf("the reason was not said:\n%s", joined(b))
	}

	b = newBench(t, map[string]any{"source_path": winimagetest.Disk(t, winimagetest.Spec{})})
	b.wantContinue(t, new(stepInspectSource).Run(t.Context(), b))
	b.run.disk.Path = disk
	b.wantContinue(t, new(stepProve).Run(t.Context(), b))
}

// generalized is a bench whose guest left a generalized disk, with the content
// of a deleted file in its free space.
func generalized(t *testing.T, spec winimagetest.Spec, options map[string]any) *bench {
	t.Helper()
	b := newBench(t, options)
	spec.Generalized = true
	b.run.disk.Path, b.run.scratch = winimagetest.Disk(t, spec), t.TempDir()
	if err := os.MkdirAll(b.run.config.OutputDirectory, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(b.run.disk.Path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// Files lie at the front of the volume, and its last sector is a copy of
	// the first.
	if _, err := f.WriteAt([]byte(deleted), 14<<20); err != nil {
		t.Fatal(err)
	}
	return b
}

const deleted = "the password in a deleted answer file"

func TestTheOutputIsCompactUnlessSomethingSpeaksAgainstIt(t *testing.T) {
	for _, c := range []struct {
		name    string
		spec    winimagetest.Spec
		options map[string]any
		kept    bool
		said    string
	}{
		{"as it is by default", winimagetest.Spec{}, nil, false, "left out"},
		{"to VHDX", winimagetest.Spec{}, map[string]any{"format": "vhdx"}, false, "left out"},
		{"switched off", winimagetest.Spec{}, map[string]any{"compact": false}, true, "Wrote"},
		{"without a proof", winimagetest.Spec{}, map[string]any{"verify": map[string]any{"enabled": false}}, false, "left out"},
		{"a shadow copy", winimagetest.Spec{Files: map[string]string{`\System Volume Information\{01234567-0123-0123-0123-0123456789ab}{3808876b-c176-4e48-b7ae-04046e6cc752}`: "x"}}, nil, true, "Warning: not compacting"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := generalized(t, c.spec, c.options)
			b.wantContinue(t, new(stepProve).Run(t.Context(), b))
			b.wantContinue(t, new(stepConvert).Run(t.Context(), b))
			if !strings.Contains(joined(b), c.said) {
				t.Errorf("%q was not said:\n%s", c.said, joined(b))
			}
			disk, err := diskimage.Open(b.run.output.path)
			if err != nil {
				t.Fatal(err)
			}
			defer disk.Close()
			content := make([]byte, disk.Size())
			if _, err := disk.ReadAt(content, 0); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if got := bytes.Contains(content, []byte(deleted)); got != c.kept {
				t.Errorf("the deleted file came along: %t, want %t", got, c.kept)
			}
			if left, _ := os.ReadDir(b.run.scratch); len(left) != 0 {
				t.Errorf("left in the scratch folder: %v", left)
			}
			r, err := proof.Check(t.Context(), proof.Options{Disk: proof.File(b.run.output.path)})
			if err != nil || !r.Proof.Proven {
				t.Errorf("the output is not proven: %v %+v", err, r.Proof.Failed("fail"))
			}
		})
	}
}

func TestAnOutputThatIsNotProvenHasNoName(t *testing.T) {
	b := generalized(t, winimagetest.Spec{Remove: []string{winimagetest.Tag}}, nil)
	b.wantHalt(t, new(stepConvert).Run(t.Context(), b), "was proven before it was converted", "tag is absent")
	if _, err := os.Stat(b.run.config.outputPath()); !errors.Is(err, fs.ErrNotExist) || b.run.output.path != "" {
		t.Errorf("the output %q is there: %v", b.run.output.path, err)
	}
}

func TestTheReportLiesWhereTheUserWantsIt(t *testing.T) {
	mine := filepath.Join(t.TempDir(), "my", "report.json")
	for _, path := range []string{"", mine} {
		b := generalized(t, winimagetest.Spec{}, map[string]any{"verify": map[string]any{"report": path}})
		b.wantContinue(t, new(stepProve).Run(t.Context(), b))
		b.wantContinue(t, new(stepConvert).Run(t.Context(), b))
		if path == "" {
			path = b.run.output.path + proof.ReportSuffix
		}
		if _, err := os.Stat(path); err != nil || b.run.report != path {
			t.Errorf("the report lies at %s, want %s: %v", b.run.report, path, err)
		}
	}
}

func TestTheMachineFollowsTheDriversOfTheSource(t *testing.T) {
	for _, c := range []struct {
		name       string
		options    map[string]any
		facts      sourceFacts
		disk, card string
	}{
		{"nothing known: the hypervisor chooses", nil, sourceFacts{}, "auto", "auto"},
		{"what Windows has drivers for", nil, sourceFacts{DiskInterface: "nvme", NetworkInterface: "virtio"}, "nvme", "virtio"},
		{"the user's word is the last", map[string]any{"disk_interface": "sata", "network_interface": "e1000"}, sourceFacts{DiskInterface: "virtio", NetworkInterface: "virtio"}, "sata", "e1000"},
		{"no IDE on a board the user chose", map[string]any{"machine_type": "q35"}, sourceFacts{DiskInterface: "ide"}, "auto", "auto"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, c.options)
			b.run.windows = c.facts
			if disk, card := b.run.diskInterface(), b.run.networkInterface(); disk != c.disk || card != c.card {
				t.Errorf("%s and %s, want %s and %s", disk, card, c.disk, c.card)
			}
		})
	}
}

func TestTheDiskOfAFailedRunIsAskedForTheCause(t *testing.T) {
	for _, c := range []struct {
		name  string
		setup func(b *bench)
		want  bool
	}{
		{"sysprep hung", func(*bench) {}, true},
		{"cancelled", func(b *bench) { b.Put(multistep.StateCancelled, true) }, false},
		{"nothing was provisioned yet", func(b *bench) { b.run.provisioning = time.Time{} }, false},
		{"a source without Windows", func(b *bench) { b.run.windows = sourceFacts{} }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := started(t, nil)
			b.run.disk.Path = winimagetest.Disk(t, winimagetest.Spec{Files: map[string]string{winimagetest.Log: winimagetest.RefusedLog}})
			b.run.windows, b.run.provisioning = sourceFacts{Windows: "Windows"}, time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC)
			b.Put("error", errors.New("sysprep did not come to its end"))
			c.setup(b)
			new(stepDiagnose).Cleanup(b)
			_, err := os.Stat(b.run.config.beside("logs"))
			if said := b.said.SayCalled; said != c.want || (err == nil) != c.want {
				t.Errorf("said: %t, logs: %v", said, err)
			}
		})
	}
}

func TestEndedErrorUnwraps(t *testing.T) {
	if err := error(&endedError{"x", crashed}); !errors.Is(err, crashed.Err) {
		t.Error(err)
	}
	ctx, release := started(t, nil).run.machine.bind(t.Context(), "x", func(hypervisor.Fate) time.Duration { return 0 })
	release()
	if ended := (*endedError)(nil); errors.As(context.Cause(ctx), &ended) {
		t.Error("released, not ended")
	}
}

// waiting is a machine that says what it waits for.
type waiting struct {
	*fakeMachine
	what string
}

func (w waiting) WaitingFor() string { return w.what }
