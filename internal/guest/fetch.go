package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
)

const (
	readChunk  = 512 << 10
	readLimit  = time.Minute     // of one chunk
	fetchLimit = 3 * time.Minute // of one file
	// fewChunks is how many chunks more than the file needs may be read: a log
	// that is being written hands out short ones.
	fewChunks = 8
)

// ErrNotFound: the file is not in the guest.
var ErrNotFound = errors.New("not in the guest")

type readDocument struct {
	Length int64  `json:"length"`
	Offset int64  `json:"offset"`
	Next   int64  `json:"next"`
	Data   []byte `json:"data"`
}

// Fetch reads a file that others may be writing to; of a larger one the last
// max bytes. Without PowerShell it is read as text, which logs are. With an
// error the content is what had come by then: a guest whose answers do not fit
// together or do not end is not asked on.
func (s *Session) Fetch(ctx context.Context, path string, max int) ([]byte, error) {
	if files, err := s.fetchDirect(ctx, []string{path}, max); !errors.Is(err, errNotDirect) {
		content, found := files[path]
		if err == nil && !found {
			err = fmt.Errorf("fetching %s: %w", path, ErrNotFound)
		}
		return content, err
	}
	var content []byte
	offset := int64(-max)
	end := time.Now().Add(s.scaled(fetchLimit))
	for range max/readChunk + 1 + fewChunks {
		if time.Now().After(end) {
			return content, fmt.Errorf("fetching %s: %w (%s)", path, ErrNoAnswer, fetchLimit)
		}
		var doc *readDocument
		params := map[string]any{"path": path, "offset": offset, "bytes": min(readChunk, max)}
		err := s.Script(ctx, scripts.Read, params, func(raw []byte) {
			d := readDocument{}
			if json.Unmarshal(raw, &d) == nil {
				doc = &d
			}
		}, readLimit)
		switch {
		case errors.Is(err, ErrNoDocument):
			return s.show(ctx, path, max)
		case errors.Is(err, &ScriptError{Name: "not-found"}):
			return nil, fmt.Errorf("fetching %s: %w", path, ErrNotFound)
		case err != nil:
			return content, fmt.Errorf("fetching %s: %w", path, err)
		case doc == nil:
			return content, fmt.Errorf("fetching %s: %w", path, ErrUnreadable)
		}
		if !doc.fits(offset, min(readChunk, max)) {
			return content, fmt.Errorf("fetching %s: %w: %d bytes from %d to %d of %d, asked for from %d", path, ErrUnreadable, len(doc.Data), doc.Offset, doc.Next, doc.Length, offset)
		}
		content = append(content, doc.Data...)
		// A log that grows all the time must not keep us here.
		if len(doc.Data) == 0 || doc.Next >= doc.Length || len(content) >= max {
			return content[:min(max, len(content))], nil
		}
		offset = doc.Next
	}
	return content, fmt.Errorf("fetching %s: %w", path, ErrTooMuch)
}

// fits reports whether an answer is one to what was asked for: a negative
// offset counts from the end.
func (d *readDocument) fits(offset int64, bytes int) bool {
	if offset < 0 {
		offset = max(0, d.Length+offset)
	}
	return d.Offset == min(offset, d.Length) && len(d.Data) <= bytes && d.Next == d.Offset+int64(len(d.Data)) && d.Next <= d.Length
}

func (s *Session) show(ctx context.Context, path string, max int) ([]byte, error) {
	text, _, err := s.typed(ctx, path, readLimit)
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w", path, err)
	}
	return text[:min(max, len(text))], nil
}

// typed returns what cmd.exe shows of a file, nothing of what the guest says
// before that.
func (s *Session) typed(ctx context.Context, path string, limit time.Duration) (text []byte, cut bool, err error) {
	out, _, err := s.run(ctx, either(path, all(echo("text"), call("type ?", path)), echo("absent")), Request{}, limit)
	if err != nil {
		return nil, false, err
	}
	if text, found := behind(out.kept, "text"); found {
		return text, out.cut, nil
	}
	if a := readAnswer(string(out.kept)); !a.has("absent") {
		return nil, false, a.unreadable()
	}
	return nil, false, ErrNotFound
}

// Exists says whether a file or folder is in the guest.
func (s *Session) Exists(ctx context.Context, path string) (bool, error) {
	a, err := s.ask(ctx, tell("there", path), CommandLimit)
	there := a.yes("there")
	if err == nil && there == nil {
		err = a.unreadable()
	}
	if err != nil {
		return false, fmt.Errorf("looking for %s: %w", path, err)
	}
	return *there, nil
}
