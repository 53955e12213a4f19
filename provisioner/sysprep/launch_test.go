package sysprep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// wantOneStart wants sysprep to have been started once.
func wantOneStart(t *testing.T, g *guestRun) {
	t.Helper()
	if starts := g.sim.Guest.Starts(); len(starts) != 1 {
		t.Errorf("sysprep was started %d times: %q", len(starts), starts)
	}
}

func TestWhateverComesBeforeAnAnswerSysprepIsStartedOnce(t *testing.T) {
	t.Parallel()
	const banner = "*** Contoso {IT} - all is logged ***"
	for name, scenario := range map[string]winsim.Scenario{
		"a banner on the line":         {PowerShell: winsim.PowerShellOutput{Prefix: banner + " "}},
		"a banner of lines":            {PowerShell: winsim.PowerShellOutput{Prefix: banner + "\r\n" + banner + "\r\n"}},
		"escape codes":                 {PowerShell: winsim.PowerShellOutput{Prefix: "\x1b]0;x\x07\x1b[2J\x1b[32m", Suffix: "\x1b[0m"}},
		"a byte order mark":            {PowerShell: winsim.PowerShellOutput{Prefix: "\ufeff"}},
		"UTF-16":                       {PowerShell: winsim.PowerShellOutput{UTF16: true}},
		"UTF-16 behind a banner":       {PowerShell: winsim.PowerShellOutput{UTF16: true, Prefix: banner}},
		"noise that looks like a part": {PowerShell: winsim.PowerShellOutput{Prefix: `{"script":"launch","schema":`}},
		"nothing arrives":              {PowerShell: winsim.PowerShellOutput{Silent: true}},
		"AutoRun without a line break": {AutoRun: banner},
		"AutoRun with lines":           {AutoRun: "\r\n" + banner + "\r\n"},
		"AutoRun with escape codes":    {AutoRun: "\x1b[32m"},
		"AutoRun that shows the line":  {AutoRun: `cmd /c echo packer-part:tasks& echo packer-part:mark& echo packer-part:end` + "\r\n"},
		"both":                         {AutoRun: banner, PowerShell: winsim.PowerShellOutput{Prefix: banner, UTF16: true}},
	} {
		for _, powershell := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, PowerShell %v", name, powershell), func(t *testing.T) {
				t.Parallel()
				its := scenario // which two tests share
				its.StaleTag = true
				g := newGuestRun(t, its, map[string]any{"log_directory": t.TempDir()})
				if powershell {
					g.options["answer_file_content"] = testAnswer
				} else {
					g.wrap = func(c packersdk.Communicator) packersdk.Communicator { return lockedDown{c} }
				}
				if err := g.provision(); err != nil {
					t.Error(err)
				}
				wantOneStart(t, g)
				wantNothingLeft(t, g)
			})
		}
	}
}

// TestALostAnswerNeverStartsSysprepTwice breaks the connection after the guest
// has done what it was told.
func TestALostAnswerNeverStartsSysprepTwice(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"PowerShell": "launch.ps1", "the mark": "(echo packer)>", "the old tag": "del /f /q \"C:\\Windows\\System32\\Sysprep\\Sysprep_succeeded.tag\"",
		"the task is made": "schtasks /create", "the task is run": "schtasks /run",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{}, nil)
			g.wrap = func(c packersdk.Communicator) packersdk.Communicator {
				if text != "launch.ps1" && !strings.Contains(text, "mark") {
					c = lockedDown{c}
				}
				return &losesTheAnswer{Communicator: c, text: text}
			}
			err := g.provision()
			if starts := len(g.sim.Guest.Starts()); starts > 1 || err == nil && starts != 1 {
				t.Errorf("%d starts, %v", starts, err)
			}
			if strings.Contains(name, "run") || name == "PowerShell" {
				if err != nil {
					t.Errorf("sysprep runs: %v", err)
				}
			}
			wantNothingLeft(t, g)
		})
	}
}

// losesOutput lets a command run and shows nothing of it, once, without an error.
type losesOutput struct {
	packersdk.Communicator
	text string
	done bool
}

func (l *losesOutput) Start(ctx context.Context, cmd *packersdk.RemoteCmd) error {
	if l.done || !strings.Contains(cmd.Command, l.text) {
		return l.Communicator.Start(ctx, cmd)
	}
	l.done = true
	quiet := &packersdk.RemoteCmd{Command: cmd.Command, Stdout: io.Discard, Stderr: io.Discard}
	if err := l.Communicator.Start(ctx, quiet); err != nil {
		return err
	}
	cmd.SetExited(quiet.Wait())
	return nil
}

func TestOutputThatIsLostNeverStartsSysprepTwice(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"launch.ps1", "schtasks /run", "schtasks /create", "tasklist"} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{}, nil)
			g.wrap = func(c packersdk.Communicator) packersdk.Communicator {
				if strings.HasPrefix(text, "schtasks") {
					c = lockedDown{c}
				}
				return &losesOutput{Communicator: c, text: text}
			}
			err := g.provision()
			if starts := len(g.sim.Guest.Starts()); starts > 1 || err == nil && starts != 1 {
				t.Errorf("%d starts, %v", starts, err)
			}
			wantNothingLeft(t, g)
		})
	}
}

// hostile are names and passwords that end strings, begin variables and run
// what follows somewhere between HCL, cmd.exe, PowerShell and XML.
var hostileNames = []string{
	`O'Brien`, `svc$`, `R&D-svc`, "O\u2019Brien", "a\u201d) calc #", "a\u201cb", "a\u201eb", "a`$(calc)`b", `%PATH%`, `a b`, `ünï-日本`, `a^b`, `a!b`, `$(calc)`, "a\u2018b\u201a\u201bc", `a{b}`, `a#b`, `a~b&c`, `-x`, `a'"b`[:2],
}

var hostilePasswords = []string{
	`O'Brien`, `"`, `'`, "`", `$x`, `$(calc)`, "\u201d; calc #", "\u201c", "\u201e; calc; \u201e", "\u2018\u2019\u201a\u201b", `%PATH%`, `ends\`, `\"`, `a&b<c>d`, `]]>`, `&amp;`, `<!--`, `'@`, "line\r\nbreak", "tab\t", " blanks ", `ünï-日本-🔑`, `{{`, `}}{{`, `^&|<>`, `!x!`, "@'", `-EncodedCommand x`,
}

func TestAnyAccountIsCarriedOrRefused(t *testing.T) {
	t.Parallel()
	for i, name := range hostileNames {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			password := hostilePasswords[i%len(hostilePasswords)]
			carries(t, name, password)
		})
	}
	for i, password := range hostilePasswords {
		t.Run(password, func(t *testing.T) {
			t.Parallel()
			carries(t, hostileNames[(i+1)%len(hostileNames)], password)
		})
	}
}

// carries runs sysprep as an account of the guest and wants it to be run as
// that one, and nothing else to be run.
func carries(t *testing.T, name, password string) {
	t.Helper()
	g := newGuestRun(t, winsim.Scenario{Validate: seconds(0.2), Generalize: seconds(0.5)}, map[string]any{"elevated_user": name, "elevated_password": password})
	g.accounts = map[string]string{name: password}
	if err := g.provision(); err != nil {
		t.Error(err)
	}
	if starts := g.sim.Guest.Starts(); len(starts) != 1 || !strings.HasPrefix(starts[0], name+": /generalize") {
		t.Errorf("started %q", starts)
	}
	wantNothingLeft(t, g)
	if len(password) > 3 && strings.Contains(g.ui.text(), password) { // a shorter one is in other words
		t.Error("the password is shown")
	}
}

// TestRandomAccountsAreCarriedOrRefused puts names together from the pieces
// that mean something to a parser on the way.
func TestRandomAccountsAreCarriedOrRefused(t *testing.T) {
	pieces := []string{"a", "B", "'", "\"", "`", "$", "(", ")", "&", "<", ">", "%", "^", "!", "\\", "/", ":", "\u2018", "\u2019", "\u201a", "\u201b", "\u201c", "\u201d", "\u201e",
		" ", "\t", "\n", ";", "#", "@", "é", "日", "{{", "}}", "calc", "]]>", "&#10;", "\x00", "\ufeff", "\x1b[2J", "."}
	r := rand.New(rand.NewPCG(1, 2))
	word := func() string {
		var b strings.Builder
		for range 1 + r.IntN(8) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		return b.String()
	}
	carried, refused := 0, 0
	for range 5000 {
		name, password := word(), word()
		c, err := decode(t, map[string]any{"elevated_user": name, "elevated_password": password})
		if err != nil {
			refused++
			if !strings.Contains(err.Error(), "elevated_user: ") && !strings.Contains(err.Error(), "elevated_password: ") {
				t.Fatalf("%q, %q: the error names no option: %v", name, password, err)
			}
			continue
		}
		carried++
		// What Windows takes for one name is one; nothing in it ends a line of cmd.exe.
		if strings.ContainsAny(c.ElevatedUser, "\"/[]:;|=,+*?<>\x00\r\n\t\x1b") || strings.HasSuffix(c.ElevatedUser, `\`) || strings.Contains(c.ElevatedPassword, "\x00") {
			t.Fatalf("%q, %q is taken", name, password)
		}
	}
	t.Logf("%d carried, %d refused", carried, refused)
	if carried < 500 || refused < 500 {
		t.Error("one half of the cases is hardly tried")
	}
}

func TestAnAccountTheGuestDoesNotTakeIsNamed(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]map[string]any{
		"a wrong password":            {"elevated_user": simUser, "elevated_password": "wrong-one"},
		"an unknown account":          {"elevated_user": `CORP\svc-packer`, "elevated_password": "wrong-one"},
		"an unknown account with S4U": {"elevated_user": `CORP\svc-packer`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{}, options)
			err := g.provision()
			wantError(t, err, "sysprep was not started, the machine is untouched", "the guest did not accept elevated_user", "0x8007")
			if errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "wrong-one") || len(g.sim.Guest.Starts()) != 0 {
				t.Error(err)
			}
			wantNothingLeft(t, g)
		})
	}
}
