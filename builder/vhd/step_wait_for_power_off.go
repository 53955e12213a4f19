package vhd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/multistep"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

// commandLimit is how long sending shutdown_command may take. Its end is not
// waited for longer, because over WinRM it may never come.
const commandLimit = time.Minute

// expecter is a machine that can be told that its guest only has to power off.
type expecter interface{ ExpectOff() }

// stepWaitForPowerOff waits until the guest is off. Only a guest that did that
// itself has an image worth keeping.
type stepWaitForPowerOff struct{}

func (s *stepWaitForPowerOff) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	run, ui := runOf(state)
	defer run.phase("power-off", state)()
	m, limit := run.machine, run.config.ShutdownTimeout
	m.ExpectOff()
	if !m.over() {
		if command := run.config.ShutdownCommand; command != "" {
			ui.Say("Sending shutdown_command")
			comm, _ := state.Get("communicator").(packersdk.Communicator)
			if err := m.send(ctx, comm, command); err != nil {
				ui.Sayf("shutdown_command: %s; waiting for the guest anyway", err)
			}
		}
		ui.Sayf("Waiting up to %s for the guest to power off", limit)
	}
	watch := run.awaits(ctx, heartbeat.Facts{Doing: "waiting for the guest to power off", Limit: limit, Option: "shutdown_timeout"})
	if m.waiter != nil {
		watch.knows = m.waiter.WaitingFor
	}
	asked := presses{off: run.awaitOff(ctx, ui, limit)}
	watch.end()
	if m.button != nil && !asked.off && ctx.Err() == nil && hypervisor.Sum(run.events.Events()).Paused == "" {
		ui.Sayf("The guest is still running after %s; asking it over ACPI to shut down, every %s for as long again", limit, pressEvery)
		watch := run.awaits(ctx, heartbeat.Facts{Doing: "asking the guest over ACPI to power off", Limit: limit, Option: "shutdown_timeout"})
		asked = run.powerButton(ctx, ui, m.button, limit)
		watch.end()
	}
	switch {
	case ctx.Err() != nil:
		// The machine is ended at once by stepStartMachine: whoever cancels does not
		// want the image, and waits for his terminal.
		return multistep.ActionHalt
	case !asked.off:
		return halt(state, s.giveUp(ctx, run, asked))
	case !m.fate.Clean():
		return halt(state, fmt.Errorf("waiting for the guest to power off: %s%s", m.fate, asked.clause()))
	}
	ui.Sayf("The machine is off: %s%s", m.fate, asked.clause())
	return multistep.ActionContinue
}

func (*stepWaitForPowerOff) Cleanup(multistep.StateBag) {}

// giveUp ends a guest that would not power off.
func (s *stepWaitForPowerOff) giveUp(ctx context.Context, run *run, asked presses) error {
	picture := run.photograph(ctx)
	if w := run.machine.waiter; w != nil && w.WaitingFor() != "" {
		return fmt.Errorf("the machine is not off after %s (shutdown_timeout): %s; shut it down, close what holds the file, or raise the timeout", run.config.ShutdownTimeout, w.WaitingFor())
	}
	killer := run.machine.killer
	if killer == nil {
		return fmt.Errorf("the machine was not seen to be off within %s (shutdown_timeout); shut it down in the last provisioner, or raise the timeout%s", run.config.ShutdownTimeout, picture)
	}
	now := hypervisor.Sum(run.events.Events())
	nor := ""
	if asked.pressed > 0 {
		nor = fmt.Sprintf(", nor within as long again when asked over ACPI (%s),", asked)
	} else if asked.err != nil {
		nor = fmt.Sprintf(", could not be asked over ACPI (%s)", asked.err)
	}
	err := fmt.Errorf("the guest did not power off within %s (shutdown_timeout)%s and was forced off: its disk cannot be used as an image%s", run.config.ShutdownTimeout, nor, picture)
	switch {
	case now.Paused != "":
		err = fmt.Errorf("the machine is paused (%s), so the guest could not power off within %s (shutdown_timeout); it was forced off and its disk cannot be used as an image: remove what pauses it and run the build again", now.Paused, run.config.ShutdownTimeout)
	case !now.LastRestart.IsZero():
		err = fmt.Errorf("%w; the machine last restarted at %s, before provisioning was over: a restart after sysprep begins the first boot of the image", err, now.LastRestart.Format(time.TimeOnly))
	}
	if killErr := killer.Kill(ctx); killErr != nil {
		return errors.Join(err, killErr)
	}
	return err
}

// send starts a command that may well take the connection with it. The result
// is worth a line, never a verdict: only the machine's fate is.
func (m *machine) send(ctx context.Context, comm packersdk.Communicator, command string) error {
	if comm == nil {
		return errors.New("there is no communicator")
	}
	alive, release := m.bind(ctx, "sending shutdown_command", func(hypervisor.Fate) time.Duration { return 0 })
	defer release()
	alive, cancel := context.WithTimeout(alive, commandLimit)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		cmd := &packersdk.RemoteCmd{Command: command, Stdout: io.Discard, Stderr: io.Discard}
		err := comm.Start(alive, cmd)
		if err == nil {
			cmd.Wait() // the end of alive ends the command
		}
		done <- err
	}()
	select {
	case err := <-done:
		if m.over() {
			return nil // the connection went with the guest
		}
		return err
	case <-alive.Done():
		log.Printf("shutdown_command: %v", context.Cause(alive))
		return nil
	}
}
