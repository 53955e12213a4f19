package wsman

import "golang.org/x/sys/windows"

// The socket errors of package syscall never occur here.
const (
	errReset   = windows.WSAECONNRESET
	errRefused = windows.WSAECONNREFUSED
	errInUse   = windows.WSAEADDRINUSE
)
