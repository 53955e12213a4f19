package wsman

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"net"
	"net/http"
	"strings"
	"sync"
)

// connState is what NTLM leaves behind on a connection: it authenticates
// connections, not requests.
type connState struct {
	conn *conn // nil when the connection is not one of Listener

	mu        sync.Mutex
	user      string
	challenge *challenge
	session   *session
}

type connKey struct{}

func withConnState(ctx context.Context, nc net.Conn) context.Context {
	cs := &connState{}
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	cs.conn, _ = nc.(*conn)
	return context.WithValue(ctx, connKey{}, cs)
}

// account returns a user as spelt in Users and the password; names match
// without regard to case and without the domain.
func (s *Server) account(name string) (user, password string, ok bool) {
	if i := strings.LastIndexByte(name, '\\'); i >= 0 {
		name = name[i+1:]
	}
	for user, password := range s.Users {
		if strings.EqualFold(user, name) {
			return user, password, true
		}
	}
	return name, "", false
}

// letsIn says whether a user gets in whose password is right, or is not.
func (s *Server) letsIn(user string, right bool) bool {
	if s.LetsIn == nil {
		return right
	}
	return s.LetsIn(user, right)
}

// authenticate returns the user of a request. When it has none, the answer was
// sent already; next is what to call that answer.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request, cs *connState) (user, next string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	header := r.Header.Get("Authorization")
	scheme, data, _ := strings.Cut(header, " ")
	switch {
	case header == "" && cs.user != "":
		return cs.user, ""
	case strings.EqualFold(scheme, "Basic") && s.basicOffered(r):
		if name, given, ok := r.BasicAuth(); ok {
			user, password, known := s.account(name)
			if s.letsIn(user, known && subtle.ConstantTimeCompare([]byte(password), []byte(given)) == 1) {
				return user, ""
			}
		}
	case s.NTLM && (strings.EqualFold(scheme, "Negotiate") || strings.EqualFold(scheme, "NTLM")):
		token, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			break
		}
		if c, err := newChallenge(token, s.machine()); err == nil {
			cs.challenge, cs.user, cs.session = c, "", nil
			w.Header().Set("WWW-Authenticate", scheme+" "+base64.StdEncoding.EncodeToString(c.message))
			w.WriteHeader(http.StatusUnauthorized)
			return "", "401 challenge"
		}
		c := cs.challenge
		cs.challenge = nil
		if c == nil {
			break
		}
		var claimed string
		user, session, err := c.verify(token, func(name string) (user, password string, ok bool) {
			claimed, password, ok = s.account(name)
			return claimed, password, ok
		})
		if claimed != "" && s.letsIn(claimed, err == nil) {
			cs.user, cs.session = user, session
			return user, ""
		}
	}
	cs.user, cs.session = "", nil
	s.unauthorized(w, r)
	return "", "401"
}

func (s *Server) basicOffered(r *http.Request) bool {
	return s.Basic && (r.TLS != nil || s.AllowUnencrypted)
}

// unauthorized answers 401 with the schemes on offer.
func (s *Server) unauthorized(w http.ResponseWriter, r *http.Request) {
	if s.NTLM {
		w.Header().Add("WWW-Authenticate", "Negotiate")
	}
	if s.basicOffered(r) {
		w.Header().Add("WWW-Authenticate", `Basic realm="WSMAN"`)
	}
	w.WriteHeader(http.StatusUnauthorized)
}

func (s *Server) machine() string {
	if s.Machine == "" {
		return "WIN-GUEST"
	}
	return s.Machine
}
