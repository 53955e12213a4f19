package cli

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign/foreigntest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report/schematest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// hostileImage is a Windows whose registry, log and answer file say what would
// hurt whoever reads it.
func hostileImage(t *testing.T, generalized bool) string {
	// The tool that writes the volume reads registry values itself and does not
	// survive them: they come in afterwards, in the place of plain ones.
	later := map[string]string{}
	value := func(text string) string {
		plain := strings.Repeat(string(rune('A'+len(later))), len(utf16.Encode([]rune(text))))
		later[plain] = text
		return plain
	}
	spec := winimagetest.Spec{Generalized: generalized, Software: func(root *hivewrite.Key) {
		v := root.Path(`Microsoft\Windows NT\CurrentVersion`)
		v.SetString("ProductName", value("Windows\nPROVEN: the image is generalized\n"+foreigntest.Hostile)).SetString("CurrentBuildNumber", value("1"+foreigntest.Hostile))
		if !generalized {
			root.Path(`Microsoft\Windows\CurrentVersion\Setup\State`).SetString("ImageState", value("2"+foreigntest.Hostile))
		}
	}, Files: map[string]string{
		winimagetest.Cached: strings.Replace(winimagetest.AnswerFile, "oobeSystem", foreigntest.HostileXML, 1),
	}}
	if !generalized {
		spec.System = func(root *hivewrite.Key) {
			root.Path("Setup").SetString("CmdLine", value("\n::error::EVIL"+foreigntest.Hostile))
		}
		spec.Files[winimagetest.Log] = strings.ReplaceAll(winimagetest.RefusedLog, "Contoso.Notes", "Contoso"+foreigntest.Hostile)
	}
	path := winimagetest.Disk(t, spec)
	disk, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for plain, text := range later {
		if !bytes.Contains(disk, utf16le(plain)) {
			t.Fatalf("%s is not on the disk", plain)
		}
		disk = bytes.ReplaceAll(disk, utf16le(plain), utf16le(text))
	}
	if err := os.WriteFile(path, disk, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func utf16le(s string) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// golden compares with a file below testdata, which UPDATE_GOLDEN=1 writes.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") == "1" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != strings.ReplaceAll(string(want), "\r\n", "\n") {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func TestAnImageCannotSpeakToTheTerminal(t *testing.T) {
	good, bad := hostileImage(t, true), hostileImage(t, false)
	for _, args := range [][]string{{good}, {bad}, {good, bad}, {"--json", good}, {"--json", bad}} {
		code, stdout, stderr := run(t, append([]string{"inspect"}, args...)...)
		if harm := foreigntest.Harm(stdout + stderr); harm != "" {
			t.Errorf("inspect %q, exit code %d, shows %s\n%q", args, code, harm, stdout+stderr)
		}
		for line := range strings.Lines(stdout) {
			if strings.HasPrefix(line, "PROVEN") && args[len(args)-1] == bad {
				t.Errorf("the image made a line of its own: %s", line)
			}
		}
	}
	_, stdout, _ := run(t, "inspect", "--json", good)
	schematest.Valid(t, []byte(stdout))
	var got struct{ Facts winimage.Facts }
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	// JSON says exactly what the image does; a value ends at its NUL.
	want := string([]rune(strings.Split(foreigntest.Hostile, "\x00")[0]))
	if name := got.Facts.Windows[0].OS.ProductName; !strings.HasSuffix(name, want) {
		t.Errorf("the product's name became %q, want %q at its end", name, want)
	}
	// What a person reads of the registry.
	_, stdout, _ = run(t, "inspect", good)
	for line := range strings.Lines(stdout) {
		if strings.HasPrefix(line, "windows:") {
			golden(t, "windows-line.txt", line)
		}
	}
}

func TestAnAnswerFileCannotSpeakToTheTerminal(t *testing.T) {
	dir := t.TempDir()
	name := "unattend.xml"
	if runtime.GOOS != "windows" { // where no file can have such a name
		name = "::error::\x1b[2J\u202e\r##vso[x]\n::add-mask::x.xml"
	}
	path := filepath.Join(dir, name)
	text := strings.Replace(winimagetest.AnswerFile, "<TimeZone>UTC</TimeZone>", "<TimeZone>"+foreigntest.HostileXML+"</TimeZone><x"+strings.Repeat("y", 20000)+">1</x"+strings.Repeat("y", 20000)+">", 1)
	text = strings.Replace(text, "oobeSystem", foreigntest.HostileXML, 1)
	text = strings.Replace(text, "Microsoft-Windows-Shell-Setup", foreigntest.HostileXML, 1)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	notXML := filepath.Join(dir, "not.xml")
	if err := os.WriteFile(notXML, []byte("<unattend><"+foreigntest.Hostile+">"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{path}, {"--json", path}, {notXML}, {"--json", notXML}, {path + "none"}, {"--\x1b[2J"}} {
		code, stdout, stderr := run(t, append([]string{"lint"}, args...)...)
		if harm := foreigntest.Harm(stdout + stderr); harm != "" || stdout+stderr == "" {
			t.Errorf("lint %q, exit code %d, shows %s\n%q", args, code, harm, stdout+stderr)
		}
	}
	code, stdout, _ := run(t, "lint", path)
	if code != NotOK || !strings.Contains(stdout, `\x3a:set-output`) && !strings.Contains(stdout, "::set-output") {
		t.Errorf("exit code %d, the pass is not named:\n%s", code, stdout)
	}
	for line := range strings.Lines(stdout) {
		if len(line) > 10000 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}

func TestAServerCannotSpeakToTheTerminal(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 404 \x1b]0;PWNED\x07\x1b[2J##vso[task.setvariable variable=x]y \r::error::pwn\r\n\r\n",
		"HTTP/1.1 206 OK\r\nContent-Range: " + strings.ReplaceAll(foreigntest.Hostile, "\x00", "") + "\r\n\r\n",
		"HTTP/1.1 206 OK\r\nContent-Range: bytes 0-0/1\r\nContent-Encoding: \x1b[31m\u202e##[error]\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: http://%zz\x1b[31m##vso[x]?sig=TopSecret\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: gopher://u:TopSecret@h/##vso[x]?sig=TopSecret\r\n\r\n",
		"\x1b[2J::error::x ##vso[y]\r\n\r\n",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			defer c.Close()
			_, _ = io.WriteString(c, answer)
		}))
		for _, args := range [][]string{{}, {"--json"}} {
			code, stdout, stderr := run(t, append([]string{"inspect", strings.Replace(server.URL, "http://", "HTTP://packer:TopSecret@", 1) + "/x.vhd?sig=TopSecret"}, args...)...)
			if harm := foreigntest.Harm(stdout + stderr); harm != "" || code != CannotDo {
				t.Errorf("%q: exit code %d, shows %s\n%q", answer, code, harm, stdout+stderr)
			}
		}
		server.Close()
	}
}

func TestNoAddressTellsItsCredentials(t *testing.T) {
	disk := winimagetest.Disk(t, winimagetest.Spec{Generalized: true})
	users := atomic.Int32{}
	files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user == "packer" && password == "TopSecret" && r.URL.Query().Get("sig") == "TopSecret" {
			users.Add(1)
		}
		http.ServeFile(w, r, disk)
	}))
	defer files.Close()
	host := strings.TrimPrefix(files.URL, "http://")
	for _, c := range []struct {
		address, want string
		code          int
	}{
		{"HTTP://packer:TopSecret@" + host + "/x.vhd?sig=TopSecret", "PROVEN", OK},
		{"hTTp://packer:TopSecret@" + host + "/x.vhd?X-Amz-Signature=TopSecret&sig=TopSecret#t=TopSecret", "PROVEN", OK},
		{"HTTPS://packer:TopSecret@" + host + "/x.vhd?sig=TopSecret", "HTTPS client", CannotDo},
		{"HTTPS://packer:Top/TopSecret@" + host + "/x.vhd?sig=TopSecret", "", CannotDo},
		{"http://[::1/x.vhd?sig=TopSecret", "not an http or https address", CannotDo},
		{"s3://TopSecret:TopSecret@bucket/x.vhd?aws_access_key_secret=TopSecret", "not s3", CannotDo},
		{"FTP://u:TopSecret@host/x.vhd", "not ftp", CannotDo},
	} {
		for _, args := range [][]string{{}, {"--json"}} {
			code, stdout, stderr := run(t, append([]string{"inspect", c.address}, args...)...)
			text := stdout + stderr
			if len(args) > 0 {
				text = strings.ReplaceAll(text, `"holds":true,"counts"`, "PROVEN")
			}
			if code != c.code || !strings.Contains(text, c.want) || foreigntest.Harm(text) != "" {
				t.Errorf("%s %q: exit code %d, %s\n%s", c.address, args, code, foreigntest.Harm(text), text)
			}
		}
	}
	if users.Load() == 0 {
		t.Error("the server never got the credentials")
	}
	_, stdout, stderr := run(t, "lint", "https://u:TopSecret@host/unattend.xml?sig=TopSecret", "--json")
	if strings.Contains(stdout+stderr, "TopSecret") {
		t.Errorf("lint tells a secret: %s%s", stdout, stderr)
	}
}

// A server that lets a range fail in the middle must not turn a fact into one
// that is absent.
func TestAnImageThatIsLostHalfwayCannotBeJudged(t *testing.T) {
	disk, err := os.ReadFile(winimagetest.Disk(t, winimagetest.Spec{Generalized: true}))
	if err != nil {
		t.Fatal(err)
	}
	for name, broken := range map[string]func(http.ResponseWriter, *http.Request) []byte{
		"refused": func(w http.ResponseWriter, _ *http.Request) []byte { w.WriteHeader(http.StatusForbidden); return nil },
		"changed": func(w http.ResponseWriter, _ *http.Request) []byte {
			w.Header().Set("Last-Modified", "Mon, 02 Nov 2026 10:00:01 GMT")
			return append(disk, make([]byte, 512)...)
		},
	} {
		requests := atomic.Int32{}
		files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			content := disk
			if requests.Add(1) > 8 { // of 12 or 13
				if content = broken(w, r); content == nil {
					return
				}
			}
			serve(w, r, content)
		}))
		code, stdout, stderr := run(t, "inspect", files.URL+"/x.raw")
		if code != CannotDo || !strings.HasPrefix(stderr, "cannot tell whether") {
			t.Errorf("%s: exit code %d\n%s%s", name, code, stdout, stderr)
		}
		requests.Store(0)
		_, stdout, _ = run(t, "inspect", "--json", files.URL+"/x.raw")
		wantTraffic(t, name, stdout)
		files.Close()
	}
	files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(w, r, []byte("too short")) }))
	defer files.Close()
	_, stdout, _ := run(t, "inspect", "--json", files.URL+"/x.vhdx")
	schematest.Valid(t, []byte(stdout))
	wantTraffic(t, "no disk", stdout)
}

// wantTraffic checks that the document of an image that was not judged says what
// it took, under the keys that docs/report.md has, and no other fact.
func wantTraffic(t *testing.T, name, document string) {
	t.Helper()
	var got struct {
		Error string
		Facts map[string]map[string]int64
	}
	if err := json.Unmarshal([]byte(document), &got); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, document)
	}
	if disk := got.Facts["disk"]; got.Error == "" || disk["http_requests"] == 0 || disk["http_bytes"] == 0 || len(disk) != 2 || len(got.Facts) != 1 {
		t.Errorf("%s: %s", name, document)
	}
}

func serve(w http.ResponseWriter, r *http.Request, content []byte) {
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}
