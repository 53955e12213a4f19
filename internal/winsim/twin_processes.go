package winsim

import "strings"

// processList is processes.ps1.
func (t *twin) processList() int {
	if err := t.try("Get-CimInstance"); err != nil {
		t.write(failed("processes", "script", cmdletError(err)))
		return 1
	}
	found, marks := []document{}, []document{}
	for _, p := range t.g.processes("sysprep.exe") {
		var line any = p.commandLine
		if t.c.filtered { // of programs with more rights the command line is not told
			line = nil
		}
		found = append(found, document{{"id", p.pid}, {"session", p.session}, {"start", utc(p.start)}, {"commandLine", line}})
	}
	folders, _ := t.g.drive.ReadDir(folderSysprep)
	for _, folder := range folders {
		if !folder.IsDir() || !strings.HasPrefix(strings.ToLower(folder.Name()), "panther.packer-") {
			continue
		}
		files, _ := t.g.drive.ReadDir(folderSysprep + `\` + folder.Name())
		for _, f := range files {
			if name := strings.ToLower(f.Name()); !f.IsDir() && strings.HasPrefix(name, "packer-") && strings.HasSuffix(name, ".mark") {
				marks = append(marks, document{{"folder", folder.Name()}, {"name", f.Name()}})
			}
		}
	}
	t.write(document{{"script", "processes"}, {"schema", 1}, {"ok", true}, {"time", utc(t.g.now())}, {"processes", found}, {"marks", marks}})
	return 0
}
