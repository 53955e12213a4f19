// Package sshd is the SSH side of the simulated Windows guest: a server that
// treats its clients as OpenSSH for Windows does. It logs in by password, runs
// the lines it is sent, and has the subsystem sftp. What a line means, scp
// included, is the guest's business.
package sshd

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// Banner is how the OpenSSH of Windows Server 2022 and 2025 names itself.
const Banner = "SSH-2.0-OpenSSH_for_Windows_9.5"

// Process is one line that a client has sent.
type Process struct {
	Line, User     string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Server is one service. Its fields are set before Open.
type Server struct {
	// Addr is where it listens. With port 0 it is the port that was free at the
	// first Open, and stays that.
	Addr string
	// LetsIn decides whether a user gets in whose password is right, or is not; nil:
	// who has the right one does.
	LetsIn func(user string, right bool) bool
	// Users are the accounts and their passwords.
	Users map[string]string
	// Run runs a line as the server's default shell does, and returns its exit
	// code. Its context ends with the connection, and with it what the line
	// started: sshd puts a session into a job object that ends so
	// (contrib/win32/win32compat/w32-doexec.c of PowerShell/openssh-portable).
	Run func(ctx context.Context, p *Process) int
	// Path is where a file of the guest is on this machine.
	Path func(guest string) (string, error)
	// NoSFTP: sshd_config has no subsystem sftp.
	NoSFTP bool
	// Silent is how many lines are answered with nothing, and not run.
	Silent int
	// Log receives what the server does; nil discards it.
	Log func(format string, args ...any)

	mu       sync.Mutex
	key      ssh.Signer
	listener net.Listener
	conns    map[net.Conn]context.CancelFunc
	lines    []string
	wg       sync.WaitGroup
}

// Open begins to listen.
func (s *Server) Open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		return nil
	}
	if s.key == nil {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return fmt.Errorf("making the host key: %w", err)
		}
		if s.key, err = ssh.NewSignerFromKey(key); err != nil {
			return fmt.Errorf("making the host key: %w", err)
		}
	}
	l, err := net.Listen("tcp", s.Addr)
	if err != nil {
		return fmt.Errorf("opening the SSH port: %w", err)
	}
	s.listener, s.Addr, s.conns = l, l.Addr().String(), map[net.Conn]context.CancelFunc{}
	s.wg.Go(func() { s.accept(l) })
	return nil
}

// Shut closes the port and every connection, and waits until nothing of them runs.
func (s *Server) Shut() {
	s.mu.Lock()
	if s.listener != nil {
		s.listener.Close()
		s.listener = nil
	}
	for c, end := range s.conns {
		end()
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// Port is the port that it listens on, 0 before the first Open.
func (s *Server) Port() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, err := net.ResolveTCPAddr("tcp", s.Addr); err == nil {
		return a.Port
	}
	return 0
}

// Lines are those that were sent, in their order.
func (s *Server) Lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines...)
}

func (s *Server) logf(format string, args ...any) {
	if s.Log != nil {
		s.Log(format, args...)
	}
}

func (s *Server) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		ctx, end := context.WithCancel(context.Background())
		s.mu.Lock()
		if s.listener != l { // it was shut meanwhile
			s.mu.Unlock()
			end()
			c.Close()
			return
		}
		s.conns[c] = end
		s.wg.Go(func() {
			defer func() {
				end()
				c.Close()
				s.mu.Lock()
				delete(s.conns, c)
				s.mu.Unlock()
			}()
			s.serve(ctx, c)
		})
		s.mu.Unlock()
	}
}

func (s *Server) serve(ctx context.Context, c net.Conn) {
	config := &ssh.ServerConfig{ServerVersion: Banner, PasswordCallback: func(m ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
		want, known := s.Users[m.User()]
		right := known && want == string(password)
		if s.LetsIn != nil {
			right = s.LetsIn(m.User(), right)
		}
		if right {
			return nil, nil
		}
		return nil, errors.New("permission denied")
	}}
	config.AddHostKey(s.key)
	conn, channels, requests, err := ssh.NewServerConn(c, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	var sessions sync.WaitGroup
	for channel := range channels {
		if channel.ChannelType() != "session" {
			_ = channel.Reject(ssh.UnknownChannelType, "not here")
			continue
		}
		ch, asked, err := channel.Accept()
		if err != nil {
			break
		}
		sessions.Go(func() { s.session(ctx, conn.User(), ch, asked) })
	}
	s.mu.Lock()
	end := s.conns[c]
	s.mu.Unlock()
	if end != nil {
		end() // what the sessions run ends with the connection
	}
	sessions.Wait()
}

// session is one command, or one subsystem (RFC 4254, section 6.5).
func (s *Server) session(ctx context.Context, user string, ch ssh.Channel, requests <-chan *ssh.Request) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	started := false
	for r := range requests {
		var do func()
		ok := r.Type == "env" || r.Type == "pty-req"
		switch text := payload(r.Payload); {
		case started:
		case r.Type == "exec":
			do = func() { s.exec(ctx, user, strings.TrimRight(text, "\n"), ch) }
		case r.Type == "subsystem" && text == "sftp" && !s.NoSFTP:
			do = func() { s.sftp(ch) }
		}
		ok = ok || do != nil
		if r.WantReply {
			_ = r.Reply(ok, nil) // the client may have gone
		}
		if do != nil { // after the reply, which cannot follow the end
			started = true
			running.Go(func() {
				do()
				ch.Close()
			})
		}
	}
}

// payload is the text of a request.
func payload(p []byte) string {
	if len(p) < 4 {
		return ""
	}
	n := binary.BigEndian.Uint32(p)
	return string(p[4:][:min(int(n), len(p)-4)])
}

func (s *Server) exec(ctx context.Context, user, line string, ch ssh.Channel) {
	s.mu.Lock()
	s.lines = append(s.lines, line)
	silent := s.Silent > 0
	if silent {
		s.Silent--
	}
	s.mu.Unlock()
	code := 0
	if silent {
		s.logf("ssh: nothing is said to %.80q", line)
	} else {
		code = s.Run(ctx, &Process{Line: line, User: user, Stdin: ch, Stdout: ch, Stderr: ch.Stderr()})
	}
	if ctx.Err() != nil {
		return // killed: no exit status
	}
	_, _ = ch.SendRequest("exit-status", false, binary.BigEndian.AppendUint32(nil, uint32(code)))
}

func (s *Server) sftp(ch ssh.Channel) {
	f := files{s}
	server := sftp.NewRequestServer(ch, sftp.Handlers{FileGet: f, FilePut: f, FileCmd: f, FileList: f})
	if err := server.Serve(); err != nil && !errors.Is(err, io.EOF) {
		s.logf("sftp: %v", err)
	}
	server.Close()
}
