package diskimage

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"errors"
	"io"
	"sync"
)

var (
	errInflate     = errors.New("it is damaged")
	errInflateCut  = errors.New("it ends too early")
	errInflateFull = errors.New("it has more data than there should be")
)

// unpacker keeps a decoder from one grain or cluster to the next: making one anew takes
// longer than a small grain does.
type unpacker struct {
	src bytes.Reader
	r   io.ReadCloser // nil before its first use
}

var deflaters, zlibs = sync.Pool{New: func() any { return new(unpacker) }}, sync.Pool{New: func() any { return new(unpacker) }}

// inflate unpacks the deflate stream ([RFC1951]) at the beginning of src, and returns how many
// bytes it wrote to dst. errInflateFull says that dst is full and the stream has more.
func inflate(dst, src []byte) (int, error) {
	u := deflaters.Get().(*unpacker)
	defer deflaters.Put(u)
	defer u.src.Reset(nil) // the pool keeps no source
	u.src.Reset(src)
	if u.r == nil {
		u.r = flate.NewReader(&u.src)
	} else if err := u.r.(flate.Resetter).Reset(&u.src, nil); err != nil {
		return 0, errInflate
	}
	return u.fill(dst)
}

// inflateZlib is inflate of a zlib stream ([RFC1950]), whose checksum is compared.
func inflateZlib(dst, src []byte) (n int, err error) {
	u := zlibs.Get().(*unpacker)
	defer zlibs.Put(u)
	defer u.src.Reset(nil)
	u.src.Reset(src)
	if u.r == nil {
		u.r, err = zlib.NewReader(&u.src)
	} else {
		err = u.r.(zlib.Resetter).Reset(&u.src, nil)
	}
	if err != nil {
		return 0, unpacking(err)
	}
	return u.fill(dst)
}

// fill reads until dst is full, and then whether there is more.
func (u *unpacker) fill(dst []byte) (n int, err error) {
	for n < len(dst) && err == nil {
		var k int
		k, err = u.r.Read(dst[n:])
		n += k
	}
	if err == nil {
		var more [1]byte
		if _, err = io.ReadFull(u.r, more[:]); err == nil {
			return n, errInflateFull
		}
	}
	if errors.Is(err, io.EOF) {
		return n, nil
	}
	return n, unpacking(err)
}

func unpacking(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errInflateCut
	}
	return errInflate
}
