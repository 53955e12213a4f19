package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/preflight"
)

const causesHead = `# Causes: why sysprep or a first boot fails

<!-- Generated from internal/diagnosis by make generate. Do not edit. -->

Each failure that the plugin can name has an id here. The provisioner shows it in its error
(` + "`[refused/APPX_NOT_PROVISIONED]`" + ` and ` + "`cause: F01 ...`" + `), ` + "`diagnose`" + ` finds it in logs, and the
[pre-flight](preflight.md) predicts some of them before sysprep is started. How to use this:
[troubleshooting](troubleshooting.md).

None of it was seen by the authors on a Windows of their own. A cause marked *likely, not certain*
is supported neither by Microsoft's documents nor by a complete log; the output says so too. Words in
braces, such as ` + "`{package}`" + `, are filled in from the log. Patterns are [RE2](https://github.com/google/re2/wiki/Syntax),
matched without regard to case against the message of a line; each line of a block is an alternative.

Where several causes match, the one that belongs to the step that failed wins, then a specific one
before a *general* one. A *notice* counts only where nothing failed. A failure that matches
none is F00 (UNKNOWN): its component, module and code are shown.

`

// stages are the parts of the page.
var stages = []struct {
	phase diagnosis.Phase
	title string
	means string
}{
	{diagnosis.PhaseLaunch, "At the start", "sysprep did not begin. Nothing was changed."},
	{diagnosis.PhaseValidate, "In validation", "sysprep refused. Nothing was changed: correct the cause, and run it again on the same machine."},
	{diagnosis.PhaseProcess, "Midway", "sysprep broke off after it had begun to change Windows. Discard the machine, correct the cause in a fresh one."},
	{diagnosis.PhaseSilent, "Without an error", "sysprep succeeds, and the image is not what it should be."},
	{diagnosis.PhaseFirstBoot, "At the first boot", "The image was generalized, and a machine made from it does not come up."},
}

// causesPage is docs/causes.md.
func causesPage() string {
	entries := diagnosis.Entries()
	slices.SortStableFunc(entries, func(a, b diagnosis.Entry) int { return number(a.ID) - number(b.ID) })
	var b strings.Builder
	b.WriteString(causesHead)
	var parts []string
	for _, s := range stages {
		parts = append(parts, fmt.Sprintf("[%s](#%s)", strings.ToLower(s.title), strings.ReplaceAll(strings.ToLower(s.title), " ", "-")))
	}
	fmt.Fprintf(&b, "%d causes: %s.\n", len(entries), strings.Join(parts, ", "))
	for _, s := range stages {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| id | name | cause |\n|---|---|---|\n", s.title, s.means)
		for _, e := range entries {
			if e.Phase == s.phase {
				fmt.Fprintf(&b, "| [%s](#%s) | `%s` | %s |\n", e.ID, anchor(e), e.Name, sentence(plain(e.Title)))
			}
		}
		for _, e := range entries {
			if e.Phase == s.phase {
				b.WriteString(entry(e))
			}
		}
	}
	return b.String()
}

func number(id string) (n int) {
	_, _ = fmt.Sscanf(id, "F%d", &n) // an id without a number comes first
	return n
}

func anchor(e diagnosis.Entry) string { return strings.ToLower(e.ID + "-" + e.Name) }

// entry is the section of one cause.
func entry(e diagnosis.Entry) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n### %s %s\n\n%s.", e.ID, e.Name, sentence(plain(e.Title)))
	for _, mark := range []struct {
		set  bool
		text string
	}{{e.Unconfirmed, "Likely, not certain."}, {e.Generic, "General."}, {e.Notice, "A notice."}} {
		if mark.set {
			b.WriteString(" *" + mark.text + "*")
		}
	}
	b.WriteString("\n\n")
	of := ""
	if e.External {
		of = " of a provider that is no part of Windows"
	} else if e.Module != "" {
		of = " of `" + e.Module + "`"
	}
	pattern := func(what, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%s:\n\n```text\n%s\n```\n\n", what, strings.Join(alternatives(text), "\n"))
		}
	}
	pattern("Shown by a line"+of, e.Line)
	pattern("Shown by a line"+of+", where no other cause is", e.Weak)
	pattern("Shown by a step that has begun and not ended, \"entry of DLL\" in lower case"+of, e.Step)
	var checks []string
	for _, c := range preflight.Checks() {
		if slices.Contains(c.Causes, e.ID) {
			checks = append(checks, fmt.Sprintf("[%s](preflight.md#%s)", c.ID, c.ID))
		}
	}
	switch {
	case e.By == "verdict":
		b.WriteString("Shown by what is seen of the guest, not by a line of a log.\n\n")
	case e.By == "pre-flight" && len(checks) == 0:
		b.WriteString("Nothing looks for it yet: no line of a log shows it, and no check of the pre-flight.\n\n")
	case e.By == "pre-flight":
		b.WriteString("No line of a log shows it.\n\n")
	}
	if len(checks) > 0 {
		fmt.Fprintf(&b, "Predicted by the pre-flight: %s.\n\n", strings.Join(checks, ", "))
	}
	b.WriteString("What to do:\n\n")
	for i, step := range e.Remedy {
		fmt.Fprintf(&b, "%d. %s\n", i+1, prose(step))
	}
	fmt.Fprintf(&b, "\nSource: %s\n", address(e.Source))
	return b.String()
}

var groupName = regexp.MustCompile(`\(\?P<\w+>`)

// alternatives splits a pattern where | stands outside of brackets, and leaves the names of
// its groups out.
func alternatives(pattern string) (all []string) {
	pattern = groupName.ReplaceAllString(pattern, "(")
	depth, from, class := 0, 0, false
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\':
			i++
		case class:
			class = c != ']'
		case c == '[':
			class = true
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == '|' && depth == 0:
			all = append(all, pattern[from:i])
			from = i + 1
		}
	}
	return append(all, pattern[from:])
}
