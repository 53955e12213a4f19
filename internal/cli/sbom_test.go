package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/sbom"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// stocked is a Windows with a program, an update and a user.
func stocked(program string) winimagetest.Spec {
	user := hivewrite.NewKey("ROOT")
	user.Path(`Software\Microsoft\Windows\CurrentVersion\Uninstall\Editor`).SetString("DisplayName", "Editor").SetString("DisplayVersion", "1.96.0")
	return winimagetest.Spec{
		Generalized: true, Volume: 8 << 20,
		Software: func(root *hivewrite.Key) {
			root.Path(`Microsoft\Windows\CurrentVersion\Uninstall\{1}`).SetString("DisplayName", program).SetString("DisplayVersion", "2.0").SetString("Publisher", "Contoso")
			root.Path(`Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages\Package_for_KB5005039~31bf3856ad364e35~amd64~~10.0.1.2`).SetDWord("CurrentState", 0x70)
		},
		Files: map[string]string{`\Users\Default\NTUSER.DAT`: string(hivewrite.Build(user, "NTUSER.DAT"))},
	}
}

// bill is a document, and its components by name.
func bill(t *testing.T, text string) (doc sbom.Document, by map[string]sbom.Component) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatalf("%v\n%.2000s", err, text)
	}
	by = map[string]sbom.Component{}
	for _, c := range doc.Components {
		by[c.Name] = c
	}
	return doc, by
}

func TestTheBillOfADisk(t *testing.T) {
	disk := winimagetest.Disk(t, stocked("Server Agent"))
	code, first, stderr := run(t, "sbom", disk)
	if code != OK || stderr != "" {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	doc, by := bill(t, first)
	system := by["Windows Server 2022 Standard"]
	if doc.Format != "CycloneDX" || system.Type != "operating-system" || !strings.HasPrefix(system.CPE, "cpe:2.3:o:microsoft:windows_server_2022:10.0.20348.") {
		t.Errorf("%+v", system)
	}
	if c := by["Server Agent"]; c.Version != "2.0" || c.Publisher != "Contoso" || c.Ref != "program:machine::{1}" {
		t.Errorf("%+v", c)
	}
	if c := by["Editor"]; c.Version != "1.96.0" || c.Ref != "program:user:Default:Editor" {
		t.Errorf("%+v", c)
	}
	if by["KB5005039"].Ref == "" || by["Package_for_KB5005039"].Version != "10.0.1.2" {
		t.Errorf("%+v", by)
	}

	// Whatever holds it and wherever it goes, the document is the same.
	src, err := diskimage.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	other := filepath.Join(t.TempDir(), "other name.vhdx")
	if _, err := diskimage.Convert(context.Background(), src, other, diskimage.Options{Format: diskimage.VHDX}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "windows.cdx.json")
	code, stdout, stderr := run(t, "sbom", other, "-o", file)
	b, err := os.ReadFile(file)
	if err != nil || code != OK || string(b) != first || !strings.Contains(stdout, file+": Windows Server 2022 Standard 10.0.20348.") || stderr != "" {
		t.Errorf("exit code %d, %v\n%s\n%s", code, err, stdout, stderr)
	}
	if code, stdout, stderr := run(t, "sbom", "-q", other, "-o", file); code != OK || stdout != "" || stderr != "" {
		t.Errorf("exit code %d\n%s\n%s", code, stdout, stderr)
	}
	raw, err := os.ReadFile(disk)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(w, r, raw) }))
	defer server.Close()
	if code, stdout, stderr := run(t, "sbom", server.URL+"/windows.raw"); code != OK || stdout != first {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
}

func TestTheBillTellsByItsExitCode(t *testing.T) {
	two := stocked("First")
	beside := stocked("Second")
	two.Beside = &beside
	several := winimagetest.Disk(t, two)
	broken := stocked("Agent")
	broken.Files[`\Users\Default\NTUSER.DAT`] = strings.Repeat("garbage!", 2000)
	lost := winimagetest.Disk(t, broken)
	other := stocked("Agent")
	other.BitLocker = true
	half := winimagetest.Disk(t, other)
	locked := winimagetest.Disk(t, winimagetest.Spec{Empty: true, BitLocker: true, Volume: 4 << 20})
	garbage := filepath.Join(t.TempDir(), "garbage.vhdx")
	if err := os.WriteFile(garbage, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "none.vhd")
	for _, c := range []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string
	}{
		{"a user's hive that cannot be read", []string{lost}, NotOK, "sysprep:unreadable", `not read to the end: \Users\Default\NTUSER.DAT: the registry hive: corrupt registry hive: no regf signature`},
		{"two Windows", []string{several}, CannotDo, "", "it holds 2 Windows, in the partitions 1 and 2; name one with --windows"},
		{"the first", []string{several, "--windows", "1"}, OK, `"First"`, ""},
		{"the second", []string{several, "--windows=2"}, OK, `"Second"`, ""},
		{"none of them", []string{several, "--windows", "3"}, CannotDo, "", "partition 3 holds no Windows; --windows can name 1 and 2"},
		{"a word for a number", []string{several, "--windows", "all"}, CannotDo, "", "--windows all: give the number of a partition"},
		{"a Windows beside what is locked", []string{half}, OK, `"Agent"`, "beside this Windows: partition 2 is encrypted with BitLocker"},
		{"the same, quietly", []string{"-q", half}, OK, `"Agent"`, ""},
		{"no Windows that can be read", []string{locked}, CannotDo, "", "no Windows was found on it; partition 2 is encrypted with BitLocker"},
		{"garbage", []string{garbage}, CannotDo, "", "cannot list what is on " + garbage},
		{"a missing file", []string{missing}, CannotDo, "", "cannot list what is on " + missing},
		{"no disk", nil, CannotDo, "", "no disk is named"},
		{"two disks", []string{lost, several}, CannotDo, "", "2 disks are named; a document is of one Windows"},
		{"a limit that is over", []string{lost, "--timeout", "1ns"}, CannotDo, "", "it took longer than 1ns; allow more with --timeout"},
		{"the disk as its own output", []string{lost, "-o", lost}, CannotDo, "", "--output " + lost},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := run(t, append([]string{"sbom"}, c.args...)...)
			if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) || c.stdout == "" && stdout != "" || c.stderr == "" && stderr != "" {
				t.Errorf("exit code %d, want %d\n%.2000s\n%s", code, c.code, stdout, stderr)
			}
		})
	}
}

// A result that cannot be written is no success, and no mistake of the command line.
func TestABillThatCannotBeWrittenIsNotTold(t *testing.T) {
	disk := winimagetest.Disk(t, stocked("Agent"))
	out := filepath.Join(t.TempDir(), "bill.json")
	files := http.FileServer(http.Dir(filepath.Dir(disk)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = os.Mkdir(out, 0o755) // while the disk is read; once
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	code, stdout, stderr := run(t, "sbom", "-o", out, server.URL+"/"+filepath.Base(disk))
	if code != CannotDo || stdout != "" || !strings.Contains(stderr, "--output "+out+": it could not be written: ") || strings.Contains(stderr, "usage:") {
		t.Errorf("exit code %d\n%q\n%s", code, stdout, stderr)
	}
	if code, stdout, stderr := run(t, "sbom", "-o", out+"2", disk); code != OK || !strings.HasPrefix(stdout, out+"2: Windows Server 2022 Standard 10.0.") || stderr != "" {
		t.Errorf("exit code %d\n%q\n%s", code, stdout, stderr)
	}
}

func TestABillCannotSpeakToTheTerminal(t *testing.T) {
	spec := stocked("\x1b]0;owned\a##[error]fake \u202e")
	code, stdout, _ := run(t, "sbom", winimagetest.Disk(t, spec))
	if code != OK || strings.ContainsAny(stdout, "\x1b\a\u202e") || strings.Contains(stdout, "##[") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
	if _, by := bill(t, stdout); by["\x1b]0;owned\a##[error]fake \u202e"].Version != "2.0" {
		t.Error("the name is another one")
	}
}
