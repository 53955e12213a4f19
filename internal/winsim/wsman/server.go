package wsman

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
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
	// LetsIn decides whether a user gets in whose password is right, or is not; it
	// must not let in a wrong one. nil: who has the right one does.
	LetsIn func(user string, right bool) bool
	// Limits are the quotas.
	Limits Limits
	// Handler runs the commands.
	Handler Handler
	// Machine is the computer name, WIN-GUEST when empty.
	Machine string
	// Version is that of Windows, as Identify tells it; 10.0.20348 when empty.
	Version string
	// OnEvent, when set, is called after every exchange, from many goroutines.
	OnEvent func(Event)
	// Faults makes the service misbehave.
	Faults Faults

	once   sync.Once
	limits Limits
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup // requests and processes

	mu         sync.Mutex
	closed     bool
	shells     map[string]*shell
	operations map[string]int // by user
	servers    []*http.Server
}

// Event is one HTTP exchange.
type Event struct {
	When   time.Time
	Action string // last part of the action, or what came before one could be read: 401, unencrypted
	Shell  string // identifier, empty when the request names none
	Detail string // command line, or the fault sent
	Status int    // HTTP status, 0 when nothing was sent
	Bytes  int    // size of the request
	Took   time.Duration
}

// closeLimit is how long Close waits for processes that ignore their context.
const closeLimit = 10 * time.Second

func (s *Server) init() {
	s.once.Do(func() {
		s.limits = s.Limits.withDefaults()
		s.ctx, s.cancel = context.WithCancel(context.Background())
		s.shells = map[string]*shell{}
		s.operations = map[string]int{}
		s.Faults.mu.Lock()
		s.Faults.dropAll = s.DropShells
		s.Faults.mu.Unlock()
	})
}

// HTTPServer returns the service for net/http, to be served on Listener. Close
// ends it.
func (s *Server) HTTPServer() *http.Server {
	s.init()
	hs := &http.Server{Handler: s, ConnContext: withConnState, BaseContext: func(net.Listener) context.Context { return s.ctx }, ReadHeaderTimeout: 2 * time.Minute, IdleTimeout: 2 * time.Minute,
		ErrorLog: log.New(io.Discard, "", 0)} // failed TLS handshakes are the client's to report
	s.mu.Lock()
	defer s.mu.Unlock()
	s.servers = append(s.servers, hs)
	if s.closed {
		_ = hs.Close() // has nothing to close yet; Serve will say ErrServerClosed
	}
	return hs
}

// Listener wraps l, so that the connections obey Faults.
func (s *Server) Listener(l net.Listener) net.Listener { return newListener(&s.Faults, l) }

// Serve answers on l until Close, which makes it return nil.
func (s *Server) Serve(l net.Listener) error { return s.serve(s.Listener(l)) }

// ServeTLS is Serve for HTTPS.
func (s *Server) ServeTLS(l net.Listener, cert tls.Certificate) error {
	return s.serve(tls.NewListener(s.Listener(l), &tls.Config{Certificates: []tls.Certificate{cert}}))
}

func (s *Server) serve(l net.Listener) error {
	if err := s.HTTPServer().Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving WS-Management: %w", err)
	}
	return nil
}

// Close ends listeners, connections, shells and processes, and waits for them.
// It fails when a process does not end with its context.
func (s *Server) Close() error {
	s.init()
	s.mu.Lock()
	s.closed = true
	s.cancel()
	servers := s.servers
	s.mu.Unlock()
	var errs []error
	for _, hs := range servers {
		errs = append(errs, hs.Close())
	}
	s.Faults.CloseConnections()
	s.DropShells()
	ended := make(chan struct{})
	go func() {
		s.work.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(closeLimit):
		errs = append(errs, fmt.Errorf("a process still runs %s after its context ended", closeLimit))
	}
	return errors.Join(errs...)
}

// begin counts a request, false after Close.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.work.Add(1)
	return true
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.init()
	if !s.begin() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	defer s.work.Done()
	ev := Event{When: time.Now()}
	cs, ok := r.Context().Value(connKey{}).(*connState)
	if !ok {
		cs = &connState{}
	}
	w.Header().Set("Server", "Microsoft-HTTPAPI/2.0")
	s.exchange(w, r, cs, &ev)
	if s.OnEvent != nil {
		ev.Took = time.Since(ev.When)
		s.OnEvent(ev)
	}
	if ev.Status == 0 {
		panic(http.ErrAbortHandler) // net/http would answer 200
	}
}

// exchange does what Windows does between HTTP and SOAP: path, method,
// authentication, encryption, size.
func (s *Server) exchange(w http.ResponseWriter, r *http.Request, cs *connState, ev *Event) {
	status := func(code int, action string) {
		w.WriteHeader(code)
		ev.Status, ev.Action = code, action
	}
	s.Faults.starting(r.Context())
	if !strings.EqualFold(strings.TrimSuffix(r.URL.Path, "/"), "/wsman") {
		status(http.StatusNotFound, "path "+r.URL.Path)
		return
	}
	if r.Method != http.MethodPost {
		status(http.StatusMethodNotAllowed, "method "+r.Method)
		return
	}
	// A sealed request is a little longer than its envelope; what is longer
	// than twice the limit is not read to its end.
	limit := s.limits.MaxEnvelopeSizekb * 1024
	raw, err := io.ReadAll(io.LimitReader(r.Body, int64(2*limit)))
	if err != nil {
		ev.Action = "incomplete"
		return
	}
	ev.Bytes = len(raw)
	kind, _, _ := strings.Cut(strings.ToLower(r.Header.Get("Content-Type")), ";")
	if strings.EqualFold(r.Header.Get("WSMANIDENTIFY"), "unauthenticated") {
		s.identifyUnauthenticated(w, raw, ev)
		return
	}
	user, next := s.authenticate(w, r, cs)
	if user != "" && s.Faults.rejects("") {
		s.unauthorized(w, r)
		user, next = "", "401"
	}
	if user == "" {
		ev.Status, ev.Action = http.StatusUnauthorized, next
		return
	}
	sealed := kind == "multipart/encrypted"
	switch {
	case sealed:
		if raw, err = cs.sealing().unseal(raw); err != nil {
			status(http.StatusBadRequest, "unreadable seal")
			return
		}
	case len(raw) == 0 && cs.sealing() != nil: // only sets up the connection
		status(http.StatusOK, "empty")
		return
	case r.TLS == nil && !s.AllowUnencrypted:
		s.unauthorized(w, r)
		ev.Status, ev.Action = http.StatusUnauthorized, "unencrypted"
		return
	case kind != "application/soap+xml":
		status(http.StatusUnsupportedMediaType, "media type "+kind)
		return
	}
	// Windows does not answer with a fault here: masterzen/winrm issue 156,
	// ansible.windows issues 391 and 620.
	if len(raw) > limit {
		status(http.StatusRequestEntityTooLarge, "too large")
		return
	}
	code, body := s.answer(w, r, cs, user, raw, ev)
	if body == nil {
		return
	}
	w.Header().Set("Content-Type", "application/soap+xml;charset=UTF-8")
	if sealed {
		body = cs.sealing().seal(body)
		w.Header().Set("Content-Type", sealedType)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	ev.Status = code
	_, _ = w.Write(body) // a client that went away is no business of ours
}

func (cs *connState) sealing() *session {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.session
}

// identifyUnauthenticated answers Identify without telling which Windows it is
// (DSP0226 section 11).
func (s *Server) identifyUnauthenticated(w http.ResponseWriter, raw []byte, ev *Event) {
	ev.Action = "Identify"
	r, f := parseRequest(raw)
	if f != nil || !r.identify() {
		ev.Status = http.StatusBadRequest
		w.WriteHeader(ev.Status)
		return
	}
	ev.Status = http.StatusOK
	w.Header().Set("Content-Type", "application/soap+xml;charset=UTF-8")
	_, _ = w.Write(identifyReply("OS: 0.0.0 SP: 0.0 Stack: 3.0"))
}

// answer returns HTTP status and body of the reply to a SOAP request, no body
// when everything was done already.
func (s *Server) answer(w http.ResponseWriter, hr *http.Request, cs *connState, user string, raw []byte, ev *Event) (int, []byte) {
	r, f := parseRequest(raw)
	ev.Action, ev.Shell = r.name(), r.shell
	if s.Faults.rejects(ev.Action) {
		s.unauthorized(w, hr)
		ev.Status = http.StatusUnauthorized
		return 0, nil
	}
	switch rule := s.Faults.match(ev.Action); rule.Do {
	case Close, Reset:
		if cs.conn != nil {
			_ = cs.conn.end(rule.Do == Reset) // closing is the point
		}
		return 0, nil
	case Hang:
		s.Faults.hang(hr.Context(), rule.For)
		if hr.Context().Err() != nil {
			return 0, nil
		}
	case Refuse:
		s.unauthorized(w, hr)
		ev.Status = http.StatusUnauthorized
		return 0, nil
	case Fail:
		f = s.injected(rule.Code)
	case Lose:
		s.DropShells()
	case Endless:
		if ev.Action == "Receive" {
			return http.StatusOK, endless(r)
		}
	}
	var body []byte
	var err error
	switch {
	case f != nil:
		err = f
	case r.identify():
		return http.StatusOK, identifyReply("OS: " + cmp.Or(s.Version, "10.0.20348") + " SP: 0.0 Stack: 3.0")
	default:
		body, err = s.handle(hr, r, user, ev)
	}
	if err == nil {
		return http.StatusOK, body
	}
	if hr.Context().Err() != nil {
		return 0, nil // the client has gone
	}
	if !errors.As(err, &f) {
		f = newFault(codePlugin).because("%v", err)
	}
	ev.Detail = strings.TrimSpace(fmt.Sprintf("%s fault %d %s", ev.Detail, f.code, f.Error()))
	return http.StatusInternalServerError, reply(r, f.action(), f.xml(host(hr.Host)))
}

// injected is the fault of a rule.
func (s *Server) injected(code uint32) *fault {
	switch code {
	case codeMaxShells:
		return newFault(code, s.limits.MaxShellsPerUser)
	case codeMaxOperations:
		return newFault(code, s.limits.MaxConcurrentOperationsPerUser)
	}
	return newFault(code)
}

// host is an address without its port.
func host(address string) string {
	if h, _, err := net.SplitHostPort(address); err == nil {
		return h
	}
	return address
}
