package guest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// AnswerFiles are the answer files that Windows finds by itself (Microsoft,
// "Windows Setup Automation Overview", implicit answer file search order).
type AnswerFiles struct {
	// Pointer is what the value UnattendFile of HKLM\SYSTEM\Setup names; empty
	// when it is absent. It comes first.
	Pointer string
	// Above are read before Cached.
	Above []string
	// Cached is what Windows keeps of the file that was used last, in
	// \Windows\Panther; empty when it is absent. sysprep puts the file it is
	// given there.
	Cached string
	// Media are in the root of another drive: read after Cached when that drive
	// is a removable one.
	Media []string
	// Below are read last.
	Below []string
}

// Files lists those on the drive of Windows.
func (f AnswerFiles) Files() []string {
	files := slices.Concat(f.Above, f.Below)
	if f.Cached != "" {
		files = append(files, f.Cached)
	}
	return files
}

const setupPointer = `"HKLM\SYSTEM\Setup" /v UnattendFile`

// CachedAnswerFile is where Windows keeps the answer file it works with.
func (s *Session) CachedAnswerFile() string { return s.Windir() + `\Panther\unattend.xml` }

// AnswerFiles looks for answer files on the whole search path.
func (s *Session) AnswerFiles(ctx context.Context) (AnswerFiles, error) {
	var found AnswerFiles
	var cached []string
	type place struct {
		path string
		list *[]string
	}
	places := []place{{s.CachedAnswerFile(), &cached}}
	add := func(list *[]string, folder string) {
		places = append(places, place{folder + `\Unattend.xml`, list}, place{folder + `\Autounattend.xml`, list})
	}
	windir := s.Windir()
	add(&found.Above, windir+`\Panther\Unattend`)
	add(&found.Below, windir+`\System32\Sysprep`)
	add(&found.Below, windir[:2])
	for letter := 'A'; letter <= 'Z'; letter++ {
		if drive := string(letter) + ":"; !strings.EqualFold(drive, windir[:2]) {
			add(&found.Media, drive)
		}
	}
	line := `echo packer-part:pointer& reg query ` + setupPointer + ` /reg:64& echo packer-part:files`
	for i, p := range places {
		line += fmt.Sprintf("& (if exist %s (echo %d))", p.path, i) // windir has no blanks
	}
	out, err := s.Run(ctx, line+"& "+partEnd, CommandLimit)
	if err != nil {
		return AnswerFiles{}, fmt.Errorf("looking for answer files: %w", err)
	}
	parts, err := cutParts(string(out.Stdout))
	if err != nil {
		return AnswerFiles{}, fmt.Errorf("looking for answer files: %w", err)
	}
	seen := map[int]bool{}
	for _, l := range parts["files"] {
		i, err := strconv.Atoi(l)
		if err != nil || i < 0 || i >= len(places) || seen[i] {
			return AnswerFiles{}, fmt.Errorf("looking for answer files: %w: %q", ErrUnreadable, short(l))
		}
		seen[i] = true
		*places[i].list = append(*places[i].list, places[i].path)
	}
	found.Cached = strings.Join(cached, "")
	found.Pointer = short(value(parts["pointer"], "UnattendFile", "REG_SZ"))
	return found, nil
}

// RemoveAnswerFiles deletes the registry's pointer and the files on the drive
// of Windows, not the file that the pointer names, and returns what is left.
func (s *Session) RemoveAnswerFiles(ctx context.Context, found AnswerFiles) (AnswerFiles, error) {
	var steps []string
	if found.Pointer != "" {
		steps = append(steps, `reg delete `+setupPointer+` /f /reg:64`)
	}
	for _, path := range found.Files() {
		steps = append(steps, `del /f /q "`+path+`"`)
	}
	if len(steps) == 0 {
		return found, nil
	}
	if _, err := s.Run(ctx, strings.Join(steps, "& "), CommandLimit); err != nil {
		return found, fmt.Errorf("removing answer files: %w", err)
	}
	return s.AnswerFiles(ctx)
}

// MakePrivate makes a folder in which only SYSTEM and administrators can read
// whatever is put there, in place of one of that name. The path has no blanks.
func (s *Session) MakePrivate(ctx context.Context, folder string) error {
	// By SID, because the names are in the guest's language.
	return s.done(ctx, "making a folder for administrators only", `(if exist "`+folder+`" (rd /s /q "`+folder+`"))& mkdir "`+folder+`"&& icacls "`+folder+
		`" /inheritance:r /grant:r "*S-1-5-18:(OI)(CI)F" "*S-1-5-32-544:(OI)(CI)F"`)
}

// DeleteCachedAfterDeployment lets SetupComplete.cmd, which Windows Setup runs
// as SYSTEM at its end, delete the cached answer file. What stands in the
// script already stays and runs after it: it may end in "exit".
func (s *Session) DeleteCachedAfterDeployment(ctx context.Context) error {
	const doing = "writing SetupComplete.cmd"
	folder, cached := s.Windir()+`\Setup\Scripts`, s.CachedAnswerFile()
	script := folder + `\SetupComplete.cmd`
	there, err := s.Run(ctx, `findstr /l /i /c:"del /f /q `+cached+`" "`+script+`">nul 2>nul&& echo `+hidden("done"), CommandLimit)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if said(there.Stdout, "done") {
		return nil // of an earlier run
	}
	part := script + ".packer-" + s.id
	return s.done(ctx, doing, `(if not exist "`+folder+`" (mkdir "`+folder+`"))& (echo @del /f /q `+cached+`)>"`+part+
		`"&& (if exist "`+script+`" (type "`+script+`">>"`+part+`"))& move /y "`+part+`" "`+script+`">nul`)
}

// done runs a line and finds out whether its last command worked.
func (s *Session) done(ctx context.Context, doing, line string) error {
	out, err := s.Run(ctx, line+"&& echo "+hidden("done"), CommandLimit)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if !said(out.Stdout, "done") {
		return fmt.Errorf("%s: %w: %q", doing, ErrUnreadable, short(string(out.Stdout)+" "+string(out.Stderr)))
	}
	return nil
}
