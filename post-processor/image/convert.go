package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidencefile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
)

// convert proves the disk, converts it, and proves what came out before it
// gets its name. After an error an output that was there before is there still,
// with its report, and there is no other; what remains is the report that says
// what is wrong.
func (p *PostProcessor) convert(ctx context.Context, ui packersdk.Ui, found disks, output string, input packersdk.Artifact, told *told) (_ *artifact, err error) {
	replaces, err := p.checkOutput(output, found.inputs)
	if err != nil {
		return nil, err
	}
	a, folder := &artifact{path: output}, filepath.Dir(output)
	_, err = os.Stat(folder)
	a.madeFolder = errors.Is(err, fs.ErrNotExist)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("output: making its folder: %w", err)
	}
	defer func() {
		if err != nil && a.madeFolder {
			os.Remove(folder) // fails while it holds anything
		}
	}()
	report, refused := p.reportPaths(output, replaces)
	scratch, release, err := prepareFolder(ctx, ui, output, report, refused)
	if err != nil {
		return nil, fmt.Errorf("output: %w", err)
	}
	defer release()
	var unplaced *proof.Unplaced
	defer func() {
		if !errors.As(err, &unplaced) || !hostfile.Within(scratch, unplaced.Path) {
			os.RemoveAll(scratch)
		}
	}()
	options := proof.Options{
		Config: p.config.Verify, Disk: proof.File(found.path, found.backing...), Report: refused, PlacedLater: true, Replaces: replaces, Inputs: append(found.inputs, output),
		Chain: found.chain,
	}
	told.begins("prove")
	result, err := told.proved(proof.Run(ctx, ui, options))
	if err != nil {
		return nil, err
	}
	if err := evidencefile.CheckWindows(p.config.SBOM, p.config.Verify.Windows, result); err != nil {
		return nil, err
	}
	told.begins("convert")
	unproven, err := p.made(ctx, ui, found, result, output, scratch, told)
	if err != nil {
		return nil, err
	}
	// A WIM is no disk that could be proven: its report is on the disk it was made of.
	options.Disk, options.Name = proof.File(unproven, found.backing...), output
	if !p.config.Verify.Enabled.False() && p.config.Format != formatWIM {
		told.begins("prove the output")
		if result, err = told.proved(proof.Recheck(ctx, ui, options)); err != nil {
			return nil, err
		}
	}
	listed := unproven
	if p.config.Format == formatWIM {
		listed = found.path
	}
	bill, err := p.bill(ctx, ui, found, listed, told)
	if err != nil {
		return nil, err
	}
	documents, err := p.evidence(ctx, ui, found, output, result, bill, told)
	if err != nil {
		return nil, err
	}
	a.report, err = proof.Place(ctx, ui, proof.Placement{From: unproven, To: output, Result: result, Report: report, Inputs: found.inputs})
	if errors.As(err, &unplaced) && hostfile.Within(scratch, unplaced.Path) {
		_ = hostfile.KeepScratch(scratch) // or the next build would take it for left over
	}
	if err != nil {
		return nil, fmt.Errorf("output: %w", err)
	}
	told.path, told.format, told.written = output, named(p.config.Format, p.config.VHDType), a.report
	told.virtual = cmp.Or(result.Facts.Disk.VirtualSize, told.virtual)
	ui.Sayf("Image: %s", output)
	if a.report != "" {
		ui.Sayf("Report: %s", a.report)
	}
	a.evidence = p.config.Evidence.Write(ctx, ui, output, documents, append(found.inputs, a.report)...)
	told.evidence = a.evidence
	a.describe(input, &p.config, result)
	return a, nil
}

// made writes the output into the scratch folder and returns its path.
func (p *PostProcessor) made(ctx context.Context, ui packersdk.Ui, found disks, result proof.Result, output, scratch string, told *told) (string, error) {
	if p.config.Format == formatWIM {
		return p.capture(ctx, ui, found, result.Facts, output, scratch)
	}
	path, stats, err := p.write(ctx, ui, found, output, scratch)
	told.digests = stats.Digests
	return path, err
}

// checkOutput refuses an output that cannot be written, before hours are spent
// on it. replaces: there is one, which -force replaces.
func (p *PostProcessor) checkOutput(output string, inputs []string) (replaces bool, err error) {
	if err := hostfile.Writable(output, inputs...); err != nil {
		return false, fmt.Errorf("output: %w", err)
	}
	if _, err := os.Stat(output); err == nil {
		replaces = true
	}
	if replaces && !p.config.PackerForce {
		return true, fmt.Errorf("output: %s exists already; remove it, set another output, or use packer build -force", output)
	}
	report, _ := p.reportPaths(output, replaces)
	wrong := append(p.config.Evidence.Check(output, append(inputs, report)...), evidencefile.CheckSBOM(p.config.SBOM, output, append(inputs, report)...)...)
	if len(wrong) > 0 {
		return replaces, wrong[0]
	}
	return replaces, p.checkReport(report, append(inputs, output))
}

// checkReport refuses a report that cannot be written.
func (p *PostProcessor) checkReport(report string, files []string) error {
	if p.config.Verify.Enabled.False() {
		return nil
	}
	if p.config.Verify.Report != "" {
		report = p.config.Verify.Report
	}
	if err := proof.CheckReport(report, files...); err != nil {
		return fmt.Errorf("verify.report: %w", err)
	}
	return nil
}

// reportPaths are where the report of the output lies and where that of a disk
// that is refused: the one beside an earlier output is about that output.
func (p *PostProcessor) reportPaths(output string, replaces bool) (report, refused string) {
	report = output + proof.ReportSuffix
	if p.config.Verify.Report != "" {
		report = p.config.Verify.Report
	}
	if replaces {
		return report, output + ".not-proven" + proof.ReportSuffix
	}
	return report, report
}

// prepareFolder locks the output, removes what killed builds left of it, and
// makes the scratch folder beside it.
func prepareFolder(ctx context.Context, ui packersdk.Ui, output, report, refused string) (scratch string, release func(), err error) {
	folder, prefix := filepath.Dir(output), "."+filepath.Base(output)+".scratch-"
	release, err = hostfile.LockOutput(output)
	switch {
	case errors.Is(err, hostfile.ErrNoLocks):
		// Nothing is known of other builds, so their files are left alone.
	case err != nil:
		return "", release, err
	default:
		removed, err := hostfile.SweepScratch(folder, prefix)
		if err != nil {
			ui.Errorf("Could not remove what an earlier build left behind: %s", err)
		}
		if len(removed) > 0 {
			ui.Sayf("Removed what an earlier build left behind when it was killed: %s", strings.Join(removed, ", "))
		}
	}
	for _, removed := range sweepOthers(folder) {
		ui.Sayf("Removed what an earlier build left behind when it was killed: %s", removed)
	}
	proof.RemoveStale(ctx, ui, output, report, output+proof.ReportSuffix)
	if refused != report {
		proof.RemoveStale(ctx, ui, "", refused)
	}
	if scratch, err = hostfile.NewScratch(folder, prefix); err != nil {
		release()
		return "", func() {}, err
	}
	return scratch, release, nil
}

// sweepOthers removes what killed builds left of other outputs in the folder.
// Nothing is said of what cannot be removed: it is not in the way.
func sweepOthers(folder string) (removed []string) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		name, _, ok := strings.Cut(strings.TrimPrefix(e.Name(), "."), ".scratch-")
		if !ok || name == "" || !strings.HasPrefix(e.Name(), ".") || !e.IsDir() {
			continue
		}
		release, err := hostfile.LockOutput(filepath.Join(folder, name))
		if err == nil {
			gone, _ := hostfile.SweepScratch(folder, "."+name+".scratch-")
			removed = append(removed, gone...)
		}
		release()
	}
	return removed
}
