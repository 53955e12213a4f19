// Package foreign makes text that others wrote (registry values, file names,
// answers of servers and guests, output of programs) safe for terminals and for
// the logs of CI systems, which both take commands from what they show.
//
// A character that does something or that cannot be seen is written as its
// escape, in Go's form: \x1b for a control byte or a byte that is not UTF-8,
// \u202e and \U000e0001 for other characters. Backslashes stay as they are, for
// paths are full of them. What people write (umlauts, Japanese, emoji) stays.
package foreign

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxLine is the length in bytes to which a line is cut.
	MaxLine = 8 << 10
	// maxLines and maxText bound a text of several lines.
	maxLines = 500
	maxText  = 128 << 10
	// markRoom is what the mark of a cut takes at most.
	markRoom = 40
)

// Text makes one line safe: the result has no line break, no control and no
// invisible character, no command that a CI system would obey, and at most
// MaxLine bytes, with a mark where it was cut. Text of a result is the result.
func Text(s string) string { return Limit(s, MaxLine) }

// Limit is Text with a length of one's own, in bytes; it cannot be less than
// what the mark of a cut takes.
func Limit(s string, limit int) string {
	limit = max(limit, markRoom)
	if len(s) <= limit && plain(s) {
		return s
	}
	var b strings.Builder
	fit, fitted := 0, 0 // where the result can be cut, and what of s it holds
	kept := rune(0)     // the character before, 0 after an escape
	start := true       // only white space so far
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		piece, keep := s[i:i+n], r
		switch {
		case r == '\t':
			piece, keep = " ", ' '
		case r == utf8.RuneError && n == 1:
			piece, keep = fmt.Sprintf(`\x%02x`, s[i]), 0
		case command(s[i:], start) || !seen(r, kept, s[i+n:]):
			piece, keep = escape(r), 0
		}
		if b.Len() <= limit-markRoom && kept != joiner && !depends(r) {
			fit, fitted = b.Len(), i
		}
		if b.Len()+len(piece) > limit {
			return fmt.Sprintf("%s… (%d more bytes)", b.String()[:fit], len(s)-fitted)
		}
		b.WriteString(piece)
		start = start && keep != 0 && unicode.IsSpace(keep)
		kept, i = keep, i+n
	}
	return b.String()
}

// Lines makes each line of a text safe whose line breaks are meant, as in a
// message of ours that quotes others. Too many lines are cut, with a mark.
func Lines(s string) string { return LinesLimit(s, MaxLine) }

// LinesLimit is Lines with a length of one's own for each line.
func LinesLimit(s string, limit int) string {
	if !strings.Contains(s, "\n") {
		return Limit(strings.TrimSuffix(s, "\r"), limit)
	}
	lines := strings.Split(s, "\n")
	total, fit := 0, 0
	for i, l := range lines {
		lines[i] = Limit(strings.TrimSuffix(l, "\r"), limit)
		total += len(lines[i]) + 1
		if total <= maxText-markRoom && i < maxLines-1 {
			fit = i + 1
		}
	}
	if total > max(maxText, limit) || len(lines) > maxLines {
		lines = append(lines[:fit:fit], fmt.Sprintf("… (%d more lines)", len(lines)-fit))
	}
	return strings.Join(lines, "\n")
}

// plain reports whether s is ASCII without anything to look at twice.
func plain(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '#' || c == ':' || c == '_' || c == '-' || c == '+' || c == '~' || c == '^' {
			return false
		}
	}
	return true
}

func escape(r rune) string {
	switch {
	case r < utf8.RuneSelf:
		return fmt.Sprintf(`\x%02x`, r)
	case r > 0xffff:
		return fmt.Sprintf(`\U%08x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// command reports whether a CI system takes what begins here for a command.
// start: only white space stands before it on its line.
func command(s string, start bool) bool {
	switch s[0] {
	case ':': // GitHub Actions: after white space (actions/runner, ActionCommand.TryParseV2)
		return start && strings.HasPrefix(s, "::")
	case '#': // anywhere in a line: ##[ (GitHub, the same file), ##vso[ (Azure Pipelines), ##teamcity[
		if !strings.HasPrefix(s, "##") {
			return false
		}
		rest := strings.TrimLeftFunc(s[2:], func(r rune) bool { return r < utf8.RuneSelf && unicode.IsLetter(r) })
		return strings.HasPrefix(rest, "[")
	case 's', 'S': // GitLab: section_start:TIME:NAME and section_end:, anywhere
		return hasWord(s, "section_start:") || hasWord(s, "section_end:")
	case '-', '+', '~', '^': // Buildkite: headings of groups, at the start of a line
		return start && len(s) > 3 && s[1] == s[0] && s[2] == s[0] && (s[3] == ' ' || s[3] == '\t')
	}
	return false
}

func hasWord(s, word string) bool {
	return len(s) >= len(word) && strings.EqualFold(s[:len(word)], word)
}

const (
	joiner  = '\u200d' // joins emoji
	emojiVS = '\ufe0f' // asks for the coloured form
	keycap  = '\u20e3'
)

// depends reports whether a character belongs to the one before it.
func depends(r rune) bool { return unicode.In(r, unicode.M, unicode.Cf) }

// seen reports whether a character is one that a reader sees, and that does
// nothing else. kept is the character before, next the text behind it.
func seen(r, kept rune, next string) bool {
	following, _ := utf8.DecodeRuneInString(next)
	switch {
	case r < utf8.RuneSelf:
		return r >= ' ' && r != 0x7f
	case r == joiner:
		return (kept == emojiVS || emoji(kept)) && emoji(following)
	case r == emojiVS && (kept == '#' || kept == '*' || kept >= '0' && kept <= '9'):
		return following == keycap
	case r == emojiVS || r == '\ufe0e':
		return emoji(kept) || strings.ContainsRune("©®‼⁉™ℹ〰〽㊗㊙", kept) && kept != 0
	case unicode.Is(unicode.Variation_Selector, r): // forms of Chinese characters, as in names
		return unicode.Is(unicode.Han, kept)
	}
	return unicode.IsGraphic(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// emoji reports whether a character can be part of a joined emoji.
func emoji(r rune) bool {
	return (r >= 0x2190 && r <= 0x2bff || r >= 0x1f000 && r <= 0x1faff) && unicode.IsGraphic(r)
}
