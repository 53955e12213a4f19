package diagnosis

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

const (
	// maxLine bounds one physical line and one joined line, in bytes; real
	// lines are below 1 KiB.
	maxLine = 16 << 10
	// maxHead is as much of a line as tells its form; maxLastError as much of
	// its end as holds the last error.
	maxHead      = 256
	maxLastError = 64
)

// What lines of a log consist of; pasted.go has the forms that copying makes of
// them.
const (
	levels     = `(?:Info|Warning|Error|Perf|Fatal)`
	components = `(?:SYSPRP|IBSLIB|IBS|CSI|CBS)`
	programs   = `\[(?:[\w.-]+\.exe|Shell Unattend|Action Queue)\] `
	// afterLevel are the message id, the component and the message.
	afterLevel = `\s+(?:\[(0x[0-9a-fA-F]+)\]\s+)?(?:([A-Z]{2,8})\s+)?(.*)$`
)

// The forms a line begins with: as Windows writes it, without time as excerpts
// have it, without level, the lines of other programs of Windows Setup, and as log
// viewers export it.
var (
	timedLine   = lazyregexp.New(`^(?:(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d+)?),\s*(` + levels + `)` + afterLevel)
	levelLine   = lazyregexp.New(`^()(` + levels + `)(?::\s*|\s+)(?:\[(0x[0-9a-fA-F]+)\]\s+([A-Z]{2,8})\s+|(?:(` + components + `)\s+)|(\[)|\s{4,})(.*)$`)
	bareLine    = lazyregexp.New(`^(?:\[(0x[0-9a-fA-F]+)\]\s+)?(` + components + `)\s+(.*)$`)
	programLine = lazyregexp.New(`(?i)^` + programs)
	viewerLine  = lazyregexp.New(`^(\d\d-\d\d-\d{4} \d\d:\d\d:\d\d)(?:\.\d+)?\s+([A-Z]{2,8})\s+(?:\d+ \((0x[0-9a-fA-F]+)\)\s+)?(.*)$`)
	lastError   = lazyregexp.New(`\s*\[?gle=(0x[0-9a-fA-F]+)\]?\s*$`)
)

type parser struct {
	enc encodingForm
	// plain: each line is one of its own, whatever it begins with.
	plain bool
	page  int    // the ANSI code page of the guest; 0 is 1252
	head  []byte // the first bytes, until the encoding is known
	buf   []byte // bytes of the unfinished line, at most maxLine
	cut   bool   // more than buf holds of the line was read, and is lost
	odd   []byte // UTF-16: the first half of a unit
	torn  bool   // it ended in the middle of a line
	// width is that of the lines of the last record that was broken into several, times
	// how many such records in a row had it.
	width, times int
	// returned: a carriage return was read, and not yet what comes behind it.
	returned bool
	open     bool // last holds a line
	last     Line
	more     []string // lines that continue last
	before   string   // what a copied text has before last
	size     int      // bytes of last and more
}

func (p *parser) feed(b []byte) []Line {
	if p.enc == undecided {
		p.head = append(p.head, b...)
		if len(p.head) < sniff {
			return nil
		}
		b, p.head = p.decide(p.head), nil
	}
	if p.enc != eightBit {
		return p.feed16(b)
	}
	var out []Line
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		piece := b
		if i >= 0 {
			piece = b[:i]
		}
		out = p.pieces(piece, out)
		if i < 0 {
			break
		}
		out = p.end(out)
		b = b[i+1:]
	}
	return out
}

// pieces takes bytes without a line feed. A carriage return ends a line as well,
// except where a line feed follows, which ends it then.
func (p *parser) pieces(b []byte, out []Line) []Line {
	for {
		if p.returned && len(b) > 0 {
			out = p.end(out)
		}
		i := bytes.IndexByte(b, '\r')
		if i < 0 {
			return p.hold(b, out)
		}
		out = p.hold(b[:i], out)
		p.returned = true
		b = b[i+1:]
	}
}

// end is the end of a line.
func (p *parser) end(out []Line) []Line {
	p.returned, p.cut = false, false
	out = p.line(p.decode(p.buf), out)
	p.buf = p.buf[:0]
	return out
}

func (p *parser) feed16(b []byte) []Line {
	if len(p.odd) > 0 && len(b) > 0 {
		b = append(p.odd[:1:1], b...)
		p.odd = nil
	}
	if len(b)%2 == 1 {
		p.odd = []byte{b[len(b)-1]}
		b = b[:len(b)-1]
	}
	low := 0
	if p.enc == utf16be {
		low = 1
	}
	var out []Line
	start := 0
	for i := 0; i+1 < len(b); i += 2 {
		switch {
		case b[i+1-low] != 0 || b[i+low] != '\n' && b[i+low] != '\r':
			if p.returned {
				out, start = p.end(out), i
			}
		case b[i+low] == '\n':
			out = p.hold(b[start:i], out)
			out, start = p.end(out), i+2
		default:
			if p.returned {
				out = p.end(out)
			}
			out = p.hold(b[start:i], out)
			p.returned, start = true, i+2
		}
	}
	return p.hold(b[start:], out)
}

// hold keeps the bytes of an unfinished line. Where they exceed the bound, the
// lines of a log that a pasted text has joined into this one are taken; what
// exceeds it in a line of its own is lost.
func (p *parser) hold(b []byte, out []Line) []Line {
	for {
		n := min(len(b), maxLine-len(p.buf))
		p.buf = append(p.buf, b[:n]...)
		b = b[n:]
		if len(b) == 0 || p.cut {
			return out
		}
		last := 0
		if !p.plain {
			last = p.lastRecord()
		}
		if last == 0 {
			p.cut = true
			return out
		}
		out = p.line(p.decode(p.buf[:last]), out)
		p.buf = append(p.buf[:0], p.buf[last:]...)
	}
}

// lastRecord is lastRecord for the bytes of the unfinished line.
func (p *parser) lastRecord() int {
	if p.enc == eightBit {
		return lastRecord(string(p.buf))
	}
	low := 0
	if p.enc == utf16be {
		low = 1
	}
	text := text16(p.buf, low)
	return 2 * len(utf16.Encode([]rune(text[:lastRecord(text)])))
}

func (p *parser) flush() []Line {
	var out []Line
	if p.enc == undecided && len(p.head) > 0 {
		p.buf = append(p.buf[:0], p.decide(p.head)...)
		p.head = nil
	}
	if len(p.buf) > 0 {
		p.torn = !p.returned && broken(p.decode(p.buf))
		out = p.end(out)
	}
	p.returned = false
	if p.open {
		out = append(out, p.held())
		p.open = false
	}
	p.odd = nil
	return out
}

// broken says whether the last line of a text, behind which no line ends, is only the
// begin of one: Windows ends each line, and who copies from a page takes whole ones.
func broken(line string) bool {
	line = strings.TrimSpace(line)
	if half := line != "" && line[0] >= '0' && line[0] <= '9'; half {
		if _, ok := parseLine(line); !ok {
			return brokenStamp.MatchString(line)
		}
	}
	return strings.Count(line, "[") > strings.Count(line, "]") || strings.Count(line, `"`)%2 == 1
}

// brokenStamp is the begin of a line up to its message.
var brokenStamp = lazyregexp.New(`^\d{4}-[\d: -]*(?:,\s*[A-Z]?[a-z]*)?$`)

// line takes one physical line: it begins a new line, which finishes the held
// one, or continues the held one.
func (p *parser) line(text string, out []Line) []Line {
	text = strings.TrimRight(strings.TrimPrefix(text, "\uFEFF"), " \t\r")
	if strings.Contains(text, "\u00a0") {
		text = strings.ReplaceAll(text, "\u00a0", " ") // as web pages keep several blanks
	}
	if text == "" {
		return out
	}
	pieces := records(text)
	if pieces == nil || p.plain {
		return p.piece(text, out)
	}
	for _, piece := range pieces {
		out = p.piece(piece, out)
	}
	p.before = ""
	if before, _, _ := strings.Cut(text, pieces[0]); before != "" {
		p.before = strings.TrimSpace(before)
	}
	return out
}

// piece is line for a text that holds one line at most.
func (p *parser) piece(text string, out []Line) []Line {
	next, begins := parseLine(text)
	if !begins && (!p.open || p.last.Level == "") {
		if by := bare(next.Message); by != "" {
			next.Component, begins = by, true
		}
	}
	begins = begins || p.plain
	if !begins && p.open {
		if text = continued(text, p.before); text != "" && p.size+len(text) < maxLine {
			p.more = append(p.more, text)
			p.size += 1 + len(text)
		}
		return out
	}
	if p.open {
		out = append(out, p.held())
		p.measure()
	}
	p.before = strings.TrimSpace(strings.TrimSuffix(text, next.Raw))
	p.last, p.more, p.size, p.open = next, p.more[:0], len(text), true
	return out
}

// held is the line that may still be continued, as far as it has come.
func (p *parser) held() Line {
	l := p.last
	if len(p.more) == 0 {
		return l
	}
	message := []string{l.Message}
	whole := p.wrapped()
	for i, text := range p.more {
		piece, gle := cutLastError(strings.TrimSpace(asWritten(text)))
		if gle != "" {
			l.GLE = gle
		}
		switch {
		case piece == "":
		case whole[i]:
			message[len(message)-1] += piece
		default:
			message = append(message, piece)
		}
	}
	l.Raw += "\n" + strings.Join(p.more, "\n")
	l.Message = joinLines(message)
	return l
}

// wrapped says of each line that continues the held one whether it goes on in a word: a
// terminal breaks lines where it ends, so that several have its width. A line that was
// broken at a blank lost that and is shorter, or begins with it.
func (p *parser) wrapped() []bool {
	out := make([]bool, len(p.more))
	lines := append([]string{p.last.Raw}, p.more...)
	width, n := 0, 0
	for _, text := range lines {
		switch {
		case len(text) > width:
			width, n = len(text), 1
		case len(text) == width:
			n++
		}
	}
	for i := range out {
		out[i] = (n > 1 || width == p.width && p.times > 1) && width >= minWidth && len(lines[i]) == width && lines[i+1][0] != ' '
	}
	return out
}

// measure notes the width at which the held line was broken.
func (p *parser) measure() {
	if len(p.more) == 0 {
		return
	}
	width := len(p.last.Raw)
	for _, text := range p.more[:len(p.more)-1] {
		width = max(width, len(text))
	}
	if width != p.width {
		p.width, p.times = width, 0
	}
	p.times++
}

// minWidth is the least width of a terminal that lines are taken to be broken at.
const minWidth = 40

// parseLine reports false for text that does not begin a line of its own. The
// forms are told by the head of the line, however long it is.
func parseLine(text string) (Line, bool) {
	if l, ok := timed(text); ok {
		l.Message, l.GLE = cutLastError(asWritten(l.Message))
		return l, true
	}
	text = unquoted(text)
	l := Line{Raw: text, Message: text}
	head := text[:min(len(text), maxHead)]
	rest := func(message string) string { return text[len(head)-len(message):] }
	begins := false
	switch c := text[0]; {
	case c == '<' || c == '\\' || c == 'D':
		if m := placedLine.FindStringSubmatch(head); m != nil {
			l.set("", "", m[1], m[2], m[3], rest(m[4]))
			begins = true
		}
	case c >= '0' && c <= '9':
		if m := timedLine.FindStringSubmatch(head); m != nil {
			l.set("2006-01-02 15:04:05", m[1], m[2], m[3], m[4], rest(m[5]))
			begins = true
		} else if m := viewerLine.FindStringSubmatch(head); m != nil {
			l.set("01-02-2006 15:04:05", m[1], "", m[3], m[2], rest(m[4]))
			begins = true
		} else if m := looseLine.FindStringSubmatch(head); m != nil {
			l.set("", "", m[5], m[6], m[7], rest(m[8]))
			begins = true
		}
	case strings.IndexByte("IWEPFSC[", c) >= 0:
		if m := levelLine.FindStringSubmatch(head); m != nil {
			l.set("", "", m[2], m[3], m[4]+m[5], rest(m[6]+m[7]))
			begins = true
		} else if m := bareLine.FindStringSubmatch(head); m != nil {
			l.set("", "", "", m[1], m[2], rest(m[3]))
			begins = true
		} else {
			begins = programLine.MatchString(head)
		}
	}
	var gle string
	if l.Message, gle = cutLastError(asWritten(l.Message)); gle != "" {
		l.GLE = gle
	}
	return l, begins
}

func (l *Line) set(layout, at, level, code, component, message string) {
	if t, err := time.Parse(layout, at); err == nil && at != "" {
		l.Time = t
	}
	if n, err := strconv.ParseUint(strings.TrimPrefix(code, "0x"), 16, 32); err == nil {
		l.Code = uint32(n)
	}
	l.Level, l.Component, l.Message = Level(level), component, strings.TrimSpace(message)
}

// cutLastError takes the last error off the end of a message.
func cutLastError(message string) (rest, gle string) {
	tail := message[max(0, len(message)-maxLastError):]
	if !strings.Contains(tail, "gle=") {
		return message, ""
	}
	m := lastError.FindStringSubmatchIndex(tail)
	if m == nil {
		return message, ""
	}
	return strings.TrimRight(message[:len(message)-len(tail)+m[0]], " \t\r\n\v\f"), tail[m[2]:m[3]]
}
