package diskimage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// Allow names files and folders that the images of a chain may be based on,
// besides the files in the folder of each image. An image can name any file of
// this host, and the content of that file becomes part of the disk: only the
// user knows which of them belong to it. An allowed folder stands for all that
// lies below it.
func Allow(paths ...string) Option {
	return func(o *opener) { o.allowed = append(o.allowed, paths...) }
}

// parentDisk is what lies below a disk. Where it ends is a hole: the child may
// be larger. A nil parentDisk is one hole.
type parentDisk struct {
	Disk
	mu sync.Mutex
	// The last answer of NextData: asked at from, the next data was data. A
	// child asks in small steps.
	from int64
	data span
	know bool
}

func (p *parentDisk) Close() error {
	if p == nil {
		return nil
	}
	return p.Disk.Close()
}

func (p *parentDisk) read(b []byte, off int64) error {
	if p == nil {
		clear(b)
		return nil
	}
	return readPadded(p.Disk, b, off)
}

// readPadded reads from a disk, and zeros past its end.
func readPadded(d Disk, b []byte, off int64) error {
	have := max(0, min(int64(len(b)), d.Size()-off))
	clear(b[have:])
	if have == 0 {
		return nil
	}
	return readFull(d, b[:have], off)
}

// next returns the first data in [off, end), an empty span where there is
// none.
func (p *parentDisk) next(off, end int64) (span, error) {
	if p == nil || off >= p.Size() {
		return span{end, end}, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	none := p.data.from == p.data.to
	if !p.know || off < p.from || off >= p.data.to && !none {
		s, e, err := nextData(p.Disk, off)
		if err != nil {
			return span{}, err
		}
		p.know, p.from, p.data = true, off, span{s, e}
		none = s == e
	}
	if none || p.data.from >= end {
		return span{end, end}, nil
	}
	return span{max(p.data.from, off), min(p.data.to, end)}, nil
}

// nextData asks a disk for its next data and refuses an answer that breaks the
// rules of Disk: a loop over answers that do not advance would never end, and
// one over answers that skip loses data.
func nextData(d Disk, off int64) (start, end int64, err error) {
	size := d.Size()
	if off < 0 {
		return 0, 0, fmt.Errorf("finding data after %d: negative offset", off)
	}
	if off >= size {
		return size, size, nil
	}
	start, end, err = d.NextData(off)
	if err != nil {
		return 0, 0, err
	}
	if off <= start && start < end && end <= size || start == size && end == size {
		return start, end, nil
	}
	return 0, 0, corrupt("internal error: the next data after %d of a %s of %d bytes is said to go from %d to %d; report this with the output of qemu-img map",
		off, d.Format(), size, start, end)
}

// guarded is a disk as callers get it: it stops with the context it was opened
// for, and each answer of NextData advances.
type guarded struct {
	Disk
	ended func() error
}

func (g guarded) ReadAt(p []byte, off int64) (int, error) {
	if err := g.ended(); err != nil {
		return 0, err
	}
	return g.Disk.ReadAt(p, off)
}

func (g guarded) NextData(off int64) (int64, int64, error) {
	if err := g.ended(); err != nil {
		return 0, 0, err
	}
	return nextData(g.Disk, off)
}

// openParent opens the first candidate that exists and may be used. The caller
// checks that the disk is the one the child names.
func (o opener) openParent(candidates []string, format Format, names naming) (Disk, error) {
	if o.path == "" {
		return nil, fmt.Errorf("%w: the image depends on %q, which can only be found beside a local file", ErrParent, candidates)
	}
	var refused error
	for _, name := range candidates {
		path, err := o.locate(name, names)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			if refused == nil {
				refused = err
			}
			continue
		}
		parent := o
		parent.format, parent.path = format, path
		d, err := parent.openFile()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrParent, err)
		}
		return d, nil
	}
	if refused != nil {
		return nil, refused
	}
	return nil, fmt.Errorf("%w: not found, looked for %q relative to %s; copy it there, or flatten the image where both are (qemu-img convert)", ErrParent, slices.Compact(candidates), o.folder())
}

// folder is where relative names of this image start, with a separator at its
// end. It is cut off without
// looking at its elements, because "link/.." is not this folder for the system.
func (o opener) folder() string {
	volume := len(filepath.VolumeName(o.path))
	i := len(o.path) - 1
	for i >= volume && !os.IsPathSeparator(o.path[i]) {
		i--
	}
	if i < volume {
		return o.path[:volume] + "." + string(filepath.Separator)
	}
	return o.path[:i+1]
}

// locate turns a name in this image into the path of a regular file that the
// image may be based on. It is os.ErrNotExist where there is no such file.
func (o opener) locate(name string, names naming) (string, error) {
	if why := strangePath(runtime.GOOS, name); why != "" {
		return "", fmt.Errorf("%w: %s names %q as %s, which is not a plain path: it is %s; "+
			"copy the file beside the image and name it with qemu-img rebase -u, or flatten the image (qemu-img convert -O qcow2)", ErrUnsupported, o.path, name, o.role(), why)
	}
	path := name
	if !filepath.IsAbs(name) && !os.IsPathSeparator(name[0]) {
		path = o.folder() + name
	}
	// Looking at a file of another machine sends this user's credentials there.
	if isShare(runtime.GOOS, name) && !o.onKnownShare(name) {
		return "", o.refuse(name, name, "it is on another machine")
	}
	st, err := os.Stat(path)
	if names == anyCase && errors.Is(err, os.ErrNotExist) {
		if found := foldCase(path); found != "" {
			path = found
			st, err = os.Stat(path)
		}
	}
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		return "", fmt.Errorf("%w: looking at %s, which %s names: %w", ErrParent, path, o.path, err)
	}
	real, err := realPath(path)
	if err != nil {
		return "", o.refuse(name, path, fmt.Sprintf("its location cannot be determined (%v)", err))
	}
	own, err := realPath(o.path)
	if err != nil {
		return "", o.refuse(name, real, fmt.Sprintf("the location of the image cannot be determined (%v)", err))
	}
	if !sameFile(filepath.Dir(real), filepath.Dir(own)) && !o.allows(real, st) {
		return "", o.refuse(name, real, "it is outside the folder of the image, "+filepath.Dir(own))
	}
	if !st.Mode().IsRegular() {
		return "", fmt.Errorf("%w: %s names %q as %s, which is not a regular file", ErrParent, o.path, name, o.role())
	}
	return path, nil
}

// Refused is an image that names a file it may not be based on. It is an
// ErrNotAllowed and an ErrParent.
type Refused struct {
	Image string // the path of the image
	Name  string // what it names, as it stands there
	Path  string // where that is, links resolved
	Why   string
	role  string // what it is named as
}

// role is what a file is to the image that names it.
func (o opener) role() string {
	if o.part {
		return "a part of its disk"
	}
	return "its parent or backing file"
}

func (o opener) refuse(name, path, why string) error {
	return &Refused{Image: o.path, Name: name, Path: path, Why: why, role: o.role()}
}

func (r *Refused) Unwrap() []error { return []error{ErrNotAllowed, ErrParent} }

func (r *Refused) Error() string {
	what := fmt.Sprintf("%q", r.Name)
	if r.Path != r.Name {
		what += fmt.Sprintf(" (%s)", r.Path)
	}
	return fmt.Sprintf("%s names %s as %s, which is %s: %s. What such a file holds becomes part of the disk. "+
		"If it belongs to the image, allow it: backing_files = [%q] in the template, --allow-backing with this path on the command line",
		r.Image, what, r.role, ErrNotAllowed, r.Why, r.Path)
}

// allows reports whether the user named the file or a folder above it.
func (o opener) allows(real string, st os.FileInfo) bool {
	for _, path := range o.allowed {
		a, err := os.Stat(path)
		switch {
		case err != nil:
		case !a.IsDir():
			if os.SameFile(a, st) {
				return true
			}
		default:
			for dir := filepath.Dir(real); ; dir = filepath.Dir(dir) {
				if d, err := os.Stat(dir); err == nil && os.SameFile(a, d) {
					return true
				}
				if dir == filepath.Dir(dir) {
					break
				}
			}
		}
	}
	return false
}

func realPath(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	return filepath.Abs(real)
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// onKnownShare reports whether a file on another machine lies where this image
// does, or what the user allowed, by their names alone.
func (o opener) onKnownShare(name string) bool {
	plain := func(p string) string { return strings.ToLower(filepath.Clean(strings.ReplaceAll(p, "/", `\`))) }
	for _, p := range append([]string{o.folder()}, o.allowed...) {
		root := strings.TrimRight(plain(p), `\`)
		if at := plain(name); at == root || strings.HasPrefix(at, root+`\`) {
			return true
		}
	}
	return false
}

// isShare reports a path on another machine, as Windows writes it.
func isShare(goos, name string) bool {
	return goos == "windows" && strings.HasPrefix(strings.ReplaceAll(name, "/", `\`), `\\`)
}

// strangePath says what a name is that is not the plain path of a file, "" for
// one that is. QEMU reads the names of a qcow2 by the same rules (path_has_protocol).
func strangePath(goos, name string) string {
	windows := goos == "windows"
	separators := "/"
	if windows {
		separators = `/\`
	}
	switch i := strings.IndexAny(name, ":"+separators); {
	case name == "":
		return "empty"
	case strings.ContainsRune(name, 0):
		return "cut by a NUL byte"
	case i >= 0 && name[i] == ':' && (!windows || i != 1):
		return "an address or a description of a device"
	}
	if !windows {
		return ""
	}
	plain := strings.ReplaceAll(name, "/", `\`)
	for _, p := range []string{`\\?\`, `\\.\`, `\??\`} {
		if strings.HasPrefix(plain, p) {
			return "a name of the device namespace"
		}
	}
	if len(plain) > 1 && plain[1] == ':' {
		if plain = plain[2:]; !strings.HasPrefix(plain, `\`) {
			return "relative to the folder of a drive"
		}
	}
	if strings.ContainsRune(plain, ':') {
		return "an alternate data stream"
	}
	for _, e := range strings.Split(plain, `\`) {
		e, _, _ = strings.Cut(strings.ToUpper(e), ".")
		if e = strings.TrimRight(e, " "); isDevice(e) {
			return "the device " + e
		}
	}
	return ""
}

// isDevice knows the names that Windows reserves in every folder.
func isDevice(name string) bool {
	switch name {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	if rest, ok := strings.CutPrefix(name, "COM"); ok || strings.HasPrefix(name, "LPT") {
		if !ok {
			rest = strings.TrimPrefix(name, "LPT")
		}
		return len([]rune(rest)) == 1 && strings.Contains("0123456789¹²³", rest) //nolint:gocritic // the digits are the set
	}
	return false
}
