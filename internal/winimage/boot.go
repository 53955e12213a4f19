package winimage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/authenticode"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/fat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/ntfs"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/partition"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// Boot is what the firmware finds in the partition that it starts from.
type Boot struct {
	Partition int `json:"partition"`
	// Loader is the program that starts on a machine which does not know the
	// disk: \EFI\Boot\boot*.efi, or bootmgr.
	Loader string `json:"loader,omitempty"`
	// Manager is bootmgfw.efi, where a disk for UEFI has it.
	Manager string `json:"manager,omitempty"`
	// SignedBy are the authorities of Microsoft that bootmgfw.efi, or the loader
	// where that is absent, names in its signature. The signature is not checked.
	SignedBy []string `json:"signed_by,omitempty"`
	// Signatures are those of the same program, checked; absent where
	// Options.Starting does not ask for them.
	Signatures []Signature `json:"signatures,omitempty"`
	// Missing are files that Windows does not start without.
	Missing []string `json:"missing,omitempty"`
	// Store is how the hive of the boot configuration was found; nil where there
	// is none.
	Store   *Hive       `json:"store,omitempty"`
	Entries []BootEntry `json:"entries,omitempty"`
	// Default is the entry that the boot manager starts unasked; nil where it names
	// none.
	Default *DefaultEntry `json:"default_entry,omitempty"`
	Problem string        `json:"problem,omitempty"`
}

// BootEntry is an object of the boot configuration (BCD) that names a partition.
type BootEntry struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	// Partition is that of the disk; 0: it is not on the disk.
	Partition int `json:"partition"`
}

// DefaultEntry is the entry that starts unasked.
type DefaultEntry struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	// Device is the kind of its device: partition, boot, locate, other, none.
	Device string `json:"device"`
	// Partition is that of a device partition; 0: it is not on the disk.
	Partition int `json:"partition,omitempty"`
}

// Signature is one signature of the boot manager. That an authority is who its name
// says is not checked.
type Signature struct {
	Signer    string `json:"signer,omitempty"`
	Authority string `json:"authority,omitempty"`
	// Problem says why it is no signature of this program; empty where it is one.
	Problem string `json:"problem,omitempty"`
}

const (
	efiFallback = `\EFI\Boot`
	efiManager  = `\EFI\Microsoft\Boot\bootmgfw.efi`
	efiStore    = `\EFI\Microsoft\Boot\BCD`
	biosManager = `\bootmgr`
	biosStore   = `\Boot\BCD`

	maxEntries     = 200
	storeHive      = "BCD"
	noFiles        = "a file system"
	noVolume       = "NTFS or FAT" // in the active partition of an MBR
	fallbackLoader = `\EFI\Boot\bootx64.efi (or that of another processor)`
)

// readBoot looks at the partition from which the firmware of the table starts.
func readBoot(ctx context.Context, r io.ReaderAt, table *partition.Table, signatures bool) *Boot {
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
		if errors.Is(err, ntfs.ErrNotNTFS) {
			b.Missing = []string{noVolume}
			return b
		}
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
		b.uefi(d, signatures)
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

func (b *Boot) uefi(d *drive, signatures bool) {
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
		b.Manager, program = efiManager, efiManager
	}
	if program == "" {
		return
	}
	b.SignedBy = d.authorities(program)
	if signatures {
		b.Signatures = d.signatures(program)
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
	signature, err := authenticode.Table(f, f.size)
	if err != nil && !errors.Is(err, authenticode.ErrNoProgram) {
		d.problem(path, err)
	}
	for _, name := range []string{windows.ProductionCA, windows.UEFICA} {
		if strings.Contains(string(signature), name) {
			names = append(names, name)
		}
	}
	return names
}

// signatures are those of an EFI program, checked.
func (d *drive) signatures(path string) (list []Signature) {
	f, err := d.open(path)
	if err != nil {
		return []Signature{{Problem: budget.Cut(err.Error(), maxShown)}}
	}
	defer f.Close()
	found, err := authenticode.Read(f, f.size)
	if err != nil {
		list = append(list, Signature{Problem: budget.Cut(err.Error(), maxShown)})
	}
	for _, s := range found {
		one := Signature{Signer: budget.Cut(s.Signer, maxSetting), Authority: budget.Cut(s.Authority, maxSetting)}
		if s.Err != nil {
			one.Problem = budget.Cut(s.Err.Error(), maxShown)
		}
		list = append(list, one)
	}
	return list
}

// rewrite is how the files that are missing are written, in the guest: the partition
// has no letter there, as a rule.
func (b *Boot) rewrite() []string {
	switch {
	case slices.Contains(b.Missing, noVolume):
		return []string{fmt.Sprintf(`partition %d, which is the active one, holds no file system: make that partition active which has bootmgr (diskpart: active), or write the boot files in the guest before sysprep: bcdboot C:\Windows /s C: /f BIOS`, b.Partition)}
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
