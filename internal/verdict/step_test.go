package verdict

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

const (
	validating = diagnosis.StageValidating
	processing = diagnosis.StageProcessing
	done       = diagnosis.StageDone
)

func TestARunIsJudged(t *testing.T) {
	working := at(30*time.Second, state(windows.StateUndeployable), log(100, processing))
	success := func(after time.Duration, looks ...look) Observation {
		return at(after, append([]look{state(windows.StateGeneralizeToOOBE), tag, ready, log(200, done, tagLogged)}, looks...)...)
	}
	generalize := Expectation{Generalize: true}
	shutdown := Expectation{Generalize: true, End: Shutdown}
	reboot := Expectation{Generalize: true, End: Reboot}

	for name, test := range map[string]struct {
		expect     Expectation
		seen       []Observation
		want       Class // after the last observation; all before it must be Running
		reason     string
		poweredOff bool
		consistent bool
	}{
		// Success.
		"tag, state and log agree and sysprep has ended": {
			expect: generalize, seen: []Observation{working, success(2*time.Minute, ended)},
			want: Generalized, reason: "the log says so", consistent: true,
		},
		"sysprep lives on for a moment after success": {
			expect: generalize, seen: []Observation{success(time.Minute), success(90 * time.Second), success(2 * time.Minute)},
			want: Generalized, consistent: true,
		},
		"success and then no answer, with quit": {
			expect: generalize, seen: []Observation{success(time.Minute), at(2*time.Minute, silent(PortOpen))},
			want: Generalized, consistent: true,
		},
		"success, a look without an answer, and then no success any more": {
			expect: generalize, seen: []Observation{success(time.Minute), at(70*time.Second, silent(PortOpen)), at(80*time.Second, tag, state(windows.StateUndeployable), log(200, done, tagLogged, logClosed))},
			want: Undone,
		},
		"a look that read the state before generalize and the log after it": {
			expect: generalize, seen: []Observation{
				at(5*time.Second, state(windows.StateComplete), log(20, validating)),
				at(2*time.Minute, ended, noTag, state(windows.StateComplete), log(200, done, tagLogged, logClosed)),
				success(3*time.Minute, ended),
			},
			want: Generalized, consistent: true,
		},
		"Windows has started again after generalize, and the next look says so too": {
			expect: generalize, seen: []Observation{
				at(5*time.Second, state(windows.StateComplete), log(20, validating)),
				at(2*time.Minute, ended, noTag, state(windows.StateComplete), log(200, done, tagLogged, logClosed)),
				at(130*time.Second, ended, noTag, state(windows.StateComplete), log(200, done, tagLogged, logClosed)),
			},
			want: Undone, reason: "Windows has started again",
		},
		"the state follows some minutes after sysprep has ended": {
			expect: generalize, seen: []Observation{
				at(time.Minute, ended, tag, state(windows.StateUndeployable), log(200, done, tagLogged, logClosed)),
				at(5*time.Minute, ended, tag, state(windows.StateUndeployable), log(200, done, tagLogged, logClosed)),
				success(6*time.Minute, ended),
			},
			want: Generalized, consistent: true,
		},
		"audit is expected and seen": {
			expect: Expectation{Generalize: true, ImageState: windows.StateGeneralizeToAudit},
			seen:   []Observation{success(time.Minute, ended, state(windows.StateGeneralizeToAudit))},
			want:   Generalized, consistent: true,
		},
		"without generalize a closed log will do for the tag": {
			expect: Expectation{},
			seen:   []Observation{at(time.Minute, ended, state(windows.StateSpecializeToOOBE), log(50, processing, logClosed))},
			want:   Generalized, consistent: true,
		},
		"a tag without the state is not success": {
			expect: generalize, seen: []Observation{at(time.Minute, tag, state(windows.StateUndeployable), log(200, done, tagLogged))}, want: Running,
		},
		"a tag and state of which the log knows nothing is not success": {
			expect: generalize, seen: []Observation{at(time.Minute, tag, state(windows.StateGeneralizeToOOBE), log(20, processing))}, want: Running,
		},
		"a state and a log without the tag is not success": {
			expect: generalize, seen: []Observation{at(time.Minute, state(windows.StateGeneralizeToOOBE), log(20, processing, tagLogged))}, want: Running,
		},
		"a run without the option GENERALIZE is not success": {
			expect: generalize, seen: []Observation{success(time.Minute, ended, log(20, done, tagLogged, func(f *diagnosis.Progress) { f.Options = nil }))}, want: Running,
		},
		"the wrong reseal is not success": {
			expect: generalize, seen: []Observation{success(time.Minute, ended, state(windows.StateGeneralizeToAudit))}, want: Running,
		},
		"tag and state but never a log": {
			expect: generalize, seen: []Observation{
				at(time.Minute, ended, tag, state(windows.StateGeneralizeToOOBE)), at(12*time.Minute, ended, tag, state(windows.StateGeneralizeToOOBE)),
			},
			want: Lost, reason: "could not be read", consistent: true,
		},

		// The end that was asked for.
		"success, then the port stays closed": {
			expect: shutdown, seen: []Observation{
				working, success(time.Minute), at(70*time.Second, silent(PortClosed)), at(90*time.Second, silent(PortClosed)), at(240*time.Second, silent(PortClosed)), at(250*time.Second, silent(PortClosed)),
			},
			want: Generalized, reason: "the guest no longer answers: its port has been closed for 3m0s", consistent: true,
		},
		"a port that comes back has not powered off": {
			expect: shutdown, seen: []Observation{
				success(time.Minute), at(70*time.Second, silent(PortClosed)), at(90*time.Second, silent(PortOpen)), at(110*time.Second, silent(PortClosed)),
			},
			want: Running,
		},
		"success, but the guest never powers off": {
			expect: shutdown, seen: []Observation{success(time.Minute), success(5 * time.Minute), success(6 * time.Minute)},
			want: Hung, reason: "has not powered off within 5m", consistent: true,
		},
		"a long wait for the power-off is not cut short by other limits": {
			expect: Expectation{Generalize: true, End: Shutdown, Timeout: 2 * time.Minute, Stall: time.Minute, LostAfter: time.Minute, EndWithin: time.Hour},
			seen:   []Observation{success(time.Minute), success(30*time.Minute, ended), at(45*time.Minute, silent(PortOpen)), success(time.Hour)},
			want:   Running,
		},
		"success, but nobody can see the power-off": {
			expect: shutdown, seen: []Observation{success(time.Minute), at(6*time.Minute, silent(PortUnknown)), at(370*time.Second, inVain(PortUnknown))},
			want: Generalized, reason: "whether it did could not be seen within 5m0s (connection refused)", consistent: true,
		},
		"tag and state seen, the log not any more, port stays closed": {
			expect: shutdown, seen: []Observation{
				at(time.Minute, tag, state(windows.StateGeneralizeToOOBE), log(20, processing)), at(70*time.Second, silent(PortClosed)), at(240*time.Second, silent(PortClosed)), at(250*time.Second, silent(PortClosed)),
			},
			want: Generalized, reason: "when the guest was seen last", consistent: true,
		},
		"the log had the tag, then the port stays closed": {
			expect: shutdown, seen: []Observation{
				at(time.Minute, state(windows.StateUndeployable), log(20, done, tagLogged)), at(70*time.Second, silent(PortClosed)), at(250*time.Second, silent(PortClosed)), at(251*time.Second, inVain(PortClosed)),
			},
			want: Lost, reason: "success could not be seen before: its port has been closed for 3m1s", consistent: true,
		},
		"the port closes early and briefly while sysprep works": {
			expect: shutdown, seen: []Observation{working, at(40*time.Second, silent(PortClosed)), at(100*time.Second, silent(PortClosed)), success(3 * time.Minute)}, want: Running,
		},
		"the port closes early and stays so": {
			expect: shutdown, seen: []Observation{working, at(40*time.Second, silent(PortClosed)), at(9*time.Minute, silent(PortClosed)), at(631*time.Second, silent(PortClosed)), at(640*time.Second, inVain(PortClosed))},
			want: Lost, reason: "no command has been answered for 10m10s (connection refused), and its port has been closed for 10m0s: its network is down, or the machine is", consistent: true,
		},
		"success, then the restart begins": {
			expect: reboot, seen: []Observation{success(time.Minute), at(70*time.Second, silent(PortClosed)), at(90*time.Second, silent(PortClosed))},
			want: Generalized, reason: "has not answered for 30s since: it is restarting", consistent: true,
		},
		"success, and nobody is let in, while the port stays open": {
			expect: reboot, seen: []Observation{success(time.Minute), at(70*time.Second, silent(PortOpen)), at(100*time.Second, silent(PortOpen))}, want: Running,
		},
		"success, then the restart is over, and Windows lets nobody in": {
			expect: reboot, seen: []Observation{success(time.Minute), at(62*time.Second, silent(PortClosed)), at(80*time.Second, silent(PortOpen))},
			want: Generalized, reason: "closed for 18s and answers again", consistent: true,
		},
		"success, then the restart is over before anybody looks": {
			expect: reboot, seen: []Observation{success(time.Minute), at(3*time.Minute, ended, state(windows.StateUndeployable), log(200, done, tagLogged))},
			want: Generalized, consistent: true,
		},
		"success, but no restart": {
			expect: reboot, seen: []Observation{success(time.Minute), success(7 * time.Minute)},
			want: Hung, reason: "has not restarted", consistent: true,
		},
		"tag and state seen, then the restart begins and goes on": {
			expect: reboot, seen: []Observation{
				at(time.Minute, tag, state(windows.StateGeneralizeToOOBE), log(20, processing)), at(70*time.Second, silent(PortClosed)), at(100*time.Second, silent(PortClosed)),
			},
			want: Generalized, reason: "before Windows went down to restart", consistent: true,
		},
		"the guest comes back from a restart that nobody saw begin": {
			expect: reboot, seen: []Observation{
				working, at(time.Minute, silent(PortClosed)),
				at(2*time.Minute, ended, state(windows.StateUndeployable), log(200, done, tagLogged)),
				at(13*time.Minute, ended, state(windows.StateUndeployable), log(200, done, tagLogged)),
			},
			want: Lost, reason: "Windows went on to", consistent: true,
		},

		// Refused.
		"validation failed, sysprep has ended": {
			expect: generalize, seen: []Observation{at(3*time.Second, ended, state(windows.StateComplete), log(37, validating, failure(diagnosis.ValidateFailure), logClosed))},
			want: Refused, reason: "refused in validation",
		},
		"validation failed and a dialog keeps sysprep alive": {
			expect: generalize, seen: []Observation{at(3*time.Second, state(windows.StateComplete), log(37, validating, failure(diagnosis.ValidateFailure)))},
			want: Refused,
		},
		"the command line was not understood": {
			expect: generalize, seen: []Observation{at(3*time.Second, state(windows.StateComplete), log(5, diagnosis.StageStarted, failure(diagnosis.ParseFailure)))},
			want: Refused, reason: "did not understand its command line",
		},
		"the log is closed without a tag": {
			expect: generalize, seen: []Observation{at(3*time.Second, state(windows.StateComplete), log(37, validating, logClosed))},
			want: Refused, reason: "without creating its tag",
		},
		"in audit mode validation failed": {
			expect: generalize, seen: []Observation{at(3*time.Second, state(windows.StateSpecializeToAudit), log(37, validating, failure(diagnosis.ValidateFailure)))},
			want: Refused,
		},
		"sysprep ended after validating, without a word": {
			expect: generalize, seen: []Observation{at(3*time.Second, ended, state(windows.StateComplete), log(20, validating)), at(62*time.Second, ended, state(windows.StateComplete), log(20, validating)), at(64*time.Second, ended, state(windows.StateComplete), log(20, validating))},
			want: Refused, reason: "gone for 1m1s",
		},
		"sysprep never wrote a line": {
			expect: generalize, seen: []Observation{at(3*time.Second, ended, state(windows.StateComplete)), at(63*time.Second, ended, state(windows.StateComplete))},
			want: Refused, reason: "without writing a line",
		},

		// Broken.
		"a provider failed": {
			expect: generalize, seen: []Observation{working, at(time.Minute, state(windows.StateUndeployable), gen(3), log(150, processing, failure(diagnosis.ProcessFailure)))},
			want: Broken, reason: "begun to change",
		},
		"a provider failed although ImageState is complete": {
			expect: generalize, seen: []Observation{at(time.Minute, state(windows.StateComplete), log(150, processing, failure(diagnosis.ProcessFailure)))}, want: Broken,
		},
		"sysprep is gone and the image undeployable": {
			expect: generalize, seen: []Observation{working, at(time.Minute, ended, state(windows.StateUndeployable), log(100, processing)), at(2*time.Minute, ended, state(windows.StateUndeployable), log(100, processing))},
			want: Broken, reason: "gone for 1m0s",
		},
		"sysprep is gone for a moment only": {
			expect: generalize, seen: []Observation{working, at(time.Minute, ended, state(windows.StateUndeployable), log(100, processing)), at(119*time.Second, ended, state(windows.StateUndeployable), log(100, processing))}, want: Running,
		},
		"sysprep is gone but the log grows": {
			expect: generalize, seen: []Observation{working, at(time.Minute, ended, state(windows.StateUndeployable), log(110, processing)), at(3*time.Minute, ended, state(windows.StateUndeployable), log(120, processing))}, want: Running,
		},
		"validation failed but the image is undeployable": {
			expect: generalize, seen: []Observation{at(3*time.Second, state(windows.StateUndeployable), log(37, validating, failure(diagnosis.ValidateFailure)))},
			want: Broken, reason: "UNDEPLOYABLE",
		},
		"validation failed but GeneralizationState is 3": {
			expect: generalize, seen: []Observation{at(3*time.Second, state(windows.StateComplete), gen(3), log(37, validating, failure(diagnosis.ValidateFailure)))},
			want: Broken, reason: "GeneralizationState is 3",
		},
		"the log is closed without a tag after processing": {
			expect: generalize, seen: []Observation{at(time.Minute, ended, state(windows.StateComplete), log(150, processing, logClosed))}, want: Broken,
		},
		"the log is closed without a tag although the state is the wanted one": {
			expect: generalize, seen: []Observation{at(time.Minute, ended, state(windows.StateGeneralizeToOOBE), log(150, processing, logClosed))}, want: Broken,
		},
		"the state is the wanted one but the tag never comes": {
			expect: generalize, seen: []Observation{at(time.Minute, ended, state(windows.StateGeneralizeToOOBE), log(100, processing)), at(12*time.Minute, ended, state(windows.StateGeneralizeToOOBE), log(100, processing))},
			want: Broken, reason: "without its tag",
		},
		"the tag is there but the state never comes": {
			expect: generalize, seen: []Observation{at(time.Minute, ended, tag, state(windows.StateUndeployable), log(200, done, tagLogged)), at(11*time.Minute, ended, tag, state(windows.StateUndeployable), log(200, done, tagLogged))},
			want: Broken, reason: "ended with its tag",
		},

		// Hung.
		"the log stands still while sysprep lives": {
			expect: generalize, seen: []Observation{working, at(10*time.Minute, state(windows.StateUndeployable), log(100, processing)), at(630*time.Second, state(windows.StateUndeployable), log(100, processing))},
			want: Hung, reason: "has not grown for 10m0s",
		},
		"sysprep lives and never writes a line": {
			expect: generalize, seen: []Observation{at(time.Minute, state(windows.StateComplete)), at(10*time.Minute, state(windows.StateComplete))},
			want: Hung, reason: "written no line",
		},
		"the log grows but never ends": {
			expect: generalize, seen: []Observation{working, at(9*time.Minute, log(101, processing)), at(18*time.Minute, log(102, processing)), at(27*time.Minute, log(103, processing)), at(30*time.Minute, log(104, processing))},
			want: Hung, reason: "not ended within 30m",
		},
		"a slow run with a growing log goes on": {
			expect: generalize, seen: []Observation{working, at(9*time.Minute, log(101, processing)), at(18*time.Minute, log(102, processing)), at(27*time.Minute, log(103, processing))}, want: Running,
		},

		// Lost.
		"the port is open but nothing answers for long": {
			expect: generalize, seen: []Observation{working, at(10*time.Minute, silent(PortOpen)), at(11*time.Minute, silent(PortOpen)), at(680*time.Second, inVain(PortOpen))},
			want: Lost, reason: "no command has been answered for 10m50s (connection refused)", consistent: true,
		},
		"the guest answers when it is asked once more": {
			expect: generalize, seen: []Observation{working, at(11*time.Minute, silent(PortOpen)), at(680*time.Second, state(windows.StateUndeployable), log(110, processing), func(o *Observation) { o.Last = true }), at(20*time.Minute, silent(PortOpen))},
			want: Running,
		},
		"what happens while nothing is heard does not count as standing still": {
			expect: generalize, seen: []Observation{working, at(time.Minute, silent(PortClosed)), at(9*time.Minute, silent(PortClosed)), at(631*time.Second, state(windows.StateUndeployable), log(100, processing)), at(1202*time.Second, state(windows.StateUndeployable), log(100, processing))},
			want: Hung, reason: "has not grown for 10m1s",
		},
		"a guest that froze when sysprep had ended is given its time": {
			expect: generalize, seen: []Observation{
				at(time.Minute, ended, state(windows.StateUndeployable), log(100, processing)), at(70*time.Second, silent(PortClosed)),
				at(200*time.Second, ended, state(windows.StateUndeployable), log(100, processing)), at(251*time.Second, ended, state(windows.StateUndeployable), log(100, processing))},
			want: Broken, reason: "gone for 1m1s",
		},
		"a freeze right after success, before what the next boot runs was read": {
			expect: generalize, seen: []Observation{
				at(time.Minute, ended, state(windows.StateGeneralizeToOOBE), tag, log(200, done, tagLogged)), at(70*time.Second, silent(PortClosed)), at(190*time.Second, silent(PortClosed)), success(191*time.Second, ended)},
			want: Generalized, consistent: true,
		},
		"nobody asks once more": {
			expect: generalize, seen: []Observation{working, at(11*time.Minute, silent(PortOpen)), at(11*time.Minute+44*time.Second, silent(PortOpen)), at(11*time.Minute+45*time.Second, silent(PortOpen))},
			want: Lost, reason: "no command has been answered", consistent: true,
		},
		"nothing answers for a while, then success": {
			expect: generalize, seen: []Observation{working, at(time.Minute, silent(PortOpen)), at(9*time.Minute, silent(PortUnknown)), success(10*time.Minute, ended)},
			want: Generalized, consistent: true,
		},
		"nothing ever answered": {
			expect: shutdown, seen: []Observation{at(time.Minute, silent(PortOpen)), at(10*time.Minute, silent(PortOpen)), at(611*time.Second, inVain(PortOpen))},
			want: Lost, reason: "since the launch", consistent: true,
		},
		"the guest was killed though it should only quit": {
			expect: generalize, seen: []Observation{working, at(time.Minute, silent(PortClosed), machine(Machine{Off: true}))},
			want: Lost, reason: "told only to quit", poweredOff: true,
		},
		"time is up while nothing answers": {
			expect: Expectation{Generalize: true, Timeout: 2 * time.Minute}, seen: []Observation{working, at(2*time.Minute, silent(PortOpen)), at(125*time.Second, inVain(PortOpen))},
			want: Lost, reason: "for 1m35s", consistent: true,
		},
		"sysprep ended and ImageState cannot be read": {
			expect: generalize, seen: []Observation{at(time.Minute, ended, log(10, validating)), at(12*time.Minute, ended, log(10, validating))},
			want: Lost, reason: "ImageState could not be read",
		},
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
				if test.want != Running {
					t.Fatal("no verdict")
				}
				return
			}
			if v.Class != test.want || !strings.Contains(v.Reason, test.reason) || v.PoweredOff != test.poweredOff || v.ConsistentWithSuccess != test.consistent {
				t.Errorf("got %s, %q, powered off %v, consistent %v", v.Class, v.Reason, v.PoweredOff, v.ConsistentWithSuccess)
			}
			if v.Took != test.seen[len(test.seen)-1].At.Sub(start) {
				t.Errorf("took %s", v.Took)
			}
			if all := lines(*v); len(all) < 3 || slices.ContainsFunc(all, func(l string) bool { return l == "" || strings.Contains(l, "%!") }) {
				t.Errorf("explanation %q", all)
			}
		})
	}
}

// A step that is known to be silent may be so for longer, where stall_timeout
// was left as it is.
func TestAStepThatIsKnownForItsSilenceIsNotHung(t *testing.T) {
	at40 := diagnosis.Step{Action: "Generalize.xml"}
	external := diagnosis.Step{Entry: "Generalize", Module: `C:\Program Files\Contoso\agent.dll`, External: true}
	devices := diagnosis.Step{Entry: "Sysprep_Generalize_Pnp", Module: `C:\Windows\System32\sppnp.dll`}
	apps := diagnosis.Step{Entry: "SysprepGeneralize", Module: `C:\Windows\System32\AppxSysprep.dll`}
	loud := diagnosis.Step{Entry: "Foo", Module: "foo.dll"}
	const longer, set = "longer than the %s for which this step is known to write nothing", "this step is known to write nothing for up to %s, and stall_timeout is set to 10m0s"
	for name, test := range map[string]struct {
		expect Expectation
		work   diagnosis.Step
		begun  time.Duration // when the log grew last
		after  time.Duration
		want   string // of the reason; "": it goes on
	}{
		"no provider, for less":     {Expectation{Patient: true, Unhurried: true}, at40, 0, 39 * time.Minute, ""},
		"no provider, for more":     {Expectation{Patient: true, Unhurried: true}, at40, 0, 40 * time.Minute, fmt.Sprintf(longer, "40m0s")},
		"other software, for less":  {Expectation{Patient: true}, external, 0, 14 * time.Minute, ""},
		"other software, for more":  {Expectation{Patient: true}, external, 0, 15 * time.Minute, fmt.Sprintf(longer, "15m0s")},
		"devices, for less":         {Expectation{Patient: true}, devices, 0, 19 * time.Minute, ""},
		"devices, for more":         {Expectation{Patient: true}, devices, 0, 20 * time.Minute, fmt.Sprintf(longer, "20m0s")},
		"apps, for less":            {Expectation{Patient: true}, apps, 0, 14 * time.Minute, ""},
		"apps, for more":            {Expectation{Patient: true}, apps, 0, 15 * time.Minute, fmt.Sprintf(longer, "15m0s")},
		"a limit that is set":       {Expectation{Stall: 10 * time.Minute}, external, 0, 10 * time.Minute, fmt.Sprintf(set, "15m0s")},
		"within one that is set":    {Expectation{Stall: 10 * time.Minute}, external, 0, 9 * time.Minute, ""},
		"usually loud":              {Expectation{Patient: true, Unhurried: true}, loud, 0, 10 * time.Minute, "has not grown for 10m0s"},
		"begun late":                {Expectation{Patient: true, Unhurried: true}, at40, 20 * time.Minute, 59 * time.Minute, ""},
		"begun late, no end":        {Expectation{Patient: true, Unhurried: true}, at40, 20 * time.Minute, time.Hour, fmt.Sprintf(longer, "40m0s")},
		"begun late, a total limit": {Expectation{Patient: true}, at40, 20 * time.Minute, 30 * time.Minute, "has not ended within 30m0s"},
		"loud beyond the total":     {Expectation{Patient: true, Unhurried: true}, loud, 25 * time.Minute, 30 * time.Minute, "has not ended within 30m0s"},
		"silent beyond all":         {Expectation{Patient: true, Unhurried: true}, at40, 65 * time.Minute, 70 * time.Minute, "has not ended within 30m0s"},
	} {
		test.expect.Generalize = true
		judge := Begin(start, test.expect)
		var v *Verdict
		// Until it stands still the log grows.
		grows := 100
		for after := time.Duration(0); after < test.begun; after += 5 * time.Minute {
			judge, v = judge.Step(at(after, state(windows.StateUndeployable), log(grows, processing, func(p *diagnosis.Progress) { p.Working = test.work })))
			if grows++; v != nil {
				t.Fatalf("%s: %s after %s", name, v.Reason, after)
			}
		}
		for _, after := range []time.Duration{test.begun, test.after} {
			judge, v = judge.Step(at(after, state(windows.StateUndeployable), log(grows, processing, func(p *diagnosis.Progress) { p.Working = test.work })))
		}
		switch {
		case (v == nil) != (test.want == ""):
			t.Errorf("%s: %+v", name, v)
		case v != nil && (v.Class != Hung || !strings.Contains(v.Reason, test.want)):
			t.Errorf("%s: %s, %q", name, v.Class, v.Reason)
		}
	}
}
