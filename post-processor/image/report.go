package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidence"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report/block"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/weburl"
)

// told is what one call leaves for the report on it.
type told struct {
	book   *runlog.Recorder
	phase  string   // the one that goes on
	source string   // the disk of the artifact
	inputs []string // the files that are never replaced
	// path is the disk that is handed on, and format and size what it is.
	path, format string
	virtual      int64             // bytes
	written      string            // the report of the proof
	digests      diskimage.Digests // of that disk; empty unless evidence is wanted
	evidence     []string          // its files
	proof        proof.Result
	refusal      error
}

func newTold() *told {
	return &told{book: runlog.New(runlog.Log{}, time.Now, packersdk.LogSecretFilter.FilterString)}
}

// found keeps the disk of the artifact, which is handed on unless it is converted. No
// report may replace a file of it.
func (t *told) found(d disks, c *block.Config) error {
	t.source, t.path, t.inputs = d.path, d.path, d.inputs
	if len(d.chain) > 0 {
		top := d.chain[0]
		t.virtual = top.VirtualSize
		t.format = named(string(top.Format), string(top.Type))
	}
	return errors.Join(c.Check(false, d.inputs...)...)
}

// named is a format with its type, where it has one.
func named(format, kind string) string {
	if kind == "" {
		return format
	}
	return fmt.Sprintf("%s (%s)", format, kind)
}

// begins notes that a part of the work begins; the one before it is done.
func (t *told) begins(phase string) {
	t.ends(runlog.OK, nil)
	t.book.Begin(phase)
	t.phase = phase
}

func (t *told) ends(outcome string, err error) {
	if t.phase != "" {
		t.book.End(t.phase, outcome, err)
	}
	t.phase = ""
}

// proved keeps what came of a proof, and hands it on.
func (t *told) proved(r proof.Result, err error) (proof.Result, error) {
	if t.proof, t.refusal = r, err; len(r.Findings) > 0 {
		t.refusal = nil // it was judged
	}
	return r, err
}

// writeReports writes what the block report asks for, however the work ended.
func (p *PostProcessor) writeReports(ctx context.Context, ui packersdk.Ui, t *told, err error) {
	c := &p.config.Report
	if !c.Wanted() {
		return
	}
	sum := ""
	if err == nil && c.Hashed() {
		t.begins("hash the output")
		var failed error
		if sum = t.digests.File; sum == "" {
			sum, failed = block.Hash(ctx, ui, t.path)
		}
		if failed != nil {
			ui.Sayf("Warning: the report on this run has no hash of the output: %s", failed)
		}
	}
	made := p.reported(ctx, t, err)
	if made.Output != nil {
		made.Output.SHA256 = sum
	}
	c.Write(ctx, ui, made, packersdk.LogSecretFilter.FilterString, nil, append(append(slices.Clip(t.inputs), t.path, t.written), t.evidence...)...)
}

// reported is the report on the work, which err ended.
func (p *PostProcessor) reported(ctx context.Context, t *told, err error) report.Run {
	outcome := runlog.OK
	switch {
	case err != nil && ctx.Err() != nil:
		outcome = runlog.Cancelled
	case err != nil:
		outcome = runlog.Failed
	}
	t.ends(outcome, err)
	l, made := t.book.Log(), block.Of(componentName, p.config.PackerConfig)
	made.Begun, made.TookMS, made.Phases = l.Begun, l.TookMS, l.Phases
	if t.source != "" {
		made.Source = &report.Source{Name: weburl.Redact(t.source)}
	}
	made.Outcome = block.Outcome(ctx, err, t.proof.Describe())
	if err == nil {
		made.Output = &report.Output{Path: t.path, Format: t.format, VirtualSize: t.virtual}
		if info, failed := os.Stat(t.path); failed == nil {
			made.Output.Size = info.Size()
		}
	}
	made.AddProof(t.proof.Findings, t.proof.Facts, t.refusal)
	made.Files = block.Exists(append([]string{cmp.Or(t.written, t.proof.ReportPath)}, t.evidence...)...)
	return made
}

// componentName is that of the post-processor in a template.
const componentName = "sysprep-image"

// otherFiles are those that no report replaces, as far as they are known before the
// builder has run.
func (c *Config) otherFiles(output string) []string {
	if output == "" {
		return nil
	}
	files := []string{output, output + proof.ReportSuffix, filepath.Clean(output + ".not-proven" + proof.ReportSuffix)}
	if c.Evidence.Wanted() || c.SBOM {
		files = append(files, evidence.Paths(output)...)
	}
	if c.Verify.Report != "" {
		files = append(files, c.Verify.Report)
	}
	return files
}
