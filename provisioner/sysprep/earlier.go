package sysprep

import (
	"context"
	"slices"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

// explained are the causes that the log of an earlier run may explain.
var explained = []string{"F51", "F32", "F55"}

// earlier says what the log tells of the earlier run that keeps sysprep from
// being started, and saves the logs. Of a state that does not pass the log may
// say why, too.
func (r *run) earlier(ctx context.Context, d verdict.Clearance, state guest.Status) []string {
	if !slices.Contains(explained, d.CauseID) && (state.ImageState == "" || state.ImageState.Means().MayStart()) {
		return nil
	}
	r.saveLogs(ctx, true)
	raw, err := r.session.Fetch(ctx, r.session.Log(), maxLogFile)
	work, cancel := afterCancel(ctx, cleanupLimit)
	defer cancel()
	r.cleanup(work, guest.Leftovers{})
	last := diagnosis.LastRun(raw)
	if err != nil || last.Progress.Lines == 0 {
		return nil
	}
	found, ok := diagnosis.Diagnose(last)
	if !ok {
		return []string{"earlier run: no known failure in its log; its last line: " + last.Progress.LastLine}
	}
	lines := render.Full("cause", found.Finding)
	for i := range lines {
		lines[i] = "earlier run, " + lines[i]
	}
	return lines
}
