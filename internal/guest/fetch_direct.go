package guest

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
)

type fetchDocument struct {
	Data    []byte   `json:"data"`
	Size    *int     `json:"size"`
	Results []string `json:"results"`
}

// errNotDirect: files have to be fetched by scripts that are files in the guest.
var errNotDirect = errors.New("files are not read directly")

// fetchDirect reads files by one command that leaves nothing in the guest: their
// content is in what it says. Not over Packer's communicator, which keeps every
// output in memory and logs.
func (s *Session) fetchDirect(ctx context.Context, paths []string, most int) (map[string][]byte, error) {
	if !s.Places() {
		return nil, errNotDirect
	}
	params, err := encode(map[string]any{"files": paths, "bytes": most, "total": maxBundle})
	if err != nil {
		return nil, errNotDirect // they do not fit on a line
	}
	line := call("echo " + params + "|powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand " + scripts.Encoded(scripts.Fetch))
	if line.fits() != nil {
		return nil, errNotDirect
	}
	ctx, cancel := s.within(ctx, fetchLimit)
	defer cancel()
	var content []byte
	var end *fetchDocument
	stream := &documents{name: scripts.Fetch, onDoc: func(raw []byte) {
		d := &fetchDocument{}
		if json.Unmarshal(raw, d) != nil {
			return
		}
		if content = append(content, d.Data...); d.Size != nil {
			end = d
		}
	}}
	stdout, stderr := lines{take: stream.take}, sink{}
	err = s.transport.Run(ctx, Request{Line: line.text, Stdout: &stdout, Stderr: &stderr})
	stdout.end()
	err = stream.outcome(stderr.kept, err)
	var failed *ScriptError
	switch {
	case errors.Is(err, ErrNoDocument) || errors.As(err, &failed):
		return nil, errNotDirect
	case err != nil:
		return nil, fmt.Errorf("fetching files: %w", err)
	case end == nil || *end.Size != len(content) || len(end.Results) != len(paths):
		return nil, fmt.Errorf("fetching files: %w", ErrUnreadable)
	}
	return end.files(content, paths, most)
}

// files reads what is in the zip, which has a checksum of each file.
func (d *fetchDocument) files(content []byte, paths []string, most int) (map[string][]byte, error) {
	archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, fmt.Errorf("fetching files: %w: %w", ErrUnreadable, err)
	}
	files := map[string][]byte{}
	entries := archive.File
	var errs []error
	for i, path := range paths {
		switch result := d.Results[i]; {
		case result == "FileNotFoundException" || result == "DirectoryNotFoundException" || result == "DriveNotFoundException":
		case result != "ok":
			errs = append(errs, fmt.Errorf("fetching %s: %s", path, short(result)))
		case len(entries) == 0:
			errs = append(errs, fmt.Errorf("fetching %s: %w", path, ErrUnreadable))
		default:
			text, err := unzipped(entries[0], most)
			entries = entries[1:]
			if err != nil {
				errs = append(errs, fmt.Errorf("fetching %s: %w: %w", path, ErrUnreadable, err))
				continue
			}
			files[path] = text
		}
	}
	return files, errors.Join(errs...)
}

// unzipped reads a file of a zip to its end, where its checksum is compared.
func unzipped(entry *zip.File, most int) ([]byte, error) {
	file, err := entry.Open()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, int64(most)+1))
	if err == nil && len(text) > most {
		err = fmt.Errorf("it has more than %d bytes", most)
	}
	return text, err
}
