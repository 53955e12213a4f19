package qemu

import (
	"context"
	"errors"
)

// blockStats is what of query-blockstats counts (QAPI, BlockStats).
type blockStats []struct {
	Device string `json:"device"`
	Stats  struct {
		Written uint64 `json:"wr_bytes"`
	} `json:"stats"`
}

// written is what was written to the disk of the guest, false where it is not
// listed. Other drives hold firmware variables, or are the user's.
func (s blockStats) written() (uint64, bool) {
	for _, d := range s {
		if d.Device == "disk0" {
			return d.Stats.Written, true
		}
	}
	return 0, false
}

// Written implements hypervisor.Meter.
func (m *Machine) Written(ctx context.Context) (uint64, error) {
	_, mon, err := m.running()
	if err != nil {
		return 0, err
	}
	var stats blockStats
	if err := mon.ask(ctx, "query-blockstats", nil, &stats); err != nil {
		return 0, err
	}
	written, ok := stats.written()
	if !ok {
		return 0, errors.New("QEMU counts no writes of the guest's disk")
	}
	return written, nil
}
