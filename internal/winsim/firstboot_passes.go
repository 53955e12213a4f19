package winsim

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/setuplog"
)

// A first boot that goes through its passes: specialize, a restart, and oobeSystem
// where the answer file has it. The values of Scenario.FirstBoot say how it goes.
const (
	FirstBootPasses  = "passes"  // well
	FirstBootHangs   = "hangs"   // a provider of specialize does not end
	FirstBootFails   = "fails"   // specialize refuses the product key
	FirstBootRefused = "refused" // specialize refuses a setting of the answer file
)

var firstBoots = []string{FirstBootDialogs, FirstBootDone, FirstBootPasses, FirstBootHangs, FirstBootFails, FirstBootRefused}

// Folders of the logs of Windows Setup.
const (
	folderSetup  = `\Windows\Panther`
	folderOOBE   = folderSetup + `\UnattendGC`
	mostNameSize = 15 // characters of a ComputerName
)

// passTakes is how long a pass takes where Scenario.SetupFor does not say.
const passTakes = 4 * time.Second

// walks says whether the scenario is one of a first boot through its passes.
func (s Scenario) walks() bool {
	return s.FirstBoot != FirstBootDialogs && s.FirstBoot != FirstBootDone
}

// Settled is closed when a first boot through its passes has come to a running
// Windows; one that has not begun here never closes it.
func (g *Guest) Settled() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.settled == nil {
		g.settled = make(chan struct{})
	}
	return g.settled
}

// settle closes Settled, for this boot.
func (g *Guest) settle() {
	g.Settled()
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.settled)
}

// written is after something that Windows flushes to its disk.
func (g *Guest) written(errs ...error) error {
	err := errors.Join(append(errs, g.Flush())...)
	if g.opt.Sync != nil {
		g.opt.Sync()
	}
	return err
}

// setupLog adds lines to the logs of Windows Setup in a folder.
func (g *Guest) setupLog(folder string, lines ...setuplog.Line) error {
	var all, errs strings.Builder
	for _, l := range lines {
		text := g.logText(l, g.now())
		all.WriteString(text)
		if l.Level == setuplog.Error {
			errs.WriteString(text)
		}
	}
	for name, text := range map[string]string{"setupact.log": all.String(), "setuperr.log": errs.String()} {
		path := folder + `\` + name
		before, err := g.drive.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			before, err = []byte(setuplog.BOM), nil
		}
		if err == nil {
			err = g.drive.WriteFile(path, append(before, text...))
		}
		if err != nil {
			return fmt.Errorf("writing %s: %w", path, err)
		}
	}
	return nil
}

// walk begins the first boot, or goes on with it after the restart between its
// passes.
func (g *Guest) walk() error {
	g.mu.Lock()
	g.inDialogs = true
	g.mu.Unlock()
	if g.imageState() == imageSpecializedOOBE {
		return g.walkOOBE()
	}
	g.reg.SetDWord(keySetup, "SystemSetupInProgress", 1)
	g.reg.SetDWord(keySetup, "OOBEInProgress", 1)
	g.reg.SetDWord(keyCompletion, "setup.exe", 1)
	g.logf("first boot: specialize")
	err := g.written(g.setImageState(imageUndeployable), g.setupLog(folderSetup, append(setuplog.FirstBootBegins(), setuplog.Specializes())...))
	g.passing(g.walkSpecialize)
	return err
}

// passing does what comes when a pass has taken its time.
func (g *Guest) passing(next func() error) {
	session := g.session()
	g.goDo(func() {
		if !g.sleep(session, g.scenario.SetupFor.or(passTakes)) {
			return
		}
		if err := next(); err != nil {
			g.logf("first boot: %v", err)
		}
	})
}

func (g *Guest) walkSpecialize() error {
	component, setting := g.refusedSetting()
	switch {
	case g.scenario.FirstBoot == FirstBootHangs:
		g.logf("first boot: specialize stands still")
		return nil
	case g.scenario.FirstBoot == FirstBootFails:
		return g.boxed(setuplog.BoxCouldNot, setuplog.ProductKeyRefused())
	case component != "":
		return g.boxed(fmt.Sprintf(setuplog.BoxAnswers, component), setuplog.AnswersRefused(component, setting))
	}
	g.runs("specialize", "SYSTEM", g.pass("specialize").commands)
	g.reg.SetDWord(keySysprep, "GeneralizationState", 7)
	g.reg.SetDWord(keyCompletion, "setup.exe", 3)
	g.reg.SetDWord(keyCompletion, "oobeldr.exe", 0)
	g.logf("first boot: specialize is over")
	err := g.written(g.setImageState(imageSpecializedOOBE), g.setupLog(folderSetup, setuplog.Specialized()))
	g.beginShutdown(Reboot, 0)
	return err
}

// boxed is a first boot that has failed: a message box waits, and nothing goes on.
func (g *Guest) boxed(text string, lines []setuplog.Line) error {
	err := g.written(g.setupLog(folderSetup, lines...))
	g.logf("message box: %s", text)
	return err
}

// refusedSetting is the setting of pass specialize that is not taken; empty: all are.
func (g *Guest) refusedSetting() (component, setting string) {
	const shell = "Microsoft-Windows-Shell-Setup"
	if name := g.settings("specialize").computerName; len(name) > mostNameSize || g.scenario.FirstBoot == FirstBootRefused {
		return shell, "ComputerName"
	}
	return "", ""
}

// walkOOBE is the part after the restart. Without a pass oobeSystem it waits for a
// person.
func (g *Guest) walkOOBE() error {
	g.logf("first boot: OOBE")
	err := g.written(g.setupLog(folderOOBE, setuplog.OOBEBegins()...))
	if !g.settings("oobeSystem").there {
		return err
	}
	g.passing(func() error {
		g.runs("oobeSystem", "SYSTEM", g.pass("oobeSystem").commands)
		g.endSetup()
		g.reg.SetDWord(keyCompletion, "oobeldr.exe", 3)
		err := g.written(g.setImageState(imageComplete), g.setupLog(folderOOBE, setuplog.OOBEEnds()...))
		g.logf("first boot: Windows is set up")
		g.settle()
		return err
	})
	return err
}
