package winimage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/ntfs"
)

// drive is what Windows lives on. Names have as much regard to case as the file
// system has.
type drive struct {
	notes
	ctx  context.Context
	fs   fs.FS
	name string         // for what is said about it
	log  *budget.Budget // for the logs of all drives
}

// named turns a path of Windows into a name of io/fs.
func named(windows string) string {
	name := strings.TrimPrefix(path.Clean("/"+strings.ReplaceAll(windows, `\`, "/")), "/")
	if name == "" {
		return "."
	}
	return name
}

// onSystemDrive turns C:\x or %SystemRoot%\x into a path of the drive.
func onSystemDrive(path string) (string, bool) {
	lower := strings.ToLower(path)
	for prefix, with := range map[string]string{"%systemroot%": `\Windows`, "%windir%": `\Windows`, "%systemdrive%": "", "c:": ""} {
		if strings.HasPrefix(lower, prefix) {
			return with + path[len(prefix):], true
		}
	}
	return "", false
}

func (d *drive) hasWindows() bool {
	return d.exists(hivePath("SYSTEM")) && d.exists(hivePath("SOFTWARE"))
}

func (d *drive) exists(path string) bool {
	f, err := d.fs.Open(named(path))
	if limited(err) {
		d.limit(d.name, err)
	}
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// identified is what a file system may know of a file beyond fs.FileInfo, and
// tell by its Sys; NTFS does.
type identified interface {
	Created() time.Time
	Reference() (record int64, sequence uint16)
}

// file describes a file; nil where it is absent.
func (d *drive) file(path string) *File {
	info, err := fs.Stat(d.fs, named(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		d.missed(path, reason(err))
		return nil
	}
	if info.IsDir() {
		d.missed(path, errors.New("it is a folder"))
		return nil
	}
	f := &File{Path: path, Size: info.Size(), Modified: info.ModTime().UTC()}
	if known, ok := info.Sys().(identified); ok {
		f.Created = known.Created().UTC()
		f.Record, f.Sequence = known.Reference()
	}
	return f
}

func (d *drive) fileSize(path string) int64 {
	f := d.file(path)
	if f == nil {
		return 0
	}
	return f.Size
}

// content is an opened file that can be read anywhere.
type content struct {
	io.ReaderAt
	io.Closer
	size int64
}

func (d *drive) open(path string) (*content, error) {
	f, err := d.fs.Open(named(path))
	if err != nil {
		return nil, reason(err)
	}
	info, err := f.Stat()
	at, ok := f.(io.ReaderAt)
	switch {
	case err != nil:
	case info.IsDir():
		err = errors.New("it is a folder")
	case !ok:
		err = errors.New("it cannot be read at an offset")
	case info.Size() < 0:
		err = fmt.Errorf("it has a size of %d bytes", info.Size())
	}
	if err != nil {
		f.Close()
		return nil, reason(err)
	}
	return &content{at, f, info.Size()}, nil
}

// read returns the content of a file of at most limit bytes.
func (d *drive) read(path string, limit int64) ([]byte, error) {
	f, err := d.open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.size > limit {
		return nil, fmt.Errorf("%d bytes, at most %d are expected: %w", f.size, limit, ntfs.ErrTooLarge)
	}
	b := make([]byte, f.size)
	_, err = io.ReadFull(io.NewSectionReader(f, 0, f.size), b)
	return b, reason(err)
}

// readSmall reads a small file; nil where it is absent.
func (d *drive) readSmall(path string, limit int64) []byte {
	b, err := d.read(path, limit)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.problem(path, err)
	}
	return b
}

// eachName lists a folder; an absent one is empty.
func (d *drive) eachName(folder string, visit func(name string)) {
	d.eachKind(folder, func(e fs.DirEntry) { visit(e.Name()) })
}

// eachKind is eachName with what kind of thing each is.
func (d *drive) eachKind(folder string, visit func(fs.DirEntry)) {
	f, err := d.fs.Open(named(folder))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = eachEntry(f, visit)
		f.Close()
	}
	if err != nil {
		d.missed(folder, reason(err))
	}
}

// eachEntry keeps nothing of what it has listed: a folder may hold millions.
func eachEntry(f fs.File, visit func(fs.DirEntry)) error {
	dir, ok := f.(fs.ReadDirFile)
	if !ok {
		return errors.New("it is a link or not a folder")
	}
	for {
		entries, err := dir.ReadDir(256)
		for _, e := range entries {
			visit(e)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// notes are what could not be read.
type notes struct {
	problems []string
	unread   []string
	limits   []string
}

// problem notes a fact that could not be read.
func (n *notes) problem(what string, err error) {
	if limited(err) {
		n.limit(what, err)
		return
	}
	n.problems = note(n.problems, what, err)
}

// limit notes what was left unread because it is too much.
func (n *notes) limit(what string, err error) { n.limits = note(n.limits, what, err) }

// missed is problem for a fact whose absence would pass for a good one.
func (n *notes) missed(what string, err error) {
	n.problem(what, err)
	if len(n.unread) < maxNotes {
		n.unread = append(n.unread, what)
	}
}

// limited says whether an error is about the amount of what there is to read.
func limited(err error) bool {
	return errors.Is(err, budget.ErrExceeded) || errors.Is(err, ntfs.ErrTooLarge)
}

func note(list []string, what string, err error) []string {
	text := budget.Cut(fmt.Sprintf("%s: %v", what, err), maxShown)
	if len(list) >= maxNotes || slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}

// reason is an error without the name of the file, which is said beside it.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
