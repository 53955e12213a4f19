package wsman

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// listener is a port that can be closed and opened again.
type listener struct {
	faults *Faults
	addr   net.Addr

	mu      sync.Mutex
	inner   net.Listener  // nil while the port is closed
	changed chan struct{} // closed and replaced when inner or ended changes
	ended   bool
}

func newListener(f *Faults, inner net.Listener) *listener {
	l := &listener{faults: f, addr: inner.Addr(), inner: inner, changed: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.listeners == nil {
		f.listeners = map[*listener]struct{}{}
	}
	f.listeners[l] = struct{}{}
	if f.closed {
		l.shut()
	}
	return l
}

func (l *listener) Addr() net.Addr { return l.addr }

func (l *listener) Accept() (net.Conn, error) {
	for {
		l.mu.Lock()
		inner, changed, ended := l.inner, l.changed, l.ended
		l.mu.Unlock()
		if ended {
			return nil, net.ErrClosed
		}
		if inner == nil {
			<-changed
			continue
		}
		nc, err := inner.Accept()
		if err != nil {
			select {
			case <-changed: // the port was closed under us
				continue
			default:
				return nil, err
			}
		}
		if c, ok := l.faults.admit(nc); ok {
			return c, nil
		}
	}
}

// set replaces the listening socket and wakes Accept.
func (l *listener) set(inner net.Listener) {
	l.inner = inner
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *listener) shut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if inner := l.inner; inner != nil {
		l.set(nil)
		_ = inner.Close() // it is gone either way
	}
}

// open takes the port again. While it was closed, a connection of another program
// may have been given it for a moment.
func (l *listener) open() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inner != nil || l.ended {
		return nil
	}
	inner, err := net.Listen(l.addr.Network(), l.addr.String())
	for end := time.Now().Add(time.Second); err != nil && time.Now().Before(end); inner, err = net.Listen(l.addr.Network(), l.addr.String()) {
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	l.set(inner)
	return nil
}

// Close ends the listener for good.
func (l *listener) Close() error {
	l.faults.mu.Lock()
	delete(l.faults.listeners, l)
	l.faults.mu.Unlock()
	l.shut()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.ended = true
		l.set(nil)
	}
	return nil
}

// conn is a connection that can vanish.
type conn struct {
	net.Conn
	faults *Faults
	hole   atomic.Bool
	ended  chan struct{}
	once   sync.Once
	err    error
}

// Read never returns what fell into the hole.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	for err == nil && c.hole.Load() {
		n, err = c.Conn.Read(p)
	}
	if c.hole.Load() {
		n = 0
	}
	c.faults.thaw(c.ended)
	return n, err
}

// Write pretends to have sent what falls into the hole.
func (c *conn) Write(p []byte) (int, error) {
	if c.hole.Load() {
		return len(p), nil
	}
	c.faults.thaw(c.ended)
	return c.Conn.Write(p)
}

// Close ends the connection with FIN.
func (c *conn) Close() error { return c.end(false) }

func (c *conn) end(reset bool) error {
	c.once.Do(func() {
		c.faults.mu.Lock()
		delete(c.faults.conns, c)
		c.faults.mu.Unlock()
		if tcp, ok := c.Conn.(*net.TCPConn); ok && reset {
			_ = tcp.SetLinger(0) // closing then sends RST instead of FIN
		}
		close(c.ended)
		c.err = c.Conn.Close()
	})
	return c.err
}
