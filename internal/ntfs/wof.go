package ntfs

import (
	"errors"
	"fmt"
)

type wof struct{}

func (w *wof) read(p []byte, off int64) error { return errors.New("not yet") }

func (f *File) openWOF() (*Stream, error) {
	tag, err := f.reparseTag()
	if err != nil || tag != tagWOF {
		return nil, err
	}
	return nil, fmt.Errorf("content compressed by CompactOS: %w", ErrUnsupported)
}
