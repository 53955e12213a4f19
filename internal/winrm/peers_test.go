package winrm

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/masterzen/winrm"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// What is asked beside commands, and what has to come.
const (
	plainPassword = "P@ssw0rd!" // python's requests sends Basic in Latin-1
	peerInput     = "input ä€"
)

var lines = map[string]string{
	"both":             "out\r\n|err\r\n|5",
	"exit 3":           "||3",
	"exit -1073741502": "||-1073741502",
	"nonsense":         "||9009",
	"fill 1400000":     "1400000 bytes||0",
	"echo ä€漢字😀<&>":    "ä€漢字😀<&>\r\n||0",
	"sleep 350ms":      "||3",
}

var wanted = map[string]string{
	"identify": "Microsoft Corporation OS: 10.0.20348 SP: 0.0 Stack: 3.0", "create": "ok", "cat": peerInput + "||0",
	"time-out": "fault 2150858793", "quota": "fault 2150859173", "dead shell": "fault 2150858843", "oversize": "HTTP 413", "wrong password": "HTTP 401",
}

// swallowed is what the library in Packer's communicator makes of some answers.
var swallowed = map[string]string{
	"identify": "", // it does not ask
	"time-out": "", // it asks again, and tells nobody
	"quota":    "received error response", "dead shell": "received error response",
	"oversize": "http response error: 413 - invalid content type", "wrong password": "http response error: 401 - invalid content type",
}

// said is what a command said, its length when that is long.
func said(stdout, stderr string, code int) string {
	if len(stdout) > 1000 {
		stdout = fmt.Sprintf("%d bytes", len(stdout))
	}
	return fmt.Sprintf("%s|%s|%d", stdout, stderr, code)
}

func askedByUs(t *testing.T, g *guest) map[string]string {
	c := g.client(func(c *Config) { c.Password, c.Limits.Poll = NewSecret(plainPassword), time.Minute })
	failure := func(err error) string {
		fault, status := new(Fault), regexp.MustCompile(`HTTP \d+`)
		if errors.As(err, &fault) {
			return fmt.Sprintf("fault %d", fault.Code)
		}
		return status.FindString(fmt.Sprint(err))
	}
	id, err := c.Login(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	shell := g.shell(c)
	all := map[string]string{"identify": id.Vendor + " " + id.Product, "create": "ok"}
	say := func(line string, input string) string {
		var out, errs bytes.Buffer
		command := Command{Line: line, Stdout: &out, Stderr: &errs}
		if input != "" {
			command.Stdin = strings.NewReader(input)
		}
		code, err := shell.Run(t.Context(), command)
		if err != nil {
			return err.Error()
		}
		return said(out.String(), errs.String(), code)
	}
	for line := range lines {
		all[line] = say(line, "")
	}
	all["cat"] = say("cat", peerInput)
	id2, err := shell.start(t.Context(), &Command{Line: "wait"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = shell.receive(t.Context(), id2, 0)
	all["time-out"] = failure(err)
	if err := shell.signal(t.Context(), id2); err != nil {
		t.Error(err)
	}
	second := g.shell(c)
	_, err = c.OpenShell(t.Context(), ShellOptions{})
	all["quota"] = failure(err)
	if err := second.Close(t.Context()); err != nil {
		t.Error(err)
	}
	_, err = second.start(t.Context(), &Command{Line: "echo x"})
	all["dead shell"] = failure(err)
	_, err = c.OpenShell(t.Context(), ShellOptions{Env: map[string]string{"x": strings.Repeat("x", 600_000)}})
	all["oversize"] = failure(err)
	if err := shell.Close(t.Context()); err != nil {
		t.Error(err)
	}
	_, err = g.client(func(c *Config) { c.Password = NewSecret("wrong") }).OpenShell(t.Context(), ShellOptions{})
	all["wrong password"] = failure(err)
	return all
}

//go:embed testdata/peers.py
var peersScript string

func askedByPywinrm(t *testing.T, g *guest) map[string]string {
	const python = "/usr/bin/python3" // Debian's, with its own packages
	if out, err := exec.Command(python, "-c", "import winrm").CombinedOutput(); err != nil {
		testutil.Missing(t, fmt.Sprintf("python3-winrm is not installed (`make tools` installs it on Debian): %s", out))
	}
	asked, err := json.Marshal(slices.Sorted(maps.Keys(lines)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, "-W", "ignore", "-c", peersScript)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "NO_PROXY=*", "PYTHONIOENCODING=utf-8", "LC_ALL=C.UTF-8",
		"ENDPOINT=http://" + g.addr + "/wsman", "WINRM_USER=" + testUser, "WINRM_PASSWORD=" + plainPassword, "LINES=" + string(asked), "INPUT=" + peerInput}
	out, err := cmd.CombinedOutput()
	var all map[string]string
	if err := errors.Join(err, json.Unmarshal(out, &all)); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	return all
}

func askedByMasterzen(t *testing.T, g *guest) map[string]string {
	client := func(password string) *winrm.Client {
		c, err := winrm.NewClientWithParameters(winrm.NewEndpoint("127.0.0.1", g.port, false, false, nil, nil, nil, 0), testUser, password, winrm.NewParameters("PT20S", "en-US", 153600))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := client(plainPassword)
	all := map[string]string{}
	say := func(line, input string) string {
		stdout, stderr, code, err := c.RunWithContextWithString(t.Context(), line, input)
		if err != nil {
			return err.Error()
		}
		return said(stdout, stderr, code)
	}
	for line := range lines {
		all[line] = say(line, "")
	}
	all["cat"] = say("cat", peerInput)
	open := func() *winrm.Shell {
		shell, err := c.CreateShell()
		if err != nil {
			t.Fatal(err)
		}
		return shell
	}
	first, second := open(), open()
	all["create"] = "ok"
	_, err := c.CreateShell()
	all["quota"] = fmt.Sprint(err)
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	_, err = second.ExecuteWithContext(t.Context(), "echo", "x")
	all["dead shell"] = fmt.Sprint(err)
	_, err = first.ExecuteWithContext(t.Context(), strings.Repeat("x", 600_000))
	all["oversize"] = fmt.Sprint(err)
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	_, err = client("wrong").CreateShell()
	all["wrong password"] = fmt.Sprint(err)
	return all
}

// TestThreeClientsHaveTheSameAnswers asks the simulated service the same with
// our client, pywinrm and masterzen/winrm.
func TestThreeClientsHaveTheSameAnswers(t *testing.T) {
	for name, ask := range map[string]func(*testing.T, *guest) map[string]string{"our client": askedByUs, "pywinrm": askedByPywinrm, "masterzen": askedByMasterzen} {
		t.Run(name, func(t *testing.T) {
			s := honest()
			s.Users[testUser] = plainPassword
			s.Limits = wsman.Limits{MaxTimeoutms: 100 * time.Millisecond, MaxShellsPerUser: 2}
			s.Handler = wsman.HandlerFunc(func(ctx context.Context, p *wsman.Process) int {
				if p.Line != "both" {
					return programs(ctx, p)
				}
				fmt.Fprint(p.Stdout, "out\r\n")
				fmt.Fprint(p.Stderr, "err\r\n")
				return 5
			})
			g := begin(t, s, nil)
			got, want := ask(t, g), maps.Clone(wanted)
			maps.Copy(want, lines)
			if name == "masterzen" {
				maps.Copy(want, swallowed)
			}
			for _, what := range slices.Sorted(maps.Keys(want)) {
				if got[what] != want[what] {
					t.Errorf("%s: %.200q, want %q", what, got[what], want[what])
				}
				t.Logf("%-18.18s %.80q", what, got[what])
			}
			answeredAlike(t, g)
			g.none()
		})
	}
}

// answeredAlike looks at what the service sent: whatever a client makes of it,
// it is the same.
func answeredAlike(t *testing.T, g *guest) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	seen, receives := map[string]bool{}, 0
	for _, e := range g.events {
		if m := regexp.MustCompile(`fault \d+`).FindString(e.Detail); m != "" {
			seen[fmt.Sprintf("%s %s", e.Action, m)] = true
		} else if e.Status != 200 {
			seen[fmt.Sprintf("HTTP %d", e.Status)] = true
		} else if e.Action == "Receive" {
			receives++
		}
	}
	want := []string{"Command fault 2150858843", "Create fault 2150859173", "HTTP 401", "HTTP 413", "Receive fault 2150858793"}
	if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, want) {
		t.Errorf("the service answered %v, want %v", got, want)
	}
	if receives < len(lines)+1+3 { // the long one takes four at least
		t.Errorf("%d Receives", receives)
	}
}
