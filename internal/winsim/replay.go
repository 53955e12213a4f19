package winsim

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Reach is how the machine is reached in a Replay.
type Reach string

// The ways.
const (
	Answers Reach = ""       // commands are answered
	Refuses Reach = "open"   // the port is open, and nobody is let in
	Hangs   Reach = "hangs"  // the port answers, and commands do not
	Silent  Reach = "silent" // connections are accepted, and nothing comes back
	Closed  Reach = "closed" // nobody listens
)

// Replay is a machine that was recorded: it has the states that were seen, when they
// were seen, whatever it is told to do. Windows neither works nor goes down by itself
// then. Package replay makes one of a recorded run.
type Replay struct {
	// Began is when the run began, on the host that recorded it.
	Began time.Time `json:"began"`
	// Before is what was seen before sysprep was started: the first moment holds from
	// the beginning, the others from the first command on.
	Before []Moment `json:"before,omitempty"`
	// Starts is what was seen after each start of sysprep, from that on.
	Starts []Recorded `json:"starts,omitempty"`
	// Attached: sysprep ran before, and the run did not start one of its own.
	Attached bool `json:"attached,omitempty"`
	// Agent: something else starts sysprep, and the moments say when it ends.
	Agent bool `json:"agent,omitempty"`
	// UploadError is why no file could be put into the machine; empty: files could.
	UploadError string `json:"upload_error,omitempty"`
}

// Recorded is a start of sysprep that was recorded.
type Recorded struct {
	// Began is when it was, on the host that recorded it, and Clock how far the
	// guest's clock was from the host's.
	Began time.Time `json:"began"`
	Clock Duration  `json:"clock,omitempty"`
	// Refused: the script that starts sysprep ends with this error.
	Refused *Refusal `json:"refused,omitempty"`
	Moments []Moment `json:"moments"`
}

// Refusal is the error of a guest script.
type Refusal struct {
	Name    string `json:"name"`
	Message string `json:"message"`
	Type    string `json:"type,omitempty"`
	ID      string `json:"id,omitempty"`
}

// Moment is what was seen at a time. What is nil stays as it is.
type Moment struct {
	At    Duration `json:"at"`
	Reach Reach    `json:"reach,omitempty"`
	// Why is the error of whoever could not reach it.
	Why        string  `json:"why,omitempty"`
	ImageState *string `json:"image_state,omitempty"`
	// GeneralizationState is absent below 0.
	GeneralizationState *int  `json:"generalization_state,omitempty"`
	Tag                 *bool `json:"tag,omitempty"`
	// Processes are the sysprep.exe that run.
	Processes *int    `json:"processes,omitempty"`
	SetupType *int    `json:"setup_type,omitempty"`
	CmdLine   *string `json:"cmd_line,omitempty"`
	// Log goes to the end of setupact.log; Rotated: it replaces it.
	Log     string `json:"log,omitempty"`
	Rotated bool   `json:"rotated,omitempty"`
	// Foreign: what the run has put into the guest is not there. Rebooted: Windows
	// was started again.
	Foreign  bool `json:"foreign,omitempty"`
	Rebooted bool `json:"rebooted,omitempty"`
	// AgentExit is how the program ended that starts sysprep; AgentEnded: it did.
	AgentEnded bool `json:"agent_ended,omitempty"`
	AgentExit  int  `json:"agent_exit,omitempty"`
	// What the hypervisor reported since the start.
	Restarts int    `json:"restarts,omitempty"`
	Paused   string `json:"paused,omitempty"`
	Off      bool   `json:"off,omitempty"`
	Crashed  string `json:"crashed,omitempty"`
	// What only a first look sees.
	SysprepExe            *bool     `json:"sysprep_exe,omitempty"`
	SystemSetupInProgress *int      `json:"system_setup_in_progress,omitempty"`
	OOBEInProgress        *int      `json:"oobe_in_progress,omitempty"`
	AuditBoot             *int      `json:"audit_boot,omitempty"`
	Build                 int       `json:"windows_build,omitempty"`
	TimeBias              *int      `json:"time_bias_minutes,omitempty"`
	Programs              []Program `json:"programs,omitempty"`
}

// Program is a sysprep.exe with the arguments that it was started with.
type Program struct {
	Arguments string `json:"arguments"`
	// Start is when it was started, by the clock of the recorded guest.
	Start time.Time `json:"start,omitzero"`
	// Ours: a run of the provisioner has started it.
	Ours bool `json:"ours,omitempty"`
}

func (s Scenario) checkReplay() error {
	if s.Replay == nil {
		return nil
	}
	var errs []error
	lists := [][]Moment{s.Replay.Before}
	for _, start := range s.Replay.Starts {
		lists = append(lists, start.Moments)
	}
	for _, list := range lists {
		for i, m := range list {
			if !slices.Contains([]Reach{Answers, Refuses, Hangs, Silent, Closed}, m.Reach) {
				errs = append(errs, fmt.Errorf("replay: unknown reach %q", m.Reach))
			}
			if m.At < 0 || i > 0 && m.At < list[i-1].At {
				errs = append(errs, fmt.Errorf("replay: the moment at %s is not after the one before it", time.Duration(m.At)))
			}
		}
	}
	return errors.Join(errs...)
}

// replaying is the play of a Replay.
type replaying struct {
	*Replay
	begun  bool
	start  int // how many starts there were
	clock  time.Duration
	zone   *time.Location
	ended  chan struct{}
	exit   int
	halted context.CancelFunc // of the moments that are played
	// seen is closed when the first moment after a start has come: nothing was seen
	// before it.
	seen chan struct{}
}

// beginReplay brings the machine into the state of the first moment.
func (g *Guest) beginReplay() error {
	if g.scenario.Replay == nil {
		return nil
	}
	g.replay = &replaying{Replay: g.scenario.Replay, ended: make(chan struct{})}
	if len(g.replay.Starts) > 0 { // the start tells the time before it starts
		g.replay.clock = time.Duration(g.replay.Starts[0].Clock)
	}
	before := g.replay.Before
	if len(before) == 0 {
		return nil
	}
	if before[0].Reach != Answers {
		g.replay.begun = true
		err := g.becomes(before[0], 0)
		g.play(before[1:], time.Now(), g.replay.shift())
		return err
	}
	return g.becomes(shiftLog(before[:1], g.replay.shift())[0], 0)
}

// shift is how much later than the recorded run this one begins.
func (r *replaying) shift() time.Duration {
	if r.Began.IsZero() {
		return 0
	}
	return time.Since(r.Began)
}

// replayAsked is called with each command: the first one begins what was before the
// start.
func (g *Guest) replayAsked(ctx context.Context) {
	if g.replay == nil {
		return
	}
	g.replayWaits(ctx)
	g.mu.Lock()
	first := !g.replay.begun
	g.replay.begun = true
	g.mu.Unlock()
	if first && len(g.replay.Before) > 1 {
		g.play(g.replay.Before[1:], time.Now(), g.replay.shift())
	}
}

// replayWaits lets the time until the first moment after a start pass.
func (g *Guest) replayWaits(ctx context.Context) {
	if g.replay == nil {
		return
	}
	g.mu.Lock()
	seen := g.replay.seen
	g.mu.Unlock()
	if seen == nil {
		return
	}
	select {
	case <-seen:
	case <-ctx.Done():
	}
}

// replaySeen: a moment has come.
func (g *Guest) replaySeen() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.replay.seen != nil {
		close(g.replay.seen)
		g.replay.seen = nil
	}
}

// play lets the machine become what it was, moment by moment; what was played before
// ends.
func (g *Guest) play(moments []Moment, from time.Time, shift time.Duration) {
	ctx, halt := context.WithCancel(g.session())
	g.mu.Lock()
	if g.replay.halted != nil {
		g.replay.halted()
	}
	g.replay.halted = halt
	g.mu.Unlock()
	moments = shiftLog(moments, shift)
	g.goDo(func() {
		defer halt()
		for _, m := range moments {
			g.rest(ctx, g.scaled(time.Duration(m.At))-time.Since(from))
			if ctx.Err() != nil {
				return
			}
			if err := g.becomes(m, g.replay.start); err != nil {
				g.logf("replay: %v", err)
			}
		}
	})
}

// nextStart is the start that comes now; nil: more often than that sysprep was not
// started.
func (g *Guest) nextStart(take bool) *Recorded {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.replay.start >= len(g.replay.Starts) {
		return nil
	}
	s := &g.replay.Starts[g.replay.start]
	if take {
		g.replay.start++
	}
	return s
}

// replayRun is a run of sysprep, or of what starts it; its exit code.
func (g *Guest) replayRun(ctx context.Context) int {
	start := g.nextStart(true)
	if start == nil {
		g.logf("replay: sysprep was started once more than was recorded")
		<-ctx.Done()
		return 1
	}
	now := time.Now()
	ended := make(chan struct{})
	g.mu.Lock()
	g.replay.clock, g.replay.ended, g.replay.exit = time.Duration(start.Clock), ended, 0
	if g.replay.seen == nil && len(start.Moments) > 0 {
		g.replay.seen = make(chan struct{})
	}
	g.mu.Unlock()
	g.play(start.Moments, now, g.clock.Now().Sub(start.Began))
	select {
	case <-ctx.Done():
		return 1
	case <-ended:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.replay.exit
}

var logTime = regexp.MustCompile(`(?m)^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}`)

// shiftLog moves the times of the log lines, which may be cut anywhere.
func shiftLog(moments []Moment, by time.Duration) []Moment {
	moments = slices.Clone(moments)
	for from := 0; from < len(moments); {
		to := from + 1
		for to < len(moments) && !moments[to].Rotated {
			to++
		}
		var all strings.Builder
		for _, m := range moments[from:to] {
			all.WriteString(m.Log)
		}
		text := logTime.ReplaceAllStringFunc(all.String(), func(old string) string {
			at, err := time.Parse(time.DateTime, old)
			if err != nil {
				return old
			}
			return at.Add(by.Round(time.Second)).Format(time.DateTime)
		})
		for i := from; i < to; i++ {
			n := len(moments[i].Log)
			moments[i].Log, text = text[:n], text[n:]
		}
		from = to
	}
	return moments
}

// becomes is one moment.
func (g *Guest) becomes(m Moment, start int) error {
	defer g.replaySeen()
	if m.Reach != Answers {
		g.tellMoment(m, start)
		return nil
	}
	var errs []error
	number := func(key, name string, n *int) {
		if n != nil {
			g.reg.SetDWord(key, name, uint32(*n))
		}
	}
	if n := m.GeneralizationState; n != nil && *n < 0 {
		g.reg.DeleteValue(keySysprep, "GeneralizationState")
	} else {
		number(keySysprep, "GeneralizationState", n)
	}
	number(keySetup, "SetupType", m.SetupType)
	number(keySetup, "SystemSetupInProgress", m.SystemSetupInProgress)
	number(keySetup, "OOBEInProgress", m.OOBEInProgress)
	number(keyStatus, "AuditBoot", m.AuditBoot)
	if m.CmdLine != nil {
		g.reg.SetString(keySetup, "CmdLine", *m.CmdLine)
	}
	if m.Build > 0 {
		g.reg.SetString(keyVersion, "CurrentBuildNumber", fmt.Sprint(m.Build))
	}
	if m.TimeBias != nil {
		g.mu.Lock()
		g.replay.zone = time.FixedZone("", -60**m.TimeBias)
		g.mu.Unlock()
		g.setTimeZone()
	}
	if m.SysprepExe != nil && !*m.SysprepExe {
		errs = append(errs, g.drive.Remove(folderSysprep+`\sysprep.exe`))
	}
	if m.Tag != nil && *m.Tag != g.drive.IsFile(fileTag) {
		if *m.Tag {
			errs = append(errs, g.drive.WriteFile(fileTag, nil))
		} else {
			errs = append(errs, g.drive.Remove(fileTag))
		}
	}
	switch {
	case m.Rotated:
		errs = append(errs, g.drive.WriteFile(fileActLog, []byte(m.Log)))
	case m.Log != "":
		errs = append(errs, g.drive.Append(fileActLog, []byte(m.Log)))
	}
	if m.ImageState != nil { // last: who looks meanwhile sees work that is not done
		errs = append(errs, g.setImageState(*m.ImageState))
	}
	if m.Foreign {
		errs = append(errs, g.forgetRun())
	}
	if m.Rebooted {
		g.reg.Forget()
		g.reg.SetString(keyHardware, "Identifier", "AT/AT COMPATIBLE")
	}
	g.replayProcesses(m)
	g.tellMoment(m, start)
	return errors.Join(errs...)
}

func (g *Guest) tellMoment(m Moment, start int) {
	if g.opt.Moment != nil {
		g.opt.Moment(m, start)
	}
}

// forgetRun removes what runs have brought, as another machine has none of it.
func (g *Guest) forgetRun() error {
	var errs []error
	for _, folder := range []string{folderWindows + `\Temp`, folderSysprep} {
		entries, _ := g.drive.ReadDir(folder)
		for _, e := range entries {
			if strings.HasPrefix(strings.ToLower(e.Name()), "packer-") {
				errs = append(errs, g.drive.RemoveAll(folder+`\`+e.Name()))
			}
		}
	}
	return errors.Join(errs...)
}

// replayProcesses lets as many sysprep.exe run as were seen, and what started one
// end.
func (g *Guest) replayProcesses(m Moment) {
	running := g.processes("sysprep.exe")
	switch {
	case m.Processes == nil:
	case *m.Processes == 0:
		for _, p := range running {
			g.removeProcess(p)
		}
	default:
		for i := len(running); i < *m.Processes; i++ {
			var as Program
			if i < len(m.Programs) {
				as = m.Programs[i]
			}
			started := g.now()
			if !as.Start.IsZero() {
				started = as.Start.Add(g.replay.shift())
			}
			g.addRunning("sysprep.exe", strings.TrimSpace(`"`+g.full(folderSysprep)+`\sysprep.exe" `+as.Arguments), "Administrator", 1, started, func() {})
			if as.Ours {
				g.reg.SetString(keyHardware, "packer-sysprep-000000000000", "1")
			}
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	over := m.AgentEnded || !g.replay.Agent && m.Processes != nil && *m.Processes == 0
	if !over {
		return
	}
	select {
	case <-g.replay.ended:
	default:
		g.replay.exit = m.AgentExit
		close(g.replay.ended)
	}
}
