package parent

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"
)

// endSignals ask a process to end: its terminal was closed, or the system or a
// service manager ends all of a session. Go maps closing the console window on
// Windows to SIGTERM.
var endSignals = []os.Signal{syscall.SIGHUP, syscall.SIGTERM}

// endOnSignal calls cancel when one of endSignals comes. They do not kill the
// process until stop is called, so that what it has begun can be cleaned up.
func endOnSignal(ctx context.Context, cancel context.CancelFunc) (stop func()) {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, endSignals...)
	go func() {
		select {
		case <-ctx.Done():
		case s := <-caught:
			log.Printf("The build ends by the signal %q", s)
			cancel()
		}
	}()
	return func() { signal.Stop(caught) }
}
