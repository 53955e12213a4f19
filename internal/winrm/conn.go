package winrm

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// conn is one connection. Requests follow each other on it: NTLM authenticates
// and seals connections, so a library that picks them per request cannot be
// used, and what was sent on one must be known for certain.
type conn struct {
	raw    net.Conn // what is closed: a TLS connection's Close waits to say goodbye
	net    net.Conn
	r      *bufio.Reader
	budget io.LimitedReader  // what may still be read of one answer's head
	leaf   *x509.Certificate // the service's, nil over HTTP
	seal   *sealer           // after NTLM over HTTP
	token  string            // Authorization that the next request has to carry
	idle   time.Time         // since when
}

// post is one HTTP request.
type post struct {
	header http.Header
	body   []byte
	wait   time.Duration // that the service was given to answer
	most   int64         // bytes of the answer's body
}

// answer is what came back, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
	last   bool // the service closes the connection
}

const mostHeader = 64 * 1024

// dial makes a connection, with TLS where there is any.
func (c *Client) dial(ctx context.Context, op string) (*conn, error) {
	fail := func(k, err error) error {
		if ctx.Err() != nil {
			return givenUp(ctx, op, c.addr, false)
		}
		return &Error{Kind: k, Op: op, Addr: c.addr, Err: err}
	}
	limited, cancel := context.WithTimeout(ctx, c.limits.Connect)
	defer cancel()
	raw, err := c.config.Dial(limited, "tcp", c.addr)
	if err != nil {
		return nil, fail(networkKind(err, ErrConnectDeadline), err)
	}
	cn := &conn{raw: raw, net: raw}
	if c.tls != nil {
		secure := tls.Client(raw, c.tls)
		if err := secure.HandshakeContext(limited); err != nil {
			raw.Close()
			return nil, fail(tlsKind(err), withFingerprint(err))
		}
		cn.net = secure
		if chain := secure.ConnectionState().PeerCertificates; len(chain) > 0 {
			cn.leaf = chain[0]
		}
	}
	cn.budget.R = cn.net
	cn.r = bufio.NewReaderSize(&cn.budget, 16*1024)
	return cn, nil
}

// broken is why an exchange failed.
type broken struct {
	kind, err error
	sent      bool // all of the request was handed to the network
}

// exchange sends a request and reads its answer. After an error the connection
// is of no use.
func (cn *conn) exchange(ctx context.Context, host string, l Limits, p post) (*answer, *broken) {
	stop := context.AfterFunc(ctx, func() { _ = cn.raw.Close() })
	defer stop()
	message := head(host, p)
	if err := cn.net.SetDeadline(time.Now().Add(l.Body)); err != nil {
		return nil, &broken{networkKind(err, ErrBodyDeadline), err, false}
	}
	n, writing := cn.net.Write(message)
	sent := n == len(message)
	limit := l.Header + p.wait
	if writing != nil {
		if k := networkKind(writing, ErrBodyDeadline); errors.Is(k, ErrDeadline) {
			return nil, &broken{k, writing, false}
		}
		// A service that refuses a request may answer and close without reading it
		// to its end.
		limit = min(limit, time.Second)
	}
	a, failed := cn.read(l, limit, p.most)
	if failed != nil && writing != nil {
		failed.kind, failed.err = networkKind(writing, ErrBodyDeadline), writing
	}
	if failed != nil {
		failed.sent = sent
		return nil, failed
	}
	a.last = a.last || writing != nil || !stop() // closed, or about to be
	return a, nil
}

// head is the whole message, so that it takes one Write.
func head(host string, p post) []byte {
	var b bytes.Buffer
	b.Grow(len(p.body) + 1024)
	fmt.Fprintf(&b, "POST /wsman HTTP/1.1\r\nHost: %s\r\nUser-Agent: packer-plugin-sysprep\r\nContent-Length: %d\r\n", host, len(p.body))
	_ = p.header.Write(&b) // a bytes.Buffer does not fail
	b.WriteString("\r\n")
	b.Write(p.body)
	return b.Bytes()
}

// read reads an answer whose head has to come within limit.
func (cn *conn) read(l Limits, limit time.Duration, most int64) (*answer, *broken) {
	fail := func(k, err error) (*answer, *broken) { return nil, &broken{kind: k, err: err} }
	if err := cn.net.SetDeadline(time.Now().Add(limit)); err != nil {
		return fail(networkKind(err, ErrHeaderDeadline), err)
	}
	cn.budget.N = mostHeader
	resp, err := http.ReadResponse(cn.r, &http.Request{Method: http.MethodPost})
	for err == nil && resp.StatusCode >= 100 && resp.StatusCode < 200 {
		resp, err = http.ReadResponse(cn.r, &http.Request{Method: http.MethodPost})
	}
	if err != nil {
		return fail(headKind(err), err)
	}
	if err := cn.net.SetDeadline(time.Now().Add(l.Body)); err != nil {
		return fail(networkKind(err, ErrBodyDeadline), err)
	}
	cn.budget.N = most + mostHeader // with what frames the pieces of a chunked body
	body, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err != nil {
		return fail(networkKind(err, ErrBodyDeadline), err)
	}
	if int64(len(body)) > most {
		return fail(ErrTooLarge, fmt.Errorf("the answer has more than %d bytes", most))
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: body, last: resp.Close}, nil
}

// alive says whether an idle connection can be used again. Nothing is to be
// read on one; what can be read at once is its end.
func (cn *conn) alive() bool {
	const (
		old  = 90 * time.Second // HTTP.sys closes after 120 s
		just = 50 * time.Millisecond
	)
	since := time.Since(cn.idle)
	if since > old || cn.r.Buffered() > 0 {
		return false
	}
	if since < just {
		return true // looking takes a millisecond
	}
	cn.budget.N = 1
	if err := cn.net.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return false
	}
	_, err := cn.r.Peek(1)
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
