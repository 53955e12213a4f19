package adopt

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// piece is one line of a script.
type piece struct {
	text string
	line int // in its file, or in the template
	elem int // of the list that it stands in
	// quoted says that it is part of a text of several lines.
	quoted bool
}

// pieces are the lines of texts.
func pieces(elems []elem) (all []piece) {
	for i, e := range elems {
		line := e.line
		for text := range strings.SplitSeq(e.text, "\n") {
			for _, command := range commands(strings.TrimRight(text, "\r")) {
				all = append(all, piece{text: command, line: line, elem: i})
			}
			line++
		}
	}
	return all
}

// commands are the parts of a line that ; & or && separate, outside of quotes and braces.
func commands(line string) (parts []string) {
	if comment().MatchString(line) {
		return []string{line}
	}
	quote, depth, from := byte(0), 0, 0
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '{' || c == '(':
			depth++
		case c == '}' || c == ')':
			depth--
		case depth > 0:
		// The & before a program is PowerShell's way to run it.
		case c == ';' || c == '&' && strings.TrimSpace(line[from:i]) != "":
			parts, from = append(parts, line[from:i]), i+1
			for from < len(line) && line[from] == '&' {
				from, i = from+1, i+1
			}
		}
	}
	return append(parts, line[from:])
}

// role is what a statement is there for.
type role int

const (
	other   role = iota // something of the person's own
	call                // runs sysprep
	wait                // waits for sysprep
	stale               // removes an answer file that lies in wait
	agents              // waits for the agents of Azure, as the provisioner does
	prepare             // belongs to an agent's sysprep
	off                 // powers Windows off after sysprep
	setting             // gives a variable a value
	talk                // says something, or nothing
)

// statement is one or more lines that belong together.
type statement struct {
	pieces []piece
	role   role
	// variable is the name that a setting gives a value.
	variable string
}

func (s statement) text() string {
	var lines []string
	for _, p := range s.pieces {
		lines = append(lines, p.text)
	}
	return strings.Join(lines, "\n")
}

var (
	comment   = lazily(`(?i)^\s*(#|rem\b|::|//)`)
	sysprep   = lazily(`(?i)sysprep(\.exe)?\b["'` + "`" + `]*[\s,)]`)
	switches  = lazily(`(?i)[/-](generalize|oobe|audit)\b`)
	ec2v2     = lazily(`(?i)ec2launch(\.exe)?["']?\s+["']?sysprep\b`)
	ec2v1     = lazily(`(?i)\bSysprepInstance\.ps1`)
	ec2set    = lazily(`(?i)\bInitializeInstance\.ps1\b.*-Schedule`)
	ec2config = lazily(`(?is)\bec2config(\.exe)?\b.*[\s"']-sysprep\b`)
	gce       = lazily(`(?i)\bgcesysprep\b`)
	states    = lazily(`(?i)\b(ImageState|GeneralizationState)\b|IMAGE_STATE_|Get-Process\b.*\bsysprep|Wait-Process\b.*\bsysprep`)
	pause     = lazily(`(?i)^\s*(Start-Sleep|timeout(\.exe)?|ping)\b`)
	unattends = lazily(`(?i)(rm|del|erase|Remove-Item)\b.*unattend\.xml|unattend\.xml.*\b(rm|del|erase|Remove-Item)\b`)
	removes   = lazily(`(?i)\b(rm|del|erase|Remove-Item)\b`)
	unattend  = lazily(`(?i)unattend\.xml`)
	blocks    = lazily(`(?i)^\s*\}?\s*(while|for|foreach|if|elseif|else|do|try|catch|finally|switch|function)\b`)
	azure     = lazily(`(?i)RdAgent|WindowsAzure(TelemetryService|GuestAgent)|\$telemetryService`)
	notWait   = lazily(`(?i)Stop-Service|sc\.exe|\bdelete\b|Remove-|Restart-Service|Set-Service|DeprovisioningScript`)
	powerOff  = lazily(`(?i)^\s*(&\s*)?(shutdown(\.exe)?\s+[/-]s\b|Stop-Computer\b)`)
	folder    = lazily(`(?i)^\s*(?:cd|chdir|pushd|Set-Location|Push-Location)\s+(?:/d\s+)?(?:-(?:Literal)?Path\s+)?["']?([a-z]:[\\/][^"']*?)["']?\s*$`)
	says      = lazily(`(?i)^\s*(Write-(Output|Host|Verbose|Information)|@?echo)\b[^|>&]*$|^\s*(Start|Stop)-Transcript\b|^\s*(\$(ErrorActionPreference|ProgressPreference)\s*=|Set-StrictMode|\[CmdletBinding|Param ?\(\)|exit( /b)? 0|@?setlocal|@?endlocal|<#|#>|@echo off)`)
	changes   = lazily(`(?i)\b(?:Add|Clear|Copy|Disable|Enable|Export|Import|Install|Invoke|Move|New|Register|Remove|Rename|Restart|Set|Start|Stop|Uninstall|Unregister)-[A-Z]\w+`)
	ordinary  = lazily(`(?i)^(?:Start-(?:Sleep|Process)|New-(?:Object|TimeSpan)|Set-StrictMode|Set-Location|Invoke-Expression)$`)
	assigns   = lazily(`^\s*\$(\w+)\s*=\s*`)
)

// lazily compiles an expression when it is used first: Packer starts the plugin many
// times, and none of these is for it.
func lazily(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}

// statements groups lines by their braces, and says what each is for.
func statements(lines []piece) (all []statement) {
	var s statement
	depth, block, here := 0, false, ""
	for _, p := range lines {
		// A text of several lines of PowerShell runs nothing.
		if trimmed := strings.TrimSpace(p.text); here != "" {
			if strings.HasPrefix(trimmed, here) {
				here = ""
				p.text = strings.TrimSpace(trimmed[2:])
			} else {
				p.quoted = true
			}
		} else if opens := strings.TrimSpace(trimmed); !block && (strings.HasSuffix(opens, `@"`) || strings.HasSuffix(opens, "@'")) && !comment().MatchString(p.text) {
			here = opens[len(opens)-1:] + "@"
			p.text = strings.TrimSuffix(strings.TrimSuffix(p.text, `@"`), "@'")
			s.pieces = append(s.pieces, p)
			depth += nesting(p.text)
			continue
		}
		if p.quoted {
			s.pieces = append(s.pieces, p)
			continue
		}
		if trimmed := strings.TrimSpace(p.text); block || strings.HasPrefix(trimmed, "<#") {
			// A comment of PowerShell of several lines.
			block = !strings.Contains(trimmed, "#>")
			all = append(all, statement{pieces: []piece{p}, role: talk})
			continue
		}
		if len(s.pieces) == 0 && len(all) > 0 && (continues(p.text) || opens(all[len(all)-1], p.text)) {
			s, all = all[len(all)-1], all[:len(all)-1]
		}
		s.pieces = append(s.pieces, p)
		if !comment().MatchString(p.text) {
			depth += nesting(p.text)
		}
		if trimmed := strings.TrimSpace(p.text); depth > 0 || strings.HasSuffix(trimmed, "`") || strings.HasSuffix(trimmed, "^") {
			continue
		}
		depth = 0
		all, s = append(all, judged(s)), statement{}
	}
	if len(s.pieces) > 0 {
		all = append(all, judged(s))
	}
	settle(all)
	return all
}

// continues tells whether a line goes on with the statement before it.
func continues(line string) bool {
	word := strings.ToLower(strings.TrimLeft(line, " \t})"))
	return strings.HasPrefix(word, "else") || strings.HasPrefix(word, "catch") || strings.HasPrefix(word, "finally")
}

// opens tells whether a line is the block, on a line of its own, of a statement that has none.
func opens(s statement, line string) bool {
	last := strings.TrimSpace(s.pieces[len(s.pieces)-1].text)
	return strings.HasPrefix(strings.TrimSpace(line), "{") && blocks().MatchString(s.pieces[0].text) && !strings.HasSuffix(last, "}")
}

// nesting is how many braces a line opens and does not close. Those in quotes do not
// count.
func nesting(line string) (n int) {
	quote := rune(0)
	for _, r := range line {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '\'' || r == '"':
			quote = r
		case r == '{' || r == '(':
			n++
		case r == '}' || r == ')':
			n--
		}
	}
	return n
}

func judged(s statement) statement {
	text := ""
	for _, p := range s.pieces {
		if !p.quoted && !comment().MatchString(p.text) {
			text += p.text + "\n"
		}
	}
	assigned := assigns().FindStringSubmatch(text)
	switch {
	case strings.TrimSpace(text) == "" || strings.Trim(text, " \t\r\n){}") == "":
		s.role = talk
	case isCall(text):
		s.role = call
	case unattends().MatchString(strings.ReplaceAll(text, "\n", " ")):
		s.role = stale
	case states().MatchString(text) || pause().MatchString(text):
		s.role = wait
	case azure().MatchString(text) && !notWait().MatchString(text):
		s.role = agents
	case (says().MatchString(text) || folder().MatchString(strings.TrimSuffix(text, "\n"))) && strings.Count(text, "\n") == 1:
		s.role = talk
	case assigned != nil:
		s.role, s.variable = setting, assigned[1]
	}
	return s
}

func isCall(text string) bool {
	if ec2v2().MatchString(text) || ec2v1().MatchString(text) || gce().MatchString(text) {
		return true
	}
	for line := range strings.SplitSeq(text, "\n") {
		if sysprep().MatchString(line+" ") && switches().MatchString(line) && !says().MatchString(line) {
			return true
		}
	}
	return sysprep().MatchString(text) && switches().MatchString(text) && strings.Contains(text, "`\n")
}

// besides are the commands which change something in statements that go, and which neither
// run sysprep nor wait for it, and the line of the first.
func besides(all []statement) (names []string, line int) {
	for _, s := range all {
		if s.role != call && s.role != wait && s.role != stale && s.role != agents {
			continue
		}
		for _, p := range s.pieces {
			if comment().MatchString(p.text) {
				continue
			}
			for _, name := range changes().FindAllString(p.text, -1) {
				if ordinary().MatchString(name) || s.role == stale && strings.EqualFold(name, "Remove-Item") || slices.Contains(names, name) {
					continue
				}
				if names = append(names, name); line == 0 {
					line = p.line
				}
			}
		}
	}
	return names, line
}

// settle gives the roles that depend on what stands around: a variable that only sysprep's
// statements use goes with them, any other is the person's own; a pause and a power-off
// count only after sysprep, and the schedule of EC2Launch only before it.
func settle(all []statement) {
	called := slices.ContainsFunc(all, func(s statement) bool { return s.role == call })
	after := false
	for i := range all {
		s := &all[i]
		after = after || s.role == call
		if s.role == wait && pause().MatchString(s.text()) && !states().MatchString(s.text()) && !after {
			s.role = other
		}
		if s.role == other && after && powerOff().MatchString(s.text()) {
			s.role = off
		}
		if s.role == other && ec2set().MatchString(s.text()) && slices.ContainsFunc(all, func(c statement) bool { return ec2v1().MatchString(c.text()) }) {
			s.role = prepare
		}
	}
	for i := range all {
		// An answer file that is removed by a variable.
		for _, s := range all {
			if all[i].role == other && removes().MatchString(all[i].text()) && s.role == setting && unattend().MatchString(s.text()) && uses(all[i], s.variable) {
				all[i].role = stale
			}
		}
	}
	for i := range all {
		if all[i].role != setting {
			continue
		}
		for j, s := range all {
			if j != i && (s.role == other || s.role == setting && !called) && uses(s, all[i].variable) || !called {
				all[i].role = other
			}
		}
	}
}

// uses tells whether a statement names a variable of PowerShell.
func uses(s statement, variable string) bool {
	return regexp.MustCompile(`(?i)\$\{?` + variable + `\b`).MatchString(s.text())
}
