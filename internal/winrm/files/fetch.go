package files

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
)

// What the prepare line says of a file, and the codes of certutil.exe for one that
// is larger than it encodes (ERROR_ARITHMETIC_OVERFLOW, above 70 MB) and for one
// without content (ERROR_FILE_INVALID).
const (
	saysMissing = "packer: no file"
	saysFolder  = "packer: a folder"
	tooLong     = "0x80070216"
	noContent   = "0x800703ee"
)

var emptySum = hex.EncodeToString(sha256.New().Sum(nil))

// lengthIn is the first number that certutil.exe -encode says: of bytes read, in
// the guest's language.
var lengthIn = lazyregexp.New(`(?m)= (\d+)\s*$`)

// fetch downloads without PowerShell: cmd.exe copies the file to a folder of ours,
// so that it stays as it is, certutil.exe encodes the copy, and its text is typed.
// Whether copy reads a log that another program has open depends on how that
// shares it, and is not proven; read.ps1 lets it do everything.
func (t *Transfer) fetch(ctx context.Context, path string, to io.Writer, most int64, tell Progress) (int64, error) {
	t.noteMade(t.folder)
	name := t.folder + `\` + newID()
	r := retry{t: t}
	sum, size, err := t.prepare(ctx, &r, path, name)
	if err != nil {
		return 0, err
	}
	defer t.discard(ctx, name+".b64")
	if size > most {
		return 0, fmt.Errorf("%w: it has %d bytes, and %d are taken", ErrTooBig, size, most)
	}
	p := report(tell, size)
	defer p.end()
	d := &armour{to: to, most: most, at: func(n int64) { r.got(n); p.at(n) }}
	for sum != emptySum {
		d.begin()
		err := t.typeOut(ctx, name+".b64", d)
		if err == nil {
			break
		}
		if !passing(ctx, err) {
			return d.written, err
		}
		if err := r.again(ctx, err); err != nil {
			return d.written, err
		}
	}
	if sum != emptySum && hex.EncodeToString(d.sum.Sum(nil)) != sum {
		return d.written, ErrHash
	}
	return d.written, nil
}

// cleanup is how long what is left behind is being deleted, also for a caller who
// has given up.
const cleanup = 5 * time.Second

// discard deletes a file of ours; where that fails, Close removes its folder.
func (t *Transfer) discard(ctx context.Context, path string) {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	_, _ = t.line(limited, fmt.Sprintf(`del /f /q "%s"`, path))
}

// prepare copies and encodes a file, and returns hash and size of the copy.
func (t *Transfer) prepare(ctx context.Context, r *retry, path, name string) (sum string, size int64, err error) {
	line := fmt.Sprintf(`if not exist "%[1]s" (echo %[4]s) else if exist "%[1]s\*" (echo %[5]s) else (md "%[2]s" 2>nul & copy /b /y "%[1]s" "%[3]s.bin" && certutil.exe -f -encode "%[3]s.bin" "%[3]s.b64" & certutil.exe -hashfile "%[3]s.bin" SHA256 & del /f /q "%[3]s.bin")`,
		path, t.folder, name, saysMissing, saysFolder)
	if len(line) > mostLine {
		return "", 0, fmt.Errorf("%s: the path is too long for cmd.exe: shorten it", path)
	}
	var said string
	for {
		said, err = t.line(ctx, line)
		if err = unlessExit(err, &said); err == nil {
			break
		}
		if !passing(ctx, err) {
			return "", 0, err
		}
		if err := r.again(ctx, err); err != nil {
			return "", 0, err
		}
	}
	switch sum = hashIn(said); {
	case strings.Contains(said, saysMissing):
		return "", 0, &Error{Path: path, Name: "not-found", Message: "there is none"}
	case strings.Contains(said, saysFolder):
		return "", 0, &Error{Path: path, Name: "access-denied", Message: "it is a folder"}
	case strings.Contains(said, tooLong):
		return "", 0, ErrNeedsPowerShell
	case sum == "":
		return "", 0, &Error{Path: path, Name: "io", Message: said}
	}
	if n := lengthIn.FindStringSubmatch(said); n != nil && sum != emptySum {
		size, err = strconv.ParseInt(n[1], 10, 64)
	}
	return sum, size, err
}

// typeOut has a file typed. The guest may be silent for Options.Stall.
func (t *Transfer) typeOut(ctx context.Context, path string, d *armour) error {
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := time.AfterFunc(t.options.Stall, func() { cancel(ErrStalled) })
	defer patience.Stop()
	d.still = func() { patience.Reset(t.options.Stall) }
	errs := first{said{most: mostStderr}}
	code, err := t.runner.Run(limited, winrm.Command{Line: fmt.Sprintf(`type "%s"`, path), Stdout: d, Stderr: &errs})
	switch {
	case err != nil:
		return stalled(ctx, limited, err)
	case code != 0:
		return &exit{code, errs.String()}
	}
	return d.flush()
}

// armour decodes what certutil.exe -encode writes: base64 between lines of dashes.
// What an earlier try has written is not written again.
type armour struct {
	to      io.Writer
	most    int64
	at      func(int64)
	still   func()
	written int64

	sum  hash.Hash
	read int64  // bytes of this try
	line []byte // that is not whole
	left []byte // characters that make no group
}

func (a *armour) begin() { a.sum, a.read, a.line, a.left = sha256.New(), 0, nil, nil }

// mostArmour is more than a line of it.
const mostArmour = 1024

// Write is part of io.Writer.
func (a *armour) Write(p []byte) (int, error) {
	a.still()
	a.line = append(a.line, p...)
	for {
		end := bytes.IndexByte(a.line, '\n')
		if end < 0 {
			break
		}
		if err := a.decode(a.line[:end]); err != nil {
			return 0, err
		}
		a.line = a.line[end+1:]
	}
	if len(a.line) > mostArmour {
		return 0, errArmour
	}
	a.at(a.written)
	return len(p), nil
}

var errArmour = errors.New("what certutil.exe has encoded cannot be read")

func (a *armour) decode(line []byte) error {
	text := strings.TrimSpace(string(line))
	if strings.HasPrefix(text, "-----") {
		return nil
	}
	text = string(a.left) + text
	whole := len(text) / 4 * 4
	a.left = []byte(text[whole:])
	b, err := base64.StdEncoding.DecodeString(text[:whole])
	if err != nil {
		return fmt.Errorf("%w: %w", errArmour, err)
	}
	a.sum.Write(b)
	fresh := b[min(int64(len(b)), max(0, a.written-a.read)):]
	if a.read += int64(len(b)); a.read > a.most {
		return fmt.Errorf("%w: %d bytes are taken", ErrTooBig, a.most)
	}
	if _, err := a.to.Write(fresh); err != nil {
		return fmt.Errorf("writing what was downloaded: %w", err)
	}
	a.written += int64(len(fresh))
	return nil
}

func (a *armour) flush() error {
	err := a.decode(a.line)
	if err == nil && len(a.left) > 0 {
		err = errArmour
	}
	return err
}
