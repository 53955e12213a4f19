package vhd

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// simGuest serves a guest until the end of the test; its account is that of valid.
func simGuest(t *testing.T, server winsim.ServerOptions) *winsim.Running {
	t.Helper()
	sim, err := winsim.Start(context.WithoutCancel(t.Context()), winsim.Options{Root: t.TempDir(), User: "Administrator", Password: "secret", Speed: 50}, server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if shells, _ := sim.Server.Counts("Administrator"); shells > 0 {
			t.Errorf("%d shells are left", shells)
		}
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	return sim
}

func endpointOf(sim *winsim.Running) hypervisor.Endpoint {
	return hypervisor.Endpoint{Host: sim.Host, Port: sim.Port}
}

func TestLoginTellsAWrongPasswordFromAnotherFailure(t *testing.T) {
	negotiate, basic, both := winsim.ServerOptions{NTLM: true, NoBasic: true, Encrypted: true}, winsim.ServerOptions{}, winsim.ServerOptions{NTLM: true}
	secure := winsim.ServerOptions{TLS: true, NTLM: true}
	for name, c := range map[string]struct {
		server  winsim.ServerOptions
		options map[string]any
		fault   func(*wsman.Faults)
		refused bool
		want    string // of the error; "": none
	}{
		"nothing set, Basic only":          {server: basic},
		"nothing set, Negotiate only":      {server: negotiate},
		"nothing set, both":                {server: both},
		"NTLM":                             {server: negotiate, options: map[string]any{"winrm_use_ntlm": true}},
		"Basic":                            {server: both, options: map[string]any{"winrm_use_ntlm": false}},
		"NTLM where there is none":         {server: basic, options: map[string]any{"winrm_use_ntlm": true}, refused: true, want: "does not offer"},
		"Basic where there is none":        {server: negotiate, options: map[string]any{"winrm_use_ntlm": false}, refused: true, want: "401"},
		"a wrong password":                 {server: both, options: map[string]any{"winrm_password": "wrong"}, refused: true, want: "the login is refused"},
		"a wrong password, Basic":          {server: basic, options: map[string]any{"winrm_password": "wrong"}, refused: true, want: "refused"},
		"any certificate":                  {server: secure, options: map[string]any{"winrm_use_ssl": true, "winrm_insecure": true}},
		"an unknown certificate":           {server: secure, options: map[string]any{"winrm_use_ssl": true}, want: "set winrm_ca_file or winrm_pin, or winrm_insecure"},
		"another certificate":              {server: secure, options: map[string]any{"winrm_use_ssl": true, "winrm_pin": strings.Repeat("0a", 32)}, want: "not the pinned one"},
		"plain HTTP where TLS is expected": {server: basic, options: map[string]any{"winrm_use_ssl": true}, want: "TLS failed"},
		"no shell":                         {server: both, fault: func(f *wsman.Faults) { f.Inject(wsman.Rule{Action: "Create", Do: wsman.Fail, Code: 2150859173}) }, want: "quota of shells"},
		"silent":                           {server: both, fault: func(f *wsman.Faults) { f.BlackHole(true) }, want: "given up"},
	} {
		t.Run(name, func(t *testing.T) {
			sim := simGuest(t, c.server)
			if c.fault != nil {
				c.fault(sim.Faults)
			}
			b := newBench(t, c.options)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			err := login(ctx, b.run, endpointOf(sim))
			if (err == nil) != (c.want == "") || errors.Is(err, errRefused) != c.refused || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestLoginToAnotherService(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }))
	defer server.Close()
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, _ := strconv.Atoi(address.Port())
	if err := login(t.Context(), newBench(t, nil).run, hypervisor.Endpoint{Host: address.Hostname(), Port: port}); err == nil || errors.Is(err, errRefused) {
		t.Errorf("got %v", err)
	}
}
