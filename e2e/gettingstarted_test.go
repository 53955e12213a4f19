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
	"slices"
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
	block := regexp.MustCompile("(?ms)^```(\\w+)([^\n]*)\n(.*?)^```")
	saved := regexp.MustCompile("[Ss]ave (?:this|it) as `([\\w.]+)`")
	end, commands := 0, 0
	for _, m := range block.FindAllStringSubmatchIndex(page, -1) {
		part := func(i int) string {
			if m[2*i] < 0 {
				return ""
			}
			return page[m[2*i]:m[2*i+1]]
		}
		kind, marks, body := part(1), strings.Fields(part(2)), part(3)
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
			if !slices.Contains(marks, "norun="+t.Name()) { // another reason
				continue
			}
			want := "0"
			for _, mark := range marks {
				if code, ok := strings.CutPrefix(mark, "exit="); ok {
					want = code
				}
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
		if !strings.Contains(string(said), strings.TrimSuffix(line, " ...")) {
			t.Errorf("the page shows a line that was not said:\n%s", line)
		}
	}
	for _, line := range unsaid(t, string(said)) {
		t.Errorf("a page shows a line that was not said:\n%s", line)
	}
	if t.Failed() {
		t.Logf("%s", said)
	}
	t.Logf("%d commands in %s", commands, time.Since(started).Round(time.Second))
}

// unsaid are the lines of blocks that are marked with said=, of any page, which the test of
// that name did not see. Numbers and ids differ from run to run and are not compared; a
// line may be cut by "...".
func unsaid(t *testing.T, said string) (lines []string) {
	t.Helper()
	pages, err := testutil.Pages(os.DirFS(testutil.Root()))
	if err != nil {
		t.Fatal(err)
	}
	same := func(text string) string {
		return regexp.MustCompile(`\d+`).ReplaceAllString(regexp.MustCompile(`[0-9a-f]{12}`).ReplaceAllString(text, "0"), "0")
	}
	said = same(said)
	found := 0
	for _, page := range pages {
		for _, b := range page.Blocks() {
			if b.Marks["said"] != t.Name() {
				continue
			}
			for line := range strings.Lines(b.Text) {
				found++
				if line = strings.TrimSpace(line); !strings.Contains(said, same(strings.TrimSuffix(line, " ..."))) {
					lines = append(lines, b.Where+": "+line)
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("%d lines of pages were found", found)
	}
	return lines
}
