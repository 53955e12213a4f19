package ntfs

import (
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
)

// A security descriptor has a header of 20 bytes ([MS-DTYP] 2.4.6), and Windows allows
// 64 KiB.
const (
	minDescriptor = 20
	maxDescriptor = 64 << 10
)

// descriptors finds those of $Secure: $SII is an index of their numbers, $SDS holds them,
// each twice (section "$Secure").
type descriptors struct {
	stream *stream
	at     map[uint32]descriptorPlace
}

type descriptorPlace struct {
	hash   uint32
	offset int64
	size   uint32 // with its header
}

const (
	descriptorHeader = 20
	descriptorMirror = 256 << 10 // how far behind it the second one stands
	maxDescriptors   = 1 << 20
)

// Descriptor is the self-relative security descriptor of a number, as Metadata tells it.
func (v *Volume) Descriptor(id uint32) ([]byte, error) {
	b, err := v.descriptor(id)
	if err != nil {
		return nil, fmt.Errorf("reading security descriptor %d of $Secure: %w", id, err)
	}
	return b, nil
}

func (v *Volume) descriptor(id uint32) ([]byte, error) {
	if v.secure == nil {
		d, err := v.openSecure()
		if err != nil {
			return nil, err
		}
		v.secure = d
	}
	place, ok := v.secure.at[id]
	if !ok {
		return nil, corrupt("there is none of that number")
	}
	b := make([]byte, place.size)
	var first error
	for _, off := range []int64{place.offset, place.offset + descriptorMirror} {
		err := v.secure.stream.readFull(b, off)
		if err == nil {
			if err = checkDescriptor(b, id, place); err == nil {
				return b[descriptorHeader:], nil
			}
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// checkDescriptor holds an entry of $SDS against what $SII says of it.
func checkDescriptor(b []byte, id uint32, place descriptorPlace) error {
	header := b[:descriptorHeader]
	if le.Uint32(header) != place.hash || le.Uint32(header[4:]) != id || le.Uint64(header[8:]) != uint64(place.offset) || le.Uint32(header[16:]) != place.size {
		return corrupt("its header at %d is not what the index says", place.offset)
	}
	var hash uint32
	for rest := b[descriptorHeader:]; len(rest) >= 4; rest = rest[4:] {
		hash = le.Uint32(rest) + bits.RotateLeft32(hash, 3)
	}
	if hash != place.hash {
		return corrupt("its hash at %d is wrong", place.offset)
	}
	return nil
}

// openSecure reads the index. Volumes of Windows NT 4 have none.
func (v *Volume) openSecure() (*descriptors, error) {
	rec, err := v.record(recordSecure)
	if err != nil {
		return nil, err
	}
	f := &file{v, rec}
	pieces, err := f.pieces(kindData, "$SDS")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, corrupt("there is no $SDS")
	}
	if err != nil {
		return nil, err
	}
	d := &descriptors{at: map[uint32]descriptorPlace{}}
	if d.stream, err = v.newStream(pieces, false); err != nil {
		return nil, err
	}
	index, err := f.index("$SII", 0, parseSecurityIDs)
	if err != nil {
		return nil, err
	}
	return d, index.each(d.take)
}

// take notes an entry of $SII.
func (d *descriptors) take(key []byte) error {
	id := le.Uint32(key)
	place := descriptorPlace{le.Uint32(key[4:]), int64(le.Uint64(key[12:])), le.Uint32(key[20:])}
	switch {
	case id != le.Uint32(key[8:]):
		return corrupt("$SII has number %d for number %d", le.Uint32(key[8:]), id)
	case place.size < descriptorHeader+minDescriptor || place.size > descriptorHeader+maxDescriptor:
		return corrupt("$SII has a descriptor of %d bytes", place.size)
	case place.offset < 0 || place.offset > d.stream.size-int64(place.size):
		return corrupt("$SII has a descriptor at %d of %d", place.offset, d.stream.size)
	case len(d.at) == maxDescriptors:
		return corrupt("$SII has more than %d descriptors", maxDescriptors)
	}
	d.at[id] = place
	return nil
}

// parseSecurityIDs decodes a node of $SII: the key is the number, the data are hash, number,
// place and size.
func parseSecurityIDs(b []byte) ([]indexEntry, error) { return parseView(b, 4, 20) }
