package qemu

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// blockStats is what of query-blockstats counts (QAPI, BlockStats).
type blockStats []struct {
	Device string `json:"device"`
	Stats  struct {
		Written uint64 `json:"wr_bytes"`
		Read    uint64 `json:"rd_bytes"`
	} `json:"stats"`
}

// disk is what is counted of the disk of the guest, false where it is not listed.
// Other drives hold firmware variables, or are the user's.
func (s blockStats) disk() (read, written uint64, listed bool) {
	for _, d := range s {
		if d.Device == "disk0" {
			return d.Stats.Read, d.Stats.Written, true
		}
	}
	return 0, 0, false
}

// Written implements hypervisor.Meter.
func (m *Machine) Written(ctx context.Context) (uint64, error) {
	_, written, err := m.counted(ctx)
	return written, err
}

// BytesRead implements hypervisor.ReadMeter.
func (m *Machine) BytesRead(ctx context.Context) (uint64, error) {
	read, _, err := m.counted(ctx)
	return read, err
}

// Flush implements hypervisor.Flusher. QEMU keeps the tables of a qcow2 file in memory
// until its guest flushes the disk; its monitor has no other command for it.
func (m *Machine) Flush(ctx context.Context) error {
	_, mon, err := m.running()
	if err != nil {
		return err
	}
	var said string
	if err := mon.ask(ctx, "human-monitor-command", map[string]string{"command-line": `qemu-io disk0 "flush"`}, &said); err != nil {
		return err
	}
	if said = strings.TrimSpace(said); said != "" {
		return fmt.Errorf("QEMU does not flush the guest's disk: %s", said)
	}
	return nil
}

func (m *Machine) counted(ctx context.Context) (read, written uint64, err error) {
	_, mon, err := m.running()
	if err != nil {
		return 0, 0, err
	}
	var stats blockStats
	if err := mon.ask(ctx, "query-blockstats", nil, &stats); err != nil {
		return 0, 0, err
	}
	read, written, listed := stats.disk()
	if !listed {
		return 0, 0, errors.New("QEMU counts no reads and writes of the guest's disk")
	}
	return read, written, nil
}
