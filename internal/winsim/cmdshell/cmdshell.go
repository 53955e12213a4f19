// Package cmdshell is a small, strict cmd.exe: what it understands it does as
// Windows does, what it does not it reports as unsupported instead of
// guessing. Left out on purpose: FOR but for FOR /D, SET /A and /P, variable modifiers,
// delayed expansion.
package cmdshell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strconv"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/console"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/winfs"
)

// MaxLine is the longest command line of cmd.exe in characters, after
// expansion too (Microsoft KB 830473).
const MaxLine = 8191

// prefix is what a command line of WinRM has in front.
const prefix = `C:\Windows\system32\cmd.exe /C `

// ErrUnsupported marks what the real cmd.exe can do and this one cannot.
var ErrUnsupported = errors.New("the simulated cmd.exe does not know this")

// Call is one running program, as CreateProcess would start it.
type Call struct {
	Name           string // program as typed, without quotes
	Args           string // everything after it, as typed
	Dir            string
	Env            Env
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Detached       bool // by START: nobody waits
	Console        console.Console
}

// Argv splits the arguments as the C run-time library does.
func (c *Call) Argv() []string { return SplitArgs(c.Args) }

// Host runs programs for the shell.
type Host interface {
	// Exec runs a program found by its name; found is false when there is none.
	Exec(ctx context.Context, c *Call) (code int, found bool)
	// Refuse records something the shell does not know.
	Refuse(format string, args ...any)
}

// Creator may be implemented by a Host: Creates says whether a program that is
// started now runs.
type Creator interface{ Creates() bool }

// NotStarted is the exit code of a program that Windows does not let start
// because it shuts down (0xC0000142).
const NotStarted = -1073741502

// Shell is one cmd.exe.
type Shell struct {
	Drive          winfs.Drive
	Host           Host
	Dir            string // current folder
	Env            Env
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Console        console.Console
	Version        string // as VER prints it

	errorLevel int
	quiet      bool // ECHO OFF
	batch      *batch
	exit       bool
	depth      int
}

// Run does what cmd.exe /C does with a line and returns the exit code.
func (s *Shell) Run(ctx context.Context, line string) int {
	if len([]rune(line)) > MaxLine-len(prefix) {
		s.fail("The command line is too long.")
		return 1
	}
	return s.line(ctx, line)
}

// fail writes a message to stderr.
func (s *Shell) fail(format string, args ...any) {
	fmt.Fprint(s.Stderr, s.Console.Text(format, args...)+"\r\n")
}

func (s *Shell) line(ctx context.Context, line string) int {
	expanded, err := s.expand(line)
	var n node
	if err == nil && len([]rune(expanded)) > MaxLine {
		s.fail("The command line is too long.")
		return s.set(1)
	}
	if err == nil {
		n, err = parse(expanded)
	}
	if err != nil {
		if errors.Is(err, ErrUnsupported) {
			s.Host.Refuse("cmd: %v: %s", err, line)
			s.fail("simulator: %v", err)
		} else {
			var what string
			if _, rest, ok := strings.Cut(err.Error(), ": "); ok {
				what = strings.ToUpper(rest[:1]) + rest[1:]
			} else {
				what = "The syntax of the command is incorrect"
			}
			s.fail("%s.", what)
		}
		s.exit = s.batch != nil // a syntax error ends the batch file
		return s.set(1)
	}
	if s.batch != nil && !s.quiet {
		if first, ok := n.(*simple); !ok || !first.silent {
			fmt.Fprintf(s.Stdout, "\r\n%s>%s \r\n", s.Dir, strings.TrimRight(expanded, " "))
		}
	}
	return s.run(ctx, n)
}

// set notes the error level and returns it.
func (s *Shell) set(code int) int {
	s.errorLevel = code
	return code
}

func (s *Shell) run(ctx context.Context, n node) int {
	if ctx.Err() != nil {
		s.exit = true
		return 1
	}
	switch n := n.(type) {
	case *chain:
		return s.chain(ctx, n)
	case *group:
		return s.redirected(n.redirs, func(s *Shell) int { return s.run(ctx, n.body) })
	case *conditional:
		ok, err := s.test(n)
		if err != nil {
			s.Host.Refuse("cmd: if: %v", err)
			s.fail("simulator: %v", err)
			return s.set(1)
		}
		if ok != n.not {
			return s.run(ctx, n.then)
		}
		if n.otherwise != nil {
			return s.run(ctx, n.otherwise)
		}
		return 0
	case *loop:
		return s.forLoop(ctx, n)
	case *simple:
		return s.redirected(n.redirs, func(s *Shell) int { return s.command(ctx, n.text) })
	}
	return 0
}

func (s *Shell) chain(ctx context.Context, n *chain) int {
	if n.op == "|" {
		if h, ok := s.Host.(Creator); ok && !h.Creates() { // each side is a cmd.exe of its own
			return s.set(NotStarted)
		}
		var between strings.Builder
		left, right := s.child(), s.child()
		left.Stdout = &between
		left.run(ctx, n.left)
		right.Stdin = strings.NewReader(between.String())
		return s.set(right.run(ctx, n.right))
	}
	code := s.run(ctx, n.left)
	if s.exit || s.jumping() {
		return code
	}
	switch {
	case n.op == "&&" && code != 0:
		return code
	case n.op == "||" && code == 0:
		return code
	case n.op == "||":
		s.errorLevel = code
	}
	return s.run(ctx, n.right)
}

// child is a shell of its own, as each side of a pipe has one.
func (s *Shell) child() *Shell {
	c := *s
	c.Env = maps.Clone(s.Env)
	return &c
}

// redirected runs f with other handles and puts them back.
func (s *Shell) redirected(redirs []redir, f func(*Shell) int) int {
	if len(redirs) == 0 {
		return f(s)
	}
	in, out, err := s.Stdin, s.Stdout, s.Stderr
	var open []*os.File
	defer func() {
		s.Stdin, s.Stdout, s.Stderr = in, out, err
		for _, file := range open {
			file.Close()
		}
	}()
	for _, r := range redirs {
		if r.mode == "&" {
			switch {
			case r.handle == 1 && r.toHandle == 2:
				s.Stdout = s.Stderr
			case r.handle == 2 && r.toHandle == 1:
				s.Stderr = s.Stdout
			}
			continue
		}
		file, problem := s.open(r)
		if problem != nil {
			s.fail("%s", message(problem))
			return s.set(1)
		}
		if file == nil { // nul
			switch r.handle {
			case 0:
				s.Stdin = strings.NewReader("")
			case 1:
				s.Stdout = io.Discard
			case 2:
				s.Stderr = io.Discard
			}
			continue
		}
		open = append(open, file)
		switch r.handle {
		case 0:
			s.Stdin = file
		case 1:
			s.Stdout = file
		case 2:
			s.Stderr = file
		}
	}
	return f(s)
}

func (s *Shell) open(r redir) (*os.File, error) {
	if isNul(r.target) {
		return nil, nil
	}
	host, err := s.path(r.target)
	if err != nil {
		return nil, err
	}
	switch r.mode {
	case "<":
		return os.Open(host)
	case ">>":
		return os.OpenFile(host, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	}
	return os.Create(host)
}

func isNul(name string) bool {
	return strings.EqualFold(strings.TrimSuffix(strings.TrimPrefix(name, `\\.\`), ":"), "nul")
}

func (s *Shell) full(name string) (string, error) { return winfs.Clean(name, s.Dir) }

func (s *Shell) path(name string) (string, error) {
	full, err := s.full(name)
	if err != nil {
		return "", err
	}
	return s.Drive.Path(full)
}

// message is what cmd.exe says about a failed file access.
func message(err error) string {
	switch {
	case errors.Is(err, winfs.ErrInUse):
		return winfs.ErrInUse.Error()
	case errors.Is(err, winfs.ErrNoDrive):
		return winfs.ErrNoDrive.Error()
	case errors.Is(err, os.ErrInvalid):
		return "The filename, directory name, or volume label syntax is incorrect."
	case errors.Is(err, os.ErrPermission):
		return "Access is denied."
	case errors.Is(err, os.ErrNotExist):
		return "The system cannot find the path specified."
	}
	return "Access is denied."
}

// missing is what cmd.exe says where a name leads to nothing: text, or that
// there is no such drive.
func missing(err error, text string) string {
	if errors.Is(err, winfs.ErrNoDrive) {
		return message(err)
	}
	return text
}

func (s *Shell) test(c *conditional) (bool, error) {
	t := c.test
	switch t[0] {
	case "exist":
		name := strings.ReplaceAll(t[1], `"`, "")
		if strings.ContainsAny(name, "*?") {
			list, err := s.glob(name)
			if folder, all := strings.CutSuffix(name, `\*`); err == nil && all && !strings.HasSuffix(folder, ":") {
				return true, nil // every folder but a root has "." and ".."
			}
			return err == nil && len(list) > 0, nil
		}
		full, err := s.full(name)
		if err == nil {
			_, err = s.Drive.Stat(full)
		}
		return err == nil, nil
	case "defined":
		_, ok := s.variable(t[1])
		return ok, nil
	case "errorlevel":
		n, err := strconv.Atoi(t[1])
		if err != nil {
			return false, fmt.Errorf("errorlevel %q", t[1])
		}
		return s.errorLevel >= n, nil
	}
	a, b := t[1], t[2]
	if c.ignoreCase {
		a, b = strings.ToLower(a), strings.ToLower(b)
	}
	if t[0] == "==" {
		return a == b, nil
	}
	order := strings.Compare(a, b)
	if x, err := strconv.Atoi(a); err == nil {
		if y, err := strconv.Atoi(b); err == nil {
			order = x - y
		}
	}
	switch t[0] {
	case "equ":
		return order == 0, nil
	case "neq":
		return order != 0, nil
	case "lss":
		return order < 0, nil
	case "leq":
		return order <= 0, nil
	case "gtr":
		return order > 0, nil
	}
	return order >= 0, nil
}
