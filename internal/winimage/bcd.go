package winimage

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/partition"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf"
)

// Types of objects and elements of a boot store (Microsoft, "BCD Reference").
const (
	bootManager = 0x10100002
	bootLoader  = 0x10200003
	bootResume  = 0x10200004

	elementDevice      = "11000001"
	elementOSDevice    = "21000001"
	elementDescription = "12000004"

	// bootManagerID is the object of the boot manager, elementDefault its DefaultObject.
	bootManagerID  = "{9dea862c-5cdd-4e70-acc1-f32b344d4795}"
	elementDefault = "23000003"

	// Kinds of devices (ReactOS, boot/environ/include/bl.h, BL_DEVICE_TYPE).
	deviceFile      = 0 // a RAM disk made of a file, as of the recovery environment
	deviceBoot      = 5 // the partition that the boot manager was started from
	devicePartition = 6
	deviceLocate    = 8 // the one that has the file
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
	b.Default = store.defaultEntry(table)
	found := store.close()
	b.Store, b.Problem = &found, cmp.Or(b.Problem, found.Problem)
}

// defaultEntry is what the boot manager starts unasked; nil where it names nothing.
func (r *registry) defaultEntry(table *partition.Table) *DefaultEntry {
	path := `Objects\` + bootManagerID + `\Elements\` + elementDefault
	if _, is := r.look(path); is != There {
		return nil
	}
	id := r.text(path, "Element")
	if id == "" {
		return nil
	}
	e := &DefaultEntry{ID: budget.Cut(id, maxSetting), Device: "none"}
	elements := `Objects\` + id + `\Elements\`
	if _, is := r.look(elements + elementDescription); is == There {
		e.Name = budget.Cut(r.text(elements+elementDescription, "Element"), maxSetting)
	}
	if _, is := r.look(elements + elementDevice); is != There {
		return e
	}
	data := r.bytes(elements+elementDevice, "Element")
	if len(data) < 20 {
		return e
	}
	if partition, ok := deviceOf(data, table); ok {
		e.Device, e.Partition = "partition", partition
		return e
	}
	switch binary.LittleEndian.Uint32(data[16:]) {
	case deviceBoot:
		e.Device = "boot"
	case deviceLocate:
		e.Device = "locate"
	default:
		e.Device = "other"
	}
	return e
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
