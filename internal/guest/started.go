package guest

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// How often and how far apart a guest is asked whether a start that was cut off
// has come about: PowerShell takes seconds to begin.
const (
	startTries = 5
	startPause = 3 * time.Second
)

// maxMoved bounds the folders of moved logs that are looked at.
const maxMoved = 8

var movedLogs = regexp.MustCompile(`^Panther\.packer-[0-9TZ]{1,20}$`)

// start says whether sysprep was started.
type start int

const (
	startUnknown start = iota
	startNo
	startYes
)

// The mark is an empty file among sysprep's logs. launch.ps1 moves all of them
// away before it starts anything: while the mark is there nothing was started.
func (s *Session) markFile() string { return s.Windir() + `\System32\Sysprep\Panther\` + s.markName() }

func (s *Session) markName() string { return "packer-" + s.id + ".mark" }

// putMark puts the mark, and reports whether it is there and cannot come again
// later: it would say of a start that there was none. It counts the lines of
// an earlier log: one that cannot be moved away is read from behind them.
func (s *Session) putMark(ctx context.Context) (marked bool, lines int) {
	file := s.markFile()
	folder := file[:strings.LastIndexByte(file, '\\')]
	log := folder + `\setupact.log`
	out, err := s.Run(ctx, `(if not exist "`+folder+`" (mkdir "`+folder+`"))& (if exist "`+log+`" (find /c /v "" "`+log+`"))& (echo packer)>"`+file+`"& (if exist "`+file+`" (echo `+hidden("marked")+`))`, CommandLimit)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.markLate = s.markLate || errors.Is(err, ErrAbandoned)
	if err != nil {
		return false, 0
	}
	return said(out.Stdout, "marked") && !s.markLate, counted(out.Stdout)
}

// lineCount is what find /c says. AutoRun may print a number too: "Active code
// page: 65001".
var lineCount = regexp.MustCompile(`(?m)-{10} .*: (\d{1,9})\r?$`)

func counted(out []byte) int {
	found := lineCount.FindAllSubmatch(out, -1)
	if len(found) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(string(found[len(found)-1][1])) // digits
	return n
}

// startedNot: the guest says that nothing was started.
func (s *Session) startedNot(ctx context.Context, marked bool) bool {
	out, err := s.Run(ctx, partTasks+"& "+partEnd, CommandLimit)
	if err != nil || !marked {
		return false
	}
	parts, err := cutParts(string(out.Stdout))
	ids := processes(parts["tasks"])
	return err == nil && ids != nil && len(ids) == 0
}

// started asks the guest whether sysprep was started, and for its process id.
// ended: the command that was to start it came to its end.
func (s *Session) started(ctx context.Context, marked, ended bool) (start, int) {
	log := s.Windir() + `\System32\Sysprep\Panther\setupact.log`
	line := partTasks + `& echo packer-part:mark& (if exist "` + s.markFile() + `" (echo yes) else (echo no))& echo packer-part:log& (if exist "` + log + `" (echo yes) else (echo no))& ` + partEnd
	last := startUnknown
	for i := range startTries {
		if i > 0 && s.pause(ctx, startPause) != nil {
			break
		}
		last = startUnknown
		out, err := s.Run(ctx, line, CommandLimit)
		if err != nil {
			continue
		}
		parts, err := cutParts(string(out.Stdout))
		if err != nil {
			continue
		}
		ids := processes(parts["tasks"])
		if last = judgeStart(marked, ids != nil, len(ids), yesNo(parts["mark"]), yesNo(parts["log"])); last == startYes {
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
	folder := s.Windir() + `\System32\Sysprep\`
	out, err := s.Run(ctx, `dir /b /a "`+folder+`Panther.packer-*"`, CommandLimit)
	if err != nil {
		return l
	}
	for line := range strings.Lines(string(out.Stdout)) {
		at := strings.Index(line, "Panther.packer-")
		if at < 0 {
			continue
		}
		name := strings.TrimSpace(line[at:])
		if !movedLogs.MatchString(name) || len(l.Brought.IfEmpty) > maxMoved {
			continue
		}
		l.broughtInto(folder + name)
	}
	return l
}

func (s *Session) wait(ctx context.Context, d time.Duration) error {
	after, stop := s.timer(d)
	defer stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("waiting: %w", ctx.Err())
	case <-after:
		return nil
	}
}
