// Command ledger writes the reference pages that are tables in the code: what
// internal/windows believes (docs/windows.md, and its count in README.md), the checks of
// internal/preflight (docs/preflight.md), the causes of internal/diagnosis (docs/causes.md),
// the assertions of internal/winimage and internal/target (docs/assertions.md) and the
// targets of internal/boots (docs/boots-on.md). With -check it changes nothing and fails
// where one is stale. It is run at the root of the checkout, by make generate.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// The count stands between these marks in README.
const (
	begin = "<!-- beliefs, by make generate -->\n"
	end   = "<!-- end of beliefs -->\n"
)

func main() {
	check := flag.Bool("check", false, "change nothing, fail where a file is stale")
	flag.Parse()
	if err := run(".", *check); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(root string, check bool) error {
	readme := filepath.Join(root, "README.md")
	text, err := os.ReadFile(readme)
	if err != nil {
		return fmt.Errorf("reading README: %w", err)
	}
	counted, err := withCount(string(text))
	if err != nil {
		return err
	}
	pages := map[string]string{readme: counted}
	for name, text := range map[string]string{"windows.md": page(), "preflight.md": preflightPage(), "causes.md": causesPage(), "assertions.md": assertionsPage(), "boots-on.md": bootsPage()} {
		pages[filepath.Join(root, "docs", name)] = text
	}
	for path, want := range pages {
		have, err := os.ReadFile(path)
		switch {
		case err == nil && bytes.Equal(have, []byte(want)):
		case check:
			return fmt.Errorf("%s does not say what the code does: run make generate and commit", path)
		default:
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				return fmt.Errorf("writing the ledger: %w", err)
			}
		}
	}
	return nil
}

// withCount replaces the count in README.
func withCount(readme string) (string, error) {
	before, rest, found := strings.Cut(readme, begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return "", fmt.Errorf("README.md has no place for the count: put the lines %q and %q into it", begin, end)
	}
	return before + begin + count() + end + after, nil
}

// count says how many beliefs there are of each standing.
func count() string {
	var parts []string
	for _, s := range windows.Standings {
		n := 0
		for _, b := range windows.Beliefs {
			if b.Standing == s {
				n++
			}
		}
		parts = append(parts, fmt.Sprintf("%d %s", n, s))
	}
	return fmt.Sprintf("%d beliefs: %s.\n", len(windows.Beliefs), strings.Join(parts, ", "))
}

const head = `# What we believe about Windows

<!-- Generated from internal/windows/beliefs.go by make generate. Do not edit. -->

This plugin was built without access to a machine with Windows. What it assumes about
Windows is stated once, in ` + "`internal/windows`" + `, and every constant there names the belief
that it rests on.

| standing | means |
|---|---|
| documented | Microsoft, or the standard, says so |
| seen | in a public artefact that a real Windows made |
| reported | by somebody who looked at a real Windows |
| unproven | no source was found |

If one of them is wrong on your machine, tell us its id, and the edition and build of
Windows. How the simulated guest behaves, and the questions that only a real Windows can
answer, are in [simulated-guest.md](simulated-guest.md).

`

// page is docs/windows.md.
func page() string {
	var b strings.Builder
	b.WriteString(head + count() + "\n| standing | beliefs |\n|---|---|\n")
	for _, s := range windows.Standings {
		var ids []string
		for _, belief := range windows.Beliefs {
			if belief.Standing == s {
				ids = append(ids, fmt.Sprintf("[%s](#%s)", belief.ID, belief.ID))
			}
		}
		fmt.Fprintf(&b, "| %s | %s |\n", s, strings.Join(ids, ", "))
	}
	for _, belief := range windows.Beliefs {
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n- **Standing:** %s\n- **Source:** %s\n", belief.ID, plain(belief.Statement), belief.Standing, sources(belief.Source))
	}
	return b.String()
}
