package files

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"time"
)

// source is what is sent: of known size and hash, and readable again from
// anywhere.
type source struct {
	from io.ReaderAt
	size int64
	sum  string // SHA-256, lower-case hex
	drop func()
}

// hashing is what the guest may need for the hash at the end: 50 MB/s is a slow disk.
func (s *source) hashing() time.Duration {
	return time.Duration(s.size/50_000_000) * time.Second
}

// inMemory is up to which size a stream is kept in memory.
const inMemory = 1 << 20

// take makes a source of a reader. A stream that cannot be read again is kept, in
// memory or in a temporary file, because size and hash come before the bytes.
func take(from io.Reader) (*source, error) {
	if at, ok := from.(io.ReaderAt); ok {
		if seeker, ok := from.(io.Seeker); ok {
			return there(at, seeker)
		}
	}
	hash := sha256.New()
	var head bytes.Buffer
	n, err := io.CopyN(io.MultiWriter(hash, &head), from, inMemory)
	if err == io.EOF { //nolint:errorlint // CopyN returns it bare
		return &source{bytes.NewReader(head.Bytes()), n, hex.EncodeToString(hash.Sum(nil)), func() {}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what is to be sent: %w", err)
	}
	file, err := os.CreateTemp("", "packer-upload-")
	if err != nil {
		return nil, fmt.Errorf("keeping what is to be sent: %w", err)
	}
	drop := func() {
		file.Close()
		os.Remove(file.Name())
	}
	n, err = io.Copy(file, io.MultiReader(&head, io.TeeReader(from, hash)))
	if err != nil {
		drop()
		return nil, fmt.Errorf("keeping what is to be sent: %w", err)
	}
	return &source{file, n, hex.EncodeToString(hash.Sum(nil)), drop}, nil
}

// there is a source that lies somewhere, from its present position to its end.
func there(at io.ReaderAt, seeker io.Seeker) (*source, error) {
	begin, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, fmt.Errorf("reading what is to be sent: %w", err)
	}
	end, err := seeker.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = seeker.Seek(begin, io.SeekStart)
	}
	if err != nil {
		return nil, fmt.Errorf("reading what is to be sent: %w", err)
	}
	s := &source{io.NewSectionReader(at, begin, max(0, end-begin)), max(0, end-begin), "", func() {}}
	hash := sha256.New()
	n, err := io.Copy(hash, io.NewSectionReader(s.from, 0, s.size))
	if err == nil && n != s.size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("reading what is to be sent: %w", err)
	}
	s.sum = hex.EncodeToString(hash.Sum(nil))
	return s, nil
}
