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

// preparation is one run of sysprep.
type preparation struct {
	g   *Guest
	ctx context.Context
	opt sysprepOptions
	run setuplog.Run
	err error // of writing the log
	// scenario is how this run goes. One that is past was before the guest was
	// found: it takes no time, and no power.
	scenario Scenario
	past     bool
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
	if g.replay != nil {
		return g.replayRun(ctx)
	}
	if others := g.processes("sysprep.exe"); len(others) > 1 {
		return 1 // one instance only; it leaves no word in the log
	}
	p := &preparation{g: g, ctx: ctx, opt: opt, scenario: g.scenario, run: setuplog.Run{Options: opt.names, VM: opt.vm, Privileged: g.isAdmin(c.user, c.filtered)}}
	p.meet(c.Dir)
	if f, ok := p.failure(); ok && f.Class == "F53" {
		p.run.Privileged = false
	}
	code := p.main(c.Dir)
	if p.err != nil {
		g.logf("sysprep: %v", p.err)
	}
	return code
}

// failure is the class this run shall fail with.
func (p *preparation) failure() (setuplog.Failure, bool) {
	s := p.scenario
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
		text := p.g.logText(l, p.now())
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
	p.log(setuplog.End(p.now())...)
	return 1
}

// pace lets d pass in parts, as long as the session lives.
func (p *preparation) pace(d time.Duration, parts int) bool {
	return p.past || p.g.sleep(p.ctx, d/time.Duration(max(parts, 1)))
}

// now is when the run writes to its log.
func (p *preparation) now() time.Time {
	if p.past {
		return p.g.now().Add(-before)
	}
	return p.g.now()
}

// reached is called at each stage of the run.
func (p *preparation) reached(stage Stage) {
	if !p.past {
		p.g.reached(stage)
		p.g.thaw(p.ctx)
	}
}

// main is the run, of a sysprep started in that folder; it returns the exit code.
func (p *preparation) main(dir string) int {
	g := p.g
	if p.opt.empty {
		return p.dialog("the System Preparation Tool window")
	}
	p.reached(AtLaunch)
	if !p.pace(time.Duration(p.scenario.LateFirstLine), 1) {
		return 1
	}
	p.log(p.run.Begin(p.now())...)
	if !p.run.Privileged {
		return p.end()
	}
	err := g.drive.Remove(fileTag)
	p.run.TagDeleted = err == nil
	p.log(p.run.Tag())
	p.log(p.run.CommandLine()...)
	if p.opt.malformed || p.opt.inconsistent {
		p.log(setuplog.Malformed()...)
		if p.opt.quiet && p.scenario.QuietHidesUsage {
			return p.end()
		}
		return p.dialog("usage")
	}
	failure, fails := p.failure()
	answers, hr := p.answerFile(dir)
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
	if p.scenario.Outcome == Hang && (p.scenario.HangIn == "validate" || p.scenario.HangIn == "dialog") {
		return p.dialog("hang in " + p.scenario.HangIn)
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
