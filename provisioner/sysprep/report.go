package sysprep

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/answerfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report/block"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// checkReport tries the paths of the block report.
func (c *Config) checkReport() []error { return c.Report.Check(true, c.otherFiles()...) }

// otherFiles are those that no report replaces, as far as they are known.
func (c *Config) otherFiles() []string {
	files := c.answerFiles()
	if c.LogDirectory != "" && !unknown.In(c.LogDirectory) {
		files = append(files, filepath.Join(c.LogDirectory, runlog.RunFile))
		for _, log := range windows.Logs() {
			files = append(files, log.OnHost(c.LogDirectory))
		}
	}
	return files
}

// writeReports writes what the block report asks for, however the run ended.
func (r *run) writeReports(ctx context.Context, err error) {
	if !r.config.Report.Wanted() {
		return
	}
	r.config.Report.Write(ctx, r.ui, r.reported(err), r.scrub.text, r.lint(), r.config.otherFiles()...)
}

// reported is the report on the run, which err ended. Its texts may hold secrets.
func (r *run) reported(err error) report.Run {
	run, l := block.Of("sysprep", r.config.PackerConfig), r.book.Log()
	run.Begun, run.TookMS, run.Phases = l.Begun, l.TookMS, l.Phases
	if run.Begun.IsZero() {
		run.Begun = r.now()
	}
	run.Outcome = outcome(err, cmp.Or(l.Verdict, &runlog.Verdict{}))
	run.Add(report.NewSection(report.SectionPreflight, r.checked.findings()...))
	run.Add(report.NewSection(report.SectionAnswerFile, r.linted().Findings...))
	run.Add(report.NewSection(report.SectionDiagnosis, latest(l.Findings, finding.Log)...))
	for _, f := range l.Files {
		run.Files = append(run.Files, filepath.Join(r.config.LogDirectory, filepath.FromSlash(f.Name)))
	}
	if r.book.path != "" {
		run.Files = append(run.Files, r.book.path)
	}
	return run
}

// outcome says how the run ended: by its error and, without one, by what was seen.
func outcome(err error, v *runlog.Verdict) report.Outcome {
	o := report.Outcome{Good: err == nil, Class: cmp.Or(v.Class, verdict.Generalized.String()), Cause: v.Cause, Summary: v.FirstLine}
	if len(v.Lines) > 1 {
		o.Said = v.Lines[1:]
	}
	if err != nil {
		head, text := verdict.CutHead(err.Error())
		lines := report.Lines(text)
		if len(lines) == 0 {
			lines = []string{"it failed without a reason"}
		}
		o.Class, o.Cause, o.Summary = head.Class.String(), head.Cause, lines[0]
		if len(o.Said) == 0 {
			o.Said = lines[1:]
		}
	}
	o.Summary = cmp.Or(o.Summary, "Windows was generalized before, and sysprep was not run again")
	return o
}

// latest are the findings about a subject, of each id the last: a run may say the same
// more than once.
func latest(list []finding.Finding, subject finding.Subject) (kept []finding.Finding) {
	for _, f := range list {
		if f.Subject == subject {
			kept = slices.DeleteFunc(kept, func(other finding.Finding) bool { return other.ID == f.ID })
			kept = append(kept, f)
		}
	}
	return kept
}

// linted is what is found in the answer file of this run.
func (r *run) linted() finding.Report {
	found := finding.Report{Subject: finding.AnswerFile, Name: r.config.answer.name, Findings: r.config.lint(r.first.Architecture)}
	if r.config.AnswerFileInGuest != "" && r.config.answer.file == nil {
		found.Name, found.Error = r.config.AnswerFileInGuest, "the answer file in the guest was not read in this run"
	}
	return found
}

// lint is that for code hosts.
func (r *run) lint() *block.Lint {
	var kinds []render.Kind
	for _, rule := range answerfile.Rules() {
		kinds = append(kinds, render.Kind{ID: rule.ID, Severity: rule.Severity, Summary: rule.Summary, Source: rule.Source})
	}
	return &block.Lint{Kinds: kinds, Found: r.linted()}
}
