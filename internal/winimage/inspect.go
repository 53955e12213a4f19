package winimage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// Options steer an inspection.
type Options struct {
	// Name goes into the report as the path of the disk.
	Name string
	// Space also counts the free clusters, which reads the volume's bitmap:
	// 1 MiB for each 32 GiB, more than everything else together. A proof does
	// without.
	Space bool
	// Starting asks for what decides on which machines Windows starts; nil: for
	// nothing of it.
	Starting *Wanted
}

// Inspect reads what a disk says of itself. The error is for a disk that
// cannot be read as one; what is wrong inside volumes goes into the report.
func Inspect(ctx context.Context, d diskimage.Disk, opt Options) (Facts, error) {
	info := d.Info()
	r := Facts{
		Time: time.Now().UTC().Truncate(time.Second), Windows: []Windows{},
		Disk: Disk{Path: opt.Name, Format: string(info.Format), VirtualSize: d.Size(), SectorSize: d.SectorSize(), Warnings: info.Warnings},
	}
	if chain := info.Chain(); len(chain) > 1 {
		r.Disk.Chain = chain
	}
	if info.Type != "" {
		r.Disk.Format += " (" + string(info.Type) + ")"
	}
	volumes, err := openVolumes(ctx, d, &r, opt.Starting != nil)
	if err != nil {
		return r, err
	}
	var killed []string
	for _, v := range volumes {
		there := v.ntfs != nil && v.drive.hasWindows()
		r.Limits = append(r.Limits, v.drive.limits...)
		v.drive.limits = nil
		if err := ctx.Err(); err != nil {
			return r, err
		}
		if !there {
			v.otherSecrets(&r)
			r.Problems, r.Limits = append(r.Problems, v.drive.problems...), append(r.Limits, v.drive.limits...)
			if v.ntfs != nil {
				killed = append(killed, v.killed()...)
			}
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
	if len(r.Windows) == 0 {
		r.Problems = append(r.Problems, killed...)
		for _, v := range volumes {
			r.holds(v.without())
		}
	}
	return r, ctx.Err()
}

// otherSecrets notes those of a volume without Windows, and what of it could not be
// looked into.
func (v *volume) otherSecrets(r *Facts) {
	if v.ntfs != nil && v.drive.exists(`\Windows`) {
		return // a Windows whose hives are gone is told elsewhere
	}
	for _, held := range v.drive.secrets(nil, true) {
		held.Partition = v.partition
		r.Secrets = append(r.Secrets, held)
	}
	for _, folder := range v.drive.unread {
		r.unsearched(v.partition, folder, errors.New("it could not be read"))
	}
}

// without says of an NTFS volume that it has no Windows folder; empty where that
// says nothing.
func (v *volume) without() string {
	if v.ntfs == nil || v.drive.exists(`\Windows`) {
		return ""
	}
	where := fmt.Sprintf("partition %d", v.partition)
	if v.partition == 0 {
		where = "the volume"
	}
	return where + " holds files (NTFS), but no folder \\Windows"
}

// killedMark is how a problem begins that killed tells of, behind the partition.
const killedMark = "a Windows folder whose hives cannot be read"

// partedMark is the same of a Windows of which one hive is there and the other is not.
const partedMark = "a Windows folder without all hives"

// killed says of a volume without hives that can be opened whether Windows was
// killed on it; empty where nothing speaks for it.
func (v *volume) killed() []string {
	d := v.drive
	defer func() { d.limits = nil }() // of a volume without Windows they were noted already
	dirty := v.ntfs.Dirty()
	if clean, err := v.ntfs.LogClean(); err != nil || !clean {
		dirty = true
	}
	var reasons, missing []string
	for _, path := range []string{`\Windows`, hivePath("SYSTEM"), hivePath("SOFTWARE")} {
		f, err := d.fs.Open(named(path))
		if err == nil {
			f.Close()
			continue
		}
		absent := errors.Is(err, fs.ErrNotExist)
		if absent && path == `\Windows` {
			return nil
		}
		if absent {
			missing = append(missing, path)
		}
		reasons = append(reasons, reason(err).Error())
	}
	why := "the machine was killed"
	if !dirty {
		why = "the machine was killed, or its disk is damaged"
		// Data disks have a folder of that name, but no hive in it.
		switch {
		case len(missing) > 1:
			return nil
		case len(missing) == 1 && len(reasons) == 1:
			return note(nil, fmt.Sprintf("partition %d: %s", v.partition, partedMark), fmt.Errorf("%s is not there: it was deleted, or not copied", missing[0]))
		}
	}
	return note(nil, fmt.Sprintf("partition %d: %s", v.partition, killedMark), fmt.Errorf("%s (%s)", why, strings.Join(reasons, "; ")))
}

// inspect reads the Windows of a volume.
func (v *volume) inspect(opt Options) Windows {
	w := v.drive.look(opt.Starting)
	w.Partition = v.partition
	v.state(&w.Volume, opt)
	return v.drive.noted(w)
}

// Look reads the Windows on a drive, whatever keeps its files: they are read at
// an offset (io.ReaderAt). What only a volume of a disk can say, its partition
// and all of Volume but the page files, is left out.
func Look(ctx context.Context, files fs.FS) Windows {
	d := &drive{ctx: ctx, fs: files, name: "the drive", log: logBudget(ctx)}
	return d.noted(d.look(nil))
}

// look gathers the facts, group by group.
func (d *drive) look(wanted *Wanted) Windows {
	var w Windows
	d.readRegistry(&w, wanted)
	w.Tag = d.file(tagFile)
	w.Setup.StateINI = parseStateINI(d.readSmall(stateINI, maxStateINI))
	w.Setup.DeletesCached = deletesCached.MatchString(plainText(d.readSmall(windows.SetupComplete.OnVolume(), maxSecretFile)))
	w.Log = d.lastRun()
	w.FirstBoot = d.firstBoot(w)
	w.Secrets = d.secrets(w.AnswerFiles, false)
	w.Leftovers = d.leftovers()
	w.Volume.PageFile, w.Volume.SwapFile = d.fileSize(`\pagefile.sys`), d.fileSize(`\swapfile.sys`)
	return w
}

func (d *drive) noted(w Windows) Windows {
	w.Problems, w.Unread, w.Limits = d.problems, d.unread, d.limits
	return w
}
