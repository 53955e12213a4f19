//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// wordLimit is how long the builder may take from something that happens to its
// word. It takes a second or two where the machine is quiet.
const wordLimit = 30 * time.Second

// bootTestLimit ends a build that hangs: it is two machines, one after the other.
const bootTestLimit = 8 * time.Minute

// bootTested is a build whose image is booted, with an answer file for specialize and
// oobeSystem that leaves no page of OOBE open: the clone has to come to logon.
func bootTested(t *testing.T, first, block string) machine {
	t.Helper()
	return machine{
		scenario: winsim.Scenario{FirstBoot: first, SetupFor: winsim.Duration(10 * time.Second), Validate: winsim.Duration(time.Second), Generalize: winsim.Duration(2 * time.Second)},
		limit:    bootTestLimit,
		source:   "boot_test {\n    " + block + "\n  }",
		builders: sysprepBlock(`unattend {
      computer_name = "*"
      locale {
        ui_language  = "en-US"
        input_locale = "en-US"
      }
      oobe {
        hide_eula_page            = true
        hide_local_account_screen = true
      }
    }`),
	}
}

// The four ways in which the first boot of an image ends.
func TestACloneOfTheImageBoots(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, first, block string
		texts              []string
	}{
		{"it hangs in specialize", winsim.FirstBootHangs, `specialize_timeout = "30s"`,
			[]string{"boot test: the first boot is stuck in specialize", "(specialize_timeout)", "F104", "Sysprep_Specialize_Pnp"}},
		{"specialize fails", winsim.FirstBootFails, "",
			[]string{"boot test: the first boot failed in specialize", "F68 PRODUCTKEY_INVALID", "0xc004f050"}},
		{"the answer file is refused", winsim.FirstBootRefused, "",
			[]string{"boot test: the first boot failed in specialize", "F93", "ComputerName of Microsoft-Windows-Shell-Setup"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := bootTested(t, c.first, c.block).start(t)
			p.expect(1, append(c.texts, "Boot test: starting a clone of the image, which has to come to logon", "Boot test: specialize, ", "next: ", "Saved the logs and pictures of the clone")...)
			p.expectNoTrace()
			for _, name := range []string{"setup/setupact.log", "specialize.png", "end.png"} {
				if info, err := os.Stat(filepath.Join(p.dir, "output-boot-test", filepath.FromSlash(name))); err != nil || info.Size() == 0 {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	t.Run("it comes to logon", func(t *testing.T) {
		t.Parallel()
		folder, err := os.MkdirTemp("", "qmp") // a socket's path is short
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(folder) })
		m := bootTested(t, winsim.FirstBootPasses, `communicator = "winrm"`)
		m.monitor = filepath.Join(folder, "qmp")
		p := m.start(t)
		p.waitLine("Boot test: starting a clone")
		images, err := filepath.Glob(filepath.Join(p.dir, "output", ".scratch-*", "output-image.vhd"))
		if err != nil || len(images) != 1 {
			t.Fatalf("%v, %v", images, err)
		}
		tested := sum(t, images[0])
		restarted := make(chan time.Time, 1)
		go func() { restarted <- qmpReset(m.monitor, p.done) }()
		begun := serialLine(p, filepath.Join(filepath.Dir(images[0]), "clone", "serial.log"), "first boot: specialize")
		said := p.waitLine("Boot test: specialize, ")
		t.Logf("from the guest's own line on specialize to the builder's: %v", said.Sub(begun))
		if late := said.Sub(begun); begun.IsZero() || late > wordLimit {
			t.Errorf("the guest began specialize at %v, and it was said at %v", begun, said)
		}
		said = p.waitLine("clone: The guest restarts (1).")
		reset := <-restarted
		t.Logf("from QEMU's RESET to the builder's line: %v", said.Sub(reset))
		if late := said.Sub(reset); reset.IsZero() || late > wordLimit {
			t.Errorf("QEMU reset at %v, and it was said at %v", reset, said)
		}
		p.expect(0, "Boot test: OOBE, ", "Boot test: logon, ", "the guest answers, and says that Windows Setup is over; switching the clone off",
			"Boot test: the clone booted as far as logon; ImageState on its disk is IMAGE_STATE_COMPLETE", "; restarts: 1; pictures: output-boot-test")
		if got := sum(t, filepath.Join(p.dir, "output", "image.vhd")); got != tested {
			t.Errorf("the image has the SHA-256 %s, and had %s before its clone ran", got, tested)
		}
		if _, findings := proof(t, filepath.Join(p.dir, "output", "image.vhd")); !proven(findings) {
			t.Errorf("it is not generalized any more: %v", findings)
		}
		for _, name := range []string{"specialize.png", "oobe.png", "logon.png"} {
			if info, err := os.Stat(filepath.Join(p.dir, "output-boot-test", name)); err != nil || info.Size() == 0 {
				t.Errorf("%s: %v", name, err)
			}
		}
		if left, _ := filepath.Glob(filepath.Join(p.dir, "output", ".scratch-*")); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}

// serialLine is when the guest wrote a line, zero if the build ended without it.
func serialLine(p *packerRun, path, text string) time.Time {
	for !p.ended() {
		if b, err := os.ReadFile(path); err == nil && strings.Contains(string(b), text) {
			return time.Now()
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Time{}
}

// qmpReset is when QEMU reports a reset by the guest, by its own clock.
func qmpReset(socket string, done <-chan struct{}) time.Time {
	var conn net.Conn
	for conn == nil {
		var err error
		if conn, err = net.Dial("unix", socket); err != nil {
			select {
			case <-done:
				return time.Time{}
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	defer conn.Close()
	go func() {
		<-done
		conn.Close()
	}()
	fmt.Fprintln(conn, `{"execute":"qmp_capabilities"}`)
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		var e struct {
			Event     string
			Timestamp struct{ Seconds, Microseconds int64 }
		}
		if json.Unmarshal(lines.Bytes(), &e) == nil && e.Event == "RESET" {
			return time.Unix(e.Timestamp.Seconds, e.Timestamp.Microseconds*1000)
		}
	}
	return time.Time{}
}
