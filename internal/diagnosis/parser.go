package diagnosis

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// maxLine bounds one physical line and one joined line, in bytes; real
	// lines are below 1 KiB.
	maxLine = 16 << 10
	// sniff is how many bytes are needed to tell the encoding.
	sniff = 4
	// maxHead is as much of a line as tells its form; maxLastError as much of
	// its end as holds the last error.
	maxHead      = 256
	maxLastError = 64
)

// The four forms a line begins with: as Windows writes it (the placeholders are
// those of printed documentation), without time as excerpts have it, without
// level, and as log viewers export it.
var (
	timedLine   = regexp.MustCompile(`^(?:(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d+)?|<Date> <Time>),\s*(Info|Warning|Error|Perf|Fatal)\s+(?:\[(0x[0-9a-fA-F]+)\]\s+)?(?:([A-Z]{2,8})\s+)?(.*)$`)
	levelLine   = regexp.MustCompile(`^()(Info|Warning|Error|Perf|Fatal)\s+(?:\[(0x[0-9a-fA-F]+)\]\s+([A-Z]{2,8})\s+|(?:(SYSPRP|IBSLIB|IBS|CSI|CBS)\s+)|(\[))(.*)$`)
	bareLine    = regexp.MustCompile(`^(?:\[(0x[0-9a-fA-F]+)\]\s+)?(SYSPRP|IBSLIB|IBS|CSI|CBS)\s+(.*)$`)
	programLine = regexp.MustCompile(`^\[\w+\.exe\] `)
	viewerLine  = regexp.MustCompile(`^(\d\d-\d\d-\d{4} \d\d:\d\d:\d\d)(?:\.\d+)?\s+([A-Z]{2,8})\s+(?:\d+ \((0x[0-9a-fA-F]+)\)\s+)?(.*)$`)
	lastError   = regexp.MustCompile(`\s*\[?gle=(0x[0-9a-fA-F]+)\]?\s*$`)
)

type encoding uint8

const (
	undecided encoding = iota
	eightBit           // UTF-8, or Windows-1252 line by line
	utf16le
)

type parser struct {
	enc  encoding
	head []byte // the first bytes, until the encoding is known
	buf  []byte // bytes of the unfinished line, at most maxLine
	odd  []byte // UTF-16: the first half of a unit
	open bool   // last holds a line
	last Line
	more []string // lines that continue last
	size int      // bytes of last and more
}

func (p *parser) feed(b []byte) []Line {
	if p.enc == undecided {
		p.head = append(p.head, b...)
		if len(p.head) < sniff {
			return nil
		}
		b, p.head = p.decide(p.head), nil
	}
	if p.enc == utf16le {
		return p.feed16(b)
	}
	var out []Line
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			p.hold(b)
			return out
		}
		p.hold(b[:i])
		out = p.line(decode8(p.buf), out)
		p.buf, b = p.buf[:0], b[i+1:]
	}
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
	var out []Line
	start := 0
	for i := 0; i+1 < len(b); i += 2 {
		if b[i] != '\n' || b[i+1] != 0 {
			continue
		}
		p.hold(b[start:i])
		out = p.line(decode16(p.buf), out)
		p.buf, start = p.buf[:0], i+2
	}
	p.hold(b[start:])
	return out
}

// decide tells the encoding from the first bytes and takes off a byte order
// mark. A log is looked at from its middle too, so the mark may be missing.
func (p *parser) decide(b []byte) []byte {
	switch {
	case bytes.HasPrefix(b, []byte{0xFF, 0xFE}):
		p.enc = utf16le
		return b[2:]
	case bytes.HasPrefix(b, []byte{0xEF, 0xBB, 0xBF}):
		p.enc = eightBit
		return b[3:]
	case len(b) >= sniff && b[0] != 0 && b[1] == 0 && b[2] != 0 && b[3] == 0:
		p.enc = utf16le
	default:
		p.enc = eightBit
	}
	return b
}

// hold keeps the bytes of an unfinished line; what exceeds the bound is lost.
func (p *parser) hold(b []byte) {
	p.buf = append(p.buf, b[:min(len(b), maxLine-len(p.buf))]...)
}

func (p *parser) flush() []Line {
	var out []Line
	if p.enc == undecided && len(p.head) > 0 {
		p.buf = append(p.buf[:0], p.decide(p.head)...)
		p.head = nil
	}
	if len(p.buf) > 0 {
		if p.enc == utf16le {
			out = p.line(decode16(p.buf), out)
		} else {
			out = p.line(decode8(p.buf), out)
		}
		p.buf = p.buf[:0]
	}
	if p.open {
		out = append(out, p.held())
		p.open = false
	}
	p.odd = nil
	return out
}

// line takes one physical line: it begins a new line, which finishes the held
// one, or continues the held one.
func (p *parser) line(text string, out []Line) []Line {
	text = strings.TrimRight(strings.TrimPrefix(text, "\uFEFF"), " \t\r")
	if text == "" {
		return out
	}
	next, begins := parseLine(text)
	if !begins && p.open {
		if p.size+len(text) < maxLine {
			p.more = append(p.more, text)
			p.size += 1 + len(text)
		}
		return out
	}
	if p.open {
		out = append(out, p.held())
	}
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
	for _, text := range p.more {
		piece, gle := cutLastError(strings.TrimSpace(text))
		if gle != "" {
			l.GLE = gle
		}
		if piece != "" {
			message = append(message, piece)
		}
	}
	l.Raw += "\n" + strings.Join(p.more, "\n")
	l.Message = strings.Join(message, " ")
	return l
}

// parseLine reports false for text that does not begin a line of its own. The
// forms are told by the head of the line, however long it is.
func parseLine(text string) (Line, bool) {
	l := Line{Raw: text, Message: text}
	head := text[:min(len(text), maxHead)]
	rest := func(message string) string { return text[len(head)-len(message):] }
	begins := false
	switch c := text[0]; {
	case c == '<' || c >= '0' && c <= '9':
		if m := timedLine.FindStringSubmatch(head); m != nil {
			l.set("2006-01-02 15:04:05", m[1], m[2], m[3], m[4], rest(m[5]))
			begins = true
		} else if m := viewerLine.FindStringSubmatch(head); m != nil {
			l.set("01-02-2006 15:04:05", m[1], "", m[3], m[2], rest(m[4]))
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
	if l.Message, gle = cutLastError(l.Message); gle != "" {
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
	m := lastError.FindStringSubmatchIndex(tail)
	if m == nil {
		return message, ""
	}
	return strings.TrimRight(message[:len(message)-len(tail)+m[0]], " \t\r\n\v\f"), tail[m[2]:m[3]]
}

// decode8 reads UTF-8, and Windows-1252 where that is not valid.
func decode8(b []byte) string {
	if len(b) == maxLine { // the cut may have split a character
		for i := 0; i < utf8.UTFMax && len(b) > 0 && !utf8.Valid(b[len(b)-min(len(b), utf8.UTFMax):]); i++ {
			b = b[:len(b)-1]
		}
	}
	if utf8.Valid(b) {
		return printable(string(b))
	}
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
		if c >= 0x80 && c < 0xA0 {
			runes[i] = windows1252[c-0x80]
		}
	}
	return printable(string(runes))
}

// windows1252 are the characters 0x80 to 0x9F, in which it differs from
// Unicode's first page.
var windows1252 = []rune("€\uFFFD‚ƒ„…†‡ˆ‰Š‹Œ\uFFFDŽ\uFFFD\uFFFD‘’“”•–—˜™š›œ\uFFFDžŸ")

func decode16(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = uint16(b[2*i]) | uint16(b[2*i+1])<<8
	}
	return printable(string(utf16.Decode(units)))
}

// printable replaces control characters: log lines end up on a terminal.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' && r != '\r' {
			return utf8.RuneError
		}
		return r
	}, s)
	return head(s, maxLine) // a replaced byte takes three
}

// head is the beginning of a text, of at most n bytes and whole characters.
func head(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
