package diskimage

import (
	"bytes"
	"crypto/rand"
	"os"
	"slices"
)

func newID() (id [16]byte) {
	_, _ = rand.Read(id[:]) // never fails, by its documentation
	id[7] = id[7]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

// writeSpans writes data at the place of their block.
func writeSpans(f *os.File, at int64, p []byte, data []span) error {
	for _, s := range data {
		if _, err := f.WriteAt(p[s.from:s.to], at+s.from); err != nil {
			return err
		}
	}
	if len(data) > 0 {
		from, to := at+data[0].from, at+data[len(data)-1].to
		startWriting(f, from, to-from)
	}
	return nil
}

// flatWriter writes a raw disk or a fixed VHD.
type flatWriter struct {
	f      *os.File
	size   int64
	footer bool
}

func (w *flatWriter) place(block int64, _ []span) int64 { return block * copyUnit }

func (w *flatWriter) write(at int64, p []byte, data []span) error {
	return writeSpans(w.f, at, p, data)
}

func (w *flatWriter) finish() error {
	if err := w.f.Truncate(w.size); err != nil || !w.footer {
		return err
	}
	_, err := w.f.WriteAt(newVHDFooter(w.size, vhdTypeFixed, newID()).encode(), w.size)
	return err
}

// vhdWriter writes a dynamic VHD. The data of every block starts on a multiple
// of 4 KiB, its bitmap is the sector before: else each page the guest writes
// would touch two pages of the host.
type vhdWriter struct {
	f     *os.File
	size  int64
	table []uint32
	next  int64 // where the data of the next block starts
}

const (
	vhdTableAt  = footerSize + vhdHeaderSize
	vhdBitmap   = copyUnit / 512 / 8 // one sector
	vhdBlockGap = 4 * kib            // bitmap and what aligns it
)

func newVHDWriter(f *os.File, size int64) *vhdWriter {
	w := &vhdWriter{f: f, size: size, table: make([]uint32, (size+copyUnit-1)/copyUnit)}
	for i := range w.table {
		w.table[i] = vhdNoBlock
	}
	w.next = roundUp(w.tableEnd()+vhdBitmap, vhdBlockGap)
	return w
}

func (w *vhdWriter) tableEnd() int64 { return roundUp(vhdTableAt+4*int64(len(w.table)), 512) }

func (w *vhdWriter) place(block int64, _ []span) int64 {
	at := w.next - vhdBitmap
	w.table[block] = uint32(at / 512)
	w.next += copyUnit + vhdBlockGap
	return at
}

func (w *vhdWriter) write(at int64, p []byte, data []span) error {
	if _, err := w.f.WriteAt(bytes.Repeat([]byte{0xff}, int(vhdBitmap)), at); err != nil {
		return err
	}
	return writeSpans(w.f, at+vhdBitmap, p, data)
}

// finish writes the tables and the footer, which follows the last block or, in
// an empty disk, the table.
func (w *vhdWriter) finish() error {
	b := w.header(copyUnit)
	if _, err := w.f.WriteAt(b, 0); err != nil {
		return err
	}
	_, err := w.f.WriteAt(b[:footerSize], max(w.next-vhdBlockGap, w.tableEnd()))
	return err
}

// header is the copy of the footer, the dynamic disk header and the table.
func (w *vhdWriter) header(blockSize int64) []byte {
	h := vhdHeader{
		Cookie: [8]byte([]byte(vhdHeaderCookie)), DataOffset: vhdNowhere, TableOffset: vhdTableAt,
		HeaderVersion: vhdVersion, MaxTableEntries: uint32(len(w.table)), BlockSize: uint32(blockSize),
	}
	b := slices.Concat(newVHDFooter(w.size, vhdTypeDynamic, newID()).encode(), h.encode(), pack(be, w.table))
	return append(b, bytes.Repeat([]byte{0xff}, int(w.tableEnd())-len(b))...)
}
