package sysprep

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/preflight"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/machinestate"
)

// leave writes files into the guest, of ten bytes each.
func (g *guestRun) leave(paths ...string) {
	g.t.Helper()
	for _, path := range paths {
		full := g.file(strings.Split(path, `\`)...)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			g.t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte("0123456789"), 0o600); err != nil {
			g.t.Fatal(err)
		}
	}
}

var leftBehind = []string{
	`Windows\Temp\a\b.tmp`, `Windows\SoftwareDistribution\Download\x\u.cab`, `$Recycle.Bin\S-1-5-21-1\$R1.txt`,
	`Users\packer\AppData\Roaming\Microsoft\Windows\PowerShell\PSReadLine\ConsoleHost_history.txt`,
	`Users\packer\Documents\PowerShell_transcript.WIN.abc.txt`, `Windows\Temp\packer-ps-env-vars-1.ps1`,
}

// every are all ids that go together.
func every() []string {
	return slices.DeleteFunc(preflight.CleaningIDs(), func(id string) bool { return id == preflight.CleanComponentStore })
}

func TestHygieneRemovesWhatItIsAskedForAndSaysHowMuch(t *testing.T) {
	t.Parallel()
	var r *run
	g := newOwnRun(t, winsim.Scenario{}, map[string]any{"hygiene": every(), "before_shutdown": []string{`echo x>C:\mine.txt`}})
	g.builder = "amazon-ebs" // which logs in no more
	g.adjust = func(begun *run) { r = begun }
	machine(t, g, func(s *machinestate.State) { s.Shadows, s.Superseded = []int64{3 << 20}, 2<<30 })
	g.leave(leftBehind...)
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	said := g.ui.text()
	want(t, said, "Cleaned update-cache: 10 B (1) before, 0 B (0) after", "Cleaned shadow-copies: 3.0 MiB (1) before, 0 B (0) after", "Cleaned component-store: 27.9 GiB free before, 29.9 GiB free after",
		"Cleaned recycle-bin: 10 B (1) before", "Cleaned powershell-history: 10 B (1) before", "Cleaned transcripts: 10 B (1) before", "Cleaned packer-leftovers: 10 B (1) before", "Cleaned event-logs: ",
		"Hygiene administrator-password: ", "Hygiene build-account-disabled: ", "Windows is generalized")
	for _, path := range leftBehind {
		if _, err := os.Stat(g.file(strings.Split(path, `\`)...)); err == nil {
			t.Errorf("%s is there", path)
		}
	}
	g.state(func(s *machinestate.State) {
		if s.RandomPasswords != 1 || !slices.Equal(s.Off, []string{simUser}) {
			t.Errorf("%d passwords, accounts that are off: %q", s.RandomPasswords, s.Off)
		}
	})
	if g.read("mine.txt") == "" {
		t.Error("before_shutdown did not run")
	}
	if len(r.applied.cleaned) != 9 || r.applied.cleaned[0].Item != guest.HygieneUpdateCache || r.applied.cleaned[8].Item != guest.HygieneEventLogs {
		t.Errorf("the record is %+v", r.applied.cleaned)
	}
	wantNothingLeft(t, g)
}

func TestNothingIsCleanedThatWasNotAskedFor(t *testing.T) {
	t.Parallel()
	g := newOwnRun(t, winsim.Scenario{}, map[string]any{"hygiene": []string{"transcripts"}})
	g.start()
	g.leave(leftBehind...)
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	for _, path := range leftBehind {
		if _, err := os.Stat(g.file(strings.Split(path, `\`)...)); (err == nil) == strings.Contains(path, "transcript") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if said := g.ui.text(); strings.Count(said, "Cleaned ") != 1 {
		t.Error(said)
	}
}

// What keeps a clean-up from working ends the run before sysprep, or is a warning.
func TestACleanUpThatFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scen   winsim.Scenario
		items  []string
		cancel string
		error  []string
		said   string
	}{
		"a restart is due":  {scen: winsim.Scenario{Hygiene: winsim.Hygiene{ComponentStoreExit: 3010}}, items: []string{"component-store"}, error: []string{"sysprep was not started: the component store was cleaned, and Windows wants a restart", "next: clean it in an earlier provisioner"}},
		"DISM fails":        {scen: winsim.Scenario{Hygiene: winsim.Hygiene{ComponentStoreExit: 87}}, items: []string{"component-store"}, said: "Warning: cleaned component-store: 27.9 GiB free before, 27.9 GiB free after; not removed: 1, the first because: exit code 87"},
		"TEMP is a profile": {scen: winsim.Scenario{Hygiene: winsim.Hygiene{Temp: `C:\Users\packer`}}, items: []string{"temp"}, said: `; not removed: 1, the first because: C:\Users\packer is left alone: it is a profile; set TEMP and TMP of the build account to a folder for temporary files`},
		"no PowerShell":     {scen: winsim.Scenario{Unkind: winsim.Unkind{ConstrainedLanguage: true}}, items: []string{"temp"}, error: []string{"sysprep was not started: the guest could not be cleaned", "next: allow PowerShell for this build, or leave hygiene out"}},
		"a cancel":          {scen: winsim.Scenario{Hygiene: winsim.Hygiene{CleanTakes: seconds(3)}}, items: []string{"recycle-bin", "temp"}, cancel: "Cleaned recycle-bin", error: []string{"cancelled", "what hygiene and remedies have changed in the guest stays"}},
		"the shell is lost": {scen: winsim.Scenario{Hygiene: winsim.Hygiene{CleanTakes: seconds(4)}}, items: []string{"recycle-bin", "temp"}, said: "Cleaned temp: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newOwnRun(t, c.scen, map[string]any{"hygiene": c.items, "preflight": map[string]any{"enabled": false}})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			g.ctx = ctx
			lost := false
			g.ui.onSay = func(line string) {
				if c.cancel != "" && strings.HasPrefix(line, c.cancel) {
					cancel()
				}
				if name == "the shell is lost" && !lost && strings.HasPrefix(line, "Cleaned recycle-bin") {
					lost = true
					g.sim.Faults.LoseShells()
				}
			}
			err := g.provision()
			if c.error != nil {
				wantError(t, err, c.error...)
				if len(g.sim.Guest.Starts()) > 0 {
					t.Error("sysprep was started")
				}
			} else if err != nil {
				t.Fatal(err)
			}
			want(t, g.ui.text(), c.said)
			if name == "the shell is lost" && (!lost || strings.Count(g.ui.text(), "Cleaned recycle-bin") != 1) {
				t.Errorf("what was cleaned is cleaned again, or nothing was lost:\n%s", g.ui.text())
			}
		})
	}
}

func TestWhatHygieneMayNotBe(t *testing.T) {
	for name, c := range map[string]struct {
		options map[string]any
		want    string
	}{
		"an unknown id":          {map[string]any{"hygiene": []string{"logs", "temp"}}, `hygiene: there is no "logs"; use update-cache, component-store, `},
		"what cannot be done":    {map[string]any{"hygiene": []string{"build-account-removed"}}, `"build-account-removed" is not offered: deleting the account of the session that runs leaves an orphaned profile`},
		"both":                   {map[string]any{"hygiene": []string{"component-store", "component-store-reset-base"}}, "keep one of them"},
		"the builder logs in":    {map[string]any{"hygiene": []string{"build-account-disabled"}, "packer_builder_type": "qemu"}, `hygiene: build-account-disabled would keep the builder "qemu" from logging in to shut Windows down; set action = "shutdown"`},
		"it does not":            {map[string]any{"hygiene": []string{"build-account-disabled"}, "packer_builder_type": "amazon-ebs"}, ""},
		"shutdown":               {map[string]any{"hygiene": []string{"build-account-disabled"}, "packer_builder_type": "qemu", "action": "shutdown"}, ""},
		"our builder":            {map[string]any{"hygiene": []string{"administrator-password"}, "packer_builder_type": ownBuilder}, ""},
		"a restart":              {map[string]any{"hygiene": []string{"administrator-password"}, "action": "reboot"}, `action = "reboot" begins its first boot`},
		"no image":               {map[string]any{"hygiene": []string{"administrator-password"}, "generalize": false, "action": "shutdown"}, "is for an image that is generalized for OOBE"},
		"too much for one line":  {map[string]any{"hygiene": []string{"administrator-password"}, "action": "shutdown", "before_shutdown": []string{strings.Repeat("x", 6000)}}, "before_shutdown: "},
		"files alone go with it": {map[string]any{"hygiene": []string{"temp", "event-logs"}, "generalize": false, "mode": "audit"}, ""},
	} {
		_, err := decode(t, c.options)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// A line of hygiene that fails is named, and Windows stays up.
func TestALineOfHygieneThatFails(t *testing.T) {
	t.Parallel()
	g := newOwnRun(t, winsim.Scenario{Unkind: winsim.Unkind{BlockedScripts: []string{"password"}}}, map[string]any{"hygiene": []string{"administrator-password", "build-account-disabled"}, "action": "shutdown"})
	wantError(t, g.provision(), "[at-the-end] Windows is generalized, but hygiene administrator-password failed with exit code 1", "Windows stays up")
	g.state(func(s *machinestate.State) {
		if s.RandomPasswords != 0 || len(s.Off) > 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestSizesAreRead(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 5 << 30: "5.0 GiB", 1 << 50: "1024.0 TiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

// A machine that was generalized before is not cleaned any more; what is done last is.
func TestHygieneOfAMachineThatIsGeneralizedAlready(t *testing.T) {
	t.Parallel()
	g := newOwnRun(t, winsim.Scenario{Start: winsim.Generalized}, map[string]any{"hygiene": []string{"temp", "build-account-disabled"}})
	g.builder = "amazon-ebs"
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	want(t, g.ui.text(), "Warning: hygiene of this run was not done, because sysprep was run before", "Hygiene build-account-disabled: ")
	g.state(func(s *machinestate.State) {
		if !slices.Equal(s.Off, []string{simUser}) {
			t.Errorf("accounts that are off: %q", s.Off)
		}
	})
}
