// Package sshport asks the port of an SSH server whether it answers, directly or
// through a bastion.
package sshport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
)

// Dial opens a connection, as net.Dialer.DialContext does. Nil is a direct one.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// ErrWay says that the way to the server fails, such as a bastion that does not
// answer: of the server itself nothing is known.
var ErrWay = errors.New("the way to the SSH server does not work")

const maxBanner = 8 << 10 // bytes before the identification; RFC 4253, 4.2, sets no limit

// Probe asks whether an SSH server answers at host and port: it says who it is
// before it is asked (RFC 4253, section 4.2), so nothing is sent. It takes at most
// winrm.ProbeLimit. The error says why the answer is not Open; it is ctx's when ctx
// ended the probe, and ErrWay when the answer says nothing about the server.
func Probe(ctx context.Context, dial Dial, host string, port int) (winrm.Reach, error) {
	limited, cancel := context.WithTimeout(ctx, winrm.ProbeLimit)
	defer cancel()
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	address := net.JoinHostPort(host, strconv.Itoa(port))
	reach, err := ask(limited, dial, address)
	switch {
	case ctx.Err() != nil:
		return winrm.Unreachable, ctx.Err()
	case err != nil:
		return reach, fmt.Errorf("asking for SSH at %s: %w", address, err)
	}
	return reach, nil
}

func ask(ctx context.Context, dial Dial, address string) (winrm.Reach, error) {
	conn, err := dial(ctx, "tcp", address)
	switch {
	case err != nil && winrm.Refused(err):
		return winrm.Closed, err
	case err != nil:
		return winrm.Unreachable, err
	}
	defer conn.Close()
	// Closing is what ends a read when ctx ends, a cancel too.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	in := bufio.NewReaderSize(conn, 512)
	for read := 0; read < maxBanner; {
		line, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return winrm.Silent, err
		}
		if strings.HasPrefix(string(line), "SSH-") {
			return winrm.Open, nil
		}
		read += len(line)
	}
	return winrm.Silent, errors.New("the answer is not SSH")
}
