// Package ntfs reads NTFS volumes, strictly and without writing: what Windows
// would see, or an error. Every fixup, sequence number, size and bound is
// checked, and directories are read by their B-tree alone, so that deleted
// files whose remains are still in an index block do not come back.
//
// Sources: the on-disk structures as documented by the Linux-NTFS project
// ("NTFS Documentation", R. Russon and Y. Fledel; sections named where used),
// [MS-FSCC] for attributes and reparse points, [MS-XCA] for compression.
//
// The files are those of Volume.FS. The $LogFile is not replayed:
// Volume.LogClean says whether Windows would have to.
package ntfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
)

var le = binary.LittleEndian

var (
	// ErrCorrupt is wrapped by every error about the content of a volume, as
	// opposed to errors of reading it.
	ErrCorrupt = errors.New("corrupt NTFS volume")
	// ErrNotNTFS means that there is another file system, or none.
	ErrNotNTFS = errors.New("not an NTFS volume")
	// ErrBitLocker means that the volume is encrypted by BitLocker.
	ErrBitLocker = errors.New("volume is encrypted by BitLocker")
	// ErrUnsupported means content that is sound but that this package does
	// not read, such as an EFS-encrypted file.
	ErrUnsupported = errors.New("not supported")
	// ErrTooLarge means that a file exceeds the limit of the caller.
	ErrTooLarge = errors.New("file is larger than expected")
)

func corrupt(format string, a ...any) error {
	return fmt.Errorf("%w: %w", ErrCorrupt, fmt.Errorf(format, a...))
}

// Numbers of the metadata files (section "Files").
const (
	recordMFT     = 0
	recordLogFile = 2
	recordVolume  = 3
	recordRoot    = 5
	recordBitmap  = 6
	recordSecure  = 9
	recordUpCase  = 10
)

// Volume is an open NTFS volume. It is not safe for concurrent use.
type Volume struct {
	r          io.ReaderAt
	base, size int64
	cluster    int64 // bytes
	clusters   int64
	recordSize int64
	mft        *stream
	upcase     []uint16 // nil until needed
	flags      uint16
	budget     *budget.Budget
	secure     *descriptors          // nil until needed
	births     map[[16]byte][48]byte // of object ids, nil until needed
}

// Open opens the volume that begins at byte base of r and may use length
// bytes. It reads the boot sector, the runs of the $MFT and $Volume.
func Open(r io.ReaderAt, base, length int64) (*Volume, error) {
	return OpenWithin(nil, r, base, length)
}

// OpenWithin is Open with a budget for the structure of the volume, now and
// later: its bytes are those of MFT records, directories and lists, its items
// the records and blocks. The content of files is not counted.
func OpenWithin(within *budget.Budget, r io.ReaderAt, base, length int64) (*Volume, error) {
	v := &Volume{r: r, base: base, size: length, budget: within}
	if length < 512 {
		return nil, fmt.Errorf("%w: %d bytes", ErrNotNTFS, length)
	}
	boot := make([]byte, 512)
	if err := v.readAt(boot, 0); err != nil {
		return nil, fmt.Errorf("reading boot sector: %w", err)
	}
	if err := v.parseBoot(boot); err != nil {
		return nil, err
	}
	if err := v.openMFT(int64(le.Uint64(boot[48:]))); err != nil {
		return nil, fmt.Errorf("reading $MFT: %w", err)
	}
	if err := v.readVolumeFile(); err != nil {
		return nil, fmt.Errorf("reading $Volume: %w", err)
	}
	return v, nil
}

// maxRecordSize is what Windows uses on disks with sectors of 4096 bytes; on
// all others a record has 1024.
const maxRecordSize = 4096

// parseBoot takes the geometry from the boot sector (section "$Boot").
func (v *Volume) parseBoot(b []byte) error {
	if isBitLocker(b) {
		return ErrBitLocker
	}
	if string(b[3:11]) != "NTFS    " {
		return ErrNotNTFS
	}
	sector := int64(le.Uint16(b[11:]))
	perCluster := int64(b[13])
	if perCluster > 0x80 { // Windows 10 1709: a negative power of two for clusters above 64 KiB
		if perCluster < 256-20 {
			return corrupt("boot sector has %#x sectors per cluster", perCluster)
		}
		perCluster = 1 << (256 - perCluster)
	}
	v.cluster = sector * perCluster
	if sector < 256 || sector > 4096 || sector&(sector-1) != 0 || v.cluster < 512 || v.cluster > 2<<20 || v.cluster&(v.cluster-1) != 0 {
		return corrupt("boot sector has sectors of %d bytes in clusters of %d", sector, v.cluster)
	}
	total := le.Uint64(b[40:])
	if total == 0 || total > uint64(v.size/sector) {
		return corrupt("boot sector announces %d sectors of %d bytes, the partition has %d bytes", total, sector, v.size)
	}
	v.clusters = int64(total) * sector / v.cluster
	switch n := int64(int8(b[64])); { // clusters, or a negative power of two of bytes
	case n > 0:
		v.recordSize = n * v.cluster
	case n >= -16:
		v.recordSize = 1 << -n
	}
	if v.recordSize < 512 || v.recordSize > maxRecordSize {
		return corrupt("boot sector has MFT records of %d bytes", v.recordSize)
	}
	return nil
}

// openMFT finds all runs of the $MFT. Record 0 describes the beginning; the
// extension records of a fragmented $MFT lie in parts that earlier runs reach.
func (v *Volume) openMFT(lcn int64) error {
	if lcn < 0 || lcn >= v.clusters {
		return corrupt("boot sector has the $MFT at cluster %d of %d", lcn, v.clusters)
	}
	b := make([]byte, v.recordSize)
	if err := v.readAt(b, lcn*v.cluster); err != nil {
		return err
	}
	rec, err := parseRecord(b, recordMFT)
	if err != nil {
		return err
	}
	if !rec.inUse {
		return corrupt("MFT record 0 is not in use")
	}
	var first *attribute
	for _, a := range rec.attributes {
		if a.kind == kindData && a.name == "" && a.nonResident && a.startVCN == 0 {
			first = a
		}
	}
	if first == nil {
		return corrupt("record 0 has no data runs")
	}
	if v.mft, err = v.newStream([]*attribute{first}, true); err != nil {
		return err
	}
	if rec.find(kindAttributeList) != nil {
		f := &file{v: v, rec: rec}
		for {
			pieces, partial := f.pieces(kindData, "")
			if partial != nil && len(pieces) == 0 {
				return partial
			}
			s, err := v.newStream(pieces, true)
			if err != nil {
				return err
			}
			grown := len(s.runs) > len(v.mft.runs)
			v.mft = s
			if partial == nil {
				break
			}
			if !grown {
				return partial
			}
		}
	}
	if v.mft.covered < v.mft.size {
		return corrupt("runs cover %d of %d bytes", v.mft.covered, v.mft.size)
	}
	return nil
}

func (v *Volume) readVolumeFile() error {
	rec, err := v.record(recordVolume)
	if err != nil {
		return err
	}
	info := rec.find(kindVolumeInformation)
	if info == nil || info.nonResident || len(info.value) < 12 {
		return corrupt("no $VOLUME_INFORMATION")
	}
	v.flags = le.Uint16(info.value[10:])
	return nil
}

// Size is the number of bytes in whole clusters.
func (v *Volume) Size() int64 { return v.clusters * v.cluster }

func (v *Volume) readAt(p []byte, off int64) error {
	if off < 0 || off > v.size || int64(len(p)) > v.size-off {
		return corrupt("%d bytes at %d lie outside the volume of %d", len(p), off, v.size)
	}
	n, err := v.r.ReadAt(p, v.base+off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
