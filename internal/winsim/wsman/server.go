package wsman

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// Server is a WS-Management service. Set the fields before the first use and
// leave them alone afterwards; Faults may be switched at any time.
type Server struct {
	// Users holds account names and passwords; names are matched as Windows
	// does, without regard to case and without the domain.
	Users map[string]string
	// Basic and NTLM switch the authentication schemes, AllowUnencrypted lets
	// requests in the clear pass over HTTP. Windows has Basic and
	// AllowUnencrypted off.
	Basic, NTLM, AllowUnencrypted bool
	// Limits are the quotas.
	Limits Limits
	// Handler runs the commands.
	Handler Handler
	// Machine is the computer name, WIN-GUEST when empty.
	Machine string
	// OnEvent, when set, is called after every exchange, from many goroutines.
	OnEvent func(Event)
	// Faults makes the service misbehave.
	Faults Faults
}

// Event is one HTTP exchange.
type Event struct {
	When   time.Time
	Action string // last part of the action, Identify, or 401
	Shell  string
	Detail string // command line, or the fault sent
	Status int    // HTTP status, 0 when nothing was sent
	Bytes  int    // size of the request
	Took   time.Duration
}

// HTTPServer returns the service for net/http, to be served on Listener.
func (s *Server) HTTPServer() *http.Server { return &http.Server{} }

// Listener wraps l, so that the connections obey Faults.
func (s *Server) Listener(l net.Listener) net.Listener { return l }

// Serve answers on l until Close, which makes it return nil.
func (s *Server) Serve(l net.Listener) error { return nil }

// ServeTLS is Serve for HTTPS.
func (s *Server) ServeTLS(l net.Listener, cert tls.Certificate) error { return nil }

// DropShells ends every shell with its processes, as a reboot does.
func (s *Server) DropShells() {}

// Counts returns how many shells a user has and how many operations count
// against MaxOperations.
func (s *Server) Counts(user string) (shells, operations int) { return 0, 0 }

// Close ends listeners, connections, shells and processes, and waits for them.
func (s *Server) Close() error { return nil }

var _ context.Context
