package diskimage

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Option changes how a disk is opened.
type Option func(*opener)

// As opens the file as this format instead of looking at its content. It is
// needed only where content lies: a raw disk whose guest wrote a VHD footer.
func As(f Format) Option { return func(o *opener) { o.format = f } }

// Until makes every read of the disk fail with the context's error once it has
// ended, opening it included.
func Until(ctx context.Context) Option { return func(o *opener) { o.ended = until(ctx) } }

// opener is what is known of a file before its content is.
type opener struct {
	format  Format
	path    string        // "" when the source is not a file
	name    string        // what it is called where it has no path
	chain   []os.FileInfo // the children this file is opened for
	allowed []string      // what these may be based on, besides their neighbours
	part    bool          // a file that holds data of this image is looked for, no parent
	member  bool          // it lies in an OVA
	ended   func() error  // the error of the context that this is done for
}

// source is an image as the format readers see it.
type source struct {
	opener
	io.ReaderAt
	size  int64
	close func() error
}

// Open opens a disk read-only, with its parents. The format is found by
// content, never by name. Errors name the file and what is wrong in it.
func Open(path string, opts ...Option) (Disk, error) {
	o := opener{path: path, ended: endless}
	for _, f := range opts {
		f(&o)
	}
	return o.guard(o.openFile())
}

func (o opener) guard(d Disk, err error) (Disk, error) {
	if err != nil {
		return nil, withWayOut(err)
	}
	return guarded{d, o.ended}, nil
}

// OpenReader opens a disk that is not a file. A disk with a parent is refused
// with ErrParent, since there is no folder to look for it.
func OpenReader(r io.ReaderAt, size int64, opts ...Option) (Disk, error) {
	s := source{opener: opener{ended: endless}, ReaderAt: r, size: size, close: func() error { return nil }}
	for _, f := range opts {
		f(&s.opener)
	}
	return s.guard(s.open())
}

func (o opener) openFile() (Disk, error) {
	// Asked before opening: opening a FIFO would wait for a writer for ever.
	st, err := os.Stat(o.path)
	if err != nil {
		return nil, fmt.Errorf("opening disk: %w", err)
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("opening disk: %s is not a regular file", o.path)
	}
	for _, c := range o.chain {
		if os.SameFile(c, st) {
			return nil, told{corrupt("%s is its own parent: have the child name the right one (qemu-img rebase -u), or take a copy of the disk from before", o.path)}
		}
	}
	if len(o.chain) > maxChain {
		return nil, unsupported("%s: more than %d parents", o.path, maxChain)
	}
	if err := o.ended(); err != nil {
		return nil, err
	}
	f, err := os.Open(o.path)
	if err != nil {
		return nil, fmt.Errorf("opening disk: %w", err)
	}
	if opened, err := f.Stat(); err != nil || !os.SameFile(opened, st) {
		f.Close()
		return nil, fmt.Errorf("opening disk: %s was replaced by another file in the meantime", o.path)
	}
	o.chain = append(o.chain[:len(o.chain):len(o.chain)], st)
	d, err := source{opener: o, ReaderAt: f, size: st.Size(), close: f.Close}.open()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("opening %s: %w", o.path, err)
	}
	return d, nil
}

func (s source) open() (Disk, error) {
	d, err := s.read()
	if err == nil {
		warnFooterInside(d)
	}
	return d, err
}

func (s source) read() (Disk, error) {
	format := s.format
	if format == "" {
		var err error
		if format, err = detect(s, s.size); err != nil {
			return nil, err
		}
	}
	switch format {
	case VHD:
		return openVHD(s)
	case VHDX:
		return openVHDX(s)
	case QCOW2:
		return openQcow2(s)
	case VMDK:
		return openVMDK(s)
	case inOVA:
		return openOVA(s)
	case Raw:
		return openRaw(s)
	}
	return nil, unsupported("format %q", format)
}

func (s source) info(f Format, t Type) Info {
	i := Info{Format: f, Type: t, FileSize: s.size, SectorSize: 512}
	if s.path != "" {
		i.Files = []string{s.path}
	}
	return i
}

// detect finds the format by content. A fixed VHD has its only mark at the end.
func detect(r io.ReaderAt, size int64) (Format, error) {
	if size == 0 {
		return "", errEmpty
	}
	head := make([]byte, min(512, size))
	if err := readFull(r, head, 0); err != nil {
		return "", fmt.Errorf("reading the first sector: %w", err)
	}
	switch {
	case bytes.HasPrefix(head, []byte(vhdxFileSign)):
		return VHDX, nil
	case bytes.HasPrefix(head, []byte(qcow2Magic)):
		return QCOW2, nil
	case bytes.HasPrefix(head, []byte(vhdCookie)):
		return VHD, nil
	}
	// Other marks count only without a footer: whatever is on a disk, a VHD is one.
	if size >= footerSize {
		tail := make([]byte, len(vhdCookie))
		if err := readFull(r, tail, size-footerSize); err != nil {
			return "", fmt.Errorf("reading the last sector: %w", err)
		}
		switch {
		case string(tail) == vhdCookie:
			return VHD, nil
		case bytes.HasPrefix(tail, []byte("koly\x00\x00\x00\x04")):
			return "", notADisk("an Apple disk image", "convert it first (qemu-img convert -f dmg -O qcow2 FILE disk.qcow2)")
		}
	}
	if size > int64(len(head)) {
		var err error
		if head, err = beginning(r, size); err != nil {
			return "", err
		}
	}
	switch {
	case bytes.HasPrefix(head, []byte(vmdkMagic)), isDescriptor(head):
		return VMDK, nil
	case isTar(head):
		return inOVA, nil
	}
	if err := whatIsIt(head, size); err != nil {
		return "", err
	}
	// No table of partitions either, as a raw disk has it.
	if len(head) >= 512 && isZero(head[:8]) && string(head[510:512]) != "\x55\xaa" {
		if err := lostIdentifier(r, size); err != nil {
			return "", err
		}
	}
	return Raw, nil
}

// errEmpty: there is not one byte in the file.
var errEmpty = told{corrupt("the file is empty: copy or download it again")}

// errNoExtents: the file system does not tell where the data of a file is.
var errNoExtents = errors.New("no extents known")

// flat is a disk that lies in its file byte by byte: raw, or a fixed VHD.
type flat struct {
	source
	info Info
}

func openRaw(s source) (Disk, error) {
	if s.size == 0 {
		return nil, errEmpty
	}
	d := &flat{source: s, info: s.info(Raw, "")}
	d.info.VirtualSize = s.size
	if s.size%512 != 0 {
		d.info.warn("file size %d is not a whole number of sectors", s.size)
	}
	d.info.warnSize()
	d.info.SectorSize = cmp.Or(gptSector(d), d.info.SectorSize)
	if s.format == "" {
		d.warnName()
	}
	return d, nil
}

func (d *flat) Size() int64     { return d.info.VirtualSize }
func (d *flat) Format() Format  { return d.info.Format }
func (d *flat) SectorSize() int { return d.info.SectorSize }
func (d *flat) Info() Info      { return d.info.copy() }
func (d *flat) about() *Info    { return &d.info }
func (d *flat) Close() error    { return d.close() }

func (d *flat) ReadAt(p []byte, off int64) (int, error) {
	p, end := clip(p, off, d.Size())
	if len(p) == 0 {
		return 0, end
	}
	if err := readFull(d.ReaderAt, p, off); err != nil {
		return 0, err
	}
	return len(p), end
}

func (d *flat) NextData(off int64) (int64, int64, error) {
	size := d.Size()
	if off >= size {
		return size, size, nil
	}
	f, ok := d.ReaderAt.(*os.File)
	if !ok {
		return off, size, nil
	}
	start, end, err := nextDataInFile(f, off, size)
	if errors.Is(err, errNoExtents) {
		return off, size, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("asking for the next extent of %s: %w", d.path, err)
	}
	return start, end, nil
}

// baseName is the last element of a path written by Windows or by POSIX.
func baseName(p string) string { return p[strings.LastIndexAny(p, `/\`)+1:] }
