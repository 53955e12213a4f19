package diskimage

import (
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

// logEntry is an entry and where it begins in the ring.
type logEntry struct {
	vhdxLogEntry
	at int64
}

func (e logEntry) length() int64 { return int64(e.EntryLength) }

// dataAt is where the data sectors begin in the entry, behind the descriptors.
func (e logEntry) dataAt() int64 {
	return roundUp(int64(binary.Size(e.vhdxLogEntry))+int64(e.DescriptorCount)*int64(binary.Size(vhdxDescriptor{})), logSector)
}

// vhdxLog is a log in memory, a ring of sectors.
type vhdxLog struct {
	ring    []byte
	id      guid
	entries map[int64]logEntry
}

// replayVHDXLog applies the active sequence of the log ([MS-VHDX] 2.3.2).
func replayVHDXLog(s source, h vhdxHeader) (*replayedFile, error) {
	if h.LogLength == 0 || int64(h.LogLength) > maxVHDXLog {
		return nil, unsupported("a log of %d bytes", h.LogLength)
	}
	l := vhdxLog{ring: make([]byte, h.LogLength), id: h.LogGuid}
	if err := readFull(s, l.ring, h.log().from); err != nil {
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
	if head.FlushedFileOffset > uint64(s.size) {
		return nil, corrupt("the file has %d bytes, its log says %d: it was cut off", s.size, head.FlushedFileOffset)
	}
	if head.LastFileOffset > uint64(maxDisk) {
		return nil, corrupt("log entry: last file offset %d", head.LastFileOffset)
	}
	f := &replayedFile{file: s.ReaderAt, known: s.size, size: max(s.size, int64(head.LastFileOffset)), pages: map[int64][]byte{}}
	for _, e := range chain {
		if err := f.apply(l.bytes(e), e); err != nil {
			return nil, fmt.Errorf("applying log entry at %d: %w", e.at, err)
		}
	}
	return f, nil
}

// bytes returns an entry, unwrapped where it runs over the end of the ring.
func (l *vhdxLog) bytes(e logEntry) []byte {
	if end := e.at + e.length(); end > int64(len(l.ring)) {
		return slices.Concat(l.ring[e.at:], l.ring[:end-int64(len(l.ring))])
	}
	return l.ring[e.at : e.at+e.length()]
}

// scan finds all valid entries.
func (l *vhdxLog) scan() error {
	size := int64(len(l.ring))
	// Entries of one log never overlap, and few outlive their overwriting; a
	// file made to have a checksum computed for each sector over all others
	// is stopped here.
	budget := 16 * size
	l.entries = map[int64]logEntry{}
	for at := int64(0); at < size; at += logSector {
		e := logEntry{at: at}
		if string(l.ring[at:at+4]) != vhdxEntrySign {
			continue
		}
		if _, err := binary.Decode(l.ring[at:], le, &e.vhdxLogEntry); err != nil {
			return err
		}
		if e.LogGuid != l.id || e.SequenceNumber == 0 || e.length() < logSector || e.length()%logSector != 0 || e.length() > size || e.dataAt() > e.length() {
			continue
		}
		if budget -= e.length(); budget < 0 {
			return corrupt("the log holds more entries than it has room for")
		}
		if vhdxCRC(l.bytes(e)) == e.Checksum {
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
		if a.SequenceNumber > b.SequenceNumber {
			return -1
		}
		return 1
	})
	for _, head := range heads {
		var chain []logEntry
		for at := int64(head.Tail); ; {
			e, ok := l.entries[at]
			if !ok || len(chain) > 0 && e.SequenceNumber != chain[len(chain)-1].SequenceNumber+1 {
				break
			}
			chain = append(chain, e)
			if e.at == head.at {
				return chain
			}
			if e.SequenceNumber >= head.SequenceNumber {
				break
			}
			at = (e.at + e.length()) % int64(len(l.ring))
		}
	}
	return nil
}

var zeroPage = make([]byte, logSector)

// apply puts the pages of one entry over the file.
func (f *replayedFile) apply(b []byte, e logEntry) error {
	descriptors := make([]vhdxDescriptor, e.DescriptorCount)
	if _, err := binary.Decode(b[binary.Size(e.vhdxLogEntry):], le, descriptors); err != nil {
		return err
	}
	data := e.dataAt()
	for i, d := range descriptors {
		if d.SequenceNumber != e.SequenceNumber {
			return corrupt("descriptor %d: sequence number %d", i, d.SequenceNumber)
		}
		to := d.FileOffset
		if to%logSector != 0 || to > uint64(maxDisk) {
			return corrupt("descriptor %d: file offset %d", i, to)
		}
		switch string(d.Signature[:]) {
		case vhdxDataDescSign:
			if data+logSector > int64(len(b)) {
				return corrupt("descriptor %d: its data lies outside the entry", i)
			}
			// A data sector ([MS-VHDX] 2.3.1.4) is a page of which the first
			// eight and last four bytes lie in the descriptor.
			s := b[data : data+logSector]
			data += logSector
			if string(s[:4]) != vhdxSectorSign || uint64(le.Uint32(s[4:]))<<32|uint64(le.Uint32(s[4092:])) != e.SequenceNumber {
				return corrupt("descriptor %d: data sector is of another entry", i)
			}
			f.pages[int64(to)] = slices.Concat(d.LeadingBytes[:], s[8:4092], d.TrailingBytes[:])
		case vhdxZeroDescSign:
			n := le.Uint64(d.LeadingBytes[:])
			if n%logSector != 0 || n > maxLogPages*logSector {
				return corrupt("descriptor %d: %d bytes of zeros", i, n)
			}
			for z := uint64(0); z < n; z += logSector {
				f.pages[int64(to+z)] = zeroPage
			}
		default:
			return corrupt("descriptor %d: signature %q", i, d.Signature)
		}
		if len(f.pages) > maxLogPages {
			return unsupported("a log that changes more than %d MiB", maxLogPages*logSector/mib)
		}
	}
	return nil
}
