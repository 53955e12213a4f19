package guest

import (
	"bytes"
	"io"
	"sync"
)

// overflow is closed once when a guest sends more than any honest answer holds,
// or has fallen silent.
type overflow struct {
	once     sync.Once
	happened chan struct{}
	why      error // readable once it happened
}

func newOverflow() *overflow { return &overflow{happened: make(chan struct{})} }

func (o *overflow) set(why error) error {
	o.once.Do(func() {
		o.why = why
		close(o.happened)
	})
	return why
}

// writerEnd is an output that can be cut off from whoever still writes to it.
type writerEnd interface {
	io.Writer
	end()
}

// late counts what still comes after the end. A guest that was frozen may
// finish its answer, and the request then comes back; past maxLate a write
// fails, and nobody empties the pipe behind it any more. That ends the stream:
// Packer's client asks for more only when the pipe has taken what it got.
type late int

func (l *late) take(n int) (int, error) {
	if *l += late(n); *l > maxLate {
		return 0, ErrTooMuch
	}
	return n, nil
}

// sink keeps the beginning of what is written to it.
type sink struct {
	over   *overflow
	mu     sync.Mutex
	buffer bytes.Buffer
	total  int
	cut    bool
	ended  bool
	late   late
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return s.late.take(len(p))
	}
	if s.total += len(p); s.total > maxFlow {
		return 0, s.over.set(ErrTooMuch)
	}
	if room := maxOutput - s.buffer.Len(); len(p) > room {
		s.cut = true
		s.buffer.Write(p[:room])
		return len(p), nil
	}
	return s.buffer.Write(p)
}

func (s *sink) end() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
}

func (s *sink) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.buffer.Bytes())
}

// lines hands every complete line to take, one at a time and none after end.
type lines struct {
	over  *overflow
	mu    sync.Mutex
	take  func([]byte)
	held  []byte
	total int
	count int
	skip  bool // the rest of a line that is too long
	ended bool
	late  late
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p)
	if l.ended {
		return l.late.take(n)
	}
	if l.total += n; l.total > maxStream {
		return 0, l.over.set(ErrTooMuch)
	}
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		part := p
		if i >= 0 {
			part = p[:i]
		}
		if !l.skip {
			l.held = append(l.held, part...)
		}
		if len(l.held) > maxLine {
			l.held, l.skip = nil, true
		}
		if i < 0 {
			break
		}
		if l.count++; l.count > maxLines {
			return 0, l.over.set(ErrTooMuch)
		}
		if !l.skip {
			l.take(l.held)
		}
		l.held, l.skip = nil, false
		p = p[i+1:]
	}
	return n, nil
}

func (l *lines) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended && len(l.held) > 0 {
		l.take(l.held)
	}
	l.ended, l.held = true, nil
}
