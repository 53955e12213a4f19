package guest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// AccountError says that the guest does not take the user or the password of a task.
// Nothing runs.
type AccountError struct {
	User string
	Code string
}

// accountCodes are what Windows answers to a task with an account it does not
// take (winerror.h): wrong name or password, a restriction, no such account, no
// right to log on as a batch job.
var accountCodes = []string{"0x8007052e", "0x8007052f", "0x80070534", "0x80070569"}

func (e *AccountError) Error() string {
	return fmt.Sprintf("the guest does not accept the account %q (%s)", e.User, e.Code)
}

// registration is how Windows reports a task that it does not register: by the
// id of the error, which no language changes.
var registration = lazyregexp.New(`(?i)(0x[0-9a-f]{8}),Register-ScheduledTask$`)

// creation is how Windows reports that it does not run Win32_Process.Create at
// all, as hardening rules make it do.
var creation = lazyregexp.New(`(?i),Microsoft\.Management\.Infrastructure\.CimCmdlets\.InvokeCimMethodCommand$`)

// unanswered decides after a start without a document.
func (s *Session) unanswered(ctx context.Context, l Launch, launched Launched, marked bool, err error) (Launched, error) {
	var said *ScriptError
	isScript := errors.As(err, &said)
	switch {
	case isScript && said.Name != "script":
		return launched, err // refused
	case isScript && registration.MatchString(said.ID):
		launched.Task = "" // it was not registered
		if code := strings.ToLower(registration.FindStringSubmatch(said.ID)[1]); slices.Contains(accountCodes, code) {
			err = fmt.Errorf("%w: %w", &AccountError{User: l.User, Code: code}, err)
		}
		return s.findMark(ctx, launched), fmt.Errorf("%w: %w", ErrNotStarted, err)
	case isScript && creation.MatchString(said.ID) && s.startedNot(ctx, marked):
		return s.findMark(ctx, launched), fmt.Errorf("%w: %w", ErrNotStarted, &createError{"Win32_Process.Create is refused: " + short(said.Message)})
	case errors.Is(err, ErrNotSent) && errors.Is(err, ErrNoDocument) && !Unanswered(err):
		return s.launchWithout(ctx, l, launched, err) // the upload failed
	case errors.Is(err, ErrNotSent):
		return launched, fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	// A command that came to its end starts nothing more; one that was cut off
	// may be about to.
	ended := errors.Is(err, ErrNoDocument) || errors.Is(err, ErrUnreadable) || isScript
	start, pid := s.started(ctx, marked, ended)
	switch {
	case start == startYes:
		launched.PID, launched.Lost = pid, err.Error()
		return s.findMark(ctx, launched), nil
	case start == startNo && errors.Is(err, ErrNoDocument):
		return s.launchWithout(ctx, l, launched, err)
	}
	return s.findMark(ctx, launched), err
}

// createError says that Windows would not create the process.
type createError struct{ why string }

func (e *createError) Error() string { return e.why }

// createRefused says why Windows would not create the process, empty if it did.
func createRefused(err error) string {
	var refused *createError
	if errors.As(err, &refused) {
		return refused.why
	}
	return ""
}

// notStarted is why nothing runs.
func (d *launchDocument) notStarted() error {
	if d.Start.ReturnValue != nil {
		return fmt.Errorf("%w: %w", ErrNotStarted, &createError{fmt.Sprintf("Win32_Process.Create returned %d (%s)", *d.Start.ReturnValue, d.Start.Meaning)})
	}
	return fmt.Errorf("%w: %s", ErrNotStarted, d.reason())
}

func (d *launchDocument) reason() string {
	if d.Start.LastTaskResult != nil {
		return fmt.Sprintf("the scheduled task ended with 0x%08x", uint32(*d.Start.LastTaskResult))
	}
	return "the guest gives no reason"
}
