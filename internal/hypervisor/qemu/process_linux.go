package qemu

import (
	"os/exec"
	"syscall"
)

// prepareProcess puts QEMU in a process group of its own, so that the
// terminal's Ctrl-C reaches only us and the guest is ended in order, and lets
// the kernel end it when we are killed.
func prepareProcess(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

func adoptProcess(*exec.Cmd) error { return nil }
