package proof

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidence"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
)

// ReportSuffix is added to the path of a disk for its report.
const ReportSuffix = ".report.json"

// maxReport bounds the report that is read before it is replaced.
const maxReport = 64 << 20

// reportHead is how each report begins, of whatever schema.
var reportHead = lazyregexp.New(`^\s*\{\s*"schema"\s*:\s*\d`)

// CheckReport says why a report cannot be written at path, nil if it can: see
// hostfile.Writable. A file that is there must be a report or empty, so that
// a slip of the pen replaces nothing of value. Files are what the build reads
// and what it makes.
func CheckReport(path string, files ...string) error {
	if err := hostfile.Writable(path, files...); err != nil {
		return err
	}
	ours, err := isReport(path)
	if err == nil && !ours {
		err = fmt.Errorf("%s exists already and is not a report: choose another path, or remove it", path)
	}
	return err
}

// isReport reports whether a file is absent, empty or one of our reports.
func isReport(path string) (bool, error) {
	f, info, err := hostfile.OpenRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if info.Size() == 0 {
		return true, nil
	}
	head, err := io.ReadAll(io.LimitReader(f, 256))
	return reportHead.Match(head), err
}

// isOurs reports whether a file is absent, empty, a report or evidence.
func isOurs(path string) bool {
	if ours, err := isReport(path); err == nil && ours {
		return true
	}
	ours, err := evidence.IsOurs(path)
	return err == nil && ours
}

// PrepareReport checks the path of the report, if it is known: it must be
// none of the files.
func (c *Config) PrepareReport(files ...string) (errs []error) {
	if c.Report == "" || unknown.In(c.Report) || c.Enabled.False() {
		return nil
	}
	if err := CheckReport(c.Report, files...); err != nil {
		errs = append(errs, fmt.Errorf("verify.report: %w", err))
	}
	return errs
}

// RemoveStale removes reports of a disk that no longer exists, and its evidence, so
// that nothing claims that it is proven; with disk "" reports of one that never was.
func RemoveStale(ctx context.Context, ui packersdk.Ui, disk string, reports ...string) {
	if _, err := os.Lstat(disk); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	if disk != "" {
		reports = append(reports[:len(reports):len(reports)], evidence.Paths(disk)...)
	}
	for _, path := range reports {
		if info, err := os.Lstat(path); path == "" || err != nil || info.Size() == 0 {
			continue
		}
		if !isOurs(path) {
			continue
		}
		if err := hostfile.Remove(ctx, path); err != nil {
			ui.Errorf("The report %s is of an earlier build and could not be removed: %s", path, err)
			continue
		}
		ui.Sayf("Removed %s, the report of an image that no longer exists", path)
	}
}

// save writes the report.
func (r Result) save(ctx context.Context, path string, files ...string) error {
	content, err := render.File(finding.Report{Subject: finding.Disk, Name: r.Facts.Disk.Path, Findings: r.Findings, Facts: r.Facts})
	if err != nil {
		return err
	}
	if err := CheckReport(path, files...); err != nil {
		return err
	}
	return hostfile.WriteFile(ctx, path, content)
}

// Placement is a finished disk under a temporary name, and where it belongs.
type Placement struct {
	// From is the temporary name, To the final one, on one file system.
	From, To string
	// Result is that of its proof; empty where the proof is switched off.
	Result Result
	// Report is the path of its report; by default it lies beside the disk.
	Report string
	// Inputs are never replaced.
	Inputs []string
}

// Unplaced is a finished disk that could not be given its name.
type Unplaced struct {
	// Path is where it lies instead.
	Path string
	err  error
}

func (e *Unplaced) Error() string {
	return fmt.Sprintf("the image is finished but could not get its name: %s; it is kept as %s: move it yourself", e.err, e.Path)
}

func (e *Unplaced) Unwrap() error { return e.err }

// Place gives a finished disk its name and writes its report. An earlier disk
// of that name is replaced in one move. A report or evidence never stands beside a disk
// that it is not about: that of the earlier disk goes before the move, that of
// the new one comes after it, so that a crash in between leaves a disk without
// a report. A report that cannot be written is said and is no error, since the
// disk is good without; report is "" then. A disk that cannot be moved is kept:
// the error is an *Unplaced.
func Place(ctx context.Context, ui packersdk.Ui, p Placement) (report string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	target, beside := p.Report, p.To+ReportSuffix
	if target == "" {
		target = beside
	}
	err = hostfile.Writable(p.To, p.Inputs...)
	if err == nil {
		old := takeReports(ctx, ui, append(evidence.Paths(p.To), target, beside)...)
		if err = hostfile.Rename(ctx, p.From, p.To); err != nil {
			old.restore(ctx)
		}
	}
	if err != nil {
		if ctx.Err() != nil {
			return "", err
		}
		return "", p.keep(ctx, err)
	}
	if len(p.Result.Findings) == 0 {
		return "", nil
	}
	if err := p.Result.save(ctx, target, append(p.Inputs, p.To)...); err != nil {
		ui.Errorf("The image %s is whole and proven, but its report could not be written: %s; set verify.report to a path that can be written", p.To, err)
		return "", nil
	}
	return target, nil
}

// keep finds another name for a disk that could not get its own.
func (p Placement) keep(ctx context.Context, why error) error {
	kept := &Unplaced{Path: p.From, err: why}
	extension := filepath.Ext(p.To)
	for n := range 100 {
		path := fmt.Sprintf("%s-finished-%d%s", strings.TrimSuffix(p.To, extension), n+1, extension)
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			if hostfile.Rename(ctx, p.From, path) == nil {
				kept.Path = path
			}
			break
		}
	}
	return kept
}

// taken are reports by their path.
type taken map[string][]byte

// takeReports removes the reports of the earlier disk and its evidence, and remembers
// them.
func takeReports(ctx context.Context, ui packersdk.Ui, paths ...string) taken {
	old := taken{}
	for _, path := range paths {
		if !isOurs(path) {
			continue
		}
		content, err := hostfile.ReadRegular(path, maxReport)
		if err == nil {
			err = hostfile.Remove(ctx, path)
		}
		switch {
		case err == nil:
			old[path] = content
		case !errors.Is(err, fs.ErrNotExist):
			ui.Errorf("The report %s is of the image before this one and could not be removed: %s", path, err)
		}
	}
	return old
}

// restore puts them back, after a cancel too: the earlier disk is still there.
func (t taken) restore(ctx context.Context) {
	ctx = context.WithoutCancel(ctx) // a write has its own limit
	for path, content := range t {
		_ = hostfile.WriteFile(ctx, path, content) // the disk's own error is said
	}
}
