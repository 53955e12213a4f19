package winimage

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/fat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/ntfs"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/partition"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf"
)

// Boot is what the firmware finds in the partition that it starts from.
type Boot struct {
	Partition int `json:"partition"`
	// Loader is the program that starts on a machine which does not know the
	// disk: \EFI\Boot\boot*.efi, or bootmgr.
	Loader string `json:"loader,omitempty"`
	// SignedBy are the authorities of Microsoft that bootmgfw.efi, or the loader
	// where that is absent, names in its signature. The signature is not checked.
	SignedBy []string `json:"signed_by,omitempty"`
	// Missing are files that Windows does not start without.
	Missing []string `json:"missing,omitempty"`
	// Store is how the hive of the boot configuration was found; nil where there
	// is none.
	Store   *Hive       `json:"store,omitempty"`
	Entries []BootEntry `json:"entries,omitempty"`
	Problem string      `json:"problem,omitempty"`
}

// BootEntry is an object of the boot configuration (BCD) that names a partition.
type BootEntry struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	// Partition is that of the disk; 0: it is not on the disk.
	Partition int `json:"partition"`
}

const (
	efiFallback = `\EFI\Boot`
	efiManager  = `\EFI\Microsoft\Boot\bootmgfw.efi`
	efiStore    = `\EFI\Microsoft\Boot\BCD`
	biosManager = `\bootmgr`
	biosStore   = `\Boot\BCD`

	maxEntries     = 200
	maxSignature   = 256 << 10
	productionCA   = "Microsoft Windows Production PCA 2011"
	uefiWindowsCA  = "Windows UEFI CA 2023"
	storeHive      = "BCD"
	noFiles        = "a file system"
	fallbackLoader = `\EFI\Boot\bootx64.efi (or that of another processor)`
)

// readBoot looks at the partition from which the firmware of the table starts.
func readBoot(ctx context.Context, r io.ReaderAt, table *partition.Table) *Boot {
	i := slices.IndexFunc(table.Partitions, func(p partition.Partition) bool {
		return table.Scheme == partition.GPT && p.IsESP() || table.Scheme == partition.MBR && p.Bootable
	})
	if i < 0 || table.Startup().Missing != "" {
		return nil
	}
	p := table.Partitions[i]
	b := &Boot{Partition: p.Index}
	d := &drive{ctx: ctx, name: fmt.Sprintf("partition %d", p.Index)}
	volume, err := fat.Open(r, p.Start, p.Length)
	switch {
	case err == nil:
		d.fs = volume.FS()
	case errors.Is(err, fat.ErrNotFAT) && table.Scheme == partition.MBR:
		v, err := ntfs.OpenWithin(structure(ctx), r, p.Start, p.Length)
		if err != nil { // said where the volume is opened to look for Windows
			return nil
		}
		d.fs = v.FS()
	case errors.Is(err, fat.ErrNotFAT):
		b.Missing = []string{noFiles}
		return b
	default:
		b.Problem = budget.Cut(err.Error(), maxShown)
		return b
	}
	if table.Scheme == partition.GPT {
		b.uefi(d)
	} else {
		b.bios(d)
	}
	if !slices.Contains(b.Missing, b.store(table)) {
		b.readEntries(d, table)
	}
	if problems := slices.Concat(d.problems, d.limits); b.Problem == "" && len(problems) > 0 {
		b.Problem = problems[0]
	}
	return b
}

func (b *Boot) store(table *partition.Table) string {
	if table.Scheme == partition.GPT {
		return efiStore
	}
	return biosStore
}

// want notes a file that is absent or empty.
func (b *Boot) want(d *drive, path string) bool {
	there := d.fileSize(path) > 0
	if !there {
		b.Missing = append(b.Missing, path)
	}
	return there
}

func (b *Boot) uefi(d *drive) {
	d.eachKind(efiFallback, func(e fs.DirEntry) {
		name := strings.ToLower(e.Name())
		if path := efiFallback + `\` + e.Name(); b.Loader == "" && strings.HasPrefix(name, "boot") && strings.HasSuffix(name, ".efi") && d.fileSize(path) > 0 {
			b.Loader = path
		}
	})
	if b.Loader == "" {
		b.Missing = append(b.Missing, fallbackLoader)
	}
	b.want(d, efiStore)
	program := b.Loader
	if d.fileSize(efiManager) > 0 {
		program = efiManager
	}
	if program != "" {
		b.SignedBy = d.authorities(program)
	}
}

func (b *Boot) bios(d *drive) {
	if b.want(d, biosManager) {
		b.Loader = biosManager
	}
	b.want(d, biosStore)
}

// authorities are those of Microsoft that the signature of an EFI program names:
// the certificate table of the PE format (data directory 4) holds them as text.
func (d *drive) authorities(path string) (names []string) {
	f, err := d.open(path)
	if err != nil {
		d.problem(path, err)
		return nil
	}
	defer f.Close()
	signature, err := certificates(f, f.size)
	if err != nil {
		d.problem(path, err)
	}
	for _, name := range []string{productionCA, uefiWindowsCA} {
		if strings.Contains(string(signature), name) {
			names = append(names, name)
		}
	}
	return names
}

// certificates reads the certificate table of a program (Microsoft, "PE Format",
// section "The Attribute Certificate Table"); nil where it is not signed.
func certificates(r io.ReaderAt, size int64) ([]byte, error) {
	head := make([]byte, min(4096, size))
	if _, err := r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	le := binary.LittleEndian
	if len(head) < 64 || string(head[:2]) != "MZ" {
		return nil, nil
	}
	at := int64(le.Uint32(head[60:])) + 24 // behind PE\0\0 and the COFF header
	directories := at + 112
	if at+2 <= int64(len(head)) && le.Uint16(head[at:]) == 0x10b { // PE32
		directories = at + 96
	}
	entry := directories + 4*8
	if entry+8 > int64(len(head)) {
		return nil, nil
	}
	from, length := int64(le.Uint32(head[entry:])), int64(le.Uint32(head[entry+4:]))
	if from == 0 || length == 0 {
		return nil, nil
	}
	if from+length > size {
		return nil, fmt.Errorf("its signature lies behind its end: it is cut off")
	}
	b := make([]byte, min(length, maxSignature))
	_, err := r.ReadAt(b, from)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b, err
}

// Types of objects and elements of a boot store (Microsoft, "BCD Reference").
const (
	bootManager = 0x10100002
	bootLoader  = 0x10200003
	bootResume  = 0x10200004

	elementDevice      = "11000001"
	elementOSDevice    = "21000001"
	elementDescription = "12000004"

	deviceFile      = 0 // a RAM disk made of a file, as of the recovery environment
	devicePartition = 6
	// nested is where the device of such a file stands, without its options.
	nested = 68 - 16
)

// readEntries notes every entry of the boot manager, of Windows and of its
// resuming that names a partition.
func (b *Boot) readEntries(d *drive, table *partition.Table) {
	// Before Windows 8.1 the log of a store has no number.
	store := d.openHiveAt(storeHive, b.store(table), ".LOG1", ".LOG2", ".LOG")
	objects := store.key("Objects")
	if objects != nil {
		err := objects.EachSubkey(func(k *regf.Key) bool {
			path := `Objects\` + k.Name()
			kind := store.number(path+`\Description`, "Type")
			if kind == nil || !slices.Contains([]uint32{bootManager, bootLoader, bootResume}, *kind) {
				return true
			}
			name := ""
			if _, err := k.Key(`Elements\` + elementDescription); err == nil {
				name = store.text(path+`\Elements\`+elementDescription, "Element")
			}
			for _, element := range []string{elementDevice, elementOSDevice} {
				if _, err := k.Key(`Elements\` + element); err != nil {
					continue
				}
				v := store.value(path+`\Elements\`+element, "Element")
				if v == nil || v.Size() > maxText {
					continue
				}
				data, err := v.Data()
				if err != nil {
					store.note(path+`\Elements\`+element, err)
					continue
				}
				if partition, ok := deviceOf(data, table); ok && len(b.Entries) < maxEntries {
					entry := BootEntry{budget.Cut(k.Name(), maxSetting), budget.Cut(name, maxSetting), partition}
					if !slices.Contains(b.Entries, entry) {
						b.Entries = append(b.Entries, entry)
					}
				}
			}
			return true
		})
		store.note("Objects", err)
	}
	found := store.close()
	b.Store, b.Problem = &found, cmp.Or(b.Problem, found.Problem)
}

// unflushed says that the boot configuration was read by means of its log; empty
// where its file alone was enough, or could not be read.
func (b *Boot) unflushed() string {
	if b.Store == nil || b.Store.Clean || b.Store.Problem != "" {
		return ""
	}
	return fmt.Sprintf("the boot configuration was not flushed by a full shutdown; %d entries of its log were replayed to read it", b.Store.Replayed)
}

// deviceOf is the partition that a device of a boot entry names, 0 where the disk
// has none such; ok: it names one. The layout was seen in stores of real machines:
// 16 bytes of options, type, flags, length, a reserved word; then of a partition
// its GUID or offset, a reserved word, the style of the table (0 GPT, 1 MBR) and
// the GUID or signature of the disk; of a file, further behind, the same of the
// partition that it lies in.
func deviceOf(b []byte, table *partition.Table) (number int, ok bool) {
	le := binary.LittleEndian
	if len(b) >= nested+72 && le.Uint32(b[16:]) == deviceFile {
		b = b[nested:]
	}
	if len(b) < 72 || le.Uint32(b[16:]) != devicePartition {
		return 0, false
	}
	where, mbr := b[32:48], le.Uint32(b[52:]) == 1
	for _, p := range table.Partitions {
		switch {
		case mbr && table.Scheme == partition.MBR && le.Uint64(where) == uint64(p.Start) && le.Uint32(b[56:]) == table.Signature,
			!mbr && table.Scheme == partition.GPT && guidOf(where) == p.ID:
			return p.Index, true
		}
	}
	return 0, true
}

func guidOf(b []byte) string {
	le := binary.LittleEndian
	return fmt.Sprintf("%08X-%04X-%04X-%X-%X", le.Uint32(b), le.Uint16(b[4:]), le.Uint16(b[6:]), b[8:10], b[10:16])
}

// rewrite is how the files that are missing are written, in the guest: the partition
// has no letter there, as a rule.
func (b *Boot) rewrite() []string {
	switch {
	case slices.Contains(b.Missing, noFiles):
		return []string{fmt.Sprintf(`format partition %d with FAT32 in the guest before sysprep (diskpart: format fs=fat32 quick), give it the letter S: (assign letter=S) and write the boot files: bcdboot C:\Windows /s S: /f UEFI`, b.Partition)}
	case slices.Contains(b.Missing, efiStore) || slices.Contains(b.Missing, fallbackLoader):
		return []string{`write the boot files anew in the guest before sysprep: mountvol S: /S, then bcdboot C:\Windows /s S: /f UEFI`}
	}
	return []string{fmt.Sprintf(`write the boot files anew in the guest before sysprep: give partition %d the letter S: (diskpart: assign letter=S), then bcdboot C:\Windows /s S: /f BIOS`, b.Partition)}
}

func checkBootEntries(_ *Windows, r *Facts, _ Expectation) result {
	if r.Boot == nil || len(r.Boot.Entries) == 0 && r.Boot.Problem == "" {
		return result{unasked: true}
	}
	got := result{expected: "partitions of the disk", found: "partitions of the disk", ok: true, note: r.Boot.unflushed()}
	var lost []string
	for _, e := range r.Boot.Entries {
		if e.Partition == 0 {
			lost = append(lost, fmt.Sprintf("%s names a partition that is not there", strings.TrimSpace(e.Name+" "+e.ID)))
		}
	}
	if r.Boot.Problem != "" {
		lost = append(lost, "could not be read: "+r.Boot.Problem)
	}
	if len(lost) > 0 {
		got.found, got.ok = strings.Join(lost, "; "), false
	}
	return got
}

// readServicing says what updates and upgrades have left.
func (d *drive) readServicing(system, software *registry) (s Servicing) {
	const (
		cbs    = `Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending`
		update = `Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired`
	)
	s.RestartPending = software.key(cbs) != nil || software.key(update) != nil
	s.PendingXML = d.exists(pendingXML)
	s.FileRenames = system.has(controlSet(system)+`\Control\Session Manager`, "PendingFileRenameOperations")
	for _, folder := range []string{`\Windows.old`, `\$WINDOWS.~BT`, `\$Windows.~WS`} {
		if d.exists(folder) {
			s.Leftovers = append(s.Leftovers, folder)
		}
	}
	return s
}

const pendingXML = `\Windows\WinSxS\pending.xml`

func checkServicing(w *Windows, _ *Facts, _ Expectation) result {
	var found []string
	if w.Servicing.RestartPending {
		found = append(found, "an update waits for a restart")
	}
	if w.Servicing.PendingXML {
		found = append(found, pendingXML)
	}
	for _, unread := range w.Unread {
		if strings.HasPrefix(unread, `SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing`) || strings.HasPrefix(unread, `SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate`) {
			found = append(found, unread+" was not read")
		}
	}
	return nothing(found)
}
