package preflight

import (
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

// Goldens that the rows start from.
const (
	server = "clean-server-2022"
	win11  = "clean-win11"
)

// row is a guest, as edits of a golden, and what a check says of it. A word of the
// evidence or the summary is in says.
type row struct {
	id    string
	on    string
	edits []string
	plan  func(*Plan)
	want  Outcome
	as    finding.Severity
	says  string
}

func eval(p *Plan) { p.VMMode = true }

var rows = []row{
	{id: "sysprep-missing", on: server, want: Passed},
	{id: "sysprep-missing", on: server, edits: []string{`sysprep.exe.exists=false`}, want: Failed, as: finding.Fail, says: "sysprep.exe is missing"},
	{id: "sysprep-missing", on: server, edits: []string{`sysprep.exe.exists=false`, `engine.process64=false`}, want: CannotTell, says: "32-bit"},
	{id: "sysprep-missing", on: server, edits: []string{`sysprep!`}, want: CannotTell, says: "Access is denied"},
	{id: "sysprep-missing", on: server, edits: []string{`sysprep={"exe":{}}`}, want: CannotTell},

	{id: "not-elevated", on: server, want: Passed},
	{id: "not-elevated", on: "filtered-token", want: Failed, as: finding.Fail, says: "elevated token"},
	{id: "not-elevated", on: server, edits: []string{`identity.groupSids=["S-1-5-32-545","S-1-16-12288"]`}, want: Failed, as: finding.Fail},
	{id: "not-elevated", on: "filtered-token", plan: func(p *Plan) { p.OtherUser = true }, want: Failed, as: finding.Warn},
	{id: "not-elevated", on: "system-user", want: Passed},
	{id: "not-elevated", on: server, edits: []string{`identity.integritySid=""`}, want: CannotTell}, // the group may be for denials only
	{id: "not-elevated", on: server, edits: []string{`identity.integritySid=""`, `identity.groupSids=["S-1-5-32-545"]`}, want: Failed, as: finding.Fail},
	{id: "not-elevated", on: server, edits: []string{`identity!`}, want: CannotTell},
	{id: "not-elevated", on: server, edits: []string{`identity={}`}, want: CannotTell},

	{id: "run-as-system", on: server, want: Passed},
	{id: "run-as-system", on: "system-user", want: Failed, as: finding.Warn},
	{id: "run-as-system", on: "system-user", edits: []string{`os.CurrentBuildNumber="26100"`}, want: Failed, as: finding.Fail},
	{id: "run-as-system", on: "system-user", plan: func(p *Plan) { p.OtherUser = true }, want: Passed},
	{id: "run-as-system", on: server, plan: func(p *Plan) { p.OtherUser, p.AsSystem = true, true }, want: Failed, as: finding.Warn},
	{id: "run-as-system", on: server, edits: []string{`identity-`}, want: CannotTell, says: "did not report"},

	{id: "sysprep-running", on: server, want: Passed},
	{id: "sysprep-running", on: server, edits: []string{`processes.list=[{"name":"sysprep","id":7}]`}, want: Failed, as: finding.Fail, says: "process id 7"},
	{id: "sysprep-running", on: server, edits: []string{`processes!`}, want: CannotTell},

	{id: "image-state", on: server, want: Passed},
	{id: "image-state", on: server, edits: []string{`imageState.registry="IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT"`}, want: Passed},
	{id: "image-state", on: "undeployable", want: Failed, as: finding.Fail, says: "UNDEPLOYABLE"},
	{id: "image-state", on: "already-generalized", want: Failed, as: finding.Fail, says: "generalized already"},
	{id: "image-state", on: server, edits: []string{`imageState.registry=null`}, want: CannotTell},

	{id: "setup-state", on: server, want: Passed},
	{id: "setup-state", on: server, edits: []string{`setup.status.GeneralizationState=3`}, want: Failed, as: finding.Fail, says: "failed midway"},
	{id: "setup-state", on: server, edits: []string{`setup.status.GeneralizationState=4`}, want: Failed, as: finding.Fail, says: "generalized already"},
	{id: "setup-state", on: server, edits: []string{`setup.status.GeneralizationState=9`}, want: Failed, as: finding.Warn, says: "9"},
	{id: "setup-state", on: server, edits: []string{`setup.status.GeneralizationState=null`}, want: CannotTell},

	{id: "first-boot", on: server, want: Passed},
	{id: "first-boot", on: server, edits: []string{`setup.setup.OOBEInProgress=1`}, want: Failed, as: finding.Fail, says: "OOBEInProgress 1"},
	{id: "first-boot", on: server, edits: []string{`setup.setup.SystemSetupInProgress=1`}, want: Failed, as: finding.Fail},
	{id: "first-boot", on: server, edits: []string{`setup.setup.SystemSetupInProgress=1`, `imageState.registry="IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT"`}, want: Passed},
	{id: "first-boot", on: server, edits: []string{`processes.list=[{"name":"setup.exe","id":8}]`}, want: Failed, as: finding.Warn, says: "process id 8"},
	{id: "first-boot", on: server, edits: []string{`processes.list=[{"name":"setup.exe","id":8}]`}, want: Failed, as: finding.Warn, says: "is called like one of Windows Setup"},
	{id: "first-boot", on: server, edits: []string{`setup!`}, want: CannotTell},

	{id: "vm-mode", on: server, want: Skipped},
	{id: "vm-mode", on: server, plan: eval, want: Passed},
	{id: "vm-mode", on: server, plan: eval, edits: []string{`computer.manufacturer="Dell Inc."`, `computer.model="R750"`, `computer.hypervisorPresent=false`}, want: Failed, as: finding.Fail, says: "Dell"},
	{id: "vm-mode", on: server, plan: eval, edits: []string{`computer.manufacturer="Dell Inc."`, `computer.model="R750"`}, want: CannotTell, says: "protects itself"},
	{id: "vm-mode", on: server, plan: eval, edits: []string{`computer!`}, want: CannotTell},

	{id: "clock", on: server, want: Passed},
	{id: "clock", on: server, plan: func(p *Plan) { p.Now = now.Add(3600e9) }, want: Failed, as: finding.Warn, says: "1h0m0s"},
	{id: "clock", on: server, plan: func(p *Plan) { p.Now = now.Add(-301e9) }, want: Failed, as: finding.Warn},
	{id: "clock", on: server, plan: func(p *Plan) { *p = Plan{} }, want: Skipped},
	{id: "clock", on: server, edits: []string{`clock!`}, want: CannotTell, says: "Access is denied"},

	{id: "disk-space", on: server, want: Passed},
	{id: "disk-space", on: server, edits: []string{`disk.free=1000000000`}, want: Failed, as: finding.Warn, says: "953 MiB"},
	{id: "disk-space", on: server, edits: []string{`disk!`}, want: CannotTell},
	{id: "disk-space", on: server, edits: []string{`disk.free=null`}, want: CannotTell},

	{id: "reboot-pending", on: server, want: Passed},
	{id: "reboot-pending", on: server, edits: []string{`rebootPending.cbsRebootPending=true`}, want: Failed, as: finding.Fail, says: `Servicing\RebootPending`},
	{id: "reboot-pending", on: server, edits: []string{`rebootPending.updateRebootRequired=true`, `rebootPending.cbsRebootPending=null`}, want: Failed, as: finding.Warn, says: "RebootRequired"}, // a driver from Windows Update: sysprep asks the servicing stack
	{id: "reboot-pending", on: server, edits: []string{`rebootPending.updateRebootRequired=true`, `rebootPending.cbsRebootPending=true`}, want: Failed, as: finding.Fail, says: "RebootRequired"},
	{id: "reboot-pending", on: server, edits: []string{`rebootPending.updateRebootRequired=null`}, want: CannotTell},
	{id: "reboot-pending", on: server, edits: []string{`rebootPending!`}, want: CannotTell},

	{id: "servicing-staged", on: server, want: Passed},
	{id: "servicing-staged", on: server, edits: []string{`rebootPending.cbsPackagesPending=true`}, want: Failed, as: finding.Warn, says: "PackagesPending"},
	{id: "servicing-staged", on: server, edits: []string{`rebootPending.pendingXml.exists=true`}, want: Failed, as: finding.Warn, says: "pending.xml"},
	{id: "servicing-staged", on: server, edits: []string{`rebootPending.pendingXml={}`}, want: CannotTell},

	{id: "servicing-busy", on: server, want: Passed},
	{id: "servicing-busy", on: "reboot-pending", want: Failed, as: finding.Warn, says: "TiWorker (process id 812)"},
	{id: "servicing-busy", on: server, edits: []string{`processes-`}, want: CannotTell},

	{id: "active-scenario", on: win11, want: Passed},
	{id: "active-scenario", on: win11, edits: []string{`reservedStorage.ActiveScenario=3`}, want: Failed, as: finding.Warn, says: "= 3"},
	{id: "active-scenario", on: win11, edits: []string{`reservedStorage!`}, want: CannotTell},

	{id: "reserved-storage", on: win11, want: Passed},
	{id: "reserved-storage", on: win11, edits: []string{`reservedStorage.state="Enabled"`}, want: Failed, as: finding.Info},
	{id: "reserved-storage", on: win11, edits: []string{`reservedStorage.state="Enabled"`, `rebootPending.cbsPackagesPending=true`}, want: Failed, as: finding.Warn},
	{id: "reserved-storage", on: win11, edits: []string{`reservedStorage.state="Enabled"`, `processes.list=[{"name":"TiWorker","id":1}]`}, want: Failed, as: finding.Warn},
	{id: "reserved-storage", on: win11, edits: []string{`reservedStorage.state=null`}, want: CannotTell},
	{id: "reserved-storage", on: "server-core-2012", want: Skipped},
	{id: "reserved-storage", on: win11, edits: []string{`reservedStorage={"ActiveScenario":3,"cmdlet":true,"state":null,"stateError":"DismOpenSession failed."}`}, want: CannotTell, says: "DismOpenSession failed."},
	{id: "active-scenario", on: win11, edits: []string{`reservedStorage={"ActiveScenario":3,"cmdlet":true,"state":null,"stateError":"DismOpenSession failed."}`}, want: Failed, as: finding.Warn, says: "= 3"},

	{id: "file-renames", on: server, want: Passed},
	{id: "file-renames", on: "reboot-pending", want: Failed, as: finding.Info, says: "a.tmp"},
	{id: "file-renames", on: server, edits: []string{`rebootPending.fileRenames=null`}, want: CannotTell},

	{id: "bitlocker", on: server, want: Passed},
	{id: "bitlocker", on: server, edits: []string{`bitlocker.volumes=[{"drive":"C:","returnValue":2150694912,"conversionStatus":1}]`}, want: CannotTell, says: "0x80310000"},
	{id: "bitlocker", on: win11, want: Passed},
	{id: "bitlocker", on: "bitlocker-on", want: Failed, as: finding.Fail, says: "encrypted"},
	{id: "bitlocker", on: win11, edits: []string{`bitlocker.volumes=[{"drive":"C:","returnValue":0,"conversionStatus":3,"encryptionPercentage":40}]`}, want: Failed, as: finding.Fail, says: "being decrypted (40% encrypted)"},
	{id: "bitlocker", on: win11, edits: []string{`bitlocker.volumes=[{"drive":"D:","returnValue":0,"conversionStatus":1}]`}, want: Passed},
	{id: "bitlocker", on: win11, edits: []string{`bitlocker.volumes=[{"drive":"C:","returnValue":2150694912}]`}, want: CannotTell, says: "0x80310000"},
	{id: "bitlocker", on: win11, edits: []string{`bitlocker!`}, want: CannotTell},

	{id: "device-encryption", on: win11, want: Passed},
	{id: "device-encryption", on: win11, edits: []string{`bitlocker.preventDeviceEncryption=null`}, want: Failed, as: finding.Warn},
	{id: "device-encryption", on: win11, edits: []string{`bitlocker.preventDeviceEncryption=null`, `tpm.present=false`}, want: Skipped},
	{id: "device-encryption", on: win11, edits: []string{`os.CurrentBuildNumber="22631"`, `bitlocker.preventDeviceEncryption=null`}, want: Skipped},
	{id: "device-encryption", on: server, want: Skipped},
	{id: "device-encryption", on: win11, edits: []string{`tpm!`}, want: CannotTell},
	{id: "device-encryption", on: win11, edits: []string{`os!`}, want: CannotTell, says: "version of Windows"},

	{id: "trustedinstaller-disabled", on: server, want: Passed},
	{id: "trustedinstaller-disabled", on: server, edits: []string{`services.TrustedInstaller={"start":4}`}, want: Failed, as: finding.Warn, says: "Start = 4"}, // seen where it did not start, not where it is disabled
	{id: "trustedinstaller-disabled", on: server, edits: []string{`services!`}, want: CannotTell},
	{id: "trustedinstaller-disabled", on: server, edits: []string{`services={}`}, want: Skipped},
	{id: "wuauserv-disabled", on: server, want: Passed},
	{id: "wuauserv-disabled", on: server, edits: []string{`services.wuauserv={"start":4}`}, want: Failed, as: finding.Warn},
	{id: "wuauserv-disabled", on: server, edits: []string{`services.wuauserv={}`}, want: CannotTell},
	{id: "dmwappushservice-disabled", on: win11, edits: []string{`services.dmwappushservice={"start":2}`}, want: Passed},
	{id: "dmwappushservice-disabled", on: win11, edits: []string{`services.dmwappushservice={"start":4}`}, want: Failed, as: finding.Warn},
	{id: "dmwappushservice-disabled", on: win11, edits: []string{`services.dmwappushservice={}`}, want: CannotTell},
	{id: "windows-search", on: win11, want: Failed, as: finding.Warn, says: "WSearch"},
	{id: "windows-search", on: win11, edits: []string{`services.WSearch={"start":2,"status":"Stopped"}`}, want: Passed},
	{id: "windows-search", on: win11, edits: []string{`services.WSearch={"start":2}`}, want: CannotTell},
	{id: "windows-search", on: server, want: Skipped},
	{id: "media-sharing", on: win11, edits: []string{`services.WMPNetworkSvc={"start":3,"status":"Stopped"}`}, want: Passed},
	{id: "media-sharing", on: win11, edits: []string{`services.WMPNetworkSvc={"start":3,"status":"Running"}`}, want: Failed, as: finding.Warn},
	{id: "media-sharing", on: win11, edits: []string{`services-`}, want: CannotTell},

	{id: "appxsvc-disabled", on: server, want: Passed},
	{id: "appxsvc-disabled", on: "leftovers", want: Failed, as: finding.Fail},
	{id: "appxsvc-disabled", on: "leftovers", edits: []string{`os.InstallationType="Server Core"`}, want: Failed, as: finding.Warn}, // a hardened Core without apps
	{id: "appxsvc-disabled", on: "leftovers", plan: func(p *Plan) { p.Generalize = false }, want: Skipped},                          // apps are looked at in generalize
	{id: "appxsvc-disabled", on: server, edits: []string{`services.AppXSvc={}`}, want: CannotTell},
}

func TestEveryCheck(t *testing.T) {
	outcomes := map[string][]Outcome{}
	for _, r := range slices.Concat(rows, appRows, systemRows) {
		plan := ordinary
		if r.plan != nil {
			r.plan(&plan)
		}
		got := judged(t, facts(t, r.on, append(slices.Clone(quiet), r.edits...)...), plan, r.id)
		outcomes[r.id] = append(outcomes[r.id], got.Outcome)
		text := got.Summary + "\n" + strings.Join(got.Evidence, "\n") + "\n" + got.Note
		if got.Outcome != r.want || got.Severity != r.as || !strings.Contains(text, r.says) {
			t.Errorf("%s on %s %q: outcome %d as %q, want %d as %q with %q: %s", r.id, r.on, r.edits, got.Outcome, got.Severity, r.want, r.as, r.says, text)
		}
	}
	// Each is shown with all three answers.
	for _, c := range Checks() {
		for name, o := range map[string]Outcome{"passes": Passed, "fails": Failed, "cannot be told": CannotTell} {
			if !slices.Contains(outcomes[c.ID], o) {
				t.Errorf("%s: no row where it %s", c.ID, name)
			}
		}
	}
}

func judged(t *testing.T, f Facts, plan Plan, id string) Result {
	t.Helper()
	if _, known := ByID(id); !known {
		t.Fatalf("there is no check %s", id)
	}
	j := Judge(f, plan, nil)
	at := slices.IndexFunc(j.Results, func(r Result) bool { return r.Check.ID == id })
	if at < 0 {
		return Result{}
	}
	return j.Results[at]
}

// Lines are pasted into PowerShell, where "sc" is Set-Content up to version 5.1.
func TestNoStepWritesAFileInPowerShell(t *testing.T) {
	for _, c := range Checks() {
		for _, s := range c.Steps {
			if strings.Contains(" "+s.Text, " sc ") {
				t.Errorf("%s: write sc.exe: %s", c.ID, s.Text)
			}
		}
	}
}

// What is done about a program of Setup is not what is done about Setup.
func TestAProgramCalledSetupIsNotAwaited(t *testing.T) {
	program := judged(t, facts(t, server, `processes.list=[{"name":"setup.exe","id":8}]`), ordinary, "first-boot")
	setup := judged(t, facts(t, server, `setup.setup.OOBEInProgress=1`), ordinary, "first-boot")
	if len(program.Steps) != 1 || strings.Contains(program.Steps[0].Text, "first_boot = true") || len(setup.Steps) != 1 || !strings.Contains(setup.Steps[0].Text, "first_boot = true") {
		t.Errorf("%+v\n%+v", program.Steps, setup.Steps)
	}
}
