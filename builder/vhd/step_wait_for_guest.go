package vhd

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
)

const (
	probeInterval = 2 * time.Second
	// refusedPause is between two logins that are refused: Windows locks an account
	// after ten (the default of Windows 11 22H2 and Server 2025).
	refusedPause = 10 * time.Second
)

// stepWaitForGuest waits until WinRM answers and takes the credentials. Packer's
// own step would say neither why it waits nor why it gave up, and takes a
// forwarded port of a dead guest for a guest.
type stepWaitForGuest struct {
	probe func(ctx context.Context, host string, port int) (winrm.Reach, error) // winrm.Probe
	login func(ctx context.Context, run *run, at hypervisor.Endpoint) error     // login
}

func (s *stepWaitForGuest) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	run, ui := runOf(state)
	if run.config.Comm.Type != "winrm" {
		return multistep.ActionContinue
	}
	if s.probe == nil {
		s.probe, s.login = winrm.Probe, login
	}
	limit := run.config.Comm.WinRMTimeout
	alive, release := run.machine.bind(ctx, "waiting for WinRM", func(hypervisor.Fate) time.Duration { return 0 })
	defer release()
	waiting, cancel := context.WithTimeout(alive, limit)
	defer cancel()

	w := guestWait{stepWaitForGuest: s, say: ui.Say, reach: winrm.Silent}
	watch := run.awaits(waiting, heartbeat.Facts{Doing: "waiting for WinRM", Limit: limit, Option: "winrm_timeout"})
	w.tell = watch.tell
	err := w.wait(waiting, run, run.machine)
	watch.end()
	ended := (*endedError)(nil)
	switch {
	case err == nil:
		return multistep.ActionContinue
	case ctx.Err() != nil:
		return multistep.ActionHalt
	case errors.As(context.Cause(alive), &ended):
		return halt(state, ended)
	case waiting.Err() != nil:
		return halt(state, fmt.Errorf("%s within %s (winrm_timeout)%s", w.verdict(run), limit, run.photograph(ctx)))
	}
	return halt(state, err)
}

func (*stepWaitForGuest) Cleanup(multistep.StateBag) {}

// guestWait is one wait, with what was seen last.
type guestWait struct {
	*stepWaitForGuest
	say     func(string)
	tell    func(string) // what is known by now
	reach   winrm.Reach
	refused error // what the login failed with last
	rested  time.Time
}

func (w *guestWait) wait(ctx context.Context, run *run, guest locator) error {
	at, err := guest.Endpoint(ctx)
	if err != nil {
		return fmt.Errorf("finding the guest's address: %w", err)
	}
	w.say(fmt.Sprintf("Waiting for WinRM at %s:%d", at.Host, at.Port))
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	for {
		reach, err := w.probe(ctx, at.Host, at.Port)
		if ctx.Err() != nil {
			return ctx.Err() // an interrupted look has seen nothing
		}
		log.Printf("WinRM is %s (%v)", reach, err)
		w.reach = reach
		if w.reach == winrm.Open && !time.Now().Before(w.rested) {
			before := w.refused
			refused := w.login(ctx, run, at)
			if refused == nil {
				return nil
			}
			if ctx.Err() != nil && before != nil {
				return ctx.Err() // the answer before says more
			}
			if w.refused = refused; errors.Is(refused, errRefused) {
				w.rested = time.Now().Add(refusedPause)
			}
			log.Printf("WinRM login: %v", w.refused)
			if before == nil && distrusted(w.refused) != "" {
				w.say(fmt.Sprintf("WinRM answers, but not with a certificate that is trusted; still waiting, in case Windows has not finished setting up: %s", w.refused))
			}
			if before == nil && errors.Is(w.refused, errRefused) {
				w.say(fmt.Sprintf("WinRM answers but refuses user %q; still waiting, in case Windows has not finished setting up the account", run.config.Comm.WinRMUser))
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// verdict says what a wait that was in vain ended with.
func (w *guestWait) verdict(run *run) string {
	switch {
	case errors.Is(w.refused, errRefused):
		return fmt.Sprintf("WinRM answers, but it did not accept user %q: check winrm_username and winrm_password, and that the guest allows %s", run.config.Comm.WinRMUser, authentication(run))
	case w.refused != nil:
		return fmt.Sprintf("WinRM answers, but no shell could be opened (%s)", w.refused)
	case w.reach == winrm.Silent:
		return "no answer from WinRM (the guest has not booted yet, or its WinRM service or firewall keeps the port closed)"
	}
	return fmt.Sprintf("no answer from WinRM (the port was %s)", w.reach)
}
