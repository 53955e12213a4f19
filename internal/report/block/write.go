package block

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/common"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/secrets"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/version"
)

const (
	// writeLimit bounds writing all reports.
	writeLimit = time.Minute
	// sayEvery is how often the hash of a large file is heard of.
	sayEvery = 15 * time.Second
	// maxPicture bounds the screenshot that is read; the page has a bound of its own.
	maxPicture = 16 << 20
)

// Begin removes the reports of an earlier run, so that none of them is taken for that
// of a run that is killed. Files that are no reports of ours stay.
func (c *Config) Begin(ctx context.Context, ui packersdk.Ui) {
	for _, f := range c.forms() {
		if info, err := os.Lstat(f.path); err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
			continue
		}
		if ours, err := f.isOurs(); err != nil || !ours {
			continue
		}
		if err := hostfile.Remove(ctx, f.path); err != nil {
			ui.Errorf("The report %s is of an earlier run and could not be removed: %s", f.path, err)
		}
	}
}

// Of is the report on a run of a component as far as Packer and the environment tell.
func Of(component string, c common.PackerConfig) report.Run {
	return report.Run{
		Component: component, Plugin: report.Plugin{Name: "packer-plugin-sysprep", Version: version.PluginVersion.String()},
		Packer: report.Packer{Version: c.PackerCoreVersion, RunID: os.Getenv("PACKER_RUN_UUID"), BuildName: c.PackerBuildName, BuilderType: c.PackerBuilderType},
	}
}

// Write writes the reports on a run, each whole or not at all, also after a cancel. How
// the run ended does not depend on them: their paths were tried before, and an image that
// is good is worth more than its report, so that one that cannot be written is said as an
// error and is none. lint is what SARIF is about, and nil where there is nothing. hide takes
// the secrets that are known out of a text; what looks like one is taken out as well, as in
// run.json. files are those that no report replaces.
func (c *Config) Write(ctx context.Context, ui packersdk.Ui, run report.Run, hide func(string) string, lint *Lint, files ...string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeLimit)
	defer cancel()
	safe := func(text string) string { return secrets.Scrub(hide(text)) }
	run = run.Each(safe)
	facts, failed := hiddenFacts(run.Facts, safe)
	run.Facts = facts
	for _, f := range c.forms() {
		var b bytes.Buffer
		var err error
		switch f.option {
		case optionJSON:
			var content []byte
			content, err = render.RunFile(run)
			b.Write(content)
		case optionHTML:
			err = render.HTML(&b, run)
		case optionJUnit:
			err = render.JUnit(&b, run)
		default:
			if lint == nil {
				continue
			}
			err = render.SARIF(&b, version.Version, lint.Kinds, report.Each(lint.Found, safe))
		}
		if err == nil && (f.option == optionJSON || f.option == optionHTML) {
			err = failed
		}
		if err == nil {
			err = f.check(files...)
		}
		if err == nil {
			err = hostfile.WriteFile(ctx, f.path, b.Bytes())
		}
		if err != nil {
			ui.Errorf("The report on this run could not be written: %s: %s; set it to a path that can be written, and note that there is no such report of this run", f.option, err)
			continue
		}
		ui.Sayf("Report on this run: %s", f.path)
	}
}

// Lint is what a SARIF log is about.
type Lint struct {
	Kinds []render.Kind // all that can be found
	Found finding.Report
}

// hiddenFacts is the JSON form of facts without what is secret; nil for none.
func hiddenFacts(facts any, hide func(string) string) (any, error) {
	if facts == nil {
		return nil, nil
	}
	document, err := json.Marshal(facts)
	if err != nil {
		return nil, fmt.Errorf("writing the facts: %w", err)
	}
	document, err = secrets.InJSON(document, hide)
	return json.RawMessage(document), err
}

// Hash is the SHA-256 of a file in hexadecimal digits. A large one is heard of as it is
// read: a disk of 127 GiB takes minutes.
func Hash(ctx context.Context, ui packersdk.Ui, path string) (string, error) {
	f, info, err := hostfile.OpenRegular(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum, said, done := sha256.New(), time.Now(), int64(0)
	buffer := make([]byte, 1<<20)
	for {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := f.Read(buffer)
		sum.Write(buffer[:n])
		done += int64(n)
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(sum.Sum(nil)), nil
		}
		if err != nil {
			return "", fmt.Errorf("reading %s: %w", path, err)
		}
		if time.Since(said) >= sayEvery && info.Size() > 0 {
			said = time.Now()
			ui.Sayf("Hash for the report: %d %% of %.1f GiB", done*100/info.Size(), float64(info.Size())/(1<<30))
		}
	}
}

// Picture reads a screenshot that was written at or after since, nil where there is none.
func Picture(path string, since time.Time) []byte {
	info, err := os.Stat(path)
	// Some file systems keep whole or even seconds.
	if err != nil || info.ModTime().Before(since.Add(-2*time.Second)) {
		return nil
	}
	content, err := hostfile.ReadRegular(path, maxPicture)
	if err != nil {
		return nil
	}
	return content
}

// Exists keeps the paths at which there is a file.
func Exists(paths ...string) (there []string) {
	for _, path := range paths {
		if _, err := os.Stat(path); path != "" && !errors.Is(err, fs.ErrNotExist) {
			there = append(there, path)
		}
	}
	return there
}

// Outcome says how a run ended that makes or proves a disk: by its error and, without
// one, by what was proven, "" where nothing was.
func Outcome(ctx context.Context, err error, proven string) report.Outcome {
	switch {
	case err == nil && proven != "":
		return report.Outcome{Good: true, Class: "proven", Summary: "The image is proven to be generalized: " + proven}
	case err == nil:
		return report.Outcome{Good: true, Class: "made", Summary: "The image was made and is not proven (verify.enabled is false)"}
	}
	lines := report.Lines(err.Error())
	if len(lines) == 0 {
		lines = []string{"it failed without a reason"}
	}
	o := report.Outcome{Class: "failed", Summary: lines[0], Said: lines[1:]}
	head, known := verdict.ParseHead(err.Error())
	refused := (*proof.NotProven)(nil)
	switch {
	case known:
		o.Class, o.Cause = head.Class.String(), head.Cause
		if _, after, found := strings.Cut(lines[0], head.String()+" "); found {
			o.Summary = after // what Packer puts before it says nothing more
		}
	case ctx.Err() != nil:
		o.Class = "cancelled"
	case errors.As(err, &refused):
		o.Class = "not-proven"
	}
	return o
}
