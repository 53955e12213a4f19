package winrm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// outcomes are the names of this file, the narrower first.
var outcomes = []struct {
	name string
	kind error
}{
	{"operation timed out", ErrOperationTimedOut}, {"shell lost", ErrShellLost}, {"access denied", ErrAccessDenied}, {"too large", ErrTooLarge},
	{"not offered", ErrNotOffered}, {"unauthorized", ErrUnauthorized}, {"not WinRM", ErrNotWinRM}, {"unavailable", ErrUnavailable}, {"closed", ErrClosed},
	{"quota of shells", ErrQuotaShells}, {"quota of operations", ErrQuotaOperations}, {"quota of users", ErrQuotaUsers}, {"quota of resources", ErrQuotaResources}, {"quota", ErrQuota},
	{"refused", ErrRefused}, {"reset", ErrReset}, {"EOF", ErrEOF}, {"connection", ErrConnection},
	{"connect deadline", ErrConnectDeadline}, {"header deadline", ErrHeaderDeadline}, {"body deadline", ErrBodyDeadline}, {"deadline", ErrDeadline},
	{"expired", ErrCertificateExpired}, {"unknown authority", ErrUnknownAuthority}, {"wrong name", ErrWrongName}, {"wrong pin", ErrWrongPin}, {"TLS", ErrTLS},
	{"given up", ErrCancelled}, {"full", errFull},
}

// outcome names how something ended, with "?" where it may have run.
func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	name := ""
	for _, o := range outcomes {
		if errors.Is(err, o.kind) {
			name = o.name
			break
		}
	}
	if fault := new(Fault); name == "" && errors.As(err, &fault) {
		name = fmt.Sprintf("fault %d", fault.Code)
	}
	if name == "" {
		name = err.Error()
	}
	if failed := new(CommandError); errors.As(err, &failed) && failed.MayHaveRun {
		name += "?"
	}
	return name
}

// short are limits that a fault runs into soon.
var short = Limits{Connect: 300 * time.Millisecond, Header: 800 * time.Millisecond, Body: 300 * time.Millisecond, Cleanup: 200 * time.Millisecond,
	OperationTimeout: 200 * time.Millisecond, Poll: 600 * time.Millisecond}

// patience is what a watch is given in this file.
const patience = 3000 * time.Millisecond

// rule makes a fault of one request: of the phase's own when action is empty.
func rule(r wsman.Rule) func(*guest, string) {
	return func(g *guest, action string) {
		own := r
		own.Action = cmp.Or(r.Action, action)
		g.Faults.Inject(own)
	}
}

func fail(code uint32) func(*guest, string) { return rule(wsman.Rule{Do: wsman.Fail, Code: code}) }

func do(f func(*guest)) func(*guest, string) { return func(g *guest, _ string) { f(g) } }

var errFull = errors.New("full")

// matrix says what each fault ends as: a shell being opened, a command being
// run, a command that runs being watched.
var matrix = map[string]struct {
	fault                   func(g *guest, action string)
	connect, command, watch string
}{
	"FIN":                {rule(wsman.Rule{Do: wsman.Close}), "EOF", "EOF?", "EOF?"},
	"RST":                {rule(wsman.Rule{Do: wsman.Reset}), "reset", "reset?", "reset?"},
	"never answered":     {rule(wsman.Rule{Do: wsman.Hang}), "header deadline", "header deadline?", "header deadline?"},
	"answered late":      {rule(wsman.Rule{Do: wsman.Hang, For: 50 * time.Millisecond}), "ok", "ok", "given up?"},
	"401":                {rule(wsman.Rule{Do: wsman.Refuse}), "unauthorized", "unauthorized", "unauthorized?"},
	"shell quota":        {fail(2150859173), "quota of shells", "quota of shells", "quota of shells?"},
	"operation quota":    {fail(2150859174), "quota of operations", "quota of operations", "quota of operations?"},
	"user quota":         {fail(2150859179), "quota of users", "quota of users", "quota of users?"},
	"no memory":          {fail(2147942408), "quota of resources", "quota of resources", "quota of resources?"},
	"access denied":      {fail(5), "access denied", "access denied", "access denied?"},
	"envelope limit":     {fail(2150858823), "too large", "too large", "too large?"},
	"operation time-out": {fail(2150858793), "operation timed out", "operation timed out?", "given up?"},
	"operation aborted":  {fail(995), "shell lost", "shell lost?", "shell lost?"},
	"a fault of its own": {fail(4711), "fault 4711", "fault 4711", "fault 4711?"},
	"lost shell":         {rule(wsman.Rule{Do: wsman.Lose}), "ok", "shell lost", "shell lost?"},
	"endless output":     {rule(wsman.Rule{Action: "Receive", Do: wsman.Endless}), "ok", "full?", "full?"},
	"connections closed": {do(func(g *guest) { g.Faults.CloseConnections() }), "ok", "ok", "EOF?"},
	"connections reset":  {do(func(g *guest) { g.Faults.ResetConnections() }), "ok", "ok", "reset?"},
	"black hole":         {do(func(g *guest) { g.Faults.BlackHole(true) }), "header deadline", "header deadline?", "header deadline?"},
	"frozen":             {do(func(g *guest) { g.Faults.Freeze(true) }), "header deadline", "header deadline?", "header deadline?"},
	"port closed":        {do(func(g *guest) { _ = g.Faults.ClosePort(true) }), "refused", "refused", "EOF?"},
	"slow start":         {do(func(g *guest) { g.Faults.SlowStart(50 * time.Millisecond) }), "ok", "ok", "given up?"},
	"shells lost":        {do(func(g *guest) { g.Faults.LoseShells() }), "ok", "shell lost", "shell lost?"},
	"service restart":    {do(func(g *guest) { g.Faults.CloseConnections(); g.Faults.LoseShells() }), "ok", "shell lost", "EOF?"},
	"reboot":             {do(func(g *guest) { _ = g.Faults.ClosePort(true); g.Faults.LoseShells() }), "refused", "refused", "EOF?"},
	"password changed":   {do(func(g *guest) { g.Faults.RejectCredentials(true, false) }), "unauthorized", "unauthorized", "unauthorized?"},
	"no new shells":      {do(func(g *guest) { g.Faults.RejectCredentials(false, true) }), "unauthorized", "ok", "given up?"},
}

func TestEveryFaultHasItsName(t *testing.T) {
	goroutines(t)
	var all sync.WaitGroup
	turn := make(chan struct{}, 20) // they mostly wait
	for name, test := range matrix {
		for phase, want := range map[string]string{"connect": test.connect, "command": test.command, "watch": test.watch} {
			all.Go(func() {
				turn <- struct{}{}
				defer func() { <-turn }()
				t.Run(name+"/"+phase, func(t *testing.T) { endure(t, phase, test.fault, want) })
			})
		}
	}
	all.Wait()
}

// endure lets a fault happen in a phase.
func endure(t *testing.T, phase string, fault func(*guest, string), want string) {
	g := begin(t, honest(), nil)
	c := g.client(func(c *Config) { c.Limits, c.Auth = short, AuthNTLM })
	full := writerFunc(func(p []byte) (int, error) {
		if len(p) > 100 {
			return 0, errFull
		}
		return len(p), nil
	})
	var shell *Shell
	if phase != "connect" {
		shell = g.shell(c)
		time.Sleep(60 * time.Millisecond) // long enough for a look whether the connection lives
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	began, before := time.Now(), g.count("")
	var err error
	switch phase {
	case "connect":
		fault(g, "Create")
		_, err = c.OpenShell(ctx, ShellOptions{})
	case "command":
		fault(g, "Command")
		_, err = shell.Run(ctx, Command{Line: "echo x", Stdout: full})
	case "watch":
		failing := make(chan struct{})
		go func() {
			defer close(failing)
			for g.count("Command") == 0 {
				time.Sleep(time.Millisecond)
			}
			time.Sleep(100 * time.Millisecond) // a Receive is under way
			fault(g, "Receive")
		}()
		_, err = shell.Run(ctx, Command{Line: "wait", Stdout: full})
		<-failing
	}
	took, requests := time.Since(began), g.count("")-before
	if got := outcome(err); got != want {
		t.Errorf("got %q, want %q: %v", got, want, err)
	}
	for form, b := range forms(testPassword) {
		if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), string(b)) {
			t.Errorf("the error has the password in %s", form)
		}
	}
	// Head and operation time, twice where a kept connection was of no use, then
	// ending the command; and what a busy machine adds.
	if most := patience + 2*short.Cleanup + time.Second; took > most {
		t.Errorf("it took %s, more than %s", took, most)
	}
	// A login has two requests, and so has the end of a command.
	if most := int(2*took.Seconds()) + 8; requests > most {
		t.Errorf("%d requests in %s", requests, took)
	}
	t.Logf("%-22s after %4d ms, %d requests: %v", outcome(err), took.Milliseconds(), requests, err)
	if err := g.Faults.Clear(); err != nil {
		t.Error(err)
	}
	c.Close()
}

func TestARequestThatIsTooLarge(t *testing.T) {
	s := honest()
	s.Limits.MaxEnvelopeSizekb = 16
	g := start(t, s, nil)
	shell := g.shell(g.client(nil))
	if _, err := shell.Run(t.Context(), Command{Line: "echo", Args: []string{string(make16k())}, SkipCmdShell: true}); outcome(err) != "too large" {
		t.Errorf("got %v", err)
	}
	// In pieces as small as every Windows takes it is still too large here.
	if _, err := shell.Run(t.Context(), Command{Line: "cat", Stdin: readerFunc(func(p []byte) (int, error) { return len(p), nil })}); outcome(err) != "too large?" {
		t.Errorf("input: %v", err)
	}
}

func make16k() []byte {
	b := make([]byte, 16*1024)
	for i := range b {
		b[i] = 'x'
	}
	return b
}
