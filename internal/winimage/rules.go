package winimage

import (
	"fmt"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

var oneWindows = rule{
	WindowsID, "Windows is on the disk", finding.Fail, onPage(eachWindows),
	[]string{"check that this is the disk of a Windows machine, that it is not encrypted, and that verify.windows names the partition of a Windows"},
	func(_ *Windows, r *Facts, e Expectation) result {
		expected := "an installation"
		if e.Partition != 0 {
			expected = fmt.Sprintf("an installation in partition %d", e.Partition)
		}
		why := slices.Concat(r.Problems, r.Limits)
		got := result{expected: expected, ok: len(r.Windows) > 0}
		if len(r.Windows) == 0 {
			var encrypted []string
			for _, index := range r.Disk.BitLocker {
				encrypted = append(encrypted, fmt.Sprintf("partition %d is encrypted with BitLocker", index))
				got.remedy = decrypt
			}
			why = slices.Concat(encrypted, r.Disk.Others, why)
		}
		got.found = installations(r.Windows) + because(why)
		return got
	},
}

// Pages on what no belief is about.
const (
	// packerFiles is where Packer names what it brings; internal/footprint has it all.
	packerFiles = "https://github.com/hashicorp/packer/tree/main/provisioner/powershell"
	eachWindows = "https://learn.microsoft.com/windows-hardware/manufacture/desktop/sysprep--system-preparation--overview (each of several installations)"
	bcdFormat   = "https://learn.microsoft.com/previous-versions/windows/desktop/bcd/bcdosloaderelementtypes; the bytes of a device: BCD of a machine in use, regipy_tests/data of https://github.com/mkorman90/regipy"
	pendingPage = "https://learn.microsoft.com/azure/virtual-machines/windows/prepare-for-upload-vhd-image (Install Windows updates); the keys: https://github.com/LegacyUpdate/LegacyUpdate/issues/307"
	regfFormat  = "https://github.com/msuhanov/regf (Base block: the sequence numbers)"
	dirtyBit    = "https://learn.microsoft.com/windows-server/administration/windows-commands/fsutil-dirty"
	fastStartup = "https://learn.microsoft.com/windows-hardware/drivers/kernel/distinguishing-fast-startup-from-wake-from-hibernation"
	vssFormat   = "https://github.com/libyal/libvshadow (documentation of the format)"
	fveFormat   = "https://github.com/libyal/libbde (documentation of the format)"
)

// aboutDisk are the rules that need no Windows to be judged, and are made once.
var aboutDisk = []string{"bitlocker", "boots", "boot-entries", limitsID}

// rules are all other assertions, in the order in which they are made.
var rules = []rule{
	{"hives-clean", "registry hives were flushed by a full shutdown", finding.Fail, onPage(regfFormat), powerOff, checkHives},
	{"file-system-clean", "the NTFS volume was unmounted cleanly", finding.Fail, onPage(dirtyBit), powerOff, func(w *Windows, _ *Facts, _ Expectation) result {
		return yesNo(!w.Volume.Dirty && w.Volume.LogClean, true)
	}},
	{"hibernation", "Windows is not hibernated (fast startup)", finding.Fail, onPage(fastStartup),
		[]string{"disable fast startup (powercfg /h off) in the guest and shut down fully"}, func(w *Windows, _ *Facts, _ Expectation) result {
			return yesNo(w.Volume.Hibernated, false)
		}},
	{"image-state", "ImageState in the registry", finding.Fail, believed("image-state", "state-generalize"), rerun, func(w *Windows, _ *Facts, e Expectation) result {
		return equal(string(windows.StateAfter(true, e.Audit)), w.Setup.ImageState)
	}},
	{"state-ini", "ImageState in State.ini", finding.Warn, believed("state-ini"),
		[]string{`compare \Windows\Setup\State\State.ini with the registry: something changed one of them`}, func(w *Windows, _ *Facts, e Expectation) result {
			return equal(string(windows.StateAfter(true, e.Audit)), w.Setup.StateINI)
		}},
	{"generalization-state", `SysprepStatus\GeneralizationState`, finding.Fail, believed("generalization-4"), rerun, checkGeneralization},
	{"setup-type", `Setup\SetupType`, finding.Fail, believed("setup-type"), rerun, func(w *Windows, _ *Facts, _ Expectation) result {
		return equal(fmt.Sprint(windows.SetupTypeArmed), number(w.Setup.SetupType))
	}},
	{"setup-command", `Setup\CmdLine starts windeploy.exe at the next boot`, finding.Fail, believed("setup-command", "setup-wrappers"), rerun, checkCommand},
	{"tag", "sysprep left Sysprep_succeeded.tag", finding.Fail, believed("tag"), rerun, checkTag},
	{"log", "the last run in setupact.log generalized and succeeded", finding.Warn, believed("sysprep-logs"),
		[]string{`read the last run in \Windows\System32\Sysprep\Panther\setupact.log`}, checkLog},
	{"audit-boot", `Setup\Status\AuditBoot`, finding.Fail, believed("audit-boot"),
		[]string{`run sysprep with the mode that is wanted (mode = "oobe" or "audit")`}, checkAuditBoot},
	{"unattend-pointer", `Setup\UnattendFile does not point to a missing file`, finding.Fail, believed("answer-files"),
		[]string{`delete the value UnattendFile under HKLM\SYSTEM\Setup, or put the file back: Setup stops on a dangling pointer`}, checkPointer},
	{"cached-answer-file", "the answer file is cached for the first boot", finding.Warn, believed("cached-answer-file"),
		[]string{`pass the answer file with answer_file, so that sysprep caches it in \Windows\Panther`}, checkCached},
	{"secrets", "no password and no product key in answer files, scripts, histories and user data", finding.Warn,
		believed("cached-answer-file", "answer-files", "setup-complete", "powershell-history", "powershell-transcripts", "user-data"),
		[]string{
			`use passwords that are changed at first boot, and delete \Windows\Panther\unattend.xml in SetupComplete.cmd (delete_cached_answer_file = true)`,
			deleteOthers,
		}, checkSecrets},
	{"vm-mode", `Setup\Sysprep\SysprepMode fits /mode:vm`, finding.Info, believed("sysprep-mode"),
		[]string{"compare vm_mode with how sysprep was run"}, checkVMMode},
	{"autologon", "no automatic logon, no DefaultPassword", finding.Warn, believed("autologon", "lsa-default-password"),
		[]string{"remove AutoAdminLogon and DefaultPassword under Winlogon before sysprep, and a password that Autologon of Sysinternals has put among the secrets of the LSA with that program"}, checkAutologon},
	{"leftovers", "no files or tasks of Packer", finding.Warn, onPage(packerFiles),
		[]string{"remove them in the guest before sysprep"}, checkLeftovers},
	{"boot-drivers", "a storage driver starts at boot", finding.Warn, believed("driver-start", "drivers-in-box"),
		[]string{"install and enable the driver of the target's disk controller before sysprep"}, checkBootDrivers},
	{"shadow-copies", "no shadow copies", finding.Warn, onPage(vssFormat),
		[]string{"delete them in the guest (vssadmin delete shadows /all): they keep old data in the image"}, func(w *Windows, _ *Facts, _ Expectation) result {
			if w.missed(shadowCopies) && w.Volume.ShadowCopies == 0 {
				return result{expected: "0", found: notRead}
			}
			return equal("0", fmt.Sprint(w.Volume.ShadowCopies))
		}},
	{"bitlocker", "no encrypted volume", finding.Fail, onPage(fveFormat),
		decrypt, func(_ *Windows, r *Facts, _ Expectation) result {
			return equal("0", fmt.Sprint(len(r.Disk.BitLocker)))
		}},
	{"boots", "firmware can start the disk", finding.Warn, believed("firmware-bios", "firmware-uefi"),
		[]string{"check that the system partition is there and, on an MBR disk, active"}, func(_ *Windows, r *Facts, _ Expectation) result {
			got := result{expected: "generation 1 or 2", found: fmt.Sprintf("generation %d (%s)", r.Disk.Generation, r.Disk.Scheme), ok: r.Disk.Generation != 0}
			if r.Boot != nil && len(r.Boot.Missing) > 0 && len(r.Windows) > 0 {
				got.expected += ", with the files that start Windows"
				got.found += fmt.Sprintf(", without %s in partition %d", strings.Join(r.Boot.Missing, ", "), r.Boot.Partition)
				got.ok = false
				got.remedy = r.Boot.rewrite()
			}
			return got
		}},
	{"boot-entries", "the boot entries name partitions that are on the disk", finding.Warn, onPage(bcdFormat),
		[]string{`correct the entries in the guest (bcdedit /enum all; bcdboot C:\Windows writes them anew) before sysprep`}, checkBootEntries},
	{"servicing", "no update waits for a restart", finding.Warn, onPage(pendingPage),
		[]string{"restart the guest until nothing is pending, before sysprep"}, checkServicing},
	{limitsID, "nothing was left unread because there is too much of it", finding.Fail, basis{},
		[]string{"see what is so large, and remove it in the guest", `if it has to be there, set severities = { limits = "warn" }`}, func(_ *Windows, r *Facts, _ Expectation) result {
			found := r.Limits
			for _, w := range r.Windows {
				found = slices.Concat(found, w.Limits)
			}
			return nothing(found)
		}},
	{"readable", "every fact could be read", finding.Warn, basis{},
		[]string{"see which part is damaged; chkdsk in the guest before sysprep may help"}, func(w *Windows, _ *Facts, _ Expectation) result {
			return nothing(w.Problems)
		}},
}
