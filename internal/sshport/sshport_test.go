package sshport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
)

// says is a port that answers everybody with a text, and hangs up.
func says(t *testing.T, text string) int {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte(text))
			c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func TestProbe(t *testing.T) {
	for text, want := range map[string]winrm.Reach{
		"SSH-2.0-OpenSSH_for_Windows_9.5\r\n": winrm.Open,
		"a notice\r\nSSH-2.0-x\r\n":           winrm.Open, // RFC 4253 lets lines come before
		"HTTP/1.1 400 Bad Request\r\n":        winrm.Silent,
		"":                                    winrm.Silent,
		strings.Repeat("x", 2*maxBanner):      winrm.Silent,
		strings.Repeat("x\n", maxBanner):      winrm.Silent,
	} {
		if got, err := Probe(t.Context(), nil, "127.0.0.1", says(t, text)); got != want || (err == nil) != (want == winrm.Open) {
			t.Errorf("%.20q: %v, %v", text, got, err)
		}
	}
	port := says(t, "")
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().(*net.TCPAddr).Port
	l.Close()
	if got, err := Probe(t.Context(), nil, "127.0.0.1", closed); got != winrm.Closed || err == nil {
		t.Errorf("a closed port is %v, %v", got, err)
	}
	away := func(context.Context, string, string) (net.Conn, error) { return nil, fmt.Errorf("%w: x", ErrWay) }
	if got, err := Probe(t.Context(), away, "127.0.0.1", port); got != winrm.Unreachable || !errors.Is(err, ErrWay) {
		t.Errorf("a way that fails is %v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := Probe(ctx, nil, "127.0.0.1", port); got != winrm.Unreachable || !errors.Is(err, context.Canceled) {
		t.Errorf("a cancel is %v, %v", got, err)
	}
}
