//go:build !linux

package bench

import (
	"os"
	"time"
)

func processorTime() time.Duration { return 0 }

// peakMemory is not known: each host counts it in another way.
func peakMemory(*os.ProcessState) float64 { return 0 }
