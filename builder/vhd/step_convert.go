package vhd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/multistep"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/compact"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidence"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
)

// progressEvery is how often a long conversion is heard of.
const progressEvery = 15 * time.Second

// stepConvert writes the disk in its final format, proves what was written,
// and only then gives it its name.
type stepConvert struct{}

func (*stepConvert) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	run, ui := runOf(state)
	defer run.phase("convert", state)()
	c, path := run.config, run.config.outputPath()
	kind := c.Format
	if c.VHDType != "" {
		kind = c.VHDType + " " + kind
	}
	ui.Sayf("Writing the disk as %s: %s", kind, path)
	began, unproven := time.Now(), filepath.Join(run.scratch, "output-"+filepath.Base(path))
	hashing, stop := context.WithCancel(ctx)
	sources := run.sources(hashing)
	defer func() {
		stop()
		_, _ = sources() // it has been told what came of it
	}()
	stats, err := run.write(ctx, ui, unproven)
	run.output.digests = stats.Digests
	var result proof.Result
	if err == nil && !c.Verify.Enabled.False() {
		result, err = proof.Recheck(ctx, ui, run.proving(unproven))
		run.told.proved(result, err)
	}
	var bill []byte
	if err == nil {
		bill, err = run.bill(ctx, ui, unproven)
	}
	var documents []evidence.Document
	if err == nil {
		documents, err = run.evidence(result, sources, bill)
	}
	if err == nil {
		tested := time.Now()
		err = run.bootTest(ctx, ui, unproven)
		began = began.Add(time.Since(tested)) // it is no part of writing
	}
	if err == nil {
		run.report, err = proof.Place(ctx, ui, proof.Placement{From: unproven, To: path, Result: result, Report: c.Verify.Report, Inputs: run.inputs()})
	}
	if err != nil {
		if unplaced := (*proof.Unplaced)(nil); errors.As(err, &unplaced) {
			run.output.kept = unplaced.Path
		}
		if ctx.Err() != nil {
			return multistep.ActionHalt
		}
		if booted := (*bootTestError)(nil); errors.As(err, &booted) {
			return halt(state, err)
		}
		return halt(state, fmt.Errorf("writing the output: %w", err))
	}
	run.output.path, run.output.virtualSize = path, stats.VirtualSize
	if run.report != "" {
		ui.Sayf("Report: %s", run.report)
	}
	run.writeEvidence(ctx, ui, documents)
	left := ""
	if stats.Skipped > 0 {
		left = fmt.Sprintf(", %d MiB of free clusters and page files left out", stats.Skipped>>20)
	}
	ui.Sayf("Wrote %s in %s: %.1f GiB disk, %.1f GiB file%s", path, time.Since(began).Round(time.Second/10), gib(stats.VirtualSize), gib(fileSize(path)), left)
	if ctx.Err() != nil {
		return multistep.ActionHalt // nothing after the last step looks for a cancel
	}
	return multistep.ActionContinue
}

func (*stepConvert) Cleanup(multistep.StateBag) {}

// write reads the machine's disk with all files below it and writes another.
func (r *run) write(ctx context.Context, ui packersdk.Ui, to string) (diskimage.Stats, error) {
	disk, err := r.open(ctx, r.disk.Path)
	if err != nil {
		return diskimage.Stats{}, err
	}
	defer disk.Close()
	options, said := r.config.conversion(), time.Now()
	options.Progress = func(done, total int64) {
		if total > 0 && time.Since(said) >= progressEvery {
			said = time.Now()
			ui.Sayf("%d %% of %.1f GiB", done*100/total, gib(total))
		}
	}
	if options.Digest {
		wait := r.heart.Begin(heartbeat.Facts{Doing: "writing the disk and hashing it"})
		defer wait.End()
	}
	if r.config.Compact.True() {
		wait := r.heart.Begin(heartbeat.Facts{Doing: "looking for free space on the disk"})
		skip, said, err := compact.Skipper(ctx, disk)
		wait.End()
		if err != nil {
			return diskimage.Stats{}, err
		}
		ui.Say(said)
		options.Skip = skip
	}
	src := disk
	if options.AlignMiB {
		grown, said, err := compact.Grown(disk, diskimage.MiB)
		if err != nil {
			return diskimage.Stats{}, err
		}
		if said != "" {
			ui.Say(said)
		}
		src = grown
	}
	return diskimage.Convert(ctx, src, to, options)
}
