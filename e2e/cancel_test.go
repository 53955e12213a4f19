//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// existingBuild is a build of a machine that runs already.
func existingBuild(port int, disk, more, provisioners string) string {
	return fmt.Sprintf(`
source "sysprep-vhd" "windows" {
  hypervisor       = "existing"
  disk_path        = %q
  winrm_host       = "127.0.0.1"
  winrm_port       = %d
  winrm_username   = "packer"
  winrm_password   = %q
  output_directory = "output"
  output_name      = "image"
  %s
}

build {
  sources = ["source.sysprep-vhd.windows"]
%s
}
`, disk, port, guestPassword, more, provisioners)
}

// ofOurs lists what a build has left in a guest: files by their name, and every
// file that holds the answer file's secret.
func ofOurs(t *testing.T, guest *winsim.Running) (left []string) {
	t.Helper()
	drive := guest.Guest.Host(`C:\`)
	err := filepath.WalkDir(drive, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		content := []byte(nil)
		if d.Type().IsRegular() {
			if content, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		if strings.HasPrefix(d.Name(), "packer-") || bytes.Contains(content, []byte(answerFileSecret)) {
			left = append(left, strings.TrimPrefix(path, drive))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return left
}

func imageState(t *testing.T, guest *winsim.Running) string {
	t.Helper()
	_, state, _ := strings.Cut(string(guestFile(t, guest, `C:\Windows\Setup\State\State.ini`)), "ImageState=")
	return strings.TrimSpace(state)
}

// The machine is the user's, and goes on after the build.
func TestCtrlCLeavesAnExistingMachineInOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, after string
		changed     bool
		said        []string
	}{
		{"at the first look", "Looking at the guest", false, []string{"sysprep was not started, the machine is untouched"}},
		{"at the upload", "Uploading the answer file", false, []string{"sysprep was not started, the machine is untouched"}},
		{"at the launch", "Starting sysprep", false, nil},
		{"while sysprep validates", "validating", false, []string{"Ended sysprep.exe", "The machine is untouched"}},
		{"while sysprep generalizes", "working on", true, []string{"it can no longer be used"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			guest := inProcess(t, winsim.Scenario{Outcome: winsim.Slow}, winsim.ServerOptions{}, nil)
			before := imageState(t, guest)
			p := startPacker(t, existingBuild(guest.Port, built("guest-bios.vhd"), "", sysprepBlock(fmt.Sprintf("answer_file = %q", writeAnswerFile(t)))), nil)
			p.waitLine(c.after)
			if code := p.interrupt(); code == 0 {
				t.Error("a cancelled build succeeded")
			}
			out := p.output()
			for _, text := range append(c.said, "cancelled: ") {
				if !strings.Contains(out, text) {
					t.Errorf("packer did not say %q", text)
				}
			}
			if left := ofOurs(t, guest); len(left) > 0 && !c.changed {
				t.Errorf("left in the guest: %q", left)
			}
			if left, _ := filepath.Glob(guest.Guest.Host(`C:\Windows\System32\Sysprep`) + "/packer-*"); len(left) > 0 {
				t.Errorf("left in the guest: %q", left)
			}
			if state := imageState(t, guest); (state == before) == c.changed {
				t.Errorf("the state was %s and is %s", before, state)
			}
			if runs := guest.Guest.Runs("sysprep.exe"); runs && !c.changed {
				t.Error("sysprep goes on")
			}
			p.expectSecrets(answerFileSecret)
			p.expectNoTrace()
		})
	}
}

func TestASecondCtrlCEndsTheWait(t *testing.T) {
	t.Parallel()
	guest := inProcess(t, winsim.Scenario{Outcome: winsim.Slow}, winsim.ServerOptions{}, nil)
	p := startPacker(t, existingBuild(guest.Port, built("guest-bios.vhd"), "", sysprepBlock()), nil)
	p.waitLine("validating")
	guest.Faults.BlackHole(true) // the provisioner cannot reach the guest any more
	press := func() {
		if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
	}
	press()
	asked := p.waitLine("press Ctrl-C again")
	time.Sleep(time.Until(asked.Add(1500 * time.Millisecond))) // a second press, not the echo of the first
	press()
	ended := p.waitLine("Stopped by a second Ctrl-C")
	p.expect(1)
	if took := ended.Sub(asked); took > 5*time.Second {
		t.Errorf("the build went on for %v", took)
	}
	guest.Faults.BlackHole(false)
}

// Packer ends the null builder, and with it the connection to the guest, at once
// on Ctrl-C, like every builder that uses the SDK's step: sysprep goes on, and
// what was uploaded stays. The error-cleanup-provisioner does not run either. The
// documents say so.
func TestCtrlCWithAnotherBuilderLeavesTheGuestAlone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, after string }{
		{"at the first look", "Looking at the guest"},
		{"while sysprep validates", "validating"},
		{"while sysprep generalizes", "working on"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			guest := inProcess(t, winsim.Scenario{Outcome: winsim.Slow}, winsim.ServerOptions{}, nil)
			marker := filepath.Join(t.TempDir(), "cleaned-up")
			p := startPacker(t, nullBuild(guest.Port, "", sysprepBlock(fmt.Sprintf("answer_file = %q", writeAnswerFile(t)))+
				fmt.Sprintf("  error-cleanup-provisioner \"shell-local\" {\n    inline = [\"touch %s\"]\n  }\n", marker)), nil)
			p.waitLine(c.after)
			pressed := time.Now()
			if code := p.interrupt(); code == 0 {
				t.Error("a cancelled build succeeded")
			}
			if took := time.Since(pressed); took > 5*time.Second {
				t.Errorf("the build went on for %v", took)
			}
			if _, err := os.Stat(marker); err == nil {
				t.Error("the error-cleanup-provisioner ran: the documents say that it does not")
			}
			if c.after == "validating" && !guest.Guest.Runs("sysprep.exe") {
				t.Error("sysprep was ended: the documents say that it goes on")
			}
			p.expectSecrets(answerFileSecret)
		})
	}
}
