package setuplog_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/setuplog"
)

// refused is a whole refused run as sysprep.exe puts it together.
func refused(now time.Time, packages ...string) string {
	run := setuplog.Run{Options: []string{"OOBE", "GENERALIZE", "SHUTDOWN"}, Privileged: true}
	f, _ := setuplog.Find("F01")
	lines := append(run.Begin(now), run.Tag())
	lines = append(lines, run.CommandLine()...)
	lines = append(lines, run.ValidateCleanup()...)
	lines = append(lines, run.CleanupValid()...)
	lines = append(lines, run.ValidateGeneralize()...)
	lines = append(lines, f.Lines(packages)...)
	lines = append(lines, setuplog.End(now)...)
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.Format(now))
	}
	return b.String()
}

func TestRefusedRunIsTheOneOfARealMachineLineByLine(t *testing.T) {
	real, err := os.ReadFile(testutil.Corpus(t, "logs", "ws2022-setupact-complete-refused-run-appx.log"))
	if err != nil {
		t.Fatal(err)
	}
	now, err := time.Parse("2006-01-02 15:04:05", string(real[:19]))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(string(real), "\n"), "\n")
	got := strings.Split(strings.TrimSuffix(refused(now, "Microsoft.Edge.GameAssist_1.0.3423.0_x64__8wekyb3d8bbwe"), "\r\n"), "\r\n")
	if len(want) != 39 {
		t.Fatalf("the sample has %d lines", len(want))
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("line %d\n got %q\nwant %q", i+1, strings.Join(got[min(i, len(got)):min(i+1, len(got))], ""), strings.Join(want[min(i, len(want)):min(i+1, len(want))], ""))
		}
	}
}

func TestErrorsOfAnAppxRefusalAreThoseOfAWindows10Log(t *testing.T) {
	real, err := os.ReadFile(testutil.Corpus(t, "logs", "w10-19041-setuperr-appx-two-packages.log"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.TrimPrefix(string(real), setuplog.BOM)
	if text == string(real) {
		t.Error("the sample has no BOM")
	}
	now, err := time.Parse("2006-01-02 15:04:05", text[:19])
	if err != nil {
		t.Fatal(err)
	}
	f, _ := setuplog.Find("F08")
	var got strings.Builder
	for _, l := range f.Lines([]string{"Microsoft.LanguageExperiencePackes-ES_19041.69.236.0_neutral__8wekyb3d8bbwe"}) {
		if l.Level == setuplog.Error {
			got.WriteString(l.Format(now))
		}
	}
	if !strings.HasPrefix(text, got.String()) {
		t.Errorf("got\n%s\nwant the beginning of\n%s", got.String(), text)
	}
}

// What reference/sysprep.md, section 4, gives as the mark of each class.
var marks = map[string]string{
	"F01": `Package \S+ was installed for a user, but not provisioned for all users`,
	"F02": `Exit code of RemoveAllApps thread was 0x[0-9a-f]+`,
	"F03": `Microsoft\.Winget\.Source_`, "F04": `Microsoft\.DesktopAppInstaller_`, "F05": `Microsoft\.MicrosoftEdge\.Stable_`,
	"F06": `Microsoft\.Edge\.GameAssist_`, "F07": `Microsoft\.(Windows\.)?Copilot`, "F08": `Microsoft\.LanguageExperiencePack([A-Za-z-]+)_`,
	"F09": `Microsoft\.OneDriveSync_`, "F10": `Microsoft\.WidgetsPlatformRuntime_`, "F11": `(MSTeams|MicrosoftTeams)_`, "F12": `NotepadPlusPlus`,
	"F13": `MicrosoftCorporationII\.(WinAppRuntime|WindowsSubsystemForLinux)`, "F14": `Microsoft\.WindowsStore_`, "F15": `0x80073cf2`,
	"F16": `Windows\.MiracastView`, "F17": `SysprepGeneralizeValidate' from .*AppxSysprep\.dll; dwRet = 0x422`, "F18": `0x80073cf2`, "F19": `was installed for a user`,
	"F20": `BitLocker is on for the OS volume\. Turn BitLocker off to run Sysprep\. \(0x80310039\)`,
	"F21": `There are one or more Windows updates that require a reboot`, "F22": `Audit mode cannot be turned on if reserved storage is in use\..*hr = 0x800F0975`,
	"F23": `spopk\.dll:: Failed to query pending CBS operations; hr = 0x[0-9a-f]{8}`, "F24": `require a reboot`, "F26": `require a reboot`,
	"F30": `SLReArmWindows.*(0xc004d307|-1073425657)`, "F31": `Failure executing 'SLReArmWindows' from slc\.dll; dwRet = 0xc004f075`,
	"F32": `Not running DLLs; either the machine is in an invalid state`, "F34": `SysPrepDtc(Cleanup|Generalize|Specialize)' from .*msdtcprx\.dll`,
	"F35": `spwmp\.dll|drmv2clt\.dll`, "F36": `MSSrch_SysPrep_Cleanup`, "F37": `DscCore\.dll,SysPrep_Cleanup', returned error code 0x2`,
	"F38": `RegDeleteValueW for value senseGuid .*; dwRet = 0x5`, "F39": `iesysprep\.dll`, "F40": `Sysprep_Clean_Validate_Opk' from .*spopk\.dll; dwRet = 0x2`,
	"F41": `EvtIntSysprepCleanup' from .*wevtapi\.dll`, "F42": `Sysprep_Generalize_Bcd'?, returned error code 2`, "F43": `LaunchDll:Could not load DLL (\S+)`,
	"F46": `ActionPlatform::Delete(Value|Key).*dwRet = 0x5`, "F50": `Malformed command line detected`, "F53": ``,
	"F60": `The provided unattend file is not valid; hrResult = 0x[0-9a-f]{8}`,
}

func TestEveryClassHasItsMarkAndItsPhase(t *testing.T) {
	for _, f := range setuplog.All() {
		t.Run(f.Class, func(t *testing.T) {
			mark, known := marks[f.Class]
			if !known {
				t.Fatal("no mark in the table")
			}
			var text strings.Builder
			for _, l := range f.Lines(nil) {
				text.WriteString(l.Format(time.Unix(0, 0)))
			}
			if !regexp.MustCompile("(?i)" + mark).MatchString(text.String()) {
				t.Errorf("no %q in\n%s", mark, text.String())
			}
			phase := regexp.MustCompile(`Hit failure while (pre-validate|processing) sysprep`).FindStringSubmatch(text.String())
			switch {
			case f.Phase == setuplog.Validation && f.Class != "F60" && (phase == nil || phase[1] != "pre-validate"):
				t.Error("the last line does not say pre-validate")
			case f.Phase == setuplog.Provider && (phase == nil || phase[1] != "processing"):
				t.Error("the last line does not say processing")
			}
			for line := range strings.Lines(text.String()) {
				if !regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d, (Info |Error)      ((\[0x[0-9a-f]{6}\])|          ) (SYSPRP|CSI   ) .+\r\n$`).MatchString(line) {
					t.Errorf("columns of %q", line)
				}
			}
		})
	}
	if len(marks) != len(setuplog.All()) {
		t.Errorf("%d marks, %d classes", len(marks), len(setuplog.All()))
	}
}
