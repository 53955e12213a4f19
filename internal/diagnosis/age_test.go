package diagnosis

import (
	"testing"
	"time"
)

func TestARunIsOlderThanItsLaunch(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.DateTime, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	noon := at("2026-11-23 12:00:00")
	for name, c := range map[string]struct {
		start, launched, begun time.Time
		older                  bool
	}{
		"a second before the launch":              {noon.Add(-time.Second), noon, time.Time{}, true},
		"in the second of the launch":             {noon, noon.Add(900 * time.Millisecond), time.Time{}, false},
		"a log without a time":                    {time.Time{}, noon, time.Time{}, false},
		"within the clocks' slack, no launch":     {noon.Add(-36 * time.Hour), time.Time{}, noon, false},
		"beyond the clocks' slack, no launch":     {noon.Add(-36*time.Hour - time.Second), time.Time{}, noon, true},
		"the launch counts and not the beginning": {noon.Add(-time.Hour), noon, noon.Add(-48 * time.Hour), true},
	} {
		if got := OlderRun(Progress{Start: c.start}, Earliest(c.launched, c.begun)); got != c.older {
			t.Errorf("%s: older %t", name, got)
		}
	}
}
