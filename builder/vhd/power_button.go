package vhd

import (
	"context"
	"fmt"
	"log"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

const (
	// pressEvery is how far apart two presses of the power button are. A Windows
	// whose display is off takes a press for a wake-up only, so one is not enough;
	// one that comes while it still wakes, or shuts down, does nothing.
	pressEvery = 25 * time.Second
	// lookEvery is how often what the machine does is looked at in between.
	lookEvery = time.Second
	// restartGrace is how long a driver may take to end a machine whose restart
	// is its fate.
	restartGrace = 15 * time.Second
	// writeBackLimit is how long a hypervisor may go on writing after its guest
	// is off. QEMU's driver ends its own wait before.
	writeBackLimit = 3 * time.Minute
)

// pressing is what is known when a press is decided on.
type pressing struct {
	tried    int           // presses, whether they came through or not
	since    time.Duration // the last press
	left     time.Duration // of the limit
	machine  hypervisor.Standing
	restarts int // before the first press
}

// next says whether the power button is pressed now, and after what time to
// ask again: 0 is never. A paused machine is not pressed until it is resumed,
// one that is off or has restarted never again.
func (p pressing) next() (press bool, again time.Duration) {
	switch {
	case p.left <= 0, p.machine.Off, p.machine.Restarts > p.restarts:
		return false, 0
	case p.machine.Paused != "":
		return false, min(pressEvery, p.left)
	case p.tried > 0 && p.since < pressEvery:
		return false, min(pressEvery-p.since, p.left)
	}
	return true, min(pressEvery, p.left)
}

// presses is what asking a guest over ACPI came to.
type presses struct {
	off       bool // the machine has ended
	restarted bool // it came back instead
	pressed   int
	failed    int
	err       error // of the last press that failed
}

// String says how often.
func (p presses) String() string {
	if p.pressed == 1 {
		return "its power button was pressed once"
	}
	return fmt.Sprintf("its power button was pressed %d times", p.pressed)
}

// clause is String for the end of a sentence, "" without a press.
func (p presses) clause() string {
	if p.pressed == 0 {
		return ""
	}
	return "; " + p.String()
}

// powerButton presses the power button until the machine has ended, has
// restarted, or limit is over. The presses themselves are not told: the caller
// says what they came to.
func (r *run) powerButton(ctx context.Context, ui packersdk.Ui, button hypervisor.PowerDowner, limit time.Duration) (p presses) {
	began := time.Now()
	last, restarts := began, hypervisor.Sum(r.events.Events()).Restarts
	for {
		now, standing := time.Now(), hypervisor.Sum(r.events.Events())
		press, again := pressing{p.pressed + p.failed, now.Sub(last), limit - now.Sub(began), standing, restarts}.next()
		if press {
			last = now
			p.press(ctx, button, r.machine, ui)
		}
		if again == 0 {
			p.restarted = standing.Restarts > restarts
			break
		}
		if p.off = r.machine.awaitEnd(ctx, min(again, lookEvery)); p.off || ctx.Err() != nil {
			return p
		}
	}
	if p.restarted {
		p.off = r.machine.awaitEnd(ctx, restartGrace)
	} else {
		p.off = r.awaitOff(ctx, ui, limit-time.Since(began))
	}
	return p
}

// press presses once. The first failure is told.
func (p *presses) press(ctx context.Context, button hypervisor.PowerDowner, m *machine, ui packersdk.Ui) {
	err := button.PowerDown(ctx)
	switch {
	case err == nil:
		p.pressed++
		log.Printf("power button: pressed (%d)", p.pressed)
	case m.over() || ctx.Err() != nil:
	default:
		if p.err == nil {
			ui.Sayf("Asking the guest over ACPI: %s", err)
		}
		p.failed, p.err = p.failed+1, err
	}
}

// awaitOff is awaitEnd for a machine whose guest may be off already while its
// hypervisor still writes: such a machine is not given up.
func (r *run) awaitOff(ctx context.Context, ui packersdk.Ui, limit time.Duration) bool {
	if r.machine.awaitEnd(ctx, limit) {
		return true
	}
	if ctx.Err() != nil || !hypervisor.Sum(r.events.Events()).Off {
		return false
	}
	ui.Sayf("The guest is off; waiting up to %s for its machine to finish writing the disk", writeBackLimit)
	return r.machine.awaitEnd(ctx, writeBackLimit)
}
