package winrm

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ShellOptions are what a shell is opened with (MS-WSMV 2.2.4.39, 3.1.4.5.2).
type ShellOptions struct {
	// CodePage of the shell's console, 65001 (UTF-8) when 0.
	CodePage int
	// NoProfile leaves the user's profile unloaded.
	NoProfile bool
	// IdleTimeout is after how long without a request Windows deletes the shell;
	// 0: as the guest is set, 2 h by default.
	IdleTimeout time.Duration
	// WorkingDirectory is where commands begin, the user's profile when empty.
	WorkingDirectory string
	// Env adds to the user's environment.
	Env map[string]string
}

// Shell is a cmd shell in the guest: a place for commands, which end with it.
type Shell struct {
	client *Client
	id     string
	slots  chan struct{} // one for each command that may run
	lost   atomic.Bool   // of no use any more
	gone   atomic.Bool   // not there any more: there is nothing to delete

	mu    sync.Mutex
	ended []string // commands that the service may still hold, the last of them
	left  []string // dependent commands that could not be ended yet
}

// OpenShell opens a shell.
func (c *Client) OpenShell(ctx context.Context, o ShellOptions) (*Shell, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	page := o.CodePage
	if page == 0 {
		page = 65001
	}
	r := &request{name: "Create", timeout: c.limits.OperationTimeout, body: createBody(o),
		options: []option{{"WINRS_NOPROFILE", boolean(o.NoProfile)}, {"WINRS_CODEPAGE", strconv.Itoa(page)}}}
	if ctx.Err() != nil {
		return nil, givenUp(ctx, "Create", c.addr, false)
	}
	// An answer that is not waited for leaves a shell in the guest, for hours.
	patient, cancel := later(ctx, c.limits.Cleanup)
	defer cancel()
	answer, err := c.do(patient, r)
	if err != nil {
		return nil, err
	}
	id, err := answer.shellID()
	if err != nil {
		return nil, c.misread("Create", err)
	}
	s := &Shell{client: c, id: id, slots: make(chan struct{}, c.limits.Commands)}
	if ctx.Err() != nil {
		_ = s.Close(ctx) // what counts is that it was given up
		return nil, givenUp(ctx, "Create", c.addr, false)
	}
	return s, nil
}

func (o *ShellOptions) check() error {
	if o.CodePage < 0 || o.CodePage > 65535 {
		return fmt.Errorf("CodePage is %d: set one from 1 to 65535, or 0 for UTF-8", o.CodePage)
	}
	if o.IdleTimeout < 0 {
		return fmt.Errorf("IdleTimeout is %s: set 0 or more", o.IdleTimeout)
	}
	if !inXML(o.WorkingDirectory) {
		return errors.New("WorkingDirectory has characters that no directory has: correct it")
	}
	for name, value := range o.Env {
		if name == "" || strings.Contains(name, "=") || !inXML(name) || !inXML(value) {
			return fmt.Errorf("the environment variable %q has no proper name, or control characters in its value: correct it", name)
		}
	}
	return nil
}

// ID is the shell's in the guest.
func (s *Shell) ID() string { return s.id }

// Close deletes the shell, and with it what still runs in it. It takes at most
// Limits.Cleanup, also where ctx has ended. A shell that is gone is no error.
func (s *Shell) Close(ctx context.Context) error {
	s.lost.Store(true)
	if s.gone.Swap(true) {
		return nil
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.client.limits.Cleanup)
	defer cancel()
	_, err := s.client.do(limited, s.request("Delete", "", s.client.limits.Cleanup))
	if errors.Is(err, ErrShellLost) {
		return nil
	}
	return err
}

func (s *Shell) request(name, body string, timeout time.Duration) *request {
	return &request{name: name, shell: s.id, body: body, timeout: timeout}
}

// do sends a request and notices when the shell is gone.
func (s *Shell) do(ctx context.Context, r *request) (*reply, error) {
	answer, err := s.client.do(ctx, r)
	if errors.Is(err, ErrShellLost) {
		s.lost.Store(true)
		var f *Fault
		s.gone.CompareAndSwap(false, errors.As(err, &f) && f.Code == notThere)
	}
	return answer, err
}

// Lost says whether the service has told that the shell is gone, or of no use.
func (s *Shell) Lost() bool { return s.lost.Load() }

func boolean(b bool) string {
	if b {
		return "TRUE"
	}
	return "FALSE"
}

// later is a context that ends d after ctx does: for a request whose answer has
// to be known, because it names what has to be ended.
func later(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	timer := make(chan *time.Timer, 1)
	stop := context.AfterFunc(ctx, func() {
		timer <- time.AfterFunc(d, func() { cancel(context.Cause(ctx)) })
	})
	return longer, sync.OnceFunc(func() {
		if !stop() {
			(<-timer).Stop()
		}
		cancel(context.Canceled)
	})
}
