package guest

import (
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
	readChunk = 512 << 10
	readLimit = time.Minute // of one chunk
)

// ErrNotFound: the file is not in the guest.
var ErrNotFound = errors.New("not in the guest")

type readDocument struct {
	Length int64  `json:"length"`
	Next   int64  `json:"next"`
	Data   []byte `json:"data"`
}

// Fetch reads a file that others may be writing to; of a larger one the last
// max bytes. Without PowerShell it is read as text, which logs are.
func (s *Session) Fetch(ctx context.Context, path string, max int) ([]byte, error) {
	var content []byte
	offset := int64(-max)
	for {
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
		content = append(content, doc.Data...)
		// A log that grows all the time must not keep us here.
		if len(doc.Data) == 0 || doc.Next >= doc.Length || len(content) >= max {
			return content, nil
		}
		offset = doc.Next
	}
}

func (s *Session) show(ctx context.Context, path string, max int) ([]byte, error) {
	out, err := s.Run(ctx, `(if exist "`+path+`" (type "`+path+`") else (echo packer-part:absent))`, readLimit)
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w", path, err)
	}
	if strings.TrimSpace(string(out.Stdout)) == "packer-part:absent" {
		return nil, fmt.Errorf("fetching %s: %w", path, ErrNotFound)
	}
	return out.Stdout[:min(max, len(out.Stdout))], nil
}

// Leftovers are what a run brought into the guest, besides Folder.
type Leftovers struct {
	Files, Folders, Tasks []string
}

// With returns both.
func (l Leftovers) With(m Leftovers) Leftovers {
	return Leftovers{slices.Concat(l.Files, m.Files), slices.Concat(l.Folders, m.Folders), slices.Concat(l.Tasks, m.Tasks)}
}

// Cleanup removes the leftovers and the session's own folder in one cmd.exe
// line, because Windows may be about to shut down. It returns what is still
// there.
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
	// From here on nothing in the guest is known to be ours.
	s.mu.Lock()
	clear(s.scripts)
	s.mu.Unlock()
	var remove, check, names []string
	for _, name := range l.Tasks {
		remove = append(remove, `schtasks /delete /f /tn `+name)
		check = append(check, fmt.Sprintf(`schtasks /query /tn %s&& echo left:%d:`, name, len(names)))
		names = append(names, "scheduled task "+name)
	}
	for _, path := range l.Files {
		remove = append(remove, `del /f /q "`+path+`"`)
		check = append(check, fmt.Sprintf(`(if exist "%s" (echo left:%d:))`, path, len(names)))
		names = append(names, path)
	}
	for _, folder := range append(slices.Clip(l.Folders), s.Folder()) {
		remove = append(remove, `rd /s /q "`+folder+`"`)
		check = append(check, fmt.Sprintf(`(if exist "%s" (echo left:%d:))`, folder, len(names)))
		names = append(names, folder)
	}
	line := strings.Join(append(append(remove, check...), then), "& ")
	out, err := s.Run(ctx, line, limit)
	if err != nil {
		return names, "", fmt.Errorf("removing our files: %w", err)
	}
	answer := string(out.Stdout)
	if lastLine(out.Stdout) != "packer-part:end" {
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
	out, err := s.Run(ctx, `(if exist "`+path+`" (echo yes) else (echo no))`, CommandLimit)
	if err != nil {
		return false, fmt.Errorf("looking for %s: %w", path, err)
	}
	there := yesNo(strings.Fields(string(out.Stdout)))
	if there == nil {
		return false, fmt.Errorf("looking for %s: %w: %q", path, ErrUnreadable, short(string(out.Stdout)))
	}
	return *there, nil
}
