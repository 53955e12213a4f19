package verdict

import (
	"fmt"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

func TestVerdictsUnderAGuestThatIsNotKind(t *testing.T) {
	var table strings.Builder
	out := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "guest\tbuilder\tquit\tshutdown\treboot")
	for _, u := range unkindnesses {
		for _, w := range watchers {
			fmt.Fprintf(out, "%s\t%s", u.name, w.name)
			for i, end := range []End{Quit, Shutdown, Reboot} {
				v, when := u.run(w, end)
				got := v.Class.String()
				if v.PoweredOff {
					got += ", off"
				}
				if v.ConsistentWithSuccess && v.Class != Generalized {
					got += ", may be good"
				}
				var from, to int
				cut := strings.LastIndexByte(u.want[w.name][i], ' ')
				class, times := u.want[w.name][i][:cut], u.want[w.name][i][cut:]
				if _, err := fmt.Sscanf(times, " %d-%d", &from, &to); err != nil {
					t.Fatal(err)
				}
				if n := int(when / time.Second); got != class || n < from || n > to {
					t.Errorf("%s, %s, end %d: got %s after %d s, want %s\n%s", u.name, w.name, end, got, n, u.want[w.name][i], strings.Join(lines(v), "\n"))
				}
				text := strings.Join(lines(v), "\n")
				if said := strings.Contains(text, "powered off") || strings.Contains(text, "powered itself off"); said && v.Class != Hung && !v.PoweredOff {
					t.Errorf("%s, %s, end %d: nobody reported a power-off\n%s", u.name, w.name, end, text)
				}
				fmt.Fprintf(out, "\t%s, %ds", got, int(when/time.Second))
			}
			fmt.Fprintln(out)
		}
	}
	if err := out.Flush(); err != nil {
		t.Error(err)
	}
	t.Logf("\n%s", table.String())
}

// A network that comes and goes, and never lets a command through, holds no end
// back, and brings no last look that is not wanted.
func TestAPortThatOpensAndClosesForEverEndsInTime(t *testing.T) {
	for _, w := range watchers {
		for _, end := range []End{Quit, Shutdown, Reboot} {
			for _, period := range []time.Duration{4 * time.Second, 30 * time.Second, 150 * time.Second} {
				for _, from := range []time.Duration{weirdAt, tagAt + 2*time.Second} {
					u := unkindness{off: never, reset: never, show: func(end End, at time.Duration) look {
						if at < from {
							return usual(end, at)
						}
						return silent([]Port{PortClosed, PortOpen}[int(at/period)%2])
					}}
					v, when := u.run(w, end)
					if v.Class == Running || when > from+(10+2)*time.Minute {
						t.Errorf("%s, end %d, period %s: %s after %s", w.name, end, period, v.Class, when)
					}
					if v.Class == Generalized && from == weirdAt {
						t.Errorf("%s, end %d, period %s: %s", w.name, end, period, v.Reason)
					}
				}
			}
		}
	}
	s := Begin(start, Expectation{Generalize: true, End: Shutdown})
	for _, step := range []struct {
		o    Observation
		want bool
	}{
		{at(time.Minute, state(windows.StateUndeployable), log(200, done, tagLogged)), false}, {at(70*time.Second, silent(PortClosed)), false},
		{at(251*time.Second, silent(PortClosed)), true}, {at(252*time.Second, inVain(PortOpen)), false}, {at(260*time.Second, silent(PortClosed)), false},
	} {
		var v *Verdict
		if s, v = s.Step(step.o); v != nil || s.WantsLastLook() != step.want {
			t.Fatalf("at %s: %+v, wants a last look: %v", step.o.At.Sub(start), v, s.WantsLastLook())
		}
	}
}

// What the explanations say, whole: for another builder, which has the port
// alone, and for our own, which is told.
func TestExplanationsUnderAGuestThatIsNotKind(t *testing.T) {
	const seen = `ImageState IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE, tag present, SetupType 2, CmdLine oobe\windeploy.exe`
	for _, test := range []struct {
		guest string
		who   int
		end   End
		want  []string
	}{
		{"nothing", 0, Shutdown, []string{
			"Windows is generalized: the tag was created by this run, ImageState is IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE, and the guest no longer answers: its port has been closed for 3m0s since",
			"seen: " + seen + ", the port closed for 3m0s, after 6m30s",
			"next: Make sure in the hypervisor that the machine is off, because a closed port does not show it; then take the disk. Do not start the machine again before that.",
		}},
		{"nothing", 1, Shutdown, []string{
			"Windows is generalized: the tag was created by this run, ImageState is IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE, and the machine has powered itself off",
			"seen: " + seen + ", powered off, as its hypervisor reports, after 3m34s",
			"next: Take the disk; do not start the machine again before that.",
		}},
		{"port closed before the tag, for ever", 0, Shutdown, []string{
			"the guest was lost while sysprep worked: no command has been answered for 10m2s (connection refused), and its port has been closed for 10m0s: its network is down, or the machine is",
			"last log line: the last line",
			"seen: ImageState IMAGE_STATE_UNDEPLOYABLE, no tag, sysprep.exe was still running, the port closed for 10m0s, after 10m40s",
			"next: sysprep had not finished when the guest was last seen; it may have finished since, or not. Prove the disk offline before use.",
		}},
		{"restart instead of the power-off, back in specialize", 0, Shutdown, []string{
			"the guest restarted instead of powering off: it is not generalized any more: success was seen, but ImageState is IMAGE_STATE_UNDEPLOYABLE now",
			"last log line: the last line",
			`seen: ImageState IMAGE_STATE_UNDEPLOYABLE, tag present, SetupType 2, CmdLine oobe\windeploy.exe, after 4m40s`,
			"next: Windows has begun the first boot of the image on this machine: do not use its disk. Look for what restarts it (a later provisioner, shutdown /r, a watchdog, the hypervisor's reset) and run the build again.",
		}},
		{"the same, and WinRM lets nobody in", 0, Shutdown, []string{
			"sysprep did not finish: Windows is generalized, but it has not powered off within 5m0s: its port was closed for 1m10s and answers again, so it may have restarted",
			"last log line: the last line",
			"seen: " + seen + ", after 8m20s",
			"next: Look at the guest's screen: if Windows sets itself up for its first use, it has restarted, and its disk is not a generalized image. If not, end it from the hypervisor and prove the disk offline before use, or raise shutdown_timeout.",
		}},
		{"the same, and it restarts again for good", 0, Shutdown, []string{
			"success could not be confirmed in the guest: Windows was generalized, but then its port was closed for 1m10s, answered again without taking a command, and has been closed for 3m10s since: whether Windows restarted in between is not known",
			"last log line: the last line",
			"seen: " + seen + ", the port closed for 3m10s, after 9m0s",
			"next: Prove the disk offline before use: if Windows has restarted, it is not a generalized image.",
		}},
		{"nothing", 0, Reboot, []string{
			"Windows is generalized: the tag was created by this run, ImageState is IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE, and Windows has not answered for 30s since: it is restarting, as it was told to",
			"seen: " + seen + ", the port closed for 28s, after 3m58s",
			"next: Windows specializes this machine now; a disk taken after that is not a generalized image.",
		}},
	} {
		for _, u := range unkindnesses {
			if u.name != test.guest {
				continue
			}
			v, _ := u.run(watchers[test.who], test.end)
			if got, want := strings.Join(lines(v), "\n"), strings.Join(test.want, "\n"); got != want {
				t.Errorf("%s, %s, end %d: got\n%s\nwant\n%s", u.name, watchers[test.who].name, test.end, got, want)
			}
		}
	}
}

// The log of an earlier run that could not be moved, where the answer to the
// launch was lost: nothing of it ends this run.
func TestAnOldLogDecidesNothing(t *testing.T) {
	type reading struct {
		after   time.Duration
		runs    int
		start   time.Duration // of the last run in the log, from the launch
		length  int64
		next    int64
		looks   []look
		failure diagnosis.Failure
		tagged  bool
	}
	const oldLen = 100 << 10
	validation, minutes := diagnosis.ValidateFailure, time.Minute
	for name, test := range map[string]struct {
		launched bool
		fresh    bool
		seen     []reading
		want     Class
		own      Tri
	}{
		"sixteen months old, and sysprep has not written yet": {seen: []reading{
			{after: 2 * time.Second, runs: 1, start: -480 * 24 * time.Hour, length: oldLen, next: oldLen, failure: validation}}, want: Running},
		"the same for minutes, and then ours": {seen: []reading{
			{after: 2 * time.Second, runs: 1, start: -480 * 24 * time.Hour, length: oldLen, next: oldLen, failure: validation},
			{after: 5 * minutes, runs: 1, start: -480 * 24 * time.Hour, length: oldLen, next: oldLen, failure: validation},
			{after: 6 * minutes, runs: 2, start: 6 * minutes, length: oldLen + 100, next: oldLen + 100, looks: []look{state(windows.StateUndeployable)}},
			{after: 8 * minutes, runs: 2, start: 6 * minutes, length: oldLen + 9000, next: oldLen + 9000, tagged: true, looks: []look{state(windows.StateGeneralizeToOOBE), tag, ready, ended}},
		}, want: Generalized, own: Yes},
		"read in pieces": {seen: []reading{
			{after: 2 * time.Second, runs: 1, start: -480 * 24 * time.Hour, length: oldLen, next: 64 << 10, failure: validation},
			{after: 3 * time.Second, runs: 2, start: -479 * 24 * time.Hour, length: oldLen, next: oldLen, failure: validation},
			{after: 4 * time.Second, runs: 2, start: -479 * 24 * time.Hour, length: oldLen, next: oldLen, failure: validation},
		}, want: Running},
		"twenty minutes old, sysprep works": {seen: []reading{
			{after: 2 * time.Second, runs: 1, start: -20 * minutes, length: oldLen, next: oldLen, failure: validation},
			{after: 3 * minutes, runs: 1, start: -20 * minutes, length: oldLen, next: oldLen, failure: validation},
		}, want: Running},
		"complete when it is read first, and sysprep has ended": {seen: []reading{
			{after: 5 * time.Second, runs: 1, start: 2 * time.Second, length: oldLen, next: oldLen, failure: validation, looks: []look{ended, state(windows.StateComplete)}},
			{after: 64 * time.Second, runs: 1, start: 2 * time.Second, length: oldLen, next: oldLen, failure: validation, looks: []look{ended, state(windows.StateComplete)}},
			{after: 66 * time.Second, runs: 1, start: 2 * time.Second, length: oldLen, next: oldLen, failure: validation, looks: []look{ended, state(windows.StateComplete)}},
		}, want: Refused},
		"a run that begins while it is watched, by a clock that is years behind": {seen: []reading{
			{after: 2 * time.Second, runs: 1, start: -9 * 365 * 24 * time.Hour, length: oldLen, next: oldLen},
			{after: 4 * time.Second, runs: 2, start: -8 * 365 * 24 * time.Hour, length: oldLen + 900, next: oldLen + 900, failure: validation, looks: []look{state(windows.StateComplete)}},
		}, want: Refused, own: Yes},
		"reading began behind the old lines": {fresh: true, seen: []reading{
			{after: 2 * time.Second, runs: 1, start: time.Second, length: 900, next: 900, failure: validation, looks: []look{state(windows.StateComplete)}},
		}, want: Refused, own: Yes},
		"reading began behind the old lines, it was thought": {fresh: true, seen: []reading{
			{after: 2 * time.Second, runs: 1, start: -48 * time.Hour, length: 900, next: 900, failure: validation, looks: []look{state(windows.StateComplete)}},
		}, want: Running},
		"it is moved away late": {seen: []reading{
			{after: 2 * time.Second, runs: 1, start: -20 * minutes, length: oldLen, next: oldLen, failure: validation},
			{after: 4 * time.Second, runs: 1, start: -20 * minutes, length: 0, next: 0, failure: validation},
			{after: 6 * time.Second, runs: 1, start: -20 * minutes, length: 0, next: 0, failure: validation},
		}, want: Running},
		"an hour old by the guest's own clock": {launched: true, seen: []reading{
			{after: 2 * time.Second, runs: 1, start: -time.Hour, length: oldLen, next: oldLen, failure: validation},
			{after: 2 * time.Minute, runs: 1, start: -time.Hour, length: oldLen + 9, next: oldLen + 9, failure: validation},
		}, want: Running},
		"an old success with a new tag": {seen: []reading{
			{after: 2 * time.Second, runs: 1, start: -480 * 24 * time.Hour, length: oldLen, next: oldLen, tagged: true, looks: []look{state(windows.StateGeneralizeToOOBE), tag, ready, ended}},
		}, want: Running},
	} {
		t.Run(name, func(t *testing.T) {
			s := Begin(start, Expectation{Generalize: true})
			var v *Verdict
			for _, r := range test.seen {
				if v != nil {
					t.Fatalf("decided too early: %s, %s", v.Class, v.Reason)
				}
				o := at(r.after, r.looks...)
				o.Log = diagnosis.Progress{Runs: r.runs, Lines: 100, Start: start.Add(r.start), Failure: r.failure, TagCreated: r.tagged, Options: []string{"GENERALIZE"}, Stage: validating}
				o.LogBytes, o.LogNext, o.LogFresh = r.length, r.next, test.fresh
				if test.launched {
					o.Launched = start
				}
				s, v = s.Step(o)
			}
			if v == nil {
				v = &Verdict{}
			}
			if v.Class != test.want || v.OwnLog != test.own {
				t.Errorf("got %s (%s), own log %s", v.Class, v.Reason, v.OwnLog)
			}
		})
	}
}
