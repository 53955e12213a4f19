package verdict

import (
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

const wanted = `/generalize /oobe /quit /quiet /unattend:C:\\Windows\\a\\unattend.xml`

func TestASysprepThatRunsIsClosedWatchedOrLeft(t *testing.T) {
	window := Program{PID: 4321, Known: true}
	alike := Program{PID: 4321, Known: true, Arguments: `/OOBE -generalize /quiet /quit /unattend:D:\b\unattend.xml`}
	ours, other, unknown := alike, alike, Program{PID: 4321}
	ours.Ours = true
	other.Ours, other.Arguments = true, "/generalize /oobe /shutdown /quiet"
	agent := func(f *First) { f.Wanted, f.ImageState, f.Tag = "", windows.StateGeneralizeToOOBE, Yes }
	audit := func(f *First) { f.ImageState, f.AuditMode = windows.StateSpecializeToAudit, Yes }
	done := func(f *First) { f.ImageState, f.Tag = windows.StateGeneralizeToOOBE, Yes }
	none := func(*First) {}
	for name, c := range map[string]struct {
		programs []Program
		state    func(*First)
		want     Start
		text     string
	}{
		"not asked yet":                             {nil, audit, Ask, "process id 4321"},
		"the window of audit mode":                  {[]Program{window}, audit, Close, "window is open (process id 4321)"},
		"the window, ImageState alone":              {[]Program{window}, func(f *First) { f.ImageState = windows.StateSpecializeToAudit }, Refuse, "without arguments"},
		"the window, AuditBoot alone":               {[]Program{window}, func(f *First) { f.AuditMode = Yes }, Refuse, "without arguments"},
		"a window outside audit mode":               {[]Program{window}, none, Refuse, "without arguments"},
		"a run in audit mode":                       {[]Program{other}, audit, Refuse, "another run of this provisioner started it, as sysprep /generalize /oobe /shutdown /quiet; this run would start sysprep " + wanted},
		"nobody may read the command line":          {[]Program{unknown}, audit, Refuse, "process id 4321"},
		"a window and a run":                        {[]Program{window, ours}, audit, Refuse, "process id 4321"},
		"a run of ours like this one":               {[]Program{ours}, none, Attach, "as this run would start it (process id 4321)"},
		"a run like this one of somebody else":      {[]Program{alike}, none, Refuse, "it was started as sysprep /OOBE"},
		"a run like this one that has succeeded":    {[]Program{alike}, done, Attach, ""},
		"a run with other options that succeeded":   {[]Program{other}, done, Refuse, "/shutdown"},
		"a tag alone is no success":                 {[]Program{alike}, func(f *First) { f.Tag = Yes }, Refuse, ""},
		"a state alone is no success":               {[]Program{alike}, func(f *First) { f.ImageState = windows.StateGeneralizeToOOBE }, Refuse, ""},
		"a window, and an agent is to run":          {[]Program{window}, agent, Refuse, "without arguments"},
		"a run of ours, and an agent is to run":     {[]Program{ours}, agent, Refuse, "this run lets something else start sysprep"},
		"a run of ours whose arguments are unknown": {[]Program{{PID: 4321, Ours: true}}, none, Refuse, ""},
	} {
		f := First{Observation: Observation{Reached: true, ImageState: windows.StateComplete, Process: Yes}, SysprepPID: 4321, Programs: c.programs, Wanted: wanted}
		c.state(&f)
		d := Clear(f, Expectation{Generalize: true})
		if d.Start != c.want || !strings.Contains(d.Reason, c.text) {
			t.Errorf("%s: %+v", name, d)
		}
		if (d.Start == Close || d.Start == Attach) && d.PID != 4321 {
			t.Errorf("%s: process %d", name, d.PID)
		}
		next := strings.Join(d.Next, " ")
		if d.Start == Refuse && (d.Cause != "ALREADY_RUNNING" || strings.Contains(next, "<pid>") || !strings.Contains(next, "4321")) {
			t.Errorf("%s: %s, next %q", name, d.Cause, d.Next)
		}
	}
	if d := AlreadyRunning(0); d.Cause != "ALREADY_RUNNING" || len(d.Next) == 0 {
		t.Errorf("%+v", d)
	}
}

func sameBoot(yes Tri) look { return func(o *Observation) { o.SameBoot = yes } }

// Windows itself says that it was started again.
func TestARestartThatWindowsTells(t *testing.T) {
	good := []look{state(windows.StateGeneralizeToOOBE), tag, ready, log(200, done, tagLogged), sameBoot(Yes)}
	for name, c := range map[string]struct {
		end  End
		seen []Observation
		want Class
		text string
	}{
		"after success, with shutdown":     {Shutdown, []Observation{at(time.Minute, good...), at(2*time.Minute, append(good, sameBoot(No))...)}, Undone, "restarted after sysprep was done"},
		"after success, with reboot":       {Reboot, []Observation{at(time.Minute, good...), at(2*time.Minute, append(good, sameBoot(No))...)}, Generalized, "restarted after that"},
		"while sysprep works":              {Shutdown, []Observation{at(time.Minute, state(windows.StateUndeployable), log(100, processing), sameBoot(No))}, Broken, "was changing the machine"},
		"it is not known any more":         {Shutdown, []Observation{at(time.Minute, good...), at(2*time.Minute, append(good, sameBoot(Unknown))...)}, Running, ""},
		"it was never known":               {Shutdown, []Observation{at(time.Minute, append(good, sameBoot(Unknown))...)}, Running, ""},
		"a reboot before success was seen": {Reboot, []Observation{at(time.Minute, state(windows.StateUndeployable), log(100, processing), sameBoot(No))}, Running, ""},
	} {
		wantVerdict(t, name, Begin(start, Expectation{Generalize: true, End: c.end}), c.seen, c.want, c.text)
	}
}

func wantVerdict(t *testing.T, name string, j Judge, seen []Observation, want Class, text string) *Verdict {
	t.Helper()
	var v *Verdict
	for i, o := range seen {
		if j, v = j.Step(o); v != nil && i < len(seen)-1 {
			t.Errorf("%s: %v after observation %d: %s", name, v.Class, i, v.Reason)
			return v
		}
	}
	if v == nil {
		if want != Running {
			t.Errorf("%s: no verdict", name)
		}
		return &Verdict{}
	}
	if v.Class != want || !strings.Contains(v.Reason, text) {
		t.Errorf("%s: %v, %s", name, v.Class, v.Reason)
	}
	return v
}

// How Windows goes down that was generalized before: nothing of a run is read.
func TestHowAGeneralizedWindowsEnds(t *testing.T) {
	good := func(after time.Duration, looks ...look) Observation {
		return at(after, append([]look{state(windows.StateGeneralizeToOOBE), tag, ended, ready}, looks...)...)
	}
	for name, c := range map[string]struct {
		end    End
		seen   []Observation
		want   Class
		text   string
		unseen bool
	}{
		"the port closes":          {Shutdown, []Observation{good(time.Second), at(10*time.Second, silent(PortClosed)), at(200*time.Second, silent(PortClosed))}, Generalized, "its port has been closed for", false},
		"the port never closes":    {Shutdown, []Observation{good(time.Second), at(10*time.Second, silent(PortUnknown)), at(301*time.Second, silent(PortUnknown)), at(302*time.Second, inVain(PortUnknown))}, Generalized, "could not be seen within 5m0s", true},
		"nobody is let in":         {Shutdown, []Observation{good(time.Second), at(10*time.Second, silent(PortOpen)), at(301*time.Second, silent(PortOpen)), at(302*time.Second, inVain(PortOpen))}, Generalized, "could not be seen within 5m0s", true},
		"it is asked once more":    {Shutdown, []Observation{good(time.Second), at(10*time.Second, silent(PortOpen)), at(301*time.Second, silent(PortOpen))}, Running, "", false},
		"it does not go down":      {Shutdown, []Observation{good(time.Second), good(301 * time.Second)}, Hung, "has not powered off within 5m0s", false},
		"it has restarted":         {Shutdown, []Observation{good(time.Second), at(10*time.Second, silent(PortUnknown)), at(100*time.Second, ended, state(windows.StateUndeployable))}, Undone, "ImageState is IMAGE_STATE_UNDEPLOYABLE now", false},
		"silent, then 401 again":   {Shutdown, []Observation{good(time.Second), at(10*time.Second, silent(PortUnknown)), at(100*time.Second, silent(PortOpen)), at(301*time.Second, silent(PortOpen))}, Hung, "silent for 1m30s and answers again, so it may have restarted", false},
		"silent for a moment":      {Shutdown, []Observation{good(time.Second), at(10*time.Second, silent(PortUnknown)), at(15*time.Second, silent(PortOpen)), at(301*time.Second, silent(PortOpen)), at(302*time.Second, inVain(PortOpen))}, Generalized, "could not be seen", true},
		"silent, then an answer":   {Shutdown, []Observation{good(time.Second), at(10*time.Second, silent(PortUnknown)), good(100 * time.Second), at(200*time.Second, silent(PortOpen)), at(301*time.Second, silent(PortOpen)), at(302*time.Second, inVain(PortOpen))}, Generalized, "could not be seen", true},
		"it is not armed any more": {Shutdown, []Observation{good(time.Second, next(0, ""))}, Unarmed, "SetupType 0", false},
		"a restart":                {Reboot, []Observation{good(time.Second), at(10*time.Second, silent(PortClosed)), at(50*time.Second, silent(PortClosed))}, Generalized, "it is restarting", false},
	} {
		j := Ending(start, Expectation{Generalize: true, End: c.end})
		v := wantVerdict(t, name, j, c.seen, c.want, c.text)
		if v.Unseen != c.unseen {
			t.Errorf("%s: unseen %v", name, v.Unseen)
		}
	}
}
