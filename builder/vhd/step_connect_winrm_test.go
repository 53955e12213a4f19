package vhd

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	sdk "github.com/hashicorp/packer-plugin-sdk/communicator"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm/communicator"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// askedFor is a locator of one function.
type askedFor func(context.Context) (hypervisor.Endpoint, error)

func (f askedFor) Endpoint(ctx context.Context) (hypervisor.Endpoint, error) { return f(ctx) }

// connecting is a step that is to connect to a simulated guest.
func connecting(t *testing.T, b *bench, sim *winsim.Running) *stepConnect {
	t.Helper()
	step, own, login := connector(b.run.config, askedFor(func(context.Context) (hypervisor.Endpoint, error) { return endpointOf(sim), nil }), b.said.Say)
	own.gone, own.interval = b.run.machine.over, 50*time.Millisecond
	s := &stepConnect{inner: step, winrm: own, ssh: login}
	t.Cleanup(func() { s.Cleanup(b) })
	return s
}

func TestConnectOverWinRM(t *testing.T) {
	sim := simGuest(t, winsim.ServerOptions{NTLM: true})
	before := runtime.NumGoroutine()
	b := started(t, nil)
	s := connecting(t, b, sim)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b.wantContinue(t, s.Run(ctx, b))
	comm, ok := b.Get("communicator").(packersdk.Communicator)
	if _, ours := comm.(*communicator.Communicator); !ok || !ours {
		t.Fatalf("the communicator is a %T", comm)
	}
	told := b.Get("communicator_config").(*sdk.Config)
	if told.Host() != sim.Host || told.Port() != sim.Port || told.User() != "Administrator" || told.Password() != "secret" || told.Type != "winrm" {
		t.Errorf("provisioners are told %s:%d, %s", told.Host(), told.Port(), told.Type)
	}
	var out bytes.Buffer
	cmd := &packersdk.RemoteCmd{Command: "echo x", Stdout: &out}
	if err := comm.Start(ctx, cmd); err != nil || cmd.Wait() != 0 || strings.TrimSpace(out.String()) != "x" {
		t.Errorf("%v, %q", err, out.String())
	}
	// A cancel of the build ends the upload that is under way.
	content := make([]byte, 16<<20)
	_, _ = rand.Read(content) // zeros are sent at once, compressed
	sim.Faults.Inject(wsman.Rule{Action: "Send", Do: wsman.Hang, For: 50 * time.Millisecond})
	sent := make(chan error, 1)
	go func() { sent <- comm.Upload(`C:\x.bin`, bytes.NewReader(content), nil) }()
	time.AfterFunc(300*time.Millisecond, cancel)
	if err := <-sent; !errors.Is(err, errCancelled) {
		t.Errorf("the upload of a cancelled build: %v", err)
	}
	s.Cleanup(b)
	b.fake.Close()
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before+1; time.Sleep(time.Millisecond) { // what follows the machine
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func TestConnectOverTLSWithAPin(t *testing.T) {
	sim := simGuest(t, winsim.ServerOptions{TLS: true, NTLM: true})
	conn, err := tls.Dial("tcp", sim.Addr, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // to read its certificate
	if err != nil {
		t.Fatal(err)
	}
	pin := fmt.Sprintf("%X", sha256.Sum256(conn.ConnectionState().PeerCertificates[0].Raw))
	conn.Close()
	b := started(t, map[string]any{"winrm_use_ssl": true, "winrm_pin": pin})
	b.wantContinue(t, connecting(t, b, sim).Run(t.Context(), b))
	b = started(t, map[string]any{"winrm_use_ssl": true, "winrm_timeout": "2s"})
	b.wantHalt(t, connecting(t, b, sim).Run(t.Context(), b), "within 2s (winrm_timeout)", "unknown authority", "set winrm_ca_file or winrm_pin")
}

// TestConnectWaitsForPowerShell: Windows opens the port before it runs commands.
func TestConnectWaitsForPowerShell(t *testing.T) {
	sim := simGuest(t, winsim.ServerOptions{})
	sim.Faults.Inject(wsman.Rule{Action: "Create", Do: wsman.Fail, Code: 2150859173, Times: 2})
	b := started(t, map[string]any{"pause_before_connecting": "10ms"})
	b.wantContinue(t, connecting(t, b, sim).Run(t.Context(), b))
	said := fmt.Sprint(b.said.SayMessages)
	if strings.Count(said, "Waiting for WinRM to become available...") != 2 || !strings.Contains(said, "Pausing 10ms before connecting") {
		t.Errorf("said %s", said)
	}
}

func TestConnectGivesUp(t *testing.T) {
	var logged bytes.Buffer
	log.SetOutput(&logged)
	defer log.SetOutput(os.Stderr)
	sim := simGuest(t, winsim.ServerOptions{NTLM: true})
	b := started(t, map[string]any{"winrm_timeout": "2s", "winrm_password": "Wrong-Secret"})
	b.wantHalt(t, connecting(t, b, sim).Run(t.Context(), b), "connecting to the guest: ", "within 2s (winrm_timeout)", "the login is refused")
	b = started(t, nil)
	b.wantQuietHalt(t, connecting(t, b, sim).Run(cancelled(), b))
	if text := logged.String(); !strings.Contains(text, "not ready") || strings.Contains(text, "Wrong-Secret") || strings.Contains(text, "secret") {
		t.Errorf("logged:\n%s", text)
	}
}

// A machine may get another address when it restarts.
func TestTheMachineIsAskedForItsAddressAtEveryAttempt(t *testing.T) {
	asked := 0
	step, own, _ := connector(new(Config), askedFor(func(ctx context.Context) (hypervisor.Endpoint, error) {
		if _, limited := ctx.Deadline(); !limited {
			t.Error("it may wait forever")
		}
		if asked++; asked > 2 {
			return hypervisor.Endpoint{}, errors.New("no address yet")
		}
		return hypervisor.Endpoint{Host: fmt.Sprintf("192.0.2.%d", asked), Port: 5980 + asked}, nil
	}), nil)
	host, _ := step.(*sdk.StepConnect).Host(nil)
	ways, err := own.ways(t.Context())
	if err != nil || host != "192.0.2.1" || ways[0].Host != "192.0.2.2" || ways[0].Port != 5982 {
		t.Errorf("%s, %+v, %v", host, ways, err)
	}
	if _, err := own.ways(t.Context()); err == nil {
		t.Error("an address out of nothing")
	}
}

// TestShutdownCommandIsNotCutOff: the communicator returns while it runs.
func TestShutdownCommandIsNotCutOff(t *testing.T) {
	sim := simGuest(t, winsim.ServerOptions{})
	b := started(t, nil)
	b.wantContinue(t, connecting(t, b, sim).Run(t.Context(), b))
	if err := b.run.machine.send(t.Context(), b.Get("communicator").(packersdk.Communicator), `ping -n 100 127.0.0.1 & echo done> C:\done.txt`); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := b.Get("communicator").(packersdk.Communicator).Download(`C:\done.txt`, &got); err != nil || strings.TrimSpace(got.String()) != "done" {
		t.Errorf("%q, %v", got.String(), err)
	}
}
