package cli

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/weburl"
)

const diagnoseUsage = `usage: packer-plugin-sysprep diagnose PATH... [--json] [--locale LOCALE] [--allow-backing PATH]... [--timeout 5m]
Says why sysprep or the first boot of an image failed, from the logs of Windows.
PATH is a log (setupact.log, setuperr.log), a folder or a zip file with logs
(Panther, or what log_directory kept), a disk image, or - for standard input. The
logs of one PATH are judged together; CBS.log, dism.log and the events of app
deployment as text (appx*.txt) are asked where the cause points to them.
  --json   one JSON document for each PATH, each on a line of its own
  --locale LOCALE
           the guest's locale (ja-JP) or code page (932), for logs that are not
           in Unicode
  --allow-backing PATH
           as for inspect, where PATH is a disk image
  --timeout DURATION
           how long all of it may take; 5m by default
Exit code: 0 nothing failed, 1 a failure or a hang was found, 2 a PATH could not
be read, or not all of it, has no log of sysprep or Windows Setup, or has errors
that are not known and no word of how it ended, 130 ended at once by a second
Ctrl-C.`

func diagnose(ctx context.Context, args []string, stdout, stderr *edge.Writer) int {
	flags, paths, err := options(args, "json", "locale=", "timeout=", "allow-backing=")
	if err == nil && len(paths) == 0 {
		err = errors.New("no log is named; give a log, a folder, a zip file, a disk image, or - for standard input")
	}
	if err == nil {
		paths, err = expanded(runtime.GOOS, paths)
	}
	limit, page := inspectLimit, 0
	if text := flags.last("timeout"); err == nil && flags.has("timeout") {
		if limit, err = time.ParseDuration(text); err != nil || limit <= 0 {
			err = fmt.Errorf("--timeout %s: give a time with its unit, for instance 90s or 5m", text)
		}
	}
	if text := flags.last("locale"); err == nil && flags.has("locale") {
		if page, err = diagnosis.CodePage(text); err != nil {
			err = fmt.Errorf("--locale %s: %w", text, err)
		}
	}
	if err != nil {
		return usage(err, diagnoseUsage, stdout, stderr)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %s; allow more with --timeout", limit))
	defer cancel()
	code := OK
	var reports []finding.Report
	for _, path := range paths {
		r := diagnoseOne(ctx, path, page, flags["allow-backing"])
		code = max(code, codeOfLog(r))
		reports = append(reports, r)
	}
	if flags.has("json") {
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
	// Working is what was begun last and did not end.
	Working string `json:"working,omitempty"`
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
	if found.Outcome == diagnosis.NoLog {
		r.Error = "there is no log of sysprep or Windows Setup in it; name setupact.log, or the folder Windows\\System32\\Sysprep\\Panther or Windows\\Panther"
		return r
	}
	p := found.Log.Run.Progress
	facts := LogFacts{Outcome: found.Outcome, Log: found.Log.Name, Options: p.Options, Started: clock(p.Start), Last: clock(p.Last), of: found.Log.Of,
		Unread: unread, Errors: found.Errors, ErrorCount: found.ErrorCount}
	for _, l := range logs {
		facts.Logs = append(facts.Logs, l.Name)
	}
	if p.Working.Named() {
		facts.Working = p.Working.Entry + " of " + p.Working.Module
	}
	if found.Diagnosis != nil {
		facts.Phase = found.Diagnosis.Phase
		r.Findings = []finding.Finding{found.Diagnosis.Finding}
	}
	r.Facts = facts
	return r
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
	}
	for _, f := range r.Findings {
		head += ": " + f.Summary
		if len(f.Remedy) > 0 {
			head += "; " + render.Next + f.Remedy[0]
		}
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
	return append(lines, foreign.Text(seen))
}
