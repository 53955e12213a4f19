package qemu

import (
	"os"
	"os/exec"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

// statusIs is a driver whose QEMU answers query-status.
func statusIs(t *testing.T, status string) (*Machine, chan hypervisor.Event) {
	t.Helper()
	m, err := openMonitor(t.Context(), peer(t, greeting, func(command string) string {
		if command == "query-status" {
			return `{"return": {"status": "` + status + `", "running": false}, "id": %d}` + "\n"
		}
		return done
	}), func(event) {})
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan hypervisor.Event, 10)
	d := quiet(plain)
	d.Report(func(e hypervisor.Event) { events <- e })
	d.monitor = m
	ended := exec.Command(os.Args[0], "-test.run=^$") // something that may be killed
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	d.process = &process{cmd: ended, done: make(chan struct{})}
	close(d.process.done)
	t.Cleanup(func() { m.close(); <-m.closed })
	return d, events
}

func TestAStopIsExplainedByQEMUsOwnStatus(t *testing.T) {
	d, events := statusIs(t, "paused")
	d.onEvent(event{Name: "STOP"})
	if e := <-events; e.Kind != hypervisor.EventPause || e.Detail == "" {
		t.Errorf("got %+v", e)
	}
	d.onEvent(event{Name: "RESUME"})
	if e := <-events; e.Kind != hypervisor.EventResume {
		t.Errorf("got %+v", e)
	}

	d, events = statusIs(t, "internal-error")
	d.onEvent(event{Name: "STOP"})
	d.explainStop(d.monitor, 1)
	d.mu.Lock()
	if d.sentence == nil || d.sentence.cause != hypervisor.CauseCrash || len(events) != 0 {
		t.Errorf("got %+v", d.sentence)
	}
	d.mu.Unlock()
}

func TestAStopThatIsOverIsNotReported(t *testing.T) {
	d, events := statusIs(t, "paused")
	d.stops = 2 // resumed before the answer came
	d.explainStop(d.monitor, 1)
	if len(events) != 0 {
		t.Errorf("got %+v", <-events)
	}
}

func TestAPressCountsForTheBootItCameIn(t *testing.T) {
	d := quiet(plain)
	for _, c := range []struct {
		event string
		asked bool
	}{{"RTC_CHANGE", false}, {"POWERDOWN", true}, {"RESUME", true}, {"RESET", false}, {"POWERDOWN", true}} {
		if d.onEvent(event{c.event, eventData{Guest: true}}); d.asked != c.asked {
			t.Errorf("after %s: %t", c.event, d.asked)
		}
	}
}

func TestEventsOfARunningMachine(t *testing.T) {
	for name, test := range map[string]struct {
		event event
		want  hypervisor.EventKind
	}{
		"the guest restarts":      {event{"RESET", eventData{Guest: true, Reason: "guest-reset"}}, hypervisor.EventRestart},
		"a reset from outside":    {event{"RESET", eventData{Reason: "host-qmp-system-reset"}}, hypervisor.EventRestart},
		"a snapshot":              {event{"RESET", eventData{Reason: "snapshot-load"}}, hypervisor.EventRestart},
		"the power-off":           {event{"SHUTDOWN", eventData{Guest: true, Reason: "guest-shutdown"}}, hypervisor.EventOff},
		"a restart that ends it":  {event{"SHUTDOWN", eventData{Guest: true, Reason: "guest-reset"}}, hypervisor.EventRestart},
		"QEMU is told to quit":    {event{"SHUTDOWN", eventData{Reason: "host-qmp-quit"}}, ""},
		"the power button":        {event{"POWERDOWN", eventData{}}, ""},
		"the clock was set":       {event{"RTC_CHANGE", eventData{}}, ""},
		"an event of the future":  {event{"TELEPORT", eventData{}}, ""},
		"the guest's own NIC":     {event{"NIC_RX_FILTER_CHANGED", eventData{}}, ""},
		"an I/O error it is told": {event{"BLOCK_IO_ERROR", eventData{Action: "report"}}, ""},
	} {
		var got []hypervisor.Event
		d := quiet(plain)
		d.Report(func(e hypervisor.Event) { got = append(got, e) })
		d.onEvent(test.event)
		if (len(got) == 0) != (test.want == "") || len(got) > 0 && (got[0].Kind != test.want || got[0].When.IsZero()) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
