package cli

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/answerfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/weburl"
)

const lintUsage = `usage: packer-plugin-sysprep lint UNATTEND.XML... [--json] [--vm-mode] [--audit]
Checks answer files for what Windows Setup would refuse, ignore or leave behind.
  --json     one JSON document for each file
  --vm-mode  sysprep will be run with /mode:vm
  --audit    sysprep will be run with /audit instead of /oobe
Exit code: 0 no errors, 1 errors, 2 a file could not be read.`

// linted is one file with what was found; the form of --json.
type linted struct {
	File     string               `json:"file"`
	Error    string               `json:"error,omitempty"`
	Findings []answerfile.Finding `json:"findings"`
}

func lint(ctx context.Context, args []string, stdout, stderr *edge.Writer) int {
	flags, files, err := options(args, "json", "vm-mode", "audit")
	if err == nil && len(files) == 0 {
		err = errors.New("no answer file is named")
	}
	if err == nil {
		files, err = expanded(runtime.GOOS, files)
	}
	if err != nil {
		return usage(err, lintUsage, stdout, stderr)
	}
	run := answerfile.CommandLine{Generalize: true, OOBE: !flags.has("audit"), Audit: flags.has("audit"), VMMode: flags.has("vm-mode")}
	code := OK
	for _, file := range files {
		if ctx.Err() != nil {
			fmt.Fprintln(stderr, "interrupted: not all files were checked")
			return CannotDo
		}
		result := linted{File: weburl.Redact(file), Findings: []answerfile.Finding{}}
		content, err := hostfile.ReadRegular(file, answerfile.MaxSize)
		if err != nil {
			result.Error = edge.Text(err.Error())
			code = CannotDo
		} else {
			report := answerfile.Lint(content, answerfile.Context{CommandLine: &run})
			result.Findings = append(result.Findings, report.Findings...)
			if len(report.Of(answerfile.SeverityError)) > 0 {
				code = max(code, NotOK)
			}
		}
		if err := result.write(flags.has("json"), stdout, stderr); err != nil {
			fmt.Fprintln(stderr, err)
			return CannotDo
		}
	}
	return code
}

func (l linted) write(asJSON bool, stdout, stderr *edge.Writer) error {
	if asJSON {
		return stdout.JSON(l)
	}
	if l.Error != "" {
		_, err := fmt.Fprintln(stderr, l.Error)
		return err
	}
	for _, f := range l.Findings {
		if _, err := fmt.Fprintln(stdout, foreign.Text(fmt.Sprintf("%s: %s", l.File, f))); err != nil {
			return err
		}
	}
	report := answerfile.Report{Findings: l.Findings}
	_, err := fmt.Fprintf(stdout, "%s: errors: %d, warnings: %d, notes: %d\n", l.File, len(report.Of(answerfile.SeverityError)),
		len(report.Of(answerfile.SeverityWarning)), len(report.Of(answerfile.SeverityNote)))
	return err
}
