// Package boot turns the simulated guest into a bootable disk: it makes the
// disk (kernel, initial RAM disk, NTFS drive C:) and is the program that runs
// as PID 1 on it. It exists for tests and the demo; nothing of the plugin
// imports it.
package boot

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	sector        = 512
	bootStart     = 2048           // first sector of the boot partition
	bootSectors   = 56 << 20 / 512 // kernel and initial RAM disk
	windowsStart  = bootStart + bootSectors
	commandLine   = "console=ttyS0 quiet loglevel=4 panic=-1"
	mbrCode       = "/usr/lib/syslinux/mbr/mbr.bin"
	mbrCodeDebian = "/usr/lib/SYSLINUX/mbr.bin"
	efiStub       = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub"
)

// DiskSpec says what disk to make.
type DiskSpec struct {
	Path   string // raw disk image to write
	Kernel string // folder of the unpacked kernel package
	Self   string // statically linked program that becomes PID 1
	UEFI   bool   // GPT and UEFI instead of MBR and BIOS
	SizeMB int    // whole disk; 0 means 256
	// Windows is a folder that becomes the root of drive C:. Empty: C: is empty
	// and the guest makes its own tree at the first boot.
	Windows string
}

// MakeDisk writes a bootable disk. It needs no root, loop device or mount.
func MakeDisk(ctx context.Context, spec DiskSpec) (err error) {
	if spec.SizeMB == 0 {
		spec.SizeMB = 256
	}
	kernel, err := OpenKernel(spec.Kernel)
	if err != nil {
		return err
	}
	modules, err := kernel.Load(ctx, Drivers)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(spec.Path), ".guest-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)

	var ramdisk bytes.Buffer
	if err := WriteInitrd(ctx, &ramdisk, spec.Self, modules); err != nil {
		return fmt.Errorf("writing the initial RAM disk: %w", err)
	}
	m := &maker{spec: spec, work: work, kernel: kernel.Image, disk: filepath.Join(work, "disk.raw")}
	m.initrd = filepath.Join(work, "initrd.gz")
	if err := os.WriteFile(m.initrd, ramdisk.Bytes(), 0o644); err != nil {
		return err
	}
	steps := []func(context.Context) error{m.partition, m.windows, m.bootBIOS, m.bootFiles}
	if spec.UEFI {
		steps[2] = m.bootUEFI
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return os.Rename(m.disk, spec.Path)
}

type maker struct {
	spec                       DiskSpec
	work, kernel, initrd, disk string
}

func (m *maker) sectors() int64 { return int64(m.spec.SizeMB) << 20 / sector }

// windowsSectors leaves room for the backup GPT, on both kinds of disk.
func (m *maker) windowsSectors() int64 { return (m.sectors() - windowsStart - 2048) &^ 2047 }

func (m *maker) partition(ctx context.Context) error {
	f, err := os.Create(m.disk)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(m.sectors()*sector), f.Close()); err != nil {
		return err
	}
	table := fmt.Sprintf("label: dos\nlabel-id: %#x\n%d,%d,0xc,*\n%d,%d,0x7\n", uint32(diskSignature), bootStart, bootSectors, windowsStart, m.windowsSectors())
	if m.spec.UEFI {
		table = fmt.Sprintf("label: gpt\nlabel-id: %s\n%d,%d,U\nstart=%d,size=%d,type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7,uuid=%s\n", diskGUID, bootStart, bootSectors, windowsStart, m.windowsSectors(), partitionGUID)
	}
	if err := m.run(ctx, table, "sfdisk", "-q", m.disk); err != nil {
		return err
	}
	return m.run(ctx, "", "mkfs.vfat", "-F", "16", "-n", "SYSTEM", "--offset", strconv.Itoa(bootStart), m.disk, strconv.Itoa(bootSectors/2))
}

// windows makes the NTFS volume in a file of its own, because mkntfs formats
// whole files only, and copies it into its partition.
func (m *maker) windows(ctx context.Context) error {
	volume := filepath.Join(m.work, "c.ntfs")
	f, err := os.Create(volume)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(m.windowsSectors()*sector), f.Close()); err != nil {
		return err
	}
	if err := m.run(ctx, "", "mkntfs", "-q", "-F", "-f", "-p", strconv.Itoa(windowsStart), "-H", "255", "-S", "63", "-L", "Windows", volume); err != nil {
		return err
	}
	if m.spec.Windows != "" {
		wim := filepath.Join(m.work, "c.wim")
		if err := m.run(ctx, "", "wimlib-imagex", "capture", m.spec.Windows, wim, "--compress=none", "--quiet"); err != nil {
			return err
		}
		if err := m.run(ctx, "", "wimlib-imagex", "apply", wim, "1", volume, "--quiet"); err != nil {
			return err
		}
	}
	return m.run(ctx, "", "dd", "if="+volume, "of="+m.disk, "bs=1M", "oflag=seek_bytes", "seek="+strconv.Itoa(windowsStart*sector), "conv=notrunc,sparse", "status=none")
}

func (m *maker) copyIn(ctx context.Context, from, to string) error {
	return m.run(ctx, "", "mcopy", "-i", fmt.Sprintf("%s@@%d", m.disk, bootStart*sector), from, "::"+to)
}

func (m *maker) bootBIOS(ctx context.Context) error {
	config := filepath.Join(m.work, "syslinux.cfg")
	text := "DEFAULT guest\nPROMPT 0\nTIMEOUT 0\nLABEL guest\n KERNEL /vmlinuz\n INITRD /initrd.gz\n APPEND " + commandLine + "\n"
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return err
	}
	for from, to := range map[string]string{m.kernel: "/vmlinuz", m.initrd: "/initrd.gz", config: "/syslinux.cfg"} {
		if err := m.copyIn(ctx, from, to); err != nil {
			return err
		}
	}
	if err := m.run(ctx, "", "syslinux", "--install", "--offset", strconv.Itoa(bootStart*sector), m.disk); err != nil {
		return err
	}
	code, err := os.ReadFile(mbrCodeDebian)
	if err != nil {
		if code, err = os.ReadFile(mbrCode); err != nil {
			return fmt.Errorf("reading syslinux's boot code: %w (`make tools` installs it)", err)
		}
	}
	f, err := os.OpenFile(m.disk, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(code[:min(len(code), 440)], 0)
	return errors.Join(err, f.Close())
}

// bootUEFI puts kernel, initial RAM disk and command line into one EFI program
// (a unified kernel image: systemd's stub with sections added behind its own)
// at the path firmware starts without being told.
func (m *maker) bootUEFI(ctx context.Context) error {
	stub, err := os.ReadFile(efiStub)
	if err != nil {
		return fmt.Errorf("reading systemd's EFI stub: %w (`make tools` installs it)", err)
	}
	next, err := endOfImage(stub)
	if err != nil {
		return fmt.Errorf("reading %s: %w", efiStub, err)
	}
	line := filepath.Join(m.work, "cmdline")
	if err := os.WriteFile(line, []byte(commandLine), 0o644); err != nil {
		return err
	}
	args := []string{}
	for _, s := range []struct{ name, file string }{{".cmdline", line}, {".linux", m.kernel}, {".initrd", m.initrd}} {
		info, err := os.Stat(s.file)
		if err != nil {
			return err
		}
		args = append(args, "--add-section", s.name+"="+s.file, "--change-section-vma", fmt.Sprintf("%s=%#x", s.name, next))
		next = (next + uint64(info.Size()) + 0xffff) &^ 0xffff
	}
	uki := filepath.Join(m.work, "BOOTX64.EFI")
	if err := m.run(ctx, "", "objcopy", append(args, efiStub, uki)...); err != nil {
		return err
	}
	image := fmt.Sprintf("%s@@%d", m.disk, bootStart*sector)
	if err := m.run(ctx, "", "mmd", "-i", image, "::/EFI", "::/EFI/BOOT"); err != nil {
		return err
	}
	return m.copyIn(ctx, uki, "/EFI/BOOT/BOOTX64.EFI")
}

// endOfImage returns the first free address behind a PE image (PE format,
// optional header: ImageBase at 24, SizeOfImage at 56).
func endOfImage(pe []byte) (uint64, error) {
	short := errors.New("not a PE program")
	if len(pe) < 0x40 {
		return 0, short
	}
	header := int(binary.LittleEndian.Uint32(pe[0x3c:])) + 24
	if header < 24 || header+60 > len(pe) {
		return 0, short
	}
	base := binary.LittleEndian.Uint64(pe[header+24:])
	size := uint64(binary.LittleEndian.Uint32(pe[header+56:]))
	return (base + size + 0xffff) &^ 0xffff, nil
}

func (m *maker) run(ctx context.Context, stdin, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	// sfdisk, mkntfs and the like live in sbin, which a user's PATH may lack.
	cmd.Env = append(os.Environ(), "MTOOLS_SKIP_CHECK=1", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if path, err := exec.LookPath(name); err != nil {
		for _, dir := range []string{"/usr/sbin", "/sbin"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				cmd.Path, cmd.Err = filepath.Join(dir, name), nil
			}
		}
	} else {
		cmd.Path = path
	}
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("running %s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
