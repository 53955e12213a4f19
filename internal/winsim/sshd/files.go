package sshd

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/pkg/sftp"
)

// files are the guest's, as sftp-server.exe shows them: /C:/Windows is C:\Windows.
type files struct{ s *Server }

func (f files) path(name string) (string, error) {
	name = strings.TrimPrefix(name, "/")
	if len(name) < 2 || name[1] != ':' {
		return "", fs.ErrNotExist // a relative name; no client of ours sends one
	}
	return f.s.Path(strings.ReplaceAll(name, "/", `\`))
}

func (f files) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	path, err := f.path(r.Filepath)
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

func (f files) Filewrite(r *sftp.Request) (io.WriterAt, error) {
	path, err := f.path(r.Filepath)
	if err != nil {
		return nil, err
	}
	w, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o644)
	f.s.logf("sftp: put %s: %v", r.Filepath, err)
	return w, err
}

func (f files) Filecmd(r *sftp.Request) error {
	path, err := f.path(r.Filepath)
	if err != nil {
		return err
	}
	switch r.Method {
	case "Setstat":
		return nil // Windows has no such modes
	case "Mkdir":
		return os.Mkdir(path, 0o755)
	case "Remove":
		return os.Remove(path)
	}
	return errors.ErrUnsupported
}

func (f files) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	path, err := f.path(r.Filepath)
	if err != nil {
		return nil, err
	}
	switch r.Method {
	case "Stat", "Lstat":
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		return list{info}, nil
	}
	return nil, errors.ErrUnsupported
}

// list is a list of one.
type list []fs.FileInfo

func (l list) ListAt(to []fs.FileInfo, at int64) (int, error) {
	if at >= int64(len(l)) {
		return 0, io.EOF
	}
	n := copy(to, l[at:])
	if n < len(to) {
		return n, io.EOF
	}
	return n, nil
}
