package diagnosis

import (
	"strings"
	"testing"
)

// What Setup says of an answer file on the screen is what people copy, in their own
// language. It names the pass and, where a setting could not be applied, its
// component, and so does the diagnosis (cschneegans/unattend-generator #356,
// boxcutter/windows-batch #50, hashicorp/packer #5418, rbalsleyMSFT/FFU #29).
func TestAMessageOfSetupOnAnAnswerFileIsRead(t *testing.T) {
	for text, want := range map[string]struct {
		id    string
		names []string
	}{
		"Windows could not parse or process the unattend answer file for pass [specialize]. The settings specified in the answer file cannot be applied. The error was detected while processing settings for component [Microsoft-Windows-Shell-Setup].": {
			"F113", []string{"Microsoft-Windows-Shell-Setup", "pass specialize", "ProductKey", "ComputerName"}},
		"Die Antwortdatei für Durchgang [oobeSystem] konnte nicht verarbeitet werden. Der Fehler ist bei der Komponente [Microsoft-Windows-Shell-Setup] aufgetreten.": {
			"F113", []string{"Microsoft-Windows-Shell-Setup", "pass oobeSystem", "accounts and passwords"}},
		"パス [auditUser] の応答ファイルを処理できません。コンポーネント [Microsoft-Windows-Deployment] でエラーが検出されました。": {
			"F113", []string{"Microsoft-Windows-Deployment", "pass auditUser", "its commands"}},
		"Windows could not parse or process the unattend answer file for pass [specialize]. A component or non-list setting is specified more than once in the answer file.": {
			"F61", []string{"stands twice", "pass specialize", "into one <component>"}},
		`Windows could not parse or process unattend answer file [C:\Windows\Panther\unattend.xml] for pass [windowsPE]. A component or setting specified in the answer file does not exist.`: {
			"F61", []string{"does not have", "pass windowsPE", "misspelt"}},
		"Windows n'a pas pu traiter le fichier de réponses pour la passe [specialize]. Le fichier de réponses n'est pas valide.": {
			"F61", []string{"pass specialize", "lint"}},
		"Der Computer wurde unerwartet neu gestartet, oder ein unerwarteter Fehler ist aufgetreten.": {
			"F84", []string{"failed at first boot"}},
	} {
		f := Collect([]Log{ReadLog("message.txt", []byte(text+"\r\n"))})
		if f.Outcome != Failed || f.Diagnosis == nil || f.Diagnosis.ID != want.id || f.Diagnosis.Phase != PhaseFirstBoot {
			t.Errorf("%s\n%s, %+v", text, f.Outcome, f.Diagnosis)
			continue
		}
		said := f.Diagnosis.Summary + " " + strings.Join(f.Diagnosis.Remedy, " ")
		for _, name := range want.names {
			if !strings.Contains(said, name) {
				t.Errorf("%s\ndoes not say %q: %s", text, name, said)
			}
		}
	}
}

// What is not about an answer file is no log because of a word in brackets.
func TestOtherTextsWithAPassInBracketsAreNoLog(t *testing.T) {
	for _, text := range []string{
		"Running the pass [specialize] now",
		"The answer file is in [C:\\Temp]",
		"- [ ] generalize the image\n- [x] [specialize]",
		"func pass[specialize](x [4]int)",
	} {
		if f := Collect([]Log{ReadLog("notes.txt", []byte(text))}); f.Outcome != NoLog || f.Says != "" {
			t.Errorf("%q: %s %q %+v", text, f.Outcome, f.Says, f.Diagnosis)
		}
	}
}

// Lines as the programs write them that apply an answer file at the first boot
// (VirtualBox/virtualbox #123, AutomatedLab #1488).
func TestASettingThatCouldNotBeAppliedIsNamed(t *testing.T) {
	const gap = "                        "
	for name, c := range map[string]struct {
		lines []string
		id    string
		names []string
	}{
		"a user named like a group": {[]string{"Error" + gap + "[Shell Unattend] UserAccounts: failed to create user account 'NONE' (0x800708af)",
			"Error" + gap + `[windeploy.exe] Command [%windir%\system32\oobe\oobeldr.exe /system] failed with exit code [0x1f]`}, "F114", []string{"NONE", "a group of that name exists"}},
		"a group of another language": {[]string{"Error" + gap + "[Shell Unattend] UserAccounts: failed to add user 'packer' to group 'Administrators' (0x80070560)"}, "F114",
			[]string{"packer", "no local group has that name", "Administratoren"}},
		"a password too short":        {[]string{"Error" + gap + "[Shell Unattend] UserAccounts: failed to create user account 'builder' (0x8007052d)"}, "F95", []string{"builder", "password policy"}},
		"a name that Windows refuses": {[]string{"Error" + gap + "[Shell Unattend] ComputerName: failed to set name 'WIN SRV' (0x8007007b)"}, "F115", []string{"ComputerName", "wrong form"}},
		"an address": {[]string{"Error" + gap + "[NETIOUGC.EXE] TCPIP: Consumer 1 REJECTED the value named 'DhcpEnabled' (under 'Ipv4Settings') with status 0x78.",
			"Error" + gap + "[NETIOUGC.EXE] TCPIP: Error processing values under 'Ipv4Settings' registry key: 0x78."}, "F115", []string{"TCPIP", "DhcpEnabled"}},
	} {
		text := ""
		for _, l := range c.lines {
			text += "2025-01-02 03:04:05, " + l + "\r\n"
		}
		f := Collect([]Log{ReadLog("setuperr.log", []byte(text))})
		if f.Outcome != Failed || f.Diagnosis == nil || f.Diagnosis.ID != c.id {
			t.Errorf("%s: %s, %+v", name, f.Outcome, f.Diagnosis)
			continue
		}
		if _, ok := FirstBoot(LastRun([]byte(text))); ok == (c.id == "F115") {
			t.Errorf("%s: taken for the failure of a first boot: %t", name, ok)
		}
		said := f.Diagnosis.Summary + " " + strings.Join(f.Diagnosis.Remedy, " ")
		for _, want := range c.names {
			if !strings.Contains(said, want) {
				t.Errorf("%s: does not say %q: %s", name, want, said)
			}
		}
		if !strings.Contains(f.Diagnosis.Evidence[0], strings.TrimSpace(c.lines[0][5:])) {
			t.Errorf("%s: evidence %q", name, f.Diagnosis.Evidence)
		}
	}
}

// A build that loops on ImageState and a message on the screen name no cause, and
// tell what to do next (hashicorp/packer #8929, actions/runner-images #6250).
func TestATextThatIsNoLogTellsWhatItMeans(t *testing.T) {
	loop := func(states ...string) string {
		text := "==> azure-arm.w: Provisioning with Powershell...\n"
		for _, s := range states {
			text += strings.Repeat("    azure-arm.w: IMAGE_STATE_"+s+"\n", 700)
		}
		return text
	}
	for text, want := range map[string]string{
		loop("COMPLETE"):                                  "nothing was changed",
		loop("COMPLETE", "UNDEPLOYABLE"):                  "broke off midway",
		loop("UNDEPLOYABLE", "COMPLETE"):                  "nothing was changed",
		loop("SPECIALIZE_RESEAL_TO_OOBE"):                 "its own first boot",
		loop("UNDEPLOYABLE", "GENERALIZE_RESEAL_TO_OOBE"): "came after it",
		"Sysprep was not able to validate your Windows installation.\nReview the log file at": "one of its checks failed",
		"Sysprep was not able to validate\r\nyour Windows installation. Review":               "one of its checks failed",
		"Sysprep n’a pas pu valider votre installation de Windows.":                           "one of its checks failed",
		"A fatal error occurred while trying to sysprep the machine.":                         "failed",
		"Windows Setup could not configure Windows to run on this computer's hardware.":       "specialize",
		"Windows could not complete the installation. To install Windows on this computer":    "audit mode",
		"nothing of the kind": "",
	} {
		for _, content := range [][]byte{[]byte(text), inUTF16(text, 0)} {
			f := Collect([]Log{ReadLog("console.txt", content)})
			if f.Outcome != NoLog || !strings.Contains(f.Says, want) || (want == "") != (f.Says == "") {
				t.Errorf("%.60q: %s, says %q", text, f.Outcome, f.Says)
			}
			if f.Says != "" && !strings.Contains(f.Says, `C:\Windows\`) {
				t.Errorf("%.60q: names no log: %q", text, f.Says)
			}
		}
	}
	log := kindText(t)
	if f := Collect([]Log{ReadLog("console.txt", []byte(loop("COMPLETE")+log))}); f.Outcome != Failed || f.Says != "" {
		t.Errorf("with the lines of a log: %s, %q", f.Outcome, f.Says)
	}
}

// kindText is the log of a refusal.
func kindText(t *testing.T) string {
	t.Helper()
	lines := chain("pre-validate sysprep generalize internal providers", "ValidateBitLockerState", `C:\Windows\System32\BdeSysprep.dll`, "0x80310039", "0x80310039",
		"BitLocker-Sysprep: BitLocker is on for the OS volume. Turn BitLocker off to run Sysprep. (0x80310039)")
	return "2025-01-02 03:04:05, " + strings.Join(lines, "\n2025-01-02 03:04:05, ") + "\n"
}

// A run that began and neither failed nor ended is none that went well, also where
// no provider was at work yet.
func TestARunThatStopsBeforeAnyProviderHasNotEnded(t *testing.T) {
	const at = "2025-01-02 03:04:05, Info                  SYSPRP "
	begun := at + "===          Beginning of a new sysprep run          ===\r\n" + at + "ValidatePrivileges:User has required privileges to sysprep machine\r\n"
	for text, want := range map[string]string{
		begun: "its log stops at \"ValidatePrivileges",
		begun + at + "ParseCommands:Found supported command line option 'OOBE'\r\n":                        "its log stops at \"ParseCommands",
		begun + at + "WinMain:Displaying dialog box for user to choose sysprep mode...\r\n":                "shows its window and waits",
		begun + at + "WinMain:Displaying dialog box for user to choose sysprep mode...\r\n" + at + "x\r\n": "its log stops at \"x\"",
		begun + at + "Shutting down SysPrep log\r\n":                                                       "",
		at + "ValidatePrivileges:User has required privileges to sysprep machine\r\n":                      "",
	} {
		f := Collect([]Log{ReadLog("setupact.log", []byte(text))})
		if (f.Outcome == Hanging) != (want != "") || want != "" && (!strings.Contains(f.Diagnosis.Summary, want) || f.Diagnosis.Phase == PhaseProcess || len(f.Diagnosis.Evidence) == 0) {
			t.Errorf("%s\n%s, %+v", text, f.Outcome, f.Diagnosis)
		}
	}
}

// Of a boot that ended well, and of one before sysprep succeeded, it is worth a word.
func TestASettingThatWasNotAppliedDoesNotUndoASuccess(t *testing.T) {
	const line = "2025-01-02 03:04:05, "
	boot := line + "Info                         [windeploy.exe] WinDeploy.exe launched with command-line []...\r\n" +
		line + "Error                        [Shell Unattend] DisplaySettings failed (0x80070057)\r\n"
	ended := boot + line + "Info       [0x0601dc] IBS    Setup has completed phase 4\r\n"
	if f := Collect([]Log{ReadLog("setupact.log", []byte(ended))}); f.Outcome == Failed {
		t.Errorf("a boot that ended well: %s %+v", f.Outcome, f.Diagnosis)
	}
	if f := Collect([]Log{ReadLog("setupact.log", []byte(boot))}); f.Outcome != Failed {
		t.Errorf("a boot that did not end: %s", f.Outcome)
	}
	for _, b := range []string{boot, ended} {
		f := Collect([]Log{ReadLog("Panther/setupact.log", []byte(b)), ReadLog("Sysprep/Panther/setupact.log", []byte(goodRun))})
		if f.Outcome != Succeeded {
			t.Errorf("before a success: %s %+v", f.Outcome, f.Diagnosis)
		}
	}
}
