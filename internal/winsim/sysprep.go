package winsim

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/setuplog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/winfs"
)

// sysprepOptions is a parsed command line of sysprep.exe.
type sysprepOptions struct {
	names                          []string // as the log lists them
	oobe, audit, generalize, vm    bool
	reboot, shutdown, quit, quiet  bool
	unattend                       string
	malformed, empty, inconsistent bool
}

// parseSysprep reads the arguments. An option is introduced by a slash or a
// dash; anything else is the malformed line of an unquoted blank.
func parseSysprep(argv []string) sysprepOptions {
	o := sysprepOptions{empty: len(argv) == 0}
	for _, a := range argv {
		if a == "" || (a[0] != '/' && a[0] != '-') {
			o.malformed = true
			return o
		}
		name, value, hasValue := strings.Cut(a[1:], ":")
		name = strings.ToUpper(name)
		switch {
		case name == "MODE" && strings.EqualFold(value, "vm"):
			o.vm = true
		case name == "UNATTEND" && value != "":
			o.unattend = value
		case hasValue:
			o.inconsistent = true
		case name == "OOBE":
			o.oobe = true
		case name == "AUDIT":
			o.audit = true
		case name == "GENERALIZE":
			o.generalize = true
		case name == "REBOOT":
			o.reboot = true
		case name == "SHUTDOWN":
			o.shutdown = true
		case name == "QUIT":
			o.quit = true
		case name == "QUIET":
			o.quiet = true
		default:
			o.inconsistent = true
		}
		o.names = append(o.names, name)
	}
	actions := 0
	for _, set := range []bool{o.reboot, o.shutdown, o.quit} {
		if set {
			actions++
		}
	}
	// What sysprep does without an action, or with two, is not known.
	o.inconsistent = o.inconsistent || (o.oobe && o.audit) || (!o.empty && actions != 1)
	return o
}

// preparation is one run of sysprep.
type preparation struct {
	g   *Guest
	ctx context.Context
	opt sysprepOptions
	run setuplog.Run
	err error // of writing the log
}

// sysprep is sysprep.exe. Its exit codes are not documented: 1 after a
// failure, as was seen.
func (g *Guest) sysprep(ctx context.Context, c *call) int {
	opt := parseSysprep(c.Argv())
	if opt.inconsistent {
		g.refuse("sysprep %s", c.Args)
	}
	g.logf("sysprep %s", c.Args)
	g.mu.Lock()
	g.starts = append(g.starts, c.user+": "+c.Args)
	g.mu.Unlock()
	if others := g.processes("sysprep.exe"); len(others) > 1 {
		return 1 // one instance only; it leaves no word in the log
	}
	p := &preparation{g: g, ctx: ctx, opt: opt, run: setuplog.Run{Options: opt.names, VM: opt.vm, Privileged: g.isAdmin(c.user, c.filtered)}}
	if f, ok := p.failure(); ok && f.Class == "F53" {
		p.run.Privileged = false
	}
	code := p.main(c)
	if p.err != nil {
		g.logf("sysprep: %v", p.err)
	}
	return code
}

// failure is the class this run shall fail with.
func (p *preparation) failure() (setuplog.Failure, bool) {
	s := p.g.scenario
	if s.Outcome != Refused && s.Outcome != Broken {
		return setuplog.Failure{}, false
	}
	return setuplog.Find(s.Class)
}

// logText is a line of setupact.log, which names the drive of this Windows.
func (g *Guest) logText(l setuplog.Line, at time.Time) string {
	return strings.ReplaceAll(l.Format(at), `C:\`, g.full(`\`))
}

// log writes lines to setupact.log, and errors to setuperr.log too.
func (p *preparation) log(lines ...setuplog.Line) {
	var all, errs strings.Builder
	for _, l := range lines {
		text := p.g.logText(l, p.g.now())
		all.WriteString(text)
		if l.Level == setuplog.Error {
			errs.WriteString(text)
		}
	}
	for _, file := range [][2]string{{fileActLog, all.String()}, {fileErrLog, errs.String()}} {
		if p.g.drive.IsFile(file[0]) {
			p.err = errors.Join(p.err, p.g.drive.Append(file[0], []byte(file[1])))
		} else {
			p.err = errors.Join(p.err, p.g.drive.Append(file[0], []byte(setuplog.BOM+file[1])))
		}
	}
}

// dialog is a message box nobody sees: the process lives until it is killed.
func (p *preparation) dialog(text string) int {
	p.g.logf("sysprep shows a dialog: %s", text)
	<-p.ctx.Done()
	return 1
}

func (p *preparation) end() int {
	p.log(setuplog.End(p.g.now())...)
	return 1
}

// pace lets d pass in parts, as long as the session lives.
func (p *preparation) pace(d time.Duration, parts int) bool {
	return p.g.sleep(p.ctx, d/time.Duration(max(parts, 1)))
}

func (p *preparation) main(c *call) int {
	g := p.g
	if p.opt.empty {
		return p.dialog("the System Preparation Tool window")
	}
	g.reached(AtLaunch)
	if !p.pace(time.Duration(g.scenario.LateFirstLine), 1) {
		return 1
	}
	p.log(p.run.Begin(p.g.now())...)
	if !p.run.Privileged {
		return p.end()
	}
	err := g.drive.Remove(fileTag)
	p.run.TagDeleted = err == nil
	p.log(p.run.Tag())
	p.log(p.run.CommandLine()...)
	if p.opt.malformed || p.opt.inconsistent {
		p.log(setuplog.Malformed()...)
		if p.opt.quiet && g.scenario.QuietHidesUsage {
			return p.end()
		}
		return p.dialog("usage")
	}
	failure, fails := p.failure()
	answers, hr := p.answerFile(c.Dir)
	switch {
	case fails && failure.Class == "F60":
		p.log(failure.Lines(nil)...)
		return p.refused()
	case hr != 0:
		p.log(setuplog.InvalidAnswerFile(hr)...)
		return p.refused()
	}
	if p.opt.vm {
		g.reg.SetString(keySysprepMode, "SysprepMode", "vm")
	}
	if !p.validate(failure, fails) {
		return p.refused()
	}
	if g.scenario.Outcome == Hang && g.scenario.HangIn != "" && g.scenario.HangIn != "generalize" {
		return p.dialog("hang in " + g.scenario.HangIn)
	}
	if answers != nil {
		if err := g.drive.WriteFile(fileAnswers, answers); err != nil {
			g.logf("sysprep: caching the answer file: %v", err)
		}
	}
	if state, _ := g.reg.GetDWord(keySysprep, "GeneralizationState"); p.opt.generalize && state != 7 {
		f, _ := setuplog.Find("F32")
		p.log(f.Lines(nil)...)
		return p.refused()
	}
	if !p.change(failure, fails) {
		return p.refused()
	}
	return p.finish()
}

// refused ends a failed run: /quiet ends the log, without it a dialog waits.
func (p *preparation) refused() int {
	if p.ctx.Err() != nil {
		return 1
	}
	if !p.opt.quiet {
		return p.dialog("Sysprep was not able to validate your Windows installation.")
	}
	return p.end()
}

// answerFile reads the file of /unattend. The codes are those of Windows for
// a missing file, and a plausible one for text that is no XML.
func (p *preparation) answerFile(dir string) (content []byte, hr uint32) {
	if p.opt.unattend == "" {
		return nil, 0
	}
	full, err := winfs.Clean(p.opt.unattend, dir)
	if err == nil {
		content, err = p.g.drive.ReadFile(full)
	}
	if err != nil {
		return nil, 0x80070002
	}
	d := xml.NewDecoder(strings.NewReader(string(content)))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	root := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && root {
			return content, 0
		}
		if err != nil {
			return nil, 0x80220003
		}
		if e, ok := token.(xml.StartElement); ok && !root {
			if e.Name.Local != "unattend" {
				return nil, 0x80220003
			}
			root = true
		}
	}
}

// validate runs the pre-validation, which changes nothing.
func (p *preparation) validate(f setuplog.Failure, fails bool) bool {
	total := orElse(p.g.scenario.Validate, p.g.durations().validate)
	fails = fails && f.Phase != setuplog.Provider
	if fails && f.Phase == setuplog.Command {
		p.log(f.Lines(nil)...)
		return false
	}
	p.log(p.run.ValidateCleanup()...)
	if p.g.scenario.Outcome == Hang && p.g.scenario.HangIn == "validate" {
		return true // main hangs
	}
	if !p.pace(total, 2) {
		return false
	}
	if fails && f.Cleanup {
		p.log(f.Lines(p.g.scenario.Packages)...)
		return false
	}
	p.log(p.run.CleanupValid()...)
	if p.opt.generalize {
		p.log(p.run.ValidateGeneralize()...)
	}
	if !p.pace(total, 2) {
		return false
	}
	if fails {
		p.log(f.Lines(p.g.scenario.Packages)...)
		return false
	}
	if p.opt.generalize {
		p.log(p.run.GeneralizeValid()...)
	}
	return true
}

// change runs the cleanup and generalize phases, which cannot be undone.
func (p *preparation) change(f setuplog.Failure, fails bool) bool {
	g := p.g
	g.reached(AtGeneralize)
	g.thaw(p.ctx)
	if err := g.setImageState(imageUndeployable); err != nil {
		g.logf("sysprep: %v", err)
	}
	p.log(setuplog.Noise()[0])
	if p.opt.generalize {
		g.reg.SetDWord(keySysprep, "GeneralizationState", 3)
	}
	steps := p.run.Cleanup()
	middle := len(steps)
	if p.opt.generalize {
		steps = append(steps, p.run.GeneralizePhase()...)
	}
	total := orElse(g.scenario.Generalize, g.durations().generalize)
	if g.scenario.Outcome == Slow {
		total *= 10
	}
	for i, lines := range steps {
		if fails && ((f.Cleanup && i == middle/2) || (!f.Cleanup && i == (middle+len(steps))/2)) {
			p.log(f.Lines(g.scenario.Packages)...)
			return false
		}
		p.log(lines...)
		if i == middle {
			p.winrmDies()
		}
		if g.scenario.Outcome == Hang && i >= (middle+len(steps))/2 {
			p.dialog("hang in generalize")
			return false
		}
		if !p.pace(total, len(steps)) {
			return false
		}
	}
	p.log(setuplog.Noise()[1:]...)
	return true
}

func (p *preparation) winrmDies() {
	if s := p.g.scenario; s.WinRMDies != WinRMUp {
		p.g.winRM(s.WinRMDies, time.Duration(s.WinRMBack), WinRMUp)
	}
}

// markGeneralized writes what a generalized machine has in its registry.
func (g *Guest) markGeneralized(audit bool) {
	g.reg.SetDWord(keySysprep, "GeneralizationState", 4)
	g.reg.SetDWord(keySysprep, "CleanupState", 2)
	if !g.scenario.Unarmed {
		g.reg.SetDWord(keySetup, "SetupType", 2)
		g.reg.SetString(keySetup, "CmdLine", `oobe\windeploy.exe`)
	}
	if g.scenario.OOBEInProgress {
		g.reg.SetDWord(keySetup, "OOBEInProgress", 1)
	}
	g.reg.SetDWord(keyCompletion, "setup.exe", 0)
	auditBoot := uint32(0)
	if audit {
		auditBoot = 1
	}
	g.reg.SetDWord(keyStatus, "AuditBoot", auditBoot)
}

// finish writes the new state, the tag and the end of the log, and ends as
// the command line says.
func (p *preparation) finish() int {
	g := p.g
	state := imageSpecializedOOBE
	if p.opt.audit {
		state = imageSpecializedAudit
	}
	if p.opt.generalize {
		g.markGeneralized(p.opt.audit)
		state = imageGeneralizedOOBE
		if p.opt.audit {
			state = imageGeneralizedAudit
		}
		if !p.opt.vm {
			g.reg.DeleteValue(keySysprepMode, "SysprepMode")
		}
		entries, _ := g.drive.ReadDir(folderEvents)
		for _, e := range entries {
			if err := g.clearEventLog(folderEvents + `\` + e.Name()); err != nil {
				g.logf("sysprep: clearing %s: %v", e.Name(), err)
			}
		}
	}
	err := g.setImageState(state)
	if err == nil {
		err = g.Flush()
	}
	if err == nil {
		err = g.drive.WriteFile(fileTag, nil)
	}
	if err != nil {
		g.logf("sysprep: %v", err)
		return 1
	}
	p.log(setuplog.TagCreated())
	g.reached(AtTag)
	g.thaw(p.ctx)
	event, down := PowerOff, !p.opt.quit
	if down {
		if p.opt.reboot || g.scenario.RestartsInstead {
			event = Reboot
		}
		p.log(setuplog.ShutdownCalled(p.opt.reboot))
	}
	p.log(setuplog.End(p.g.now())...)
	p.afterwards()
	if down {
		if code := g.beginShutdown(event, 0); code != 0 {
			g.logf("sysprep: shutting down: error %d", code)
		}
	}
	return 0
}
