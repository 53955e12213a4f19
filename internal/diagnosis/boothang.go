package diagnosis

import (
	"strconv"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/secrets"
)

// HangsInOOBE is the cause of a first boot that has come to OOBE and stands there.
const HangsInOOBE = "F120"

// kinds are the words for steps in the patterns of hangs.
var kinds = [...]string{
	stepProgram: "program", stepPass: "pass", stepWait: "wait", stepComponent: "component", stepOOBE: "oobe", stepJoin: "join", stepScript: "script", stepCommand: "command",
}

// hang is the cause of a first boot that stands in a step.
func (s bootStep) hang(p Progress) (Diagnosis, bool) {
	groups := map[string]string{"step": s.String(), "pass": s.pass, "code": "", "holds": s.about, "component": s.list}
	if s.kind == stepJoin {
		groups["domain"] = s.about
		groups["code"] = describeCode(hexCode(s.text))
		groups["join"] = joinAdvice(hexCode(s.text))
	}
	d, ok := ofBoot(kinds[s.kind], groups)
	if !ok {
		return Diagnosis{}, false
	}
	d.Summary += since(Step{Since: s.since})
	if !p.Last.IsZero() && p.Last.Sub(s.since) >= time.Second && !s.since.IsZero() {
		d.Summary += ", last line at " + p.Last.Format(time.DateTime)
	}
	if s.async {
		d.Note = "Windows Setup does not wait for a command of " + s.list + ": what the last line says may be what it waits for"
	}
	d.Evidence = appendShown(appendShown(nil, s.line), p.LastLine)
	return d, true
}

// ofBoot is the cause of a first boot that stands in a kind of step.
func ofBoot(kind string, groups map[string]string) (Diagnosis, bool) {
	what := "first boot, " + kind + ": "
	for _, c := range catalogue() {
		if c.hangs != nil && !c.external && c.hangs.MatchString(what) {
			return c.diagnosis(finding.Log, groups), true
		}
	}
	return Diagnosis{}, false
}

// joined are two notes.
func joined(note, other string) string {
	if note == "" {
		return other
	}
	return note + "; " + other
}

// hexCode is a code of the domain join as joinAdvice and describeCode read it: Windows
// writes some in decimal.
func hexCode(code string) string {
	if n, ok := parseCode(code); ok {
		return "0x" + strconv.FormatUint(uint64(n), 16)
	}
	return code
}

// String is the step in words, with all that the log says of it.
func (s bootStep) String() string {
	text := ""
	switch s.kind {
	case stepCommand:
		text = "a command of the answer file"
		if s.order != "" {
			text = "command " + s.order + " of the answer file"
		}
		if s.list != "" {
			text = strings.Replace(text, "of the answer file", "of "+s.list+" in the answer file", 1)
		}
		if s.about != "" {
			text += " (" + s.about + ")"
		}
	case stepScript:
		text = "SetupComplete.cmd"
	case stepComponent:
		return "the settings of " + s.list + ofPass(s.pass) + " (" + s.about + ")"
	case stepWait:
		return strconv.Quote(s.text) + ofPass(s.pass)
	case stepPass:
		return "pass " + s.pass + " of the answer file"
	case stepProgram:
		return "its program " + s.text + ofPass(s.pass)
	default:
		return ""
	}
	if s.text == "" || strings.EqualFold(s.text, text) {
		return text + ofPass(s.pass)
	}
	return text + ofPass(s.pass) + ": " + s.text
}

func ofPass(pass string) string {
	if pass == "" {
		return ""
	}
	return ", pass " + pass
}

// Standing is the step of a first boot that was begun last and has not ended, in words
// and without secrets; empty where there is none.
func (f Progress) Standing() string {
	s, ok := f.boot.top()
	if !ok {
		return ""
	}
	if text := s.String(); text != "" {
		return text
	}
	return kinds[s.kind]
}

// stoppedBoot says of a first boot that has begun, and neither failed nor ended nor
// stands in a step, where its log stops.
func stoppedBoot(r Run) (Diagnosis, bool) {
	p := r.Progress
	if !p.boot.unfinished() || p.Passed || p.Runs > 0 || p.Failure != NoFailure || len(r.Lines) == 0 {
		return Diagnosis{}, false
	}
	last := r.Lines[len(r.Lines)-1]
	groups := map[string]string{"step": strings.TrimPrefix(ofPass(p.boot.pass), ", ")}
	if groups["step"] == "" {
		groups["step"] = "its work"
	}
	d, ok := ofBoot("unfinished", groups)
	d.Summary += ": its log stops at " + strconv.Quote(budget.Cut(secrets.Scrub(last.Message), maxName)) + since(Step{Since: p.boot.at})
	if !p.Last.IsZero() {
		d.Summary += ", last line at " + p.Last.Format(time.DateTime)
	}
	d.Evidence = appendShown(appendShown(nil, p.boot.line), last.Raw)
	return d, ok
}

// FirstBootStands says in what a first boot stands still, from the logs of one machine,
// and which of them says it. What was written last counts: where a log says later that
// Windows Setup ended its part, the boot does not stand in an earlier step.
func FirstBootStands(logs ...Run) (d Diagnosis, at int, ok bool) {
	var last time.Time
	for i, run := range logs {
		p := run.Progress
		found, hangs := firstBootHang(p)
		if !hangs && !p.Passed || p.Last.Before(last) {
			continue
		}
		if hangs || p.Last.After(last) {
			d, at, ok, last = found, i, hangs, p.Last
		}
	}
	return d, at, ok
}
