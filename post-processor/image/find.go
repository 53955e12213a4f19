package image

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
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// noDisks are extensions of what builders put beside disks and what content
// alone could take for a raw one.
var noDisks = []string{
	".iso", ".fd", ".nvram", ".vmgs", ".vmcx", ".vmrs", ".vmx", ".vmxf", ".vmsd", ".vbox", ".ovf", ".mf", ".cert", ".box",
	".json", ".xml", ".txt", ".log", ".png", ".zip", ".gz", ".tar", ".md5", ".sha1", ".sha256", ".sha512",
}

// candidate is a file of the artifact that may be the disk.
type candidate struct {
	path string
	// windows is the number of installations on it.
	windows int
	// disk: its content says that it is one.
	disk bool
	// size of the file in bytes.
	size int64
	// parents are the other files that it is made of or depends on, chain the disks among them.
	parents []string
	chain   []diskimage.Link
	// info is the disk, warnings what speaks against it.
	info     diskimage.Info
	warnings []string
	// problem is why it cannot be used.
	problem error
}

// disks are what an artifact holds.
type disks struct {
	// path is the disk to work on.
	path string
	// backing is what it may be based on, chain what it is made of, itself first.
	backing []string
	chain   []diskimage.Link
	// info is the disk at path, warnings what speaks against it.
	info     diskimage.Info
	warnings []string
	// left are the files that are or may be disks too, and no part of it.
	left []string
	// inputs are all files of the artifact and what its disks depend on.
	inputs []string
}

// findDisk returns the disk among the files of an artifact.
func findDisk(ctx context.Context, files, backing []string) (disks, error) {
	if len(files) == 0 {
		return disks{}, errors.New("the artifact has no files; this post-processor needs a builder that leaves its disk on this machine")
	}
	var found []candidate
	inputs := slices.Clone(files)
	for _, path := range files {
		if slices.Contains(noDisks, strings.ToLower(filepath.Ext(path))) {
			continue
		}
		if st, err := os.Stat(path); err == nil && st.IsDir() {
			continue
		}
		c := look(ctx, path, backing)
		found = append(found, c)
		inputs = append(inputs, c.parents...)
		if err := ctx.Err(); err != nil {
			return disks{}, err
		}
	}
	path, err := choose(found, files)
	d := disks{path: path, backing: backing, left: leftOver(found, path), inputs: slices.Clip(inputs)}
	for _, c := range found {
		if c.path == path {
			d.chain, d.info, d.warnings = c.chain, c.info, c.warnings
		}
	}
	return d, err
}

// look opens a file as a disk and counts the installations on it.
func look(ctx context.Context, path string, backing []string) candidate {
	c := candidate{path: path}
	if st, err := os.Stat(path); err == nil {
		c.size = st.Size()
	}
	d, err := open(ctx, path, backing)
	if err != nil {
		c.problem = err
		return c
	}
	defer d.Close()
	info := d.Info()
	c.disk = info.Format != diskimage.Raw
	c.chain, c.parents, c.info = info.Chain(), info.Files[1:], info
	r, err := winimage.Inspect(ctx, d, winimage.Options{Name: path})
	if err != nil {
		c.problem = fmt.Errorf("%s: %w", path, err)
		return c
	}
	c.windows, c.warnings = len(r.Windows), r.Disk.Warnings
	c.disk = c.disk || r.Disk.Partitions > 0 || c.windows > 0
	return c
}

// choose is the decision: the disk with Windows, else the only disk. A disk
// that another one is based on is part of that one.
func choose(found []candidate, files []string) (string, error) {
	found = slices.DeleteFunc(slices.Clone(found), func(c candidate) bool {
		return slices.ContainsFunc(found, func(child candidate) bool { return isParent(c.path, child.parents) })
	})
	var windows, disks, reasons []string
	for _, c := range found {
		switch {
		case c.windows > 0:
			windows = append(windows, c.path)
		case c.disk:
			disks = append(disks, c.path)
		}
		if c.problem != nil {
			reasons = append(reasons, c.problem.Error())
		}
	}
	const artifice = "name the right one with post-processor \"artifice\" before this one"
	switch {
	case len(windows) == 1:
		return windows[0], nil
	case len(windows) > 1:
		return "", fmt.Errorf("several disks of the artifact hold Windows: %s; %s", strings.Join(windows, ", "), artifice)
	case len(disks) == 1:
		return disks[0], nil
	case len(disks) > 1:
		return "", fmt.Errorf("no Windows was found on any disk of the artifact (%s); %s", strings.Join(append(disks, reasons...), "; "), artifice)
	case len(reasons) > 0:
		return "", fmt.Errorf("no disk among the files of the artifact can be used: %s", strings.Join(reasons, "; "))
	}
	return "", fmt.Errorf("none of the files of the artifact is a disk: %s", strings.Join(files, ", "))
}

// smallestDisk is the size from which a file without any structure may be a disk
// that is used whole: variables of a firmware and the like are smaller.
const smallestDisk = 1 << 20

// diskNames are extensions of what is a disk even where it cannot be read.
var diskNames = []string{".vhd", ".vhdx", ".avhdx", ".qcow2", ".raw", ".img", ".vmdk", ".ova", ".vdi"}

// leftOver is the decision on data disks: whatever is or may be a disk, and is
// neither the one that was chosen nor one that it depends on, and what else is in
// the OVA that the disk was chosen from.
func leftOver(found []candidate, chosen string) (left []string) {
	part := []string{chosen}
	for _, c := range found {
		if c.path == chosen {
			part = append(part, c.parents...)
			for _, other := range c.info.OtherDisks {
				left = append(left, fmt.Sprintf("%s in %s", other, c.path))
			}
		}
	}
	for _, c := range found {
		named := slices.Contains(diskNames, strings.ToLower(filepath.Ext(c.path)))
		if (c.disk || c.size >= smallestDisk || c.size > 0 && named) && c.path != chosen && !isParent(c.path, part) {
			left = append(left, c.path)
		}
	}
	return left
}

func isParent(path string, parents []string) bool {
	return slices.ContainsFunc(parents, func(p string) bool { return hostfile.SameFile(path, p) })
}
