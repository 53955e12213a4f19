package guest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	var content []byte
	offset := int64(-max)
	end := s.now().Add(s.scaled(fetchLimit))
	for range max/readChunk + 1 + fewChunks {
		if s.now().After(end) {
			return content, fmt.Errorf("fetching %s: %w (%s)", path, ErrAbandoned, fetchLimit)
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
	text, _, err := s.typed(ctx, path, `type "`+path+`"`, readLimit)
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w", path, err)
	}
	return text[:min(max, len(text))], nil
}

// typed runs a command that shows a file and returns what it shows, nothing of
// what the guest says before that.
func (s *Session) typed(ctx context.Context, path, command string, limit time.Duration) (text []byte, cut bool, err error) {
	out, err := s.Run(ctx, `(if exist "`+path+`" (echo `+hidden("text")+`& `+command+`) else (echo `+hidden("absent")+`))`, limit)
	if err != nil {
		return nil, false, err
	}
	if said(out.Stdout, "absent") {
		return nil, false, ErrNotFound
	}
	_, text, found := bytes.Cut(out.Stdout, []byte(marker+"text"))
	if _, rest, whole := bytes.Cut(text, []byte("\n")); whole {
		return rest, out.Truncated, nil
	}
	if !found {
		return nil, false, fmt.Errorf("%w: %q", ErrUnreadable, short(string(out.Stdout)))
	}
	return nil, out.Truncated, nil
}

// Leftovers are what a run brought into the guest, besides Folder.
type Leftovers struct {
	Files, Folders, Tasks []string
	// IfEmpty are folders that go when nothing else is in them.
	IfEmpty []string
}

// With returns both, each name once: a start may be tried many times, and all of
// it has to fit on one command line.
func (l Leftovers) With(m Leftovers) Leftovers {
	return Leftovers{union(l.Files, m.Files), union(l.Folders, m.Folders), union(l.Tasks, m.Tasks), union(l.IfEmpty, m.IfEmpty)}
}

func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, name := range b {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// None says that there is nothing to remove.
func (l Leftovers) None() bool {
	return len(l.Files)+len(l.Folders)+len(l.Tasks)+len(l.IfEmpty) == 0
}

// Brought says whether Folder holds something, as far as the session knows.
func (s *Session) Brought() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.scripts) > 0
}

// Cleanup removes the leftovers and the session's own folder in one cmd.exe
// line, because Windows may be about to shut down. It returns what is still
// there. It does not wait for the connection to have rested: an answer file with
// passwords may lie there, and it is the last thing asked.
func (s *Session) Cleanup(ctx context.Context, l Leftovers, limit time.Duration) ([]string, error) {
	left, _, err := s.clean(ctx, l, limit, partEnd)
	return left, err
}

// CleanupAndPoll also asks for the state, in the same line.
func (s *Session) CleanupAndPoll(ctx context.Context, l Leftovers, limit time.Duration) ([]string, State, error) {
	left, answer, err := s.clean(ctx, l, limit, pollLine(""))
	if err != nil {
		return left, State{}, err
	}
	state, _, err := parseState(answer)
	return left, state, err
}

func (s *Session) clean(ctx context.Context, l Leftovers, limit time.Duration, then string) ([]string, string, error) {
	s.settle(ctx)
	s.wake()
	// From here on nothing in the guest is known to be ours.
	s.forget()
	var remove, check, names []string
	for _, name := range l.Tasks {
		remove = append(remove, `schtasks /delete /f /tn `+name)
		check = append(check, fmt.Sprintf(`schtasks /query /tn %s&& echo le^ft:%d:`, name, len(names)))
		names = append(names, "scheduled task "+name)
	}
	for _, path := range l.Files {
		remove = append(remove, `del /f /q "`+path+`"`)
		check = append(check, fmt.Sprintf(`(if exist "%s" (echo le^ft:%d:))`, path, len(names)))
		names = append(names, path)
	}
	for _, folder := range l.IfEmpty {
		remove = append(remove, `rd "`+folder+`"`)
	}
	for _, folder := range append(slices.Clip(l.Folders), s.Folder()) {
		remove = append(remove, `rd /s /q "`+folder+`"`)
		check = append(check, fmt.Sprintf(`(if exist "%s" (echo le^ft:%d:))`, folder, len(names)))
		names = append(names, folder)
	}
	line := strings.Join(append(append(remove, check...), then), "& ")
	out, err := s.Run(ctx, line, limit)
	if err != nil {
		return names, "", fmt.Errorf("removing our files: %w", err)
	}
	answer := string(out.Stdout)
	if !said(out.Stdout, "end") {
		return names, answer, fmt.Errorf("removing our files: %w: %q", ErrUnreadable, short(answer))
	}
	var left []string
	for i, name := range names {
		if strings.Contains(answer, fmt.Sprintf("left:%d:", i)) {
			left = append(left, name)
		}
	}
	return left, answer, nil
}

// Exists says whether a file or folder is in the guest.
func (s *Session) Exists(ctx context.Context, path string) (bool, error) {
	out, err := s.Run(ctx, `(if exist "`+path+`" (echo `+hidden("yes")+`) else (echo `+hidden("no")+`))`, CommandLimit)
	if err != nil {
		return false, fmt.Errorf("looking for %s: %w", path, err)
	}
	if yes := said(out.Stdout, "yes"); yes != said(out.Stdout, "no") {
		return yes, nil
	}
	return false, fmt.Errorf("looking for %s: %w: %q", path, ErrUnreadable, short(string(out.Stdout)))
}
