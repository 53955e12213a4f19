package wsman

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// outcome names how a request ended.
func outcome(a answer, err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, errReset):
		return "reset"
	case errors.Is(err, errRefused):
		return "refused"
	case errors.Is(err, io.EOF):
		return "EOF"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer"
	case err != nil:
		return err.Error()
	case a.code != 0:
		return fmt.Sprintf("fault %d", a.code)
	}
	return fmt.Sprintf("HTTP %d", a.status)
}

// impatient returns a peer that gives up soon.
func impatient(t *testing.T, addr net.Addr) *peer {
	p := newPeer(t, addr)
	p.client.Timeout = 100 * time.Millisecond
	return p
}

func TestRulesHitTheRequestsTheyName(t *testing.T) {
	create := message{action: "Create", body: shellBody}.xml()
	for name, test := range map[string]struct {
		rule Rule
		want []string // of the second to fourth Create
	}{
		"FIN":              {Rule{Do: Close, Times: 1}, []string{"EOF", "HTTP 200", "HTTP 200"}},
		"RST":              {Rule{Do: Reset, Times: 1}, []string{"reset", "HTTP 200", "HTTP 200"}},
		"never answered":   {Rule{Do: Hang, Times: 1}, []string{"no answer", "HTTP 200", "HTTP 200"}},
		"answered late":    {Rule{Do: Hang, Times: 1, For: time.Millisecond}, []string{"HTTP 200", "HTTP 200", "HTTP 200"}},
		"401":              {Rule{Do: Refuse, Times: 2}, []string{"HTTP 401", "HTTP 401", "HTTP 200"}},
		"shell quota":      {Rule{Do: Fail, Times: 2, Code: 2150859173}, []string{"fault 2150859173", "fault 2150859173", "HTTP 200"}},
		"operation quota":  {Rule{Do: Fail, Code: 2150859174}, []string{"fault 2150859174", "fault 2150859174", "fault 2150859174"}},
		"any code":         {Rule{Do: Fail, Times: 1, Code: 2147942408}, []string{"fault 2147942408", "HTTP 200", "HTTP 200"}},
		"the second":       {Rule{Do: Refuse, Skip: 1, Times: 1}, []string{"HTTP 200", "HTTP 401", "HTTP 200"}},
		"the named action": {Rule{Do: Refuse, Action: "Create", Times: 1}, []string{"HTTP 401", "HTTP 200", "HTTP 200"}},
		"another action":   {Rule{Do: Refuse, Action: "Delete"}, []string{"HTTP 200", "HTTP 200", "HTTP 200"}},
		"lost shells":      {Rule{Do: Lose}, []string{"HTTP 200", "HTTP 200", "HTTP 200"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := honest()
			p := newPeer(t, serve(t, s, nil))
			p.post(create)
			s.Faults.Inject(test.rule)
			var got []string
			for _, want := range test.want {
				p.client.Timeout = 20 * time.Second
				if want == "no answer" {
					p.client.Timeout = 100 * time.Millisecond
				}
				got = append(got, outcome(p.try(create)))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if shells, _ := s.Counts(testUser); test.rule.Do == Lose && shells != 1 {
				t.Errorf("%d shells, want only the last", shells)
			}
			if err := s.Faults.Clear(); err != nil {
				t.Fatal(err)
			}
			p.client.Timeout = 20 * time.Second
			if got := outcome(p.try(create)); got != "HTTP 200" {
				t.Errorf("after Clear: %s", got)
			}
		})
	}
}

func TestInjectedQuotasReadLikeRealOnes(t *testing.T) {
	s := honest()
	p := newPeer(t, serve(t, s, nil))
	for code, want := range map[uint32]string{2150859173: "maximum number of 30 concurrent shells", 2150859174: "maximum number of 1500 concurrent operations", 2147942408: "Not enough memory", 5: "error 0x00000005"} {
		s.Faults.Inject(Rule{Do: Fail, Times: 1, Code: code})
		a := p.send(message{action: "Create", body: shellBody})
		if text := a.body().child(nsSOAP, "Fault").child(nsSOAP, "Reason").child(nsSOAP, "Text").text; !strings.Contains(text, want) {
			t.Errorf("fault %d says %q", code, text)
		}
	}
}

func TestClearLetsAHangingRequestGoOn(t *testing.T) {
	s := honest()
	p := newPeer(t, serve(t, s, nil))
	s.Faults.Inject(Rule{Do: Hang})
	got := make(chan string, 1)
	create := message{action: "Create", body: shellBody}.xml()
	go func() { got <- outcome(p.try(create)) }()
	untilHanging(s)
	if err := s.Faults.Clear(); err != nil {
		t.Fatal(err)
	}
	if o := <-got; o != "HTTP 200" {
		t.Errorf("the request ended with %s", o)
	}
}

func TestOpenConnectionsCanBeCut(t *testing.T) {
	for want, cut := range map[string]func(*Faults){"EOF": (*Faults).CloseConnections, "reset": (*Faults).ResetConnections} {
		t.Run(want, func(t *testing.T) {
			s := honest()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			wrapped := s.Listener(l)
			t.Cleanup(func() { wrapped.Close() })
			client, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if _, err := wrapped.Accept(); err != nil {
				t.Fatal(err)
			}
			cut(&s.Faults)
			_, err = client.Read(make([]byte, 1))
			// Wine closes a socket later than the program does, and may send FIN.
			if got := outcome(answer{}, err); got != want && (runtime.GOOS != "windows" || got != "EOF") {
				t.Errorf("the client saw %s", got)
			}
		})
	}
}

func TestARequestUnderWayIsCutToo(t *testing.T) {
	for want, cut := range map[string]func(*Faults){"EOF": (*Faults).CloseConnections, "reset": (*Faults).ResetConnections} {
		t.Run(want, func(t *testing.T) {
			s := honest()
			p := newPeer(t, serve(t, s, nil))
			s.Faults.Inject(Rule{Do: Hang})
			got := make(chan string, 1)
			create := message{action: "Create", body: shellBody}.xml()
			go func() { got <- outcome(p.try(create)) }()
			untilHanging(s)
			cut(&s.Faults)
			if o := <-got; o != want {
				t.Errorf("the request ended with %s", o)
			}
		})
	}
}

func untilHanging(s *Server) {
	for hanging := false; !hanging; runtime.Gosched() {
		s.Faults.mu.Lock()
		hanging = s.Faults.cleared != nil
		s.Faults.mu.Unlock()
	}
}

func TestABlackHoleSwallowsOldAndNewConnections(t *testing.T) {
	s := honest()
	addr := serve(t, s, nil)
	create := message{action: "Create", body: shellBody}.xml()
	old := impatient(t, addr)
	old.client.Timeout = 20 * time.Second
	old.post(create) // leaves a connection open
	s.Faults.BlackHole(true)
	old.client.Timeout = 100 * time.Millisecond
	for what, p := range map[string]*peer{"old": old, "new": impatient(t, addr)} {
		if got := outcome(p.try(create)); got != "no answer" {
			t.Errorf("%s connection: %s", what, got)
		}
	}
	if shells, _ := s.Counts(testUser); shells != 1 {
		t.Errorf("%d shells: a swallowed request was carried out", shells)
	}
	s.Faults.BlackHole(false)
	if got := outcome(newPeer(t, addr).try(create)); got != "HTTP 200" {
		t.Errorf("afterwards: %s", got)
	}
}

func TestAClosedPortRefusesAndOpensAgain(t *testing.T) {
	for _, tls := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", tls), func(t *testing.T) {
			s := honest()
			cert := certificate(t)
			if !tls {
				cert = nil
			}
			addr := serve(t, s, cert)
			dial := func() string {
				c, err := net.DialTimeout("tcp", addr.String(), 5*time.Second)
				if err == nil {
					c.Close()
				}
				return outcome(answer{}, err)
			}
			for range 3 {
				if err := s.Faults.ClosePort(true); err != nil {
					t.Fatal(err)
				}
				if got := dial(); got != "refused" {
					t.Errorf("closed: %s", got)
				}
				if err := s.Faults.ClosePort(false); err != nil {
					t.Fatal(err)
				}
				if got := dial(); got != "HTTP 0" {
					t.Errorf("open: %s", got)
				}
			}
		})
	}
}

func TestAPortTakenMeanwhileIsReported(t *testing.T) {
	s := honest()
	addr := serve(t, s, nil)
	if err := s.Faults.ClosePort(true); err != nil {
		t.Fatal(err)
	}
	other, err := net.Listen("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := s.Faults.Clear(); !errors.Is(err, errInUse) || !strings.Contains(err.Error(), addr.String()) {
		t.Errorf("got %v", err)
	}
}

func TestAClosedPortStaysClosedForLaterListeners(t *testing.T) {
	s := honest()
	if err := s.Faults.ClosePort(true); err != nil {
		t.Fatal(err)
	}
	addr := serve(t, s, nil)
	p := newPeer(t, addr)
	create := message{action: "Create", body: shellBody}.xml()
	if got := outcome(p.try(create)); got != "refused" {
		t.Errorf("closed: %s", got)
	}
	if err := s.Faults.ClosePort(false); err != nil {
		t.Fatal(err)
	}
	if got := outcome(p.try(create)); got != "HTTP 200" {
		t.Errorf("open: %s", got)
	}
}

func TestASlowStartAnswersWhenItIsOver(t *testing.T) {
	s := honest()
	s.Faults.SlowStart(time.Hour)
	addr := serve(t, s, nil)
	create := message{action: "Create", body: shellBody}.xml()
	if got := outcome(impatient(t, addr).try(create)); got != "no answer" {
		t.Errorf("at once: %s", got)
	}
	s.Faults.SlowStart(50 * time.Millisecond)
	before := time.Now()
	if got := outcome(newPeer(t, addr).try(create)); got != "HTTP 200" || time.Since(before) < 40*time.Millisecond {
		t.Errorf("after %v: %s", time.Since(before), got)
	}
}

func TestRejectedCredentials(t *testing.T) {
	s := honest()
	p := newPeer(t, serve(t, s, nil))
	create := message{action: "Create", body: shellBody}.xml()
	sh := p.open()
	s.Faults.RejectCredentials(false, true)
	if got := outcome(p.try(create)); got != "HTTP 401" {
		t.Errorf("a new shell: %s", got)
	}
	p.finish(sh, p.run(sh, "echo x")) // the old one is good
	s.Faults.RejectCredentials(true, false)
	for _, m := range []message{{action: "Create", body: shellBody}, {action: "Delete", shell: sh}} {
		if got := outcome(p.try(m.xml())); got != "HTTP 401" {
			t.Errorf("%s: %s", m.action, got)
		}
	}
	s.Faults.RejectCredentials(false, false)
	p.delete(sh)
}

func TestCloseEndsEverything(t *testing.T) {
	before := runtime.NumGoroutine()
	for name, trouble := range map[string]func(*Server){
		"honest":     func(*Server) {},
		"hanging":    func(s *Server) { s.Faults.Inject(Rule{Do: Hang}) },
		"slow":       func(s *Server) { s.Faults.SlowStart(time.Hour) },
		"black hole": func(s *Server) { s.Faults.BlackHole(true) },
		"closed": func(s *Server) {
			if err := s.Faults.ClosePort(true); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := honest()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan error, 1)
			go func() { served <- s.Serve(l) }()
			s.Handler = shout
			p := newPeer(t, l.Addr())
			sh := p.open()
			c := p.run(sh, "wait")
			p.run(sh, "cat")
			p.run(sh, fmt.Sprintf("fill %d", 2*outputBuffer))
			trouble(s)
			got := make(chan string, 1)
			receive := message{action: "Receive", shell: sh, body: fmt.Sprintf(receiveBody, c)}.xml()
			go func() { got <- outcome(p.try(receive)) }()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if err := <-served; err != nil {
				t.Error(err)
			}
			if o := <-got; strings.HasPrefix(o, "HTTP") {
				t.Errorf("the Receive ended with %s", o)
			}
			if err := s.Close(); err != nil {
				t.Errorf("the second Close: %v", err)
			}
			p.client.CloseIdleConnections()
		})
	}
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > before {
		b := make([]byte, 1<<20)
		t.Errorf("%d goroutines, %d before:\n%s", n, before, b[:runtime.Stack(b, true)])
	}
}

func TestAServerNotOnItsListenerStillCutsConnections(t *testing.T) {
	s := honest()
	hs := s.HTTPServer()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- hs.Serve(l) }()
	s.Faults.Inject(Rule{Do: Close})
	if got := outcome(newPeer(t, l.Addr()).try(message{action: "Create", body: shellBody}.xml())); got != "EOF" {
		t.Errorf("got %s", got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve: %v", err)
	}
}
