package cmdshell

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

type builtin func(s *Shell, ctx context.Context, args string) int

var builtins map[string]builtin

func init() {
	builtins = map[string]builtin{
		"echo": (*Shell).echo, "set": (*Shell).setVar, "type": (*Shell).typeFile, "del": (*Shell).del, "erase": (*Shell).del,
		"exit": (*Shell).exitCmd, "call": (*Shell).call, "cd": (*Shell).cd, "chdir": (*Shell).cd, "md": (*Shell).md, "mkdir": (*Shell).md,
		"rd": (*Shell).rd, "rmdir": (*Shell).rd, "copy": (*Shell).copy, "move": (*Shell).move, "ren": (*Shell).ren, "dir": (*Shell).dir,
		"goto": (*Shell).gotoLabel, "start": (*Shell).start, "ver": (*Shell).ver,
		"rem":      func(*Shell, context.Context, string) int { return 0 },
		"setlocal": (*Shell).nothing, "endlocal": (*Shell).nothing, "title": func(*Shell, context.Context, string) int { return 0 },
	}
}

func (s *Shell) nothing(_ context.Context, args string) int {
	if strings.TrimSpace(args) != "" {
		return s.unsupported("setlocal" + args)
	}
	return 0
}

func (s *Shell) unsupported(what string) int {
	s.Host.Refuse("cmd: %s", strings.TrimSpace(what))
	s.fail("simulator: %v: %s", ErrUnsupported, strings.TrimSpace(what))
	return s.set(1)
}

// command runs one command without redirections.
func (s *Shell) command(ctx context.Context, text string) int {
	text = strings.TrimLeft(text, " \t,;=")
	if text == "" {
		return 0
	}
	name, args := cutName(text)
	if b, ok := builtins[strings.ToLower(name)]; ok && !strings.HasPrefix(text, `"`) {
		return b(s, ctx, args)
	}
	if len(name) == 2 && name[1] == ':' {
		return s.toDrive(name)
	}
	return s.external(ctx, strings.ReplaceAll(name, `"`, ""), args, false)
}

// toDrive is a drive as a command. The only one there is is the current one.
func (s *Shell) toDrive(name string) int {
	if _, err := s.full(name); err != nil {
		s.fail("%s", message(err))
		return s.set(1)
	}
	return 0
}

// cutName splits the command from its arguments. A command of the shell ends
// at any delimiter (echo.x, cd\), a program's name at a blank.
func cutName(text string) (name, args string) {
	if i := strings.IndexAny(text, " \t,;=.:/\\+[]("); i > 0 {
		if _, ok := builtins[strings.ToLower(text[:i])]; ok {
			return text[:i], text[i:]
		}
	}
	quoted := false
	for i := range len(text) {
		c := text[i]
		if c == '"' {
			quoted = !quoted
		}
		if !quoted && (strings.IndexByte(" \t,;=", c) >= 0 || (c == '/' && i > 0 && !strings.Contains(text[:i], ":") && !strings.Contains(text[:i], "/") && !strings.HasPrefix(text, "."))) {
			return text[:i], text[i:]
		}
	}
	return text, ""
}

func (s *Shell) external(ctx context.Context, name, args string, detached bool) int {
	if full, ok := s.batchFile(name); ok {
		return s.runBatch(ctx, full, name, args)
	}
	c := &Call{Name: name, Args: strings.TrimLeft(args, " \t"), Dir: s.Dir, Env: maps.Clone(s.Env), Stdin: s.Stdin, Stdout: s.Stdout, Stderr: s.Stderr, Detached: detached, Console: s.Console}
	code, found := s.Host.Exec(ctx, c)
	if found {
		return s.set(code)
	}
	s.Host.Refuse("cmd: no such program: %s %s", name, args)
	if strings.ContainsAny(name, `\/`) {
		s.fail("The system cannot find the path specified.")
		return s.set(1)
	}
	s.fail("'%s' is not recognized as an internal or external command,\r\noperable program or batch file.", name)
	// The number is cmd's own error level; as its exit code cmd /C gives 1.
	s.errorLevel = 9009
	return 1
}

// batchFile finds a batch file by its name, with or without extension.
func (s *Shell) batchFile(name string) (string, bool) {
	for _, ext := range []string{"", ".bat", ".cmd"} {
		lower := strings.ToLower(name + ext)
		if !strings.HasSuffix(lower, ".bat") && !strings.HasSuffix(lower, ".cmd") {
			continue
		}
		if full, err := s.full(name + ext); err == nil && s.Drive.IsFile(full) {
			return full, true
		}
	}
	return "", false
}

func (s *Shell) echo(_ context.Context, args string) int {
	trimmed := strings.TrimSpace(args)
	switch {
	case strings.EqualFold(trimmed, "off"):
		s.quiet = true
	case strings.EqualFold(trimmed, "on"):
		s.quiet = false
	case trimmed == "":
		state := "on"
		if s.quiet {
			state = "off"
		}
		fmt.Fprintf(s.Stdout, "ECHO is %s.\r\n", state)
	case trimmed == "/?":
		return s.unsupported("echo /?")
	default:
		fmt.Fprint(s.Stdout, args[1:]+"\r\n")
	}
	return 0
}

func (s *Shell) setVar(_ context.Context, args string) int {
	text := strings.TrimLeft(args, " \t")
	if strings.HasPrefix(text, "/") {
		return s.unsupported("set " + text)
	}
	if strings.HasPrefix(text, `"`) {
		text = text[1:]
		if i := strings.LastIndexByte(text, '"'); i >= 0 {
			text = text[:i]
		}
	}
	name, value, assigned := strings.Cut(text, "=")
	if assigned {
		if name == "" {
			s.fail("The syntax of the command is incorrect.")
			return s.set(1)
		}
		s.Env.Set(name, value)
		return 0
	}
	name = strings.TrimSpace(strings.ToUpper(name))
	found := false
	for _, id := range slices.Sorted(maps.Keys(s.Env)) {
		if strings.HasPrefix(id, name) {
			found = true
			fmt.Fprintf(s.Stdout, "%s=%s\r\n", s.Env[id].Name, s.Env[id].Value)
		}
	}
	if !found {
		s.fail("Environment variable %s not defined", strings.TrimSpace(text))
		return s.set(1)
	}
	return 0
}

// operands splits arguments into switches (lower case) and names.
func operands(args string) (switches, names []string) {
	for _, a := range splitBatchArgs(args) {
		if strings.HasPrefix(a, "/") && len(a) > 1 {
			for sw := range strings.SplitSeq(a[1:], "/") {
				switches = append(switches, "/"+strings.ToLower(sw))
			}
			continue
		}
		names = append(names, strings.ReplaceAll(a, `"`, ""))
	}
	return switches, names
}

// only checks switches against the ones a command has here.
func (s *Shell) only(command string, switches []string, known ...string) bool {
	for _, sw := range switches {
		if !slices.Contains(known, sw) {
			s.unsupported(command + " " + sw)
			return false
		}
	}
	return true
}

func (s *Shell) exitCmd(_ context.Context, args string) int {
	fields := strings.Fields(args)
	inBatch := len(fields) > 0 && strings.EqualFold(fields[0], "/b")
	if inBatch {
		fields = fields[1:]
	}
	code := s.errorLevel
	if len(fields) > 0 {
		n, err := strconv.Atoi(fields[0])
		if err != nil {
			return s.unsupported("exit " + fields[0])
		}
		code = n
	}
	if inBatch && s.batch != nil {
		s.batch.jump = ":eof"
	} else {
		s.exit = true
	}
	return s.set(code)
}

func (s *Shell) gotoLabel(_ context.Context, args string) int {
	if s.batch == nil {
		return 0
	}
	label := strings.TrimSpace(args)
	if !strings.EqualFold(label, ":eof") {
		label = strings.TrimPrefix(label, ":")
	}
	s.batch.jump = label
	return 0
}

func (s *Shell) call(ctx context.Context, args string) int {
	text := strings.TrimLeft(args, " \t")
	if strings.HasPrefix(text, ":") {
		return s.unsupported("call " + text)
	}
	expanded, err := s.expand(text) // a second time, as CALL does
	if err != nil {
		return s.unsupported("call " + text)
	}
	return s.command(ctx, expanded)
}

// start knows START "title" [/B] program arguments.
func (s *Shell) start(ctx context.Context, args string) int {
	text := strings.TrimLeft(args, " \t")
	if !strings.HasPrefix(text, `"`) {
		return s.unsupported("start without a title: " + text)
	}
	_, text, _ = strings.Cut(text[1:], `"`)
	text = strings.TrimLeft(text, " \t")
	if len(text) > 2 && strings.EqualFold(text[:2], "/b") {
		text = strings.TrimLeft(text[2:], " \t")
	}
	if strings.HasPrefix(text, "/") || text == "" {
		return s.unsupported("start " + text)
	}
	name, rest := cutName(text)
	return s.external(ctx, strings.ReplaceAll(name, `"`, ""), rest, true)
}

func (s *Shell) ver(_ context.Context, _ string) int {
	fmt.Fprintf(s.Stdout, "\r\nMicrosoft Windows [Version %s]\r\n", s.Version)
	return s.set(0)
}
