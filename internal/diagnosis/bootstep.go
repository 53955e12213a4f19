package diagnosis

import (
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/secrets"
)

// What a first boot is at: Windows Setup writes that it begins something (a command of
// the answer file, a script, a component, the screens of OOBE), and that it ended. What
// has begun and not ended is where the boot stands. Seen in public logs are the lines of
// the action queue (GoogleCloudPlatform/compute-image-windows #156), of the domain join,
// of oobeldr.exe and msoobe.exe, and RunUserProvidedScript of windeploy.exe. The words
// around a single command of the answer file are known from no complete log, so that any
// usual verb counts, and what rests on them is unconfirmed.

// stepKind is what was begun, the least telling first.
type stepKind uint8

const (
	stepProgram   stepKind = iota // a program of Windows Setup
	stepPass                      // a pass of the answer file
	stepWait                      // the log says that something is waited for
	stepComponent                 // the settings of a component
	stepOOBE
	stepJoin
	stepScript // SetupComplete.cmd
	stepCommand
)

// bootStep is something that a first boot has begun.
type bootStep struct {
	kind stepKind
	by   string // who wrote the line, in lower case
	// text is the command or what else was begun, without secrets.
	text string
	// list is that of the answer file which a command is in, about its description.
	list, order, about string
	pass               string
	// async: Windows Setup does not wait for it.
	async bool
	since time.Time
	line  string
}

// boot is what a log says of a first boot. A value is not changed once made.
type boot struct {
	open []bootStep // what was begun and has not ended, the outermost first
	pass string     // the pass that is at work
	at   time.Time  // of the line that began the boot or its pass
	line string
	over bool // Windows Setup ended the boot, or its part of it
	// domain is the one that the machine is to join.
	domain string
}

const maxOpenSteps = 8

// after is what is known of a boot after one more line. Of most lines it is b.
func (b *boot) after(l Line) *boot {
	if l.Component == "SYSPRP" || l.Component == "CSI" || l.Component == "CBS" {
		return b
	}
	who, message := writer(l.start())
	low := strings.ToLower(message)
	if who == "" && !strings.HasPrefix(l.Component, "IBS") {
		return b
	}
	waits := b != nil && slices.ContainsFunc(b.open, func(s bootStep) bool { return s.kind == stepWait && s.by == who })
	began, ended := begunBy(l, who, message, low), ends(low)
	if began == nil && !waits && !ended && !contains(low, turnWords) {
		return b
	}
	var next boot
	if b != nil {
		next = *b
	}
	next.open = slices.DeleteFunc(slices.Clone(next.open), func(s bootStep) bool { return s.kind == stepWait && s.by == who })
	switch {
	case next.turns(l, low):
	case strings.Contains(low, textDeploy) || strings.Contains(low, "setup has started phase") || strings.Contains(low, ".exe launched with command-line"):
		next.begin(l)
		if strings.HasPrefix(who, "oobeldr.exe") {
			next.pass = passOOBE
		}
	case strings.Contains(low, textDomain):
		next.domain = shown(message[min(len(message), strings.Index(low, textDomain)+len(textDomain)):])
	case began != nil:
		next.push(*began, l)
	case ended && b != nil:
		next.end(who, low)
	case b == nil:
		return b
	}
	return &next
}

// textDomain stands before the name of the domain that a machine is to join.
const textDomain = "calling dsgetdcname for "

// turnWords are of the lines that tell where a whole boot is.
var turnWords = []string{"--> [image_state_", "setup has completed phase", textDeploy, "setup has started phase", ".exe launched with command-line", textDomain}

func (b *boot) begin(l Line) { b.at, b.line, b.over = l.Time, l.Raw, false }

const (
	passSpecialize = "specialize"
	passOOBE       = "oobeSystem"
)

// turns takes a line that says of the whole boot where it is.
func (b *boot) turns(l Line, low string) bool {
	_, state, ok := strings.Cut(low, "--> [image_state_")
	switch {
	case strings.Contains(low, "setup has completed phase"):
		b.open, b.over, b.pass = nil, true, ""
	case !ok:
		return false
	case strings.HasPrefix(state, "undeployable"):
		b.begin(l)
		b.pass = passSpecialize
		if strings.Contains(low, "[image_state_specialize_reseal_to_oobe] -->") {
			b.pass = passOOBE
		}
	default:
		b.open, b.over, b.pass = nil, true, ""
	}
	return true
}

func (b *boot) push(s bootStep, l Line) {
	if s.kind == stepJoin {
		s.about = b.domain
	}
	if s.pass == "" && s.kind != stepScript {
		s.pass = b.pass
	}
	// A writer goes on to its next step when the one before has ended, except from a
	// pass to what belongs to it.
	if i := slices.IndexFunc(b.open, func(o bootStep) bool { return o.by == s.by && (o.kind != stepPass || s.kind == stepPass) && !o.async }); i >= 0 {
		if again := b.open[i]; again.kind == stepJoin && s.kind == stepJoin {
			s.since = again.since // tried again
		}
		b.open = b.open[:i]
	}
	if s.pass != "" {
		b.pass = s.pass
	}
	if b.at.IsZero() && b.line == "" {
		b.begin(l)
	}
	if len(b.open) < maxOpenSteps {
		b.open = append(b.open, s)
	}
}

// end takes off what a line says has ended, and what was begun inside it.
func (b *boot) end(who, low string) {
	for i := len(b.open) - 1; i >= 0; i-- {
		if s := b.open[i]; s.by == who || s.text != "" && strings.Contains(low, strings.ToLower(s.text)) || s.kind == stepOOBE && strings.Contains(low, "msoobe.exe") {
			b.open = b.open[:i]
			return
		}
	}
	// Who starts the programs of a first boot says that one of them has ended.
	if strings.HasPrefix(who, "windeploy.exe") && (strings.Contains(low, "exit") || strings.Contains(low, "returned")) {
		b.open = nil
		b.over = b.over || strings.Contains(low, "windeploy.exe exiting")
	}
}

// top is what the boot stands in; of several open steps the innermost that Windows Setup
// waits for.
func (b *boot) top() (bootStep, bool) {
	if b == nil || len(b.open) == 0 {
		return bootStep{}, false
	}
	for _, s := range slices.Backward(b.open) {
		if !s.async {
			return s, true
		}
	}
	return b.open[len(b.open)-1], true
}

// unfinished says whether the boot began and neither ended nor stands in a step.
func (b *boot) unfinished() bool { return b != nil && !b.over && b.line != "" && len(b.open) == 0 }

// writer is who wrote a line, the programs in brackets at its begin in lower case, and
// what is left of it.
func writer(message string) (who, rest string) {
	for rest = message; strings.HasPrefix(rest, "["); {
		name, after, ok := strings.Cut(rest[1:], "]")
		if name = strings.ToLower(name); !ok || len(name) > 40 || !strings.HasSuffix(name, ".exe") && name != "action queue" && name != "shell unattend" && name != "setup" {
			break
		}
		who += name + " "
		rest = strings.TrimLeft(after, " :")
	}
	return strings.TrimSpace(who), rest
}

// shown is a text of a log for a sentence.
func shown(text string) string {
	text = strings.Join(strings.Fields(secrets.Scrub(text)), " ")
	return budget.Cut(strings.TrimRight(strings.TrimSuffix(text, "..."), " .,;"), maxName)
}
