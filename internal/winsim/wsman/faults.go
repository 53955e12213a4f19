package wsman

import "time"

// Faults makes a Server fail the way machines and networks do. The zero value
// is an honest service. Every method may be called at any time.
type Faults struct{}

// Effect is what happens to a request that a Rule matches.
type Effect int

// The effects of a Rule.
const (
	Close  Effect = iota + 1 // end the connection properly (FIN)
	Reset                    // break the connection (RST)
	Hang                     // answer after Rule.For, or never when it is zero
	Refuse                   // answer 401, whatever the credentials
	Fail                     // answer HTTP 500 with fault Rule.Code
)

// Rule says which requests fail, and how.
type Rule struct {
	Action string        // Create, Command, Send, Receive, Signal, Delete, Identify; empty: every request
	Skip   int           // so many matching requests pass first
	Times  int           // so many are hit then; 0: all, until Clear
	Do     Effect        //
	For    time.Duration // with Hang
	Code   uint32        // with Fail: 2150859173 (shells), 2150859174 (operations), or any other
}

// Inject adds a rule; the first that matches a request counts.
func (f *Faults) Inject(r Rule) {}

// Clear forgets all rules and switches everything else off.
func (f *Faults) Clear() {}

// CloseConnections ends all open connections with FIN.
func (f *Faults) CloseConnections() {}

// ResetConnections breaks all open connections with RST.
func (f *Faults) ResetConnections() {}

// BlackHole makes all connections, also new ones, swallow what they are sent
// and never answer. A connection that fell in stays in.
func (f *Faults) BlackHole(on bool) {}

// ClosePort closes the listeners and all connections (connection refused), or
// opens the port again.
func (f *Faults) ClosePort(closed bool) error { return nil }

// SlowStart lets no request be answered before d has passed, counted from now.
func (f *Faults) SlowStart(d time.Duration) {}

// LoseShells forgets all shells while the service stays (fault 2150858843), as
// a restart of the WinRM service does.
func (f *Faults) LoseShells() {}

// RejectCredentials answers 401 to everybody from now on: on every request, or
// only on those that create a shell.
func (f *Faults) RejectCredentials(all, newShells bool) {}
