package testutil

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
)

// Forward is a port that never closes, as a bastion, a tunnel or a load balancer has
// one: it takes every connection, and ends it where nothing is behind it.
func Forward(t testing.TB, to string) (host string, port int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	done := make(chan struct{})
	open.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() { pass(conn, to, done) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		close(done)
		open.Wait()
	})
	addr := listener.Addr().(*net.TCPAddr)
	return addr.IP.String(), addr.Port
}

func pass(conn net.Conn, to string, done <-chan struct{}) {
	defer conn.Close()
	behind, err := new(net.Dialer).DialContext(context.Background(), "tcp", to)
	if err != nil {
		return
	}
	defer behind.Close()
	ended := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{conn, behind}, {behind, conn}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			ended <- struct{}{}
		}()
	}
	select {
	case <-ended:
	case <-done:
	}
}
