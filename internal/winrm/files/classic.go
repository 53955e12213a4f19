package files

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// tries is how often something that cannot be resumed is begun.
const tries = 3

// classic uploads without PowerShell.
func (t *Transfer) classic(ctx context.Context, to string, s *source, p *progress) error {
	for try := 1; ; try++ {
		err := t.typeIn(ctx, t.folder, to, s, false, p.at)
		if err == nil || try == tries || !passing(ctx, err) {
			return err
		}
		if err := rest(ctx, pause); err != nil {
			return err
		}
	}
}

// typeIn writes a file by lines of echo with base64, which certutil.exe decodes and
// hashes: both are in every Windows. The lines are kept in a folder of ours. A file
// of our own has its name at once, any other only when it is whole.
func (t *Transfer) typeIn(ctx context.Context, within, to string, s *source, own bool, at func(int64)) error {
	text := within + `\` + newID() + ".b64"
	part := to
	if !own {
		part = to + "." + s.sum[:8] + ".part"
	}
	t.noteMade(within)
	make64 := fmt.Sprintf(`certutil.exe -f -decode "%s" "%s"`, text, part)
	if s.size == 0 {
		make64 = fmt.Sprintf(`type nul>"%s"`, part)
	}
	end := fmt.Sprintf(`md "%s" 2>nul & %s && certutil.exe -hashfile "%s" SHA256 & del /f /q "%s"`, folderOf(part), make64, part, text)
	if len(end) > mostLine {
		return fmt.Errorf("%s: the path is too long for cmd.exe: shorten it", to)
	}
	said, err := t.typeLines(ctx, text, end, s, at)
	if err != nil {
		return err
	}
	switch sum := hashIn(said); {
	case sum == "":
		return fmt.Errorf("%s: it could not be written in the guest: %s", to, oneLine(said))
	case sum != s.sum:
		_, _ = t.line(ctx, fmt.Sprintf(`del /f /q "%s"`, part)) // that it is wrong is what counts
		return fmt.Errorf("%s: %w", to, ErrHash)
	case own:
		return nil
	}
	said, err = t.line(ctx, fmt.Sprintf(`if exist "%[2]s\*" (echo %[3]s& del /f /q "%[1]s") else (move /y "%[1]s" "%[2]s")`, part, to, saysFolder))
	switch {
	case err != nil:
		return fmt.Errorf("%s: it is in the guest as %s and could not be renamed: %w", to, part, err)
	case strings.Contains(said, saysFolder): // move would put the file into it
		return &Error{Path: to, Name: "access-denied", Message: "it is a folder"}
	}
	return nil
}

// typeLines writes the base64 of s to a file, line by line, runs what comes at the
// end, and returns what that says.
func (t *Transfer) typeLines(ctx context.Context, text, end string, s *source, at func(int64)) (string, error) {
	folder := folderOf(text)
	before, redirect := fmt.Sprintf(`md "%s" 2>nul & (echo `, folder), ")>"
	raw := make([]byte, mostLine/4*3)
	offset := int64(0)
	for {
		after := redirect + `"` + text + `"`
		room := (mostLine - len(before) - len(after)) / 4 * 3
		last := s.size == offset || s.size-offset <= int64(room-len(end))
		n := int(min(int64(room), s.size-offset))
		if got, err := s.from.ReadAt(raw[:n], offset); got < n {
			return "", fmt.Errorf("reading what is to be sent: %w", notEOF(err))
		}
		offset += int64(n)
		line := before + base64.StdEncoding.EncodeToString(raw[:n]) + after
		switch {
		case last && n == 0:
			line = fmt.Sprintf(`md "%s" 2>nul & %s`, folder, end)
		case last:
			line += " & " + end
		}
		said, err := t.line(ctx, line)
		at(offset)
		if last || err != nil {
			return said, unlessExit(err, &said)
		}
		before, redirect = "(echo ", ")>>"
	}
}

// unlessExit: what a line says counts, not its exit code.
func unlessExit(err error, said *string) error {
	if e, ok := err.(*exit); ok { //nolint:errorlint // line returns it bare
		*said = e.text
		return nil
	}
	return err
}

func notEOF(err error) error {
	if err == io.EOF || err == nil { //nolint:errorlint // ReadAt returns it bare
		return io.ErrUnexpectedEOF
	}
	return err
}

var hash256 = lazyregexp.New(`^[0-9a-f]{64}$`)

// hashIn finds the hash that certutil.exe writes, before Windows 10 with blanks
// between the bytes. It fails for a file without content.
func hashIn(said string) string {
	if strings.Contains(said, noContent) {
		return emptySum
	}
	for line := range strings.Lines(said) {
		if sum := strings.ToLower(strings.Join(strings.Fields(line), "")); hash256.MatchString(sum) {
			return sum
		}
	}
	return ""
}

// folderOf is empty for a path that is a variable alone.
func folderOf(path string) string { return path[:max(0, strings.LastIndexByte(path, '\\'))] }
