package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// inspectLimit bounds looking into a disk, which takes well under a second
// where nothing is wrong with the storage it lies on.
const inspectLimit = 10 * time.Minute

// ReportSuffix is added to the path of a disk for its report.
const ReportSuffix = ".report.json"

// Options say which disk is to be proven and what the build knows of it.
type Options struct {
	// Config is the block verify after Prepare.
	Config Config
	// Disk is the path of the disk; it is opened read-only.
	Disk string
	// Name stands for Disk in texts and in the report, and the report lies
	// beside it; for a disk that does not have its final name yet.
	Name string
	// NotBefore is when the build began: the tag must not be older than that,
	// less an hour for a guest's clock. Zero accepts any.
	NotBefore time.Time
	// AnswerFile and VMMode say whether /unattend and /mode:vm were used; nil
	// where that is not known.
	AnswerFile, VMMode *bool
	// Report is the path of the report unless Config says another; by default
	// it lies beside the disk.
	Report string
	// BackingFiles are what the disk may be based on besides the files in its
	// own folder, see diskimage.Allow.
	BackingFiles []string
	// Chain are the files that the disk was made from; nil for a disk that is
	// its own source.
	Chain []diskimage.Link
	// ReportMoves: the caller moves the report of a proven disk, and says where
	// it lies then.
	ReportMoves bool
}

func (o Options) name() string {
	if o.Name != "" {
		return o.Name
	}
	return o.Disk
}

func (o Options) report() string {
	switch {
	case o.Config.Report != "":
		return o.Config.Report
	case o.Report != "":
		return o.Report
	}
	return o.name() + ReportSuffix
}

// Result is what is known of an image. It is empty when the proof is switched
// off.
type Result struct {
	Report winimage.Report
	Proof  winimage.Proof
	// ReportPath is the JSON file with both.
	ReportPath string
}

// NotProven says why an image is not to be handed over.
type NotProven struct {
	Disk string
	Result
}

// document is the JSON form of a Result.
type document struct {
	Schema int             `json:"schema"`
	Report winimage.Report `json:"report"`
	Proof  winimage.Proof  `json:"proof"`
}

// Run proves a disk, says the judgement and writes the report. The error is a
// *NotProven for a disk that could be read and is not what was expected; any
// other error means that nothing can be said about it. With verify.enabled =
// false it says so and does nothing.
func Run(ctx context.Context, ui packersdk.Ui, o Options) (Result, error) {
	if o.Config.Enabled.False() {
		ui.Sayf("The image is not proven: verify.enabled is false")
		return Result{}, nil
	}
	r, err := Check(ctx, o)
	if err != nil {
		return Result{}, err
	}
	for _, line := range judgement(o.name(), r, o.ReportMoves) {
		ui.Say(line)
	}
	if !r.Proof.Proven {
		return r, &NotProven{Disk: o.name(), Result: r}
	}
	return r, nil
}

// Check is Run without a word: Proof.Proven tells the outcome.
func Check(ctx context.Context, o Options) (Result, error) {
	r := Result{ReportPath: o.report()}
	err := withDisk(ctx, o.Disk, o.BackingFiles, func(ctx context.Context, d diskimage.Disk) (err error) {
		r.Report, err = winimage.Inspect(ctx, d, winimage.Options{Name: o.name()})
		return err
	})
	if err != nil {
		return Result{}, fmt.Errorf("proving %s: %w", o.name(), err)
	}
	if len(o.Chain) > 1 {
		r.Report.Disk.Chain = o.Chain
	}
	r.Proof = winimage.Prove(r.Report, o.Config.expectation(o))
	content, err := json.MarshalIndent(document{winimage.ReportSchema, r.Report, r.Proof}, "", "  ")
	if err == nil {
		err = writeFile(r.ReportPath, append(content, '\n'))
	}
	if err != nil {
		return Result{}, fmt.Errorf("writing report of %s: %w; set verify.report to a path that can be written", o.name(), err)
	}
	return r, nil
}

// Recheck proves what was made of a disk that had been proven; its report
// takes the place of the first. Nothing is said: the facts are the same.
func Recheck(ctx context.Context, o Options) (Result, error) {
	r, err := Check(ctx, o)
	if err == nil && !r.Proof.Proven {
		err = fmt.Errorf("the disk was proven before it was converted, and is not any more: %w", &NotProven{Disk: o.name(), Result: r})
	}
	return r, err
}

// withDisk opens a disk read-only for f, which gets a context with a limit.
func withDisk(ctx context.Context, path string, backing []string, f func(context.Context, diskimage.Disk) error) error {
	ctx, cancel := context.WithTimeout(ctx, inspectLimit)
	defer cancel()
	d, err := diskimage.Open(path, diskimage.Until(ctx), diskimage.Allow(backing...))
	if err != nil {
		return err
	}
	defer d.Close()
	return f(ctx, d)
}

// writeFile writes under another name first, so that the file is whole or
// absent. It makes the folder.
func writeFile(path string, content []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	part, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			part.Close()
			os.Remove(part.Name())
		}
	}()
	if _, err := part.Write(content); err != nil {
		return err
	}
	// What lies beside a disk is read by whoever may read the disk.
	if err := part.Chmod(0o644); err != nil {
		return err
	}
	if err := part.Sync(); err != nil {
		return err
	}
	if err := part.Close(); err != nil {
		return err
	}
	return os.Rename(part.Name(), path)
}
