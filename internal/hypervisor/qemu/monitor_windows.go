package qemu

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
)

// link listens on this host only; QEMU connects to it, so that no port has to
// be guessed.
type link struct{ listener *net.TCPListener }

func newLink() (*link, error) {
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("listening for QEMU's monitor: %w", err)
	}
	return &link{listener: listener}, nil
}

func (l *link) chardev() string {
	return fmt.Sprintf("socket,host=127.0.0.1,port=%d", l.listener.Addr().(*net.TCPAddr).Port)
}

func (l *link) files() []*os.File { return nil }

func (l *link) accept(ctx context.Context) (io.ReadWriteCloser, error) {
	stop := context.AfterFunc(ctx, func() { l.listener.Close() })
	defer stop()
	conn, err := l.listener.Accept()
	l.listener.Close()
	if err != nil {
		return nil, fmt.Errorf("waiting for QEMU's monitor: %w", err)
	}
	return conn, nil
}

func (l *link) close() { l.listener.Close() }
