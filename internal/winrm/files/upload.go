package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
)

// pause is before the first new try.
const pause = 500 * time.Millisecond

// longPause is before each further try that got no farther. A try has up to
// thirteen requests: that makes less than two a second.
const longPause = 8 * time.Second

func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("given up: %w", context.Cause(ctx))
	}
}

// Upload writes a file in the guest, replacing what is there only when all has
// arrived. Folders above it are made. A reader that is an io.ReaderAt and io.Seeker
// is read where it is, any other is kept in a temporary file first.
func (t *Transfer) Upload(ctx context.Context, to string, from io.Reader, tell Progress) error {
	path, err := windowsPath(to)
	if err != nil {
		return err
	}
	s, err := take(from)
	if err != nil {
		return err
	}
	defer s.drop()
	p := report(tell, s.size)
	defer p.end()
	if err := t.upload(ctx, path, s, p); err != nil {
		return fmt.Errorf("uploading to %s: %w", path, err)
	}
	p.at(s.size)
	return nil
}

func (t *Transfer) upload(ctx context.Context, to string, s *source, p *progress) error {
	if t.unfit(true) == nil {
		err := t.stream(ctx, to, s, p)
		if !t.giveUp(err) {
			return err
		}
	}
	return t.classic(ctx, to, s, p)
}

// receiving are the parameters of store.ps1 and receive.ps1, and received is their
// answer.
type receiving struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	Offset int64  `json:"offset,omitempty"`
	Probe  bool   `json:"probe,omitempty"`
}

type received struct {
	Have     int64
	Complete bool
	SHA256   string
}

// stream sends s to PowerShell, and goes on from what has arrived as often as it
// has to.
func (t *Transfer) stream(ctx context.Context, to string, s *source, p *progress) error {
	r := retry{t: t}
	offset, afresh := int64(0), false
	for {
		d, err := t.receive(ctx, to, s, offset, p)
		var refused *Error
		switch {
		case err == nil && d.Complete:
			if d.SHA256 != s.sum {
				return ErrHash
			}
			return nil
		case err == nil && d.Have > offset: // its input ended early
			r.got(d.Have)
			offset = d.Have
			continue
		case err == nil:
			return &unfit{why: "PowerShell gets no input", input: true}
		case errors.As(err, &refused) && refused.Name == "hash-mismatch":
			if offset == 0 || afresh {
				return ErrHash
			}
			offset, afresh = 0, true // what was there before may be what is wrong
			continue
		case errors.As(err, &refused) && refused.Name == "no-input":
			return &unfit{why: "PowerShell gets no input", input: true}
		case errors.As(err, &refused) && refused.Name == "bad-base64":
			return &unfit{why: "PowerShell gets another input than was sent", input: true}
		case errors.As(err, &refused) && refused.Name == "io" && r.tried, errors.As(err, &refused) && refused.Name == "resume-mismatch":
			// The PowerShell of an earlier try may not have ended yet.
		case !passing(ctx, err):
			return inputRefused(err)
		}
		if d, err = t.probe(ctx, &r, to, s, err); err != nil {
			return err
		}
		if d.Complete {
			return nil // the answer was lost, the file was not
		}
		offset = d.Have
	}
}

// inputRefused: a fault to a Send says that the guest takes no input. A quota is
// another matter: the classic way has a hundred times as many requests.
func inputRefused(err error) error {
	var f *winrm.Fault
	if errors.As(err, &f) && f.Op == "Send" && !errors.Is(err, winrm.ErrAccessDenied) && !errors.Is(err, winrm.ErrQuota) {
		return &unfit{why: "WinRM refuses input: " + oneLine(f.Error()), input: true}
	}
	return err
}

func (t *Transfer) receive(ctx context.Context, to string, s *source, offset int64, p *progress) (*received, error) {
	return t.ask(ctx, s, offset, receiving{Path: to, Size: s.size, SHA256: s.sum, Offset: offset}, p)
}

// ask lets PowerShell receive s from offset on, or only say what is there: by
// store.ps1, which needs nothing in the guest, or by receive.ps1 where that is not
// run.
func (t *Transfer) ask(ctx context.Context, s *source, offset int64, r receiving, p *progress) (*received, error) {
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("guest script store: %w", err)
	}
	input := func(head []byte) func(func()) *lines {
		return func(still func()) *lines {
			return newLines(head, s, offset, func(sent int64) {
				still()
				p.at(sent)
			})
		}
	}
	if t.stores() {
		d := &received{}
		c := winrm.Command{Line: inlineLine(scripts.Store)}
		_, err := t.run(ctx, scripts.Store, c, d, t.options.Stall+s.hashing(), input(raw))
		var u *unfit
		if !errors.As(err, &u) {
			return d, withPath(err, r.Path)
		}
		t.mu.Lock()
		t.storing = u
		t.mu.Unlock()
	}
	d, feed := &received{}, input(nil)
	if r.Probe {
		feed = nil
	}
	err = t.script(ctx, scripts.Receive, r, d, s.hashing(), feed)
	return d, withPath(err, r.Path)
}

// stores says whether PowerShell may be asked to run store.ps1.
func (t *Transfer) stores() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.storing == nil
}

// retry is how long a transfer is tried again: Patience counts from the first
// failure after it got on, however long it took before.
type retry struct {
	t     *Transfer
	best  int64     // the farthest it came
	since time.Time // of the failure
	vain  int       // tries since then
	tried bool
}

func (r *retry) got(have int64) {
	if have > r.best {
		r.best, r.vain = have, 0
	}
}

// again waits before another try; why is returned when there is to be none.
func (r *retry) again(ctx context.Context, why error) error {
	if r.vain == 0 {
		r.since = time.Now()
	}
	left := r.t.options.Patience - time.Since(r.since)
	if left < 0 {
		return why
	}
	d := pause
	switch {
	case r.vain == 0:
	case errors.Is(why, winrm.ErrRefused), errors.Is(why, winrm.ErrUnavailable): // that costs two requests
		d = 2 * pause
	default:
		d = longPause
	}
	r.vain, r.tried = r.vain+1, true
	return rest(ctx, min(d, left+time.Millisecond))
}

// probe asks what has arrived, until there is an answer.
func (t *Transfer) probe(ctx context.Context, r *retry, to string, s *source, why error) (*received, error) {
	for {
		if err := r.again(ctx, why); err != nil {
			return nil, err
		}
		// Nothing but the parameters is sent: there is nothing behind its end.
		d, err := t.ask(ctx, s, s.size, receiving{Path: to, Size: s.size, SHA256: s.sum, Probe: true}, report(nil, 0))
		if err == nil {
			d.Have = min(d.Have, s.size)
			r.got(d.Have)
			return d, nil
		}
		if !passing(ctx, err) {
			return nil, err
		}
		why = err
	}
}

// withPath completes what a script says about a file.
func withPath(err error, path string) error {
	var e *Error
	if errors.As(err, &e) {
		e.Path = path
	}
	return err
}
