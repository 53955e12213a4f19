package diagnosis

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// Source is what a log is a log of.
type Source string

// Sources of logs that explain a run or a first boot.
const (
	OfSysprep   Source = "sysprep"
	OfSetup     Source = "setup"     // Windows Setup: specialize and OOBE
	OfServicing Source = "servicing" // CBS.log, dism.log
	OfApps      Source = "apps"      // events of app deployment, as text
	OfNothing   Source = ""          // no log that is known
)

// Log is one log of a collection: its last run, or its last part.
type Log struct {
	Name string
	Of   Source
	Run  Run
	// Says is what the text means, where it is no log and that is known.
	Says string
	// Page is the code page that it was read in where it is not Unicode; one that was
	// given has no reason.
	Page Page
}

// Reading reads a log of a collection piece by piece.
type Reading struct {
	name    string
	of      Source
	tracker Tracker
	// events: what was read so far is a list of events, of which each line is one
	// of its own; known from the first line with text.
	events, begun bool
	said          said
	pages         pageSniffer
}

// NewReading begins to read the log of that name (a path); page is the guest's
// ANSI code page, 0 where it is not known.
func NewReading(name string, page int) *Reading {
	r := &Reading{name: name, of: sourceOf(name)}
	r.tracker.parser.page, r.pages.given = page, page
	return r
}

// Write takes the next bytes.
func (r *Reading) Write(b []byte) (int, error) {
	n := len(b)
	r.take(r.pages.feed(b))
	return n, nil
}

// take takes bytes of which the code page is known.
func (r *Reading) take(b []byte) {
	if r.pages.given == 0 {
		r.tracker.parser.page = r.pages.page.Number
	}
	if !r.begun && r.of == OfApps && len(b) > 0 {
		r.begun = true
		first := Parse(b[:min(len(b), maxSniff)])
		r.events = !Run{Lines: first}.readable()
		r.tracker.parser.plain = r.events
	}
	r.tracker.Feed(b)
	r.said.read(b)
}

// maxSniff is as much of a text as tells whether it is a log of Windows Setup.
const maxSniff = 4 << 10

// ReadLog reads a log of that name.
func ReadLog(name string, content []byte) Log {
	r := NewReading(name, 0)
	_, _ = r.Write(content) // has no errors
	return r.Log()
}

// Log ends the log. What is in it counts, and then its name: "appx-failure.log"
// may well be a log of sysprep.
func (r *Reading) Log() Log {
	r.take(r.pages.end())
	r.tracker.Flush()
	l := Log{Name: r.name, Of: r.of, Run: r.tracker.Run(), Page: r.pages.page}
	p := l.Run.Progress
	switch {
	case p.Lines == 0:
	case !l.Run.readable():
		l.Says = r.without(l.Run)
		if run, ok := r.said.stands(path.Base(strings.ReplaceAll(r.name, `\`, "/"))); ok {
			l.Of, l.Run = OfSetup, run
		}
	case p.Runs > 0 || len(p.Options) > 0:
		l.Of = OfSysprep
	case l.Of == OfApps && r.events:
	case l.Of == OfServicing && !slices.ContainsFunc(l.Run.Lines, ofSysprep):
		l.Says = otherLogs["CBS"]
	case ofOthers(l.Run.Lines) != "":
		if l.Says = otherLogs[ofOthers(l.Run.Lines)]; l.Says == otherLogs["CBS"] {
			l.Of = OfServicing
		} else {
			l.Of = OfNothing
		}
	case isFirstBoot(l.Run, failure{end: -1}):
		l.Of = OfSetup
	default:
		l.Of = OfSysprep
	}
	return l
}

// readable says whether a run has lines as Windows Setup writes them.
func (r Run) readable() bool {
	return slices.ContainsFunc(r.Lines, func(l Line) bool {
		return l.Level != "" || l.Component != "" || beginsRefusal(head(l.Message, maxHead)) || programLine.MatchString(head(l.Message, maxHead))
	})
}

func ofSysprep(l Line) bool { return l.Component == "SYSPRP" }

// otherLogs are logs of Windows in the same form, by a component that no log of sysprep
// or of a first boot has without its own.
var otherLogs = map[string]string{
	"CBS":   "it is a log of servicing (CBS.log, dism.log), which only explains what sysprep's own log points to: run diagnose with the folder of setupact.log as well, " + sysprepLog,
	"MOUPG": "it is a log of an upgrade of Windows (setup.exe of a feature update), not of sysprep or a first boot; Microsoft's SetupDiag explains it",
}

// ofOthers is the key of otherLogs for the lines of a log, empty where they may be those
// of sysprep or of a first boot.
func ofOthers(lines []Line) string {
	other := ""
	for _, l := range lines {
		switch l.Component {
		case "SYSPRP", "IBS", "IBSLIB":
			return ""
		case "CBS", "CSI", "DISM":
			other = cmp.Or(other, "CBS")
		case "MOUPG":
			other = "MOUPG"
		case "":
			if who, _ := writer(head(l.Message, maxHead)); who != "" {
				return ""
			}
		}
	}
	return other
}

// sourceOf tells logs by their names, where those are enough: both sysprep and
// Windows Setup write a setupact.log.
func sourceOf(name string) Source {
	file := strings.ToLower(path.Base(strings.ReplaceAll(name, `\`, "/")))
	switch {
	case strings.HasPrefix(file, "cbs") || strings.HasPrefix(file, "dism"):
		return OfServicing
	case strings.Contains(file, "appx"):
		return OfApps
	}
	return OfNothing
}

// IsLog says whether a file of a collection is one of the logs that are read, by
// its name.
func IsLog(name string) bool {
	file := strings.ToLower(path.Base(strings.ReplaceAll(name, `\`, "/")))
	ext := path.Ext(file)
	switch {
	case strings.HasPrefix(file, "setupact") || strings.HasPrefix(file, "setuperr"):
		return ext == ".log" || ext == ".old" || ext == ".txt"
	case slices.Contains([]string{"specialize.log", "firstlogon.log", "useronce.log", "defaultuser.log"}, file):
		return true // of scripts of an answer file (said.go)
	case sourceOf(file) == OfServicing:
		return ext == ".log"
	case sourceOf(file) == OfApps:
		return ext == ".txt" || ext == ".log" || ext == ".csv"
	}
	return false
}
