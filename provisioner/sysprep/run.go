package sysprep

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"strconv"
	"strings"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/template/interpolate"
	"github.com/hashicorp/packer-plugin-sdk/uuid"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
)

const (
	uploadLimit = 5 * time.Minute // of an answer file with scripts in it
	// noSystemFrom is the first build that SYSTEM may not generalize: it shows a
	// black screen after first boot (Microsoft support, 2026-05-28).
	noSystemFrom = 26100
)

// run is one call of Provision.
type run struct {
	config  Config
	ui      packersdk.Ui
	comm    packersdk.Communicator
	scrub   scrubber
	session *guest.Session
	id      string

	// How the guest is reached, as far as the builder says.
	host string
	port int
	user string

	plan     Plan
	launched guest.Launched
	// timeBias turns the guest's clock into the one of its logs.
	timeBias *int
	left     guest.Leftovers
	// deletesCached: SetupComplete.cmd of the image deletes the cached answer
	// file.
	deletesCached bool
	watched
	machine machineEvents

	slack time.Duration // how much later than its heartbeat the guest may answer
	now   func() time.Time
	// real is how long a duration of now's time lasts.
	real  func(time.Duration) time.Duration
	probe func(ctx context.Context, host string, port int) (winrm.Reach, error)
}

func newRun(c Config, ui packersdk.Ui, comm packersdk.Communicator, data map[string]any) *run {
	c.ctx.Data = data
	id := strings.ReplaceAll(uuid.TimeOrderedUUID(), "-", "")[:12]
	r := &run{config: c, ui: ui, comm: comm, id: id, slack: silenceSlack, now: time.Now, real: func(d time.Duration) time.Duration { return d }, probe: winrm.Probe}
	r.session = guest.New(comm, id)
	r.session.RestAtMost(c.StallTimeout / 4)
	if c.PackerBuilderType == ownBuilder {
		r.machine.path, _ = data[hypervisor.EventsKey].(string)
	}
	r.host, _ = data["Host"].(string)
	r.user, _ = data["User"].(string)
	r.port, _ = strconv.Atoi(fmt.Sprint(data["Port"])) // its type depends on the way it took
	return r
}

// provision does the run. Everything it returns is free of secrets.
func (r *run) provision(ctx context.Context) error {
	if r.comm == nil {
		return errors.New("sysprep runs in the guest and needs a communicator: set communicator = \"winrm\" in the source")
	}
	if err := r.renderUser(); err != nil {
		return err
	}
	r.scrub = newScrubber(r.config.secrets())
	r.ui = scrubUI{r.ui, r.scrub}
	before := log.Writer()
	log.SetOutput(scrubWriter{before, r.scrub})
	defer log.SetOutput(before)
	err := r.do(ctx)
	if err != nil {
		return errors.New(r.scrub.text(err.Error()))
	}
	return nil
}

func (r *run) do(ctx context.Context) error {
	first, decision, err := r.look(ctx)
	if ctx.Err() != nil {
		return r.giveUp(ctx, err) // the look brought a script
	}
	if err != nil {
		return err
	}
	if err := r.buildAnswer(first.Architecture); err != nil {
		return err
	}
	r.plan = r.config.plan(r.session.Windir(), r.id)
	for _, w := range slices.Concat(decision.Warnings, r.plan.Warnings, r.answerWarnings(first.Architecture)) {
		r.ui.Say("Warning: " + w)
	}
	if r.plan.Why != "" {
		r.ui.Sayf("Afterwards: %s, as suits the builder %s (%s)", r.plan.Action, r.config.PackerBuilderType, r.plan.Why)
	}
	if decision.Action == verdict.Already {
		return r.endAlready(ctx, decision)
	}
	if r.config.RunAs == runAsSystem && first.Build >= noSystemFrom {
		return fmt.Errorf("run_as = \"system\" is refused: on build %d sysprep as SYSTEM leaves a black screen after first boot; the machine is untouched; use the build user or elevated_user", first.Build)
	}
	if err := r.prepare(ctx); err != nil {
		return r.giveUp(ctx, err)
	}
	begun := r.now()
	r.timeBias = first.TimeBias
	r.machine.begin()
	err = r.launch(ctx)
	if ctx.Err() != nil {
		return r.end(ctx, r.cancelledLaunch(ctx, begun))
	}
	if err != nil {
		return r.giveUp(ctx, err)
	}
	return r.end(ctx, r.observe(ctx, begun))
}

// renderUser fills build values into the elevated account, as other
// provisioners do.
func (r *run) renderUser() error {
	for _, field := range []*string{&r.config.ElevatedUser, &r.config.ElevatedPassword} {
		if !r.config.isTemplate(*field) {
			continue
		}
		text, err := interpolate.Render(*field, &r.config.ctx)
		if err != nil {
			return errors.New("elevated_user or elevated_password holds a template that cannot be rendered; check the braces") // the cause may hold the password
		}
		*field = text
	}
	if errs := r.config.checkAccount(true); len(errs) > 0 {
		return errors.Join(errs...)
	}
	return nil
}

// look asks for the guest's state until sysprep may run or it is clear that it
// may not.
func (r *run) look(ctx context.Context) (guest.State, verdict.Decision, error) {
	r.ui.Say("Looking at the guest")
	expect := r.config.plan(r.session.Windir(), r.id).Expect
	deadline := r.now().Add(r.config.StallTimeout)
	said := ""
	for {
		state, err := r.session.Look(ctx)
		if ctx.Err() != nil {
			return state, verdict.Decision{}, errors.New(notStarted)
		}
		first := verdict.First{
			Observation: observation(r.now(), state), SysprepExe: tri(state.SysprepExe),
			SystemSetupInProgress: set(state.SystemSetupInProgress), OOBEInProgress: set(state.OOBEInProgress), AuditMode: set(state.AuditBoot),
		}
		if len(state.Processes) > 0 {
			first.SysprepPID = state.Processes[0]
		}
		if err != nil {
			first.Reached, first.TransportErr = false, err.Error()
			r.knock(ctx) // a guest that answers again is asked again
		}
		d := verdict.Look(first, expect)
		switch {
		case d.Action == verdict.Go || d.Action == verdict.Already:
			return state, d, nil
		case d.Action == verdict.Refuse, r.now().After(deadline):
			text := "sysprep was not started: " + d.Reason
			if d.Action == verdict.Wait {
				text += fmt.Sprintf(" (waited up to %s, see stall_timeout)", r.config.StallTimeout)
			}
			lines := append([]string{text}, r.earlier(ctx, d)...)
			return state, d, errors.New(strings.Join(append(lines, prefixed("next: ", d.Next)...), "\n"))
		}
		if d.Reason != said {
			r.ui.Sayf("Waiting: %s", d.Reason)
			said = d.Reason
		}
		if err := r.pause(ctx, r.config.PollInterval); err != nil {
			return state, d, errors.New(notStarted)
		}
	}
}

// patiently does what may be done twice until the guest has answered, or until
// stall_timeout: one that stands still, for a snapshot or a migration, goes on.
func (r *run) patiently(ctx context.Context, do func() error) error {
	deadline := r.now().Add(r.config.StallTimeout)
	for first := true; ; first = false {
		err := do()
		switch {
		case !guest.Unanswered(err) || ctx.Err() != nil:
			return err
		case r.now().After(deadline):
			return fmt.Errorf("%w (waited up to %s, see stall_timeout)", err, r.config.StallTimeout)
		case first:
			r.ui.Sayf("Waiting: the guest does not answer (%s)", err)
		}
		r.knock(ctx) // a guest that answers again is asked again
		if perr := r.pause(ctx, r.config.PollInterval); perr != nil {
			return err
		}
	}
}

func (r *run) pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(r.real(d))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func prefixed(prefix string, lines []string) (out []string) {
	for _, l := range lines {
		out = append(out, prefix+l)
	}
	return out
}

// launch starts sysprep and makes sure of it.
func (r *run) launch(ctx context.Context) error {
	r.ui.Sayf("Starting sysprep %s", r.plan.Arguments)
	watch := r.watching()
	l := guest.Launch{Arguments: r.plan.Arguments, User: r.user, Watch: &watch}
	var err error
	switch {
	case r.config.RunAs == runAsSystem:
		l.Logon = guest.LogonSystem
	case r.config.RunAs == runAsElevated && r.config.ElevatedPassword == "":
		l.Logon, l.User = guest.LogonS4U, r.config.ElevatedUser
	case r.config.RunAs == runAsElevated:
		l.Logon, l.User, l.Password = guest.LogonPassword, r.config.ElevatedUser, r.config.ElevatedPassword
	}
	silent := r.patiently(ctx, func() error {
		before := r.launched
		r.launched, err = r.session.Launch(ctx, l)
		r.launched.OldLogs = before.OldLogs.With(r.launched.OldLogs)
		r.launched.TagDeleted = r.launched.TagDeleted || before.TagDeleted
		r.left = r.left.With(r.launched.Brought)
		if r.launched.Task != "" {
			r.left = r.left.With(guest.Leftovers{Tasks: []string{r.launched.Task}})
		}
		if errors.Is(err, guest.ErrNotStarted) {
			return err
		}
		return nil // started or not, it must not be started again
	})
	if silent != nil {
		err = silent
	}
	if r.launched.WithoutPowerShell {
		r.ui.Sayf("PowerShell does not work in the guest, going on without it (%s)", r.launched.Reason)
	}
	if r.launched.Instead != "" {
		r.ui.Sayf("Windows does not let WMI start a process (%s): sysprep runs from a scheduled task of %s instead; set run_as to choose the account", r.launched.Instead, r.user)
	}
	if r.launched.TagDeleted {
		r.ui.Say("Deleted the tag of an earlier run")
	}
	if r.launched.Lost != "" {
		r.ui.Sayf("The answer to the start got lost (%s), but sysprep was started; going on with it", r.launched.Lost)
	}
	if r.launched.Unsaid != "" {
		r.ui.Sayf("Whether sysprep was started is not certain (%s); watching for it", r.launched.Unsaid)
	}
	if err == nil {
		return nil
	}
	var refusal *guest.ScriptError
	refused := errors.As(err, &refusal) && refusal.Name != "script"
	if ctx.Err() != nil || refused || errors.Is(err, guest.ErrNotStarted) {
		return launchError(err)
	}
	// The connection broke, the answer got lost, or the script broke midway;
	// sysprep may run all the same, and none ran before.
	state, perr := r.session.Poll(ctx)
	if perr == nil && len(state.Processes) == 0 {
		return fmt.Errorf("sysprep is not running, and what became of its start is not known: %w\nnext: run the build again from an untouched disk", err)
	}
	r.ui.Sayf("Whether sysprep was started is not certain (%s); watching for it", err)
	if len(state.Processes) > 0 {
		r.launched.PID = state.Processes[0]
	}
	return nil
}

// cancelledLaunch finds out whether sysprep runs, so that it can be ended.
func (r *run) cancelledLaunch(ctx context.Context, begun time.Time) verdict.Verdict {
	ctx, cancel := afterCancel(ctx, cancelLimit)
	defer cancel()
	state := verdict.Begin(begun, r.plan.Expect)
	seen, err := r.session.Poll(ctx)
	if err == nil {
		r.answering = true
		if len(seen.Processes) == 1 {
			r.launched.PID = seen.Processes[0] // none ran before
		}
		state, _ = state.Step(observation(r.now(), seen))
	}
	return state.Cancel(r.now())
}

// launchError says what kept sysprep from starting, and the way out.
func launchError(err error) error {
	for _, known := range []struct {
		name, cause string
	}{{"already-running", "F51"}, {"sysprep-missing", "F52"}} {
		if errors.Is(err, &guest.ScriptError{Name: known.name}) {
			d, _ := diagnosis.Known(known.cause)
			return fmt.Errorf("sysprep was not started: %w\n%s", err, strings.Join(prefixed("next: ", d.Remedy), "\n"))
		}
	}
	if errors.Is(err, &guest.ScriptError{Name: "tag-not-deleted"}) {
		return fmt.Errorf("sysprep was not started: the tag of an earlier run cannot be deleted, so success could not be told: %w\nnext: run as an administrator with the elevated token", err)
	}
	var account *guest.AccountError
	if errors.As(err, &account) {
		return fmt.Errorf("sysprep was not started, the machine is untouched: the guest did not take elevated_user %q or elevated_password (%s): %w\n"+
			"next: name a local administrator as the guest knows it, and check the password; without elevated_password no password is needed", account.User, account.Code, err)
	}
	return fmt.Errorf("sysprep was not started: %w\nnext: look at the message above; the machine is untouched", err)
}
