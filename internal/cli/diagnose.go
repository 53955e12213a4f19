package cli

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/weburl"
)

// diagnosing is one call of diagnose.
type diagnosing struct {
	common
	locale  value
	backing values
	limit   limit
}

func diagnoseCommand(c *call) *cobra.Command {
	o := diagnosing{limit: limit(inspectLimit)}
	cmd := &cobra.Command{
		Use:   "diagnose PATH... [options]",
		Short: "says why sysprep or the first boot of an image failed",
		Long: `It reads the logs of Windows. PATH is a log (setupact.log, setuperr.log), a folder or a zip file with logs (Panther, or what log_directory kept), a disk image, or - for standard input.

The logs of one PATH are judged together; CBS.log, dism.log and the events of app deployment as text (appx*.txt) are asked where the cause points to them.`,
		Example: `# the logs that the provisioner kept (log_directory)
` + program + ` diagnose logs
# the disk of a machine that does not start
` + program + ` diagnose clone.vhdx
# a log whose code page is not told by what is in it
` + program + ` diagnose --locale ja-JP setupact.log
# what a bug report has attached, for a program
curl -s https://example.com/setupact.log |
  ` + program + ` diagnose --json -`,
		Annotations: map[string]string{exits: "0 nothing failed\n1 a failure or a hang was found\n2 a PATH could not be read, or not all of it, has no log of sysprep or Windows Setup, or has errors that are not known and no word of how it ended, or the command line is wrong\n130 ended at once by a second Ctrl-C"},
		RunE: func(cmd *cobra.Command, paths []string) error {
			if len(paths) == 0 {
				return errors.New("no log is named; give a log, a folder, a zip file, a disk image, or - for standard input")
			}
			paths, err := expanded(runtime.GOOS, paths)
			if err != nil {
				return err
			}
			page := 0
			if o.locale != "" {
				if page, err = diagnosis.CodePage(string(o.locale)); err != nil {
					return fmt.Errorf("--locale %s: %w", o.locale, err)
				}
			}
			return o.to(cmd.Context(), c, o.json, paths, func(stdout, stderr *edge.Writer) int {
				return o.run(cmd.Context(), paths, page, stdout, stderr)
			})
		},
	}
	f := cmd.Flags()
	o.flags(f, "each PATH")
	f.Var(&o.locale, "locale", "the guest's `LOCALE` (ja-JP) or code page (932), for logs that are not in Unicode")
	o.shared(f, &o.backing, &o.limit)
	return cmd
}

func (o *diagnosing) run(ctx context.Context, paths []string, page int, stdout, stderr *edge.Writer) int {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(o.limit), fmt.Errorf("it took longer than %s; allow more with --timeout", time.Duration(o.limit)))
	defer cancel()
	code := OK
	var reports []finding.Report
	for _, path := range paths {
		r := diagnoseOne(ctx, path, page, o.backing)
		code = max(code, codeOfLog(r))
		reports = append(reports, r)
	}
	if o.json {
		if err := render.JSON(stdout.Raw(), reports...); err != nil {
			fmt.Fprintln(stderr, err)
			return CannotDo
		}
		return code
	}
	for _, r := range reports {
		if r.Error != "" {
			fmt.Fprintf(stderr, "cannot tell from %s: %s\n", r.Name, r.Error)
			continue
		}
		for _, line := range diagnosed(r, len(reports) > 1) {
			fmt.Fprintln(stdout, line)
		}
	}
	return code
}

// codeOfLog is codeOf for logs: where nothing failed in what was read, and not all
// of it was, or there are errors that nobody knows, it cannot be told.
func codeOfLog(r finding.Report) int {
	code := codeOf(r)
	facts, _ := r.Facts.(LogFacts)
	if code == OK && (len(facts.Unread) > 0 || facts.Outcome == diagnosis.Undecided) {
		return CannotDo
	}
	return code
}

// LogFacts are what was read of a log, for programs.
type LogFacts struct {
	Outcome diagnosis.Outcome `json:"outcome"`
	// Phase is what the failure means for the machine.
	Phase diagnosis.Phase `json:"phase,omitempty"`
	// Log is the one that says it.
	Log string `json:"log,omitempty"`
	// Started and Last are the guest's local times of the last run's first and
	// last line.
	Started string   `json:"started,omitempty"`
	Last    string   `json:"last,omitempty"`
	Options []string `json:"options,omitempty"`
	// Working is what was begun last and did not end: a provider, or a step of a first
	// boot.
	Working string `json:"working,omitempty"`
	// CodePage is the ANSI code page that the log was read in, and CodePageFrom what
	// tells it; 0 where the log is in Unicode.
	CodePage     int    `json:"code_page,omitempty"`
	CodePageFrom string `json:"code_page_from,omitempty"`
	// Logs are all that were read.
	Logs []string `json:"logs"`
	// Unread are those that could not be, with the reason.
	Unread []string `json:"unread,omitempty"`
	// Errors are the first of those that the catalogue does not know, where nothing
	// says how it ended.
	Errors     []string `json:"errors,omitempty"`
	ErrorCount int      `json:"error_count,omitempty"`

	of diagnosis.Source
}

func diagnoseOne(ctx context.Context, path string, page int, backing []string) finding.Report {
	r := finding.Report{Subject: finding.Log, Name: weburl.Redact(path)}
	logs, unread, err := gather(ctx, path, page, backing)
	if err != nil {
		r.Error = edge.Text(reason(ctx, err))
		return r
	}
	found := diagnosis.Collect(logs)
	if found.Outcome == diagnosis.NoLog && len(unread) > 0 {
		r.Error = edge.Text("no log of sysprep or Windows Setup could be read: " + strings.Join(unread, "; "))
		return r
	}
	if found.Outcome == diagnosis.NoLog && found.Says != "" {
		r.Error = found.Says
		return r
	}
	if found.Outcome == diagnosis.NoLog {
		r.Error = "there is no log of sysprep or Windows Setup in it; name setupact.log, or the folder Windows\\System32\\Sysprep\\Panther or Windows\\Panther"
		return r
	}
	p := found.Log.Run.Progress
	facts := LogFacts{Outcome: found.Outcome, Log: found.Log.Name, Options: p.Options, Started: clock(p.Start), Last: clock(p.Last), of: found.Log.Of,
		Unread: unread, Errors: found.Errors, ErrorCount: found.ErrorCount,
		CodePage: found.Log.Page.Number, CodePageFrom: found.Log.Page.Why}
	for _, l := range logs {
		facts.Logs = append(facts.Logs, l.Name)
	}
	if p.Working.Named() {
		facts.Working = p.Working.Entry + " of " + p.Working.Module
	} else if found.Outcome == diagnosis.Hanging {
		facts.Working = p.Standing()
	}
	if found.Diagnosis != nil {
		facts.Phase = found.Diagnosis.Phase
		r.Findings = []finding.Finding{found.Diagnosis.Finding}
	}
	r.Facts = facts
	return r
}

// withoutGeneralize reports whether sysprep was told what to do, and not to
// generalize. Where a person chose in its window the log has no options.
func withoutGeneralize(options []string) bool {
	return len(options) > 0 && !slices.Contains(options, "GENERALIZE") && !slices.Contains(options, "RESPECIALIZE")
}

func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.DateTime)
}

// heads are what a failure means for the machine.
var heads = map[diagnosis.Phase]string{
	diagnosis.PhaseValidate:  "sysprep refused, nothing was changed",
	diagnosis.PhaseLaunch:    "sysprep did not begin, nothing was changed",
	diagnosis.PhaseProcess:   "sysprep broke off midway, the machine cannot be used",
	diagnosis.PhaseFirstBoot: "the first boot failed",
}

// usable says what the machine is good for.
func usable(facts LogFacts) string {
	untouched := facts.Phase == diagnosis.PhaseValidate || facts.Phase == diagnosis.PhaseLaunch
	switch {
	case facts.Phase == diagnosis.PhaseFirstBoot && facts.Outcome == diagnosis.Hanging:
		return "may still come up, if Windows Setup goes on; where it does not, correct the cause and deploy it again"
	case facts.Phase == diagnosis.PhaseFirstBoot:
		return "a deployed image that does not recover by itself; deploy it again, or build it again where the image is the cause"
	case facts.Outcome == diagnosis.Hanging && untouched:
		return "as it was; end sysprep.exe, do the steps above and run sysprep again on it"
	case facts.Outcome == diagnosis.Hanging:
		return "may still become an image, if sysprep goes on; cannot be used if it does not"
	case untouched:
		return "as it was; do the steps above and run sysprep again on it"
	}
	return "cannot be used; do the steps above on a fresh one"
}

// diagnosed is one report for a person: what failed, why and what to do first on
// one line, then the evidence and the steps.
func diagnosed(r finding.Report, named bool) (lines []string) {
	facts, _ := r.Facts.(LogFacts)
	head := map[diagnosis.Outcome]string{
		diagnosis.Failed: heads[facts.Phase], diagnosis.Hanging: "sysprep did not end", diagnosis.Succeeded: "nothing failed: sysprep succeeded",
		diagnosis.Unfailed:  "nothing failed in what was read",
		diagnosis.Undecided: "not known: the log has errors that the catalogue does not know, and does not say how it ended",
	}[facts.Outcome]
	switch {
	case facts.Outcome == diagnosis.Hanging && facts.Phase == diagnosis.PhaseFirstBoot:
		head = "the first boot did not end"
	case facts.Outcome == diagnosis.Failed:
	case facts.Phase == diagnosis.PhaseFirstBoot:
		head = "the first boot"
	case facts.Outcome == diagnosis.Succeeded && facts.of == diagnosis.OfSetup:
		head = "nothing failed: Windows Setup ended its part well"
	case facts.Outcome == diagnosis.Succeeded && withoutGeneralize(facts.Options):
		head = "nothing failed: sysprep succeeded, but it ran without /generalize: the machine is not generalized"
	}
	for _, f := range r.Findings {
		head += ": " + f.Summary
		if len(f.Remedy) > 0 {
			head += "; " + render.Next + f.Remedy[0]
		}
	}
	if facts.Outcome == diagnosis.Undecided && len(r.Findings) == 0 && len(facts.Errors) > 0 {
		head += fmt.Sprintf("; the first is %q; "+render.Next+"Run diagnose with the folder of all logs of that machine", facts.Errors[0])
	}
	if named {
		head = r.Name + ": " + head
	}
	lines = append(lines, foreign.Text(head))
	lines = append(lines, render.Full("cause", r.Findings...)...)
	for _, text := range facts.Errors {
		lines = append(lines, foreign.Text("error: "+text))
	}
	if n := facts.ErrorCount - len(facts.Errors); n > 0 {
		lines = append(lines, fmt.Sprintf("error: and %d more", n))
	}
	for _, text := range facts.Unread {
		lines = append(lines, foreign.Text("not read: "+text))
	}
	if facts.Outcome == diagnosis.Failed || facts.Outcome == diagnosis.Hanging {
		lines = append(lines, "machine: "+usable(facts))
	}
	seen := "read: " + facts.Log
	if facts.Started != "" {
		seen += ", last run from " + facts.Started + " to " + facts.Last + " by the guest's clock"
	}
	if len(facts.Options) > 0 {
		seen += ", options " + strings.Join(facts.Options, " ")
	}
	if facts.CodePage != 0 {
		seen += fmt.Sprintf(", in code page %d (%s", facts.CodePage, facts.CodePageFrom)
		if !strings.HasPrefix(facts.CodePageFrom, "--locale") {
			seen += "; --locale names another one"
		}
		seen += ")"
	}
	return append(lines, foreign.Text(seen))
}
