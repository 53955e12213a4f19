package guest

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

const setupKey = "packer-part:setup\r\n\r\nHKEY_LOCAL_MACHINE\\SYSTEM\\Setup\r\n    SetupType    REG_DWORD    0x2\r\n    CmdLine    REG_SZ    oobe\\windeploy.exe\r\n" +
	"    OOBEInProgress    REG_DWORD    0x1\r\n\r\nHKEY_LOCAL_MACHINE\\SYSTEM\\Setup\\Status\r\n"

func TestWhatTheNextBootRunsIsRead(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		kind int    // -1: unknown
		line string // "?": unknown
	}{
		"armed":                   {setupKey, 2, `oobe\windeploy.exe`},
		"empty":                   {strings.Replace(setupKey, `oobe\windeploy.exe`, "", 1), 2, ""},
		"with variables":          {strings.Replace(setupKey, "REG_SZ    oobe", `REG_EXPAND_SZ    %windir%\oobe`, 1), 2, `%windir%\oobe\windeploy.exe`},
		"no command":              {strings.Replace(setupKey, "    CmdLine    REG_SZ    oobe\\windeploy.exe\r\n", "", 1), 2, ""},
		"a command of a number":   {strings.Replace(setupKey, "REG_SZ    oobe\\windeploy.exe", "REG_DWORD    0x1", 1), 2, "?"},
		"no type":                 {strings.Replace(setupKey, "    SetupType    REG_DWORD    0x2\r\n", "", 1), -1, `oobe\windeploy.exe`},
		"a key that was not read": {"packer-part:setup\r\n", -1, "?"},
	} {
		state := readState(readAnswer(test.text))
		kind, line := -1, "?"
		if state.SetupType != nil {
			kind = *state.SetupType
		}
		if state.CmdLine != nil {
			line = *state.CmdLine
		}
		if kind != test.kind || line != test.line {
			t.Errorf("%s: %d, %q", name, kind, line)
		}
	}
}

func TestTheZoneOfTheGuestIsRead(t *testing.T) {
	for text, want := range map[string]int{"0x0": 0, "0x1e0": 480, "0xffffffc4": -60, "0xfffffdda": -550} {
		state := readState(readAnswer("packer-part:zone\r\n    ActiveTimeBias    REG_DWORD    " + text + "\r\n"))
		if state.TimeBias == nil || *state.TimeBias != want {
			t.Errorf("%s: %v", text, state.TimeBias)
		}
	}
	state := readState(readAnswer("packer-part:zone\r\n    ActiveTimeBias    REG_DWORD    0x7fffffff\r\n"))
	if state.TimeBias != nil {
		t.Errorf("a bias of %d minutes was believed", *state.TimeBias)
	}
}

func TestOurFolderIsLookedForInEveryPoll(t *testing.T) {
	f := scripted("packer-part:ours=no\r\npacker-part:end\r\n", "")
	s := New(f, "id")
	if state, err := s.Poll(t.Context()); err != nil || strings.Contains(f.lines()[0], "part:ours") {
		t.Fatalf("before anything is ours: %+v, %v, %q", state.Ours, err, f.lines())
	}
	s.brought[s.Folder()+`\watch.ps1`] = true // may have been uploaded to another machine
	if s.mark() != "" {
		t.Error("a later upload makes a machine ours")
	}
	s.brought[s.Folder()+`\launch.ps1`] = true
	state, err := s.Poll(t.Context())
	if err != nil || state.Ours == nil || *state.Ours {
		t.Fatalf("got %v, %v", state.Ours, err)
	}
	if line := f.lines()[1]; !strings.Contains(line, `(if exist "C:\Windows\Temp\packer-sysprep-id\launch.*" (echo packer-^part:ours=yes) else (echo packer-^part:ours=no))`) {
		t.Errorf("the line is %q", line)
	}
	// What was removed by ourselves is not missing.
	if _, _, err := s.CleanupAndPoll(t.Context(), Leftovers{}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if s.mark() != "" {
		t.Error("the folder is looked for after it was removed")
	}
}

func TestTheWatchEndsWithAllFactsAndRunsOnOurGuestOnly(t *testing.T) {
	const sample = `{"script":"watch","schema":1,"ok":true,"type":"sample","tag":true,"imageState":"IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"}` + "\r\n"
	for name, test := range map[string]struct {
		answer  string
		samples int
		ours    bool // of the last one
		err     error
	}{
		"to the end":                {sample + "packer-part:last\r\n" + setupKey + "packer-part:ours=yes\r\npacker-part:end\r\n", 2, true, nil},
		"cut off":                   {sample + "packer-part:last\r\n" + setupKey, 1, false, nil},
		"another machine":           {"packer-part:last\r\npacker-part:ours=no\r\npacker-part:end\r\n", 1, false, nil},
		"no PowerShell, our guest":  {"packer-part:last\r\n" + setupKey + "packer-part:ours=yes\r\npacker-part:end\r\n", 1, true, ErrNoDocument},
		"a script's word in a line": {sample + "packer-part\r\n" + "packer-part:last\r\n" + setupKey + "packer-part:ours=yes\r\npacker-part:end\r\n", 2, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := scripted(test.answer, "")
			s := New(f, "id")
			s.brought[s.Folder()+`\launch.ps1`] = true
			s.brought[s.Folder()+`\watch.ps1`] = true
			var got []Sample
			_, err := s.Watch(t.Context(), Cursor{}, Watching{Interval: time.Second}, hears(func(s Sample) { got = append(got, s) }))
			if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) || len(got) != test.samples {
				t.Fatalf("%d samples, %v", len(got), err)
			}
			last := got[len(got)-1]
			if ours := last.Ours != nil && *last.Ours; ours != test.ours {
				t.Errorf("ours is %v", last.Ours)
			}
			if test.samples == 2 && (last.SetupType == nil || *last.SetupType != 2 || last.LogRead) {
				t.Errorf("the last sample is %+v", last)
			}
			line := f.lines()[0]
			if !strings.HasPrefix(line, `(if exist "C:\Windows\Temp\packer-sysprep-id\launch.*" (powershell.exe `) || len(line) > 8000 {
				t.Errorf("the line is %q", line)
			}
		})
	}
}

func TestAnOlderLogIsSkippedWithoutPowerShell(t *testing.T) {
	f := scripted("packer-part:ours=yes\r\npacker-part:lines\r\n\r\n---------- C:\\WINDOWS\\SYSTEM32\\SYSPREP\\PANTHER\\SETUPACT.LOG: 123\r\npacker-part:tag=no\r\npacker-part:end\r\n", "")
	s := New(f, "id")
	s.removing = true // by a command of which nothing was heard
	launched, _ := s.launchWithout(t.Context(), Launch{Arguments: "/quit", User: "packer"}, Launched{}, errors.New("why"))
	yes, no := true, false
	if state := s.judgeOurs(Status{Ours: &no, Tag: &yes}, s.mark()); state.Ours == nil || *state.Ours || state.MayBeRemoved {
		t.Errorf("a machine without our mark: %+v", state)
	}
	if launched.OldLines != 123 || After(launched.OldLines).skip != 123 || s.mark() != s.Folder() {
		t.Errorf("%d lines, mark %q", launched.OldLines, s.mark())
	}
}

// A log that stays and whose lines nobody counted may be an old one.
func TestAnOldLogThatIsNotCountedIsSaid(t *testing.T) {
	for answer, want := range map[string]bool{
		"packer-part:tag=no\r\npacker-part:end\r\n": false,
		"packer-part:log-stays\r\npacker-part:lines\r\n---------- C:\\SETUPACT.LOG: 123\r\npacker-part:tag=no\r\npacker-part:end\r\n":  false,
		"packer-part:log-stays\r\npacker-part:lines\r\nFile not found - C:\\SETUPACT.LOG\r\npacker-part:tag=no\r\npacker-part:end\r\n": true,
	} {
		s := New(scripted(answer, ""), "id")
		if launched, _ := s.launchWithout(t.Context(), Launch{Arguments: "/quit", User: "packer"}, Launched{}, errors.New("why")); launched.OldUncounted != want {
			t.Errorf("%q: %+v", answer, launched)
		}
	}
}

// An upload that is not waited for any more may still arrive; one that was
// refused brings nothing.
func TestAnUploadThatMayArriveIsToBeRemoved(t *testing.T) {
	for err, want := range map[error]bool{ErrNoAnswer: true, errors.New("401"): false} {
		s := New(&fake{upload: func(string, []byte) error { return err }}, "id")
		if _, got := s.scriptLine(t.Context(), "watch", nil, ""); !errors.Is(got, err) {
			t.Fatalf("got %v", got)
		}
		if s.Brought() != want {
			t.Errorf("%v: brought is %v", err, s.Brought())
		}
	}
}

// A longer log with another first line is another log.
func TestALogIsKnownByItsFirstLine(t *testing.T) {
	var ours Cursor
	ours.fresh(0, []byte("\xef\xbb\xbf2026-11-28 10:00:00, Info SYSPRP one\r\ntwo\r\n"))
	for text, want := range map[string]bool{
		"2026-11-28 10:00:00, Info SYSPRP one\r\ntwo\r\nthree\r\n": false,
		"2019-02-26 02:07:16, Info SYSPRP one\r\ntwo\r\nthree\r\n": true,
	} {
		if _, rotated, _ := ours.advance(text, false); rotated != want {
			t.Errorf("%q: another log: %v", text, rotated)
		}
	}
}

// A mark that may come late would say of a start that there was none.
func TestAMarkThatMayComeLateIsNotBelieved(t *testing.T) {
	f := scripted("packer-part:marked\r\npacker-part:end\r\n", "")
	s := New(f, "id")
	if marked, _ := s.putMark(t.Context()); !marked {
		t.Fatal("the mark that is there is not believed")
	}
	answer := f.start
	f.start = func(context.Context, Request) error { return ErrNoAnswer }
	s.putMark(t.Context())
	f.start = answer
	if marked, _ := s.putMark(t.Context()); marked {
		t.Error("it is believed although an earlier one may still come")
	}
}

func TestWhatIsLeftIsNamedOnce(t *testing.T) {
	one := Leftovers{Files: []string{"f"}, Folders: []string{"d"}, Tasks: []string{"t"}, IfEmpty: []string{"e"}}
	all := Leftovers{}
	for range 300 { // a start that is tried every two seconds
		all = all.With(one)
	}
	if got := all.With(Leftovers{Files: []string{"g"}}); !reflect.DeepEqual(got, Leftovers{[]string{"f", "g"}, []string{"d"}, []string{"t"}, []string{"e"}}) {
		t.Errorf("%+v", got)
	}
}
