package winsim

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/registry"
)

// steps bring a running guest into a state; what its power does arrives on the channel.
type steps func(*testing.T, *Guest, <-chan PowerEvent)

// way is a way into a state by what one can do to a running guest.
type way struct {
	name     string
	scenario Scenario // of the guest that is brought there
	lead     steps
	// start is the scenario that begins in that state; nil: none does, and only says why.
	start *Scenario
	only  string
	// right are differences that are no defect: what begins like this, and why.
	right map[string]string
}

const (
	generalizeQuit   = "/generalize /oobe /quit /quiet"
	generalizeReboot = "/generalize /oobe /reboot /quiet"
)

// runs runs sysprep, and expects that code.
func runs(arguments string, code int) steps {
	return func(t *testing.T, g *Guest, _ <-chan PowerEvent) {
		t.Helper()
		if out, got := do(g, sysprepExe+" "+arguments); got != code {
			t.Fatalf("sysprep %s: code %d, want %d: %s", arguments, got, code, out)
		}
	}
}

// restarts runs sysprep with /reboot, and boots.
func restarts(arguments string) steps {
	return func(t *testing.T, g *Guest, power <-chan PowerEvent) {
		t.Helper()
		runs(arguments, 0)(t, g, power)
		if e := <-power; e != Reboot {
			t.Fatalf("power event %v", e)
		}
		if err := g.Boot(); err != nil {
			t.Fatal(err)
		}
	}
}

// typed is what a person or an installer does at a command line, after the way before.
func typed(before steps, lines ...string) steps {
	return func(t *testing.T, g *Guest, power <-chan PowerEvent) {
		t.Helper()
		if before != nil {
			before(t, g, power)
		}
		for _, line := range lines {
			if out, code := do(g, line); code != 0 {
				t.Fatalf("%s: code %d: %s", line, code, out)
			}
		}
	}
}

// opens starts a program that stays, as the person at the console does.
func opens(t *testing.T, g *Guest, _ <-chan PowerEvent) {
	p := sysprepCall(g, "")
	_, run := g.prepare(g.session(), p, "Administrator")
	g.goDo(func() { run() })
}

// hangs starts a run that does not end.
func hangs(t *testing.T, g *Guest, _ <-chan PowerEvent) {
	begin(g, generalizeQuit)
	eventually(t, "generalize begins", func() bool { return g.imageState() == imageUndeployable })
}

const (
	fileLogs   = "file Windows/System32/Sysprep/Panther/setup"
	fileEvents = "file Windows/System32/winevt/Logs/"
	atConsole  = "the test has no console, and opens it in a service's session"
)

var (
	broken  = Scenario{Outcome: Broken, Class: "F38"}
	inSetup = Scenario{SetupFor: Duration(1e6 * 1e9), Unkind: Unkind{WinRMInSetup: true}}
)

func startIn(s StartState) *Scenario { return &Scenario{Start: s, SetupFor: inSetup.SetupFor} }

var ways = []way{
	{name: "a run that is refused", scenario: Scenario{Outcome: Refused, Class: "F01"}, lead: runs(generalizeQuit, 1), start: startIn(Clean),
		right: map[string]string{fileLogs: "that sysprep was run is in its log for ever"}},
	{name: "a first boot that ends", scenario: Scenario{FirstBoot: FirstBootDone}, lead: restarts(generalizeReboot), start: &Scenario{StaleLog: true, StaleTag: true},
		right: map[string]string{fileLogs: "of another run, in another year", fileEvents: "Windows fills its event logs again while it works"}},
	{name: "generalize", lead: runs(generalizeQuit, 0), start: startIn(Generalized)},
	{name: "specialize", scenario: inSetup, lead: restarts(generalizeReboot), start: startIn(SetupRunning)},
	{name: "audit mode", lead: restarts("/audit /reboot /quiet"), start: startIn(Audit)},
	{name: "audit mode after generalize", lead: restarts("/generalize /audit /reboot /quiet"), start: startIn(Audit),
		right: map[string]string{fileLogs: "with /generalize", fileEvents: "generalize empties them"}},
	{name: "sysprep's window", lead: opens, start: startIn(SysprepOpen), right: map[string]string{"process sysprep.exe": atConsole, "answer to tasklist": atConsole}},
	{name: "a run that breaks", scenario: broken, lead: runs(generalizeQuit, 1), start: startIn(Undeployable)},
	{name: "a run that breaks, and somebody who sets ImageState alone", scenario: broken, start: startIn(Unfinished),
		lead: typed(runs(generalizeQuit, 1), `reg add `+keyState+` /v ImageState /t REG_SZ /d `+imageComplete+` /f`,
			`(echo [State]& echo ImageState="`+imageComplete+`")>C:`+fileState)},
	{name: "sysprep.exe is deleted", lead: typed(nil, `del `+sysprepExe), start: startIn(NoSysprep)},
	{name: "updates are installed", start: startIn(RebootPending), lead: typed(nil,
		`reg add "`+keyRebootPending+`" /f`,
		`reg add "`+keyRebootRequired+`" /f`)},

	{name: "the first-boot dialogs", lead: restarts(generalizeReboot), only: "nothing answers in them"},
	{name: "generalized for audit mode", lead: runs("/generalize /audit /quit /quiet", 0), only: "Generalized stands for both: a client stops at either"},
	{name: "resealed without generalize", lead: runs("/oobe /quit /quiet", 0), only: "a client takes it for a Setup that is not finished"},
	{name: "success that is undone", scenario: Scenario{Afterwards: BecomesUndone}, lead: runs(generalizeQuit, 0), only: "a fault on the way, which a run has to notice"},
	{name: "success whose log fails", scenario: Scenario{Afterwards: BecomesFailed}, lead: runs(generalizeQuit, 0), only: "a fault on the way, which a run has to notice"},
	{name: "success that becomes complete", scenario: Scenario{Afterwards: BecomesComplete}, lead: runs(generalizeQuit, 0), only: "a fault on the way, which a run has to notice"},
	{name: "a run that hangs", scenario: Scenario{Outcome: Hang}, lead: hangs, only: "a client that comes later stops at sysprep.exe, as in SysprepOpen"},
	{name: "success with nothing armed", scenario: Scenario{Unarmed: true}, lead: runs(generalizeQuit, 0), only: "Unarmed goes with the start Generalized too"},
}

// A client cannot tell a machine that was found in a state from one that came into it.
func TestAStateReachedIsTheStateToStartIn(t *testing.T) {
	reached := map[StartState]bool{}
	for _, w := range ways {
		if w.start != nil {
			reached[w.start.Start] = true
		}
		t.Run(w.name, func(t *testing.T) {
			power := make(chan PowerEvent, 1)
			g := newGuest(t, Options{Speed: fast, Scenario: w.scenario, Power: func(e PowerEvent) { power <- e }})
			w.lead(t, g, power)
			got := observe(t, g)
			if w.start == nil {
				for _, s := range startStates {
					if len(differences(got, observe(t, newGuest(t, Options{Speed: fast, Scenario: *startIn(s)})))) == 0 {
						t.Errorf("is the start %q, and is listed as one that is only reached", s)
					}
				}
				return
			}
			unused := maps.Clone(w.right)
			for _, d := range differences(got, observe(t, newGuest(t, Options{Speed: fast, Scenario: *w.start}))) {
				known := false
				for begin := range w.right {
					if strings.HasPrefix(d, begin) {
						known = true
						delete(unused, begin)
					}
				}
				if !known {
					t.Error(d)
				}
			}
			for begin := range unused {
				t.Errorf("nothing differs in %q any more", begin)
			}
		})
	}
	for _, s := range startStates {
		if !reached[s] {
			t.Errorf("no way leads into the start %q", s)
		}
	}
}

// differences are the lines of what is not the same in both.
func differences(reached, started map[string]string) (lines []string) {
	all := maps.Clone(reached)
	maps.Copy(all, started)
	for _, what := range slices.Sorted(maps.Keys(all)) {
		r, inReached := reached[what]
		s, inStarted := started[what]
		switch {
		case !inStarted:
			lines = append(lines, fmt.Sprintf("%s: %.200q, and nothing in the start", what, r))
		case !inReached:
			lines = append(lines, fmt.Sprintf("%s: nothing, and %.200q in the start", what, s))
		case r != s:
			lines = append(lines, fmt.Sprintf("%s: %.2000q, and %.2000q in the start", what, r, s))
		}
	}
	return lines
}

var (
	clockTime = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)
	processID = regexp.MustCompile(`(\.exe"?[ ,"]+)\d+`)
)

// observe is all that a client, or a reader of the drive, can find out. Not in it:
// times, process ids, and the note of the simulation which start it was given.
func observe(t *testing.T, g *Guest) map[string]string {
	t.Helper()
	all := map[string]string{
		"shutdown": fmt.Sprint(g.abortShutdown()),
	}
	_, up := g.WinRMDelay()
	all["WinRM"] = fmt.Sprint(up)
	for _, hive := range hives {
		observeKey(t, g.reg, `HKLM\`+hive, all)
	}
	for _, p := range g.processes("") {
		all["process "+p.image] += fmt.Sprintf("%s of %s in session %d\n", p.commandLine, p.user, p.session)
	}
	for _, task := range g.taskList() {
		all["task "+task.Name] = fmt.Sprintf("%s as %s", task.Command, task.User)
	}
	observeDrive(t, g, all)
	for _, line := range []string{
		`reg query HKLM\SYSTEM\Setup /s`, `reg query ` + keyState, `type C:` + fileState, `tasklist /fo csv /nh`, `schtasks /query /fo csv /nh`,
		`if exist C:` + fileTag + ` echo there`, `if exist ` + sysprepExe + ` echo there`, `wevtutil el`, `whoami`, `echo %TEMP% %windir%`,
	} {
		out, code := do(g, line)
		all["answer to "+line] = fmt.Sprint(code, processID.ReplaceAllString(out, "${1}0"))
	}
	return all
}

func observeKey(t *testing.T, r *registry.Registry, key string, all map[string]string) {
	t.Helper()
	if key == keyStart {
		return
	}
	values, keys, err := r.List(key)
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	all["key "+key] = "there"
	for _, v := range values {
		all["value "+key+", "+v.Name] = fmt.Sprintf("%s %x %q", v.Kind, v.Data, v.Strings())
	}
	for _, k := range keys {
		observeKey(t, r, key+`\`+k, all)
	}
}

func observeDrive(t *testing.T, g *Guest, all map[string]string) {
	t.Helper()
	root := filepath.Join(g.opt.Root, "C")
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if e.IsDir() {
			all["folder "+name] = "there"
			return nil
		}
		content, err := os.ReadFile(path)
		if slices.Contains(hives, e.Name()) {
			content = nil // the registry, as it was at its last flush
		}
		all["file "+name] = clockTime.ReplaceAllString(string(content), "TIME")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
