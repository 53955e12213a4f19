package winsim

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"time"
)

// stringList is a JSON string or a list of them: PowerShell makes no
// difference.
type stringList []string

func (l *stringList) UnmarshalJSON(b []byte) error {
	var one string
	if err := json.Unmarshal(b, &one); err == nil {
		*l = stringList{one}
		return nil
	}
	var many []string
	err := json.Unmarshal(b, &many)
	*l = many
	return err
}

type watchCondition struct {
	ImageState stringList
	Tag        *bool
	Process    *bool
	AgentEnded *bool
	ForSec     int64
}

// seen is what watch.ps1 reads at one moment; nil stands for unreadable.
type seen struct {
	doc        document
	tag        bool
	imageState string
	processes  *int
	agentEnded bool
}

// agrees is Test-Condition; what could not be read agrees with nothing.
func (w watchCondition) agrees(s seen) bool {
	if w.ImageState != nil {
		hit := false
		for _, want := range w.ImageState {
			hit = hit || strings.EqualFold(want, s.imageState)
		}
		if !hit {
			return false
		}
	}
	if w.AgentEnded != nil && *w.AgentEnded != s.agentEnded {
		return false
	}
	if w.Tag != nil && *w.Tag != s.tag {
		return false
	}
	return w.Process == nil || (s.processes != nil && (*s.processes > 0) == *w.Process)
}

func (t *twin) look(agent string) seen {
	g := t.g
	s := seen{}
	errs := document{}
	var exit any
	if agent != "" {
		if text, err := g.drive.ReadFile(t.full(agent)); err == nil {
			s.agentEnded, exit = true, strings.TrimSpace(string(text))
		}
	}
	var tagTime, image, general, clean, list any
	if info, err := g.drive.Stat(fileTag); err == nil && !info.IsDir() {
		s.tag, tagTime = true, utc(t.g.clock.At(info.ModTime()))
	}
	if err := t.try("Get-ItemProperty"); err != nil {
		errs = append(errs, member{"imageState", err.Error()}, member{"sysprepStatus", err.Error()})
	} else {
		image = t.text(keyState, "ImageState")
		s.imageState, _ = image.(string)
		general, clean = t.number("GeneralizationState"), t.number("CleanupState")
	}
	if err := t.try("Get-Process"); err != nil {
		errs = append(errs, member{"processes", err.Error()})
	} else {
		found := []document{}
		for _, p := range g.processes("sysprep.exe") {
			found = append(found, document{{"id", p.pid}, {"start", utc(p.start)}})
		}
		n := len(found)
		s.processes, list = &n, found
	}
	s.doc = document{
		{"tag", s.tag}, {"tagTime", tagTime}, {"imageState", image}, {"generalizationState", general}, {"cleanupState", clean},
		{"processes", list}, {"errors", errs},
	}
	if agent != "" {
		s.doc = append(s.doc, member{"agentEnded", s.agentEnded}, member{"agentExit", exit})
	}
	return s
}

// cursor is how far the log has been read.
type cursor struct {
	path   string
	offset int64
	head   []byte
	chunk  int64
}

const headSize = 96

// next returns new bytes of the log as a document. A replaced file is known
// by its first bytes, or by being shorter than what was read.
func (u *cursor) next(t *twin) (doc document, news, more bool) {
	host, err := t.g.drive.Path(u.path)
	var content []byte
	exists := false
	if err == nil {
		if content, err = os.ReadFile(host); err == nil {
			exists = true
		}
	}
	if !exists {
		return document{{"exists", false}, {"length", nil}, {"offset", u.offset}, {"next", u.offset}, {"rotated", false}, {"more", false}, {"data", ""}}, false, false
	}
	length := int64(len(content))
	rotated := length < u.offset || length < int64(len(u.head)) || string(content[:len(u.head)]) != string(u.head)
	if rotated {
		u.offset, u.head = 0, nil
	}
	if len(u.head) < headSize && length > int64(len(u.head)) {
		u.head = content[:min(headSize, length)]
	}
	from := u.offset
	data := content[from:min(from+u.chunk, length)]
	u.offset += int64(len(data))
	more = u.offset < length
	return document{
		{"exists", true}, {"length", length}, {"offset", from}, {"next", u.offset}, {"rotated", rotated}, {"more", more},
		{"data", base64.StdEncoding.EncodeToString(data)},
	}, rotated || len(data) > 0, more
}

type watchParameters struct {
	DeadlineSec, IntervalMs, HeartbeatSec, ChunkBytes, Offset *int64
	Log, Head, Agent                                          string
	StopWhen                                                  []watchCondition
}

func or(p *int64, def int64) int64 {
	if p == nil {
		return def
	}
	return *p
}

func (t *twin) watch(encoded string) int {
	var p watchParameters
	err := parameters(encoded, &p)
	deadline, interval, heartbeat := or(p.DeadlineSec, 60), or(p.IntervalMs, 1000), or(p.HeartbeatSec, 10)
	u := &cursor{path: fileActLog, offset: or(p.Offset, 0), chunk: or(p.ChunkBytes, 16384)}
	if p.Log != "" {
		u.path = t.full(p.Log)
	}
	switch {
	case err != nil:
	case interval < 100:
		err = thrown("intervalMs is less than 100")
	case u.chunk < 1 || u.chunk > 262144:
		err = thrown("chunkBytes is not within 1..262144")
	case deadline < 0 || u.offset < 0:
		err = thrown("deadlineSec or offset is negative")
	default:
		u.head, err = base64.StdEncoding.DecodeString(p.Head)
	}
	if err != nil {
		t.write(failed("watch", "bad-parameters", err))
		return 2
	}
	t.g.replayWaits(t.ctx)
	started := t.g.clock.Now()
	sequence, lastText, lastLine := 0, "", int64(0)
	held := make([]int64, len(p.StopWhen))
	for i := range held {
		held[i] = -1
	}
	for t.ctx.Err() == nil {
		s := t.look(p.Agent)
		log, news, more := u.next(t)
		ms := t.g.clock.Now().Sub(started).Milliseconds()
		reached := -1
		for i, w := range p.StopWhen {
			if !w.agrees(s) {
				held[i] = -1
				continue
			}
			if held[i] < 0 {
				held[i] = ms
			}
			if reached < 0 && ms-held[i] >= w.ForSec*1000 {
				reached = i
			}
		}
		text, why := asciiJSON(s.doc), ""
		switch {
		case sequence == 0:
			why = "first"
		case text != lastText:
			why = "state"
		case news:
			why = "log"
		case ms-lastLine >= heartbeat*1000:
			why = "heartbeat"
		}
		head := document{{"script", "watch"}, {"schema", 1}, {"ok", true}}
		if why != "" {
			sample := document{{"type", "sample"}, {"seq", sequence}, {"why", why}, {"time", utc(t.g.now())}, {"ms", ms}}
			t.write(slices.Concat(head, sample, s.doc, document{{"log", log}}))
			sequence++
			lastText, lastLine = text, ms
		}
		reason := ""
		if reached >= 0 && !more {
			reason = "condition"
		}
		if ms >= deadline*1000 {
			reason = "deadline"
		}
		if reason != "" {
			t.write(append(head, member{"type", "end"}, member{"seq", sequence}, member{"reason", reason}, member{"condition", reached},
				member{"time", utc(t.g.now())}, member{"ms", ms}, member{"next", u.offset}, member{"head", base64.StdEncoding.EncodeToString(u.head)}))
			return 0
		}
		if !more {
			t.g.pause(t.ctx, time.Duration(interval)*time.Millisecond)
		}
	}
	return 1
}
