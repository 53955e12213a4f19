package winimage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/fat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/ntfs"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/partition"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// volume is an opened volume, its files, and the partition it lies in.
type volume struct {
	ntfs      *ntfs.Volume // nil: it is a FAT volume, which no Windows lives on
	drive     *drive
	partition int
}

// openVolumes reads the partition table, notes it in the report, and opens
// every NTFS and FAT volume. signatures: those of the boot manager are checked, for
// which it is read as a whole.
func openVolumes(ctx context.Context, d diskimage.Disk, r *Facts, signatures bool) ([]*volume, error) {
	reader := contextReader{ctx, d}
	within, log := structure(ctx), logBudget(ctx)
	table, err := partition.Read(reader, d.Size(), 0)
	if err != nil {
		return nil, fmt.Errorf("reading partition table: %w", err)
	}
	r.Disk.Scheme, r.Disk.Generation, r.Disk.Partitions = string(table.Scheme), generation(table), len(table.Partitions)
	if table.Scheme != partition.None && table.SectorSize != d.SectorSize() {
		r.Disk.TableSector = table.SectorSize
	}
	for _, damage := range []error{table.PrimaryDamage, table.BackupDamage} {
		if damage != nil {
			r.Disk.Warnings = append(r.Disk.Warnings, damage.Error())
		}
	}
	if table.Behind > 0 {
		r.Disk.Warnings = append(r.Disk.Warnings, fmt.Sprintf("the backup GPT is not in the last sector: %d bytes of the disk lie behind it, as after it was made larger; Windows starts all the same and cannot use that space; sgdisk -e moves it, and so does sysprep-image where it makes the disk larger", table.Behind))
	}
	parts := table.Partitions
	if table.Scheme == partition.None {
		// A volume without a table around it, as some tools make them.
		parts = []partition.Partition{{Length: d.Size()}}
	}
	r.Boot = readBoot(ctx, reader, table, signatures)
	var volumes []*volume
	for _, p := range parts {
		encrypted, err := ntfs.BitLocker(reader, p.Start)
		if err == nil && encrypted {
			r.Disk.BitLocker = append(r.Disk.BitLocker, p.Index)
			continue
		}
		v, err := ntfs.OpenWithin(within, reader, p.Start, p.Length)
		what := fmt.Sprintf("partition %d", p.Index)
		switch {
		case errors.Is(err, ntfs.ErrNotNTFS):
			other, err := openOther(reader, p)
			if err != nil {
				r.unsearched(p.Index, `\`, err)
			}
			if err != nil || other != nil && table.Scheme == partition.None {
				r.holds(contentOf(reader, p, table.Scheme))
			}
			if other != nil {
				volumes = append(volumes, &volume{nil, &drive{ctx: ctx, fs: other, name: what, log: log}, p.Index})
			} else if err == nil {
				r.holds(contentOf(reader, p, table.Scheme))
			}
		case limited(err):
			r.Limits = note(r.Limits, what, err)
		case err != nil:
			r.Problems = note(r.Problems, what, err)
			r.unsearched(p.Index, `\`, err)
		default:
			volumes = append(volumes, &volume{v, &drive{ctx: ctx, fs: v.FS(), name: what, log: log}, p.Index})
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return volumes, nil
}

// openOther opens a volume that is not NTFS. It returns nil for one of a kind that
// Windows keeps no files on, or for none; the error is for files that cannot be
// looked into.
func openOther(r io.ReaderAt, p partition.Partition) (fs.FS, error) {
	v, err := fat.Open(r, p.Start, p.Length)
	if err == nil {
		return v.FS(), nil
	}
	if !errors.Is(err, fat.ErrNotFAT) {
		return nil, err
	}
	// What the boot sector of any volume of Windows has behind its jump.
	kind := make([]byte, 8)
	if p.Length < 512 {
		return nil, nil
	}
	if _, err := r.ReadAt(kind, p.Start+3); err != nil {
		return nil, fmt.Errorf("reading boot sector: %w", err)
	}
	switch string(kind) {
	case "EXFAT   ":
		return nil, errors.New("it is an exFAT volume, which is not searched")
	case "ReFS\x00\x00\x00\x00":
		return nil, errors.New("it is an ReFS volume, which is not searched")
	}
	return nil, nil
}

// unsearched notes a place where secrets were not looked for.
func (r *Facts) unsearched(partition int, path string, err error) {
	if len(r.Secrets) < maxSecretFiles {
		r.Secrets = append(r.Secrets, Secret{Partition: partition, Path: path, Kind: string(windows.AnswerFiles), Problem: budget.Cut(err.Error(), maxShown)})
	}
}

// generation tells which firmware starts the disk: 1 BIOS, 2 UEFI, 0 neither.
func generation(t *partition.Table) int {
	s := t.Startup()
	if s.Missing != "" {
		return 0
	}
	return int(s.Firmware)
}

// contextReader ends reading with its context: a disk may lie behind a slow
// network.
type contextReader struct {
	ctx context.Context
	r   io.ReaderAt
}

func (c contextReader) ReadAt(p []byte, off int64) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.ReadAt(p, off)
}

// state fills in what the volume says of itself.
func (v *volume) state(to *Volume, opt Options) {
	notes := &v.drive.notes
	to.Size, to.Dirty = v.ntfs.Size(), v.ntfs.Dirty()
	clean, err := v.ntfs.LogClean()
	if err != nil {
		notes.problem("$LogFile", err)
	}
	to.LogClean = clean
	hibernation, err := v.ntfs.Hibernation()
	if err != nil {
		notes.problem("hiberfil.sys", err)
	}
	// What cannot be read may be a session to resume: it is not called clean.
	to.Hibernated = hibernation == ntfs.HibernationActive || hibernation == ntfs.HibernationUnknown
	shadows, err := v.ntfs.ShadowCopies()
	if err != nil {
		notes.missed(shadowCopies, err)
	}
	to.ShadowCopies = len(shadows.Stores)
	if shadows.Elsewhere {
		to.ShadowCopies++
	}
	if opt.Space {
		if free, err := v.ntfs.FreeSpace(); err != nil {
			notes.problem("free space", err)
		} else {
			to.Free = &free
		}
	}
}
