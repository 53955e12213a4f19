package vhd

import (
	"context"
	"log"
	"os/signal"
	"syscall"
	"time"
)

// orphaned returns a context that ends when the process that started us does.
// A Packer that is killed leaves its plugins behind, and a build whose machine
// and files nobody waits for has to end as if it had been cancelled. Where
// a process keeps its parent's number (Windows) nothing is noticed.
func orphaned(ctx context.Context, parent func() int, every time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	// Our standard error ends with Packer, and a line of log written to it
	// must not end us before the clean-up.
	signal.Ignore(syscall.SIGPIPE)
	born := parent()
	go func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if parent() != born {
					log.Print("Packer has gone; the build ends")
					cancel()
					return
				}
			}
		}
	}()
	return ctx, cancel
}
