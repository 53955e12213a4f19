package diagnosis

import (
	"regexp/syntax"
	"strconv"
	"strings"
	"sync"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

const (
	// maxMatch is how much of a line is held against regular expressions, in
	// bytes. The longest line of a real log that tells a cause has half of it.
	maxMatch = 2 << 10
	// maxSearched is how many bytes regular expressions read for one diagnosis,
	// a hundred times what a real log of full length asks for.
	maxSearched = 16 << 20
)

// start is the part of the message that tells what the line is about.
func (l Line) start() string { return head(l.Message, maxMatch) }

func (l Line) lower() string { return strings.ToLower(l.start()) }

// pattern is a regular expression that is tried only on lines that hold a text
// which every match has.
type pattern struct {
	*lazyregexp.Regexp
	// needs are lower case; a match has one of them. None: no such text is known.
	needs func() []string
}

// compile makes a pattern that is matched without regard to case.
func compile(text string) pattern {
	text = `(?i)` + text
	return pattern{lazyregexp.New(text), sync.OnceValue(func() []string {
		tree, err := syntax.Parse(text, syntax.Perl)
		if err != nil {
			return nil
		}
		return needs(tree)
	})}
}

// possible says whether a line may match, by its text in lower case.
func (p pattern) possible(lower string) bool {
	texts := p.needs()
	for _, text := range texts {
		if strings.Contains(lower, text) {
			return true
		}
	}
	return texts == nil
}

// needs returns texts in lower case of which every match has one, nil where
// there are none.
func needs(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		return []string{strings.ToLower(string(re.Rune))}
	case syntax.OpCapture, syntax.OpPlus:
		return needs(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return needs(re.Sub[0])
		}
	case syntax.OpConcat:
		var best []string
		for _, sub := range re.Sub {
			if n := needs(sub); n != nil && shortest(n) > shortest(best) {
				best = n
			}
		}
		return best
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			n := needs(sub)
			if n == nil {
				return nil
			}
			all = append(all, n...)
		}
		return all
	}
	return nil
}

func shortest(texts []string) int {
	if len(texts) == 0 {
		return 0
	}
	n := len(texts[0])
	for _, text := range texts {
		n = min(n, len(text))
	}
	return n
}

// search holds lines against patterns until it has read its share.
type search struct {
	left int // bytes
	// short: some lines were not held against all patterns.
	short bool
}

// problem is a line with the texts that are searched.
type problem struct {
	Line
	text, low string
	// hex is the text with its codes in hexadecimal, empty where they are so: logs write
	// some in decimal, with or without a sign.
	hex string
	// at is its place in the run, owner the DLL of the provider that was at work.
	at    int
	owner string
}

func newProblem(l Line) problem {
	text := l.start()
	if beginsRefusal(text) {
		if c := refusalOf(l.Message).canonical(); c != "" {
			text = head(c, maxMatch)
		}
	}
	low := strings.ToLower(text)
	return problem{Line: l, text: text, low: low, hex: inHex(text, low)}
}

var decimalCode = lazyregexp.New(`(?i)\b((?:hr|dwRet|status|error code|exit code|returned) ?=? ?)(-?\d{3,10})\b`)

// inHex is a text with the codes that it has in decimal in hexadecimal, empty where it
// has none.
func inHex(text, low string) string {
	if !contains(low, []string{"dwret", "hr", "code", "status", "returned"}) || !decimalCode.MatchString(text) {
		return ""
	}
	return decimalCode.ReplaceAllStringFunc(text, func(m string) string {
		parts := decimalCode.FindStringSubmatch(m)
		n, ok := parseCode(parts[2])
		if !ok {
			return m
		}
		return parts[1] + "0x" + strconv.FormatUint(uint64(n), 16)
	})
}

func (s *search) find(p pattern, l problem) []string {
	if !p.possible(l.low) && (l.hex == "" || !p.possible(strings.ToLower(l.hex))) {
		return nil
	}
	if s.left < len(l.text) {
		s.short = true
		return nil
	}
	s.left -= len(l.text)
	if m := p.FindStringSubmatch(l.text); m != nil || l.hex == "" {
		return m
	}
	s.left -= len(l.text)
	return p.FindStringSubmatch(l.hex)
}
