package preflight

import (
	"fmt"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

// servicingChecks: what updates have left, and encryption.
var servicingChecks = []Check{
	{ID: "reboot-pending", Causes: []string{"F21"}, Group: Base, Severity: finding.Fail, When: "warn where Windows Update alone says so", Source: github + "LegacyUpdate/LegacyUpdate/issues/307",
		Asserts: "no update waits for a restart", Means: "sysprep refuses to run where the servicing stack waits for one, and may where Windows Update does.",
		Steps: []Step{person(`Restart the guest before this provisioner (provisioner "windows-restart"), as often as it takes.`)},
		judge: on(func(f Facts) Fact[RebootPending] { return f.RebootPending }, func(p RebootPending, _ inquiry) answer {
			if !yes(p.CBSRebootPending) && !yes(p.UpdateRebootRequired) {
				return when(p.CBSRebootPending == nil || p.UpdateRebootRequired == nil, incomplete())
			}
			a := fails("updates are waiting for a restart")
			if yes(p.CBSRebootPending) {
				a = a.seen(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending`)
			}
			if yes(p.UpdateRebootRequired) {
				a = a.seen(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired`)
			}
			// sysprep asks the servicing stack; a driver, say, is none of its business.
			if !yes(p.CBSRebootPending) {
				a = a.as(finding.Warn)
			}
			return a
		})},
	{ID: "servicing-staged", Causes: []string{"F26", "F24", "F97"}, Group: Base, Severity: finding.Warn, Source: checkers, Unconfirmed: true,
		Asserts: "no servicing is staged", Means: "A feature, an edition or an update is half installed: sysprep may refuse, or the first boot has to finish it and may fail.",
		Steps: []Step{person("Restart the guest until nothing is staged; DISM /Online /Cleanup-Image /StartComponentCleanup ends what an update has left.")},
		judge: on(func(f Facts) Fact[RebootPending] { return f.RebootPending }, func(p RebootPending, _ inquiry) answer {
			a := fails("servicing is staged")
			for _, c := range []struct {
				is   *bool
				what string
			}{
				{p.CBSPackagesPending, `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\PackagesPending`},
				{p.CBSRebootInProgress, `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootInProgress`},
				{p.PendingXML.Exists, p.PendingXML.Path},
			} {
				if yes(c.is) {
					a = a.seen(c.what)
				}
			}
			if a.evidence == nil {
				return when(p.CBSPackagesPending == nil || p.PendingXML.Exists == nil, incomplete())
			}
			return a
		})},
	{ID: "servicing-busy", Causes: []string{"F24", "F23"}, Group: Base, Severity: finding.Warn, Source: gceIssue, Unconfirmed: true,
		Asserts: "no update or installation is at work", Means: "sysprep asks the servicing stack whether anything is pending, and fails or hangs where that is busy. TiWorker may stay for minutes after its work.",
		Steps: []Step{person("Wait for it: preflight { wait_for { servicing = true } }."), by(RemedyUpdates, "Stop wuauserv, UsoSvc, BITS and DoSvc for the run.")},
		judge: on(func(f Facts) Fact[Processes] { return f.Processes }, func(p Processes, _ inquiry) answer {
			found := p.Servicing()
			return listed(p.List, when(len(found) > 0, fails("updates or installations are at work").seen(found...)))
		})},
	{ID: "active-scenario", Causes: []string{"F28"}, Group: Base, Severity: finding.Warn, Source: github + "DrEmpiricism/Optimize-Offline/issues/155", Unconfirmed: true,
		Asserts: "no servicing scenario is open", Means: "sysprep may refuse to run: \"if there is an active scenario\" is its message.",
		Steps: []Step{person("Let Windows Update finish and restart the guest."), by(RemedyReserves, "If ActiveScenario is still not 0, set it to 0 and disable reserved storage: DISM /Online /Set-ReservedStorageState /State:Disabled")},
		judge: on(func(f Facts) Fact[ReservedStorage] { return f.ReservedStorage }, func(r ReservedStorage, _ inquiry) answer {
			return when(nonZero(r.ActiveScenario), fails("a servicing scenario was left open").seen(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\ReserveManager\ActiveScenario = `+said(r.ActiveScenario)))
		})},
	{ID: "reserved-storage", Causes: []string{"F22"}, Group: Base, Severity: finding.Info, When: "warn where updates are at work or staged", Source: github + "MicrosoftDocs/SupportArticles-docs/blob/1418b2a0da0eb45f88042d78d7208a468209e885/support/mem/configmgr/windows-11-image-capture-fail.md",
		Asserts: "reserved storage is not in use", Means: "sysprep refuses to run while an update uses reserved storage. Where it is enabled and nothing is at work, it does no harm; a clone keeps it.",
		Steps: []Step{person("Let updates finish and restart the guest."), by(RemedyReserves, "DISM /Online /Set-ReservedStorageState /State:Disabled")},
		judge: on(func(f Facts) Fact[ReservedStorage] { return f.ReservedStorage }, func(r ReservedStorage, q inquiry) answer {
			if r.State == nil && r.StateError != "" {
				return cannot("Windows did not tell its state: " + short(r.StateError))
			}
			if r.State == nil {
				v, known := q.Version()
				return q.only(!known || v.Build >= build1903 && v.Client, cannot("the guest has no Get-WindowsReservedStorageState"))
			}
			if !strings.EqualFold(*r.State, "Enabled") {
				return pass()
			}
			p, _ := q.Processes.Get()
			pending, _ := q.RebootPending.Get()
			if len(p.Servicing()) > 0 || yes(pending.CBSPackagesPending) || yes(pending.CBSRebootPending) {
				return fails("reserved storage is enabled, and updates are at work or staged").as(finding.Warn)
			}
			return fails("reserved storage is enabled")
		})},
	{ID: "file-renames", Group: Base, Severity: finding.Info, Source: github + "microsoft/winget-cli/issues/5599", Unconfirmed: true,
		Asserts: "no file waits to be renamed", Means: "Harmless as a rule: sysprep writes a warning and goes on. An installer may want a restart.",
		Steps: []Step{person("Restart the guest if you wonder what they are.")},
		judge: on(func(f Facts) Fact[RebootPending] { return f.RebootPending }, func(p RebootPending, _ inquiry) answer {
			if p.FileRenames == nil {
				return incomplete()
			}
			return when(*p.FileRenames > 0, fails(fmt.Sprintf("%d names of files are in operations that wait for a restart", *p.FileRenames)).seen(p.FileRenameSample...))
		})},
	{ID: "bitlocker", Causes: []string{"F20"}, Group: Base, Severity: finding.Fail, Source: github + "antifob/incus-windows/issues/30",
		Asserts: "the system drive is not encrypted", Means: "sysprep refuses to run until the drive is decrypted completely, also where protection is off or waits to be activated.",
		Steps: []Step{by(RemedyBitLocker, "manage-bde -off C: and wait until manage-bde -status C: says Fully Decrypted"), person("Prevent it in the source machine: PreventDeviceEncryption = 1 (DWORD) below HKLM\\SYSTEM\\CurrentControlSet\\Control\\BitLocker before the first logon, or no virtual TPM.")},
		judge: on(func(f Facts) Fact[BitLocker] { return f.BitLocker }, func(b BitLocker, _ inquiry) answer {
			if b.Available == nil {
				return incomplete()
			}
			for _, v := range b.Volumes {
				if !strings.EqualFold(v.Drive, b.SystemDrive) {
					continue
				}
				if v.ReturnValue != 0 || v.ConversionStatus == nil {
					return cannot(fmt.Sprintf("Windows did not tell the state of %s (0x%08x)", short(v.Drive), uint32(v.ReturnValue)))
				}
				states := []string{"decrypted", "encrypted", "being encrypted", "being decrypted", "encrypted in part (paused)", "decrypted in part (paused)"}
				state := fmt.Sprintf("in state %d", *v.ConversionStatus)
				if n := *v.ConversionStatus; n >= 0 && int(n) < len(states) {
					state = states[n]
				}
				if v.EncryptionPercentage != nil {
					state += fmt.Sprintf(" (%d%% encrypted)", *v.EncryptionPercentage)
				}
				return when(*v.ConversionStatus != 0, fails(short(v.Drive)+" is "+state))
			}
			return pass() // not installed, or the volume cannot be encrypted
		})},
	{ID: "device-encryption", Causes: []string{"F20"}, Group: Base, Severity: finding.Warn, Source: github + "antifob/incus-windows/issues/30", Unconfirmed: true,
		Asserts: "Windows is kept from encrypting the drive by itself", Means: "From Windows 11 24H2 on a machine with a TPM encrypts itself at its first logon, and sysprep refuses to run then.",
		Steps: []Step{person(`reg add HKLM\SYSTEM\CurrentControlSet\Control\BitLocker /v PreventDeviceEncryption /t REG_DWORD /d 1 /f`)},
		judge: client(func(q inquiry) answer {
			v, _ := q.Version()
			if v.Build < 26100 {
				return skip()
			}
			tpm, known := q.TPM.Get()
			switch {
			case !known:
				return cannot(q.TPM.Why())
			case tpm.Present == nil:
				return incomplete()
			case no(tpm.Present):
				return skip()
			}
			b, known := q.BitLocker.Get()
			if !known {
				return cannot(q.BitLocker.Why())
			}
			return when(b.PreventDeviceEncryption == nil || *b.PreventDeviceEncryption != 1, fails("the machine has a TPM, and nothing keeps Windows from encrypting the drive").seen("PreventDeviceEncryption "+said(b.PreventDeviceEncryption)))
		})},
	{ID: "trustedinstaller-disabled", Causes: []string{"F23"}, Group: Base, Severity: finding.Warn, Source: gceIssue, Unconfirmed: true,
		Asserts: "the service TrustedInstaller is not disabled", Means: "sysprep asks it for pending servicing, and was seen to refuse where it did not start.",
		Steps: append(enabling("TrustedInstaller", "demand", 3), person("Leave it alone in hardening scripts.")), judge: disabled("TrustedInstaller")},
	{ID: "wuauserv-disabled", Causes: []string{"F100", "F23"}, Group: Base, Severity: finding.Warn, Source: gceIssue, Unconfirmed: true,
		Asserts: "the service wuauserv is not disabled", Means: "Its provider (wuaueng.dll) takes part in generalize, and was seen to hang where the service cannot start.",
		Steps: append(enabling("wuauserv", "demand", 3), person("To keep updates away stop it instead, or use a policy.")), judge: disabled("wuauserv")},
	{ID: "dmwappushservice-disabled", Causes: []string{"F85"}, Group: Base, Severity: finding.Warn, Source: github + "W4RH4WK/Debloat-Windows-10/issues/87", Unconfirmed: true,
		Asserts: "the service dmwappushservice is not disabled", Means: "Generalize then takes 15 to 40 minutes, or hangs. Debloat scripts disable it.",
		Steps: enabling("dmwappushservice", "delayed-auto", 2), judge: disabled("dmwappushservice")},
	{ID: "windows-search", Causes: []string{"F36"}, Group: Base, Severity: finding.Warn, Source: github + "eryph-org/basecatlets-hyperv/blob/HEAD/templates/windows/cookbooks/packer/files/default/sysprep.ps1",
		Asserts: "Windows Search does not run", Means: "It works on files that sysprep cleans up: now and then generalize fails midway, and the machine is lost.",
		Steps: []Step{by(RemedySearch, "Stop-Service WSearch -Force right before sysprep")}, judge: running("WSearch", "Windows Search (WSearch) is running")},
	{ID: "media-sharing", Causes: []string{"F35"}, Group: Base, Severity: finding.Warn, Source: docProcess, Unconfirmed: true,
		Asserts: "the network sharing of Windows Media Player does not run", Means: "Generalize was reported to fail midway where it does (Windows 7 to 10).",
		Steps: []Step{person("net stop WMPNetworkSvc and sc.exe config WMPNetworkSvc start= disabled")}, judge: running("WMPNetworkSvc", "WMPNetworkSvc is running")},
}

// byQuestion are programs that a question to DISM starts.
var byQuestion = []string{"TiWorker", "TrustedInstaller", "DismHost"}

// since marks what the questions of the pre-flight may have started: what was not there
// before. An update that begins in between is not told from it, which sysprep itself is.
func (p Processes) since(before Processes) Processes {
	list := slices.Clone(p.List)
	for i, q := range list {
		at := slices.IndexFunc(before.List, func(old Process) bool { return old.ID == q.ID })
		list[i].asked = slices.ContainsFunc(byQuestion, q.is) && (at < 0 || before.List[at].asked)
	}
	return Processes{list}
}

func (q Process) is(name string) bool {
	return strings.EqualFold(name, strings.TrimSuffix(q.Name, ".exe"))
}

// Servicing lists what installs or updates at this moment.
func (p Processes) Servicing() []string {
	p.List = slices.DeleteFunc(slices.Clone(p.List), func(q Process) bool { return q.asked })
	return p.named("TiWorker", "TrustedInstaller", "MoUsoCoreWorker", "UsoClient", "wuauclt", "msiexec", "Dism", "DismHost", "wusa")
}
