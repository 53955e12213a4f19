package winsim

import (
	"archive/zip"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/winfs"
)

// expand is the twin of expand.ps1.
func (t *twin) expand(encoded string) int {
	g := t.g
	var p struct{ Archive, To string }
	err := parameters(encoded, &p)
	archive, to := t.full(p.Archive), t.full(p.To)
	switch {
	case err != nil:
	case p.Archive == "":
		err = thrown("archive is missing")
	case p.To == "":
		err = thrown("to is missing")
	case !rooted(archive):
		err = thrown("archive is not a full path")
	case !rooted(to):
		err = thrown("to is not a full path")
	}
	if err != nil {
		t.write(failed("expand", "bad-parameters", err))
		return 2
	}
	var outside *psError
	files, folders, total, err := g.unpack(archive, to)
	switch {
	case errors.Is(err, zip.ErrFormat):
		t.write(failed("expand", "script", noZip))
		return 1
	case errors.As(err, &outside):
		t.write(failed("expand", "script", outside))
		return 1
	case err != nil:
		e := g.openError(err, archive)
		t.write(failed("expand", e.name, e))
		return 0
	}
	t.write(document{{"script", "expand"}, {"schema", 1}, {"ok", true}, {"path", to}, {"files", files}, {"folders", folders}, {"bytes", total}})
	return 0
}

// noZip is what ZipArchive says of a file that is none.
var noZip = &psError{message: "End of Central Directory record could not be found.", kind: "System.IO.InvalidDataException", id: "ConstructorInvokedThrowException,Microsoft.PowerShell.Commands.NewObjectCommand"}

func (g *Guest) unpack(archive, to string) (files, folders, total int64, err error) {
	host, err := g.drive.Path(archive)
	if err != nil {
		return 0, 0, 0, err
	}
	z, err := zip.OpenReader(host)
	if err != nil {
		return 0, 0, 0, err
	}
	defer z.Close()
	if err := g.drive.MkdirAll(to); err != nil {
		return 0, 0, 0, err
	}
	for _, entry := range z.File {
		if !fs.ValidPath(strings.TrimSuffix(entry.Name, "/")) {
			return files, folders, total, thrown("the entry '%s' would be outside of the folder", entry.Name)
		}
		target, err := winfs.Clean(to+`\`+entry.Name, g.drive.Name()+`\`)
		if err == nil && strings.HasSuffix(entry.Name, "/") {
			folders++
			err = g.drive.MkdirAll(target)
		} else if err == nil {
			files++
			total += int64(entry.UncompressedSize64)
			err = g.unpackFile(entry, target)
		}
		if err != nil {
			return files, folders, total, err
		}
	}
	return files, folders, total, nil
}

func (g *Guest) unpackFile(entry *zip.File, target string) error {
	r, err := entry.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return g.drive.WriteFile(target, content)
}

// tar is tar.exe -xf archive -C folder, which came with Windows 10 1803.
func (g *Guest) tar(_ context.Context, c *call) int {
	args := c.Argv()
	if len(args) != 4 || args[0] != "-xf" || args[2] != "-C" {
		return g.badSyntax(c, "tar")
	}
	to, err := winfs.Clean(args[3], c.Dir)
	if err == nil && !g.drive.IsDir(to) {
		c.fail("tar: could not chdir to '%s'", args[3])
		return 1
	}
	archive := ""
	if err == nil {
		archive, err = winfs.Clean(args[1], c.Dir)
	}
	if err == nil {
		_, _, _, err = g.unpack(archive, to)
	}
	if err != nil {
		c.fail("tar: Error opening archive: %v", err)
		return 1
	}
	return 0
}
