package guest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

const (
	watchSlack   = 30 * time.Second // for starting PowerShell in a busy guest
	maxHeartbeat = 10 * time.Second // between samples when nothing changes and the interval is no longer
	// soonGone is how long sysprep is gone before it counts as ended while it has
	// changed nothing; later a helper of it may still be at work.
	soonGone = 5 * time.Second
	// mostLine is less than what cmd.exe takes, 8191 characters, by what it may
	// put before a line.
	mostLine = 8100
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
	// Remove goes when the tag is there, and with it the logs of earlier runs that
	// Launch moved away.
	Remove Leftovers
}

// Hears is told what a command that watches says, by the goroutine that called
// Watch.
type Hears struct {
	Sample  func(Sample)        // every look
	Removed func(left []string) // what is still there of what was to be removed
}

// names are what Remove holds, for a person.
func (w Watching) names(s *Session) (names []string) {
	for _, task := range w.Remove.Tasks {
		names = append(names, "scheduled task "+task)
	}
	return append(append(names, w.Remove.Files...), append(slices.Clip(w.Remove.Folders), s.Folder())...)
}

// RemoveCopied does by a command of its own what a command that watches does
// once generalize has begun, and says whether the answer file is gone: Windows may
// not have its copy yet.
func (s *Session) RemoveCopied(ctx context.Context, w Watching) (gone bool, err error) {
	line := w.copied(s)
	if line == "" {
		return true, nil
	}
	out, err := s.Run(ctx, line+`& (if exist "`+w.AnswerFile+`" (echo `+hidden("stays")+`) else (echo `+hidden("gone")+`))`, CommandLimit)
	if err != nil {
		return false, fmt.Errorf("removing the answer file: %w", err)
	}
	return said(out.Stdout, "gone"), nil
}

// copied removes what Windows needs no more once generalize has begun: the
// answer file if the copy is the same, byte by byte, and the tasks. That does
// not interrupt the program of a task (Microsoft, "schtasks delete").
func (w Watching) copied(s *Session) string {
	var steps []string
	if w.AnswerFile != "" {
		steps = append(steps, `(fc /b "`+w.AnswerFile+`" "`+s.CachedAnswerFile()+`">nul 2>nul&& rd /s /q "`+w.AnswerFolder+`")`)
	}
	for _, task := range w.Remove.Tasks {
		steps = append(steps, `schtasks /delete /f /tn `+task+`>nul 2>nul`)
	}
	return strings.Join(steps, "& ")
}

// remove takes away what is ours by what cmd.exe does itself. Of the tasks it is
// looked for the files: no program starts any more.
func (w Watching) remove(s *Session) string {
	windir := s.Windir()
	paths := make([]string, 0, len(w.Remove.Tasks))
	for _, task := range w.Remove.Tasks {
		paths = append(paths, windir+`\System32\Tasks\`+task)
	}
	paths = append(paths, w.Remove.Files...)
	var steps, checks []string
	// launch.ps1 moved our mark with the old logs.
	steps = append(steps, `(for /d %D in ("`+windir+`\System32\Sysprep\Panther.packer-*") do (if exist "%D\`+s.markName()+`" (rd /s /q "%D")))`)
	for _, folder := range append(slices.Clip(w.Remove.Folders), s.Folder()) {
		steps = append(steps, `rd /s /q "`+folder+`" 2>nul`)
		paths = append(paths, folder)
	}
	for _, file := range w.Remove.Files {
		steps = append(steps, `del /f /q "`+file+`" 2>nul`)
	}
	for i, path := range paths {
		checks = append(checks, fmt.Sprintf(`(if exist "%s" (echo le^ft:%d:))`, path, i))
	}
	tag := windir + `\System32\Sysprep\Sysprep_succeeded.tag`
	return `(if exist "` + tag + `" (` + strings.Join(steps, "& ") + "& echo " + hidden("left") + "& " + strings.Join(checks, "& ") + `))`
}

// last begins what comes after the documents. A guest that shows the line itself
// shows it with the caret.
var last = "echo " + hidden("last") + "& "

const undeployable = `reg query "HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State" /v ImageState /reg:64|findstr /c:"IMAGE_STATE_UNDEPLOYABLE">nul`

// parameters are those of watch.ps1 from a place in the log.
func (w Watching) parameters(from Cursor, until []Condition) watchParameters {
	p := watchParameters{
		DeadlineSec: max(1, int(w.For/time.Second)), IntervalMs: w.Interval.Milliseconds(), HeartbeatSec: int(Heartbeat(w.Interval) / time.Second),
		ChunkBytes: 64 << 10, Offset: from.offset, Head: from.head,
	}
	for _, c := range until {
		p.StopWhen = append(p.StopWhen, watchCondition{c.ImageState, c.Tag, c.Process, int(c.For / time.Second)})
	}
	return p
}

// line watches from a place in the log to the end, removes what is ours, and
// asks for what watch.ps1 does not read. Once generalize has begun the answer
// file goes between two watches.
func (w Watching) line(ctx context.Context, s *Session, from Cursor, begun bool) (string, error) {
	second, err := s.scriptLine(ctx, scripts.Watch, w.parameters(from, w.Until), "")
	if err != nil {
		return "", err
	}
	// Programs that start one after the other say nothing, and silence is bounded.
	const alive = "& echo -& "
	end := "& " + w.remove(s) + "& " + last + pollLine("")
	copied := w.copied(s)
	switch {
	case copied == "":
		return second + end, nil
	case begun:
		return "(" + undeployable + "&& (" + copied + "))" + alive + second + end, nil
	}
	gone := false
	until := append(slices.Clip(w.Until), Condition{ImageState: []windows.State{windows.StateUndeployable}}, Condition{Process: &gone, For: soonGone})
	first, err := s.scriptLine(ctx, scripts.Watch, w.parameters(from, until), "")
	if err != nil {
		return "", err
	}
	return first + alive + "(" + undeployable + "&& (" + copied + alive + second + "))" + end, nil
}

// Heartbeat is the longest time between two samples of a watch with this
// interval, in whole seconds.
func Heartbeat(interval time.Duration) time.Duration {
	return min(max(5*interval, time.Second).Truncate(time.Second), max(maxHeartbeat, interval))
}

// Follow is a command that watches, perhaps after it started sysprep. It ends
// with its context, when Watch returns, or by itself.
type Follow struct {
	cancel context.CancelFunc
	names  []string      // of what the command removes
	begun  chan struct{} // what starts sysprep is over
	lost   bool          // without its document; readable once begun
	news   chan any      // a document of watch.ps1, or what is left as []string
	ended  chan struct{}
	at     Cursor
	// Readable once ended.
	final *State
	err   error
}

// watchOpening is how a document of watch.ps1 begins.
var watchOpening = []byte(`{"script":"` + scripts.Watch + `"`)

// follow sends a line that watches, and starts sysprep first where before is
// given: it takes the documents of launch.ps1. The guest says something at every
// heartbeat: one that has fallen silent has forgotten the command, or is gone.
func (s *Session) follow(ctx context.Context, line string, w Watching, before *documents, at Cursor) *Follow {
	s.mu.Lock()
	s.removing = s.removing || strings.Contains(line, hidden("left"))
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	f := &Follow{cancel: cancel, begun: make(chan struct{}), news: make(chan any), ended: make(chan struct{}), names: w.names(s), at: at}
	tell := func(news any) {
		select {
		case f.news <- news:
		case <-ctx.Done():
		}
	}
	stream := &documents{name: scripts.Watch, onDoc: func(doc []byte) { tell(bytes.Clone(doc)) }}
	silence := Heartbeat(w.Interval) + watchSlack
	first, limit, ended := silence, 2*w.For+2*watchSlack, func() {}
	if before != nil {
		// What starts sysprep changes the guest; what watches then does not.
		first, limit, ended = launchLimit, limit+launchLimit, s.changes()
	}
	over := newOverflow()
	quiet := time.AfterFunc(s.scaled(first), func() {
		_ = over.set(ErrAbandoned) // told by start
	})
	starting := before != nil
	begin := func() {
		starting = false
		ended()
		close(f.begun)
	}
	var end strings.Builder
	take := func(l []byte) {
		if starting && bytes.Contains(l, watchOpening) {
			f.lost = true // what watches runs, so what starts is over
			begin()
		}
		if !starting {
			quiet.Reset(s.scaled(silence))
		}
		switch {
		case end.Len() > 0 || bytes.Contains(l, []byte(marker+"left")) || bytes.Contains(l, []byte(marker+"last")):
			end.Write(l)
			end.WriteByte('\n')
			if left, gone := f.left(end.String()); gone && bytes.Contains(l, []byte(marker+"last")) {
				s.forget()
				if !starting { // else nobody listens: the answer to the start is awaited
					tell(left)
				}
			}
		case starting:
			if before.take(l); before.seen > 0 {
				begin()
				quiet.Reset(s.scaled(silence))
			}
		default:
			stream.take(l)
		}
	}
	go func() {
		defer close(f.ended)
		defer cancel()
		defer ended()
		_, stderr, err := s.start(ctx, line, limit, &lines{over: over, take: take}, over, watching)
		quiet.Stop()
		if starting {
			f.err = before.outcome(stderr.bytes(), err)
			return
		}
		if state, _, parseErr := parseState(end.String()); parseErr == nil {
			state = s.judgeOurs(state, s.mark())
			f.final = &state
			switch {
			case stream.seen > 0:
			case state.Ours != nil && !*state.Ours:
				return // nothing of ours ran there
			case state.MayBeRemoved:
				f.err = ErrNoMark
				return
			}
		}
		f.err = stream.outcome(stderr.bytes(), err)
	}()
	return f
}

// left reads what is still there after the removal; gone is false where there
// was none.
func (f *Follow) left(answer string) (left []string, gone bool) {
	if !strings.Contains(answer, marker+"left") {
		return nil, false
	}
	for i, name := range f.names {
		if strings.Contains(answer, fmt.Sprintf("\nleft:%d:", i)) {
			left = append(left, name)
		}
	}
	return left, true
}

// Watch tells what the command says until it has ended, and returns how far the
// log was read. The last sample has all that Poll asks for, and no log. It can
// be called once.
func (f *Follow) Watch(ctx context.Context, hears Hears) (Cursor, error) {
	defer f.cancel()
	for {
		select {
		case <-ctx.Done():
			return f.at, ctx.Err()
		case news := <-f.news:
			f.tell(news, hears)
		case <-f.ended:
			if f.final != nil {
				hears.Sample(Sample{State: *f.final})
			}
			return f.at, f.err
		}
	}
}

func (f *Follow) tell(news any, hears Hears) {
	raw, ok := news.([]byte)
	if !ok {
		left, _ := news.([]string)
		hears.Removed(left)
		return
	}
	var doc watchDocument
	switch err := json.Unmarshal(raw, &doc); {
	case err != nil:
	case doc.Type == "end":
		f.at.head = doc.Head
	default:
		hears.Sample(doc.sample(&f.at))
	}
}

// Watch follows a run that was started before, if the guest is still the one
// that it was started in.
func (s *Session) Watch(ctx context.Context, from Cursor, w Watching, hears Hears) (Cursor, error) {
	line, err := w.line(ctx, s, from, true)
	if err != nil {
		return from, err
	}
	if mark := s.mark(); mark != "" {
		line = `if exist "` + mark + `" (` + line + `) else (` + last + pollLine(mark) + `)`
	}
	return s.follow(ctx, line, w, nil, from).Watch(ctx, hears)
}

// forget: nothing in the guest is known to be ours any more.
func (s *Session) forget() {
	s.mu.Lock()
	clear(s.scripts)
	s.mu.Unlock()
}
