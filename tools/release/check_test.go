//go:build release

package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/version"
)

const source = "github.com/packer-plugin-sysprep/sysprep"

// TestARelease builds one twice and lets Packer install it and run from it. It needs
// build/packer: make release-check.
func TestARelease(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: Go reads SSL_CERT_FILE on Unix only, and the simulated release is made on Linux")
	}
	files := buildTwice(t)
	host := startHost(t, files, version.Version)
	home, plugins := t.TempDir(), t.TempDir()
	env := host.env(plugins, home)
	guest := startGuest(t)
	template := filepath.Join(home, "build.pkr.hcl")
	if err := os.WriteFile(template, []byte(templateFor(guest.Port)), 0o600); err != nil {
		t.Fatal(err)
	}

	if out := packer(t, env, "init", template); !strings.Contains(out, "Installed plugin "+source+" v"+version.Version) {
		t.Errorf("packer init says:\n%s", out)
	}
	if asked := host.requests(); !slices.ContainsFunc(asked, func(a string) bool { return strings.HasSuffix(a, runtime.GOARCH+".zip") }) || anyRefused(asked) {
		t.Errorf("packer init asked for: %q", asked)
	}
	// A second time there is nothing left to do.
	packer(t, env, "init", template)
	if asked := host.requests(); len(asked) > 0 {
		t.Errorf("a second packer init asked for: %q", asked)
	}
	if out := packer(t, env, "build", "-color=false", template); !strings.Contains(out, "Windows is generalized") {
		t.Errorf("packer build says:\n%s", out)
	}
	if asked := host.requests(); len(asked) > 0 {
		t.Errorf("packer build asked for: %q", asked)
	}

	env = host.env(t.TempDir(), home)
	if out := packer(t, env, "plugins", "install", source, "v"+version.Version); !strings.Contains(out, "Installed plugin "+source) {
		t.Errorf("packer plugins install says:\n%s", out)
	}

	// A file that was changed on the way is refused.
	spoiled := filepath.Join(files, release{version: version.Version}.stem(runtime.GOOS+"/"+runtime.GOARCH)+".zip")
	f, err := os.OpenFile(spoiled, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err := tryPacker(t, host.env(t.TempDir(), home), "init", template); err == nil || !strings.Contains(strings.ToLower(out), "checksum") {
		t.Errorf("packer init takes a zip that was changed: %v\n%s", err, out)
	}
}

func anyRefused(asked []string) bool {
	return slices.ContainsFunc(asked, func(a string) bool { return strings.HasPrefix(a, "refused") })
}

// buildTwice builds the release in two folders of different lengths, compares them, and
// returns the files of one. With SYSPREP_RELEASE_FRESH=1 the second has a build cache of its
// own, so that everything is compiled again; otherwise Go reuses what does not depend on the
// folder, which shows that nothing does.
func buildTwice(t *testing.T) string {
	t.Helper()
	platforms := os.Getenv("SYSPREP_RELEASE_PLATFORMS")
	if platforms == "" {
		platforms = "linux/amd64,windows/amd64,darwin/arm64"
	}
	if own := runtime.GOOS + "/" + runtime.GOARCH; !strings.Contains(platforms, own) {
		platforms += "," + own
	}
	commit, err := git(t.Context(), "-C", testutil.Root(), "rev-parse", "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	// Both before the first build, so that an edit meanwhile is no difference.
	trees := []string{filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "another", "folder with a longer name")}
	for _, tree := range trees {
		copySources(t, tree)
	}
	var outs []string
	for i, tree := range trees {
		work := t.TempDir()
		// The settings of whoever builds do not count.
		env := append(os.Environ(), "SOURCE_DATE_EPOCH=1767355200", "GOFLAGS=", "GOARM=5")
		if i == 1 && os.Getenv("SYSPREP_RELEASE_FRESH") == "1" {
			env = append(env, "GOCACHE="+filepath.Join(work, "cache"))
		}
		started := time.Now()
		out := filepath.Join(work, "files")
		runIn(t, env, tree, "go", "run", "./tools/release", "-out", out, "-platforms", platforms, "-commit", commit)
		t.Logf("%s in %d s", platforms, int(time.Since(started).Seconds()))
		outs = append(outs, out)
	}
	same(t, outs[0], outs[1])
	wholesome(t, outs[0], len(strings.Split(platforms, ",")))
	checkParts(t, outs[0])
	return outs[0]
}

// same compares two releases, file by file.
func same(t *testing.T, one, other string) {
	t.Helper()
	names := func(folder string) (all []string) {
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			all = append(all, e.Name())
		}
		return all
	}
	if a, b := names(one), names(other); !slices.Equal(a, b) || len(a) == 0 {
		t.Fatalf("the releases have other files: %q and %q", a, b)
	}
	for _, name := range names(one) {
		a, b := read(t, filepath.Join(one, name)), read(t, filepath.Join(other, name))
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs between two folders: %d and %d bytes", name, len(a), len(b))
		}
	}
}

// wholesome holds the files against each other.
func wholesome(t *testing.T, folder string, platforms int) {
	t.Helper()
	base := release{version: version.Version}.base()
	lines := strings.Fields(string(read(t, filepath.Join(folder, base+"_SHA256SUMS"))))
	if want := 2 * (2*platforms + 2); len(lines) != want {
		t.Fatalf("SHA256SUMS has %d words, want %d", len(lines), want)
	}
	for i := 0; i < len(lines); i += 2 {
		sum := sha256.Sum256(read(t, filepath.Join(folder, lines[i+1])))
		if hex.EncodeToString(sum[:]) != lines[i] {
			t.Errorf("the sum of %s is wrong", lines[i+1])
		}
		if !strings.HasSuffix(lines[i+1], ".zip") {
			continue
		}
		z, err := zip.OpenReader(filepath.Join(folder, lines[i+1]))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range z.File {
			names = append(names, f.Name)
		}
		z.Close()
		program := strings.TrimSuffix(lines[i+1], ".zip")
		if strings.Contains(program, "_windows_") {
			program += ".exe"
		}
		if want := []string{program, "LICENSE.txt", "THIRD_PARTY_NOTICES.txt"}; !slices.Equal(names, want) {
			t.Errorf("%s holds %q, want %q", lines[i+1], names, want)
		}
	}
}

// copySources copies what git knows, as it stands in the work tree.
func copySources(t *testing.T, to string) {
	t.Helper()
	list, err := git(t.Context(), "-C", testutil.Root(), "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Split(strings.Trim(list, "\x00"), "\x00") {
		if strings.Contains(name, "testdata/") {
			continue // of tests only
		}
		content, err := os.ReadFile(filepath.Join(testutil.Root(), name))
		if os.IsNotExist(err) {
			continue // deleted, not committed
		}
		if err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func startGuest(t *testing.T) *winsim.Running {
	t.Helper()
	guest, err := winsim.Start(t.Context(), winsim.Options{Root: t.TempDir(), User: "packer", Password: "packer"},
		winsim.ServerOptions{Addr: testutil.FreeAddr(t), SSHAddr: testutil.FreeAddr(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := guest.Close(); err != nil {
			t.Error(err)
		}
	})
	return guest
}

func templateFor(port int) string {
	return fmt.Sprintf(`packer {
  required_plugins {
    sysprep = {
      source  = %q
      version = "= %s"
    }
  }
}

source "null" "windows" {
  communicator   = "winrm"
  winrm_host     = "127.0.0.1"
  winrm_port     = %d
  winrm_username = "packer"
  winrm_password = "packer"
}

build {
  sources = ["source.null.windows"]
  provisioner "sysprep" {}
}
`, source, version.Version, port)
}

func packer(t *testing.T, env []string, args ...string) string {
	t.Helper()
	out, err := tryPacker(t, env, args...)
	if err != nil {
		t.Fatalf("packer %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func tryPacker(t *testing.T, env []string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(testutil.Root(), "build", "packer"), args...)
	cmd.Env, cmd.Dir, cmd.WaitDelay = env, t.TempDir(), 10*time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func runIn(t *testing.T, env []string, folder string, line ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env, cmd.Dir = env, folder
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(line, " "), err, out)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
