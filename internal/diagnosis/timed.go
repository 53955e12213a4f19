package diagnosis

import (
	"strings"
	"time"
)

// timed reads a line as Windows writes it without a regular expression, which
// takes most of the time that a long log takes. It reports false for everything
// that is not plainly of that form.
func timed(text string) (Line, bool) {
	const stamp = len("2006-01-02 15:04:05")
	if len(text) < stamp+2 {
		return Line{}, false
	}
	at, ok := clock(text[:stamp])
	if !ok || text[stamp] != ',' {
		return Line{}, false
	}
	rest := strings.TrimLeft(text[stamp+1:], " \t")
	word, rest, ok := strings.Cut(rest, " ")
	level := Level(word)
	if !ok || level != Info && level != Warning && level != Error && level != Perf && level != Fatal {
		return Line{}, false
	}
	rest = strings.TrimLeft(rest, " \t")
	l := Line{Raw: text, Time: at, Level: level}
	if strings.HasPrefix(rest, "[0x") {
		code, after, ok := strings.Cut(rest[1:], "]")
		n, valid := parseCode(code)
		if !ok || !valid || len(code) > len("0x12345678") {
			return Line{}, false
		}
		l.Code, rest = n, strings.TrimLeft(after, " \t")
	}
	if word, after, ok := strings.Cut(rest, " "); ok && len(word) >= 2 && len(word) <= 8 && isUpper(word) {
		l.Component, rest = word, after
	}
	l.Message = strings.TrimSpace(rest)
	return l, true
}

func isUpper(word string) bool {
	for i := 0; i < len(word); i++ {
		if word[i] < 'A' || word[i] > 'Z' {
			return false
		}
	}
	return true
}

// clock reads 2006-01-02 15:04:05.
func clock(s string) (time.Time, bool) {
	number := func(from, to int) int {
		n := 0
		for _, c := range []byte(s[from:to]) {
			if c < '0' || c > '9' {
				return -1
			}
			n = 10*n + int(c-'0')
		}
		return n
	}
	year, month, day, hour, minute, second := number(0, 4), number(5, 7), number(8, 10), number(11, 13), number(14, 16), number(17, 19)
	if s[4] != '-' || s[7] != '-' || s[10] != ' ' || s[13] != ':' || s[16] != ':' || year < 0 || month < 1 || month > 12 || day < 1 || day > 31 ||
		hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	return t, t.Day() == day
}
