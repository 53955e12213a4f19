//go:build unix && !linux

package qemu

import (
	"os/exec"
	"syscall"
)

// prepareProcess puts QEMU in a process group of its own, so that the
// terminal's Ctrl-C reaches only us. These systems have no parent-death signal:
// QEMU outlives a plugin that is killed with SIGKILL.
func prepareProcess(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

func adoptProcess(*exec.Cmd) error { return nil }
