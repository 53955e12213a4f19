// Package runlog is what is written down of a run, for a bug report, a report in
// another form, and a replay: run.json of the provisioner, and build.json of our own
// builder, in one schema (docs/run.md) and one layout of files.
//
// It holds no secret: the secrets of the run, and what looks like one (package secrets),
// are taken out of every text. It is bounded: of what there is more of than fits, the
// beginning and the end are kept, and how much was left out is said.
package runlog

import (
	"encoding/json"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

// Schema is the number of the form of the file. It changes with what a reader of
// the earlier form would misread; new members do not change it.
const Schema = 1

// Names of the files, in the folder that the user named.
const (
	RunFile   = "run.json"   // of the provisioner
	BuildFile = "build.json" // of the builder
)

// Components, as Log.Component names them.
const (
	Provisioner = "provisioner sysprep"
	Builder     = "source sysprep-vhd"
)

// page describes the file.
const page = "https://github.com/packer-plugin-sysprep/packer-plugin-sysprep/blob/main/docs/run.md"

// abouts are the texts of Log.About, by component.
var abouts = map[string]string{
	Provisioner: `What provisioner "sysprep" of packer-plugin-sysprep did and saw in one run, without secrets. How to read and to replay it: ` + page,
	Builder:     `What source "sysprep-vhd" of packer-plugin-sysprep did in one build that failed, without secrets. How to read it: ` + page,
}

// Log is a run, as far as it came when it was written. Times are the host's;
// durations and offsets (`_ms`) are milliseconds, offsets count from Begun.
type Log struct {
	Schema int `json:"schema"`
	// About is what the file is, for a person who finds it.
	About     string `json:"about,omitempty"`
	Component string `json:"component"`
	// Version is that of the plugin.
	Version string `json:"plugin_version"`
	// PackerRun is the id of Packer's run (PACKER_RUN_UUID), ID that of this run,
	// which is part of the names of what it brings into the guest.
	PackerRun string `json:"packer_run_uuid,omitempty"`
	ID        string `json:"id,omitempty"`
	Build     string `json:"build_name,omitempty"`
	Builder   string `json:"builder_type,omitempty"`
	// Host is the operating system and architecture that Packer runs on.
	Host   string    `json:"host"`
	Begun  time.Time `json:"begun"`
	TookMS int64     `json:"took_ms"`
	// Complete: the run came to its end, whatever end that was. Without it the file
	// is what a run has left that goes on, or was killed.
	Complete bool `json:"complete"`
	// CancelledMS is when the build was cancelled.
	CancelledMS *int64 `json:"cancelled_ms,omitempty"`
	// Options are those that tell nothing secret, by their names. What is secret, or
	// may hold a secret, is told by "(set)".
	Options map[string]any `json:"options"`
	Plan    *Plan          `json:"plan,omitempty"`
	Phases  []Phase        `json:"phases"`
	// First is the guest as it was before anything was done.
	First *Facts `json:"first_look,omitempty"`
	// Services are those that were waited for, and whether they ran in the end.
	Services map[string]bool `json:"services,omitempty"`
	// Preflight is what the checks before the run found, in their own schema.
	Preflight json.RawMessage `json:"preflight,omitempty"`
	// Launches are the starts of sysprep: two of them with through_audit.
	Launches []Launch `json:"launches,omitempty"`
	// BeforeShutdown is what came of the lines of that option, where they were run.
	BeforeShutdown *AtTheEnd    `json:"before_shutdown,omitempty"`
	Observations   Observations `json:"observations"`
	Transport      Transport    `json:"transport"`
	// Events are what the hypervisor reported.
	Events   []Event           `json:"events,omitempty"`
	Findings []finding.Finding `json:"findings"`
	Verdict  *Verdict          `json:"verdict,omitempty"`
	// Files are the logs that were saved beside this file, by their names below the
	// folder.
	Files []File `json:"files"`
}

// Plan is what a run was going to do.
type Plan struct {
	Action    string `json:"action"`         // what sysprep does at its end
	Then      string `json:"then,omitempty"` // what the provisioner does after before_shutdown
	Why       string `json:"why,omitempty"`  // why auto chose it
	Arguments string `json:"arguments,omitempty"`
	Starter   string `json:"starter,omitempty"` // what starts sysprep instead of the provisioner
	// ImageState is the one that success has; Generalize: it has a tag too.
	ImageState string `json:"image_state"`
	Generalize bool   `json:"generalize"`
	AnswerFile bool   `json:"answer_file"` // sysprep was given one
}

// Phase is a part of a run. Those that go on have no End and no Outcome.
type Phase struct {
	Name    string `json:"name"`
	BeginMS int64  `json:"begin_ms"`
	EndMS   *int64 `json:"end_ms,omitempty"`
	// Outcome is ok, failed, cancelled, or over: the run ended well with this phase.
	Outcome string `json:"outcome,omitempty"`
	// Error is the first line of why it failed.
	Error string `json:"error,omitempty"`
}

// Outcomes of a phase.
const (
	OK        = "ok"
	Over      = "over"
	Failed    = "failed"
	Cancelled = "cancelled"
)

// Facts are what was read in the guest at once. What is absent was not read.
type Facts struct {
	ImageState          string  `json:"image_state,omitempty"`
	GeneralizationState *int    `json:"generalization_state,omitempty"`
	Tag                 *bool   `json:"tag,omitempty"`
	Processes           *int    `json:"processes,omitempty"` // sysprep.exe that run
	SetupType           *int    `json:"setup_type,omitempty"`
	CmdLine             *string `json:"cmd_line,omitempty"`
	// Ours: what this run put into the guest is there. SameBoot: Windows was not
	// started again since the launch.
	Ours     *bool `json:"ours,omitempty"`
	SameBoot *bool `json:"same_boot,omitempty"`
	// Agent is the program that starts sysprep, where there is one.
	AgentEnded *bool `json:"agent_ended,omitempty"`
	AgentExit  *int  `json:"agent_exit,omitempty"`
	// Only a first look has these.
	SysprepExe            *bool  `json:"sysprep_exe,omitempty"`
	SystemSetupInProgress *int   `json:"system_setup_in_progress,omitempty"`
	OOBEInProgress        *int   `json:"oobe_in_progress,omitempty"`
	AuditBoot             *int   `json:"audit_boot,omitempty"`
	Architecture          string `json:"architecture,omitempty"`
	Build                 int    `json:"windows_build,omitempty"`
	TimeBias              *int   `json:"time_bias_minutes,omitempty"`
	// Programs are the command lines of the sysprep.exe that run.
	Programs []Program `json:"programs,omitempty"`
}

// Program is a sysprep.exe that was running before this run.
type Program struct {
	Known     bool   `json:"known"`
	Arguments string `json:"arguments"`
	// Start is when it was started, by the guest's clock.
	Start time.Time `json:"start,omitzero"`
	Ours  bool      `json:"ours,omitempty"` // another run of the provisioner started it
}

// AtTheEnd is what came of before_shutdown.
type AtTheEnd struct {
	Lines int `json:"lines"`
	// Failed is the line that failed, from 0, with its exit code; nil: none did. Where
	// it has no code, nothing is known of how it ended.
	Failed *int   `json:"failed,omitempty"`
	Code   *int   `json:"code,omitempty"`
	Error  string `json:"error,omitempty"`
}

// Launch is a start of sysprep.
type Launch struct {
	AtMS   int64 `json:"at_ms"`
	TookMS int64 `json:"took_ms"` // until the guest has said how it went
	// GuestTime is when the launch began by the guest's clock.
	GuestTime time.Time `json:"guest_time,omitzero"`
	// Started: the guest said so; else it was to be found out by watching.
	Started           bool   `json:"started"`
	WithoutPowerShell bool   `json:"without_powershell,omitempty"`
	Instead           string `json:"instead,omitempty"` // why a task starts it
	Attached          bool   `json:"attached,omitempty"`
	// Error and Refusal are why it was not started, Refusal as the guest's script
	// names it.
	Error   string   `json:"error,omitempty"`
	Refusal *Refusal `json:"refusal,omitempty"`
}

// Refusal is the error document of a guest script.
type Refusal struct {
	Script  string `json:"script"`
	Name    string `json:"name"`
	Message string `json:"message"`
	Type    string `json:"type,omitempty"`
	ID      string `json:"id,omitempty"`
}

// Observations are what the state machine was given.
type Observations struct {
	// Given is how many there were, Kept those that told something new and fit.
	Given int `json:"given"`
	Kept  int `json:"kept"`
	// Dropped are those in the middle that did not fit, and LogDropped the bytes of
	// sysprep's log that did not; Capped says so in words.
	Dropped    int           `json:"dropped,omitempty"`
	LogDropped int           `json:"log_bytes_dropped,omitempty"`
	Capped     string        `json:"capped,omitempty"`
	List       []Observation `json:"list"`
}

// Observation is one look at the guest that found something new. It is whole, not
// the difference to the one before.
type Observation struct {
	AtMS int64 `json:"at_ms"`
	// UntilMS is when the last one was that found the same.
	UntilMS int64 `json:"until_ms"`
	// Launch is after which launch it was made; 0: before the first.
	Launch  int  `json:"launch"`
	Reached bool `json:"reached"`
	// Why the guest was not reached, and what the communicator's port did: open,
	// closed, or "" for not known.
	// WhyLast is why in the end, where it was something else.
	Why     string `json:"why,omitempty"`
	WhyLast string `json:"why_last,omitempty"`
	Port    string `json:"port,omitempty"`
	// Facts are there where it was reached.
	*Facts
	// Log is what was new in sysprep's log, Rotated: the log was replaced by
	// another, of which this is the beginning. LogLines and LogBytes are what the
	// log measured.
	Log      string `json:"log,omitempty"`
	Rotated  bool   `json:"rotated,omitempty"`
	LogLines int    `json:"log_lines,omitempty"`
	LogBytes int64  `json:"log_bytes,omitempty"`
	// What a hypervisor reported since the launch.
	Restarts int    `json:"restarts,omitempty"`
	Paused   string `json:"paused,omitempty"`
	Off      bool   `json:"off,omitempty"`
	Crashed  string `json:"crashed,omitempty"`
}

// Transport is what became of the commands that were sent to the guest.
type Transport struct {
	// Way is how they were sent: winrm, or the name of Packer's communicator.
	Way       string `json:"way,omitempty"`
	Answered  int    `json:"answered"`
	Lost      int    `json:"lost"`      // the connection failed
	Abandoned int    `json:"abandoned"` // not answered in time, and left behind
	NotSent   int    `json:"not_sent"`  // nothing was run
	// Placed are the files, or sets of them, that were put into the guest; they are
	// among Answered.
	Placed int `json:"placed"`
	// Failures are the first of those that were not answered.
	Failures []Command `json:"failures,omitempty"`
	// Dropped are the failures that did not fit.
	Dropped int `json:"failures_dropped,omitempty"`
}

// Command is one that was not answered.
type Command struct {
	AtMS int64 `json:"at_ms"`
	// What is run, upload or place; the command itself may hold what is secret.
	What string `json:"what"`
	// Outcome is lost, abandoned or not sent.
	Outcome string `json:"outcome"`
	Error   string `json:"error"`
}

// Event is what the hypervisor reported of the machine.
type Event struct {
	AtMS int64  `json:"at_ms"`
	What string `json:"what"`
}

// Verdict is how a run ended.
type Verdict struct {
	// Class is that at the head of the error; of a run that ended well too.
	Class string `json:"class"`
	// Cause is its name in the catalogue, CauseID its id there.
	Cause   string `json:"cause,omitempty"`
	CauseID string `json:"cause_id,omitempty"`
	// Failed: the run ended with an error.
	Failed bool `json:"failed"`
	// FirstLine is the first line of the error without its head, or of what was
	// said in the end. Lines are all of the explanation.
	FirstLine string   `json:"first_line"`
	Lines     []string `json:"lines,omitempty"`
	// Restarts of the machine after the launch, where a hypervisor reports them.
	Restarts int `json:"restarts"`
}

// File is one of the bundle.
type File struct {
	Name string `json:"name"` // below the folder, with slashes
	Size int    `json:"size"` // as written, in bytes
	// Cut is how many bytes were left out, because of the limits.
	Cut int `json:"cut,omitempty"`
}
