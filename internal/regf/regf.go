// Package regf reads Windows registry hives, strictly and without writing:
// what Windows would see, or an error.
//
// Source: M. Suhanov, "Windows registry file format specification"; sections
// are named where they are used. A hive that was not shut down cleanly is
// recovered in memory from its transaction logs, as Windows would do when it
// next loads it, and says so (Hive.Clean).
//
// Registry cells carry no checksum: a flipped bit in the data of a value
// cannot be detected by anyone. What can be checked is checked: the base
// block, the header of every hive bin that is touched, every size and offset.
package regf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
)

var le = binary.LittleEndian

var (
	// ErrCorrupt is wrapped by every error about the content of a hive or a
	// log, as opposed to errors of reading it.
	ErrCorrupt = errors.New("corrupt registry hive")
	// ErrDirty means that the hive needs its transaction logs and that none
	// of those given can be used.
	ErrDirty = errors.New("registry hive was not flushed and cannot be recovered from its logs")
	// ErrNotExist means that a key or value is not there.
	ErrNotExist = errors.New("registry key or value does not exist")
	// ErrType means that a value is of another type than was asked for.
	ErrType = errors.New("registry value has another type")
)

func corrupt(format string, a ...any) error {
	return fmt.Errorf("%w: %w", ErrCorrupt, fmt.Errorf(format, a...))
}

const (
	baseSize = 4096 // base block; the hive bins follow
	pageSize = 4096
	sector   = 512
	none     = 0xffffffff

	typePrimary = 0
	typeOldLog  = 1 // file types of a base block (section "Base block")
	typeNewLog  = 6
)

// Log reads a whole transaction log (LOG, LOG1 or LOG2). It is called only if
// the hive is dirty. No bytes stand for a log that is empty or not there.
type Log func() ([]byte, error)

// Hive is an open hive. It is not safe for concurrent use.
type Hive struct {
	r          io.ReaderAt
	size       int64 // of the hive bins data, as the base block or the last log entry says
	root       uint32
	minor      uint32
	seq1, seq2 uint32
	written    uint64
	dirty      bool
	replayed   int
	overlay    map[int64][]byte // sectors of the hive bins data that logs replaced
	cache      cache
	bins       []bin // those looked up so far
	budget     *budget.Budget
}

type bin struct{ start, end int64 }

// Open reads the base block of a hive file of size bytes. If the hive is
// dirty, the logs are read and replayed in memory; without a usable one the
// error wraps ErrDirty.
func Open(r io.ReaderAt, size int64, logs ...Log) (*Hive, error) {
	return OpenWithin(nil, r, size, logs...)
}

// OpenWithin is Open with a budget for all that is read of the hive, now and
// later. Its bytes are those read of the file, without its logs; its items are
// keys, values, list entries and pages visited.
func OpenWithin(within *budget.Budget, r io.ReaderAt, size int64, logs ...Log) (*Hive, error) {
	if size < baseSize+pageSize {
		return nil, corrupt("file of %d bytes is too short for a hive", size)
	}
	base := make([]byte, sector)
	if err := readFull(r, base, 0); err != nil {
		return nil, fmt.Errorf("reading base block: %w", err)
	}
	if string(base[:4]) != "regf" {
		return nil, corrupt("no regf signature")
	}
	h := &Hive{r: r, budget: within, cache: cache{r: r, budget: within, size: blockSize, kept: blocksKept}}
	sound := checksum(base) == le.Uint32(base[508:])
	if sound {
		if err := h.take(base, typePrimary); err != nil {
			return nil, err
		}
	}
	h.dirty = !sound || h.seq1 != h.seq2
	if h.dirty {
		if err := h.recover(sound, logs); err != nil {
			return nil, fmt.Errorf("recovering hive from its logs: %w", err)
		}
	}
	if h.size <= 0 || h.size%pageSize != 0 {
		return nil, corrupt("hive bins data of %d bytes", h.size)
	}
	if h.size > size-baseSize && h.overlay == nil {
		return nil, corrupt("base block announces %d bytes of hive bins, the file holds %d", h.size, size-baseSize)
	}
	return h, nil
}

// take reads what is needed from a base block (section "Base block").
func (h *Hive) take(base []byte, fileType uint32) error {
	major, minor, typ, format := le.Uint32(base[20:]), le.Uint32(base[24:]), le.Uint32(base[28:]), le.Uint32(base[32:])
	if major != 1 || minor < 3 || minor > 6 {
		return corrupt("version %d.%d; 1.3 to 1.6 are understood", major, minor)
	}
	if typ != fileType || format != 1 {
		return corrupt("base block of file type %d, format %d", typ, format)
	}
	h.seq1, h.seq2 = le.Uint32(base[4:]), le.Uint32(base[8:])
	h.written = le.Uint64(base[12:])
	h.minor = minor
	h.root = le.Uint32(base[36:])
	h.size = int64(le.Uint32(base[40:]))
	return nil
}

// Clean reports whether the hive file itself was complete: base block sound
// and both sequence numbers equal, as a full shutdown leaves it (section
// "Dirty state of a hive"). Only then does the file prove anything.
func (h *Hive) Clean() bool { return !h.dirty }

// Replayed is the number of log entries that were applied in memory; a log of
// the old format counts as one entry.
func (h *Hive) Replayed() int { return h.replayed }

// Written is when Windows last wrote the hive, as its base block says; the zero time where
// that is no time of this or the next century.
func (h *Hive) Written() time.Time {
	const (
		unix  = 116444736000000000 // 1970, in units of 100 ns since 1601
		limit = 157469184000000000 // 2100
	)
	if h.written < unix || h.written >= limit {
		return time.Time{}
	}
	return time.Unix(0, int64(h.written-unix)*100).UTC()
}

// checksum is the XOR-32 of the first 508 bytes (section "Base block").
func checksum(base []byte) uint32 {
	var c uint32
	for i := 0; i < 508; i += 4 {
		c ^= le.Uint32(base[i:])
	}
	switch c {
	case 0:
		return 1
	case none:
		return none - 1
	}
	return c
}

func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
