package vhd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	winrmclient "github.com/masterzen/winrm"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

// loginLimit bounds one attempt to open a shell.
const loginLimit = 30 * time.Second

// errRefused: the service did not take user and password, or not this way.
var errRefused = errors.New("user or password refused")

// login opens a shell with the communicator's own settings and closes it
// again, which tells a wrong password from a guest that is not ready.
func login(ctx context.Context, run *run, at hypervisor.Endpoint) error {
	c := &run.config.Comm
	endpoint := winrmclient.NewEndpoint(at.Host, at.Port, c.WinRMUseSSL, c.WinRMInsecure, nil, nil, nil, loginLimit)
	parameters := *winrmclient.DefaultParameters
	if c.WinRMTransportDecorator != nil {
		parameters.TransportDecorator = c.WinRMTransportDecorator
	}
	client, err := winrmclient.NewClientWithParameters(endpoint, c.WinRMUser, c.WinRMPassword, &parameters)
	if err != nil {
		return fmt.Errorf("preparing WinRM client: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, loginLimit)
	defer cancel()
	done := make(chan error, 1)
	go func() { // ends by itself: the client gives up after loginLimit, too
		shell, err := client.CreateShell()
		if err == nil {
			err = shell.Close()
		}
		done <- err
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		return fmt.Errorf("opening a shell: no answer: %w", ctx.Err())
	}
	switch {
	case err == nil:
		return nil
	// The library has no type for it: "http response error: 401 - ...".
	case strings.Contains(err.Error(), "error: 401") || strings.Contains(err.Error(), "http error 401"):
		return errRefused
	}
	return fmt.Errorf("opening a shell: %w", err)
}

// authentication names the way of the communicator, for the user to compare.
func authentication(run *run) string {
	way := "Basic authentication (winrm_use_ntlm is not set)"
	if run.config.Comm.WinRMTransportDecorator != nil {
		way = "NTLM (Negotiate) authentication"
	}
	if run.config.Comm.WinRMUseSSL {
		return way + " over HTTPS"
	}
	return way + " over unencrypted HTTP"
}
