package wim

import (
	"bufio"
	"context"
	"io"
)

const (
	dentrySize   = 102 // without names
	streamSize   = 38  // without its name
	objectIDSize = 64
	objectIDItem = 1 // what follows a dentry is an object id
	itemHeader   = 8
	endOfFolder  = 8 // zeros behind the last name

	// notFixed says of a link that its target is as it was, not relative to what was
	// captured. The targets on a system drive name that drive, C:, whatever letter it is
	// applied under.
	notFixed = 1
)

func align(n int64) int64 { return (n + 7) &^ 7 }

// layout says where everything is in the metadata.
func (t *tree) layout() {
	t.size = t.security.size()
	t.size += t.root.length() + t.root.streamLength() + endOfFolder
	t.place(t.root)
}

// place gives what is in a folder its place, then what is in the folders in it.
func (t *tree) place(d *dentry) {
	if !d.folder() {
		return
	}
	d.below = t.size
	for _, c := range d.children {
		t.size += c.length() + c.streamLength()
	}
	t.size += endOfFolder
	for _, c := range d.children {
		t.place(c)
	}
}

// folder tells of a folder that is no reparse point.
func (d *dentry) folder() bool { return d.children != nil }

// length is that of the dentry without its streams.
func (d *dentry) length() int64 {
	n := int64(dentrySize)
	for _, name := range []string{d.name, d.short} {
		if name != "" {
			n += int64(len(name)) + 2
		}
	}
	if n = align(n); d.extra != nil && d.extra.object != nil {
		n += itemHeader + objectIDSize
	}
	return n
}

// streams are those that stand behind a dentry, none where the hash in it is enough: the
// reparse point first, then the content, which have no names.
func (d *dentry) streams() []named {
	e := d.extra
	if e == nil || d.tag == 0 && len(e.streams) == 0 {
		return nil
	}
	var all []named
	if d.tag != 0 {
		all = append(all, named{hash: e.reparse})
	}
	return append(append(all, named{hash: d.hash}), e.streams...)
}

func (d *dentry) streamLength() (n int64) {
	for _, s := range d.streams() {
		n += s.length()
	}
	return n
}

func (s named) length() int64 {
	n := int64(streamSize)
	if s.name != "" {
		n += int64(len(s.name)) + 2
	}
	return align(n)
}

// reader is the metadata of the image, made while it is read to its end. The writer ends
// with the reader, or with the context.
func (t *tree) reader() io.Reader {
	r, w := io.Pipe()
	stop := context.AfterFunc(t.ctx, func() { r.CloseWithError(context.Cause(t.ctx)) })
	go func() {
		b := bufio.NewWriterSize(w, 64<<10)
		err := t.write(b)
		if err == nil {
			err = b.Flush()
		}
		w.CloseWithError(err)
		stop()
	}()
	return r
}

func (t *tree) write(w *bufio.Writer) error {
	if _, err := w.Write(t.security.encode()); err != nil {
		return err
	}
	if err := t.root.write(w); err != nil {
		return err
	}
	if _, err := w.Write(make([]byte, endOfFolder)); err != nil {
		return err
	}
	return t.root.writeBelow(w)
}

func (d *dentry) writeBelow(w *bufio.Writer) error {
	if !d.folder() {
		return nil
	}
	for _, c := range d.children {
		if err := c.write(w); err != nil {
			return err
		}
	}
	if _, err := w.Write(make([]byte, endOfFolder)); err != nil {
		return err
	}
	for _, c := range d.children {
		if err := c.writeBelow(w); err != nil {
			return err
		}
	}
	return nil
}

func (d *dentry) write(w *bufio.Writer) error {
	streams := d.streams()
	b := make([]byte, 0, 1<<10)
	b = le.AppendUint64(b, uint64(d.length()))
	b = le.AppendUint32(b, d.attributes)
	b = le.AppendUint32(b, uint32(d.security))
	b = le.AppendUint64(b, uint64(d.below))
	b = append(b, make([]byte, 16)...)
	for _, when := range []uint64{d.created, d.accessed, d.wrote} {
		b = le.AppendUint64(b, when)
	}
	if hash := d.hash; len(streams) == 0 {
		b = append(b, hash[:]...)
	} else {
		b = append(b, make([]byte, len(hash))...)
	}
	b = le.AppendUint32(b, 0)
	if d.tag != 0 {
		b = le.AppendUint32(b, d.tag)
		b = le.AppendUint16(b, 0)
		b = le.AppendUint16(b, d.rigid)
	} else {
		b = le.AppendUint64(b, uint64(d.group))
	}
	b = le.AppendUint16(b, uint16(len(streams)))
	b = le.AppendUint16(b, uint16(len(d.short)))
	b = le.AppendUint16(b, uint16(len(d.name)))
	for _, name := range []string{d.name, d.short} {
		if name != "" {
			b = append(append(b, name...), 0, 0)
		}
	}
	b = append(b, make([]byte, align(int64(len(b)))-int64(len(b)))...)
	if d.extra != nil && d.extra.object != nil {
		b = le.AppendUint32(b, objectIDItem)
		b = le.AppendUint32(b, objectIDSize)
		b = append(b, d.extra.object...)
	}
	if _, err := w.Write(b); err != nil {
		return err
	}
	for _, s := range streams {
		b = le.AppendUint64(b[:0], uint64(s.length()))
		b = le.AppendUint64(b, 0)
		b = append(b, s.hash[:]...)
		b = le.AppendUint16(b, uint16(len(s.name)))
		if s.name != "" {
			b = append(append(b, s.name...), 0, 0)
		}
		b = append(b, make([]byte, align(int64(len(b)))-int64(len(b)))...)
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

func (s *security) size() int64 { return align(int64(8 + s.bytes)) }

// encode is the table of security descriptors: their sizes, then they themselves.
func (s *security) encode() []byte {
	b := make([]byte, 0, s.size())
	b = le.AppendUint32(b, uint32(s.size()))
	b = le.AppendUint32(b, uint32(len(s.all)))
	for _, d := range s.all {
		b = le.AppendUint64(b, uint64(len(d)))
	}
	for _, d := range s.all {
		b = append(b, d...)
	}
	return append(b, make([]byte, s.size()-int64(len(b)))...)
}
