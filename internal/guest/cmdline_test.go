package guest

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

func TestCommandsAreQuotedAndJoined(t *testing.T) {
	for name, test := range map[string]struct {
		command command
		want    string
	}{
		"an argument":            {call("del /f /q ?", `C:\a b\R&D (x86)^!.log`), `del /f /q "C:\a b\R&D (x86)^!.log"`},
		"two, one with a ?":      {call("fc /b ? ?>nul", `C:\a?b`, `C:\c`), `fc /b "C:\a?b" "C:\c">nul`},
		"a variable of ours":     {call("type ?", `%windir%\x`), `type "%windir%\x"`},
		"a mark":                 {echo("tag=yes"), `echo packer-^part:tag=yes`},
		"one after the other":    {all(call("a"), command{}, call("b")), `a& b`},
		"if the first worked":    {call("a").then(call("b")).otherwise(call("c")), `a&& b|| c`},
		"if a file is there":     {when(`C:\x`, call("a"), call("b")), `(if exist "C:\x" (a& b))`},
		"if it is not":           {unless(`C:\x`, call("a")), `(if not exist "C:\x" (a))`},
		"whether it is there":    {tell("tag", `C:\x`), `(if exist "C:\x" (echo packer-^part:tag=yes) else (echo packer-^part:tag=no))`},
		"nothing is nothing":     {all(), ``},
		"a group in a condition": {when(`C:\x`, all(call("a"), call("b")).group()), `(if exist "C:\x" ((a& b)))`},
	} {
		if test.command.err != nil || test.command.text != test.want {
			t.Errorf("%s: %q, %v, want %q", name, test.command.text, test.command.err, test.want)
		}
	}
}

func TestWhatCannotBeQuotedIsRefused(t *testing.T) {
	f := &fake{}
	s := New(f, "id")
	for _, path := range []string{"", `C:\a" & calc & "`, `C:\%PATH%`, "C:\\a\r\ncalc", `C:\folder\`, "C:\\a\x00b", `%windir%\%PATH%`, `x%windir%\y`, `%D\`, "C:\\tab\there"} {
		for _, c := range []command{call("del ?", path), all(call("a"), call("del ?", path).then(call("b"))), when(path, call("a")), unless(path, call("a")), tell("x", path), call("x").otherwise(call("? /np", path)).group()} {
			if _, _, err := s.run(t.Context(), c, Request{}, time.Minute); !errors.Is(err, ErrNotSent) {
				t.Errorf("%q: %v", path, err)
			}
		}
	}
	if len(f.lines()) > 0 {
		t.Errorf("sent %q", f.lines())
	}
}

func TestALineThatIsTooLongForCmdIsNotSent(t *testing.T) {
	f := scripted("packer-part:end", "")
	s := New(f, "id")
	if _, err := s.ask(t.Context(), call(strings.Repeat("x", mostLine)), time.Minute); !errors.Is(err, ErrNotSent) || len(f.lines()) > 0 {
		t.Errorf("got %v", err)
	}
	if _, err := s.ask(t.Context(), call(strings.Repeat("x", mostLine-len("& echo packer-^part:end"))), time.Minute); err != nil {
		t.Error(err)
	}
}

func TestMarksAreReadBehindWhateverComesBeforeThem(t *testing.T) {
	const answer = "packer-part:files\r\n\r\n  a line \r\npacker-part:file=7\r\npacker-part:file=12\r\npacker-part:tag=yes\r\npacker-part:end\r\n"
	for name, text := range map[string]string{
		"nothing":               answer,
		"a banner of lines":     "Authorised use only\r\npacker-part\r\n" + answer,
		"a banner in the line":  "Aktive Codepage: 65001. " + answer,
		"escape codes":          "\x1b]0;title\x07\x1b[2J" + answer,
		"the line itself":       `C:\>` + all(query("files", windows.UnattendFile), tell("tag", `C:\x`), echo("end")).text + "\r\n" + answer,
		"UTF-16":                utf16Text(answer),
		"another end of a line": strings.ReplaceAll(answer, "\r\n", "\r\r\n"),
		"no carriage returns":   strings.ReplaceAll(answer, "\r\n", "\n"),
		"another code page":     "\x84\xe1\xff\xfe " + answer,
	} {
		a, err := wholeAnswer(text, "")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		files, err := a.numbers("file", 13)
		if yes := a.yes("tag"); err != nil || !reflect.DeepEqual(files, []int{7, 12}) || yes == nil || !*yes || !reflect.DeepEqual(a.parts["files"], []string{"  a line"}) {
			t.Errorf("%s: %v, %v, %+v", name, files, err, a)
		}
	}
}

// However the guest shows the line that it runs.
func TestALineSaysNothingByItself(t *testing.T) {
	line := all(askLook(), when(`C:\x`, echo("absent")), isLeft(3), call("x").then(echo("done")), echo("end")).text
	for _, shown := range []string{line, strings.ReplaceAll(line, "& ", "\r\n"), strings.ReplaceAll(strings.ReplaceAll(line, "(", "\r\n"), ")", "\r\n"), utf16Text(line)} {
		if a := readAnswer(shown); len(a.parts) != 1 || len(a.values) > 0 {
			t.Errorf("%q says %+v", shown, a)
		}
		if _, found := behind([]byte(shown), "text"); found {
			t.Errorf("%q shows a file", shown)
		}
	}
}

func TestWhatIsNoMarkSaysNothing(t *testing.T) {
	for _, text := range []string{"", "end", "packer-part:", "packer-part:end of it", "packer-part:End", "packer-^part:end", "packer-part: end", "packer-part:end=", "packer-part:a=b=c",
		"echo packer-part:end& echo x", "packer-part:\x1b[0mend", "packer-part:" + strings.Repeat("a", 21)} {
		if a, err := wholeAnswer(text, "on stderr"); !errors.Is(err, ErrUnreadable) || len(a.values) > 0 || !strings.Contains(err.Error(), "on stderr") {
			t.Errorf("%q: %v, %v", text, a, err)
		}
	}
}

func TestValuesAreTakenOnlyAsTheyWereAskedFor(t *testing.T) {
	for text, want := range map[string]bool{"n=0": true, "n=4": true, "n=5": false, "n=x": false, "n=1\npacker-part:n=1": false, "n=99999999999999999999": false} {
		if _, err := readAnswer("packer-part:"+text).numbers("n", 5); (err == nil) != want {
			t.Errorf("%q: %v", text, err)
		}
	}
	for text, known := range map[string]bool{"t=yes": true, "t=no": true, "t=ja": false, "t": false, "t=yes\npacker-part:t=yes": false, "u=yes": false} {
		if yes := readAnswer("packer-part:" + text).yes("t"); (yes != nil) != known {
			t.Errorf("%q: %v", text, yes)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add("", "a line")
	f.Add("\x1b[2Jbanner ", "packer-part:tag=no\r\npacker-part:left=1\r\n")
	f.Add(`cmd /c echo packer-part:tag& echo packer-part:end`, "---------- C:\\X.LOG: 12\r\n\r\n    ImageState    REG_SZ    IMAGE_STATE_COMPLETE\r\n")
	f.Add("p\x00a\x00c\x00k\x00er-part:end\r\n", "\"sysprep.exe\",\"4321\",\"x\"")
	f.Fuzz(func(t *testing.T, before, lines string) {
		a, err := wholeAnswer(before+lines, "")
		if plain := strings.ReplaceAll(before+lines, "\x00", ""); !strings.Contains(plain, marker) && (err == nil || len(a.values) > 0) {
			t.Errorf("%q says %+v", plain, a)
		}
		if ids, err := a.numbers("left", 3); err == nil && len(ids) > 3 {
			t.Errorf("%d of 3", len(ids))
		}
		if counted(a) < 0 {
			t.Error("fewer lines than none")
		}
		if yes := a.yes("tag"); yes != nil && len(a.values["tag"]) != 1 {
			t.Errorf("taken from %q", a.values["tag"])
		}
		// What comes before an answer, in its line or not, changes nothing of it.
		if text := before + lines; !strings.Contains(strings.ReplaceAll(text, "\x00", ""), marker) && len(text) < maxAnswer/2 {
			a, err := wholeAnswer(text+"packer-part:tag=no\r\npacker-part:end\r\n", "")
			if yes := a.yes("tag"); err != nil || yes == nil || *yes {
				t.Errorf("behind %q: %v, %v", text, yes, err)
			}
		}
		// What is given to cmd.exe in quotes stays in them.
		if c := call("type ?", before); c.err == nil && (strings.Count(c.text, `"`) != 2 || strings.Count(c.text, "%") > 2 || strings.ContainsAny(c.text, "\r\n\x00")) {
			t.Errorf("%q becomes %q", before, c.text)
		}
	})
}
