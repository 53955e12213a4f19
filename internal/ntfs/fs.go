package ntfs

import (
	"errors"
	"io"
	"io/fs"
	"time"
)

// FS is the volume for reading. Names have no regard to case, and the volume's
// budget and the context of its reader hold. A link to another place is a
// symbolic link that is not followed. Content that cannot be read (ErrUnsupported)
// is an error of reading and not of opening. Files are read at an offset too
// (io.ReaderAt). An entry of a directory that is damaged is listed as irregular,
// its name escaped (%2F) where it is none in io/fs, and cannot be opened.
//
// FileInfo.Sys has the methods Created() time.Time and Reference() (record
// int64, sequence uint16): a file that was deleted and made anew has another
// reference in the MFT. Neither the file system nor its files are safe for
// concurrent use.
func (v *Volume) FS() fs.FS { return fileSystem{v} }

type fileSystem struct{ v *Volume }

func (s fileSystem) Open(name string) (fs.File, error) {
	f, err := s.v.find(name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	opened := openFile{f: f, name: name}
	link, err := f.isLink()
	switch {
	case err != nil:
		return nil, opened.failed("open", err)
	case f.rec.directory && !link:
		return &openDir{openFile: opened}, nil
	}
	return &openContent{openFile: opened}, nil
}

// openFile is what an opened file and an opened directory have in common.
type openFile struct {
	f      *file
	name   string
	closed bool
}

func (o *openFile) failed(op string, err error) error {
	if errors.Is(err, fs.ErrNotExist) { // an attribute: the file is there
		err = corrupt("%s", err.Error())
	}
	return &fs.PathError{Op: op, Path: o.name, Err: err}
}

func (o *openFile) Stat() (fs.FileInfo, error) {
	if o.closed {
		return nil, o.failed("stat", fs.ErrClosed)
	}
	info, err := o.f.info(o.name)
	if err != nil {
		return nil, o.failed("stat", err)
	}
	return info, nil
}

func (o *openFile) Close() error {
	if o.closed {
		return o.failed("close", fs.ErrClosed)
	}
	o.closed = true
	return nil
}

// openContent is an opened file.
type openContent struct {
	openFile
	section *io.SectionReader // nil until it is read
}

// content finds the file's content when it is asked for.
func (o *openContent) content() (*io.SectionReader, error) {
	if o.closed {
		return nil, fs.ErrClosed
	}
	if o.section != nil {
		return o.section, nil
	}
	s, err := o.f.open("")
	if errors.Is(err, fs.ErrNotExist) && o.f.rec.viewIndex {
		s, err = &stream{}, nil
	}
	if err == nil {
		o.section = io.NewSectionReader(s, 0, s.size)
	}
	return o.section, err
}

func (o *openContent) Read(p []byte) (int, error) {
	return o.read(func(s *io.SectionReader) (int, error) { return s.Read(p) })
}

func (o *openContent) ReadAt(p []byte, off int64) (int, error) {
	return o.read(func(s *io.SectionReader) (int, error) { return s.ReadAt(p, off) })
}

func (o *openContent) read(from func(*io.SectionReader) (int, error)) (n int, err error) {
	s, err := o.content()
	if err == nil {
		n, err = from(s)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = o.failed("read", err)
	}
	return n, err
}

// openDir is an opened directory.
type openDir struct {
	openFile
	list *listing // nil until it is read, or with err
	err  error    // what ended it
}

func (d *openDir) Read([]byte) (int, error) {
	return 0, d.failed("read", errors.New("is a directory"))
}

// ReadDir reads on in the order of NTFS; nothing is kept of what it returned.
func (d *openDir) ReadDir(n int) (entries []fs.DirEntry, err error) {
	if d.closed {
		return nil, d.failed("readdir", fs.ErrClosed)
	}
	if d.list == nil && d.err == nil {
		d.list, d.err = d.f.list()
	}
	for d.err == nil && (n <= 0 || len(entries) < n) {
		e, err := d.list.next()
		if err == nil {
			entries = append(entries, e)
		}
		d.err = err
	}
	switch {
	case errors.Is(d.err, io.EOF) && n > 0 && len(entries) == 0:
		return nil, io.EOF
	case d.err != nil && !errors.Is(d.err, io.EOF):
		return entries, d.failed("readdir", d.err)
	}
	return entries, nil
}

// dirEntry is a name in a directory.
type dirEntry struct {
	v      *Volume
	name   string
	ref    uint64
	kind   fs.FileMode
	damage error // of an irregular one
}

func (e *dirEntry) Name() string      { return e.name }
func (e *dirEntry) IsDir() bool       { return e.kind.IsDir() }
func (e *dirEntry) Type() fs.FileMode { return e.kind }

func (e *dirEntry) Info() (fs.FileInfo, error) {
	f, err := (*file)(nil), e.damage
	if err == nil {
		f, err = e.v.open(e.ref)
	}
	var info fileInfo
	if err == nil {
		info, err = f.info(e.name)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: e.name, Err: err}
	}
	return info, nil
}

// fileInfo is what $STANDARD_INFORMATION and the unnamed stream say.
type fileInfo struct {
	f                 *file
	name              string
	size              int64
	mode              fs.FileMode
	created, modified time.Time
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.size }
func (i fileInfo) Mode() fs.FileMode  { return i.mode }
func (i fileInfo) ModTime() time.Time { return i.modified }
func (i fileInfo) IsDir() bool        { return i.mode.IsDir() }
func (i fileInfo) Sys() any           { return i }

// Created is when the file was made, by the clock of the Windows that did.
func (i fileInfo) Created() time.Time { return i.created }

// Reference is the number of the file's MFT record, and how often that record
// was given to a new file.
func (i fileInfo) Reference() (record int64, sequence uint16) {
	return i.f.rec.number, i.f.rec.sequence
}
