package winrm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// input sends what a reader gives to a command.
type input struct {
	shell   *Shell
	command string
	from    io.Reader
	size    int // bytes of a piece

	done chan struct{}

	mu    sync.Mutex
	quiet bool // nothing is under way to the guest
	over  bool // nothing is to be sent any more
}

// sendOverhead is more than what surrounds the data of a Send.
const sendOverhead = 4096

// fits is how many bytes fit into an envelope.
func fits(envelope int) int { return (envelope - sendOverhead) / 4 * 3 }

// start sends from a goroutine of its own; failed is told why it ended early.
func (in *input) start(ctx context.Context, failed context.CancelCauseFunc) {
	in.size = fits(in.shell.client.limits.MaxEnvelopeSize)
	in.done = make(chan struct{})
	go func() {
		defer close(in.done)
		err := in.copy(ctx)
		if fault := new(Fault); errors.As(err, &fault) {
			// A command that ends does not read on. Its exit code is worth a moment.
			in.begin()
			_ = rest(ctx, in.shell.client.limits.Cleanup)
		}
		if err != nil {
			failed(err)
		}
	}()
}

// answerTime is what a Send under way is given to be answered when its command
// has ended: its connection can be used on then, with its login.
const answerTime = time.Second

// stop ends the sending. A goroutine that waits for the reader ends when that
// returns, and sends nothing any more.
func (in *input) stop(cancel context.CancelCauseFunc) {
	in.mu.Lock()
	in.over = true
	quiet := in.quiet
	in.mu.Unlock()
	if !quiet {
		patience := time.AfterFunc(answerTime, func() { cancel(nil) })
		<-in.done
		patience.Stop()
	}
	cancel(nil)
}

func (in *input) copy(ctx context.Context) error {
	buffer := make([]byte, in.size)
	for {
		n, end, err := in.read(ctx, buffer)
		if err != nil {
			return err
		}
		switch err := in.send(ctx, buffer[:n], end); {
		case inputClosed(err):
			return nil // how the command ended is for its output to tell
		case err != nil || end || ctx.Err() != nil:
			return err
		}
	}
}

// read reads once, and says whether that was the end.
func (in *input) read(ctx context.Context, buffer []byte) (n int, end bool, err error) {
	const tries = 100 // as often as package bufio
	for i := 0; i < tries && n == 0 && err == nil && in.begin(); i++ {
		n, err = in.from.Read(buffer)
	}
	switch {
	case !in.end() || ctx.Err() != nil:
		return 0, false, context.Canceled
	case errors.Is(err, io.EOF):
		return n, true, nil
	case err == nil && n == 0:
		err = io.ErrNoProgress
	}
	if err != nil {
		return 0, false, fmt.Errorf("reading input: %w", err)
	}
	// A bytes.Reader or strings.Reader tells beforehand: that is a request less.
	left, known := in.from.(interface{ Len() int })
	return n, known && left.Len() == 0, nil
}

// begin is before something that the guest has no part in; it says whether more
// is to be read.
func (in *input) begin() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.quiet = true
	return !in.over
}

// end says whether what was read is still wanted.
func (in *input) end() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.quiet = false
	return !in.over
}

// send sends data, in smaller pieces where the service takes less at a time:
// a message that is too large has had no effect.
func (in *input) send(ctx context.Context, data []byte, end bool) error {
	for {
		n := min(len(data), in.size)
		last := end && n == len(data)
		err := in.once(ctx, data[:n], last)
		small := fits(smallEnvelope)
		switch {
		case tooLarge(err) && in.size > small:
			in.size = small
			continue
		case err != nil:
			return err
		}
		if data = data[n:]; len(data) == 0 {
			return nil
		}
	}
}

// tooLarge says that a request was refused for its size. An answer that is too
// large says nothing about what became of the request.
func tooLarge(err error) bool {
	var e *Error
	return errors.Is(err, ErrTooLarge) && (!errors.As(err, &e) || !e.Uncertain)
}

// once is one Send (MS-WSMV 3.1.4.13).
func (in *input) once(ctx context.Context, data []byte, end bool) error {
	if len(data) == 0 && !end {
		return nil
	}
	r := in.shell.request("Send", "", in.shell.client.limits.OperationTimeout)
	r.input = &piece{in.command, data, end}
	_, err := in.shell.do(ctx, r)
	return err
}
