package vhd

import (
	"context"
	"fmt"
	"log"
	"reflect"
	"strings"

	"github.com/hashicorp/packer-plugin-sdk/common"
	"github.com/hashicorp/packer-plugin-sdk/multistep"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
)

// newRunner runs steps as -on-error and -debug of packer build ask for. The SDK's runner of
// this kind stands in a package that links the clients of two clouds.
func newRunner(steps []multistep.Step, c common.PackerConfig, ui packersdk.Ui, state multistep.StateBag) multistep.Runner {
	if c.PackerOnError != "" && c.PackerOnError != "cleanup" {
		kept := &aftermath{ui: ui, onError: c.PackerOnError}
		for i := range steps {
			steps[i] = keptStep{steps[i], kept}
		}
	}
	if !c.PackerDebug {
		return &multistep.BasicRunner{Steps: steps}
	}
	pause := multistep.DebugPauseFn(func(at multistep.DebugLocation, name string, state multistep.StateBag) {
		where := "after"
		if at == multistep.DebugLocationBeforeCleanup {
			where = "before the cleanup of"
		}
		// No answer is a build that was cancelled, which the runner sees itself.
		_, _ = ask(ui, state, fmt.Sprintf("Pausing %s step %q. Press Enter to continue.", where, name))
	})
	state.Put("pauseFn", pause)
	return &multistep.DebugRunner{Steps: steps, PauseFn: pause}
}

// aftermath is what becomes of a build that failed: with "abort" all stays as it is, with
// "run-cleanup-provisioner" only that provisioner runs, with "ask" the user decides.
type aftermath struct {
	ui      packersdk.Ui
	onError string
	aborted bool // the user said so
	told    bool // why nothing is cleaned up
}

// keptStep is a step that is cleaned up only where the build succeeded, or the user wants it.
type keptStep struct {
	multistep.Step
	after *aftermath
}

// InnerStepName implements multistep.StepWrapper.
func (s keptStep) InnerStepName() string {
	return reflect.Indirect(reflect.ValueOf(s.Step)).Type().Name()
}

func (s keptStep) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	for {
		action := s.Step.Run(ctx, state)
		if action != multistep.ActionHalt || s.after.onError != "ask" || ctx.Err() != nil {
			return action
		}
		if err, ok := state.GetOk("error"); ok {
			s.after.ui.Error(fmt.Sprint(err))
		}
		s.after.ui.Sayf("Step %q failed", s.InnerStepName())
		switch s.after.answer(state) {
		case "r":
			state.Remove("error")
			continue
		case "a":
			s.after.aborted = true
		}
		return action
	}
}

// answer is c, a or r.
func (a *aftermath) answer(state multistep.StateBag) string {
	for {
		line, ended := ask(a.ui, state, "[c] Clean up and exit, [a] abort without cleanup, or [r] retry the step (the build may fail even if that succeeds)?")
		if ended {
			return "c"
		}
		first, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(line))+"c", " ")
		switch letter := first[:1]; letter {
		case "c", "a", "r":
			return letter
		}
		a.ui.Sayf("%q is none of c, a and r.", line)
	}
}

func (s keptStep) Cleanup(state multistep.StateBag) {
	_, provisions := s.Step.(*StepProvision)
	switch {
	case s.after.onError == "ask" && !s.after.aborted:
	case s.after.onError == "run-cleanup-provisioner" && provisions:
	case s.after.keeps(state, s.InnerStepName()):
		return
	}
	s.Step.Cleanup(state)
}

// keeps tells once why, and for each step after that, that nothing is cleaned up.
func (a *aftermath) keeps(state multistep.StateBag, step string) bool {
	_, cancelled := state.GetOk(multistep.StateCancelled)
	_, halted := state.GetOk(multistep.StateHalted)
	err, failed := state.GetOk("error")
	if failed && !a.told {
		a.ui.Error(fmt.Sprint(err))
	}
	switch {
	case !cancelled && !halted:
		return false
	case a.told || failed:
		a.ui.Error(fmt.Sprintf("aborted: step %q is not cleaned up", step))
	case cancelled:
		a.ui.Error("Interrupted, aborting: nothing is cleaned up")
	default:
		a.ui.Error(fmt.Sprintf("Step %q failed, aborting: nothing is cleaned up", step))
	}
	a.told = true
	return true
}

// ask waits for a line of the user; ended: the build was cancelled meanwhile, or nobody can
// be asked.
func ask(ui packersdk.Ui, state multistep.StateBag, question string) (line string, ended bool) {
	type said struct {
		line string
		err  error
	}
	answer := make(chan said, 1)
	go func() {
		text, err := ui.Ask(question)
		answer <- said{text, err}
	}()
	for {
		select {
		case a := <-answer:
			if a.err != nil {
				log.Printf("Asking the user: %v", a.err)
			}
			return a.line, a.err != nil
		case <-poll():
			if _, ok := state.GetOk(multistep.StateCancelled); ok {
				return "", true
			}
		}
	}
}
