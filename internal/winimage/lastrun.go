package winimage

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// lastRun reads the last run in sysprep's log, from as much of the end of the
// log as holds it: the log grows with every run, and runs are seldom long.
func (d *drive) lastRun() *Log {
	file := d.file(actLog)
	if file == nil {
		return nil
	}
	log := &Log{File: *file, Options: []string{}}
	var run diagnosis.Run
	for _, size := range []int64{logTail, maxLog} {
		var err error
		if run, err = d.trackLog(actLog, size); err != nil {
			d.problem(actLog, reason(err))
			return log
		}
		if run.Progress.Runs > 0 || file.Size <= size {
			break
		}
	}
	if run.Progress.Runs == 0 && file.Size > maxLog {
		d.limit(actLog, fmt.Errorf("no run begins in its last %s: %w", budget.Size(maxLog), budget.ErrExceeded))
	}
	log.Runs = run.Progress.Runs
	if len(run.Lines) == 0 {
		return log
	}
	log.Options, log.TagCreated = append(log.Options, run.Progress.Options...), run.Progress.TagCreated
	for _, l := range run.Lines[max(0, len(run.Lines)-lastLines):] {
		log.Last = append(log.Last, budget.Cut(l.Raw, maxShown))
	}
	if d, ok := diagnosis.Diagnose(run); ok && !log.TagCreated {
		log.Diagnosis = &d
	}
	return log
}

// firstBoot says why the first boot of an image failed, nil where none was begun
// or it did not fail. A state that sysprep left in the middle of its work is not
// one of a first boot.
func (d *drive) firstBoot(w Windows) *diagnosis.Diagnosis {
	means := windows.State(w.Setup.ImageState).Means()
	if means != windows.Unfinished && means != windows.BeforeOOBE || w.Log != nil && w.Log.Diagnosis != nil && !w.Log.TagCreated {
		return nil
	}
	for _, log := range windows.Logs() {
		path := log.Path.OnVolume()
		if path == actLog || log.Name != windows.ActLog && log.Name != windows.ErrLog || log.Path == windows.SysprepLogs+`\`+windows.ErrLog || d.file(path) == nil {
			continue
		}
		run, err := d.trackLog(path, maxLog)
		if err != nil {
			d.problem(path, reason(err))
			continue
		}
		if cause, ok := diagnosis.FirstBoot(run); ok {
			cause.Where.File = path
			return &cause
		}
	}
	return nil
}

// trackLog reads the last size bytes of a log, piece by piece, since a log
// may hold anything.
func (d *drive) trackLog(path string, size int64) (diagnosis.Run, error) {
	f, err := d.open(path)
	if err != nil {
		return diagnosis.Run{}, err
	}
	defer f.Close()
	var tracker diagnosis.Tracker
	b := make([]byte, 64<<10)
	off := max(0, f.size-size) &^ 1
	if off > 0 { // the first bytes tell the encoding
		if _, err := f.ReadAt(b[:4], 0); err != nil {
			return diagnosis.Run{}, err
		}
		tracker.Feed(b[:4])
	}
	for off < f.size {
		n, err := f.ReadAt(b[:min(int64(len(b)), f.size-off)], off)
		if n == 0 && errors.Is(err, io.EOF) {
			err = fmt.Errorf("its content ends at %d of %d bytes", off, f.size)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return diagnosis.Run{}, err
		}
		if err := d.log.Spend(int64(n), int64(bytes.Count(b[:n], []byte("\n")))); err != nil {
			return diagnosis.Run{}, err
		}
		tracker.Feed(b[:n])
		off += int64(n)
	}
	tracker.Flush()
	return tracker.Run(), nil
}
