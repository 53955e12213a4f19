package sysprep

import (
	"cmp"
	"context"
	"errors"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/version"
)

// bookLimit bounds writing run.json.
const bookLimit = 10 * time.Second

// bookEvery is how often it is written while sysprep is watched.
const bookEvery = 30 * time.Second

// book is the run as it is written down (run.json), and where.
type book struct {
	*runlog.Recorder
	path   string // empty: it is kept in memory only
	budget *runlog.Budget
	saved  time.Time // when it was written last while the guest was observed
	// begins is called when a phase begins; nil: nobody asks.
	begins func(phase string)
	// told: writing it has failed, and the user knows.
	told bool
	// cause is the id in the catalogue of what a run ended for that has no verdict.
	cause string
	// last are the lines of the last explanation.
	last []string
	// class is that of a run without an error which has not generalized; empty: it has.
	class string
}

// classChecked is the class of a run that only looks (preflight.report_only).
const classChecked = "checked"

// openBook begins to write the run down. The secrets of the run are known by now.
func (r *run) openBook() {
	l := runlog.Log{
		Component: runlog.Provisioner, Version: version.PluginVersion.String(), PackerRun: os.Getenv("PACKER_RUN_UUID"), ID: r.id,
		Build: r.config.PackerBuildName, Builder: r.config.PackerBuilderType, Options: r.config.shown(),
		Transport: runlog.Transport{Way: r.connType},
	}
	r.book.Recorder = runlog.New(l, r.now, r.scrub.text)
	r.book.budget = &runlog.Budget{}
	if r.config.LogDirectory != "" {
		r.book.path = filepath.Join(r.config.LogDirectory, runlog.RunFile)
	}
}

// saveBook writes it as it is now. A run goes on without it.
func (r *run) saveBook(ctx context.Context) {
	if r.book.path == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bookLimit)
	defer cancel()
	if err := r.config.writable(r.book.path); err != nil {
		r.noBook(err)
	} else if err := r.book.Save(ctx, r.book.path); err != nil {
		r.noBook(err)
	}
}

func (r *run) noBook(err error) {
	if !r.book.told {
		r.ui.Sayf("Could not write %s in log_directory: %s", runlog.RunFile, err)
	}
	r.book.told = true
}

// phase does one of the phases, and writes down how it ended.
func (r *run) phase(ctx context.Context, p phase) (over bool, err error) {
	begun := r.now()
	r.doing = p.name
	r.book.Begin(p.name)
	if r.book.begins != nil {
		r.book.begins(p.name)
	}
	wait := r.heart.Begin(heartbeat.Facts{Doing: p.doing})
	err = edge.Guard(p.doing, func() (err error) {
		over, err = p.do(r, ctx)
		return err
	})
	wait.End()
	log.Printf("sysprep: phase %s took %s", p.name, r.now().Sub(begun).Round(time.Millisecond))
	outcome := runlog.OK
	switch {
	case ctx.Err() != nil:
		outcome = runlog.Cancelled
	case err != nil:
		outcome = runlog.Failed
	case over:
		outcome = runlog.Over
	}
	r.book.End(p.name, outcome, err)
	r.notePreflight()
	r.saveBook(ctx)
	return over, err
}

// closeBook writes down how the run ended.
func (r *run) closeBook(ctx context.Context, err error) {
	v := runlog.Verdict{Class: cmp.Or(r.book.class, verdict.Generalized.String()), Failed: err != nil, CauseID: r.book.cause, Restarts: r.machine.now().Restarts}
	if r.verdict.Class != verdict.Running {
		v.Class = r.verdict.Class.String()
	}
	if len(r.book.last) == 0 && r.verdict.Class != verdict.Running {
		r.book.last, _ = r.verdict.Explain()
	}
	text := ""
	if len(r.book.last) > 0 {
		text, v.Lines = r.book.last[0], r.book.last
	}
	if err != nil {
		head, rest := verdict.CutHead(err.Error())
		v.Class, v.Cause, text = head.Class.String(), head.Cause, rest
		if len(v.Lines) == 0 {
			v.Lines = strings.Split(rest, "\n")
		}
	}
	if d := r.verdict.Diagnosis; d != nil && d.Name == v.Cause {
		v.CauseID = d.ID
	}
	_, text = verdict.CutHead(text)
	v.FirstLine = runlog.FirstLine(text)
	r.book.Judged(v)
	r.saveBook(ctx)
}

// noteLook writes down what the guest was like before sysprep is started.
func (r *run) noteLook(first verdict.First, state guest.Status) {
	o := r.seen(first.Observation)
	if first.Reached {
		looked(o.Facts, first, state, r.running)
	}
	r.book.Observe(first.At, o)
}

func looked(f *runlog.Facts, first verdict.First, state guest.Status, running []guest.Process) {
	starts := map[int]time.Time{}
	for _, p := range running {
		starts[p.PID] = p.Start
	}
	f.SysprepExe, f.SystemSetupInProgress, f.OOBEInProgress, f.AuditBoot = state.SysprepExe, state.SystemSetupInProgress, state.OOBEInProgress, state.AuditBoot
	f.Architecture, f.Build, f.TimeBias = state.Architecture, state.Build, state.TimeBias
	for _, p := range first.Programs {
		f.Programs = append(f.Programs, runlog.Program{Known: p.Known, Arguments: p.Arguments, Ours: p.Ours, Start: starts[p.PID]})
	}
	f.Processes = nil
	if state.Processes != nil {
		n := len(state.Processes)
		f.Processes = &n
	}
}

// noteFirst keeps the facts that the run was planned with.
func (r *run) noteFirst() {
	o := r.seen(observation(r.now(), r.first))
	looked(o.Facts, verdict.First{}, r.first, nil)
	plan := runlog.Plan{
		Action: r.plan.Action, Then: r.plan.Then, Why: r.plan.Why, Arguments: r.scrub.kept(r.plan.Arguments), Starter: r.plan.Starter,
		ImageState: string(r.plan.Expect.ImageState), Generalize: r.plan.Expect.Generalize, AnswerFile: r.plan.AnswerFile != "",
	}
	r.book.Change(func(l *runlog.Log) { l.First, l.Plan = o.Facts, &plan })
}

// note writes an observation down, with what was new in the log.
func (r *run) note(o verdict.Observation, s guest.Sample) {
	seen := r.seen(o)
	seen.Log, seen.Rotated, seen.LogLines, seen.LogBytes = string(s.Log), s.Rotated, o.Log.Lines, o.LogBytes
	if o.Reached && s.Processes != nil {
		n := len(s.Processes)
		seen.Processes = &n
	}
	r.book.Observe(o.At, seen)
	if o.At.Sub(r.book.saved) >= bookEvery { // a plugin that is killed leaves this one
		r.book.saved = o.At
		r.saveBook(context.Background())
	}
}

// seen is an observation as it is written down.
func (r *run) seen(o verdict.Observation) runlog.Observation {
	n := runlog.Observation{
		Reached: o.Reached, Why: o.TransportErr, Port: map[verdict.Port]string{verdict.PortOpen: "open", verdict.PortClosed: "closed"}[o.Port],
		Restarts: o.Machine.Restarts, Paused: o.Machine.Paused, Off: o.Machine.Off, Crashed: o.Machine.Crashed,
	}
	if !o.Reached {
		return n
	}
	n.Why = ""
	n.Facts = &runlog.Facts{
		ImageState: string(o.ImageState), GeneralizationState: o.GeneralizationState, Tag: known(o.Tag), SetupType: o.SetupType, CmdLine: o.CmdLine,
		Ours: known(o.Ours), SameBoot: known(o.SameBoot), AgentEnded: known(o.Agent.Ended), AgentExit: o.Agent.Exit,
	}
	return n
}

// noteCancel notes when the build was cancelled.
func (r *run) noteCancel() {
	at := r.book.At(r.now())
	r.book.Change(func(l *runlog.Log) { l.CancelledMS = &at })
}

func known(t verdict.Tri) *bool {
	if t == verdict.Unknown {
		return nil
	}
	yes := t == verdict.Yes
	return &yes
}

// noteLaunch writes a start down.
func (r *run) noteLaunch(err error) {
	l := runlog.Launch{Started: err == nil && r.launched.Lost == "" && r.launched.Unsaid == "", WithoutPowerShell: r.launched.WithoutPowerShell, Instead: r.launched.Instead, Attached: r.attached != nil,
		GuestTime: r.launched.Time}
	if err != nil {
		l.Error = err.Error()
	}
	var refusal *guest.ScriptError
	if errors.As(err, &refusal) {
		l.Refusal = &runlog.Refusal{Script: refusal.Script, Name: refusal.Name, Message: refusal.Message, Type: refusal.Type, ID: refusal.ID}
	}
	r.book.Launched(r.begun, l)
}

// noteCause keeps what a verdict blames.
func (r *run) noteCause(v verdict.Verdict, said []string) {
	r.book.last = said
	if v.Diagnosis == nil {
		return
	}
	r.book.cause = cmp.Or(v.Diagnosis.ID, r.book.cause)
	r.book.Found([]finding.Finding{v.Diagnosis.Finding}...)
}

// noteAtTheEnd keeps what came of before_shutdown.
func (r *run) noteAtTheEnd(lines int, err error) {
	n := runlog.AtTheEnd{Lines: lines}
	var line *guest.LineError
	var unsaid *guest.UnsaidError
	var end *guest.EndError
	if err != nil {
		n.Error = r.scrub.kept(runlog.FirstLine(err.Error()))
	}
	switch {
	case errors.As(err, &unsaid):
		n.Failed = &unsaid.Index
	case errors.As(err, &line):
		n.Failed, n.Code = &line.Index, &line.Code
	case errors.As(err, &end):
		n.Failed, n.Code = &lines, &end.Code
	}
	r.book.Change(func(l *runlog.Log) { l.BeforeShutdown = &n })
}

// counted writes down what becomes of what is sent to the guest.
func (r *run) counted(t guest.Transport) guest.Transport {
	c := counting{t, r}
	if p, ok := t.(guest.Placer); ok {
		return countingPlacer{c, p}
	}
	if f, ok := t.(guest.Folders); ok {
		return countingFolders{c, f}
	}
	return c
}

type counting struct {
	guest.Transport
	run *run
}

func (c counting) Run(ctx context.Context, req guest.Request) error {
	return c.came(ctx, runlog.Run, c.Transport.Run(ctx, req))
}

func (c counting) Upload(ctx context.Context, path string, content []byte) error {
	return c.came(ctx, "upload", c.Transport.Upload(ctx, path, content))
}

func (c counting) came(ctx context.Context, what string, err error) error {
	book := c.run.book.Recorder
	switch {
	case err == nil:
		book.Answered(what)
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), guest.ErrNoAnswer):
		// The run did not wait for it any more.
	case errors.Is(err, guest.ErrNotSent):
		book.Failed(what, runlog.NotSent, err)
	case errors.Is(err, guest.ErrNoAnswer):
		book.Failed(what, runlog.Abandoned, err)
	default:
		book.Failed(what, runlog.Lost, err)
	}
	return err
}

type countingPlacer struct {
	counting
	placer guest.Placer
}

func (c countingPlacer) Place(ctx context.Context, files ...guest.File) error {
	return c.came(ctx, "place", c.placer.Place(ctx, files...))
}

type countingFolders struct {
	counting
	folders guest.Folders
}

func (c countingFolders) NeedsFolders() bool { return c.folders.NeedsFolders() }
