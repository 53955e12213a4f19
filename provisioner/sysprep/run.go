package sysprep

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/template/interpolate"
	"github.com/hashicorp/packer-plugin-sdk/uuid"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/record"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
)

const (
	uploadLimit = 5 * time.Minute // of an answer file with scripts in it
)

// run is one call of Provision: what lives for all of its phases.
type run struct {
	config  Config
	ui      packersdk.Ui
	comm    packersdk.Communicator
	scrub   scrubber
	hidden  string // the password of Packer's communicator
	session *guest.Session
	own     *own // nil: the session is over Packer's communicator
	id      string
	address
	direct atomic.Bool // over SSH: the probe has seen the port open in this run
	login
	clock

	plan  Plan
	first guest.Status // as it was before anything was done
	left  guest.Leftovers
	// deletesCached: SetupComplete.cmd of the image deletes the cached answer
	// file.
	deletesCached bool
	machine       machineEvents
	doing         string // the name of the phase that goes on
	// heart says that a wait goes on.
	heart *heartbeat.Heart
	// running are the sysprep.exe that were found, and attached is the one of
	// another run that is watched instead of one of our own.
	running  []guest.Process
	attached *guest.Process
	// consulted are the logs that were asked for the cause, by their names below
	// log_directory.
	consulted map[string][]byte
	// inBetween: this sysprep only brings the guest into audit mode, and another
	// one follows.
	inBetween bool
	// resealed: that one has ended well, so the machine is not untouched any more.
	resealed bool
	// checked is what the pre-flight found; nil: it was not made. asked is when the guest
	// was asked for its facts.
	checked *checked
	asked   time.Time
	// record is where our own builder reads what was run; empty: it is not asked for.
	record string
	// book is what is written down of the run.
	book book
	// watched is what was seen of the sysprep that was started last.
	*watched
	applied applied
}

// address is how the guest is reached, as far as the builder says.
type address struct {
	host  string
	port  int
	user  string
	probe func(ctx context.Context, host string, port int) (winrm.Reach, error)
	// open makes a session, whose limits are those of a guest's clock, and limits
	// are those of a connection of our own; zero: the usual ones.
	open   func(guest.Transport) *guest.Session
	limits winrm.Limits
}

// clock is what a run measures time by.
type clock struct {
	now func() time.Time
	// real is how long a duration of now's time lasts.
	real  func(time.Duration) time.Duration
	slack time.Duration // how much later than its heartbeat the guest may answer
}

// phase is a part of a run. The run is over when it says so, or fails: then
// sysprep was not started.
type phase struct {
	name  string
	doing string // for a person who waits for it
	do    func(*run, context.Context) (over bool, err error)
}

// phases are in their order.
var phases = []phase{
	{"connect", "connecting to the guest", (*run).connect}, {"look", "looking at the guest", (*run).look},
	{"preflight", "checking whether Windows can be generalized", (*run).preflight}, {"remedies", "mending what the pre-flight found", (*run).remedies},
	{"objections", "checking whether Windows can be generalized", (*run).objections},
	{"audit", "bringing Windows into audit mode", (*run).throughAudit}, {"hygiene", "cleaning up Windows", (*run).hygiene},
	{"answers", "bringing what sysprep needs into the guest", (*run).answers},
	{"sysprep", "starting sysprep", (*run).sysprep}, {"finish", "finishing: logs, and removing what was brought", (*run).finish},
}

func newRun(c Config, ui packersdk.Ui, comm packersdk.Communicator, data map[string]any) *run {
	c.ctx.Data = data
	if c.WinRM != nil { // its templates are filled in for this run
		block := *c.WinRM
		c.WinRM = &block
	}
	r := &run{
		config: c, ui: ui, comm: comm, id: strings.ReplaceAll(uuid.TimeOrderedUUID(), "-", "")[:12], watched: &watched{},
		address: address{probe: winrm.Probe},
		clock:   clock{time.Now, func(d time.Duration) time.Duration { return d }, silenceSlack},
	}
	r.open = func(t guest.Transport) *guest.Session { return guest.New(t, r.id) }
	if c.PackerBuilderType == ownBuilder {
		r.machine.path, _ = data[hypervisor.EventsKey].(string)
		r.record, _ = data[record.Key].(string)
	}
	r.host, _ = data["Host"].(string)
	r.user, _ = data["User"].(string)
	r.port, _ = strconv.Atoi(fmt.Sprint(data["Port"])) // its type depends on the way it took
	r.readLogin(data)
	if r.overSSH() {
		r.probe = r.probeSSH
	}
	r.session, r.heart = r.overPacker(), r.newHeart()
	return r
}

// provision does the run. Everything it returns is free of secrets, and begins
// with its class (verdict.Head).
func (r *run) provision(ctx context.Context) error {
	r.scrub = newScrubber(r.config.secrets(r.hidden))
	r.ui = scrubUI{r.ui, r.scrub}
	before := log.Writer()
	log.SetOutput(scrubWriter{before, r.scrub})
	defer log.SetOutput(before)
	r.config.Report.Begin(ctx, r.ui)
	err := edge.Guard("beginning or ending the run", func() error { return r.inGuest(ctx) })
	if c := (*edge.Crash)(nil); errors.As(err, &c) { // outside of the phases: their errors are text by now
		err = errors.New(r.scrub.text(r.explainCrash(c, nil).Error()))
	}
	if failed := edge.Guard("writing the reports on the run", func() error { r.writeReports(ctx, err); return nil }); failed != nil {
		r.ui.Errorf("The reports on this run could not be written: %s; %s", failed, edge.NextOfCrash)
	}
	return err
}

// inGuest does the phases, and writes them down.
func (r *run) inGuest(ctx context.Context) error {
	if r.comm == nil {
		return verdict.Fail(verdict.Head{Class: verdict.NotStarted}, errors.New("sysprep runs in the guest and needs a communicator: set communicator = \"winrm\" in the source"))
	}
	if err := errors.Join(r.renderUser(), r.overrideLogin()); err != nil {
		return verdict.Fail(verdict.Head{Class: verdict.NotStarted}, err)
	}
	r.scrub.hide(r.config.secrets(r.hidden))
	r.openBook()
	defer context.AfterFunc(ctx, r.noteCancel)()
	err := r.do(ctx)
	if c := (*edge.Crash)(nil); errors.As(err, &c) {
		err = r.crashed(ctx, c)
	}
	err = r.headed(ctx, err)
	r.closeBook(ctx, err)
	return err
}

// headed puts class and cause before an error, and takes secrets out of it.
func (r *run) headed(ctx context.Context, err error) error {
	r.own.close(ctx)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		err = verdict.Fail(verdict.Head{Class: verdict.Cancelled}, err)
	default:
		err = verdict.Fail(verdict.Head{Class: verdict.NotStarted}, err)
	}
	if head, _ := verdict.ParseHead(err.Error()); r.resealed && head.Class == verdict.NotStarted {
		err = fmt.Errorf("%w\nbefore that this run has brought Windows into audit mode (through_audit), where it is still: the machine is as it was then, and the build may be run again on it", err)
	}
	return errors.New(r.scrub.text(err.Error()))
}

func (r *run) do(ctx context.Context) error {
	for _, p := range phases {
		if over, err := r.phase(ctx, p); err != nil || over {
			return err
		}
	}
	return nil
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

// patiently does what may be done twice until the guest has answered, or until
// stall_timeout: one that stands still, for a snapshot or a migration, goes on.
func (r *run) patiently(ctx context.Context, do func() error) error {
	deadline := r.now().Add(r.config.StallTimeout)
	var wait *heartbeat.Wait
	defer func() { wait.End() }()
	for first := true; ; first = false {
		err := do()
		switch {
		case !guest.Unanswered(err) || ctx.Err() != nil:
			return err
		case r.now().After(deadline):
			return fmt.Errorf("%w (waited up to %s, see stall_timeout)", err, r.config.StallTimeout)
		case first:
			r.ui.Sayf("Waiting: the guest does not answer (%s)", err)
			wait = r.heart.Begin(r.waitingFor("waiting for an answer of the guest", ""))
		}
		r.knock(ctx) // a guest that answers again is asked again
		if perr := r.pause(ctx, r.config.PollInterval); perr != nil {
			return err
		}
	}
}
