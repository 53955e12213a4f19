package running

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

func TestOptionsArePreparedTogether(t *testing.T) {
	reached := hypervisor.Settings{Communicator: "winrm", Guest: hypervisor.Endpoint{Host: "192.0.2.1"}, ShutdownTimeout: 5 * time.Minute}
	for _, c := range []struct {
		name     string
		options  Options
		settings func(*hypervisor.Settings)
		want     []string
	}{
		{"right", Options{DiskPath: "x"}, func(*hypervisor.Settings) {}, nil},
		{"not known yet", Options{DiskPath: "<unknown>"}, func(s *hypervisor.Settings) { s.Communicator, s.Guest.Host = "", "" }, nil},
		{"everything at once", Options{PowerOffSettle: -time.Second}, func(s *hypervisor.Settings) { s.Guest.Host = "" },
			[]string{"power_off_settle: -1s is negative", "disk_path: required", "winrm_host: required"}},
		{"out of reach", Options{DiskPath: "x"}, func(s *hypervisor.Settings) { s.Communicator = "none" }, []string{"has to be reachable"}},
		{"a shutdown_timeout that the builder refuses", Options{DiskPath: "x"}, func(s *hypervisor.Settings) { s.ShutdownTimeout = -time.Minute }, nil},
		{"both negative", Options{DiskPath: "x", PowerOffSettle: -time.Second}, func(s *hypervisor.Settings) { s.ShutdownTimeout = -time.Minute }, []string{"power_off_settle: -1s is negative"}},
		{"no time to see it", Options{DiskPath: "x", PowerOffSettle: 5 * time.Minute}, func(*hypervisor.Settings) {}, []string{"shutdown_timeout: 5m0s is not longer"}},
	} {
		s := reached
		c.settings(&s)
		o := c.options
		warnings, errs := o.Prepare(s)
		got := errors.Join(errs...)
		if len(warnings) != 1 || len(errs) != len(c.want) || o.PowerOffSettle == 0 {
			t.Errorf("%s: %q, %v", c.name, warnings, got)
		}
		for _, want := range c.want {
			if got == nil || !strings.Contains(got.Error(), want) {
				t.Errorf("%s: %q is missing in: %v", c.name, want, got)
			}
		}
	}
}

func TestADiskThatIsHeld(t *testing.T) {
	if o := new(Options); !o.Held(heldError()) || o.Held(errors.New("corrupt")) || o.Held(nil) {
		t.Error("held is not told from broken")
	}
}
