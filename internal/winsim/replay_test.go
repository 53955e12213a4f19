package winsim

import (
	"strings"
	"testing"
	"time"
)

// The pieces of a log may end anywhere, also in the time of a line.
func TestTheTimesOfALogAreMoved(t *testing.T) {
	moments := []Moment{
		{Log: "2026-11-29 12:00:00, Info a\r\n2026-11-"}, {}, {Log: "29 12:00:01, Info 2026-11-29 12:00:01 b\r\nno time\r\n"},
		{Log: "2026-11-29 23:59:59, Info c\r\n", Rotated: true},
	}
	got := shiftLog(moments, 90*time.Minute)
	want := []string{"2026-11-29 13:30:00, Info a\r\n2026-11-", "", "29 13:30:01, Info 2026-11-29 12:00:01 b\r\nno time\r\n", "2026-11-30 01:29:59, Info c\r\n"}
	for i := range want {
		if got[i].Log != want[i] {
			t.Errorf("%d: %q, want %q", i, got[i].Log, want[i])
		}
	}
	if moments[0].Log[11:13] != "12" {
		t.Error("the recorded moments were changed")
	}
}

func TestAReplayThatCannotBeIsRefused(t *testing.T) {
	for want, r := range map[string]Replay{
		"unknown reach":            {Before: []Moment{{Reach: "odd"}}},
		"is not after the one":     {Starts: []Recorded{{Moments: []Moment{{At: 2}, {At: 1}}}}},
		"is not after the one bef": {Before: []Moment{{At: -1}}},
	} {
		if err := (Scenario{Replay: &r}).check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
