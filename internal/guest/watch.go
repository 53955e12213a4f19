package guest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
)

const (
	stretch      = 45 * time.Second // how long one watch command runs
	stretchSlack = 30 * time.Second // for starting PowerShell in a busy guest
	maxHeartbeat = 10 * time.Second // between samples when nothing changes
)

// Cursor is how far the log has been read. The zero value is its beginning.
type Cursor struct {
	offset int64
	head   string
	// Without PowerShell whole lines are counted; the last one is held back
	// until it has stayed the same, because it may still be written.
	count int
	last  string
}

// After is the cursor behind so many lines of a log, without PowerShell.
func After(lines int) Cursor { return Cursor{count: lines} }

// Sample is one look at the guest while sysprep runs.
type Sample struct {
	State
	LogRead   bool   // the log, or its absence, could be seen
	LogLength int64  // bytes
	LogNext   int64  // how far it was read, in bytes
	Log       []byte // what is new
	Rotated   bool   // the log was replaced: Log begins at its beginning
}

// Condition ends a stretch early; all that is given must hold for For.
type Condition struct {
	ImageState []string
	Tag        *bool
	Process    *bool
	For        time.Duration
}

type watchCondition struct {
	ImageState []string `json:"imageState,omitempty"`
	Tag        *bool    `json:"tag,omitempty"`
	Process    *bool    `json:"process,omitempty"`
	ForSec     int      `json:"forSec,omitempty"`
}

type watchParameters struct {
	DeadlineSec  int              `json:"deadlineSec"`
	IntervalMs   int64            `json:"intervalMs"`
	HeartbeatSec int              `json:"heartbeatSec"`
	ChunkBytes   int              `json:"chunkBytes"`
	Offset       int64            `json:"offset"`
	Head         string           `json:"head"`
	StopWhen     []watchCondition `json:"stopWhen,omitempty"`
}

type watchDocument struct {
	Type                string  `json:"type"`
	Tag                 *bool   `json:"tag"`
	ImageState          *string `json:"imageState"`
	GeneralizationState *int    `json:"generalizationState"`
	Processes           *[]struct {
		ID int `json:"id"`
	} `json:"processes"`
	Log *struct {
		Length  *int64 `json:"length"`
		Next    int64  `json:"next"`
		Rotated bool   `json:"rotated"`
		Data    []byte `json:"data"`
	} `json:"log"`
	Next int64  `json:"next"`
	Head string `json:"head"`
}

// Heartbeat is the longest time between two samples of a Watch with this
// interval, in whole seconds.
func Heartbeat(interval time.Duration) time.Duration {
	return min(max(5*interval, time.Second).Truncate(time.Second), maxHeartbeat)
}

// Watch follows the run for one stretch of less than a minute and hands every
// sample to onSample as it comes, from another goroutine but never after it
// returned. It goes on from where the cursor is, and returns where it got, with
// an error too. The last sample has all that Poll asks for, and no log.
func (s *Session) Watch(ctx context.Context, from Cursor, interval time.Duration, until []Condition, onSample func(Sample)) (Cursor, error) {
	params := watchParameters{
		DeadlineSec: max(1, int(s.scaled(stretch)/time.Second)), IntervalMs: interval.Milliseconds(), HeartbeatSec: int(Heartbeat(interval) / time.Second),
		ChunkBytes: 64 << 10, Offset: from.offset, Head: from.head,
	}
	for _, c := range until {
		params.StopWhen = append(params.StopWhen, watchCondition{c.ImageState, c.Tag, c.Process, int(c.For / time.Second)})
	}
	at := from
	final, err := s.watchLine(ctx, params, func(raw []byte) {
		var doc watchDocument
		if json.Unmarshal(raw, &doc) != nil {
			return
		}
		if doc.Type == "end" {
			at.offset, at.head = doc.Next, doc.Head
			return
		}
		onSample(doc.sample(&at))
	})
	if final != nil {
		onSample(Sample{State: *final})
	}
	return at, err
}

// watchLine runs the script if the guest is still the one that it was uploaded
// to, and asks in the same line for the state as it is at the end: the script
// does not read what the next boot runs. That answer is nil where it did not
// come.
func (s *Session) watchLine(ctx context.Context, params watchParameters, onDoc func([]byte)) (*State, error) {
	line, err := s.scriptLine(ctx, scripts.Watch, params, "")
	if err != nil {
		return nil, err
	}
	mark := s.mark()
	line += "& " + pollLine(mark)
	if mark != "" {
		line = `if exist "` + mark + `" (` + line + `) else (echo ` + marker + `ours& echo no& ` + partEnd + `)`
	}
	stream := &documents{name: scripts.Watch, onDoc: onDoc}
	var tail strings.Builder
	over := newOverflow()
	// The guest says something at every heartbeat. One that has fallen silent has
	// forgotten the command, or is gone.
	silent := time.AfterFunc(s.scaled(silence(params)), func() {
		_ = over.set(fmt.Errorf("%w (%s)", ErrAbandoned, silence(params))) // told by start
	})
	defer silent.Stop()
	_, stderr, err := s.start(ctx, line, stretch+stretchSlack, &lines{over: over, take: func(l []byte) {
		silent.Reset(s.scaled(silence(params)))
		if tail.Len() > 0 || bytes.Contains(l, []byte(marker)) {
			tail.Write(l)
			tail.WriteByte('\n')
			return
		}
		stream.take(l)
	}}, over, watching)
	var final *State
	if state, _, parseErr := parseState(tail.String()); parseErr == nil && mark == s.mark() {
		final = &state
		if stream.seen == 0 && state.Ours != nil && !*state.Ours {
			return final, nil // nothing of ours ran there
		}
	}
	return final, stream.outcome(stderr.bytes(), err)
}

// silence is how long a watch may say nothing.
func silence(p watchParameters) time.Duration {
	return time.Duration(p.HeartbeatSec)*time.Second + stretchSlack
}

// sample reads a document, and moves the cursor on.
func (doc watchDocument) sample(at *Cursor) Sample {
	sample := Sample{State: State{Tag: doc.Tag, GeneralizationState: doc.GeneralizationState}}
	if doc.ImageState != nil {
		sample.ImageState = *doc.ImageState
	}
	if doc.Processes != nil {
		sample.Processes = []int{}
		for _, p := range *doc.Processes {
			sample.Processes = append(sample.Processes, p.ID)
		}
	}
	if doc.Log != nil {
		sample.LogRead, sample.Log, sample.Rotated = true, doc.Log.Data, doc.Log.Rotated
		if doc.Log.Length != nil {
			sample.LogLength = *doc.Log.Length
		}
		at.offset, sample.LogNext = doc.Log.Next, doc.Log.Next
		if doc.Log.Rotated {
			at.head, at.count = "", 0
		}
		at.count += bytes.Count(doc.Log.Data, []byte("\n"))
	}
	return sample
}

// Peek is one sample without PowerShell: two cmd.exe lines.
func (s *Session) Peek(ctx context.Context, from Cursor) (Sample, Cursor, error) {
	state, err := s.Poll(ctx)
	if err != nil {
		return Sample{}, from, err
	}
	sample := Sample{State: state}
	if state.Ours != nil && !*state.Ours {
		return sample, from, nil // its log is somebody else's
	}
	log := s.Windir() + `\System32\Sysprep\Panther\setupact.log`
	show := `type "` + log + `"`
	if from.count > 0 {
		show = fmt.Sprintf(`more +%d "%s"`, from.count, log)
	}
	text, cut, err := s.typed(ctx, log, show, CommandLimit)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return sample, from, nil // the state is worth having without the log
	}
	sample.LogRead = true
	sample.Log, from = from.advance(string(text), cut)
	from.offset += int64(len(sample.Log))
	sample.LogLength, sample.LogNext = from.offset, from.offset
	return sample, from, nil
}

// advance takes what the log shows after the lines already counted.
func (c Cursor) advance(text string, cut bool) ([]byte, Cursor) {
	lines := strings.SplitAfter(strings.TrimRight(text, "\r\n"), "\n")
	last := lines[len(lines)-1]
	take := len(lines) - 1
	if !cut && last != "" && last == c.last {
		take++ // it has not changed since the last look, so it is whole
	}
	fresh := strings.Join(lines[:take], "")
	if take == len(lines) {
		fresh += "\r\n"
		last = ""
	}
	c.count += take
	c.last = last
	return []byte(fresh), c
}
