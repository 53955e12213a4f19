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
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lockout"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
)

const (
	probeInterval = 2 * time.Second
	// refusedPause is the least time between two logins that are refused. One that
	// counts towards a lockout waits for the guard of the account.
	refusedPause = 10 * time.Second
)

// stepWaitForGuest waits until WinRM answers and takes the credentials. Packer's
// own step would say neither why it waits nor why it gave up, and takes a
// forwarded port of a dead guest for a guest.
type stepWaitForGuest struct {
	probe func(ctx context.Context, host string, port int) (winrm.Reach, error) // winrm.Probe
	login func(ctx context.Context, run *run, at hypervisor.Endpoint) error     // login
	// speed is how much faster than the host's the clock of guard and guest runs; 0: not.
	speed float64
}

func (s *stepWaitForGuest) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	run, ui := runOf(state)
	defer run.phase("wait", state)()
	if run.config.Comm.Type != "winrm" {
		return multistep.ActionContinue
	}
	if s.probe == nil {
		s.probe, s.login = winrm.Probe, login
	}
	if s.speed == 0 {
		s.speed = 1
	}
	limit := run.config.Comm.WinRMTimeout
	alive, release := run.machine.bind(ctx, "waiting for WinRM", func(hypervisor.Fate) time.Duration { return 0 })
	defer release()
	waiting, cancel := context.WithTimeout(alive, s.real(limit))
	defer cancel()

	w := guestWait{stepWaitForGuest: s, say: ui.Say, reach: winrm.Silent, ends: time.Now().Add(s.real(limit))}
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
	ends    time.Time
	held    bool // it was said that no login is tried
}

func (w *guestWait) wait(ctx context.Context, run *run, guest locator) error {
	at, err := guest.Endpoint(ctx)
	if err != nil {
		return fmt.Errorf("finding the guest's address: %w", err)
	}
	w.say(fmt.Sprintf("Waiting for WinRM at %s:%d", at.Host, at.Port))
	ticker := time.NewTicker(w.real(probeInterval))
	defer ticker.Stop()
	for {
		reach, err := w.probe(ctx, at.Host, at.Port)
		if ctx.Err() != nil {
			return ctx.Err() // an interrupted look has seen nothing
		}
		log.Printf("WinRM is %s (%v)", reach, err)
		w.reach = reach
		w.tell(w.now(run))
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
				w.rest(run)
			}
			log.Printf("WinRM login: %v", w.refused)
			if before == nil && distrusted(w.refused) != "" {
				w.say(fmt.Sprintf("WinRM answers, but not with a certificate that is trusted; still waiting, in case Windows has not finished setting up: %s", w.refused))
			}
			if before == nil && errors.Is(w.refused, errRefused) {
				w.say(fmt.Sprintf("WinRM answers but refuses user %q; still waiting, in case Windows has not finished setting up the account. The next logins follow at growing intervals, so that Windows does not lock it", run.config.Comm.WinRMUser))
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// rest decides when the next login is tried after one that was refused.
func (w *guestWait) rest(run *run) {
	guard, now := run.config.guard, time.Now()
	pause := max(refusedPause, guard.Pause(time.Duration(float64(w.ends.Sub(now))*w.speed)))
	w.rested = now.Add(w.real(pause))
	held := (*lockout.HeldError)(nil)
	if errors.As(guard.May(), &held) && !w.held {
		w.held = true
		w.say(fmt.Sprintf("WinRM answers, but %s", held))
	}
}

// real is how long a duration lasts.
func (s *stepWaitForGuest) real(d time.Duration) time.Duration {
	return time.Duration(float64(d) / s.speed)
}

// now says what was seen last, for somebody who waits.
func (w *guestWait) now(run *run) string {
	switch {
	case errors.Is(w.refused, errRefused):
		return fmt.Sprintf("WinRM answers and refuses user %q%s", run.config.Comm.WinRMUser, times(run.config.guard.Count()))
	case w.refused != nil:
		return "WinRM answers, but no shell could be opened"
	}
	return fmt.Sprintf("the port is %s", w.reach)
}

// verdict says what a wait that was in vain ended with.
func (w *guestWait) verdict(run *run) string {
	switch {
	case errors.Is(w.refused, errRefused):
		return fmt.Sprintf("WinRM answers, but it did not accept user %q%s: check winrm_username and winrm_password, and that the guest allows %s", run.config.Comm.WinRMUser, times(run.config.guard.Count()), authentication(run))
	case w.refused != nil:
		return fmt.Sprintf("WinRM answers, but no shell could be opened (%s)", w.refused)
	case w.reach == winrm.Silent:
		return "no answer from WinRM (the guest has not booted yet, or its WinRM service or firewall keeps the port closed)"
	}
	return fmt.Sprintf("no answer from WinRM (the port was %s)", w.reach)
}

// times says how often a login was refused, where that is known.
func times(refused int) string {
	if refused == 0 {
		return ""
	}
	return fmt.Sprintf(" (logins refused in a row: %d)", refused)
}
