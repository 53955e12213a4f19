package winsim

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/sshd"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// ServerOptions describes the WinRM service of an in-process guest.
type ServerOptions struct {
	// Addr to listen on; empty means a free port of 127.0.0.1. SSHAddr is that of
	// the SSH server, where Scenario.SSH has one.
	Addr, SSHAddr string
	// TLS serves HTTPS with a certificate made on the spot.
	TLS bool
	// NTLM and NoBasic choose the authentication; Basic is on by default.
	NTLM, NoBasic bool
	// Encrypted refuses plain requests over HTTP, the default of Windows.
	Encrypted bool
	Limits    wsman.Limits
	OnEvent   func(wsman.Event)
}

// Running is a guest with its WinRM service.
type Running struct {
	Addr, Host string
	Port       int
	Guest      *Guest
	Server     *wsman.Server
	SSH        *sshd.Server // nil without one
	Faults     *wsman.Faults

	reached sync.Mutex
	was     Reach // of a Replay

	cancel context.CancelFunc
	off    chan struct{}
	wg     sync.WaitGroup
	once   sync.Once
	err    error
}

// Start runs a guest in this process. A reboot closes the port and opens it
// again, power-off closes it for good (Off). The guest ends with ctx or Close.
func Start(ctx context.Context, opt Options, srv ServerOptions) (*Running, error) {
	if srv.Addr == "" {
		srv.Addr = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", srv.Addr)
	if err != nil {
		return nil, fmt.Errorf("opening the WinRM port: %w", err)
	}
	r := &Running{Addr: listener.Addr().String(), off: make(chan struct{})}
	host, port, _ := net.SplitHostPort(r.Addr)
	r.Host = host
	r.Port, _ = strconv.Atoi(port)

	ctx, r.cancel = context.WithCancel(ctx)
	ready := make(chan struct{}) // nothing happens to a service that is not there yet
	outerPower, outerWinRM := opt.Power, opt.WinRM
	opt.Power = func(e PowerEvent) {
		<-ready
		r.power(ctx, e)
		if outerPower != nil {
			outerPower(e)
		}
	}
	opt.WinRM = func(s WinRMState) {
		<-ready
		if err := ApplyWinRM(r.Server, s); err != nil {
			r.Guest.logf("WinRM %s: %v", s, err)
		}
		if outerWinRM != nil {
			outerWinRM(s)
		}
	}
	var first Moment
	if outer := opt.Moment; opt.Scenario.Replay != nil {
		opt.Moment = func(m Moment, start int) {
			select {
			case <-ready:
				if err := r.reach(m); err != nil {
					r.Guest.logf("replay: %v", err)
				}
			default: // the first moment, before there is a service
				first = m
			}
			if outer != nil {
				outer(m, start)
			}
		}
	}
	r.Guest, err = New(opt)
	if err != nil {
		r.cancel()
		listener.Close()
		return nil, err
	}
	r.Server = &wsman.Server{
		Users: map[string]string{r.Guest.opt.User: opt.Password}, Basic: !srv.NoBasic, NTLM: srv.NTLM,
		AllowUnencrypted: !srv.Encrypted, Limits: r.Guest.Limits(srv.Limits), Version: r.Guest.Version(), Handler: r.Guest.Handler(), LetsIn: r.Guest.LetsIn, Machine: ComputerName, OnEvent: srv.OnEvent,
	}
	r.Faults = &r.Server.Faults
	if err := r.startSSH(srv.SSHAddr); err != nil {
		r.cancel()
		return nil, errors.Join(err, listener.Close(), r.Guest.Close())
	}
	serve := func() error { return r.Server.Serve(listener) }
	if srv.TLS {
		cert, err := selfSigned(r.Host)
		if err != nil {
			r.cancel()
			return nil, errors.Join(err, listener.Close(), r.Guest.Close())
		}
		serve = func() error { return r.Server.ServeTLS(listener, cert) }
	}
	if delay, ok := r.Guest.WinRMDelay(); !ok {
		r.Faults.BlackHole(true)
	} else if delay > 0 {
		r.Faults.SlowStart(delay)
	}
	close(ready)
	if err := r.reach(first); err != nil {
		r.Guest.logf("replay: %v", err)
	}
	r.wg.Add(2)
	go func() {
		defer r.wg.Done()
		if err := serve(); err != nil {
			r.Guest.logf("WinRM service: %v", err)
		}
	}()
	go func() {
		defer r.wg.Done()
		<-ctx.Done()
		r.Guest.end()
	}()
	return r, nil
}

// reach lets the service be reached as it was at a moment. Over WinRM a port that
// answers while commands do not is one that answers nothing.
func (r *Running) reach(m Moment) error {
	r.reached.Lock()
	defer r.reached.Unlock()
	if m.Foreign || m.Rebooted {
		r.Server.DropShells()
	}
	if m.Reach == r.was {
		return nil
	}
	r.was = m.Reach
	switch m.Reach {
	case Refuses:
		r.Faults.RejectCredentials(true, false)
	case Hangs, Silent:
		r.Faults.BlackHole(true)
	case Closed:
		r.Faults.ResetConnections()
		return r.Faults.ClosePort(true)
	default:
		return r.Faults.Clear() // opens the port too
	}
	return nil
}

// power is what the hardware does. It runs on the guest's own goroutine.
func (r *Running) power(ctx context.Context, e PowerEvent) {
	if err := r.Faults.ClosePort(true); err != nil {
		r.Guest.logf("closing the WinRM port: %v", err)
	}
	r.Server.DropShells()
	if r.SSH != nil {
		r.SSH.Shut()
	}
	if e == PowerOff {
		close(r.off)
		return
	}
	if !r.Guest.sleep(ctx, r.Guest.scenario.BootTakes.or(r.Guest.durations().boot)) {
		return
	}
	if err := r.Guest.Boot(); err != nil {
		r.Guest.logf("booting: %v", err)
		return
	}
	delay, ok := r.Guest.WinRMDelay()
	if !ok {
		return // waits in the first-boot dialogs; the port stays closed
	}
	r.Faults.SlowStart(delay)
	r.Faults.RejectCredentials(false, false) // the service is a new one
	if err := r.Faults.ClosePort(false); err != nil {
		r.Guest.logf("opening the WinRM port: %v", err)
	}
	if r.SSH != nil {
		if err := r.SSH.Open(); err != nil {
			r.Guest.logf("%v", err)
		}
	}
}

// startSSH opens the SSH server, where the guest has one.
func (r *Running) startSSH(addr string) error {
	if r.SSH = r.Guest.SSHServer(cmp.Or(addr, "127.0.0.1:0")); r.SSH == nil {
		return nil
	}
	return r.SSH.Open()
}

// Off is closed when the guest has powered itself off.
func (r *Running) Off() <-chan struct{} { return r.off }

// Close stops service and guest, and waits for both.
func (r *Running) Close() error {
	r.once.Do(func() {
		r.cancel()
		r.err = r.Server.Close()
		if r.SSH != nil {
			r.SSH.Shut()
		}
		if err := r.Guest.Close(); err != nil {
			r.err = err
		}
		r.wg.Wait()
	})
	return r.err
}

// ApplyWinRM makes a service behave as the guest says (Options.WinRM).
func ApplyWinRM(s *wsman.Server, state WinRMState) error {
	switch state {
	case WinRMNoShells:
		s.Faults.RejectCredentials(false, true)
	case WinRMBlackHole:
		s.Faults.BlackHole(true)
	case WinRMClosed:
		return s.Faults.ClosePort(true)
	case winRMFrozen:
		s.Faults.Freeze(true)
	case winRMThawed:
		s.Faults.Freeze(false)
	case winRMOpen:
		return s.Faults.ClosePort(false)
	case WinRMReset:
		s.Faults.ResetConnections()
		return s.Faults.ClosePort(true)
	default:
		return s.Faults.Clear() // opens the port too
	}
	return nil
}

func selfSigned(host string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making the WinRM certificate: %w", err)
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: ComputerName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), IPAddresses: []net.IP{net.ParseIP(host)},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making the WinRM certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
