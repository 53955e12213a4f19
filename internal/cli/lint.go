package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/answerfile"
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

func lint(_ context.Context, args []string, stdout, stderr io.Writer) int {
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
	run := answerfile.CommandLine{Generalize: true, OOBE: !flags["audit"], Audit: flags["audit"], VMMode: flags["vm-mode"]}
	code := OK
	for _, file := range files {
		result := linted{File: file, Findings: []answerfile.Finding{}}
		content, err := readAnswerFile(file)
		if err != nil {
			result.Error = err.Error()
			code = CannotDo
		} else {
			report := answerfile.Lint(content, answerfile.Context{CommandLine: &run})
			result.Findings = append(result.Findings, report.Findings...)
			if len(report.Of(answerfile.SeverityError)) > 0 {
				code = max(code, NotOK)
			}
		}
		if err := result.write(flags["json"], stdout, stderr); err != nil {
			fmt.Fprintln(stderr, err)
			return CannotDo
		}
	}
	return code
}

// readAnswerFile refuses what cannot be an answer file before reading it.
func readAnswerFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, answerfile.MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(content) > answerfile.MaxSize {
		return nil, fmt.Errorf("%s is larger than %d MiB: not an answer file", path, answerfile.MaxSize>>20)
	}
	return content, nil
}

func (l linted) write(asJSON bool, stdout, stderr io.Writer) error {
	if asJSON {
		line, err := json.Marshal(l)
		if err == nil {
			_, err = fmt.Fprintf(stdout, "%s\n", line)
		}
		return err
	}
	if l.Error != "" {
		_, err := fmt.Fprintln(stderr, l.Error)
		return err
	}
	for _, f := range l.Findings {
		if _, err := fmt.Fprintf(stdout, "%s: %s\n", l.File, f); err != nil {
			return err
		}
	}
	report := answerfile.Report{Findings: l.Findings}
	_, err := fmt.Fprintf(stdout, "%s: errors: %d, warnings: %d, notes: %d\n", l.File, len(report.Of(answerfile.SeverityError)),
		len(report.Of(answerfile.SeverityWarning)), len(report.Of(answerfile.SeverityNote)))
	return err
}
