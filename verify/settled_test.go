package verify

import (
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// A source disk and the guest that was started from it are judged alike: what
// sysprep starts from needs no warning, and what it does not start from has one.
func TestASourceIsWarnedOfWhereTheGuestWouldNotBeLaunched(t *testing.T) {
	for _, state := range []string{
		"IMAGE_STATE_COMPLETE", "IMAGE_STATE_UNDEPLOYABLE", "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE", "IMAGE_STATE_GENERALIZE_RESEAL_TO_AUDIT",
		"IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE", "IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT", "IMAGE_STATE_NEW",
	} {
		r := winimage.Report{Disk: winimage.Disk{Scheme: "gpt", Generation: 2}, Windows: []winimage.Windows{{
			Volume: winimage.Volume{LogClean: true}, Drivers: winimage.Drivers{Storage: []winimage.Driver{{Name: "storahci"}}},
			Setup: winimage.Setup{ImageState: state},
		}}}
		first := verdict.First{SysprepExe: verdict.Yes}
		first.Reached, first.Process = true, verdict.No
		first.ImageState = windows.State(state)
		starts := verdict.Look(first, verdict.Expectation{Generalize: true}).Action == verdict.Go
		if warned := facts(r).Warnings; starts != (len(warned) == 0) {
			t.Errorf("%s: the guest would be launched: %t, warnings of the source: %q", state, starts, warned)
		}
	}
}

// A machine gets the firmware that the disk's table is made for, whether or not
// it can start it: what the builder boots and what is said of the disk agree.
func TestASourceHasTheFirmwareOfItsTableAlsoWhereItDoesNotStart(t *testing.T) {
	for scheme, want := range map[string]string{"mbr": "bios", "gpt": "uefi", "none": ""} {
		for _, generation := range []int{0, 1} {
			if f := facts(winimage.Report{Disk: winimage.Disk{Scheme: scheme, Generation: generation}}); f.Firmware != want {
				t.Errorf("%s, generation %d: firmware %q, want %q", scheme, generation, f.Firmware, want)
			}
		}
	}
}
