//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// shell is a provisioner of Packer's own that runs lines in the guest.
func shell(lines ...string) string {
	var quoted []string
	for _, line := range lines {
		quoted = append(quoted, fmt.Sprintf("%q", line))
	}
	return "  provisioner \"windows-shell\" {\n    inline = [" + strings.Join(quoted, ", ") + "]\n  }\n"
}

func wantState(t *testing.T, guest *winsim.Running, state string) {
	t.Helper()
	if got := string(guestFile(t, guest, `C:\Windows\Setup\State\State.ini`)); !strings.Contains(got, state) {
		t.Errorf("the guest is %q, want %s", got, state)
	}
}

// nothingLeft checks that nothing of the plugin is in the guest.
func nothingLeft(t *testing.T, guest *winsim.Running) {
	t.Helper()
	for _, pattern := range []string{`C:\Windows\System32\Sysprep`, `C:\Windows\Temp`} {
		if left, _ := filepath.Glob(guest.Guest.Host(pattern) + "/*packer-*"); len(left) > 0 {
			t.Errorf("left in the guest: %v", left)
		}
	}
}

func lateLogon(d time.Duration) winsim.Scenario {
	return winsim.Scenario{Unkind: winsim.Unkind{LogonTakes: winsim.Duration(d)}}
}

func TestABuildInTwoPhases(t *testing.T) {
	t.Parallel()
	guest := inProcess(t, lateLogon(3*time.Second), winsim.ServerOptions{}, nil)
	p := startPacker(t, nullBuild(guest.Port, "",
		sysprepBlock(`mode = "audit"`, `generalize = false`)+shell("@echo off", "echo worked in audit mode")+sysprepBlock(`log_directory = "logs"`)), nil)
	p.expect(0, "Windows is resealed and keeps its identity", "The guest is back in audit mode", "worked in audit mode", "Closing it: the System Preparation Tool window is open", "Windows is generalized")
	if strings.Contains(p.output(), "a disk taken after that is not") {
		t.Error("the end of the first phase is told as that of a build")
	}
	wantState(t, guest, "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE")
	nothingLeft(t, guest)
}

func TestABuildInTwoPhasesAsOneProvisioner(t *testing.T) {
	t.Parallel()
	guest := inProcess(t, lateLogon(3*time.Second), winsim.ServerOptions{}, nil)
	p := startPacker(t, nullBuild(guest.Port, "", sysprepBlock(`through_audit = true`)), nil)
	p.expect(0, "The guest is back in audit mode", "Closing it: the System Preparation Tool window is open", "Windows is generalized")
	wantState(t, guest, "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE")
	nothingLeft(t, guest)
}

// Ctrl+Shift+F3 restarts a machine into audit mode, as sysprep /audit does; this
// plugin has no part in it.
func TestAMachineBroughtIntoAuditModeByHandIsProven(t *testing.T) {
	t.Parallel()
	p := machine{builders: shell(`C:\Windows\System32\Sysprep\sysprep.exe /audit /quit /quiet`) + `
  provisioner "windows-restart" {
    restart_timeout = "5m"
  }
` + sysprepBlock()}.start(t)
	p.expect(0, "Closing it: the System Preparation Tool window is open", "Windows is generalized", "Proven")
	if facts, proof := proof(t, filepath.Join(p.dir, "output", "image.vhd")); !proven(proof) {
		t.Errorf("not proven: %+v\n%+v", finding.Failed(proof, finding.Fail), facts.Windows)
	}
}

// The example of two phases, proven.
func TestABuildInTwoPhasesIsProven(t *testing.T) {
	t.Parallel()
	p := machine{builders: sysprepBlock(`mode = "audit"`, `generalize = false`) + shell("echo in audit mode") + sysprepBlock()}.start(t)
	p.expect(0, "The guest is back in audit mode", "in audit mode", "Closing it: the System Preparation Tool window is open", "Windows is generalized", "Proven")
	if _, proof := proof(t, filepath.Join(p.dir, "output", "image.vhd")); !proven(proof) {
		t.Errorf("not proven: %+v", finding.Failed(proof, finding.Fail))
	}
}

// forwarded is a build that reaches the guest by a port that never closes.
func forwarded(t *testing.T, guest *winsim.Running, provisioners string) *packerRun {
	t.Helper()
	_, port := testutil.Forward(t, guest.Addr)
	return startPacker(t, nullBuild(port, "", provisioners), nil)
}

func TestAForwardedPortThatNeverCloses(t *testing.T) {
	t.Parallel()
	guest := inProcess(t, winsim.Scenario{}, winsim.ServerOptions{}, nil)
	p := forwarded(t, guest, sysprepBlock(`action = "shutdown"`, `shutdown_timeout = "20s"`))
	p.expect(0, "Warning: Windows is generalized: ", "whether it did could not be seen within 20s", "Make sure in the hypervisor that the machine is off")
	<-guest.Off()
	nothingLeft(t, guest)
}

func TestTheLoginIsLostAfterGeneralize(t *testing.T) {
	t.Parallel()
	guest := inProcess(t, winsim.Scenario{ShutdownTakes: winsim.Duration(time.Hour), Unkind: winsim.Unkind{NoNewShellsFrom: winsim.AtTag}}, winsim.ServerOptions{}, nil)
	p := startPacker(t, nullBuild(guest.Port, "", sysprepBlock(`action = "shutdown"`, `shutdown_timeout = "15s"`, `winrm { mode = "communicator" }`)), nil)
	p.expect(0, "Warning: Windows is generalized: ", "whether it did could not be seen within 15s", "401")
}

func TestTheLoginIsLostBeforeTheBuildersShutdown(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"own", "communicator"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			guest := inProcess(t, winsim.Scenario{Unkind: winsim.Unkind{NoNewShellsFrom: winsim.AtTag}}, winsim.ServerOptions{NTLM: true}, nil)
			p := startPacker(t, nullBuild(guest.Port, "", sysprepBlock(fmt.Sprintf(`winrm { mode = %q }`, mode))), nil)
			p.expect(0, "Windows is generalized", "Warning: whoever logs in to shut Windows down will fail: ", "401")
		})
	}
}

func TestARestartInPlaceOfThePowerOff(t *testing.T) {
	t.Parallel()
	scenario := winsim.Scenario{RestartsInstead: true, FirstBoot: winsim.FirstBootDone, BootTakes: winsim.Duration(12 * time.Second)}
	lines := sysprepBlock(`action = "shutdown"`, `shutdown_timeout = "60s"`)
	t.Run("the port closes", func(t *testing.T) {
		t.Parallel()
		guest := inProcess(t, scenario, winsim.ServerOptions{}, nil)
		startPacker(t, nullBuild(guest.Port, "", lines), nil).expect(1, "[undone/RESTARTED]", "the guest restarted instead of powering off")
	})
	t.Run("a port that never closes", func(t *testing.T) {
		t.Parallel()
		guest := inProcess(t, scenario, winsim.ServerOptions{}, nil)
		forwarded(t, guest, lines).expect(1, "[undone/RESTARTED]", "the guest restarted instead of powering off")
	})
}

func TestALineBeforeTheShutdownThatFails(t *testing.T) {
	t.Parallel()
	guest := inProcess(t, winsim.Scenario{}, winsim.ServerOptions{}, nil)
	p := startPacker(t, nullBuild(guest.Port, "", sysprepBlock(`action = "shutdown"`, `before_shutdown = ["ver", "type C:\\none.txt"]`)), nil)
	p.expect(1, "[at-the-end] Windows is generalized, but before_shutdown[1] failed with exit code 1")
	select {
	case <-guest.Off():
		t.Error("the guest is off")
	default:
	}
	nothingLeft(t, guest)
}

func TestAProvisionerAfterSysprep(t *testing.T) {
	t.Parallel()
	p := machine{builders: sysprepBlock() + shell("ver"), source: `shutdown_timeout = "30s"`}.start(t)
	p.expect(1, `nothing can run in the guest after provisioner "sysprep"`, "make it the last provisioner")
	if strings.Contains(p.output(), "look for what kept") || strings.Contains(p.output(), "Look for what kept") {
		t.Error("a machine that is off is said to have been kept from it")
	}
	p.expectNoTrace()
}

func TestASecondPackerWatchesTheSysprepOfTheFirst(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"the first goes on", "the first was killed"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			guest := inProcess(t, winsim.Scenario{Generalize: winsim.Duration(60 * time.Second)}, winsim.ServerOptions{NTLM: true}, nil)
			template := nullBuild(guest.Port, "", sysprepBlock())
			first := startPacker(t, template, nil)
			first.waitLine("working on app packages")
			if end == "the first was killed" {
				if err := syscall.Kill(-first.cmd.Process.Pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				<-first.done
			}
			second := startPacker(t, template, nil)
			second.expect(0, "Not starting sysprep: sysprep.exe is already running as this run would start it", "Windows is generalized", "was left to it")
			if end == "the first goes on" {
				first.expect(0, "Windows is generalized")
				nothingLeft(t, guest)
			}
			if starts := guest.Guest.Starts(); len(starts) != 1 {
				t.Errorf("sysprep was started as %q", starts)
			}
			wantState(t, guest, "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE")
		})
	}
}
