package guest

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPatternsThatCmdWouldMisreadAreRefused(t *testing.T) {
	for _, pattern := range []string{
		"", `a.xml`, `\a.xml`, `C:a.xml`, `C:\`, `C:\a" & del b`, `C:\a & b`, `C:\a|b`, `C:\a^b`, `C:\a>b`, `C:\a!b`, "C:\\a\nb", `C:\*\a.xml`, `%a\b.xml`,
		`C:\a%b.xml`, `C:\%a\b.xml`, `%A%B%\c.xml`, `\\server\share\a.xml`, `C:\a/b`, `C:\` + strings.Repeat("x", 1000),
	} {
		if err := CheckPattern(pattern); err == nil {
			t.Errorf("%q is accepted", pattern)
		}
		f := scripted("", "")
		if _, err := New(f, "id").FindFiles(t.Context(), pattern); err == nil || len(f.lines()) != 0 {
			t.Errorf("%q: %v, the guest was asked %q", pattern, err, f.lines())
		}
	}
	for _, pattern := range []string{`C:\a.xml`, `%ProgramFiles(x86)%\a b\*.xml`, `%ProgramData%\a\u?.xml`, `C:\Program Files (x86)\a.xml`, `C:\%COMPUTERNAME%\a.xml`, `C:\Bücher\a.xml`} {
		if err := CheckPattern(pattern); err != nil {
			t.Errorf("%q: %v", pattern, err)
		}
	}
}

func TestFilesOfAPatternAreFound(t *testing.T) {
	const end = "packer-part:end\r\n"
	said := func(path string, names ...string) string {
		text := "packer-part:path\r\n\"" + path + "\"\r\npacker-part:files\r\n"
		for _, n := range names {
			text += n + "\r\n"
		}
		return text + end
	}
	for name, test := range map[string]struct {
		pattern, answer string
		want            []string
		says            string
	}{
		"none":            {`%ProgramFiles%\a\*.xml`, said(`C:\Program Files\a\*.xml`), nil, ""},
		"one":             {`C:\a\U.xml`, said(`C:\a\U.xml`, "u.XML"), []string{`C:\a\u.XML`}, ""},
		"two":             {`%ProgramFiles%\a\*.xml`, said(`C:\Program Files\a\*.xml`, "a b.xml", "c.xml"), []string{`C:\Program Files\a\a b.xml`, `C:\Program Files\a\c.xml`}, ""},
		"a folder":        {`C:\a`, said(`C:\a`, "b.xml"), nil, `C:\a is a folder`},
		"no variable":     {`%NONE%\a.xml`, said(`%NONE%\a.xml`), nil, "no variable %NONE%"},
		"cut off":         {`C:\a.xml`, strings.TrimSuffix(said(`C:\a.xml`, "a.xml"), end), nil, ErrUnreadable.Error()},
		"no path":         {`C:\a.xml`, "packer-part:files\r\n" + end, nil, ErrUnreadable.Error()},
		"something else":  {`C:\*.xml`, said(`C:\*.xml`, `..\b: no`), nil, ErrUnreadable.Error()},
		"a banner before": {`C:\a.xml`, "hello\r\n" + said(`C:\a.xml`, "a.xml"), []string{`C:\a.xml`}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := scripted(test.answer, "")
			got, err := New(f, "id").FindFiles(t.Context(), test.pattern)
			if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) || !slices.Equal(got, test.want) {
				t.Errorf("got %q, %v", got, err)
			}
			if line := f.lines()[0]; !strings.Contains(line, `dir /b /a:-d-l /o:n "`+test.pattern+`" 2>nul`) {
				t.Errorf("the line is %s", line)
			}
		})
	}
}

func TestLinesAreAddedToSetupCompleteOnce(t *testing.T) {
	const done = "packer-part:done\r\npacker-part:end\r\n"
	f := &fake{start: answers{{"findstr", done, ""}}.start}
	if err := New(f, "id").AddToSetupComplete(t.Context(), []string{"a"}, time.Minute); err != nil || len(f.lines()) != 1 {
		t.Errorf("they are there already: %v, %q", err, f.lines())
	}
	// The marks of other lines are others.
	other := &fake{start: answers{{"findstr", done, ""}}.start}
	if err := New(other, "id").AddToSetupComplete(t.Context(), []string{"b"}, time.Minute); err != nil || other.lines()[0] == f.lines()[0] {
		t.Errorf("%v, %q", err, other.lines())
	}
	var uploaded, where string
	absent := answers{{"SetupComplete.cmd.packer-", done, ""}, {"findstr", "packer-part:end\r\n", ""}, {"mkdir", done, ""}}
	f = &fake{start: absent.start, upload: func(path string, content []byte) error {
		where, uploaded = path, string(content)
		return nil
	}}
	if err := New(f, "id").AddToSetupComplete(t.Context(), []string{`echo "50 %%" & ver`, "b"}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(uploaded, "@rem setup_complete ") || !strings.HasSuffix(uploaded, "\r\necho \"50 %%\" & ver\r\nb\r\n") || !strings.Contains(where, "SetupComplete.cmd.packer-") {
		t.Errorf("%s got %q", where, uploaded)
	}
	// A file that did not arrive is not moved, and an upload that fails is told.
	lost := answers{{"SetupComplete.cmd.packer-", "packer-part:end\r\n", ""}, {"findstr", "packer-part:end\r\n", ""}, {"mkdir", done, ""}}
	f = &fake{start: lost.start, upload: func(string, []byte) error { return nil }}
	if err := New(f, "id").AddToSetupComplete(t.Context(), []string{"a"}, time.Minute); !errors.Is(err, ErrUnreadable) {
		t.Errorf("it did not arrive: %v", err)
	}
	broken := errors.New("broken")
	f = &fake{start: absent.start, upload: func(string, []byte) error { return broken }}
	if err := New(f, "id").AddToSetupComplete(t.Context(), []string{"a"}, time.Minute); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
