package winrm

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	sdkwinrm "github.com/hashicorp/packer-plugin-sdk/sdk-internals/communicator/winrm"
	"github.com/masterzen/winrm"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// program is a guest whose commands run until their shell is gone, or say a
// word and end.
type program struct{}

func (program) Run(ctx context.Context, p *wsman.Process) int {
	if strings.Contains(p.Line, "wait") {
		<-ctx.Done()
		return 1
	}
	_, _ = io.WriteString(p.Stdout, "done")
	return 3
}

// service is a WinRM service with Packer's communicator, and what counts its
// requests.
func service(t *testing.T, ntlm bool, limits wsman.Limits) (*wsman.Server, packersdk.Communicator, *atomic.Int64) {
	t.Helper()
	requests := new(atomic.Int64)
	s := &wsman.Server{Users: map[string]string{"u": "p"}, Basic: !ntlm, NTLM: ntlm, AllowUnencrypted: true, Limits: limits, Handler: program{},
		OnEvent: func(wsman.Event) { requests.Add(1) }}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(l) }() // ends with Close
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	var base func() winrm.Transporter
	if ntlm {
		base = func() winrm.Transporter { return &winrm.ClientNTLM{} }
	}
	comm, err := sdkwinrm.New(&sdkwinrm.Config{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, Username: "u", Password: "p", Timeout: time.Minute,
		TransportDecorator: Attentive(base)})
	if err != nil {
		t.Fatal(err)
	}
	return s, comm, requests
}

func TestALostShellEndsTheCommandInsteadOfALoop(t *testing.T) {
	for name, ntlm := range map[string]bool{"Basic": false, "NTLM": true} {
		t.Run(name, func(t *testing.T) {
			s, comm, requests := service(t, ntlm, wsman.Limits{})
			before := requests.Load()
			ended := make(chan error, 1)
			go func() {
				ended <- comm.Start(context.Background(), &packersdk.RemoteCmd{Command: "wait", Stdout: io.Discard, Stderr: io.Discard})
			}()
			for requests.Load() < before+2 { // Create and Command; a Receive is open then, or comes next
				if t.Context().Err() != nil {
					t.Fatal("the command never began")
				}
				time.Sleep(time.Millisecond)
			}
			s.Faults.LoseShells()
			err := <-ended
			if err == nil || !strings.Contains(err.Error(), "2150858843") {
				t.Errorf("got %v", err)
			}
			if n := requests.Load() - before; n > 20 {
				t.Errorf("%d requests", n)
			}
			// The next command has a shell of its own.
			if err := comm.Start(context.Background(), &packersdk.RemoteCmd{Command: "x", Stdout: io.Discard, Stderr: io.Discard}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestATimeOutWithoutOutputIsNoFailure(t *testing.T) {
	s, comm, requests := service(t, false, wsman.Limits{MaxTimeoutms: 20 * time.Millisecond})
	ended := make(chan error, 1)
	go func() {
		ended <- comm.Start(context.Background(), &packersdk.RemoteCmd{Command: "wait", Stdout: io.Discard, Stderr: io.Discard})
	}()
	for requests.Load() < 12 {
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	s.Faults.LoseShells()
	if err := <-ended; err == nil {
		t.Error("no error")
	}
}

func TestAFaultIsToldWithItsNumber(t *testing.T) {
	s, comm, _ := service(t, false, wsman.Limits{})
	s.Faults.Inject(wsman.Rule{Action: "Create", Do: wsman.Fail, Code: 2150859173})
	err := comm.Start(context.Background(), &packersdk.RemoteCmd{Command: "x", Stdout: io.Discard, Stderr: io.Discard})
	var fault *FaultError
	if !errors.As(err, &fault) || fault.Code != "2150859173" || fault.Text == "" {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsNoFaultStays(t *testing.T) {
	for _, body := range []string{"", "<", "no XML Fault>", "<a><Fault></a>", `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><x>Fault&gt;</x></s:Body></s:Envelope>`} {
		if f := faultIn(body); f != nil {
			t.Errorf("%q: %v", body, f)
		}
	}
	long := `<e><Body><Fault><Reason><Text>` + strings.Repeat("x ", 10_000) + `</Text></Reason></Fault></Body></e>`
	if f := faultIn(long); f == nil || len(f.Error()) > 500 {
		t.Errorf("got %v", f)
	}
}

func FuzzFault(f *testing.F) {
	f.Add(`<e><Body><Fault><Reason><Text>x</Text></Reason><Detail><WSManFault Code="2150858843"/></Detail></Fault></Body></e>`)
	f.Add("Fault>")
	f.Fuzz(func(t *testing.T, body string) {
		if fault := faultIn(body); fault != nil && len(fault.Text) > 2000 {
			t.Errorf("%d bytes", len(fault.Text))
		}
	})
}
