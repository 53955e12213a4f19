package verdict

import (
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// look is one observation of a timeline, before it gets its time.
type look func(*Observation)

// at builds an observation some time after the launch.
func at(after time.Duration, looks ...look) Observation {
	o := Observation{At: start.Add(after), Reached: true, Port: PortOpen, Tag: No, Process: Yes}
	for _, l := range looks {
		l(&o)
	}
	return o
}

func state(s windows.State) look { return func(o *Observation) { o.ImageState = s } }

func tag(o *Observation) { o.Tag = Yes }

func ended(o *Observation) { o.Process = No }

// next gives what the next boot runs, ready what a generalized image runs.
func next(kind int, line string) look {
	return func(o *Observation) { o.SetupType, o.CmdLine = &kind, &line }
}

func ready(o *Observation) { next(2, `oobe\windeploy.exe`)(o) }

func gen(n int) look { return func(o *Observation) { o.GeneralizationState = &n } }

func silent(port Port) look {
	return func(o *Observation) {
		*o = Observation{At: o.At, Port: port, TransportErr: "connection refused"}
	}
}

// inVain is the last look, at a guest that does not answer.
func inVain(port Port) look {
	return func(o *Observation) {
		silent(port)(o)
		o.Last = true
	}
}

// log gives the facts of a log of n lines, changed by the given functions.
func log(n int, stage diagnosis.Stage, change ...func(*diagnosis.Progress)) look {
	return func(o *Observation) {
		o.Log = diagnosis.Progress{Runs: 1, Lines: n, Stage: stage, Options: []string{"OOBE", "GENERALIZE", "QUIT"}, LastLine: "the last line"}
		for _, c := range change {
			c(&o.Log)
		}
		o.LogBytes = int64(n) * 100
	}
}

func tagLogged(f *diagnosis.Progress) { f.TagCreated = true; f.Stage = diagnosis.StageDone }

func logClosed(f *diagnosis.Progress) { f.Closed = true }

func failure(kind diagnosis.Failure) func(*diagnosis.Progress) {
	return func(f *diagnosis.Progress) { f.Failure = kind; f.FailureLine = "Hit failure while" }
}
