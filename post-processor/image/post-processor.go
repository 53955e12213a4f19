// Package image is the post-processor "sysprep-image": it proves the disk of
// any other builder, and converts it.
package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hcldec"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/verify"
)

// BuilderID names the maker of an artifact to other post-processors.
const BuilderID = "packer-plugin-sysprep.image"

// PostProcessor implements packersdk.PostProcessor.
type PostProcessor struct{ config Config }

var _ packersdk.PostProcessor = (*PostProcessor)(nil)

// ConfigSpec implements packersdk.HCL2Speccer.
func (p *PostProcessor) ConfigSpec() hcldec.ObjectSpec { return p.config.FlatMapstructure().HCL2Spec() }

// Configure implements packersdk.PostProcessor.
func (p *PostProcessor) Configure(raws ...any) error { return p.config.decode(raws...) }

// PostProcess proves the disk of the artifact, and converts it if a format is
// set. The input is only read. Without conversion the input is what it hands
// on, so that it is kept whatever keep_input_artifact says.
func (p *PostProcessor) PostProcess(ctx context.Context, ui packersdk.Ui, input packersdk.Artifact) (packersdk.Artifact, bool, bool, error) {
	disk, err := findDisk(ctx, input.Files(), p.backing(input))
	if err != nil {
		return nil, false, false, err
	}
	ui.Sayf("Disk of the artifact: %s", disk)
	chain, err := chainOf(ctx, disk, p.backing(input))
	if err != nil {
		return nil, false, false, err
	}
	if len(chain) > 1 {
		ui.Sayf("Backing chain: %s", diskimage.Lineage(chain))
	}
	if p.config.Format == "" {
		options := verify.Options{Config: p.config.Verify, Disk: disk, Report: filepath.Join(p.config.folder(), filepath.Base(disk)+verify.ReportSuffix), BackingFiles: p.backing(input)}
		if _, err := verify.Run(ctx, ui, options); err != nil {
			return nil, false, false, err
		}
		return input, true, true, nil
	}
	output, err := p.config.outputPath(generatedData(input))
	if err != nil {
		return nil, false, false, err
	}
	made, err := p.convert(ctx, ui, disk, chain, output, input)
	if err != nil {
		return nil, false, false, err
	}
	if folder, inside := removedWith(input, output); inside {
		ui.Sayf("The input is kept, because the output lies in its folder, %s, which Packer would remove with it", folder)
		return made, true, true, nil
	}
	return made, false, false, nil
}

// convert proves the disk, converts it, and proves what came out before it
// gets its name. After an error there is no output; the report stays only if
// it says what is wrong.
func (p *PostProcessor) convert(ctx context.Context, ui packersdk.Ui, disk string, chain []diskimage.Link, output string, input packersdk.Artifact) (_ *artifact, err error) {
	_, err = os.Stat(output)
	if err == nil && !p.config.PackerForce {
		return nil, fmt.Errorf("output: %s exists already; remove it, set another output, or use packer build -force", output)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("output: %w", err)
	}
	a := &artifact{path: output}
	folder := filepath.Dir(output)
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		a.madeFolder = true
	}
	proof := verify.Options{Config: p.config.Verify, Disk: disk, Report: output + verify.ReportSuffix, BackingFiles: p.backing(input), Chain: chain}
	result, err := verify.Run(ctx, ui, proof)
	if err != nil {
		return nil, err
	}
	a.report = result.ReportPath
	defer func() {
		var refused *verify.NotProven
		if err != nil && !errors.As(err, &refused) {
			if a.report != "" {
				os.Remove(a.report)
			}
			if a.madeFolder {
				os.Remove(folder) // fails while it holds anything
			}
		}
	}()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("output: making its folder: %w", err)
	}
	unproven, err := p.write(ctx, ui, disk, proof.BackingFiles, output)
	if err != nil {
		return nil, err
	}
	proof.Disk, proof.Name = unproven, output
	if !p.config.Verify.Enabled.False() {
		if result, err = verify.Recheck(ctx, proof); err != nil {
			os.Remove(unproven)
			return nil, err
		}
	}
	if err := os.Rename(unproven, output); err != nil {
		os.Remove(unproven)
		return nil, fmt.Errorf("output: %w", err)
	}
	ui.Sayf("Image: %s", output)
	a.describe(input, &p.config, result)
	return a, nil
}

// backing is what the disks of an artifact may be based on: the other files of
// the artifact, and what the user allows.
func (p *PostProcessor) backing(input packersdk.Artifact) []string {
	return slices.Concat(p.config.BackingFiles, input.Files())
}

// open opens a disk with what it may be based on.
func open(ctx context.Context, disk string, backing []string) (diskimage.Disk, error) {
	return diskimage.Open(disk, diskimage.Until(ctx), diskimage.Allow(backing...))
}

// chainOf are the files whose content a disk holds.
func chainOf(ctx context.Context, disk string, backing []string) ([]diskimage.Link, error) {
	d, err := open(ctx, disk, backing)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Info().Chain(), nil
}

// write converts the disk under a temporary name in the folder of the output
// and returns that name.
func (p *PostProcessor) write(ctx context.Context, ui packersdk.Ui, disk string, backing []string, output string) (_ string, err error) {
	src, err := open(ctx, disk, backing)
	if err != nil {
		return "", err
	}
	defer src.Close()
	options := p.config.conversion()
	options.Progress = progress(ui)
	if p.config.Compact.True() {
		if options.Skip, err = verify.Compaction(ctx, ui, src); err != nil {
			return "", err
		}
	}
	temp, err := os.CreateTemp(filepath.Dir(output), filepath.Base(output)+".unproven-*")
	if err != nil {
		return "", fmt.Errorf("output: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(temp.Name())
		}
	}()
	if err := temp.Close(); err != nil {
		return "", fmt.Errorf("output: %w", err)
	}
	kind := strings.TrimSpace(string(options.Type) + " " + string(options.Format))
	ui.Sayf("Converting to %s: %s", kind, output)
	stats, err := diskimage.Convert(ctx, src, temp.Name(), options)
	if err != nil {
		return "", err
	}
	ui.Sayf("Converted: virtual size %d MiB, %d MiB of data, %d MiB left out", stats.VirtualSize>>20, stats.Written>>20, stats.Skipped>>20)
	return temp.Name(), nil
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
	var folders []string
	if _, named, ok := strings.Cut(input.String(), "directory: "); ok {
		folders = append(folders, named)
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
		for !within(common, dir) {
			common = filepath.Dir(common)
		}
	}
	for _, folder := range append(folders, common) {
		// Nobody's output directory is the one that Packer runs in.
		if folder != "" && within(folder, path) && !within(folder, ".") {
			return folder, true
		}
	}
	return "", false
}

// within reports whether path lies below folder or is it.
func within(folder, path string) bool {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return false
	}
	if path, err = filepath.Abs(path); err != nil {
		return false
	}
	relative, err := filepath.Rel(folder, path)
	return err == nil && relative != ".." && !strings.HasPrefix(relative, ".."+string(filepath.Separator))
}
