package guest

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
)

// maxBundle bounds the files of a bundle together, and the bundle, in bytes.
const maxBundle = 64 << 20

type bundleDocument struct {
	Path    string `json:"path"`
	SHA256  string `json:"sha256"`
	Entries []struct {
		Path  string `json:"path"`
		Entry string `json:"entry"`
	} `json:"entries"`
	Skipped []struct {
		Path   string `json:"path"`
		Reason string `json:"reason"`
	} `json:"skipped"`
}

// FetchAll reads files that others may be writing to, by one command in the
// guest; of a larger one the last most bytes. What is not there is left out.
// The contents are by the paths asked for. Without PowerShell the files are read
// as text, one after the other. What could not be read is named in the error.
// Those of secret are read only where nothing is written to the guest's disk.
func (s *Session) FetchAll(ctx context.Context, paths []string, most int, secret ...string) (map[string][]byte, error) {
	if files, err := s.fetchDirect(ctx, slices.Concat(paths, secret), most); !errors.Is(err, errNotDirect) {
		return files, err
	}
	out := s.bundleFile()
	var doc *bundleDocument
	params := map[string]any{"out": out, "files": paths, "maxBytes": maxBundle, "maxFileBytes": most}
	err := s.Script(ctx, scripts.Bundle, params, func(raw []byte) {
		d := bundleDocument{}
		if json.Unmarshal(raw, &d) == nil {
			doc = &d
		}
	}, fetchLimit)
	switch {
	case errors.Is(err, ErrNoDocument):
		return s.showAll(ctx, paths, most)
	case err == nil && doc == nil:
		err = ErrUnreadable
	}
	if err != nil {
		return nil, fmt.Errorf("fetching files: %w", err)
	}
	content, err := s.Fetch(ctx, out, maxBundle)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(content); !strings.EqualFold(hex.EncodeToString(sum[:]), doc.SHA256) {
		return nil, fmt.Errorf("fetching files: %w: they changed in transit", ErrUnreadable)
	}
	return doc.files(content, paths, most)
}

// files reads what is in a bundle.
func (d *bundleDocument) files(content []byte, paths []string, most int) (map[string][]byte, error) {
	archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, fmt.Errorf("fetching files: %w: %w", ErrUnreadable, err)
	}
	asked := map[string]string{}
	for _, path := range paths {
		asked[strings.ToLower(path)] = path
	}
	files := map[string][]byte{}
	for _, e := range d.Entries {
		path, ok := asked[strings.ToLower(e.Path)]
		if !ok {
			continue
		}
		file, err := archive.Open(e.Entry)
		if err != nil {
			return files, fmt.Errorf("fetching %s: %w: %w", path, ErrUnreadable, err)
		}
		text, err := io.ReadAll(io.LimitReader(file, int64(most)))
		_ = file.Close() // of memory
		if err != nil {
			return files, fmt.Errorf("fetching %s: %w: %w", path, ErrUnreadable, err)
		}
		files[path] = text
	}
	var errs []error
	for _, skipped := range d.Skipped {
		if path, ok := asked[strings.ToLower(skipped.Path)]; ok && skipped.Reason != "not-found" {
			errs = append(errs, fmt.Errorf("fetching %s: %s", path, skipped.Reason))
		}
	}
	return files, errors.Join(errs...)
}

// showAll reads files as text.
func (s *Session) showAll(ctx context.Context, paths []string, most int) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, path := range paths {
		text, err := s.show(ctx, path, most)
		switch {
		case errors.Is(err, ErrNotFound):
		case err != nil:
			return files, err
		default:
			files[path] = text
		}
	}
	return files, nil
}
