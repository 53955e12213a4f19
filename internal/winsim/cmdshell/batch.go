package cmdshell

import (
	"context"
	"fmt"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/winfs"
)

// batch is a running batch file.
type batch struct {
	path  string   // full
	args  []string // %0 to %9
	rest  string   // %*
	lines []string
	next  int
	jump  string // label GOTO asked for
}

// argument expands what follows a percent sign in a batch file: another one,
// a digit, * or ~ with its letters. n is how many characters it took.
func (b *batch) argument(s string) (text string, n int, err error) {
	if s == "" {
		return "", 0, nil
	}
	switch c := s[0]; {
	case c == '%':
		return "%", 1, nil
	case c == '*':
		return b.rest, 1, nil
	case isDigit(c):
		return b.arg(int(c - '0')), 1, nil
	case c == '~':
		i := 1
		for i < len(s) && strings.IndexByte("fdpnxFDPNX", s[i]) >= 0 {
			i++
		}
		if i >= len(s) || !isDigit(s[i]) {
			return "", 0, fmt.Errorf("%w: %%%s", ErrUnsupported, s)
		}
		return modify(b.arg(int(s[i]-'0')), b.path, strings.ToLower(s[1:i]), s[i] == '0'), i + 1, nil
	}
	return "", 0, nil
}

func (b *batch) arg(n int) string {
	if n < len(b.args) {
		return b.args[n]
	}
	return ""
}

// modify is %~dp0 and the like.
func modify(arg, self, letters string, isSelf bool) string {
	arg = strings.Trim(arg, `"`)
	if letters == "" {
		return arg
	}
	full := self
	if !isSelf {
		var err error
		if full, err = winfs.Clean(arg, parent(self)); err != nil {
			return ""
		}
	}
	if letters == "f" {
		return full
	}
	dir, name := parent(full), full[strings.LastIndexByte(full, '\\')+1:]
	ext := ""
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		name, ext = name[:i], name[i:]
	}
	var out string
	if strings.Contains(letters, "d") {
		out += full[:2]
	}
	if strings.Contains(letters, "p") {
		out += strings.TrimSuffix(dir[2:], `\`) + `\`
	}
	if strings.Contains(letters, "n") {
		out += name
	}
	if strings.Contains(letters, "x") {
		out += ext
	}
	return out
}

func parent(full string) string {
	i := strings.LastIndexByte(full, '\\')
	if i <= 2 {
		return full[:2] + `\`
	}
	return full[:i]
}

func (s *Shell) jumping() bool { return s.batch != nil && s.batch.jump != "" }

// runBatch runs a batch file in this shell. Without CALL it would replace the
// batch file that names it; nobody here needs what comes after.
func (s *Shell) runBatch(ctx context.Context, full, name, rest string) int {
	content, err := s.Drive.ReadFile(full)
	if err != nil {
		s.fail("%s", message(err))
		return s.set(1)
	}
	if s.depth++; s.depth > 20 {
		s.fail("****** B A T C H   R E C U R S I O N  exceeds STACK limits ******")
		return s.set(1)
	}
	outer, quiet := s.batch, s.quiet
	rest = strings.TrimSpace(rest)
	s.batch = &batch{
		path: full, args: append([]string{name}, splitBatchArgs(rest)...), rest: rest,
		lines: strings.Split(strings.ReplaceAll(string(content), "\r\n", "\n"), "\n"),
	}
	defer func() {
		s.batch = outer
		s.depth--
		if outer == nil {
			s.quiet = quiet
		}
	}()
	return s.loop(ctx)
}

func (s *Shell) loop(ctx context.Context) int {
	b := s.batch
	code := s.errorLevel
	for b.next < len(b.lines) && !s.exit && ctx.Err() == nil {
		line := b.lines[b.next]
		b.next++
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || strings.HasPrefix(trimmed, ":") {
			continue
		}
		// An open parenthesis takes the following lines in.
		for open(line) && b.next < len(b.lines) {
			line += "& " + strings.TrimSpace(b.lines[b.next])
			b.next++
		}
		code = s.line(ctx, joinGroups(line))
		if b.jump != "" {
			label := b.jump
			b.jump = ""
			if strings.EqualFold(label, ":eof") {
				break
			}
			if !b.seek(label) {
				s.fail("The system cannot find the batch label specified - %s", label)
				return s.set(1)
			}
		}
	}
	return code
}

func (b *batch) seek(label string) bool {
	for i, line := range b.lines {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, ":"); ok {
			if name, _, _ := strings.Cut(strings.TrimSpace(rest), " "); strings.EqualFold(name, label) {
				b.next = i + 1
				return true
			}
		}
	}
	return false
}

// open reports whether a line has more opening than closing parentheses
// outside quotes. Only lines that begin a group ask.
func open(line string) bool {
	depth, quoted := 0, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '^':
			i++
		case c == '(' && (strings.TrimSpace(line[:i]) == "" || strings.IndexByte(" \t&|(", line[i-1]) >= 0):
			depth++
		case c == ')' && depth > 0:
			depth--
		}
	}
	return depth > 0
}

// joinGroups mends what joining lines by & broke.
func joinGroups(line string) string {
	for _, r := range [][2]string{{"(& ", "("}, {"& )", ")"}} {
		line = strings.ReplaceAll(line, r[0], r[1])
	}
	return line
}

func splitBatchArgs(s string) []string {
	var args []string
	var b strings.Builder
	quoted := false
	flush := func() {
		if b.Len() > 0 {
			args = append(args, b.String())
		}
		b.Reset()
	}
	for _, c := range s {
		if c == '"' {
			quoted = !quoted
		}
		if !quoted && strings.ContainsRune(" \t,;=", c) {
			flush()
			continue
		}
		b.WriteRune(c)
	}
	flush()
	return args
}
