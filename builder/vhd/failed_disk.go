package vhd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// diagnosed is what the disk of a failed build says.
type diagnosed struct {
	// Cause is nil where the log names none.
	Cause *diagnosis.Diagnosis
	// Earlier: the last run in the log began long before the build.
	Earlier bool
	// Facts are those of the last sysprep run; Runs is 0 where there was none.
	Progress diagnosis.Progress
	// Logs are the files that were written, in their order.
	Logs []string
	// Kept are the same, as they are listed in build.json.
	Kept []runlog.File
}

// diagnose reads the logs of sysprep and Windows Setup from the disk of a build
// that failed or hung, says the cause and the way out, and keeps the logs below
// logDir unless that is empty. The machine has to be off. What was still in the
// memory of a machine that was killed is not on the disk: no run of sysprep in the
// log is no news. Nor is the cause that is known. A run that began before since, by
// as much as clocks may differ, is none of this build; zero: any run may be.
func diagnose(ctx context.Context, ui packersdk.Ui, disk proof.Disk, logDir string, known verdict.Head, since time.Time, hide func(string) string) (diagnosed, error) {
	d, err := disk.Open(ctx)
	if err != nil {
		return diagnosed{}, fmt.Errorf("reading logs from %s: %w", disk.Name, err)
	}
	defer d.Close()
	report, err := winimage.Inspect(ctx, d, winimage.Options{Name: disk.Name})
	if err != nil {
		return diagnosed{}, fmt.Errorf("reading logs from %s: %w", disk.Name, err)
	}
	logs, unread := winimage.ExtractLogs(ctx, d)
	if err := ctx.Err(); err != nil {
		return diagnosed{}, fmt.Errorf("reading logs from %s: %w", disk.Name, err)
	}
	if unread != nil {
		ui.Sayf("Some logs cannot be read from the disk: %s", unread)
	}
	said := causeIn(logs[windows.SysprepLog], since)
	if said.Progress.Runs > 0 && (said.Cause == nil || said.Cause.Name != known.Cause) {
		for _, line := range said.describe(report) {
			ui.Say(line)
		}
	}
	if logDir == "" || len(logs) == 0 {
		return said, nil
	}
	if said.Logs, said.Kept, err = writeLogs(ctx, logDir, logs, hide); err != nil {
		return said, fmt.Errorf("keeping the logs of %s: %w", disk.Name, err)
	}
	ui.Sayf("Saved logs from the disk in %s (files: %d)", logDir, len(said.Logs))
	return said, nil
}

// causeIn names the cause from the last run in sysprep's log.
func causeIn(log []byte, since time.Time) (d diagnosed) {
	last := diagnosis.LastRun(log)
	d.Progress = last.Progress
	if d.Earlier = !since.IsZero() && diagnosis.OlderRun(d.Progress, diagnosis.Earliest(time.Time{}, since)); d.Earlier {
		return d
	}
	if cause, ok := diagnosis.Diagnose(last); ok {
		d.Cause = &cause
	}
	return d
}

// describe says the cause, or as much as can be said without one.
func (d diagnosed) describe(r winimage.Facts) (lines []string) {
	switch {
	case d.Cause != nil:
		lines = append(lines, "The log on the disk says why sysprep failed:")
		lines = append(lines, proof.Explain(d.Cause.Finding)...)
	case d.Earlier:
		lines = append(lines, fmt.Sprintf("The log on the disk has no run from this build: its last run began at %s by the guest's clock. Either what this build's sysprep wrote did not reach the disk, or that clock is wrong", d.Progress.Start.Format(time.DateTime)))
	case d.Progress.TagCreated:
		lines = append(lines, "The log on the disk says that sysprep succeeded")
	default:
		lines = append(lines, "The log on the disk ends in the middle of the run, without a failure: the machine was killed, or sysprep hung. Its last line:", "    "+d.Progress.LastLine)
		if hang, ok := diagnosis.Hang(d.Progress); ok {
			lines = append(lines, "  if it hung: "+hang.Summary, "  next: "+hang.Remedy[0])
		}
	}
	for _, w := range r.Windows {
		if w.Setup.ImageState != "" {
			lines = append(lines, fmt.Sprintf("  on the disk: %s, ImageState %s", w.Describe(), w.Setup.ImageState))
		}
	}
	return lines
}

// writeLogs keeps logs where and as the provisioner keeps those of a guest: without what
// is secret, and as far as the limits of a bundle go.
func writeLogs(ctx context.Context, dir string, logs map[windows.Path][]byte, hide func(string) string) (written []string, kept []runlog.File, err error) {
	var errs []error
	var budget runlog.Budget
	for _, log := range windows.Logs() {
		content, ok := logs[log.Path]
		if !ok {
			continue
		}
		path := log.OnHost(dir)
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return written, kept, err
		}
		fits, file := budget.Fit(filepath.ToSlash(name), content, hide)
		if err := hostfile.WriteFile(ctx, path, fits); err != nil {
			errs = append(errs, err)
			continue
		}
		written, kept = append(written, path), append(kept, file)
	}
	return written, kept, errors.Join(errs...)
}
