// Package replay makes a simulated guest of a recorded run (run.json), which answers
// as that guest did: what a user reports becomes a test.
package replay

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// Scenario is that of the guest of a run. It knows what the run saw: what a question
// would have answered that was not asked is as in any simulated guest.
func Scenario(l runlog.Log) (winsim.Scenario, error) {
	if l.Component != runlog.Provisioner {
		return winsim.Scenario{}, fmt.Errorf("this is a run of %q; the guest is in that of %q (%s)", l.Component, runlog.Provisioner, runlog.RunFile)
	}
	if len(l.Observations.List) == 0 {
		return winsim.Scenario{}, errors.New("nothing was observed in this run: it ended before the guest was asked")
	}
	s := winsim.Scenario{Replay: &winsim.Replay{Began: l.Begun}}
	for _, launch := range l.Launches {
		began := l.Begun.Add(ms(launch.AtMS))
		start := winsim.Recorded{Began: began}
		if !launch.GuestTime.IsZero() {
			start.Clock = winsim.Duration(launch.GuestTime.Sub(began).Round(time.Second))
		}
		if launch.Attached {
			// Nothing is started then: what followed belongs to what was there.
			s.Replay.Attached = true
		}
		if r := launch.Refusal; r != nil {
			start.Refused = &winsim.Refusal{Name: r.Name, Message: r.Message, Type: r.Type, ID: r.ID}
		}
		s.Replay.Starts = append(s.Replay.Starts, start)
	}
	for _, o := range timed(l) {
		if o.Launch == 0 || s.Replay.Attached {
			s.Replay.Before = append(s.Replay.Before, moment(o, 0))
			continue
		}
		n := min(o.Launch, len(s.Replay.Starts)) - 1
		start := &s.Replay.Starts[n]
		start.Moments = append(start.Moments, moment(o, l.Launches[n].AtMS+max(0, l.Launches[n].TookMS-answer)))
	}
	for i := range s.Replay.Starts {
		armed(s.Replay.Starts[i].Moments)
	}
	armed(s.Replay.Before)
	if s.Replay.Attached {
		s.Replay.Starts = nil
	}
	s.Replay.UploadError = uploads(l)
	s.Replay.Before = append(s.Replay.Before, lostBefore(l)...)
	slices.SortStableFunc(s.Replay.Before, func(a, b winsim.Moment) int { return int(a.At - b.At) })
	if l.Plan != nil && l.Plan.Starter != "" {
		s.Replay.Agent = true
		if l.Options["command"] == nil {
			s.Agents = []string{l.Plan.Starter}
		}
	}
	for _, runs := range l.Services {
		if s.AzureAgent = winsim.Duration(time.Millisecond); !runs {
			s.AzureAgent = winsim.Duration(1000 * time.Hour)
			break
		}
	}
	s.FilteredToken = denied(l)
	if len(s.Replay.Before) > 0 {
		s.Replay.Before[0].At = 0
	}
	return s, nil
}

// answer is what a simulated guest takes from the start of sysprep until it has said so,
// in milliseconds, with something to spare.
const answer = 500

// denied: the guest refused to be written to, as it does to a user whose token UAC has
// filtered. The plugin has the same words in each such error.
func denied(l runlog.Log) bool {
	return len(l.Launches) == 0 && len(l.Transport.Failures) == 0 && l.Verdict != nil && strings.Contains(strings.Join(append(l.Verdict.Lines, l.Verdict.FirstLine), " "), "elevated token")
}

// timed are the observations at the times from which on they may have been so. That a
// guest does not answer is known late: it was so soon after its last answer.
func timed(l runlog.Log) []runlog.Observation {
	poll := 2 * time.Second
	if text, ok := l.Options["poll_interval"].(string); ok {
		if d, err := time.ParseDuration(text); err == nil {
			poll = d
		}
	}
	list := slices.Clone(l.Observations.List)
	for i := 1; i < len(list); i++ {
		before := l.Observations.List[i-1]
		late := strings.Contains(list[i].Why, "answer") // "no answer in time": a connection that breaks is known at once
		if late && !list[i].Reached && before.Reached && before.Launch == list[i].Launch {
			list[i].AtMS = max(before.UntilMS+2*poll.Milliseconds(), list[i-1].AtMS)
		}
		list[i].AtMS = max(list[i].AtMS, list[i-1].AtMS)
	}
	return list
}

// armed tells what a generalized Windows has of its next boot where it was not read.
func armed(moments []winsim.Moment) {
	kind, line := 2, `oobe\windeploy.exe`
	for i := len(moments) - 1; i >= 0; i-- {
		m := &moments[i]
		switch {
		case m.ImageState == nil || !strings.HasPrefix(*m.ImageState, "IMAGE_STATE_GENERALIZE_RESEAL"):
		case m.SetupType == nil && m.CmdLine == nil:
			m.SetupType, m.CmdLine = &kind, &line
		default: // what was read later holds before
			if m.SetupType != nil {
				kind = *m.SetupType
			}
			if m.CmdLine != nil {
				line = *m.CmdLine
			}
			kind, line := kind, line
			m.SetupType, m.CmdLine = &kind, &line
		}
	}
}

// said is a prefix of an error that whoever asks puts before it.
var said = regexp.MustCompile(`^(?:asking for the state(?: once more)?|uploading [^:]*:?[^:]*|asking [^:]*): `)

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// moment is an observation, at its distance from a start: what was seen was so before.
func moment(o runlog.Observation, from int64) winsim.Moment {
	m := winsim.Moment{At: winsim.Duration(ms(max(0, o.AtMS-from-1))), Restarts: o.Restarts, Paused: o.Paused, Off: o.Off, Crashed: o.Crashed}
	if !o.Reached {
		m.Why = cmp.Or(o.WhyLast, o.Why)
		for said.MatchString(m.Why) {
			m.Why = said.ReplaceAllString(m.Why, "")
		}
		switch hangs := strings.Contains(o.Why, "answer"); o.Port { // "no answer in time", "has not been answered"
		case "open":
			if hangs {
				m.Reach = winsim.Hangs
				break
			}
			m.Reach = winsim.Refuses
		case "closed":
			m.Reach = winsim.Closed
		default:
			m.Reach = winsim.Silent
		}
		return m
	}
	m.Log, m.Rotated = o.Log, o.Rotated
	f := o.Facts
	if f == nil {
		return m
	}
	m.GeneralizationState, m.Tag, m.Processes, m.SetupType, m.CmdLine = f.GeneralizationState, f.Tag, f.Processes, f.SetupType, f.CmdLine
	if f.SysprepExe != nil && f.GeneralizationState == nil { // a first look reads all
		absent := -1
		m.GeneralizationState = &absent
	}
	if f.ImageState != "" {
		m.ImageState = &f.ImageState
	}
	m.Foreign = f.Ours != nil && !*f.Ours
	m.Rebooted = f.SameBoot != nil && !*f.SameBoot
	if f.AgentEnded != nil && *f.AgentEnded {
		m.AgentEnded = true
		if f.AgentExit != nil {
			m.AgentExit = *f.AgentExit
		}
	}
	m.SysprepExe, m.SystemSetupInProgress, m.OOBEInProgress, m.AuditBoot = f.SysprepExe, f.SystemSetupInProgress, f.OOBEInProgress, f.AuditBoot
	m.Build, m.TimeBias = f.Build, f.TimeBias
	for _, p := range f.Programs {
		m.Programs = append(m.Programs, winsim.Program{Arguments: p.Arguments, Start: p.Start, Ours: p.Ours})
	}
	return m
}

// uploads is why no file could be put into the guest, "" where one could, or none was
// to be.
func uploads(l runlog.Log) string {
	if l.Transport.Placed > 0 {
		return ""
	}
	for _, c := range l.Transport.Failures {
		if c.What != runlog.Run {
			return c.Error
		}
	}
	return ""
}

// lostBefore are the times at which a guest stopped answering in which sysprep was not
// started, as the commands say that were not answered.
func lostBefore(l runlog.Log) (lost []winsim.Moment) {
	if len(l.Launches) > 0 {
		return nil
	}
	for _, c := range l.Transport.Failures {
		if c.What != runlog.Run {
			continue
		}
		m := winsim.Moment{At: winsim.Duration(ms(c.AtMS)), Why: c.Error, Reach: winsim.Closed}
		if c.Outcome == runlog.Abandoned {
			m.Reach = winsim.Silent
		}
		return append(lost, m)
	}
	return nil
}
