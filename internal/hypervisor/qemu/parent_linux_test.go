package qemu

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// TestQEMUDiesWithItsParent kills a process of ours, without warning, that has
// started a machine: what happens to a plugin when Packer is killed.
func TestQEMUDiesWithItsParent(t *testing.T) {
	testutil.Tool(t, "qemu-system-x86_64")
	if os.Getenv("SYSPREP_TEST_PARENT") == "1" {
		d := quiet(plain)
		if _, err := d.Start(t.Context(), specFor(t, loops)); err != nil {
			t.Fatal(err)
		}
		fmt.Println("pid", d.process.cmd.Process.Pid)
		select {}
	}
	parent := exec.Command(os.Args[0], "-test.run=^TestQEMUDiesWithItsParent$", "-test.timeout=1m")
	parent.Env = append(os.Environ(), "SYSPREP_TEST_PARENT=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	for lines := bufio.NewScanner(out); pid == 0 && lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "pid "); ok {
			pid, _ = strconv.Atoi(text)
		}
	}
	if pid == 0 || syscall.Kill(pid, 0) != nil {
		t.Fatalf("no machine was started (process %d)", pid)
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()
	for range 500 {
		if gone(pid) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	t.Fatalf("process %d outlived its parent by 5 s", pid)
}

// gone takes a zombie that nobody has reaped yet for gone.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}
