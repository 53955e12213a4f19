package partition

import (
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// Only a primary partition starts a BIOS, and only the active one.
func TestATableNamesItsFirmwareAndWhatItLacks(t *testing.T) {
	active := Partition{Index: 2, Bootable: true}
	logical := Partition{Index: 5, Bootable: true}
	for _, c := range []struct {
		table Table
		want  windows.Startup
	}{
		{Table{Scheme: MBR, Partitions: []Partition{{}, active}}, windows.Startup{Firmware: windows.BIOS}},
		{Table{Scheme: MBR, Partitions: []Partition{{Index: 1}}}, windows.Startup{Firmware: windows.BIOS, Missing: "an active partition in the MBR"}},
		{Table{Scheme: MBR, Partitions: []Partition{logical}}, windows.Startup{Firmware: windows.BIOS, Missing: "an active partition in the MBR"}},
		{Table{Scheme: GPT, Partitions: []Partition{{Type: typeESP}}}, windows.Startup{Firmware: windows.UEFI}},
		{Table{Scheme: GPT, Partitions: []Partition{{Index: 1, Bootable: true}}}, windows.Startup{Firmware: windows.UEFI, Missing: "an EFI system partition"}},
		{Table{Scheme: None}, windows.Startup{Missing: "a partition table"}},
	} {
		if got := c.table.Startup(); got != c.want {
			t.Errorf("%+v: %+v, want %+v", c.table, got, c.want)
		}
	}
}
