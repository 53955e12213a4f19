package testutil

import (
	"net"
	"runtime"
	"testing"
)

func TestNobodyListensAtAClosedAddress(t *testing.T) {
	addr := ClosedAddr(t)
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("somebody listens")
	}
	if l, err := net.Listen("tcp", addr); err == nil {
		l.Close()
		if runtime.GOOS != "windows" { // where a socket may share its port
			t.Error("somebody else can listen")
		}
	}
}

func TestAProgramCanListenAtAFreeAddress(t *testing.T) {
	l, err := net.Listen("tcp", FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}
