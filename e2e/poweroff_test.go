//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/masterzen/winrm"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// A command that holds a file of C: open, and that nobody listens to, must not
// turn the power-off of the simulated guest into a restart.
func TestTheGuestPowersOffWithACommandUnderWay(t *testing.T) {
	t.Parallel()
	qemu, dir := testutil.Tool(t, "qemu-system-x86_64"), t.TempDir()
	disk := filepath.Join(dir, "disk.qcow2")
	tool(t, "qemu-img", "create", "-q", "-f", "qcow2", "-b", built("guest-bios.raw"), "-F", "raw", disk)
	defer emulates(t)()
	address := testutil.FreeAddr(t)
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, qemu, "-accel", "tcg", "-m", "512", "-display", "none", "-serial", "file:"+filepath.Join(dir, "console.log"), "-no-reboot", "-qmp", "stdio",
		"-drive", "file="+disk+",format=qcow2,if=virtio", "-nic", fmt.Sprintf("user,model=virtio-net-pci,hostfwd=tcp:%s-:5985", address))
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
	defer cmd.Wait()
	defer cancel()
	if _, err := io.WriteString(in, `{"execute":"qmp_capabilities"}`+"\n"); err != nil {
		t.Fatal(err)
	}
	endpoint := winrm.NewEndpoint("127.0.0.1", port, false, false, nil, nil, nil, time.Minute)
	client, err := winrm.NewClient(endpoint, "packer", guestPassword)
	if err != nil {
		t.Fatal(err)
	}
	// Three megabytes: more than a pipe holds.
	line := "echo " + strings.Repeat("x", 6000) + "> C:\\a.txt" + strings.Repeat(" & type C:\\a.txt >> C:\\b.txt & type C:\\b.txt >> C:\\a.txt", 7)
	for ctx.Err() == nil {
		if _, err = client.RunWithContext(ctx, line, io.Discard, io.Discard); err == nil {
			break
		}
	}
	shell, err := client.CreateShell()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shell.ExecuteWithContext(ctx, `type C:\a.txt 2> C:\open.txt`); err != nil { // its output is not read
		t.Fatal(err)
	}
	if _, err := client.RunWithContext(ctx, `shutdown /s /t 0`, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	for events := bufio.NewScanner(out); events.Scan(); {
		if text := events.Text(); strings.Contains(text, `"SHUTDOWN"`) {
			if !strings.Contains(text, "guest-shutdown") {
				t.Errorf("it did not power off: %s", text)
			}
			return
		}
	}
	t.Error("QEMU ended without a word")
}
