package main

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/cli"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

type object = map[string]any

var (
	row  = regexp.MustCompile("(?m)^\\| `([a-z0-9_.]+)` \\| (.*) \\|$")
	link = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// described are the descriptions of the keys on the page, by their path.
func described(page string) map[string]string {
	keys := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(page, -1) {
		keys[m[1]] = link.ReplaceAllString(m[2], "$1")
	}
	return keys
}

// subjects of a document, with the type of its facts; nil where it has none.
var subjects = []struct {
	name  string
	facts reflect.Type
	path  string // of their keys on the page
}{
	{string(finding.AnswerFile), nil, ""}, {string(finding.Disk), reflect.TypeFor[winimage.Facts](), "facts"}, {string(finding.Log), reflect.TypeFor[cli.LogFacts](), "log_facts"},
	{string(report.Subject), reflect.TypeFor[winimage.Facts](), "facts"},
}

// words are the values of the types of text that have a list of them.
var words = map[reflect.Type][]any{
	reflect.TypeFor[finding.Severity]():  {"fail", "warn", "info"},
	reflect.TypeFor[finding.Subject]():   {"answer_file", "disk", "guest", "log"},
	reflect.TypeFor[diagnosis.Phase]():   {"validate", "process", "launch", "first boot", "silent"},
	reflect.TypeFor[diagnosis.Outcome](): {"failed", "hanging", "succeeded", "no failure", "undecided", "no log"},
}

// members are those of one key that have a list of words.
var members = map[string][]any{
	"subject":            nil, // set by schema: of a document there is one more
	"run.phases.outcome": {runlog.OK, runlog.Over, runlog.Failed, runlog.Cancelled},
	"run.sections.id":    {report.SectionPreflight, report.SectionAnswerFile, report.SectionDiagnosis, report.SectionProof},
}

// schema is that of a document. Keys that are not named are allowed: new ones are added
// without a change of schema.
func schema(keys map[string]string) object {
	b := builder{keys: keys, defs: object{}}
	s := b.of(render.Document(), "")
	var names []any
	var cases []any
	for _, subject := range subjects {
		names = append(names, subject.name)
		then := object{"properties": object{"facts": false}}
		if subject.facts != nil {
			then = object{"properties": object{"facts": b.of(subject.facts, subject.path)}}
		}
		if subject.name == string(finding.Disk) {
			// Of one that could not be judged there is what a server was asked for.
			asked := object{"properties": object{"facts": object{"type": "object", "properties": object{"disk": object{"type": "object"}}}}}
			then = object{"if": object{"required": []string{"error"}}, "then": asked, "else": then, "properties": object{}}
		}
		if subject.name == string(report.Subject) {
			then["required"] = []string{"run"}
		} else {
			then["properties"].(object)["run"] = false
		}
		cases = append(cases, object{"if": object{"properties": object{"subject": object{"const": subject.name}}}, "then": then})
	}
	properties := s["properties"].(object)
	properties["schema"] = merge(properties["schema"].(object), object{"const": render.Schema})
	properties["subject"] = merge(properties["subject"].(object), object{"enum": names})
	return merge(s, object{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"$id":     "https://github.com/packer-plugin-sysprep/packer-plugin-sysprep/blob/main/docs/report.schema.json",
		"title":   "Report of packer-plugin-sysprep", "description": "docs/report.md describes it. A program ignores keys that it does not know.",
		"allOf": cases, "$defs": b.defs,
	})
}

func merge(a, b object) object {
	for k, v := range b {
		a[k] = v
	}
	return a
}

type builder struct {
	keys map[string]string
	defs object
}

// of is the schema of a type at a path of keys.
func (b builder) of(t reflect.Type, path string) object {
	if list, ok := words[t]; ok {
		return object{"type": "string", "enum": list}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return b.of(t.Elem(), path)
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return object{"type": "integer"}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return object{"type": "integer", "minimum": 0}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Slice:
		return object{"type": "array", "items": b.of(t.Elem(), path)}
	case reflect.Interface:
		return object{} // the facts, which depend on the subject
	case reflect.Struct:
	default:
		panic("no schema for " + t.String())
	}
	switch t {
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[finding.Finding]():
		path = "findings" // its keys are described once
	case render.Document():
		return b.object(t, path)
	}
	name := strings.ReplaceAll(path, ".", "_")
	if _, known := b.defs[name]; !known {
		b.defs[name] = object{} // while it is made
		b.defs[name] = b.object(t, path)
	}
	return object{"$ref": "#/$defs/" + name}
}

func (b builder) object(t reflect.Type, path string) object {
	properties, required := object{}, []string{}
	b.fields(t, path, properties, &required)
	slices.Sort(required)
	return object{"type": "object", "properties": properties, "required": required}
}

func (b builder) fields(t reflect.Type, path string, properties object, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			at := path
			if f.Type == reflect.TypeFor[finding.Finding]() {
				at = "findings"
			}
			b.fields(f.Type, at, properties, required)
			continue
		case name == "-" || !f.IsExported():
			continue
		}
		key := strings.TrimPrefix(path+"."+name, ".")
		s := b.of(f.Type, key)
		if list := members[key]; list != nil {
			s["enum"] = list
		}
		may := strings.Contains(options, "omit")
		if f.Type.Kind() == reflect.Slice && !may && strings.HasPrefix(key, "facts.") {
			s["type"] = []string{"array", "null"} // nothing was there to be listed
		}
		if text := b.keys[key]; text != "" {
			s["description"] = text
		}
		properties[name] = s
		if !may {
			*required = append(*required, name)
		}
	}
}
