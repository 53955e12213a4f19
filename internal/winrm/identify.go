package winrm

import (
	"context"
	"errors"
)

// Identity is what a service says of itself (DSP0226 section 11).
type Identity struct {
	Protocol string `xml:"http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd ProtocolVersion"`
	Vendor   string `xml:"http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd ProductVendor"`
	// Product has the version of Windows for those who are logged in: "OS:
	// 10.0.20348 SP: 0.0 Stack: 3.0", otherwise OS: 0.0.0.
	Product string `xml:"http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd ProductVersion"`
}

// Identify asks who is there, without logging in and without a shell: it tells
// whether WinRM lives, in one request on a connection of its own.
func (c *Client) Identify(ctx context.Context) (Identity, error) {
	cn, err := c.open(ctx, "Identify")
	if err != nil {
		return Identity{}, err
	}
	defer c.pool.drop(cn)
	p := c.blank()
	p.header.Set("WSMANIDENTIFY", "unauthenticated")
	p.body = []byte(identify)
	a, err := c.ask(ctx, cn, "Identify", p)
	if err != nil {
		return Identity{}, err
	}
	return c.identity("Identify", a)
}

// Login asks the same as the user: it tells whether the login is right, without
// a shell, and leaves a connection that is logged in.
func (c *Client) Login(ctx context.Context) (Identity, error) {
	a, err := c.send(ctx, "login", []byte(identify), c.limits.OperationTimeout)
	if err != nil {
		return Identity{}, err
	}
	return c.identity("login", a)
}

func (c *Client) identity(op string, a *answer) (Identity, error) {
	r, err := c.read(op, a)
	if err != nil {
		return Identity{}, err
	}
	if r.Body.Identity == nil {
		return Identity{}, c.misread(op, errors.New("the answer is none to Identify"))
	}
	id := *r.Body.Identity
	return Identity{oneLine(id.Protocol), oneLine(id.Vendor), oneLine(id.Product)}, nil
}
