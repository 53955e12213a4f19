package guest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// answers replies by what a line holds; the first that fits counts.
type answers []struct{ holds, stdout, stderr string }

func (a answers) start(_ context.Context, r Request) error {
	for _, one := range a {
		if strings.Contains(r.Line, one.holds) {
			io.WriteString(r.Stdout, one.stdout)
			io.WriteString(r.Stderr, one.stderr)
			return nil
		}
	}
	return fmt.Errorf("nobody expects %q", r.Line)
}

// marks is a guest that takes the mark, and in which nothing runs.
var marks = answers{
	{"(echo packer)>", "packer-part:marked\r\npacker-part:end\r\n", ""},
	{"tasklist", "packer-part:tasks\r\nINFO: none\r\npacker-part:listed\r\npacker-part:mark=yes\r\npacker-part:log=no\r\npacker-part:end\r\n", ""},
	{"dir /b", "", ""},
}

const noPowerShell = "powershell.exe : cannot be loaded because running scripts is disabled on this system"

// parameters decodes what a script was called with.
func parameters(t *testing.T, line string) map[string]any {
	t.Helper()
	_, argument, _ := strings.Cut(line, " -Json ")
	raw, err := base64.StdEncoding.DecodeString(argument)
	if err != nil {
		t.Fatal(err)
	}
	var p map[string]any
	if err := json.Unmarshal(raw, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLaunchStartsAProcessOrATask(t *testing.T) {
	const document = `{"script":"launch","schema":1,"ok":true,"started":true,"tagDeleted":true,"logFolder":"C:\\old","logs":[{"moved":true}],` +
		`"start":{"pid":4000,"returnValue":0,"meaning":"success"},"alive":true}`
	for _, test := range []struct {
		name   string
		launch Launch
		want   map[string]any
		task   string
	}{
		{"the same account", Launch{Arguments: "/oobe"}, map[string]any{"arguments": "/oobe", "mode": "process"}, ""},
		{"another account", Launch{Arguments: "/oobe", Logon: LogonS4U, User: "adm"},
			map[string]any{"arguments": "/oobe", "mode": "task", "logon": "s4u", "user": "adm", "taskName": "packer-sysprep-id"}, "packer-sysprep-id"},
		{"SYSTEM", Launch{Arguments: "/oobe", Logon: LogonSystem},
			map[string]any{"arguments": "/oobe", "mode": "task", "logon": "system", "taskName": "packer-sysprep-id"}, "packer-sysprep-id"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := scripted(document, "")
			l, err := New(f, "id").Launch(t.Context(), test.launch)
			if err != nil || l.PID != 4000 || !l.TagDeleted || l.Task != test.task || l.WithoutPowerShell {
				t.Fatalf("got %+v, %v", l, err)
			}
			if len(l.OldLogs.Folders) != 1 || l.OldLogs.Folders[0] != `C:\old` {
				t.Errorf("old logs in %q", l.OldLogs.Folders)
			}
			if got := parameters(t, f.lines()[1]); fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestLaunchTellsWhyNothingWasStarted(t *testing.T) {
	for _, test := range []struct{ name, document, text string }{
		{"Windows refuses the process", `{"script":"launch","schema":1,"ok":true,"started":false,"start":{"returnValue":2,"meaning":"access denied","pid":null}}`,
			"Win32_Process.Create returned 2 (access denied)"},
		{"the task fails", `{"script":"launch","schema":1,"ok":true,"started":false,"start":{"task":"t","pid":null,"lastTaskResult":2147942402}}`,
			"the scheduled task ended with 0x80070002"},
		{"no reason", `{"script":"launch","schema":1,"ok":true,"started":false,"start":null}`, "the guest gives no reason"},
	} {
		_, err := New(scripted(test.document, ""), "id").Launch(t.Context(), Launch{Arguments: "/oobe"})
		if !errors.Is(err, ErrNotStarted) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestABrokenConnectionIsNotTakenForNotStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{start: func(context.Context, Request) error { return errors.New("EOF") }}
		if _, err := New(f, "id").Launch(t.Context(), Launch{Arguments: "/oobe"}); err == nil || errors.Is(err, ErrNotStarted) || strings.Contains(strings.Join(f.lines(), "\n"), "schtasks /create") {
			t.Fatalf("got %v after %q", err, f.lines())
		}
	})
}

// A connection that rests has run nothing: the start may be tried again.
func TestAStartThatWasNotSentMayBeTriedAgain(t *testing.T) {
	f := &fake{start: func(ctx context.Context, r Request) error {
		if strings.Contains(r.Line, "launch.ps1") {
			return ErrResting
		}
		return marks.start(ctx, r)
	}}
	if _, err := New(f, "id").Launch(t.Context(), Launch{Arguments: "/oobe"}); !errors.Is(err, ErrNotStarted) || !Unanswered(err) || strings.Contains(strings.Join(f.lines(), "\n"), "tasklist") {
		t.Errorf("got %v after %q", err, f.lines())
	}
}

func TestLaunchWithoutPowerShell(t *testing.T) {
	for _, test := range []struct {
		name    string
		launch  Launch
		answers answers
		err     error
		text    string // of the error, or of the line that makes the task
	}{
		{"a task of the build user", Launch{Arguments: "/oobe /quit", User: "packer"},
			answers{{"del /f /q", "packer-part:tag=no\r\npacker-part:end\r\n", ""}, {"schtasks", "SUCCESS\r\npacker-part:done\r\npacker-part:end\r\n", ""}}, nil,
			`/tn "packer-sysprep-id" /tr "C:\Windows\System32\Sysprep\sysprep.exe /oobe /quit" /sc once /st 00:00 /rl highest /ru "packer" /np`},
		{"a task of SYSTEM", Launch{Arguments: "/oobe", Logon: LogonSystem},
			answers{{"del /f /q", "packer-part:tag=no\r\npacker-part:end\r\n", ""}, {"schtasks", "banner packer-part:done\r\npacker-part:end\r\n", ""}}, nil, `/rl highest /ru SYSTEM&& echo packer-^part:done`},
		{"the old tag stays", Launch{Arguments: "/oobe", User: "packer"},
			answers{{"del /f /q", "packer-part:tag=yes\r\npacker-part:end\r\n", "Access is denied."}}, &ScriptError{Name: "tag-not-deleted"}, "tag-not-deleted: Access is denied."},
		{"what came of the tag is not known", Launch{Arguments: "/oobe", User: "packer"},
			answers{{"del /f /q", "", ""}}, ErrNotStarted, "could not be read"},
		{"the task is refused", Launch{Arguments: "/oobe", User: "packer"},
			answers{{"del /f /q", "packer-part:tag=no\r\npacker-part:end\r\n", ""}, {"schtasks", "", "ERROR: Access is denied."}}, ErrNotStarted, "by schtasks: the answer could not be read: \"ERROR: Access is denied.\""},
		{"no user to run it as", Launch{Arguments: "/oobe"}, nil, ErrNotStarted, `user "" cannot be passed to schtasks`},
		{"a user with a character of cmd.exe", Launch{Arguments: "/oobe", User: `R&D\O'Brien$`},
			answers{{"del /f /q", "packer-part:tag=no\r\npacker-part:end\r\n", ""}, {"schtasks", "packer-part:done\r\npacker-part:end\r\n", ""}}, nil, `/ru "R&D\O'Brien$" /np&& echo`},
		{"a password", Launch{Arguments: "/oobe", Logon: LogonPassword, User: "a", Password: "p"}, answers{{"icacls", "packer-part:done\r\npacker-part:end", ""}}, ErrNotStarted, "schtasks would show the password"},
		{"a user that would be another command", Launch{Arguments: "/oobe", User: `a" & calc`}, nil, ErrNotStarted, "cannot be passed to schtasks"},
		{"arguments that would be another command", Launch{Arguments: "/oobe&calc", User: "a"}, nil, ErrNotStarted, "cannot be passed to schtasks"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &fake{start: append(append(answers{{"powershell.exe", "", noPowerShell}}, marks...), test.answers...).start}
			l, err := New(f, "id").Launch(t.Context(), test.launch)
			if !errors.Is(err, test.err) || test.err == nil && err != nil {
				t.Fatalf("got %v", err)
			}
			text := strings.Join(f.lines(), "\n")
			if err != nil {
				text = err.Error()
			} else if !l.WithoutPowerShell || l.Task != "packer-sysprep-id" || !strings.Contains(l.Reason, "running scripts is disabled") {
				t.Errorf("got %+v", l)
			}
			if !strings.Contains(text, test.text) {
				t.Errorf("%q is missing in %q", test.text, text)
			}
		})
	}
}

func TestALogIsFetchedInPiecesFromItsEnd(t *testing.T) {
	content := strings.Repeat("0123456789", 100_000) // two pieces
	f := &fake{}
	f.start = func(_ context.Context, r Request) error {
		p := parameters(t, r.Line)
		offset, bytes := int(p["offset"].(float64)), int(p["bytes"].(float64))
		if offset < 0 {
			offset = max(0, len(content)+offset)
		}
		end := min(len(content), offset+bytes)
		raw, err := json.Marshal(map[string]any{"script": "read", "schema": 1, "ok": true, "length": len(content), "offset": offset, "next": end, "data": []byte(content[offset:end])})
		if err != nil {
			return err
		}
		r.Stdout.Write(append(raw, '\n'))
		return nil
	}
	s := New(f, "id")
	for limit, want := range map[int]string{2 << 20: content, 1000: content[len(content)-1000:], 600_000: content[len(content)-600_000:]} {
		got, err := s.Fetch(t.Context(), `C:\x.log`, limit)
		if err != nil || string(got) != want {
			t.Errorf("at most %d: %d bytes, want %d, %v", limit, len(got), len(want), err)
		}
	}
}

func TestFetchTellsAbsentFromUnreachable(t *testing.T) {
	for _, test := range []struct {
		name    string
		answers answers
		want    error
		content string
	}{
		{"the script says so", answers{{"powershell.exe", `{"script":"read","schema":1,"ok":false,"error":{"name":"not-found","message":"x"}}`, ""}}, ErrNotFound, ""},
		{"cmd.exe says so", answers{{"powershell.exe", "", noPowerShell}, {"if exist", "packer-part:absent\r\n", ""}}, ErrNotFound, ""},
		{"cmd.exe shows it", answers{{"powershell.exe", "", noPowerShell}, {"if exist", "a banner packer-part:text\r\ntext", ""}}, nil, "text"},
		{"access is denied", answers{{"powershell.exe", `{"script":"read","schema":1,"ok":false,"error":{"name":"access-denied","message":"x"}}`, ""}}, &ScriptError{Name: "access-denied"}, ""},
	} {
		got, err := New(&fake{start: test.answers.start}, "id").Fetch(t.Context(), `C:\x.log`, 1000)
		if !errors.Is(err, test.want) || test.want == nil && err != nil || string(got) != test.content {
			t.Errorf("%s: %q, %v", test.name, got, err)
		}
	}
}

func TestExistsTakesNothingButYesOrNo(t *testing.T) {
	for answer, want := range map[string]error{"packer-part:there=yes\r\n": nil, "packer-part:there=no\r\n": nil, "\x1b[2Jhello packer-part:there=yes\r\n": nil,
		"": ErrUnreadable, "yes": ErrUnreadable, "packer-part:there=yes no": ErrUnreadable, "echo packer-^part:there=yes": ErrUnreadable,
		"packer-part:there=yes\r\npacker-part:there=no": ErrUnreadable} {
		there, err := New(scripted(answer+"\r\npacker-part:end\r\n", ""), "id").Exists(t.Context(), `C:\x`)
		if !errors.Is(err, want) || there != (err == nil && strings.Contains(answer, "yes")) {
			t.Errorf("%q: %v, %v", answer, there, err)
		}
	}
}

func TestPeekNeedsTheStateOnly(t *testing.T) {
	calls := 0
	f := &fake{start: func(_ context.Context, r Request) error {
		calls++
		if calls > 1 {
			return errors.New("EOF")
		}
		return says("packer-part:image\r\npacker-part:end\r\n", "")(t.Context(), r)
	}}
	s, _, err := New(f, "id").Peek(t.Context(), Cursor{})
	if err != nil || s.LogRead || s.Log != nil {
		t.Fatalf("got %+v, %v", s, err)
	}
}

func TestHeartbeatsFollowTheInterval(t *testing.T) {
	for interval, want := range map[time.Duration]time.Duration{100 * time.Millisecond: time.Second, time.Second: 5 * time.Second, 5 * time.Second: 10 * time.Second, 30 * time.Second: 30 * time.Second} {
		if got := Heartbeat(interval); got != want {
			t.Errorf("%s: %s, want %s", interval, got, want)
		}
	}
}
