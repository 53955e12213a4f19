package packercomm

import (
	"io"
	"sync"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
)

const maxLate = 1 << 20 // bytes taken from a request that was left behind

// gate passes an output on until it is closed: the communicator may go on
// writing for ever. A guest that was frozen may finish its answer, and the
// request then comes back; past maxLate a write fails, and nobody empties the
// pipe behind it any more. That ends the stream: Packer's client asks for more
// only when the pipe has taken what it got.
type gate struct {
	to     io.Writer
	broken chan<- error // takes one error of each gate
	mu     sync.Mutex
	failed bool
	wrote  bool
	closed bool
	late   int
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		if g.late += len(p); g.late > maxLate {
			return 0, guest.ErrTooMuch
		}
		return len(p), nil
	}
	g.wrote = true
	n, err := g.to.Write(p)
	if err != nil && !g.failed {
		g.failed = true
		g.broken <- err
	}
	return n, err
}

// used: something came.
func (g *gate) used() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.wrote
}

func (g *gate) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
}
