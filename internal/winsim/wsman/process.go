// Package wsman is the WS-Management side of the simulated Windows guest: an
// HTTP server that speaks the remote shell protocol (MS-WSMV, "winrs") as
// Windows does, with its authentication, quotas, time-outs and faults, and
// that can be told to fail in the ways a Windows machine fails. What the
// commands mean is the business of a Handler.
package wsman

import (
	"context"
	"errors"
	"io"
)

// Process is one command inside a remote shell, as the guest sees it.
type Process struct {
	// Line is the command and its arguments joined by blanks, as cmd.exe /C
	// gets it, or CreateProcess when SkipCmd is set.
	Line string
	// SkipCmd is the option WINRS_SKIP_CMD_SHELL, ConsoleMode the option
	// WINRS_CONSOLEMODE_STDIN (MS-WSMV 3.1.4.11).
	SkipCmd, ConsoleMode bool
	// User is the account the shell was created by, spelt as in Server.Users.
	User string
	// Env holds the variables the client asked for, Dir its working directory
	// and CodePage its WINRS_CODEPAGE; all three may be empty. Env belongs to
	// the process.
	Env           map[string]string
	Dir, CodePage string
	// Stdin ends when the client closed it or the command was terminated.
	Stdin io.Reader
	// Stdout and Stderr block while the client does not fetch what was
	// written, and fail once the command was terminated.
	Stdout, Stderr io.Writer
	// Shell is the identifier of the shell: its processes die with it.
	Shell string
}

// Handler runs commands.
type Handler interface {
	// Run runs one command and returns its exit code. ctx is cancelled by
	// Signal, by the end of the shell and by Server.Close.
	Run(ctx context.Context, p *Process) int
}

// HandlerFunc is a function as Handler.
type HandlerFunc func(ctx context.Context, p *Process) int

// Run calls f.
func (f HandlerFunc) Run(ctx context.Context, p *Process) int { return f(ctx, p) }

// ErrNotFound is what Find returns for a program that does not exist.
var ErrNotFound = errors.New("the system cannot find the file specified")

// Finder may be implemented by a Handler: Find is asked before a process with
// SkipCmd starts, because CreateProcess fails then and there (the Command
// request gets fault 2147942402) where cmd.exe would run and complain.
type Finder interface {
	Find(p *Process) error
}
