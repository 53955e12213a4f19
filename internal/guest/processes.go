package guest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/footprint"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
)

// Process is a sysprep.exe that runs.
type Process struct {
	PID int
	// Arguments is what follows the name on the command line; only with Known.
	Arguments string
	Known     bool
	// Start is when it was started, by the guest's clock; zero: not known.
	Start time.Time
	// Run is the id of the run of this plugin that started it; empty: none is
	// known to have done so.
	Run string
}

type processesDocument struct {
	Processes []struct {
		ID          int     `json:"id"`
		Start       string  `json:"start"`
		CommandLine *string `json:"commandLine"`
	} `json:"processes"`
	Marks []struct {
		Folder string `json:"folder"`
		Name   string `json:"name"`
	} `json:"marks"`
}

// startWithin is how long after the mark of a run was moved away its sysprep.exe
// is started at most: launch.ps1 gives a task 15 s, and a call of WMI a minute.
const startWithin = 2 * time.Minute

// Running lists the sysprep.exe that run, with what cmd.exe has no program for: their
// command lines, and which run of this plugin started them.
func (s *Session) Running(ctx context.Context) ([]Process, error) {
	var doc *processesDocument
	err := s.Script(ctx, scripts.Processes, struct{}{}, func(raw []byte) {
		d := processesDocument{}
		if json.Unmarshal(raw, &d) == nil {
			doc = &d
		}
	}, launchLimit)
	if err == nil && doc == nil {
		err = ErrUnreadable
	}
	if err != nil {
		return nil, fmt.Errorf("asking which sysprep.exe runs: %w", err)
	}
	found := doc.list()
	for i := range found {
		if found[i].Run == "" { // its mark may have been removed, as after a cancel
			found[i].Run = s.startedInThisBoot(ctx)
		}
	}
	return found, nil
}

// startedInThisBoot is another run of this plugin that has started a sysprep since
// Windows was started; empty: none is known.
func (s *Session) startedInThisBoot(ctx context.Context) (run string) {
	a, err := s.ask(ctx, all(echo("boot"), call("reg query ?"+native, s.bootValue().Key())), CommandLimit)
	if err != nil {
		return ""
	}
	for _, line := range a.parts["boot"] {
		m := registryValue.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if id, ok := footprint.Folder.ID(m[1]); ok && id != s.id {
			run = id
		}
	}
	return run
}

func (d processesDocument) list() []Process {
	all := []Process{}
	for _, p := range d.Processes {
		q := Process{PID: p.ID}
		q.Start, _ = time.Parse(time.RFC3339, p.Start)
		if p.CommandLine != nil && *p.CommandLine != "" {
			q.Arguments, q.Known = arguments(*p.CommandLine), true
		}
		q.Run = d.startedBy(q.Start)
		all = append(all, q)
	}
	return all
}

// startedBy is the run whose mark was moved away by the newest start, if that came
// right before a program was started.
func (d processesDocument) startedBy(start time.Time) (run string) {
	var newest time.Time
	for _, m := range d.Marks {
		id, ok := footprint.Mark.ID(m.Name)
		stamp, isTime := footprint.MovedLogs.ID(m.Folder)
		moved, err := time.Parse("20060102T150405Z", stamp)
		if !ok || !isTime || err != nil || moved.Before(newest) {
			continue
		}
		newest, run = moved, id
	}
	if since := start.Sub(newest); start.IsZero() || since < -time.Second || since > startWithin {
		return ""
	}
	return run
}

// arguments is what follows the program on a command line (CommandLineToArgvW).
func arguments(line string) string {
	line = strings.TrimSpace(line)
	if rest, quoted := strings.CutPrefix(line, `"`); quoted {
		_, rest, _ = strings.Cut(rest, `"`)
		return strings.TrimSpace(rest)
	}
	_, rest, _ := strings.Cut(line, " ")
	return strings.TrimSpace(rest)
}
