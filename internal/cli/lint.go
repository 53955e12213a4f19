package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/answerfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/weburl"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/version"
)

const lintUsage = `usage: packer-plugin-sysprep lint UNATTEND.XML... [--json | --sarif] [--vm-mode] [--audit]
           [--severity ID=WORD]... [--fix [--encode-passwords]]
Checks answer files for what Windows Setup would refuse, ignore or leave behind.
The name - is standard input.
  --json              one JSON document for each file, each on a line of its own
  --sarif             one SARIF 2.1.0 log for all files, for code hosts
  --vm-mode           sysprep will be run with /mode:vm
  --audit             sysprep will be run with /audit instead of /oobe
  --severity ID=WORD  error, warning, note or off for the findings of a rule
  --fix               change in the files what is mechanical, and say it; of standard
                      input the changed text goes to standard output
  --encode-passwords  with --fix, encode passwords as Windows does, which hides them
                      from a glance only
A comment in a file turns rules off for the element after it, or for the whole
file where it stands before <unattend>: <!-- sysprep-lint off: ID, ID -->
Exit code: 0 no errors, 1 errors, 2 a file could not be read or written.`

// stdin is what the name - stands for; tests replace it.
var stdin io.Reader = os.Stdin

// linting is one call of lint.
type linting struct {
	ctx              answerfile.Context
	fix, encode      bool
	json, sarif      bool
	stdout, stderr   *edge.Writer
	fixedFromStdin   []byte
	stdinIsOneOfThem bool
}

func lint(ctx context.Context, args []string, stdout, stderr *edge.Writer) int {
	l := &linting{stdout: stdout, stderr: stderr}
	files, err := l.options(args)
	if err != nil {
		return usage(err, lintUsage, stdout, stderr)
	}
	code := OK
	var reports []finding.Report
	for _, file := range files {
		if ctx.Err() != nil {
			break
		}
		r := l.one(ctx, file)
		code = max(code, codeOf(r))
		reports = append(reports, r)
	}
	err = l.say(reports)
	if err == nil && len(reports) < len(files) {
		err = errors.New("interrupted: not all files were checked")
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return CannotDo
	}
	return code
}

func (l *linting) options(args []string) (files []string, err error) {
	flags, files, err := options(args, "json", "sarif", "vm-mode", "audit", "severity=", "fix", "encode-passwords")
	if err != nil {
		return nil, err
	}
	l.fix, l.encode, l.json, l.sarif = flags.has("fix"), flags.has("encode-passwords"), flags.has("json"), flags.has("sarif")
	l.stdinIsOneOfThem = slices.Contains(files, "-")
	switch {
	case len(files) == 0:
		return nil, errors.New("no answer file is named")
	case l.json && l.sarif:
		return nil, errors.New("--json and --sarif are both given; keep one of them")
	case l.encode && !l.fix:
		return nil, errors.New("--encode-passwords is of use only with --fix; add that")
	case l.stdinIsOneOfThem && len(files) > 1:
		return nil, errors.New("standard input (-) is named beside other files; check it in a call of its own")
	case l.stdinIsOneOfThem && l.fix && (l.json || l.sarif):
		return nil, errors.New("with --fix and standard input, the changed text is what is written; leave out --json and --sarif")
	}
	words := map[string]string{}
	for _, one := range flags["severity"] {
		id, word, ok := strings.Cut(one, "=")
		if !ok {
			return nil, fmt.Errorf("--severity %s: write ID=WORD, such as secret=off", one)
		}
		words[id] = word
	}
	severities, errs := answerfile.ParseSeverities("--severity", words)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	l.ctx = answerfile.Context{Severities: severities, CommandLine: &answerfile.CommandLine{
		Generalize: true, OOBE: !flags.has("audit"), Audit: flags.has("audit"), VMMode: flags.has("vm-mode")}}
	return expanded(runtime.GOOS, files)
}

// say writes the reports in the form that was asked for.
func (l *linting) say(reports []finding.Report) error {
	switch {
	case l.json:
		return render.JSON(l.stdout.Raw(), reports...)
	case l.sarif:
		kinds := make([]render.Kind, 0, len(answerfile.Rules()))
		for _, r := range answerfile.Rules() {
			kinds = append(kinds, render.Kind{ID: r.ID, Severity: r.Severity, Summary: r.Summary, Source: r.Source})
		}
		return render.SARIF(l.stdout.Raw(), version.Version, kinds, reports...)
	case l.fix && l.stdinIsOneOfThem:
		if _, err := l.stdout.Raw().Write(l.fixedFromStdin); err != nil {
			return err
		}
		return render.Text(l.stderr.Raw(), reports...)
	}
	return asText(l.stdout, l.stderr, reports)
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

// one judges a file, as it is after what was to be changed.
func (l *linting) one(ctx context.Context, file string) finding.Report {
	r := finding.Report{Subject: finding.AnswerFile, Name: weburl.Redact(file)}
	content, err := l.read(file)
	if err == nil && l.fix {
		content, err = l.change(ctx, file, content)
	}
	if err != nil {
		r.Error = edge.Text(err.Error())
		return r
	}
	r.Findings = answerfile.Lint(content, l.ctx)
	for i := range r.Findings {
		r.Findings[i].Where.File = r.Name
	}
	return r
}

func (l *linting) read(file string) ([]byte, error) {
	if file != "-" {
		content, err := hostfile.ReadRegular(file, answerfile.MaxSize)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: there is no such file; check the path", file)
		}
		return content, err
	}
	content, err := io.ReadAll(io.LimitReader(stdin, answerfile.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading standard input: %w", err)
	}
	return content, nil // one that is too large is a finding
}

// change writes what Fix makes of a file, and says on stderr what that is. A
// text that cannot be read is for the linter to report.
func (l *linting) change(ctx context.Context, file string, content []byte) ([]byte, error) {
	fixed, changes, err := answerfile.Fix(content, answerfile.FixOptions{Context: l.ctx, EncodePasswords: l.encode})
	var unreadable *answerfile.Error
	switch {
	case errors.As(err, &unreadable):
		fixed = content
	case err != nil:
		return nil, fmt.Errorf("%s was not changed: %w; leave out --fix", file, err)
	}
	l.fixedFromStdin = fixed
	if len(changes) > 0 && file != "-" {
		if err := hostfile.Rewrite(ctx, file, fixed); err != nil {
			return nil, fmt.Errorf("%s could not be changed: %w; make the file and its folder writable, or leave out --fix", file, err)
		}
	}
	for _, c := range changes {
		c.Where.File = weburl.Redact(file)
		fmt.Fprintln(l.stderr, "changed: "+edge.Text(strings.Replace(render.Line(c), ": info: ", ": ", 1)))
	}
	return fixed, nil
}
