//go:generate go tool packer-sdc mapstructure-to-hcl2 -type Config
//go:generate go tool packer-sdc struct-markdown

// Package block is the block report { } that all components share: where the report
// on a run goes, and writing it.
package block

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
)

// Config is the block `report`: each option is the path of a file on the host, and what
// is left out is not written.
type Config struct {
	// The path of the report as a JSON document, for programs
	// ([its keys](https://github.com/packer-plugin-sysprep/packer-plugin-sysprep/blob/main/docs/report.md#the-report-on-a-run)
	// and [its schema](https://github.com/packer-plugin-sysprep/packer-plugin-sysprep/blob/main/docs/report.schema.json)).
	JSON string `mapstructure:"json"`
	// The path of the report as one HTML page, for people. It needs no network.
	HTML string `mapstructure:"html"`
	// The path of the report as JUnit test results, which CI systems show: each check,
	// each assertion and the outcome is a test case.
	JUnit string `mapstructure:"junit"`
	// The path of what is found in the answer file as a SARIF log, for code hosts.
	// Only in `provisioner "sysprep"`.
	SARIF string `mapstructure:"sarif"`
}

// Options, as errors name them.
const (
	optionJSON  = "report.json"
	optionHTML  = "report.html"
	optionJUnit = "report.junit"
	optionSARIF = "report.sarif"
)

// form is one form of a report.
type form struct {
	option string
	path   string
	begins *lazyregexp.Regexp // how each report of ours begins
}

var (
	beginJSON  = lazyregexp.New(`^\s*\{\s*"schema"\s*:\s*\d`)
	beginHTML  = lazyregexp.New(`(?s)^<!doctype html>.{0,100}` + regexp.QuoteMeta(render.HTMLMark))
	beginJUnit = lazyregexp.New(`^<\?xml[^>]*>\s*` + regexp.QuoteMeta(render.JUnitMark))
	beginSARIF = lazyregexp.New(`(?s)^\{\s*"\$schema".{0,400}"name": "packer-plugin-sysprep"`)
)

// headSize is how much of a file tells whether it is a report.
const headSize = 1024

// forms are those that are asked for.
func (c *Config) forms() []form {
	all := []form{{optionJSON, c.JSON, beginJSON}, {optionHTML, c.HTML, beginHTML}, {optionJUnit, c.JUnit, beginJUnit}, {optionSARIF, c.SARIF, beginSARIF}}
	return slices.DeleteFunc(all, func(f form) bool { return f.path == "" })
}

// Wanted reports whether any report is asked for.
func (c *Config) Wanted() bool { return len(c.forms()) > 0 }

// Hashed reports whether one of those is asked for that name the hash of the output.
func (c *Config) Hashed() bool { return c.JSON != "" || c.HTML != "" }

// Check returns everything that is wrong with the paths, each error beginning with the
// option. What is not known yet is not looked at. files are those that the run reads or
// writes: no report is one of them. answerFile: this component has one to report on. It
// can be called any number of times, and changes no file.
func (c *Config) Check(answerFile bool, files ...string) (errs []error) {
	if c.SARIF != "" && !answerFile {
		errs = append(errs, errors.New(optionSARIF+": it holds what is found in an answer file, which only provisioner \"sysprep\" has; move it there, or use report.junit here"))
	}
	files = slices.Clone(files)
	for _, f := range c.forms() {
		if unknown.In(f.path) {
			continue
		}
		if err := f.check(files...); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.option, err))
		}
		files = append(files, f.path)
	}
	return errs
}

// check says why the report cannot be written, nil if it can. A file that is there must
// be such a report or empty, so that a slip of the pen replaces nothing of value.
func (f form) check(files ...string) error {
	if err := hostfile.Writable(f.path, files...); err != nil {
		return err
	}
	ours, err := f.isOurs()
	if err == nil && !ours {
		err = fmt.Errorf("%s exists already and is no report of this kind: choose another path, or remove it", f.path)
	}
	return err
}

// isOurs reports whether the file is absent, empty or a report of this form.
func (f form) isOurs() (bool, error) {
	file, info, err := hostfile.OpenRegular(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	if info.Size() == 0 {
		return true, nil
	}
	head, err := io.ReadAll(io.LimitReader(file, headSize))
	return f.begins.Match(head), err
}
