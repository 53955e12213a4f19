package winrm

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lockout"
)

// Client speaks to one WinRM service (MS-WSMV), any number of requests at a
// time. It has no goroutines of its own, and keeps its connections until Close.
type Client struct {
	config    Config
	limits    Limits
	tls       *tls.Config // nil: HTTP
	addr, url string
	pool      pool

	mu  sync.Mutex
	way Auth // AuthNegotiate until it is known what is offered
}

// New checks c, all of it. Nothing is sent before the first request.
func New(c Config) (*Client, error) {
	if c.Port == 0 {
		c.Port = 5985
		if c.TLS != nil {
			c.Port = 5986
		}
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	if c.Guard == nil {
		c.Guard = lockout.New(c.User, lockout.Policy{}, nil)
	}
	c.Limits = c.Limits.withDefaults()
	secure, err := c.tlsConfig()
	if err := errors.Join(c.check(), err); err != nil {
		return nil, fmt.Errorf("the WinRM settings are not right: %w", err)
	}
	return &Client{config: c, limits: c.Limits, tls: secure, addr: c.address(), url: c.url(), way: c.Auth}, nil
}

// Close ends every connection; requests under way end with ErrClosed. Shells
// stay: close them first.
func (c *Client) Close() { c.pool.close() }

// do sends a request and reads its answer. The error is an *Error or a *Fault.
func (c *Client) do(ctx context.Context, r *request) (*reply, error) {
	a, err := c.send(ctx, r.name, r.envelope(c.url, c.limits.MaxEnvelopeSize), r.timeout)
	if err != nil {
		return nil, err
	}
	return c.read(r.name, a)
}

// send posts an envelope as the user. It is sent a second time, on a new
// connection, where the first cannot have had an effect: a kept connection was
// broken before all was written, or the service has forgotten who it belongs to.
func (c *Client) send(ctx context.Context, op string, envelope []byte, wait time.Duration) (*answer, error) {
	for fresh := false; ; fresh = true {
		cn, kept, err := c.connection(ctx, op, fresh)
		if err != nil {
			return nil, err
		}
		a, failed := c.post(ctx, cn, envelope, wait)
		if failed == nil && (!kept || !c.forgotten(cn, a)) {
			c.release(cn, a)
			return a, nil
		}
		c.pool.drop(cn)
		again := kept && !fresh && (failed == nil || !failed.sent)
		switch {
		case ctx.Err() != nil:
			return nil, givenUp(ctx, op, c.addr, failed != nil && failed.sent)
		case c.pool.isClosed():
			return nil, &Error{Kind: ErrClosed, Op: op, Addr: c.addr, Uncertain: failed != nil && failed.sent}
		case !again:
			return nil, &Error{Kind: failed.kind, Op: op, Addr: c.addr, Uncertain: failed.sent, Err: failed.err}
		}
		c.pool.dropIdle() // they are no better
	}
}

// forgotten says that the service no longer knows the login, or the keys, of a
// connection: WinRM was restarted, and HTTP.sys kept it open. Basic has nothing to be
// forgotten: it was refused.
func (c *Client) forgotten(cn *conn, a *answer) bool {
	return a.status == http.StatusUnauthorized && c.known() != AuthBasic || a.status == http.StatusBadRequest && cn.seal != nil
}

func (c *Client) release(cn *conn, a *answer) {
	cn.idle = time.Now()
	if a.last {
		c.pool.drop(cn)
		return
	}
	c.pool.put(cn)
}

// post sends an envelope on a connection that is logged in.
func (c *Client) post(ctx context.Context, cn *conn, envelope []byte, wait time.Duration) (*answer, *broken) {
	p := c.blank()
	p.wait, p.body = wait, envelope
	proves := cn.token != ""
	switch c.known() {
	case AuthBasic:
		proves = true
		p.header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(c.config.User+":"+c.config.Password.text())))
	case AuthCertificate: // DSP0226 C.3.1 names the scheme
		p.header.Set("Authorization", "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual")
	}
	if cn.token != "" {
		p.header.Set("Authorization", cn.token)
		cn.token = ""
	}
	if cn.seal != nil {
		sealed, err := cn.seal.wrap(envelope)
		if err != nil {
			return nil, &broken{kind: ErrNotWinRM, err: err}
		}
		p.body = sealed
		p.header.Set("Content-Type", sealedType)
	}
	a, failed := cn.exchange(ctx, c.addr, c.limits, p)
	if proves && failed == nil {
		c.proved(a)
	}
	if failed != nil || cn.seal == nil {
		return a, failed
	}
	return a, a.unseal(cn.seal)
}

// unseal opens an answer. What has a body in the clear is not believed: anybody
// on the way may have written it.
func (a *answer) unseal(s *sealer) *broken {
	kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(kind), sealedKind) {
		if a.status == http.StatusOK || a.status == http.StatusInternalServerError {
			return &broken{ErrNotWinRM, errors.New("it answers a sealed request in the clear"), true}
		}
		a.body = nil
		return nil
	}
	plain, err := s.unwrap(a.body)
	if err != nil {
		return &broken{ErrNotWinRM, err, true}
	}
	a.body = plain
	return nil
}

// blank is a request without a body.
func (c *Client) blank() post {
	return post{header: http.Header{"Content-Type": {soapType}}, most: int64(c.limits.MaxEnvelopeSize) + mostHeader}
}

// connection returns one that is logged in; kept: it was used before.
func (c *Client) connection(ctx context.Context, op string, fresh bool) (cn *conn, kept bool, err error) {
	if ctx.Err() != nil {
		return nil, false, givenUp(ctx, op, c.addr, false)
	}
	if c.known() == AuthBasic { // it sends the password with every request
		if err := c.mayLogIn(op); err != nil {
			return nil, false, err
		}
	}
	if !fresh {
		if cn := c.pool.take(); cn != nil {
			return cn, true, nil
		}
	}
	if err := c.choose(ctx); err != nil {
		return nil, false, err
	}
	if err := c.mayLogIn(op); err != nil {
		return nil, false, err
	}
	if cn, err = c.open(ctx, op); err != nil {
		return nil, false, err
	}
	if c.known() == AuthNTLM {
		if err := c.login(ctx, cn); err != nil {
			c.pool.drop(cn)
			return nil, false, err
		}
	}
	return cn, false, nil
}

// open makes a connection that ends with the client.
func (c *Client) open(ctx context.Context, op string) (*conn, error) {
	closed := &Error{Kind: ErrClosed, Op: op, Addr: c.addr}
	if c.pool.isClosed() {
		return nil, closed
	}
	cn, err := c.dial(ctx, op)
	if err != nil {
		return nil, err
	}
	if !c.pool.add(cn) {
		cn.raw.Close()
		return nil, closed
	}
	return cn, nil
}

// read makes an answer a reply, or an error by its status.
func (c *Client) read(op string, a *answer) (*reply, error) {
	fail := func(k error, uncertain bool, format string, args ...any) (*reply, error) {
		return nil, &Error{Kind: k, Op: op, Addr: c.addr, Uncertain: uncertain, Err: fmt.Errorf(format, args...)}
	}
	switch a.status {
	case http.StatusUnauthorized:
		kind, cause := c.refused(schemesIn(a))
		return fail(kind, false, "%w", cause)
	case http.StatusForbidden:
		return fail(ErrAccessDenied, false, "HTTP 403")
	case http.StatusRequestEntityTooLarge:
		return fail(ErrTooLarge, false, "HTTP 413")
	case http.StatusServiceUnavailable:
		return fail(ErrUnavailable, false, "HTTP 503")
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return fail(ErrNotWinRM, false, "HTTP %d", a.status)
	}
	r, err := parseReply(a.body)
	if err != nil {
		return fail(ErrNotWinRM, true, "HTTP %d; %w", a.status, err)
	}
	if f := r.fault(a.status, op, c.addr); f != nil {
		return nil, f
	}
	if a.status != http.StatusOK {
		return fail(ErrNotWinRM, true, "HTTP %d without a fault", a.status)
	}
	return r, nil
}

// misread is an answer that is not what was asked for.
func (c *Client) misread(op string, err error) error {
	return &Error{Kind: ErrNotWinRM, Op: op, Addr: c.addr, Uncertain: true, Err: err}
}
