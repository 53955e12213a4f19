//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/replay"
)

const edgeGameAssist = "Microsoft.Edge.GameAssist_1.0.3423.0_x64__8wekyb3d8bbwe"

// answerFileSecret must not be seen anywhere in the output or Packer's log.
const answerFileSecret = "Sup3r-Secret-Of-The-Answer-File"

const answerFile = `<?xml version="1.0" encoding="utf-8"?>
<unattend xmlns="urn:schemas-microsoft-com:unattend">
  <settings pass="oobeSystem">
    <component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">
      <UserAccounts>
        <AdministratorPassword><Value>` + answerFileSecret + `</Value><PlainText>true</PlainText></AdministratorPassword>
      </UserAccounts>
    </component>
  </settings>
</unattend>
`

// sysprepBlock is a provisioner block with further lines.
func sysprepBlock(lines ...string) string {
	return "  provisioner \"sysprep\" {\n    " + strings.Join(lines, "\n    ") + "\n  }\n"
}

func writeAnswerFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "unattend.xml")
	if err := os.WriteFile(path, []byte(answerFile), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// guestFile reads a file of drive C: of an in-process guest.
func guestFile(t *testing.T, guest *winsim.Running, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(guest.Guest.Host(path))
	if err != nil {
		t.Error(err)
	}
	return content
}

func TestTheProvisionerGeneralizesOverEveryTransport(t *testing.T) {
	t.Parallel()
	for _, transport := range transports {
		t.Run(transport.name, func(t *testing.T) {
			t.Parallel()
			guest := inProcess(t, winsim.Scenario{}, transport.server, nil)
			p := startPacker(t, nullBuild(guest.Port, transport.source, sysprepBlock(
				fmt.Sprintf("answer_file = %q", writeAnswerFile(t)), `log_directory = "logs"`)), nil)
			// The null builder shuts nothing down: auto is quit, and success is
			// seen in the guest itself.
			p.expect(0, "tag created", "Windows is generalized")
			if !strings.Contains(string(guestFile(t, guest, `C:\Windows\Setup\State\State.ini`)), "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE") {
				t.Error("the guest is not generalized")
			}
			if cached := string(guestFile(t, guest, `C:\Windows\Panther\unattend.xml`)); cached != answerFile {
				t.Errorf("the guest has cached an answer file of %d bytes, want the %d that were given", len(cached), len(answerFile))
			}
			if left, _ := filepath.Glob(guest.Guest.Host(`C:\Windows\System32\Sysprep`) + "/packer-*"); len(left) > 0 {
				t.Errorf("left in the guest: %v", left)
			}
			if left, _ := filepath.Glob(guest.Guest.Host(`C:\Windows\Temp`) + "/packer-sysprep-*"); len(left) > 0 {
				t.Errorf("left in the guest: %v", left)
			}
			if log, err := filepath.Glob(filepath.Join(p.dir, "logs", "*", "setupact.log")); err != nil || len(log) == 0 {
				if log, _ := filepath.Glob(filepath.Join(p.dir, "logs", "*setupact.log")); len(log) == 0 {
					t.Error("setupact.log was not saved")
				}
			}
			p.expectSecrets(answerFileSecret)
		})
	}
}

// expectSecrets searches output and PACKER_LOG for what must not be there.
func (p *packerRun) expectSecrets(secrets ...string) {
	p.t.Helper()
	log, err := os.ReadFile(filepath.Join(p.dir, "packer.log"))
	if err != nil || len(log) == 0 {
		p.t.Errorf("Packer's log: %d bytes, %v", len(log), err)
	}
	for _, secret := range secrets {
		if strings.Contains(p.output(), secret) || strings.Contains(string(log), secret) {
			p.t.Errorf("the secret %q is in the output or in PACKER_LOG", secret)
		}
	}
}

func TestARefusalNamesPackageAndRemedyWithinFiveSeconds(t *testing.T) {
	t.Parallel()
	guest := inProcess(t, winsim.Scenario{Outcome: winsim.Refused, Class: "F01", Packages: []string{edgeGameAssist}}, winsim.ServerOptions{}, nil)
	refused := make(chan time.Time, 1)
	go func() {
		refused <- whenFileHolds(t, guest.Guest.Host(`C:\Windows\System32\Sysprep\Panther\setupact.log`), "Hit failure while")
	}()
	p := startPacker(t, nullBuild(guest.Port, "", sysprepBlock(`log_directory = "logs"`)), nil)
	said := p.waitLine("sysprep refused, the machine is untouched")
	p.expect(1, edgeGameAssist, "Remove-AppxPackage", "F06 APPX_EDGE_GAMEASSIST", "IMAGE_STATE_COMPLETE")
	took := said.Sub(<-refused).Round(time.Millisecond)
	t.Logf("the refusal was said %v after the guest's log had it", took)
	if took > 5*time.Second {
		t.Errorf("that is more than 5 s")
	}
	first := firstLineWith(p.output(), "sysprep refused")
	for _, text := range []string{edgeGameAssist, "Remove-AppxPackage"} {
		if !strings.Contains(first, text) {
			t.Errorf("the first line does not name %q: %s", text, first)
		}
	}
	// What a user attaches to a report of it.
	run, err := runlog.Read(filepath.Join(p.dir, "logs", runlog.RunFile))
	if err != nil {
		t.Fatal(err)
	}
	if v := run.Verdict; !run.Complete || v == nil || v.Class != "refused" || v.Cause != "APPX_EDGE_GAMEASSIST" || v.CauseID != "F06" || run.PackerRun == "" {
		t.Errorf("run.json: complete %v, verdict %+v, Packer's run %q", run.Complete, v, run.PackerRun)
	}
	if _, err := replay.Scenario(run); err != nil {
		t.Error(err)
	}
}

// whenFileHolds says when a file of the guest first held the text.
func whenFileHolds(t *testing.T, path, text string) time.Time {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if content, _ := os.ReadFile(path); strings.Contains(string(content), text) {
			return time.Now()
		}
		select {
		case <-t.Context().Done():
			return time.Time{}
		case <-tick.C:
		}
	}
}

func firstLineWith(output, text string) string {
	for _, line := range strings.Split(output, "\n") {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}

func TestEveryEndHasItsOwnTextAndExitCode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		scenario winsim.Scenario
		options  []string
		code     int
		texts    []string
	}{
		{"broken midway", winsim.Scenario{Outcome: winsim.Broken, Class: "F38"}, nil, 1,
			[]string{"failed midway", "F38", "IMAGE_STATE_UNDEPLOYABLE", "Discard this machine"}},
		{"hung in generalize", winsim.Scenario{Outcome: winsim.Hang}, []string{`stall_timeout = "6s"`}, 1,
			[]string{"sysprep did not finish", "still running"}},
		{"a dialog that nobody sees", winsim.Scenario{Outcome: winsim.Hang, HangIn: "dialog"}, []string{`stall_timeout = "6s"`}, 1,
			[]string{"sysprep"}},
		{"already generalized", winsim.Scenario{Start: winsim.Generalized}, nil, 0,
			[]string{"Not running sysprep"}},
		{"setup still running", winsim.Scenario{Start: winsim.SetupRunning, SetupFor: winsim.Duration(15 * time.Second)}, nil, 0,
			[]string{"Waiting: ", "Windows is generalized"}},
		{"another sysprep is running", winsim.Scenario{Start: winsim.SysprepOpen}, nil, 1,
			[]string{"sysprep.exe is already running", "Stop-Process -Id"}},
		{"an earlier run failed midway", winsim.Scenario{Start: winsim.Unfinished}, nil, 1,
			[]string{"GeneralizationState"}},
		{"sysprep.exe is missing", winsim.Scenario{Start: winsim.NoSysprep}, nil, 1,
			[]string{"sysprep.exe"}},
		{"a stale tag proves nothing", winsim.Scenario{Outcome: winsim.Refused, Class: "F22", StaleTag: true}, nil, 1,
			[]string{"sysprep refused", "F22"}},
		{"WinRM dies for good", winsim.Scenario{WinRMDies: winsim.WinRMClosed}, []string{`generalize_timeout = "20s"`, `stall_timeout = "8s"`}, 1,
			[]string{"Prove the disk offline before use"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			guest := inProcess(t, c.scenario, winsim.ServerOptions{}, nil)
			p := startPacker(t, nullBuild(guest.Port, "", sysprepBlock(c.options...)), nil)
			p.expect(c.code, c.texts...)
		})
	}
}
