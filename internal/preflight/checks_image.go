package preflight

import (
	"fmt"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// imageChecks: what sysprep lets pass, and spoils the image or its first boot.
var imageChecks = []Check{
	{ID: "answer-file-pointer", Causes: []string{"F62", "F63"}, Group: Base, Severity: finding.Warn, Source: docSearch,
		Asserts: "the registry points to no answer file", Means: "Windows reads that file before any other; where it is not there, the first boot stops.",
		Steps: []Step{by(RemedyAnswers, `Delete the value UnattendFile below HKLM\SYSTEM\Setup.`), person("Or remove_answer_files = true.")},
		judge: on(func(f Facts) Fact[AnswerFiles] { return f.AnswerFiles }, func(a AnswerFiles, q inquiry) answer {
			return q.only(!q.RemovesAnswerFiles, when(a.RegistryPointer != nil && *a.RegistryPointer != "", fails("the registry points to an answer file").seen(`HKLM\SYSTEM\Setup\UnattendFile = `+deref(a.RegistryPointer))))
		})},
	{ID: "answer-files-left", Causes: []string{"F63"}, Group: Base, Severity: finding.Warn, When: "info where sysprep is given an answer file", Source: docAnswers,
		Asserts: "no answer file of the build is left", Means: "Windows takes from it what no other answer file has, and its passwords stay in the image.",
		Steps: []Step{by(RemedyAnswers, "Move them aside, and eject media."), person("Or remove_answer_files = true.")},
		judge: on(func(f Facts) Fact[AnswerFiles] { return f.AnswerFiles }, func(a AnswerFiles, q inquiry) answer {
			bad := fails("")
			for _, file := range a.Found {
				if no(file.Exists) || q.RemovesAnswerFiles && (file.Media == "" || file.Media == "fixed") {
					continue
				}
				bad = bad.seen(strings.TrimSuffix(file.Path+" ("+file.Media+")", " ()"))
			}
			bad.text = fmt.Sprintf("%d answer files are left on Windows' search path", len(bad.evidence))
			if len(bad.evidence) == 1 {
				bad.text = "an answer file is left on Windows' search path"
			}
			if q.AnswerFile {
				bad = bad.as(finding.Info)
			}
			return listed(a.Found, when(bad.evidence != nil, bad))
		})},
	{ID: "autologon", Group: Base, Severity: finding.Warn, Source: learn + "troubleshoot/windows-server/user-profiles-and-logon/turn-on-automatic-logon",
		Asserts: "nobody is logged on automatically, and no password is kept for it", Means: "DefaultPassword is clear text in the registry, for everybody who has the image; and clones log on by themselves.",
		Steps: []Step{by(RemedyAutologon, `Delete DefaultPassword and AutoAdminLogon below HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon.`)},
		judge: on(func(f Facts) Fact[Autologon] { return f.Autologon }, func(l Autologon, _ inquiry) answer {
			on := l.AutoAdminLogon != nil && strings.TrimSpace(*l.AutoAdminLogon) == "1"
			switch {
			case yes(l.DefaultPasswordPresent):
				return fails("a password is kept in clear text in the registry (DefaultPassword)").seen("DefaultUserName "+deref(l.DefaultUserName), fmt.Sprintf("AutoAdminLogon %s", deref(l.AutoAdminLogon)))
			case on:
				return fails("an account is logged on automatically").seen("DefaultUserName " + deref(l.DefaultUserName))
			}
			return when(l.DefaultPasswordPresent == nil, incomplete())
		})},
	{ID: "orphaned-profiles", Causes: []string{"F78"}, Group: Base, Severity: finding.Warn, Source: "https://mickitblog.blogspot.com/2012/01/", Unconfirmed: true,
		Asserts: "every profile has its folder", Means: "The first boot was reported to stop (\"restarted unexpectedly\") where ProfileList names folders that do not exist.",
		Steps: []Step{person("Get-CimInstance Win32_UserProfile | Where-Object SID -eq '<sid>' | Remove-CimInstance"), person("Delete profiles through Windows, not by folder.")},
		judge: on(func(f Facts) Fact[Profiles] { return f.Profiles }, func(p Profiles, _ inquiry) answer {
			a := fails("")
			for _, one := range p.List {
				if no(one.Exists) && (strings.HasPrefix(one.SID, "S-1-5-21-") || strings.HasPrefix(one.SID, "S-1-12-1-")) {
					a = a.seen(one.SID + ": " + one.Path)
				}
			}
			a.text = fmt.Sprintf("%d profiles have no folder", len(a.evidence))
			if len(a.evidence) == 1 {
				a.text = "a profile has no folder"
			}
			return listed(p.List, when(a.evidence != nil, a))
		})},
	{ID: "cdrom", Causes: []string{"F81"}, Group: Base, Severity: finding.Info, When: "fail for Azure, which provisions from one, where it is disabled", Source: docAzure,
		Asserts: "the CD-ROM driver starts", Means: "Clones cannot read media with their settings (Azure, ConfigDrive), and wait at their first screens.",
		Steps: []Step{person(`reg add HKLM\SYSTEM\CurrentControlSet\Services\cdrom /v Start /t REG_DWORD /d 1 /f`)},
		judge: on(func(f Facts) Fact[map[string]Service] { return f.Services }, func(all map[string]Service, q inquiry) answer {
			s, there := all["cdrom"]
			a := fails("the CD-ROM driver is disabled").seen("Start = " + said(s.Start))
			switch {
			case q.Azure && s.disabled():
				a = a.as(finding.Fail)
			case s.Start != nil && !s.disabled():
				a.text = "the CD-ROM driver does not start with Windows"
			}
			switch {
			case !there:
				return skip()
			case s.Start == nil:
				return incomplete()
			}
			return when(*s.Start > 1, a)
		})},
	{ID: "azure-agent", Causes: []string{"F80"}, Group: Base, Severity: finding.Warn, Source: github + "hashicorp/packer-plugin-azure/blob/main/docs/builders/arm.mdx",
		Asserts: "Azure's agent runs", Means: "For Azure only: without RdAgent and WindowsAzureGuestAgent a clone is not provisioned.",
		Steps: []Step{person("Start both services before sysprep.")},
		judge: on(func(f Facts) Fact[map[string]Service] { return f.Services }, func(all map[string]Service, q inquiry) answer {
			if !q.Azure {
				return skip()
			}
			var not []string
			installed := false
			for _, name := range []string{"RdAgent", "WindowsAzureGuestAgent"} {
				s, there := all[name]
				installed = installed || there
				switch {
				case there && s.Status == nil:
					return cannot("whether the service " + name + " runs was not reported")
				case there && !s.runs():
					not = append(not, name)
				}
			}
			if !installed { // an image may be made without it, and nothing else is known
				return cannot("Azure's agent is not installed in this guest")
			}
			return when(not != nil, fails(strings.Join(not, " and ")+" of Azure's agent does not run"))
		})},
	{ID: "efs", Causes: []string{"F77"}, Group: EFS, Severity: finding.Warn, Source: docOverview,
		Asserts: "no file is encrypted with EFS", Means: "Generalize makes such files unreadable for good.",
		Steps: []Step{person("List them with cipher /u /n /h and decrypt them.")},
		judge: on(func(f Facts) Fact[EncryptedFiles] { return f.EncryptedFiles }, func(e EncryptedFiles, _ inquiry) answer {
			var found []string
			for _, line := range e.Lines {
				if line = strings.TrimSpace(line); drivePath.MatchString(line) {
					found = append(found, line)
				}
			}
			return listed(e.Lines, when(found != nil, fails(fmt.Sprintf("%d files are encrypted with EFS", len(found))).seen(found[:min(10, len(found))]...)))
		})},
	{ID: "packer-leftovers", Group: Base, Severity: finding.Warn, Source: github + "hashicorp/packer-plugin-sdk/blob/main/guestexec/elevated.go",
		Asserts: "no scheduled task of an earlier build is left", Means: "Such a task holds what an elevated provisioner ran, and stays in the image.",
		Steps: []Step{person("schtasks /delete /tn <name> /f, or hygiene = [\"packer-leftovers\"]")},
		judge: on(func(f Facts) Fact[PackerLeftovers] { return f.PackerLeftovers }, func(p PackerLeftovers, _ inquiry) answer {
			tasks := slices.DeleteFunc(slices.Clone(p.Tasks), func(t string) bool { return strings.HasPrefix(t, ownTask) })
			return listed(p.Tasks, when(len(tasks) > 0, fails(fmt.Sprintf("%d scheduled tasks of Packer are left", len(tasks))).seen(tasks[:min(10, len(tasks))]...)))
		})},
	{ID: "page-file", Group: Base, Severity: finding.Info, Source: docAzure,
		Asserts: "Windows chooses the page file", Means: "A page file of a fixed size, or on another drive, goes into the image: it makes the image larger, and that drive may not be there on a clone.",
		Steps: []Step{person("Get-CimInstance Win32_ComputerSystem | Set-CimInstance -Property @{ AutomaticManagedPagefile = $true }")},
		judge: on(func(f Facts) Fact[PageFile] { return f.PageFile }, func(p PageFile, _ inquiry) answer {
			own := slices.ContainsFunc(p.Files, func(line string) bool { return !strings.HasPrefix(line, `?:`) })
			return listed(p.Files, when(own, fails("the page file is configured by hand").seen(p.Files...)))
		})},
	{ID: "winrm", Group: Base, Severity: finding.Warn, Source: learn + "windows/win32/winrm/installation-and-configuration-for-windows-remote-management",
		Asserts: "WinRM does not accept unencrypted passwords", Means: "sysprep does not reset WinRM (unconfirmed): what was opened for the build is open on every clone.",
		Steps: []Step{person(`Close it as the last step, with before_shutdown: winrm set winrm/config/service @{AllowUnencrypted="false"} and winrm set winrm/config/service/auth @{Basic="false"}`)}, Unconfirmed: true,
		judge: on(func(f Facts) Fact[WinRM] { return f.WinRM }, func(w WinRM, _ inquiry) answer {
			if w.Service == nil {
				return incomplete()
			}
			a := fails("WinRM of the image accepts what was opened for the build")
			for _, open := range []struct {
				name  string
				value *int64
			}{{"AllowUnencrypted", w.Service.AllowUnencrypted}, {"Basic", w.Service.Basic}, {"CredSSP", w.Service.CredSSP}} {
				if nonZero(open.value) {
					a = a.seen(open.name + " = true")
				}
			}
			return when(a.evidence != nil, a)
		})},
	{ID: "winrm-certificate", Group: Base, Severity: finding.Info, Source: agentBaker, Unconfirmed: true,
		Asserts: "WinRM has no listener with a certificate of the build", Means: "sysprep does not reset WinRM (unconfirmed): all clones have one key, and the certificate has the name of the build machine.",
		Steps: []Step{person("Remove the listener as the last step, with before_shutdown: winrm delete winrm/config/Listener?Address=*+Transport=HTTPS")},
		judge: on(func(f Facts) Fact[WinRM] { return f.WinRM }, func(w WinRM, _ inquiry) answer {
			a := fails("WinRM has a listener with a certificate")
			for _, l := range w.Listeners {
				if l.Certificate != nil && *l.Certificate != "" {
					a = a.seen(l.Name)
				}
			}
			return listed(w.Listeners, when(a.evidence != nil, a))
		})},
	{ID: "several-systems", Group: Base, Severity: finding.Warn, Source: docOverview,
		Asserts: "one Windows is installed", Means: "sysprep changes the one that runs, and its SID on its volume only: run it in each.",
		Steps: []Step{person("Make an image of each system by itself, or remove the entries of those that are gone (bcdedit /delete).")},
		judge: on(func(f Facts) Fact[BootEntries] { return f.BootEntries }, func(b BootEntries, _ inquiry) answer {
			if b.Key == nil || !*b.Key {
				return cannot("the boot configuration cannot be read")
			}
			a, n := fails(""), 0
			for _, e := range b.List {
				if !e.WinPE {
					a, n = a.seen(deref(e.Description)), n+1
				}
			}
			a.text = fmt.Sprintf("the machine can start %d systems", n)
			return when(n > 1, a)
		})},
	{ID: "fast-startup", Group: Base, Severity: finding.Info, Source: "https://support.microsoft.com/help/3141410", Unconfirmed: true,
		Asserts: "fast startup is off", Means: "A shutdown that hibernates leaves a disk that cannot be read and captured as it is.",
		Steps: []Step{person("Shut down with shutdown /s /t 0, without /hybrid; powercfg /h off turns it off.")},
		judge: client(func(q inquiry) answer {
			p, known := q.StorePolicy.Get()
			if !known {
				return cannot(q.StorePolicy.Why())
			}
			return when(nonZero(p.HiberbootEnabled), fails("fast startup is on"))
		})},
}

// ownTask begins the names of the tasks that this plugin makes and removes.
const ownTask = "packer-sysprep-"

// drivePath begins a path on a drive.
var drivePath = lazyregexp.New(`^[A-Za-z]:\\`)

func deref(text *string) string {
	if text == nil {
		return "not set"
	}
	return short(*text)
}
