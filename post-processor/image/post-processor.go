// Package image is the post-processor "sysprep-image": it proves the disk of
// any other builder, and converts it.
package image

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2/hcldec"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/compact"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge/packerui"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/parent"
)

// BuilderID names the maker of an artifact to other post-processors.
const BuilderID = "packer-plugin-sysprep.image"

// PostProcessor implements packersdk.PostProcessor.
type PostProcessor struct{ config Config }

var _ packersdk.PostProcessor = (*PostProcessor)(nil)

// ConfigSpec implements packersdk.HCL2Speccer.
func (p *PostProcessor) ConfigSpec() hcldec.ObjectSpec { return p.config.FlatMapstructure().HCL2Spec() }

// Configure implements packersdk.PostProcessor.
func (p *PostProcessor) Configure(raws ...any) error { return edge.Error(p.config.decode(raws...)) }

// PostProcess proves the disk of the artifact, and converts it if a format is
// set. The input is only read. Without conversion the input is what it hands
// on, so that it is kept whatever keep_input_artifact says.
func (p *PostProcessor) PostProcess(ctx context.Context, ui packersdk.Ui, input packersdk.Artifact) (packersdk.Artifact, bool, bool, error) {
	made, keep, force, err := p.process(ctx, packerui.Wrap(ui), input)
	return made, keep, force, edge.Error(err)
}

func (p *PostProcessor) process(ctx context.Context, ui packersdk.Ui, input packersdk.Artifact) (packersdk.Artifact, bool, bool, error) {
	ctx, cancel := parent.Bind(ctx)
	defer cancel()
	p.config.Report.Begin(ctx, ui)
	told := newTold()
	var made packersdk.Artifact
	var keep, force bool
	err := edge.Guard("proving or converting the disk", func() (err error) {
		made, keep, force, err = p.work(ctx, ui, input, told)
		return err
	})
	if c := (*edge.Crash)(nil); errors.As(err, &c) {
		err = fmt.Errorf("%w; next: %s", err, edge.NextOfCrash)
	}
	p.writeReports(ctx, ui, told, err)
	return made, keep, force, err
}

// work is process without its report.
func (p *PostProcessor) work(ctx context.Context, ui packersdk.Ui, input packersdk.Artifact, told *told) (packersdk.Artifact, bool, bool, error) {
	told.begins("find the disk")
	// The files of an artifact may be based on each other.
	found, err := findDisk(ctx, input.Files(), slices.Concat(p.config.BackingFiles, input.Files()))
	if err != nil {
		return nil, false, false, err
	}
	found.inputs = append(found.inputs, p.config.Evidence.Inputs()...)
	if err := told.found(found, &p.config.Report); err != nil {
		return nil, false, false, err
	}
	ui.Sayf("Disk of the artifact: %s", found.path)
	if len(found.chain) > 1 {
		ui.Sayf("Backing chain: %s", diskimage.Lineage(found.chain))
	}
	for _, warning := range found.warnings {
		ui.Sayf("Warning: %s: %s", found.path, warning)
	}
	if p.config.Format == "" {
		if err := p.proveAsItIs(ctx, ui, found, told); err != nil {
			return nil, false, false, err
		}
		return input, true, true, nil
	}
	output, err := p.config.outputPath(generatedData(input))
	if err == nil && p.config.Format != formatWIM {
		err = diskimage.CanHold(found.info, p.config.conversion())
	}
	if err != nil {
		return nil, false, false, err
	}
	made, err := p.convert(ctx, ui, found, output, input, told)
	if err != nil {
		return nil, false, false, err
	}
	keep := mustKeep(input, found, output)
	if keep != "" {
		ui.Say(keep)
	}
	return made, keep != "", keep != "", nil
}

// mustKeep says why the artifact must not be removed, "" if it may be: Packer
// removes all of it unless keep_input_artifact is set.
func mustKeep(input packersdk.Artifact, found disks, output string) string {
	if len(found.left) > 0 {
		return fmt.Sprintf("Warning: the input is kept, whatever keep_input_artifact says, because it holds files that are not in the output: %s. Only the disk with Windows was converted; save the others before you remove the input.",
			strings.Join(found.left, ", "))
	}
	if folder, inside := removedWith(input, output); inside {
		return fmt.Sprintf("The input is kept, because the output lies in its folder, %s, which Packer would remove with it", folder)
	}
	return ""
}

// open opens a disk with what it may be based on.
func open(ctx context.Context, disk string, backing []string) (diskimage.Disk, error) {
	return diskimage.Open(disk, diskimage.Until(ctx), diskimage.Allow(backing...))
}

// write converts the disk into a file in the scratch folder and returns its
// path and what was done.
func (p *PostProcessor) write(ctx context.Context, ui packersdk.Ui, found disks, output, scratch string) (string, diskimage.Stats, error) {
	none := diskimage.Stats{}
	src, err := open(ctx, found.path, found.backing)
	if err != nil {
		return "", none, err
	}
	defer src.Close()
	options := p.config.conversion()
	heart := heartbeat.New(heartbeat.Real(time.Now, nil), ui.Say)
	wait := heart.Begin(heartbeat.Facts{Doing: "converting the disk"})
	defer wait.End()
	fifths := progress(ui)
	options.Progress = func(done, total int64) {
		wait.Percent(done, total)
		fifths(done, total)
	}
	if p.config.Compact.True() {
		looking := heart.Begin(heartbeat.Facts{Doing: "looking for free space on the disk"})
		skip, said, err := compact.Skipper(ctx, src)
		looking.End()
		if err != nil {
			return "", none, err
		}
		ui.Say(said)
		options.Skip = skip
	}
	disk := src
	if options.AlignMiB {
		var said string
		if disk, said, err = compact.Grown(src, diskimage.MiB); err != nil {
			return "", none, err
		}
		if said != "" {
			ui.Say(said)
		}
	}
	kind := strings.TrimSpace(string(options.Type) + " " + string(options.Format))
	ui.Sayf("Converting to %s: %s", kind, output)
	unproven := filepath.Join(scratch, "unproven"+filepath.Ext(output))
	stats, err := diskimage.Convert(ctx, disk, unproven, options)
	if err != nil {
		return "", none, err
	}
	ui.Sayf("Converted: virtual size %d MiB, %d MiB of data, %d MiB left out", stats.VirtualSize>>20, stats.Written>>20, stats.Skipped>>20)
	return unproven, stats, nil
}

// progress says each fifth of a conversion.
func progress(ui packersdk.Ui) func(done, total int64) {
	said := int64(0)
	return func(done, total int64) {
		if total <= 0 {
			return
		}
		if fifth := done * 5 / total; fifth > said && fifth < 5 {
			said = fifth
			ui.Sayf("  %d%% of %d MiB", fifth*20, total>>20)
		}
	}
}

// removedWith reports whether a path lies in a folder that may be removed with
// the artifact: builders remove their output directory as a whole. It is the
// one that the artifact names, as qemu, virtualbox and hyperv do, or the
// folder that all of its files have in common.
func removedWith(input packersdk.Artifact, path string) (string, bool) {
	if _, named, ok := strings.Cut(input.String(), "directory: "); ok && named != "" && hostfile.Within(named, path) {
		return named, true
	}
	common := ""
	for i, file := range input.Files() {
		dir, err := filepath.Abs(filepath.Dir(file))
		if err != nil {
			continue
		}
		if i == 0 {
			common = dir
		}
		for common != filepath.Dir(common) && !hostfile.Within(common, dir) {
			common = filepath.Dir(common)
		}
	}
	// Nobody's output directory is the one that Packer runs in.
	return common, common != "" && hostfile.Within(common, path) && !hostfile.Within(common, ".")
}
