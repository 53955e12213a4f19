package guest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

const (
	maxHeartbeat = 10 * time.Second // between samples when nothing changes and the interval is no longer
	// soonGone is how long sysprep is gone before it counts as ended while it has
	// changed nothing; later a helper of it may still be at work.
	soonGone = 5 * time.Second
)

// Watching says how a run is followed, and what goes from the guest meanwhile.
// Windows is known to refuse new shells once generalize has run, and processes
// once it shuts down, so all of it is one command in one shell.
type Watching struct {
	Interval time.Duration // between two looks
	For      time.Duration // how long at most
	Until    []Condition   // ends it early
	// AnswerFile, in AnswerFolder, goes with its folder as soon as Windows has a
	// copy of it; empty: there is none.
	AnswerFile, AnswerFolder string
	// AgentEnds: the agent that started sysprep comes to its end while this goes on,
	// and nothing goes where it failed.
	AgentEnds bool
	// Remove goes when the tag is there, and with it the logs of earlier runs that
	// Launch moved away.
	Remove Leftovers
}

// Condition ends a stretch early; all that is given must hold for For.
type Condition struct {
	ImageState []windows.State
	Tag        *bool
	Process    *bool
	AgentEnded *bool // the agent that Launch started
	For        time.Duration
}

type watchCondition struct {
	ImageState []windows.State `json:"imageState,omitempty"`
	Tag        *bool           `json:"tag,omitempty"`
	Process    *bool           `json:"process,omitempty"`
	AgentEnded *bool           `json:"agentEnded,omitempty"`
	ForSec     int             `json:"forSec,omitempty"`
}

type watchParameters struct {
	DeadlineSec  int              `json:"deadlineSec"`
	IntervalMs   int64            `json:"intervalMs"`
	HeartbeatSec int              `json:"heartbeatSec"`
	ChunkBytes   int              `json:"chunkBytes"`
	Offset       int64            `json:"offset"`
	Head         string           `json:"head"`
	StopWhen     []watchCondition `json:"stopWhen,omitempty"`
	Agent        string           `json:"agent,omitempty"`
}

// Heartbeat is the longest time between two samples of a watch with this
// interval, in whole seconds.
func Heartbeat(interval time.Duration) time.Duration {
	return min(max(5*interval, time.Second).Truncate(time.Second), max(maxHeartbeat, interval))
}

// parameters are those of watch.ps1 from a place in the log.
func (w Watching) parameters(s *Session, from Cursor, until []Condition) watchParameters {
	p := watchParameters{
		DeadlineSec: max(1, int(w.For/time.Second)), IntervalMs: w.Interval.Milliseconds(), HeartbeatSec: int(Heartbeat(w.Interval) / time.Second),
		ChunkBytes: 64 << 10, Offset: from.offset, Head: from.head,
	}
	for _, c := range until {
		p.StopWhen = append(p.StopWhen, watchCondition{c.ImageState, c.Tag, c.Process, c.AgentEnded, int(c.For / time.Second)})
	}
	if s.hasAgent() {
		p.Agent = s.agentFile(agentExit)
	}
	return p
}

// remove takes away what is ours by what cmd.exe does itself. Of the tasks it is
// looked for the files: no program starts any more.
func (w Watching) remove(s *Session) command {
	var steps []command
	var paths []string
	for _, task := range w.Remove.Tasks {
		paths = append(paths, s.taskFile(task))
	}
	// launch.ps1 moved our mark with the old logs.
	steps = append(steps, call(`(for /d %D in (?) do (if exist ? (rd /s /q "%D")))`, s.movedFolders(), `%D\`+s.markName()))
	folders := append(slices.Clip(w.Remove.Folders), s.Folder())
	for _, folder := range folders {
		steps = append(steps, call("rd /s /q ? 2>nul", folder))
	}
	for _, file := range w.Remove.Files {
		steps = append(steps, call("del /f /q ? 2>nul", file))
	}
	steps = append(steps, echo("removed"))
	for i, path := range slices.Concat(paths, w.Remove.Files, folders) {
		steps = append(steps, when(path, isLeft(i)))
	}
	if w.AgentEnds { // what it printed is still wanted where it failed
		return when(s.tag(), call("findstr /x /c:? ?"+quiet, "0", s.agentFile(agentExit)).then(all(steps...).group()))
	}
	return when(s.tag(), steps...)
}

// copied removes what Windows needs no more once generalize has begun: the
// answer file if the copy is the same, byte by byte, and the tasks. That does
// not interrupt the program of a task (Microsoft, "schtasks delete").
func (w Watching) copied(s *Session) command {
	var steps []command
	if w.AnswerFile != "" {
		steps = append(steps, call("fc /b ? ?"+quiet, w.AnswerFile, s.CachedAnswerFile()).then(call("rd /s /q ?", w.AnswerFolder)).group())
	}
	for _, task := range w.Remove.Tasks {
		steps = append(steps, call("schtasks /delete /f /tn ?"+quiet, task))
	}
	return all(steps...)
}

// RemoveCopied does by a command of its own what a command that watches does
// once generalize has begun, and says whether the answer file is gone: Windows may
// not have its copy yet.
func (s *Session) RemoveCopied(ctx context.Context, w Watching) (gone bool, err error) {
	asks := w.copied(s)
	if w.AnswerFile != "" {
		asks = all(asks, tell("there", w.AnswerFile))
	}
	if asks.none() {
		return true, nil
	}
	a, err := s.ask(ctx, asks, CommandLimit)
	if err != nil {
		return false, fmt.Errorf("removing the answer file: %w", err)
	}
	there := a.yes("there")
	return w.AnswerFile == "" || there != nil && !*there, nil
}

var undeployable = sync.OnceValue(func() command {
	return joined("|", reg("query", windows.ImageState, ""), call("findstr /c:?>nul", string(windows.StateUndeployable)))
})

// line watches from a place in the log to the end, removes what is ours, and
// asks for what watch.ps1 does not read. Once generalize has begun the answer
// file goes between two watches.
func (w Watching) line(ctx context.Context, s *Session, from Cursor, begun bool) (command, error) {
	second, err := s.scriptLine(ctx, scripts.Watch, w.parameters(s, from, w.Until), "")
	if err != nil {
		return second, err
	}
	// Programs that start one after the other say nothing, and silence is bounded.
	alive := call("echo -")
	end := all(w.remove(s), echo("last"), s.askWith(""), echo("end"))
	copied := w.copied(s)
	switch {
	case copied.none():
		return all(second, end), nil
	case begun:
		return all(undeployable().then(copied.group()).group(), alive, second, end), nil
	}
	gone := false
	nothing := Condition{Process: &gone, For: soonGone}
	if ended := true; s.hasAgent() {
		nothing.AgentEnded = &ended // before that sysprep has not begun
	}
	until := append(slices.Clip(w.Until), Condition{ImageState: []windows.State{windows.StateUndeployable}}, nothing)
	first, err := s.scriptLine(ctx, scripts.Watch, w.parameters(s, from, until), "")
	if err != nil {
		return first, err
	}
	return all(first, alive, undeployable().then(all(copied, alive, second).group()).group(), end), nil
}
