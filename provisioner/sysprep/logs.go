package sysprep

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// checkLogDirectory tries log_directory before the guest is touched: after a
// failed run it is too late to find out that the logs cannot be kept.
func (c *Config) checkLogDirectory() (errs []error) {
	if c.LogDirectory == "" || unknown.In(c.LogDirectory) {
		return nil
	}
	folders := []string{c.LogDirectory}
	for _, log := range windows.Logs() {
		if folder := filepath.Dir(log.OnHost(c.LogDirectory)); !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	}
	for _, path := range folders {
		if err := hostfile.WritableFolder(path); err != nil {
			return []error{fmt.Errorf("log_directory: %w", err)}
		}
	}
	files := []string{filepath.Join(c.LogDirectory, runlog.RunFile)}
	for _, log := range windows.Logs() {
		files = append(files, log.OnHost(c.LogDirectory))
	}
	for _, path := range files {
		if err := c.writable(path); err != nil {
			errs = append(errs, fmt.Errorf("log_directory: %w", err))
		}
	}
	return errs
}

// answerFiles are the files that the options name for reading.
func (c *Config) answerFiles() []string {
	if c.AnswerFile == "" || unknown.In(c.AnswerFile) {
		return nil
	}
	return []string{c.AnswerFile}
}

// writable: a file may be written there. It replaces no answer file.
func (c *Config) writable(path string) error { return hostfile.Writable(path, c.answerFiles()...) }

// writeLog keeps a log whole or not at all.
func (c *Config) writeLog(ctx context.Context, path string, content []byte) error {
	if err := c.writable(path); err != nil {
		return err
	}
	return hostfile.WriteFile(ctx, path, content)
}

// keepLog puts a log of the guest into log_directory, under a name below it, without
// what is secret and as far as the limits of a bundle go.
func (r *run) keepLog(ctx context.Context, path string, content []byte) error {
	name, err := filepath.Rel(r.config.LogDirectory, path)
	if err != nil {
		return err
	}
	fits, file := r.book.budget.Fit(filepath.ToSlash(name), content, r.scrub.text)
	if err := r.config.writeLog(ctx, path, fits); err != nil {
		return err
	}
	r.book.Saved(file)
	return nil
}

// saveLogs puts the logs into log_directory. Where the guest cannot be asked,
// what was seen of sysprep's own log while it ran is kept.
func (r *run) saveLogs(ctx context.Context, ask bool) {
	if r.config.LogDirectory == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, logsLimit)
	defer cancel()
	defer r.heart.Begin(heartbeat.Facts{Doing: "fetching the guest's logs", Limit: logsLimit}).End()
	found := r.fetchLogs(ctx, ask)
	saved := 0
	if ask {
		saved = r.saveAgentLogs(ctx)
	}
	for _, log := range windows.Logs() {
		content := found[log.Path.In(r.session.Windir())]
		if len(content) == 0 && log.Path == windows.SysprepLog {
			content = r.log
		}
		if len(content) == 0 {
			continue
		}
		saved += r.savedLog(ctx, log.OnHost(r.config.LogDirectory), content)
	}
	saved += r.saveConsulted(ctx)
	if saved == 0 {
		r.ui.Sayf("No log of the guest was saved in %s: there was none to read, or the lines above say why", r.config.LogDirectory)
		return
	}
	r.ui.Sayf("Saved logs of the guest in %s (files: %d)", r.config.LogDirectory, saved)
}

// savedLog is 1 where a log was kept, and 0 where it could not be: the others are tried all
// the same.
func (r *run) savedLog(ctx context.Context, path string, content []byte) int {
	if err := r.keepLog(ctx, path, content); err != nil {
		r.ui.Sayf("Could not save a log in log_directory: %s", err)
		return 0
	}
	return 1
}

const (
	// consultLimit bounds asking other logs for a cause that is known already.
	consultLimit = 30 * time.Second
	maxConsulted = 256 << 10 // of such a log the end is fetched
)

// consult asks the logs of servicing or the events of app deployment where the
// cause points to them. What cannot be had within the limit is left out.
func (r *run) consult(ctx context.Context, d *diagnosis.Diagnosis, run diagnosis.Progress) {
	if d == nil || !r.answering {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, consultLimit)
	defer cancel()
	found := map[string][]byte{}
	for _, source := range d.Asks() {
		switch source {
		case diagnosis.OfServicing:
			paths := map[string]string{windows.CBSLog.In(r.session.Windir()): "servicing/CBS.log", windows.DISMLog.In(r.session.Windir()): "servicing/dism.log"}
			// What was read of them counts, whatever the error.
			files, _ := r.session.FetchAll(ctx, slices.Collect(maps.Keys(paths)), maxConsulted)
			for path, content := range files {
				found[paths[path]] = content
			}
		case diagnosis.OfApps:
			if events, err := r.session.AppErrors(ctx); err == nil {
				found["apps/appx-events.txt"] = events
			}
		}
	}
	r.consulted = found
	for _, name := range slices.Sorted(maps.Keys(found)) {
		d.Consult(run, diagnosis.ReadLog(name, found[name]))
	}
}

// saveConsulted keeps what was asked for the cause beside the other logs.
func (r *run) saveConsulted(ctx context.Context) (saved int) {
	for _, name := range slices.Sorted(maps.Keys(r.consulted)) {
		if content := r.consulted[name]; len(content) > 0 {
			saved += r.savedLog(ctx, filepath.Join(r.config.LogDirectory, filepath.FromSlash(name)), content)
		}
	}
	return saved
}

// fetchLogs reads all logs by one command, and says what it could not read.
func (r *run) fetchLogs(ctx context.Context, ask bool) map[string][]byte {
	if !ask {
		return nil
	}
	var paths []string
	for _, log := range windows.Logs() {
		paths = append(paths, log.Path.In(r.session.Windir()))
	}
	cached := r.session.CachedAnswerFile()
	found, err := r.session.FetchAll(ctx, paths, maxLogFile, cached)
	if err != nil {
		r.ui.Sayf("Could not fetch logs of the guest: %s", err)
	}
	r.cached = found[cached]
	return found
}
