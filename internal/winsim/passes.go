package winsim

import (
	"cmp"
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/cmdshell"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/setuplog"
)

// The answer file that Windows keeps is consumed by its passes: a generalized image
// boots through specialize and oobeSystem, and with Reseal in audit mode on through
// auditSystem and auditUser (Microsoft, "How Configuration Passes Work").

// answers is what this guest understands of an answer file.
type answers struct {
	Settings []struct {
		Pass       string `xml:"pass,attr"`
		Processed  string `xml:"wasPassProcessed,attr"`
		Components []struct {
			Name         string `xml:"name,attr"`
			ComputerName string
			Commands     []struct {
				Order string
				Path  string
			} `xml:"RunSynchronous>RunSynchronousCommand"`
			Reseal, Generalize *reseal
		} `xml:"component"`
	} `xml:"settings"`
}

// reseal is Reseal and Generalize of Microsoft-Windows-Deployment.
type reseal struct{ Mode, ForceShutdownNow string }

func (r reseal) audit() bool     { return strings.EqualFold(r.Mode, "Audit") }
func (r reseal) shutsDown() bool { return strings.EqualFold(r.ForceShutdownNow, "true") }

// passSettings are those of Microsoft-Windows-Deployment in one pass.
type passSettings struct {
	commands           []string
	reseal, generalize *reseal
	computerName       string
	there              bool // the file has the pass, and it was not run
}

// toAudit says whether a pass leads to audit mode.
func (p passSettings) toAudit() bool { return p.reseal != nil && p.reseal.audit() }

// settings reads a pass of the cached answer file. A pass that was run is empty.
func (g *Guest) settings(pass string) (p passSettings) {
	content, err := g.drive.ReadFile(fileAnswers)
	if errors.Is(err, fs.ErrNotExist) {
		return p
	}
	var file answers
	if err == nil {
		d := xml.NewDecoder(strings.NewReader(string(content)))
		d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
		err = d.Decode(&file)
	}
	if err != nil {
		g.logf("pass %s: %v", pass, err)
		return p
	}
	type command struct {
		order int
		path  string
	}
	var commands []command
	for _, s := range file.Settings {
		if s.Pass != pass || s.Processed == "true" {
			continue
		}
		for _, c := range s.Components {
			p.there, p.computerName = true, cmp.Or(p.computerName, strings.TrimSpace(c.ComputerName))
			if c.Name != "Microsoft-Windows-Deployment" {
				continue
			}
			p.reseal, p.generalize = cmp.Or(p.reseal, c.Reseal), cmp.Or(p.generalize, c.Generalize)
			for _, r := range c.Commands {
				order, _ := strconv.Atoi(strings.TrimSpace(r.Order))
				commands = append(commands, command{order, strings.TrimSpace(r.Path)})
			}
		}
	}
	slices.SortStableFunc(commands, func(a, b command) int { return cmp.Compare(a.order, b.order) })
	for _, c := range commands {
		p.commands = append(p.commands, c.path)
	}
	return p
}

// pass is settings for a pass that begins: it is noted in the file that it was run,
// as Windows does.
func (g *Guest) pass(name string) passSettings {
	p := g.settings(name)
	content, err := g.drive.ReadFile(fileAnswers)
	if err != nil {
		return p
	}
	begun := strings.ReplaceAll(string(content), `<settings pass="`+name+`">`, `<settings pass="`+name+`" wasPassProcessed="true">`)
	if err := g.drive.WriteFile(fileAnswers, []byte(begun)); err != nil {
		g.logf("pass %s: %v", name, err)
	}
	return p
}

// runs runs the commands of a pass, one after the other, as the account of the pass.
func (g *Guest) runs(pass, user string, commands []string) {
	for _, line := range commands {
		g.logf("pass %s: %s", pass, line)
		name, args := splitCommand(line)
		c := &cmdshell.Call{Name: name, Args: args, Dir: g.full(folderSystem32), Env: g.environment(user), Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard, Console: g.console("")}
		if g.findProgram(name, c.Dir) == nil {
			g.refuse("pass %s: no such program: %s", pass, line)
			continue
		}
		_, run := g.prepare(g.session(), c, user)
		g.logf("pass %s: code %d", pass, run())
	}
}

// resealToAudit is specialize, and an oobeSystem that goes on to audit mode by a
// restart, or by a power-off.
func (g *Guest) resealToAudit() error {
	g.runs("specialize", "SYSTEM", g.pass("specialize").commands)
	r := g.pass("oobeSystem").reseal
	g.logf("oobeSystem: on to audit mode")
	g.endSetup()
	g.reg.SetDWord(keyStatus, "AuditBoot", 1)
	event := Reboot
	if r.shutsDown() {
		event = PowerOff
	}
	err := errors.Join(g.setImageState(imageSpecializedAudit), g.Flush())
	g.beginShutdown(event, 0)
	return err
}

// audited begins auditSystem and auditUser, in which the built-in Administrator is
// logged on, and says whether the answer file has something for them. Generalize
// comes after everything else of auditUser.
func (g *Guest) audited() bool {
	system, user := g.settings("auditSystem"), g.settings("auditUser")
	if len(system.commands)+len(user.commands) == 0 && user.generalize == nil {
		return false
	}
	session := g.session()
	g.goDo(func() {
		g.runs("auditSystem", "SYSTEM", g.pass("auditSystem").commands)
		user := g.pass("auditUser")
		g.runs("auditUser", "Administrator", user.commands)
		switch {
		case session.Err() != nil || g.shuttingDown():
		case user.generalize == nil:
			g.openWindow()
		default:
			g.generalizes(*user.generalize)
		}
	})
	return true
}

// generalizes is what Generalize of auditUser does.
func (g *Guest) generalizes(how reseal) {
	arguments := []string{"/generalize", "/oobe", "/reboot", "/quiet"}
	if how.audit() {
		arguments[1] = "/audit"
	}
	if how.shutsDown() {
		arguments[2] = "/shutdown"
	}
	g.logf("auditUser: sysprep %s", strings.Join(arguments, " "))
	opt := parseSysprep(arguments)
	p := &preparation{g: g, ctx: g.session(), opt: opt, scenario: g.scenario, run: setuplog.Run{Options: opt.names, Privileged: true}}
	process := g.addProcess("sysprep.exe", strings.Join(arguments, " "), "Administrator", 1)
	defer g.removeProcess(process)
	if code := p.main(""); code != 0 {
		g.logf("auditUser: sysprep ended with %d (%v)", code, p.err)
	}
}

func (g *Guest) shuttingDown() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shutdown != nil || g.down
}
