package diagnosis

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
)

// kindLog is one kind of failure as Windows 10 and later write it, without times.
type kindLog struct {
	id    string
	phase Phase
	lines []string
	// names are in the summary or a remedy, proof is in the first line of evidence.
	names []string
	proof string
	// hang: the run has not ended. setup: a log of Windows Setup.
	hang, setup bool
}

const (
	info          = "Info                  SYSPRP "
	fault         = "Error                 SYSPRP "
	validateClean = `Info                  SYSPRP SysprepSession::Validate: Beginning action execution from C:\Windows\System32\Sysprep\ActionFiles\Cleanup.xml`
	validateGen   = `Info                  SYSPRP SysprepSession::Validate: Beginning action execution from C:\Windows\System32\Sysprep\ActionFiles\Generalize.xml`
)

// chain are the lines of a provider that fails.
func chain(phase, entry, dll, code, hr string, own ...string) []string {
	lines := []string{info + "ActionPlatform::LaunchModule: Executing method '" + entry + "' from " + dll}
	for _, l := range own {
		lines = append(lines, fault+l)
	}
	session := "SysprepSession::Validate: Error in validating actions from"
	if !strings.HasPrefix(phase, "pre-validate") {
		session = "SysprepSession::Execute: Error in executing actions from"
	}
	code0 := "0x0f00a8"
	if strings.HasPrefix(phase, "pre-validate") {
		code0 = "0x0f00d8"
	}
	return append(lines,
		"Error      [0x0f0082] SYSPRP ActionPlatform::LaunchModule: Failure occurred while executing '"+entry+"' from "+dll+"; dwRet = "+code,
		fault+session+` C:\Windows\System32\Sysprep\ActionFiles\Generalize.xml; dwRet = `+code,
		fault+"RunPlatformActions:Failed while validating Sysprep session actions; dwRet = "+code,
		"Error      [0x0f0070] SYSPRP RunDlls:An error occurred while running registry sysprep DLLs, halting sysprep execution. dwRet = "+code,
		"Error      ["+code0+"] SYSPRP WinMain:Hit failure while "+phase+"; hr = "+hr,
		"Info       [0x0f0052] SYSPRP Shutting down SysPrep log")
}

func ended(entry, dll string) []string {
	return []string{info + "ActionPlatform::LaunchModule: Executing method '" + entry + "' from " + dll, info + "ActionPlatform::LaunchModule: Successfully executed '" + entry + "' from " + dll}
}

const (
	sys32       = `C:\Windows\System32\`
	preGeneral  = "pre-validate sysprep generalize internal providers"
	preClean    = "pre-validate sysprep cleanup internal providers"
	general     = "processing sysprep generalize internal providers"
	smiOf       = "Error                        [setup.exe] SMI data results dump: Source = Name: %s, Language: neutral, ProcessorArchitecture: amd64, PublicKeyToken: 31bf3856ad364e35, VersionScope: nonSxS, /settings/%s"
	smiWhy      = "Error                        [setup.exe] SMI data results dump: Description = %s"
	smiInvalid  = "Error      [0x060432] IBS    The provided unattend file is not valid; hrResult = %s"
	setupBegins = "Info                         [windeploy.exe] WinDeploy.exe launched with command-line []..."
	childFailed = "Error                        [windeploy.exe] Setup.exe failed, returning exit code [0x1f]"
	// As Windows spells it.
	setupFailed = "Error                        [windeploy.exe] Failure " + "occu" + "red during online installation.  Online installation cannot complete at this time.; hr = 0x80004005"
)

func join(parts ...[]string) []string { return slices.Concat(parts...) }

func kindLogs() map[string]kindLog {
	appx := sys32 + "AppxSysprep.dll"
	opk := sys32 + "spopk.dll"
	validated := join(opening, []string{validateClean}, ended("Sysprep_Clean_Validate_Opk", opk), []string{"Info       [0x0f00d7] SYSPRP WinMain:Pre-validing 'generalize' internal providers.", validateGen})
	working := join(validated, ended("SysprepGeneralizeValidate", appx), []string{processing, executeGeneralize})
	notProvisionedLine := func(name string) string {
		return "Package " + name + " was installed for a user, but not provisioned for all users. This package will not function properly in the sysprep image."
	}
	action := func(operation, component, code, hr string, own string) []string {
		return []string{fault + own, fault + "SysprepSession::ExecuteAction: Failed during " + operation + " operation; dwRet = " + code,
			fault + "SysprepSession::ExecuteInternal: Error in executing action for " + component + "; dwRet = " + code,
			fault + `SysprepSession::Execute: Error in executing actions from C:\Windows\System32\Sysprep\ActionFiles\Generalize.xml; dwRet = ` + code,
			fault + "RunPlatformActions:Failed while executing Sysprep session actions; dwRet = " + code,
			"Error      [0x0f0070] SYSPRP RunDlls:An error occurred while running registry sysprep DLLs, halting sysprep execution. dwRet = " + code,
			"Error      [0x0f00a8] SYSPRP WinMain:Hit failure while processing sysprep generalize internal providers; hr = " + hr}
	}
	return map[string]kindLog{
		"package": {id: "F01", phase: PhaseValidate, lines: join(validated, chain(preGeneral, "SysprepGeneralizeValidate", appx, "0x3cf2", "0x80073cf2",
			notProvisionedLine("Fabrikam.Scanner_3.1.0.0_x64__abcdefghjkmnp"), "Failed to remove apps for the current user: 0x80073cf2.", "Exit code of RemoveAllApps thread was 0x3cf2.")),
			names: []string{"Fabrikam.Scanner_3.1.0.0_x64__abcdefghjkmnp", "Get-AppxPackage -AllUsers -Name 'Fabrikam.Scanner'"}, proof: "Fabrikam.Scanner"},
		"two packages": {id: "F01", phase: PhaseValidate, lines: join(validated, chain(preGeneral, "SysprepGeneralizeValidate", appx, "0x3cf2", "0x80073cf2",
			notProvisionedLine("Fabrikam.Scanner_3.1.0.0_x64__abcdefghjkmnp"), notProvisionedLine("Fabrikam.Viewer_1.0.0.0_x64__abcdefghjkmnp"), "Failed to remove apps for the current user: 0x80073cf2.")),
			names: []string{"Fabrikam.Scanner", "Fabrikam.Viewer_1.0.0.0_x64__abcdefghjkmnp", "-Name 'Fabrikam.Viewer'"}, proof: "Fabrikam."},
		"package in generalize": {id: "F91", phase: PhaseProcess, lines: join(working, chain(general, "SysprepGeneralize", appx, "0x490", "0x80070490",
			"Package Fabrikam.Scanner_3.1.0.0_x64__abcdefghjkmnp failed waiting for remove operation: 0x80070490.")), names: []string{"Fabrikam.Scanner_3.1.0.0_x64__abcdefghjkmnp", "element not found"}, proof: "Fabrikam.Scanner"},
		"service of packages": {id: "F17", phase: PhaseValidate, lines: join(validated, chain(preGeneral, "SysprepGeneralizeValidate", appx, "0x422", "0x80070422")), names: []string{"AppXSvc"}, proof: "0x422"},
		"encrypted volume": {id: "F20", phase: PhaseValidate, lines: join(validated, ended("SysprepGeneralizeValidate", appx), chain(preGeneral, "ValidateBitLockerState", sys32+"BdeSysprep.dll", "0x80310039", "0x80310039",
			"BitLocker-Sysprep: BitLocker is on for the OS volume. Turn BitLocker off to run Sysprep. (0x80310039)[gle=0x00000001]")), names: []string{"BitLocker", "Fully Decrypted"}, proof: "BitLocker is on"},
		"updates": {id: "F21", phase: PhaseValidate, lines: join(opening, []string{validateClean}, chain(preClean, "Sysprep_Clean_Validate_Opk", opk, "0x139f", "0x8007139f",
			"Sysprep_Clean_Validate_Opk: There are one or more Windows updates that require a reboot. To run Sysprep, reboot the computer and restart the application.")), names: []string{"Restart"}, proof: "require a reboot"},
		"open scenario": {id: "F28", phase: PhaseValidate, lines: join(opening, []string{validateClean}, chain(preClean, "Sysprep_Clean_Validate_Opk", opk, "0x975", "0x80070975",
			"Sysprep_Clean_Validate_Opk: Audit mode cannot be turned on if there is an active scenario.; hr = 0x800F0975")), names: []string{"ActiveScenario"}, proof: "active scenario"},
		"unknown provider": {id: "F00", phase: PhaseProcess, lines: join(working, ended("Other", sys32+"other.dll"), chain(general, "ContosoGeneralize", sys32+"contoso.dll", "0x7e", "0x8007007e", "contoso.dll: LoadLibrary of helper.dll failed")),
			names: []string{"'ContosoGeneralize' of C:\\Windows\\System32\\contoso.dll failed with 0x7e", "module not found"}, proof: "helper.dll"},
		"unknown action": {id: "F00", phase: PhaseProcess, lines: join(working, action("deleteKey", "Contoso-Agent-Service", "0x2", "0x80070002", "ActionPlatform::DeleteKey: Error from RegDeleteTreeW under key HKEY_LOCAL_MACHINE\\Software\\Contoso; dwRet = 0x2")),
			names: []string{"the deleteKey action of component Contoso-Agent-Service failed with 0x2", "file not found"}, proof: `Software\Contoso`},
		"locked file": {id: "F47", phase: PhaseProcess, lines: join(working, action("deleteFile", "Contoso-Windows-Backup", "0x80070020", "0x80070020", "ActionPlatform::DeleteFile: Error from DeleteFileW")),
			names: []string{"deleteFile", "Contoso-Windows-Backup", "sharing violation"}, proof: "deleteFile"},
		"protected key": {id: "F46", phase: PhaseProcess, lines: join(working, action("deleteValue", "Contoso-Endpoint", "0x5", "0x80070005", `ActionPlatform::DeleteValue: Error from RegDeleteValueW for value agentId under key HKEY_LOCAL_MACHINE\Software\Contoso\Endpoint; dwRet = 0x5`)),
			names: []string{`HKEY_LOCAL_MACHINE\Software\Contoso\Endpoint`}, proof: "agentId"},
		"other software": {id: "F48", phase: PhaseProcess, lines: join(working, []string{`Info       [0x0f008b] SYSPRP RunRegistryDlls:Found entrypoint in registry at SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\SysPrepExternal\Generalize\{9}; will try to launch 'D:\Tools\backup.dll,OnSysprep'`,
			`Info       [0x0f0080] SYSPRP LaunchDll:Found 'D:\Tools\backup.dll,OnSysprep'; executing it`, `Error      [0x0f0082] SYSPRP LaunchDll:Failure occurred while executing 'D:\Tools\backup.dll,OnSysprep', returned error code 0x5`,
			"Error      [0x0f0070] SYSPRP RunExternalDlls:An error occurred while running registry sysprep DLLs, halting sysprep execution. dwRet = 0x5", "Error      [0x0f00ac] SYSPRP WinMain:Hit failure while processing sysprep generalize external providers; hr = 0x80070005"}),
			names: []string{`D:\Tools\backup.dll`, "access denied"}, proof: "backup.dll"},
		"rearm": {id: "F30", phase: PhaseProcess, lines: join(working, chain(general, "SLReArmWindows", sys32+"slc.dll", "0xc004d307", "0xc004d307")), names: []string{"SkipRearm", "original media"}, proof: "SLReArmWindows"},
		"misplaced setting": {id: "F92", phase: PhaseFirstBoot, setup: true, lines: []string{setupBegins, fmt.Sprintf(smiOf, "Microsoft-Windows-International-Core", "AutoLogon"), fmt.Sprintf(smiWhy, "Die Einstellung ist für diese Komponente nicht definiert."), fmt.Sprintf(smiInvalid, "0x80220001"), childFailed, setupFailed},
			names: []string{"AutoLogon is not a setting of Microsoft-Windows-International-Core (0x80220001", "Move AutoLogon to Microsoft-Windows-Shell-Setup."}, proof: "AutoLogon"},
		"value too long": {id: "F93", phase: PhaseFirstBoot, setup: true, lines: []string{setupBegins, fmt.Sprintf(smiOf, "Microsoft-Windows-Shell-Setup", `FirstLogonCommands/SynchronousCommand/[Order="5"]/CommandLine`), fmt.Sprintf(smiWhy, "Value is invalid."), fmt.Sprintf(smiInvalid, "0x80220005"), childFailed},
			names: []string{`FirstLogonCommands/SynchronousCommand/[Order="5"]/CommandLine`, "at most 1024 characters"}, proof: "CommandLine"},
		"domain": {id: "F96", phase: PhaseFirstBoot, setup: true, lines: []string{setupBegins, "Info                         [DJOIN.EXE] Unattended Join: Calling DsGetDcName for corp.fabrikam.com...",
			"Warning                      [DJOIN.EXE] Unattended Join: DsGetDcName failed: 0x54b, last error is 0x0, will retry in 10 seconds...", "Error                        [DJOIN.EXE] Unattended Join: NetJoinDomain failed error code is [1355]",
			"Error                        [DJOIN.EXE] Unattended Join: Unable to join; gdwError = 0x54b", setupFailed}, names: []string{"DNS"}, proof: "1355"},
		"profile": {id: "F89", phase: PhaseFirstBoot, setup: true, lines: []string{setupBegins, "Error                        [Shell Unattend] _FindLatestProfile failed (0x80070003) [gle=0x00000003]", "Error                        [Shell Unattend] CopyProfile failed (0x80070003) [gle=0x00000003]"}, names: []string{"path not found"}, proof: "_FindLatestProfile"},
		"hang":    {id: "F100", phase: PhaseProcess, hang: true, lines: join(working, ended("SysPrepDtcGeneralize", sys32+"msdtcprx.dll"), []string{info + "ActionPlatform::LaunchModule: Executing method 'GeneralizeForImaging' from " + sys32 + "wuaueng.dll"}), names: []string{"GeneralizeForImaging", "wuauserv"}, proof: "wuaueng.dll"},
		"hang of other software": {id: "F49", phase: PhaseProcess, hang: true, lines: join(working, []string{`Info       [0x0f008b] SYSPRP RunRegistryDlls:Found entrypoint in registry at SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\SysPrepExternal\Generalize\{9}; will try to launch 'D:\Tools\backup.dll,OnSysprep'`,
			`Info       [0x0f0080] SYSPRP LaunchDll:Found 'D:\Tools\backup.dll,OnSysprep'; executing it`}), names: []string{`D:\Tools\backup.dll`, `SysPrepExternal\Generalize\{9}`}, proof: "backup.dll"},
	}
}

var (
	methodBegins = regexp.MustCompile(`Executing method '([^']+)' from (\S+)`)
	methodEnds   = regexp.MustCompile(`LaunchModule: Successfully executed '([^']+)' from (\S+)`)
	methodFails  = regexp.MustCompile(`ActionPlatform::LaunchModule: Failure occurred while executing '([^']+)' from ([^;]+); dwRet = (\S+)`)
	lineHead     = regexp.MustCompile(`^(\w+) +(?:\[(0x[0-9a-f]+)\] )? *(?:([A-Z]{2,8}) +)?(.*)$`)
)

// variants are the ways in which one log can look. Each turns the lines into the
// bytes of a file; nil where a log has no such variant.
var variants = map[string]func(k kindLog) []byte{
	"as it is":                func(k kindLog) []byte { return []byte("\ufeff" + stamp(k.lines...)) },
	"LF":                      func(k kindLog) []byte { return []byte(strings.ReplaceAll(stamp(k.lines...), "\r\n", "\n")) },
	"CR":                      func(k kindLog) []byte { return []byte(strings.ReplaceAll(stamp(k.lines...), "\r\n", "\r")) },
	"UTF-16LE":                func(k kindLog) []byte { return wide("\ufeff"+stamp(k.lines...), false) },
	"UTF-16BE":                func(k kindLog) []byte { return wide("\ufeff"+stamp(k.lines...), true) },
	"UTF-16LE without a mark": func(k kindLog) []byte { return wide(stamp(k.lines...), false) },
	"an ANSI code page": func(k kindLog) []byte {
		text, _ := charmap.Windows1252.NewEncoder().String(stamp(append([]string{info + `ProfileList: C:\Users\Jörg Müller`}, k.lines...)...))
		return []byte(text)
	},
	"Japanese": func(k kindLog) []byte {
		text, _ := japanese.ShiftJIS.NewEncoder().String(strings.ReplaceAll(stamp(append([]string{info + `ProfileList: C:\Users\表示`}, k.lines...)...), "Die Einstellung ist für diese Komponente nicht definiert.", "設定がありません。"))
		return []byte(text)
	},
	"NULs at its end": func(k kindLog) []byte { return append([]byte(stamp(k.lines...)), make([]byte, 5000)...) },
	"NULs in the middle": func(k kindLog) []byte {
		s := stamp(k.lines...)
		i := strings.Index(s, "\r\n") + 2
		return slices.Concat([]byte(s[:i]), make([]byte, 512), []byte(s[i:]))
	},
	"a clock that goes back": func(k kindLog) []byte {
		lines := strings.SplitAfter(stamp(k.lines...), "\n")
		for i := len(lines) / 2; i < len(lines); i++ {
			lines[i] = strings.Replace(lines[i], "2025-07-22 21:", "2025-07-22 13:", 1)
		}
		return []byte(strings.Join(lines, ""))
	},
	"errors only": errorsOnly,
	"errors after an older run's": func(k kindLog) []byte {
		if k.hang || k.setup {
			return nil
		}
		var old []string
		for _, l := range chain(general, "OldGeneralize", sys32+"old.dll", "0x1", "0x80070001", "old.dll: cannot do it") {
			if strings.HasPrefix(l, "Error") {
				old = append(old, l)
			}
		}
		return []byte(at("2025-07-01", stamp(old...)) + string(errorsOnly(k)))
	},
	"cut at both ends": func(k kindLog) []byte {
		from := min(len(opening)+2, len(k.lines)/2)
		if k.setup {
			from = 1
		}
		s := stamp(k.lines[from:]...)
		if k.hang || k.setup {
			return []byte("sed 0\r\n" + s)
		}
		return []byte("sed 0\r\n" + s[:len(s)-20])
	},
	"after a good run": func(k kindLog) []byte {
		if k.setup {
			return nil
		}
		return []byte(at("2025-07-20", goodRun) + stamp(k.lines...))
	},
	"after a refused run": func(k kindLog) []byte {
		if k.setup {
			return nil
		}
		return []byte(at("2025-07-20", refusedRun) + stamp(k.lines...))
	},
	"Windows 8 and Server 2012 to 2016": func(k kindLog) []byte {
		return []byte(methodBegins.ReplaceAllString(stamp(k.lines...), "Found '$1' in $2; executing it"))
	},
	"Windows 7 and Server 2008 R2": func(k kindLog) []byte {
		if k.id == "F00" || k.id == "F17" || k.id == "F20" || strings.HasPrefix(k.names[0], "Fabrikam") || k.id == "F28" {
			return nil // Windows 7 has no such provider, or ones of other names
		}
		s := methodFails.ReplaceAllString(stamp(k.lines...), "LaunchDll:Failure occurred while executing '$2,$1', returned error code $3")
		s = methodEnds.ReplaceAllString(s, "LaunchDll:Successfully executed '$2,$1' without error")
		s = regexp.MustCompile(`ActionPlatform::LaunchModule: Executing method '([^']+)' from (\S+)`).ReplaceAllString(s, "LaunchDll:Found '$2,$1'; executing it")
		return []byte(s)
	},
	"a log viewer": func(k kindLog) []byte {
		if k.setup {
			return nil
		}
		var b strings.Builder
		for i, l := range k.lines {
			m := lineHead.FindStringSubmatch(l)
			id := ""
			if m[2] != "" {
				n, _ := parseCode(m[2])
				id = fmt.Sprintf("%d (0x%x) ", n, n)
			}
			fmt.Fprintf(&b, "07-22-2025 21:%02d:%02d.000 %s %s%s\r\n", i/60, i%60, m[3], id, m[4])
		}
		return []byte(b.String())
	},
	"without times": func(k kindLog) []byte { return []byte(strings.Join(k.lines, "\r\n")) },
	"single blanks": func(k kindLog) []byte {
		return []byte(regexp.MustCompile(` +`).ReplaceAllString(stamp(k.lines...), " "))
	},
	"a quotation": func(k kindLog) []byte {
		return []byte("> " + strings.ReplaceAll(strings.TrimSpace(stamp(k.lines...)), "\n", "\n> "))
	},
	"a numbered list": func(k kindLog) []byte {
		var b strings.Builder
		for i, l := range strings.SplitAfter(stamp(k.lines...), "\n") {
			if l != "" {
				fmt.Fprintf(&b, "  %d. %s", i+1, l)
			}
		}
		return []byte(b.String())
	},
	"wrapped": func(k kindLog) []byte {
		return []byte(regexp.MustCompile(`(?m)^(.{70,}?) (\S)`).ReplaceAllString(stamp(k.lines...), "$1\r\n    $2"))
	},
	"with noise": func(k kindLog) []byte {
		harmless := []string{fault + "MRTGeneralize:107 - ERROR: Failed DeleteInstance AntiSpywareProduct.instanceGuid=\"{1}\" hr=2147749904", fault + "SPPNP: Failed to queue enumerated driver packages. Err = 0x57",
			fault + "BCD: BiUpdateEfiEntry failed c000000d", "Error                 CSI    00000001 (F) HRESULT_FROM_WIN32(ERROR_ACCESS_DENIED) from UnloadStore(target = NULL)", fault + "setupdigetclassdevs failed with error 0", fault + `Unable to uninstall device ROOT\VOLMGR\0000. Err = 0xE0000231`}
		var lines []string
		for i, l := range k.lines {
			if i >= len(opening) && !strings.Contains(l, "SMI data") && !strings.Contains(l, "unattend file is not valid") {
				lines = append(lines, harmless[i%len(harmless)])
			}
			lines = append(lines, l)
		}
		return []byte(stamp(lines...))
	},
	"with noise behind": func(k kindLog) []byte {
		if k.hang {
			return nil
		}
		return []byte(stamp(append(slices.Clone(k.lines), fault+"MRTGeneralize:98 - ERROR: Failed ConnectServer", "Warning               SYSPRP WinMain: File operations pending")...))
	},
}

// errorsOnly is setuperr.log.
func errorsOnly(k kindLog) []byte {
	if k.hang {
		return nil
	}
	return []byte("\ufeff" + stamp(slices.DeleteFunc(slices.Clone(k.lines), func(l string) bool { return !strings.HasPrefix(l, "Error") })...))
}

func wide(s string, big bool) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		if big {
			b = append(b, byte(u>>8), byte(u))
		} else {
			b = append(b, byte(u), byte(u>>8))
		}
	}
	return b
}

// The same failure is told whatever the Windows, the encoding and the way in
// which its log was copied.
func TestEachKindIsToldInWhateverForm(t *testing.T) {
	for name, k := range kindLogs() {
		for form, of := range variants {
			log := of(k)
			if log == nil {
				continue
			}
			page := 0
			if form == "Japanese" {
				page = 932
			}
			r := NewReading("x.log", page)
			for piece := range slices.Chunk(log, 777) {
				if _, err := r.Write(piece); err != nil {
					t.Fatal(err)
				}
			}
			read := r.Log()
			found := Collect([]Log{read})
			d := found.Diagnosis
			if d == nil || d.ID != k.id || d.Phase != k.phase && form != "errors only" {
				summary := ""
				if d != nil {
					summary = d.ID + " " + string(d.Phase) + " " + d.Summary
				}
				t.Errorf("%s, %s: %s %q, want %s %s", name, form, found.Outcome, summary, k.id, k.phase)
				continue
			}
			text := d.Summary + "\n" + strings.Join(d.Remedy, "\n")
			for _, n := range k.names {
				if !strings.Contains(text, n) {
					t.Errorf("%s, %s: %q is not in %q", name, form, n, text)
				}
			}
			first := d.Evidence[0]
			if form == "wrapped" {
				first = regexp.MustCompile(` +`).ReplaceAllString(strings.Join(d.Evidence, " "), " ")
			}
			if !strings.Contains(first, k.proof) {
				t.Errorf("%s, %s: evidence begins with %q", name, form, d.Evidence[0])
			}
			if strings.Contains(strings.Join(d.Evidence, "\n"), "MRTGeneralize") || strings.Contains(text, "{") && !strings.Contains(text, "{9}") && !strings.Contains(text, "| Where-Object {") && !strings.Contains(text, `SysPrepExternal\{Cleanup`) {
				t.Errorf("%s, %s: %q %q", name, form, text, d.Evidence)
			}
		}
	}
}
