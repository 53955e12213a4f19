package preflight

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// What the checks rest on: addresses that a reader can open.
const (
	learn   = "https://learn.microsoft.com/"
	desktop = learn + "windows-hardware/manufacture/desktop/"
	support = learn + "troubleshoot/windows-client/setup-upgrade-and-drivers/"
	github  = "https://github.com/"

	docOverview = desktop + "sysprep--system-preparation--overview"
	docProcess  = desktop + "sysprep-process-overview"
	docStates   = desktop + "windows-setup-states"
	docRoles    = desktop + "sysprep-support-for-server-roles"
	docNPS      = desktop + "prepare-a-network-policy-server--nps--for-imaging"
	docSearch   = desktop + "windows-setup-automation-overview"
	docAnswers  = desktop + "use-answer-files-with-sysprep"
	docOptions  = desktop + "sysprep-command-line-options"
	docFatal    = support + "fatal-error-occurred-sysprep-machine"
	docApps     = support + "sysprep-fails-remove-or-update-store-apps"
	docSystem   = support + "sysprep-as-system-windows-11"
	docSkip     = learn + "windows-hardware/customize/desktop/unattend/microsoft-windows-security-spp-skiprearm"
	docAzure    = learn + "azure/virtual-machines/generalize"
	checkers    = github + "CodingWonders/SysprepPreparator/tree/HEAD/Helpers/CompatChecks"
	agentBaker  = github + "Azure/AgentBaker/blob/HEAD/vhdbuilder/packer/windows/sysprep.ps1"
	gceIssue    = github + "GoogleCloudPlatform/compute-image-windows/issues/156"
)

// elevatedSID is the integrity of an administrator's full token, systemSID that of
// SYSTEM and its like; both by [MS-DTYP] 2.4.2.4.
const (
	elevatedSID   = "S-1-16-12288"
	systemSID     = "S-1-16-16384"
	systemAccount = "S-1-5-18"
	administrator = "S-1-5-32-544"
)

// stateChecks: whether sysprep can be started at all.
var stateChecks = []Check{
	{ID: "sysprep-missing", Causes: []string{"F52"}, Group: Base, Severity: finding.Fail, Source: docProcess,
		Asserts: "sysprep.exe is there", Means: "There is nothing to run: a debloated medium, Windows PE or Nano Server.",
		Steps: []Step{person("Use an installation from unchanged media.")},
		judge: on(func(f Facts) Fact[Sysprep] { return f.Sysprep }, func(s Sysprep, q inquiry) answer {
			if e, _ := q.Engine.Get(); no(s.Exe.Exists) && e.redirected() {
				return cannot("PowerShell runs as a 32-bit process on a 64-bit Windows and is shown other folders")
			}
			if s.Exe.Exists == nil {
				return incomplete()
			}
			return when(no(s.Exe.Exists), fails(s.Exe.Path+" is missing"))
		})},
	{ID: "not-elevated", Causes: []string{"F53"}, Group: Base, Severity: finding.Fail, When: "warn where another account runs sysprep", Source: docProcess,
		Asserts: "the account is an administrator with its full token", Means: "Only an administrator can run sysprep, and User Account Control filters the token of a local account that logs on over the network.",
		Steps: []Step{person(`Connect as the built-in Administrator, or set LocalAccountTokenFilterPolicy = 1 (DWORD) below HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System in the source machine.`)},
		judge: on(func(f Facts) Fact[Identity] { return f.Identity }, func(id Identity, q inquiry) answer {
			who := strings.TrimPrefix(id.Domain+`\`+id.Name, `\`)
			bad := fails(who + " does not have the elevated token of an administrator").seen("integrity level " + cmp.Or(id.IntegritySID, "unknown"))
			if q.OtherUser || q.AsSystem {
				bad = bad.as(finding.Warn)
			}
			switch {
			case id.IntegritySID == "" && len(id.GroupSIDs) == 0:
				return incomplete()
			case id.SID == systemAccount:
				return pass()
			case id.IntegritySID == "" && slices.Contains(id.GroupSIDs, administrator):
				return incomplete() // the group may be for denials only
			}
			return when(id.IntegritySID != elevatedSID && id.IntegritySID != systemSID || !slices.Contains(id.GroupSIDs, administrator), bad)
		})},
	{ID: "run-as-system", Causes: []string{"F54"}, Group: Base, Severity: finding.Warn, When: "fail from build 26100 on", Source: docSystem,
		Asserts: "sysprep does not run as SYSTEM", Means: "Microsoft does not support it, and from build 26100 on (Windows 11 24H2, Server 2025) the image shows a black screen after its first boot.",
		Steps: []Step{person("Connect as an administrator, or name one with elevated_user.")},
		judge: on(func(f Facts) Fact[Identity] { return f.Identity }, func(id Identity, q inquiry) answer {
			if !q.AsSystem && (q.OtherUser || id.SID != systemAccount) {
				return when(id.SID == "" && !q.OtherUser, incomplete())
			}
			bad := fails("sysprep runs as SYSTEM")
			if v, known := q.Version(); known && v.Build >= windows.BlackScreenFrom {
				return bad.as(finding.Fail)
			}
			return bad
		})},
	{ID: "sysprep-running", Causes: []string{"F51"}, Group: Base, Severity: finding.Fail, Source: docProcess,
		Asserts: "no other sysprep.exe runs", Means: "Only one can run at a time, and one that waits in a dialog blocks every other.",
		Steps: []Step{person("End it by its process id, or restart the guest.")},
		judge: on(func(f Facts) Fact[Processes] { return f.Processes }, func(p Processes, _ inquiry) answer {
			found := p.named("sysprep")
			return listed(p.List, when(len(found) > 0, fails("another sysprep.exe is running").seen(found...)))
		})},
	{ID: "image-state", Causes: []string{"F55", "F32"}, Group: Base, Severity: finding.Fail, Source: docStates,
		Asserts: "Windows is installed completely, or in audit mode", Means: "sysprep starts from IMAGE_STATE_COMPLETE, and in audit mode from IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT. Any other state is a first boot that has not ended, a broken installation, or an image that is generalized already.",
		Steps: []Step{person("Let the first boot end; if the state stays, start from another source disk.")},
		judge: on(func(f Facts) Fact[ImageState] { return f.ImageState }, func(s ImageState, _ inquiry) answer {
			state := windows.State(s.Registry)
			if state.Means() == windows.Unread {
				return cannot("ImageState is not in the registry")
			}
			bad := fails("ImageState is " + short(s.Registry) + ", from which sysprep does not start").seen("State.ini: " + cmp.Or(short(s.StateINI), "not read"))
			if state.Means() == windows.Generalized {
				bad = fails("the machine is generalized already (" + s.Registry + ")").todo(person("Do not restart it: shut it down and take the disk."))
			}
			return when(!state.Means().MayStart(), bad)
		})},
	{ID: "setup-state", Causes: []string{"F32", "F55"}, Group: Base, Severity: finding.Fail, When: "warn for a value that is not understood", Source: docFatal,
		Asserts: "no earlier sysprep has failed midway", Means: "An installation on which generalize broke off cannot be repaired: Microsoft says that the image has to be made again.",
		Steps: []Step{person("Start the build from an untouched source disk.")},
		judge: on(func(f Facts) Fact[Setup] { return f.Setup }, func(s Setup, _ inquiry) answer {
			state := s.Status.GeneralizationState
			if state == nil {
				return cannot("GeneralizationState is not in the registry")
			}
			switch *state {
			case windows.NeverGeneralized:
				return pass()
			case windows.GeneralizeUnfinished:
				return fails("an earlier sysprep has failed midway (GeneralizationState 3)")
			case windows.GeneralizeDone:
				return fails("the machine is generalized already (GeneralizationState 4)").todo(person("Do not restart it: shut it down and take the disk."))
			}
			return fails(fmt.Sprintf("GeneralizationState is %d, whose meaning is not known", *state)).as(finding.Warn)
		})},
	{ID: "first-boot", Group: Base, Severity: finding.Fail, Source: docStates,
		Asserts: "Windows Setup is not at work", Means: "The first boot of the source machine has not ended. In audit mode Setup may call itself unfinished.",
		Steps: []Step{person(`Wait for it: preflight { wait_for { first_boot = true } }.`)},
		judge: on(func(f Facts) Fact[Setup] { return f.Setup }, func(s Setup, q inquiry) answer {
			if state, known := q.ImageState.Get(); known && windows.State(state.Registry).Means() == windows.InAudit {
				return pass()
			}
			busy := nonZero(s.Setup.SystemSetupInProgress) || nonZero(s.Setup.OOBEInProgress)
			var found []string
			if p, known := q.Processes.Get(); known {
				found = p.named("setup", "SetupHost", "windeploy", "oobeldr", "msoobe")
			}
			bad := fails("Windows Setup is still at work").seen(fmt.Sprintf("SystemSetupInProgress %s, OOBEInProgress %s", said(s.Setup.SystemSetupInProgress), said(s.Setup.OOBEInProgress))).seen(found...)
			if !busy { // its programs alone may be those of other software
				bad.text = "a program runs that is called like one of Windows Setup"
				bad = bad.as(finding.Warn).todo(person("Let that installation end before this provisioner; wait_for { first_boot } does not wait for it."))
			}
			return when(busy || len(found) > 0, bad)
		})},
	{ID: "vm-mode", Group: Base, Severity: finding.Fail, Source: docOptions,
		Asserts: "/mode:vm is for a virtual machine", Means: "Asked for with vm_mode only: VM mode can be run inside a virtual machine only, and the image is for the same hypervisor and hardware.",
		Steps: []Step{person("Leave out vm_mode.")},
		judge: func(q inquiry) answer {
			if !q.VMMode {
				return skip()
			}
			c, known := q.Computer.Get()
			switch {
			case !known:
				return cannot(q.Computer.Why())
			case c.virtual():
				return pass()
			case no(c.HypervisorPresent):
				return fails(fmt.Sprintf("vm_mode is set and this is no virtual machine (%s %s)", short(c.Manufacturer), short(c.Model)))
			}
			return cannot(fmt.Sprintf("%s %s is not known as a virtual machine, and a hypervisor is also there where Windows protects itself by one", short(c.Manufacturer), short(c.Model)))
		}},
	{ID: "clock", Group: Base, Severity: finding.Warn, Source: learn + "windows-server/networking/windows-time-service/windows-time-service-tools-and-settings",
		Asserts: "the guest's clock agrees with the host's within five minutes", Means: "Certificates, the evaluation period and what cloud agents ask for depend on the clock, and a clone starts from it.",
		Steps: []Step{person("Correct the clock of the source machine; on QEMU set the RTC to UTC and RealTimeIsUniversal = 1, or to local time.")},
		judge: func(q inquiry) answer {
			c, known := q.Clock.Get()
			switch {
			case q.Now.IsZero():
				return skip()
			case !known || c.UTC.IsZero():
				return cannot("the guest did not tell its time: " + q.Clock.Why())
			}
			apart := c.UTC.Sub(q.Now).Abs().Round(time.Second)
			return when(apart > 5*time.Minute, fails(fmt.Sprintf("the guest's clock is %s off the host's", apart)).
				seen("guest: "+c.UTC.UTC().Format(time.RFC3339)+", zone "+deref(c.Zone), "host: "+q.Now.UTC().Format(time.RFC3339)))
		}},
	{ID: "disk-space", Group: Base, Severity: finding.Warn, Source: checkers, Unconfirmed: true,
		Asserts: "2 GiB of the system drive are free", Means: "Generalize writes and moves files, and so does the first boot.",
		Steps: []Step{person("Free space, or give the source machine a larger disk.")},
		judge: on(func(f Facts) Fact[Disk] { return f.Disk }, func(d Disk, _ inquiry) answer {
			if d.Free == nil {
				return incomplete()
			}
			return when(*d.Free < 2<<30, fails(fmt.Sprintf("%s has %d MiB free", cmp.Or(short(d.Drive), "the system drive"), *d.Free>>20)))
		})},
}

func nonZero(n *int64) bool { return n != nil && *n != 0 }

func said(n *int64) string {
	if n == nil {
		return "not set"
	}
	return strconv.FormatInt(*n, 10)
}

// named lists the processes with one of the names.
func (p Processes) named(names ...string) (found []string) {
	for _, q := range p.List {
		if slices.ContainsFunc(names, q.is) {
			found = append(found, fmt.Sprintf("%s (process id %d)", q.Name, q.ID))
		}
	}
	return found
}

// virtual reports whether the firmware names a hypervisor's machine.
func (c Computer) virtual() bool {
	text := strings.ToLower(c.Manufacturer + " " + c.Model)
	return slices.ContainsFunc([]string{"virtual machine", "vmware", "qemu", "kvm", "virtualbox", "bochs", "xen", "parallels", "bhyve", "amazon ec2", "google", "openstack", "nutanix", "ovirt", "red hat", "hvm domu"},
		func(name string) bool { return strings.Contains(text, name) })
}
