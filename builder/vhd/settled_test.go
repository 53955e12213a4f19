package vhd

import (
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/partition"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// A source disk and the guest that was started from it are judged alike: what
// sysprep starts from needs no warning, and what it does not start from has one.
func TestASourceIsWarnedOfWhereTheGuestWouldNotBeLaunched(t *testing.T) {
	for _, state := range []windows.State{
		"IMAGE_STATE_COMPLETE", "IMAGE_STATE_UNDEPLOYABLE", "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE", "IMAGE_STATE_GENERALIZE_RESEAL_TO_AUDIT",
		"IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE", "IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT", "IMAGE_STATE_NEW",
	} {
		r := winimage.Facts{Disk: winimage.Disk{Scheme: "gpt", Generation: 2}, Windows: []winimage.Windows{{
			Volume: winimage.Volume{LogClean: true}, Drivers: winimage.Drivers{Storage: []winimage.Driver{{Name: "storahci"}}},
			Setup: winimage.Setup{ImageState: string(state)},
		}}}
		first := verdict.First{SysprepExe: verdict.Yes}
		first.Reached, first.Process, first.ImageState = true, verdict.No, state
		starts := verdict.Clear(first, verdict.Expectation{Generalize: true}).Start == verdict.Go
		if warned := factsOf(r, false).Warnings; starts != (len(warned) == 0) {
			t.Errorf("%s: the guest would be launched: %t, warnings of the source: %q", state, starts, warned)
		}
	}
}

// A disk that its firmware cannot start is one for that firmware all the same:
// its machine has it.
func TestADiskThatDoesNotStartGetsTheMachineOfItsTable(t *testing.T) {
	for _, c := range []struct {
		table    partition.Scheme
		firmware hypervisor.Firmware
		lacks    string
	}{
		{partition.MBR, hypervisor.FirmwareBIOS, "an active partition in the MBR"},
		{partition.GPT, hypervisor.FirmwareUEFI, "an EFI system partition"},
	} {
		table := partition.Table{Scheme: c.table}
		firmware, err := firmwareFor(hypervisor.FirmwareAuto, table.Startup().Firmware)
		if err != nil || firmware != c.firmware {
			t.Errorf("%s: %q, %v", c.table, firmware, err)
		}
		f := factsOf(winimage.Facts{Disk: winimage.Disk{Scheme: string(c.table)}, Windows: []winimage.Windows{{
			Volume: winimage.Volume{LogClean: true},
		}}}, false)
		if len(f.Warnings) != 1 || !strings.Contains(f.Warnings[0], c.lacks) {
			t.Errorf("%s: warnings %q", c.table, f.Warnings)
		}
	}
}
