package vhd

import (
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// Values of rtc_time_base.
const (
	rtcAuto  = "auto"
	rtcLocal = "local"
	rtcUTC   = "UTC"
)

// hardwareClock is what the machine's clock shows at its start.
func hardwareClock(base string, c winimage.Clock, now time.Time) string {
	switch {
	case base == rtcUTC, base == rtcAuto && c.UTC:
		return hypervisor.ClockUTC
	case base == rtcAuto && c.ActiveBias != nil:
		// A bias of more than a day is none.
		if bias := time.Duration(*c.ActiveBias) * time.Minute; bias.Abs() < 24*time.Hour {
			return now.UTC().Add(-bias).Format(hypervisor.ClockLayout)
		}
	}
	return hypervisor.ClockLocal
}
