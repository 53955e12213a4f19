package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

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
	inputs := slices.Concat(found.inputs, []string{report})
	wrong := append(c.Evidence.Check(prefix, inputs...), evidencefile.CheckSBOM(c.SBOM, prefix, inputs...)...)
	if len(wrong) > 0 {
		return wrong[0]
	}
	if err := p.removeEarlier(ctx, prefix); err != nil {
		return err
	}
	before, err := os.Stat(found.path)
	if err != nil {
		return err
	}
	told.begins("prove")
	options := proof.Options{Config: c.Verify, Disk: proof.File(found.path, found.backing...), Report: report, Inputs: found.inputs}
	result, err := told.proved(proof.Run(ctx, ui, options))
	if err == nil {
		err = evidencefile.CheckWindows(c.SBOM, c.Verify.Windows, result)
	}
	if err != nil || !c.Evidence.Wanted() && !c.SBOM {
		return err
	}
	bill, err := p.bill(ctx, ui, found, found.path, told)
	if err == nil && c.Evidence.Wanted() {
		told.begins("hash the disk")
		err = evidencefile.Hashing(ui.Say, func() (err error) {
			told.digests, err = diskimage.Digest(ctx, found.path, nil, diskimage.Allow(found.backing...))
			return err
		})
	}
	if err != nil {
		return err
	}
	if after, err := os.Stat(found.path); err != nil || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return fmt.Errorf("evidence, sbom: %s was written to after it was proven, so nothing is stated about it; make sure that nothing uses it, and build again", found.path)
	}
	documents, err := c.Evidence.Make(prefix, p.about(found.path, told.digests, result, nil, bill))
	if err != nil {
		return err
	}
	told.evidence = c.Evidence.Write(ctx, ui, prefix, documents, inputs...)
	return nil
}

// removeEarlier removes what an earlier run has written about the disk that had this name,
// as far as it is going to be written again.
func (p *PostProcessor) removeEarlier(ctx context.Context, prefix string) (err error) {
	if p.config.Evidence.Wanted() {
		err = evidence.Remove(ctx, prefix)
	}
	if p.config.SBOM {
		err = errors.Join(err, evidence.RemoveSBOM(ctx, prefix))
	}
	return err
}

// bill is the bill of materials of a disk that is proven; nil where none is asked for.
func (p *PostProcessor) bill(ctx context.Context, ui packersdk.Ui, found disks, disk string, told *told) ([]byte, error) {
	if !p.config.SBOM {
		return nil, nil
	}
	told.begins("list what it is made of")
	return evidencefile.Bill(ctx, ui, p.config.Verify.Windows, func(ctx context.Context) (diskimage.Disk, error) { return open(ctx, disk, found.backing) })
}

// about is what is written about a disk.
func (p *PostProcessor) about(disk string, digests diskimage.Digests, result proof.Result, sources []evidence.Material, bill []byte) evidencefile.About {
	return evidencefile.About{Disk: disk, Digests: digests, Result: result, Packer: p.config.PackerCoreVersion, Materials: sources, SBOM: bill, Hide: packersdk.LogSecretFilter.FilterString}
}

// evidence makes what is written beside the converted disk, which has no name yet: its
// evidence, whose source is the builder's disk, and its bill of materials.
func (p *PostProcessor) evidence(ctx context.Context, ui packersdk.Ui, found disks, output string, result proof.Result, bill []byte, told *told) (documents []evidence.Document, err error) {
	if !p.config.Evidence.Wanted() {
		return p.config.Evidence.Make(output, p.about(output, told.digests, result, nil, bill))
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
	return p.config.Evidence.Make(output, p.about(output, told.digests, result, sources, bill))
}
