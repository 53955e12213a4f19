// Package verdict decides what became of a sysprep run. It is a pure state
// machine: observations go in, at most one Verdict comes out. It reads no
// clock, guest or network; time is what the observations say.
package verdict

import (
	"cmp"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// Class is how a run can end.
type Class uint8

// Classes. Running is the class of no verdict.
const (
	Running     Class = iota
	Generalized       // proven inside the guest
	Refused           // sysprep declined, the machine is untouched: repair and retry
	Broken            // sysprep failed midway: discard the machine
	Hung              // no end within the limits, sysprep may still be running
	Lost              // the guest could not be asked any more
	Cancelled         // the user stopped the build
	Undone            // success was seen, and the newest facts contradict it
	Unarmed           // all says success, but the image would not set itself up at its next boot
	Replaced          // what answers is not the guest that sysprep was started in
	NotStarted        // something kept sysprep from being started, the machine is untouched
	AtTheEnd          // sysprep succeeded, and what was to follow it failed: the guest stays up
)

// Tri is a fact that may not be known.
type Tri uint8

// Values of a Tri.
const (
	Unknown Tri = iota
	Yes
	No
)

// TriOf turns a bool into a Tri.
func TriOf(b bool) Tri {
	if b {
		return Yes
	}
	return No
}

// Port is what a connection attempt to the communicator's port found.
type Port uint8

// Values of a Port.
const (
	PortUnknown Port = iota
	PortOpen
	PortClosed // refused, unreachable or no answer
)

// End is what sysprep does after the work.
type End uint8

// Ends.
const (
	Quit End = iota
	Shutdown
	Reboot
)

// ProcessGone is how long sysprep.exe is gone by default before its run counts as
// ended.
const ProcessGone = time.Minute

// Expectation is what the run is meant to do and how long it may take. Zero
// durations get the defaults named here.
type Expectation struct {
	ImageState  windows.State // default: windows.StateAfter(Generalize, false)
	Generalize  bool          // /generalize was given
	End         End           // what follows the work
	Timeout     time.Duration // 30m: for the whole run
	Stall       time.Duration // 10m: without a new log line
	Patient     bool          // steps that are known to be silent for longer may be (diagnosis.Silence)
	Unhurried   bool          // the whole run may take longer as long as such a step is silent
	ProcessGone time.Duration // ProcessGone: sysprep.exe gone without a tag
	LostAfter   time.Duration // 10m: no command was answered, whether the port is open or closed
	ClosedFor   time.Duration // 30s: after success this much silence means that Windows restarts as it was told to
	// SecondLook (3m, a boot's length) is how long the port has to stay closed
	// before a power-off is believed that no hypervisor reports: a Windows that
	// restarts answers again within it. A caller that waits for the machine itself
	// sets it short.
	SecondLook time.Duration
	EndWithin  time.Duration // 5m: from success to the power-off or restart (shutdown_timeout); a second look that has begun is finished
	// Agent is the program that starts sysprep, as a person calls it; empty: sysprep
	// was started itself. AgentWithin (10m) is how long it may take until then.
	Agent       string
	AgentWithin time.Duration
	AskWithin   time.Duration // 45s: for the answer to the last look (Judge.WantsLastLook)
}

// Observation is one look at the guest. Every fact may be unknown.
type Observation struct {
	At                  time.Time
	Reached             bool          // a command ran in the guest and answered
	Tag                 Tri           // Sysprep_succeeded.tag exists (the old one was deleted before the launch)
	ImageState          windows.State // empty: unknown
	GeneralizationState *int          // nil: unknown or absent
	Process             Tri           // sysprep.exe is alive
	// Log is what setupact.log says since the launch (diagnosis.Tracker.Progress),
	// LogBytes how much of it was written; both as last known.
	Log      diagnosis.Progress
	LogBytes int64
	// LogNext is how far the log was read for Log, in bytes of the file; 0: not
	// known. LogFresh: reading began behind what the file held before the launch.
	LogNext  int64
	LogFresh bool
	Port     Port
	// Last: the guest was asked once more, because Judge.WantsLastLook said so,
	// and this is what came of it.
	Last bool
	// TransportErr is why the guest could not be reached.
	TransportErr string
	// Ours: what this run put into the guest is there. No is another machine, or
	// an older state of this one.
	Ours Tri
	// SetupType and CmdLine of HKLM\SYSTEM\Setup say what the next boot runs;
	// nil: not read.
	SetupType *int
	CmdLine   *string
	// Launched is when sysprep was started by the guest's own local clock, which
	// its log is written by; zero: not known, and then the log is judged with
	// care (see Bound).
	Launched time.Time
	// SameBoot: Windows was not started again since the launch. No is said by
	// what this run left in a part of the registry that no restart keeps.
	SameBoot Tri
	Machine  Machine
	Agent    Agent
}

// Machine is what a hypervisor reports; the zero value where none does.
type Machine struct {
	Restarts int    // since the launch
	Paused   string // why it does not run; empty: it runs
	Off      bool   // the guest powered itself off
	Crashed  string // why it ended, other than by its guest; empty: it did not
}

// Verdict is how a run ended.
type Verdict struct {
	Class               Class
	Reason              string        // one line, without class
	End                 End           // what was to follow
	ImageState          windows.State // last seen
	GeneralizationState *int          // last seen
	Tag                 Tri           // last seen
	SetupType           *int          // last seen
	CmdLine             *string
	// Restarted: Windows was started again after success was seen.
	Restarted bool
	// Unseen: Windows is generalized and told to power off, and whether it did
	// could not be seen. Who sees the machine itself has to make sure.
	Unseen bool
	Paused string // why the machine does not run; empty: it does, or nobody says
	// PoweredOff: a hypervisor reported that the guest powered itself off.
	PoweredOff bool
	// Crashed: a hypervisor reported that the machine ended, and not by its guest.
	Crashed bool
	// Closed is how long the port had been closed at the end; 0: it was not. That
	// the machine is off it does not say.
	Closed time.Duration
	// Reopened is how long the port was closed after success before it opened
	// again; 0: it did not, or a command was answered since.
	Reopened time.Duration
	// OwnLog: what was read of the log was written by this run. Unknown is a log
	// that only its times, by the host's clock, allow to be.
	OwnLog Tri
	// ConsistentWithSuccess: nothing seen speaks against a good image, so a
	// caller that proves the disk offline may go on.
	ConsistentWithSuccess bool
	// StillRunning: sysprep.exe was alive when last seen, perhaps in a dialog
	// that nobody sees; end it before another attempt.
	StillRunning bool
	LastLog      string // newest log line, verbatim
	Took         time.Duration
	// Agent is the program that was to start sysprep, where the verdict is about it.
	Agent string
	// Diagnosis is for the caller to set (diagnosis.Diagnose of the run's log,
	// or of the fetched one) before Explain; Step sets it where the cause does
	// not come from the log.
	Diagnosis *diagnosis.Diagnosis
}

// After is the verdict on how Windows ended (Ending) after the one on the run
// before it, of which it keeps what could not be read any more.
func (v Verdict) After(before Verdict) Verdict {
	v.Took += before.Took
	v.SetupType, v.CmdLine = cmp.Or(v.SetupType, before.SetupType), cmp.Or(v.CmdLine, before.CmdLine)
	v.GeneralizationState = cmp.Or(v.GeneralizationState, before.GeneralizationState)
	return v
}

// First is the guest before anything is launched.
type First struct {
	Observation
	SysprepExe            Tri // sysprep.exe exists where the command will look for it
	SysprepPID            int // of a running sysprep.exe; 0 when unknown
	SystemSetupInProgress Tri
	OOBEInProgress        Tri
	AuditMode             Tri
	// Programs are the running sysprep.exe with their command lines; nil: not
	// asked for, or not known.
	Programs []Program
	// Wanted are the arguments that sysprep is to be started with. Empty: something
	// else starts it, so no sysprep that runs can be told to be this run's.
	Wanted string
}

// Program is a sysprep.exe that runs.
type Program struct {
	PID int
	// Arguments is what follows the name on its command line; only with Known.
	Arguments string
	Known     bool
	// Ours: a run of this plugin started it, as the mark of that run says, which
	// only such a start moves away.
	Ours bool
}

// Start says whether to start sysprep.
type Start uint8

// Starts.
const (
	Go      Start = iota // launch
	Wait                 // look again: Setup may still be finishing its first boot
	Already              // generalized by somebody else and not restarted since: do not run sysprep again
	Ask                  // look at the command lines of what runs (First.Programs), and judge again
	Close                // end the program PID, the window that audit mode opens, and look again
	Attach               // watch the program PID: it is the sysprep of another run like this one
	Refuse               // do not launch
)

// Clearance is the outcome of the first look: whether sysprep may be started.
type Clearance struct {
	Start    Start
	Reason   string
	Next     []string // what the user can do, one step a line
	Warnings []string // worth saying though it goes on
	// Cause is its name in the catalogue and CauseID its id, where that is why;
	// may be empty.
	Cause, CauseID string
	PID            int  // of Close and Attach
	Unreached      bool // the guest did not answer
}
