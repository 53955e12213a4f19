package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// columns is how wide a screen of help may be.
const columns = 80

// help is the screen of a command.
func help(cmd *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nusage: %s\n", wrap(cmd.CommandPath()+": "+cmd.Short, columns), cmd.UseLine())
	if cmd.Long != "" {
		fmt.Fprintf(&b, "\n%s\n", wrap(cmd.Long, columns))
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\ncommands:\n")
		for _, c := range listed(cmd) {
			fmt.Fprintf(&b, "  %-11s %s\n", c.Name(), c.Short)
		}
	}
	fmt.Fprintf(&b, "\noptions:\n%s", cmd.Flags().FlagUsagesWrapped(columns))
	if cmd.Example != "" {
		b.WriteString("\nexamples:\n")
		for line := range strings.SplitSeq(cmd.Example, "\n") {
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	if text := cmd.Annotations[exits]; text != "" {
		b.WriteString("\nexit codes:\n")
		for line := range strings.SplitSeq(text, "\n") {
			code, meaning, _ := strings.Cut(line, " ")
			fmt.Fprintf(&b, "  %3s  %s\n", code, strings.ReplaceAll(wrap(meaning, columns-7), "\n", "\n       "))
		}
	}
	return b.String()
}

// listed are the commands that a screen names.
func listed(cmd *cobra.Command) (all []*cobra.Command) {
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			all = append(all, c)
		}
	}
	return all
}

// wrap breaks paragraphs into lines of at most width characters. A line that
// begins with a blank stays as it is.
func wrap(text string, width int) string {
	var lines []string
	for paragraph := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(paragraph, " ") {
			lines = append(lines, paragraph)
			continue
		}
		line := ""
		for word := range strings.FieldsSeq(paragraph) {
			switch {
			case line == "":
				line = word
			case len(line)+1+len(word) > width:
				lines = append(lines, line)
				line = word
			default:
				line += " " + word
			}
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}
