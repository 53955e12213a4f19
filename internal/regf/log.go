package regf

import (
	"fmt"
	"math/bits"
	"slices"
)

// entry is one log entry of the new format, or a whole log of the old one:
// sectors to be put over the hive bins data.
type entry struct {
	seq   uint32
	size  int64 // hive bins data size after the entry
	pages []page
}

type page struct {
	offset int64
	data   []byte
}

// newLog is a usable log of the new format, Windows 8.1 and later.
type newLog struct {
	base    []byte
	entries []entry
}

// recover replays the logs in memory. sound says that the base block of the
// hive file itself is good.
func (h *Hive) recover(sound bool, logs []Log) error {
	var oldLogs [][]byte
	var newLogs []newLog
	var unusable error
	for i, read := range logs {
		b, err := read()
		if err != nil {
			return fmt.Errorf("reading transaction log %d: %w", i+1, err)
		}
		if len(b) < 2*sector {
			continue
		}
		if err := h.budget.Spend(0, 1); err != nil {
			return fmt.Errorf("reading transaction log %d: %w", i+1, err)
		}
		if string(b[:4]) != "regf" || checksum(b) != le.Uint32(b[508:]) {
			unusable = fmt.Errorf("base block of transaction log %d is not valid", i+1)
			continue
		}
		switch typ := le.Uint32(b[28:]); typ {
		case typeOldLog:
			oldLogs = append(oldLogs, b)
		case typeNewLog:
			entries, err := parseNewLog(b)
			if err != nil {
				return fmt.Errorf("reading transaction log %d: %w", i+1, err)
			}
			if len(entries) > 0 {
				newLogs = append(newLogs, newLog{b[:sector], entries})
			}
		default:
			return corrupt("transaction log %d has file type %d", i+1, typ)
		}
	}
	h.overlay = map[int64][]byte{}
	var err error
	switch {
	case len(newLogs) > 0:
		err = h.replayNew(sound, newLogs)
	case len(oldLogs) > 0:
		err = h.replayOld(sound, oldLogs)
	case unusable != nil:
		return fmt.Errorf("%w: %w", ErrDirty, unusable)
	case !sound:
		return fmt.Errorf("%w: no log holds an entry, and the base block is damaged", ErrDirty)
	default:
		return fmt.Errorf("%w: no log holds an entry (sequence numbers %d and %d)", ErrDirty, h.seq1, h.seq2)
	}
	return err
}

func (h *Hive) apply(e entry) {
	for _, p := range e.pages {
		for o := 0; o < len(p.data); o += sector {
			h.overlay[p.offset+int64(o)] = p.data[o : o+sector]
		}
	}
	h.size = e.size
	h.replayed++
}

// parseNewLog returns the entries of a log up to the first that does not
// follow or does not hash (section "New format", notes 1 to 8).
func parseNewLog(b []byte) ([]entry, error) {
	const header = 40
	var out []entry
	for b = b[sector:]; len(b) >= header; {
		length := int64(le.Uint32(b[4:]))
		if string(b[:4]) != "HvLE" || length < sector || length%sector != 0 || length > int64(len(b)) {
			break
		}
		raw := b[:length]
		b = b[length:]
		e := entry{seq: le.Uint32(raw[12:]), size: int64(le.Uint32(raw[16:]))}
		if len(out) > 0 && e.seq != out[len(out)-1].seq+1 {
			break // remains of an older round through the file
		}
		if marvin32(raw[:32]) != le.Uint64(raw[32:]) || marvin32(raw[header:]) != le.Uint64(raw[24:]) || e.size%pageSize != 0 {
			break
		}
		count := int64(le.Uint32(raw[20:]))
		if count > (length-header)/8 {
			return nil, corrupt("log entry %d of %d bytes has %d page references", e.seq, length, count)
		}
		refs, data := raw[header:header+8*count], raw[header+8*count:]
		for ; len(refs) > 0; refs = refs[8:] {
			offset, size := int64(le.Uint32(refs)), int64(le.Uint32(refs[4:]))
			if offset%sector != 0 || size == 0 || size%sector != 0 || size > int64(len(data)) || offset+size > e.size {
				return nil, corrupt("log entry %d has a page of %d bytes for offset %#x", e.seq, size, offset)
			}
			e.pages = append(e.pages, page{offset, data[:size]})
			data = data[size:]
		}
		out = append(out, e)
	}
	return out, nil
}

// replayNew applies, over all logs, the entries that follow the hive file
// without a gap.
func (h *Hive) replayNew(sound bool, logs []newLog) error {
	slices.SortFunc(logs, func(a, b newLog) int { return int(int32(a.entries[0].seq - b.entries[0].seq)) })
	if !sound {
		// The newest log has the base block. How far the file got is not
		// known, but applying what it already holds once more changes
		// nothing, as long as the entries join up to the newest.
		if err := h.take(logs[len(logs)-1].base, typeNewLog); err != nil {
			return err
		}
		first := len(logs) - 1
		for first > 0 {
			prev := logs[first-1].entries
			if prev[len(prev)-1].seq+1 != logs[first].entries[0].seq {
				break
			}
			first--
		}
		logs = logs[first:]
		h.seq2 = logs[0].entries[0].seq
	}
	need := h.seq2
	for _, l := range logs {
		for _, e := range l.entries {
			if int32(e.seq-need) < 0 {
				continue // the file holds it
			}
			if e.seq != need {
				break
			}
			h.apply(e)
			need++
		}
	}
	if h.replayed == 0 {
		return fmt.Errorf("%w: its sequence numbers are %d and %d, the logs begin with entry %d", ErrDirty, h.seq1, h.seq2, logs[0].entries[0].seq)
	}
	return nil
}

// replayOld applies the one log of the format before Windows 8.1 that belongs
// to the hive file (section "Old format").
func (h *Hive) replayOld(sound bool, logs [][]byte) error {
	var why error
	for _, b := range logs {
		if s1, s2 := le.Uint32(b[4:]), le.Uint32(b[8:]); s1 != s2 {
			why = fmt.Errorf("its log was not written to the end (sequence numbers %d and %d)", s1, s2)
			continue
		}
		stamps, err := h.stamps(sound)
		if err != nil {
			return err
		}
		if !slices.Contains(stamps, le.Uint64(b[12:])) {
			why = fmt.Errorf("its log was written at another time")
			continue
		}
		e, err := parseOldLog(b)
		if err != nil {
			return err
		}
		if !sound {
			if err := h.take(b, typeOldLog); err != nil {
				return err
			}
		}
		h.apply(e)
		return nil
	}
	return fmt.Errorf("%w: %w", ErrDirty, why)
}

// stamps are the times of last writing a log must name to belong to the hive.
// Where the base block is damaged, its own may have survived, or the copy in
// the first hive bin.
func (h *Hive) stamps(sound bool) ([]uint64, error) {
	if sound {
		return []uint64{h.written}, nil
	}
	b := make([]byte, baseSize+32)
	if err := readFull(h.r, b, 0); err != nil {
		return nil, fmt.Errorf("reading first hive bin: %w", err)
	}
	return []uint64{le.Uint64(b[12:]), le.Uint64(b[baseSize+20:])}, nil
}

// parseOldLog reads dirty vector and dirty pages (sections of these names).
func parseOldLog(b []byte) (entry, error) {
	e := entry{seq: le.Uint32(b[4:]), size: int64(le.Uint32(b[40:]))}
	if string(b[sector:sector+4]) != "DIRT" {
		return e, fmt.Errorf("%w: its log has no dirty vector", ErrDirty)
	}
	if e.size%pageSize != 0 {
		return e, corrupt("log announces %d bytes of hive bins", e.size)
	}
	bitmap := b[sector+4:]
	if bytes := e.size / sector / 8; bytes > int64(len(bitmap)) {
		return e, corrupt("dirty vector of %d bytes does not fit the log", bytes)
	} else {
		bitmap = bitmap[:bytes]
	}
	data := b[(sector+4+len(bitmap)+sector-1)&^(sector-1):]
	for i, v := range bitmap {
		for bit := range 8 {
			if v>>bit&1 == 0 {
				continue
			}
			if len(data) < sector {
				return e, corrupt("log ends before its dirty pages")
			}
			e.pages = append(e.pages, page{int64(8*i+bit) * sector, data[:sector]})
			data = data[sector:]
		}
	}
	return e, nil
}

// marvin32 is the hash of log entries, with the fixed seed of section "Log
// entries", note 3.
func marvin32(b []byte) uint64 {
	lo, hi := uint32(0x7A4E55C5), uint32(0x82EF4D88)
	mix := func() {
		hi ^= lo
		lo = bits.RotateLeft32(lo, 20) + hi
		hi = bits.RotateLeft32(hi, 9) ^ lo
		lo = bits.RotateLeft32(lo, 27) + hi
		hi = bits.RotateLeft32(hi, 19)
	}
	for ; len(b) >= 4; b = b[4:] {
		lo += le.Uint32(b)
		mix()
	}
	tail := [4]byte{}
	copy(tail[:], b)
	tail[len(b)] = 0x80
	lo += le.Uint32(tail[:])
	mix()
	mix()
	return uint64(hi)<<32 | uint64(lo)
}
