package vhd

import (
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// The guest's clock follows the guest's time zone, whatever the host's is.
func TestTheHardwareClockFollowsTheWindowsOnTheSource(t *testing.T) {
	bias := func(minutes int32) winimage.Clock { return winimage.Clock{ActiveBias: &minutes} }
	instant := time.Date(2026, 11, 28, 2, 30, 0, 0, time.UTC)
	for _, c := range []struct {
		name, base string
		clock      winimage.Clock
		want       string
	}{
		{"Pacific time", rtcAuto, bias(480), "2026-11-27T18:30:00"},
		{"UTC as a zone", rtcAuto, bias(0), "2026-11-28T02:30:00"},
		{"India", rtcAuto, bias(-330), "2026-11-28T08:00:00"},
		{"Line Islands", rtcAuto, bias(-840), "2026-11-28T16:30:00"},
		{"RealTimeIsUniversal", rtcAuto, winimage.Clock{UTC: true}, "utc"},
		{"nothing is known", rtcAuto, winimage.Clock{}, "localtime"},
		{"a bias that is none", rtcAuto, bias(-1 << 31), "localtime"},
		{"the host's time was asked for", rtcLocal, bias(480), "localtime"},
		{"UTC was asked for", rtcUTC, bias(480), "utc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, zone := range []*time.Location{time.UTC, time.FixedZone("PST8", -8*3600), time.FixedZone("+14", 14*3600)} {
				if got := hardwareClock(c.base, c.clock, instant.In(zone)); got != c.want {
					t.Errorf("host in %s: %s, want %s", zone, got, c.want)
				}
			}
		})
	}
}
