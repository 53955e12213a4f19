// Package parent ties what a plugin does to the life of the Packer that started
// it. A Packer that is killed leaves its plugins behind; a build whose machine
// and files nobody waits for has to end as if it had been cancelled.
package parent

import (
	"context"
	"log"
)

// Bind returns a context that ends with ctx, when the process that started this
// one has ended, and when this process is asked to end by SIGHUP or SIGTERM.
// The caller cancels it when the work and its clean-up are done: only then do
// these signals kill again.
func Bind(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	surviveBrokenOutput()
	stop := endOnSignal(ctx, cancel)
	ended := watch()
	go func() {
		if ended(ctx) {
			log.Print("Packer has gone; the build ends")
			cancel()
		}
	}()
	return ctx, func() { cancel(); stop() }
}
