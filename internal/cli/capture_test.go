package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

func TestCaptureWritesAWIMOfAProvenDiskOnly(t *testing.T) {
	dir := t.TempDir()
	good, inUse := winimagetest.Disk(t, winimagetest.Spec{Generalized: true, GPT: true}), winimagetest.Disk(t, winimagetest.Spec{})
	empty := winimagetest.Disk(t, winimagetest.Spec{Empty: true, Files: map[string]string{`\a.txt`: "x"}})
	there := filepath.Join(dir, "there.wim")
	if err := os.WriteFile(there, []byte("of somebody"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name           string
		args           []string // WIM stands for a new file
		code           int
		written        bool
		stdout, stderr string
	}{
		{"a generalized image", []string{good, "WIM"}, OK, true, "captured ", ""},
		{"without compression, quietly", []string{good, "WIM", "-q", "--compression", "none"}, OK, true, "", ""},
		{"with LZX", []string{good, "WIM", "--compression", "LZX"}, OK, true, "captured ", ""},
		{"a Windows in use", []string{inUse, "WIM"}, NotOK, false, "", "not captured: "},
		{"a Windows in use, all the same", []string{inUse, "WIM", "--unproven"}, OK, true, "NOT PROVEN (", ""},
		{"no Windows", []string{empty, "WIM", "--unproven"}, CannotDo, false, "", "there is no Windows on the disk"},
		{"another partition", []string{good, "WIM", "--partition", "1", "--unproven"}, CannotDo, false, "", "partition 1 has no Windows; there is one in 2 ("},
		{"another partition, to be proven", []string{good, "WIM", "--partition", "9"}, CannotDo, false, "", "--partition: partition 9 has no Windows; there is one in 2 ("},
		{"a word for a number", []string{good, "WIM", "--partition", "two"}, CannotDo, false, "", "--partition two: give a whole number\n"},
		{"a folder that is not there", []string{good, filepath.Join(dir, "none", "x.wim")}, CannotDo, false, "", "there is no folder " + filepath.Join(dir, "none")},
		{"a missing disk", []string{filepath.Join(dir, "none.vhd"), "WIM"}, CannotDo, false, "", "could not be captured"},
		{"a WIM that is there", []string{good, there}, CannotDo, false, "", "is there already"},
		{"another extension", []string{good, filepath.Join(dir, "x.vhd")}, CannotDo, false, "", "ends in .wim"},
		{"no WIM", []string{good, "--audit"}, CannotDo, false, "", "name a disk and the WIM to write, in this order; files named: 1"},
		{"a compression that there is not", []string{good, "WIM", "--compression", "lzms"}, CannotDo, false, "", "--compression lzms: name one of xpress, lzx, none"},
		{"too little time", []string{good, "WIM", "--timeout", "1ns"}, CannotDo, false, "", "allow more with --timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out.wim")
			args := []string{"capture"}
			for _, arg := range c.args {
				if arg == "WIM" {
					arg = out
				}
				args = append(args, arg)
			}
			code, stdout, stderr := run(t, args...)
			if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
				t.Errorf("code %d, want %d\n%s\n%s", code, c.code, stdout, stderr)
			}
			entries, err := os.ReadDir(filepath.Dir(out))
			if err != nil || len(entries) > 1 || (len(entries) == 1) != c.written {
				t.Errorf("in the folder is %v, %v", entries, err)
			}
		})
	}
	if b, err := os.ReadFile(there); err != nil || string(b) != "of somebody" {
		t.Errorf("another file was replaced: %q, %v", b, err)
	}
	server := httptest.NewServer(http.FileServer(http.Dir(filepath.Dir(good))))
	defer server.Close()
	remote := filepath.Join(dir, "remote.wim")
	if code, stdout, stderr := run(t, "capture", server.URL+"/"+filepath.Base(good)+"?sig=TopSecretSignature", remote); code != OK || strings.Contains(stdout+stderr, "TopSecret") {
		t.Errorf("from a web server: code %d\n%s\n%s", code, stdout, stderr)
	}
	if out, err := exec.Command(testutil.Tool(t, "wimlib-imagex"), "verify", remote).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	code, stdout, stderr := run(t, "capture", "--json", "--force", "--name", "Server & more", "--description", "a <b>", good, there)
	var made Captured
	if err := json.Unmarshal([]byte(stdout), &made); code != OK || err != nil || stderr != "" {
		t.Fatalf("code %d, %v, %s", code, err, stderr)
	}
	if info, err := os.Stat(there); err != nil || info.Size() != made.Size || !made.Proven || made.Name != "Server & more" || made.Partition != 2 || len(made.LeftOut) != 1 {
		t.Errorf("%+v, %v", made, err)
	}
	info, err := exec.Command(testutil.Tool(t, "wimlib-imagex"), "info", there).CombinedOutput()
	if err != nil || !strings.Contains(string(info), "Server & more\n") || !strings.Contains(string(info), "a <b>\n") {
		t.Errorf("%v\n%s", err, info)
	}
}

// What is on a server may be replaced while it is read. The WIM that is there stays then.
func TestCaptureKeepsTheWIMThatIsThereUntilTheNewOneIsWhole(t *testing.T) {
	disk, err := os.ReadFile(winimagetest.Disk(t, winimagetest.Spec{Generalized: true}))
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Repeat([]byte{0xAA}, len(disk))
	var mu sync.Mutex
	asked := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		part := r.Header.Get("Range")
		mu.Lock()
		content := disk
		if part != "" && asked[part] {
			content = other
		}
		asked[part] = true
		mu.Unlock()
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	defer server.Close()
	there := filepath.Join(t.TempDir(), "there.wim")
	if err := os.WriteFile(there, []byte("of last week"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := run(t, "capture", "--force", server.URL+"/disk.raw", there)
	if code != CannotDo || !strings.Contains(stderr, "could not be captured") {
		t.Errorf("code %d\n%s\n%s", code, stdout, stderr)
	}
	t.Log(stderr)
	if b, err := os.ReadFile(there); err != nil || string(b) != "of last week" {
		t.Errorf("what was there is gone: %.20q, %v", b, err)
	}
	if entries, err := os.ReadDir(filepath.Dir(there)); err != nil || len(entries) != 1 {
		t.Errorf("left: %v, %v", entries, err)
	}
}
