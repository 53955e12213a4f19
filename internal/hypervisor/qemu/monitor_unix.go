//go:build unix

package qemu

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

// link is a private line to QEMU: one end of a socket pair is inherited, so
// there is no path to clash over, and no one else can connect.
type link struct {
	conn   net.Conn
	theirs *os.File
}

func newLink() (*link, error) {
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("creating socket pair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "qmp"), os.NewFile(uintptr(fds[1]), "qmp")
	conn, err := net.FileConn(ours) // duplicates the descriptor
	ours.Close()
	if err != nil {
		theirs.Close()
		return nil, fmt.Errorf("wrapping socket pair: %w", err)
	}
	return &link{conn: conn, theirs: theirs}, nil
}

func (l *link) chardev() string   { return "socket,fd=3" }
func (l *link) files() []*os.File { return []*os.File{l.theirs} }

// accept returns our end, once QEMU has been started. We let go of QEMU's end,
// so that our reads end when QEMU does.
func (l *link) accept(context.Context) (io.ReadWriteCloser, error) {
	l.theirs.Close()
	return l.conn, nil
}

func (l *link) close() {
	l.theirs.Close()
	l.conn.Close()
}
