// Package target knows what the places that images go to ask of the file: one
// finding a rule, with the way out. It judges the container and the partition table;
// what is inside of Windows is the proof's.
package target

import (
	"fmt"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

// Target is where an image goes.
type Target string

// Targets.
const (
	Azure     Target = "azure"
	HyperV    Target = "hyperv"
	AWS       Target = "aws"
	OpenStack Target = "openstack"
)

// Names are the words for all targets, as options take them.
func Names() []string {
	return []string{string(Azure), string(HyperV), string(AWS), string(OpenStack)}
}

// Image is what is judged: the file as it would be handed over.
type Image struct {
	diskimage.Info
	// TableSector is the sector size that the partition table counts in, in bytes;
	// 0 where it is that of the disk, or there is none.
	TableSector int
	// Scheme is the kind of the partition table: gpt, mbr, none.
	Scheme string
	// Generation is 1 where BIOS starts the disk, 2 where UEFI does, 0 where
	// neither can.
	Generation int
}

// rule is one thing that a target asks for. check returns what was found and
// whether it is what was expected; a rule that does not apply is not asserted.
type rule struct {
	// id is the rule's own part of the finding's id, behind that of the target.
	id, title, expected string
	source              string
	remedy              []string
	check               func(i Image) (found string, ok, applies bool)
}

const (
	azurePage  = "https://learn.microsoft.com/azure/virtual-machines/windows/prepare-for-upload-vhd-image"
	vhdSpec    = "Virtual Hard Disk Image Format Specification 1.0 (Microsoft, 2006): Hard Disk Footer Format"
	hypervPage = "https://learn.microsoft.com/windows-server/virtualization/hyper-v/plan/should-i-create-a-generation-1-or-2-virtual-machine-in-hyper-v"
	// osDiskPage: an OS disk of Azure has at most 4095 GiB, 2 TiB with an MBR. Hyper-V
	// and all tools of Windows stop at 2040 GiB for a VHD, and so does the writer here.
	osDiskPage = "https://learn.microsoft.com/azure/virtual-machines/managed-disks-overview"
	awsPage    = "https://docs.aws.amazon.com/vm-import/latest/userguide/prerequisites.html"
	ebsPage    = "https://docs.aws.amazon.com/ebs/latest/userguide/volume_constraints.html"
	gptSpec    = "UEFI Specification 2.10, 5.3.2: the header of a GPT is in the second sector"
	// ironicIssue: a raw file and a qcow2 keep no sector size; machines have 512 bytes,
	// bare-metal nodes may have more.
	ironicIssue = "https://github.com/rackerlabs/understack/pull/2069"
	glancePage  = "https://docs.openstack.org/glance/latest/user/formats.html"
)

var (
	toFixedVHD = []string{`write it as a fixed VHD: post-processor "sysprep-image" or source "sysprep-vhd" with format = "vhd"`, "or qemu-img convert -O vpc -o subformat=fixed,force_size=on"}
	anew       = []string{`have a new footer written: post-processor "sysprep-image" with format = "vhd"`}
	bootable   = []string{"take the disk that Windows starts from: an MBR with an active partition, or a GPT with an EFI system partition"}
	sectors    = []string{`write the disk it was made from with format = "vhdx", or install Windows on a disk with sectors of 512 bytes`}
	// install: no format makes small sectors of large ones.
	install = []string{"install Windows on a disk with sectors of 512 bytes"}
)

// asVHD reports whether a file is a VHD or is passed off as one.
func asVHD(i Image) bool {
	return i.Format == diskimage.VHD || i.Format == diskimage.Raw && (i.NamedVHD || i.StrayFooter > 0)
}

// kind names the format as a person would.
func kind(i Image) string {
	return strings.TrimSpace(string(i.Type) + " " + string(i.Format))
}

// footer, behind: the rules of a VHD's footer, which every reader of fixed VHDs has.
func footerInPlace(i Image) (string, bool, bool) {
	switch {
	case !asVHD(i):
		return "", false, false
	case i.Format == diskimage.VHD:
		return "in the last sector", true, true
	case i.StrayFooter > 0:
		return fmt.Sprintf("at byte %d of %d", i.StrayFooter, i.FileSize), false, true
	}
	return "none", false, true
}

func nothingBefore(i Image) (string, bool, bool) {
	const footer = 512
	if i.Format != diskimage.VHD || i.Type != diskimage.Fixed {
		return "", false, false
	}
	if extra := i.FileSize - footer - i.VirtualSize; extra != 0 {
		return fmt.Sprintf("%d bytes more", extra), false, true
	}
	return "nothing", true, true
}

func wholeMiB(i Image) (string, bool, bool) {
	if !asVHD(i) || i.Format != diskimage.VHD {
		return "", false, false
	}
	return fmt.Sprintf("%d bytes", i.VirtualSize), i.VirtualSize%diskimage.MiB == 0, true
}

func generation(i Image) (string, bool, bool) {
	if i.Generation == 0 {
		return "neither (partition table " + i.Scheme + ")", false, true
	}
	return fmt.Sprintf("generation %d", i.Generation), true, true
}

func atMost(gib int64, formats ...diskimage.Format) func(Image) (string, bool, bool) {
	return func(i Image) (string, bool, bool) {
		if len(formats) > 0 && !slices.Contains(formats, i.Format) {
			return "", false, false
		}
		have := (i.VirtualSize + 1<<30 - 1) >> 30
		return fmt.Sprintf("%d GiB", have), have <= gib, true
	}
}

// tableFits asks for a partition table that counts in the sectors of the disk.
func tableFits(i Image) (string, bool, bool) {
	if i.TableSector == 0 {
		return "the same", true, true
	}
	return fmt.Sprintf("sectors of %d bytes in a disk with sectors of %d", i.TableSector, i.SectorSize), i.TableSector == i.SectorSize, true
}

// smallSectors asks for sectors of 512 bytes.
func smallSectors(i Image) (string, bool, bool) {
	found := max(i.TableSector, i.SectorSize)
	return fmt.Sprintf("%d bytes", found), found == 512, true
}

func oneOf(formats ...diskimage.Format) func(Image) (string, bool, bool) {
	return func(i Image) (string, bool, bool) {
		if asVHD(i) && slices.Contains(formats, diskimage.VHD) {
			return string(diskimage.VHD), true, true
		}
		return string(i.Format), slices.Contains(formats, i.Format), true
	}
}

// forAWS: of VMDK only the compressed kind is taken, also in an OVA.
func forAWS(i Image) (string, bool, bool) {
	if i.Format == diskimage.VMDK {
		return kind(i), i.Type == diskimage.StreamOptimized, true
	}
	return oneOf(diskimage.VHD, diskimage.VHDX, diskimage.Raw)(i)
}

// alone asks for a disk that is not based on another file.
func alone(i Image) (string, bool, bool) {
	if i.Type == diskimage.Differencing || len(i.Parents) > 0 {
		return "based on " + fmt.Sprint(len(i.Parents)) + " other files", false, true
	}
	return "no other file", true, true
}

var rules = map[Target][]rule{
	Azure: {
		{"format", "the file is a VHD", "vhd", azurePage, toFixedVHD, oneOf(diskimage.VHD)},
		{"fixed", "the VHD is a fixed one", "fixed", azurePage, toFixedVHD, func(i Image) (string, bool, bool) {
			return kind(i), i.Type == diskimage.Fixed, i.Format == diskimage.VHD
		}},
		{"footer", "the VHD footer, with the cookie conectix, is in the last sector", "in the last sector", vhdSpec,
			[]string{"cut off what is behind the footer, or have a new one written: post-processor \"sysprep-image\" with format = \"vhd\""}, footerInPlace},
		{"exact", "there is nothing in the file but the disk and its footer", "nothing", azurePage, anew, nothingBefore},
		{"whole-mib", "the disk is a whole number of MiB", "a multiple of 1048576 bytes", azurePage, anew, wholeMiB},
		{"size", "the disk is not larger than a VHD of Windows can be", "at most 2040 GiB", hypervPage + "; " + osDiskPage, []string{"shrink the disk; in Azure an OS disk can be made larger again, up to 4095 GiB with a GPT"}, atMost(2040)},
		{"generation", "the disk starts as a machine of generation 1 or 2", "generation 1 or 2", azurePage, bootable, generation},
		{"sectors", "the disk has sectors of 512 bytes", "512 bytes", vhdSpec, install, smallSectors},
	},
	HyperV: {
		{"format", "the file is a VHD or VHDX", "vhd or vhdx", hypervPage, []string{`write it with format = "vhdx"`}, oneOf(diskimage.VHD, diskimage.VHDX)},
		{"footer", "the VHD footer, with the cookie conectix, is in the last sector", "in the last sector", vhdSpec, anew, footerInPlace},
		{"exact", "there is nothing in the file but the disk and its footer", "nothing", vhdSpec, anew, nothingBefore},
		{"size", "the disk is not larger than a VHD can be", "at most 2040 GiB", hypervPage, []string{`write it with format = "vhdx"`}, atMost(2040, diskimage.VHD)},
		{"generation", "the disk starts as a machine of generation 1 or 2", "generation 1 or 2", hypervPage, bootable, generation},
		{"uefi-vhdx", "a disk of generation 2 is a VHDX", "vhdx", hypervPage, []string{`write it with format = "vhdx"`}, func(i Image) (string, bool, bool) {
			return string(i.Format), i.Format == diskimage.VHDX, i.Generation == 2 && asVHD(i)
		}},
		{"sectors", "the partition table counts in the sectors of the disk", "the same", gptSpec, sectors, tableFits},
	},
	AWS: {
		{"format", "the file is a VHD, VHDX, raw disk, OVA or stream-optimized VMDK", "vhd, vhdx, raw or streamOptimized vmdk", awsPage, []string{`write it with format = "vhd" or "raw"`}, forAWS},
		{"footer", "the VHD footer, with the cookie conectix, is in the last sector", "in the last sector", vhdSpec, anew, footerInPlace},
		{"alone", "the disk is based on no other file", "no other file", awsPage, toFixedVHD, alone},
		{"generation", "the disk starts by BIOS or UEFI", "generation 1 or 2", awsPage, bootable, generation},
		{"sectors", "the disk has sectors of 512 bytes", "512 bytes", ebsPage, install, smallSectors},
	},
	OpenStack: {
		{"format", "the file is a raw disk, qcow2, VHD or VHDX", "raw, qcow2, vhd or vhdx", glancePage, []string{`write it with format = "qcow2" or "raw"`},
			oneOf(diskimage.Raw, diskimage.QCOW2, diskimage.VHD, diskimage.VHDX)},
		{"footer", "the VHD footer, with the cookie conectix, is in the last sector", "in the last sector", vhdSpec, anew, footerInPlace},
		{"alone", "the disk is based on no other file", "no other file", glancePage, []string{`write it with format = "qcow2" or "raw"`}, alone},
		{"generation", "the disk starts by BIOS or UEFI (hw_firmware_type)", "generation 1 or 2", glancePage, bootable, generation},
		{"sectors", "the disk has sectors of 512 bytes", "512 bytes", gptSpec + "; " + ironicIssue, install, smallSectors},
	},
}

// notes say more of a finding, by its id; "" where there is nothing to say.
var notes = map[string]func(i Image, ok bool) string{
	"azure-size": func(_ Image, ok bool) string {
		if ok {
			return ""
		}
		return "Azure itself has OS disks of up to 4095 GiB, of which 2 TiB can be used with an MBR; no tool of Windows makes or opens a VHD of more than 2040 GiB"
	},
	"aws-generation": func(i Image, ok bool) string {
		if !ok || i.Generation != 2 {
			return ""
		}
		return "import it with --boot-mode uefi: VM Import may otherwise choose BIOS, and makes an MBR of the GPT then; Windows 11 needs UEFI"
	},
	"openstack-sectors": func(_ Image, ok bool) string {
		if ok {
			return ""
		}
		return `the machines of Nova have disks with sectors of 512 bytes; for bare-metal nodes with larger ones (Ironic) the image is right, and severities = { openstack-sectors = "off" } says so`
	},
}

// IDs are the ids of all findings of all targets.
func IDs() (ids []string) {
	for _, name := range Names() {
		for _, r := range rules[Target(name)] {
			ids = append(ids, name+"-"+r.id)
		}
	}
	return ids
}

// Takes says which formats and types of disk a target takes of those that are
// written here; nil where it takes all.
func Takes(t Target, f diskimage.Format, vhdType string) error {
	i := Image{Info: diskimage.Info{Format: f, Type: diskimage.Type(vhdType)}}
	for _, r := range rules[t] {
		if r.id != "format" && r.id != "fixed" {
			continue
		}
		if found, ok, applies := r.check(i); applies && !ok {
			return fmt.Errorf("%s takes %s, not %s; %s", t, r.expected, found, r.remedy[0])
		}
	}
	return nil
}

// Judge holds an image against what a target asks for: one finding a rule that
// applies, all of the given severity.
func Judge(t Target, i Image, severity finding.Severity) (made []finding.Finding) {
	for _, r := range rules[t] {
		found, ok, applies := r.check(i)
		if !applies {
			continue
		}
		f := finding.Finding{
			ID: string(t) + "-" + r.id, Severity: severity, Holds: ok, Subject: finding.Disk,
			Summary: r.title, Expected: r.expected, Found: found, Source: r.source,
		}
		if !ok {
			f.Remedy = r.remedy
		}
		if note := notes[f.ID]; note != nil {
			f.Note = note(i, ok)
		}
		made = append(made, f)
	}
	return made
}

// PassedOff reports whether an image is passed off as what Azure takes, so that
// what it refuses in it is worth a warning.
func PassedOff(i Image) bool {
	return asVHD(i) && i.Type != diskimage.Dynamic && i.Type != diskimage.Differencing
}
