package wsman

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestACommandIsRunAndItsOutputFetched(t *testing.T) {
	s := honest()
	p := newPeer(t, serve(t, s, nil))
	sh := p.open()
	if r := p.finish(sh, p.run(sh, "echo hello")); r.stdout != "hello\r\n" || r.code != 0 {
		t.Errorf("echo: %+v", r)
	}
	if r := p.finish(sh, p.run(sh, "complain bitterly")); r.stderr != "bitterly\r\n" || r.code != 7 {
		t.Errorf("complain: %+v", r)
	}
	c := p.run(sh, "cat")
	p.must(message{action: "Send", shell: sh, body: fmt.Sprintf(sendBody, c, false, "YWJj")})
	if r := p.receive(message{shell: sh}, c); r.stdout != "abc" || r.done {
		t.Errorf("cat while it runs: %+v", r)
	}
	p.must(message{action: "Send", shell: sh, body: fmt.Sprintf(sendBody, c, true, "ZGVm")})
	if r := p.finish(sh, c); r.stdout != "def" || r.code != 0 {
		t.Errorf("cat: %+v", r)
	}
	p.wantFault(message{action: "Send", shell: sh, body: fmt.Sprintf(sendBody, c, false, "YWJj")}, codeBrokenPipe)
	p.delete(sh)
}

func TestShellsPerUser(t *testing.T) {
	s := honest()
	s.Users["other"] = testPassword
	s.Limits.MaxShellsPerUser = 2
	p := newPeer(t, serve(t, s, nil))
	first := p.open()
	p.open()
	p.wantFault(message{action: "Create", body: shellBody}, 2150859173)
	other := *p
	other.user = "other"
	other.open()
	p.delete(first)
	p.open()
	if shells, _ := s.Counts(`GUEST\VAGRANT`); shells != 2 {
		t.Errorf("%d shells, want 2", shells)
	}
}

func TestConcurrentUsers(t *testing.T) {
	s := honest()
	s.Users["other"] = testPassword
	s.Limits.MaxConcurrentUsers = 1
	p := newPeer(t, serve(t, s, nil))
	sh := p.open()
	other := *p
	other.user = "other"
	other.wantFault(message{action: "Create", body: shellBody}, 2150859179)
	p.open()
	// A shell belongs to whom it was made by.
	other.wantFault(message{action: "Delete", shell: sh}, 2150858843)
}

func TestOperationsAreReleasedByDeleteOnly(t *testing.T) {
	s := honest()
	s.Limits.MaxConcurrentOperationsPerUser = 3
	p := newPeer(t, serve(t, s, nil))
	sh := p.open()
	for range 2 {
		c := p.run(sh, "echo x")
		p.finish(sh, c)
		p.must(message{action: "Signal", shell: sh, body: fmt.Sprintf(signalBody, c, "terminate")})
	}
	p.wantFault(message{action: "Command", shell: sh, body: commandBody("echo x")}, 2150859174)
	p.wantFault(message{action: "Create", body: shellBody}, 2150859174)
	if _, operations := s.Counts(testUser); operations != 3 {
		t.Errorf("%d operations, want 3", operations)
	}
	p.delete(sh)
	if _, operations := s.Counts(testUser); operations != 0 {
		t.Errorf("%d operations after Delete, want 0", operations)
	}
	p.run(p.open(), "echo x")
}

// TestWhatHasEndedDoesNotRun: a command that ended counts as an operation,
// signalled or not, and not as a process.
func TestWhatHasEndedDoesNotRun(t *testing.T) {
	s := honest()
	s.Limits.MaxProcessesPerShell = 1
	p := newPeer(t, serve(t, s, nil))
	sh := p.open()
	for range 3 {
		p.finish(sh, p.run(sh, "echo x"))
	}
	if _, operations := s.Counts(testUser); operations != 4 {
		t.Errorf("%d operations, want 4", operations)
	}
}

func TestDefaultLimitsAreThoseOfWindows(t *testing.T) {
	want := Limits{MaxEnvelopeSizekb: 500, MaxTimeoutms: time.Minute, MaxConcurrentOperationsPerUser: 1500, MaxConcurrentUsers: 10,
		MaxShellsPerUser: 30, MaxProcessesPerShell: 25, IdleTimeout: 2 * time.Hour, MaxCommandLine: 8191, MaxCreateProcess: 32767}
	if got := (Limits{}).withDefaults(); got != want {
		t.Errorf("got %+v", got)
	}
}

func TestProcessesPerShell(t *testing.T) {
	s := honest()
	s.Limits.MaxProcessesPerShell = 2
	p := newPeer(t, serve(t, s, nil))
	sh := p.open()
	first := p.run(sh, "wait")
	p.run(sh, "wait")
	p.wantFault(message{action: "Command", shell: sh, body: commandBody("echo x")}, codeNotEnoughQuota)
	p.must(message{action: "Signal", shell: sh, body: fmt.Sprintf(signalBody, first, "terminate")})
	p.finish(sh, p.run(sh, "echo x"))
}

func TestEnvelopeSizeOfRequests(t *testing.T) {
	s := honest()
	s.Limits.MaxEnvelopeSizekb, s.Limits.MaxCommandLine = 16, 1<<20
	p := newPeer(t, serve(t, s, nil))
	sh := p.open()
	big := message{action: "Command", shell: sh, body: commandBody("echo " + strings.Repeat("x", 16*1024))}
	if a := p.send(big); a.status != http.StatusRequestEntityTooLarge || a.size != 0 {
		t.Errorf("HTTP %d with %d bytes, want 413 and nothing", a.status, a.size)
	}
	fits := message{action: "Command", shell: sh}
	fits.body = commandBody("echo " + strings.Repeat("x", 16*1024-len(fits.xml())-len(commandBody("echo "))))
	if n := len(fits.xml()); n != 16*1024 {
		t.Fatalf("the request has %d bytes", n)
	}
	p.must(fits)
	p.wantFault(message{action: "Create", body: shellBody, envelope: "8191"}, codeMinEnvelope)
}

func TestRepliesFitTheEnvelopeTheClientAskedFor(t *testing.T) {
	s := honest()
	p := newPeer(t, serve(t, s, nil))
	sh := p.open()
	c := p.run(sh, "fill 100000")
	total, replies := 0, 0
	for done := false; !done; replies++ {
		r := p.receive(message{shell: sh, envelope: "8192"}, c)
		if r.size > 8192 {
			t.Fatalf("a reply of %d bytes", r.size)
		}
		total, done = total+len(r.stdout), r.done
	}
	if total != 100000 || replies < 100000*4/3/8192 {
		t.Errorf("%d bytes in %d replies", total, replies)
	}
	// Without a wish the limit of the service holds.
	if r := p.receive(message{shell: sh, envelope: "1000000000"}, p.run(sh, "fill 900000")); r.size > 500*1024 || r.size < 400*1024 {
		t.Errorf("a reply of %d bytes", r.size)
	}
}

func TestManySmallWritesFitTheEnvelopeToo(t *testing.T) {
	c := newCommand()
	for range 5000 {
		if _, err := (output{c, "stdout"}).Write([]byte("a")); err != nil {
			t.Fatal(err)
		}
	}
	total := 0
	for len(c.out) > 0 {
		before := len(c.out)
		answer, _, f := c.take(8192 - envelopeOverhead)
		if f != nil || len(answer) > 8192-envelopeOverhead+512 {
			t.Fatalf("%d bytes, fault %v", len(answer), f)
		}
		total += before - len(c.out)
	}
	if total != 5000 || c.size != 0 {
		t.Errorf("%d chunks, %d bytes left", total, c.size)
	}
}

func TestAProcessWaitsWhileNobodyFetchesItsOutput(t *testing.T) {
	c := newCommand()
	c.cancel = func() {}
	wrote := make(chan error, 1)
	go func() {
		_, err := output{c, "stdout"}.Write(make([]byte, 4*outputBuffer))
		wrote <- err
	}()
	for total := 0; total < 2*outputBuffer; {
		before := sizeOf(c)
		if _, changed, f := c.take(100000); f != nil {
			t.Fatal(f)
		} else if changed != nil {
			<-changed
			continue
		}
		if before > outputBuffer {
			t.Fatalf("%d bytes wait", before)
		}
		total += 70000
	}
	select {
	case err := <-wrote:
		t.Fatalf("Write returned %v with output unfetched", err)
	default:
	}
	c.kill(newFault(codeAborted))
	if err := <-wrote; err == nil {
		t.Error("Write succeeded on a terminated command")
	}
}

func sizeOf(c *command) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.size
}

func TestReceiveWithoutOutputTimesOut(t *testing.T) {
	s := honest()
	s.Limits.MaxTimeoutms = 50 * time.Millisecond
	p := newPeer(t, serve(t, s, nil))
	sh := p.open()
	c := p.run(sh, "wait")
	receive := message{action: "Receive", shell: sh, timeout: "PT30M", body: fmt.Sprintf(receiveBody, c)}
	p.wantFault(receive, 2150858793) // 30 minutes would outlast the client's 20 s
	receive.timeout = "PT0.010S"
	p.wantFault(receive, 2150858793)
	p.must(message{action: "Signal", shell: sh, body: fmt.Sprintf(signalBody, c, "ctrl_c")})
	if r := p.finish(sh, c); r.code != 1 {
		t.Errorf("after ctrl_c: %+v", r)
	}
	p.must(message{action: "Signal", shell: sh, body: fmt.Sprintf(signalBody, c, "terminate")})
	p.wantFault(receive, codeInvalidParameter)
}

func TestIdleShellsAreDeleted(t *testing.T) {
	s := honest()
	s.Limits.IdleTimeout = 20 * time.Millisecond
	p := newPeer(t, serve(t, s, nil))
	sh := p.open()
	for shells, _ := s.Counts(testUser); shells > 0; shells, _ = s.Counts(testUser) {
		runtime.Gosched()
	}
	p.wantFault(message{action: "Delete", shell: sh}, 2150858843)
}

func TestAShellInUseIsNotIdle(t *testing.T) {
	s := honest()
	s.Limits.IdleTimeout, s.Limits.MaxTimeoutms = 20*time.Millisecond, 80*time.Millisecond
	s.init()
	sh := &shell{id: "A", user: testUser, commands: map[string]*command{}, idleTimeout: s.limits.IdleTimeout}
	if err := s.add(sh); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	c := newCommand()
	c.cancel = func() {}
	sh.commands[c.id] = c
	r, f := parseRequest([]byte(message{action: "Receive", shell: "A", body: fmt.Sprintf(receiveBody, c.id)}.xml()))
	if f != nil {
		t.Fatal(f)
	}
	_, err := s.handle(httptest.NewRequest(http.MethodPost, "/wsman", nil), r, testUser, &Event{})
	if !errors.As(err, &f) || f.code != codeTimedOut { // and not that of a shell that is gone
		t.Errorf("the Receive ended with %v", err)
	}
}

func TestTheClientMayShortenTheIdleTime(t *testing.T) {
	p := newPeer(t, serve(t, honest(), nil))
	for asked, want := range map[string]string{"PT60S": "PT60.000S", "P1D": "PT7200.000S"} {
		body := strings.Replace(shellBody, "</rsp:Shell>", "<rsp:IdleTimeOut>"+asked+"</rsp:IdleTimeOut></rsp:Shell>", 1)
		a := p.must(message{action: "Create", body: body})
		if got := a.body().child(nsShell, "Shell").child(nsShell, "IdleTimeOut").value(); got != want {
			t.Errorf("IdleTimeOut %s, want %s", got, want)
		}
	}
}

func TestProcessesDieWithTheirShell(t *testing.T) {
	for name, end := range map[string]func(*Server, *peer, string){
		"Delete":     func(_ *Server, p *peer, sh string) { p.delete(sh) },
		"LoseShells": func(s *Server, _ *peer, _ string) { s.Faults.LoseShells() },
		"DropShells": func(s *Server, _ *peer, _ string) { s.DropShells() },
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan string, 1)
			s := honest()
			s.Handler = HandlerFunc(func(ctx context.Context, p *Process) int {
				n, err := p.Stdin.Read(make([]byte, 1)) // must not block for ever
				<-ctx.Done()
				ended <- fmt.Sprintf("%s %d %v", p.Shell, n, err)
				return 1
			})
			p := newPeer(t, serve(t, s, nil))
			sh := p.open()
			p.run(sh, "wait")
			end(s, p, sh)
			if got := <-ended; got != sh+" 0 EOF" {
				t.Errorf("the process ended with %s", got)
			}
			if shells, operations := s.Counts(testUser); shells+operations != 0 {
				t.Errorf("%d shells and %d operations are left", shells, operations)
			}
		})
	}
}

func TestCommandLineLength(t *testing.T) {
	p := newPeer(t, serve(t, honest(), nil))
	sh := p.open()
	const skip = `<w:Option Name="WINRS_SKIP_CMD_SHELL">TRUE</w:Option>`
	if r := p.finish(sh, p.run(sh, "echo "+strings.Repeat("x", 8191-5))); len(r.stdout) != 8191-5+2 || r.code != 0 {
		t.Errorf("8191 characters: %d bytes, exit %d", len(r.stdout), r.code)
	}
	if r := p.finish(sh, p.run(sh, "echo "+strings.Repeat("x", 8192-5))); r.stdout != "" || r.stderr != "The command line is too long.\r\n" || r.code != 1 {
		t.Errorf("8192 characters: %+v", r)
	}
	p.must(message{action: "Command", shell: sh, options: skip, body: commandBody("echo " + strings.Repeat("x", 32767-5))})
	p.wantFault(message{action: "Command", shell: sh, options: skip, body: commandBody("echo " + strings.Repeat("x", 32768-5))}, codeNameTooLong)
}

func TestADeadShellIsNamed(t *testing.T) {
	s := honest()
	p := newPeer(t, serve(t, s, nil))
	sh := p.open()
	c := p.run(sh, "wait")
	type reply struct {
		a   answer
		err error
	}
	got := make(chan reply, 1)
	waiting := (&message{action: "Receive", shell: sh, body: fmt.Sprintf(receiveBody, c)}).xml()
	go func() {
		a, err := p.try(waiting)
		got <- reply{a, err}
	}()
	s.Faults.LoseShells()
	if r := <-got; r.err != nil || r.a.code != 2150858843 {
		t.Errorf("the Receive that waited: %+v", r)
	}
	p.wantFault(message{action: "Receive", shell: sh, body: fmt.Sprintf(receiveBody, c)}, 2150858843)
	p.open() // the service itself lives
}
