package files

import (
	"sync"
	"time"
)

// Progress is told how many bytes of how many have been carried, seldom enough to
// be shown. It is called from a goroutine of its own and slows nothing: values
// that come while it is busy are left out, but the last one.
type Progress func(done, total int64)

// lastWord is how long the end of a copy waits for the last call to return.
const lastWord = 250 * time.Millisecond

type progress struct {
	total int64
	more  chan struct{}
	ended chan struct{}

	mu   sync.Mutex
	done int64
	over bool // more is closed
}

// report starts to call f; nil is nobody to be told.
func report(f Progress, total int64) *progress {
	p := &progress{total: total, more: make(chan struct{}, 1), ended: make(chan struct{})}
	if f == nil {
		close(p.ended)
		return p
	}
	go func() {
		defer close(p.ended)
		for range p.more {
			p.mu.Lock()
			done := p.done
			p.mu.Unlock()
			f(done, total)
		}
	}()
	return p
}

// at says how far it has come. It may be called after the end, by who still reads
// input for a command that has ended.
func (p *progress) at(done int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	p.done = done
	select {
	case p.more <- struct{}{}:
	default: // it is busy, and will look again
	}
}

// end lets the last value be told.
func (p *progress) end() {
	p.mu.Lock()
	p.over = true
	close(p.more)
	p.mu.Unlock()
	select {
	case <-p.ended:
	case <-time.After(lastWord):
	}
}
