//go:build !windows

package faults

import (
	"os"
	"syscall"
)

const noStop = ""

func stop(p *os.Process) error   { return p.Signal(syscall.SIGSTOP) }
func resume(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
