package windows

// Firmware starts a machine. The number is the generation by which Hyper-V and
// Azure name it.
type Firmware uint8

// The two kinds of firmware.
const (
	NoFirmware Firmware = iota // [firmware-none]
	BIOS                       // [firmware-bios]
	UEFI                       // [firmware-uefi]
)

// The authorities of Microsoft that sign bootmgfw.efi: the first expires in 2026, and
// updates move to the second where the firmware knows it.
const (
	ProductionCA = "Microsoft Windows Production PCA 2011" // [boot-signers]
	UEFICA       = "Windows UEFI CA 2023"                  // [boot-signers]
)

// String is the name as options have it.
func (f Firmware) String() string { return [...]string{"none", "bios", "uefi"}[f] }

// Startup is what a partition table means for the machine that is to start the
// disk.
type Startup struct {
	// Firmware is the one that the table is made for: a machine for this disk has
	// it, whether or not anything is missing.
	Firmware Firmware
	// Missing is what that firmware starts from and does not find; empty: the
	// disk can be started.
	Missing string
}

// StartupOf judges a partition table by its scheme (mbr, gpt or none). found:
// the partition is there from which the scheme's firmware starts, the active
// one of an MBR, the EFI system partition of a GPT. [firmware-bios]
// [firmware-uefi] [firmware-none]
func StartupOf(scheme string, found bool) Startup {
	s := Startup{Missing: "a partition table"}
	switch scheme {
	case "mbr":
		s = Startup{BIOS, "an active partition in the MBR"}
	case "gpt":
		s = Startup{UEFI, "an EFI system partition"}
	}
	if found && s.Firmware != NoFirmware {
		s.Missing = ""
	}
	return s
}
