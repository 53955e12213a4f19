//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/boot"
)

// unattendedAnswers goes on to audit mode, runs a command there, and ends as told.
func unattendedAnswers(command, generalize string) string {
	component := `<component name="Microsoft-Windows-Deployment" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">`
	return `<?xml version="1.0" encoding="utf-8"?>
<unattend xmlns="urn:schemas-microsoft-com:unattend" xmlns:wcm="http://schemas.microsoft.com/WMIConfig/2002/State">
  <settings pass="oobeSystem">` + component + `<Reseal><Mode>Audit</Mode></Reseal></component></settings>
  <settings pass="auditUser">` + component + `
    <RunSynchronous><RunSynchronousCommand wcm:action="add"><Order>1</Order><Path>` + command + `</Path></RunSynchronousCommand></RunSynchronous>
    ` + generalize + `</component></settings>
</unattend>
`
}

const (
	configures    = `cmd /c echo configured&gt;C:\configured.txt`
	generalizeOff = `<Generalize><Mode>OOBE</Mode><ForceShutdownNow>true</ForceShutdownNow></Generalize>`
)

// unattendedDisk makes the disk of a generalized Windows that keeps an answer file,
// as an image is that was made with one.
func unattendedDisk(t *testing.T, answers string) string {
	t.Helper()
	for _, name := range []string{"qemu-system-x86_64", "wimlib-imagex", "mkntfs"} {
		testutil.Tool(t, name)
	}
	dir := t.TempDir()
	root := filepath.Join(dir, "guest")
	off := make(chan winsim.PowerEvent, 1)
	guest, err := winsim.New(winsim.Options{Root: root, User: "packer", Password: guestPassword, Speed: 100, Power: func(e winsim.PowerEvent) { off <- e }})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(guest.Host(`C:\unattend.xml`), []byte(answers), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := guest.Command(t.Context(), `C:\Windows\System32\Sysprep\sysprep.exe /generalize /oobe /shutdown /quiet /unattend:C:\unattend.xml`); err != nil {
		t.Fatal(err)
	}
	select {
	case <-off:
	case <-time.After(buildLimit):
		t.Fatal("the guest is not off")
	}
	if err := guest.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "source.raw")
	ctx, cancel := context.WithTimeout(t.Context(), buildLimit)
	defer cancel()
	err = boot.MakeDisk(ctx, boot.DiskSpec{
		Path: path, Kernel: filepath.Join(testutil.Root(), ".cache", "kernel"), Self: built("winsim"), Windows: filepath.Join(root, "C"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// unattendedLimit ends a Packer that hangs: the passes are several boots, and a guest
// that stands still is waited for.
const unattendedLimit = 15 * time.Minute

// startUnattended boots such a disk without a communicator.
func startUnattended(t *testing.T, disk string, scenario winsim.Scenario, options ...string) *packerRun {
	t.Helper()
	text, err := json.Marshal(scenario)
	if err != nil {
		t.Fatal(err)
	}
	plugins, err := pluginPath()
	if err != nil {
		t.Fatal(err)
	}
	return startWithin(t, unattendedLimit, []string{built("packer")}, plugins, fmt.Sprintf(`
source "sysprep-vhd" "windows" {
  source_path      = %q
  communicator     = "none"
  memory           = 512
  cpus             = 1
  accelerator      = "tcg"
  qemu_arguments   = ["-fw_cfg", %q]
  output_directory = "output"
  output_name      = "image"
  %s
}

build {
  sources = ["source.sysprep-vhd.windows"]
}
`, disk, "name=opt/org.sysprep/scenario,string="+strings.ReplaceAll(string(text), ",", ",,"), strings.Join(options, "\n  ")), nil)
}

func TestAnAnswerFileGeneralizesWithoutACommunicator(t *testing.T) {
	t.Parallel()
	p := startUnattended(t, unattendedDisk(t, unattendedAnswers(configures, generalizeOff)), winsim.Scenario{}, `shutdown_timeout = "10m"`)
	p.expect(0, "Waiting up to 10m0s for the guest to power itself off, by its answer file", "The guest restarts (1).", "restarts: 1", "The machine is off: the guest powered itself off")
	for _, text := range []string{"warning: nobody connects", "Warning: the guest powered itself off without"} {
		if strings.Contains(p.output(), text) {
			t.Errorf("it said %q", text)
		}
	}
	facts, findings := proof(t, filepath.Join(p.dir, "output", "image.vhd"))
	if !proven(findings) {
		t.Errorf("not proven: %v", findings)
	}
	if len(facts.Windows) != 1 || facts.Windows[0].Setup.ImageState != "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE" {
		t.Errorf("facts: %+v", facts.Windows)
	}
}

func TestAnAnswerFileThatEndsWrongIsSaid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, command, generalize string
		scenario                  winsim.Scenario
		options                   []string
		texts                     []string
	}{
		// The log of the run that hangs is written when the power button is pressed.
		{"it never powers off", configures, generalizeOff, winsim.Scenario{Outcome: winsim.Hang}, []string{`shutdown_timeout = "9m"`, `stall_timeout = "60s"`},
			[]string{"waiting for the guest to power itself off: it has shown no sign of life for 1m0s (stall_timeout)", "restarts: 1", "see the screenshot", "ForceShutdownNow = true"}},
		{"it powers off without generalizing", `shutdown /s /t 0`, "", winsim.Scenario{}, nil,
			[]string{"and no answer file on the source generalizes it", "The machine is off", "IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT", "not proven"}},
		{"sysprep fails midway", configures, generalizeOff, winsim.Scenario{Outcome: winsim.Broken, Class: "F38"}, []string{`shutdown_timeout = "9m"`, `stall_timeout = "60s"`},
			[]string{"waiting for the guest to power itself off: it has shown no sign of life", "The log on the disk says why sysprep failed", "F38"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := startUnattended(t, unattendedDisk(t, unattendedAnswers(c.command, c.generalize)), c.scenario, c.options...)
			p.expect(1, c.texts...)
			p.expectNoTrace()
		})
	}
}

func TestAGuestThatDiesWithoutACommunicatorIsSaid(t *testing.T) {
	t.Parallel()
	p := startUnattended(t, unattendedDisk(t, unattendedAnswers(configures, generalizeOff)), winsim.Scenario{Outcome: winsim.Slow})
	p.waitLine("The guest restarts (1).")
	pids := qemuOf(t, p.dir)
	if len(pids) != 1 {
		t.Fatalf("QEMU of this build: %v", pids)
	}
	if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.expect(1, "waiting for the guest to power itself off: the machine crashed", "the source is untouched")
	p.expectNoTrace()
}

// qemuOf lists the processes of QEMU that use a folder.
func qemuOf(t *testing.T, dir string) (pids []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		line, err := os.ReadFile(f)
		if err != nil || !strings.HasPrefix(filepath.Base(strings.SplitN(string(line), "\x00", 2)[0]), "qemu-system") || !strings.Contains(string(line), dir) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
