package sysprep

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

func seconds(n float64) winsim.Duration { return winsim.Duration(n * float64(time.Second)) }

func wantNothingLeft(t *testing.T, g *guestRun) {
	t.Helper()
	if left := g.ours(); len(left) > 0 {
		t.Errorf("left in the guest: %q", left)
	}
}

// wantExplained runs the provisioner into an error of one line that begins as
// given, and wants the whole explanation shown once.
func wantExplained(t *testing.T, g *guestRun, headline string, parts ...string) error {
	t.Helper()
	err := g.provision()
	if err == nil {
		t.Fatal("no error")
	}
	head, _ := verdict.ParseHead(err.Error())
	if !strings.HasPrefix(err.Error(), head.String()+" "+headline) || strings.Contains(err.Error(), "\n") {
		t.Errorf("the error is %q, want one line that begins with %q", err, headline)
	}
	want(t, g.ui.text(), append(parts, "seen: ", "next: ")...)
	if n := strings.Count(g.ui.text(), err.Error()); n != 1 {
		t.Errorf("the explanation was shown %d times", n)
	}
	return err
}

func TestARefusalNamesThePackageAndTheRemedyFirst(t *testing.T) {
	t.Parallel()
	logs := t.TempDir()
	const app = "Contoso.App_1.2.3.4_x64__8wekyb3d8bbwe"
	g := newGuestRun(t, winsim.Scenario{Outcome: winsim.Refused, Class: "F01", Packages: []string{app}},
		map[string]any{"answer_file_content": testAnswer, "log_directory": logs})
	err := wantExplained(t, g, "sysprep refused, the machine is untouched: ", "cause: F01", "IMAGE_STATE_COMPLETE")
	want(t, err.Error(), app, "; next: ")
	wantNothingLeft(t, g)
	if _, err := os.Stat(filepath.Join(logs, "sysprep", "setupact.log")); err != nil {
		t.Error(err)
	}
	// The same guest may be repaired and tried again.
	if again := g.provision(); again == nil || again.Error() != err.Error() {
		t.Errorf("the second attempt: %v", again)
	}
}

func TestABrokenMachineIsToBeDiscarded(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{Outcome: winsim.Broken, Class: "F35"}, nil)
	wantExplained(t, g, "sysprep failed midway, the machine cannot be used", "IMAGE_STATE_UNDEPLOYABLE", "next: Discard this machine", "next: Set log_directory")
	wantNothingLeft(t, g)
	wantError(t, g.provision(), "sysprep was not started: an earlier sysprep run failed midway")
}

func TestARunThatStandsStillIsHung(t *testing.T) {
	t.Parallel()
	for where, parts := range map[string][]string{
		"validate":   {"log has not grown for", "sysprep hangs in ", "nothing was changed", "begun at "},
		"generalize": {"log has not grown for", "the machine is being changed", "begun at ", "IMAGE_STATE_UNDEPLOYABLE", "sysprep.exe was still running", "Discard the machine"},
		"dialog":     {"next: "},
		// stall_timeout is set, so it holds for steps that are known for their silence.
		"no-provider": {"[hung/HANG_DMWAPPUSHSERVICE]", "generalize has begun and no provider follows", "begun at ", "the machine is being changed", "sc config dmwappushservice start= delayed-auto", "known to write nothing for up to 40m0s, and stall_timeout is set to 1.5s"},
		"updates":     {"[hung/HANG_WINDOWS_UPDATE]", `GeneralizeForImaging of C:\Windows\System32\wuaueng.dll`, "wuauserv", "begun at ", "the machine is being changed", "sc config wuauserv start= demand"},
		"devices":     {"[hung/HANG_PNP]", `Sysprep_Generalize_Pnp of C:\Windows\System32\sppnp.dll`, "begun at ", "the machine is being changed", "PersistAllDeviceInstalls", "for up to 20m0s"},
		"apps":        {"[hung/HANG]", `SysprepGeneralize of C:\Windows\System32\AppxSysprep.dll`, "begun at ", "the machine is being changed", "for up to 15m0s"},
		"external":    {"[hung/HANG_EXTERNAL_PROVIDER]", `Generalize of C:\Program Files\Contoso\agent.dll`, "SysPrepExternal", "begun at ", "the machine is being changed", "for up to 15m0s"},
	} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{Outcome: winsim.Hang, HangIn: where}, map[string]any{"stall_timeout": "1500ms"})
			wantExplained(t, g, "sysprep did not finish: ", parts...)
			wantNothingLeft(t, g)
			// One that works on the machine may still finish.
			if ended := strings.Contains(g.ui.text(), "Ended sysprep.exe (process id "); ended == (where != "validate" && where != "dialog") {
				t.Errorf("ended sysprep: %v", ended)
			}
		})
	}
}

func TestASlowRunThatGoesOnIsNotHung(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{Outcome: winsim.Slow, Validate: seconds(1), Generalize: seconds(3)}, map[string]any{"stall_timeout": "1500ms"})
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
}

func TestShutdownIsConfirmedByThePortAndLeavesNothing(t *testing.T) {
	t.Parallel()
	logs := t.TempDir()
	g := newGuestRun(t, winsim.Scenario{ShutdownTakes: seconds(60)}, map[string]any{
		"action": "shutdown", "answer_file_content": testAnswer, "shutdown_timeout": "24s", "log_directory": logs})
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-g.sim.Off():
	default:
		t.Error("the guest is not off")
	}
	want(t, g.ui.text(), "shutdown requested", "the guest no longer answers: its port has been closed for", "Make sure in the hypervisor that the machine is off")
	if strings.Contains(g.ui.text(), "powered off") {
		t.Error("nobody has reported a power-off")
	}
	wantNothingLeft(t, g)
	if _, err := os.Stat(filepath.Join(logs, "sysprep", "setupact.log")); err != nil {
		t.Error(err)
	}
}

func TestRebootIsConfirmed(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{ShutdownTakes: seconds(60)}, map[string]any{"action": "reboot", "shutdown_timeout": "12s"})
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	want(t, g.ui.text(), "a disk taken after that is not a generalized image", "is restarting")
	wantNothingLeft(t, g)
}

func TestWinRMMayDieWhileTheImageBecomesGood(t *testing.T) {
	t.Parallel()
	for _, how := range []winsim.WinRMState{winsim.WinRMClosed, winsim.WinRMReset, winsim.WinRMNoShells} {
		t.Run(string(how), func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{WinRMDies: how}, map[string]any{"stall_timeout": "3s", "shutdown_timeout": "2s"})
			g.builder = ownBuilder
			if err := g.provision(); err != nil {
				t.Fatal(err)
			}
			select {
			case <-g.sim.Off():
			case <-t.Context().Done():
			}
			if how == winsim.WinRMNoShells {
				return // the open shell goes on and sees the end
			}
			want(t, g.ui.text(), "Warning: whether Windows is generalized could not be seen in the guest", "sysprep-vhd proves the disk next")
		})
	}
}

func TestWithoutProofALostGuestIsAnError(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{WinRMDies: winsim.WinRMClosed}, map[string]any{"stall_timeout": "3s", "action": "shutdown", "shutdown_timeout": "2s"})
	wantExplained(t, g, "the guest was lost while sysprep worked", "Prove the disk offline before use")
}

func TestABlackHoleEndsTheRunInTime(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{WinRMDies: winsim.WinRMBlackHole}, map[string]any{"stall_timeout": "3s", "poll_interval": "100ms"})
	wantExplained(t, g, "the guest was lost while sysprep worked: no command has been answered")
}

func TestWinRMThatComesBackIsUsedAgain(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{WinRMDies: winsim.WinRMReset, WinRMBack: seconds(4), Generalize: seconds(20)}, nil)
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	wantNothingLeft(t, g)
}

func TestAMachineThatIsGeneralizedAlreadyIsNotTouched(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		action, builder string
		gone, told      bool // what is left for the user to do
	}{{"quit", "null", false, true}, {"quit", ownBuilder, false, false}, {"shutdown", "null", true, false}} {
		g := newGuestRun(t, winsim.Scenario{Start: winsim.Generalized, ShutdownTakes: seconds(1)},
			map[string]any{"action": c.action, "answer_file_content": testAnswer, "shutdown_timeout": "4s"})
		g.builder = c.builder
		if err := g.provision(); err != nil {
			t.Fatal(err)
		}
		want(t, g.ui.text(), "Not running sysprep: the machine is generalized already", "the answer file of this run is not in the image")
		off := false
		select {
		case <-g.sim.Off():
			off = true
		default:
		}
		if off != c.gone {
			t.Errorf("%s: off is %v", c.action, off)
		}
		if told := strings.Contains(g.ui.text(), "next: Do not restart it"); told != c.told {
			t.Errorf("%s, %s: the next step is told: %t", c.action, c.builder, told)
		}
	}
}

// It is not untouched, so it is not one in which sysprep was not started.
func TestAMachineThatWasGeneralizedAndDoesNotGoDownIsHung(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{Start: winsim.Generalized, ShutdownTakes: seconds(3600)}, map[string]any{"action": "shutdown", "shutdown_timeout": "2s"})
	wantError(t, g.provision(), "[hung] Windows was generalized before, but it has not shut down within shutdown_timeout (2s)", "; next: let the builder shut it down and prove the disk")
}

func TestASetupThatIsStillRunningIsWaitedFor(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{Start: winsim.SetupRunning, SetupFor: seconds(60)}, nil)
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	want(t, g.ui.text(), "Waiting: ")
}

func TestNothingIsStartedWhereSysprepCannotWork(t *testing.T) {
	t.Parallel()
	for start, parts := range map[winsim.StartState][]string{
		winsim.SetupRunning: {"sysprep was not started: ", "(waited up to 1s, see stall_timeout)"},
		winsim.SysprepOpen:  {"sysprep was not started: sysprep.exe is already running (process id "},
		winsim.Unfinished:   {"sysprep was not started: an earlier sysprep run failed midway"},
		winsim.NoSysprep:    {"sysprep was not started: sysprep.exe is missing"},
	} {
		t.Run(string(start), func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{Start: start, SetupFor: seconds(3600)}, map[string]any{"stall_timeout": "1s"})
			wantError(t, g.provision(), parts...)
			wantNothingLeft(t, g)
		})
	}
}

// Hardening rules refuse Win32_Process.Create, and the task service still works.
func TestATaskStartsWhatWMIMayNot(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{CreateReturn: 2, StaleTag: true}, map[string]any{"answer_file_content": testAnswer})
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	want(t, g.ui.text(), "Win32_Process.Create returned 2 (access denied)", "runs from a scheduled task of packer instead; set run_as", "Deleted the tag of an earlier run", "Windows is generalized")
	wantNothingLeft(t, g)
}

func TestOtherAccountsRunSysprepFromATask(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]map[string]any{
		"without a password": {"elevated_user": simUser},
		"with a password":    {"elevated_user": simUser, "elevated_password": simPassword},
		"SYSTEM":             {"run_as": "system"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{}, options)
			if err := g.provision(); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(g.ui.text(), simPassword) {
				t.Error("the password was shown")
			}
			wantNothingLeft(t, g)
		})
	}
}

func TestACancelEndsPromptlyAndCleansUp(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		at    string // the line of the user interface to cancel at
		parts []string
	}{
		{"Looking at the guest", []string{"cancelled: sysprep was not started, the machine is untouched"}},
		{"Uploading the answer file", []string{"cancelled: sysprep was not started, the machine is untouched"}},
		{"Starting sysprep", []string{"cancelled"}},
		{"checking servicing state", []string{"cancelled: the build was cancelled while sysprep was validating", "IMAGE_STATE_COMPLETE"}},
		{"working on app packages", []string{"cancelled: the build was cancelled while sysprep was changing the machine", "Discard this machine"}},
	} {
		t.Run(test.at, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{Generalize: seconds(60)}, map[string]any{"answer_file_content": testAnswer})
			if strings.HasPrefix(test.at, "checking") {
				g.scenario.Outcome, g.scenario.HangIn = winsim.Hang, "validate"
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			g.ctx = ctx
			var cancelled time.Time
			g.ui.onSay = func(line string) {
				if strings.Contains(line, test.at) && cancelled.IsZero() {
					cancelled = time.Now()
					cancel()
				}
			}
			err := g.provision()
			took := time.Since(cancelled)
			if g.scenario.Outcome == winsim.Hang {
				want(t, g.ui.text(), "Ended sysprep.exe (process id ")
			}
			if cancelled.IsZero() {
				t.Fatal("the line to cancel at never came")
			}
			if err == nil {
				t.Fatal("no error")
			}
			want(t, err.Error()+"\n"+g.ui.text(), test.parts...)
			if took > 3*cancelLimit { // what our own builder waits
				t.Errorf("it took %s", took)
			}
			wantNothingLeft(t, g)
		})
	}
}

// failsThenCleans lets uploads fail, and the first cleanup after that.
type failsThenCleans struct {
	packersdk.Communicator
	failed, cleaned bool
}

func (f *failsThenCleans) Upload(string, io.Reader, *os.FileInfo) error {
	f.failed = true
	return errors.New("connection refused")
}

func (f *failsThenCleans) Start(ctx context.Context, cmd *packersdk.RemoteCmd) error {
	if f.failed && !f.cleaned && strings.Contains(cmd.Command, "rd /s /q") {
		f.cleaned = true
		return errors.New("connection refused")
	}
	return f.Communicator.Start(ctx, cmd)
}

// A service that restarts during the upload is back soon after.
func TestACleanupThatFailsBeforeTheStartIsTriedAgain(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{}, map[string]any{"answer_file_content": testAnswer})
	g.wrap = func(c packersdk.Communicator) packersdk.Communicator { return &failsThenCleans{Communicator: c} }
	wantError(t, g.provision(), "the answer file could not be put into the guest", "connection refused")
	wantNothingLeft(t, g)
}
