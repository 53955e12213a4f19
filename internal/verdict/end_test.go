package verdict

import (
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

func noTag(o *Observation)        { o.Tag = No }
func asked(f *diagnosis.Progress) { f.ShutdownRequested = true }
func foreign(o *Observation) {
	o.Ours = No
}
func launched(at time.Time) look { return func(o *Observation) { o.Launched = at } }
func began(at time.Time) func(*diagnosis.Progress) {
	return func(f *diagnosis.Progress) { f.Start = at }
}
func machine(m Machine) look { return func(o *Observation) { o.Machine = m } }

// Once success was seen, the newest facts still have to say so.
func TestTheNewestFactsDecide(t *testing.T) {
	good := func(after time.Duration, looks ...look) Observation {
		return at(after, append([]look{state(windows.StateGeneralizeToOOBE), tag, ready, log(200, done, tagLogged)}, looks...)...)
	}
	working := at(30*time.Second, state(windows.StateUndeployable), log(100, processing))
	generalize := Expectation{Generalize: true}
	shutdown := Expectation{Generalize: true, End: Shutdown}
	reboot := Expectation{Generalize: true, End: Reboot}
	reset := machine(Machine{Restarts: 1})
	for name, test := range map[string]struct {
		expect Expectation
		seen   []Observation
		want   Class
		text   string // of the explanation
	}{
		"the tag is gone and the image undeployable": {
			generalize, []Observation{good(time.Minute), good(70*time.Second, noTag, state(windows.StateUndeployable))}, Undone, "ImageState IMAGE_STATE_UNDEPLOYABLE"},
		"resealed alone, and still up": {
			Expectation{End: Shutdown, ImageState: windows.StateSpecializeToOOBE, EndWithin: 5 * time.Minute},
			[]Observation{at(time.Minute, state(windows.StateSpecializeToOOBE), ended, tag, log(200, done, tagLogged)), at(7*time.Minute, state(windows.StateSpecializeToOOBE), ended, tag, log(200, done, tagLogged))},
			Hung, "Windows is resealed, but it has not powered off within 5m0s"},
		"the same after sysprep has ended": {
			shutdown, []Observation{good(time.Minute), good(70*time.Second, ended, noTag, state(windows.StateUndeployable))},
			Undone, "the guest restarted instead of powering off: it is not generalized any more"},
		"the log fails later": {
			generalize, []Observation{good(time.Minute), good(70*time.Second, log(250, processing, tagLogged, failure(diagnosis.ProcessFailure)))}, Broken, "failed after it had begun"},
		"complete with sysprep still running": {
			generalize, []Observation{good(time.Minute), good(70*time.Second, state(windows.StateComplete))}, Undone, "sysprep.exe is running, and ImageState is IMAGE_STATE_COMPLETE now"},
		"complete with sysprep still running, and a restart is wanted": {
			reboot, []Observation{good(time.Minute), good(70*time.Second, state(windows.StateComplete))}, Undone, "sysprep.exe is running"},
		"the guest comes back and is complete": {
			shutdown, []Observation{good(time.Minute), good(70*time.Second, ended, noTag, state(windows.StateComplete))}, Undone, "do not use its disk"},
		"the log had the tag, then the guest comes back": {
			shutdown, []Observation{at(time.Minute, state(windows.StateUndeployable), log(200, done, tagLogged)), at(2*time.Minute, ended, state(windows.StateSpecializeToOOBE), log(200, done, tagLogged))},
			Undone, "restarted instead of powering off"},
		"the log had the tag and a shutdown, then the guest comes back in its first boot": {
			shutdown, []Observation{at(time.Minute, state(windows.StateUndeployable), log(200, done, tagLogged, asked)), at(62*time.Second, silent(PortClosed)), at(2*time.Minute, ended, state(windows.StateUndeployable), log(200, done, tagLogged, asked))},
			Undone, "restarted instead of powering off"},
		"the log had the tag and a shutdown, and the network goes for a moment": {
			shutdown, []Observation{at(time.Minute, state(windows.StateUndeployable), log(200, done, tagLogged, asked)), at(62*time.Second, silent(PortClosed)), at(70*time.Second, ended, state(windows.StateUndeployable), log(200, done, tagLogged, asked))},
			Running, ""},
		"the log had the tag, then the network goes, and a restart is wanted": {
			reboot, []Observation{at(time.Minute, state(windows.StateUndeployable), log(200, done, tagLogged)), at(62*time.Second, silent(PortClosed)), at(2*time.Minute, silent(PortClosed)), good(3 * time.Minute), at(4*time.Minute, silent(PortClosed))},
			Generalized, "it is restarting, as it was told to"},
		"only the tag is gone": {
			generalize, []Observation{good(time.Minute), good(70*time.Second, ended, noTag)}, Undone, "the tag is gone"},
		"a new run begins, then the port closes": {
			shutdown, []Observation{good(time.Minute), good(70*time.Second, log(3, validating)), at(80*time.Second, silent(PortClosed)), at(5*time.Minute, silent(PortClosed)), at(301*time.Second, inVain(PortClosed))},
			Lost, "success could not be seen before"},
		"a restart that is wanted": {
			reboot, []Observation{good(time.Minute), good(70*time.Second, ended, noTag, state(windows.StateUndeployable))}, Generalized, "Windows has restarted: ImageState is IMAGE_STATE_UNDEPLOYABLE now and the tag is gone"},
		"what is printed was seen": {
			generalize, []Observation{good(time.Minute, ended)}, Generalized, "seen: ImageState IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE, tag present, SetupType 2, CmdLine oobe\\windeploy.exe"},

		// What the hypervisor reports.
		"a reset while the power-off is awaited": {
			shutdown, []Observation{good(time.Minute), at(61*time.Second, silent(PortUnknown), reset)}, Undone, "instead of powering off: it is not generalized any more"},
		"a reset before the state was read": {
			shutdown, []Observation{at(time.Minute, state(windows.StateUndeployable), log(200, done, tagLogged)), at(61*time.Second, silent(PortUnknown), reset)}, Undone, "instead of powering off"},
		"a reset in the middle": {
			shutdown, []Observation{working, at(time.Minute, silent(PortUnknown), reset)}, Broken, "restarted while sysprep was changing the machine"},
		"a reset that is wanted": {
			reboot, []Observation{good(time.Minute), at(61*time.Second, silent(PortUnknown), reset)}, Generalized, "restart"},
		"a reset although it should stay up": {
			generalize, []Observation{good(time.Minute), at(61*time.Second, silent(PortUnknown), reset)}, Undone, "restarted after sysprep was done"},
		"the power-off is reported": {
			shutdown, []Observation{good(time.Minute), at(61*time.Second, silent(PortUnknown), machine(Machine{Off: true}))}, Generalized, "the machine has powered itself off"},
		"the power-off is reported before success was seen": {
			shutdown, []Observation{working, at(time.Minute, silent(PortUnknown), machine(Machine{Off: true}))}, Lost, "before success could be seen"},
		"a paused machine is not off": {
			shutdown, []Observation{
				good(time.Minute), at(61*time.Second, silent(PortClosed), machine(Machine{Paused: "somebody stopped it"})), at(6*time.Minute, silent(PortClosed), machine(Machine{Paused: "somebody stopped it"}))},
			Hung, "the machine is paused: somebody stopped it"},
		"a machine that was paused and goes on": {
			shutdown, []Observation{good(time.Minute), at(61*time.Second, silent(PortClosed), machine(Machine{Paused: "somebody stopped it"})), at(2*time.Minute, silent(PortClosed)), at(5*time.Minute, silent(PortClosed))},
			Generalized, "its port has been closed for 3m0s"},

		// Whose facts they are.
		"another machine with an old tag": {
			generalize, []Observation{working, at(time.Minute, ended, foreign, tag, state(windows.StateComplete), log(300, done, tagLogged))}, Replaced, "another machine answers at this address"},
		"another machine that is generalized": {
			generalize, []Observation{working, good(time.Minute, ended, foreign)}, Replaced, "checkpoint"},
		"another machine after success": {
			shutdown, []Observation{good(time.Minute), good(2*time.Minute, foreign)}, Replaced, "Nothing was changed on the one that answers now"},
		"the log of an earlier run proves nothing": {
			generalize, []Observation{good(time.Minute, ended, launched(start), log(200, done, tagLogged, began(start.AddDate(-7, 0, 0)))), good(12*time.Minute, ended, log(200, done, tagLogged, began(start.AddDate(-7, 0, 0))))},
			Lost, "could not be read or does not agree"},
		"the failure of an earlier run is not ours": {
			generalize, []Observation{at(time.Minute, launched(start), log(200, validating, failure(diagnosis.ValidateFailure), began(start.Add(-time.Second))))}, Running, ""},
		"the run of the launch's own second is ours": {
			generalize, []Observation{good(time.Minute, ended, launched(start.Add(900*time.Millisecond)), log(200, done, tagLogged, began(start)))}, Generalized, ""},

		// What the next boot runs.
		"not armed": {
			generalize, []Observation{good(time.Minute, ended, next(0, ""))}, Unarmed, "SetupType 0, CmdLine empty where a generalized image has SetupType 2"},
		"a type without a command": {generalize, []Observation{good(time.Minute, ended, next(2, " "))}, Unarmed, "SetupType 2, CmdLine empty"},
		"a command without a type": {generalize, []Observation{good(time.Minute, ended, next(0, `oobe\windeploy.exe`))}, Unarmed, "SetupType 0"},
		"another command":          {generalize, []Observation{good(time.Minute, ended, next(2, `C:\setup.exe`))}, Unarmed, `CmdLine C:\setup.exe`},
		"a cloud agent's wrapper": {
			generalize, []Observation{good(time.Minute, ended, next(2, `"C:\Program Files\Google\Compute Engine\sysprep\WINDEPLOY.cmd"`))}, Generalized, ""},
		"audit mode runs something else": {
			Expectation{Generalize: true, ImageState: windows.StateGeneralizeToAudit}, []Observation{good(time.Minute, ended, state(windows.StateGeneralizeToAudit), next(1, `C:\audit.exe`))}, Generalized, ""},
		"audit mode runs nothing": {
			Expectation{Generalize: true, ImageState: windows.StateGeneralizeToAudit}, []Observation{good(time.Minute, ended, state(windows.StateGeneralizeToAudit), next(0, ""))}, Unarmed, ""},
		"not armed while sysprep lives may still come": {
			generalize, []Observation{good(time.Minute, next(0, "")), good(61*time.Second, ended)}, Generalized, ""},
		"not armed and sysprep never ends": {
			generalize, []Observation{good(time.Minute, next(0, "")), good(2*time.Minute, next(0, ""))}, Unarmed, ""},
		"values of before success say nothing": {
			generalize, []Observation{at(30*time.Second, state(windows.StateUndeployable), next(0, ""), log(100, processing)), good(time.Minute, ended)}, Generalized, ""},
		"not armed and powered off": {
			shutdown, []Observation{good(time.Minute, next(0, "")), at(70*time.Second, silent(PortClosed)), at(250*time.Second, silent(PortClosed))}, Unarmed, ""},
		"not armed and restarting": {
			reboot, []Observation{good(time.Minute, next(0, "")), at(70*time.Second, silent(PortClosed)), at(90*time.Second, silent(PortClosed))}, Unarmed, ""},
		"after a restart it is armed no more": {
			reboot, []Observation{good(time.Minute), good(2*time.Minute, ended, next(0, ""), state(windows.StateComplete))}, Generalized, ""},
		"what could not be read is not claimed": {
			generalize, []Observation{
				at(time.Minute, ended, state(windows.StateGeneralizeToOOBE), tag, log(200, done, tagLogged)), at(2*time.Minute, ended, state(windows.StateGeneralizeToOOBE), tag, log(200, done, tagLogged))},
			Lost, "SetupType and CmdLine of HKLM\\SYSTEM\\Setup could not be read"},
		"a guest that went down too soon to be asked": {
			shutdown, []Observation{at(time.Minute, state(windows.StateGeneralizeToOOBE), tag, log(200, done, tagLogged)), at(61*time.Second, silent(PortUnknown), machine(Machine{Off: true}))},
			Generalized, "SetupType and CmdLine not read"},
	} {
		t.Run(name, func(t *testing.T) {
			s := Begin(start, test.expect)
			var v *Verdict
			for i, o := range test.seen {
				if v != nil {
					t.Fatalf("decided too early, at observation %d: %s, %s", i-1, v.Class, v.Reason)
				}
				s, v = s.Step(o)
			}
			if v == nil {
				v = &Verdict{}
			}
			text := strings.Join(lines(*v), "\n")
			if v.Class != test.want || !strings.Contains(text, test.text) {
				t.Errorf("got %s, want %s with %q:\n%s", v.Class, test.want, test.text, text)
			}
			bad := v.Class == Undone || v.Class == Unarmed || v.Class == Replaced || v.Class == Broken || v.Paused != ""
			if bad && (v.ConsistentWithSuccess || v.PoweredOff) {
				t.Errorf("consistent %v, powered off %v", v.ConsistentWithSuccess, v.PoweredOff)
			}
		})
	}
}

// contradiction names a newest fact that speaks against success. It knows
// nothing of how Step decides.
func contradiction(e Expectation, o Observation) string {
	switch {
	case o.Ours == No:
		return "another machine"
	case o.Log.Failure != diagnosis.NoFailure:
		return "the log fails"
	case e.End == Reboot && (o.Process != Yes || o.Machine.Restarts > 0):
		return "" // what a restarted Windows says of itself is no contradiction
	case o.ImageState != windows.StateGeneralizeToOOBE:
		return "ImageState " + string(o.ImageState)
	case o.Tag != Yes:
		return "no tag"
	case o.SetupType != nil && *o.SetupType != 2:
		return "SetupType"
	case o.CmdLine != nil && !strings.Contains(*o.CmdLine, "windeploy"):
		return "CmdLine"
	case e.End != Reboot && o.Machine.Restarts > 0:
		return "a restart"
	case o.Machine.Paused != "" && !o.Machine.Off:
		return "paused"
	}
	return ""
}

// Whatever the order of the facts: no success while the newest of them says
// the opposite, and what the verdict shows is what was seen last.
func TestNoSuccessAgainstTheNewestFacts(t *testing.T) {
	states := []windows.State{windows.StateComplete, windows.StateUndeployable, windows.StateGeneralizeToOOBE, windows.StateSpecializeToOOBE}
	ends := map[Class]int{}
	for seed := range int64(20000) {
		r := rand.New(rand.NewSource(seed))
		e := Expectation{Generalize: true, End: End(r.Intn(3))}
		s := Begin(start, e)
		var v *Verdict
		// Facts begin near success, so that it is seen and then spoilt.
		o := at(0, state(windows.StateGeneralizeToOOBE), tag, ready, log(200, done, tagLogged), launched(start))
		o.Log.Start = start
		now := time.Duration(0)
		for step := 0; v == nil; step++ {
			now += time.Duration(1+r.Intn(40)) * time.Second
			if step > 0 {
				switch r.Intn(12) {
				case 0:
					o.ImageState = states[r.Intn(len(states))]
				case 1:
					o.Tag = TriOf(r.Intn(2) == 0)
				case 2:
					o.Process = TriOf(r.Intn(2) == 0)
				case 3:
					o.Port = Port(r.Intn(3))
				case 4, 5:
					o.Reached = !o.Reached
				case 6:
					o.Log.Failure = diagnosis.Failure(r.Intn(2) * int(diagnosis.ProcessFailure))
					o.Log.Lines++
				case 7:
					ready(&o)
					if r.Intn(2) == 0 {
						next(r.Intn(2), "")(&o)
					}
				case 8:
					o.Ours = Tri(r.Intn(3))
				case 9:
					o.Machine.Restarts = r.Intn(2)
				case 10:
					o.Machine.Paused = []string{"", "stopped"}[r.Intn(2)]
				case 11:
					o.Machine.Off = !o.Reached && r.Intn(2) == 0
				}
			}
			o.At = start.Add(now)
			given := o
			if !o.Reached {
				silent(o.Port)(&given)
				given.Machine = o.Machine
			}
			s, v = s.Step(given)
			if v == nil && now > time.Hour {
				t.Fatalf("seed %d: no verdict", seed)
			}
			if v == nil || v.Class != Generalized {
				continue
			}
			known := s.last
			known.Ours = given.Ours
			if why := contradiction(e, known); why != "" {
				t.Fatalf("seed %d: success against %s: %s", seed, why, v.Reason)
			}
			if v.ImageState != known.ImageState || v.Tag != known.Tag {
				t.Fatalf("seed %d: shown %s, %v; seen %s, %v", seed, v.ImageState, v.Tag, known.ImageState, known.Tag)
			}
		}
		ends[v.Class]++
	}
	for _, c := range []Class{Generalized, Broken, Hung, Lost, Undone, Unarmed, Replaced} {
		if ends[c] == 0 {
			t.Errorf("no sequence ended %s: %v", c, ends)
		}
	}
}

// A running Windows has SetupType 0: what was read before success is no fact about
// the image.
func TestWhatTheNextBootRunsIsReadAfterSuccess(t *testing.T) {
	j, v := Begin(start, Expectation{Generalize: true}).Step(at(time.Minute, state(windows.StateUndeployable), log(10, processing), next(0, "")))
	if v == nil {
		_, v = j.Step(at(2*time.Minute, ended, state(windows.StateGeneralizeToOOBE), tag, log(200, done, tagLogged)))
	}
	if v != nil {
		t.Errorf("got %s: %s", v.Class, v.Reason)
	}
}
