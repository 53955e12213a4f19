package vhd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm/communicator"
)

// loginLimit bounds one attempt to open a shell.
const loginLimit = 30 * time.Second

// errRefused: the service did not take user and password, or not this way.
var errRefused = errors.New("user or password refused")

// login opens a shell with the communicator's own settings and closes it
// again, which tells a wrong password from a guest that is not ready.
func login(ctx context.Context, run *run, at hypervisor.Endpoint) error {
	ways, err := run.config.winrmWays(at)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, loginLimit)
	defer cancel()
	client, err := communicator.Connect(ctx, ways)
	if err != nil {
		return refusal(err)
	}
	defer client.Close()
	shell, err := client.OpenShell(ctx, winrm.ShellOptions{})
	if err != nil {
		return refusal(err)
	}
	if err := shell.Close(ctx); err != nil {
		return fmt.Errorf("closing a shell: %w", err)
	}
	return nil
}

func refusal(err error) error {
	if errors.Is(err, winrm.ErrUnauthorized) {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	return fmt.Errorf("%w%s", err, distrusted(err))
}
