package winsim

import (
	"strings"
	"testing"
	"time"
)

// deployed is a guest that was generalized with an answer file, before its first boot.
func deployed(t *testing.T, s Scenario, answers string) (*Guest, chan PowerEvent) {
	t.Helper()
	power := make(chan PowerEvent, 1)
	s.Validate, s.Generalize = Duration(time.Second), Duration(time.Second)
	g := newGuest(t, Options{Scenario: s, Speed: fast, Power: func(e PowerEvent) { power <- e }})
	if err := g.drive.WriteFile(`C:\unattend.xml`, []byte(answers)); err != nil {
		t.Fatal(err)
	}
	if out, code := do(g, sysprepExe+` /generalize /oobe /shutdown /quiet /unattend:C:\unattend.xml`); code != 0 {
		t.Fatalf("code %d: %s", code, out)
	}
	<-power
	return g, power
}

func passAnswers(specialize, oobe string) string {
	shell := func(pass, content string) string {
		if content == "" {
			return ""
		}
		return `<settings pass="` + pass + `"><component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">` + content + `</component></settings>`
	}
	return `<unattend xmlns="urn:schemas-microsoft-com:unattend">` + shell("specialize", specialize) + shell("oobeSystem", oobe) + `</unattend>`
}

const (
	goodName = `<ComputerName>*</ComputerName>`
	noEULA   = `<OOBE><HideEULAPage>true</HideEULAPage></OOBE>`
)

func TestAFirstBootGoesThroughItsPasses(t *testing.T) {
	for name, c := range map[string]struct {
		answers string
		state   string
		passed  int
	}{
		"all of them":        {passAnswers(goodName, noEULA), imageComplete, 2},
		"without oobeSystem": {passAnswers(goodName, ""), imageSpecializedOOBE, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, power := deployed(t, Scenario{FirstBoot: FirstBootPasses}, c.answers)
			if err := g.Boot(); err != nil {
				t.Fatal(err)
			}
			if got := g.imageState(); got != imageUndeployable {
				t.Errorf("in specialize: %s", got)
			}
			if e := <-power; e != Reboot {
				t.Fatalf("after specialize: %v", e)
			}
			if got := g.imageState(); got != imageSpecializedOOBE || state(g) != 7 {
				t.Errorf("after specialize: %s, %d", got, state(g))
			}
			if err := g.Boot(); err != nil {
				t.Fatal(err)
			}
			_, up := g.WinRMDelay()
			if up {
				t.Error("WinRM is up in OOBE")
			}
			if c.state == imageComplete {
				<-g.Settled()
			}
			if _, up := g.WinRMDelay(); g.imageState() != c.state || up != (c.state == imageComplete) {
				t.Errorf("at the end: %s, WinRM %t", g.imageState(), up)
			}
			if got := strings.Count(text(t, g, fileAnswers), "wasPassProcessed"); got != c.passed {
				t.Errorf("%d passes are marked", got)
			}
			if log := text(t, g, folderOOBE+`\setupact.log`); !strings.Contains(log, "oobeldr") {
				t.Errorf("%q", log)
			}
			g.PowerButton()
			if e := <-power; e != PowerOff {
				t.Errorf("the power button: %v", e)
			}
		})
	}
}

func TestAFirstBootThatComesToNothing(t *testing.T) {
	for name, c := range map[string]struct {
		first, answers string
		errs, act      string
	}{
		"it hangs":                    {FirstBootHangs, passAnswers(goodName, noEULA), "", "Executing method 'Sysprep_Specialize_Pnp'"},
		"the product key":             {FirstBootFails, passAnswers(goodName, noEULA), "Product key could not be installed", "windeploy"},
		"the answer file":             {FirstBootRefused, passAnswers(goodName, noEULA), "The provided unattend file is not valid; hrResult = 0x80220005", "windeploy"},
		"a name that Windows refuses": {FirstBootPasses, passAnswers(`<ComputerName>much-too-long-a-name</ComputerName>`, noEULA), "/settings/ComputerName", "windeploy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, power := deployed(t, Scenario{FirstBoot: c.first}, c.answers)
			if err := g.Boot(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the log", func() bool {
				return strings.Contains(text(t, g, folderSetup+`\setuperr.log`), c.errs) && strings.Contains(text(t, g, folderSetup+`\setupact.log`), c.act)
			})
			if got := g.imageState(); got != imageUndeployable {
				t.Error(got)
			}
			select {
			case e := <-power:
				t.Errorf("it ends with %v", e)
			default:
			}
		})
	}
}
