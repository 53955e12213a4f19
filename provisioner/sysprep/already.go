package sysprep

import (
	"context"
	"errors"
	"fmt"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/preflight"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

// endAlready ends with a machine that was generalized before: sysprep is not
// run again, only what follows it is done.
func (r *run) endAlready(ctx context.Context, d verdict.Clearance) error {
	r.ui.Sayf("Not running sysprep: %s", d.Reason)
	r.book.last = []string{"sysprep was not run again: " + d.Reason}
	r.machine.begin() // restarts before now tell nothing of what follows
	r.tellNotDone("sysprep was run before")
	r.saveLogs(ctx, true)
	r.reportCached(ctx, true)
	r.cleanup(ctx, guest.Leftovers{})
	if len(r.config.lastLines()) > 0 {
		v, err := r.atTheEnd(ctx, verdict.Verdict{})
		if err != nil {
			return err
		}
		if r.plan.Then != "" {
			return r.alreadyGone(ctx, v)
		}
	}
	if r.plan.End() == actionQuit {
		r.tryLogin(ctx)
		if r.config.PackerBuilderType == ownBuilder {
			return nil // it shuts the machine down
		}
		for _, step := range render.Steps(d.Next) {
			r.ui.Say(step)
		}
		return nil
	}
	r.ui.Sayf("Asking Windows for a %s", r.plan.Action)
	sent := r.session.EndWindows(ctx, r.plan.Action == actionReboot)
	if ctx.Err() == nil && r.config.goesToAudit(r.plan.Action) {
		return r.awaitAudit(ctx)
	}
	v := r.untilGone(ctx, r.plan.Action)
	if v.Class == verdict.Hung && v.Paused == "" && v.Reopened == 0 {
		if sent == nil {
			sent = errors.New("the command was accepted")
		}
		return failed(v.Head(), fmt.Errorf("Windows was generalized before, but it has not %s within shutdown_timeout (%s): %w", map[bool]string{true: "restarted", false: "shut down"}[r.plan.Action == actionReboot], r.config.ShutdownTimeout, sent), nil,
			"let the builder shut it down and prove the disk, or use action = \"quit\"")
	}
	return r.alreadyGone(ctx, v)
}

// alreadyGone says how a machine ended that was generalized before.
func (r *run) alreadyGone(ctx context.Context, v verdict.Verdict) error {
	switch {
	case v.Class == verdict.Cancelled:
		return errors.New("cancelled while Windows was shutting down; the machine was generalized before")
	case v.Class == verdict.Lost && v.ConsistentWithSuccess && r.config.PackerBuilderType == ownBuilder:
		return nil // it sees the machine, and proves the disk
	case v.Class != verdict.Generalized:
		return r.explain(v)
	case v.Unseen:
		r.ui.Sayf("Warning: %s", v.Reason)
	default:
		r.ui.Say("The guest no longer answers")
	}
	if r.config.goesToAudit(r.plan.End()) {
		return r.awaitAudit(ctx)
	}
	return nil
}

// tellNotDone warns of what was asked for and is not done, because this run does not
// start sysprep.
func (r *run) tellNotDone(because string) {
	if r.config.answer.content != nil {
		r.ui.Sayf("Warning: the answer file of this run is not in the image, because %s.", because)
	}
	block := r.config.answer.block
	for _, option := range []struct {
		name string
		set  bool
	}{
		{"remove_answer_files", r.config.RemoveAnswerFiles}, {"delete_cached_answer_file", r.config.DeleteCachedAnswerFile},
		{"setup_complete", block != nil && len(block.SetupComplete) > 0}, {"through_audit", r.config.ThroughAudit},
		{"hygiene", len(preflight.CleaningsOf(r.config.Hygiene, false)) > 0},
	} {
		if option.set {
			r.ui.Sayf("Warning: %s of this run was not done, because %s.", option.name, because)
		}
	}
}
