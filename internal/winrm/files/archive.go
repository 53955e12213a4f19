package files

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
)

// Tree is a folder to be sent.
type Tree struct {
	From fs.FS
	// Exclude are patterns (path.Match) of what is left out, with everything below
	// it: of a name, or of a path below the folder.
	Exclude []string
}

// UploadDir writes a folder's content, empty folders too, into a folder of the
// guest, over what is there. It goes as one zip, made in a temporary file: its hash
// comes before its bytes. Progress is that of the zip.
func (t *Transfer) UploadDir(ctx context.Context, to string, tree Tree, tell Progress) error {
	folder, err := windowsPath(to)
	if err != nil {
		return err
	}
	entries, err := tree.list()
	if err != nil {
		return err
	}
	s, err := tree.pack(ctx, entries)
	if err != nil {
		return err
	}
	defer s.drop()
	p := report(tell, s.size)
	defer p.end()
	archive := t.folder + `\` + newID() + ".zip"
	if err := t.upload(ctx, archive, s, p); err != nil {
		return fmt.Errorf("uploading a folder to %s: %w", folder, err)
	}
	p.at(s.size)
	if err := t.unpack(ctx, archive, folder, entries); err != nil {
		return fmt.Errorf("unpacking a folder in %s: %w", folder, err)
	}
	return nil
}

// unpacking are the parameters of expand.ps1, and unpacked is its answer.
type unpacking struct {
	Archive string `json:"archive"`
	To      string `json:"to"`
}

type unpacked struct{ Files, Folders int }

// unpack unpacks an archive. It may be done twice, so it is tried again.
func (t *Transfer) unpack(ctx context.Context, archive, to string, entries []entry) error {
	for try := 1; ; try++ {
		err := t.unpackOnce(ctx, archive, to, entries)
		if err == nil || try == tries || !passing(ctx, err) {
			return err
		}
		if err := rest(ctx, pause); err != nil {
			return err
		}
	}
}

func (t *Transfer) unpackOnce(ctx context.Context, archive, to string, entries []entry) error {
	if t.unfit(false) == nil {
		d := unpacked{}
		err := withPath(t.script(ctx, scripts.Expand, unpacking{archive, to}, &d, takes(entries), nil), to)
		if n := d.Files + d.Folders; err == nil && n != len(entries) {
			return fmt.Errorf("%d files and folders were unpacked of %d", n, len(entries))
		}
		if !t.giveUp(err) {
			if err == nil {
				_, _ = t.line(ctx, fmt.Sprintf(`del /f /q "%s"`, archive)) // Close removes it with its folder
			}
			return err
		}
	}
	_, err := t.longLine(ctx, fmt.Sprintf(`md "%s" 2>nul & tar.exe -xf "%s" -C "%s" && del /f /q "%s"`, to, archive, to, archive), takes(entries))
	if failed := new(exit); errors.As(err, &failed) {
		return fmt.Errorf("%w; without PowerShell it takes tar.exe, which Windows 10 1803 and Server 2019 have", err)
	}
	return err
}

// takes is what unpacking may take beside a start: an antivirus looks at every file.
func takes(entries []entry) time.Duration {
	const each, second = 50 * time.Millisecond, 5_000_000
	size := int64(0)
	for _, e := range entries {
		size += e.info.Size()
	}
	return time.Duration(len(entries))*each + time.Duration(size/second)*time.Second
}

// entry is one file or folder of a tree.
type entry struct {
	path string // with slashes
	info fs.FileInfo
}

// list finds what is to be sent, and everything that Windows could not hold.
func (t Tree) list() ([]entry, error) {
	for _, pattern := range t.Exclude {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("exclude: %q is no pattern: correct it", pattern)
		}
	}
	var all []entry
	var wrong []error
	names := map[string]string{} // as Windows compares them
	err := fs.WalkDir(t.From, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".":
			return nil
		case t.excluded(name) && d.IsDir():
			return fs.SkipDir
		case t.excluded(name):
			return nil
		}
		info, err := fs.Stat(t.From, name) // of what a link leads to
		if err != nil {
			return err
		}
		fold := strings.ToLower(name)
		switch other, twice := names[fold]; {
		case twice:
			wrong = append(wrong, fmt.Errorf("%s and %s are one name in Windows: rename or exclude one", other, name))
		case forbidden(path.Base(name)):
			wrong = append(wrong, fmt.Errorf("%q is no name in Windows: rename or exclude it", name))
		case info.IsDir() && !d.IsDir():
			wrong = append(wrong, fmt.Errorf("%s is a link to a folder, which is not followed: exclude it", name))
		case !info.IsDir() && !info.Mode().IsRegular():
			wrong = append(wrong, fmt.Errorf("%s is no file: exclude it", name))
		}
		names[fold] = name
		all = append(all, entry{name, info})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the folder to be sent: %w", err)
	}
	return all, errors.Join(wrong...)
}

func (t Tree) excluded(name string) bool {
	return slices.ContainsFunc(t.Exclude, func(pattern string) bool {
		pattern = strings.TrimSuffix(strings.TrimPrefix(pattern, "./"), "/")
		whole, _ := path.Match(pattern, name)
		base, _ := path.Match(pattern, path.Base(name))
		return whole || base
	})
}

// forbidden says whether Windows has no file of that name (Naming Files, Paths, and
// Namespaces).
func forbidden(name string) bool {
	if strings.ContainsAny(name, `<>:"\|?*`) || strings.ContainsFunc(name, unicode.IsControl) || strings.TrimRight(name, ". ") != name {
		return true
	}
	stem, _, _ := strings.Cut(strings.ToUpper(name), ".")
	stem = strings.TrimRight(stem, " ")
	switch stem {
	case "CON", "PRN", "AUX", "NUL":
		return true
	}
	device := len(stem) == 4 && stem[3] >= '1' && stem[3] <= '9'
	return device && (stem[:3] == "COM" || stem[:3] == "LPT")
}

// pack makes the zip.
func (t Tree) pack(ctx context.Context, entries []entry) (*source, error) {
	file, err := os.CreateTemp("", "packer-upload-")
	if err != nil {
		return nil, fmt.Errorf("packing the folder to be sent: %w", err)
	}
	drop := func() {
		file.Close()
		os.Remove(file.Name())
	}
	hash := sha256.New()
	z := zip.NewWriter(io.MultiWriter(file, hash))
	for _, e := range entries {
		if err = ctx.Err(); err == nil {
			err = t.add(z, e)
		}
		if err != nil {
			drop()
			return nil, fmt.Errorf("packing %s: %w", e.path, err)
		}
	}
	var size int64
	if err = z.Close(); err == nil {
		size, err = file.Seek(0, io.SeekCurrent)
	}
	if err != nil {
		drop()
		return nil, fmt.Errorf("packing the folder to be sent: %w", err)
	}
	return &source{file, size, hex.EncodeToString(hash.Sum(nil)), drop}, nil
}

func (t Tree) add(z *zip.Writer, e entry) error {
	h := &zip.FileHeader{Name: e.path, Method: zip.Deflate, Modified: e.info.ModTime()}
	if e.info.IsDir() {
		h.Name, h.Method = e.path+"/", zip.Store
	}
	w, err := z.CreateHeader(h)
	if err != nil || e.info.IsDir() {
		return err
	}
	f, err := t.From.Open(e.path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
