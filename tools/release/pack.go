package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"os"
	"time"
)

// entry is one file of a zip.
type entry struct {
	name    string
	mode    os.FileMode
	content []byte
}

// pack makes a zip whose bytes depend on nothing but the entries and the time.
func pack(at time.Time, entries []entry) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: at}
		h.SetMode(e.mode)
		w, err := z.CreateHeader(h)
		if err != nil {
			return nil, fmt.Errorf("packing %s: %w", e.name, err)
		}
		if _, err := w.Write(e.content); err != nil {
			return nil, fmt.Errorf("packing %s: %w", e.name, err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("packing: %w", err)
	}
	return b.Bytes(), nil
}
