package qemu

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

func TestFateOf(t *testing.T) {
	shutdown := func(reason string) *event { return &event{"SHUTDOWN", eventData{Reason: reason}} }
	killed := errors.New("signal: killed")
	for _, c := range []struct {
		name  string
		end   ending
		cause hypervisor.Cause
		text  string
	}{
		{"the guest powers off", ending{shutdown: shutdown("guest-shutdown")}, hypervisor.CauseGuestShutdown, "QEMU: guest-shutdown"},
		{"the guest obeys the power button", ending{shutdown: shutdown("guest-shutdown"), asked: true}, hypervisor.CauseHostRequest, "when asked"},
		{"the guest is off before a kill arrives", ending{shutdown: shutdown("guest-shutdown"), killed: true}, hypervisor.CauseGuestShutdown, ""},
		{"QEMU fails while it writes back", ending{shutdown: shutdown("guest-shutdown"), exit: errors.New("exit status 1"), output: "disk full"}, hypervisor.CauseCrash, "disk full"},
		{"we quit QEMU", ending{shutdown: shutdown("host-qmp-quit"), killed: true}, hypervisor.CauseKilled, "before the guest was off"},
		{"we kill QEMU", ending{exit: killed, killed: true}, hypervisor.CauseKilled, "forced off"},
		{"somebody quits QEMU", ending{shutdown: shutdown("host-qmp-quit")}, hypervisor.CauseKilled, "somebody else"},
		{"somebody ends QEMU by a signal", ending{shutdown: shutdown("host-signal")}, hypervisor.CauseKilled, "somebody else"},
		{"somebody kills QEMU", ending{exit: killed}, hypervisor.CauseCrash, "signal: killed"},
		{"the window is closed", ending{shutdown: shutdown("host-ui")}, hypervisor.CauseKilled, "window"},
		{"the guest panics", ending{shutdown: shutdown("guest-panic")}, hypervisor.CauseCrash, "kernel"},
		{"a reset ends QEMU", ending{shutdown: shutdown("guest-reset")}, hypervisor.CauseGuestReset, "-no-reboot"},
		{"we end it for a reason", ending{sentence: &sentence{hypervisor.CauseGuestReset, errors.New("loop")}, exit: killed}, hypervisor.CauseGuestReset, "loop"},
		{"QEMU just ends", ending{output: "bye"}, hypervisor.CauseCrash, "without the guest being off; its last output:\nbye"},
		{"a reason of the future", ending{shutdown: shutdown("moonshine")}, hypervisor.CauseCrash, "without the guest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := fateOf(c.end, time.Unix(1, 0))
			if f.Cause != c.cause || !strings.Contains(f.String(), c.text) {
				t.Errorf("got %s", f)
			}
			clean := c.cause == hypervisor.CauseGuestShutdown || c.cause == hypervisor.CauseHostRequest
			if f.Clean() != clean || (f.Err == nil) != clean || f.When.IsZero() {
				t.Errorf("clean %v, error %v", f.Clean(), f.Err)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	at := func(seconds ...int) (times []time.Time) {
		for _, s := range seconds {
			times = append(times, time.Unix(int64(s), 0))
		}
		return times
	}
	reset := event{"RESET", eventData{Guest: true, Reason: "guest-reset"}}
	for _, c := range []struct {
		name      string
		event     event
		resets    []time.Time
		expectOff bool
		want      hypervisor.Cause // "": goes on
	}{
		{"a restart during provisioning", reset, at(0), false, ""},
		{"many restarts over a long time", reset, at(0, 20, 40, 60, 80, 100, 120, 140), false, ""},
		{"eight in a minute", reset, at(0, 5, 10, 15, 20, 25, 30, 60), false, hypervisor.CauseGuestReset},
		{"eight in a minute after a quiet start", reset, at(0, 500, 501, 502, 503, 504, 505, 506, 507), false, hypervisor.CauseGuestReset},
		{"seven in a second", reset, at(1, 1, 1, 1, 1, 1, 1), false, ""},
		{"a restart after provisioning", reset, at(0), true, hypervisor.CauseGuestReset},
		{"a reset by the host during provisioning", event{"RESET", eventData{Reason: "host-qmp-system-reset"}}, nil, false, ""},
		{"a reset by the host after it", event{"RESET", eventData{Reason: "host-qmp-system-reset"}}, nil, true, hypervisor.CauseGuestReset},
		{"a panic", event{"GUEST_PANICKED", eventData{Action: "pause"}}, nil, false, hypervisor.CauseCrash},
		{"a full host", event{"BLOCK_IO_ERROR", eventData{Action: "stop", Reason: "No space left on device"}}, nil, false, hypervisor.CauseCrash},
		{"an error the guest is told of", event{"BLOCK_IO_ERROR", eventData{Action: "report"}}, nil, false, ""},
		{"sleep", event{"SUSPEND", eventData{}}, nil, false, hypervisor.CauseCrash},
		{"the power button", event{"POWERDOWN", eventData{}}, nil, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := judge(c.event, c.resets, c.expectOff)
			if (got == nil) != (c.want == "") || got != nil && (got.cause != c.want || got.err == nil) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestAStoppedMachineIsNamed(t *testing.T) {
	for status, want := range map[string]struct {
		pause string
		err   string
	}{
		"running":        {},
		"shutdown":       {},
		"paused":         {pause: "somebody stopped it"},
		"save-vm":        {pause: "saves or moves"},
		"":               {pause: "status is unknown"},
		"novel":          {pause: "status is novel"},
		"io-error":       {err: "free some space"},
		"internal-error": {err: "internal error"},
		"guest-panicked": {err: "kernel"},
		"watchdog":       {err: "watchdog"},
	} {
		pause, s := stopped(status)
		if !strings.Contains(pause, want.pause) || (pause == "") != (want.pause == "") || (s == nil) != (want.err == "") || s != nil && !strings.Contains(s.err.Error(), want.err) {
			t.Errorf("%q: %q, %+v", status, pause, s)
		}
	}
}

func TestWhyTheDiskStoppedTheGuest(t *testing.T) {
	for name, test := range map[string]struct {
		data string
		want string
	}{
		"full, as QEMU says it": {`{"operation":"write","action":"stop","nospace":true,"reason":"No space left on device"}`, "cannot be written on this host (No space left on device): free some space"},
		"full, in other words":  {`{"operation":"write","action":"stop","nospace":true}`, "(no reason given): free some space"},
		"a quota":               {`{"operation":"write","action":"stop","reason":"Disk quota exceeded"}`, "(Disk quota exceeded): look at the storage"},
		"a bad block":           {`{"operation":"read","action":"stop","reason":"Input/output error"}`, "cannot be read on this host (Input/output error): look at the storage"},
	} {
		s := judge(parseEvent(message{Event: "BLOCK_IO_ERROR", Data: []byte(test.data)}), nil, false)
		if s == nil || !strings.Contains(s.err.Error(), test.want) {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
