package sysprep

import (
	"context"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// before says what the logs tell of what came before and keeps sysprep from
// being started.
func (r *run) before(ctx context.Context, d verdict.Clearance, first verdict.First) []string {
	if d.Start != verdict.Wait || !first.Reached {
		return r.earlier(ctx, d)
	}
	return r.firstBoot(ctx)
}

// firstBoot says why the guest's first boot did not end, from the logs of
// Windows Setup, and saves the logs.
func (r *run) firstBoot(ctx context.Context) []string {
	r.saveLogs(ctx, true)
	var paths []string
	for _, log := range windows.Logs() {
		if log.Of != "sysprep" && (log.Name == windows.ActLog || log.Name == windows.ErrLog) {
			paths = append(paths, log.Path.In(r.session.Windir()))
		}
	}
	found, err := r.session.FetchAll(ctx, paths, maxLogFile)
	work, cancel := afterCancel(ctx, cleanupLimit)
	defer cancel()
	r.cleanup(work, guest.Leftovers{})
	if err != nil && len(found) == 0 {
		return nil
	}
	var runs []diagnosis.Run
	for _, path := range paths {
		runs = append(runs, diagnosis.LastRun(found[path]))
	}
	cause, ok := diagnosis.FirstBoot(runs...)
	if !ok {
		return nil
	}
	lines := render.Full("cause", cause.Finding)
	for i := range lines {
		lines[i] = "first boot, " + lines[i]
	}
	return lines
}

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
