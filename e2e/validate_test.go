//go:build e2e

package e2e

import (
	"context"
	"errors"
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

// packerLimit is far more than any command needs that starts no build.
const packerLimit = time.Minute

// runPacker runs a Packer command that starts no build in dir, and returns what
// it said and logged and its exit code. It fails the test when anything
// panicked.
func runPacker(t *testing.T, dir string, env []string, args ...string) (out, log string, code int) {
	t.Helper()
	plugins, err := pluginPath()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), packerLimit)
	defer cancel()
	home := t.TempDir()
	cmd := exec.CommandContext(ctx, built("packer"), args...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, append(packerEnv(plugins, home), env...), 5*time.Second
	said, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("packer %v: %v\n%s", args, err, said)
	}
	logged, err := os.ReadFile(filepath.Join(home, "packer.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(said), string(logged)} {
		if strings.Contains(text, "panic:") {
			t.Errorf("packer %v panicked:\n%s", args, text)
		}
	}
	return string(said), string(logged), cmd.ProcessState.ExitCode()
}

// folder makes a folder to run Packer in, with files of any content that the
// templates name.
func folder(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("stands for a disk"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// examples lists the templates that users read, and that therefore have to be
// right: HCL2 and JSON.
func examples(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(testutil.Root(), "example", "*", pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("no example %s: %v", pattern, err)
	}
	return found
}

func exampleName(path string) string { return filepath.Base(filepath.Dir(path)) }

// declared are the arguments for those variables of a template that a user has
// to give.
func declared(t *testing.T, path string) (args []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"source_path": "server2022.vhd", "password": "Build-0nly"} {
		if regexp.MustCompile(`(?m)variable "` + name + `"|"variables".*"` + name + `"`).Match(text) {
			args = append(args, "-var", name+"="+value)
		}
	}
	return args
}

func TestEveryExampleIsValid(t *testing.T) {
	t.Parallel()
	for _, path := range slices.Concat(examples(t, "*.pkr.hcl"), examples(t, "*.json")) {
		t.Run(exampleName(path), func(t *testing.T) {
			t.Parallel()
			dir := folder(t, "server2022.vhd", "server2022.vhdx", "server2022.qcow2")
			args := append([]string{"validate"}, declared(t, path)...)
			out, _, code := runPacker(t, dir, nil, append(args, path)...)
			if code != 0 || !strings.Contains(out, "The configuration is valid.") {
				t.Errorf("exit code %d:\n%s", code, out)
			}
			// The one thing a user has to be told, and only there.
			warned := strings.Contains(out, "Warning:")
			if want := exampleName(path) == "existing"; warned != want {
				t.Errorf("warned: %v, want %v:\n%s", warned, want, out)
			}
		})
	}
}

func TestEveryExampleCanBeInspectedAndIsFormatted(t *testing.T) {
	t.Parallel()
	for _, path := range examples(t, "*.pkr.hcl") {
		t.Run(exampleName(path), func(t *testing.T) {
			t.Parallel()
			dir := folder(t)
			args := append([]string{"inspect"}, declared(t, path)...)
			out, _, code := runPacker(t, dir, nil, append(args, path)...)
			if code != 0 || !strings.Contains(out, "Packer Inspect: HCL2 mode") || !strings.Contains(out, "sysprep") {
				t.Errorf("inspect: exit code %d:\n%s", code, out)
			}
			for _, secret := range []string{"Build-0nly", "Demo-Passw0rd"} {
				if strings.Contains(out, secret) {
					t.Errorf("inspect shows a password; declare its variable sensitive:\n%s", out)
				}
			}
			if out, _, code := runPacker(t, dir, nil, "fmt", "-check", "-diff", path); code != 0 {
				t.Errorf("fmt: exit code %d:\n%s", code, out)
			}
		})
	}
}

// TestPackersOlderWireFormat covers the other encoding that Packer and plugins
// talk in: Packer falls back to it as soon as one plugin knows no other.
func TestPackersOlderWireFormat(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env  []string
		want string
	}{
		"gob":      {[]string{"PACKER_FORCE_GOB=1"}, "receiving ConfigSpec as gob"},
		"protobuf": {nil, "receiving ConfigSpec as protobuf"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t, "disk.vhd")
			template := filepath.Join(dir, "t.pkr.hcl")
			write(t, template, builderTemplate(disk+login+`qemu_arguments = ["-device", "usb-tablet"]`)+`
				build {
					sources = ["sysprep-vhd.x"]
					provisioner "sysprep" { extra_arguments = ["/unattended"] }
					post-processor "sysprep-image" {
						format = "vhdx"
						verify { severities = { secrets = "fail" } }
					}
				}`)
			out, log, code := runPacker(t, dir, c.env, "validate", template)
			if code != 0 || !strings.Contains(out, "The configuration is valid.") {
				t.Errorf("exit code %d:\n%s", code, out)
			}
			if !strings.Contains(log, c.want) {
				t.Errorf("the log does not say %q", c.want)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
