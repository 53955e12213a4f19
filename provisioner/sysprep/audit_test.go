package sysprep

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// over runs a test over Packer's communicator and over a connection of our own.
func over(t *testing.T, s winsim.Scenario, options map[string]any, test func(*testing.T, *guestRun)) {
	t.Helper()
	for name, make := range map[string]func(*testing.T, winsim.Scenario, map[string]any) *guestRun{"Packer's communicator": newGuestRun, "our own connection": newOwnRun} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, make(t, s, options))
		})
	}
}

// twice runs a second provisioner against the same guest, with other options.
func (g *guestRun) twice(options map[string]any) error {
	g.t.Helper()
	for name := range g.options {
		if name != "poll_interval" && name != "winrm" {
			delete(g.options, name)
		}
	}
	for k, v := range options {
		g.options[k] = v
	}
	return g.provision()
}

func (g *guestRun) wantState(want string) {
	g.t.Helper()
	if state := g.read("Windows", "Setup", "State", "State.ini"); !strings.Contains(state, want) {
		g.t.Errorf("the guest is %q, want %s", state, want)
	}
}

var toAudit = map[string]any{"mode": "audit", "generalize": false}

func TestTheWindowOfAuditModeIsClosed(t *testing.T) {
	t.Parallel()
	over(t, winsim.Scenario{Start: winsim.Audit}, nil, func(t *testing.T, g *guestRun) {
		if err := g.provision(); err != nil {
			t.Fatal(err)
		}
		want(t, g.ui.text(), "Closing it: the System Preparation Tool window is open (process id ", "Windows is generalized")
		g.wantState("IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE")
		wantNothingLeft(t, g)
	})
}

// The window of a person who is about to reseal the machine by hand is left alone,
// and so is any that cannot be told from a run.
func TestNoOtherSysprepIsEnded(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]winsim.Scenario{
		"a window outside audit mode":            {Start: winsim.SysprepOpen},
		"a command line that nobody may read":    {Start: winsim.Audit, Unkind: winsim.Unkind{FilteredToken: true}},
		"a PowerShell that may not run anything": {Start: winsim.Audit, Unkind: winsim.Unkind{BlockedScripts: []string{"processes"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, s, map[string]any{"log_directory": t.TempDir()})
			err := g.provision()
			wantError(t, err, "[not-started/ALREADY_RUNNING] sysprep was not started: sysprep.exe is already running (process id ")
			if strings.Contains(err.Error()+g.ui.text(), "<pid>") || !g.sim.Guest.Runs("sysprep.exe") || strings.Contains(g.ui.text(), "Closing it") {
				t.Errorf("it was ended, or its process id is not named: %v", err)
			}
			wantNothingLeft(t, g)
		})
	}
}

func TestABuildInTwoPhases(t *testing.T) {
	t.Parallel()
	over(t, winsim.Scenario{Unkind: winsim.Unkind{LogonTakes: seconds(5)}}, toAudit, func(t *testing.T, g *guestRun) {
		if err := g.provision(); err != nil {
			t.Fatal(err)
		}
		want(t, g.ui.text(), "Afterwards: reboot", "Windows is resealed and keeps its identity", "Windows restarts into audit mode: generalize it there", "The guest is back in audit mode")
		if strings.Contains(g.ui.text(), "a disk taken after that") || strings.Contains(g.ui.text(), "Warning") {
			t.Error("words of another end")
		}
		g.wantState("IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT")
		wantNothingLeft(t, g)
		if err := g.twice(map[string]any{"answer_file_content": testAnswer}); err != nil {
			t.Fatal(err)
		}
		want(t, g.ui.text(), "Windows is generalized")
		g.wantState("IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE")
		wantNothingLeft(t, g)
		if starts := g.sim.Guest.Starts(); len(starts) != 2 || !strings.HasSuffix(starts[0], "/audit /reboot /quiet") {
			t.Errorf("sysprep was started as %q", starts)
		}
	})
}

func TestABuildInTwoPhasesAsOneProvisioner(t *testing.T) {
	t.Parallel()
	// The window comes up while sysprep is about to be started.
	over(t, winsim.Scenario{Unkind: winsim.Unkind{LogonTakes: seconds(1)}}, map[string]any{"through_audit": true, "answer_file_content": testAnswer}, func(t *testing.T, g *guestRun) {
		if err := g.provision(); err != nil {
			t.Fatal(err)
		}
		want(t, g.ui.text(), "The guest is back in audit mode", "Windows is generalized")
		if strings.Contains(g.ui.text(), "generalize it there") {
			t.Error("it asks for what it does itself")
		}
		g.wantState("IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE")
		if cached := g.read("Windows", "Panther", "unattend.xml"); cached != testAnswer {
			t.Errorf("the answer file is %q", cached)
		}
		wantNothingLeft(t, g)
	})
}

// A machine that was generalized for audit mode restarts into it, too.
func TestAMachineGeneralizedForAuditModeIsAwaitedThere(t *testing.T) {
	t.Parallel()
	options := map[string]any{"mode": "audit", "action": "quit"}
	over(t, winsim.Scenario{}, options, func(t *testing.T, g *guestRun) {
		if err := g.provision(); err != nil {
			t.Fatal(err)
		}
		if err := g.twice(map[string]any{"mode": "audit", "action": "reboot"}); err != nil {
			t.Fatal(err)
		}
		want(t, g.ui.text(), "Not running sysprep", "Asking Windows for a reboot", "The guest is back in audit mode")
		g.wantState("IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT")
		wantNothingLeft(t, g)
	})
}

func TestAGuestThatDoesNotComeBackInAuditModeIsAnError(t *testing.T) {
	t.Parallel()
	options := map[string]any{"mode": "audit", "generalize": false, "reboot_timeout": "5s"}
	over(t, winsim.Scenario{BootTakes: seconds(900)}, options, func(t *testing.T, g *guestRun) {
		wantError(t, g.provision(), "[lost] the guest is not back in audit mode within 5s", "raise reboot_timeout")
	})
}

// A guest that has not restarted yet is in the state of audit mode already.
func TestAuditModeBeginsWithTheRestart(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*verdict.First)
		in     bool
	}{
		"back":                         {func(*verdict.First) {}, true},
		"AuditBoot was not read":       {func(f *verdict.First) { f.AuditMode = verdict.Unknown }, true},
		"restarted, as far as is said": {func(f *verdict.First) { f.SameBoot = verdict.Unknown }, true},
		"not restarted":                {func(f *verdict.First) { f.SameBoot = verdict.Yes }, false},
		"no answer":                    {func(f *verdict.First) { f.Reached = false }, false},
		"another state":                {func(f *verdict.First) { f.ImageState = "IMAGE_STATE_UNDEPLOYABLE" }, false},
		"no AuditBoot":                 {func(f *verdict.First) { f.AuditMode = verdict.No }, false},
		"in Setup":                     {func(f *verdict.First) { f.SystemSetupInProgress = verdict.Yes }, false},
	} {
		f := verdict.First{Observation: verdict.Observation{Reached: true, ImageState: "IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT", SameBoot: verdict.No}, AuditMode: verdict.Yes}
		c.change(&f)
		if in, why := verdict.InAudit(f); in != c.in || in == (why != "") {
			t.Errorf("%s: %v, %q", name, in, why)
		}
	}
}

func TestThroughAuditDoesNothingInAuditMode(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{Start: winsim.Audit}, map[string]any{"through_audit": true})
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	if starts := g.sim.Guest.Starts(); slices.ContainsFunc(starts, func(s string) bool { return strings.Contains(s, "/audit") }) || len(starts) != 1 {
		t.Errorf("sysprep was started as %q", starts)
	}
}

// After its first half the machine is not untouched, however the second one ends.
func TestWhatEndsAfterTheRestartIntoAuditModeSaysWhereWindowsIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		then func(g *guestRun, cancel func())
		want []string
	}{
		"a cancel": {func(_ *guestRun, cancel func()) { cancel() }, []string{"[cancelled] cancelled: Windows was brought into audit mode (through_audit), where it is still"}},
		"a refusal": {func(g *guestRun, _ func()) {
			if err := os.Remove(g.file("Windows", "System32", "Sysprep", "sysprep.exe")); err != nil {
				g.t.Error(err)
			}
		}, []string{"[not-started/SYSPREP_MISSING] sysprep was not started: sysprep.exe is missing", "before that this run has brought Windows into audit mode (through_audit)"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{}, map[string]any{"through_audit": true})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			g.ctx = ctx
			g.ui.onSay = func(line string) {
				if line == "The guest is back in audit mode" {
					c.then(g, cancel)
				}
			}
			err := g.provision()
			if wantError(t, err, c.want...); strings.Contains(err.Error(), "untouched") {
				t.Errorf("it is called untouched: %v", err)
			}
			wantNothingLeft(t, g)
		})
	}
}

// deaf is a connection over which nothing can be ended.
type deaf struct{ packersdk.Communicator }

func (c deaf) Start(ctx context.Context, cmd *packersdk.RemoteCmd) error {
	if strings.Contains(cmd.Command, "taskkill") {
		cmd.Command = "ver"
	}
	return c.Communicator.Start(ctx, cmd)
}

func TestAWindowThatStaysOpenLeavesNothingOfOurs(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{Start: winsim.Audit}, map[string]any{"stall_timeout": "1s"})
	g.wrap = func(c packersdk.Communicator) packersdk.Communicator { return deaf{c} }
	wantError(t, g.provision(), "[not-started] sysprep was not started: the System Preparation Tool window is open", "(waited up to 1s, see stall_timeout)")
	wantNothingLeft(t, g)
}

// The lines and the switches are those of the second half.
func TestThroughAuditRunsTheLinesOnceAtTheEnd(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{}, map[string]any{"through_audit": true, "vm_mode": true, "action": "quit", "before_shutdown": []string{`echo x>>C:\\a.txt`}})
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	if text := g.read("a.txt"); text != "x\r\n" {
		t.Errorf("the lines left %q", text)
	}
	if starts := g.sim.Guest.Starts(); len(starts) != 2 || !strings.HasSuffix(starts[0], "/audit /reboot /quiet") || !strings.HasSuffix(starts[1], "/generalize /oobe /mode:vm /quit /quiet") {
		t.Errorf("sysprep was started as %q", starts)
	}
	if n := strings.Count(g.ui.text(), "Running before_shutdown"); n != 1 {
		t.Errorf("the lines ran %d times", n)
	}
}
