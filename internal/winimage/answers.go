package winimage

import (
	"errors"
	"fmt"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/answerfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// answerFilePaths is the search order of Windows Setup on its own disk, below
// the registry's pointer.
func answerFilePaths() (paths []string) {
	for _, place := range windows.AnswerFileOrder {
		for _, name := range place.Names {
			switch place.From {
			case windows.FromPointer, windows.FromMedia:
			case windows.FromWindows, windows.FromCache:
				paths = append(paths, place.Folder.OnVolume()+`\`+name)
			case windows.FromRoot:
				paths = append(paths, `\`+name)
			}
		}
	}
	return paths
}

// answerFiles looks into the answer files of the drive, in the order in which
// Setup searches; pointer is the one that the registry names.
func (d *drive) answerFiles(pointer string) []AnswerFile {
	files, seen := []AnswerFile{}, map[string]bool{}
	left := int64(maxAnswerBytes)
	for _, path := range d.answerFilePaths(pointer) {
		if d.ctx.Err() != nil {
			return files
		}
		file := d.file(path)
		if file == nil || seen[strings.ToLower(path)] {
			continue
		}
		seen[strings.ToLower(path)] = true
		if len(files) == maxAnswerFiles || file.Size <= maxAnswerFile && file.Size > left {
			d.limit("answer files", fmt.Errorf("more than %d, or than %s of them: %w", maxAnswerFiles, budget.Size(maxAnswerBytes), budget.ErrExceeded))
			files = append(files, AnswerFile{File: *file, Problem: "not read, there are too many answer files"})
			return files
		}
		left -= file.Size
		files = append(files, d.answerFile(*file))
	}
	return files
}

func (d *drive) answerFilePaths(pointer string) []string {
	paths := answerFilePaths()
	if path, ok := onSystemDrive(pointer); ok {
		paths = append([]string{path}, paths...)
	}
	d.eachName(sysprepFolder, func(name string) {
		lower := strings.ToLower(name)
		if strings.HasSuffix(lower, ".xml") && strings.Contains(lower, "unattend") && !strings.EqualFold(name, windows.Unattend) && !strings.EqualFold(name, windows.AutoUnattend) && len(paths) <= 2*maxAnswerFiles {
			paths = append(paths, sysprepFolder+`\`+name)
		}
	})
	return paths
}

func (d *drive) answerFile(file File) AnswerFile {
	a := AnswerFile{File: file}
	content, err := d.read(file.Path, maxAnswerFile)
	var parsed *answerfile.File
	if err == nil {
		parsed, err = answerfile.Parse(content)
	}
	var refused *answerfile.Error
	if limited(err) || errors.As(err, &refused) && refused.Limit() {
		d.limit(file.Path, err)
	}
	if err != nil {
		a.Problem = budget.Cut(err.Error(), maxShown)
		return a
	}
	for _, p := range parsed.Passes() {
		if name := budget.Cut(p.Name(), maxPassName); len(a.Passes) < maxList {
			a.Passes = append(a.Passes, name)
		}
	}
	route := parsed.Route()
	a.ToAudit, a.Generalizes, a.PowersOff = route.ToAudit, route.Generalize, route.PowersOff
	a.KeepsDrivers, a.OOBE = parsed.KeepsDrivers(), readOOBE(parsed)
	secrets := answerfile.SecretSettings(parsed)
	for _, line := range encodedSecrets(plainText(content)) {
		secrets = append(secrets, inEncoded(line))
	}
	for _, s := range secrets[:min(maxList, len(secrets))] {
		a.Secrets = append(a.Secrets, budget.Cut(s, maxSetting))
	}
	if n := len(secrets); n > maxList {
		a.Secrets = append(a.Secrets, fmt.Sprintf("and %d more", n-maxList))
	}
	return a
}
