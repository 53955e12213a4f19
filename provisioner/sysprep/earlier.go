package sysprep

import (
	"context"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

// earlier says what the log tells of the earlier run that keeps sysprep from
// being started, and saves the logs.
func (r *run) earlier(ctx context.Context, d verdict.Clearance) []string {
	if d.Start != verdict.Refuse || d.CauseID != "F51" && d.CauseID != "F32" {
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
