//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

func TestADownloadedDiskIsHeldAgainstItsChecksum(t *testing.T) {
	t.Parallel()
	disk := built("guest-bios.vhd")
	right := sum(t, disk)
	for _, c := range []struct{ name, checksum, says string }{
		{"right", "sha256:" + right, "Starting the machine"},
		{"wrong", "sha256:" + right[1:] + "0", "Checksums did not match"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, disk) }))
			defer server.Close()
			p := startPacker(t, fmt.Sprintf(`
source "sysprep-vhd" "windows" {
  source_url      = "%s/guest.vhd"
  source_checksum = %q
  accelerator     = "tcg"
  output_directory = "output"
  memory          = 512
  winrm_username  = "packer"
  winrm_password  = %q
}
build {
  sources = ["source.sysprep-vhd.windows"]
}
`, server.URL, c.checksum, guestPassword), nil)
			p.waitLine(c.says)
			if c.name == "right" {
				p.interrupt()
			}
			if p.wait() == 0 {
				t.Error("the build succeeded")
			}
			p.expectNoTrace()
		})
	}
}

// The machine of this test is run by the test itself, as a user would on any
// hypervisor: the builder knows its address and its disk, and nothing else.
func TestTheUsersOwnMachineIsGeneralizedAndItsDiskTaken(t *testing.T) {
	t.Parallel()
	qemu := testutil.Tool(t, "qemu-system-x86_64")
	dir := t.TempDir()
	disk := filepath.Join(dir, "mine.vhd")
	copyFile(t, built("guest-bios.vhd"), disk)
	defer emulates(t)()
	addr := testutil.FreeAddr(t)
	cmd := exec.CommandContext(t.Context(), qemu, "-accel", "tcg", "-m", "512", "-display", "none", "-nodefaults",
		"-drive", "file="+disk+",format=vpc,if=none,id=d", "-device", "ide-hd,drive=d,bootindex=0",
		"-netdev", "user,id=n,hostfwd=tcp:"+addr+"-:5985", "-device", "e1000,netdev=n,romfile=")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()

	var port int
	if _, err := fmt.Sscanf(addr, "127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	p := startPacker(t, fmt.Sprintf(`
source "sysprep-vhd" "mine" {
  hypervisor        = "existing"
  disk_path         = %q
  winrm_host        = "127.0.0.1"
  winrm_port        = %d
  winrm_username    = "packer"
  winrm_password    = %q
  power_off_settle  = "5s"
  output_directory  = "output"
  output_name       = "image"
}
build {
  sources = ["source.sysprep-vhd.mine"]
%s
}
`, disk, port, guestPassword, sysprepBlock()), nil)
	p.expect(0, "tag created", "Proven")
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("QEMU ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("the user's machine still runs")
	}
	if _, proof := proof(t, filepath.Join(p.dir, "output", "image.vhd")); !proven(proof) {
		t.Errorf("not proven: %+v", finding.Failed(proof, finding.Fail))
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
