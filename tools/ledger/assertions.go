package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/target"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

const assertionsHead = `# Assertions: what is proven of an image

<!-- Generated from internal/winimage and internal/target by make generate. Do not edit. -->

` + "`sysprep-vhd`, `sysprep-image` and `inspect`" + ` open the disk read-only, without the guest, and
make the assertions below. An image is proven when every one of severity **fail** holds. A
**warn** is printed and refuses nothing, an **info** is only in the report. The option
` + "`verify.severities`" + ` changes the severity by id; ` + "`windows`" + ` stays fail. What "proven" says, and what it
does not: [what a proof means](explanation/proof.md).

*Likely, not certain* marks an assertion that rests on a [belief](windows.md) that is only reported,
or unproven. None was made on a disk that the authors generalized on a real Windows.

`

// assertionsPage is docs/assertions.md.
func assertionsPage() string {
	var b strings.Builder
	b.WriteString(assertionsHead)
	all := winimage.Assertions()
	b.WriteString("| id | assertion | severity |\n|---|---|---|\n")
	for _, a := range all {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", a.ID, a.ID, plain(a.Title), a.Severity)
	}
	for _, a := range all {
		fmt.Fprintf(&b, "\n## %s\n\n%s.", a.ID, sentence(plain(a.Title)))
		if a.Unconfirmed {
			b.WriteString(" *Likely, not certain.*")
		}
		b.WriteString("\n\n- **Severity:** " + string(a.Severity) + "\n")
		if a.Expected != "" {
			b.WriteString("- **Expected:** " + plain(a.Expected) + "\n")
		}
		b.WriteString("- **Made:** " + cmp.Or(a.When, "for each Windows on the disk") + "\n")
		if len(a.Beliefs) > 0 {
			var rests []string
			for _, id := range a.Beliefs {
				rests = append(rests, fmt.Sprintf("[%s](windows.md#%s)", id, id))
			}
			b.WriteString("- **Rests on:** " + strings.Join(rests, ", ") + "\n")
		}
		b.WriteString("- **Otherwise:** " + steps(a.Remedy) + "\n")
		if a.Source != "" {
			b.WriteString("- **Source:** " + sources(a.Source) + "\n")
		}
	}
	b.WriteString("\n## Where the image goes\n\nMade where `verify.target`, or `inspect --for`, names the place. All are of severity fail. The rules are\nthose that the vendors publish; no file was taken there.\n")
	for _, name := range target.Names() {
		fmt.Fprintf(&b, "\n### %s\n\n| id | assertion | otherwise |\n|---|---|---|\n", name)
		var from []string
		for _, r := range target.Rules(target.Target(name)) {
			fmt.Fprintf(&b, "| `%s` | %s. Expected: %s | %s |\n", r.ID, plain(r.Title), plain(r.Expected), steps(r.Remedy))
			for _, source := range strings.Split(r.Source, "; ") {
				if !slices.Contains(from, source) {
					from = append(from, source)
				}
			}
		}
		b.WriteString("\nSources:\n\n")
		for _, source := range from {
			b.WriteString("- " + sources(source) + "\n")
		}
	}
	return b.String()
}

func steps(list []string) string {
	var all []string
	for _, step := range list {
		all = append(all, prose(step))
	}
	return strings.Join(all, "; ")
}

// sources shows addresses, each as a link, with the words around them.
func sources(text string) string {
	var all []string
	for _, part := range strings.Split(text, "; ") {
		var words []string
		for _, word := range strings.Fields(part) {
			if tail := strings.TrimRight(word, ","); strings.HasPrefix(word, "https://") {
				words = append(words, "<"+tail+">"+word[len(tail):])
				continue
			}
			words = append(words, plain(word))
		}
		all = append(all, strings.Join(words, " "))
	}
	return strings.Join(all, "; ")
}
