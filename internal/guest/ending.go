package guest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Stop ends a program by its process id.
func (s *Session) Stop(ctx context.Context, pid int, limit time.Duration) error {
	if _, _, err := s.run(ctx, call(fmt.Sprintf("taskkill /f /pid %d", pid)), Request{}, limit); err != nil {
		return fmt.Errorf("ending process %d: %w", pid, err)
	}
	return nil
}

// Hello asks the guest for nothing but an answer.
func (s *Session) Hello(ctx context.Context) error {
	if _, err := s.ask(ctx, command{}, CommandLimit); err != nil {
		return fmt.Errorf("asking for an answer: %w", err)
	}
	return nil
}

// StopTree ends a program and those that it has started.
func (s *Session) StopTree(ctx context.Context, pid int, limit time.Duration) error {
	if _, _, err := s.run(ctx, call(fmt.Sprintf("taskkill /f /t /pid %d", pid)), Request{}, limit); err != nil {
		return fmt.Errorf("ending process %d and its children: %w", pid, err)
	}
	return nil
}

// Ending is what Windows is told in the end.
type Ending uint8

// Endings.
const (
	StayUp Ending = iota
	PowerOff
	Restart
)

func (e Ending) command() command {
	switch e {
	case PowerOff:
		return call("shutdown /s /t 5 /f /d p:4:1")
	case Restart:
		return call("shutdown /r /t 5 /f /d p:4:1")
	}
	return command{}
}

// EndWindows powers the guest off, or restarts it. The connection may break before
// the answer comes.
func (s *Session) EndWindows(ctx context.Context, restart bool) error {
	how := PowerOff
	if restart {
		how = Restart
	}
	_, _, err := s.run(ctx, how.command(), Request{}, CommandLimit)
	return err
}

// LineError is a line that failed.
type LineError struct {
	Index int
	// Code is its exit code, and Said what it has said last, in the guest's
	// language.
	Code int
	Said string
}

func (e *LineError) Error() string {
	text := fmt.Sprintf("exit code %d", e.Code)
	if e.Said != "" {
		text += ": " + strconv.Quote(e.Said)
	}
	return text
}

// EndError says that the lines have worked and Windows refused to end: it may be
// going down already, because a line has asked for it.
type EndError struct {
	Code int
	Said string
}

func (e *EndError) Error() string { return (&LineError{Code: e.Code, Said: e.Said}).Error() }

// UnsaidError says that the guest did not say how a line ended: it may have
// worked, and Windows may go down.
type UnsaidError struct {
	Index int
	Err   error
}

func (e *UnsaidError) Error() string { return e.Err.Error() }

func (e *UnsaidError) Unwrap() error { return e.Err }

// LastLines says why lines cannot be run by AtTheEnd; nil: they can.
func LastLines(lines []string) error { return lastLine(lines, PowerOff).fits() }

// lastLine runs lines one after the other, as long as they work, and then ends
// Windows. It is one line in one shell, because a line may take away what another
// login needs.
func lastLine(lines []string, end Ending) command {
	var parts []command
	for i, line := range lines {
		if strings.TrimSpace(line) == "" || strings.ContainsAny(line, "\r\n\x00") {
			return command{err: fmt.Errorf("line %d is empty, or holds a line break", i)}
		}
		parts = append(parts, command{text: "cmd.exe /d /s /c " + escaped(`"`+line+`"`)}, echo("line="+strconv.Itoa(i)))
	}
	parts = append(parts, end.command())
	return joined("&& ", append(parts, echo("ended"))...)
}

// AtTheEnd runs lines for cmd.exe in one shell, each within the limit, and then ends
// Windows. A line that fails is a *LineError, and Windows stays up; one of which
// the guest did not say how it ended an *UnsaidError, and an *EndError where all
// lines worked and the order to end did not.
func (s *Session) AtTheEnd(ctx context.Context, todo []string, end Ending, limit time.Duration) error {
	c := lastLine(todo, end)
	if err := c.fits(); err != nil {
		return err
	}
	done, said := 0, ""
	asked, silent := context.WithCancelCause(ctx)
	defer silent(nil)
	quiet := time.AfterFunc(s.scaled(limit), func() { silent(fmt.Errorf("%w (%s)", ErrNoAnswer, limit)) })
	defer quiet.Stop()
	stderr := &sink{}
	stdout := &lines{take: func(raw []byte) {
		line := string(raw)
		a := readAnswer(line)
		switch {
		case a.has("line"):
			done++
			said = ""
			quiet.Reset(s.scaled(limit))
		case strings.TrimSpace(line) != "":
			said = strings.TrimSpace(line)
		}
	}}
	code := -1
	err := s.transport.Run(asked, Request{Line: c.text, Stdout: stdout, Stderr: stderr, Exit: &code})
	stdout.end()
	if text := strings.TrimSpace(string(stderr.kept)); text != "" {
		said = text
	}
	switch {
	case errors.Is(err, ErrNotSent):
		return err
	case err != nil && done == len(todo) && end != StayUp:
		return nil // Windows was told to end, and the connection with it
	case err != nil:
		return &UnsaidError{min(done, len(todo)-1), err}
	case done < len(todo):
		return &LineError{done, code, short(said)}
	case code != 0:
		return &EndError{code, short(said)}
	}
	return nil
}

// escaped keeps a text from cmd.exe, so that it goes on to another one as it is.
// Only variables between percent signs are filled in on the way.
func escaped(text string) string {
	var b strings.Builder
	for _, r := range text {
		if strings.ContainsRune(`"&|<>()^`, r) {
			b.WriteByte('^')
		}
		b.WriteRune(r)
	}
	return b.String()
}
