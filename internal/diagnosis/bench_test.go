package diagnosis

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/setuplog"
)

// longLog is a log of that many bytes with thousands of runs, one of which in
// four is good; the last one is refused.
func longLog(size int) []byte {
	var broken setuplog.Failure
	for _, f := range setuplog.All() {
		if f.Class == "F34" {
			broken = f
		}
	}
	part := wholeLog(broken) + refusedRun + strings.Repeat(strings.Split(goodRun, "\n")[12]+"\n", 40) + goodRun + refusedRun
	return []byte(strings.Repeat(part, size/len(part)+1))
}

func diagnoseAll(log []byte) (Diagnosis, bool) {
	var t Tracker
	for piece := range slices.Chunk(log, 64<<10) {
		t.Feed(piece)
	}
	t.Flush()
	return Diagnose(t.Run())
}

// BenchmarkALogOf100MB is the figure: less than 10 s, in memory that does
// not grow with the log. It prints the time and the largest heap.
func BenchmarkALogOf100MB(b *testing.B) {
	part := longLog(1 << 20)
	const times = 100
	b.SetBytes(int64(len(part) * times))
	peak := uint64(0)
	for b.Loop() {
		var t Tracker
		for range times {
			for piece := range slices.Chunk(part, 64<<10) {
				t.Feed(piece)
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
		t.Flush()
		if d, ok := Diagnose(t.Run()); !ok || d.ID != "F06" {
			b.Fatalf("%v %s", ok, d.ID)
		}
	}
	b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
}

// What a log costs does not grow with it: only the last runs are kept.
func TestALongLogIsReadInBoundedMemory(t *testing.T) {
	log := longLog(8 << 20)
	one := func(name string, log []byte) {
		var tr Tracker
		for piece := range slices.Chunk(log, 64<<10) {
			tr.Feed(piece)
		}
		tr.Flush()
		kept := sizeOf(tr.run.Lines)
		if tr.run.earlier != nil {
			kept += sizeOf(tr.run.earlier.Lines)
			if tr.run.earlier.earlier != nil {
				t.Errorf("%s: runs are kept that no other needs", name)
			}
		}
		if n := len(tr.run.failures); n > maxFailures {
			t.Errorf("%s: %d failures are kept", name, n)
		}
		if kept > 2*maxKeptBytes+maxLine {
			t.Errorf("%s: %d bytes are kept", name, kept)
		}
	}
	one("many runs", log)
	line := "2026-11-23 12:00:00, Error                 SYSPRP " + strings.Repeat("x", 1000) + "\r\n"
	one("one run", []byte(strings.Repeat(line, 8<<10)))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if d, ok := diagnoseAll(log); !ok || d.ID != "F06" {
		t.Errorf("%v %s", ok, d.ID)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("%d bytes stay behind", grown)
	}
}
