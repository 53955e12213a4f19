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

	"github.com/spf13/cobra"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/answerfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/weburl"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/version"
)

// stdin is what the name - stands for; tests replace it.
var stdin io.Reader = os.Stdin

// linting is one call of lint.
type linting struct {
	common
	ctx              answerfile.Context
	sarif            bool
	vmMode, audit    bool
	severity         values
	fix, encode      bool
	stdout, stderr   *edge.Writer
	fixedFromStdin   []byte
	stdinIsOneOfThem bool
}

func lintCommand(c *call) *cobra.Command {
	l := &linting{}
	cmd := &cobra.Command{
		Use:   "lint UNATTEND.XML... [options]",
		Short: "checks answer files",
		Long: `It finds what Windows Setup would refuse, ignore or leave behind. The name - is standard input.

A comment in a file turns rules off for the element after it, or for the whole file where it stands before <unattend>:

  <!-- sysprep-lint off: ID, ID -->`,
		Example: `# all answer files of a folder
` + program + ` lint *.xml
# correct what is mechanical
` + program + ` lint --fix unattend.xml
# one that a script makes
render-template | ` + program + ` lint -
# a rule of no interest, and one that shall fail the build
` + program + ` lint --severity secret=off \
  --severity time-zone=error unattend.xml
# for a code host
` + program + ` lint --sarif -o lint.sarif *.xml`,
		Annotations: map[string]string{exits: "0 no errors\n1 errors\n2 a file could not be read or written, or the command line is wrong\n130 ended at once by a second Ctrl-C"},
		RunE: func(cmd *cobra.Command, files []string) error {
			files, err := l.check(files)
			if err != nil {
				return err
			}
			document := l.json || l.sarif || l.fix && l.stdinIsOneOfThem
			return l.to(cmd.Context(), c, document, files, func(stdout, stderr *edge.Writer) int {
				l.stdout, l.stderr = stdout, stderr
				return l.run(cmd.Context(), files)
			})
		},
	}
	f := cmd.Flags()
	l.flags(f, "each file")
	f.BoolVar(&l.sarif, "sarif", false, "one SARIF 2.1.0 log for all files, for code hosts")
	f.BoolVar(&l.vmMode, "vm-mode", false, "sysprep will be run with /mode:vm")
	f.BoolVar(&l.audit, "audit", false, "sysprep will be run with /audit instead of /oobe")
	f.Var(&l.severity, "severity", "error, warning, note or off for the findings of a rule: `ID=WORD`; can be given several times")
	f.BoolVar(&l.fix, "fix", false, "change in the files what is mechanical, and say it; of standard input the changed text goes to standard output")
	f.BoolVar(&l.encode, "encode-passwords", false, "with --fix, encode passwords as Windows does, which hides them from a glance only")
	_ = cmd.RegisterFlagCompletionFunc("severity", func(*cobra.Command, []string, string) (ids []cobra.Completion, _ cobra.ShellCompDirective) {
		for _, r := range answerfile.Rules() {
			ids = append(ids, r.ID+"=")
		}
		return ids, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}) // the option is there
	return cmd
}

func (l *linting) run(ctx context.Context, files []string) int {
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
	err := l.say(reports)
	if err == nil && len(reports) < len(files) {
		err = errors.New("interrupted: not all files were checked")
	}
	if err != nil {
		fmt.Fprintln(l.stderr, err)
		return CannotDo
	}
	return code
}

func (l *linting) check(files []string) ([]string, error) {
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
	for _, one := range l.severity {
		id, word, ok := strings.Cut(one, "=")
		if !ok {
			return nil, fmt.Errorf("--severity %s: write ID=WORD, such as time-zone=off", one)
		}
		words[id] = word
	}
	severities, errs := answerfile.ParseSeverities("--severity", words)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	l.ctx = answerfile.Context{Severities: severities, CommandLine: &answerfile.CommandLine{
		Generalize: true, OOBE: !l.audit, Audit: l.audit, VMMode: l.vmMode}}
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
		if l.quiet {
			return nil
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
		if l.quiet {
			break
		}
		c.Where.File = weburl.Redact(file)
		fmt.Fprintln(l.stderr, "changed: "+edge.Text(strings.Replace(render.Line(c), ": info: ", ": ", 1)))
	}
	return fixed, nil
}
