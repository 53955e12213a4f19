package ntfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// Dirty reports the dirty flag of $Volume: Windows would run chkdsk.
func (v *Volume) Dirty() bool { return v.flags&1 != 0 }

// LogClean reports whether $LogFile holds nothing that Windows would replay
// (section "$LogFile"). Tools that make or write NTFS outside Windows leave it
// without a restart area, which is clean too.
func (v *Volume) LogClean() (bool, error) {
	clean, err := v.logClean()
	if err != nil {
		return false, fmt.Errorf("reading $LogFile: %w", err)
	}
	return clean, nil
}

func (v *Volume) logClean() (bool, error) {
	rec, err := v.record(recordLogFile)
	if err != nil {
		return false, err
	}
	log, err := (&file{v, rec}).open("")
	if err != nil {
		return false, err
	}
	const page, noClient, cleanDismount = 4096, 0xffff, 2
	clean, found, newest := true, false, uint64(0)
	for i := range int64(2) {
		b := make([]byte, page)
		if err := log.readFull(b, i*page); err != nil {
			return false, err
		}
		if string(b[:4]) == "\xff\xff\xff\xff" {
			continue
		}
		if err := fixup(b, "RSTR"); err != nil {
			return false, fmt.Errorf("restart page %d: %w", i+1, err)
		}
		off := int(le.Uint16(b[24:]))
		if off < 30 || off > page-48 {
			return false, corrupt("restart area at %d of restart page %d", off, i+1)
		}
		area := b[off:]
		lsn, inUse, flags := le.Uint64(area), le.Uint16(area[12:]), le.Uint16(area[14:])
		if !found || lsn > newest {
			clean, found, newest = inUse == noClient || flags&cleanDismount != 0, true, lsn
		}
	}
	return clean, nil
}

// Hibernation is what hiberfil.sys in the root says.
type Hibernation string

const (
	HibernationNone    Hibernation = "none"       // no file, or an empty header
	HibernationActive  Hibernation = "hibernated" // Windows will resume from it: hibernation or fast startup
	HibernationResumed Hibernation = "resumed"    // an image that was used up
	HibernationUnknown Hibernation = "unknown"
)

// Hibernation reads the header of hiberfil.sys. While a volume is hibernated
// what lies on the disk is not what Windows has in memory.
func (v *Volume) Hibernation() (Hibernation, error) {
	f, err := v.find("hiberfil.sys")
	if errors.Is(err, fs.ErrNotExist) {
		return HibernationNone, nil
	}
	if err != nil {
		return HibernationUnknown, fmt.Errorf("looking for hiberfil.sys: %w", err)
	}
	s, err := f.open("")
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
