package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report/schematest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// run executes a command line and returns what came of it.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = Run(args, &out, &err)
	return code, out.String(), err.String()
}

func TestInspectTellsByItsExitCode(t *testing.T) {
	good, inUse := winimagetest.Disk(t, winimagetest.Spec{Generalized: true}), winimagetest.Disk(t, winimagetest.Spec{})
	garbage := filepath.Join(t.TempDir(), "garbage.vhd")
	if err := os.WriteFile(garbage, bytes.Repeat([]byte("garbage!"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{"a generalized image", []string{good}, OK, "PROVEN", ""},
		{"a Windows in use", []string{inUse}, NotOK, "NOT PROVEN: ", ""},
		{"an image that should start in audit mode", []string{good, "--audit"}, NotOK, "NOT PROVEN: ", ""},
		{"a missing file", []string{filepath.Join(t.TempDir(), "none.vhd")}, CannotDo, "", "cannot tell whether"},
		{"no image", nil, CannotDo, "", "no image is named"},
		{"an unknown option", []string{"--yaml", good}, CannotDo, "", "unknown option --yaml"},
		{"a limit that is over", []string{good, "--timeout", "1ns"}, CannotDo, "", "it took longer than 1ns; allow more with --timeout"},
		{"a limit that is enough", []string{"--timeout=1h", good}, OK, "PROVEN", ""},
		{"a limit without a unit", []string{good, "--timeout=5"}, CannotDo, "", "--timeout 5: give a time with its unit"},
		{"a limit of nothing", []string{good, "--timeout", "-1s"}, CannotDo, "", "--timeout -1s"},
		{"a limit without a value", []string{good, "--timeout"}, CannotDo, "", "option --timeout needs a value"},
		{"a value where none belongs", []string{good, "--json=yes"}, CannotDo, "", "option --json takes no value, and \"yes\" was given"},
		{"help", []string{"--help"}, OK, "usage: ", ""},
		{"many images, a line each, the worst decides", []string{good, inUse, filepath.Join(t.TempDir(), "none.vhd")}, CannotDo, "\nnot proven  " + inUse + ": ", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := run(t, append([]string{"inspect"}, c.args...)...)
			if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
				t.Errorf("exit code %d, want %d\n%s\n%s", code, c.code, stdout, stderr)
			}
		})
	}
	// Whether garbage is a raw disk without Windows or no disk at all, it is not proven.
	if code, stdout, stderr := run(t, "inspect", garbage); code == OK {
		t.Errorf("garbage is proven\n%s\n%s", stdout, stderr)
	}
}

func TestInspectAsJSONIsTheSchemaOfTheReport(t *testing.T) {
	disk, missing := winimagetest.Disk(t, winimagetest.Spec{Generalized: true}), filepath.Join(t.TempDir(), "none.vhd")
	code, stdout, stderr := run(t, "inspect", "--json", disk, missing)
	schematest.Valid(t, []byte(stdout))
	lines := slices.Collect(strings.Lines(stdout))
	if code != CannotDo || stderr != "" || len(lines) != 2 {
		t.Fatalf("exit code %d\n%s\n%s", code, stdout, stderr)
	}
	var first, second struct {
		Schema               int
		Subject, Name, Error string
		Holds                bool
		Findings             []struct{ ID string }
		Facts                *winimage.Facts
	}
	if err := errors.Join(json.Unmarshal([]byte(lines[0]), &first), json.Unmarshal([]byte(lines[1]), &second)); err != nil {
		t.Fatal(err)
	}
	if first.Schema != 2 || first.Subject != "disk" || first.Name != disk || !first.Holds || len(first.Findings) < 20 || first.Facts.Windows[0].Setup.ImageState != "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE" {
		t.Errorf("got %+v", first)
	}
	if second.Holds || second.Findings == nil || second.Facts != nil || !strings.Contains(second.Error, "none.vhd") {
		t.Errorf("got %+v", second)
	}
	if key := regexp.MustCompile(`"[^"]*[A-Z][^"]*":`).FindString(stdout); key != "" {
		t.Errorf("the key %s is not in snake_case", key)
	}
}

func TestInspectSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	code, stdout, _ := run(t, "inspect", winimagetest.Disk(t, winimagetest.Spec{Files: map[string]string{winimagetest.Log: winimagetest.RefusedLog}}))
	if code != NotOK {
		t.Errorf("exit code %d", code)
	}
	clock := regexp.MustCompile(`(?m)^(tag:|answer file:).*`)
	golden(t, "inspect-refused.txt", clock.ReplaceAllString(stdout, "$1"))
}

func TestInspectReadsAnImageWhereItLies(t *testing.T) {
	disk := winimagetest.Disk(t, winimagetest.Spec{Generalized: true})
	files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, disk) }))
	defer files.Close()
	code, stdout, stderr := run(t, "inspect", files.URL+"/image.vhd?sig=TopSecretSignature")
	if code != OK || !strings.Contains(stdout, "traffic:") || strings.Contains(stdout+stderr, "TopSecret") {
		t.Errorf("exit code %d\n%s\n%s", code, stdout, stderr)
	}
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("no ranges here")) }))
	defer plain.Close()
	code, _, stderr = run(t, "inspect", plain.URL+"/image.vhd?sig=TopSecretSignature")
	if code != CannotDo || !strings.Contains(stderr, "range requests") || strings.Contains(stderr, "TopSecret") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
}

func TestLintTellsByItsExitCode(t *testing.T) {
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "unattend.xml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file(`<unattend xmlns="urn:schemas-microsoft-com:unattend"><settings pass="specialize"></settings></unattend>`)
	wrongPass := file(`<unattend xmlns="urn:schemas-microsoft-com:unattend"><settings pass="generalise"></settings></unattend>`)
	for _, c := range []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string
	}{
		{"a good file", []string{good}, OK, ": errors: 0, warnings: 1, info: 0", ""},
		{"an unknown pass", []string{wrongPass}, NotOK, "generalise", ""},
		{"a missing file", []string{filepath.Join(t.TempDir(), "none.xml")}, CannotDo, "", "none.xml"},
		{"no file", nil, CannotDo, "", "no answer file is named"},
		{"as JSON", []string{"--json", wrongPass}, NotOK, `{"id":"pass-unknown","severity":"fail","holds":false,"subject":"answer_file","where":{"file":`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := run(t, append([]string{"lint"}, c.args...)...)
			if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
				t.Errorf("exit code %d, want %d\n%s\n%s", code, c.code, stdout, stderr)
			}
		})
	}
}

func TestLintAsJSONIsTheSchemaOfTheReport(t *testing.T) {
	path, missing := filepath.Join(t.TempDir(), "unattend.xml"), filepath.Join(t.TempDir(), "none.xml")
	text := strings.Replace(winimagetest.AnswerFile, "<TimeZone>UTC</TimeZone>", "<TimeZone>UTC</TimeZone><ProductKey/>", 1)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := run(t, "lint", "--json", path, missing)
	schematest.Valid(t, []byte(stdout))
	lines := slices.Collect(strings.Lines(stdout))
	if code != CannotDo || stderr != "" || len(lines) != 2 {
		t.Fatalf("exit code %d\n%s\n%s", code, stdout, stderr)
	}
	var first, second struct {
		Schema      int
		Name, Error string
		Holds       bool
		Counts      map[string]int
		Findings    []struct{ ID, Severity string }
	}
	if err := errors.Join(json.Unmarshal([]byte(lines[0]), &first), json.Unmarshal([]byte(lines[1]), &second)); err != nil {
		t.Fatal(err)
	}
	if first.Schema != 2 || first.Name != path || first.Holds || first.Counts["fail"] != 2 || len(first.Findings) == 0 {
		t.Errorf("got %+v", first)
	}
	if second.Holds || second.Findings == nil || !strings.Contains(second.Error, "none.xml") {
		t.Errorf("got %+v", second)
	}
	if key := regexp.MustCompile(`"[^"]*[A-Z][^"]*":`).FindString(stdout); key != "" {
		t.Errorf("the key %s is not in snake_case", key)
	}
}

func TestPatternsAreExpandedWhereTheShellDoesNot(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.vhdx", "b.vhdx", "c.vhd", "d[1].vhd"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := func(names ...string) (paths []string) {
		for _, name := range names {
			paths = append(paths, filepath.Join(dir, name))
		}
		return paths
	}
	const address = "https://example.com/a.vhdx?sig=*"
	for _, c := range []struct {
		goos       string
		args, want []string
		wrong      string
	}{
		{"windows", in("*.vhdx", "c.vhd"), in("a.vhdx", "b.vhdx", "c.vhd"), ""},
		{"windows", in("?.vhd"), in("c.vhd"), ""},
		{"windows", in("d[1].vhd"), in("d[1].vhd"), ""},
		{"windows", []string{address}, []string{address}, ""},
		{"windows", in("gone.vhd"), in("gone.vhd"), ""}, // the reader's to tell
		{"windows", in("c.vhd", "*.qcow2"), nil, "no file matches the pattern " + in("*.qcow2")[0]},
		{"windows", in("[.vhd"), nil, "syntax error in pattern"},
		{"linux", in("*.vhdx"), in("*.vhdx"), ""},
	} {
		got, err := expanded(c.goos, c.args)
		if !slices.Equal(got, c.want) || (err != nil) != (c.wrong != "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s %q: %q, %v", c.goos, c.args, got, err)
		}
	}
}

// An image that was booted and failed is not one that sysprep has to run on
// again.
func TestInspectSaysThatAnImageFailedAtItsFirstBoot(t *testing.T) {
	spec := winimagetest.Spec{Generalized: true, Software: func(root *hivewrite.Key) {
		root.Path(`Microsoft\Windows\CurrentVersion\Setup\State`).SetString("ImageState", "IMAGE_STATE_UNDEPLOYABLE")
	}, Files: map[string]string{`\Windows\Panther\setuperr.log`: "2026-07-27 09:00:00, Error                        [windeploy.exe] Setup.exe failed, returning exit code [0x1f]\r\n"}}
	code, stdout, _ := run(t, "inspect", winimagetest.Disk(t, spec))
	first, _, _ := strings.Cut(stdout, "\n")
	if code != NotOK || !strings.HasPrefix(first, "NOT PROVEN: this image was booted and failed at its first boot: ") || !strings.Contains(first, "next: ") {
		t.Errorf("%d %q", code, first)
	}
	if strings.Contains(stdout, "run sysprep /generalize again") || !strings.Contains(stdout, "F84 ") {
		t.Errorf("%s", stdout)
	}
}

func TestInspectHoldsAFileAgainstWhereItGoes(t *testing.T) {
	raw := winimagetest.Disk(t, winimagetest.Spec{Generalized: true})
	d, err := diskimage.Open(raw)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	dir := t.TempDir()
	at := func(name string, o diskimage.Options) string {
		path := filepath.Join(dir, name)
		if _, err := diskimage.Convert(t.Context(), d, path, o); err != nil {
			t.Fatal(err)
		}
		return path
	}
	fixed, qcow2 := at("fixed.vhd", diskimage.Options{Format: diskimage.VHD, AlignMiB: true}), at("disk.qcow2", diskimage.Options{Format: diskimage.QCOW2})
	behind := at("behind.vhd", diskimage.Options{Format: diskimage.VHD, AlignMiB: true})
	if st, err := os.Stat(behind); err != nil || os.Truncate(behind, st.Size()+4096) != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		args   []string
		code   int
		stdout string
	}{
		{"taken", []string{fixed}, OK, "azure:         takes a file like this one"},
		{"taken, asked", []string{fixed, "--for", "azure"}, OK, "PROVEN"},
		{"told", []string{qcow2}, OK, "azure:         not as it is: the file is a VHD: expected vhd, found qcow2; next: "},
		{"refused", []string{qcow2, "--for=azure"}, NotOK, "error: azure-format: the file is a VHD"},
		{"another place", []string{qcow2, "--for=openstack"}, OK, "PROVEN"},
		{"passed off as one", []string{behind}, OK, "warning: azure-footer: "},
		{"passed off as one, asked", []string{behind, "--for=azure"}, NotOK, "error: azure-footer: "},
		{"in a list", []string{fixed, qcow2, "--for=azure"}, NotOK, "not proven  " + qcow2 + ": azure-format"},
	} {
		if code, stdout, stderr := run(t, append([]string{"inspect"}, c.args...)...); code != c.code || !strings.Contains(stdout, c.stdout) {
			t.Errorf("%s: exit code %d, want %d\n%s\n%s", c.name, code, c.code, stdout, stderr)
		}
	}
	if code, _, stderr := run(t, "inspect", fixed, "--for", "gcp"); code != CannotDo || !strings.Contains(stderr, "--for gcp: name one of azure, hyperv, aws, openstack") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

// TestInspectNamesWhatIsNoDisk: what it is and the way out, and no judgement.
func TestInspectNamesWhatIsNoDisk(t *testing.T) {
	for content, says := range map[string]string{
		"\x1f\x8b\x08" + strings.Repeat("x", 1024): "this is a gzip file; unpack it first",
		"<html><title>Sign in</title></html>":      "this is an HTML page (\"Sign in\"); the download went wrong",
		"":                                         "the file is empty",
	} {
		path := filepath.Join(t.TempDir(), "disk.vhd")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, stdout, stderr := run(t, "inspect", path); code != CannotDo || !strings.Contains(stderr, says) || stdout != "" {
			t.Errorf("%q: exit code %d\n%s\n%s", says, code, stdout, stderr)
		}
	}
}

// full is where nothing can be written any more.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// A text that is lost is no success of a command, or a script takes half a report for whole.
func TestAResultThatCannotBeWrittenIsSaid(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"lint", "--help"}, {"inspect", "--help"}} {
		var said bytes.Buffer
		if code := Run(args, full{}, &said); code != CannotDo || !strings.Contains(said.String(), "no space left on device") {
			t.Errorf("%q: exit code %d: %s", args, code, said.String())
		}
	}
}
