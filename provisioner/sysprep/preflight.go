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

// A guest has peace for a few polls, and for this long at most, between two questions of a
// wait: each starts a PowerShell.
const (
	pollsBetween = 5
	askAgain     = 15 * time.Second
)

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

// preflight makes the checks and shows what they say. Nothing has been changed in the
// guest by then.
func (r *run) preflight(ctx context.Context) (over bool, err error) {
	if r.attached != nil || !r.config.preflights() {
		return false, nil
	}
	err = r.check(ctx)
	return err != nil, err
}

// objections ends the run where a check says that sysprep must not be started. What is done
// about them comes between it and preflight.
func (r *run) objections(ctx context.Context) (over bool, err error) {
	stops := r.stops()
	if len(stops) == 0 {
		return false, nil
	}
	so := "sysprep was not started, the machine is untouched"
	if r.applied.any() {
		so = "sysprep was not started; what the remedies have changed stays"
	}
	return true, r.giveUp(ctx, r.stopped(stops, so))
}

// recheck asks for groups again, judges anew and returns what is judged: for what was
// done about an objection.
func (r *run) recheck(ctx context.Context, groups ...guest.Group) (preflight.Judgement, error) {
	for _, group := range groups {
		answer, err := r.session.Preflight(ctx, []guest.Group{group})
		if err != nil {
			return r.checked.judgement, err
		}
		r.checked.facts.Take(taken(answer))
	}
	r.judge()
	return r.checked.judgement, nil
}

func (r *run) judge() {
	r.checked.judgement = preflight.Judge(r.checked.facts, r.preflightPlan(), r.severities())
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
	lower := finding.Warn
	if r.config.failOn() == finding.Warn {
		lower = finding.Info
	}
	overrule := fmt.Sprintf("if a check is wrong about this guest, lower it: preflight { severities = { %q = %q } }", stops[0].Check.ID, lower)
	return failed(head, first, said, append(preflight.Steps(stops), overrule)...)
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
	case lost != nil && !facts.Told():
		r.ui.Sayf("Warning: the pre-flight could not be made, so it says nothing for or against: %s", lost)
		return nil
	case lost != nil:
		r.ui.Sayf("Warning: the pre-flight could not ask all: %s", lost)
	}
	r.checked = &checked{facts: facts}
	r.judge()
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
		OtherAnswer:   c.Command != "" || c.Agent != agentNone && c.Agent != "",
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
	return e != nil && strings.TrimSpace(e.Value()) == "1"
}

// errStillBusy: what was waited for has not ended in time.
var errStillBusy = errors.New("sysprep was not started, the machine is untouched")

// gather asks for the facts, a group by each command, and before for as long as
// wait_for says. The error is why some are missing. A guest that did not answer one question is
// asked no more, so that the connection is left for the run.
func (r *run) gather(ctx context.Context) (facts preflight.Facts, lost error) {
	groups := r.groups()
	for i, group := range groups {
		answer, err := r.ask(ctx, group, &facts)
		lost = errors.Join(lost, err)
		if ctx.Err() != nil || errors.Is(err, errStillBusy) || i == 0 && err != nil && !answer.WithoutPowerShell {
			return facts, lost
		}
		if guest.Unanswered(err) || answer.WithoutPowerShell {
			for _, rest := range groups[i+1:] { // not known, rather than not looked at
				facts.Add(time.Time{}, []preflight.Group{preflight.Group(rest)}, nil)
			}
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

// ask asks for one group and takes what it says. Before the base group it waits for what is
// to be waited for.
func (r *run) ask(ctx context.Context, group guest.Group, facts *preflight.Facts) (guest.PreflightAnswer, error) {
	if group == guest.GroupBase {
		if err := r.await(ctx, r.config.awaits()); err != nil {
			return guest.PreflightAnswer{}, err
		}
	}
	answer, err := r.session.Preflight(ctx, []guest.Group{group})
	r.asked = r.now()
	if answer.WithoutPowerShell {
		err = fmt.Errorf("PowerShell does not work in the guest: %s", answer.Reason)
	}
	facts.Take(taken(answer))
	return answer, err
}

// await waits until what wait names has ended. A guest that does not say is not waited for.
func (r *run) await(ctx context.Context, wait WaitFor) error {
	deadline, said := r.now().Add(wait.Timeout), ""
	for wait != (WaitFor{}) {
		answer, err := r.session.Awaited(ctx)
		switch {
		case ctx.Err() != nil || guest.Unanswered(err):
			return err
		case err != nil: // the checks say so
			return nil
		}
		now := taken(answer)
		busy := strings.Join(now.Awaited(wait.FirstBoot, wait.Servicing, wait.Agents), ", ")
		if busy == "" {
			return nil
		}
		if r.now().After(deadline) {
			return untouched(fmt.Errorf("%w: %s (waited up to %s, see preflight.wait_for.timeout)", errStillBusy, busy, wait.Timeout), "find out what it does, or raise the timeout")
		}
		if busy != said {
			r.ui.Sayf("Waiting: %s", busy)
			said = busy
		}
		if err := r.pause(ctx, max(min(pollsBetween*r.config.PollInterval, askAgain), r.config.PollInterval)); err != nil {
			return err
		}
	}
	return nil
}

// taken are the facts that the guest answered with.
func taken(answer guest.PreflightAnswer) (facts preflight.Facts) {
	for _, g := range answer.Groups {
		facts.Add(g.Time, []preflight.Group{preflight.Group(g.Group)}, answer.Facts())
	}
	return facts
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
	r.tellRemedies()
	const so = "nothing was changed in the guest (preflight.report_only)"
	switch stops := r.stops(); {
	case len(stops) > 0:
		err = r.stopped(stops, so)
	case r.checked == nil && r.config.failOn() != finding.Off:
		err = untouched(errors.New("the guest could not be looked at, so nothing is known of it; "+so), "allow PowerShell for this build, and connect as an administrator")
	default:
		said := "sysprep was not run: " + so
		r.ui.Say(said)
		if r.checked != nil {
			said += "; " + r.checked.judgement.Count()
		}
		r.book.class, r.book.last = classChecked, []string{said}
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
