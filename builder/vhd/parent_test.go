package vhd

import (
	"sync/atomic"
	"testing"
	"time"
)

func TestOrphanedBuildEnds(t *testing.T) {
	var parent atomic.Int64
	parent.Store(42)
	asked := make(chan struct{}, 1)
	ctx, cancel := orphaned(t.Context(), func() int {
		select {
		case asked <- struct{}{}:
		default:
		}
		return int(parent.Load())
	}, time.Millisecond)
	defer cancel()
	for range 3 {
		<-asked
	}
	if ctx.Err() != nil {
		t.Fatal("ended although the parent lives")
	}
	parent.Store(1)
	<-ctx.Done()
}
