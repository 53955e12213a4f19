package qemu

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
)

// firmwareFiles are a UEFI firmware for x86-64 and its empty variable store.
type firmwareFiles struct{ code, vars string }

// descriptor is the part that matters of a QEMU firmware descriptor
// (QEMU docs/interop/firmware.json).
type descriptor struct {
	InterfaceTypes []string `json:"interface-types"`
	Mapping        struct {
		Device     string `json:"device"`
		Mode       string `json:"mode"`
		Executable struct {
			Filename string `json:"filename"`
			Format   string `json:"format"`
		} `json:"executable"`
		NVRAMTemplate struct {
			Filename string `json:"filename"`
			Format   string `json:"format"`
		} `json:"nvram-template"`
	} `json:"mapping"`
	Targets []struct {
		Architecture string   `json:"architecture"`
		Machines     []string `json:"machines"`
	} `json:"targets"`
	Features []string `json:"features"`
}

// parseDescriptor returns the files of a firmware that any x86-64 guest boots
// from: UEFI in flash, raw, without System Management Mode (which needs a
// matching machine) and without enrolled keys (which refuse unsigned loaders).
func parseDescriptor(text []byte, machineType string) (firmwareFiles, error) {
	var d descriptor
	if err := json.Unmarshal(text, &d); err != nil {
		return firmwareFiles{}, fmt.Errorf("reading firmware descriptor: %w", err)
	}
	m := d.Mapping
	fits := false
	for _, t := range d.Targets {
		fits = fits || t.Architecture == "x86_64" && slices.ContainsFunc(t.Machines, func(pattern string) bool {
			return family(strings.TrimSuffix(pattern, "-*")) == family(machineType)
		})
	}
	if !fits || !slices.Contains(d.InterfaceTypes, "uefi") || m.Device != "flash" || (m.Mode != "" && m.Mode != "split") ||
		m.Executable.Filename == "" || m.NVRAMTemplate.Filename == "" || !isRaw(m.Executable.Format) || !isRaw(m.NVRAMTemplate.Format) ||
		slices.Contains(d.Features, "requires-smm") || slices.Contains(d.Features, "enrolled-keys") {
		return firmwareFiles{}, errors.New("descriptor is of another kind of firmware")
	}
	return firmwareFiles{m.Executable.Filename, m.NVRAMTemplate.Filename}, nil
}

func isRaw(format string) bool { return format == "" || format == "raw" }

// Where distributions without descriptors keep the firmware; code and
// variables have to be of the same build.
var knownFirmware = []firmwareFiles{
	{"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"},
	{"/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"},
	{"/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"},
	{"/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"},
	{"/usr/share/edk2-ovmf/x64/OVMF_CODE.fd", "/usr/share/edk2-ovmf/x64/OVMF_VARS.fd"},
	{"/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"},
}

// findFirmware looks for firmware descriptors (later directories lose, within
// one the file name orders) and then in known places. binary is QEMU's path:
// its own copy of the firmware lies beside it on macOS and Windows.
func findFirmware(binary, machineType string) (firmwareFiles, error) {
	home := filepath.Dir(binary)
	if real, err := filepath.EvalSymlinks(binary); err == nil {
		home = filepath.Dir(real)
	}
	shares := []string{filepath.Join(home, "..", "share", "qemu"), filepath.Join(home, "share")}
	directories := []string{"/etc/qemu/firmware", "/usr/share/qemu/firmware"}
	for _, share := range shares {
		directories = append(directories, filepath.Join(share, "firmware"))
	}
	for _, directory := range directories {
		names, _ := filepath.Glob(filepath.Join(directory, "*.json"))
		sort.Strings(names)
		for _, name := range names {
			text, err := hostfile.ReadRegular(name, 1<<20)
			if err != nil {
				continue
			}
			if files, err := parseDescriptor(text, machineType); err == nil && files.exist() {
				return files, nil
			}
		}
	}
	places := knownFirmware
	for _, share := range shares { // QEMU's own build has one variable store for both architectures
		places = append(places[:len(places):len(places)], firmwareFiles{filepath.Join(share, "edk2-x86_64-code.fd"), filepath.Join(share, "edk2-i386-vars.fd")})
	}
	for _, files := range places {
		if files.exist() {
			return files, nil
		}
	}
	return firmwareFiles{}, errors.New("no UEFI firmware found: install it (Debian: ovmf) or set efi_firmware_code and efi_firmware_vars")
}

func (f firmwareFiles) exist() bool {
	for _, path := range []string{f.code, f.vars} {
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			return false
		}
	}
	return true
}
