package sysprep

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

func TestLogDirectoryIsTriedBeforeTheGuestIsTouched(t *testing.T) {
	for _, c := range []struct{ name, directory, answer, want string }{
		{"will be made", "new/logs", "", ""},
		{"is there", "there", "", ""},
		{"not known", "file/<unknown>", "", ""},
		{"a file", "file", "", "log_directory: file is a file, not a folder"},
		{"below a file", "file/logs", "", "log_directory: "},
		{"a device", os.DevNull, "", "log_directory: " + os.DevNull + " is a device"},
		{"one of its folders is a file", "half", "", "log_directory: " + filepath.Join("half", "sysprep") + " is a file"},
		{"a log is a folder", "odd", "", "log_directory: " + filepath.Join("odd", "setup", "setupact.log") + " is a folder"},
		{"a log is the answer file", "there", filepath.Join("there", "sysprep", "setupact.log"), "log_directory: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			for _, folder := range []string{filepath.Join("there", "sysprep"), "half", filepath.Join("odd", "setup", "setupact.log")} {
				if err := os.MkdirAll(folder, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for path, text := range map[string]string{"file": "x", filepath.Join("half", "sysprep"): "x", filepath.Join("there", "sysprep", "setupact.log"): testAnswer} {
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			options := map[string]any{"log_directory": c.directory}
			if c.answer != "" {
				options["answer_file"] = c.answer
			}
			var p Provisioner
			for range 2 {
				err := p.Prepare(options)
				if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %q", err, c.want)
				}
			}
			if _, err := os.Stat("new"); err == nil {
				t.Error("a folder was made")
			}
		})
	}
}

func TestALogReplacesNoAnswerFile(t *testing.T) {
	logs := t.TempDir()
	answer := filepath.Join(t.TempDir(), "unattend.xml")
	if err := os.WriteFile(answer, []byte(testAnswer), 0o644); err != nil {
		t.Fatal(err)
	}
	var p Provisioner
	if err := p.Prepare(map[string]any{"answer_file": answer, "log_directory": logs}); err != nil {
		t.Fatal(err)
	}
	// Since the options were checked the name of a log has become the file's.
	if err := os.Mkdir(filepath.Join(logs, "sysprep"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(answer, filepath.Join(logs, "sysprep", "setupact.log")); err != nil {
		t.Fatal(err)
	}
	err := p.config.writeLog(t.Context(), filepath.Join(logs, "sysprep", "setupact.log"), []byte("log"))
	if err == nil || !strings.Contains(err.Error(), "is the same file as") {
		t.Errorf("error %v", err)
	}
	if text, err := os.ReadFile(answer); err != nil || string(text) != testAnswer {
		t.Errorf("the answer file: %v, %.40q", err, text)
	}
}

// They lie where the builder puts those of a failed disk. What is in sysprep's
// folder at the start is moved away.
func TestTheLogsOfTheGuestAreKeptByTheirPlace(t *testing.T) {
	t.Parallel()
	kept := t.TempDir()
	g := newGuestRun(t, winsim.Scenario{}, map[string]any{"log_directory": kept})
	var once sync.Once
	g.server.OnEvent = func(wsman.Event) {
		if len(g.sim.Guest.Starts()) == 0 {
			return // what lies there before is moved away
		}
		once.Do(func() {
			for _, log := range windows.Logs() {
				file := g.sim.Guest.Host(log.Path.In(`C:\Windows`))
				if log.Path == windows.SysprepLog {
					continue
				}
				if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(log.Path), 0o644)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	for _, log := range windows.Logs() {
		want := string(log.Path)
		if log.Path == windows.SysprepLog {
			want = "SYSPRP"
		}
		if got, err := os.ReadFile(log.OnHost(kept)); err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%s: %v, %q", log.Path, err, got)
		}
	}
}

// A log that cannot be saved keeps no other from being saved, and what is said counts.
func TestALogThatCannotBeSavedKeepsNoOtherOut(t *testing.T) {
	for name, c := range map[string]struct {
		taken []string
		want  string
		files int
	}{
		"none":    {nil, "Saved logs of the guest in", 2},
		"the one": {[]string{"sysprep/setupact.log"}, "Saved logs of the guest in", 1},
		"all":     {[]string{"sysprep/setupact.log", "sysprep/setuperr.log"}, "No log of the guest was saved in", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			var said []string
			b := &bubbleRun{scenario: winsim.Scenario{Validate: seconds(5), Generalize: seconds(20)}, options: map[string]any{
				"packer_builder_type": "null", "packer_build_name": "test", "winrm": map[string]any{"mode": winrmCommunicator}, "log_directory": folder, "preflight": map[string]any{"enabled": false}}}
			b.adjust = func(*run) {
				for _, log := range c.taken {
					if err := os.MkdirAll(filepath.Join(folder, filepath.FromSlash(log)), 0o755); err != nil {
						t.Error(err)
					}
				}
			}
			b.onSay = func(line string, _ func()) { said = append(said, line) }
			l := b.do(t)
			text := strings.Join(said, "\n")
			if len(l.Files) != c.files || strings.Count(text, "Could not save a log in log_directory: ") != len(c.taken) {
				t.Errorf("%+v\n%s", l.Files, text)
			}
			want(t, text, c.want)
			if n := fmt.Sprintf("(files: %d)", c.files); c.files > 0 {
				want(t, text, n)
			}
		})
	}
}
