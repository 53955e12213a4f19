package winsim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/machinestate"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/registry"
)

var preflightGroups = []string{"base", "appx", "licensing", "roles", "events", "efs"}

// gathering is a run of preflight.ps1.
type gathering struct {
	*twin
	s     machinestate.State // as it was when the script looked
	facts document
}

// fact is one of them, as the script names it.
type fact struct {
	group, name string
	value       func(*gathering) (any, error)
}

// FactNames lists every fact of preflight.ps1.
func FactNames() []string {
	var names []string
	for _, f := range preflightFacts() {
		names = append(names, f.name)
	}
	return names
}

func preflightFacts() []fact {
	return slices.Concat(baseFacts, settingFacts, slowFacts)
}

// preflight is the twin of preflight.ps1.
func (t *twin) preflight(encoded string) int {
	p := struct{ Groups, Only []string }{}
	if err := parameters(encoded, &p); err != nil {
		t.write(failed("preflight", "bad-parameters", err))
		return 2
	}
	groups := slices.DeleteFunc(p.Groups, func(name string) bool { return name == "" })
	if len(groups) == 0 {
		groups = []string{"base"}
	}
	begun := t.g.now()
	for _, name := range groups {
		if !slices.Contains(preflightGroups, strings.ToLower(name)) {
			t.write(failed("preflight", "script", thrown("unknown group '%s'", name)))
			return 1
		}
	}
	g := &gathering{twin: t, facts: document{}}
	skipped := []string{}
	for _, group := range preflightGroups {
		if !slices.ContainsFunc(groups, func(name string) bool { return strings.EqualFold(name, group) }) {
			skipped = append(skipped, group)
			continue
		}
		if d := t.g.scenario.GroupTakes[group]; d > 0 && !t.g.sleep(t.ctx, time.Duration(d)) {
			return 1
		}
		t.g.machine.View(func(s *machinestate.State) { g.s = s.At(t.g.now()) })
		for _, f := range preflightFacts() {
			if f.group == group && (len(p.Only) == 0 || contains(p.Only, f.name)) {
				g.add(f)
			}
		}
	}
	t.write(document{
		{"script", "preflight"}, {"schema", 1}, {"ok", true}, {"time", utc(t.g.now())}, {"ms", t.g.now().Sub(begun).Milliseconds()},
		{"groups", groups}, {"skipped", skipped}, {"facts", g.facts},
	})
	return 0
}

// add is Add-Fact.
func (g *gathering) add(f fact) {
	value, err := f.value(g)
	if slices.Contains(g.g.scenario.Unreadable, f.name) {
		err = errors.New("Access is denied.") //nolint:staticcheck,revive // as Windows says it
	}
	if err != nil {
		g.facts = append(g.facts, member{f.name, document{{"error", err.Error()}, {"errorId", err.Error()}, {"ms", 0}}})
		return
	}
	g.facts = append(g.facts, member{f.name, document{{"value", value}, {"ms", 0}}})
}

// registryMap is Get-RegistryMap.
func (g *gathering) registryMap(key string, names ...string) (document, error) {
	if err := g.try("Test-Path"); err != nil {
		return nil, err
	}
	d := document{{"key", g.g.reg.Has(key)}}
	for _, name := range names {
		d = append(d, member{name, g.value(key, name)})
	}
	return d, nil
}

// value is Get-RegistryValue.
func (g *gathering) value(key, name string) any {
	v, ok := g.g.reg.Get(key, name)
	if !ok {
		return nil
	}
	switch v.Kind {
	case registry.DWord:
		return int32(v.Number())
	case registry.MultiString:
		return v.Strings()
	case registry.ExpandString:
		return expandEnv(g.c.Env, v.Text())
	}
	return v.Text()
}

// key says whether a key is there.
func (g *gathering) key(path string) (bool, error) {
	if err := g.try("Test-Path"); err != nil {
		return false, err
	}
	return g.g.reg.Has(path), nil
}

// below are the names of the keys and values below a key, in order.
func (g *gathering) below(key string) (keys, names []string) {
	values, keys, err := g.g.reg.List(key)
	if err != nil {
		return nil, nil
	}
	for _, v := range values {
		names = append(names, v.Name)
	}
	keys = slices.Clone(keys)
	slices.Sort(keys)
	slices.Sort(names)
	return keys, names
}

// file is Get-FileFact.
func (g *gathering) file(path string) document {
	d := document{{"path", path}, {"exists", false}, {"size", nil}, {"mtime", nil}}
	if info, err := g.g.drive.Stat(path); err == nil && !info.IsDir() {
		d = document{{"path", path}, {"exists", true}, {"size", info.Size()}, {"mtime", utc(g.g.clock.At(info.ModTime()))}}
	}
	return d
}

func (g *gathering) windows(path string) string { return g.c.Env.Get("windir") + path }

// isThere says whether a file fact is of one that exists.
func isThere(file document) bool { return file[1].value == true }

func offset(at time.Time) int {
	_, seconds := at.Zone()
	return seconds / 60
}

// engine is what PowerShell says of itself.
func (g *gathering) engine() (any, error) {
	r := g.g.scenario.release()
	version := fmt.Sprintf("%s.%d.%d", r.powershell, r.build, r.update)
	culture := map[string]string{"": "en-US", "de": "de-DE", "fr": "fr-FR"}[g.g.scenario.Language]
	return document{
		{"version", version}, {"languageMode", "FullLanguage"}, {"process64", true}, {"os64", true}, {"culture", culture}, {"utcOffsetMinutes", offset(g.g.now())},
	}, nil
}
