package winrm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// ways are the ways to log in, over which nothing else may differ.
var ways = map[string]struct {
	tls, basic, ntlm, clear bool // clear: the service takes unsealed messages
	auth                    Auth
	challenges              int // on the one connection that is needed
}{
	"Basic":                    {basic: true, clear: true, auth: AuthBasic},
	"Basic over TLS":           {tls: true, basic: true, auth: AuthBasic},
	"NTLM sealed":              {ntlm: true, auth: AuthNTLM, challenges: 1},
	"NTLM over TLS":            {tls: true, ntlm: true, auth: AuthNTLM, challenges: 1},
	"Negotiate finds NTLM":     {basic: true, ntlm: true, clear: true, auth: AuthNegotiate, challenges: 1},
	"Negotiate finds Basic":    {tls: true, basic: true, auth: AuthNegotiate},
	"Negotiate finds it clear": {basic: true, clear: true, auth: AuthNegotiate},
}

// much is more than one envelope holds.
var much = testutil.Fewer(1<<20) + 400_000

func TestEveryWayToLogIn(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			s := honest()
			s.Basic, s.NTLM, s.AllowUnencrypted = way.basic, way.ntlm, way.clear
			var its *identity
			if way.tls {
				its = issue(t, nil)
			}
			g := start(t, s, its)
			settings := func(c *Config) {
				c.Auth, c.AllowUnencrypted = way.auth, way.clear
				if way.tls {
					c.TLS = &TLS{CA: its.ca}
				}
			}
			c := g.client(settings)
			id, err := c.Login(t.Context())
			if err != nil || !strings.Contains(id.Product, "10.0.20348") || id.Vendor != "Microsoft Corporation" {
				t.Fatalf("Login: %+v, %v", id, err)
			}
			if id, err := c.Identify(t.Context()); err != nil || !strings.Contains(id.Product, "0.0.0") {
				t.Errorf("Identify: %+v, %v", id, err)
			}
			shell := g.shell(c)
			before := g.count("")
			for line, want := range map[string]string{"echo hello": "hello\r\n||0", "complain x": "|x\r\n|7", "nonsense": "||9009", "exit -1073741502": "||-1073741502",
				fmt.Sprintf("fill %d", much): strings.Repeat("x", much) + "||0", "echo <&\"'ä€": "<&\"'ä€\r\n||0"} {
				stdout, stderr, code, err := say(t.Context(), shell, line, nil)
				if got := fmt.Sprintf("%s|%s|%d", stdout, stderr, code); err != nil || got != want {
					t.Errorf("%s: %.100q, %v", line, got, err)
				}
			}
			// Command and Receive, three Receives more for what is large, and one for each
			// of the four whose output may come before its end: no Signal, and the
			// connection is kept, with its login.
			if n := g.count("") - before; n > 6*2+3+4 || g.count("Signal") != 0 {
				t.Errorf("%d requests for 6 commands, %d of them Signal", n, g.count("Signal"))
			}
			if n := g.count("401 challenge"); n != way.challenges {
				t.Errorf("%d logins on one connection", n)
			}
			if err := shell.Close(t.Context()); err != nil {
				t.Error(err)
			}
			g.none()

			wrong := g.client(func(c *Config) { settings(c); c.Password = NewSecret("wr0ng") })
			_, err = wrong.OpenShell(t.Context(), ShellOptions{})
			if !errors.Is(err, ErrUnauthorized) || strings.Contains(err.Error(), "wr0ng") {
				t.Errorf("wrong password: %v", err)
			}
		})
	}
}

func TestInputComesBack(t *testing.T) {
	for name, auth := range map[string]Auth{"Basic": AuthBasic, "NTLM sealed": AuthNTLM} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{0, 1, much} {
				g := start(t, honest(), nil)
				in := make([]byte, size)
				rand.New(rand.NewSource(int64(size))).Read(in)
				stdout, _, code, err := say(t.Context(), g.shell(g.client(func(c *Config) { c.Auth = auth })), "cat", bytes.NewReader(in))
				if err != nil || code != 0 || stdout != string(in) {
					t.Errorf("%d bytes: %d came back, exit %d, %v", size, len(stdout), code, err)
				}
				// 380,928 bytes go into an envelope of 512,000.
				if n, most := g.count("Send"), size/380_928+1; n > most {
					t.Errorf("%d bytes: %d Sends", size, n)
				}
			}
		})
	}
}

func TestInputFitsAServiceThatTakesLess(t *testing.T) {
	s := honest()
	s.Limits.MaxEnvelopeSizekb = 150
	g := start(t, s, nil)
	in := strings.Repeat("0123456789", 40_000)
	stdout, _, code, err := say(t.Context(), g.shell(g.client(nil)), "cat", strings.NewReader(in))
	if err != nil || code != 0 || stdout != in {
		t.Errorf("%d came back, exit %d, %v", len(stdout), code, err)
	}
}

func TestAProgramThatReadsOnlyPartHasItsExitCode(t *testing.T) {
	g := start(t, honest(), nil)
	stdout, _, code, err := say(t.Context(), g.shell(g.client(nil)), "head 10", strings.NewReader(strings.Repeat("0123456789", 40_000)))
	if err != nil || code != 0 || stdout != "0123456789" {
		t.Errorf("%q, exit %d, %v", stdout, code, err)
	}
}

// slowReader never gives anything, and tells when it is asked.
type slowReader struct {
	asked chan struct{}
	end   chan struct{}
}

func (r slowReader) Read([]byte) (int, error) {
	close(r.asked)
	<-r.end
	return 0, errors.New("not asked for any more")
}

func TestACommandDoesNotWaitForItsReader(t *testing.T) {
	g := start(t, honest(), nil)
	r := slowReader{make(chan struct{}), make(chan struct{})}
	defer close(r.end)
	asked := writerFunc(func(p []byte) (int, error) {
		<-r.asked
		return len(p), nil
	})
	code, err := g.shell(g.client(nil)).Run(t.Context(), Command{Line: "echo x", Stdin: r, Stdout: asked})
	if err != nil || code != 0 {
		t.Errorf("exit %d, %v", code, err)
	}
}

func TestAReaderOrWriterThatFailsEndsTheCommand(t *testing.T) {
	g := start(t, honest(), nil)
	shell := g.shell(g.client(nil))
	boom := errors.New("boom")
	for name, c := range map[string]Command{
		"reader": {Line: "wait", Stdin: readerFunc(func([]byte) (int, error) { return 0, boom })},
		"writer": {Line: "fill 10", Stdout: writerFunc(func([]byte) (int, error) { return 0, boom })},
	} {
		_, err := shell.Run(t.Context(), c)
		var failed *CommandError
		if !errors.Is(err, boom) || !errors.As(err, &failed) || !failed.MayHaveRun {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := g.count("Signal"); n != 2 {
		t.Errorf("%d commands were ended", n)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestEightCommandsAtOnce(t *testing.T) {
	for name, auth := range map[string]Auth{"Basic": AuthBasic, "NTLM sealed": AuthNTLM} {
		t.Run(name, func(t *testing.T) {
			s := honest()
			s.Limits.MaxProcessesPerShell = 8
			g := start(t, s, nil)
			shell := g.shell(g.client(func(c *Config) { c.Auth = auth }))
			var all sync.WaitGroup
			for i := range 24 {
				all.Go(func() {
					in := strings.Repeat(fmt.Sprint(i, " "), 5_000)
					stdout, _, code, err := say(t.Context(), shell, "cat", strings.NewReader(in))
					if err != nil || code != 0 || stdout != in {
						t.Errorf("%d: %d bytes, exit %d, %v", i, len(stdout), code, err)
					}
				})
			}
			all.Wait()
			if shells, _ := g.Counts(testUser); shells != 1 {
				t.Errorf("%d shells", shells)
			}
			// A Receive and a Send each have a connection.
			if n := g.count("401 challenge"); n > 16 {
				t.Errorf("%d logins", n)
			}
		})
	}
}

func TestACancelEndsTheCommand(t *testing.T) {
	for name, auth := range map[string]Auth{"Basic": AuthBasic, "NTLM sealed": AuthNTLM} {
		t.Run(name, func(t *testing.T) {
			g := start(t, honest(), nil)
			shell := g.shell(g.client(func(c *Config) { c.Auth = auth }))
			why := errors.New("enough")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
			_, err := shell.Run(ctx, Command{Line: "wait"})
			var failed *CommandError
			if !errors.Is(err, context.Canceled) || !errors.Is(err, why) || !errors.Is(err, ErrCancelled) || !errors.As(err, &failed) || !failed.MayHaveRun {
				t.Errorf("got %v", err)
			}
			if g.count("Signal") != 1 {
				t.Error("the command was not ended in the guest")
			}
			if _, err := shell.Run(ctx, Command{Line: "echo x"}); !errors.As(err, &failed) || failed.MayHaveRun {
				t.Errorf("after the cancel: %v", err)
			}
			if _, _, code, err := say(t.Context(), shell, "exit 3", nil); code != 3 || err != nil {
				t.Errorf("the shell is of no use any more: %v", err)
			}
		})
	}
}

func TestAShellIsOpenedAsAsked(t *testing.T) {
	g := start(t, honest(), nil)
	c := g.client(nil)
	shell, err := c.OpenShell(t.Context(), ShellOptions{CodePage: 437, NoProfile: true, IdleTimeout: time.Minute, WorkingDirectory: `C:\a & b`, Env: map[string]string{"a": "<1>", "b": "2"}})
	if err != nil {
		t.Fatal(err)
	}
	if stdout, _, _, err := say(t.Context(), shell, "env", nil); stdout != `<1> C:\a & b 437` || err != nil {
		t.Errorf("%q, %v", stdout, err)
	}
	for want, command := range map[string]Command{
		"console=true skip=false":  {Line: "how"},
		"console=false skip=true":  {Line: "how", SkipCmdShell: true, Stdin: strings.NewReader("")},
		"console=true skip=true":   {Line: "how", Args: []string{"a", "b"}, SkipCmdShell: true, Stdin: strings.NewReader(""), ConsoleStdin: true},
		"console=false skip=false": {Line: "how", Stdin: strings.NewReader("")},
	} {
		var out bytes.Buffer
		command.Stdout = &out
		if _, err := shell.Run(t.Context(), command); err != nil || out.String() != want {
			t.Errorf("%q, %v; want %q", out.String(), err, want)
		}
	}
	for range 2 {
		if err := shell.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	g.none()
}

func TestWhatCannotBeCarriedIsRefused(t *testing.T) {
	g := start(t, honest(), nil)
	shell := g.shell(g.client(nil))
	before := g.count("")
	for name, c := range map[string]Command{
		"empty": {}, "blank": {Line: " "}, "control": {Line: "echo \x1b"}, "not UTF-8": {Line: "echo \xff"}, "time": {Line: "x", Poll: -1},
		"long": {Line: "echo " + strings.Repeat("x", 8190)}, "very long": {Line: strings.Repeat("x", 32768), SkipCmdShell: true},
	} {
		var failed *CommandError
		if _, err := shell.Run(t.Context(), c); !errors.As(err, &failed) || failed.MayHaveRun {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, o := range []ShellOptions{{CodePage: -1}, {IdleTimeout: -1}, {WorkingDirectory: "\x00"}, {Env: map[string]string{"": "x"}}, {Env: map[string]string{"a=b": "x"}}} {
		if _, err := shell.client.OpenShell(t.Context(), o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	if n := g.count("") - before; n > 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestSchemesAreThoseOffered(t *testing.T) {
	s := honest()
	g := start(t, s, nil)
	got, err := g.client(nil).Schemes(t.Context())
	if err != nil || !slices.Equal(got, []string{"Negotiate", "Basic"}) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAClosedClientSaysSo(t *testing.T) {
	g := start(t, honest(), nil)
	c := g.client(nil)
	shell := g.shell(c)
	ended := make(chan error, 1)
	go func() {
		_, err := shell.Run(t.Context(), Command{Line: "wait"})
		ended <- err
	}()
	for g.count("Command") == 0 {
		time.Sleep(time.Millisecond)
	}
	c.Close()
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("under way: %v", err)
	}
	if _, err := c.Identify(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestAnUnknownHostIsAMatterOfTheNetwork(t *testing.T) {
	c, err := New(Config{Host: "no-such-host.invalid", User: "u", Auth: AuthNTLM, Limits: quick})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Login(t.Context()); !errors.Is(err, ErrConnection) && !errors.Is(err, ErrConnectDeadline) {
		t.Errorf("got %v", err)
	}
}

// TestClosedInputIsNotSentTo: a command that has closed its input and goes on is
// not sent the rest, however much that is.
func TestClosedInputIsNotSentTo(t *testing.T) {
	g := start(t, honest(), nil)
	g.Faults.Inject(wsman.Rule{Action: "Send", Do: wsman.Fail, Code: 109})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	endless := readerFunc(func(p []byte) (int, error) { return min(len(p), 1000), nil })
	if _, err := g.shell(g.client(nil)).Run(ctx, Command{Line: "wait", Stdin: endless}); outcome(err) != "given up?" {
		t.Errorf("got %v", err)
	}
	if n := g.count("Send"); n != 1 {
		t.Errorf("%d Sends", n)
	}
}
