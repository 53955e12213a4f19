package diagnosis

import "time"

// clockSlack is how far the clock of a guest may be from the host's: the widest
// time zones, a hardware clock read in the wrong one, and some more.
const clockSlack = 36 * time.Hour

// OlderRun says whether the last run in a log began before the launch, both by
// the guest's own clock. The log has whole seconds.
func OlderRun(log Progress, launched time.Time) bool {
	return !launched.IsZero() && !log.Start.IsZero() && log.Start.Before(launched.Truncate(time.Second))
}

// Earliest is the time, by the clock of the guest's log, before which no line of
// this run was written: that of the launch, and where the guest did not say it
// (its answer was lost, or PowerShell does not work) what the host's clock allows
// for a run watched since begun.
func Earliest(launched, begun time.Time) time.Time {
	if !launched.IsZero() {
		return launched
	}
	// Logs hold local time without a zone.
	return begun.UTC().Add(-clockSlack)
}
