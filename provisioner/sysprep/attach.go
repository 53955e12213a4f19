package sysprep

import (
	"context"
	"slices"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

// startSlack is how much earlier than its process a run may have begun by the
// clock that its log is written by, in whole seconds.
const startSlack = 2 * time.Second

// attach watches the sysprep of another run like this one instead of starting one.
// What that run brought is left to it: it may still be watching.
func (r *run) attach(_ context.Context, d verdict.Clearance) error {
	at := slices.IndexFunc(r.running, func(p guest.Process) bool { return p.PID == d.PID })
	if at < 0 {
		return untouched(errNotRunning)
	}
	found := r.running[at]
	r.attached = &found
	r.ui.Sayf("Not starting sysprep: %s. Watching it", d.Reason)
	r.tellNotDone("the other run has started sysprep")
	r.plan.AnswerFile, r.plan.AnswerFolder = "", ""
	return nil
}

// watchAttached watches it until there is a verdict.
func (r *run) watchAttached(ctx context.Context) {
	r.launched = guest.Launched{PID: r.attached.PID}
	if start := r.attached.Start; !start.IsZero() {
		r.launched.Time = start.Add(-startSlack)
	}
	r.verdict = r.observe(ctx)
	if r.attached.Run != "" {
		r.ui.Sayf("What the other run brought into the guest was left to it: it has %s in its names", r.attached.Run)
	}
}
