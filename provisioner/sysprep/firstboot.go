package sysprep

import (
	"context"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// firstBoot says why the first boot of a guest that was waited for in vain did
// not end, from the logs of Windows Setup, and saves the logs. Of a guest that does
// not answer nothing is asked.
func (r *run) firstBoot(ctx context.Context, d verdict.Clearance) []string {
	if d.Start != verdict.Wait || d.Unreached {
		return nil
	}
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
		cause, ok = diagnosis.FirstBootHang(runs...)
	}
	if !ok {
		return nil
	}
	lines := render.Full("cause", cause.Finding)
	for i := range lines {
		lines[i] = "first boot, " + lines[i]
	}
	return lines
}
