package winsim

import (
	"strings"
	"testing"
	"time"
)

// auditAnswers is an answer file that generalizes by itself.
func auditAnswers(commands, generalize string) string {
	component := `<component name="Microsoft-Windows-Deployment" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">`
	return `<?xml version="1.0" encoding="utf-8"?>
<unattend xmlns="urn:schemas-microsoft-com:unattend">
<settings pass="oobeSystem">` + component + `<Reseal><Mode>Audit</Mode></Reseal></component></settings>
<settings pass="auditUser">` + component + `<RunSynchronous>` + commands + `</RunSynchronous>` + generalize + `</component></settings>
</unattend>`
}

const generalizeOff = `<Generalize><Mode>OOBE</Mode><ForceShutdownNow>true</ForceShutdownNow></Generalize>`

// A generalized image goes through its passes, each a boot of its own, and is a
// generalized image again.
func TestAnAnswerFileIsConsumedByItsPasses(t *testing.T) {
	commands := `<RunSynchronousCommand><Order>2</Order><Path>cmd /c echo two&gt;&gt;C:\order.txt</Path></RunSynchronousCommand>
<RunSynchronousCommand><Order>1</Order><Path>cmd /c echo one&gt;&gt;C:\order.txt</Path></RunSynchronousCommand>`
	for name, c := range map[string]struct {
		generalize string
		last       PowerEvent
		state      string
	}{
		"off":       {generalizeOff, PowerOff, imageGeneralizedOOBE},
		"restart":   {`<Generalize><Mode>OOBE</Mode></Generalize>`, Reboot, imageGeneralizedOOBE},
		"audit":     {`<Generalize><Mode>Audit</Mode><ForceShutdownNow>true</ForceShutdownNow></Generalize>`, PowerOff, imageGeneralizedAudit},
		"no reseal": {``, -1, imageSpecializedAudit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			power := make(chan PowerEvent, 1)
			root := t.TempDir()
			g, err := New(Options{Root: root, Scenario: Scenario{Validate: Duration(time.Second), Generalize: Duration(time.Second)}, Speed: 1000, Log: t.Logf, Power: func(e PowerEvent) { power <- e }})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := g.Close(); err != nil {
					t.Error(err)
				}
				if u := g.Unknown(); len(u) > 0 {
					t.Errorf("unknown: %q", u)
				}
			})
			if err := g.drive.WriteFile(`C:\unattend.xml`, []byte(auditAnswers(commands, c.generalize))); err != nil {
				t.Fatal(err)
			}
			if out, code := do(g, sysprepExe+` /generalize /oobe /shutdown /quiet /unattend:C:\unattend.xml`); code != 0 {
				t.Fatalf("code %d: %s", code, out)
			}
			<-power
			for i, want := range []PowerEvent{Reboot, c.last} {
				if err := g.Boot(); err != nil {
					t.Fatal(err)
				}
				if want < 0 {
					eventually(t, "sysprep's window", func() bool { return g.Runs("sysprep.exe") })
					break
				}
				if e := <-power; e != want {
					t.Fatalf("boot %d ends with %v, want %v", i, e, want)
				}
			}
			if got := g.imageState(); got != c.state {
				t.Errorf("ImageState is %s, want %s", got, c.state)
			}
			order, err := g.drive.ReadFile(`C:\order.txt`)
			if err != nil || strings.Join(strings.Fields(string(order)), " ") != "one two" {
				t.Errorf("the commands left %q, %v", order, err)
			}
			cached, err := g.drive.ReadFile(fileAnswers)
			if err != nil || strings.Count(string(cached), `wasPassProcessed="true"`) != 2 {
				t.Errorf("the cached file says of its passes:\n%s", cached)
			}
			if c.last == PowerOff && c.state == imageGeneralizedOOBE && !g.drive.IsFile(fileTag) {
				t.Error("no tag")
			}
			if c.state != imageGeneralizedOOBE {
				return
			}
			// What was consumed is not run again by the machine that is deployed.
			if err := g.Boot(); err != nil {
				t.Fatal(err)
			}
			if got := g.imageState(); got != imageSpecializedOOBE {
				t.Errorf("the deployed machine is %s", got)
			}
		})
	}
}
