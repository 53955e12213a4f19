package communicator

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
)

// Connect logs in by the first of several ways that the guest takes. The next is
// tried only where one is refused, and Basic only where it is offered then.
// Where logins have been refused before, one of them is sent in a round, each in its
// turn: every one counts towards the lockout of the account.
func Connect(ctx context.Context, ways []winrm.Config) (*winrm.Client, error) {
	var refused error
	before := 0
	if len(ways) > 0 {
		before = ways[0].Guard.Count()
	}
	for i := range ways {
		way := ways[(i+before)%len(ways)]
		if before > 0 && way.Guard.Count() > before {
			break
		}
		client, err := winrm.New(way)
		if err != nil {
			return nil, err
		}
		if (refused != nil || before > 0 && len(ways) > 1) && way.Auth == winrm.AuthBasic && !offers(ctx, client, "Basic") {
			client.Close()
			continue
		}
		if _, err = client.Login(ctx); err == nil {
			return client, nil
		}
		client.Close()
		if !errors.Is(err, winrm.ErrUnauthorized) {
			return nil, err
		}
		if refused == nil || errors.Is(refused, winrm.ErrNotOffered) {
			refused = err
		}
	}
	if refused == nil {
		return nil, errors.New("there is no way to connect: this is a fault of the plugin, report it")
	}
	return nil, refused
}

func offers(ctx context.Context, client *winrm.Client, scheme string) bool {
	offered, err := client.Schemes(ctx)
	return err == nil && slices.ContainsFunc(offered, func(s string) bool { return strings.EqualFold(s, scheme) })
}

// link is a connection with its shell.
type link struct {
	client  *winrm.Client
	session *winrm.Session
	host    string
	port    int
	left    []*winrm.Session // Communicator.mu: with shells that are to be closed
	users   int              // Communicator.mu
	suspect bool             // the same: something was lost, so look before it is used
}

// run runs a command in the kept shell.
func (c *Communicator) run(ctx context.Context, cmd winrm.Command) (int, error) {
	return c.runBy(ctx, func(l *link) (int, error) { return l.session.Run(ctx, cmd) })
}

// runAnew runs a command in a shell of its own, as Packer's own communicator does:
// the environment of a shell is as old as the shell, and what a provisioner has put
// on the PATH is for the next one to find.
func (c *Communicator) runAnew(ctx context.Context, cmd winrm.Command) (int, error) {
	return c.runBy(ctx, func(l *link) (int, error) {
		session := winrm.NewSession(l.client, winrm.ShellOptions{})
		code, err := session.Run(ctx, cmd)
		var failed *winrm.CommandError
		if errors.As(err, &failed) && failed.Left != nil { // nobody would answer now
			c.mu.Lock()
			l.left = append(l.left, session)
			c.mu.Unlock()
		} else if left := session.Close(ctx); left != nil {
			log.Printf("[DEBUG] closing a shell: %v", left)
		}
		return code, err
	})
}

// runBy runs a command. Where nothing can have run, because the connection was lost
// before, it is tried once more, with a connection to where the machine is now.
func (c *Communicator) runBy(ctx context.Context, run func(*link) (int, error)) (int, error) {
	for second := false; ; second = true {
		l, err := c.take(ctx)
		if err != nil {
			return 0, &winrm.CommandError{Err: err}
		}
		code, err := run(l)
		c.give(l, err)
		var failed *winrm.CommandError
		if err == nil || second || ctx.Err() != nil || !lost(err) || !errors.As(err, &failed) || failed.MayHaveRun {
			return code, err
		}
	}
}

// lost says whether err is about the way to the guest, or its service.
func lost(err error) bool {
	for _, k := range []error{winrm.ErrConnection, winrm.ErrDeadline, winrm.ErrShellLost, winrm.ErrUnavailable, winrm.ErrUnauthorized, winrm.ErrNotWinRM, winrm.ErrTLS} {
		if errors.Is(err, k) {
			return true
		}
	}
	return false
}

// take returns the link, made or looked at where it has to be.
func (c *Communicator) take(ctx context.Context) (*link, error) {
	select {
	case c.connecting <- struct{}{}:
		defer func() { <-c.connecting }()
	case <-ctx.Done():
		return nil, fmt.Errorf("connecting to the guest: %w", context.Cause(ctx))
	}
	if l := c.good(); l != nil {
		return l, nil
	}
	if time.Now().Before(c.until) {
		return nil, c.refused
	}
	l, err := c.connect(ctx)
	if errors.Is(err, winrm.ErrUnauthorized) {
		c.refused, c.until = err, time.Now().Add(max(c.options.Refused, c.guard.Pause(0)))
	}
	return l, err
}

// connect makes the link, or looks whether the guest of a suspect one is back.
func (c *Communicator) connect(ctx context.Context) (*link, error) {
	limited, cancel := context.WithTimeoutCause(ctx, c.options.Back, fmt.Errorf("no answer within %s", c.options.Back))
	defer cancel()
	ways, err := c.options.Settings(limited)
	if err != nil {
		return nil, fmt.Errorf("finding the guest: %w", err)
	}
	if len(ways) > 0 {
		c.guard = ways[0].Guard
	}
	if l, err := c.again(limited, ways); l != nil || err != nil {
		return l, err
	}
	client, err := Connect(limited, ways)
	if err != nil {
		return nil, err
	}
	log.Printf("[INFO] connected to WinRM at %s:%d", ways[0].Host, ways[0].Port)
	l := &link{client: client, session: winrm.NewSession(client, winrm.ShellOptions{}), host: ways[0].Host, port: ways[0].Port, users: 1}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		client.Close()
		return nil, ErrClosed
	}
	c.link = l
	return l, nil
}

// good is the link, nil where there is none that can be used as it is.
func (c *Communicator) good() *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil || c.link.suspect {
		return nil
	}
	c.link.users++
	return c.link
}

// again looks whether the guest of a suspect link is back, where it was: then its
// shell may be there, too. A link to elsewhere is given up.
func (c *Communicator) again(ctx context.Context, ways []winrm.Config) (*link, error) {
	c.mu.Lock()
	l := c.link
	if l != nil && (l.host != ways[0].Host || l.port != ways[0].Port) {
		c.link = nil
		if l.users == 0 {
			l.client.Close()
		}
		l = nil
	}
	c.mu.Unlock()
	if l == nil {
		return nil, nil
	}
	if _, err := l.client.Login(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l.suspect = false
	l.users++
	return l, nil
}

// give says that a command has left a link.
func (c *Communicator) give(l *link, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.users--
	l.suspect = l.suspect || lost(err)
	if c.link != l && l.users == 0 {
		l.client.Close()
	}
}
