package guest

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
)

const watchSlack = 30 * time.Second // for starting PowerShell in a busy guest

// Hears is told what a command that watches says, by the goroutine that called
// Watch.
type Hears struct {
	Sample  func(Sample)        // every look
	Removed func(left []string) // what is still there of what was to be removed
}

// Follow is a command that watches, perhaps after it started sysprep. It ends
// with its context, when Watch returns, or by itself.
type Follow struct {
	cancel context.CancelFunc
	names  []string      // of what the command removes
	begun  chan struct{} // what starts sysprep is over, and nothing else changes the guest
	lost   bool          // without its document; readable once begun
	news   chan any      // a document of watch.ps1, or what is left as []string
	ended  chan struct{}
	at     Cursor
	// Readable once ended.
	final *Status
	err   error
}

// follow sends a line that watches, and starts sysprep first where before is
// given: it takes the documents of launch.ps1. The guest says something at every
// heartbeat: one that has fallen silent has forgotten the command, or is gone.
func (s *Session) follow(ctx context.Context, line command, w Watching, before *documents, at Cursor) *Follow {
	ctx, cancel := context.WithCancel(ctx)
	f := &Follow{cancel: cancel, begun: make(chan struct{}), news: make(chan any), ended: make(chan struct{}), names: s.Names(w.Remove), at: at}
	if f.err = line.fits(); f.err != nil {
		cancel()
		close(f.ended)
		return f
	}
	s.mu.Lock()
	s.removing = s.removing || strings.Contains(line.text, echo("removed").text)
	s.mu.Unlock()
	silence := Heartbeat(w.Interval) + watchSlack
	first, limit := silence, 2*w.For+2*watchSlack
	if before == nil {
		close(f.begun)
	} else {
		first, limit = launchLimit, limit+launchLimit
	}
	asked, stop := s.within(ctx, limit)
	asked, silent := context.WithCancelCause(asked)
	quiet := time.AfterFunc(s.scaled(first), func() { silent(ErrNoAnswer) })
	h := &hearing{session: s, follow: f, before: before, starting: before != nil}
	h.heard = func() { quiet.Reset(s.scaled(silence)) }
	h.tell = func(news any) {
		select {
		case f.news <- news:
		case <-ctx.Done():
		}
	}
	h.stream = documents{name: scripts.Watch, onDoc: func(doc []byte) { h.tell(bytes.Clone(doc)) }}
	go func() {
		defer close(f.ended)
		defer cancel()
		defer stop()
		stdout, stderr := lines{take: h.take}, sink{}
		err := s.transport.Run(asked, Request{Line: line.text, Stdout: &stdout, Stderr: &stderr, Changed: f.begun})
		stdout.end()
		quiet.Stop()
		silent(nil)
		f.final, f.err = h.outcome(stderr.kept, err)
	}()
	return f
}

// hearing sorts what a command that watches says.
type hearing struct {
	session  *Session
	follow   *Follow
	before   *documents      // of launch.ps1
	starting bool            // it is not over
	stream   documents       // of watch.ps1
	end      strings.Builder // what comes after the documents
	last     bool            // of it, what is asked last has begun
	heard    func()          // the guest is alive
	tell     func(any)       // to whoever called Watch
}

// watchOpening is how a document of watch.ps1 begins.
var watchOpening = []byte(`{"script":"` + scripts.Watch + `"`)

func (h *hearing) begin() {
	h.starting = false
	close(h.follow.begun)
}

func (h *hearing) take(line []byte) {
	if h.starting && bytes.Contains(line, watchOpening) {
		h.follow.lost = true // what watches runs, so what starts is over
		h.begin()
	}
	if !h.starting {
		h.heard()
	}
	marks := answer{}
	if bytes.Contains(line, []byte(marker)) {
		marks = readAnswer(string(line))
	}
	switch {
	case h.end.Len() > 0 || marks.has("removed") || marks.has("last"):
		h.end.Write(line)
		h.end.WriteByte('\n')
		if marks.has("last") && !h.last {
			h.last = true
			h.removed(readAnswer(h.end.String()))
		}
	case !h.starting:
		h.stream.take(line)
	case marks.has(bootPut):
		h.session.heardBoot(marks)
	default:
		if h.before.take(line); h.before.seen > 0 {
			h.begin()
			h.heard()
		}
	}
}

// removed tells what is left, if something was removed.
func (h *hearing) removed(a answer) {
	if !a.has("removed") {
		return
	}
	h.session.forget()
	if !h.starting { // else nobody listens: the answer to the start is awaited
		h.tell(stillThere(a, h.follow.names))
	}
}

// outcome is the last state, where it was said, and what went wrong.
func (h *hearing) outcome(stderr []byte, err error) (final *Status, failed error) {
	if h.starting {
		return nil, h.before.outcome(stderr, err)
	}
	if a := readAnswer(h.end.String()); a.has("end") {
		state := h.session.judgeOurs(h.session.readAll(a), h.session.mark())
		final = &state
		switch {
		case h.stream.seen > 0:
		case state.Ours != nil && !*state.Ours:
			return final, nil // nothing of ours ran there
		case state.MayBeRemoved:
			return final, ErrNoMark
		}
	}
	return final, h.stream.outcome(stderr, err)
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
				hears.Sample(Sample{Status: *f.final})
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
		line = either(mark, line, all(echo("last"), s.askWith(mark), echo("end")))
	}
	return s.follow(ctx, line, w, nil, from).Watch(ctx, hears)
}
