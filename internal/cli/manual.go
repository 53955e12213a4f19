package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// Manual returns the man pages and the reference of the command line, by their names below
// the folder docs. They are made of the definitions that help is made of.
func Manual() map[string]string {
	root := newRoot(&call{})
	pages := map[string]string{"command-line.md": reference(root)}
	for _, cmd := range append(listed(root), root) {
		pages["man/"+pageOf(cmd)+".1"] = manPage(cmd)
	}
	return pages
}

func pageOf(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// options hands out each option of a command: how it is written, what it does, and
// its default where it has one.
func options(cmd *cobra.Command, do func(written, name, usage, fallback string)) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		name, usage := pflag.UnquoteUsage(f)
		written := "--" + f.Name
		if f.Shorthand != "" {
			written = "-" + f.Shorthand + ", " + written
		}
		fallback := f.DefValue
		if f.Value.Type() == "bool" {
			name, fallback = "", ""
		}
		do(written, name, usage, fallback)
	})
}

// reference is the page of all commands in Markdown.
func reference(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("<!-- Written by make generate from internal/cli. Do not edit. -->\n# Command line\n\nNot run on a real Windows yet, the completion script of PowerShell in PowerShell 7.0 on Linux only.\n")
	for _, cmd := range append([]*cobra.Command{root}, listed(root)...) {
		if cmd != root {
			fmt.Fprintf(&b, "\n## %s\n", cmd.Name())
		}
		fmt.Fprintf(&b, "\n`%s`: %s.\n", cmd.UseLine(), cmd.Short)
		if cmd.Long != "" {
			fmt.Fprintf(&b, "\n%s\n", blocks(cmd.Long, "```text\n", "```\n"))
		}
		if cmd == root {
			b.WriteString("\n| command | what it does |\n|---|---|\n")
			for _, c := range listed(root) {
				fmt.Fprintf(&b, "| [`%s`](#%s) | %s |\n", c.Name(), c.Name(), c.Short)
			}
		}
		b.WriteString("\n| option | what it does |\n|---|---|\n")
		options(cmd, func(written, name, usage, fallback string) {
			if fallback != "" {
				usage += "; " + fallback + " by default"
			}
			fmt.Fprintf(&b, "| `%s` | %s |\n", strings.TrimSpace(written+" "+name), strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(usage))
		})
		fmt.Fprintf(&b, "\n```sh\n%s\n```\n", cmd.Example)
		b.WriteString("\n| exit code | what it means |\n|---|---|\n")
		for line := range strings.SplitSeq(cmd.Annotations[exits], "\n") {
			code, meaning, _ := strings.Cut(line, " ")
			fmt.Fprintf(&b, "| %s | %s |\n", code, meaning)
		}
	}
	return b.String()
}

// named matches a word in angle brackets, which Markdown would take for a tag.
var named = lazyregexp.New(`</?[a-z]+>`)

// blocks puts marks around the lines that begin with a blank, which stay as they are.
func blocks(text, begin, end string) string {
	var b strings.Builder
	in := false
	for line := range strings.SplitSeq(text, "\n") {
		indented := strings.HasPrefix(line, " ")
		switch {
		case indented && !in:
			b.WriteString(begin)
		case !indented && in:
			b.WriteString(end)
		}
		in = indented
		if in {
			line = line[2:]
		}
		switch {
		case begin == verbatim && line == "":
			line = ".PP"
		case begin == verbatim:
			line = roff(line)
		case !in:
			line = strings.ReplaceAll(named.ReplaceAllString(line, "`$0`"), "< ", "&lt; ")
		}
		b.WriteString(line + "\n")
	}
	if in {
		b.WriteString(end)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

const verbatim, verbatimEnd = ".nf\n", ".fi\n"

// manPage is the page of a command in section 1, in the language of man(7).
func manPage(cmd *cobra.Command) string {
	var b strings.Builder
	page := pageOf(cmd)
	fmt.Fprintf(&b, ".\\\" Written by make generate from internal/cli. Do not edit.\n.TH %q 1 \"\" %q \"User Commands\"\n", roff(strings.ToUpper(page)), roff(program))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n.SH SYNOPSIS\n%s\n", roff(page), roff(cmd.Short), roff(cmd.UseLine()))
	if cmd.Long != "" {
		fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n", blocks(cmd.Long, verbatim, verbatimEnd))
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString(".SH COMMANDS\n")
		for _, c := range listed(cmd) {
			fmt.Fprintf(&b, ".TP\n\\fB%s\\fR\n%s\n", roff(c.Name()), roff(c.Short))
		}
	}
	b.WriteString(".SH OPTIONS\n")
	options(cmd, func(written, name, usage, fallback string) {
		if name != "" {
			name = " \\fI" + roff(name) + "\\fR"
		}
		if fallback != "" {
			usage += "; " + fallback + " by default"
		}
		fmt.Fprintf(&b, ".TP\n\\fB%s\\fR%s\n%s\n", roff(written), name, roff(usage))
	})
	b.WriteString(".SH EXIT STATUS\n")
	for line := range strings.SplitSeq(cmd.Annotations[exits], "\n") {
		code, meaning, _ := strings.Cut(line, " ")
		fmt.Fprintf(&b, ".TP\n%s\n%s\n", code, roff(meaning))
	}
	b.WriteString(".SH EXAMPLES\n.nf\n")
	for line := range strings.SplitSeq(cmd.Example, "\n") {
		b.WriteString(roff(line) + "\n")
	}
	b.WriteString(".fi\n.SH SEE ALSO\n")
	var others []string
	for _, c := range append([]*cobra.Command{cmd.Root()}, listed(cmd.Root())...) {
		if c != cmd {
			others = append(others, `.BR `+roff(pageOf(c))+` (1)`)
		}
	}
	b.WriteString(strings.Join(others, " ,\n") + "\n")
	return b.String()
}

// roff writes a text so that man shows it as it is.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}
