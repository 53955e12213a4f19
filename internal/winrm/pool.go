package winrm

import "sync"

// pool keeps connections between requests, the one used last on top. It has no
// goroutine: what grows old is noticed when it is to be used.
type pool struct {
	mu     sync.Mutex
	closed bool
	idle   []*conn
	open   map[*conn]struct{}
}

// mostIdle is more than one shell's commands use.
const mostIdle = 24

// take returns an idle connection, nil when there is none that can be used.
func (p *pool) take() *conn {
	for {
		p.mu.Lock()
		n := len(p.idle)
		if n == 0 {
			p.mu.Unlock()
			return nil
		}
		cn := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		if cn.alive() {
			return cn
		}
		p.drop(cn)
	}
}

// add makes a new connection known, false after close.
func (p *pool) add(cn *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	if p.open == nil {
		p.open = map[*conn]struct{}{}
	}
	p.open[cn] = struct{}{}
	return true
}

// put gives a connection back.
func (p *pool) put(cn *conn) {
	p.mu.Lock()
	keep := !p.closed && len(p.idle) < mostIdle
	if keep {
		p.idle = append(p.idle, cn)
	}
	p.mu.Unlock()
	if !keep {
		p.drop(cn)
	}
}

func (p *pool) drop(cn *conn) {
	p.mu.Lock()
	delete(p.open, cn)
	p.mu.Unlock()
	cn.raw.Close()
}

// dropIdle closes what is not in use.
func (p *pool) dropIdle() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, cn := range idle {
		p.drop(cn)
	}
}

func (p *pool) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// close ends every connection, also those in use.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	open := p.open
	p.open, p.idle = nil, nil
	p.mu.Unlock()
	for cn := range open {
		cn.raw.Close()
	}
}
