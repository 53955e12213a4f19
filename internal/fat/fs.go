package fat

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"time"
)

type fileSystem struct{ v *Volume }

// Open opens a file or folder.
func (s fileSystem) Open(name string) (fs.File, error) {
	failed := func(err error) error { return &fs.PathError{Op: "open", Path: name, Err: err} }
	if !fs.ValidPath(name) {
		return nil, failed(fs.ErrInvalid)
	}
	at := entry{name: ".", attributes: folder}
	if name != "." {
		for part := range strings.SplitSeq(name, "/") {
			if !at.isFolder() {
				return nil, failed(fs.ErrNotExist)
			}
			entries, err := s.v.list(at)
			if err != nil {
				return nil, failed(err)
			}
			found := false
			for _, e := range entries {
				if strings.EqualFold(e.name, part) || strings.EqualFold(e.short, part) {
					at, found = e, true
					break
				}
			}
			if !found {
				return nil, failed(fs.ErrNotExist)
			}
		}
	}
	if at.isFolder() {
		return &openFolder{info{at}, s.v, nil, false}, nil
	}
	f := &openFile{info: info{at}, v: s.v}
	if at.size > 0 {
		var err error
		if f.at, err = s.v.chain(at.first, at.size); err != nil {
			return nil, failed(err)
		}
		if int64(len(f.at))*s.v.cluster < at.size {
			return nil, failed(corrupt("%s is %d bytes long and has %d clusters", at.name, at.size, len(f.at)))
		}
	}
	return f, nil
}

// info is an entry as io/fs has it.
type info struct{ e entry }

func (i info) Name() string               { return i.e.name }
func (i info) Size() int64                { return i.e.size }
func (i info) ModTime() time.Time         { return i.e.modified }
func (i info) IsDir() bool                { return i.e.isFolder() }
func (i info) Sys() any                   { return nil }
func (i info) Type() fs.FileMode          { return i.Mode().Type() }
func (i info) Info() (fs.FileInfo, error) { return i, nil }

func (i info) Mode() fs.FileMode {
	if i.IsDir() {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

type openFile struct {
	info
	v   *Volume
	at  []int64 // where the clusters lie
	off int64
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }

func (f *openFile) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.off)
	if f.off += int64(n); n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// ReadAt reads from the clusters of the file.
func (f *openFile) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	for n < len(p) {
		if off >= f.e.size {
			return n, io.EOF
		}
		within := off % f.v.cluster
		want := min(int64(len(p)-n), f.v.cluster-within, f.e.size-off)
		got, err := f.v.r.ReadAt(p[n:n+int(want)], f.at[off/f.v.cluster]+within)
		n, off = n+got, off+int64(got)
		if int64(got) < want {
			return n, err
		}
	}
	return n, nil
}

type openFolder struct {
	info
	v       *Volume
	entries []entry
	read    bool
}

func (d *openFolder) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openFolder) Close() error               { return nil }
func (d *openFolder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.e.name, Err: errors.New("it is a folder")}
}

// ReadDir lists the folder in its order.
func (d *openFolder) ReadDir(n int) (list []fs.DirEntry, err error) {
	if !d.read {
		if d.entries, err = d.v.list(d.e); err != nil {
			return nil, &fs.PathError{Op: "readdir", Path: d.e.name, Err: err}
		}
		d.read = true
	}
	if n > 0 && len(d.entries) == 0 {
		return nil, io.EOF
	}
	for len(d.entries) > 0 && (n <= 0 || len(list) < n) {
		list = append(list, info{d.entries[0]})
		d.entries = d.entries[1:]
	}
	return list, nil
}
