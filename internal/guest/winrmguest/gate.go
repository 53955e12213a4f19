package winrmguest

import (
	"io"
	"sync"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
)

// gate passes an output on until the caller has gone. What comes later ends the
// command.
type gate struct {
	mu     sync.Mutex
	to     io.Writer
	closed bool
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return 0, guest.ErrTooMuch
	}
	if g.to == nil {
		return len(p), nil
	}
	return g.to.Write(p)
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}
