package sysprep

import (
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// A machine restarts often before it is generalized.
func TestARestartBeforeThisRunIsNoneOfAGeneralizedMachine(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]map[string]any{"at once": nil, "lines first": {"before_shutdown": []string{"ver"}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{Start: winsim.Generalized, ShutdownTakes: seconds(1)}, map[string]any{"shutdown_timeout": "4s"})
			for k, v := range options {
				g.options[k] = v
			}
			g.inOurBuilder("nothing", hypervisor.Event{})
			if err := g.provision(); err != nil {
				t.Fatal(err)
			}
			want(t, g.ui.text(), "Not running sysprep: the machine is generalized already")
		})
	}
}

func TestAPausedMachineThatWasGeneralizedBeforeIsCalledPaused(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{Start: winsim.Generalized, ShutdownTakes: seconds(3600)}, map[string]any{"shutdown_timeout": "3s", "stall_timeout": "60s"})
	const asking = "Asking Windows for a shutdown"
	g.inOurBuilder(asking, hypervisor.Event{Kind: hypervisor.EventPause, Detail: "somebody stopped it"})
	wantError(t, g.provision(), "[hung] the machine is paused: somebody stopped it")
}

func TestWhatIsNotDoneOnAGeneralizedMachineIsSaid(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{Start: winsim.Generalized}, map[string]any{"action": "quit", "answer_file_content": testAnswer, "delete_cached_answer_file": true, "remove_answer_files": true,
		"unattend": map[string]any{"setup_complete": []string{"ver"}}})
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	want(t, g.ui.text(), "Warning: the answer file of this run is not in the image, because sysprep was run before.",
		"Warning: delete_cached_answer_file of this run was not done, because sysprep was run before.", "Warning: remove_answer_files of this run", "Warning: setup_complete of this run")
	if text := g.ui.text(); strings.Contains(text, "through_audit") || strings.Contains(text, "delete_cached_answer_file = true deletes") {
		t.Error("an option is told that was not set, or to be set that is")
	}
}

// The builder takes over a Windows that is still what it was.
func TestALineThatUndoesTheRunIsNoSuccess(t *testing.T) {
	t.Parallel()
	const line = `reg add HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State /v ImageState /t REG_SZ /f /d IMAGE_STATE_UNDEPLOYABLE`
	over(t, winsim.Scenario{}, map[string]any{"action": "quit", "before_shutdown": []string{line}}, func(t *testing.T, g *guestRun) {
		wantError(t, g.provision(), "[undone", "ImageState is IMAGE_STATE_UNDEPLOYABLE now")
	})
}
