package files

import (
	"context"
	"fmt"
	"io"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
)

// piece is how much one read.ps1 gives.
const piece = 1 << 20

// Bounds of a download.
type Bounds struct {
	// Most is how many bytes are taken at most; 0: 16 GiB.
	Most int64
}

const mostBytes = 16 << 30

// Download reads a file of the guest as it is now: what others add meanwhile is
// left out. It returns how many bytes were written to to. A missing file is
// fs.ErrNotExist. Without PowerShell certutil.exe is used, for at most 70 MB.
func (t *Transfer) Download(ctx context.Context, from string, to io.Writer, b Bounds, tell Progress) (int64, error) {
	path, err := windowsPath(from)
	if err != nil {
		return 0, err
	}
	if b.Most == 0 {
		b.Most = mostBytes
	}
	n, err := t.download(ctx, path, to, b.Most, tell)
	if err != nil {
		return n, fmt.Errorf("downloading %s: %w", path, err)
	}
	return n, nil
}

// reading are the parameters of read.ps1, and read is its answer.
type reading struct {
	Path   string `json:"path"`
	Offset int64  `json:"offset"`
	Bytes  int    `json:"bytes"`
}

type read struct {
	Length, Offset, Next int64
	Data                 []byte
}

func (t *Transfer) download(ctx context.Context, path string, to io.Writer, most int64, tell Progress) (int64, error) {
	if t.unfit(false) != nil {
		return t.fetch(ctx, path, to, most, tell)
	}
	r := retry{t: t}
	var p *progress
	for at, length := int64(0), int64(-1); ; {
		want := int64(piece)
		if length >= 0 {
			want = min(want, length-at)
		}
		d := read{}
		err := withPath(t.script(ctx, scripts.Read, reading{path, at, int(want)}, &d, 0, nil), path)
		if err != nil && passing(ctx, err) {
			if err := r.again(ctx, err); err != nil {
				return at, err
			}
			continue
		}
		if at == 0 && t.giveUp(err) {
			return t.fetch(ctx, path, to, most, tell)
		}
		if err != nil {
			return at, err
		}
		if length < 0 {
			length = d.Length
			p = report(tell, length)
			defer p.end()
		}
		got := int64(len(d.Data))
		switch {
		case length > most:
			return at, fmt.Errorf("%w: it has %d bytes, and %d are taken", ErrTooBig, length, most)
		case d.Length < length || d.Offset != at:
			return at, ErrChanged
		case d.Next != at+got || got > want || got == 0 && at < length:
			return at, fmt.Errorf("the answer of the guest does not fit: %d bytes at %d, next %d", got, at, d.Next)
		}
		d.Data = d.Data[:min(got, length-at)] // the first piece is asked for before the length is known
		if _, err := to.Write(d.Data); err != nil {
			return at, fmt.Errorf("writing what was downloaded: %w", err)
		}
		at += int64(len(d.Data))
		r.got(at)
		p.at(at)
		if at == length {
			return at, nil
		}
	}
}
