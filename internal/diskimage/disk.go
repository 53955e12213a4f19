package diskimage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Format is how a file holds a disk.
type Format string

// The formats that can be read, and written unless it is said.
const (
	Raw   Format = "raw"
	VHD   Format = "vhd"
	VHDX  Format = "vhdx"
	QCOW2 Format = "qcow2"
	// VMDK is read only. What is in an OVA has the format of the disk in it.
	VMDK Format = "vmdk"
)

// QEMU returns QEMU's driver name for the format. A fixed VHD probed by QEMU
// looks raw, so callers pass this name explicitly, always.
func (f Format) QEMU() string {
	if f == VHD {
		return "vpc"
	}
	return string(f)
}

// ParseFormat accepts our names of what can be written, and QEMU's ("vpc").
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case Raw, VHD, VHDX, QCOW2:
		return f, nil
	case "vpc":
		return VHD, nil
	}
	return "", fmt.Errorf("disk format %q is not one of %s", s, strings.Join(Outputs(), ", "))
}

// Type is the kind of disk inside a VHD or VHDX. It is empty for raw and qcow2; a
// VMDK has the createType of its descriptor, such as StreamOptimized.
type Type string

// The types of disk. Differencing disks can be read, not written.
const (
	Fixed        Type = "fixed"
	Dynamic      Type = "dynamic"
	Differencing Type = "differencing"
	// StreamOptimized is a VMDK whose data is compressed, as an OVA holds it.
	StreamOptimized Type = "streamOptimized"
)

// Errors callers can branch on with errors.Is.
var (
	// ErrCorrupt: the file breaks the rules of its format.
	ErrCorrupt = errors.New("corrupt image")
	// ErrUnsupported: the file is well-formed as far as it was read, but uses
	// something that is not read or written here.
	ErrUnsupported = errors.New("unsupported image")
	// ErrParent: the parent or backing file is missing or is another disk
	// than the one the child was made on.
	ErrParent = errors.New("parent disk")
	// ErrNotAllowed: an image names a parent or backing file that it may not be
	// based on, see Allow. Such an error is an ErrParent, too.
	ErrNotAllowed = errors.New("not allowed")
	// ErrMismatch: what was written is not what was read.
	ErrMismatch = errors.New("the output is not the source")
	// ErrNoSpace: the file system has no room for the output.
	ErrNoSpace = errors.New("not enough free space")
)

// Disk is an opened virtual disk. ReadAt follows io.ReaderAt over
// [0, Size()) and can be called from several goroutines.
type Disk interface {
	io.ReaderAt
	io.Closer
	// Size is the virtual size in bytes.
	Size() int64
	Format() Format
	// SectorSize is the logical sector size in bytes: 512, or 4096 for a VHDX or VMDK
	// that says so. Of formats that do not record it the GPT tells; they answer
	// 512 without one.
	SectorSize() int
	// NextData returns the next run [start, end) at or after off that may hold
	// anything but zeros. start == end == Size() says that there is none.
	NextData(off int64) (start, end int64, err error)
	// Info describes the file for reports.
	Info() Info
}

// Info says what an image file is. It is a copy; changing it changes nothing.
type Info struct {
	Format      Format `json:"format"`
	Type        Type   `json:"type,omitempty"`
	VirtualSize int64  `json:"virtual_size"`
	FileSize    int64  `json:"file_size"`
	SectorSize  int    `json:"sector_size"`
	BlockSize   int64  `json:"block_size,omitempty"` // VHD, VHDX block, qcow2 cluster or VMDK grain, bytes
	// Creator is the program that wrote the file, as the file says.
	Creator string `json:"creator,omitempty"`
	// Files are the path of the image, of the files that hold its data (VMDK), and of
	// its parents, child first. Empty when the image is not a file.
	Files []string `json:"files,omitempty"`
	// Parents are the disks that this one is based on, the nearest first.
	Parents []Link `json:"parents,omitempty"`
	// GuessedFormat: a qcow2 of the chain does not say what its backing file
	// is, which another program may judge in another way.
	GuessedFormat bool `json:"guessed_format,omitempty"`
	// LogReplayed: the file was not closed cleanly; the log of a VHDX was
	// applied in memory.
	LogReplayed bool `json:"log_replayed,omitempty"`
	// FooterDamaged: of the footer of a VHD and its copy one is of no use, or
	// they differ; other programs may read the other one.
	FooterDamaged bool `json:"footer_damaged,omitempty"`
	// NamedVHD: a raw disk is called one. StrayFooter is then where a footer
	// stands that is not in the last sector; 0 where none was found.
	NamedVHD    bool  `json:"named_vhd,omitempty"`
	StrayFooter int64 `json:"stray_footer,omitempty"`
	// Member is the name of the disk in the OVA that the file is; OtherDisks are
	// those of the OVA that are not read.
	Member     string   `json:"member,omitempty"`
	OtherDisks []string `json:"other_disks,omitempty"`
	Warnings   []string `json:"warnings,omitempty"`
}

// Link is one file of a chain.
type Link struct {
	Path        string `json:"path"`
	Format      Format `json:"format"`
	Type        Type   `json:"type,omitempty"`
	VirtualSize int64  `json:"virtual_size"` // bytes
}

func (l Link) String() string {
	return l.Path + " (" + strings.TrimSpace(string(l.Type)+" "+string(l.Format)) + ")"
}

// Lineage names the files of a chain in one line, each followed by the one that
// it is based on.
func Lineage(chain []Link) string {
	var names []string
	for _, l := range chain {
		names = append(names, l.String())
	}
	return strings.Join(names, " -> ")
}

// Chain are all files whose content is part of the disk, its own first. It is
// empty when the image is not a file.
func (i Info) Chain() []Link {
	if len(i.Files) == 0 {
		return nil
	}
	return append([]Link{{i.Files[0], i.Format, i.Type, i.VirtualSize}}, i.Parents...)
}

// MiB is the unit that the sizes of disks are best whole numbers of, in bytes.
const MiB = mib

const (
	kib = int64(1) << 10
	mib = int64(1) << 20
	gib = int64(1) << 30
	tib = int64(1) << 40

	// maxTable bounds what is allocated for one block table. 64 MiB are
	// 8 Mi entries of a VHDX: 8 TiB in blocks of 1 MiB, 64 TiB in blocks of 8.
	maxTable = 64 * mib
	// maxDisk is the largest virtual size any of the formats here is read to.
	maxDisk = 64 * tib
	// maxChain is how many parents a disk may have below it. Hyper-V allows 50
	// checkpoints.
	maxChain = 64
)

func corrupt(format string, a ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrCorrupt}, a...)...)
}

// told is an error whose text says what to do.
type told struct{ error }

func (t told) Unwrap() error { return t.error }

// withWayOut adds to an error of a damaged file what to do, where it does not say so.
func withWayOut(err error) error {
	if t := (told{}); !errors.Is(err, ErrCorrupt) || errors.As(err, &t) {
		return err
	}
	return fmt.Errorf("%w; the file is damaged or was cut off: copy or download it again, or have it checked by the program that wrote it", err)
}

func unsupported(format string, a ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrUnsupported}, a...)...)
}

// warnSize adds what a size breaks outside of this program.
func (i *Info) warnSize() {
	if i.VirtualSize%mib != 0 {
		i.warn("virtual size %d is not a whole number of MiB; Azure refuses such a disk", i.VirtualSize)
	}
}

func (i *Info) warn(format string, a ...any) {
	i.Warnings = append(i.Warnings, fmt.Sprintf(format, a...))
}

func (i Info) copy() Info {
	i.Files = append([]string(nil), i.Files...)
	i.Parents = append([]Link(nil), i.Parents...)
	i.OtherDisks = append([]string(nil), i.OtherDisks...)
	i.Warnings = append([]string(nil), i.Warnings...)
	return i
}

// adopt records the parent of a differencing disk in the child's description.
func (i *Info) adopt(parent Disk) {
	p := parent.Info()
	i.Files = append(i.Files, p.Files...)
	i.Parents = append(i.Parents, p.Chain()...)
	i.GuessedFormat = i.GuessedFormat || p.GuessedFormat
	i.LogReplayed = i.LogReplayed || p.LogReplayed
	i.FooterDamaged = i.FooterDamaged || p.FooterDamaged
	for _, w := range p.Warnings {
		i.warn("parent: %s", w)
	}
}

// readFull reads all of p or fails; io.EOF never comes out of it, because a
// structure that ends with the file is a cut-off file.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return corrupt("the file ends at %d, inside the %d bytes at %d", off+int64(n), len(p), off)
	}
	return fmt.Errorf("reading %d bytes at %d: %w", len(p), off, err)
}

// VHD and qcow2 are big endian, VHDX and VMDK are little endian.
var be, le = binary.BigEndian, binary.LittleEndian

// readStruct reads an on-disk structure, or a slice of numbers or structures,
// from off. It returns the bytes as they lie there, for a checksum.
func readStruct(r io.ReaderAt, off int64, o binary.ByteOrder, v any) ([]byte, error) {
	b := make([]byte, binary.Size(v))
	if err := readFull(r, b, off); err != nil {
		return nil, err
	}
	_, err := binary.Decode(b, o, v)
	return b, err
}

// pack is the opposite of readStruct, for one structure after the other.
func pack(o binary.ByteOrder, structures ...any) (b []byte) {
	for _, v := range structures {
		b, _ = binary.Append(b, o, v) // fails for a type without a fixed size only
	}
	return b
}

// clip applies the rules of io.ReaderAt to a read of a disk: it shortens p to
// the disk and returns the error that a complete read of it ends with.
func clip(p []byte, off, size int64) ([]byte, error) {
	switch {
	case off < 0:
		return nil, fmt.Errorf("reading at %d: negative offset", off)
	case len(p) == 0:
		return nil, nil
	case off >= size:
		return nil, io.EOF
	case int64(len(p)) > size-off:
		return p[:size-off], io.EOF
	}
	return p, nil
}
