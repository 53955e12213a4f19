//go:build unix

package qemu

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// watched boots a machine with a second monitor, for somebody else.
func watched(t *testing.T, program []byte, more ...string) (d *Machine, fates <-chan hypervisor.Fate, other *monitor, events chan hypervisor.Event) {
	t.Helper()
	testutil.Tool(t, "qemu-system-x86_64")
	events = make(chan hypervisor.Event, 100)
	spec := specFor(t, program)
	socket := filepath.Join(t.TempDir(), "qmp")
	options := plain
	options.QemuArguments = append([]string{"-qmp", "unix:" + socket + ",server=on,wait=off"}, more...)
	d, fates = boot(t, options, spec, func(e hypervisor.Event) { events <- e })
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	if other, err = openMonitor(t.Context(), conn, func(event) {}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.close)
	return d, fates, other, events
}

// awaitEvent skips those of other kinds.
func awaitEvent(t *testing.T, events <-chan hypervisor.Event, kind hypervisor.EventKind) hypervisor.Event {
	t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case e := <-events:
			if e.Kind == kind {
				return e
			}
		case <-late:
			t.Fatalf("no event %s within a minute", kind)
		}
	}
}

func (m *monitor) mustExecute(t *testing.T, command string) {
	t.Helper()
	if err := m.execute(t.Context(), command, nil); err != nil {
		t.Fatal(err)
	}
}

func TestAPauseFromOutsideIsReportedAndIsNoEnd(t *testing.T) {
	_, fates, other, events := watched(t, loops)
	awaitEvent(t, events, hypervisor.EventResume) // our own start
	other.mustExecute(t, "stop")
	if e := awaitEvent(t, events, hypervisor.EventPause); !strings.Contains(e.Detail, "somebody stopped it") || e.When.IsZero() {
		t.Errorf("got %+v", e)
	}
	other.mustExecute(t, "cont")
	awaitEvent(t, events, hypervisor.EventResume)
	select {
	case f := <-fates:
		t.Errorf("the machine ended: %s", f)
	default:
	}
}

func TestAResetFromOutsideIsARestart(t *testing.T) {
	d, fates, other, events := watched(t, loops)
	other.mustExecute(t, "system_reset")
	if e := awaitEvent(t, events, hypervisor.EventRestart); !strings.Contains(e.Detail, "from outside: host-qmp-system-reset") {
		t.Errorf("got %+v", e)
	}
	d.ExpectOff()
	other.mustExecute(t, "system_reset")
	if f := awaitFate(t, fates); f.Cause != hypervisor.CauseGuestReset || !strings.Contains(f.String(), "not generalized any more") || !strings.Contains(f.String(), "from outside") {
		t.Errorf("got %s", f)
	}
}

func TestAPressFromOutsideIsARequestToo(t *testing.T) {
	_, fates, other, _ := watched(t, wantsTwoPresses)
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	late := time.After(time.Minute)
	for {
		select {
		case f := <-fates:
			if f.Cause != hypervisor.CauseHostRequest {
				t.Errorf("got %s", f)
			}
			return
		case <-ticker.C:
			_ = other.execute(t.Context(), "system_powerdown", nil) // until it is off
		case <-late:
			t.Fatal("it does not obey")
		}
	}
}

func TestAMachineThatIsKeptAfterItsPowerOffIsOff(t *testing.T) {
	_, fates, _, events := watched(t, powersOff, "-no-shutdown")
	awaitEvent(t, events, hypervisor.EventOff)
	if f := awaitFate(t, fates); !f.Clean() || f.Cause != hypervisor.CauseGuestShutdown {
		t.Errorf("got %s", f)
	}
}
