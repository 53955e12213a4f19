//go:build e2e && wine

package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// These tests run Packer and the plugin as Windows has them, under Wine, in the
// prefix that tools/test-wine has made. Paths of this host work there, because
// drive Z: is its root.

const wine = "/usr/lib/wine/wine64"

// underWine is the command line of a program of tools/test-wine.
func underWine(program string, args ...string) []string {
	return append([]string{wine, built(filepath.Join("wine", program))}, args...)
}

var winePlugins = sync.OnceValues(func() (string, error) {
	dir := built("wine/plugins")
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return "", err
	}
	line := underWine("packer.exe", "plugins", "install", "--path", built("wine/packer-plugin-sysprep.exe"), pluginSource)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = packerEnv(dir, dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("installing the plugin: %w\n%s", err, out)
	}
	return dir, nil
})

func startWine(t *testing.T, template string) *packerRun {
	t.Helper()
	plugins, err := winePlugins()
	if err != nil {
		t.Fatal(err)
	}
	return startCommand(t, underWine("packer.exe"), plugins, template, nil)
}

// helper runs a program of tools/wine until the test, or the returned function,
// ends it, and waits for its first line.
func helper(t *testing.T, program string, args ...string) (end func()) {
	t.Helper()
	line := underWine(program, args...)
	cmd := exec.Command(line[0], line[1:]...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.HasPrefix(first, "error") {
		t.Fatalf("%s %q: it said %q, %v", program, args, first, err)
	}
	end = sync.OnceFunc(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", program, err)
		}
	})
	t.Cleanup(end)
	return end
}

func TestWineNullBuilder(t *testing.T) {
	for _, c := range []struct {
		name     string
		scenario winsim.Scenario
		code     int
		texts    []string
	}{
		{"success", winsim.Scenario{}, 0, []string{"Windows is generalized"}},
		{"refused", winsim.Scenario{Outcome: winsim.Refused, Class: "F01", Packages: []string{edgeGameAssist}}, 1, []string{"sysprep refused, the machine is untouched", edgeGameAssist}},
	} {
		t.Run(c.name, func(t *testing.T) {
			guest := inProcess(t, c.scenario, winsim.ServerOptions{}, nil)
			p := startWine(t, nullBuild(guest.Port, "", sysprepBlock(fmt.Sprintf("answer_file = %q", writeAnswerFile(t)), `log_directory = "logs"`)))
			p.expect(c.code, c.texts...)
			p.expectSecrets(answerFileSecret)
			if c.code != 0 {
				if left := ofOurs(t, guest); len(left) > 0 {
					t.Errorf("left in the guest: %q", left)
				}
			}
			if log, err := os.ReadFile(filepath.Join(p.dir, "logs", "sysprep", "setupact.log")); err != nil || len(log) == 0 {
				t.Errorf("the log was not saved: %v", err)
			}
		})
	}
}

// wineMachine is a machine that runs, with its disk. When it is off its disk
// holds what sysprep has left.
func wineMachine(t *testing.T) (*winsim.Running, string) {
	t.Helper()
	guest := inProcess(t, winsim.Scenario{}, winsim.ServerOptions{}, nil)
	disk := winimagetest.Disk(t, winimagetest.Spec{})
	after := winimagetest.Disk(t, winimagetest.Spec{Generalized: true, TagTime: time.Now().Add(time.Minute)})
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-guest.Off():
		case <-t.Context().Done():
			return
		}
		if content, err := os.ReadFile(after); err != nil {
			t.Error(err)
		} else if err := os.WriteFile(disk, content, 0o600); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { <-done })
	return guest, disk
}

func TestWineExistingMachineBecomesAProvenDisk(t *testing.T) {
	guest, disk := wineMachine(t)
	output := filepath.Join(t.TempDir(), "output")
	if err := os.Mkdir(output, 0o755); err != nil {
		t.Fatal(err)
	}
	// Every new file of the build is opened by another program at once.
	helper(t, "scan.exe", "Z:"+output)
	template := existingBuild(guest.Port, disk, "power_off_settle = \"3s\"", sysprepBlock())
	p := startWine(t, strings.Replace(template, `"output"`, strconv.Quote(output+"/image"), 1))
	p.expect(0, "Wrote ", "assumed to be off")
	if _, proof := proof(t, filepath.Join(output, "image", "image.vhd")); !proven(proof) {
		t.Errorf("not proven: %+v", proof)
	}
}

func TestWineDiskThatIsHeldIsAMachineThatRuns(t *testing.T) {
	for _, c := range []struct {
		name    string
		release bool
	}{{"until it is let go", true}, {"for ever", false}} {
		t.Run(c.name, func(t *testing.T) {
			guest, disk := wineMachine(t)
			release := helper(t, "hold.exe", "Z:"+disk, "0")
			p := startWine(t, existingBuild(guest.Port, disk, "power_off_settle = \"2s\"\n  shutdown_timeout = \"20s\"", sysprepBlock()))
			p.waitLine("another program still holds its disk")
			if c.release {
				release()
				p.expect(0, "Wrote ", "assumed to be off")
				return
			}
			p.expect(1, "(shutdown_timeout)", "another program holds its disk", filepath.Base(disk), "close what holds the file")
		})
	}
}

// Packer runs as two processes; the first is the one that its user sees.
func TestWineKilledPackerTakesThePluginWithIt(t *testing.T) {
	guest, disk := wineMachine(t)
	p := startWine(t, existingBuild(guest.Port, disk, "", "  provisioner \"windows-shell\" {\n    inline = [\"@echo off\", \"echo sleeping\", \"ping -n 120 127.0.0.1\"]\n  }\n"))
	p.waitLine("sleeping")
	plugins, err := winePlugins()
	if err != nil {
		t.Fatal(err)
	}
	name := strings.ReplaceAll(plugins, "/", `\`)
	if len(processesNaming(t, name)) == 0 {
		t.Fatal("the plugin does not run")
	}
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for left := processesNaming(t, name); len(left) > 0; left = processesNaming(t, name) {
		if time.Now().After(deadline) {
			t.Fatalf("still running 30 s after Packer was killed: %q", left)
		}
		time.Sleep(200 * time.Millisecond)
	}
	p.wait()
}

// cmd.exe and PowerShell hand patterns to the program as they are.
func TestWineInspectExpandsPatterns(t *testing.T) {
	dir := t.TempDir()
	for name, spec := range map[string]winimagetest.Spec{"good.raw": {Generalized: true}, "bad.raw": {}} {
		content, err := os.ReadFile(winimagetest.Disk(t, spec))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) (int, string) {
		line := underWine("packer-plugin-sysprep.exe", args...)
		cmd := exec.Command(line[0], line[1:]...)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), string(out)
	}
	code, out := run("inspect", "Z:"+dir+"/*.raw")
	if code != 1 || !strings.Contains(out, "proven      ") || !strings.Contains(out, "not proven  ") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	if code, out := run("inspect", "Z:"+dir+"/*.vhdx"); code != 2 || !strings.Contains(out, "*.vhdx") || !strings.Contains(out, "no file") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}
