package diskimage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

const (
	logSector = 4096
	// maxVHDXLog bounds the log held in memory. Hyper-V and QEMU write 1 MiB.
	maxVHDXLog = 32 * mib
	// maxLogPages bounds what a log may change: 1 GiB of the file.
	maxLogPages = 256 << 10
)

// replayedFile is a VHDX as it is after its log was applied. The file itself
// stays as it is.
type replayedFile struct {
	file  io.ReaderAt
	known int64 // bytes that the file has
	size  int64 // bytes that it has after the replay
	pages map[int64][]byte
}

func (f *replayedFile) ReadAt(p []byte, off int64) (int, error) {
	p, end := clip(p, off, f.size)
	for n := 0; n < len(p); {
		page := off &^ (logSector - 1)
		c := int(min(int64(len(p)-n), page+logSector-off))
		if b, ok := f.pages[page]; ok {
			copy(p[n:n+c], b[off-page:])
		} else {
			// One read for all pages up to the next one that the log changed.
			for n+c < len(p) && f.pages[off+int64(c)] == nil {
				c += int(min(logSector, int64(len(p)-n-c)))
			}
			part := p[n : n+c]
			have := min(max(f.known-off, 0), int64(c))
			if err := readFull(f.file, part[:have], off); have > 0 && err != nil {
				return n, err
			}
			clear(part[have:])
		}
		n += c
		off += int64(c)
	}
	return len(p), end
}

// logEntry is one entry of the log ([MS-VHDX] 2.3.1).
type logEntry struct {
	at, length int64
	tail       int64
	sequence   uint64
	descs      int64
	flushed    uint64 // the file had this size when the entry was written
	last       uint64 // the file has this size once the entry is applied
}

// vhdxLog is a log in memory, a ring of sectors.
type vhdxLog struct {
	ring    []byte
	id      [16]byte
	entries map[int64]logEntry
}

// replayVHDXLog applies the active sequence of the log ([MS-VHDX] 2.3.2).
func replayVHDXLog(s source, h vhdxHeader) (*replayedFile, error) {
	length := h.log.to - h.log.from
	if length == 0 || length > maxVHDXLog {
		return nil, unsupported("a log of %d bytes", length)
	}
	l := vhdxLog{ring: make([]byte, length), id: h.logID}
	if err := readFull(s, l.ring, h.log.from); err != nil {
		return nil, fmt.Errorf("reading log: %w", err)
	}
	if err := l.scan(); err != nil {
		return nil, err
	}
	chain := l.active()
	if chain == nil {
		return nil, corrupt("the log is marked as in use but holds no complete sequence of entries")
	}
	head := chain[len(chain)-1]
	if head.flushed > uint64(s.size) {
		return nil, corrupt("the file has %d bytes, its log says %d: it was cut off", s.size, head.flushed)
	}
	if head.last > uint64(maxDisk) {
		return nil, corrupt("log entry: last file offset %d", head.last)
	}
	f := &replayedFile{file: s.ReaderAt, known: s.size, size: max(s.size, int64(head.last)), pages: map[int64][]byte{}}
	for _, e := range chain {
		if err := f.apply(l.bytes(e), e); err != nil {
			return nil, fmt.Errorf("applying log entry at %d: %w", e.at, err)
		}
	}
	return f, nil
}

// bytes returns an entry, unwrapped where it runs over the end of the ring.
func (l *vhdxLog) bytes(e logEntry) []byte {
	if end := e.at + e.length; end > int64(len(l.ring)) {
		return slices.Concat(l.ring[e.at:], l.ring[:end-int64(len(l.ring))])
	}
	return l.ring[e.at : e.at+e.length]
}

// scan finds all valid entries.
func (l *vhdxLog) scan() error {
	le := binary.LittleEndian
	size := int64(len(l.ring))
	// Entries of one log never overlap, and few outlive their overwriting; a
	// file made to have a checksum computed for each sector over all others
	// is stopped here.
	budget := 16 * size
	l.entries = map[int64]logEntry{}
	for at := int64(0); at < size; at += logSector {
		b := l.ring[at : at+logSector]
		if string(b[:4]) != "loge" || !bytes.Equal(b[32:48], l.id[:]) {
			continue
		}
		e := logEntry{
			at: at, length: int64(le.Uint32(b[8:])), tail: int64(le.Uint32(b[12:])), sequence: le.Uint64(b[16:]),
			descs: int64(le.Uint32(b[24:])), flushed: le.Uint64(b[48:]), last: le.Uint64(b[56:]),
		}
		if e.sequence == 0 || e.length < logSector || e.length%logSector != 0 || e.length > size || 64+32*e.descs > e.length {
			continue
		}
		if budget -= e.length; budget < 0 {
			return corrupt("the log holds more entries than it has room for")
		}
		if body := l.bytes(e); vhdxCRC(body) == le.Uint32(body[4:]) {
			l.entries[at] = e
		}
	}
	return nil
}

// active returns the entries to apply, oldest first: the sequence with the
// highest number that reaches from its tail to its head without a gap.
func (l *vhdxLog) active() []logEntry {
	heads := make([]logEntry, 0, len(l.entries))
	for _, e := range l.entries {
		heads = append(heads, e)
	}
	slices.SortFunc(heads, func(a, b logEntry) int {
		if a.sequence > b.sequence {
			return -1
		}
		return 1
	})
	for _, head := range heads {
		var chain []logEntry
		for at := head.tail; ; {
			e, ok := l.entries[at]
			if !ok || len(chain) > 0 && e.sequence != chain[len(chain)-1].sequence+1 {
				break
			}
			chain = append(chain, e)
			if e.at == head.at {
				return chain
			}
			if e.sequence >= head.sequence {
				break
			}
			at = (e.at + e.length) % int64(len(l.ring))
		}
	}
	return nil
}

var zeroPage = make([]byte, logSector)

// apply puts the pages of one entry over the file ([MS-VHDX] 2.3.1.2, 2.3.1.3).
func (f *replayedFile) apply(b []byte, e logEntry) error {
	le := binary.LittleEndian
	data := roundUp(64+32*e.descs, logSector)
	for i := range e.descs {
		d := b[64+32*i : 96+32*i]
		if le.Uint64(d[24:]) != e.sequence {
			return corrupt("descriptor %d: sequence number %d", i, le.Uint64(d[24:]))
		}
		to := le.Uint64(d[16:])
		if to%logSector != 0 || to > uint64(maxDisk) {
			return corrupt("descriptor %d: file offset %d", i, to)
		}
		switch string(d[:4]) {
		case "desc":
			if data+logSector > int64(len(b)) {
				return corrupt("descriptor %d: its data lies outside the entry", i)
			}
			s := b[data : data+logSector]
			data += logSector
			if string(s[:4]) != "data" || uint64(le.Uint32(s[4:]))<<32|uint64(le.Uint32(s[4092:])) != e.sequence {
				return corrupt("descriptor %d: data sector is of another entry", i)
			}
			page := bytes.Clone(s)
			copy(page, d[8:16])
			copy(page[4092:], d[4:8])
			f.pages[int64(to)] = page
		case "zero":
			n := le.Uint64(d[8:])
			if n%logSector != 0 || n > maxLogPages*logSector {
				return corrupt("descriptor %d: %d bytes of zeros", i, n)
			}
			for z := uint64(0); z < n; z += logSector {
				f.pages[int64(to+z)] = zeroPage
			}
		default:
			return corrupt("descriptor %d: signature %q", i, d[:4])
		}
		if len(f.pages) > maxLogPages {
			return unsupported("a log that changes more than %d MiB", maxLogPages*logSector/mib)
		}
	}
	return nil
}
