package winsim

import (
	"regexp"
	"strings"
)

var ourTask = regexp.MustCompile(`(?i)\Apacker-[A-Za-z0-9-]+\z`)

func (t *twin) cleanup(encoded string) int {
	p := struct {
		Files, Folders, Tasks stringList
		DryRun                bool
	}{}
	err := parameters(encoded, &p)
	for _, path := range append(append([]string(nil), p.Files...), p.Folders...) {
		full := t.full(path)
		switch {
		case err != nil:
		case !strings.HasPrefix(full, `\`) && (len(full) < 2 || full[1] != ':'):
			err = thrown("'%s' is not a full path", path)
		case strings.ContainsAny(path, "*?"):
			err = thrown("'%s' holds a wildcard", path)
		}
	}
	if err != nil {
		t.write(failed("cleanup", "bad-parameters", err))
		return 2
	}
	results, left := []document{}, 0
	add := func(kind, name string, existed, stays bool, problem any) {
		results = append(results, document{{"kind", kind}, {"name", name}, {"existed", existed}, {"left", stays}, {"error", problem}})
		if stays {
			left++
		}
	}
	for _, path := range p.Files {
		if path = t.full(path); path == "" {
			continue
		}
		if t.g.drive.IsDir(path) {
			add("file", path, true, true, "is a folder")
			continue
		}
		existed := t.g.drive.IsFile(path)
		problem := t.remove(existed && !p.DryRun, func() error { return t.g.drive.Remove(path) })
		add("file", path, existed, t.g.drive.IsFile(path), problem)
	}
	for _, path := range p.Folders {
		if path = t.full(path); path == "" {
			continue
		}
		existed := t.g.drive.IsDir(path)
		trimmed := strings.TrimRight(path, `\`)
		if !strings.Contains(strings.ToLower(trimmed[strings.LastIndexByte(trimmed, '\\')+1:]), "packer") {
			add("folder", path, existed, existed, "its name does not say packer")
			continue
		}
		problem := t.remove(existed && !p.DryRun, func() error { return t.g.drive.RemoveAll(path) })
		add("folder", path, existed, t.g.drive.IsDir(path), problem)
	}
	for _, name := range p.Tasks {
		if name == "" {
			continue
		}
		if !ourTask.MatchString(name) {
			add("task", name, false, false, "its name does not begin with packer-")
			continue
		}
		j := t.g.task(name)
		problem := t.remove(j != nil && !p.DryRun, func() error { return t.g.deleteTask(j) })
		add("task", name, j != nil, t.g.task(name) != nil, problem)
	}
	t.write(document{{"script", "cleanup"}, {"schema", 1}, {"ok", true}, {"dryRun", p.DryRun}, {"left", left}, {"results", results}})
	return 0
}

// remove deletes something, if it is to be, and returns what stood in the way.
func (t *twin) remove(wanted bool, do func() error) any {
	if !wanted {
		return nil
	}
	err := t.try("Remove-Item")
	if err == nil {
		err = do()
	}
	if err != nil {
		return err.Error()
	}
	return nil
}
