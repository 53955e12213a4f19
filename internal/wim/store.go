package wim

import (
	"context"
	"crypto/sha1" // what the format names contents by
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
)

// digest is the SHA-1 of a content; that of the empty one is all zeros in a WIM.
type digest = [sha1.Size]byte

// blob is a content that is stored.
type blob struct {
	resource
	hash       digest
	references uint32
}

// jobSize is how much of a content is read and compressed as one.
const (
	jobChunks = 8
	jobSize   = jobChunks * chunkSize
	maxJobs   = 40 // with two buffers each: 20 MiB
)

// store writes contents into the output: whoever calls put reads and hashes, some workers
// compress, and one writer writes in the order of reading. A content that is there already
// is not written again; of a long one that is known only at its end, and what was written
// of it is taken back.
type store struct {
	ctx      context.Context
	stop     context.CancelCauseFunc
	compress bool
	out      *output
	blobs    []*blob
	byHash   map[digest]*blob
	stored   int64
	done     int64
	progress func(int64)

	free  chan *job // those not in use: so many there are
	work  chan *job
	order chan *job
	wg    sync.WaitGroup
	ended bool
	err   error // of the writer; read after wg
}

// job is a part of a content on its way.
type job struct {
	into  *blob
	raw   []byte // of jobSize
	n     int    // bytes of raw
	out   []byte // its chunks, one after the other
	sizes [jobChunks]int
	ready chan struct{} // compressed, or not to be
	plain bool
	// last says what becomes of the content, which ends with this job.
	last    bool
	drop    bool
	verdict chan bool // of a content of several jobs: whether it is smaller than it was
}

func newStore(ctx context.Context, stop context.CancelCauseFunc, file Output, o Options) (*store, error) {
	if err := o.Compression.check(); err != nil {
		return nil, err
	}
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	jobs := min(2*workers+4, maxJobs)
	s := &store{
		ctx: ctx, stop: stop, compress: o.Compression != None, progress: o.Progress,
		out: &output{file: file, buffer: make([]byte, 0, outputBuffer)}, byHash: map[digest]*blob{},
		free: make(chan *job, jobs), work: make(chan *job, jobs), order: make(chan *job, jobs),
	}
	if s.progress == nil {
		s.progress = func(int64) {}
	}
	for range jobs {
		s.free <- &job{raw: make([]byte, jobSize), out: make([]byte, jobSize), ready: make(chan struct{}, 1), verdict: make(chan bool, 1)}
	}
	if err := s.out.append(make([]byte, headerSize)); err != nil {
		return nil, err
	}
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		w := &writer{out: s.out, limit: 1 << 32}
		for j := range s.order {
			<-j.ready
			if s.err == nil {
				if s.err = w.write(j); s.err != nil {
					s.stop(s.err)
				}
			}
			if j.last && !j.into.single() {
				j.verdict <- s.err != nil || j.drop || w.smaller
				continue // put gives it back
			}
			s.free <- j
		}
	}()
	for range workers {
		s.wg.Add(1)
		go func() {
			defer s.wg.Done()
			c := o.Compression.compressor()
			for j := range s.work {
				j.pack(c)
				j.ready <- struct{}{}
			}
		}()
	}
	return s, nil
}

// pack compresses the chunks of a job.
func (j *job) pack(c compressor) {
	at := 0
	for i := range jobChunks {
		from, to := i*chunkSize, min((i+1)*chunkSize, j.n)
		if from >= to {
			return
		}
		src := j.raw[from:to]
		n := c.Compress(j.out[at:at+len(src)], src)
		if n == 0 {
			n = copy(j.out[at:], src)
		}
		j.sizes[i] = n
		at += n
	}
}

// single tells of a content that is one job: it is known before it is written whether it
// is there.
func (b *blob) single() bool { return b.size <= jobSize }

// finish waits for what was put, and returns why writing ended early.
func (s *store) finish() error {
	s.close()
	return s.err
}

func (s *store) close() {
	if !s.ended {
		s.ended = true
		close(s.work)
		close(s.order)
		s.wg.Wait()
	}
}

// take waits for a job that is free.
func (s *store) take(into *blob) (*job, error) {
	select {
	case <-s.ctx.Done():
		return nil, context.Cause(s.ctx)
	case j := <-s.free:
		*j = job{into: into, raw: j.raw, out: j.out, ready: j.ready, verdict: j.verdict}
		return j, nil
	}
}

// send puts a job on its way. There is room for all of them.
func (s *store) send(j *job) {
	j.plain = j.plain || !s.compress
	if j.plain || j.n == 0 {
		j.ready <- struct{}{}
	} else {
		s.work <- j
	}
	s.order <- j
}

// put stores a content of size bytes, nil for one of none. It is opened a second time
// where it does not shrink.
func (s *store) put(size int64, open func() (io.Reader, error), flags byte) (*blob, error) {
	if size == 0 {
		return nil, nil
	}
	b := &blob{resource: resource{size: size, flags: flags}, references: 1}
	r, err := open()
	if err != nil {
		return nil, err
	}
	if b.single() {
		return s.putSingle(b, r)
	}
	smaller, err := s.putLong(b, r, false)
	if err != nil {
		return nil, err
	}
	if known := s.byHash[b.hash]; known != nil {
		known.references++
		return known, nil
	}
	if !smaller {
		hash := b.hash
		if r, err = open(); err != nil {
			return nil, err
		}
		if _, err := s.putLong(b, r, true); err != nil {
			return nil, err
		}
		if hash != b.hash {
			return nil, fmt.Errorf("%w: the content is another when it is read again", ErrSource)
		}
	}
	s.add(b)
	return b, nil
}

func (s *store) add(b *blob) {
	s.byHash[b.hash] = b
	s.blobs = append(s.blobs, b)
	if b.flags&metadataResource == 0 {
		s.stored += b.size
	}
}

func (s *store) putSingle(b *blob, r io.Reader) (*blob, error) {
	j, err := s.take(b)
	if err != nil {
		return nil, err
	}
	j.n = int(b.size)
	if _, err := io.ReadFull(r, j.raw[:j.n]); err != nil {
		s.free <- j
		return nil, short(err)
	}
	s.read(j.n)
	b.hash = sha1.Sum(j.raw[:j.n])
	if known := s.byHash[b.hash]; known != nil && b.flags == 0 {
		s.free <- j
		known.references++
		return known, nil
	}
	j.last = true
	s.add(b) // from here on it is the writer's
	s.send(j)
	return b, nil
}

func (s *store) putLong(b *blob, r io.Reader, plain bool) (smaller bool, err error) {
	h := sha1.New()
	for left := b.size; ; {
		j, err := s.take(b)
		if err != nil {
			return false, err
		}
		j.plain = plain
		j.n = int(min(left, jobSize))
		if _, err := io.ReadFull(r, j.raw[:j.n]); err != nil {
			s.free <- j
			return false, short(err)
		}
		if !plain {
			s.read(j.n)
		}
		h.Write(j.raw[:j.n])
		if left -= int64(j.n); left == 0 {
			h.Sum(b.hash[:0])
			j.last, j.drop = true, s.byHash[b.hash] != nil
			s.send(j)
			smaller = <-j.verdict
			s.free <- j
			return smaller || plain || !s.compress, nil
		}
		s.send(j)
	}
}

func (s *store) read(n int) {
	s.done += int64(n)
	s.progress(s.done)
}

// short is the error of a content that is not as long as it was said to be.
func short(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the content ends early", ErrSource)
	}
	return err
}

// writer writes jobs one behind the other.
type writer struct {
	out   *output
	limit int64 // from this size on places of chunks have 8 bytes

	begun   bool
	start   int64
	table   []byte
	packed  int64 // bytes of chunks
	smaller bool  // what the last content became
}

func (w *writer) write(j *job) error {
	b := j.into
	if !w.begun {
		*w = writer{out: w.out, limit: w.limit, begun: true, start: w.out.offset()}
		if !j.plain {
			if err := w.out.skip(w.tableSize(b.size)); err != nil {
				return err
			}
		}
	}
	if err := w.chunks(j); err != nil {
		return err
	}
	if !j.last {
		return nil
	}
	w.begun = false
	b.offset, b.stored = w.start, w.out.offset()-w.start
	switch {
	case j.drop:
		return w.out.back(w.start)
	case j.plain:
		w.smaller = false
		return nil
	case b.stored < b.size:
		b.flags |= compressedResource
		w.smaller = true
		return w.out.patch(w.start, w.table)
	}
	w.smaller = false
	err := w.out.back(w.start)
	if err == nil && b.single() {
		b.stored = b.size
		err = w.out.append(j.raw[:j.n])
	}
	return err
}

func (w *writer) chunks(j *job) error {
	if j.plain {
		return w.out.append(j.raw[:j.n])
	}
	total := 0
	for i := 0; i*chunkSize < j.n; i++ {
		switch {
		case w.packed == 0: // the first one's place is known
		case j.into.size >= w.limit:
			w.table = le.AppendUint64(w.table, uint64(w.packed))
		default:
			w.table = le.AppendUint32(w.table, uint32(w.packed))
		}
		w.packed += int64(j.sizes[i])
		total += j.sizes[i]
	}
	return w.out.append(j.out[:total])
}

// tableSize is that of the table of chunks.
func (w *writer) tableSize(size int64) int64 {
	entry := int64(4)
	if size >= w.limit {
		entry = 8
	}
	return ((size+chunkSize-1)/chunkSize - 1) * entry
}

const outputBuffer = 1 << 20

// output is a file that is written from front to back, with few long writes, and taken
// back at times.
type output struct {
	file   Output
	at     int64 // of the buffer
	buffer []byte
}

func (o *output) offset() int64 { return o.at + int64(len(o.buffer)) }

func (o *output) append(p []byte) error {
	if len(o.buffer)+len(p) > cap(o.buffer) {
		if err := o.flush(); err != nil {
			return err
		}
	}
	if len(p) >= cap(o.buffer) {
		if err := o.write(o.at, p); err != nil {
			return err
		}
		o.at += int64(len(p))
		return nil
	}
	o.buffer = append(o.buffer, p...)
	return nil
}

// skip leaves a place that is patched later.
func (o *output) skip(n int64) error {
	if int64(len(o.buffer))+n > int64(cap(o.buffer)) {
		if err := o.flush(); err != nil {
			return err
		}
	}
	if n > int64(cap(o.buffer)) {
		o.at += n
		return nil
	}
	end := len(o.buffer) + int(n)
	clear(o.buffer[len(o.buffer):end])
	o.buffer = o.buffer[:end]
	return nil
}

// patch writes into what was skipped.
func (o *output) patch(at int64, p []byte) error {
	if at >= o.at {
		copy(o.buffer[at-o.at:], p)
		return nil
	}
	return o.write(at, p)
}

// back goes on from an earlier place.
func (o *output) back(to int64) error {
	if to >= o.at {
		o.buffer = o.buffer[:to-o.at]
		return nil
	}
	o.at, o.buffer = to, o.buffer[:0]
	return nil
}

func (o *output) flush() error {
	if err := o.write(o.at, o.buffer); err != nil {
		return err
	}
	o.at += int64(len(o.buffer))
	o.buffer = o.buffer[:0]
	return nil
}

func (o *output) write(at int64, p []byte) error {
	if len(p) == 0 {
		return nil
	}
	_, err := o.file.WriteAt(p, at)
	return err
}
