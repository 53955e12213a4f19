package guest

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// Cursor is how far the log has been read. The zero value is its beginning.
type Cursor struct {
	offset int64
	head   string
	// skip is how many lines of an earlier log are still to be left out.
	skip int
	// Whole lines are counted. Without PowerShell the last one is held back until
	// it has stayed the same, because it may still be written.
	count int
	last  string
	// first is the first line, by which the log is known again.
	first string
}

// After is the cursor behind so many lines of a log.
func After(lines int) Cursor { return Cursor{skip: lines} }

// Sample is one look at the guest while sysprep runs.
type Sample struct {
	Status
	LogRead   bool   // the log, or its absence, could be seen
	LogLength int64  // bytes
	LogNext   int64  // how far it was read, in bytes
	Log       []byte // what is new
	Rotated   bool   // the log was replaced: Log begins at its beginning
}

type watchDocument struct {
	Type                string         `json:"type"`
	Tag                 *bool          `json:"tag"`
	ImageState          *windows.State `json:"imageState"`
	GeneralizationState *int           `json:"generalizationState"`
	Processes           *[]struct {
		ID int `json:"id"`
	} `json:"processes"`
	AgentEnded *bool   `json:"agentEnded"`
	AgentExit  *string `json:"agentExit"`
	Log        *struct {
		Length  *int64 `json:"length"`
		Offset  int64  `json:"offset"`
		Next    int64  `json:"next"`
		Rotated bool   `json:"rotated"`
		Data    []byte `json:"data"`
	} `json:"log"`
	Next int64  `json:"next"`
	Head string `json:"head"`
}

// sample reads a document, and moves the cursor on.
func (doc watchDocument) sample(at *Cursor) Sample {
	sample := Sample{Status: Status{Tag: doc.Tag, GeneralizationState: doc.GeneralizationState}}
	if doc.ImageState != nil {
		sample.ImageState = *doc.ImageState
	}
	if doc.Processes != nil {
		sample.Processes = []int{}
		for _, p := range *doc.Processes {
			sample.Processes = append(sample.Processes, p.ID)
		}
	}
	if doc.AgentEnded != nil {
		sample.Agent = &AgentState{Ended: *doc.AgentEnded}
		if doc.AgentExit != nil {
			sample.Agent.Exit = exitCode(*doc.AgentExit)
		}
	}
	if doc.Log != nil {
		sample.LogRead, sample.Rotated = true, doc.Log.Rotated
		if doc.Log.Length != nil {
			sample.LogLength = *doc.Log.Length
		}
		if doc.Log.Rotated {
			*at = Cursor{}
		}
		sample.Log = at.fresh(doc.Log.Offset, doc.Log.Data)
		sample.LogNext = at.offset
	}
	return sample
}

// fresh takes what comes from an offset of the log and was not seen yet.
func (c *Cursor) fresh(offset int64, data []byte) []byte {
	if offset == 0 && c.first == "" {
		c.first = firstLine(data)
	}
	if seen := c.offset - offset; seen > 0 { // a second watch begins at the beginning
		data = data[min(seen, int64(len(data))):]
	}
	c.offset += int64(len(data))
	for c.skip > 0 {
		_, rest, whole := bytes.Cut(data, []byte("\n"))
		if !whole {
			return nil // the line goes on
		}
		data = rest
		c.skip--
		c.count++
	}
	c.count += bytes.Count(data, []byte("\n"))
	return data
}

// firstLine is the first whole line of a log, without what a byte order mark or
// a code page may change.
func firstLine(log []byte) string {
	line, _, whole := bytes.Cut(log, []byte("\n"))
	if !whole {
		return ""
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(line)))
}

// Peek is one sample without PowerShell: two cmd.exe lines.
func (s *Session) Peek(ctx context.Context, from Cursor) (Sample, Cursor, error) {
	state, err := s.Poll(ctx)
	if err != nil {
		return Sample{}, from, err
	}
	sample := Sample{Status: state}
	if state.Ours != nil && !*state.Ours {
		return sample, from, nil // its log is somebody else's
	}
	// The state is worth having without the log.
	switch text, cut, err := s.typed(ctx, s.Log(), CommandLimit); {
	case errors.Is(err, ErrNotFound):
		sample.LogRead = true
	case err == nil && (len(text) == 0 || logLine.Match(text)):
		sample.LogRead, sample.LogLength = true, int64(len(text))
		sample.Log, sample.Rotated, from = from.advance(string(text), cut)
		sample.LogNext = from.offset
	}
	return sample, from, nil
}

// logLine is how sysprep begins a line. What else a command may print where the
// log should be, an error in the guest's language, is no log that grows.
var logLine = lazyregexp.New(`(?m)^\W{0,3}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d, `)

// advance takes what the whole log shows behind what was taken before.
func (c Cursor) advance(text string, cut bool) (fresh []byte, rotated bool, next Cursor) {
	c.count, c.skip = c.count+c.skip, 0
	lines := strings.SplitAfter(strings.TrimRight(text, "\r\n"), "\n")
	first := c.first
	if !cut {
		first = firstLine([]byte(text))
	}
	if rotated = !cut && (len(lines) < c.count || c.first != "" && first != c.first); rotated {
		c = Cursor{}
	}
	c.first = first
	last := lines[len(lines)-1]
	take := len(lines) - 1
	if !cut && last != "" && last == c.last {
		take++ // it has not changed since the last look, so it is whole
	}
	from := min(c.count, take)
	fresh = []byte(strings.Join(lines[from:take], ""))
	c.offset = int64(len(strings.Join(lines[:take], "")))
	if c.last = last; take == len(lines) && from < take {
		fresh = append(fresh, "\r\n"...)
	}
	c.count = max(c.count, take)
	return fresh, rotated, c
}
