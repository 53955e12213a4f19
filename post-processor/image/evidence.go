package image

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidence"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidencefile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
)

// proveAsItIs proves the disk of the builder, which stays as it is.
func (p *PostProcessor) proveAsItIs(ctx context.Context, ui packersdk.Ui, found disks, told *told) error {
	c, prefix := &p.config, filepath.Join(p.config.folder(), filepath.Base(found.path))
	report := prefix + proof.ReportSuffix
	if err := p.checkReport(report, found.inputs); err != nil {
		return err
	}
	if err := c.Evidence.CheckDisk(found.info, "set format, so that one file is made of it"); err != nil {
		return err
	}
	if c.Evidence.Wanted() {
		for _, err := range c.Evidence.Check(prefix, append(found.inputs, report)...) {
			return err
		}
		// What an earlier run stated of the disk that had this name.
		if err := evidence.Remove(ctx, prefix); err != nil {
			return err
		}
	}
	before, err := os.Stat(found.path)
	if err != nil {
		return err
	}
	told.begins("prove")
	options := proof.Options{Config: c.Verify, Disk: proof.File(found.path, found.backing...), Report: report, Inputs: found.inputs}
	result, err := told.proved(proof.Run(ctx, ui, options))
	if err != nil || !c.Evidence.Wanted() {
		return err
	}
	told.begins("hash the disk")
	err = evidencefile.Hashing(ui.Say, func() (err error) {
		told.digests, err = diskimage.Digest(ctx, found.path, nil, diskimage.Allow(found.backing...))
		return err
	})
	if err != nil {
		return err
	}
	if after, err := os.Stat(found.path); err != nil || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return fmt.Errorf("evidence: %s was written to after it was proven, so nothing is stated about it; make sure that nothing uses it, and build again", found.path)
	}
	documents, err := c.Evidence.Make(prefix, p.about(found.path, told.digests, result, nil))
	if err != nil {
		return err
	}
	told.evidence = c.Evidence.Write(ctx, ui, prefix, documents, append(found.inputs, report)...)
	return nil
}

// about is what the evidence on a disk is about.
func (p *PostProcessor) about(disk string, digests diskimage.Digests, result proof.Result, sources []evidence.Material) evidencefile.About {
	return evidencefile.About{Disk: disk, Digests: digests, Result: result, Packer: p.config.PackerCoreVersion, Materials: sources, Hide: packersdk.LogSecretFilter.FilterString}
}

// evidence makes the evidence on the converted disk, which has no name yet. Its source
// is the builder's disk.
func (p *PostProcessor) evidence(ctx context.Context, ui packersdk.Ui, found disks, output string, result proof.Result, told *told) (documents []evidence.Document, err error) {
	if !p.config.Evidence.Wanted() {
		return nil, nil
	}
	told.begins("hash the source")
	var sources []evidence.Material
	err = evidencefile.Hashing(ui.Say, func() (err error) {
		files := []string{found.path}
		if len(found.info.Files) > 0 {
			files = found.info.Files
		}
		sources, err = evidencefile.Sources(ctx, files...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return p.config.Evidence.Make(output, p.about(output, told.digests, result, sources))
}
