package ntfs

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// root opens the root directory.
func (v *Volume) root() (*file, error) {
	rec, err := v.record(recordRoot)
	if err != nil {
		return nil, err
	}
	return &file{v, rec}, nil
}

// find opens a file or directory by a name as io/fs has it, without regard to
// case. The error for a missing file wraps fs.ErrNotExist. Links to directories
// are not followed: a path that leads through one is ErrUnsupported.
func (v *Volume) find(name string) (*file, error) {
	if !fs.ValidPath(name) {
		return nil, fs.ErrInvalid
	}
	f, err := v.root()
	if err != nil || name == "." {
		return f, err
	}
	parent := ""
	for element := range strings.SplitSeq(name, "/") {
		if parent != "" {
			if link, err := f.isLink(); err != nil {
				return nil, err
			} else if link {
				return nil, fmt.Errorf("%s is a link to another place: %w", parent, ErrUnsupported)
			}
		}
		if f, err = f.lookup(element); err != nil {
			return nil, err
		}
		parent = element
	}
	return f, nil
}

// readSystem reads a metadata file by its record number.
func (v *Volume) readSystem(number, limit int64) ([]byte, error) {
	rec, err := v.record(number)
	if err != nil {
		return nil, err
	}
	return (&file{v, rec}).content(limit)
}

func (f *file) content(limit int64) ([]byte, error) {
	s, err := f.open("")
	if err != nil {
		return nil, err
	}
	if s.size > limit {
		return nil, fmt.Errorf("%d bytes, at most %d are expected: %w", s.size, limit, ErrTooLarge)
	}
	b := make([]byte, s.size)
	return b, s.readFull(b, 0)
}

// Bits and values of reparse tags ([MS-FSCC] 2.1.2.1).
const (
	tagNameSurrogate = 0x20000000
	tagWOF           = 0x80000017
)

// isLink reports whether the file is a link to another place: a symbolic link,
// a junction or a mount point.
func (f *file) isLink() (bool, error) {
	b, err := f.reparsePoint()
	return len(b) > 0 && le.Uint32(b)&tagNameSurrogate != 0, err
}

// reparsePoint is the content of $REPARSE_POINT ([MS-FSCC] 2.1.2.2), nil if
// there is none.
func (f *file) reparsePoint() ([]byte, error) {
	pieces, err := f.pieces(kindReparsePoint, "")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s, err := f.v.newStream(pieces, false)
	if err != nil {
		return nil, err
	}
	if s.size < 8 || s.size > 16<<10 {
		return nil, corrupt("reparse point of %d bytes in record %d", s.size, f.rec.number)
	}
	b := make([]byte, s.size)
	return b, s.readFull(b, 0)
}
