package verdict

import (
	"fmt"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
)

const (
	// agentFailed is how long an agent that failed has ended before it counts: what
	// it started may still show.
	agentFailed = 10 * time.Second
	// agentIdle is how long an agent has ended well before it counts as one that
	// starts no sysprep: a task or a service may start it.
	agentIdle = 2 * time.Minute
)

// Agent is a program of the guest that starts sysprep itself, as last seen; the
// zero value where there is none, or nothing is known.
type Agent struct {
	Ended Tri
	Exit  *int // its exit code; nil: not known
}

// agentSeen is what a watch has seen of the agent.
type agentSeen struct {
	ended time.Time // since when; zero: it is not known to have ended
	exit  *int
	began bool // sysprep was seen, or what it does
}

// after learns from an observation; what has ended stays so, whatever becomes
// of the file that says it.
func (w agentSeen) after(o Observation) agentSeen {
	if o.Agent.Ended == Yes && w.ended.IsZero() {
		w.ended, w.exit = o.At, o.Agent.Exit
	}
	w.began = w.began || o.Process == Yes || o.Log.Lines > 0 || o.Tag == Yes
	return w
}

func (w agentSeen) failed() bool { return w.exit != nil && *w.exit != 0 }

// waitsForAgent: the agent has not started sysprep yet, as far as was seen.
func (j Judge) waitsForAgent() bool { return j.expect.Agent != "" && !j.agent.began }

// agentStarts rules when the agent does not start sysprep.
func (j Judge) agentStarts() *Verdict {
	if !j.waitsForAgent() || !j.last.Reached {
		return nil
	}
	if j.agent.ended.IsZero() {
		if waited := j.last.At.Sub(j.begun); waited >= j.expect.AgentWithin {
			v := j.verdict(Hung, "%s has been at work for %s and has not started sysprep; it was not ended and may still do so", j.expect.Agent, seconds(waited))
			return j.byAgent(v, "F58", fmt.Sprintf("%s has not started sysprep within %s", j.expect.Agent, j.expect.AgentWithin))
		}
		return nil
	}
	switch gone := j.last.At.Sub(j.agent.ended); {
	case j.agent.failed() && gone >= agentFailed:
		v := j.verdict(NotStarted, "%s ended with exit code %d, and no sysprep.exe was seen", j.expect.Agent, *j.agent.exit)
		return j.byAgent(v, "F56", fmt.Sprintf("%s failed before it started sysprep (exit code %d)", j.expect.Agent, *j.agent.exit))
	case gone >= agentIdle:
		v := j.verdict(NotStarted, "%s ended %s ago, and no sysprep.exe was seen", j.expect.Agent, seconds(gone))
		return j.byAgent(v, "F57", j.expect.Agent+" ended without an error and started no sysprep")
	}
	return nil
}

// agentEnds rules when success was seen and Windows is to stay up: what the agent
// does after sysprep belongs to the image as well. done: it has come to its end.
func (j Judge) agentEnds(waited time.Duration) (v *Verdict, done bool) {
	switch {
	case j.expect.Agent == "":
		return nil, true
	case j.agent.failed():
		v := j.verdict(Broken, "%s ended with exit code %d after sysprep was done", j.expect.Agent, *j.agent.exit)
		return j.byAgent(v, "F56", fmt.Sprintf("%s failed after sysprep was done (exit code %d)", j.expect.Agent, *j.agent.exit)), false
	case !j.agent.ended.IsZero():
		return nil, true
	case waited >= j.expect.EndWithin && j.last.Reached:
		v := j.verdict(Hung, "sysprep is done, and %s was still at work %s after that", j.expect.Agent, seconds(waited))
		return j.byAgent(v, "F58", fmt.Sprintf("%s has not come to its end within %s of sysprep's success", j.expect.Agent, j.expect.EndWithin)), false
	}
	return nil, false
}

// byAgent gives a verdict its cause.
func (j Judge) byAgent(v *Verdict, id, summary string) *Verdict {
	v.Agent, v.ConsistentWithSuccess = j.expect.Agent, false
	if d, ok := diagnosis.ByID(id); ok {
		d.Summary = summary
		v.Diagnosis = &d
	}
	return v
}
