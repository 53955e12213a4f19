package guest

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// How often and how far apart a guest is asked whether a start that was cut off
// has come about: PowerShell takes seconds to begin.
const (
	startTries = 5
	startPause = 3 * time.Second
)

// maxMoved bounds the folders of moved logs that are looked at.
const maxMoved = 8

// start says whether sysprep was started.
type start int

const (
	startUnknown start = iota
	startNo
	startYes
)

// putMark puts the mark, and reports whether it is there and cannot come again
// later: it would say of a start that there was none. It counts the lines of
// an earlier log: one that cannot be moved away is read from behind them.
func (s *Session) putMark(ctx context.Context) (marked bool, lines int) {
	s.mu.Lock()
	put, lines, late := s.markPut, s.oldLines, s.markLate
	s.markPut = false // one start moves it away
	s.mu.Unlock()
	if put {
		return !late, lines
	}
	file, log := s.markFile(), s.Log()
	a, err := s.ask(ctx, all(unless(s.logs(), call("mkdir ?", s.logs())), when(log, countLines(log)),
		call("(echo packer)>?", file), when(file, echo("marked"))), CommandLimit)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.markLate = s.markLate || errors.Is(err, ErrNoAnswer)
	if err != nil {
		return false, 0
	}
	return a.has("marked") && !s.markLate, counted(a)
}

// countLines says how many lines a file has, and counted reads that: it is in the
// guest's language, but for its end.
func countLines(file string) command { return all(echo("lines"), call(`find /c /v "" ?`, file)) }

var lineCount = lazyregexp.New(`-{10} .*: (\d{1,9})$`)

func counted(a answer) int {
	for _, line := range a.parts["lines"] {
		if m := lineCount.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1]) // digits
			return n
		}
	}
	return 0
}

// startedNot: the guest says that nothing was started.
func (s *Session) startedNot(ctx context.Context, marked bool) bool {
	a, err := s.ask(ctx, askTasks(), CommandLimit)
	ids := processes(a)
	return err == nil && marked && ids != nil && len(ids) == 0
}

// started asks the guest whether sysprep was started, and for its process id.
// ended: the command that was to start it came to its end.
func (s *Session) started(ctx context.Context, marked, ended bool) (start, int) {
	last := startUnknown
	for i := range startTries {
		if i > 0 && s.wait(ctx, startPause) != nil {
			break
		}
		last = startUnknown
		a, err := s.ask(ctx, all(askTasks(), tell("mark", s.markFile()), tell("log", s.Log()), s.askBegun()), CommandLimit)
		if err != nil {
			continue
		}
		if begun := a.yes("begun"); begun != nil && *begun {
			return startYes, 0
		}
		ids := processes(a)
		if last = judgeStart(marked, ids != nil, len(ids), a.yes("mark"), a.yes("log")); last == startYes {
			if len(ids) == 1 {
				return startYes, ids[0]
			}
			return startYes, 0
		}
		if ended && last == startNo {
			return startNo, 0
		}
	}
	if !ended {
		return startUnknown, 0 // it may still come
	}
	return last, 0
}

// judgeStart decides whether sysprep was started. None ran before, and no log
// was there once the mark was moved away.
func judgeStart(marked, listed bool, running int, mark, log *bool) start {
	switch {
	case running > 0:
		return startYes
	case !listed || !marked || mark == nil:
		return startUnknown
	case *mark:
		return startNo
	case log != nil && *log:
		return startYes // and has ended
	}
	return startUnknown
}

// findMark looks where the mark was moved to, for it to be removed.
func (s *Session) findMark(ctx context.Context, l Launched) Launched {
	a, err := s.ask(ctx, all(echo("moved"), call("dir /b /a ?", s.movedFolders())), CommandLimit)
	if err != nil {
		return l
	}
	for _, name := range a.parts["moved"] {
		if isMoved(name) && len(l.Brought.IfEmpty) <= maxMoved {
			l.broughtInto(s.in(windows.SysprepFolder) + `\` + name)
		}
	}
	return l
}
