package guest

import "bytes"

// A guest may send more than any honest answer holds: a write then fails.
const (
	maxOutput = 4 << 20 // bytes kept of each output of one command
	maxFlow   = 4 * maxOutput
	maxLine   = 2 << 20  // of a streamed document; a 1 MiB chunk is 1.4 MiB in base64
	maxStream = 32 << 20 // bytes of all documents of one command
	maxLines  = 50_000   // of them, with whatever else comes
)

// sink keeps the beginning of what is written to it.
type sink struct {
	kept  []byte
	total int
	cut   bool
}

func (s *sink) Write(p []byte) (int, error) {
	if s.total += len(p); s.total > maxFlow {
		return 0, ErrTooMuch
	}
	room := min(maxOutput-len(s.kept), len(p))
	s.kept = append(s.kept, p[:room]...)
	s.cut = s.cut || room < len(p)
	return len(p), nil
}

// lines hands every complete line to take, one at a time.
type lines struct {
	take  func([]byte)
	held  []byte
	total int
	count int
	skip  bool // the rest of a line that is too long
}

func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	if l.total += n; l.total > maxStream {
		return 0, ErrTooMuch
	}
	for len(p) > 0 {
		part, rest, whole := bytes.Cut(p, []byte("\n"))
		if !l.skip {
			l.held = append(l.held, part...)
		}
		if len(l.held) > maxLine {
			l.held, l.skip = nil, true
		}
		if !whole {
			break
		}
		if l.count++; l.count > maxLines {
			return 0, ErrTooMuch
		}
		if !l.skip {
			l.take(l.held)
		}
		l.held, l.skip = nil, false
		p = rest
	}
	return n, nil
}

// end takes what no end of a line came for.
func (l *lines) end() {
	if len(l.held) > 0 {
		l.take(l.held)
	}
	l.held = nil
}
