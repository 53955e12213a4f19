package httpdisk

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
)

// limits bound what a server can cost.
type limits struct {
	bytes    int64         // asked for in all attempts together
	total    time.Duration // from Open on
	request  time.Duration // one attempt at one block
	pause    time.Duration // before the second attempt; doubled after each
	wait     time.Duration // the longest Retry-After that is heeded
	attempts int
	stalls   int // attempts that may pass without a whole answer in time
}

var defaults = limits{
	bytes: 256 << 20, total: 10 * time.Minute, request: 30 * time.Second,
	pause: 250 * time.Millisecond, wait: 30 * time.Second, attempts: 4, stalls: 2,
}

const (
	maxRedirects = 5
	// maxHeader bounds the head of an answer with all interim answers before
	// it, in bytes. Servers allow 8 to 64 KiB.
	maxHeader = 64 << 10
)

// transport is Go's own, with what it leaves open bounded.
func transport() http.RoundTripper {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment}
	if own, ok := http.DefaultTransport.(*http.Transport); ok {
		t = own.Clone()
	}
	t.MaxResponseHeaderBytes = maxHeader
	t.MaxIdleConnsPerHost = maxAhead
	return t
}

// refusal is an answer of the server that is not to be followed.
type refusal string

func (r refusal) Error() string { return string(r) }

// checkRedirect follows a few redirects, never out of https, and tells the next
// server nothing: the Referer that net/http sends has the query of the address
// before, where signatures stand.
func checkRedirect(req *http.Request, via []*http.Request) error {
	req.Header.Del("Referer")
	switch {
	case len(via) > maxRedirects:
		return refusal(fmt.Sprintf("the server redirects more than %d times", maxRedirects))
	case req.URL.Scheme != "https" && slices.ContainsFunc(via, func(r *http.Request) bool { return r.URL.Scheme == "https" }):
		return refusal("the server redirects from https to " + req.URL.Scheme + ", which is refused: anybody on the way could change the file")
	}
	return nil
}

// temporary marks an error that a second attempt may not meet.
type temporary struct {
	err     error
	after   time.Duration // what the server asks to wait
	stalled bool          // no whole answer within the time of an attempt
}

func (t *temporary) Error() string { return t.err.Error() }
func (t *temporary) Unwrap() error { return t.err }

// fetch gets length bytes at start, trying again after errors that may pass.
func (f *File) fetch(start, length int64, opening bool) ([]byte, error) {
	pause, stalls := f.limits.pause, 0
	for attempt := 1; ; attempt++ {
		if err := f.reserve(length); err != nil {
			return nil, err
		}
		data, err := f.attempt(start, length, opening)
		var passing *temporary
		switch {
		case err == nil:
			return data, nil
		case f.ctx.Err() != nil:
			return nil, context.Cause(f.ctx)
		case !errors.As(err, &passing):
			return nil, err
		case passing.after > f.limits.wait:
			return nil, fmt.Errorf("%w and asks clients to wait %s; try again after that", err, passing.after)
		}
		if passing.stalled {
			stalls++
		}
		if attempt >= f.limits.attempts || stalls >= f.limits.stalls {
			return nil, fmt.Errorf("%w (%d attempts); check host and port in the address, or try again when the server is well", err, attempt)
		}
		timer := time.NewTimer(max(pause, passing.after))
		select {
		case <-f.ctx.Done():
			timer.Stop()
			return nil, context.Cause(f.ctx)
		case <-timer.C:
		}
		pause *= 2
	}
}

// reserve counts what is about to be asked for.
func (f *File) reserve(n int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked += n; f.asked > f.limits.bytes {
		return fmt.Errorf("more than %d MiB were needed: %w", f.limits.bytes>>20, ErrTooMuch)
	}
	return nil
}

func (f *File) attempt(start, length int64, opening bool) ([]byte, error) {
	ctx, cancel := context.WithTimeout(f.ctx, f.limits.request)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url, nil)
	if err != nil {
		return nil, errors.New("not a usable address")
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", start, start+length-1))
	// Ranges of a compressed form would be of no use.
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := f.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, &temporary{err: fmt.Errorf("the server did not answer within %s", f.limits.request), stalled: true}
		}
		return nil, classify(err)
	}
	defer resp.Body.Close()
	known := &f.is
	if opening {
		known = nil
	}
	now, length, err := readHead(resp, start, length, known)
	if err != nil {
		return nil, err
	}
	if opening {
		f.is = now
	}
	data := make([]byte, length)
	n, err := io.ReadFull(resp.Body, data)
	if err == nil && resp.ContentLength < 0 {
		// Nothing says where the answer ends, so it has to end by itself.
		if extra, end := io.ReadFull(resp.Body, make([]byte, 1)); extra > 0 {
			return nil, fmt.Errorf("the server sends more than the %d bytes it was asked for", length)
		} else if end != io.EOF {
			err = end
		}
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, &temporary{err: fmt.Errorf("the server sent %d of %d bytes within %s", n, length, f.limits.request), stalled: true}
	default:
		return nil, &temporary{err: fmt.Errorf("reading the answer: %w", clean(err))}
	}
	f.mu.Lock()
	f.requests++
	f.bytes += length
	f.mu.Unlock()
	return data, nil
}

// classify says what a failed request means, without the address that net/http
// puts into every text, and whether another attempt makes sense.
func classify(err error) error {
	var (
		wrapped *url.Error
		refused refusal
		dns     *net.DNSError
		cert    *tls.CertificateVerificationError
	)
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Errorf("%w; check the name in the address", clean(err))
	case errors.As(err, &cert):
		return fmt.Errorf("%w; the server's certificate has to be signed by an authority that this machine trusts, for the name in the address", clean(err))
	case strings.Contains(err.Error(), "gave HTTP response to HTTPS client"):
		return fmt.Errorf("%w; the address of a server without TLS begins with http://", clean(err))
	case strings.Contains(err.Error(), "tls: "):
		return fmt.Errorf("%w; check that the server speaks TLS 1.2 or later on this port", clean(err))
	}
	// net/http has no types for these.
	for _, text := range []string{"unsupported protocol scheme", "x509: ", "malformed ", "Location header", "header exceeded", "headers exceeded", "1xx informational", "HTTP/1.x transport connection broken: unsupported"} {
		if strings.Contains(err.Error(), text) {
			return clean(err)
		}
	}
	return &temporary{err: clean(err)}
}

// clean makes the text of an error fit to be shown and keeps its chain.
func clean(err error) error { return edge.Error(err) }
