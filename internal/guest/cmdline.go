package guest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// A line is made of commands. What it has to say it says by marks, each at the
// end of an output line: a banner, escape codes or an AutoRun may come before it,
// and nothing in it depends on the guest's language or code page.

const (
	// mostLine is less than what cmd.exe takes, 8191 characters, by what it may
	// put before a line.
	mostLine = 8100
	// maxAnswer is more than any answer in marks holds, in bytes.
	maxAnswer = 256 << 10
	marker    = "packer-part:"
	quiet     = ">nul 2>nul"
)

// command is a piece of a cmd.exe line, or why it cannot be one.
type command struct {
	text string
	err  error
}

// none: there is nothing to run.
func (c command) none() bool { return c.text == "" && c.err == nil }

// variables are those that may begin a path.
var variables = []string{`%windir%\`, `%SystemDrive%\`, `%D\`}

// quoted puts a text between quotes, where nothing but a quote and a percent
// sign means anything to cmd.exe; a backslash at the end would take the quote
// away from the program.
func quoted(text string) (string, error) {
	rest := text
	for _, v := range variables {
		if behind, ok := strings.CutPrefix(text, v); ok {
			rest = behind
		}
	}
	if text == "" || strings.ContainsAny(rest, `"%`) || strings.HasSuffix(text, `\`) || strings.ContainsFunc(rest, func(r rune) bool { return r < ' ' }) {
		return "", fmt.Errorf("%q cannot be passed to cmd.exe", text)
	}
	return `"` + text + `"`, nil
}

// call is a constant text in which each ? stands for an argument, in quotes.
func call(text string, arguments ...string) command {
	var c command
	for _, argument := range arguments {
		q, err := quoted(argument)
		if err != nil {
			return command{err: err}
		}
		before, after, _ := strings.Cut(text, "?")
		c.text, text = c.text+before+q, after
	}
	c.text += text
	return c
}

// echo says a mark. The caret is not in what cmd.exe says, so a guest that shows
// the line itself, as an AutoRun of "echo %cmdcmdline%" does, is not taken for
// one that ran it.
func echo(mark string) command {
	return command{text: "echo " + strings.Replace(marker, "-", "-^", 1) + mark}
}

// all runs commands one after the other, whatever comes of each.
func all(commands ...command) command { return joined("& ", commands...) }

// then runs another command if this one worked.
func (c command) then(next command) command { return joined("&& ", c, next) }

// otherwise runs another command if the last one did not work.
func (c command) otherwise(next command) command { return joined("|| ", c, next) }

// group keeps a command together.
func (c command) group() command {
	if c.err == nil {
		c.text = "(" + c.text + ")"
	}
	return c
}

func joined(by string, commands ...command) command {
	var texts []string
	for _, c := range commands {
		if c.err != nil {
			return c
		}
		if !c.none() {
			texts = append(texts, c.text)
		}
	}
	return command{text: strings.Join(texts, by)}
}

// conditional runs the first branch if a test of a path holds, and the second, if
// any, if not.
func conditional(test, path string, branches ...command) command {
	for i, c := range branches {
		branches[i] = c.group()
	}
	return joined(" ", call(test, path), joined(" else ", branches...)).group()
}

// when runs commands if a file or folder is there.
func when(path string, commands ...command) command {
	return conditional("if exist ?", path, all(commands...))
}

// unless runs a command if a file or folder is not there.
func unless(path string, c command) command { return conditional("if not exist ?", path, c) }

// either runs one command if a file or folder is there, and another if not.
func either(path string, there, absent command) command {
	return conditional("if exist ?", path, there, absent)
}

// tell says by a mark whether a file or folder is there.
func tell(name, path string) command { return either(path, echo(name+"=yes"), echo(name+"=no")) }

// fits says why a command cannot be a line.
func (c command) fits() error {
	switch {
	case c.err != nil:
		return fmt.Errorf("%w: %w", ErrNotSent, c.err)
	case len(c.text) > mostLine:
		return fmt.Errorf("%w: %d characters do not fit on a command line", ErrNotSent, len(c.text))
	}
	return nil
}

// run runs a command and returns what it said, within the limit.
func (s *Session) run(ctx context.Context, c command, r Request, limit time.Duration) (stdout, stderr sink, err error) {
	if err := c.fits(); err != nil {
		return stdout, stderr, err
	}
	ctx, cancel := s.within(ctx, limit)
	defer cancel()
	r.Line, r.Stdout, r.Stderr = c.text, &stdout, &stderr
	err = s.transport.Run(ctx, r)
	return stdout, stderr, err
}

// ask runs a command and reads its answer, to the end.
func (s *Session) ask(ctx context.Context, c command, limit time.Duration) (answer, error) {
	return s.asked(ctx, c, Request{}, limit)
}

func (s *Session) asked(ctx context.Context, c command, r Request, limit time.Duration) (answer, error) {
	stdout, stderr, err := s.run(ctx, all(c, echo("end")), r, limit)
	if err != nil {
		return answer{}, err
	}
	return wholeAnswer(string(stdout.kept), string(stderr.kept))
}

// done runs a command and finds out whether the last one of it worked.
func (s *Session) done(ctx context.Context, doing string, c command) error {
	a, err := s.ask(ctx, c.then(echo("done")), CommandLimit)
	if err == nil && !a.has("done") {
		err = a.unreadable()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// answer is what a line has said: the lines behind each mark, and the values of
// the marks that have one.
type answer struct {
	parts  map[string][]string
	values map[string][]string
	text   string // all of it, for a person
	stderr string // what its programs complain of
}

// markLine is an output line with a mark. What comes before that is not ours.
var markLine = lazyregexp.New(`packer-part:([a-z]{1,20}(?:-[a-z]{1,20})?)(?:=([a-z0-9:]{1,20}))?[ \r]*$`)

// readAnswer finds the marks in what was said so far.
func readAnswer(text string) answer {
	a := answer{parts: map[string][]string{}, values: map[string][]string{}, text: text}
	if len(text) > maxAnswer {
		return a
	}
	name := ""
	for _, line := range strings.Split(strings.ReplaceAll(text, "\x00", ""), "\n") {
		if m := markLine.FindStringSubmatch(line); m != nil {
			if name = m[1]; m[2] != "" {
				a.values[name] = append(a.values[name], m[2])
			}
			a.parts[name] = nil
			continue
		}
		if line = strings.TrimRight(line, "\r "); line != "" {
			a.parts[name] = append(a.parts[name], line)
		}
	}
	return a
}

// wholeAnswer is readAnswer of an answer that must not be cut off.
func wholeAnswer(stdout, stderr string) (answer, error) {
	a := readAnswer(stdout)
	a.stderr = stderr
	if a.text += " " + stderr; !a.has("end") {
		return a, a.unreadable()
	}
	return a, nil
}

func (a answer) unreadable() error { return fmt.Errorf("%w: %q", ErrUnreadable, short(a.text)) }

// has says whether a mark was said.
func (a answer) has(mark string) bool {
	_, ok := a.parts[mark]
	return ok
}

// yes is what tell has said; nil: nothing, or not just one thing.
func (a answer) yes(name string) *bool {
	values := a.values[name]
	if len(values) != 1 || values[0] != "yes" && values[0] != "no" {
		return nil
	}
	yes := values[0] == "yes"
	return &yes
}

// numbers are the values of a mark, each below limit and said once.
func (a answer) numbers(name string, limit int) ([]int, error) {
	var numbers []int
	for _, v := range a.values[name] {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 || n >= limit || slices.Contains(numbers, n) {
			return nil, fmt.Errorf("%w: %s %q", ErrUnreadable, name, v)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

// behind is the text behind the line of a mark, as it came.
func behind(out []byte, mark string) (text []byte, found bool) {
	_, text, found = bytes.Cut(out, []byte(marker+mark))
	_, text, _ = bytes.Cut(text, []byte("\n"))
	return text, found
}
