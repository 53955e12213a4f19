package winsim

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/winfs"
)

// bundle is the twin of bundle.ps1. Of wildcards it knows the star, in the last
// part of a path.
func (t *twin) bundle(encoded string) int {
	p := struct {
		Out                    string
		Files                  []string
		MaxBytes, MaxFileBytes *int64
	}{}
	err := parameters(encoded, &p)
	most, each := int64(64<<20), int64(8<<20)
	if p.MaxBytes != nil {
		most = *p.MaxBytes
	}
	if p.MaxFileBytes != nil {
		each = *p.MaxFileBytes
	}
	switch {
	case err != nil:
	case p.Out == "":
		err = thrown("out is missing")
	case most < 1 || each < 1:
		err = thrown("maxBytes or maxFileBytes is less than 1")
	case len(p.Files) == 0:
		err = thrown("files is empty")
	}
	if err != nil {
		t.write(failed("bundle", "bad-parameters", err))
		return 2
	}
	out := t.full(p.Out)
	entries, skipped := []document{}, []document{}
	var content bytes.Buffer
	archive := zip.NewWriter(&content)
	total := int64(0)
	for _, f := range t.bundled(p.Files, &skipped) {
		data, err := t.g.drive.ReadFile(f.path)
		if err != nil {
			skipped = append(skipped, document{{"path", f.path}, {"reason", "unreadable"}, {"message", fileError(err, f.path).message}})
			continue
		}
		length := int64(len(data))
		data = data[max(0, length-each):]
		if total+int64(len(data)) > most {
			skipped = append(skipped, document{{"path", f.path}, {"reason", "cap"}, {"message", "would pass the cap"}})
			continue
		}
		name := strings.Replace(strings.ReplaceAll(f.path, `\`, "/"), ":", "", 1)
		w, err := archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: f.time})
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			t.write(failed("bundle", "script", err))
			return 1
		}
		total += int64(len(data))
		entries = append(entries, document{{"path", f.path}, {"entry", name}, {"bytes", int64(len(data))}, {"length", length}, {"tailOnly", int64(len(data)) < length}, {"mtime", utc(f.time)}})
	}
	err = archive.Close()
	if err == nil {
		err = t.g.drive.WriteFile(out, content.Bytes())
	}
	if err != nil {
		t.write(failed("bundle", "script", fileError(err, out)))
		return 1
	}
	sum := sha256.Sum256(content.Bytes())
	t.write(document{
		{"script", "bundle"}, {"schema", 1}, {"ok", true}, {"path", out}, {"size", int64(content.Len())}, {"sha256", hex.EncodeToString(sum[:])},
		{"bytes", total}, {"entries", entries}, {"skipped", skipped},
	})
	return 0
}

type bundled struct {
	path string
	time time.Time
}

// bundled finds the files, newest first.
func (t *twin) bundled(patterns []string, skipped *[]document) (files []bundled) {
	for _, pattern := range patterns {
		full := t.full(pattern)
		i := strings.LastIndexByte(full, '\\')
		before, after, wild := strings.Cut(full[i+1:], "*")
		entries, err := t.g.drive.ReadDir(full[:max(i, 0)])
		found := false
		for _, e := range entries {
			info, infoErr := e.Info()
			name := strings.ToLower(e.Name())
			fits := strings.EqualFold(name, before) || wild && strings.HasPrefix(name, strings.ToLower(before)) && strings.HasSuffix(name, strings.ToLower(after))
			if infoErr != nil || !fits || e.IsDir() {
				continue
			}
			found = true
			if path := full[:i+1] + e.Name(); !slices.ContainsFunc(files, func(f bundled) bool { return f.path == path }) {
				files = append(files, bundled{path, t.g.clock.At(info.ModTime())})
			}
		}
		if missing := full; err != nil || !found && !wild {
			if err != nil {
				missing = full[:max(i, 0)]
			}
			message := "Cannot find path '" + missing + "' because it does not exist."
			if errors.Is(err, winfs.ErrNoDrive) {
				message = "Cannot find drive. A drive with the name '" + full[:1] + "' does not exist."
			}
			*skipped = append(*skipped, document{{"path", full}, {"reason", "not-found"}, {"message", message}})
		}
	}
	slices.SortStableFunc(files, func(a, b bundled) int { return b.time.Compare(a.time) })
	return files
}
