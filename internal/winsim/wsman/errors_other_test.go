//go:build !windows

package wsman

import "syscall"

const (
	errReset   = syscall.ECONNRESET
	errRefused = syscall.ECONNREFUSED
	errInUse   = syscall.EADDRINUSE
)
