package guest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
)

func decodeArgument(line string) ([]byte, error) {
	_, argument, _ := strings.Cut(line, " -Json ")
	argument, _, _ = strings.Cut(argument, " ")
	return base64.StdEncoding.DecodeString(argument)
}

func TestWhetherSysprepWasStarted(t *testing.T) {
	yes, no := true, false
	for _, test := range []struct {
		name           string
		marked, listed bool
		running        int
		mark, log      *bool
		want           start
	}{
		{"it runs", true, true, 1, &no, nil, startYes},
		{"it runs beside the mark", true, true, 1, &yes, nil, startYes},
		{"it runs without a mark", false, true, 1, nil, nil, startYes},
		{"the mark lies where it was put", true, true, 0, &yes, &yes, startNo},
		{"it has run and ended", true, true, 0, &no, &yes, startYes},
		{"the script got past the logs and no further", true, true, 0, &no, &no, startUnknown},
		{"there was no mark", false, true, 0, &no, &no, startUnknown},
		{"no list of processes", true, false, 0, &yes, &no, startUnknown},
		{"nothing said of the mark", true, true, 0, nil, &no, startUnknown},
		{"nothing said of the log", true, true, 0, &no, nil, startUnknown},
	} {
		if got := judgeStart(test.marked, test.listed, test.running, test.mark, test.log); got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
}

// utf16Text is UTF-16LE with a byte order mark.
func utf16Text(text string) string {
	out := []byte("\xff\xfe")
	for _, u := range utf16.Encode([]rune(text)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return string(out)
}

func TestAnAnswerIsFoundBehindWhateverComesFirst(t *testing.T) {
	const document = `{"script":"launch","schema":1,"ok":true,"started":true,"start":{"pid":4000}}`
	for name, text := range map[string]string{
		"nothing":                  document + "\r\n",
		"a byte order mark":        "\ufeff" + document,
		"a banner":                 "Authorized use only. " + document + "\r\n",
		"a banner of lines":        "*** {Contoso} ***\r\nAll is logged\r\n" + document + "\r\n",
		"escape codes around it":   "\x1b]0;title\x07\x1b[2J\x1b[32m" + document + "\x1b[0m\r\n",
		"UTF-16":                   utf16Text("profile loaded\r\n" + document + "\r\n"),
		"UTF-16 on one line":       utf16Text("a{b " + document),
		"a document of another":    `{"script":"read","schema":1,"ok":true}` + document,
		"the beginning of another": `{"script":"la` + document,
		"a warning behind it":      document + "WARNING: {x}\r\n",
		"a carriage return":        "50 %\r" + document + "\r\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{start: append(answers{{"powershell.exe", text, ""}}, marks...).start}
			l, err := New(f, "id").Launch(t.Context(), Launch{Arguments: "/oobe", User: "packer"})
			if err != nil || l.PID != 4000 || l.WithoutPowerShell || l.Lost != "" {
				t.Errorf("got %+v, %v", l, err)
			}
			if all := strings.Join(f.lines(), "\n"); strings.Contains(all, "schtasks") {
				t.Errorf("a second start: %s", all)
			}
		})
	}
}

// A start whose answer is not to be read is followed by a second one only when
// the guest says that nothing was started.
func TestNoSecondStartWhileTheFirstIsNotRuledOut(t *testing.T) {
	const tasks = "packer-part:tasks\r\n"
	for _, test := range []struct {
		name, mark, guest string
		cut               bool // the connection breaks
		starts            bool // schtasks is used
		pid               int
		err               error
	}{
		{"it runs", "packer-part:marked\r\npacker-part:end", tasks + "\"sysprep.exe\",\"4321\",\"x\"\r\npacker-part:listed\r\npacker-part:mark=no\r\npacker-part:log=yes\r\npacker-part:end", false, false, 4321, nil},
		{"it has ended", "packer-part:marked\r\npacker-part:end", tasks + "packer-part:listed\r\npacker-part:mark=no\r\npacker-part:log=yes\r\npacker-part:end", false, false, 0, nil},
		{"it runs and the connection broke", "packer-part:marked\r\npacker-part:end", tasks + "\"sysprep.exe\",\"4321\",\"x\"\r\npacker-part:listed\r\npacker-part:mark=no\r\npacker-part:end", true, false, 4321, nil},
		{"nothing was run", "packer-part:marked\r\npacker-part:end", tasks + "packer-part:listed\r\npacker-part:mark=yes\r\npacker-part:log=no\r\npacker-part:end", false, true, 0, nil},
		{"nothing was run yet and the connection broke", "packer-part:marked\r\npacker-part:end", tasks + "packer-part:listed\r\npacker-part:mark=yes\r\npacker-part:end", true, false, 0, errCut},
		{"the mark is gone", "packer-part:marked\r\npacker-part:end", tasks + "packer-part:listed\r\npacker-part:mark=no\r\npacker-part:log=no\r\npacker-part:end", false, false, 0, ErrNoDocument},
		{"the mark was never there", "Access is denied", tasks + "packer-part:listed\r\npacker-part:mark=no\r\npacker-part:log=no\r\npacker-part:end", false, false, 0, ErrNoDocument},
		{"the guest cannot say", "packer-part:marked\r\npacker-part:end", "garbage", false, false, 0, ErrNoDocument},
		{"the guest shows our line instead", "packer-part:marked\r\npacker-part:end", `cmd /c echo packer-part:tasks& echo packer-part:mark& echo packer-part:end`, false, false, 0, ErrNoDocument},
	} {
		quickly(t, test.name, func(t *testing.T) {
			replies := answers{{"(echo packer)>", test.mark, ""}, {"tasklist", test.guest, ""}, {"dir /b", "", ""}, {"powershell.exe", "garbage", ""},
				{"del /f /q", "packer-part:tag=no\r\npacker-part:end", ""}, {"schtasks", "packer-part:done\r\npacker-part:end", ""}}
			f := &fake{start: func(ctx context.Context, r Request) error {
				if test.cut && strings.Contains(r.Line, "powershell.exe") {
					return errCut
				}
				return replies.start(ctx, r)
			}}
			l, err := New(f, "id").Launch(t.Context(), Launch{Arguments: "/oobe", User: "packer"})
			if !errors.Is(err, test.err) || test.err == nil && err != nil || errors.Is(err, ErrNotStarted) || l.PID != test.pid {
				t.Errorf("got %+v, %v", l, err)
			}
			if got := strings.Contains(strings.Join(f.lines(), "\n"), "schtasks /run"); got != test.starts {
				t.Errorf("second start: %v", got)
			}
		})
	}
}

var errCut = errors.New("unknown error Post: EOF")

func TestAPasswordIsOnNoCommandLine(t *testing.T) {
	const password = "p\u201d; calc #%PATH%'\"`$x\\"
	var uploaded []byte
	f := &fake{start: append(answers{{"powershell.exe", `{"script":"launch","schema":1,"ok":true,"started":true,"start":{"pid":7}}`, ""}, {"icacls", "packer-part:done\r\npacker-part:end", ""}}, marks...).start}
	f.upload = func(path string, content []byte) error {
		if strings.HasSuffix(path, `\private\logon`) {
			uploaded = content
		}
		return nil
	}
	l, err := New(f, "id").Launch(t.Context(), Launch{Arguments: "/oobe", Logon: LogonPassword, User: `R&D\O'Brien`, Password: password})
	if err != nil || l.PID != 7 || l.Task != "packer-sysprep-id" {
		t.Fatalf("got %+v, %v", l, err)
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(password))
	if string(uploaded) != encoded+"\r\n" {
		t.Errorf("uploaded %q", uploaded)
	}
	launch := ""
	for _, line := range f.lines() {
		raw, _ := decodeArgument(line)
		if strings.Contains(line+string(raw), password) || strings.Contains(line, encoded) || strings.Contains(line, "calc") {
			t.Errorf("the password is on the line %q", line)
		}
		if strings.Contains(line, "launch.ps1") {
			launch = line
		}
	}
	file := `"C:\Windows\Temp\packer-sysprep-id\private\logon"`
	if !strings.HasSuffix(launch, " <"+file+"& del /f /q "+file) || strings.Contains(launch, "-InputFormat") {
		t.Errorf("the line is %q", launch)
	}
	raw, err := decodeArgument(launch)
	if want := `{"arguments":"/oobe","mode":"task","logon":"password","user":"R\u0026D\\O'Brien","taskName":"packer-sysprep-id"}`; err != nil || string(raw) != want {
		t.Errorf("parameters %s, %v", raw, err)
	}
}

func TestAnAccountThatWindowsDoesNotTakeIsNotStarted(t *testing.T) {
	for id, account := range map[string]bool{"HRESULT 0x8007052e,Register-ScheduledTask": true, "HRESULT 0x80070534,Register-ScheduledTask": true, "HRESULT 0x80070005,Register-ScheduledTask": false} {
		doc := fmt.Sprintf(`{"script":"launch","schema":1,"ok":false,"error":{"name":"script","message":"x","id":%q}}`, id)
		f := &fake{start: append(answers{{"powershell.exe", doc, ""}}, marks...).start}
		_, err := New(f, "id").Launch(t.Context(), Launch{Arguments: "/oobe", Logon: LogonS4U, User: "x"})
		var refused *AccountError
		if !errors.Is(err, ErrNotStarted) || errors.As(err, &refused) != account {
			t.Errorf("%s: %v", id, err)
		}
	}
}
