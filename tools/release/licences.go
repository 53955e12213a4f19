package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/tools/released"
)

// licencesFile lists every module that a release holds, with its licence. It is committed,
// so that a change of a licence is seen when a dependency changes; the texts are not, and
// come from the module cache.
const licencesFile = "tools/release/licences.tsv"

// standard is the name of Go's own library, which is no module.
const standard = "Go standard library"

// licensed is a module and its licence.
type licensed struct {
	path, version string
	spdx          string // an expression such as "Apache-2.0 AND MIT"
	// texts are its licences, more its notices and grants of patents.
	texts, more []string
}

func (m licensed) all() []string { return append(slices.Clone(m.texts), m.more...) }

// licences are the modules of all platforms, by path.
type licences []licensed

func (l licences) module(path, version string) (licensed, bool) {
	i := slices.IndexFunc(l, func(m licensed) bool { return m.path == path && m.version == version })
	if i < 0 {
		return licensed{}, false
	}
	return l[i], true
}

// table is the content of licencesFile.
func (l licences) table() []byte {
	var b bytes.Buffer
	b.WriteString("# Written by tools/release (make generate): the modules in the released plugin, their licences, the SHA-256 of the texts.\n")
	for _, m := range l {
		sum := "-" // Go's own text is that of the Go in use
		if m.path != standard {
			h := sha256.Sum256([]byte(strings.Join(m.all(), "\n")))
			sum = hex.EncodeToString(h[:])
		}
		fmt.Fprintf(&b, "%s\t%s\t%s\t%s\n", m.path, m.version, m.spdx, sum)
	}
	return b.Bytes()
}

// text is what goes into the zips: each text once, under the modules that have it.
func (l licences) text() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s holds the modules below, each under its own licence. Their source is at\nhttps://pkg.go.dev/MODULE@VERSION.\n", program)
	var order []string
	have := map[string][]string{}
	for _, m := range l {
		for _, t := range m.all() {
			if have[t] == nil {
				order = append(order, t)
			}
			have[t] = append(have[t], strings.TrimSpace(m.path+" "+m.version+" ("+m.spdx+")"))
		}
	}
	for _, t := range order {
		fmt.Fprintf(&b, "\n%s\n%s\n\n%s\n", strings.Repeat("=", 79), strings.Join(slices.Compact(have[t]), "\n"), t)
	}
	return b.Bytes()
}

// licencesCommand writes licencesFile, or checks it.
func licencesCommand(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("release licences", flag.ContinueOnError)
	check := flags.Bool("check", false, "fail where "+licencesFile+" is stale")
	if err := flags.Parse(args); err != nil {
		return err
	}
	l, err := gather(ctx)
	if err != nil {
		return err
	}
	if !*check {
		return os.WriteFile(licencesFile, l.table(), 0o644)
	}
	if err := l.fresh(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %d modules\n", licencesFile, len(l))
	return nil
}

// licences are those of the release, after a look whether the committed list still holds.
func (r release) licences(ctx context.Context) (licences, error) {
	l, err := gather(ctx)
	if err != nil {
		return nil, err
	}
	return l, l.fresh()
}

func (l licences) fresh() error {
	committed, err := os.ReadFile(licencesFile)
	if err != nil {
		return err
	}
	if !bytes.Equal(committed, l.table()) {
		return fmt.Errorf("%s is stale: what the plugin links, or a licence of it, has changed; run make generate, read what changed, and commit it", licencesFile)
	}
	return nil
}

// gather reads the licences of everything that is linked on any platform.
func gather(ctx context.Context) (licences, error) {
	found := map[string]*licensed{}
	for _, platform := range released.Platforms {
		if err := linked(ctx, platform, found); err != nil {
			return nil, fmt.Errorf("listing what %s links: %w", platform, err)
		}
	}
	root, err := goTool(ctx, nil, "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	all := licences{}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(root), "LICENSE"))
	if err != nil {
		return nil, fmt.Errorf("reading the licence of Go itself: %w; use Go as its own site ships it", err)
	}
	found[standard] = &licensed{path: standard, texts: []string{tidy(text)}}
	var wrong []error
	for _, m := range found {
		m.spdx, err = classify(m.texts)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s %s: %w", m.path, m.version, err))
		}
		all = append(all, *m)
	}
	slices.SortFunc(all, func(a, b licensed) int { return strings.Compare(a.path, b.path) })
	return all, errors.Join(wrong...)
}

// linked adds the modules whose packages are linked on a platform, with the texts of each
// package's folder and of those above it.
func linked(ctx context.Context, platform string, found map[string]*licensed) error {
	goos, goarch, _ := strings.Cut(platform, "/")
	const line = "{{with .Module}}{{if not .Main}}{{with .Replace}}{{.Path}}\t{{.Version}}\t{{.Dir}}{{else}}{{.Path}}\t{{.Version}}\t{{.Dir}}{{end}}\t{{$.Dir}}{{end}}{{end}}"
	out, err := goTool(ctx, []string{"GOOS=" + goos, "GOARCH=" + goarch}, "list", "-deps", "-f", line, ".")
	if err != nil {
		return err
	}
	for _, row := range strings.Split(out, "\n") {
		if row == "" {
			continue // a package of Go or of ours
		}
		field := strings.Split(row, "\t")
		if len(field) != 4 || field[2] == "" {
			return fmt.Errorf("go list says %q; run go mod download", row)
		}
		m := found[field[0]]
		if m == nil {
			m = &licensed{path: field[0], version: field[1]}
			found[field[0]] = m
		}
		if err := m.read(field[2], field[3]); err != nil {
			return err
		}
	}
	return nil
}

var (
	licenceName = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([.-][a-z0-9.-]*)?$`)
	beside      = regexp.MustCompile(`(?i)^(notice|patents)`)
)

// read adds the texts of the folders from a package up to its module.
func (m *licensed) read(module, folder string) error {
	for {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.IsDir() || !licenceName.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
				continue
			}
			content, err := os.ReadFile(filepath.Join(folder, e.Name()))
			if err != nil {
				return err
			}
			to := &m.texts
			if beside.MatchString(e.Name()) {
				to = &m.more
			}
			if t := tidy(content); !slices.Contains(*to, t) {
				*to = append(*to, t)
			}
		}
		if folder == module {
			// The order in which packages are listed differs between platforms.
			slices.Sort(m.texts)
			slices.Sort(m.more)
			return nil
		}
		above := filepath.Dir(folder)
		if above == folder {
			return fmt.Errorf("%s is not below %s: %w", folder, module, fs.ErrInvalid)
		}
		folder = above
	}
}

// tidy makes texts comparable that differ in line ends and blank lines around them only.
func tidy(text []byte) string {
	return strings.Trim(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n\f ")
}

func goTool(ctx context.Context, env []string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, toolLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), append(env, "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off")...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, &stderr)
	}
	return string(out), nil
}
