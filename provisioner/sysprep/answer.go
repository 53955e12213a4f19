package sysprep

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"

	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/hashicorp/packer-plugin-sdk/template/interpolate"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/answerfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/option"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
)

// answer is the answer file of a run.
type answer struct {
	// name is what messages call the file that was given; given is its text and
	// base what it says. Empty when there is only the block unattend.
	name  string
	given []byte
	base  *answerfile.File
	// block is the block unattend, nil when there is none.
	block *answerfile.Unattend

	// content goes into the guest, file is what it says. Nil when there is no
	// answer file.
	content []byte
	file    *answerfile.File
	// notes say where the block has replaced what base says.
	notes []finding.Finding
}

// anyArchitecture is what the block is built for before the guest has been
// asked: enough to judge everything else.
const anyArchitecture = "amd64"

// readAnswer reads and checks the answer file, as far as it is known already.
func (c *Config) readAnswer() []error {
	c.answer = answer{}
	if errs := c.readGiven(); len(errs) > 0 {
		return errs
	}
	partly := false
	if c.Unattend != nil {
		partly = standIn(reflect.ValueOf(c.Unattend))
		c.answer.block = c.Unattend
	}
	errs := c.answer.build(anyArchitecture)
	if len(errs) > 0 {
		if partly {
			return nil // it may be for want of the value
		}
		return errs
	}
	for _, f := range c.lint("") {
		if f.Severity == finding.Fail || c.fixable(f) {
			errs = append(errs, errors.New(c.answer.text(f)))
		}
	}
	return errs
}

// fixable reports whether a finding is about a name in the block that Windows
// does not know: there it is written anew, and a warning at the first boot of an
// image is late. A severity that the user chose counts.
func (c *Config) fixable(f finding.Finding) bool {
	_, chosen := c.severities[f.ID]
	return !chosen && f.Severity == finding.Warn && f.Where.Line == 0 && c.answer.block != nil && slices.Contains([]string{"time-zone", "locale"}, f.ID)
}

// checkLint reads the block lint.
func (c *Config) checkLint() []error {
	c.severities = nil
	if c.Lint == nil {
		return nil
	}
	words := maps.Clone(c.Lint.Severities)
	maps.DeleteFunc(words, func(_, word string) bool { return unknown.In(word) })
	var errs []error
	c.severities, errs = answerfile.ParseSeverities("lint.severities", words)
	return errs
}

// readGiven reads answer_file or answer_file_content. What is in the guest is
// read there.
func (c *Config) readGiven() []error {
	if pattern := c.AnswerFileInGuest; pattern != "" && !unknown.In(pattern) {
		if err := guest.CheckPattern(pattern); err != nil {
			return []error{fmt.Errorf("answer_file_in_guest: %w", err)}
		}
	}
	name, text := "answer_file_content", []byte(c.AnswerFileContent)
	if unknown.In(c.AnswerFile) || c.AnswerFile != "" && c.AnswerFileContent != "" {
		return nil
	}
	if c.AnswerFile != "" {
		name = c.AnswerFile
		var err error
		if text, err = hostfile.ReadRegular(c.AnswerFile, answerfile.MaxSize); err != nil {
			return []error{fmt.Errorf("answer_file: reading %s: %w; %s", c.AnswerFile, err, where(runtime.GOOS, c.AnswerFile))}
		}
		if len(text) == 0 {
			return []error{fmt.Errorf("answer_file: %s is empty; write an answer file or remove the option", c.AnswerFile)}
		}
	}
	if len(text) == 0 || unknown.In(string(text)) {
		return nil
	}
	file, err := answerfile.Parse(text)
	if err != nil {
		var bad *answerfile.Error
		if errors.As(err, &bad) {
			bad.Name = name
		}
		return []error{err}
	}
	c.answer.name, c.answer.given, c.answer.base = name, text, file
	return nil
}

// where is what to do about an answer file that cannot be read.
func where(goos, name string) string {
	switch {
	case goos != "windows" && inWindows.MatchString(name):
		return "this is a file on the machine that runs packer; for one in Windows use answer_file_in_guest"
	case goos != "windows" && strings.Contains(name, `\`):
		return "write / between folders on this machine"
	case filepath.IsAbs(name):
		return "name an answer file on the machine that runs packer"
	}
	return "name an answer file on the machine that runs packer, relative to the folder packer runs in, or to the template with ${path.root}/"
}

// build makes the answer file for the guest's architecture.
func (a *answer) build(architecture string) []error {
	a.content, a.file, a.notes = a.given, a.base, nil
	if a.block == nil {
		return nil
	}
	built, err := answerfile.Build(*a.block, architecture)
	if err != nil {
		list := []error{err}
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			list = joined.Unwrap()
		}
		for i, one := range list {
			list[i] = fmt.Errorf("unattend: %w", one)
		}
		return list
	}
	if len(built.Passes()) == 0 && len(a.block.SetupComplete) > 0 {
		return nil
	}
	if len(built.Passes()) == 0 {
		return []error{errors.New("unattend: the block holds no setting; write one, or remove the block")}
	}
	if a.base != nil {
		built, a.notes = answerfile.Merge(a.base, built)
	}
	a.file, a.content = built, built.Marshal()
	return nil
}

// lint judges the answer file for this run. An empty architecture is not known.
func (c *Config) lint(architecture string) []finding.Finding {
	if c.answer.file == nil {
		return nil
	}
	ctx := answerfile.Context{Architecture: architecture, Severities: c.severities}
	if c.Mode == modeOOBE || c.Mode == modeAudit {
		ctx.CommandLine = &answerfile.CommandLine{Generalize: c.generalize(), OOBE: c.Mode == modeOOBE, Audit: c.Mode == modeAudit, VMMode: c.VMMode}
	}
	return answerfile.LintFile(c.answer.file, ctx)
}

// text says a finding with the place where it was written.
func (a *answer) text(f finding.Finding) string {
	said := render.Statement(f)
	switch {
	case f.Where.Line > 0:
		return fmt.Sprintf("answer file %s, %s", a.name, said)
	case a.block != nil:
		return "unattend" + optionOf(a.block, f.Where.Path) + ": " + said
	}
	return fmt.Sprintf("answer file %s: %s", a.name, said)
}

// optionOf is the option of the block, with a dot before it, that wrote a setting; nothing where
// that is not one of these, or where the block component wrote it.
func optionOf(u *answerfile.Unattend, path []string) string {
	if len(path) == 0 {
		return ""
	}
	locale := u.Locale
	if locale == nil {
		locale = &answerfile.Locale{}
	}
	given := map[string]struct{ option, value string }{
		"TimeZone": {".time_zone", u.TimeZone}, "ComputerName": {".computer_name", u.ComputerName}, "ProductKey": {".product_key", string(u.ProductKey)},
		"RegisteredOwner": {".registered_owner", u.RegisteredOwner}, "RegisteredOrganization": {".registered_organization", u.RegisteredOrganization},
		"InputLocale": {".locale.input_locale", locale.InputLocale}, "SystemLocale": {".locale.system_locale", locale.SystemLocale},
		"UILanguage": {".locale.ui_language", locale.UILanguage}, "UserLocale": {".locale.user_locale", locale.UserLocale},
	}[path[len(path)-1]]
	if given.value == "" || len(u.Components) > 0 {
		return ""
	}
	return given.option
}

// standIn puts a template placeholder, which the linter does not judge, in
// place of every text that is not known yet, and reports whether there is one.
func standIn(v reflect.Value) bool {
	found := false
	switch v.Kind() {
	case reflect.Pointer:
		return !v.IsNil() && standIn(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				found = standIn(v.Field(i)) || found
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			found = standIn(v.Index(i)) || found
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			text := v.MapIndex(key).String()
			if unknown.In(text) {
				v.SetMapIndex(key, reflect.ValueOf(strings.ReplaceAll(text, unknown.Value, "${unknown}")))
				found = true
			}
		}
	case reflect.String:
		if found = unknown.In(v.String()); found {
			v.SetString(strings.ReplaceAll(v.String(), unknown.Value, "${unknown}"))
		}
	}
	return found
}

// decodeUnattend reads the block of a JSON template, whose texts are Packer's
// templates. Its errors hold no value: that may be a password.
func decodeUnattend(raw any, ctx interpolate.Context) (*answerfile.Unattend, error) {
	// What the builder will say is not known when the block is checked.
	ctx.Data = nil
	options, ok := filled(raw, &ctx)
	if !ok {
		return nil, errors.New("unattend: a text holds a template that cannot be rendered; use user variables, and {{`{{`}} for two braces")
	}
	u := &answerfile.Unattend{}
	if _, ok := options.(map[string]any); !ok {
		return nil, errors.New(`unattend: it is not a block; write "unattend": { "computer_name": "*" }`)
	}
	if err := config.Decode(u, &config.DecodeOpts{PluginType: "sysprep"}, options); err != nil {
		return nil, shapeError(err)
	}
	return u, nil
}

// filled fills in the templates in all texts of a value.
func filled(raw any, ctx *interpolate.Context) (any, bool) {
	switch v := raw.(type) {
	case []uint8: // texts that crossed the plugin boundary
		return filled(string(v), ctx)
	case string:
		if !strings.Contains(v, "{{") {
			return v, true
		}
		text, err := (&interpolate.I{Value: v}).Render(ctx) // once: a password may hold braces
		return text, err == nil
	case map[string]any:
		out := map[string]any{}
		for name, value := range v {
			done, ok := filled(value, ctx)
			if !ok {
				return nil, false
			}
			out[name] = done
		}
		return out, true
	case map[any]any:
		out := map[string]any{}
		for name, value := range v {
			out[fmt.Sprint(name)] = value
		}
		return filled(out, ctx)
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			done, ok := filled(value, ctx)
			if !ok {
				return nil, false
			}
			out[i] = done
		}
		return out, true
	}
	return raw, true
}

var (
	inWindows     = lazyregexp.New(`^([A-Za-z]:|%\w+%)`)
	unknownOption = lazyregexp.New(`unknown configuration key: '"([\w.\[\]]+)"'`)
	wrongOption   = lazyregexp.New(`(?m)^\* (?:error decoding |cannot parse )?'([\w.\[\]]+)'`)
)

// shapeError keeps the names of an error of the SDK, which quotes values.
func shapeError(err error) error {
	var lines []string
	for _, kind := range []struct {
		names *lazyregexp.Regexp
		what  string
	}{{unknownOption, "there is no such option"}, {wrongOption, "the value has the wrong type for this option"}} {
		for _, m := range kind.names.FindAllStringSubmatch(err.Error(), -1) {
			if near := option.Nearest(m[1], slices.Collect(maps.Keys(new(answerfile.Unattend).FlatMapstructure().HCL2Spec()))); near != "" && kind.names == unknownOption {
				lines = append(lines, fmt.Sprintf("unattend.%s: there is no such option; did you mean %s?", m[1], near))
				continue
			}
			lines = append(lines, fmt.Sprintf("unattend.%s: %s; see the page on answer files", m[1], kind.what))
		}
	}
	if len(lines) == 0 {
		lines = []string{"unattend: a value has the wrong type for its option; see the page on answer files"}
	}
	return errors.New(strings.Join(slices.Compact(lines), "\n"))
}
