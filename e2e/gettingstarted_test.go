//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// TestThePageForBeginners follows docs/getting-started.md to the letter: it saves the
// templates, runs the commands in one shell, and looks for each line of output
// that the page shows in what was said up to there.
func TestThePageForBeginners(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(testutil.Root(), "docs", "getting-started.md"))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)
	listener.Close()
	// The port of the page may be in use here.
	page := strings.ReplaceAll(string(text), "winrm_port     = 5985", "winrm_port     = "+port)
	page = strings.ReplaceAll(page, "winsim serve ", "winsim serve -listen 127.0.0.1:"+port+" ")

	dir := t.TempDir()
	if err := os.Symlink(built(""), filepath.Join(dir, "build")); err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	var shown []string // lines of output
	script.WriteString("set -u\n")
	block := regexp.MustCompile("(?ms)^(<!-- ([^\n]*) -->\n)?```(\\w+)\n(.*?)^```")
	saved := regexp.MustCompile("[Ss]ave (?:this|it) as `([\\w.]+)`")
	end, commands := 0, 0
	for _, m := range block.FindAllStringSubmatchIndex(page, -1) {
		part := func(i int) string {
			if m[2*i] < 0 {
				return ""
			}
			return page[m[2*i]:m[2*i+1]]
		}
		mark, kind, body := part(2), part(3), part(4)
		between := page[end:m[0]]
		end = m[1]
		switch kind {
		case "hcl":
			names := saved.FindAllStringSubmatch(between, -1)
			if len(names) != 1 {
				t.Fatalf("before a template there is no file name: %q", between)
			}
			if err := os.WriteFile(filepath.Join(dir, names[0][1]), []byte(body), 0o600); err != nil {
				t.Fatal(err)
			}
		case "text":
			shown = append(shown, strings.Split(strings.TrimSpace(body), "\n")...)
		case "shell":
			if strings.HasPrefix(mark, "not run") {
				continue
			}
			want := "0"
			if code, ok := strings.CutPrefix(mark, "exit code "); ok {
				want = code
			} else if mark != "" {
				t.Fatalf("what does %q mean?", mark)
			}
			for _, line := range strings.Split(strings.TrimSpace(body), "\n") {
				commands++
				fmt.Fprintf(&script, "%s\ncode=$?; [[ $code == %s ]] || { echo \"WRONG: exit code $code of: %s\"; exit 9; }\n", line, want, strings.NewReplacer(`"`, "'", `$`, "").Replace(line))
				if strings.HasSuffix(line, "&") {
					script.WriteString("for i in $(seq 100); do grep -q listening guest.log && break; sleep 0.1; done\n")
				}
			}
		default:
			t.Fatalf("a block of kind %q", kind)
		}
	}
	if commands < 9 || len(shown) < 6 {
		t.Fatalf("%d commands and %d lines of output were found", commands, len(shown))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	// A shell with jobs, as a terminal has: the page stops the guest with kill %1.
	cmd := exec.CommandContext(ctx, "bash", "-m", "-c", script.String())
	cmd.Dir, cmd.WaitDelay = dir, 10*time.Second
	cmd.Env = append(packerEnv(filepath.Join(dir, "plugins"), filepath.Join(dir, "home")), "PACKER_NO_COLOR=1")
	if err := os.Mkdir(filepath.Join(dir, "home"), 0o755); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	said, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	for _, line := range shown {
		if !strings.Contains(string(said), line) {
			t.Errorf("the page shows a line that was not said:\n%s", line)
		}
	}
	if t.Failed() {
		t.Logf("%s", said)
	}
	t.Logf("%d commands in %s", commands, time.Since(started).Round(time.Second))
}
