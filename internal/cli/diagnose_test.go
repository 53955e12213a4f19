package cli

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report/schematest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// logsBelow writes files into a new folder.
func logsBelow(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func zipped(t *testing.T, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range files {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "logs.zip")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDiagnoseReadsWhateverHoldsTheLogs(t *testing.T) {
	refused := map[string]string{"Windows/System32/Sysprep/Panther/setupact.log": winimagetest.RefusedLog, "readme.txt": "x", "Windows/setup.etl": "\x00"}
	good := map[string]string{"sysprep/setupact.log": winimagetest.GoodLog}
	refusedDir, goodDir := logsBelow(t, refused), logsBelow(t, good)
	log := filepath.Join(refusedDir, "Windows", "System32", "Sysprep", "Panther", "setupact.log")
	const why = "sysprep refused, nothing was changed: app package Contoso.Notes_1.0.0.0_x64__8wekyb3d8bbwe is installed for a user but not provisioned for all users; next: In Windows PowerShell on the guest: Get-AppxPackage -AllUsers -Name 'Contoso.Notes'"
	disk := winimagetest.Disk(t, winimagetest.Spec{Files: map[string]string{winimagetest.Log: winimagetest.RefusedLog}})
	web := httptest.NewServer(http.FileServer(http.Dir(filepath.Dir(disk))))
	defer web.Close()
	for name, c := range map[string]struct {
		args   []string
		stdin  string
		code   int
		first  string // the beginning of standard output
		stderr string
	}{
		"a log":                 {[]string{log}, "", NotOK, why, ""},
		"a folder":              {[]string{refusedDir}, "", NotOK, why, ""},
		"a zip file":            {[]string{zipped(t, refused)}, "", NotOK, why, ""},
		"a disk":                {[]string{disk}, "", NotOK, why, ""},
		"a disk on the web":     {[]string{web.URL + "/" + filepath.Base(disk)}, "", NotOK, why, ""},
		"standard input":        {[]string{"-"}, winimagetest.RefusedLog, NotOK, why, ""},
		"it, after an option":   {[]string{"--locale", "ja-JP", "--json", "-"}, winimagetest.RefusedLog, NotOK, `{"schema":`, ""},
		"what succeeded":        {[]string{goodDir}, "", OK, "nothing failed: sysprep succeeded", ""},
		"a run cut off":         {[]string{"-"}, winimagetest.CutLog, NotOK, "sysprep did not end: sysprep hangs in GeneralizeForImaging of ", ""},
		"several":               {[]string{goodDir, log}, "", NotOK, goodDir + ": nothing failed", ""},
		"one that is not there": {[]string{log, filepath.Join(refusedDir, "none.log")}, "", CannotDo, log + ": sysprep refused", "cannot tell from "},
		"a folder without logs": {[]string{t.TempDir()}, "", CannotDo, "", "no log of sysprep or Windows Setup"},
		"an empty log":          {[]string{"-"}, "", CannotDo, "", "no log of sysprep"},
		"some other text":       {[]string{"-"}, "hello\nworld\n", CannotDo, "", "no log of sysprep"},
		"nothing named":         {nil, "", CannotDo, "", "no log is named"},
		"an unknown option":     {[]string{"--yaml", log}, "", CannotDo, "", "unknown option"},
		"a locale":              {[]string{"--locale", "ja-JP", log}, "", NotOK, why, ""},
		"no locale":             {[]string{"--locale=klingon", log}, "", CannotDo, "", "--locale klingon: "},
		"a limit":               {[]string{"--timeout=1ns", log}, "", CannotDo, "", "it took longer than 1ns"},
		"a limit of nothing":    {[]string{"--timeout=0s", log}, "", CannotDo, "", "give a time with its unit"},
		"half a zip file":       {[]string{filepath.Join(logsBelow(t, map[string]string{"a.zip": "PK\x03\x04nothing"}), "a.zip")}, "", CannotDo, "", "the zip file cannot be read"},
		"help":                  {[]string{"--help"}, "", OK, "packer-plugin-sysprep diagnose: says why", ""},
	} {
		stdin = strings.NewReader(c.stdin)
		code, stdout, stderr := run(t, append([]string{"diagnose"}, c.args...)...)
		if code != c.code || !strings.HasPrefix(stdout, c.first) || !strings.Contains(stderr, c.stderr) || c.stderr == "" && stderr != "" {
			t.Errorf("%s: exit code %d\n%s\n%s", name, code, stdout, stderr)
		}
	}
	stdin = os.Stdin
}

// Of a very long log the end is read, whatever its encoding.
func TestDiagnoseReadsTheEndOfALongLog(t *testing.T) {
	before := longLog
	t.Cleanup(func() { longLog = before })
	longLog = 16 << 10
	old := strings.Repeat("2020-01-01 00:00:00, Info                  SYSPRP an old line\r\n", 2000)
	wide := []byte{0xff, 0xfe}
	for _, c := range old + winimagetest.RefusedLog {
		wide = append(wide, byte(c), byte(c>>8))
	}
	for name, log := range map[string]string{"UTF-8": "\ufeff" + old + winimagetest.RefusedLog, "UTF-16": string(wide)} {
		dir := logsBelow(t, map[string]string{"setupact.log": log})
		code, stdout, stderr := run(t, "diagnose", filepath.Join(dir, "setupact.log"))
		if code != NotOK || !strings.HasPrefix(stdout, "sysprep refused, nothing was changed: app package Contoso.Notes") || !strings.Contains(stdout, "setupact.log (the last 0 MiB)") {
			t.Errorf("%s: %d\n%s%s", name, code, stdout, stderr)
		}
	}
}

func TestDiagnoseReadsNoBombOfAZipFile(t *testing.T) {
	for name, sizes := range map[string][]uint64{"one log": {1 << 40}, "several": {3 << 29, 3 << 29}, "a sum that overflows": {1 << 63, 1 << 63}} {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for i, size := range sizes {
			h := &zip.FileHeader{Name: fmt.Sprintf("%d/setupact.log", i), Method: zip.Store, UncompressedSize64: size, CompressedSize64: 1}
			if w, err := z.CreateRaw(h); err != nil {
				t.Fatal(err)
			} else if _, err := w.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "bomb.zip")
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := run(t, "diagnose", path)
		if code != CannotDo || !strings.Contains(stderr, "the logs in the zip file have more than 2048 MiB; unpack it") {
			t.Errorf("%s: %d %s", name, code, stderr)
		}
	}
}

// What a person is told first, and what of the machine.
func TestDiagnoseSaysWhatTheMachineIsGoodFor(t *testing.T) {
	const (
		began  = "2026-11-23 12:00:00, Info                         [windeploy.exe] WinDeploy.exe launched with command-line []...\r\n"
		works  = "2026-11-23 12:00:01, Info                  SYSPRP ActionPlatform::LaunchModule: Executing method '"
		passed = "2026-11-23 12:00:02, Info       [0x0601dc] IBS    Setup has completed phase 4\r\n"
		no     = "2026-11-23 12:00:01, Info                         [windeploy.exe] OEM license detected, will not run SetupComplete.cmd\r\n"
	)
	for name, c := range map[string]struct {
		log         string
		code        int
		first, last string
	}{
		"a check that hangs":      {works + "Sysprep_Clean_Validate_Opk' from C:\\Windows\\System32\\spopk.dll\r\n", NotOK, "sysprep did not end: ", "machine: as it was; end sysprep.exe"},
		"a provider that hangs":   {works + "GeneralizeForImaging' from C:\\Windows\\System32\\wuaueng.dll\r\n", NotOK, "sysprep did not end: ", "machine: may still become an image"},
		"a first boot that hangs": {began + works + "Sysprep_Specialize_Pnp' from C:\\Windows\\System32\\sppnp.dll\r\n", NotOK, "the first boot did not end: ", "machine: may still come up"},
		"a command that hangs":    {began + "2026-11-23 12:00:02, Info                         [SETUPUGC.EXE] Running RunSynchronousCommand 2: cmd /c pause\r\n", NotOK, "the first boot did not end: Windows Setup stands in command 2 of RunSynchronous in the answer file: cmd /c pause, begun at 2026-11-23 12:00:02; next: Look at that command", "machine: may still come up"},
		"one worth a word":        {began + no + passed, OK, "the first boot: SetupComplete.cmd was not run", "read: standard input"},
		"one that went well":      {began + passed, OK, "nothing failed: Windows Setup ended its part well\n", "read: standard input"},
	} {
		stdin = strings.NewReader(c.log)
		code, stdout, _ := run(t, "diagnose", "-")
		if code != c.code || !strings.HasPrefix(stdout, c.first) || !strings.Contains(stdout, "\n"+c.last) || code == OK && strings.Contains(stdout, "machine:") {
			t.Errorf("%s: %d\n%s", name, code, stdout)
		}
		stdin = strings.NewReader(c.log)
		if _, stdout, _ = run(t, "diagnose", "-", "--json"); strings.Contains(stdout, `"working":"`) != (code == NotOK) {
			t.Errorf("%s: %s", name, stdout)
		}
	}
	stdin = os.Stdin
}

func TestADiskIsToldByItsNameOrItsBeginning(t *testing.T) {
	sector := make([]byte, 512)
	sector[510], sector[511] = 0x55, 0xAA
	for name, c := range map[string]struct {
		begin []byte
		disk  bool
	}{
		"a.vhdx": {nil, true}, "a.IMG": {nil, true}, "a": {nil, false}, "a.log": {sector, false}, "b": {sector, true}, "b.bin": {sector[:511], false},
		"qcow2": {[]byte("QFI\xfb"), true}, "vhdx": {[]byte("vhdxfile"), true}, "vhd": {[]byte("conectix"), true}, "text": {[]byte("2026-11-23"), false},
	} {
		if got := isDisk(name, c.begin); got != c.disk {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Nobody may ever write to standard input.
func TestDiagnoseDoesNotWaitForStandardInputForEver(t *testing.T) {
	in, out := io.Pipe()
	defer out.Close()
	stdin = in
	defer func() { stdin = os.Stdin }()
	code, stdout, stderr := run(t, "diagnose", "-", "--timeout", "10ms")
	if code != CannotDo || stdout != "" || !strings.Contains(stderr, "it took longer than 10ms; allow more with --timeout") {
		t.Errorf("%d\n%s%s", code, stdout, stderr)
	}
}

// The folder that log_directory kept has other files too, and links that lead
// round in a circle.
func TestDiagnoseKnowsTheLogsAmongOtherFiles(t *testing.T) {
	dir := logsBelow(t, map[string]string{"sysprep/setupact.log": winimagetest.RefusedLog, "run.json": `{"options":{}}`, "sysprep/diagerr.xml": "<x/>", "console.png": "\x89PNG", "report.html": "<html>", "servicing/CBS.log": "2026-11-23 12:00:00, Info                  CBS    x\r\n"})
	if err := os.Symlink(dir, filepath.Join(dir, "sysprep", "again")); err != nil {
		testutil.Missing(t, "this user may make no symbolic links: "+err.Error())
	}
	code, stdout, stderr := run(t, "diagnose", dir)
	if code != NotOK || !strings.HasPrefix(stdout, "sysprep refused, nothing was changed: app package Contoso.Notes") || !strings.Contains(stdout, "read: sysprep/setupact.log,") {
		t.Errorf("%d\n%s%s", code, stdout, stderr)
	}
}

func TestDiagnoseAsJSON(t *testing.T) {
	dir := logsBelow(t, map[string]string{"Panther/setupact.log": winimagetest.RefusedLog, "Panther/setup.log": winimagetest.RefusedLog, "CBS.log": "2026-11-23 12:00:00, Info                  CBS    x\r\n"})
	code, stdout, _ := run(t, "diagnose", "--json", dir)
	schematest.Valid(t, []byte(stdout))
	var d struct {
		Subject  string
		Holds    bool
		Findings []struct {
			ID       string
			Evidence []string
			Where    struct{ File string }
		}
		Facts struct {
			Outcome, Phase, Log, Started, Last string
			Options, Logs                      []string
		}
	}
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		t.Fatal(err)
	}
	const file = "Panther/setupact.log"
	if code != NotOK || d.Subject != "log" || d.Holds || len(d.Findings) != 1 || d.Findings[0].ID != "F01" || d.Findings[0].Where.File != file || len(d.Findings[0].Evidence) < 2 {
		t.Errorf("%d %s", code, stdout)
	}
	if f := d.Facts; f.Outcome != "failed" || f.Phase != "validate" || f.Log != file || f.Started != "2026-11-23 12:00:00" || len(f.Options) != 3 || len(f.Logs) != 2 {
		t.Errorf("%+v", f)
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"outcome", "phase", "log", "started", "last", "options", "working", "logs"} {
		if !strings.Contains(string(page), "`facts."+key+"`") {
			t.Errorf("docs/troubleshooting.md does not describe facts.%s", key)
		}
	}
}

// A log holds whatever somebody wrote.
func TestDiagnoseShowsNoControlCharacters(t *testing.T) {
	log := strings.Replace(winimagetest.RefusedLog, "Contoso.Notes", "x\x1b[31m::error::\u202e", 1)
	stdin = strings.NewReader(log)
	defer func() { stdin = os.Stdin }()
	_, stdout, stderr := run(t, "diagnose", "-")
	if strings.ContainsAny(stdout+stderr, "\x1b\u202e") {
		t.Errorf("%q", stdout)
	}
}

// The transcripts in the documentation are what the program says. UPDATE_GOLDEN=1
// writes them anew.
func TestTheTranscriptsInTheDocumentation(t *testing.T) {
	path, err := filepath.Abs(filepath.Join("..", "..", "docs", "troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join("testdata", "diagnose"))
	text := strings.ReplaceAll(string(page), "\r\n", "\n")
	for _, name := range []string{"logs", "setupact.log", "Panther", "stands"} {
		_, stdout, _ := run(t, "diagnose", name)
		begin := "```text said=TestTheTranscriptsInTheDocumentation\n$ packer-plugin-sysprep diagnose " + name + "\n"
		before, rest, ok := strings.Cut(text, begin)
		old, after, ended := strings.Cut(rest, "```\n")
		switch {
		case !ok || !ended:
			t.Errorf("docs/troubleshooting.md has no transcript of diagnose %s", name)
		case os.Getenv("UPDATE_GOLDEN") == "1":
			text = before + begin + stdout + "```\n" + after
		case old != stdout:
			t.Errorf("docs/troubleshooting.md is old (UPDATE_GOLDEN=1 rewrites it); diagnose %s says\n%s", name, stdout)
		}
	}
	if os.Getenv("UPDATE_GOLDEN") == "1" {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// What is read is bounded, whatever it claims to be.
func TestWhatDiagnoseReadsIsBounded(t *testing.T) {
	g := &gathering{ctx: t.Context(), left: 10}
	if err := g.read("a", strings.NewReader("more than ten bytes")); err == nil || !strings.Contains(err.Error(), "name the last one") {
		t.Errorf("%v", err)
	}
	files := map[string]string{}
	for i := range maxLogFiles + 1 {
		files[fmt.Sprintf("%d/setupact.log", i)] = "x"
	}
	for _, path := range []string{logsBelow(t, files), zipped(t, files)} {
		if _, _, err := gather(t.Context(), path, 0, nil); err == nil || !strings.Contains(err.Error(), "name the folder of one machine") {
			t.Errorf("%v", err)
		}
	}
	few := map[string]string{"a/setupact.log": "x", "b": "", "c": "", "d": ""}
	all := maxLogEntries
	defer func() { maxLogEntries = all }()
	maxLogEntries = 3
	for _, path := range []string{logsBelow(t, few), zipped(t, few)} {
		if _, _, err := gather(t.Context(), path, 0, nil); err == nil || !strings.Contains(err.Error(), "holds more than 3 files") {
			t.Errorf("%v", err)
		}
	}
	maxLogEntries = all
	if logs, _, err := gather(t.Context(), zipped(t, map[string]string{"a/setupact.log": "x", "setupact.log/": ""}), 0, nil); err != nil || len(logs) != 1 {
		t.Errorf("a folder in a zip file: %d logs, %v", len(logs), err)
	}
	deep := strings.Repeat("a/", maxLogDepth+1) + "setupact.log"
	if logs, _, err := gather(t.Context(), logsBelow(t, map[string]string{deep: "x"}), 0, nil); err != nil || len(logs) != 0 {
		t.Errorf("%d logs, %v", len(logs), err)
	}
}

// What is beside a log or a folder that cannot be read is judged, and what was not
// read is said; the exit code is not that of a success then.
func TestDiagnoseNamesWhatItCouldNotRead(t *testing.T) {
	before := walk
	t.Cleanup(func() { walk = before })
	walk = func(root string, visit fs.WalkDirFunc) error {
		return before(root, func(name string, e fs.DirEntry, err error) error {
			result := visit(name, e, err)
			if result == nil && e.Name() == "locked" {
				if result = visit(name, e, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}); result == nil {
					result = fs.SkipDir
				}
			}
			return result
		})
	}
	disk := func(log string) string {
		return winimagetest.Disk(t, winimagetest.Spec{Files: map[string]string{winimagetest.Log: log, `\Windows\Panther\setupact.log\x`: "x"}})
	}
	for name, c := range map[string]struct {
		path string
		code int
		says []string
	}{
		"a folder beside a failure": {logsBelow(t, map[string]string{"a/setupact.log": winimagetest.RefusedLog, "locked/setupact.log": winimagetest.GoodLog}), NotOK, []string{"sysprep refused", "not read: ", "locked: permission denied"}},
		"a folder beside a success": {logsBelow(t, map[string]string{"a/setupact.log": winimagetest.GoodLog, "locked/setupact.log": winimagetest.GoodLog}), CannotDo, []string{"nothing failed: sysprep succeeded", "locked: permission denied"}},
		"a folder alone":            {logsBelow(t, map[string]string{"locked/setupact.log": winimagetest.GoodLog}), CannotDo, []string{"no log of sysprep or Windows Setup could be read: ", "locked: permission denied"}},
		"a log of a failed disk":    {disk(winimagetest.RefusedLog), NotOK, []string{"sysprep refused", `not read: on the disk: \Windows\Panther\setupact.log: it is a folder`}},
		"a log of a good disk":      {disk(winimagetest.GoodLog), CannotDo, []string{"nothing failed: sysprep succeeded", "not read: on the disk: "}},
	} {
		code, stdout, stderr := run(t, "diagnose", c.path)
		for _, text := range c.says {
			if !strings.Contains(stdout+stderr, text) {
				t.Errorf("%s lacks %q", name, text)
			}
		}
		if code != c.code {
			t.Errorf("%s: exit code %d\n%s%s", name, code, stdout, stderr)
		}
	}
	if _, _, err := gather(t.Context(), filepath.Join(t.TempDir(), "none"), 0, nil); err == nil {
		t.Error("a folder that is not there is read")
	}
	_, stdout, _ := run(t, "diagnose", "--json", logsBelow(t, map[string]string{"a/setupact.log": winimagetest.RefusedLog, "locked/setupact.log": ""}))
	schematest.Valid(t, []byte(stdout))
	if !strings.Contains(stdout, `"unread":[`) {
		t.Errorf("%s", stdout)
	}
}

// Errors that nobody knows are shown, and are not called nothing.
func TestDiagnoseSaysThatErrorsAreNotKnown(t *testing.T) {
	excerpt := "2026-11-23 12:00:00, Error                 SYSPRP Contoso: the frobnicator did not answer, password=TopSecret1\r\n" +
		strings.Repeat("2026-11-23 12:00:01, Error                 SYSPRP Contoso: another thing\r\n2026-11-23 12:00:02, Error                 SYSPRP Contoso: a third\r\n", 3)
	stdin = strings.NewReader(excerpt)
	t.Cleanup(func() { stdin = os.Stdin })
	code, stdout, stderr := run(t, "diagnose", "-")
	for _, text := range []string{"not known: the log has errors that the catalogue does not know", "error: 2026-11-23 12:00:00, Error                 SYSPRP Contoso: the frobnicator", "error: and 4 more", "read: standard input"} {
		if !strings.Contains(stdout, text) {
			t.Errorf("no %q", text)
		}
	}
	if code != CannotDo || strings.Contains(stdout, "nothing failed") || strings.Contains(stdout, "TopSecret1") {
		t.Errorf("%d\n%s%s", code, stdout, stderr)
	}
	stdin = strings.NewReader(excerpt)
	_, stdout, _ = run(t, "diagnose", "--json", "-")
	schematest.Valid(t, []byte(stdout))
	if !strings.Contains(stdout, `"outcome":"undecided"`) || !strings.Contains(stdout, `"error_count":7`) {
		t.Error(stdout)
	}
}
