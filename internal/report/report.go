// Package report is the report on a whole run of a component, as data: finding/render
// makes documents and pages of it, and report/block writes those where the user wants
// them.
package report

import (
	"reflect"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
)

// Subject is that of the document on a whole run. No finding has it.
const Subject finding.Subject = "run"

// Run is what is reported of one run of a component: a sysprep in a guest, the
// making of a disk, the proof of one. Its JSON form is part of the document that
// docs/report.md describes. No text of it holds a secret.
type Run struct {
	// Component is its name in a template, such as sysprep-vhd.
	Component string  `json:"component"`
	Plugin    Plugin  `json:"plugin"`
	Packer    Packer  `json:"packer"`
	Source    *Source `json:"source,omitempty"`
	// Output is the disk that came out; nil where none did.
	Output  *Output `json:"output,omitempty"`
	Outcome Outcome `json:"outcome"`
	// Begun is by the clock of this machine. TookMS is in milliseconds.
	Begun  time.Time `json:"begun"`
	TookMS int64     `json:"took_ms"`
	// Phases have the form that run.json has for them: milliseconds from Begun.
	Phases []runlog.Phase `json:"phases"`
	// Sections are what was checked, in the order of the run.
	Sections []Section `json:"sections"`
	// Files are what else the run left on this machine: logs, a screenshot.
	Files []string `json:"files,omitempty"`
	// Picture is the screen of the guest, as the content of a PNG or JPEG file; it is
	// in the HTML page only.
	Picture []byte `json:"-"`
	// Facts are what was read of the disk, a value with a JSON form of its own; nil
	// where there are none.
	Facts any `json:"-"`
}

// Plugin is this program.
type Plugin struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Packer is what Packer says of the build. What it did not say is empty.
type Packer struct {
	Version string `json:"version,omitempty"`
	// RunID is the same for all builds of one call of Packer (PACKER_RUN_UUID).
	RunID       string `json:"run_id,omitempty"`
	BuildName   string `json:"build_name,omitempty"`
	BuilderType string `json:"builder_type,omitempty"`
}

// Source is the disk that the build started from.
type Source struct {
	// Name is its path or address, without credentials.
	Name string `json:"name"`
	// Checksum is what it was held against when it was downloaded.
	Checksum string `json:"checksum,omitempty"`
}

// Output is the disk that the build hands on.
type Output struct {
	Path   string `json:"path"`
	Format string `json:"format"`
	// Size is that of the file, VirtualSize that of the disk in it, in bytes.
	Size        int64 `json:"size"`
	VirtualSize int64 `json:"virtual_size,omitempty"`
	// SHA256 is of the file as it stands, in hexadecimal digits; empty where it could
	// not be computed.
	SHA256 string `json:"sha256,omitempty"`
}

// Outcome is how a run ended.
type Outcome struct {
	// Good: what was asked for was done, and nothing speaks against it.
	Good bool `json:"good"`
	// Class is one of the words that begin the errors of the provisioner; of the other
	// components "made", "proven", "not-proven", "failed" or "cancelled" as well.
	Class string `json:"class"`
	// Cause is a name of the catalogue of causes; empty where none is known.
	Cause string `json:"cause,omitempty"`
	// Summary is one line for a person.
	Summary string `json:"summary"`
	// Said is the rest of what a person is told, a line each.
	Said []string `json:"said,omitempty"`
}

// Section is what was checked by one part of the plugin.
type Section struct {
	// ID is one of the words of docs/report.md, Title is for a person.
	ID    string `json:"id"`
	Title string `json:"title"`
	// Error is why nothing could be checked.
	Error    string            `json:"error,omitempty"`
	Findings []finding.Finding `json:"findings"`
}

// Sections of a run.
const (
	SectionPreflight  = "preflight"
	SectionAnswerFile = "answer_file"
	SectionDiagnosis  = "diagnosis"
	SectionProof      = "proof"
)

// titles are of the sections.
var titles = map[string]string{
	SectionPreflight: "Checks of the guest before sysprep", SectionAnswerFile: "Answer file", SectionDiagnosis: "Why sysprep failed", SectionProof: "Proof of the image",
}

// NewSection gives a section its title.
func NewSection(id string, findings ...finding.Finding) Section {
	return Section{ID: id, Title: titles[id], Findings: append([]finding.Finding{}, findings...)}
}

// Add adds a section unless it says nothing.
func (r *Run) Add(s Section) {
	if len(s.Findings) > 0 || s.Error != "" {
		r.Sections = append(r.Sections, s)
	}
}

// AddProof adds what the proof of a disk found, and the facts it rests on. refusal is why
// the disk could not be judged.
func (r *Run) AddProof(findings []finding.Finding, facts any, refusal error) {
	s := NewSection(SectionProof, findings...)
	if refusal != nil {
		s.Error = strings.Join(Lines(refusal.Error()), "; ")
	}
	if r.Add(s); len(findings) > 0 {
		r.Facts = facts
	}
}

// Findings are those of all sections. The diagnosis is not among them: it explains
// the outcome and is no check.
func (r Run) Findings() (all []finding.Finding) {
	for _, s := range r.Sections {
		if s.ID != SectionDiagnosis {
			all = append(all, s.Findings...)
		}
	}
	return all
}

// Each returns a copy with every text of the run replaced by what change makes of
// it, so that nothing is forgotten where secrets are taken out.
// Facts stay as they are.
func (r Run) Each(change func(string) string) Run { return Each(r, change) }

// Each returns a copy of a value with every text in its fields, pointers and lists replaced
// by what change makes of it.
func Each[T any](value T, change func(string) string) T {
	return each(reflect.ValueOf(value), change).Interface().(T)
}

func each(v reflect.Value, change func(string) string) reflect.Value {
	made := reflect.New(v.Type()).Elem()
	made.Set(v)
	switch v.Kind() {
	case reflect.String:
		made.SetString(change(v.String()))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			break
		}
		for i := range v.NumField() {
			made.Field(i).Set(each(v.Field(i), change))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			made.Set(reflect.New(v.Type().Elem()))
			made.Elem().Set(each(v.Elem(), change))
		}
	case reflect.Slice:
		if v.IsNil() || v.Type().Elem().Kind() == reflect.Uint8 {
			break
		}
		made.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			made.Index(i).Set(each(v.Index(i), change))
		}
	}
	return made
}

// Lines splits a text of several lines, without empty ones.
func Lines(text string) (lines []string) {
	for _, l := range strings.Split(text, "\n") {
		if l = strings.TrimRight(l, "\r "); l != "" {
			lines = append(lines, l)
		}
	}
	return lines
}
