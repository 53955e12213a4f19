package vhd

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/packer-plugin-sdk/communicator"
	"golang.org/x/crypto/ssh"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/sshport"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
)

// jump is a bastion: it forwards to what it is asked for (RFC 4254, section 7.2).
type jump struct {
	net.Listener
	logins  atomic.Int32
	forbids atomic.Bool
}

func newJump(t *testing.T) *jump {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	j := &jump{Listener: l}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{PasswordCallback: func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
		j.logins.Add(1)
		if string(password) != "jump" {
			return nil, errors.New("no")
		}
		return nil, nil
	}}
	config.AddHostKey(signer)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go j.serve(c, config)
		}
	}()
	t.Cleanup(func() { l.Close() })
	return j
}

func (j *jump) serve(c net.Conn, config *ssh.ServerConfig) {
	defer c.Close()
	_, channels, requests, err := ssh.NewServerConn(c, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for channel := range channels {
		data := channel.ExtraData()
		n := binary.BigEndian.Uint32(data)
		host, port := string(data[4:4+n]), binary.BigEndian.Uint32(data[4+n:])
		if j.forbids.Load() {
			_ = channel.Reject(ssh.Prohibited, "no")
			continue
		}
		to, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: net.ParseIP(host), Port: int(port)})
		if err != nil {
			_ = channel.Reject(ssh.ConnectionFailed, err.Error())
			continue
		}
		ch, asked, err := channel.Accept()
		if err != nil {
			return
		}
		go ssh.DiscardRequests(asked)
		go func() {
			_, _ = io.Copy(ch, to)
			ch.Close()
			to.Close()
		}()
	}
}

func (j *jump) config() *communicator.Config {
	c := &communicator.Config{Type: "ssh"}
	c.SSHBastionHost, c.SSHBastionPort, c.SSHBastionUsername, c.SSHBastionPassword = "127.0.0.1", j.Addr().(*net.TCPAddr).Port, "u", "jump"
	return c
}

func TestAGuestBehindABastionIsAskedThroughIt(t *testing.T) {
	server, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("SSH-2.0-x\r\n"))
			c.Close()
		}
	}()
	port := server.Addr().(*net.TCPAddr).Port
	j := newJump(t)
	dial := sshDial(j.config())
	for range 2 {
		if reach, err := sshport.Probe(t.Context(), dial, "127.0.0.1", port); reach != winrm.Open || err != nil {
			t.Errorf("a guest that answers is %v, %v", reach, err)
		}
	}
	if n := j.logins.Load(); n != 1 {
		t.Errorf("%d logins for two looks", n)
	}
	server.Close()
	if reach, err := sshport.Probe(t.Context(), dial, "127.0.0.1", port); reach == winrm.Open || err == nil || errors.Is(err, sshport.ErrWay) {
		t.Errorf("a guest that is gone is %v, %v", reach, err)
	}
	j.forbids.Store(true)
	if _, err := sshport.Probe(t.Context(), dial, "127.0.0.1", port); !errors.Is(err, sshport.ErrWay) {
		t.Errorf("a bastion that forwards nothing: %v", err)
	}
}

func TestABastionThatFailsSaysNothingOfTheGuest(t *testing.T) {
	j := newJump(t)
	wrong := j.config()
	wrong.SSHBastionPassword = "other"
	if _, err := sshport.Probe(t.Context(), sshDial(wrong), "127.0.0.1", 1); !errors.Is(err, sshport.ErrWay) {
		t.Errorf("a login that is refused: %v", err)
	}
	away := j.config()
	j.Close()
	if _, err := sshport.Probe(t.Context(), sshDial(away), "127.0.0.1", 1); !errors.Is(err, sshport.ErrWay) {
		t.Errorf("a bastion that is away: %v", err)
	}
	through := &communicator.Config{Type: "ssh"}
	through.SSHProxyHost, through.SSHProxyPort = "127.0.0.1", away.SSHBastionPort
	if _, err := sshport.Probe(t.Context(), sshDial(through), "127.0.0.1", 1); !errors.Is(err, sshport.ErrWay) {
		t.Errorf("a proxy that is away: %v", err)
	}
	if sshDial(&communicator.Config{Type: "ssh"}) != nil {
		t.Error("without a bastion the guest is asked by a detour")
	}
}

// A proxy that answers and does not reach the guest has said something of it.
func TestAProxyThatDoesNotReachTheGuest(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		hello := make([]byte, 3)
		_, _ = io.ReadFull(c, hello)
		_, _ = c.Write([]byte{5, 0}) // RFC 1928: no login
		request := make([]byte, 10)
		_, _ = io.ReadFull(c, request)
		_, _ = c.Write([]byte{5, 4, 0, 1, 0, 0, 0, 0, 0, 0}) // host unreachable
	}()
	c := &communicator.Config{Type: "ssh"}
	c.SSHProxyHost, c.SSHProxyPort = "127.0.0.1", l.Addr().(*net.TCPAddr).Port
	if reach, err := sshport.Probe(context.Background(), sshDial(c), "192.0.2.1", 22); reach != winrm.Unreachable || err == nil || errors.Is(err, sshport.ErrWay) {
		t.Errorf("got %v, %v", reach, err)
	}
}
