package verdict

import (
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

func TestARunThatAnAgentStartsIsJudged(t *testing.T) {
	agent := func(e Tri, exit ...int) look {
		return func(o *Observation) {
			if o.Agent.Ended = e; len(exit) > 0 {
				o.Agent.Exit = &exit[0]
			}
		}
	}
	// before is a guest in which the agent has not started sysprep.
	before := func(after time.Duration, looks ...look) Observation {
		return at(after, append([]look{ended, state(windows.StateComplete), agent(No)}, looks...)...)
	}
	success := func(after time.Duration, looks ...look) Observation {
		return at(after, append([]look{ended, state(windows.StateGeneralizeToOOBE), tag, ready, log(200, done, tagLogged)}, looks...)...)
	}
	quit := Expectation{Generalize: true, Agent: "agent"}
	off := Expectation{Generalize: true, Agent: "agent", End: Shutdown}
	for name, test := range map[string]struct {
		expect Expectation
		seen   []Observation
		want   Class
		cause  string
		says   string // of the headline
	}{
		"sysprep begins after more than a minute": {quit, []Observation{before(time.Minute), before(9 * time.Minute), at(10*time.Minute, state(windows.StateUndeployable), log(10, processing))}, Running, "", ""},
		"it works and ends":                       {quit, []Observation{before(time.Minute), success(2*time.Minute, agent(No)), success(3*time.Minute, agent(Yes, 0))}, Generalized, "", ""},
		"its end may be read without its code":    {quit, []Observation{success(3*time.Minute, agent(Yes))}, Generalized, "", ""},
		"its end is not forgotten":                {quit, []Observation{at(time.Minute, log(10, processing), agent(Yes, 0)), success(3 * time.Minute)}, Generalized, "", ""},
		"its end is not needed for a power-off":   {off, []Observation{success(2*time.Minute, agent(No)), at(3*time.Minute, silent(PortClosed), machine(Machine{Off: true}))}, Generalized, "", ""},
		"it failed": {quit, []Observation{before(time.Minute, agent(Yes, 3)), before(69*time.Second, agent(Yes, 3)), before(70*time.Second, agent(Yes, 3))}, NotStarted, "AGENT_FAILED",
			"sysprep was not started: agent failed before it started sysprep (exit code 3); next: Read what it says"},
		"it failed and sysprep shows up":          {quit, []Observation{before(time.Minute, agent(Yes, 3)), at(65*time.Second, log(1, validating)), at(5*time.Minute, log(2, validating))}, Running, "", ""},
		"it starts nothing":                       {quit, []Observation{before(time.Minute, agent(Yes, 0)), before(179*time.Second, agent(Yes, 0)), before(3*time.Minute, agent(Yes, 0))}, NotStarted, "AGENT_IDLE", "sysprep was not started: agent ended without an error and started no sysprep"},
		"it starts sysprep late":                  {quit, []Observation{before(time.Minute, agent(Yes, 0)), at(170*time.Second, log(1, validating)), at(190*time.Second, log(2, validating))}, Running, "", ""},
		"it works for too long":                   {quit, []Observation{before(599 * time.Second), before(10 * time.Minute)}, Hung, "AGENT_LATE", "sysprep did not finish: agent has not started sysprep within 10m0s"},
		"it may take longer":                      {Expectation{Generalize: true, Agent: "agent", AgentWithin: time.Hour, Timeout: 2 * time.Hour}, []Observation{before(59 * time.Minute)}, Running, "", ""},
		"it failed after sysprep":                 {quit, []Observation{success(2*time.Minute, agent(No)), success(3*time.Minute, agent(Yes, 1))}, Broken, "AGENT_FAILED", "Windows is generalized, but the image was not finished: agent failed after sysprep was done (exit code 1)"},
		"it goes on after sysprep":                {quit, []Observation{success(2*time.Minute, agent(No)), success(419*time.Second, agent(No)), success(7*time.Minute, agent(No))}, Hung, "AGENT_LATE", "Windows is generalized, but the image is not finished: agent has not come to its end within 5m0s"},
		"the guest is lost before its end":        {quit, []Observation{success(2*time.Minute, agent(No)), at(11*time.Minute, silent(PortOpen)), at(12*time.Minute, silent(PortOpen)), at(13*time.Minute, inVain(PortOpen))}, Lost, "", "success could not be confirmed"},
		"nothing is known of it":                  {quit, []Observation{before(5*time.Minute, agent(Unknown)), before(10*time.Minute, agent(Unknown))}, Hung, "AGENT_LATE", ""},
		"its sysprep refuses":                     {quit, []Observation{before(time.Minute), at(2*time.Minute, ended, state(windows.StateComplete), log(10, validating, logClosed), agent(No))}, Refused, "", "sysprep refused"},
		"its sysprep stands still":                {quit, []Observation{before(time.Minute), at(2*time.Minute, state(windows.StateUndeployable), log(10, processing)), at(12*time.Minute, state(windows.StateUndeployable), log(10, processing))}, Hung, "", "log has not grown for 10m0s"},
		"its sysprep was seen and left no word":   {quit, []Observation{at(time.Minute, state(windows.StateComplete), agent(No)), before(2 * time.Minute), before(3 * time.Minute)}, Refused, "NOT_ADMIN", ""},
		"its sysprep left no more than its tag":   {quit, []Observation{before(time.Minute, agent(Yes, 0), tag), before(4*time.Minute, agent(Yes, 0), tag)}, Running, "", ""},
		"a minute without sysprep is no end":      {quit, []Observation{before(time.Minute), before(3 * time.Minute)}, Running, "", ""},
		"without an agent a minute is an end":     {Expectation{Generalize: true}, []Observation{before(time.Minute), before(2 * time.Minute)}, Refused, "NOT_ADMIN", ""},
		"the guest is lost while the agent works": {quit, []Observation{before(time.Minute), at(11*time.Minute, silent(PortOpen)), at(671*time.Second, inVain(PortOpen))}, Lost, "", "the guest was lost"},
	} {
		t.Run(name, func(t *testing.T) {
			j := Begin(start, test.expect)
			var v *Verdict
			for i, o := range test.seen {
				if v != nil {
					t.Fatalf("decided too early, at observation %d: %s, %s", i-1, v.Class, v.Reason)
				}
				j, v = j.Step(o)
			}
			if v == nil {
				if test.want != Running {
					t.Fatal("no verdict")
				}
				return
			}
			if head := v.Head(); head != (Head{test.want, test.cause}) {
				t.Errorf("got %v: %s", head, v.Reason)
			}
			if said := v.headline(); !strings.Contains(said, test.says) {
				t.Errorf("headline %q", said)
			}
			if test.cause != "" && test.cause != "NOT_ADMIN" && (v.Agent != "agent" || v.ConsistentWithSuccess) {
				t.Errorf("about %q, consistent with success: %v", v.Agent, v.ConsistentWithSuccess)
			}
		})
	}
}
