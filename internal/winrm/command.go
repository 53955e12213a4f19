package winrm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf16"
)

// Command is what is run in a shell.
type Command struct {
	// Line is run by cmd.exe /C, or is a program with SkipCmdShell; Args follow it,
	// each after a blank. Nothing is quoted.
	Line string
	Args []string
	// SkipCmdShell starts the program without cmd.exe (WINRS_SKIP_CMD_SHELL): up
	// to 32,767 characters in place of cmd.exe's 8,191, and no redirections.
	SkipCmdShell bool
	// Stdin is sent as it is read, a request for what one Read gives: large reads
	// make few requests. It is read until it or the command ends; a Read that
	// blocks is not waited for when the command ends. nil: nothing is sent, and
	// the program's input stays open.
	Stdin io.Reader
	// ConsoleStdin lets the program see a console in place of a pipe
	// (WINRS_CONSOLEMODE_STDIN). It is so for commands without Stdin.
	ConsoleStdin bool
	// Stdout and Stderr take the output as it comes, from the goroutine that runs
	// the command; nil: it is dropped. A write that fails ends the command, and one
	// that does not return holds it up, whatever its context says.
	Stdout, Stderr io.Writer
	// Gather is how long more output is waited for before it is asked for: what
	// comes in many pieces then takes few requests.
	Gather time.Duration
	// Poll is in place of Limits.Poll, when not 0.
	Poll time.Duration
	// Dependent: it is of no use without its caller, and may be in the way of what
	// is tried next. Where it could not be ended, because the guest did not answer,
	// it is ended before the next command in its shell.
	Dependent bool
	// Started is called once the service runs the command; nil: nobody is told.
	Started func()
}

// CommandError is why a command has no exit code.
type CommandError struct {
	// MayHaveRun: the command may have begun, have done all it does, or go on.
	// Otherwise nothing was run.
	MayHaveRun bool
	Err        error // an *Error, a *Fault, or an error of a writer or of Stdin
	// Left is why a command that may go on could not be ended, nil when it was.
	Left error
}

func (e *CommandError) Error() string {
	switch {
	case e.Left != nil:
		return e.Err.Error() + "; the command may go on, because it could not be ended: look at what it did before running it again"
	case e.MayHaveRun:
		return e.Err.Error() + "; the command may have run: look at what it did before running it again"
	}
	return e.Err.Error() + "; the command was not run"
}

// Unwrap makes errors.Is and errors.As see the cause, and not Left: by the cause
// it is decided what to do.
func (e *CommandError) Unwrap() error { return e.Err }

// ErrTooLong: the line is longer than Windows takes.
var ErrTooLong = errors.New("the command line is longer than Windows takes: write it to a file, or shorten it")

// check refuses what cannot arrive as it is.
func (c *Command) check() error {
	line := strings.Join(append([]string{c.Line}, c.Args...), " ")
	most := 8191 // cmd.exe (Microsoft KB 830473)
	if c.SkipCmdShell {
		most = 32767 // CreateProcess
	}
	switch {
	case strings.TrimSpace(c.Line) == "":
		return errors.New("the command is empty: give a line")
	case !inXML(line):
		return errors.New("the command has control characters, which WinRM cannot carry: remove them")
	case len(utf16.Encode([]rune(line))) > most:
		return ErrTooLong
	case c.Poll < 0:
		return fmt.Errorf("a Poll of %s is no time: set 0 or more", c.Poll)
	}
	return nil
}

// Run runs a command to its end and returns its exit code. Any number may run
// at once; those above Limits.Commands wait. An error is a *CommandError. When
// ctx ends, the command is ended in the guest, which takes at most twice
// Limits.Cleanup.
func (s *Shell) Run(ctx context.Context, c Command) (int, error) {
	if err := c.check(); err != nil {
		return 0, &CommandError{Err: err}
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return 0, &CommandError{Err: givenUp(ctx, "Command", s.client.addr, false)}
	}
	id, err := s.start(ctx, &c)
	if err != nil {
		return 0, &CommandError{MayHaveRun: begun(err), Err: err}
	}
	if c.Started != nil {
		c.Started()
	}
	code, err := s.follow(ctx, id, &c)
	if err != nil {
		left := s.terminate(ctx, id, err)
		if left != nil && c.Dependent {
			s.mu.Lock()
			s.left = append(s.left, id)
			s.mu.Unlock()
		}
		return 0, &CommandError{MayHaveRun: true, Err: err, Left: left}
	}
	s.remember(id)
	return code, nil
}

// begun says whether a Command request that failed may have had its effect.
func begun(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.Op == "Command" && e.Uncertain
	}
	var f *Fault
	return errors.As(err, &f) && f.Op == "Command" && f.uncertain()
}

// start makes the service run a command (MS-WSMV 3.1.4.11). A caller who gives
// up meanwhile is kept a little, so that what was begun can be ended.
func (s *Shell) start(ctx context.Context, c *Command) (string, error) {
	if ctx.Err() != nil {
		return "", givenUp(ctx, "Command", s.client.addr, false)
	}
	r := s.request("Command", commandBody(c.Line, c.Args), s.client.limits.OperationTimeout)
	console := c.Stdin == nil || c.ConsoleStdin
	r.options = []option{{"WINRS_CONSOLEMODE_STDIN", boolean(console)}}
	if c.SkipCmdShell { // FALSE is the default (MS-WSMV 3.1.4.11)
		r.options = append(r.options, option{"WINRS_SKIP_CMD_SHELL", "TRUE"})
	}
	s.endLeft(ctx)
	patient, cancel := later(ctx, s.client.limits.Cleanup)
	defer cancel()
	answer, err := s.do(patient, r)
	if crowded(err) && s.forget(ctx) {
		answer, err = s.do(patient, r)
	}
	if err != nil {
		return "", err
	}
	id, err := answer.commandID()
	if err != nil {
		return "", s.client.misread("Command", err)
	}
	return id, nil
}

// pace is the least time between two requests that brought nothing.
const pace = 500 * time.Millisecond

// follow hands on output until the command is done, while input is sent.
func (s *Shell) follow(ctx context.Context, id string, c *Command) (int, error) {
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if c.Stdin != nil {
		in := &input{shell: s, command: id, from: c.Stdin}
		in.start(running, cancel)
		defer in.stop(cancel)
	}
	code, err := s.receiveAll(running, id, c)
	if cause := context.Cause(running); err != nil && ctx.Err() == nil && running.Err() != nil {
		return 0, cause // input failed
	}
	return code, err
}

func (s *Shell) receiveAll(ctx context.Context, id string, c *Command) (int, error) {
	for {
		asked := time.Now()
		out, err := s.receive(ctx, id, c.Poll)
		if err != nil && !errors.Is(err, ErrOperationTimedOut) {
			return 0, err
		}
		if err == nil {
			if err := out.write(c); err != nil {
				return 0, err
			}
			if out.done {
				return out.code, nil
			}
			if len(out.streams) > 0 {
				if rest(ctx, c.Gather) != nil {
					return 0, givenUp(ctx, "Receive", s.client.addr, false)
				}
				continue
			}
		}
		if err := rest(ctx, pace-time.Since(asked)); err != nil {
			return 0, givenUp(ctx, "Receive", s.client.addr, false)
		}
	}
}

// receive asks once for output (MS-WSMV 3.1.4.14).
func (s *Shell) receive(ctx context.Context, id string, poll time.Duration) (*output, error) {
	if poll == 0 {
		poll = s.client.limits.Poll
	}
	r := s.request("Receive", receiveBody(id), poll)
	answer, err := s.do(ctx, r)
	if err != nil {
		return nil, err
	}
	out, err := answer.output(id)
	if err != nil {
		return nil, s.client.misread("Receive", err)
	}
	return out, nil
}

func (o *output) write(c *Command) error {
	for _, st := range o.streams {
		to := c.Stdout
		if st.stderr {
			to = c.Stderr
		}
		if to == nil {
			continue
		}
		if _, err := to.Write(st.data); err != nil {
			return fmt.Errorf("handing on output: %w", err)
		}
	}
	return nil
}

func rest(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// terminate ends a command that goes on. why is how following it failed. The
// error is why it may go on.
func (s *Shell) terminate(ctx context.Context, id string, why error) error {
	if s.Lost() {
		return nil // it ended with its shell
	}
	if errors.Is(why, ErrDeadline) || errors.Is(why, ErrRefused) || errors.Is(why, ErrClosed) {
		return why // nobody is there to be told
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.client.limits.Cleanup)
	defer cancel()
	if err := s.signal(limited, id); !errors.Is(err, ErrShellLost) {
		return err
	}
	return nil
}

func (s *Shell) signal(ctx context.Context, id string) error {
	_, err := s.do(ctx, s.request("Signal", terminateBody(id), s.client.limits.Cleanup))
	return err
}

// endLeft ends the commands that could not be ended when they were given up. What
// the next command says of the guest counts, so an error is left to that.
func (s *Shell) endLeft(ctx context.Context) {
	s.mu.Lock()
	left := s.left
	s.left = nil
	s.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, s.client.limits.Cleanup)
	defer cancel()
	for i, id := range left {
		// A fault is an answer: it has ended by itself.
		if err, f := s.signal(limited, id), new(Fault); err != nil && !errors.As(err, &f) {
			s.mu.Lock()
			s.left = append(s.left, left[i:]...)
			s.mu.Unlock()
			return
		}
	}
}

// mostEnded is how many ended commands a shell remembers: MaxProcessesPerShell
// of Windows 8 and later.
const mostEnded = 25

// remember keeps a command that has ended and that the service was not told to
// forget (see the package comment).
func (s *Shell) remember(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = append(s.ended, id)
	s.ended = s.ended[max(0, len(s.ended)-mostEnded):]
}

// crowded says that a Command was refused for what the shell still holds, or for
// a reason of the service that has no name here.
func crowded(err error) bool {
	const wsman = 0x8033 // its facility among HRESULTs
	var f *Fault
	return errors.As(err, &f) && (errors.Is(f, ErrQuotaResources) || f.kind() == nil && f.Code>>16 == wsman)
}

// forget tells the service to let go of the commands that have ended, and
// whether there were any.
func (s *Shell) forget(ctx context.Context) bool {
	s.mu.Lock()
	ended := s.ended
	s.ended = nil
	s.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, s.client.limits.Cleanup)
	defer cancel()
	for _, id := range ended {
		if s.signal(limited, id) != nil {
			return false
		}
	}
	return len(ended) > 0
}
