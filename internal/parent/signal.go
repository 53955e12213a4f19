package parent

import (
	"context"
	"log"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// endSignals ask a process to end: its terminal was closed, or the system or a
// service manager ends all of a session. Go maps closing the console window on
// Windows to SIGTERM. One that the user had ignored, as nohup does, stays so.
func endSignals() []os.Signal {
	return slices.DeleteFunc([]os.Signal{syscall.SIGHUP, syscall.SIGTERM}, signal.Ignored)
}

// endOnSignal calls cancel when one of endSignals comes. They do not kill the
// process until stop is called, so that what it has begun can be cleaned up.
func endOnSignal(ctx context.Context, cancel context.CancelFunc) (stop func()) {
	signals := endSignals()
	if len(signals) == 0 {
		return func() {} // Notify without signals would catch all
	}
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, signals...)
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
