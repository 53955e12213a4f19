package boot

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Drivers are the kernel modules the guest may need on any machine the builder
// makes: IDE, SATA, NVMe and virtio disks, e1000(e) and virtio NICs, FUSE for
// NTFS, the power button, and QEMU's configuration device. One that the kernel
// has built in has no file and is passed over.
var Drivers = []string{
	"ata_piix", "ahci", "sd_mod", "nvme", "virtio_pci", "virtio_blk", "virtio_scsi",
	"e1000", "e1000e", "virtio_net", "fuse", "button", "evdev", "qemu_fw_cfg",
}

// Kernel is an unpacked Debian kernel package.
type Kernel struct {
	Image   string // path of vmlinuz
	modules map[string]string
}

// OpenKernel finds the kernel image and the modules below dir, the folder into
// which a linux-image package was unpacked.
func OpenKernel(dir string) (*Kernel, error) {
	images, err := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*"))
	if err != nil {
		return nil, err
	}
	if len(images) != 1 {
		return nil, fmt.Errorf("%s holds %d kernels, want one: delete the folder and run `make guest` again", dir, len(images))
	}
	k := &Kernel{Image: images[0], modules: map[string]string{}}
	err = filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, _, ok := strings.Cut(entry.Name(), ".ko")
		if ok {
			k.modules[moduleName(name)] = path
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing kernel modules: %w", err)
	}
	return k, nil
}

// moduleName gives the one spelling of a module's name: files use - and _ as
// they like, the kernel takes both.
func moduleName(s string) string { return strings.ReplaceAll(s, "-", "_") }

// Load returns the named modules and all they depend on, each once and in the
// order in which they have to be loaded.
func (k *Kernel) Load(ctx context.Context, names []string) ([]Module, error) {
	var list []Module
	seen := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		name = moduleName(name)
		path, ok := k.modules[name]
		if seen[name] || !ok {
			return nil
		}
		seen[name] = true
		content, err := readModule(ctx, path)
		if err != nil {
			return err
		}
		needs, err := dependencies(content)
		if err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
		for _, need := range needs {
			if err := add(need); err != nil {
				return err
			}
		}
		list = append(list, Module{Name: name, Content: content})
		return nil
	}
	for _, name := range names {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	if len(list) == 0 {
		return nil, errors.New("the kernel package holds none of the modules the guest needs")
	}
	return list, nil
}

// Module is a kernel object, uncompressed.
type Module struct {
	Name    string
	Content []byte
}

func readModule(ctx context.Context, path string) ([]byte, error) {
	if strings.HasSuffix(path, ".ko") {
		return os.ReadFile(path)
	}
	tool := map[string]string{".xz": "xz", ".zst": "zstd", ".gz": "gzip"}[filepath.Ext(path)]
	if tool == "" {
		return nil, fmt.Errorf("%s is compressed in a way this tool does not know", path)
	}
	out, err := exec.CommandContext(ctx, tool, "-dc", path).Output()
	if err != nil {
		return nil, fmt.Errorf("unpacking %s with %s: %w", path, tool, err)
	}
	return out, nil
}

// dependencies reads the depends= entry that modpost writes into .modinfo, so
// that no depmod run is needed on the unpacked package.
func dependencies(module []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(module))
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, errors.New("no .modinfo section")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for _, entry := range bytes.Split(info, []byte{0}) {
		if list, ok := strings.CutPrefix(string(entry), "depends="); ok && list != "" {
			return strings.Split(list, ","), nil
		}
	}
	return nil, nil
}
