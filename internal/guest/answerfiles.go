package guest

import (
	"context"
	"fmt"
	"slices"
	"strings"

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
	var found AnswerFiles
	var cached []string
	places := found.places(s.Windir(), &cached)
	asks := []command{query("pointer", windows.UnattendFile), echo("files")}
	for i, p := range places {
		asks = append(asks, when(p.path, echo(fmt.Sprintf("file=%d", i))))
	}
	a, err := s.ask(ctx, all(asks...), CommandLimit)
	if err == nil && !a.has("files") {
		err = a.unreadable()
	}
	if err != nil {
		return AnswerFiles{}, fmt.Errorf("looking for answer files: %w", err)
	}
	there, err := a.numbers("file", len(places))
	if err != nil {
		return AnswerFiles{}, fmt.Errorf("looking for answer files: %w", err)
	}
	for _, i := range there {
		*places[i].list = append(*places[i].list, places[i].path)
	}
	found.Cached = strings.Join(cached, "")
	found.Pointer = short(value(a.parts["pointer"], windows.UnattendFile, "REG_SZ"))
	return found, nil
}

// place is where an answer file may be, and the list that it then is in.
type place struct {
	path string
	list *[]string
}

// places are those of the whole search path, by their lists.
func (f *AnswerFiles) places(windir string, cached *[]string) (places []place) {
	onOwn := &f.Above
	for _, p := range windows.AnswerFileOrder {
		add := func(list *[]string, folder string) {
			for _, name := range p.Names {
				places = append(places, place{folder + `\` + name, list})
			}
		}
		switch p.From {
		case windows.FromPointer: // names its file itself
		case windows.FromWindows:
			add(onOwn, p.Folder.In(windir))
		case windows.FromCache:
			add(cached, p.Folder.In(windir))
			onOwn = &f.Below
		case windows.FromMedia:
			for letter := 'A'; letter <= 'Z'; letter++ {
				if drive := string(letter) + ":"; !strings.EqualFold(drive, windir[:2]) {
					add(&f.Media, drive)
				}
			}
		case windows.FromRoot:
			add(onOwn, windir[:2])
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
	// By SID, because the names are in the guest's language.
	private := call(`icacls ? /inheritance:r /grant:r "*S-1-5-18:(OI)(CI)F" "*S-1-5-32-544:(OI)(CI)F"`, folder)
	return s.done(ctx, "making a folder for administrators only", all(when(folder, call("rd /s /q ?", folder)), call("mkdir ?", folder).then(private)))
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
