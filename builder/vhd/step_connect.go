package vhd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/communicator"
	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

// stepConnect is the SDK's StepConnect, ended when the machine ends. Over WinRM the
// communicator is our own.
type stepConnect struct {
	inner multistep.Step // the SDK's unless a test says otherwise
	winrm *stepConnectWinRM
	ssh   *sshLogin // nil: a test's step connects
}

func (s *stepConnect) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	run, ui := runOf(state)
	defer run.phase("connect", state)()
	if s.inner == nil {
		s.inner, s.winrm, s.ssh = connector(run.config, run.machine, ui.Say)
		s.winrm.gone, s.winrm.heart = run.machine.over, run.heart
	}
	alive, release := run.machine.bind(ctx, "connecting to the guest", func(hypervisor.Fate) time.Duration { return 0 })
	defer release()
	watch := run.awaits(alive, run.config.connecting())
	s.ssh.begins(run.config)
	action := s.inner.Run(alive, state)
	watch.end()
	if action == multistep.ActionContinue {
		s.ssh.connected()
		if s.winrm != nil && s.winrm.comm != nil {
			s.winrm.until(ctx)
		}
		return multistep.ActionContinue
	}
	ended := (*endedError)(nil)
	switch err, _ := state.Get("error").(error); {
	case ctx.Err() != nil:
		return multistep.ActionHalt
	case errors.As(context.Cause(alive), &ended):
		return halt(state, ended)
	case err != nil:
		return halt(state, fmt.Errorf("connecting to the guest: %w%s%s", err, s.ssh.clause(), run.photograph(ctx)))
	}
	return halt(state, fmt.Errorf("connecting to the guest over %s failed; the lines above say why%s%s", run.config.Comm.Type, s.ssh.clause(), run.photograph(ctx)))
}

func (s *stepConnect) Cleanup(state multistep.StateBag) {
	if s.inner != nil {
		s.inner.Cleanup(state)
	}
}

// connecting says what is waited for until the communicator is there.
func (c *Config) connecting() heartbeat.Facts {
	switch c.Comm.Type {
	case "winrm":
		return heartbeat.Facts{Doing: "waiting until WinRM runs a command", Limit: c.Comm.PauseBeforeConnect + c.Comm.WinRMTimeout, Option: "winrm_timeout"}
	case "ssh":
		return heartbeat.Facts{Doing: "waiting for SSH", Limit: c.Comm.PauseBeforeConnect + c.Comm.SSHTimeout, Option: "ssh_timeout"}
	}
	return heartbeat.Facts{Doing: "connecting"}
}

// locator knows where the guest is.
type locator interface {
	Endpoint(context.Context) (hypervisor.Endpoint, error)
}

// connector asks the machine for its address at every attempt.
func connector(c *Config, guest locator, say func(string)) (multistep.Step, *stepConnectWinRM, *sshLogin) {
	endpoint := func(ctx context.Context) (hypervisor.Endpoint, error) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		return guest.Endpoint(ctx)
	}
	options := c.Comm
	login := &sshLogin{config: &c.Comm, guard: c.guard, say: say, now: time.Now}
	own := &stepConnectWinRM{config: c, options: &options, endpoint: endpoint}
	return &communicator.StepConnect{
		Config: &options,
		Host: func(multistep.StateBag) (string, error) {
			e, err := endpoint(context.Background())
			return e.Host, err
		},
		SSHConfig: login.configure(),
		SSHPort: func(multistep.StateBag) (int, error) {
			e, err := endpoint(context.Background())
			return e.Port, err
		},
		CustomConnect: map[string]multistep.Step{"winrm": own},
	}, own, login
}
