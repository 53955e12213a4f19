package ntfs

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Dirty reports the dirty flag of $Volume: Windows would run chkdsk.
func (v *Volume) Dirty() bool { return v.flags&1 != 0 }

// LogState is what the restart areas of $LogFile say.
type LogState struct {
	// Clean means that Windows has nothing to replay.
	Clean bool
	// Empty means that no restart area was ever written, as tools that make or
	// write NTFS outside Windows leave it; Clean is then true.
	Empty bool
	// Version of the log: 1.1 after a clean dismount, 2.0 while Windows 8 or
	// later has the volume mounted.
	Version string
}

// Log reads the state of $LogFile (section "$LogFile").
func (v *Volume) Log() (LogState, error) {
	s, err := v.logState()
	if err != nil {
		return s, fmt.Errorf("reading $LogFile: %w", err)
	}
	return s, nil
}

func (v *Volume) logState() (LogState, error) {
	rec, err := v.record(recordLogFile)
	if err != nil {
		return LogState{}, err
	}
	stream, err := (&File{v, rec}).Open("")
	if err != nil {
		return LogState{}, err
	}
	const page = 4096
	var best LogState
	found, bestLSN := false, uint64(0)
	for i := range int64(2) {
		b := make([]byte, page)
		if err := stream.readFull(b, i*page); err != nil {
			return LogState{}, err
		}
		if string(b[:4]) == "\xff\xff\xff\xff" {
			continue
		}
		if err := fixup(b, "RSTR"); err != nil {
			return LogState{}, fmt.Errorf("restart page %d: %w", i+1, err)
		}
		off := int(le.Uint16(b[24:]))
		if off < 30 || off > page-48 {
			return LogState{}, corrupt("restart area at %d of restart page %d", off, i+1)
		}
		area := b[off:]
		lsn, inUse, flags := le.Uint64(area), le.Uint16(area[12:]), le.Uint16(area[14:])
		const noClient, cleanDismount = 0xffff, 2
		state := LogState{
			Clean:   inUse == noClient || flags&cleanDismount != 0,
			Version: fmt.Sprintf("%d.%d", le.Uint16(b[28:]), le.Uint16(b[26:])),
		}
		if !found || lsn > bestLSN {
			best, bestLSN, found = state, lsn, true
		}
	}
	if !found {
		return LogState{Clean: true, Empty: true}, nil
	}
	return best, nil
}

// Hibernation is what hiberfil.sys in the root says.
type Hibernation string

const (
	HibernationNone    Hibernation = "none"       // no file, or an empty header
	HibernationActive  Hibernation = "hibernated" // Windows will resume from it: hibernation or fast startup
	HibernationResumed Hibernation = "resumed"    // an image that was used up
	HibernationUnknown Hibernation = "unknown"
)

// Hibernation reads the header of \hiberfil.sys. While a volume is hibernated
// what lies on the disk is not what Windows has in memory.
func (v *Volume) Hibernation() (Hibernation, error) {
	f, err := v.Path(`\hiberfil.sys`)
	if errors.Is(err, ErrNotExist) {
		return HibernationNone, nil
	}
	if err != nil {
		return HibernationUnknown, err
	}
	s, err := f.Open("")
	if err != nil {
		return HibernationUnknown, fmt.Errorf("reading hiberfil.sys: %w", err)
	}
	b := make([]byte, 4096)
	n, err := s.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return HibernationUnknown, fmt.Errorf("reading hiberfil.sys: %w", err)
	}
	b = b[:n]
	if strings.Trim(string(b), "\x00") == "" {
		return HibernationNone, nil
	}
	switch strings.ToLower(string(b[:min(n, 4)])) {
	case "hibr", "rstr": // rstr: resuming was begun and not finished
		return HibernationActive, nil
	case "wake":
		return HibernationResumed, nil
	}
	return HibernationUnknown, nil
}
