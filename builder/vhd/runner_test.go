package vhd

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/packer-plugin-sdk/common"
	"github.com/hashicorp/packer-plugin-sdk/communicator"
	"github.com/hashicorp/packer-plugin-sdk/multistep"
	"github.com/hashicorp/packer-plugin-sdk/multistep/commonsteps"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
)

// scene is a build of three steps, the second of which may fail; notes are what was called.
type scene struct {
	notes []string
	ui    *asked
}

// asked answers questions in their order.
type asked struct {
	packersdk.MockUi
	answers []string
	all     strings.Builder
}

func (a *asked) Ask(question string) (string, error) {
	a.all.WriteString(question + "\n")
	if len(a.answers) == 0 {
		return "", errors.New("nobody is there")
	}
	answer := a.answers[0]
	a.answers = a.answers[1:]
	return answer, nil
}
func (a *asked) Error(text string) { a.all.WriteString(text + "\n") }
func (a *asked) Say(text string)   { a.all.WriteString(text + "\n") }

func (s *scene) step(name string, fails int, cancel func()) stepFunc {
	return stepFunc{
		run: func(_ context.Context, state multistep.StateBag) multistep.StepAction {
			s.notes = append(s.notes, "+"+name)
			if cancel != nil {
				cancel()
				state.Put(multistep.StateCancelled, true)
				return multistep.ActionHalt
			}
			if fails > 0 {
				fails--
				state.Put("error", errors.New("it broke"))
				return multistep.ActionHalt
			}
			return multistep.ActionContinue
		},
		cleanup: func(multistep.StateBag) { s.notes = append(s.notes, "-"+name) },
	}
}

// The SDK's own runner is the measure: same steps, same answers, same clean-up.
func TestTheRunnerDoesWhatTheSDKsDoes(t *testing.T) {
	for _, c := range []struct {
		onError   string
		debug     bool
		fails     int
		cancelled bool
		answers   []string
		want      string // what is called, "" where the SDK's alone is the measure
	}{
		{},
		{fails: 1, want: "+a +b -b -a"},
		{onError: "cleanup", fails: 1, want: "+a +b -b -a"},
		{onError: "abort", fails: 1, want: "+a +b"},
		{onError: "abort", want: "+a +b +c -c -b -a"},
		{onError: "abort", cancelled: true, want: "+a +b"},
		{onError: "run-cleanup-provisioner", fails: 1, want: "+a +b"},
		{onError: "ask", fails: 1, answers: []string{"c"}, want: "+a +b -b -a"},
		{onError: "ask", fails: 1, answers: []string{""}, want: "+a +b -b -a"},
		{onError: "ask", fails: 1, answers: []string{"a"}, want: "+a +b"},
		{onError: "ask", fails: 1, answers: []string{"what", "Abort"}, want: "+a +b"},
		{onError: "ask", fails: 2, answers: []string{"r", "r"}, want: "+a +b +b +b +c -c -b -a"},
		{onError: "ask", fails: 1, cancelled: true, want: "+a +b -b -a"},
		{debug: true, answers: slices.Repeat([]string{""}, 6), want: "+a +b +c -c -b -a"},
	} {
		var got [2]string
		for i := range got {
			ctx, cancel := context.WithCancel(t.Context())
			s := &scene{ui: &asked{answers: slices.Clone(c.answers)}}
			end := cancel
			if !c.cancelled {
				end = nil
			}
			steps := []multistep.Step{s.step("a", 0, nil), s.step("b", c.fails, end), s.step("c", 0, nil)}
			state, config := new(multistep.BasicStateBag), common.PackerConfig{PackerOnError: c.onError, PackerDebug: c.debug}
			runner := newRunner(steps, config, s.ui, state)
			if i == 1 {
				runner = commonsteps.NewRunnerWithPauseFn(steps, config, s.ui, state)
			}
			runner.Run(ctx, state)
			cancel()
			got[i] = strings.Join(s.notes, " ")
			if left := len(s.ui.answers); left > 0 {
				t.Errorf("%+v: runner %d left %d answers", c, i, left)
			}
			if _, failed := state.GetOk("error"); i == 0 && failed != (c.fails > 0 && !c.cancelled && !strings.Contains(got[0], "+c")) {
				t.Errorf("%+v: the error is there: %v", c, failed)
			}
			if _, pauses := state.GetOk("pauseFn"); pauses != c.debug {
				t.Errorf("%+v: pauseFn %v", c, pauses)
			}
			if aborts := c.onError == "abort" && c.fails > 0; aborts && !strings.Contains(s.ui.all.String(), "it broke") {
				t.Errorf("%+v: the error is not shown:\n%s", c, s.ui.all.String())
			}
		}
		if got[0] != got[1] || c.want != "" && got[0] != c.want {
			t.Errorf("%+v: %s, the SDK: %s", c, got[0], got[1])
		}
	}
}

// cleaned is a step that is asked for its name by the SDK.
func TestOnlyTheCleanupProvisionerRunsWhereThatIsAskedFor(t *testing.T) {
	for onError, want := range map[string]bool{"run-cleanup-provisioner": true, "abort": false, "": true} {
		b := started(t, nil)
		cleaned := false
		provision := &StepProvision{stepFunc{
			run: func(_ context.Context, state multistep.StateBag) multistep.StepAction {
				return halt(state, errors.New("script failed"))
			},
			cleanup: func(multistep.StateBag) { cleaned = true },
		}}
		newRunner([]multistep.Step{provision}, common.PackerConfig{PackerOnError: onError}, &asked{}, b).Run(t.Context(), b)
		if cleaned != want {
			t.Errorf("-on-error=%s: the cleanup provisioner ran: %v", onError, cleaned)
		}
		if name := (keptStep{provision, nil}).InnerStepName(); name != "StepProvision" {
			t.Errorf("the step is called %s", name)
		}
	}
}

func TestAQuestionEndsWithTheBuild(t *testing.T) {
	state := new(multistep.BasicStateBag)
	state.Put(multistep.StateCancelled, true)
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	if _, ended := ask(&silent{never: never}, state, "?"); !ended {
		t.Error("the question outlives the build")
	}
}

type silent struct {
	packersdk.MockUi
	never chan struct{}
}

func (s *silent) Ask(string) (string, error) { <-s.never; return "", nil }

// What templates read as build.Host is what the SDK's step gives.
func TestProvisionersGetTheDataThatTheSDKGives(t *testing.T) {
	t.Setenv("PACKER_RUN_UUID", "run")
	for name, fill := range map[string]func(multistep.StateBag){
		"nothing": func(multistep.StateBag) {},
		"all": func(s multistep.StateBag) {
			s.Put("instance_id", "i-1")
			s.Put("generated_data", map[string]any{"Own": 1, "ID": "x"})
			c := &communicator.Config{Type: "ssh"}
			c.SSHHost, c.SSHPort, c.SSHUsername, c.SSHPassword, c.SSHPublicKey, c.SSHPrivateKey = "h", 22, "u", "p", []byte("pub"), []byte("priv")
			c.SSHPrivateKeyFile, c.SSHAgentAuth, c.WinRMPassword = "f", true, "w"
			s.Put("communicator_config", c)
		},
		"winrm": func(s multistep.StateBag) {
			c := &communicator.Config{Type: "winrm"}
			c.WinRMHost, c.WinRMPort, c.WinRMUser, c.WinRMPassword = "h", 5986, "u", "p"
			s.Put("communicator_config", c)
		},
	} {
		state := new(multistep.BasicStateBag)
		fill(state)
		got := hookData(state)
		want := commonsteps.PopulateProvisionHookData(state)
		for key := range want {
			if got[key] != want[key] {
				t.Errorf("%s: %s is %v, the SDK gives %v", name, key, got[key], want[key])
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: %v, the SDK gives %v", name, got, want)
		}
	}
}

func TestTheHookIsRunAndGivenUp(t *testing.T) {
	failing := errors.New("script failed")
	run := func(ctx context.Context, hook packersdk.Hook, before error) (*bench, multistep.StepAction) {
		b := newBench(t, nil)
		b.Put("hook", hook)
		if before != nil {
			b.Put("error", before)
			runHook{}.Cleanup(b)
			return b, multistep.ActionHalt
		}
		return b, runHook{}.Run(ctx, b)
	}
	hook := func(f func(context.Context) error) *packersdk.MockHook { return &packersdk.MockHook{RunFunc: f} }
	good := hook(func(context.Context) error { return nil })
	b, action := run(t.Context(), good, nil)
	b.wantContinue(t, action)
	if data, _ := b.Get("generated_data").(map[string]any); good.RunName != packersdk.HookProvision || data["ID"] == nil || good.RunData == nil {
		t.Errorf("hook %q, data %v", good.RunName, data)
	}
	b, action = run(t.Context(), hook(func(context.Context) error { return failing }), nil)
	b.wantHalt(t, action, "script failed")
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	if _, action := run(cancelled(), hook(func(context.Context) error { <-never; return nil }), nil); action != multistep.ActionHalt {
		t.Error("a cancelled build waits for its provisioners")
	}
	clean := hook(func(context.Context) error { return errors.New("cleaning failed") })
	b, _ = run(t.Context(), clean, failing)
	if err, _ := b.Get("error").(error); !errors.Is(err, failing) || !strings.Contains(err.Error(), "cleaning failed") || clean.RunName != packersdk.HookCleanupProvision {
		t.Errorf("hook %q, error %v", clean.RunName, err)
	}
	b = newBench(t, nil)
	b.Put("hook", good)
	good.RunName = ""
	(runHook{}).Cleanup(b)
	if good.RunName != "" {
		t.Error("the cleanup provisioner runs after a success")
	}
	b = newBench(t, nil)
	b.wantHalt(t, runHook{}.Run(t.Context(), b), "no provisioners")
}
