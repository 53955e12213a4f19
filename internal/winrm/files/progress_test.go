package files

import "testing"

// TestNothingIsToldAfterTheEnd: a command may end while the goroutine that sends
// its input is reading, and nobody waits for that.
func TestNothingIsToldAfterTheEnd(t *testing.T) {
	told := make(chan int64, 2)
	p := report(func(done, _ int64) { told <- done }, 10)
	p.at(7)
	p.end()
	p.at(9)
	if n := len(told); n != 1 || <-told != 7 {
		t.Errorf("it was told %d times", n)
	}
}
