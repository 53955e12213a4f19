package hypervisor

import (
	"errors"
	"testing"
)

func TestFateInWords(t *testing.T) {
	for _, c := range []struct {
		fate  Fate
		text  string
		clean bool
	}{
		{Fate{Cause: CauseGuestShutdown, Detail: "QEMU: guest-shutdown"}, "the guest powered itself off (QEMU: guest-shutdown)", true},
		{Fate{Cause: CauseHostRequest}, "the guest powered off when asked", true},
		{Fate{Cause: CauseGone}, "the machine no longer answers and is assumed to be off", true},
		{Fate{Cause: CauseKilled, Err: errors.New("window closed"), Detail: "x"}, "the machine was forced off: window closed", false},
		{Fate{Cause: CauseKilled}, "the machine was forced off", false},
		{Fate{Cause: CauseGuestShutdown, Err: errors.New("disk full")}, "the guest powered itself off: disk full", false},
		{Fate{Cause: CauseUnknown}, "the machine ended for an unknown reason", false},
		{Fate{}, "the machine ended for an unknown reason", false},
	} {
		if c.fate.String() != c.text || c.fate.Clean() != c.clean {
			t.Errorf("%+v: %q, clean %v", c.fate, c.fate, c.fate.Clean())
		}
	}
}
