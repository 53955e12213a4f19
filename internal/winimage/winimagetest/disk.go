// Package winimagetest makes disks with a small Windows on them at test time:
// NTFS by mkntfs and wimlib-imagex, written without root or mount, with hives
// by package hivewrite. Tests are skipped loudly where the tools are missing.
package winimagetest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// Spec describes a disk. The zero Spec is a Windows Server 2022 in use, shut
// down cleanly, on an MBR disk.
type Spec struct {
	// Generalized: the state that sysprep /generalize /oobe /shutdown leaves.
	Generalized bool
	// GPT makes a disk for UEFI, with an EFI system partition.
	GPT bool
	// Empty leaves Windows out: an NTFS volume with Files only.
	Empty bool
	// Volume is the size of the NTFS volume in bytes; 0 stands for 16 MiB.
	Volume int64
	// Files are added to the volume or replace what is there, by path:
	// `\Windows\Temp\packer-x.ps1`.
	Files map[string]string
	// Remove are paths of files that are not to be there.
	Remove []string
	// TagTime is when sysprep created its tag; the zero time stands for now.
	TagTime time.Time
	// System and Software change the hives before they are written.
	System, Software func(root *hivewrite.Key)
	// DirtyHive names a hive (SYSTEM or SOFTWARE) that was not flushed. Its log
	// is missing, unless HiveLog is set: then the hive holds the state before
	// System or Software changed it, and the log what came after.
	DirtyHive string
	HiveLog   bool
	// DirtyVolume sets the dirty flag of the NTFS volume.
	DirtyVolume bool
	// BitLocker adds a partition that is encrypted.
	BitLocker bool
	// NoBootFiles leaves out what the firmware starts: the EFI system partition
	// is empty, or an MBR disk has no bootmgr.
	NoBootFiles bool
	// BootStore changes the boot configuration before it is written.
	BootStore func(root *hivewrite.Key)
	// Loader is the content of the boot manager; empty stands for a few bytes.
	Loader string
	// ESP are more files of the EFI system partition, by path: `\Autounattend.xml`.
	ESP map[string]string
	// FAT makes the volume a FAT one; it must be Empty.
	FAT bool
	// Beside is the volume of a second partition of an MBR disk; of its Spec what
	// is about a disk does not count.
	Beside *Spec
	// Drivers start at boot, each with its file; Devices are hardware ids that are bound
	// to one.
	Drivers, Devices []string
	// Inactive leaves the partition of an MBR disk without its active flag, so
	// that no firmware starts it.
	Inactive bool
}

const (
	mib     = 1 << 20
	sector  = 512
	head    = mib // before the first partition
	sidePad = 2 * mib
)

// Paths of what a sysprep run leaves, below the volume's root.
const (
	Tag    = `\Windows\System32\Sysprep\Sysprep_succeeded.tag`
	Log    = `\Windows\System32\Sysprep\Panther\setupact.log`
	State  = `\Windows\Setup\State\State.ini`
	Cached = `\Windows\Panther\unattend.xml`
	// ShadowStore holds a shadow copy.
	ShadowStore = `\System Volume Information\{01234567-0123-0123-0123-0123456789ab}{3808876b-c176-4e48-b7ae-04046e6cc752}`
)

// Disk makes a raw disk in a folder of the test and returns its path.
func Disk(t testing.TB, s Spec) string {
	t.Helper()
	dir := t.TempDir()
	volume := filepath.Join(dir, "volume")
	s.makeVolume(t, dir, volume)
	beside := ""
	if s.Beside != nil {
		other := t.TempDir()
		beside = filepath.Join(other, "volume")
		s.Beside.makeVolume(t, other, beside)
	}
	disk := filepath.Join(dir, "windows.raw")
	s.assemble(t, disk, volume, beside)
	for _, scratch := range []string{volume, filepath.Join(dir, "tree"), filepath.Join(dir, "tree.wim"), filepath.Join(dir, "everything.ini")} {
		if err := os.RemoveAll(scratch); err != nil {
			t.Fatal(err)
		}
	}
	return disk
}

// makeVolume writes the files into a new NTFS volume.
func (s Spec) makeVolume(t testing.TB, dir, volume string) {
	t.Helper()
	if s.FAT {
		s.makeFAT(t, volume)
		return
	}
	mkntfs, wimlib := testutil.Tool(t, "mkntfs"), testutil.Tool(t, "wimlib-imagex")
	tree := filepath.Join(dir, "tree")
	s.writeTree(t, tree)
	size := s.Volume
	if size == 0 {
		size = 16 * mib
	}
	create(t, volume, size)
	start := fmt.Sprint(head / sector)
	run(t, mkntfs, "-F", "-Q", "-q", "-s", "512", "-p", start, "-H", "16", "-S", "63", volume)
	wim := filepath.Join(dir, "tree.wim")
	// Its own configuration leaves out pagefile.sys, hiberfil.sys and System
	// Volume Information.
	everything := filepath.Join(dir, "everything.ini")
	if err := os.WriteFile(everything, []byte("[ExclusionList]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, wimlib, "capture", tree, wim, "--compress=none", "--config="+everything)
	run(t, wimlib, "apply", wim, "1", volume)
	if s.DirtyVolume {
		setDirty(t, volume)
	}
}

// FS is the drive of Windows without a disk around it.
func (s Spec) FS(t testing.TB) fstest.MapFS {
	t.Helper()
	drive := fstest.MapFS{}
	for path, content := range s.content(t) {
		file := &fstest.MapFile{Data: []byte(content), Mode: 0o644}
		if path == Tag {
			file.ModTime = s.TagTime
		}
		drive[strings.TrimPrefix(slashed(path), "/")] = file
	}
	return drive
}

// WithSlash renames the files on a disk whose name is OddName: what no Windows can
// read stands in their folders then.
func WithSlash(t testing.TB, disk string) {
	t.Helper()
	b, err := os.ReadFile(disk)
	if err != nil {
		t.Fatal(err)
	}
	odd := []byte(wide(OddName)[2:]) // without the mark of a text
	if !bytes.Contains(b, odd) {
		t.Fatalf("%s has no %s", disk, OddName)
	}
	slash := []byte(wide(strings.Replace(OddName, "_", "/", 1))[2:])
	if err := os.WriteFile(disk, bytes.ReplaceAll(b, odd, slash), 0o600); err != nil {
		t.Fatal(err)
	}
}

// OddName is the name of a file that WithSlash renames. It stands before most
// others.
const OddName = "a_odd.txt"

func slashed(path string) string { return strings.ReplaceAll(path, `\`, "/") }

// content is what the files of the drive hold, by path.
func (s Spec) content(t testing.TB) map[string]string {
	t.Helper()
	files := map[string]string{}
	if !s.Empty {
		files = s.windows()
	}
	for path, content := range s.Files {
		files[path] = content
	}
	for _, path := range s.Remove {
		if _, there := files[path]; !there {
			t.Fatalf("%s is to be removed and is not there", path)
		}
		delete(files, path)
	}
	return files
}

func (s Spec) writeTree(t testing.TB, tree string) {
	t.Helper()
	if err := os.MkdirAll(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	for path, content := range s.content(t) {
		host := filepath.Join(tree, filepath.FromSlash(slashed(path)))
		if err := os.MkdirAll(filepath.Dir(host), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(host, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if path == Tag && !s.TagTime.IsZero() {
			if err := os.Chtimes(host, s.TagTime, s.TagTime); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// assemble puts the volume into a partitioned disk.
func (s Spec) assemble(t testing.TB, disk, volume, beside string) {
	t.Helper()
	st, err := os.Stat(volume)
	if err != nil {
		t.Fatal(err)
	}
	size := head + st.Size()
	side := size // where a second partition lies
	if s.GPT || s.BitLocker {
		size += sidePad
	}
	if beside != "" {
		other, err := os.Stat(beside)
		if err != nil || s.GPT || s.BitLocker {
			t.Fatalf("winimagetest: a second volume is made on MBR disks without BitLocker only (%v)", err)
		}
		size += other.Size()
	}
	create(t, disk, size+head)
	f, err := os.OpenFile(disk, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if s.GPT {
		if s.BitLocker {
			t.Fatal("winimagetest: BitLocker is made on MBR disks only")
		}
		run(t, testutil.Tool(t, "sgdisk"), "-o",
			"-n", fmt.Sprintf("1:%d:%d", side/sector, (side+sidePad)/sector-1), "-t", "1:ef00",
			"-n", fmt.Sprintf("2:%d:%d", head/sector, side/sector-1), "-t", "2:0700", "-u", "2:"+windowsPartition, disk)
		if !s.NoBootFiles {
			esp := filepath.Join(t.TempDir(), "esp")
			s.makeESP(t, esp)
			if err := copyData(f, side, esp); err != nil {
				t.Fatal(err)
			}
		}
	} else {
		mbr := make([]byte, sector)
		active := byte(0x80)
		if s.Inactive {
			active = 0
		}
		entry(mbr, 0, active, head, side-head)
		if s.BitLocker {
			entry(mbr, 1, 0, side, sidePad)
			if _, err := f.WriteAt([]byte("\xeb\x58\x90-FVE-FS-"), side); err != nil {
				t.Fatal(err)
			}
		}
		if beside != "" {
			entry(mbr, 1, 0, side, size-side)
			if err := copyData(f, side, beside); err != nil {
				t.Fatal(err)
			}
		}
		mbr[510], mbr[511] = 0x55, 0xaa
		if _, err := f.WriteAt(mbr, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := copyData(f, head, volume); err != nil {
		t.Fatal(err)
	}
}

// entry writes an NTFS partition into an MBR.
func entry(mbr []byte, slot int, active byte, start, length int64) {
	e := mbr[446+16*slot:]
	e[0], e[4] = active, 0x07
	binary.LittleEndian.PutUint32(e[8:], uint32(start/sector))
	binary.LittleEndian.PutUint32(e[12:], uint32(length/sector))
}

// copyData copies what the file holds to a place in the disk, without the
// holes, so that the disk stays sparse.
func copyData(dst io.WriterAt, at int64, src string) error {
	d, err := diskimage.Open(src, diskimage.As(diskimage.Raw))
	if err != nil {
		return err
	}
	defer d.Close()
	for off := int64(0); ; {
		start, end, err := d.NextData(off)
		if err != nil || start == end {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(dst, at+start), io.NewSectionReader(d, start, end-start)); err != nil {
			return err
		}
		off = end
	}
}

// setDirty sets the flag in $VOLUME_INFORMATION of $Volume, MFT record 3
// (Linux-NTFS project, "NTFS Documentation", section "$Volume").
func setDirty(t testing.TB, volume string) {
	t.Helper()
	b, err := os.ReadFile(volume)
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	cluster := int64(le.Uint16(b[11:])) * int64(b[13])
	const recordSize, volumeInformation = 1024, 0x70
	record := b[int64(le.Uint64(b[48:]))*cluster+3*recordSize:][:recordSize]
	for at := int(le.Uint16(record[20:])); at+24 < recordSize; at += int(le.Uint32(record[at+4:])) {
		switch le.Uint32(record[at:]) {
		case volumeInformation:
			record[at+int(le.Uint16(record[at+20:]))+10] |= 1
			if err := os.WriteFile(volume, b, 0o644); err != nil {
				t.Fatal(err)
			}
			return
		case 0xffffffff:
			t.Fatal("$Volume has no $VOLUME_INFORMATION")
		}
	}
	t.Fatal("$Volume cannot be read")
}

func create(t testing.TB, path string, size int64) {
	t.Helper()
	f, err := os.Create(path)
	if err == nil {
		err = f.Truncate(size)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func run(t testing.TB, program string, args ...string) {
	t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
}
