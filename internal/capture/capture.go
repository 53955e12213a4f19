package capture

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/ntfs"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/partition"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/wim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// Options say what is captured and how.
type Options struct {
	Compression wim.Compression
	// Name and Description are those of the image; without a name it is called as the
	// Windows is.
	Name, Description string
	// Partition is that of the Windows; 0 stands for the only one.
	Partition int
	// Progress is told how many bytes were read of how many that the volume uses, by one
	// goroutine. It must not block.
	Progress func(done, total int64)
	// Whole is asked when everything is read, before the file gets its name: with an error
	// there is no file, and an earlier one of that name stays. nil: nothing is asked.
	Whole func() error
}

// Result is what was captured.
type Result struct {
	wim.Result
	// Name is that of the image, Partition the one of the Windows.
	Name      string
	Partition int
}

// Extension is that of the files.
const Extension = ".wim"

// Choose names the partition that is captured: the one that is asked for or, for 0, the one
// with the only Windows.
func Choose(facts winimage.Facts, asked int) (int, error) {
	var there []string
	for _, w := range facts.Windows {
		if w.Partition == asked || asked == 0 && len(facts.Windows) == 1 {
			return w.Partition, nil
		}
		there = append(there, fmt.Sprintf("%d (%s)", w.Partition, w.Describe()))
	}
	switch {
	case len(there) == 0:
		return 0, errors.New("there is no Windows on the disk that could be captured")
	case asked == 0:
		return 0, fmt.Errorf("there are several Windows on the disk, in the partitions %s; name one", strings.Join(there, ", "))
	}
	return 0, fmt.Errorf("partition %d has no Windows; there is one in %s", asked, strings.Join(there, ", "))
}

// Write captures a Windows into a new file, which gets its name when it is complete. It
// replaces a file of that name. After an error, or when ctx ends, nothing is left behind.
func Write(ctx context.Context, disk diskimage.Disk, facts winimage.Facts, path string, o Options) (Result, error) {
	number, err := Choose(facts, o.Partition)
	if err != nil {
		return Result{}, err
	}
	v, err := open(disk, number)
	if err != nil {
		return Result{}, fmt.Errorf("partition %d: %w", number, err)
	}
	image, err := o.image(ctx, v)
	if err != nil {
		return Result{}, err
	}
	// What a volume uses bounds what is read of it well enough, but for files that NTFS
	// or Windows keep compressed.
	used := v.Size()
	if free, err := v.FreeSpace(); err == nil {
		used -= free
	}
	write := wim.Options{Compression: o.Compression, Image: image, Exclude: wim.DefaultExclusions()}
	if o.Progress != nil {
		write.Progress = func(done int64) { o.Progress(min(done, used), used) }
	}
	r := Result{Name: image.Name, Partition: number}
	r.Result, err = writeFile(ctx, path, volume{v}, write, o.Whole)
	return r, err
}

// open opens the volume of a partition.
func open(disk diskimage.Disk, number int) (*ntfs.Volume, error) {
	table, err := partition.Read(disk, disk.Size(), 0)
	if err != nil {
		return nil, fmt.Errorf("reading partition table: %w", err)
	}
	if table.Scheme == partition.None {
		return ntfs.Open(disk, 0, disk.Size())
	}
	i := slices.IndexFunc(table.Partitions, func(p partition.Partition) bool { return p.Index == number })
	if i < 0 {
		return nil, errors.New("it is not there")
	}
	return ntfs.Open(disk, table.Partitions[i].Start, table.Partitions[i].Length)
}

// image is what the WIM says of the Windows.
func (o Options) image(ctx context.Context, v *ntfs.Volume) (wim.Image, error) {
	e := winimage.ReadEdition(ctx, v.FS())
	if err := ctx.Err(); err != nil {
		return wim.Image{}, context.Cause(ctx)
	}
	image := wim.Image{Name: o.Name, Description: o.Description, Windows: &wim.Windows{
		Architecture: e.Architecture, ProductName: e.ProductName, EditionID: e.EditionID, InstallationType: e.InstallationType,
		ProductType: e.ProductType, ProductSuite: e.ProductSuite, SystemRoot: systemRoot, Languages: e.Languages, DefaultLanguage: e.DefaultLanguage,
		Major: e.Major, Minor: e.Minor, Build: e.Number, SPRevision: e.Revision,
	}}
	if image.Name == "" {
		image.Name = e.ProductName
	}
	if image.Name == "" {
		image.Name = "Windows"
	}
	return image, nil
}

// systemRoot is the folder of every Windows that is looked for here.
const systemRoot = "WINDOWS"

// writeFile writes beside the file, and moves what is complete.
func writeFile(ctx context.Context, path string, src wim.Source, o wim.Options, whole func() error) (r wim.Result, err error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	f, err := hostfile.Beside(path)
	if err != nil {
		return r, err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if r, err = wim.Write(ctx, f, src, o); err != nil {
		return r, explained(err)
	}
	if whole != nil {
		if err := whole(); err != nil {
			return r, err
		}
	}
	if err := f.Sync(); err != nil {
		return r, fmt.Errorf("syncing: %w", err)
	}
	if err := f.Close(); err != nil {
		return r, err
	}
	return r, hostfile.Rename(ctx, f.Name(), path)
}

// explained adds what to do about an error.
func explained(err error) error {
	switch {
	case errors.Is(err, wim.ErrEncrypted):
		return fmt.Errorf("%w; decrypt it in the machine (cipher /d), or delete it, before sysprep runs", err)
	case errors.Is(err, ntfs.ErrUnsupported):
		return fmt.Errorf("%w; store the file in the ordinary way in the machine, or delete it", err)
	case errors.Is(err, ntfs.ErrCorrupt), errors.Is(err, wim.ErrSource):
		return fmt.Errorf("%w; run chkdsk in the machine and build the image again", err)
	}
	return err
}
