package guest

import (
	"errors"
	"strings"
	"testing"
	"time"
)

const lookAnswer = "packer-part:image\r\n\r\nHKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Setup\\State\r\n" +
	"    ImageState    REG_SZ    IMAGE_STATE_COMPLETE\r\n\r\n" +
	"packer-part:status\r\n\r\nHKEY_LOCAL_MACHINE\\SYSTEM\\Setup\\Status\\SysprepStatus\r\n    GeneralizationState    REG_DWORD    0x7\r\n\r\n" +
	"packer-part:tag=yes\r\n" +
	"packer-part:tasks\r\n\"sysprep.exe\",\"4321\",\"Services\",\"0\",\"12,345 K\"\r\npacker-part:listed\r\n" +
	"packer-part:exe=yes\r\n" +
	"packer-part:setup\r\n\r\nHKEY_LOCAL_MACHINE\\SYSTEM\\Setup\r\n    SystemSetupInProgress    REG_DWORD    0x0\r\n\r\n" +
	"\r\nHKEY_LOCAL_MACHINE\\SYSTEM\\Setup\r\n    OOBEInProgress    REG_DWORD    0x1\r\n\r\n" +
	"packer-part:audit\r\n" +
	"packer-part:build\r\n\r\nHKEY_LOCAL_MACHINE\\SOFTWARE\\...\r\n    CurrentBuildNumber    REG_SZ    20348\r\n\r\n" +
	"packer-part:windir\r\nD:\\Windows\r\npacker-part:arch\r\nAMD64\r\npacker-part:end\r\n"

func TestEverythingThatLookAsksForIsRead(t *testing.T) {
	s := New(scripted(lookAnswer, ""), "id")
	state, err := s.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if state.ImageState != "IMAGE_STATE_COMPLETE" || *state.GeneralizationState != 7 || !*state.Tag || len(state.Processes) != 1 ||
		state.Processes[0] != 4321 || !*state.SysprepExe || *state.SystemSetupInProgress != 0 || *state.OOBEInProgress != 1 ||
		state.AuditBoot != nil || state.Architecture != "amd64" || state.Build != 20348 {
		t.Errorf("got %+v", state)
	}
	if s.Folder() != `D:\Windows\Temp\packer-sysprep-id` {
		t.Errorf("the folder is %s", s.Folder())
	}
}

func TestWhatIsNotExactlyAsExpectedIsUnknown(t *testing.T) {
	for _, test := range []struct{ name, from, to string }{
		{"another type", "REG_SZ    IMAGE_STATE_COMPLETE", "REG_MULTI_SZ    IMAGE_STATE_COMPLETE"},
		{"another word", "IMAGE_STATE_COMPLETE", "complete"},
		{"a number that is none", "GeneralizationState    REG_DWORD    0x7", "GeneralizationState    REG_DWORD    seven"},
		{"a number that is too large", "0x7", "0x1ffffffff"},
		{"a tag that may be there", "packer-part:tag=yes", "packer-part:tag=ja"},
		{"a tag that is there and not", "packer-part:tag=yes", "packer-part:tag=yes\r\npacker-part:tag=no"},
		{"a tasklist that failed", "K\"\r\npacker-part:listed", "K\""},
		{"an architecture nobody knows", "AMD64", "Z80"},
		{"a Windows folder that is none", "D:\\Windows", "%windir%"},
		{"a build that is too long", "20348", "2034820348203482034820348"},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := strings.Replace(lookAnswer, test.from, test.to, 1)
			if text == lookAnswer {
				t.Fatal("the test changes nothing")
			}
			before, state, windir := readState(readAnswer(lookAnswer)), readState(readAnswer(text)), readWindir(readAnswer(text))
			lost := 0
			for _, is := range []bool{
				state.ImageState == "" && before.ImageState != "", state.GeneralizationState == nil, state.Tag == nil, state.Processes == nil,
				state.Architecture == "", windir == "", state.Build == 0,
			} {
				if is {
					lost++
				}
			}
			if lost != 1 {
				t.Errorf("%d facts are unknown: %+v, %q", lost, state, windir)
			}
		})
	}
}

func TestNoProcessIsSomethingElseThanUnknown(t *testing.T) {
	// The text is in the guest's language.
	state := readState(readAnswer("packer-part:tasks\r\nINFORMATION: Es werden keine Aufgaben mit den angegebenen Kriterien ausgeführt.\r\npacker-part:listed\r\n"))
	if state.Processes == nil || len(state.Processes) != 0 {
		t.Fatalf("got %v", state.Processes)
	}
}

func TestAnAnswerThatIsCutOffIsAnError(t *testing.T) {
	for _, text := range []string{"", "Access denied", lookAnswer[:len(lookAnswer)-20]} {
		if _, err := wholeAnswer(text, ""); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzParseState(f *testing.F) {
	f.Add(lookAnswer)
	f.Add("packer-part:tasks\r\n\"sysprep.exe\",\"99999999999\",\r\npacker-part:listed\r\npacker-part:end")
	f.Fuzz(func(t *testing.T, text string) {
		state := readState(readAnswer(text))
		if state.ImageState != "" && !strings.HasPrefix(string(state.ImageState), "IMAGE_STATE_") {
			t.Errorf("ImageState %q", state.ImageState)
		}
		for _, id := range state.Processes {
			if id < 0 {
				t.Errorf("process id %d", id)
			}
		}
	})
}

func TestTheLogIsReadOnceWithoutPowerShell(t *testing.T) {
	var c Cursor
	var got strings.Builder
	log := []string{}
	step := func(add ...string) {
		log = append(log, add...)
		fresh, rotated, next := c.advance(strings.Join(log, ""), false)
		if rotated {
			t.Fatal("taken for another log")
		}
		got.Write(fresh)
		c = next
	}
	step("one\r\n", "two\r\n", "thr")
	if got.String() != "one\r\ntwo\r\n" {
		t.Fatalf("half a line was taken: %q", got.String())
	}
	log[2] = "three\r\n"
	step()
	step()
	step()
	step("four\r\n")
	step()
	if got.String() != "one\r\ntwo\r\nthree\r\nfour\r\n" {
		t.Fatalf("got %q", got.String())
	}
}

func TestAnEarlierLogIsLeftOut(t *testing.T) {
	const old, fresh = "old one\r\nold two\r\n", "2026-11-28 new\r\nmore\r\n"
	got, rotated, c := After(2).advance(old+fresh+"x", false)
	if string(got) != fresh || rotated || c.count != 4 || c.offset != int64(len(old+fresh)) {
		t.Errorf("without PowerShell: %q, %v, %+v", got, rotated, c)
	}
	if got, rotated, c = c.advance("other\r\nx", false); string(got) != "other\r\n" || !rotated || c.count != 1 {
		t.Errorf("another log: %q, %v, %+v", got, rotated, c)
	}
	// By watch.ps1 the log comes in pieces, and from the beginning again.
	for size := 1; size < 30; size++ {
		at := After(2)
		var all []byte
		for range 2 {
			for from := 0; from < len(old+fresh); from += size {
				all = append(all, at.fresh(int64(from), []byte(old + fresh)[from:min(from+size, len(old+fresh))])...)
			}
		}
		if string(all) != fresh || at.count != 4 || at.offset != int64(len(old+fresh)) {
			t.Errorf("pieces of %d: %q, %+v", size, all, at)
		}
	}
}

func TestOnlyALogGrows(t *testing.T) {
	for text, read := range map[string]bool{
		"":                            true,
		"Not enough memory.\r\n":      false,
		"Nicht genug Arbeitsspeicher": false,
		"2026-11-28 10:00:00, Info                  SYSPRP x\r\n":       true,
		"\ufeff2026-11-28 10:00:00, Info                  SYSPRP x\r\n": true,
		"\ttail of a line\r\n2026-11-28 10:00:00, Error      SYSPRP":    true,
	} {
		f := &fake{start: answers{{"type ", "packer-part:text\r\n" + text, ""}, {"reg query", "packer-part:end\r\n", ""}}.start}
		sample, _, err := New(f, "id").Peek(t.Context(), Cursor{})
		if err != nil || sample.LogRead != read || sample.LogLength != int64(len(text)) && read {
			t.Errorf("%q: %+v, %v", text, sample, err)
		}
	}
}

func hears(sample func(Sample)) Hears { return Hears{Sample: sample, Removed: func([]string) {}} }

func TestWatchGoesOnWhereItWasCut(t *testing.T) {
	sample := `{"script":"watch","schema":1,"ok":true,"type":"sample","tag":false,"imageState":"IMAGE_STATE_COMPLETE","generalizationState":7,"processes":[{"id":5}],` +
		`"log":{"exists":true,"length":9,"offset":0,"next":4,"rotated":false,"more":true,"data":"b25lCg=="}}` + "\r\n"
	f := scripted(sample, "")
	s := New(f, "id")
	var seen []Sample
	cursor, err := s.Watch(t.Context(), Cursor{}, Watching{Interval: time.Second}, hears(func(s Sample) { seen = append(seen, s) }))
	if err != nil || len(seen) != 1 || string(seen[0].Log) != "one\n" || seen[0].LogLength != 9 || seen[0].Processes[0] != 5 || *seen[0].Tag {
		t.Fatalf("got %+v, %v", seen, err)
	}
	if cursor.offset != 4 || cursor.count != 1 {
		t.Errorf("the cursor is %+v", cursor)
	}
}

func TestWatchTellsUnknownFromNone(t *testing.T) {
	s := New(scripted(`{"script":"watch","schema":1,"ok":true,"type":"sample","tag":null,"imageState":null,"processes":null,"log":null}`, ""), "id")
	_, err := s.Watch(t.Context(), Cursor{}, Watching{Interval: time.Second}, hears(func(s Sample) {
		if s.Tag != nil || s.ImageState != "" || s.Processes != nil || s.LogRead {
			t.Errorf("got %+v", s)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(scripted(`{"script":"watch","schema":1,"ok":true,"type":"sample","processes":[],"log":{"exists":false}}`, ""), "id").
		Watch(t.Context(), Cursor{}, Watching{Interval: time.Second}, hears(func(s Sample) {
			if s.Processes == nil || len(s.Processes) != 0 || !s.LogRead {
				t.Errorf("got %+v", s)
			}
		}))
	if err != nil {
		t.Fatal(err)
	}
}

func TestCleanupNamesWhatIsLeft(t *testing.T) {
	f := scripted("packer-part:left=1\r\npacker-part:end\r\n", "")
	left, err := New(f, "id").Cleanup(t.Context(), Leftovers{Files: []string{`C:\a`, `C:\b`}, Tasks: nil}, time.Minute)
	if err != nil || len(left) != 1 || left[0] != `C:\b` {
		t.Fatalf("got %q, %v", left, err)
	}
	if line := f.lines()[1]; f.lines()[0] != "settle" || !strings.HasPrefix(line, `del /f /q "C:\a"& del /f /q "C:\b"& rd /s /q "C:\Windows\Temp\packer-sysprep-id"& `) {
		t.Errorf("the line is %q", line)
	}
	left, err = New(scripted("", ""), "id").Cleanup(t.Context(), Leftovers{Files: []string{`C:\a`}}, time.Minute)
	if !errors.Is(err, ErrUnreadable) || len(left) != 2 {
		t.Fatalf("an answer that is cut off: %q, %v", left, err)
	}
}
