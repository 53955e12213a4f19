package vhd

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	sdk "github.com/hashicorp/packer-plugin-sdk/communicator"
	"github.com/hashicorp/packer-plugin-sdk/multistep"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm/communicator"
)

// checkInterval is between two looks whether the guest runs commands.
const checkInterval = 5 * time.Second

// stepConnectWinRM makes the communicator. The SDK's StepConnect runs it a second
// time after pause_before_connecting.
type stepConnectWinRM struct {
	config   *Config
	options  *sdk.Config // what provisioners are told
	endpoint func(context.Context) (hypervisor.Endpoint, error)
	interval time.Duration // checkInterval unless a test says otherwise
	heart    *heartbeat.Heart

	comm *communicator.Communicator
	free func() bool // of the end of the build
	gone func() bool // there is nobody to take leave of
}

// Run implements multistep.Step.
func (s *stepConnectWinRM) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	ui := state.Get("ui").(packersdk.Ui)
	if s.comm == nil {
		s.comm = communicator.New(communicator.Options{Settings: s.ways, UI: ui, Heart: s.heart, Note: func(why string) {
			ui.Say("Files go to the guest in a slower way: " + why)
		}})
	}
	ui.Say("Waiting for WinRM to become available...")
	limited, cancel := context.WithTimeout(ctx, s.config.Comm.WinRMTimeout)
	defer cancel()
	interval := s.interval
	if interval == 0 {
		interval = checkInterval
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var last error
	deadline, _ := limited.Deadline()
	for {
		err := s.comm.Check(limited)
		if err == nil {
			break
		}
		if last == nil || limited.Err() == nil && time.Now().Before(deadline) { // what was interrupted says less
			last = err
		}
		log.Printf("[DEBUG] WinRM is not ready: %v", err)
		select {
		case <-ticker.C:
			continue
		case <-limited.Done():
		}
		if ctx.Err() != nil {
			return multistep.ActionHalt
		}
		return halt(state, fmt.Errorf("WinRM runs no command within %s (winrm_timeout): %w%s", s.config.Comm.WinRMTimeout, last, distrusted(last)))
	}
	at, err := s.endpoint(limited)
	if err != nil {
		return halt(state, fmt.Errorf("finding the guest's address: %w", err))
	}
	s.options.WinRMHost, s.options.WinRMPort = at.Host, at.Port
	ui.Say("Connected to WinRM!")
	state.Put("communicator", packersdk.Communicator(s.comm))
	return multistep.ActionContinue
}

// ways asks the machine where it is.
func (s *stepConnectWinRM) ways(ctx context.Context) ([]winrm.Config, error) {
	at, err := s.endpoint(ctx)
	if err != nil {
		return nil, err
	}
	return s.config.winrmWays(at)
}

// errCancelled is why a transfer was ended.
var errCancelled = errors.New("the build was cancelled")

// until lets the end of the build end the transfers under way: Packer gives them no
// context.
func (s *stepConnectWinRM) until(build context.Context) {
	s.free = context.AfterFunc(build, func() { s.comm.StopTransfers(errCancelled) })
}

// Cleanup implements multistep.Step.
func (s *stepConnectWinRM) Cleanup(multistep.StateBag) {
	if s.free != nil {
		s.free()
	}
	if s.comm == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if s.gone != nil && s.gone() {
		cancel()
	}
	s.comm.Close(ctx)
}
