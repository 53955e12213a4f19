package cli

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/answerfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/weburl"
)

const lintUsage = `usage: packer-plugin-sysprep lint UNATTEND.XML... [--json] [--vm-mode] [--audit]
Checks answer files for what Windows Setup would refuse, ignore or leave behind.
  --json     one JSON document for each file, each on a line of its own
  --vm-mode  sysprep will be run with /mode:vm
  --audit    sysprep will be run with /audit instead of /oobe
Exit code: 0 no errors, 1 errors, 2 a file could not be read.`

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
	var reports []finding.Report
	for _, file := range files {
		if ctx.Err() != nil {
			break
		}
		r := lintOne(file, answerfile.Context{CommandLine: &run})
		code = max(code, codeOf(r))
		reports = append(reports, r)
	}
	if flags.has("json") {
		err = render.JSON(stdout.Raw(), reports...)
	} else {
		err = asText(stdout, stderr, reports)
	}
	if err == nil && len(reports) < len(files) {
		err = errors.New("interrupted: not all files were checked")
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return CannotDo
	}
	return code
}

// asText says on stderr what could not be judged.
func asText(stdout, stderr *edge.Writer, reports []finding.Report) error {
	for _, r := range reports {
		to := stdout
		if r.Error != "" {
			to = stderr
		}
		if err := render.Text(to.Raw(), r); err != nil {
			return err
		}
	}
	return nil
}

func lintOne(file string, ctx answerfile.Context) finding.Report {
	r := finding.Report{Subject: finding.AnswerFile, Name: weburl.Redact(file)}
	content, err := hostfile.ReadRegular(file, answerfile.MaxSize)
	if err != nil {
		r.Error = edge.Text(err.Error())
		return r
	}
	r.Findings = answerfile.Lint(content, ctx)
	for i := range r.Findings {
		r.Findings[i].Where.File = r.Name
	}
	return r
}
