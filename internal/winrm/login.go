package winrm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// known is the way to log in, AuthNegotiate while it is not chosen.
func (c *Client) known() Auth {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.way
}

// choose asks the service what it offers, once.
func (c *Client) choose(ctx context.Context) error {
	if c.known() != AuthNegotiate {
		return nil
	}
	schemes, err := c.Schemes(ctx)
	if err != nil {
		return err
	}
	var way Auth
	switch {
	case has(schemes, "Negotiate"):
		way = AuthNTLM
	case has(schemes, "Basic") && (c.tls != nil || c.config.AllowUnencrypted):
		way = AuthBasic
	default:
		return &Error{Kind: ErrNotOffered, Op: "login", Addr: c.addr, Err: fmt.Errorf("it offers %s", c.offer(schemes))}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.way = way
	return nil
}

// Schemes returns the ways to log in that the service offers to somebody who
// has not (RFC 9110, 11.6.1): Negotiate, Kerberos, Basic, CredSSP.
func (c *Client) Schemes(ctx context.Context) ([]string, error) {
	cn, err := c.open(ctx, "login")
	if err != nil {
		return nil, err
	}
	defer c.pool.drop(cn)
	a, err := c.ask(ctx, cn, "login", c.blank())
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusUnauthorized {
		_, err := c.read("login", a)
		if err == nil {
			err = c.misread("login", fmt.Errorf("HTTP %d to a request without a login", a.status))
		}
		return nil, err
	}
	return schemesIn(a), nil
}

// ask is an exchange that changes nothing.
func (c *Client) ask(ctx context.Context, cn *conn, op string, p post) (*answer, error) {
	a, failed := cn.exchange(ctx, c.addr, c.limits, p)
	switch {
	case failed == nil:
		return a, nil
	case ctx.Err() != nil:
		return nil, givenUp(ctx, op, c.addr, false)
	case c.pool.isClosed():
		return nil, &Error{Kind: ErrClosed, Op: op, Addr: c.addr}
	}
	return nil, &Error{Kind: failed.kind, Op: op, Addr: c.addr, Err: failed.err}
}

// login authenticates a connection by NTLM. Where messages are sealed its
// requests have no body, because an envelope that came with them would cross the
// network in the clear; otherwise the next request carries the last of it.
func (c *Client) login(ctx context.Context, cn *conn) error {
	fail := func(k, err error) error { return &Error{Kind: k, Op: "login", Addr: c.addr, Err: err} }
	n, err := newNTLM(c.config.User, c.config.Password.text(), channelBindings(cn.leaf))
	if err != nil {
		return fail(ErrUnauthorized, err)
	}
	token, err := n.negotiate()
	if err != nil {
		return fail(ErrUnauthorized, err)
	}
	a, err := c.ask(ctx, cn, "login", c.withToken(token))
	if err != nil {
		return err
	}
	if a.status != http.StatusUnauthorized {
		if _, err := c.read("login", a); err != nil {
			return err
		}
		return c.misread("login", fmt.Errorf("HTTP %d in place of a challenge", a.status))
	}
	challenge, err := challengeIn(a.header.Values("WWW-Authenticate"))
	if err != nil {
		return fail(ErrNotOffered, fmt.Errorf("%w; it offers %s", err, c.offer(schemesIn(a))))
	}
	if a.last {
		return fail(ErrNotWinRM, errors.New("it closes the connection that is to be logged in"))
	}
	return c.finish(ctx, cn, n, challenge)
}

// finish answers the challenge, and keeps the keys where messages are sealed.
func (c *Client) finish(ctx context.Context, cn *conn, n *ntlm, challenge []byte) error {
	fail := func(k, err error) error { return &Error{Kind: k, Op: "login", Addr: c.addr, Err: err} }
	seal := c.tls == nil
	if seal && !seals(challenge) {
		if !c.config.AllowUnencrypted {
			return fail(ErrNotOffered, errNoSeal)
		}
		seal = false
	}
	token, err := n.authenticate(challenge)
	if err != nil {
		return fail(ErrNotWinRM, fmt.Errorf("answering the challenge: %w", err))
	}
	if !seal {
		cn.token = token
		return nil
	}
	a, err := c.ask(ctx, cn, "login", c.withToken(token))
	if err != nil {
		return err
	}
	c.proved(a)
	if a.status == http.StatusUnauthorized {
		_, err := c.read("login", a)
		return err
	}
	if a.last {
		return fail(ErrNotWinRM, errors.New("it closes the connection that was logged in"))
	}
	cn.seal = &sealer{n.client.SecuritySession()}
	return nil
}

// mayLogIn holds a login back that might be one too many.
func (c *Client) mayLogIn(op string) error {
	if c.known() == AuthCertificate {
		return nil
	}
	if err := c.config.Guard.May(); err != nil {
		return &Error{Kind: ErrHeld, Op: op, Addr: c.addr, Err: err}
	}
	return nil
}

// proved counts what a service says to a user and a password.
func (c *Client) proved(a *answer) {
	if a.status != http.StatusUnauthorized {
		c.config.Guard.Accepted()
		return
	}
	if kind, _ := c.refused(schemesIn(a)); errors.Is(kind, ErrNotOffered) {
		return // nobody has looked at the password
	}
	c.config.Guard.Refused()
}

func (c *Client) withToken(token string) post {
	p := c.blank()
	p.header.Set("Authorization", token)
	return p
}

// schemesIn lists the schemes of a 401, each once.
func schemesIn(a *answer) []string {
	var all []string
	for _, v := range a.header.Values("WWW-Authenticate") {
		scheme, _, _ := strings.Cut(strings.TrimSpace(v), " ")
		if scheme = oneLine(scheme); scheme != "" && !has(all, scheme) && len(all) < 16 {
			all = append(all, scheme)
		}
	}
	return all
}

func has(all []string, scheme string) bool {
	for _, s := range all {
		if strings.EqualFold(s, scheme) {
			return true
		}
	}
	return false
}

// offer is what a service offers, and what to do where that is of no use.
func (c *Client) offer(schemes []string) string {
	switch all := offered(schemes); {
	case len(schemes) == 0:
		return all
	case has(schemes, "Negotiate"):
		return all + `; where Negotiate takes Kerberos only, which is not spoken, allow NTLM in the guest (the policies "Restrict NTLM"), or Basic and use it over TLS`
	case has(schemes, "Basic") && c.tls == nil && !c.config.AllowUnencrypted:
		return all + "; Basic over HTTP sends the password in the clear: use TLS, or allow Negotiate in the guest"
	case has(schemes, "Basic"):
		return all
	default:
		return all + `; Kerberos and CredSSP are not spoken: allow NTLM in the guest (winrm set winrm/config/service/auth @{Negotiate="true"}), or Basic and use it over TLS`
	}
}

// refused is why a login got HTTP 401: there is no such way to log in, or it is
// the account.
func (c *Client) refused(schemes []string) (k, cause error) {
	way := map[Auth]string{AuthBasic: "Basic", AuthNTLM: "Negotiate"}[c.known()]
	if way != "" && len(schemes) > 0 && !has(schemes, way) {
		return ErrNotOffered, fmt.Errorf("HTTP 401; it offers %s", c.offer(schemes))
	}
	return ErrUnauthorized, fmt.Errorf("HTTP 401; it offers %s", offered(schemes))
}

func offered(schemes []string) string {
	if len(schemes) == 0 {
		return "nothing"
	}
	return strings.Join(schemes, ", ")
}
