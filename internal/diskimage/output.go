package diskimage

import (
	"os"
	"path/filepath"
	"slices"
)

// output is a format that Convert writes: another one is another row.
type output struct {
	format Format
	// types are the kinds of disk in it, the default first. Where there is one
	// only it is not said.
	types []Type
	limit int64 // of the disk, in bytes
	// wholeMiB: the virtual size is made a whole number of MiB, which Azure asks
	// for and nothing minds.
	wholeMiB bool
	// extensions are those of its files besides the format's own name.
	extensions []string
	write      func(f *os.File, size int64, src Disk, t Type) blockWriter
}

var outputFormats = []output{
	{format: VHD, types: []Type{Fixed, Dynamic}, limit: maxVHD, wholeMiB: true, write: func(f *os.File, size int64, _ Disk, t Type) blockWriter {
		if t == Dynamic {
			return newVHDWriter(f, size)
		}
		return &flatWriter{f: f, size: size, footer: true}
	}},
	{format: VHDX, types: []Type{Dynamic}, limit: 64 * tib, wholeMiB: true, write: func(f *os.File, size int64, src Disk, _ Type) blockWriter {
		return newVHDXWriter(f, size, src.SectorSize())
	}},
	{format: QCOW2, limit: maxDisk, write: func(f *os.File, size int64, _ Disk, _ Type) blockWriter { return newQcow2Writer(f, size) }},
	{format: Raw, limit: maxDisk, extensions: []string{".img"}, write: func(f *os.File, size int64, _ Disk, _ Type) blockWriter {
		return &flatWriter{f: f, size: size}
	}},
}

func outputOf(f Format) (output, bool) {
	i := slices.IndexFunc(outputFormats, func(o output) bool { return o.format == f })
	if i < 0 {
		return output{}, false
	}
	return outputFormats[i], true
}

// Outputs names the formats that Convert writes.
func Outputs() (names []string) {
	for _, o := range outputFormats {
		names = append(names, string(o.format))
	}
	return names
}

// Inputs names the formats that Open reads.
func Inputs() []string { return append(Outputs(), string(VMDK), string(inOVA)) }

// Types are the kinds of disk that a user can choose between in the format, the
// default first; none where there is one only.
func (f Format) Types() (names []string) {
	o, _ := outputOf(f)
	if len(o.types) < 2 {
		return nil
	}
	for _, t := range o.types {
		names = append(names, string(t))
	}
	return names
}

// Names says whether a file of that name is taken for one of the format.
func (f Format) Names(path string) bool {
	o, _ := outputOf(f)
	return slices.Contains(append(o.extensions, "."+string(f)), filepath.Ext(path))
}

// WholeMiB says whether a disk of the format is best a whole number of MiB.
func (f Format) WholeMiB() bool {
	o, _ := outputOf(f)
	return o.wholeMiB
}
