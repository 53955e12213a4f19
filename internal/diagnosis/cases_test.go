package diagnosis

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// The cases are logs of public reports; what is right stands beside each.
func TestTheCasesAreDiagnosedAsTheyShould(t *testing.T) {
	dir := testutil.Cases(t, "sysprep")
	for name, want := range map[string]struct {
		id    string
		phase Phase
		texts []string // in the summary or the first remedy
		first string   // in the first line of evidence
		never string   // in no line of evidence
	}{
		"01": {"F60", PhaseLaunch, []string{"0x8022001b", "Microsoft-Windows-Shell-Setup", "/settings", "twice"}, "Source = Name", ""},
		"02": {"F30", PhaseProcess, []string{"earlier", "0xc004d307", "SLReArmWindows", "original media"}, "SLReArmWindows", ""},
		"03": {"F94", PhaseFirstBoot, []string{`[D:\autounattend.xml]`, "skipped"}, "does not meet criteria", ""},
		"05": {"F28", PhaseValidate, []string{"ActiveScenario", "reserved storage"}, "active scenario", ""},
		"06": {"F00", PhaseProcess, []string{"SxsGeneralizeFoo", "foo.dll", "Contoso-Foo", "access denied"}, "", "Package"},
		"07": {"F01", PhaseValidate, []string{"PPLPMSparsePackage_1.0.0.0_neutral__gd0ndz5rvp7t0", "Get-AppxPackage -AllUsers -Name 'PPLPMSparsePackage' | Remove-AppxPackage"}, "PPLPM", "SPPNP"},
		"08": {"F01", PhaseValidate, []string{"PPLPMSparsePackage"}, "PPLPM", "MRT"},
		"10": {"F91", PhaseProcess, []string{"Microsoft.XboxApp_48.76.8001.0_x64__8wekyb3d8bbwe", "0x80070490: element not found"}, "XboxApp", ""},
		"11": {"F47", PhaseProcess, []string{"deleteFile", "Microsoft-Windows-Security-SPP", "0x20", "holds"}, "deleteFile", ""},
		"12": {"F92", PhaseFirstBoot, []string{"RunSynchronous is not a setting of Microsoft-Windows-Shell-Setup (0x80220001", "Move RunSynchronous to Microsoft-Windows-Deployment"}, "RunSynchronous", ""},
		"14": {"F00", PhaseProcess, []string{"SxsGeneralizeFoo", "foo.dll", "Contoso-Foo", "access denied"}, "SxsGeneralizeFoo", "UnloadStore"},
		"15": {"F95", PhaseFirstBoot, []string{"Administrator", "0x8c5", "policy", "complex password"}, "EnableLocalUserAccount", ""},
		"16": {"F00", PhaseFirstBoot, []string{"Sysprep_Specialize_NTFS_Online", "spntfs.dll", "0x130", "specialize"}, "Sysprep_Specialize_NTFS_Online", "Winre"},
		"18": {"F97", PhaseFirstBoot, []string{"0x80070490", "Microsoft-Windows-Kernel-LA57-FoD", "StartComponentCleanup"}, "Failed to commit", ""},
		"19": {"F103", PhaseFirstBoot, []string{"respecialize", "SetupType", "windeploy.exe"}, "re-specialize", "MRT"},
		"21": {"F98", PhaseFirstBoot, []string{"SetupComplete.cmd", "OEM", "FirstLogonCommands"}, "will not run", ""},
		"22": {"F29", PhaseValidate, []string{"Sysprep_Clean_Validate_Opk", "spopk.dll", "nothing was changed", "2018-12-21 10:00:00", "TiWorker"}, "spopk.dll", ""},
		"23": {"F100", PhaseProcess, []string{"GeneralizeForImaging", "wuaueng.dll", "wuauserv", "demand"}, "wuaueng.dll", ""},
		"24": {"F101", PhaseProcess, []string{"Sysprep_Generalize_Pnp_Drivers", "sppnp.dll", "Discard"}, "sppnp.dll", ""},
		"25": {"F85", PhaseProcess, []string{"dmwappushservice", "15 to 40 minutes", "delayed-auto"}, "Generalize.xml", ""},
		"26": {"F18", PhaseValidate, []string{"Microsoft.SecHealthUI_1000.29429.1000.0_x64__8wekyb3d8bbwe", "NonRemovable", "Add-AppxProvisionedPackage"}, "SecHealthUI", ""},
		"27": {"F04", PhaseValidate, []string{"Microsoft.DesktopAppInstaller_1.26.510.0", "Two versions", "Remove-AppxProvisionedPackage"}, "DesktopAppInstaller", ""},
		"29": {"F15", PhaseValidate, []string{"22H2", "KB5032278", "newer cumulative update"}, "0x80073cf2", ""},
		"37": {"F48", PhaseProcess, []string{`C:\Program Files\Contoso\agent.dll`, `SysPrepExternal\Generalize\{0f1b3c5e-contoso}`, "access denied", "remove the software"}, "agent.dll", ""},
	} {
		files, err := filepath.Glob(filepath.Join(dir, name+"-*.log"))
		if err != nil || len(files) != 1 {
			t.Errorf("case %s: %d logs (%v)", name, len(files), err)
			continue
		}
		b, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		runs := Split(Parse(b))
		last := runs[len(runs)-1]
		d, ok := Diagnose(last)
		if !ok {
			d, ok = Hang(last.Progress)
		}
		if !ok || d.ID != want.id || d.Phase != want.phase {
			t.Errorf("case %s: %v %s %q %q", name, ok, d.ID, d.Phase, d.Summary)
			continue
		}
		for _, text := range want.texts {
			if !strings.Contains(d.Summary+"\n"+d.Remedy[0], text) {
				t.Errorf("case %s: %q is not in %q / %q", name, text, d.Summary, d.Remedy[0])
			}
		}
		if !strings.Contains(d.Evidence[0], want.first) {
			t.Errorf("case %s: evidence %q", name, d.Evidence)
		}
		if all := strings.Join(d.Evidence, "\n"); want.never != "" && strings.Contains(all, want.never) {
			t.Errorf("case %s: evidence %q", name, all)
		}
		t.Logf("case %s: %s %s | %s", name, d.ID, d.Summary, d.Remedy[0])
	}
}
