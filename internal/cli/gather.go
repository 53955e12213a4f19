package cli

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/weburl"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// How much is read for one diagnosis at most. Logs are read piece by piece, and
// little of them is kept.
const (
	maxLogFiles = 64
	maxLogDepth = 6       // folders below the one that is named
	maxLogBytes = 2 << 30 // of all logs together
	logPiece    = 64 << 10
)

// maxLogEntries is how many names are looked at in a folder or a zip file. A
// variable, so that tests need not so many.
var maxLogEntries = 20_000

// walk is a variable, so that a test can have folders that cannot be read.
var walk = filepath.WalkDir

// longLog is the size from which only the end of a file is read, in bytes: the
// last run is there. A variable, so that tests need no such file.
var longLog int64 = 512 << 20

// gathering reads the logs of one path.
type gathering struct {
	ctx  context.Context
	page int
	// registry: the page is that of the Windows on a disk image.
	registry bool
	left     int64
	logs     []diagnosis.Log
	// unread are logs and folders that could not be read, with the reason.
	unread []string
}

// gather reads the logs that a path leads to, and names those of them that cannot be
// read where others can.
func gather(ctx context.Context, path string, page int, backing []string) (logs []diagnosis.Log, unread []string, err error) {
	g := &gathering{ctx: ctx, page: page, left: maxLogBytes}
	err = g.from(path, backing)
	return g.logs, g.unread, err
}

// skip notes what could not be read, and goes on.
func (g *gathering) skip(what string, err error) {
	const most = 20
	switch {
	case len(g.unread) < most:
		g.unread = append(g.unread, fmt.Sprintf("%s: %s", what, err))
	case len(g.unread) == most:
		g.unread = append(g.unread, "and more")
	}
}

func (g *gathering) from(path string, backing []string) error {
	if path == "-" {
		return g.read("standard input", abandoned{g.ctx, stdin})
	}
	if weburl.Scheme(path) != "" {
		return g.disk(path, backing)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return g.folder(path)
	}
	f, info, err := hostfile.OpenRegular(path)
	if err != nil {
		return err
	}
	defer f.Close()
	begin := make([]byte, 512)
	n, err := f.ReadAt(begin, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch {
	case bytes.HasPrefix(begin[:n], []byte("PK\x03\x04")) || bytes.HasPrefix(begin[:n], []byte("PK\x05\x06")):
		return g.zip(f, info.Size())
	case isDisk(path, begin[:n]):
		return g.disk(path, backing)
	}
	if err := noLog(begin[:n]); err != nil {
		return err
	}
	return g.file(path, f, info.Size())
}

// noLog names what is no log by its beginning: an archive that has to be unpacked
// first, an event log. It is nil for what may be one.
func noLog(begin []byte) error {
	if bytes.HasPrefix(begin, []byte("ElfFile\x00")) {
		return errors.New("this is an event log of Windows, which has to be a text: Get-WinEvent -Path FILE | Format-List TimeCreated, Id, Message > appx.txt; the cause of most failures is in setupact.log")
	}
	if name, next, ok := diskimage.WhatElse(begin); ok {
		return fmt.Errorf("this is %s; %s", name, next)
	}
	return nil
}

// isArchive says of a name whether logs may be in it that are not read from there.
func isArchive(name string) bool {
	return slices.Contains([]string{".zip", ".gz", ".tgz", ".7z", ".rar", ".cab", ".xz", ".zst", ".tar"}, strings.ToLower(filepath.Ext(name)))
}

// errPacked is why logs in an archive are not read.
var errPacked = errors.New("an archive, which is not looked into here: unpack it first, or name it alone where it is a zip file")

// file reads a log that is a file, or the end of a very long one.
func (g *gathering) file(name string, f io.ReaderAt, size int64) error {
	if size <= longLog {
		return g.read(name, io.NewSectionReader(f, 0, size))
	}
	// The first bytes tell the encoding, whose units have one or two bytes.
	const head = 4
	from := (size - longLog) &^ 1
	return g.read(fmt.Sprintf("%s (the last %d MiB)", name, longLog>>20), io.MultiReader(io.NewSectionReader(f, 0, head), io.NewSectionReader(f, from, size-from)))
}

// isDisk tells a disk image by the name that it has or the way it begins; a
// fixed VHD has its mark at its end, and begins as a raw disk does.
func isDisk(path string, begin []byte) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".log", ".txt", ".old", ".csv":
		return false
	case ".vhd", ".vhdx", ".avhdx", ".qcow2", ".raw", ".img":
		return true
	}
	for _, mark := range []string{"QFI\xfb", "vhdxfile", "conectix"} {
		if bytes.HasPrefix(begin, []byte(mark)) {
			return true
		}
	}
	return len(begin) == 512 && begin[510] == 0x55 && begin[511] == 0xAA
}

// read reads one log.
func (g *gathering) read(name string, from io.Reader) error {
	if len(g.logs) == maxLogFiles {
		return fmt.Errorf("there are more than %d logs; name the folder of one machine", maxLogFiles)
	}
	log := diagnosis.NewReading(name, g.page)
	piece := make([]byte, logPiece)
	for {
		if err := g.ctx.Err(); err != nil {
			return err
		}
		n, err := from.Read(piece)
		if g.left -= int64(n); g.left < 0 {
			return fmt.Errorf("the logs have more than %d MiB; name the last one", maxLogBytes>>20)
		}
		if _, err := log.Write(piece[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return &unreadable{fmt.Errorf("reading %s: %w", name, err)}
		}
	}
	l := log.Log()
	switch {
	case l.Page.Number == 0:
	case g.registry:
		l.Page.Why = "the registry of that Windows says so"
	case g.page != 0:
		l.Page.Why = "--locale says so"
	}
	g.logs = append(g.logs, l)
	return nil
}

// abandoned reads what may never come, as a terminal or a pipe, until the context
// ends; a read that is then under way is left alone.
type abandoned struct {
	ctx  context.Context
	from io.Reader
}

func (a abandoned) Read(p []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	own, done := make([]byte, len(p)), make(chan result, 1)
	go func() {
		n, err := a.from.Read(own)
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		return copy(p, own[:r.n]), r.err
	case <-a.ctx.Done():
		return 0, a.ctx.Err()
	}
}

// folder reads the logs below a folder; links are not followed.
func (g *gathering) folder(path string) error {
	seen := 0
	var archives []string
	err := walk(path, func(name string, e fs.DirEntry, err error) error {
		if err != nil && (name == path || e == nil) {
			return err
		}
		if err != nil { // what is beside it may be enough
			g.skip(name, cause(err))
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if seen++; seen > maxLogEntries {
			return fmt.Errorf("%s holds more than %d files; name the folder of the logs", path, maxLogEntries)
		}
		if err := g.ctx.Err(); err != nil {
			return err
		}
		below, err := filepath.Rel(path, name)
		if err != nil {
			return err
		}
		if e.IsDir() {
			if strings.Count(below, string(filepath.Separator)) >= maxLogDepth {
				return fs.SkipDir
			}
			return nil
		}
		if e.Type().IsRegular() && isArchive(name) {
			archives = append(archives, filepath.ToSlash(below))
		}
		if !e.Type().IsRegular() || !diagnosis.IsLog(name) {
			return nil
		}
		f, info, err := hostfile.OpenRegular(name)
		if err != nil {
			g.skip(name, cause(err))
			return nil
		}
		defer f.Close()
		err = g.file(filepath.ToSlash(below), f, info.Size())
		if broken := new(unreadable); errors.As(err, &broken) {
			g.skip(name, cause(err))
			return nil
		}
		return err
	})
	if err == nil {
		g.packed(archives)
	}
	return err
}

// packed notes archives where no log was found beside them.
func (g *gathering) packed(archives []string) {
	for _, name := range archives {
		if len(g.logs) == 0 {
			g.skip(name, errPacked)
		}
	}
}

// unreadable is the error for a log that was opened and cannot be read.
type unreadable struct{ error }

func (u *unreadable) Unwrap() error { return u.error }

// cause is an error without the name of the file, which is said beside it.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// zip reads the logs in a zip file.
func (g *gathering) zip(file io.ReaderAt, size int64) error {
	z, err := zip.NewReader(file, size)
	if err != nil {
		return fmt.Errorf("the zip file cannot be read: %w", err)
	}
	if len(z.File) > maxLogEntries {
		return fmt.Errorf("the zip file holds more than %d files; unpack the folder of the logs and name it", maxLogEntries)
	}
	total := uint64(0)
	for _, entry := range z.File {
		if diagnosis.IsLog(entry.Name) {
			if total += entry.UncompressedSize64; total > maxLogBytes || entry.UncompressedSize64 > maxLogBytes {
				return fmt.Errorf("the logs in the zip file have more than %d MiB; unpack it and name the last one", maxLogBytes>>20)
			}
		}
	}
	var archives []string
	for _, entry := range z.File {
		if entry.Mode().IsRegular() && isArchive(entry.Name) {
			archives = append(archives, entry.Name)
		}
		if !entry.Mode().IsRegular() || !diagnosis.IsLog(entry.Name) {
			continue
		}
		in, err := entry.Open()
		if err != nil {
			return fmt.Errorf("%s in the zip file cannot be read: %w", entry.Name, err)
		}
		err = g.read(entry.Name, in)
		in.Close()
		if err != nil {
			return err
		}
	}
	g.packed(archives)
	return nil
}

// disk reads the logs of the Windows on a disk image.
func (g *gathering) disk(path string, backing []string) error {
	d, remote, err := openImage(g.ctx, path, backing)
	if remote != nil {
		defer remote.Close()
	}
	if err != nil {
		return err
	}
	defer d.Close()
	if page := winimage.AnsiPage(g.ctx, d); g.page == 0 && diagnosis.KnownPage(page) {
		g.page, g.registry = page, true
	}
	found, err := winimage.ExtractLogs(g.ctx, d)
	if err != nil && (len(found) == 0 || g.ctx.Err() != nil) {
		return err
	}
	if err != nil {
		for _, text := range strings.Split(err.Error(), "\n") {
			g.skip("on the disk", errors.New(text))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(found)) {
		if name := path.OnVolume(); diagnosis.IsLog(name) {
			if err := g.read(name, bytes.NewReader(found[path])); err != nil {
				return err
			}
		}
	}
	return nil
}
