package bench

import (
	"os"
	"syscall"
)

// peakMemory is the most that a process had in memory, in MiB.
func peakMemory(p *os.ProcessState) float64 {
	usage, ok := p.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return float64(usage.Maxrss) / 1024
}
