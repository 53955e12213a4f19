package qemu

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

const (
	// A Windows that restarts takes a quarter of a minute at the very least
	// between two resets; this many in this time is a guest that cannot boot.
	loopResets = 8
	loopWindow = time.Minute
)

// sentence is an end that the driver itself decided on.
type sentence struct {
	cause hypervisor.Cause
	err   error
}

// judge says what an event means for a running machine: the sentence if it
// has to be ended, else nil. resets holds the times of the guest's resets, the
// current one included; expectOff is set once provisioning is over.
func judge(e event, resets []time.Time, expectOff bool) *sentence {
	switch e.Name {
	case "RESET":
		// A reset from outside boots the disk as well as one by the guest.
		if expectOff {
			return &sentence{hypervisor.CauseGuestReset, fmt.Errorf("it is not generalized any more, because Windows has begun the first boot of the image (%s); check what the last provisioner does (sysprep /shutdown, not /reboot) and what may reset the machine", resetBy(e))}
		}
		if !e.Guest {
			return nil
		}
		if n := len(resets); n >= loopResets && resets[n-1].Sub(resets[n-loopResets]) <= loopWindow {
			return &sentence{hypervisor.CauseGuestReset, fmt.Errorf("%d restarts within %s: it cannot boot (disk_interface, firmware or machine_type do not fit this Windows?)",
				loopResets, loopWindow)}
		}
	case "GUEST_PANICKED":
		return &sentence{hypervisor.CauseCrash, errors.New("the guest reported a crash of its kernel")}
	case "BLOCK_IO_ERROR":
		// QEMU pauses the guest: nobody would ever wake it.
		if e.Action == "stop" {
			return &sentence{hypervisor.CauseCrash, errors.New(ioError(e))}
		}
	case "SUSPEND", "SUSPEND_DISK":
		return &sentence{hypervisor.CauseCrash, errors.New("the guest went to sleep; switch sleep off in its power plan")}
	}
	return nil
}

// ioError says why QEMU paused the guest on a BLOCK_IO_ERROR.
func ioError(e event) string {
	verb := "written"
	if e.Operation == "read" {
		verb = "read"
	}
	reason, fix := e.Reason, "look at the storage of this host"
	if reason == "" {
		reason = "no reason given"
	}
	if e.NoSpace || e.Operation != "read" && strings.Contains(strings.ToLower(reason), "no space") {
		fix = "free some space where output_directory is"
	}
	return fmt.Sprintf("QEMU paused the guest because its disk cannot be %s on this host (%s): %s", verb, reason, fix)
}

// resetBy says in words who reset the machine (QAPI's ShutdownCause).
func resetBy(e event) string {
	switch {
	case e.Guest || e.Reason == "guest-reset":
		return "the guest restarted itself"
	case e.Reason == "snapshot-load":
		return "it was set back to a snapshot"
	}
	return "it was reset from outside: " + cmp.Or(e.Reason, "unknown")
}

// stopped says what it means that QEMU does not run its machine, by the status
// that query-status gives (QAPI's RunState). A pause may be ended again by who
// made it, a sentence never; both are empty where nothing is wrong.
func stopped(status string) (pause string, s *sentence) {
	switch status {
	case "running", "shutdown", "suspended", "prelaunch":
		return "", nil // suspended has its own event
	case "paused":
		return "somebody stopped it in QEMU's monitor or window", nil
	case "save-vm", "restore-vm", "finish-migrate", "postmigrate", "inmigrate", "colo":
		return "QEMU saves or moves it (" + status + ")", nil
	case "io-error":
		return "", &sentence{hypervisor.CauseCrash, errors.New("QEMU paused the guest because its disk cannot be read or written on this host: free some space where output_directory is, and look at the storage of this host")}
	case "guest-panicked":
		return "", &sentence{hypervisor.CauseCrash, errors.New("the guest reported a crash of its kernel")}
	case "internal-error":
		return "", &sentence{hypervisor.CauseCrash, errors.New("QEMU stopped the machine on an internal error; try accelerator = \"tcg\", or another cpu_model")}
	case "watchdog":
		return "", &sentence{hypervisor.CauseCrash, errors.New("the machine's watchdog stopped it")}
	}
	return "QEMU's status is " + cmp.Or(status, "unknown"), nil
}

// ending is all that is known when QEMU's process has gone.
type ending struct {
	shutdown *event    // the SHUTDOWN event, if there was one
	sentence *sentence // our own decision, if it was ours
	asked    bool      // the power button was pressed
	killed   bool      // Kill or Close was called
	exit     error     // of the process
	output   string    // its last words
}

// fateOf is the machine's fate. The reasons are those of QAPI's ShutdownCause.
func fateOf(e ending, when time.Time) hypervisor.Fate {
	f := hypervisor.Fate{When: when, Cause: hypervisor.CauseUnknown}
	reason := ""
	if e.shutdown != nil {
		reason = e.shutdown.Reason
		f.Detail = "QEMU: " + reason
	}
	switch {
	case e.sentence != nil:
		f.Cause, f.Err = e.sentence.cause, e.sentence.err
	case reason == "guest-shutdown" && e.exit == nil:
		f.Cause = hypervisor.CauseGuestShutdown
		if e.asked {
			f.Cause = hypervisor.CauseHostRequest
		}
	case e.killed:
		f.Cause, f.Err = hypervisor.CauseKilled, errors.New("QEMU was ended before the guest was off")
	case reason == "guest-reset" || reason == "subsystem-reset":
		f.Cause, f.Err = hypervisor.CauseGuestReset, errors.New("QEMU was told to end when the guest restarts (-no-reboot in qemu_arguments?)")
	case reason == "host-ui":
		f.Cause, f.Err = hypervisor.CauseKilled, errors.New("the machine's window was closed")
	case reason == "host-signal" || reason == "host-qmp-quit":
		f.Cause, f.Err = hypervisor.CauseKilled, fmt.Errorf("somebody else ended QEMU (%s)", reason)
	case reason == "guest-panic":
		f.Cause, f.Err = hypervisor.CauseCrash, errors.New("the guest reported a crash of its kernel")
	case e.exit != nil:
		f.Cause, f.Err = hypervisor.CauseCrash, fmt.Errorf("QEMU failed: %w%s", e.exit, lastWords(e.output))
	default:
		f.Cause, f.Err = hypervisor.CauseCrash, fmt.Errorf("QEMU ended without the guest being off%s", lastWords(e.output))
	}
	return f
}

func lastWords(output string) string {
	if output == "" {
		return ""
	}
	return "; its last output:\n" + output
}
