package winimage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/ntfs"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/partition"
)

// Options steer an inspection.
type Options struct {
	// Name goes into the report as the path of the disk.
	Name string
	// Space also counts the free clusters, which reads the volume's bitmap:
	// 1 MiB for each 32 GiB, more than everything else together. A proof does
	// without.
	Space bool
}

// Inspect reads what a disk says of itself. The error is for a disk that
// cannot be read as one; what is wrong inside volumes goes into the report.
func Inspect(ctx context.Context, d diskimage.Disk, opt Options) (Report, error) {
	info := d.Info()
	r := Report{
		Schema: ReportSchema, Time: time.Now().UTC().Truncate(time.Second), Windows: []Windows{},
		Disk: Disk{Path: opt.Name, Format: string(info.Format), VirtualSize: d.Size(), SectorSize: d.SectorSize(), Warnings: info.Warnings},
	}
	if chain := info.Chain(); len(chain) > 1 {
		r.Disk.Chain = chain
	}
	if info.Type != "" {
		r.Disk.Format += " (" + string(info.Type) + ")"
	}
	volumes, err := openVolumes(ctx, d, &r)
	if err != nil {
		return r, err
	}
	for _, v := range volumes {
		there := v.hasWindows()
		r.Limits = append(r.Limits, v.limits...)
		v.limits = nil
		if err := ctx.Err(); err != nil {
			return r, err
		}
		if !there {
			continue
		}
		if len(r.Windows) == maxInstallations {
			r.Limits = append(r.Limits, fmt.Sprintf("more than %d Windows installations: the rest was not read", maxInstallations))
			break
		}
		w := v.inspect(opt)
		if err := ctx.Err(); err != nil {
			return r, err
		}
		r.Windows = append(r.Windows, w)
	}
	return r, nil
}

// volume is an opened NTFS volume and the partition it lies in.
type volume struct {
	*ntfs.Volume
	ctx       context.Context
	log       *budget.Budget // for the logs of all volumes
	partition int
	problems  []string
	unread    []string
	limits    []string
}

// problem notes a fact that could not be read.
func (v *volume) problem(what string, err error) {
	if limited(err) {
		v.limit(what, err)
		return
	}
	v.problems = note(v.problems, what, err)
}

// limit notes what was left unread because it is too much.
func (v *volume) limit(what string, err error) { v.limits = note(v.limits, what, err) }

// missed is problem for a fact whose absence would pass for a good one.
func (v *volume) missed(what string, err error) {
	v.problem(what, err)
	if len(v.unread) < maxNotes {
		v.unread = append(v.unread, what)
	}
}

// limited says whether an error is about the amount of what there is to read.
func limited(err error) bool {
	return errors.Is(err, budget.ErrExceeded) || errors.Is(err, ntfs.ErrTooLarge)
}

func note(list []string, what string, err error) []string {
	text := budget.Cut(fmt.Sprintf("%s: %v", what, err), maxShown)
	if len(list) >= maxNotes || slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}

// openVolumes reads the partition table, notes it in the report, and opens
// every NTFS volume.
func openVolumes(ctx context.Context, d diskimage.Disk, r *Report) ([]*volume, error) {
	reader := contextReader{ctx, d}
	within, log := structure(ctx), logBudget(ctx)
	table, err := partition.Read(reader, d.Size(), 0)
	if err != nil {
		return nil, fmt.Errorf("reading partition table: %w", err)
	}
	r.Disk.Scheme, r.Disk.Generation, r.Disk.Partitions = string(table.Scheme), generation(table), len(table.Partitions)
	for _, damage := range []error{table.PrimaryDamage, table.BackupDamage} {
		if damage != nil {
			r.Disk.Warnings = append(r.Disk.Warnings, damage.Error())
		}
	}
	parts := table.Partitions
	if table.Scheme == partition.None {
		// A volume without a table around it, as some tools make them.
		parts = []partition.Partition{{Length: d.Size()}}
	}
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
		case limited(err):
			r.Limits = note(r.Limits, what, err)
		case err != nil:
			r.Problems = note(r.Problems, what, err)
		default:
			volumes = append(volumes, &volume{Volume: v, ctx: ctx, log: log, partition: p.Index})
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return volumes, nil
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

func (v *volume) exists(path string) bool {
	_, err := v.Path(path)
	if limited(err) {
		v.limit(fmt.Sprintf("partition %d", v.partition), err)
	}
	return err == nil
}

func (v *volume) hasWindows() bool {
	return v.exists(`\Windows\System32\config\SYSTEM`) && v.exists(`\Windows\System32\config\SOFTWARE`)
}

func (v *volume) inspect(opt Options) Windows {
	w := Windows{Partition: v.partition, AnswerFiles: []AnswerFile{}, Leftovers: []string{}, Hives: []Hive{}}
	v.readHives(&w)
	v.readFiles(&w)
	v.readState(&w, opt)
	w.Problems, w.Unread, w.Limits = v.problems, v.unread, v.limits
	return w
}

// readState fills in what the volume says of itself.
func (v *volume) readState(w *Windows, opt Options) {
	w.Volume.Size, w.Volume.Dirty = v.Size(), v.Dirty()
	if log, err := v.Log(); err != nil {
		v.problem("$LogFile", err)
	} else {
		w.Volume.LogClean = log.Clean
	}
	hibernation, err := v.Hibernation()
	if err != nil {
		v.problem("hiberfil.sys", err)
	}
	// What cannot be read may be a session to resume: it is not called clean.
	w.Volume.Hibernated = hibernation == ntfs.HibernationActive || hibernation == ntfs.HibernationUnknown
	shadows, err := v.ShadowCopies()
	if err != nil {
		v.missed(shadowCopies, err)
	}
	w.Volume.ShadowCopies = len(shadows.Stores)
	if shadows.Elsewhere {
		w.Volume.ShadowCopies++
	}
	if opt.Space {
		if free, err := v.FreeSpace(); err != nil {
			v.problem("free space", err)
		} else {
			w.Volume.Free = &free
		}
	}
	w.Volume.PageFile, w.Volume.SwapFile = v.fileSize(`\pagefile.sys`), v.fileSize(`\swapfile.sys`)
}

func (v *volume) fileSize(path string) int64 {
	f := v.file(path)
	if f == nil {
		return 0
	}
	return f.Size
}
