// Command settings writes what internal/answerfile knows of Microsoft's
// Unattended Windows Setup Reference, internal/answerfile/settings.tsv, from the
// table of its facts that lies beside the project (../shared/reference, or where
// SYSPREP_REFERENCE points). With -check it changes nothing and fails where the
// file is stale. Where the table is absent it says so and leaves the file as it
// is. It is run at the root of the checkout, by make generate.
package main

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const target = "internal/answerfile/settings.tsv"

const head = `# Written by tools/settings, run by make generate. DO NOT EDIT.
# Facts of Microsoft's Unattended Windows Setup Reference (MicrosoftDocs, as published in 2017),
# https://learn.microsoft.com/windows-hardware/customize/desktop/unattend/,
# by Microsoft, under the licence CC BY 4.0, https://creativecommons.org/licenses/by/4.0/.
# Changed: only facts were taken, misprints were corrected (see tools/settings/corrections.go),
# and items of lists were marked.
# component	path	passes	values	longest	marks	deprecated
`

func main() {
	check := flag.Bool("check", false, "change nothing, fail where the file is stale")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(check bool) error {
	dir := cmp.Or(os.Getenv("SYSPREP_REFERENCE"), filepath.Join("..", "shared", "reference"))
	table, err := os.ReadFile(filepath.Join(dir, "unattend-settings.tsv"))
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(os.Stderr, "%s: not written and not checked, the table unattend-settings.tsv is not beside the project (set SYSPREP_REFERENCE to where it is)\n", target)
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the table: %w", err)
	}
	want, err := generate(string(table))
	if err != nil {
		return err
	}
	have, err := os.ReadFile(target)
	switch {
	case err == nil && bytes.Equal(have, want):
		return nil
	case check:
		return fmt.Errorf("%s does not say what the table does: run make generate and commit", target)
	}
	if err := os.WriteFile(target, want, 0o644); err != nil {
		return fmt.Errorf("writing the settings: %w", err)
	}
	return nil
}

// row is one setting, as it will be written.
type row struct {
	component, path, passes, values, longest string
	marks                                    []string
	deprecated                               string
}

func generate(table string) ([]byte, error) {
	lines := strings.Split(strings.TrimRight(table, "\n"), "\n")
	if !strings.HasPrefix(lines[0], "component\tpath\tpasses\tvalues\tvalue_kinds\tmax_length\tempty\tdeprecated\t") {
		return nil, errors.New("the table has other columns than this tool knows")
	}
	used := map[string]bool{}
	var rows []row
	for i, line := range lines[1:] {
		cells := strings.Split(strings.TrimRight(line, "\r"), "\t")
		if len(cells) < 8 {
			return nil, fmt.Errorf("line %d of the table has %d columns", i+2, len(cells))
		}
		r, err := convert(cells, used)
		if err != nil {
			return nil, fmt.Errorf("line %d of the table: %w", i+2, err)
		}
		rows = append(rows, r)
	}
	for key := range corrections {
		if !used[key] {
			return nil, fmt.Errorf("the correction of %s fits no line of the table", strings.ReplaceAll(key, "\t", " "))
		}
	}
	markLists(rows)
	var out bytes.Buffer
	out.WriteString(head)
	seen := map[string]bool{}
	for _, r := range rows {
		key := r.component + `\` + r.path
		if seen[key] {
			return nil, fmt.Errorf("%s appears twice", key)
		}
		seen[key] = true
		fmt.Fprintln(&out, strings.Join([]string{r.component, r.path, r.passes, r.values, r.longest, strings.Join(r.marks, ","), r.deprecated}, "\t"))
	}
	return out.Bytes(), nil
}

// markLists marks the items of lists: containers of a name that lists has.
func markLists(rows []row) {
	for i, r := range rows {
		steps := strings.Split(r.path, `\`)
		key, is := lists[steps[len(steps)-1]]
		below := func(other row) bool {
			return other.component == r.component && strings.HasPrefix(other.path, r.path+`\`)
		}
		if is && len(steps) > 1 && slices.ContainsFunc(rows, below) {
			rows[i].marks = append(rows[i].marks, strings.TrimSuffix("list:"+key, ":"))
		}
	}
}

// notValues are words in the column of values that stand for something else.
var notValues = []string{"{GUID}", "GUID", "Path", "path", "values", "ItemName", "ItemKey", "BTSearchIntervalOnAC", "BTSearchIntervalOnDC", "(no value / default)"}

// valueKinds are words in the column of kinds that are values.
var valueKinds = []string{"Allowed|Blocked", "true|false"}

func convert(cells []string, used map[string]bool) (row, error) {
	component, path, passes, values, kind, empty := cells[0], cells[1], cells[2], cells[3], cells[4], cells[6]
	r := row{component: component, longest: cells[5], passes: passes}
	key := component + "\t" + path
	fix, wrong := corrections[key]
	if wrong {
		used[key] = true
		path, r.passes, values = cmp.Or(fix.path, path), cmp.Or(fix.passes, passes), cmp.Or(fix.values, values)
	}
	if r.passes == "" {
		return r, fmt.Errorf("%s has no passes", path)
	}
	if slices.Contains(valueKinds, kind) {
		values = kind
	}
	var list []string
	for _, v := range strings.Split(values, "|") {
		switch {
		case v == "" || slices.Contains(notValues, v) || slices.Contains(list, v):
		case v == "0 or 1":
			list = append(list, "0", "1")
		default:
			list = append(list, v)
		}
	}
	steps := strings.Split(path, "/")
	if empty == "nonempty" {
		r.marks = append(r.marks, "nonempty")
	}
	if kind != "" || r.longest != "" || len(list) > 0 {
		r.marks = append(r.marks, "text")
	}
	r.path, r.values, r.deprecated = strings.Join(steps, `\`), strings.Join(list, "|"), deprecation(cells[7])
	if fix.current {
		r.deprecated = ""
	}
	return r, nil
}

// deprecation says since when a setting is deprecated, "yes" where the
// reference names no version.
func deprecation(text string) string {
	switch {
	case text == "":
		return ""
	case strings.Contains(text, "Windows 8"):
		return "Windows 8"
	case strings.Contains(text, "Windows 10") || strings.Contains(text, "Help component"):
		return "Windows 10"
	}
	return "yes"
}
