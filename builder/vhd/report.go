package vhd

import (
	"context"
	"errors"
	"fmt"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report/block"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/weburl"
)

// noted is what the steps leave for the report on the build.
type noted struct {
	// proof is the last one that was made, refusal why none could be.
	proof   proof.Result
	refusal error
	disk    diagnosed // stepDiagnose
}

// writeReports writes what the block report asks for, however the build ended.
func (r *run) writeReports(ctx context.Context, ui packersdk.Ui, err error) {
	c := r.config
	if !c.Report.Wanted() {
		return
	}
	made := r.reported(ctx, err)
	if err == nil && c.Report.Hashed() {
		r.log.Begin("hash")
		sum, failed := r.output.digests.File, error(nil)
		if sum == "" {
			sum, failed = block.Hash(ctx, ui, r.output.path)
		}
		if failed != nil {
			ui.Sayf("Warning: the report on this build has no hash of the output: %s", failed)
		}
		made.Output.SHA256 = sum
		r.log.End("hash", runlog.OK, nil)
		l := r.log.Log()
		made.Phases, made.TookMS = l.Phases, l.TookMS
	}
	c.Report.Write(ctx, ui, made, r.hide, nil, c.writes(r.inputs())...)
}

// reported is the report on the build, which err ended.
func (r *run) reported(ctx context.Context, err error) report.Run {
	c := r.config
	if err != nil {
		r.log.End(phaseDownload, runlog.Failed, err) // unless it has ended
	}
	l, made := r.log.Log(), block.Of("sysprep-vhd", c.PackerConfig)
	made.Packer.BuilderType = "sysprep-vhd"
	made.Begun, made.TookMS, made.Phases = l.Begun, l.TookMS, l.Phases
	if name := r.sourceName(); name != "" {
		made.Source = &report.Source{Name: name, Checksum: c.SourceChecksum}
	}
	p := r.told.proof
	made.Outcome = block.Outcome(ctx, err, p.Describe())
	if err == nil {
		format := c.Format
		if c.VHDType != "" {
			format = fmt.Sprintf("%s (%s)", c.Format, c.VHDType)
		}
		made.Output = &report.Output{Path: r.output.path, Format: format, Size: fileSize(r.output.path), VirtualSize: r.output.virtualSize}
	}
	if d := r.told.disk.Cause; d != nil {
		made.Add(report.NewSection(report.SectionDiagnosis, d.Finding))
	}
	made.AddProof(p.Findings, p.Facts, r.told.refusal)
	made.Files = append(block.Exists(append([]string{r.report, p.ReportPath}, r.output.evidence...)...), r.told.disk.Logs...)
	if err != nil {
		if made.Picture = block.Picture(c.screenPath(), l.Begun); made.Picture != nil {
			made.Files = append(made.Files, c.screenPath())
		}
	}
	return made
}

// sourceName is the disk that the build started from, without credentials.
func (r *run) sourceName() string {
	switch {
	case r.config.SourceURL != "":
		return weburl.Redact(r.config.SourceURL)
	case len(r.source.Files) > 0:
		return r.source.Files[0]
	}
	return r.config.SourcePath
}

// proved keeps what came of a proof.
func (t *noted) proved(p proof.Result, err error) {
	refused := (*proof.NotProven)(nil)
	switch {
	case err == nil || errors.As(err, &refused):
		t.proof, t.refusal = p, nil
	default:
		t.refusal = err
	}
}
