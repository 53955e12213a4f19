package guest

import (
	"strings"
	"testing"
)

func TestWhichRunStartedASysprep(t *testing.T) {
	const line = `{"script":"processes","schema":1,"ok":true,"processes":[{"id":7,"session":1,"start":"2026-01-02T03:04:06.5000000Z","commandLine":` + "%LINE%" + `}],"marks":[` + "%MARKS%" + `]}`
	mark := func(stamp, id string) string {
		return `{"folder":"Panther.packer-` + stamp + `","name":"packer-` + id + `.mark"}`
	}
	const image = `"\"C:\\Windows\\System32\\Sysprep\\sysprep.exe\" /oobe  /quiet "`
	for name, c := range map[string]struct {
		line, marks    string
		arguments, run string
		known          bool
	}{
		"no mark":                         {image, "", "/oobe  /quiet", "", true},
		"a window":                        {`"\"C:\\sysprep.exe\""`, "", "", "", true},
		"without quotes":                  {`"C:\\sysprep.exe /a /b"`, "", "/a /b", "", true},
		"nobody may read it":              {`null`, mark("20260102T030405Z", "aaaa"), "", "aaaa", false},
		"the mark of its start":           {image, mark("20260102T030405Z", "aaaa"), "/oobe  /quiet", "aaaa", true},
		"the newest mark":                 {image, mark("20260102T030405Z", "aaaa") + "," + mark("20260101T030405Z", "bbbb"), "/oobe  /quiet", "aaaa", true},
		"a mark of long ago":              {image, mark("20260102T020405Z", "aaaa"), "/oobe  /quiet", "", true},
		"a mark that came later":          {image, mark("20260102T030505Z", "aaaa"), "/oobe  /quiet", "", true},
		"a name that is none of a time":   {image, mark("yesterday", "aaaa"), "/oobe  /quiet", "", true},
		"an older one, later one is news": {image, mark("20260102T030405Z", "aaaa") + "," + mark("20260102T030505Z", "bbbb"), "/oobe  /quiet", "", true},
	} {
		text := strings.NewReplacer("%LINE%", c.line, "%MARKS%", c.marks).Replace(line)
		found, err := New(scripted(text+"\r\n", ""), "id").Running(t.Context())
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %v, %+v", name, err, found)
		}
		if p := found[0]; p.PID != 7 || p.Arguments != c.arguments || p.Known != c.known || p.Run != c.run {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func TestTheLastLinesAreOneLine(t *testing.T) {
	const want = `cmd.exe /d /s /c ^"echo ^"a ^& b^" ^> c^"&& echo packer-^part:line=0&& cmd.exe /d /s /c ^"ver^"&& echo packer-^part:line=1&& shutdown /s /t 5 /f /d p:4:1&& echo packer-^part:ended`
	if c := lastLine([]string{`echo "a & b" > c`, "ver"}, PowerOff); c.err != nil || c.text != want {
		t.Errorf("got %v, %s", c.err, c.text)
	}
	if c := lastLine([]string{"ver"}, StayUp); strings.Contains(c.text, "shutdown") {
		t.Error(c.text)
	}
	if c := lastLine([]string{"ver"}, Restart); !strings.Contains(c.text, "shutdown /r ") {
		t.Error(c.text)
	}
	for _, lines := range [][]string{{""}, {" "}, {"a\nb"}, {"a\x00"}, {strings.Repeat("x", mostLine)}} {
		if LastLines(lines) == nil {
			t.Errorf("%.20q is taken", lines)
		}
	}
	if err := LastLines(nil); err != nil {
		t.Error(err)
	}
}

// What a restart has made away with is told only where it was seen before, and
// where the key was listed at all.
func TestThatWindowsRestartedIsTold(t *testing.T) {
	const listed = "packer-part:boot\r\nHKEY_LOCAL_MACHINE\\HARDWARE\\DESCRIPTION\\System\r\n    Identifier    REG_SZ    AT/AT COMPATIBLE\r\n"
	const mine = "    packer-sysprep-id    REG_SZ    1\r\n"
	for name, c := range map[string]struct {
		answers []string
		want    []string // yes, no or nothing
	}{
		"there":                  {[]string{listed + mine}, []string{"yes"}},
		"there, then gone":       {[]string{listed + mine, listed}, []string{"yes", "no"}},
		"never there":            {[]string{listed}, []string{""}},
		"the key was not listed": {[]string{listed + mine, "packer-part:boot\r\nERROR\r\n"}, []string{"yes", ""}},
		"not asked":              {[]string{listed + mine, ""}, []string{"yes", ""}},
		"of another run":         {[]string{listed + strings.Replace(mine, "-id", "-other", 1)}, []string{""}},
	} {
		s := New(scripted("", ""), "id")
		s.putBoot()
		for i, text := range c.answers {
			state := s.judgeOurs(s.readAll(readAnswer(text)), "")
			got := ""
			if state.SameBoot != nil {
				got = map[bool]string{true: "yes", false: "no"}[*state.SameBoot]
			}
			if got != c.want[i] {
				t.Errorf("%s, answer %d: %q, want %q", name, i, got, c.want[i])
			}
		}
	}
	// It may restart before it is asked for the first time.
	s := New(scripted("", ""), "id")
	s.putBoot()
	h := &hearing{session: s, starting: true, before: &documents{}}
	h.take([]byte("packer-part:boot-put\r"))
	if same := s.judgeOurs(s.readAll(readAnswer(listed)), "").SameBoot; same == nil || *same {
		t.Errorf("put, and gone at the first answer: %v", same)
	}
	if h.before.other != "" {
		t.Errorf("%q counts as output of the script", h.before.other)
	}
}
