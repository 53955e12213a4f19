package winimage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf16"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/answerfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/footprint"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/ntfs"
)

const (
	sysprepFolder = `\Windows\System32\Sysprep`
	tagFile       = sysprepFolder + `\Sysprep_succeeded.tag`
	actLog        = sysprepFolder + `\Panther\setupact.log`
	stateINI      = `\Windows\Setup\State\State.ini`

	logTail = 256 << 10
	// lastLines is how much of a log a report quotes.
	lastLines = 20
)

// LogFiles are what sysprep and Windows Setup leave to explain a run.
var LogFiles = []string{
	actLog, sysprepFolder + `\Panther\setuperr.log`, sysprepFolder + `\Panther\diagerr.xml`, sysprepFolder + `\Panther\diagwrn.xml`,
	`\Windows\Panther\setupact.log`, `\Windows\Panther\setuperr.log`,
	`\Windows\Panther\UnattendGC\setupact.log`, `\Windows\Panther\UnattendGC\setuperr.log`,
}

// answerFilePaths is the search order of Windows Setup on its own disk, below
// the registry's pointer.
var answerFilePaths = []string{
	`\Windows\Panther\Unattend\Unattend.xml`, `\Windows\Panther\Unattend\Autounattend.xml`, cachedAnswerFile,
	sysprepFolder + `\Unattend.xml`, sysprepFolder + `\Autounattend.xml`, `\Unattend.xml`, `\Autounattend.xml`,
}

// ExtractLogs returns the logs of every Windows on the disk, by path: what a
// failed build is diagnosed from when the guest cannot be asked any more.
// Logs that are absent are left out.
func ExtractLogs(ctx context.Context, d diskimage.Disk) (map[string][]byte, error) {
	var r Report
	volumes, err := openVolumes(ctx, d, &r)
	if err != nil {
		return nil, err
	}
	logs := map[string][]byte{}
	var problems []error
	left := int64(maxSaved)
	for _, v := range volumes {
		if !v.hasWindows() {
			continue
		}
		for _, path := range LogFiles {
			content, err := v.ReadFile(path, left)
			left -= int64(len(content))
			switch {
			case errors.Is(err, ntfs.ErrNotExist):
			case err != nil:
				problems = append(problems, err)
			default:
				logs[path] = content
			}
		}
	}
	return logs, errors.Join(problems...)
}

// file describes a file; nil where it is absent.
func (v *volume) file(path string) *File {
	f, err := v.Path(path)
	if errors.Is(err, ntfs.ErrNotExist) {
		return nil
	}
	var info ntfs.Info
	if err == nil {
		info, err = f.Info()
	}
	if err != nil {
		v.missed(path, err)
		return nil
	}
	return &File{Path: path, Size: info.Size, Created: info.Created.UTC(), Modified: info.Modified.UTC(), Record: f.Record(), Sequence: f.Sequence()}
}

// content reads a small file; nil where it is absent.
func (v *volume) content(path string, limit int64) []byte {
	b, err := v.ReadFile(path, limit)
	if err != nil && !errors.Is(err, ntfs.ErrNotExist) {
		v.problem(path, err)
	}
	return b
}

// readFiles fills in everything that stands in files.
func (v *volume) readFiles(w *Windows) {
	w.Tag = v.file(tagFile)
	w.Setup.StateINI = parseStateINI(v.content(stateINI, maxStateINI))
	w.Log = v.lastRun()
	paths := answerFilePaths
	if path, ok := onSystemDrive(w.Setup.UnattendFile); ok {
		paths = append([]string{path}, paths...)
	}
	v.eachName(sysprepFolder, func(name string) {
		lower := strings.ToLower(name)
		if strings.HasSuffix(lower, ".xml") && strings.Contains(lower, "unattend") && lower != "unattend.xml" && lower != "autounattend.xml" && len(paths) <= 2*maxAnswerFiles {
			paths = append(paths, sysprepFolder+`\`+name)
		}
	})
	v.readAnswerFiles(w, paths)
	more := 0
	for _, below := range footprint.Folders() {
		folder := `\Windows` + below
		v.eachName(folder, func(name string) {
			_, ours := footprint.Find(below, name)
			switch {
			case !ours:
			case len(w.Leftovers) == maxList:
				more++
			default:
				w.Leftovers = append(w.Leftovers, folder+`\`+name)
			}
		})
	}
	if more > 0 {
		w.Leftovers = append(w.Leftovers, fmt.Sprintf("and %d more", more))
	}
}

// readAnswerFiles looks into the answer files of a list, in their order.
func (v *volume) readAnswerFiles(w *Windows, paths []string) {
	seen := map[string]bool{}
	left := int64(maxAnswerBytes)
	for _, path := range paths {
		if v.ctx.Err() != nil {
			return
		}
		file := v.file(path)
		if file == nil || seen[strings.ToLower(path)] {
			continue
		}
		seen[strings.ToLower(path)] = true
		if len(w.AnswerFiles) == maxAnswerFiles || file.Size <= maxAnswerFile && file.Size > left {
			v.limit("answer files", fmt.Errorf("more than %d, or than %s of them: %w", maxAnswerFiles, budget.Size(maxAnswerBytes), budget.ErrExceeded))
			w.AnswerFiles = append(w.AnswerFiles, AnswerFile{File: *file, Problem: "not read, there are too many answer files"})
			return
		}
		left -= file.Size
		w.AnswerFiles = append(w.AnswerFiles, v.answerFile(*file))
	}
}

// eachName lists a folder; an absent one is empty.
func (v *volume) eachName(folder string, visit func(name string)) {
	f, err := v.Path(folder)
	if errors.Is(err, ntfs.ErrNotExist) {
		return
	}
	if err == nil {
		err = f.EachEntry(func(e ntfs.Entry) { visit(e.Name) })
	}
	if err != nil {
		v.missed(folder, err)
	}
}

func (v *volume) answerFile(file File) AnswerFile {
	a := AnswerFile{File: file}
	content, err := v.ReadFile(file.Path, maxAnswerFile)
	var parsed *answerfile.File
	if err == nil {
		parsed, err = answerfile.Parse(content)
	}
	var refused *answerfile.Error
	if limited(err) || errors.As(err, &refused) && refused.Limit() {
		v.limit(file.Path, err)
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
	secrets := answerfile.SecretSettings(parsed)
	for _, s := range secrets[:min(maxList, len(secrets))] {
		a.Secrets = append(a.Secrets, budget.Cut(s, maxSetting))
	}
	if n := len(secrets); n > maxList {
		a.Secrets = append(a.Secrets, fmt.Sprintf("and %d more", n-maxList))
	}
	return a
}

// lastRun reads the last run in sysprep's log, from as much of the end of the
// log as holds it: the log grows with every run, and runs are seldom long.
func (v *volume) lastRun() *Log {
	file := v.file(actLog)
	if file == nil {
		return nil
	}
	log := &Log{File: *file, Options: []string{}}
	var run diagnosis.Run
	for _, size := range []int64{logTail, maxLog} {
		var err error
		if run, err = v.trackLog(size); err != nil {
			v.problem(actLog, err)
			return log
		}
		if run.Facts.Runs > 0 || file.Size <= size {
			break
		}
	}
	if run.Facts.Runs == 0 && file.Size > maxLog {
		v.limit(actLog, fmt.Errorf("no run begins in its last %s: %w", budget.Size(maxLog), budget.ErrExceeded))
	}
	log.Runs = run.Facts.Runs
	if len(run.Lines) == 0 {
		return log
	}
	log.Options, log.TagCreated = append(log.Options, run.Facts.Options...), run.Facts.TagCreated
	for _, l := range run.Lines[max(0, len(run.Lines)-lastLines):] {
		log.Last = append(log.Last, budget.Cut(l.Raw, maxShown))
	}
	if d, ok := diagnosis.Diagnose(run); ok && !log.TagCreated {
		log.Diagnosis = &d
	}
	return log
}

// trackLog reads the last size bytes of the log, piece by piece, since a log
// may hold anything.
func (v *volume) trackLog(size int64) (diagnosis.Run, error) {
	f, err := v.Path(actLog)
	if err != nil {
		return diagnosis.Run{}, err
	}
	s, err := f.Open("")
	if err != nil {
		return diagnosis.Run{}, err
	}
	var tracker diagnosis.Tracker
	b := make([]byte, 64<<10)
	off := max(0, s.Size()-size) &^ 1
	if off > 0 { // the first bytes tell the encoding
		if _, err := s.ReadAt(b[:4], 0); err != nil {
			return diagnosis.Run{}, err
		}
		tracker.Feed(b[:4])
	}
	for off < s.Size() {
		n, err := s.ReadAt(b[:min(int64(len(b)), s.Size()-off)], off)
		if err != nil && !errors.Is(err, io.EOF) {
			return diagnosis.Run{}, err
		}
		if err := v.log.Spend(int64(n), int64(bytes.Count(b[:n], []byte("\n")))); err != nil {
			return diagnosis.Run{}, err
		}
		tracker.Feed(b[:n])
		off += int64(n)
	}
	tracker.Flush()
	return tracker.Run(), nil
}

var imageStateLine = regexp.MustCompile(`(?im)^\s*ImageState\s*=\s*"?([A-Z_]+)"?\s*$`)

// parseStateINI finds ImageState in State.ini, which is written with and
// without quotes, in 8-bit and in UTF-16 text.
func parseStateINI(b []byte) string {
	if rest, ok := bytes.CutPrefix(b, []byte{0xff, 0xfe}); ok {
		units := make([]uint16, len(rest)/2)
		for i := range units {
			units[i] = uint16(rest[2*i]) | uint16(rest[2*i+1])<<8
		}
		b = []byte(string(utf16.Decode(units)))
	}
	m := imageStateLine.FindSubmatch(bytes.ReplaceAll(b, []byte("\r"), nil))
	if m == nil {
		return ""
	}
	return string(m[1])
}
