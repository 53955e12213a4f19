package winsim

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var digits256 = regexp.MustCompile(`\A[0-9a-f]{64}\z`)

type receiveParameters struct {
	Path, SHA256, ACL string
	Size, Offset      *int64
	Probe             bool
}

func (p *receiveParameters) check(t *twin) (path string, size, offset int64, err error) {
	p.SHA256 = strings.ToLower(p.SHA256)
	path = t.full(p.Path)
	if p.Size != nil {
		size = *p.Size
	}
	if p.Offset != nil {
		offset = *p.Offset
	}
	switch {
	case p.Path == "":
		err = thrown("path is missing")
	case !rooted(path):
		err = thrown("path is not a full path")
	case !digits256.MatchString(p.SHA256):
		err = thrown("sha256 is not 64 hexadecimal digits")
	case p.Size == nil:
		err = thrown("size is missing")
	case size < 0 || offset < 0 || offset > size:
		err = thrown("size or offset is out of range")
	case p.ACL != "" && p.ACL != "admins":
		err = thrown("unknown acl '%s'", p.ACL)
	}
	return path, size, offset, err
}

func rooted(path string) bool {
	return strings.HasPrefix(path, `\`) || len(path) > 1 && path[1] == ':'
}

// receive is the twin of receive.ps1.
func (t *twin) receive(encoded string) int {
	var p receiveParameters
	err := parameters(encoded, &p)
	var path string
	var size, offset int64
	if err == nil {
		path, size, offset, err = p.check(t)
	}
	if err != nil {
		t.write(failed("receive", "bad-parameters", err))
		return 2
	}
	part := path + "." + p.SHA256[:8] + ".part"
	have := int64(0)
	if info, err := t.g.drive.Stat(part); err == nil && !info.IsDir() {
		have = info.Size()
	}
	var sum any
	complete, replaced := false, false
	answer := func() document {
		return document{{"script", "receive"}, {"schema", 1}, {"ok", true}, {"path", path}, {"part", part}, {"have", have}, {"complete", complete}, {"replaced", replaced}, {"sha256", sum}}
	}
	refuse := func(name, message string) int {
		d := answer()
		d[2].value = false
		t.write(append(d, member{"error", document{{"name", name}, {"message", message}}}))
		return 0
	}
	if p.Probe {
		if info, err := t.g.drive.Stat(path); err == nil && !info.IsDir() && info.Size() == size {
			found, _ := t.hash(path)
			sum, complete = found, found == p.SHA256
		}
		t.write(answer())
		return 0
	}
	if offset > have {
		return refuse("resume-mismatch", "the offset is beyond the bytes received")
	}
	if have, err = t.take(part, size, offset); err != nil {
		e := receiveError(err, path)
		t.write(failed("receive", e.name, e))
		return 0
	}
	if have > size {
		_ = t.g.drive.Remove(part) // as Remove-Item -Force
		return refuse("too-long", "more bytes came than were announced")
	}
	if have == size {
		found, err := t.hash(part)
		sum = found
		if err == nil && found != p.SHA256 {
			_ = t.g.drive.Remove(part)
			return refuse("hash-mismatch", "the bytes received have another SHA-256")
		}
		if replaced = t.g.drive.IsFile(path); err == nil {
			err = t.g.drive.Rename(part, path)
		}
		if err != nil {
			e := fileError(err, path)
			t.write(failed("receive", e.name, e))
			return 0
		}
		complete = true
	}
	t.write(answer())
	return 0
}

// badBase64 is a line that is none.
type badBase64 struct{ error }

func receiveError(err error, path string) *psError {
	var bad badBase64
	if errors.As(err, &bad) {
		return notBase64
	}
	return fileError(err, path)
}

// take writes the lines of stdin into the part.
func (t *twin) take(part string, size, offset int64) (have int64, err error) {
	host, err := t.g.drive.Path(part)
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(filepath.Dir(host), 0o755); err != nil {
		return 0, err
	}
	if !t.g.hold(host) {
		return 0, errors.New("the process cannot access the file because it is being used by another process")
	}
	defer t.g.release(host)
	mode := os.O_RDWR
	if offset == 0 {
		mode |= os.O_CREATE
	}
	f, err := os.OpenFile(host, mode, 0o644)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if err := f.Truncate(offset); err != nil {
		return 0, err
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return 0, err
	}
	lines := bufio.NewReaderSize(t.c.Stdin, 64*1024)
	for have = offset; have < size; {
		line, readErr := lines.ReadString('\n')
		line = strings.TrimLeft(strings.TrimSpace(line), "\ufeff")
		if line == "" {
			return have, nil
		}
		b, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return have, badBase64{err}
		}
		n, err := f.Write(b)
		have += int64(n)
		if err != nil {
			return have, err
		}
		if readErr != nil {
			return have, nil // stdin ended without a line end
		}
	}
	return have, nil
}

// hash is Get-FileHash.
func (t *twin) hash(path string) (string, error) { return t.g.hash(path) }

func (g *Guest) hash(path string) (string, error) {
	host, err := g.drive.Path(path)
	if err != nil {
		return "", err
	}
	f, err := os.Open(host)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// hold opens a file for writing as the scripts do, with FileShare.Read: one at a
// time may.
func (g *Guest) hold(host string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held[host] {
		return false
	}
	if g.held == nil {
		g.held = map[string]bool{}
	}
	g.held[host] = true
	return true
}

func (g *Guest) release(host string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.held, host)
}
