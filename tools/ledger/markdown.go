package main

import (
	"regexp"
	"strings"
)

// command matches a command inside of a sentence: from its name to what ends it.
var command = regexp.MustCompile(`((?:Get|Remove|Add|Stop)-[A-Z]\w+ |reg add |sc config |sc start |DISM /|sfc /|net accounts |net st(?:op|art) |cipher /|manage-bde |bcdboot |bcdedit |diskpart:|powercfg |vssadmin |mountvol |[%]SystemRoot%)(?:<[^>]*>|[^;,.:)(]|[.:][^\s])*`)

// prose is a text as Markdown shows it: commands are code, and nothing else of it is
// taken for a mark.
func prose(text string) string {
	var b strings.Builder
	for {
		at := command.FindStringIndex(text)
		if at == nil {
			return b.String() + plain(text)
		}
		line := text[at[0]:at[1]]
		for _, word := range []string{" before ", " and ", " in the ", " with ", " of "} { // the sentence goes on
			if before, _, cut := strings.Cut(line, word); cut {
				line = before
			}
		}
		line = strings.TrimRight(line, " ")
		b.WriteString(plain(text[:at[0]]) + "`" + line + "`")
		text = text[at[0]+len(line):]
	}
}

var marks = regexp.MustCompile(`\$_|[*|$<>\[\]` + "`" + `]|\\[[:punct:]]`)

// plain escapes what Markdown takes for a mark. A backslash counts before punctuation only.
func plain(text string) string {
	return marks.ReplaceAllStringFunc(text, func(mark string) string {
		switch mark {
		case "<":
			return "&lt;"
		case ">":
			return "&gt;"
		case "$_":
			return `\$\_`
		}
		if rest, ok := strings.CutPrefix(mark, `\`); ok {
			return `\\` + plain(rest)
		}
		return `\` + mark
	})
}

// sentence begins with a capital, but where its first word is a name.
func sentence(text string) string {
	first, _, _ := strings.Cut(text, " ")
	if strings.HasPrefix(first, "sysprep") || !regexp.MustCompile(`^[a-z-]+,?$`).MatchString(first) {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// address is a source as a link where it is one.
func address(source string) string {
	if strings.HasPrefix(source, "http") && !strings.Contains(source, " ") {
		return "<" + source + ">"
	}
	return prose(source)
}
