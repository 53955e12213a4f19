// Package httpdisk reads a file on a web server as an io.ReaderAt, by HTTP
// range requests (RFC 9110, section 14): an image in blob storage is looked
// into where it lies. Nothing of a URL's query is ever put into an error, for
// signed URLs carry their secret there.
package httpdisk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/weburl"
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
	// maxSize is the largest file believed in: a VHDX holds at most 64 TiB
	// ([MS-VHDX], 1.3), and what describes it.
	maxSize = 65 << 40
	// samples is how many blocks are read again where nothing else tells
	// whether the file is still the same.
	samples = 3
)

var (
	// ErrNoRanges means that the server cannot deliver parts of the file.
	ErrNoRanges = errors.New("the server does not support range requests: download the file and inspect it here")
	// ErrChanged means that the file was replaced while it was being read.
	ErrChanged = errors.New("the file changed on the server while it was being read; inspect it again when nobody writes to it")
	// ErrTooMuch means that a limit on the whole file was reached.
	ErrTooMuch = errors.New("reading over the network is given up: download the file and inspect it here")
)

// File is an open file on a web server. It is safe for concurrent use.
type File struct {
	ctx    context.Context
	cancel context.CancelFunc
	client *http.Client
	limits limits
	url    string
	name   string // without credentials, for messages
	is     edition

	mu       sync.Mutex
	failure  error // ends all reading
	asked    int64 // bytes, of all attempts
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
// with ctx, and together after ten minutes or 256 MiB.
func Open(ctx context.Context, address string) (*File, error) {
	return open(ctx, address, defaults, transport())
}

func open(ctx context.Context, address string, l limits, way http.RoundTripper) (*File, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		// url.Parse puts the whole address into its error.
		return nil, errors.New("not an http or https address")
	}
	f := &File{
		client: &http.Client{Transport: way, CheckRedirect: checkRedirect}, limits: l,
		url: address, name: weburl.Redact(address), blocks: map[int64]*block{}, last: -1,
	}
	f.ctx, f.cancel = context.WithTimeoutCause(ctx, l.total, fmt.Errorf("not finished after %s: %w", l.total, ErrTooMuch))
	first := &block{ready: make(chan struct{})}
	if first.data, err = f.fetch(0, blockSize, true); err != nil {
		f.Close()
		return nil, fmt.Errorf("opening %s: %w", f.name, err)
	}
	close(first.ready)
	f.blocks[0], f.order = first, []int64{0}
	return f, nil
}

// Close ends all requests.
func (f *File) Close() {
	f.cancel()
	f.client.CloseIdleConnections()
}

// Err is what ended reading for good: the file changed, a limit was reached, or
// the server gave no answer to several attempts. Readers of formats may take a
// failed read for an absent fact, so whoever judges the file asks here at last.
func (f *File) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failure == nil && f.ctx.Err() != nil {
		return context.Cause(f.ctx)
	}
	return f.failure
}

// fail remembers the first error that ends all reading.
func (f *File) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failure == nil {
		f.failure = err
	}
}

// Unchanged is Err at the end of reading. Where the server sends neither ETag
// nor Last-Modified it reads some blocks again and compares them.
func (f *File) Unchanged() error {
	if err := f.Err(); err != nil || f.is.dated() {
		return err
	}
	f.mu.Lock()
	read := slices.Clone(f.order)
	f.mu.Unlock()
	var sample []int64
	for i := range samples {
		sample = append(sample, read[i*(len(read)-1)/(samples-1)])
	}
	for _, n := range slices.Compact(sample) {
		f.mu.Lock()
		b := f.blocks[n]
		f.mu.Unlock()
		if b == nil {
			continue
		}
		<-b.ready // every fetch ends
		if b.err != nil {
			continue
		}
		again, err := f.fetch(n*blockSize, int64(len(b.data)), false)
		if err == nil && !bytes.Equal(again, b.data) {
			err = ErrChanged
		}
		if err != nil {
			err = fmt.Errorf("reading %s again at %d: %w", f.name, n*blockSize, err)
			f.fail(err)
			return err
		}
	}
	return nil
}

// Name is the address without credentials.
func (f *File) Name() string { return f.name }

// Size is the length of the file in bytes.
func (f *File) Size() int64 { return f.is.size }

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
	if err := f.Err(); err != nil {
		return 0, err
	}
	want := len(p)
	if off >= f.is.size {
		return 0, io.EOF
	}
	if int64(want) > f.is.size-off {
		p = p[:f.is.size-off]
	}
	f.ahead(off, int64(len(p)))
	done := 0
	for done < len(p) {
		at := off + int64(done)
		data, err := f.block(at / blockSize)
		if err != nil {
			err = fmt.Errorf("reading %s at %d: %w", f.name, at, err)
			f.fail(err)
			return done, err
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
		last = min(last+readAhead, (f.is.size-1)/blockSize)
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
		b.data, b.err = f.fetch(start, min(blockSize, f.is.size-start), false)
	}()
	return b
}

func (f *File) block(n int64) ([]byte, error) {
	b := f.start(n)
	select {
	case <-b.ready:
		return b.data, b.err
	case <-f.ctx.Done():
		return nil, context.Cause(f.ctx)
	}
}
