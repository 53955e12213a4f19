package ntfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// ShadowCopies says what the Volume Shadow Copy Service has on a volume.
type ShadowCopies struct {
	// Stores are the files in System Volume Information that hold differences
	// to snapshots, of this or of another volume.
	Stores []string
	// Elsewhere means that snapshots of this volume are stored on another one.
	Elsewhere bool
}

// Any reports whether free clusters of the volume may still be read.
func (s ShadowCopies) Any() bool { return len(s.Stores) > 0 || s.Elsewhere }

// The identifier of everything the service stores, as a GUID in bytes and as
// the ending of its file names (libvshadow, "Volume Shadow Snapshot (VSS)
// format", sections 2 and 3).
var vssIdentifier = []byte{0x6b, 0x87, 0x08, 0x38, 0x76, 0xc1, 0x48, 0x4e, 0xb7, 0xae, 0x04, 0x04, 0x6e, 0x6c, 0xc7, 0x52}

const vssName = "{3808876b-c176-4e48-b7ae-04046e6cc752}"

// maxStores is how many stores are named; Windows keeps 512 snapshots of a
// volume at most.
const maxStores = 1024

// ShadowCopies looks for snapshots: in the header the service keeps in the
// boot area of the volume, and by the files it stores.
func (v *Volume) ShadowCopies() (ShadowCopies, error) {
	var s ShadowCopies
	head := make([]byte, 128)
	if err := v.readAt(head, 0x1e00); err == nil && bytes.Equal(head[:16], vssIdentifier) {
		s.Elsewhere = !bytes.Equal(head[64:80], head[80:96])
	} else if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, ErrCorrupt) {
		return s, fmt.Errorf("reading shadow copy header: %w", err)
	}
	dir, err := v.find("System Volume Information")
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		s.Stores, err = dir.stores()
	}
	if err != nil {
		return s, fmt.Errorf("looking for shadow copies: %w", err)
	}
	return s, nil
}

func (f *file) stores() (names []string, err error) {
	list, err := f.list()
	if err != nil {
		return nil, err
	}
	for len(names) < maxStores {
		e, err := list.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return names, err
		}
		if name := strings.ToLower(e.name); strings.HasSuffix(name, vssName) && name != vssName {
			names = append(names, e.name)
		}
	}
	return names, nil
}
