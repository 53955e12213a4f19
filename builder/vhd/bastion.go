package vhd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/communicator"
	helperssh "github.com/hashicorp/packer-plugin-sdk/communicator/ssh"
	"github.com/hashicorp/packer-plugin-sdk/pathing"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/net/proxy"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/sshport"
)

// bastionLimit bounds the login to a bastion, and asking it whether it is there.
const bastionLimit = 15 * time.Second

// sshDial is how the guest's SSH port is reached from here: through the bastion or
// the proxy that Packer's communicator goes through, nil without either.
func sshDial(c *communicator.Config) sshport.Dial {
	switch {
	case c.Type != "ssh":
	case c.SSHBastionHost != "":
		return (&bastion{config: c}).dial
	case c.SSHProxyHost != "":
		return (&socks{config: c}).dial
	}
	return nil
}

// bastion is an SSH server that the guest is reached through. Its connection is
// kept, so that it sees one login and not one a look.
type bastion struct {
	config *communicator.Config
	mu     sync.Mutex
	client *ssh.Client
}

// dial opens a connection from the bastion. The error is sshport.ErrWay unless it is
// about the address.
func (b *bastion) dial(ctx context.Context, network, address string) (net.Conn, error) {
	client, err := b.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: the bastion %s: %w", sshport.ErrWay, b.config.SSHBastionHost, err)
	}
	conn, err := client.DialContext(ctx, network, address)
	refused := (*ssh.OpenChannelError)(nil)
	switch {
	case err == nil:
		return conn, nil
	case errors.As(err, &refused) && refused.Reason == ssh.ConnectionFailed:
		return nil, err
	case errors.As(err, &refused):
		return nil, fmt.Errorf("%w: the bastion %s forwards nothing: %w", sshport.ErrWay, b.config.SSHBastionHost, err)
	case ctx.Err() != nil && b.answers(client):
		return nil, err // it waits for the guest
	}
	b.drop(client)
	return nil, fmt.Errorf("%w: the bastion %s: %w", sshport.ErrWay, b.config.SSHBastionHost, err)
}

// answers says whether the bastion is there.
func (b *bastion) answers(client *ssh.Client) bool {
	answered := make(chan bool, 1)
	go func() {
		_, _, err := client.SendRequest("keepalive@openssh.com", true, nil)
		answered <- err == nil
	}()
	timer := time.NewTimer(bastionLimit)
	defer timer.Stop()
	select {
	case ok := <-answered:
		return ok
	case <-timer.C:
		return false
	}
}

func (b *bastion) drop(client *ssh.Client) {
	client.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.client == client {
		b.client = nil
	}
}

// connect logs in to the bastion, if that was not done. A login goes on for longer
// than one look takes.
func (b *bastion) connect(ctx context.Context) (*ssh.Client, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.client != nil {
		return b.client, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bastionLimit)
	defer cancel()
	auth, release, err := bastionAuth(ctx, b.config)
	if err != nil {
		return nil, err
	}
	defer release()
	address := net.JoinHostPort(b.config.SSHBastionHost, strconv.Itoa(b.config.SSHBastionPort))
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	// As Packer's communicator, which accepts any host key.
	c, channels, requests, err := ssh.NewClientConn(conn, address, &ssh.ClientConfig{
		User: b.config.SSHBastionUsername, Auth: auth, HostKeyCallback: ssh.InsecureIgnoreHostKey(), //nolint:gosec // see above
	})
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	b.client = ssh.NewClient(c, channels, requests)
	return b.client, nil
}

// bastionAuth are the ways to log in that the options name, without the one that
// asks a person.
func bastionAuth(ctx context.Context, c *communicator.Config) (auth []ssh.AuthMethod, release func(), err error) {
	release = func() {}
	if c.SSHBastionPassword != "" {
		auth = append(auth, ssh.Password(c.SSHBastionPassword), ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
			answers := make([]string, len(questions))
			for i := range answers {
				answers[i] = c.SSHBastionPassword
			}
			return answers, nil
		}))
	}
	if c.SSHBastionPrivateKeyFile != "" {
		key, err := pathing.ExpandUser(c.SSHBastionPrivateKeyFile)
		if err != nil {
			return nil, release, err
		}
		signer, err := helperssh.FileSigner(key)
		if c.SSHBastionCertificateFile != "" {
			var certificate string
			if certificate, err = pathing.ExpandUser(c.SSHBastionCertificateFile); err == nil {
				signer, err = helperssh.FileSignerWithCert(key, certificate)
			}
		}
		if err != nil {
			return nil, release, err
		}
		auth = append(auth, ssh.PublicKeys(signer))
	}
	if c.SSHBastionAgentAuth {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", os.Getenv("SSH_AUTH_SOCK"))
		if err != nil {
			return nil, release, fmt.Errorf("asking the SSH agent: %w", err)
		}
		release = func() { _ = conn.Close() }
		auth = append(auth, ssh.PublicKeysCallback(agent.NewClient(conn).Signers))
	}
	return auth, release, nil
}

// socks is a SOCKS5 proxy that the guest is reached through.
type socks struct{ config *communicator.Config }

func (s *socks) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c := s.config
	var auth *proxy.Auth
	if c.SSHProxyUsername != "" {
		auth = &proxy.Auth{User: c.SSHProxyUsername, Password: c.SSHProxyPassword}
	}
	d, err := proxy.SOCKS5("tcp", net.JoinHostPort(c.SSHProxyHost, strconv.Itoa(c.SSHProxyPort)), auth, proxy.Direct)
	if err != nil {
		return nil, fmt.Errorf("%w: the proxy %s: %w", sshport.ErrWay, c.SSHProxyHost, err)
	}
	conn, err := d.(proxy.ContextDialer).DialContext(ctx, network, address)
	if err == nil {
		return conn, nil
	}
	// What the proxy says of the address is no error of the network here.
	outer := (*net.OpError)(nil)
	if errors.As(err, &outer) {
		if inner := (*net.OpError)(nil); errors.As(outer.Err, &inner) {
			return nil, fmt.Errorf("%w: the proxy %s: %w", sshport.ErrWay, c.SSHProxyHost, err)
		}
	}
	return nil, err
}
