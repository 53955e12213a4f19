package ntfs

import "fmt"

// wof reads content compressed by the Windows Overlay Filter (compact.exe
// /exe, CompactOS): the stream WofCompressedData holds a table with the
// offsets of all chunks but the first, then the chunks ([MS-FSCC] 2.1.2.9
// and, for the layout, "System compression" of the ntfs-3g project).
type wof struct {
	data       *stream
	size       int64 // uncompressed
	chunkSize  int64
	decompress func(dst, src []byte) error
	cached     int64 // index of the chunk in chunk, -1: none
	chunk      []byte
}

const (
	wofStream       = "WofCompressedData"
	wofFileProvider = 2 // 1 stands for a file in a WIM elsewhere (WIMBoot)
)

// openReparsed opens content that a reparse point stands for, and returns nil
// if the file has none. Other filters than WOF keep the content elsewhere: a
// link, deduplication, a cloud; the stream itself would be zeros.
func (f *file) openReparsed() (*stream, error) {
	b, err := f.reparsePoint()
	if err != nil || b == nil {
		return nil, err
	}
	if tag := le.Uint32(b); tag != tagWOF {
		return nil, fmt.Errorf("content behind a reparse point of tag %#x: %w", tag, ErrUnsupported)
	}
	if len(b) < 16 {
		return nil, corrupt("WOF reparse point of %d bytes in record %d", len(b), f.rec.number)
	}
	if provider := le.Uint32(b[12:]); provider != wofFileProvider || len(b) < 24 {
		return nil, fmt.Errorf("content kept by WOF provider %d: %w", provider, ErrUnsupported)
	}
	w := &wof{cached: -1}
	switch algorithm := le.Uint32(b[20:]); algorithm {
	case 0:
		w.chunkSize, w.decompress = 4<<10, xpressHuffman
	case 1:
		w.chunkSize, w.decompress = 32<<10, lzx
	case 2:
		w.chunkSize, w.decompress = 8<<10, xpressHuffman
	case 3:
		w.chunkSize, w.decompress = 16<<10, xpressHuffman
	default:
		return nil, fmt.Errorf("content compressed by WOF algorithm %d: %w", algorithm, ErrUnsupported)
	}
	pieces, err := f.pieces(kindData, "")
	if err != nil {
		return nil, err
	}
	plain, err := f.v.newStream(pieces, false)
	if err != nil {
		return nil, err
	}
	if pieces, err = f.pieces(kindData, wofStream); err != nil {
		return nil, err
	}
	if w.data, err = f.v.newStream(pieces, false); err != nil {
		return nil, err
	}
	w.size = plain.size
	return &stream{v: f.v, size: plain.size, runs: w.data.runs, packed: w}, nil
}

func (w *wof) read(p []byte, off int64) error {
	for len(p) > 0 {
		i := off / w.chunkSize
		if err := w.load(i); err != nil {
			return fmt.Errorf("WOF chunk %d: %w", i, err)
		}
		n := copy(p, w.chunk[off-i*w.chunkSize:])
		p = p[n:]
		off += int64(n)
	}
	return nil
}

// load decompresses chunk i.
func (w *wof) load(i int64) error {
	if i == w.cached {
		return nil
	}
	count := (w.size + w.chunkSize - 1) / w.chunkSize
	width := int64(4)
	if w.size > 1<<32-1 {
		width = 8
	}
	table := width * (count - 1)
	start, err := w.boundary(i, width, count, table)
	if err != nil {
		return err
	}
	end, err := w.boundary(i+1, width, count, table)
	if err != nil {
		return err
	}
	plain := min(w.chunkSize, w.size-i*w.chunkSize)
	if start < table || end <= start || end > w.data.size || end-start > plain {
		return corrupt("bytes %d to %d of %d", start, end, w.data.size)
	}
	packed := make([]byte, end-start)
	if err := w.data.readFull(packed, start); err != nil {
		return err
	}
	w.cached = -1
	if end-start == plain {
		w.chunk = packed // did not get smaller: stored plain
	} else {
		w.chunk = make([]byte, plain)
		if err := w.decompress(w.chunk, packed); err != nil {
			return err
		}
	}
	w.cached = i
	return nil
}

// boundary is where chunk i begins in the stream, or the last one ends.
func (w *wof) boundary(i, width, count, table int64) (int64, error) {
	switch i {
	case 0:
		return table, nil
	case count:
		return w.data.size, nil
	}
	b := make([]byte, 8)
	if err := w.data.readFull(b[:width], width*(i-1)); err != nil {
		return 0, err
	}
	off := le.Uint64(b)
	if off > 1<<62 {
		return 0, corrupt("chunk offset %#x", off)
	}
	return table + int64(off), nil
}
