package wsman

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Faults makes a Server fail the way machines and networks do. The zero value
// is an honest service. Every method may be called at any time.
type Faults struct {
	mu        sync.Mutex
	rules     []*Rule
	cleared   chan struct{} // closed by Clear: lets hanging requests go on
	hole      bool
	frozen    chan struct{} // closed when the machine goes on
	closed    bool          // the ports are closed
	ready     time.Time
	rejectAll bool
	rejectNew bool
	dropAll   func()
	listeners map[*listener]struct{}
	conns     map[*conn]struct{}
}

// Effect is what happens to a request that a Rule matches.
type Effect int

// The effects of a Rule.
const (
	Close   Effect = iota + 1 // end the connection properly (FIN)
	Reset                     // break the connection (RST)
	Hang                      // answer after Rule.For, or never when it is zero
	Refuse                    // answer 401, whatever the credentials
	Fail                      // answer HTTP 500 with the fault Rule.Code
	Lose                      // forget all shells first, then go on
	Endless                   // answer a Receive with output, as of a command that never ends
)

// Rule says which requests fail, and how. Requests are looked at after they
// were authenticated.
type Rule struct {
	Action string        // Create, Command, Send, Receive, Signal, Delete, Identify; empty: every request
	Skip   int           // so many matching requests pass first
	Times  int           // so many are hit then; 0: all, until Clear
	Do     Effect        // what happens
	For    time.Duration // with Hang
	Code   uint32        // with Fail: 2150859173 (too many shells), 2150859174 (too many operations), or any other
}

// Inject adds a rule; of several that match a request the first counts.
func (f *Faults) Inject(r Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, &r)
}

// Clear forgets all rules, lets hanging requests go on and switches everything
// else off. It fails when a closed port cannot be opened again.
func (f *Faults) Clear() error {
	f.mu.Lock()
	f.rules, f.hole, f.ready, f.rejectAll, f.rejectNew = nil, false, time.Time{}, false, false
	if f.cleared != nil {
		close(f.cleared)
		f.cleared = nil
	}
	f.mu.Unlock()
	f.Freeze(false)
	return f.ClosePort(false)
}

// CloseConnections ends all open connections with FIN (the kernel makes that
// RST where the client has sent something that was not read yet).
func (f *Faults) CloseConnections() { f.each(func(c *conn) { _ = c.end(false) }) }

// ResetConnections breaks all open connections with RST.
func (f *Faults) ResetConnections() { f.each(func(c *conn) { _ = c.end(true) }) }

func (f *Faults) each(do func(*conn)) {
	f.mu.Lock()
	all := make([]*conn, 0, len(f.conns))
	for c := range f.conns {
		all = append(all, c)
	}
	f.mu.Unlock()
	for _, c := range all {
		do(c)
	}
}

// BlackHole makes all connections, also new ones, swallow what they are sent
// and never answer, as a hung machine does. A connection that fell in stays in.
func (f *Faults) BlackHole(on bool) {
	f.mu.Lock()
	f.hole = on
	f.mu.Unlock()
	if on {
		f.each(func(c *conn) { c.hole.Store(true) })
	}
}

// Freeze lets every connection stand still, also new ones: nothing is read and
// nothing answered until it ends, and then everything is.
func (f *Faults) Freeze(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case on && f.frozen == nil:
		f.frozen = make(chan struct{})
	case !on && f.frozen != nil:
		close(f.frozen)
		f.frozen = nil
	}
}

// thaw waits while the machine stands still, until ended is closed.
func (f *Faults) thaw(ended <-chan struct{}) {
	f.mu.Lock()
	frozen := f.frozen
	f.mu.Unlock()
	if frozen == nil {
		return
	}
	select {
	case <-frozen:
	case <-ended:
	}
}

// ClosePort closes the listeners and all connections (connection refused), or
// opens the ports again.
func (f *Faults) ClosePort(closed bool) error {
	f.mu.Lock()
	f.closed = closed
	var errs []error
	for l := range f.listeners {
		if closed {
			l.shut()
		} else if err := l.open(); err != nil {
			errs = append(errs, fmt.Errorf("opening port %s again: %w", l.addr, err))
		}
	}
	f.mu.Unlock()
	if closed {
		f.CloseConnections()
	}
	return errors.Join(errs...)
}

// SlowStart lets no request be answered before d has passed, counted from now.
func (f *Faults) SlowStart(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ready = time.Now().Add(d)
}

// LoseShells forgets all shells while the service stays (fault 2150858843), as
// a restart of the WinRM service does.
func (f *Faults) LoseShells() {
	f.mu.Lock()
	drop := f.dropAll
	f.mu.Unlock()
	if drop != nil {
		drop()
	}
}

// RejectCredentials answers 401 from now on: on every request, or only on
// those that create a shell. RejectCredentials(false, false) ends it.
func (f *Faults) RejectCredentials(all, newShells bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rejectAll, f.rejectNew = all, newShells
}

func (f *Faults) rejects(action string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rejectAll || f.rejectNew && action == "Create"
}

// match returns the rule for a request, the zero Rule when there is none.
func (f *Faults) match(action string) Rule {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, r := range f.rules {
		if r.Action != "" && r.Action != action {
			continue
		}
		if r.Skip > 0 {
			r.Skip--
			continue
		}
		hit := *r
		if r.Times > 0 {
			if r.Times--; r.Times == 0 {
				f.rules = append(f.rules[:i:i], f.rules[i+1:]...)
			}
		}
		return hit
	}
	return Rule{}
}

// hang waits for d, for ever when it is zero, until Clear or the end of ctx.
func (f *Faults) hang(ctx context.Context, d time.Duration) {
	f.mu.Lock()
	if f.cleared == nil {
		f.cleared = make(chan struct{})
	}
	cleared := f.cleared
	f.mu.Unlock()
	var after <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		after = t.C
	}
	select {
	case <-after:
	case <-cleared:
	case <-ctx.Done():
	}
}

// starting waits until SlowStart is over.
func (f *Faults) starting(ctx context.Context) {
	f.mu.Lock()
	d := time.Until(f.ready)
	f.mu.Unlock()
	if d > 0 {
		f.hang(ctx, d)
	}
}

// admit makes a new connection obey; it is closed when the port is.
func (f *Faults) admit(nc net.Conn) (*conn, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		_ = nc.Close() // nobody is told
		return nil, false
	}
	c := &conn{Conn: nc, faults: f, ended: make(chan struct{})}
	c.hole.Store(f.hole)
	if f.conns == nil {
		f.conns = map[*conn]struct{}{}
	}
	f.conns[c] = struct{}{}
	return c, true
}

// endless is output that goes on: no line end, and no end of the command.
func endless(r *request) []byte {
	id := ""
	if r.body != nil {
		if want := r.body.child(nsShell, "DesiredStream"); want != nil {
			id = want.attr("CommandId")
		}
	}
	data := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("endless "), 4096))
	return reply(r, nsShell+"/ReceiveResponse", fmt.Sprintf(`<rsp:ReceiveResponse><rsp:Stream Name="stdout" CommandId="%s">%s</rsp:Stream>`+
		`<rsp:CommandState CommandId="%s" State="%s/CommandState/Running"></rsp:CommandState></rsp:ReceiveResponse>`, id, data, id, nsShell))
}
