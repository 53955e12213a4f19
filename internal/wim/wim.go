// Package wim writes Windows images (WIM): the files of one volume with all that NTFS
// knows of them, each content once.
//
// A WIM is a header, resources one behind the other, a table of them by the SHA-1 of their
// content, and an XML text that says what is in it. The metadata of an image, a resource
// too, holds its security descriptors and its tree of names. A compressed resource begins
// with a table of where its chunks of 32 KiB lie, each of which is compressed on its own.
//
// Sources: Microsoft, "Windows Imaging File Format (WIM)" (2007), for header, resources,
// table and names; what it leaves open (the order of streams, object ids, hard links,
// flags of reparse points) is as WIMs made by wimlib have it, looked at byte by byte.
package wim

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

var le = binary.LittleEndian

var (
	// ErrEncrypted means that a file is encrypted by EFS, which is not taken along.
	ErrEncrypted = errors.New("the file is encrypted by EFS, and its content can be read by its owner only")
	// ErrSource means that what a source says does not hold together.
	ErrSource = errors.New("inconsistent file system")
)

// Source is a volume. It is used by one goroutine.
type Source interface {
	Root() (File, error)
	Open(reference uint64) (File, error)
	// Descriptor is the security descriptor of Metadata.SecurityID.
	Descriptor(id uint32) ([]byte, error)
}

// File is a file or a folder.
type File interface {
	Metadata() (Metadata, error)
	// Links are the names in a folder.
	Links() ([]Link, error)
	// Stream opens the content, or with a name a named stream.
	Stream(name string) (*io.SectionReader, error)
}

// Metadata is what is stored of a file besides its names and its content.
type Metadata struct {
	Folder bool
	// Attributes are those of [MS-FSCC] 2.6.
	Attributes uint32
	// Created, Written and Accessed are in units of 100 ns since 1601, UTC.
	Created, Written, Accessed uint64
	// Links is how many names the file has. Only of one with several is it looked
	// whether another of them was seen before.
	Links int
	// SecurityID names a descriptor of the source; 0 stands for Descriptor, and for none
	// where that is empty.
	SecurityID uint32
	Descriptor []byte
	// ObjectID has 16 to 64 bytes; nil stands for none.
	ObjectID []byte
	// Reparse is a reparse point from its tag on ([MS-FSCC] 2.1.2); nil stands for none.
	Reparse []byte
	// Streams are the named ones.
	Streams []string
}

// Link is a name in a folder, in UTF-16.
type Link struct {
	Name, Short []uint16
	Reference   uint64
}

// Output is the file that is written. It is empty at first.
type Output interface {
	io.WriterAt
	Truncate(size int64) error
}

// Options say what is written and how.
type Options struct {
	Compression Compression
	Image       Image
	// Exclude are paths that are left out with all below them, such as \pagefile.sys.
	Exclude []string
	// Workers compress side by side; 0 stands for one a processor.
	Workers int
	// Progress is told how many bytes of content were read, by one goroutine. It must
	// not block.
	Progress func(done int64)
}

// DefaultExclusions are what DISM leaves out of a capture when no list is named
// (https://learn.microsoft.com/windows-hardware/manufacture/desktop/dism-configuration-list-and-wimscriptini-files-winnext),
// and the trash of Windows Vista and later, which \RECYCLER was until then.
func DefaultExclusions() []string {
	return []string{`\$ntfs.log`, `\hiberfil.sys`, `\pagefile.sys`, `\swapfile.sys`, `\System Volume Information`, `\RECYCLER`, `\$Recycle.Bin`, `\Windows\CSC`}
}

// Result is what was written. Sizes are bytes.
type Result struct {
	// Folders and Files are names, the root not counted. A folder that is a link counts as
	// a file.
	Folders, Files int
	// Content is the size of all streams, Shared what of it are further names of a file,
	// Stored the size of different contents.
	Content, Shared, Stored int64
	// Size is that of the WIM.
	Size int64
	// Excluded are the paths that were there and were left out.
	Excluded []string
}

// Write writes a WIM with one image, the tree of src, into out. After an error out holds
// no WIM.
func Write(ctx context.Context, out Output, src Source, o Options) (Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s, err := newStore(ctx, cancel, out, o)
	if err != nil {
		return Result{}, err
	}
	defer s.close()
	t := &tree{ctx: ctx, src: src, store: s, exclude: exclusions(o.Exclude), seen: map[uint64]*inode{}, folders: map[uint64]bool{}, security: newSecurity(src)}
	err = t.walk()
	if err == nil {
		t.layout()
		_, err = s.put(t.size, func() (io.Reader, error) { return t.reader(), nil }, metadataResource)
	}
	// Who was stopped says less than what stopped him.
	if end := s.finish(); end != nil {
		err = end
	}
	if err != nil {
		return Result{}, err
	}
	size, err := s.complete(t, o)
	if err != nil {
		return Result{}, err
	}
	r := t.result
	r.Size, r.Stored = size, s.stored
	return r, nil
}

// Flags of resources and of the header.
const (
	metadataResource   = 0x02
	compressedResource = 0x04

	headerSize = 208
	chunkSize  = 32 << 10
)

// resource is where a part of the WIM lies.
type resource struct {
	offset, stored, size int64
	flags                byte
}

// append writes the 24 bytes of it.
func (r resource) append(b []byte) []byte {
	b = le.AppendUint64(b, uint64(r.stored)|uint64(r.flags)<<56)
	b = le.AppendUint64(b, uint64(r.offset))
	return le.AppendUint64(b, uint64(r.size))
}

// complete writes what stands behind the resources, and the header.
func (s *store) complete(t *tree, o Options) (int64, error) {
	w := s.out
	table := resource{offset: w.offset(), flags: metadataResource}
	entry := make([]byte, 0, 50)
	for _, b := range s.blobs {
		entry = b.append(entry[:0])
		entry = le.AppendUint16(entry, 1) // part of a split WIM
		entry = le.AppendUint32(entry, b.references)
		entry = append(entry, b.hash[:]...)
		if err := w.append(entry); err != nil {
			return 0, err
		}
	}
	table.stored = w.offset() - table.offset
	table.size = table.stored
	text := resource{offset: w.offset(), flags: metadataResource}
	if err := w.append(encodeUTF16(o.Image.xml(t.result, text.offset, time.Now()))); err != nil {
		return 0, err
	}
	text.stored = w.offset() - text.offset
	text.size = text.stored
	size := w.offset()
	if err := w.flush(); err != nil {
		return 0, err
	}
	header, err := o.Compression.header(table, text)
	if err == nil {
		_, err = w.file.WriteAt(header, 0)
	}
	if err == nil {
		err = w.file.Truncate(size)
	}
	if err != nil {
		return 0, fmt.Errorf("writing the header: %w", err)
	}
	return size, nil
}

// header is that of a WIM with one image in one part.
func (c Compression) header(table, text resource) ([]byte, error) {
	h := make([]byte, 0, headerSize)
	h = append(h, "MSWIM\x00\x00\x00"...)
	flags, chunk := c.flags()
	for _, v := range []uint32{headerSize, 0x00010d00, flags, chunk} {
		h = le.AppendUint32(h, v)
	}
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	h = append(h, id[:]...)
	h = le.AppendUint16(h, 1) // this part
	h = le.AppendUint16(h, 1) // of so many
	h = le.AppendUint32(h, 1) // images
	h = table.append(h)
	h = text.append(h)
	return h[:headerSize], nil // no image to start from, no table of integrity
}
