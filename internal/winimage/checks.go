package winimage

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/footprint"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// windowsFolder begins the paths of what footprint names.
const windowsFolder = `\Windows`

func checkHives(w *Windows, _ *Facts, _ Expectation) result {
	var dirty []string
	var remedy []string
	for _, name := range []string{"SYSTEM", "SOFTWARE"} {
		i := slices.IndexFunc(w.Hives, func(h Hive) bool { return h.Name == name })
		switch {
		case i < 0:
			dirty = append(dirty, name+" is missing")
		case w.Hives[i].Problem != "":
			problem := name + ": " + w.Hives[i].Problem
			if n := len(dirty); n > 0 && strings.HasSuffix(dirty[n-1], ": "+w.Hives[i].Problem) {
				dirty[n-1], problem = "SYSTEM and "+problem, ""
			}
			if problem != "" {
				dirty = append(dirty, problem)
			}
			if w.Hives[i].Broken {
				remedy = damaged
			}
		case !w.Hives[i].Clean:
			dirty = append(dirty, name+" was not flushed: the guest did not shut down fully")
		}
	}
	if len(dirty) > 0 {
		return result{expected: "clean", found: strings.Join(dirty, "; "), remedy: remedy}
	}
	return result{expected: "clean", found: "clean", ok: true}
}

// checkGeneralization: that the value is absent is not known to happen.
func checkGeneralization(w *Windows, _ *Facts, _ Expectation) result {
	got := equal(fmt.Sprint(windows.GeneralizeDone), number(w.Setup.GeneralizationState))
	if s := w.Setup.GeneralizationState; s != nil {
		got.note = map[uint32]string{
			windows.GeneralizeUnfinished: "generalize began and did not finish", windows.NeverGeneralized: "a machine that was not generalized",
		}[*s]
	}
	return got
}

func checkCommand(w *Windows, _ *Facts, _ Expectation) result {
	got := result{expected: windows.SetupProgram, found: orAbsent(w.Setup.CmdLine), ok: windows.StartsSetup(w.Setup.CmdLine)}
	if line := strings.ToLower(strings.Trim(w.Setup.CmdLine, `" `)); got.ok && !strings.HasSuffix(line, windows.SetupCommand) {
		got.note = "a wrapper around windeploy.exe, as cloud agents install"
	}
	return got
}

// checkTag asks whether the tag is the work of this build. Clocks are not asked:
// the guest's may be hours off the host's. Sysprep deletes the tag when it
// starts and makes it anew at its end, so that it is another file, with another
// reference in the MFT, and written at another time of the same clock.
func checkTag(w *Windows, _ *Facts, e Expectation) result {
	if w.Tag == nil {
		return result{expected: "present", found: "absent"}
	}
	got := result{expected: "present", found: "present, " + tagText(w.Tag), ok: true}
	switch {
	case e.Source == nil:
		got.note = "whether it came with the source disk is not known"
	case e.Source.Tag == nil:
		got.expected = "present, and absent on the source disk"
	default:
		got.expected = "another file than on the source disk, which had " + tagText(e.Source.Tag)
		old := e.Source.Tag
		got.ok = (w.Tag.Record != old.Record || w.Tag.Sequence != old.Sequence) && !w.Tag.Modified.Equal(old.Modified)
		if !got.ok {
			got.note = "the tag came with the source disk: sysprep did not make it in this build"
		}
	}
	return got
}

func tagText(f *File) string {
	return fmt.Sprintf("file %d-%d, written %s by the guest's clock", f.Record, f.Sequence, f.Modified.UTC().Format(time.RFC3339Nano))
}

func checkLog(w *Windows, _ *Facts, _ Expectation) result {
	got := result{expected: "GENERALIZE, tag created", found: "absent"}
	if w.Log == nil {
		return got
	}
	generalize := slices.Contains(w.Log.Options, windows.OptionGeneralize)
	got.ok = generalize && w.Log.TagCreated
	got.found = fmt.Sprintf("options %s, tag created: %t", strings.Join(w.Log.Options, " "), w.Log.TagCreated)
	if d := w.Log.Diagnosis; d != nil && !got.ok {
		got.note = d.Summary
	}
	return got
}

func checkAuditBoot(w *Windows, _ *Facts, e Expectation) result {
	if w.missed(`SYSTEM\Setup\Status\AuditBoot`) {
		return result{expected: "0 or absent", found: notRead}
	}
	if e.Audit {
		return result{expected: "not 0", found: number(w.Setup.AuditBoot), ok: !zeroOrAbsent(w.Setup.AuditBoot)}
	}
	return result{expected: "0 or absent", found: number(w.Setup.AuditBoot), ok: zeroOrAbsent(w.Setup.AuditBoot)}
}

func checkPointer(w *Windows, _ *Facts, _ Expectation) result {
	s := w.Setup
	if w.missed(`SYSTEM\Setup\UnattendFile`) {
		return result{expected: "absent or an existing file", found: notRead}
	}
	return result{expected: "absent or an existing file", found: orAbsent(s.UnattendFile), ok: s.UnattendFile == "" || s.UnattendFileExists}
}

func checkCached(w *Windows, _ *Facts, e Expectation) result {
	if !e.AnswerFile {
		return result{unasked: true}
	}
	there := slices.ContainsFunc(w.AnswerFiles, func(f AnswerFile) bool { return strings.EqualFold(f.Path, cachedAnswerFile) })
	return yesNo(there, true)
}

func checkSecrets(w *Windows, r *Facts, _ Expectation) result {
	var found []string
	for _, f := range w.AnswerFiles {
		for _, s := range f.Secrets {
			found = append(found, f.Path+": "+s)
		}
		if f.Problem != "" {
			found = append(found, f.Path+" could not be read")
		}
	}
	for _, held := range slices.Concat(w.Secrets, r.Secrets) {
		path := held.Path
		if held.Partition != 0 {
			path = fmt.Sprintf("partition %d: %s", held.Partition, path)
		}
		if len(held.Where) > 0 || held.Problem == "" {
			found = append(found, fmt.Sprintf("%s: %s", path, strings.Join(held.Where, "; ")))
		}
		if held.Problem != "" {
			found = append(found, path+" could not be read")
		}
	}
	for _, place := range windows.SecretPlaces {
		for _, unread := range w.Unread {
			if strings.HasPrefix(unread, `\`) && placed(unread, place.Folder) {
				found = append(found, unread+" was not read")
			}
		}
	}
	slices.Sort(found)
	got := nothing(slices.Compact(found))
	if !got.ok && w.Setup.DeletesCached {
		got.note = `SetupComplete.cmd of the image deletes \Windows\Panther\unattend.xml at the end of the first boot`
		got.remedy = []string{"use passwords that are changed at first boot: until its end they can be read", deleteOthers}
	}
	return got
}

// deleteOthers is what to do about all files but the cached answer file.
const deleteOthers = `delete the other files that are named in the guest before sysprep (remove_answer_files = true deletes answer files that Windows finds by itself), or take the lines out of them`

// placed reports whether a folder lies on the way to a place, whose parts may
// be *.
func placed(folder, place string) bool {
	have, want := strings.Split(folder, `\`), strings.Split(place, `\`)
	for i, part := range have {
		if i >= len(want) || want[i] != "*" && !strings.EqualFold(part, want[i]) {
			return false
		}
	}
	return len(have) == len(want) || len(have) < len(want) && want[len(have)] == "*"
}

func checkVMMode(w *Windows, _ *Facts, e Expectation) result {
	if e.VMMode == nil {
		return result{unasked: true}
	}
	return yesNo(w.Setup.SysprepMode != "", *e.VMMode)
}

func checkAutologon(w *Windows, _ *Facts, _ Expectation) result {
	var found []string
	if w.Autologon.Enabled {
		found = append(found, "AutoAdminLogon")
	}
	if w.Autologon.DefaultPasswordPresent {
		found = append(found, "DefaultPassword")
	}
	if w.Autologon.LSASecret {
		found = append(found, "DefaultPassword among the secrets of the LSA")
	}
	if unread := securityHive + `\` + windows.AutologonSecret; w.missed(unread) {
		found = append(found, unread+" was not read")
	}
	for _, name := range []string{"AutoAdminLogon", "DefaultPassword"} {
		if w.missed(`SOFTWARE\` + winlogon + `\` + name) {
			found = append(found, name+" was not read")
		}
	}
	return nothing(found)
}

// checkLeftovers tells those of this build from what came with the source.
func checkLeftovers(w *Windows, _ *Facts, e Expectation) result {
	var found []string
	for _, path := range w.Leftovers {
		if e.Run != "" && footprint.Of(e.Run, strings.TrimPrefix(path, windowsFolder)) {
			path += " (of this build)"
		}
		found = append(found, path)
	}
	for _, below := range footprint.Folders() {
		if folder := windowsFolder + below; w.missed(folder) {
			found = append(found, folder+" was not read")
		}
	}
	return nothing(found)
}

func checkBootDrivers(w *Windows, _ *Facts, _ Expectation) result {
	var names []string
	for _, d := range w.Drivers.Storage {
		if d.StartsAtBoot() {
			names = append(names, d.Name)
		}
	}
	return result{expected: "at least one", found: orAbsent(strings.Join(names, ", ")), ok: len(names) > 0}
}
