//go:build !windows

package parent

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// every is how often the parent is looked at.
const every = time.Second

// surviveBrokenOutput: our standard error ends with Packer, and a line of log
// written to it must not end us before the clean-up.
func surviveBrokenOutput() { signal.Ignore(syscall.SIGPIPE) }

// watch returns what waits for the parent's end, false when ctx ended before.
// A process whose parent has ended is given another.
func watch() func(ctx context.Context) bool {
	born := os.Getppid()
	return func(ctx context.Context) bool {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return false
			case <-ticker.C:
				if os.Getppid() != born {
					return true
				}
			}
		}
	}
}
