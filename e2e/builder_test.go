//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"image/png"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidence/evidencetest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// machine describes a build in QEMU.
type machine struct {
	disk     string // of build/, default guest-bios.vhd
	scenario winsim.Scenario
	source   string        // further lines of the source block
	password string        // default: the right one
	builders string        // the build block's provisioners; default: sysprep
	force    bool          // packer build -force
	monitor  string        // a socket for a QMP monitor of somebody else's
	limit    time.Duration // of the build; default: that of all
	zone     string        // the host's time zone as Packer sees it; default: as it is
}

// start runs the build.
func (m machine) start(t *testing.T) *packerRun {
	t.Helper()
	testutil.Tool(t, "qemu-system-x86_64")
	if m.disk == "" {
		m.disk = "guest-bios.vhd"
	}
	if m.builders == "" {
		m.builders = sysprepBlock()
	}
	if m.password == "" {
		m.password = guestPassword
	}
	scenario, err := json.Marshal(unkind(m.scenario))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(m.source, "output_directory") {
		m.source += "\n  output_directory = \"output\""
	}
	var flags []string
	if m.force {
		flags = append(flags, "-force")
	}
	// QEMU takes a comma in a value as two.
	config := "name=opt/org.sysprep/scenario,string=" + strings.ReplaceAll(string(scenario), ",", ",,")
	monitor := ""
	if m.monitor != "" {
		monitor = fmt.Sprintf(`, "-qmp", "unix:%s,server=on,wait=off"`, m.monitor)
	}
	packer := []string{built("packer")}
	if m.zone != "" {
		packer = []string{"env", "TZ=" + m.zone, packer[0]}
	}
	plugins, err := pluginPath()
	if err != nil {
		t.Fatal(err)
	}
	return startWithin(t, max(m.limit, longest()), packer, plugins, fmt.Sprintf(`
source "sysprep-vhd" "windows" {
  source_path      = %q
  memory           = 512
  cpus             = 1
  accelerator      = "tcg"
  qemu_arguments   = ["-fw_cfg", %q%s]
  winrm_username   = "packer"
  winrm_password   = %q
  output_name      = "image"
  %s
}

build {
  sources = ["source.sysprep-vhd.windows"]
%s
}
`, built(m.disk), config, monitor, m.password, m.source, m.builders), nil, flags...)
}

func sum(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func proven(list []finding.Finding) bool { return finding.Worst(list) != finding.Fail }

// proof inspects the finished disk by our own reader.
func proof(t *testing.T, path string) (winimage.Facts, []finding.Finding) {
	t.Helper()
	d, err := diskimage.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	r, err := winimage.Inspect(t.Context(), d, winimage.Options{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	return r, winimage.Prove(r, winimage.Expectation{})
}

// tool runs a program of somebody else and returns what it said.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(testutil.Tool(t, name), args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestAMachineBecomesAProvenDisk(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, disk, source, file string
		starts                   []string // where its Windows starts
		check                    func(t *testing.T, file string)
	}{
		{"MBR, BIOS, dynamic VHD to fixed VHD", "guest-bios.vhd", "", "image.vhd", []string{"qemu-ide", "azure"}, func(t *testing.T, file string) {
			tool(t, "qemu-img", "info", "-f", "vpc", file)
			if info := tool(t, "vhdiinfo", file); !strings.Contains(info, "Fixed") {
				t.Errorf("libvhdi says:\n%s", info)
			}
			st, err := os.Stat(file)
			if err != nil || st.Size()%(1<<20) != 512 {
				t.Errorf("size %d, %v: want whole MiB and the footer", st.Size(), err)
			}
		}},
		{"GPT, UEFI, fixed VHD to VHDX", "guest-uefi.vhd", "format = \"vhdx\"\n  sbom = true", "image.vhdx", []string{"qemu-ahci", "hyperv-gen2"}, func(t *testing.T, file string) {
			tool(t, "qemu-img", "check", "-f", "vhdx", file)
			again := filepath.Join(t.TempDir(), "again.cdx.json")
			tool(t, built("packer-plugin-sysprep"), "sbom", "-o", again, file)
			if want, got := sum(t, again), sum(t, file+".cdx.json"); got != want {
				t.Errorf("the bill of materials of the build is not that of the command: %s and %s", got, want)
			}
		}},
		{"raw to dynamic VHD", "guest-bios.raw", "vhd_type = \"dynamic\"\n  disk_interface = \"virtio\"\n  network_interface = \"virtio\"", "image.vhd", nil, func(t *testing.T, file string) {
			tool(t, "qemu-img", "info", "-f", "vpc", file)
			if info := tool(t, "vhdiinfo", file); !strings.Contains(info, "Dynamic") {
				t.Errorf("libvhdi says:\n%s", info)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			before := sum(t, built(c.disk))
			verify := ""
			if c.starts != nil {
				verify = fmt.Sprintf("\n  verify {\n boots_on = [\"%s\"]\n}", strings.Join(c.starts, `", "`))
			}
			answers := writeAnswerFile(t)
			key, public := evidencetest.Key(t)
			p := machine{disk: c.disk, source: c.source + verify + "\n  " + reportBlock("builder") + fmt.Sprintf("\n  evidence { key = %q }", key),
				builders: sysprepBlock(fmt.Sprintf("answer_file = %q", answers), `log_directory = "logs"`, reportBlock("provisioner"))}.start(t)
			p.expect(0, "tag created", "guest-shutdown")
			if c.starts != nil {
				p.expect(0, "starts on: "+strings.Join(c.starts, " yes, ")+" yes")
			}
			p.expectSecrets(answerFileSecret)
			if after := sum(t, built(c.disk)); after != before {
				t.Error("the source disk was changed")
			}
			file := filepath.Join(p.dir, "output", c.file)
			c.check(t, file)
			wantReports(t, p, file)
			wantEvidence(t, p, public, file, built(c.disk), answers)
			report, proof := proof(t, file)
			if !proven(proof) {
				t.Errorf("not proven: %+v", finding.Failed(proof, finding.Fail))
			}
			w := report.Windows[0]
			if w.Tag == nil || w.Log == nil || !w.Log.TagCreated || len(w.AnswerFiles) == 0 {
				t.Errorf("tag %v, log %v, answer files %v: want all", w.Tag, w.Log, w.AnswerFiles)
			}
			if pids := processesNaming(t, p.dir); len(pids) > 0 {
				t.Errorf("still running: %v", pids)
			}
		})
	}
}

func TestAFailedBuildInAMachineLeavesNoDisk(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		m      machine
		texts  []string
		during func(t *testing.T, p *packerRun)
		check  func(t *testing.T, p *packerRun)
	}{
		{name: "refused", m: machine{scenario: winsim.Scenario{Outcome: winsim.Refused, Class: "F01", Packages: []string{edgeGameAssist}}},
			texts: []string{"sysprep refused, the machine is untouched", edgeGameAssist, "Remove-AppxPackage"}},
		{name: "broken midway", m: machine{scenario: winsim.Scenario{Outcome: winsim.Broken, Class: "F38"}},
			texts: []string{"failed midway", "F38"}},
		{name: "hung", m: machine{scenario: winsim.Scenario{Outcome: winsim.Hang}, source: reportBlock("builder"), builders: sysprepBlock(`stall_timeout = "8s"`, reportBlock("provisioner"))},
			texts: []string{"sysprep did not finish", "The log on the disk ends in the middle of the run"},
			check: func(t *testing.T, p *packerRun) {
				if logs, _ := filepath.Glob(filepath.Join(p.dir, "output-logs", "sysprep", "setupact.log")); len(logs) != 1 {
					t.Error("the log was not saved from the guest's disk")
				}
				for _, component := range []string{"builder", "provisioner"} {
					if run, page := p.reported(component); run.Outcome.Good || run.Outcome.Class != "hung" || !strings.Contains(page, "sysprep did not finish") {
						t.Errorf("%s: %+v", component, run.Outcome)
					}
				}
			}},
		{name: "the guest is killed during generalize", m: machine{scenario: winsim.Scenario{Outcome: winsim.Slow}},
			texts: []string{"[lost] the guest was lost while sysprep worked: the machine crashed: QEMU failed: signal: killed", "Look on the host for what ended the machine"},
			during: func(t *testing.T, p *packerRun) {
				p.waitLine("working on")
				killQEMU(t, p.dir)
			}},
		{name: "a wrong password", m: machine{password: "wrong-Passw0rd", source: `winrm_timeout = "45s"`},
			texts: []string{"password"}},
		{name: "a guest that never comes up", m: machine{scenario: winsim.Scenario{WinRMDelay: winsim.Duration(1e12)}, source: `winrm_timeout = "25s"`},
			texts: []string{"-screen.png"},
			check: func(t *testing.T, p *packerRun) {
				f, err := os.Open(filepath.Join(p.dir, "output-screen.png"))
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				if picture, err := png.Decode(f); err != nil || picture.Bounds().Dx() < 320 {
					t.Errorf("the screenshot cannot be read: %v", err)
				}
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := c.m.start(t)
			if c.during != nil {
				c.during(t, p)
			}
			p.expect(1, c.texts...)
			p.expectNoTrace()
			if c.check != nil {
				c.check(t, p)
			}
		})
	}
}

// A restart or a pause where the power-off should come is said at once, and is
// neither a power-off nor five silent minutes.
func TestAMachineThatDoesNotPowerOffSaysWhatItDoes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		m       machine
		command string // of QMP, while the power-off is awaited; none: it restarts by itself, and what it logs last may be lost
		texts   []string
	}{
		{"the guest restarts", machine{scenario: winsim.Scenario{RestartsInstead: true}}, "",
			[]string{"the guest restarted instead of powering off: it is not generalized any more"}},
		{"the machine is reset", machine{scenario: winsim.Scenario{ShutdownTakes: winsim.Duration(time.Hour)}}, "system_reset",
			[]string{"The machine restarts: it was reset from outside", "the guest restarted instead of powering off: it is not generalized any more"}},
		{"the machine is paused", machine{scenario: winsim.Scenario{ShutdownTakes: winsim.Duration(time.Hour)}, builders: sysprepBlock(`shutdown_timeout = "20s"`)}, "stop",
			[]string{"The machine is paused: somebody stopped it", "the machine is paused: somebody stopped it", "Resume the machine"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			folder, err := os.MkdirTemp("", "qmp") // a socket's path is short
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(folder) })
			if c.command != "" {
				c.m.monitor = filepath.Join(folder, "qmp")
			}
			p := c.m.start(t)
			after := "shutdown requested"
			if c.command == "" {
				after = "The guest restarts"
			}
			p.waitLine(after)
			began := time.Now()
			if c.command != "" {
				tellQEMU(t, c.m.monitor, c.command)
			}
			p.expect(1, c.texts...)
			if took := time.Since(began); took > 2*time.Minute {
				t.Errorf("it took %s", took)
			}
			p.expectNoTrace()
		})
	}
}

// tellQEMU gives one command to a monitor.
func tellQEMU(t *testing.T, socket, command string) {
	t.Helper()
	conn, err := net.DialTimeout("unix", socket, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := json.NewDecoder(conn)
	for _, line := range []string{"", `{"execute":"qmp_capabilities"}`, fmt.Sprintf(`{"execute":%q}`, command)} {
		if _, err := io.WriteString(conn, line); err != nil {
			t.Fatal(err)
		}
		var answer map[string]any
		for answer["return"] == nil && answer["QMP"] == nil { // events come between
			if err := answers.Decode(&answer); err != nil || answer["error"] != nil {
				t.Fatal(err, answer)
			}
		}
	}
}

// killQEMU ends the machine of the build in dir as a crash of the host would.
func killQEMU(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(line), "qemu-system") || !strings.Contains(string(line), dir) {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(file, "/proc/%d/cmdline", &pid); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatal("no QEMU of this build is running")
}

func TestAGoodImageIsTakenThoughWinRMDied(t *testing.T) {
	t.Parallel()
	p := machine{scenario: winsim.Scenario{WinRMDies: winsim.WinRMBlackHole}}.start(t)
	p.expect(0, "proves the disk next")
	if _, proof := proof(t, filepath.Join(p.dir, "output", "image.vhd")); !proven(proof) {
		t.Errorf("not proven: %+v", finding.Failed(proof, finding.Fail))
	}
}

func TestCtrlCEndsTheBuildInEveryPhase(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, after string }{
		{"before the guest is up", "Waiting for WinRM at"},
		{"in another provisioner", "sleeping"},
		{"at the first look", "Looking at the guest"},
		{"while sysprep validates", "validating"},
		{"while sysprep generalizes", "working on"},
		{"while the disk is written", "Writing the disk"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := machine{scenario: winsim.Scenario{Outcome: winsim.Slow}, builders: "  provisioner \"windows-shell\" {\n    inline = [\"@echo off\", \"echo sleeping\", \"ping -n 4 127.0.0.1\"]\n  }\n" + sysprepBlock()}
			if c.after == "Writing the disk" {
				m.scenario = winsim.Scenario{}
			}
			p := m.start(t)
			p.waitLine(c.after)
			if code := p.interrupt(); code == 0 && c.after != "Writing the disk" {
				t.Error("a cancelled build succeeded")
			}
			if code := p.wait(); code != 0 {
				p.expectNoTrace()
			}
		})
	}
}

// A Windows whose display is off takes the first press of its power button for
// a wake-up. Nothing else shuts this one down.
func TestAGuestWhoseDisplayIsOffIsAskedUntilItIsOff(t *testing.T) {
	t.Parallel()
	p := machine{scenario: winsim.Scenario{Unkind: winsim.Unkind{PowerButtonPresses: 2}}, source: `shutdown_timeout = "50s"`, builders: sysprepBlock(`action = "quit"`)}.start(t)
	p.expect(0, "The guest is still running after 50s; asking it over ACPI", "The machine is off: the guest powered off when asked", "its power button was pressed 2 times")
	if _, proof := proof(t, filepath.Join(p.dir, "output", "image.vhd")); !proven(proof) {
		t.Errorf("not proven: %+v", finding.Failed(proof, finding.Fail))
	}
}

// The logs of a run that hangs are on the disk once Windows has shut down,
// however long that takes and whatever it takes the first press for.
func TestTheLogsOfAHungRunAreWaitedFor(t *testing.T) {
	t.Parallel()
	p := machine{
		scenario: winsim.Scenario{Outcome: winsim.Hang, Unkind: winsim.Unkind{PowerButtonPresses: 2}, ShutdownTakes: winsim.Duration(20 * time.Second)},
		builders: sysprepBlock(`stall_timeout = "8s"`),
	}.start(t)
	p.expect(1, "sysprep did not finish", "Waiting up to 4m0s for Windows to shut down and write its logs", "The log on the disk ends in the middle of the run")
	if logs, _ := filepath.Glob(filepath.Join(p.dir, "output-logs", "sysprep", "setupact.log")); len(logs) != 1 {
		t.Error("the log was not saved from the guest's disk")
	}
	p.expectNoTrace()
}
