package diskimage

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// zstdWindow bounds what a frame may look back: the largest cluster has 2 MiB, and
// QEMU's frames are made with windows of no more than 8.
const zstdWindow = 8 * mib

// zstdReaders are decoders without goroutines of their own.
var zstdReaders = sync.Pool{New: func() any {
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(uint64(zstdWindow)))
	if err != nil {
		return fmt.Errorf("making a zstd decoder: %w", err)
	}
	return r
}}

// unzstd fills dst from the frames ([RFC8878]) at the beginning of src. What follows is of no
// account: a compressed cluster is stored in whole sectors.
func unzstd(dst, src []byte) error {
	made := zstdReaders.Get()
	r, ok := made.(*zstd.Decoder)
	if !ok {
		return made.(error)
	}
	defer zstdReaders.Put(r)
	if err := r.Reset(bytes.NewReader(src)); err != nil {
		return err
	}
	_, err := io.ReadFull(r, dst)
	// So that the pool does not keep the source.
	if reset := r.Reset(nil); err == nil {
		err = reset
	}
	return err
}
