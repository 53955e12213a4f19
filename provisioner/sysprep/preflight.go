package sysprep

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/answerfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/preflight"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

// askAgain is how long the guest has peace between two questions of a wait: each starts a
// PowerShell.
const askAgain = 15 * time.Second

// checked is what the pre-flight found.
type checked struct {
	facts     preflight.Facts
	judgement preflight.Judgement
}

// findings are those of the pre-flight, for a report; nil where none was made.
func (c *checked) findings() []finding.Finding {
	if c == nil {
		return nil
	}
	return c.judgement.Findings()
}

// preflight makes the checks and ends the run where one says that sysprep must not be
// started. Nothing has been changed in the guest by then.
func (r *run) preflight(ctx context.Context) (over bool, err error) {
	if r.attached != nil || !r.config.preflights() {
		return false, nil
	}
	if err := r.check(ctx); err != nil || r.checked == nil {
		return err != nil, err
	}
	stops := r.checked.judgement.Stops(r.config.failOn())
	if len(stops) == 0 {
		return false, nil
	}
	return true, r.giveUp(ctx, r.stopped(stops, "sysprep was not started, the machine is untouched"))
}

// stopped is the error of checks that end a run. The table has been shown.
func (r *run) stopped(stops []preflight.Result, so string) error {
	head := verdict.Head{Class: verdict.NotStarted}
	if causes := stops[0].Check.Causes; len(causes) > 0 {
		d, _ := diagnosis.ByID(causes[0])
		head.Cause = d.Name
	}
	var said []string
	for _, s := range stops[1:] {
		said = append(said, s.Check.ID+": "+s.Summary)
	}
	first := fmt.Errorf("%s: %s; %s: %s", r.checked.judgement.Count(), so, stops[0].Check.ID, stops[0].Summary)
	return failed(head, first, said, preflight.Steps(stops)...)
}

// check asks the guest, waits for what is to be waited for, judges and shows the table.
// r.checked stays nil where the guest could not be looked at: then a line has said so.
func (r *run) check(ctx context.Context) error {
	r.ui.Say("Looking for what speaks against sysprep (pre-flight)")
	begun := r.now()
	facts, lost := r.gather(ctx)
	switch {
	case ctx.Err() != nil:
		return r.giveUp(ctx, lost)
	case errors.Is(lost, errStillBusy):
		return r.giveUp(ctx, lost)
	case lost != nil && len(facts.Asked) == 0:
		r.ui.Sayf("Warning: the pre-flight could not be made, so it says nothing for or against: %s", lost)
		return nil
	case lost != nil:
		r.ui.Sayf("Warning: the pre-flight could not ask all: %s", lost)
	}
	r.checked = &checked{facts, preflight.Judge(facts, r.preflightPlan(), r.severities())}
	r.ui.Sayf("Pre-flight: %s (%s)", r.checked.judgement.Count(), r.now().Sub(begun).Round(time.Second))
	for _, line := range r.checked.judgement.Table() {
		r.ui.Say("  " + line)
	}
	return nil
}

func (r *run) severities() finding.Overrides {
	if r.config.Preflight == nil {
		return nil
	}
	return r.config.Preflight.severities
}

// preflightPlan is what the checks have to know of the run.
func (r *run) preflightPlan() preflight.Plan {
	c := &r.config
	p := preflight.Plan{
		Generalize: c.generalize() || c.ThroughAudit, Audit: c.Mode == modeAudit, VMMode: c.VMMode,
		OtherUser: c.RunAs == runAsElevated, AsSystem: c.RunAs == runAsSystem,
		AnswerFile: c.answer.content != nil, RemovesAnswerFiles: c.RemoveAnswerFiles && !c.reportOnly(),
		SetupComplete: c.DeleteCachedAnswerFile || c.answer.block != nil && len(c.answer.block.SetupComplete) > 0,
		Azure:         strings.HasPrefix(c.PackerBuilderType, "azure-"), Now: r.asked,
	}
	if f := c.answer.file; f != nil {
		p.SkipRearm = skipsRearm(f)
	}
	return p
}

// skipsRearm reports whether the answer file keeps the state of the licence.
func skipsRearm(f *answerfile.File) bool {
	e := f.Find("generalize", "Microsoft-Windows-Security-SPP", "SkipRearm")
	return e != nil && strings.TrimSpace(e.Text) == "1"
}

// errStillBusy: what was waited for has not ended in time.
var errStillBusy = errors.New("sysprep was not started, the machine is untouched")

// gather asks for the facts, a group by each command, and before for as long as
// wait_for says. The error is why some are missing; a guest that did not answer one question
// is asked no more, so that the connection is left for the run.
func (r *run) gather(ctx context.Context) (preflight.Facts, error) {
	var facts preflight.Facts
	var lost error
	for _, group := range r.groups() {
		answer, err := r.ask(ctx, group, &facts)
		if err == nil {
			err = reasonOf(answer)
		}
		lost = errors.Join(lost, err)
		if ctx.Err() != nil || guest.Unanswered(err) || errors.Is(err, errStillBusy) {
			return facts, lost
		}
		if answer.WithoutPowerShell {
			return facts, lost
		}
	}
	return facts, lost
}

func (r *run) groups() []guest.Group {
	groups := guest.DefaultGroups()
	if r.config.reportOnly() {
		groups = append(groups, guest.GroupEvents, guest.GroupEFS)
	}
	return groups
}

func reasonOf(a guest.PreflightAnswer) error {
	for _, g := range a.Groups {
		if g.Err != nil {
			return g.Err
		}
	}
	return nil
}

// ask asks for one group and takes what it says. The base group is asked for again until
// what is waited for has ended.
func (r *run) ask(ctx context.Context, group guest.Group, facts *preflight.Facts) (guest.PreflightAnswer, error) {
	wait := r.config.awaits()
	deadline, said := r.now().Add(wait.Timeout), ""
	for {
		answer, err := r.session.Preflight(ctx, []guest.Group{group})
		r.asked = r.now()
		if err != nil && !answer.WithoutPowerShell {
			return answer, err
		}
		var now preflight.Facts
		for _, g := range answer.Groups {
			if g.Facts != nil || answer.WithoutPowerShell {
				now.Add(g.Time, []preflight.Group{preflight.Group(g.Group)}, answer.Facts())
			}
		}
		busy := strings.Join(now.Awaited(wait.Servicing, wait.Agents), ", ")
		if group != guest.GroupBase || busy == "" {
			facts.Take(now)
			return answer, nil
		}
		if r.now().After(deadline) {
			return answer, untouched(fmt.Errorf("%w: %s (waited up to %s, see preflight.wait_for.timeout)", errStillBusy, busy, wait.Timeout), "find out what it does, or raise the timeout")
		}
		if busy != said {
			r.ui.Sayf("Waiting: %s", busy)
			said = busy
		}
		if err := r.pause(ctx, max(askAgain, r.config.PollInterval)); err != nil {
			return answer, err
		}
	}
}

// examine is a run that only looks: no part of it changes the guest but for the folder
// of its scripts, which is removed.
func (r *run) examine(ctx context.Context) (over bool, err error) {
	err = r.patiently(ctx, func() (err error) {
		r.first, err = r.session.Look(ctx)
		return err
	})
	if err != nil {
		return true, r.giveUp(ctx, fmt.Errorf("the guest could not be looked at (preflight.report_only): %w", err))
	}
	if err := r.buildAnswer(r.first.Architecture); err != nil {
		log.Printf("sysprep: %v", err)
	}
	if r.config.PackerBuilderType != "null" {
		r.ui.Sayf("Warning: preflight.report_only: sysprep is not run, and the builder %s goes on with the machine as it is", r.config.PackerBuilderType)
	}
	if err := r.check(ctx); err != nil {
		return true, err
	}
	const so = "nothing was changed in the guest (preflight.report_only)"
	switch stops := r.stops(); {
	case len(stops) > 0:
		err = r.stopped(stops, so)
	case r.checked == nil && r.config.failOn() != finding.Off:
		err = untouched(errors.New("the guest could not be looked at, so nothing is known of it; "+so), "allow PowerShell for this build, and connect as an administrator")
	default:
		r.ui.Say("sysprep was not run: " + so)
	}
	return true, r.giveUp(ctx, err)
}

// stops are the checks that end a run.
func (r *run) stops() []preflight.Result {
	if r.checked == nil {
		return nil
	}
	return r.checked.judgement.Stops(r.config.failOn())
}
