// Package httpdisk reads a file on a web server as an io.ReaderAt, by HTTP
// range requests (RFC 9110, section 14): an image in blob storage is looked
// into where it lies. Nothing of a URL's query is ever put into an error, for
// signed URLs carry their secret there.
package httpdisk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// blockSize keeps the traffic of a proof at 1 MB: its reads are small and
	// far apart (measured on a disk of 40 GiB: 0.5 to 1.0 MB in 31 to 63
	// requests; with 64 KiB it was 1.4 to 2.3 MB in 22 to 35).
	blockSize = 16 << 10
	// readAhead is how many blocks behind a sequential read are fetched with it.
	readAhead = 4
	// maxAhead bounds the requests that one read starts side by side.
	maxAhead = 64
	// cacheBlocks bounds the memory of one file to 64 MiB.
	cacheBlocks = (64 << 20) / blockSize
	attempts    = 4
	// requestLimit bounds one attempt at one block.
	requestLimit = 30 * time.Second
	firstPause   = 250 * time.Millisecond
)

var (
	// ErrNoRanges means that the server cannot deliver parts of the file.
	ErrNoRanges = errors.New("the server does not support range requests: download the file and inspect it here")
	// ErrChanged means that the file was replaced while it was being read.
	ErrChanged = errors.New("the file changed on the server while it was being read")
)

// File is an open file on a web server. It is safe for concurrent use.
type File struct {
	ctx    context.Context
	client *http.Client
	url    string
	name   string // without user and query, for messages
	size   int64
	etag   string

	mu       sync.Mutex
	blocks   map[int64]*block
	order    []int64 // of arrival, for eviction
	requests int64
	bytes    int64
	last     int64 // end of the latest read, to see sequential ones
}

type block struct {
	ready chan struct{}
	data  []byte
	err   error
}

// Open asks the server for the first block, learns the size from its answer,
// and fails with ErrNoRanges where the server ignores the range. All reads end
// with ctx.
func Open(ctx context.Context, address string) (*File, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		// url.Parse puts the whole address into its error.
		return nil, errors.New("not an http or https address")
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	f := &File{ctx: ctx, client: &http.Client{CheckRedirect: refuseDowngrade}, url: address, name: shown.String(), blocks: map[int64]*block{}, last: -1}
	first := &block{ready: make(chan struct{})}
	if first.data, err = f.fetch(0, blockSize, true); err != nil {
		return nil, fmt.Errorf("opening %s: %w", f.name, err)
	}
	close(first.ready)
	f.blocks[0], f.order = first, []int64{0}
	return f, nil
}

func refuseDowngrade(req *http.Request, via []*http.Request) error {
	if len(via) > 5 {
		return errors.New("more than five redirects")
	}
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return errors.New("redirected from https to http")
	}
	return nil
}

// Name is the address without user and query.
func (f *File) Name() string { return f.name }

// Size is the length of the file in bytes.
func (f *File) Size() int64 { return f.size }

// Traffic returns how many requests were answered and how many bytes of the
// file came with them.
func (f *File) Traffic() (requests, bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests, f.bytes
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("reading %s at %d: negative offset", f.name, off)
	}
	want := len(p)
	if off >= f.size {
		return 0, io.EOF
	}
	if int64(want) > f.size-off {
		p = p[:f.size-off]
	}
	f.ahead(off, int64(len(p)))
	done := 0
	for done < len(p) {
		at := off + int64(done)
		data, err := f.block(at / blockSize)
		if err != nil {
			return done, fmt.Errorf("reading %s at %d: %w", f.name, at, err)
		}
		done += copy(p[done:], data[at%blockSize:])
	}
	if done < want {
		return done, io.EOF
	}
	return done, nil
}

// ahead starts fetching the blocks of a read side by side, and some more when
// the read continues the one before.
func (f *File) ahead(off, n int64) {
	first, last := off/blockSize, (off+n-1)/blockSize
	f.mu.Lock()
	if off == f.last {
		last = min(last+readAhead, (f.size-1)/blockSize)
	}
	f.last = off + n
	f.mu.Unlock()
	for b := first + 1; b <= min(last, first+maxAhead); b++ {
		f.start(b)
	}
}

// start returns the block and makes sure that it is being fetched.
func (f *File) start(n int64) *block {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b := f.blocks[n]; b != nil {
		return b
	}
	for len(f.order) >= cacheBlocks {
		delete(f.blocks, f.order[0])
		f.order = f.order[1:]
	}
	b := &block{ready: make(chan struct{})}
	f.blocks[n] = b
	f.order = append(f.order, n)
	go func() {
		defer close(b.ready)
		start := n * blockSize
		b.data, b.err = f.fetch(start, min(blockSize, f.size-start), false)
	}()
	return b
}

func (f *File) block(n int64) ([]byte, error) {
	b := f.start(n)
	select {
	case <-b.ready:
	case <-f.ctx.Done():
		return nil, f.ctx.Err()
	}
	if b.err != nil {
		f.mu.Lock() // the next reader may have better luck
		if f.blocks[n] == b {
			delete(f.blocks, n)
		}
		f.mu.Unlock()
	}
	return b.data, b.err
}

// fetch gets length bytes at start, trying again after errors that may pass.
func (f *File) fetch(start, length int64, opening bool) ([]byte, error) {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		data, err := f.attempt(start, length, opening)
		var passing *temporary
		if err == nil || attempt == attempts || !errors.As(err, &passing) {
			return data, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-f.ctx.Done():
			timer.Stop()
			return nil, f.ctx.Err()
		case <-timer.C:
		}
		pause *= 2
	}
}

// temporary marks an error that a second attempt may not meet.
type temporary struct{ err error }

func (t *temporary) Error() string { return t.err.Error() }
func (t *temporary) Unwrap() error { return t.err }

func (f *File) attempt(start, length int64, opening bool) ([]byte, error) {
	ctx, cancel := context.WithTimeout(f.ctx, requestLimit)
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
		var wrapped *url.Error // its text repeats the whole address
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, &temporary{err}
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusOK:
		return nil, ErrNoRanges
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusRequestTimeout:
		return nil, &temporary{fmt.Errorf("the server answered %s", resp.Status)}
	case resp.StatusCode != http.StatusPartialContent:
		return nil, fmt.Errorf("the server answered %s", resp.Status)
	}
	from, size, err := contentRange(resp.Header.Get("Content-Range"))
	if err != nil {
		return nil, err
	}
	if opening {
		f.size, f.etag = size, resp.Header.Get("ETag")
		length = min(length, size)
	}
	if from != start || size != f.size || resp.Header.Get("ETag") != f.etag {
		return nil, ErrChanged
	}
	data := make([]byte, length)
	if _, err := io.ReadFull(resp.Body, data); err != nil {
		return nil, &temporary{fmt.Errorf("reading the answer: %w", err)}
	}
	f.mu.Lock()
	f.requests++
	f.bytes += length
	f.mu.Unlock()
	return data, nil
}

// contentRange reads "bytes 0-65535/1048576" (RFC 9110, section 14.4).
func contentRange(header string) (start, size int64, err error) {
	bad := fmt.Errorf("the server sent Content-Range %q: want bytes FIRST-LAST/SIZE", header)
	span, total, ok := strings.Cut(strings.TrimPrefix(header, "bytes "), "/")
	first, _, ok2 := strings.Cut(span, "-")
	if !ok || !ok2 {
		return 0, 0, bad
	}
	start, err = strconv.ParseInt(first, 10, 64)
	if err != nil {
		return 0, 0, bad
	}
	size, err = strconv.ParseInt(total, 10, 64)
	if err != nil || size <= 0 {
		return 0, 0, bad
	}
	return start, size, nil
}
