package ntfs

import (
	"errors"
	"fmt"
	"strings"
)

// Root opens the root directory.
func (v *Volume) Root() (*File, error) {
	rec, err := v.record(recordRoot)
	if err != nil {
		return nil, err
	}
	return &File{v, rec}, nil
}

// Path opens a file or directory by a path from the root, separated by
// slashes of either kind, without regard to case. The error for a missing
// file wraps ErrNotExist. Links to directories are not followed: a path that
// leads through one is ErrUnsupported.
func (v *Volume) Path(path string) (*File, error) {
	f, err := v.Root()
	if err != nil {
		return nil, err
	}
	names := strings.FieldsFunc(path, func(r rune) bool { return r == '\\' || r == '/' })
	for i, name := range names {
		if i > 0 {
			if tag, err := f.reparseTag(); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			} else if tag&tagNameSurrogate != 0 {
				return nil, fmt.Errorf("%s: %s is a link to another place: %w", path, names[i-1], ErrUnsupported)
			}
		}
		if f, err = f.lookup(name); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return f, nil
}

// Open opens the file of a directory entry.
func (v *Volume) Open(e Entry) (*File, error) {
	f, err := v.open(e.ref)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.Name, err)
	}
	return f, nil
}

// ReadFile returns the content of the file of a path, which must not be
// longer than limit bytes (ErrTooLarge).
func (v *Volume) ReadFile(path string, limit int64) ([]byte, error) {
	f, err := v.Path(path)
	if err != nil {
		return nil, err
	}
	b, err := f.content(limit)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return b, nil
}

// readSystem reads a metadata file by its record number.
func (v *Volume) readSystem(number, limit int64) ([]byte, error) {
	rec, err := v.record(number)
	if err != nil {
		return nil, err
	}
	return (&File{v, rec}).content(limit)
}

func (f *File) content(limit int64) ([]byte, error) {
	s, err := f.Open("")
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

// reparseTag is the tag of the file's reparse point, 0 if it has none.
func (f *File) reparseTag() (uint32, error) {
	b, err := f.reparsePoint()
	if err != nil || len(b) < 8 {
		return 0, err
	}
	return le.Uint32(b), nil
}

// reparsePoint is the content of $REPARSE_POINT ([MS-FSCC] 2.1.2.2), nil if
// there is none.
func (f *File) reparsePoint() ([]byte, error) {
	pieces, err := f.pieces(kindReparsePoint, "")
	if errors.Is(err, ErrNotExist) {
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
