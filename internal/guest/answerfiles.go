package guest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
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

// AnswerFiles looks for answer files on the whole search path.
func (s *Session) AnswerFiles(ctx context.Context) (AnswerFiles, error) {
	a, err := s.ask(ctx, askAnswerFiles(), CommandLimit)
	if err != nil {
		return AnswerFiles{}, fmt.Errorf("looking for answer files: %w", err)
	}
	return readAnswerFiles(a, s.Windir())
}

// askAnswerFiles asks for the places on the drive of Windows by their numbers, and
// for those on others by their letters.
var askAnswerFiles = sync.OnceValue(func() command {
	var none AnswerFiles
	asks := []command{query("pointer", windows.UnattendFile), echo("files")}
	for i, p := range none.places("%windir%", "%SystemDrive%", &none.Cached) {
		asks = append(asks, when(p.path, echo(fmt.Sprintf("file=%d", i))))
	}
	var onDrive []command
	for i, name := range mediaNames() {
		onDrive = append(onDrive, when(`%D\`+name, echo(fmt.Sprintf("media=%%D%d", i))))
	}
	loop := all(onDrive...)
	loop.text = "(for %D in (" + strings.Join(strings.Split(driveLetters, ""), ": ") + ":) do (" + loop.text + "))"
	return all(append(asks, loop)...)
})

const driveLetters = "abcdefghijklmnopqrstuvwxyz"

func readAnswerFiles(a answer, windir string) (found AnswerFiles, err error) {
	places := found.places(windir, windir[:2], &found.Cached)
	if !a.has("files") {
		err = a.unreadable()
	}
	var there []int
	if err == nil {
		there, err = a.numbers("file", len(places))
	}
	if err == nil {
		found.Media, err = readMedia(a, windir)
	}
	if err != nil {
		return AnswerFiles{}, fmt.Errorf("looking for answer files: %w", err)
	}
	for _, i := range there {
		places[i].found(places[i].path)
	}
	found.Pointer = short(value(a.parts["pointer"], windows.UnattendFile, "REG_SZ"))
	return found, nil
}

// readMedia reads what is on other drives than that of Windows.
func readMedia(a answer, windir string) (files []string, err error) {
	names := mediaNames()
	for _, v := range a.values["media"] {
		i := -1
		if len(v) == 3 && strings.Contains(driveLetters, v[:1]) && v[1] == ':' {
			i = int(v[2]) - '0'
		}
		if i < 0 || i >= len(names) {
			return nil, fmt.Errorf("%w: media %q", ErrUnreadable, v)
		}
		file := strings.ToUpper(v[:2]) + `\` + names[i]
		if slices.Contains(files, file) {
			return nil, fmt.Errorf("%w: media %q", ErrUnreadable, v)
		}
		if !strings.EqualFold(v[:1], windir[:1]) {
			files = append(files, file)
		}
	}
	return files, nil
}

// mediaNames are those that an answer file has in the root of another drive.
func mediaNames() (names []string) {
	for _, p := range windows.AnswerFileOrder {
		if p.From == windows.FromMedia {
			names = append(names, p.Names...)
		}
	}
	return names
}

// place is where an answer file may be, and what is told of one that is there.
type place struct {
	path  string
	found func(path string)
}

// places are those of the search path on the drive of Windows.
func (f *AnswerFiles) places(windir, drive string, cached *string) (places []place) {
	list := &f.Above
	for _, p := range windows.AnswerFileOrder {
		add := func(found func(string), folder string) {
			for _, name := range p.Names {
				places = append(places, place{folder + `\` + name, found})
			}
		}
		in := list
		onOwn := func(path string) { *in = append(*in, path) }
		switch p.From {
		case windows.FromPointer: // names its file itself
		case windows.FromMedia: // on others
		case windows.FromWindows:
			add(onOwn, p.Folder.In(windir))
		case windows.FromCache:
			add(func(path string) { *cached = path }, p.Folder.In(windir))
			list = &f.Below
		case windows.FromRoot:
			add(onOwn, drive)
		}
	}
	return places
}

// RemoveAnswerFiles deletes the registry's pointer and the files on the drive
// of Windows, not the file that the pointer names, and returns what is left.
func (s *Session) RemoveAnswerFiles(ctx context.Context, found AnswerFiles) (AnswerFiles, error) {
	var steps []command
	if found.Pointer != "" {
		steps = append(steps, reg("delete", windows.UnattendFile, " /f"))
	}
	for _, path := range found.Files() {
		steps = append(steps, call("del /f /q ?", path))
	}
	if len(steps) == 0 {
		return found, nil
	}
	if _, _, err := s.run(ctx, all(steps...), Request{}, CommandLimit); err != nil {
		return found, fmt.Errorf("removing answer files: %w", err)
	}
	return s.AnswerFiles(ctx)
}

// MakePrivate makes a folder in which only SYSTEM and administrators can read
// whatever is put there, in place of one of that name. The path has no blanks.
func (s *Session) MakePrivate(ctx context.Context, folder string) error {
	return s.done(ctx, makingPrivate, private(folder))
}

// MakePrivateFor is MakePrivate for the folder of a file, and leaves the folder alone
// where the file is in it: a command that was given up may run late, after its
// successor has brought the file. It is for folders whose parent only administrators can
// write to: elsewhere a stranger could have made folder and file.
func (s *Session) MakePrivateFor(ctx context.Context, file string) error {
	return s.done(ctx, makingPrivate, either(file, echo("kept"), private(folderOf(file))))
}

const makingPrivate = "making a folder for administrators only"

func private(folder string) command {
	// By SID, because the names are in the guest's language.
	only := call(`icacls ? /inheritance:r /grant:r "*S-1-5-18:(OI)(CI)F" "*S-1-5-32-544:(OI)(CI)F"`, folder)
	return all(when(folder, call("rd /s /q ?", folder)), call("mkdir ?", folder).then(only))
}

// DeleteCachedAfterDeployment lets SetupComplete.cmd, which Windows Setup runs
// as SYSTEM at its end, delete the cached answer file. What stands in the
// script already stays and runs after it: it may end in "exit".
func (s *Session) DeleteCachedAfterDeployment(ctx context.Context) error {
	const doing = "writing SetupComplete.cmd"
	script, part := s.setupComplete(), s.setupCompletePart()
	remove := "del /f /q " + s.CachedAnswerFile() // has no blanks
	a, err := s.ask(ctx, call("findstr /l /i /c:? ?"+quiet, remove, script).then(echo("done")), CommandLimit)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if a.has("done") {
		return nil // of an earlier run
	}
	return s.done(ctx, doing, all(unless(folderOf(script), call("mkdir ?", folderOf(script))),
		call("(echo @"+remove+")>?", part).then(when(script, call("type ?>>?", script, part))), call("move /y ? ?>nul", part, script)))
}

// AddToSetupComplete lets SetupComplete.cmd, which Windows Setup runs as SYSTEM
// at its end, run lines of a batch file, each of which ends within a line. What
// stands in the script already stays and runs after them. Lines that were
// added already are not added again.
func (s *Session) AddToSetupComplete(ctx context.Context, lines []string, limit time.Duration) error {
	const doing = "writing SetupComplete.cmd"
	script, part := s.setupComplete(), s.setupCompletePart()
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	mark := "setup_complete " + hex.EncodeToString(sum[:8])
	a, err := s.ask(ctx, call("findstr /l /c:? ?"+quiet, mark, script).then(echo("done")), CommandLimit)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if a.has("done") {
		return nil // by an earlier run
	}
	if err := s.done(ctx, doing, unless(folderOf(script), call("mkdir ?", folderOf(script)))); err != nil {
		return err
	}
	text := "@rem " + mark + "\r\n" + strings.Join(lines, "\r\n") + "\r\n"
	if err := s.Upload(ctx, part, []byte(text), limit); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	// Without PowerShell, Packer's upload fails without a word.
	return s.done(ctx, doing, call("findstr /l /c:? ?"+quiet, mark, part).then(
		all(when(script, call("type ?>>?", script, part)), call("move /y ? ?>nul", part, script)).group()))
}

// patternText is what a path in the guest may be made of: a drive or a variable
// of the environment, then folders.
var patternText = lazyregexp.New(`^(?:[A-Za-z]:|%[A-Za-z_][A-Za-z0-9_()]*%)(?:\\[^\\/:"<>|&^!\x00-\x1f]+)+$`)

// CheckPattern says why a path with variables of the guest's environment, and
// wildcards in the name of the file, cannot be looked for; nil if it can.
func CheckPattern(pattern string) error {
	rest := environmentVariable.ReplaceAllString(pattern, "x")
	folder, _ := cutLast(rest)
	switch {
	case !patternText.MatchString(pattern):
		return errors.New(`it is not a path in Windows: write one such as C:\folder\unattend.xml or %ProgramFiles%\folder\*.xml`)
	case strings.Contains(rest, "%"):
		return errors.New("a percent sign that begins no variable of the environment; write %NAME%")
	case strings.ContainsAny(folder, "*?"):
		return errors.New("a wildcard in a folder; only the name of the file may have some")
	case len(pattern) > 1000:
		return errors.New("it is too long")
	}
	return nil
}

var environmentVariable = lazyregexp.New(`%[A-Za-z_][A-Za-z0-9_()]*%`)

func cutLast(path string) (folder, name string) {
	i := strings.LastIndexByte(path, '\\')
	return path[:max(i, 0)], path[i+1:]
}

// FindFiles returns the files that a pattern names (CheckPattern), in the order
// of their names.
func (s *Session) FindFiles(ctx context.Context, pattern string) ([]string, error) {
	const doing = "looking for the answer file"
	if err := CheckPattern(pattern); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	// Between quotes nothing but % means anything to cmd.exe, and that is meant.
	here := `"` + pattern + `"`
	a, err := s.ask(ctx, all(echo("path"), command{text: "echo " + here}, echo("files"), command{text: "dir /b /a:-d-l /o:n " + here + " 2>nul"}), CommandLimit)
	if err == nil && (!a.has("files") || len(a.parts["path"]) != 1) {
		err = a.unreadable()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	full := strings.Trim(a.parts["path"][0], `"`)
	if m := environmentVariable.FindString(full); m != "" {
		return nil, fmt.Errorf("%s: the guest has no variable %s in its environment", doing, m)
	}
	folder, last := cutLast(full)
	var files []string
	for _, name := range a.parts["files"] {
		if !strings.ContainsAny(last, "*?") && !strings.EqualFold(name, last) {
			return nil, fmt.Errorf("%s: %s is a folder; name a file, or a pattern such as %s\\*.xml", doing, short(full), short(full))
		}
		if strings.ContainsAny(name, `\/:*?"<>|`) {
			return nil, fmt.Errorf("%s: %w", doing, a.unreadable())
		}
		files = append(files, folder+`\`+name)
	}
	return files, nil
}
