package cmdshell_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/cmdshell"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/winfs"
)

// world is a host with two programs: exit9 ends with 9, args shows its
// arguments.
type world struct{ refused []string }

func (w *world) Refuse(format string, args ...any) {
	w.refused = append(w.refused, fmt.Sprintf(format, args...))
}

func (w *world) Exec(_ context.Context, c *cmdshell.Call) (int, bool) {
	switch c.Name {
	case "exit9":
		return 9, true
	case "args":
		fmt.Fprintf(c.Stdout, "%q\r\n", c.Argv())
		return 0, true
	case "both":
		fmt.Fprint(c.Stdout, "out\r\n")
		fmt.Fprint(c.Stderr, "err\r\n")
		return 0, true
	}
	return 0, false
}

type result struct {
	out, err string
	code     int
	refused  []string
	drive    winfs.Drive
}

func run(t *testing.T, files map[string]string, line string) result {
	t.Helper()
	drive := winfs.Drive{Root: t.TempDir()}
	for name, text := range files {
		if err := drive.WriteFile(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := drive.MkdirAll(`C:\work`); err != nil {
		t.Fatal(err)
	}
	w := &world{}
	var out, errs bytes.Buffer
	env := cmdshell.Env{}
	env.Set("Known", "value")
	env.Set("SystemRoot", `C:\Windows`)
	s := &cmdshell.Shell{Drive: drive, Host: w, Dir: `C:\work`, Env: env, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs}
	code := s.Run(context.Background(), line)
	return result{out.String(), errs.String(), code, w.refused, drive}
}

// lines that the real cmd.exe answers in the same way, whatever the machine;
// they are run through Wine too.
var portable = []struct {
	name, line, out string
	code            int
}{
	{"echo keeps inner blanks and the trailing one", `echo  a  b &echo c`, " a  b \r\nc\r\n", 0},
	{"quotes hide operators", `echo "a & b | c > d"`, "\"a & b | c > d\"\r\n", 0},
	{"a caret takes the meaning away", `echo a ^& b ^> c ^^`, "a & b > c ^\r\n", 0},
	{"&& stops at a failure", `cd nowhere-at-all 2>nul && echo no`, "", 1},
	{"|| goes on at a failure", `cd nowhere-at-all 2>nul || echo yes`, "yes\r\n", 0},
	{"& goes on always", `cd nowhere-at-all 2>nul & echo yes`, "yes\r\n", 0},
	{"&& binds tighter than ||", `cd nowhere-at-all 2>nul && echo a || echo b`, "b\r\n", 0},
	{"exit gives the code", `exit 7`, "", 7},
	{"exit ends the line", `exit /b 3 & echo still here`, "", 3},
	{"if with else", `if a==b (echo yes) else (echo no)`, "no\r\n", 0},
	{"if not", `if not a==b echo different`, "different\r\n", 0},
	{"if /i", `if /i ABC==abc echo same`, "same\r\n", 0},
	{"numbers are compared as numbers", `if 9 LSS 10 echo less`, "less\r\n", 0},
	{"everything after the condition belongs to it", `if a==b echo x & echo y`, "", 0},
	{"a group is redirected as a whole", `(echo a& echo b) > nul & echo c`, "c\r\n", 0},
	{"a variable set on the line is not seen on it", `set "FRESH=1"& echo %FRESH%`, "%FRESH%\r\n", 0},
	{"an unknown variable stays", `echo %NO_SUCH_VARIABLE%`, "%NO_SUCH_VARIABLE%\r\n", 0},
	{"stderr goes where stdout goes", `(echo x 1>&2) 2>&1`, "x \r\n", 0},
}

func TestPortableLines(t *testing.T) {
	for _, tt := range portable {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, nil, tt.line)
			if r.out != tt.out || r.code != tt.code || len(r.refused) > 0 {
				t.Errorf("%s\n got %q, code %d, stderr %q, refused %v\nwant %q, code %d", tt.line, r.out, r.code, r.err, r.refused, tt.out, tt.code)
			}
		})
	}
}

func TestCommandLines(t *testing.T) {
	files := map[string]string{
		`C:\work\f.txt`: "line one\r\nline two\r\n", `C:\work\sub\x.txt`: "x", `C:\work\my folder\y.txt`: "y",
		`C:\work\b.cmd`:     "@echo off\r\nset INNER=%1\r\necho [%INNER%] [%~2] [%*] [%NO_SUCH%] 100%%\r\nexit /b 4\r\n",
		`C:\work\noisy.bat`: "echo hi\r\n",
		`C:\work\jump.cmd`:  "@goto over\r\n@echo never\r\n:over\r\n@echo landed\r\n",
		`C:\work\multi.cmd`: "@echo off\r\nif exist f.txt (\r\n  echo there\r\n  echo still\r\n) else (\r\n  echo no\r\n)\r\n",
		`C:\work\self.cmd`:  "@echo %~dp0 %~nx0\r\n",
	}
	tests := []struct {
		name, line, out, err string
		code                 int
	}{
		{"a known variable", `echo %known% %SYSTEMROOT%`, "value C:\\Windows\r\n", "", 0},
		{"type", `type f.txt`, "line one\r\nline two\r\n", "", 0},
		{"type of nothing", `type none.txt`, "", "The system cannot find the file specified.\r\n", 1},
		{"type in no folder", `type none\none.txt`, "", "The system cannot find the path specified.\r\n", 1},
		{"names are found whatever their case", `type F.TXT`, "line one\r\nline two\r\n", "", 0},
		{"forward slashes work in a full path", `type C:/Work/F.txt`, "line one\r\nline two\r\n", "", 0},
		{"if exist", `if exist "my folder\y.txt" (echo yes) else (echo no)`, "yes\r\n", "", 0},
		{"if exist with a wildcard", `if exist *.zip (echo yes) else (echo no)`, "no\r\n", "", 0},
		{"del of what is not there is no failure", `del none.txt`, "", "Could Not Find C:\\work\\none.txt\r\n", 0},
		{"if exist of an empty folder", `md e & (if exist e\* (echo yes)) & if exist f.txt\* echo no`, "yes\r\n", "", 0},
		{"del deletes", `del /f /q f.txt & if not exist f.txt echo gone`, "gone\r\n", "", 0},
		{"md makes what is between", `md a\b\c && if exist a\b\c echo there`, "there\r\n", "", 0},
		{"md of what is there", `md sub`, "", "A subdirectory or file sub already exists.\r\n", 1},
		{"redirection into no folder", `echo x > none\f.txt`, "", "The system cannot find the path specified.\r\n", 1},
		{"append", `echo a>new.txt& echo b>>new.txt& type new.txt`, "a\r\nb\r\n", "", 0},
		{"a digit before the bracket is a handle", `both 2>nul`, "out\r\n", "", 0},
		{"a digit in a word is none", `echo x2>nul`, "", "", 0},
		{"1>&2", `both 1>&2`, "", "out\r\nerr\r\n", 0},
		{"2>&1 then a file", `both > all.txt 2>&1 & type all.txt`, "out\r\nerr\r\n", "", 0},
		{"copy and move", `copy f.txt g.txt & move g.txt sub & type sub\g.txt`, "        1 file(s) copied.\r\n        1 file(s) moved.\r\nline one\r\nline two\r\n", "", 0},
		{"a loop over folders", `(for /d %D in ("C:\work\*") do (if exist "%D\x.txt" (echo [%D]&& rd /s /q "%D")))& if not exist sub echo gone`, "[C:\\work\\sub]\r\ngone\r\n", "", 0},
		{"a loop over words", `(for %D in (A: "b c" C:) do (if exist "%D\Work\f.txt" (echo there=%D0) else (echo [%D])))& echo after`, "[A:]\r\n[b c]\r\nthere=C:0\r\nafter\r\n", "", 0},
		{"a loop over no folder", `(for /d %D in ("C:\none\x*") do (echo %D))& echo after %known%`, "after value\r\n", "", 0},
		{"dir below a folder", `md sub\deep& dir /b /s /a:d-l& echo -& dir /b /s /a:-d-l sub`, "C:\\work\\my folder\r\nC:\\work\\sub\r\nC:\\work\\sub\\deep\r\n-\r\nC:\\work\\sub\\x.txt\r\n", "", 0},
		{"cd", `cd sub && cd`, "C:\\work\\sub\r\n", "", 0},
		{"errorlevel of a program", `exit9 & if errorlevel 9 echo nine`, "nine\r\n", "", 0},
		{"the code of a program", `exit9`, "", "", 9},
		{"a batch file with arguments", `b.cmd one "two three"`, "[one] [two three] [one \"two three\"] [] 100%\r\n", "", 4},
		{"call", `call b one`, "[one] [] [one] [] 100%\r\n", "", 4},
		{"a batch file shows its lines", `noisy.bat`, "\r\nC:\\work>echo hi \r\nhi\r\n", "", 0},
		{"goto", `jump`, "landed\r\n", "", 0},
		{"a group over several lines", `multi`, "there\r\nstill\r\n", "", 0},
		{"what a batch file knows of itself", `self`, "C:\\work\\ self.cmd\r\n", "", 0},
		{"arguments are split as the C library does", `args a "b c" d\"e "f\\" ""`, `["a" "b c" "d\"e" "f\\" ""]` + "\r\n", "", 0},
		{"a syntax error", `echo a & & echo b`, "", "& was unexpected at this time.\r\n", 1},
		{"an open parenthesis", `(echo a`, "", "The syntax of the command is incorrect.\r\n", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, files, tt.line)
			if r.out != tt.out || r.err != tt.err || r.code != tt.code || len(r.refused) > 0 {
				t.Errorf("%s\n got %q, %q, code %d, refused %v\nwant %q, %q, code %d", tt.line, r.out, r.err, r.code, r.refused, tt.out, tt.err, tt.code)
			}
		})
	}
}

func TestWhatIsNotKnownIsRefusedAndRecorded(t *testing.T) {
	for _, line := range []string{
		`for %i in (*.txt) do echo %i`, `for /l %i in (1,1,2) do echo %i`, `set /a X=1+1`, `set /p X=`, `echo %Known:~1%`, `nosuchprogram /x`, `del /s x`, `dir`, `if (a==a (echo x) & echo y`,
		`copy a+b c`, `type /x f`, `start notepad`, `call :label`, `if cmdextversion 1 echo x`,
	} {
		t.Run(line, func(t *testing.T) {
			r := run(t, nil, line)
			if r.code == 0 || r.err == "" {
				t.Errorf("code %d, stderr %q: refused quietly", r.code, r.err)
			}
			if len(r.refused) == 0 && !strings.Contains(r.err, "unexpected") {
				t.Error("not recorded")
			}
		})
	}
}

func TestLineOfMoreThan8191CharactersIsRefused(t *testing.T) {
	long := run(t, nil, "echo "+strings.Repeat("x", 8200))
	if long.code != 1 || long.err != "The command line is too long.\r\n" {
		t.Errorf("code %d, %q", long.code, long.err)
	}
	// What winrmcp sends for a whole chunk.
	chunk := run(t, nil, "echo "+strings.Repeat("x", 7944)+` >> "C:\work\winrmcp-27d7251f-0525-495c-6c16-4d84abedc518.tmp"`)
	if chunk.code != 0 || chunk.err != "" {
		t.Errorf("a chunk: code %d, %q", chunk.code, chunk.err)
	}
	expanded := run(t, map[string]string{`C:\work\b.cmd`: "@set L=" + strings.Repeat("x", 5000) + "\r\n@echo %L%%L%\r\n"}, "b")
	if expanded.code != 1 || expanded.err != "The command line is too long.\r\n" {
		t.Errorf("after expansion: code %d, %.60q", expanded.code, expanded.err)
	}
}

func FuzzShell(f *testing.F) {
	for _, tt := range portable {
		f.Add(tt.line)
	}
	f.Add(`if exist x (echo "a^b) else (rem`)
	f.Add("((((((((")
	f.Fuzz(func(t *testing.T, line string) {
		if len(line) > 300 {
			return
		}
		s := &cmdshell.Shell{
			Drive: winfs.Drive{Root: t.TempDir()}, Host: &world{}, Dir: `C:\`, Env: cmdshell.Env{}, Stdin: strings.NewReader(""),
			Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{},
		}
		if code := s.Run(context.Background(), line); code < -1<<31 || code > 1<<31-1 {
			t.Errorf("code %d is no exit code", code)
		}
	})
}
