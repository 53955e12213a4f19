package boottest

import (
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

const (
	done       = windows.StateComplete
	beforeOOBE = windows.StateSpecializeToOOBE
	broken     = windows.StateUndeployable
	sealed     = windows.StateGeneralizeToOOBE
	audit      = windows.StateSpecializeToAudit
)

var (
	limits = Limits{Total: time.Hour, Start: 10 * time.Minute, Specialize: 30 * time.Minute, OOBE: 20 * time.Minute, Stall: 15 * time.Minute}
	begun  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	cause  = &diagnosis.Diagnosis{Finding: finding.Finding{ID: "F68", Name: "PRODUCTKEY_INVALID", Summary: "the key"}}
)

// at is a look so many minutes after the start at a machine that works.
func at(minutes float64, more func(*Look)) Look {
	l := Look{At: begun.Add(time.Duration(minutes * float64(time.Minute))), Counted: true, Read: uint64(minutes+1) << 20, Written: uint64(minutes * 100)}
	if more != nil {
		more(&l)
	}
	return l
}

func disk(s windows.State) func(*Look)          { return func(l *Look) { l.Disk = &Disk{State: s, Grown: 10} } }
func still(l *Look)                             { l.Written, l.Read = 0, 0 }
func both(a, b func(*Look)) func(*Look)         { return func(l *Look) { a(l); b(l) } }
func paused(l *Look)                            { still(l); l.Paused = "io-error" }
func ended(l *Look)                             { l.Ended = true }
func restarts(n int) func(*Look)                { return func(l *Look) { l.Restarts = n } }
func guest(s windows.State) func(*Look)         { return func(l *Look) { l.Guest = s } }
func failing(l *Look)                           { still(l); l.Disk = &Disk{State: broken, Grown: 10, Cause: cause} }
func screen(name string) func(*Look)            { return func(l *Look) { still(l); l.Screen = name } }
func through(s State, l ...Look) (State, *Stop) { return throughWith(s, limits, l...) }
func throughWith(s State, m Limits, looks ...Look) (State, *Stop) {
	var stop *Stop
	for _, l := range looks {
		if s, stop = s.After(l, m); stop != nil {
			break
		}
	}
	return s, stop
}

func TestWhenACloneIsWatchedNoLonger(t *testing.T) {
	for name, c := range map[string]struct {
		want  Reach
		asks  bool
		looks []Look
		stop  Reason
		goes  bool // on
		phase Phase
		text  string
	}{
		"firmware that reads nothing":        {ReachOOBE, false, []Look{at(1, still), at(9.9, still)}, 0, true, Firmware, ""},
		"firmware for too long":              {ReachOOBE, false, []Look{at(1, still), at(10, still)}, OverTime, false, Firmware, "firmware took more than 10m0s (start_timeout)"},
		"a loader shares the limit":          {ReachOOBE, false, []Look{at(9, nil), at(10, nil)}, OverTime, false, Loader, "start_timeout"},
		"something writes":                   {ReachOOBE, false, []Look{at(1, func(l *Look) { l.Written = 1 << 20 })}, 0, true, Starting, ""},
		"the boot manager's own write":       {ReachOOBE, false, []Look{at(1, func(l *Look) { l.Written = 64 << 10 })}, 0, true, Firmware, ""},
		"no counters":                        {ReachOOBE, false, []Look{{At: begun.Add(time.Minute)}}, 0, true, Firmware, ""},
		"specialize":                         {ReachOOBE, false, []Look{at(1, disk(sealed)), at(2, disk(broken))}, 0, true, Specialize, ""},
		"specialize for too long":            {ReachOOBE, false, []Look{at(1, disk(broken)), at(20, disk(broken)), at(31, disk(broken))}, OverTime, false, Specialize, "specialize took more than 30m0s (specialize_timeout)"},
		"OOBE was wanted, seen once":         {ReachOOBE, false, []Look{at(5, disk(beforeOOBE))}, 0, true, OOBE, ""},
		"OOBE was wanted, seen twice":        {ReachOOBE, false, []Look{at(5, disk(beforeOOBE)), at(5.1, disk(beforeOOBE))}, Arrived, false, OOBE, "IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE"},
		"past the OOBE that was wanted":      {ReachOOBE, false, []Look{at(5, disk(done)), at(5.1, disk(done))}, Arrived, false, Logon, ""},
		"a look that cannot read in between": {ReachOOBE, false, []Look{at(5, disk(beforeOOBE)), at(5.1, nil), at(5.2, disk(beforeOOBE))}, Arrived, false, OOBE, ""},
		"a torn look in between":             {ReachLogon, false, []Look{at(5, disk(done)), at(5.1, disk(broken)), at(5.2, disk(done))}, 0, true, Logon, ""},
		"logon is wanted, OOBE waits":        {ReachLogon, false, []Look{at(5, disk(beforeOOBE)), at(15, disk(beforeOOBE))}, 0, true, OOBE, ""},
		"OOBE for too long":                  {ReachLogon, false, []Look{at(5, disk(beforeOOBE)), at(15, disk(beforeOOBE)), at(25, disk(beforeOOBE))}, OverTime, false, OOBE, "oobe_timeout"},
		"audit mode":                         {ReachAudit, false, []Look{at(5, disk(audit)), at(5.1, disk(audit))}, Arrived, false, Audit, ""},
		"audit mode was not wanted":          {ReachLogon, false, []Look{at(5, disk(audit)), at(6, disk(audit))}, Arrived, false, Audit, ""},
		"set up, and audit mode was wanted":  {ReachAudit, false, []Look{at(5, disk(done)), at(5.1, disk(done))}, 0, true, Logon, ""},
		"the guest says so":                  {ReachLogon, true, []Look{at(5, guest(done))}, Arrived, false, Logon, "the guest answers"},
		"the guest is at work":               {ReachLogon, true, []Look{at(5, guest(beforeOOBE))}, 0, true, OOBE, ""},
		"the guest is asked and silent":      {ReachLogon, true, []Look{at(5, disk(done)), at(5.1, disk(done)), at(7, disk(done))}, 0, true, Logon, ""},
		"the guest is silent for too long":   {ReachLogon, true, []Look{at(5, disk(done)), at(16, disk(done)), at(26, disk(done))}, OverTime, false, Logon, "oobe_timeout"},
		"a failure, just now":                {ReachLogon, false, []Look{at(5, failing), at(5.2, failing)}, 0, true, Specialize, ""},
		"a failure that stands":              {ReachLogon, false, []Look{at(5, failing), at(5.4, failing)}, Failing, false, Specialize, "names a failure"},
		"a failure, and the log goes on":     {ReachLogon, false, []Look{at(5, failing), at(5.4, func(l *Look) { failing(l); l.Disk.Grown = 99 })}, 0, true, Specialize, ""},
		"no sign of life":                    {ReachLogon, false, []Look{at(1, disk(broken)), at(2, still), at(15.9, still), at(16, still)}, Stuck, false, Specialize, "no sign of life for 15m0s (stall_timeout)"},
		"a new screen is a sign":             {ReachLogon, false, []Look{at(1, both(disk(broken), screen("a"))), at(10, screen("b")), at(20, screen("b"))}, 0, true, Specialize, ""},
		"a screen seen before is none":       {ReachLogon, false, []Look{at(1, both(disk(broken), screen("a"))), at(2, screen("b")), at(10, screen("a")), at(17, screen("b"))}, Stuck, false, Specialize, ""},
		"the first screen is none":           {ReachLogon, false, []Look{at(1, disk(broken)), at(10, screen("a")), at(17, screen("a"))}, Stuck, false, Specialize, ""},
		"a restart is a sign":                {ReachLogon, false, []Look{at(1, disk(broken)), at(10, both(still, restarts(1))), at(20, both(still, restarts(1)))}, 0, true, Specialize, ""},
		"a paused machine":                   {ReachLogon, false, []Look{at(1, disk(broken)), at(10, paused), at(29, paused)}, 0, true, Specialize, ""},
		"it restarts for ever":               {ReachLogon, false, []Look{at(1, restarts(13))}, Looping, false, Firmware, "restarted 13 times"},
		"the machine ended":                  {ReachLogon, false, []Look{at(1, ended)}, Ended, false, Firmware, "ended"},
	} {
		s, stop := through(Begin(begun, c.want, c.asks), c.looks...)
		switch {
		case (stop == nil) != c.goes:
			t.Errorf("%s: %+v", name, stop)
			continue
		case s.Phase != c.phase:
			t.Errorf("%s: %s", name, s.Phase)
		case stop != nil && (stop.Reason != c.stop || !strings.Contains(stop.Text, c.text) || stop.Phase != c.phase):
			t.Errorf("%s: %+v", name, stop)
		}
		if s.String() == "" {
			t.Errorf("%s: it says nothing", name)
		}
	}
}

func TestTheWholeTestIsBounded(t *testing.T) {
	m := limits
	m.Specialize, m.Stall = 0, 3*time.Hour
	_, stop := throughWith(Begin(begun, ReachLogon, false), m, at(1, disk(broken)), at(59, disk(broken)), at(60, disk(broken)))
	if stop == nil || stop.Reason != OverTime || !strings.Contains(stop.Text, "1h0m0s (timeout)") {
		t.Errorf("%+v", stop)
	}
}

// The disk of a clone that is off has the last word, whatever was seen before.
func TestWhatACloneCameTo(t *testing.T) {
	end := func(s windows.State, c *diagnosis.Diagnosis) End { return End{Disk: &Disk{State: s, Cause: c}} }
	hung := end(broken, nil)
	hung.Disk.Hang = &diagnosis.Diagnosis{Finding: finding.Finding{ID: "F104"}}
	stands := func(s windows.State, id string) End {
		return End{Disk: &Disk{State: s, Hang: &diagnosis.Diagnosis{Finding: finding.Finding{ID: id}}}}
	}
	for name, c := range map[string]struct {
		want   Reach
		asks   bool
		said   bool
		seen   Disk // while it ran; zero: the same as at the end
		stop   Stop
		end    End
		class  Class
		phase  Phase
		texts  []string
		caused string
	}{
		"set up":                                {ReachLogon, false, false, Disk{}, Stop{Phase: Logon}, end(done, nil), Booted, Logon, []string{"booted as far as logon", string(done)}, ""},
		"it waits in OOBE, as wanted":           {ReachOOBE, false, false, Disk{}, Stop{Phase: OOBE}, end(beforeOOBE, nil), Booted, OOBE, []string{"waits in OOBE for a person"}, ""},
		"past it":                               {ReachOOBE, false, false, Disk{}, Stop{Phase: OOBE}, end(done, nil), Booted, Logon, nil, ""},
		"nothing was seen, and all is well":     {ReachLogon, false, false, Disk{}, Stop{Reason: OverTime, Phase: Starting, Text: "start of Windows took more than 30m0s"}, end(done, nil), Booted, Logon, nil, ""},
		"it waits in OOBE, and must not":        {ReachLogon, false, false, Disk{}, Stop{Reason: OverTime, Phase: OOBE, Text: "OOBE took more than 30m0s"}, end(beforeOOBE, nil), Waiting, OOBE, []string{"stuck in OOBE", "for 2m0s", "pass oobeSystem", `reach = "oobe"`}, ""},
		"a cause":                               {ReachLogon, false, false, Disk{}, Stop{Reason: Failing, Phase: Specialize}, end(broken, cause), Failed, Specialize, []string{"failed in specialize"}, "F68"},
		"a cause, and it went on":               {ReachLogon, false, false, Disk{}, Stop{Phase: Logon}, end(done, cause), Booted, Logon, nil, "F68"},
		"a hint that the disk takes back":       {ReachLogon, false, false, Disk{}, Stop{Reason: Failing, Phase: Specialize, Text: "the log names"}, end(broken, nil), Waiting, Specialize, []string{"the log names"}, ""},
		"it hangs":                              {ReachLogon, false, false, Disk{}, Stop{Reason: Stuck, Phase: Specialize, Text: "no sign of life"}, hung, Waiting, Specialize, []string{"stuck in specialize, for 2m0s", "no sign of life"}, "F104"},
		"a script before OOBE":                  {ReachLogon, false, false, Disk{}, Stop{Reason: OverTime, Phase: OOBE, Text: "OOBE took more"}, stands(beforeOOBE, "F118"), Waiting, OOBE, []string{"stuck in OOBE"}, "F118"},
		"OOBE itself":                           {ReachLogon, false, false, Disk{}, Stop{Reason: OverTime, Phase: OOBE, Text: "OOBE took more"}, stands(beforeOOBE, diagnosis.HangsInOOBE), Waiting, OOBE, []string{"stuck in OOBE", `reach = "oobe"`}, ""},
		"a command at the first logon":          {ReachLogon, true, false, Disk{}, Stop{Reason: OverTime, Phase: Logon, Text: "logon took more"}, stands(done, "F117"), Waiting, Logon, []string{"did not let the communicator in"}, "F117"},
		"one that does not matter":              {ReachLogon, false, false, Disk{}, Stop{Phase: Logon}, stands(done, "F117"), Booted, Logon, nil, ""},
		"nothing began":                         {ReachLogon, false, false, Disk{}, Stop{Reason: OverTime, Phase: Firmware, Text: "firmware took"}, end(sealed, nil), Waiting, Firmware, []string{"nothing on the disk was started"}, ""},
		"Windows Setup did not begin":           {ReachLogon, false, false, Disk{}, Stop{Reason: Stuck, Phase: Starting}, end(sealed, nil), Waiting, Starting, []string{"has not begun"}, ""},
		"no state":                              {ReachLogon, false, false, Disk{}, Stop{Reason: Stuck, Phase: Starting}, end("", nil), Undecided, Starting, []string{"could not be judged", "not there"}, ""},
		"the disk cannot be read":               {ReachLogon, false, false, Disk{}, Stop{Phase: Logon, Text: "its disk says x"}, End{Why: "torn"}, Undecided, Logon, []string{"torn"}, ""},
		"and the guest has said it":             {ReachLogon, true, true, Disk{}, Stop{Phase: Logon, Text: "the guest answers"}, End{Why: "torn"}, Booted, Logon, []string{"the guest answers"}, ""},
		"a crash":                               {ReachLogon, false, false, Disk{}, Stop{Reason: Ended, Phase: Logon}, End{Crash: "SIGKILL", Disk: &Disk{State: done}}, Failed, Logon, []string{"crashed: SIGKILL"}, ""},
		"the guest did not answer":              {ReachLogon, true, false, Disk{}, Stop{Reason: OverTime, Phase: Logon, Text: "logon took more"}, end(done, nil), Waiting, Logon, []string{"did not let the communicator in", "winrm_username"}, ""},
		"audit mode":                            {ReachAudit, false, false, Disk{}, Stop{Phase: Audit}, end(audit, nil), Booted, Audit, []string{"audit mode"}, ""},
		"audit mode was not wanted":             {ReachLogon, false, false, Disk{}, Stop{Phase: Audit}, end(audit, nil), Failed, Audit, []string{"boot_test.reach", `"logon"`}, ""},
		"what was seen is gone":                 {ReachLogon, false, false, Disk{State: done}, Stop{Reason: Arrived, Phase: Logon, Text: "its disk says x"}, end(beforeOOBE, nil), Undecided, Logon, []string{"while it ran its disk said IMAGE_STATE_COMPLETE, and since it is off IMAGE_STATE_SPECIALIZE"}, ""},
		"killed, and its state was not written": {ReachLogon, false, false, Disk{State: broken}, Stop{Reason: Stuck, Phase: Specialize, Text: "no sign of life"}, end(sealed, nil), Waiting, Specialize, []string{"forced off before it had written"}, ""},
		"it restarts for ever":                  {ReachLogon, false, false, Disk{}, Stop{Reason: Looping, Phase: Specialize, Text: "it restarted 13 times"}, end(broken, nil), Failed, Specialize, []string{"13 times"}, ""},
	} {
		s := Begin(begun, c.want, c.asks)
		s.Answered = c.said
		if s.disk = c.seen; s.disk.State == "" && c.end.Disk != nil {
			s.disk = *c.end.Disk
		}
		c.stop.Since = begun.Add(time.Minute)
		c.end.At = begun.Add(3 * time.Minute)
		v := Judge(s, c.stop, c.end)
		if v.Class != c.class || v.Phase != c.phase {
			t.Errorf("%s: %s in %s", name, v.Class, v.Phase)
		}
		text := v.Headline() + "\n" + v.Next
		for _, want := range c.texts {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is not in %q", name, want, text)
			}
		}
		if v.Class != Booted && c.caused == "" && v.Next == "" {
			t.Errorf("%s: it says no way out", name)
		}
		if got := v.Cause; (got == nil) != (c.caused == "") || got != nil && got.ID != c.caused {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
