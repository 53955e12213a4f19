package proof

import (
	"context"
	"fmt"
	"slices"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/boots"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/target"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// inspectLimit bounds looking into a disk, which takes well under a second
// where nothing is wrong with the storage it lies on.
const inspectLimit = 10 * time.Minute

// Disk is a disk to be proven, wherever it lies.
type Disk struct {
	Name string
	// Open opens the disk to be read until the context ends.
	Open func(context.Context) (diskimage.Disk, error)
}

// File is a disk image on this machine. It may be based on files in its own
// folder, and on those in backing (diskimage.Allow).
func File(path string, backing ...string) Disk {
	return Disk{path, func(ctx context.Context) (diskimage.Disk, error) {
		return diskimage.Open(path, diskimage.Until(ctx), diskimage.Allow(backing...))
	}}
}

// Options say which disk is to be proven and what the build knows of it.
type Options struct {
	// Config is the block verify after Prepare.
	Config Config
	Disk   Disk
	// Name stands for the disk's in texts and in the report, and the report lies
	// beside it; for a disk that does not have its final name yet.
	Name string
	// Source is what the disk that the build started from had, so that a tag
	// which came with it is told from a new one; nil where that is not known.
	Source *winimage.Source
	// AnswerFile: /unattend was used, so it is to be cached. VMMode says whether
	// /mode:vm was; nil: not asked.
	AnswerFile bool
	VMMode     *bool
	// Run is the id of the sysprep run of this build; empty where none is known.
	Run string
	// Report is the path of the report unless Config says another; by default
	// it lies beside the disk.
	Report string
	// Chain are the files that the disk was made from; nil for a disk that is
	// its own source.
	Chain []diskimage.Link
	// PlacedLater: the caller hands a proven disk to Place, which writes its
	// report. That of a disk that is refused is written at once.
	PlacedLater bool
	// Replaces: an earlier disk, with its report, has the name that this one is
	// to get. The report of a disk that is refused goes to Report then, even
	// where Config says another path: what lies there is about the earlier disk.
	Replaces bool
	// Inputs are files that the report must not replace, besides the disk with
	// its parents.
	Inputs []string
}

func (o Options) name() string {
	if o.Name != "" {
		return o.Name
	}
	return o.Disk.Name
}

func (o Options) report() string {
	switch {
	case o.Replaces && o.Report != "":
		return o.Report
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
	// Facts are what the disk says, Findings every assertion that was made.
	Facts    winimage.Facts
	Findings []finding.Finding
	// Windows are the installations that were judged, in a few words.
	Windows string
	// ReportPath is the JSON file with both; "" where it is not written (yet).
	ReportPath string
	// files are the disk and its parents.
	files []string
}

// Proven reports whether the image was looked at, and may be handed over.
func (r Result) Proven() bool {
	return len(r.Findings) > 0 && finding.Worst(r.Findings) != finding.Fail
}

// Describe is the Windows that was proven, "" where none was.
func (r Result) Describe() string {
	if !r.Proven() || len(r.Facts.Windows) == 0 {
		return ""
	}
	return r.Facts.Windows[0].Describe()
}

// NotProven says why an image is not to be handed over.
type NotProven struct {
	Disk string
	Result
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
	r, err := checked(ctx, ui, o, !o.PlacedLater)
	if err != nil {
		return Result{}, err
	}
	if !r.Proven() || !o.PlacedLater {
		r.write(ctx, ui, o)
	}
	for _, line := range judgement(o.name(), r) {
		ui.Say(line)
	}
	if !r.Proven() {
		return r, &NotProven{Disk: o.name(), Result: r}
	}
	return r, nil
}

// write saves the report. What is known of a disk does not depend on it, so
// that a report that cannot be written is said and is no error.
func (r *Result) write(ctx context.Context, ui packersdk.Ui, o Options) {
	path := o.report()
	if err := r.save(ctx, path, slices.Concat(o.Inputs, r.files, []string{o.Disk.Name, o.Name})...); err != nil {
		ui.Errorf("The report of %s could not be written: %s; set verify.report to a path that can be written", o.name(), err)
		return
	}
	r.ReportPath = path
}

// Check is Run without a word and without a report: Result.Proven tells the
// outcome.
func Check(ctx context.Context, o Options) (Result, error) { return check(ctx, o, !o.PlacedLater) }

// check is Check. finished: the disk is the file that is handed over, so the place it goes
// to has a say.
func check(ctx context.Context, o Options, finished bool) (Result, error) {
	r, info, err := o.inspect(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("proving %s: %w", o.name(), err)
	}
	disk := r.Facts.Disk
	if len(o.Chain) > 1 {
		r.Facts.Disk.Chain = o.Chain
	}
	e := o.Config.expectation(o)
	r.Findings, r.Windows = winimage.Prove(r.Facts, e), winimage.Names(e.Judged(r.Facts))
	image := target.Image{Info: info, TableSector: disk.TableSector, Scheme: disk.Scheme, Generation: disk.Generation}
	file := &image
	if !finished {
		file = nil
	}
	starts := boots.Prove(o.Config.BootsOn, r.Facts, e.Judged(r.Facts), file, o.Config.BootsOnStrict)
	r.Findings = append(r.Findings, e.Severities.Apply(starts)...)
	if finished && o.Config.Target != "" {
		r.Findings = append(r.Findings, e.Severities.Apply(target.Judge(target.Target(o.Config.Target), image, finding.Fail))...)
	}
	return r, nil
}

// checked is check that says once a minute that it goes on: a disk may lie on slow
// storage.
func checked(ctx context.Context, ui packersdk.Ui, o Options, made bool) (r Result, err error) {
	heart := heartbeat.New(heartbeat.Real(time.Now, nil), ui.Say)
	err = heart.During(heartbeat.Facts{Doing: "reading the disk to prove it", Limit: inspectLimit}, func() error {
		r, err = check(ctx, o, made)
		return err
	})
	return r, err
}

// Recheck proves what was made of a disk that had been proven, and what it is
// made for. Nothing is said of a disk that is proven again: the facts are the same.
func Recheck(ctx context.Context, ui packersdk.Ui, o Options) (Result, error) {
	r, err := checked(ctx, ui, o, true)
	if err == nil && !r.Proven() {
		r.write(ctx, ui, o)
		err = fmt.Errorf("the disk was proven before the conversion, but the converted disk is not: %w", &NotProven{Disk: o.name(), Result: r})
	}
	return r, err
}

// inspect gathers what the disk says.
func (o Options) inspect(ctx context.Context) (Result, diskimage.Info, error) {
	ctx, cancel := context.WithTimeout(ctx, inspectLimit)
	defer cancel()
	d, err := o.Disk.Open(ctx)
	if err != nil {
		return Result{}, diskimage.Info{}, err
	}
	defer d.Close()
	info := d.Info()
	facts, err := winimage.Inspect(ctx, d, winimage.Options{Name: o.name(), Starting: boots.Asks(o.Config.BootsOn)})
	return Result{Facts: facts, files: info.Files}, info, err
}
