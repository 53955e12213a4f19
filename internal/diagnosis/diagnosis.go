// Package diagnosis reads the logs that sysprep and Windows Setup write
// (setupact.log, setuperr.log) and names the cause of a failure.
//
// Bytes go into a Parser, which hands out Lines. A Tracker follows one sysprep
// run while it is being written and answers Progress at any time. Split cuts a
// finished log into Runs, and Diagnose holds a Run against the catalogue of
// causes, which is data (catalogue*.go).
package diagnosis

import (
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

// Level is the severity column of a log line; empty where a log viewer left it
// out.
type Level string

// Levels that Windows Setup writes.
const (
	Info    Level = "Info"
	Warning Level = "Warning"
	Error   Level = "Error"
	Perf    Level = "Perf"
	Fatal   Level = "Fatal"
)

// Line is one log line with its continuation lines joined to it.
type Line struct {
	// Time is the guest's local time (the log names no zone); zero where the
	// line has none.
	Time  time.Time
	Level Level
	// Code is the message id in brackets, e.g. 0x0f00d8; 0 where there is none.
	Code uint32
	// Component is SYSPRP for sysprep; IBS, CSI, CBS and others; may be empty.
	Component string
	Message   string
	// GLE is the last error that some lines end with, "0x00000006"; or empty.
	GLE string
	// Raw is the line as it was written, decoded to UTF-8, without line end.
	Raw string
}

// Phase is what a failure means for the machine.
type Phase string

// Phases of the catalogue.
const (
	// PhaseValidate: refused in validation, nothing was changed; repair and retry.
	PhaseValidate Phase = "validate"
	// PhaseProcess: a provider failed midway; discard the machine.
	PhaseProcess Phase = "process"
	// PhaseLaunch: the command line or the way it was started; nothing changed.
	PhaseLaunch Phase = "launch"
	// PhaseFirstBoot: shows only when the image boots (specialize, OOBE).
	PhaseFirstBoot Phase = "first boot"
	// PhaseSilent: sysprep succeeds and the image is bad all the same.
	PhaseSilent Phase = "silent"
)

// Stage is how far a run has come.
type Stage uint8

// Stages in their order.
const (
	StageNone       Stage = iota // no line of a run was seen
	StageStarted                 // banner or first line
	StageValidating              // pre-validation: nothing changed yet
	StageProcessing              // past the point of no return
	StageDone                    // the tag was created
)

// Failure is how the log says that the run failed.
type Failure uint8

// Failures. The first one stays, except that a line `Hit failure while` beats
// the vaguer ones before it.
const (
	NoFailure       Failure = iota
	ParseFailure            // the command line was not understood: nothing changed
	ValidateFailure         // validation refused: nothing changed
	ProcessFailure          // a provider failed while processing: undeployable
)

// Progress is what the log says of one run: how far it has come, and how it
// failed. It is small enough to copy.
type Progress struct {
	// Runs counts the banners `Beginning of a new sysprep run` seen so far;
	// all other fields are about the last one.
	Runs int
	// Start is the guest's local time of the first line.
	Start time.Time
	// Options are the switches sysprep understood, upper case: GENERALIZE,
	// OOBE, AUDIT, QUIT, SHUTDOWN, REBOOT, QUIET, UNATTEND, MODE.
	Options []string
	Stage   Stage
	// TagCreated: `FCreateTagFile:Successfully created tag file`.
	TagCreated bool
	// ShutdownRequested: sysprep has asked Windows to shut down or restart.
	ShutdownRequested bool
	// Closed: `Shutting down SysPrep log`.
	Closed bool
	// Passed: Windows Setup ended a pass of a first boot well.
	Passed bool
	// Failure and FailureLine: the line that says that the run failed, verbatim.
	Failure     Failure
	FailureLine string
	// Lines counts the lines of this run.
	Lines int
	// LastLine is the newest line, verbatim, and Last the newest time of a line.
	LastLine string
	Last     time.Time
	// Working is what was begun last and has not ended.
	Working Step
	// Blocks counts what has ended; Percent is made of it.
	Blocks Blocks
	// boot is what a log of Windows Setup says of a first boot; nil where nothing.
	boot *boot
}

// Run is one sysprep run cut out of a log.
type Run struct {
	Progress Progress
	// Lines is bounded: of a very long run the first and last problem lines and
	// the tail are kept.
	Lines []Line
	size  int // bytes of their text
	// torn: the log ends in the middle of a line.
	torn bool
	// earlier is the last run in the log that broke off for a reason of its own.
	earlier *Run
	// failures are the lines with which the last earlier runs in the log failed.
	failures []string
}

// Diagnosis is a cause with its evidence and the way out: a finding whose ID is
// that of the catalogue ("F01"; "F00" for a failure that it does not know) and
// whose Name is its long form ("APPX_NOT_PROVISIONED"). The summary names the
// package, module or code.
type Diagnosis struct {
	finding.Finding
	Phase Phase `json:"phase"`
}

// Parser turns the bytes of a log into lines; the zero value is ready. It
// holds back what is not finished: half a line, half a character, and the last
// line, which may still be continued. It is not safe for concurrent use.
type Parser struct{ parser }

// Feed takes the next bytes of the log and returns the lines they finish.
func (p *Parser) Feed(b []byte) []Line { return p.feed(b) }

// SetCodePage says in which ANSI code page of Windows (CodePage) lines are read
// that are not valid UTF-8; without it in 1252.
func (p *Parser) SetCodePage(page int) { p.page = page }

// Flush returns what Feed holds back: call it at the end of the log.
func (p *Parser) Flush() []Line { return p.flush() }

// Tracker follows the log of one sysprep run while it grows. Feed it only what
// was written since the launch, and start a new one when the log was replaced.
// The zero value is ready.
type Tracker struct{ tracker }
