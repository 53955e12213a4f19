package wsman

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"
)

// shell is a remote shell of a user. Its fields below the line belong to
// Server.mu.
type shell struct {
	id, user, dir, codePage string
	env                     map[string]string
	idleTimeout             time.Duration

	commands map[string]*command
	counted  int // operations counted against the user
	busy     int // requests under way
	idle     *time.Timer
}

func rsp(local string) xml.Name { return xml.Name{Space: nsShell, Local: local} }

// handle does what an authenticated request asks for and returns the body and
// the action of the reply.
func (s *Server) handle(hr *http.Request, r *request, user string, ev *Event) ([]byte, error) {
	switch r.resource {
	case cmdShell:
	case nsShell:
		// Clients ask for a shell by its selector to see whether it is alive.
		// We answer only what we have a record of: that it is not.
		if r.action != nsTransfer+"/Get" {
			return nil, newFault(codeAction)
		}
		sh, err := s.find(r.shell, user)
		if err != nil {
			f := newFault(codeSelectors)
			f.provider, f.path, f.nested = "Shell provider", `%systemroot%\system32\WsmSvc.dll`, true
			return nil, f
		}
		s.release(sh)
		return nil, newFault(codeAction)
	default:
		return nil, newFault(codeResourceNotFound)
	}
	if r.action == nsTransfer+"/Create" {
		return s.create(hr, r, user, ev)
	}
	sh, err := s.find(r.shell, user)
	if err != nil {
		return nil, err
	}
	defer s.release(sh)
	switch r.action {
	case nsTransfer + "/Delete":
		if f := r.onlyOptions(); f != nil || r.body != nil {
			return nil, either(f, newFault(codeInvalidBody))
		}
		s.drop(sh, newFault(codeAborted))
		return reply(r, nsTransfer+"/DeleteResponse", ""), nil
	case nsShell + "/Command":
		return s.command(r, sh, ev)
	case nsShell + "/Send":
		return s.send(r, sh)
	case nsShell + "/Receive":
		return s.receive(hr.Context(), r, sh)
	case nsShell + "/Signal":
		return s.signal(r, sh)
	}
	return nil, newFault(codeAction)
}

func either(a, b *fault) *fault {
	if a != nil {
		return a
	}
	return b
}

// expect returns the body element if it is the one the action needs and has
// nothing in it that should not be there.
func (r *request) expect(local string, kids map[xml.Name]int, attrs ...xml.Name) (*node, *fault) {
	if r.body == nil || r.body.name != rsp(local) {
		return nil, newFault(codeInvalidBody)
	}
	if err := r.body.check(kids, attrs...); err != nil {
		return nil, newFault(codeSchema).because("%v", err)
	}
	return r.body, nil
}

func (s *Server) create(hr *http.Request, r *request, user string, ev *Event) ([]byte, error) {
	body, f := r.expect("Shell", map[xml.Name]int{rsp("InputStreams"): 1, rsp("OutputStreams"): 1, rsp("WorkingDirectory"): 1,
		rsp("IdleTimeOut"): 1, rsp("Lifetime"): 1, rsp("Name"): 1, rsp("Environment"): 1})
	if f == nil {
		f = r.onlyOptions("WINRS_NOPROFILE", "WINRS_CODEPAGE")
	}
	if f == nil {
		_, f = r.boolean("WINRS_NOPROFILE", false)
	}
	if f != nil {
		return nil, f
	}
	if r.shell != "" {
		return nil, newFault(codeSelectors)
	}
	if in := body.child(nsShell, "InputStreams").value(); in != "" && in != "stdin" {
		return nil, newFault(codeInputStream)
	}
	if f := outputStreams(body.child(nsShell, "OutputStreams").value()); f != nil {
		return nil, f
	}
	sh := &shell{id: newID(), user: user, codePage: r.options["WINRS_CODEPAGE"], dir: body.child(nsShell, "WorkingDirectory").value(),
		env: map[string]string{}, commands: map[string]*command{}, counted: 1, idleTimeout: s.limits.IdleTimeout}
	var echo strings.Builder
	for _, v := range body.child(nsShell, "Environment").kids {
		if v.name != rsp("Variable") || v.check(nil, xml.Name{Local: "Name"}) != nil || v.attr("Name") == "" {
			return nil, newFault(codeSchema).because("Environment holds something other than named variables")
		}
		sh.env[v.attr("Name")] = v.text
		fmt.Fprintf(&echo, `<rsp:Variable Name="%s">%s</rsp:Variable>`, escape(v.attr("Name")), escape(v.text))
	}
	if t := body.child(nsShell, "IdleTimeOut").value(); t != "" {
		d, err := parseDuration(t)
		if err != nil || d <= 0 {
			return nil, newFault(codeSchema).because("IdleTimeOut: %s", t)
		}
		sh.idleTimeout = min(d, s.limits.IdleTimeout)
	}
	if err := s.add(sh); err != nil {
		return nil, err
	}
	ev.Shell = sh.id

	var b strings.Builder
	fmt.Fprintf(&b, `<x:ResourceCreated><a:Address>%s</a:Address><a:ReferenceParameters><w:ResourceURI>%s</w:ResourceURI>`+
		`<w:SelectorSet><w:Selector Name="ShellId">%s</w:Selector></w:SelectorSet></a:ReferenceParameters></x:ResourceCreated>`, escape(r.to), cmdShell, sh.id)
	fmt.Fprintf(&b, `<rsp:Shell><rsp:ShellId>%s</rsp:ShellId><rsp:ResourceUri>%s</rsp:ResourceUri><rsp:Owner>%s</rsp:Owner><rsp:ClientIP>%s</rsp:ClientIP>`,
		sh.id, cmdShell, escape(user), host(hr.RemoteAddr))
	if sh.dir != "" {
		b.WriteString(`<rsp:WorkingDirectory>` + escape(sh.dir) + `</rsp:WorkingDirectory>`)
	}
	if echo.Len() > 0 {
		b.WriteString(`<rsp:Environment>` + echo.String() + `</rsp:Environment>`)
	}
	fmt.Fprintf(&b, `<rsp:IdleTimeOut>PT%.3fS</rsp:IdleTimeOut><rsp:InputStreams>stdin</rsp:InputStreams><rsp:OutputStreams>stdout stderr</rsp:OutputStreams>`+
		`<rsp:ShellRunTime>P0DT0H0M0S</rsp:ShellRunTime><rsp:ShellInactivity>P0DT0H0M0S</rsp:ShellInactivity></rsp:Shell>`, sh.idleTimeout.Seconds())
	return reply(r, nsTransfer+"/CreateResponse", b.String()), nil
}

// outputStreams checks a list of output streams; an empty one means all.
func outputStreams(list string) *fault {
	for _, name := range strings.Fields(list) {
		if name != "stdout" && name != "stderr" {
			return newFault(codeOutputStream)
		}
	}
	return nil
}

// add makes a shell known, if the quotas allow it.
func (s *Server) add(sh *shell) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return newFault(codeAborted)
	}
	users, mine := map[string]bool{sh.user: true}, 0
	for _, other := range s.shells {
		users[other.user] = true
		if other.user == sh.user {
			mine++
		}
	}
	if mine >= s.limits.MaxShellsPerUser {
		return newFault(codeMaxShells, s.limits.MaxShellsPerUser)
	}
	if len(users) > s.limits.MaxConcurrentUsers {
		return newFault(codeMaxShellUsers)
	}
	if err := s.countOperation(sh.user); err != nil {
		return err
	}
	s.shells[sh.id] = sh
	sh.idle = time.AfterFunc(sh.idleTimeout, func() { s.drop(sh, shellNotFound(sh.id)) })
	return nil
}

// countOperation needs Server.mu.
func (s *Server) countOperation(user string) error {
	if s.operations[user] >= s.limits.MaxConcurrentOperationsPerUser {
		return newFault(codeMaxOperations, s.limits.MaxConcurrentOperationsPerUser)
	}
	s.operations[user]++
	return nil
}

// find returns a shell of the user, which is not idle until release.
func (s *Server) find(id, user string) (*shell, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.shells[id]
	if sh == nil || sh.user != user {
		return nil, shellNotFound(id)
	}
	sh.busy++
	sh.idle.Stop()
	return sh, nil
}

func (s *Server) release(sh *shell) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sh.busy--; sh.busy == 0 && s.shells[sh.id] == sh {
		sh.idle.Reset(sh.idleTimeout)
	}
}

// drop ends a shell and its processes; requests that wait for one of them get
// the fault.
func (s *Server) drop(sh *shell, why *fault) {
	s.mu.Lock()
	if s.shells[sh.id] == sh {
		delete(s.shells, sh.id)
		s.operations[sh.user] -= sh.counted
	}
	sh.idle.Stop()
	commands := sh.commands
	sh.commands = map[string]*command{}
	s.mu.Unlock()
	for _, c := range commands {
		c.kill(why)
	}
}

// DropShells ends every shell with its processes, as a reboot does.
func (s *Server) DropShells() {
	s.init()
	s.mu.Lock()
	all := maps.Clone(s.shells)
	s.mu.Unlock()
	for _, sh := range all {
		s.drop(sh, shellNotFound(sh.id))
	}
}

// Counts returns how many shells a user has and how many operations count
// against MaxConcurrentOperationsPerUser.
func (s *Server) Counts(user string) (shells, operations int) {
	s.init()
	user, _, _ = s.account(user)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sh := range s.shells {
		if sh.user == user {
			shells++
		}
	}
	return shells, s.operations[user]
}

func (s *Server) command(r *request, sh *shell, ev *Event) ([]byte, error) {
	body, f := r.expect("CommandLine", map[xml.Name]int{rsp("Command"): 1, rsp("Arguments"): 0})
	if f == nil {
		f = r.onlyOptions("WINRS_CONSOLEMODE_STDIN", "WINRS_SKIP_CMD_SHELL")
	}
	if f != nil {
		return nil, f
	}
	console, f1 := r.boolean("WINRS_CONSOLEMODE_STDIN", false) // a pipe (MS-WSMV 3.1.4.11)
	skip, f2 := r.boolean("WINRS_SKIP_CMD_SHELL", false)
	if f := either(f1, f2); f != nil {
		return nil, f
	}
	words := []string{body.child(nsShell, "Command").text}
	for _, k := range body.kids {
		if err := k.check(nil); err != nil {
			return nil, newFault(codeSchema).because("%v", err)
		}
		if k.name == rsp("Arguments") {
			words = append(words, k.text)
		}
	}
	if words[0] == "" {
		return nil, newFault(codeInvalidParameter)
	}
	c := newCommand()
	p := &Process{Line: strings.Join(words, " "), SkipCmd: skip, ConsoleMode: console, User: sh.user, Env: maps.Clone(sh.env),
		Dir: sh.dir, CodePage: sh.codePage, Shell: sh.id, Stdin: c.stdin, Stdout: output{c, "stdout"}, Stderr: output{c, "stderr"}}
	ev.Detail = p.Line
	if skip && length(p.Line) > s.limits.MaxCreateProcess {
		return nil, newFault(codeNameTooLong)
	}
	if finder, ok := s.Handler.(Finder); ok && skip {
		if err := finder.Find(p); errors.Is(err, ErrNotFound) {
			return nil, newFault(codeFileNotFound)
		} else if err != nil {
			return nil, fmt.Errorf("finding the program: %w", err)
		}
	}
	if err := s.start(sh, c, p); err != nil {
		return nil, err
	}
	return reply(r, nsShell+"/CommandResponse", `<rsp:CommandResponse><rsp:CommandId>`+c.id+`</rsp:CommandId></rsp:CommandResponse>`), nil
}

// start runs a process, if the quotas allow it.
func (s *Server) start(sh *shell, c *command, p *Process) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shells[sh.id] != sh {
		return shellNotFound(sh.id)
	}
	running := 0
	for _, other := range sh.commands {
		if !other.ended() {
			running++
		}
	}
	if running >= s.limits.MaxProcessesPerShell {
		// Windows puts the shell in a job object; which fault its CreateProcess
		// then ends in is unverified.
		return newFault(codeNotEnoughQuota)
	}
	if err := s.countOperation(sh.user); err != nil {
		return err
	}
	sh.counted++
	sh.commands[c.id] = c
	ctx, cancel := context.WithCancel(s.ctx)
	c.cancel = cancel
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		defer cancel()
		if !p.SkipCmd && length(p.Line) > s.limits.MaxCommandLine {
			_, _ = p.Stderr.Write([]byte("The command line is too long.\r\n")) // the client may have gone
			c.exit(1)
			return
		}
		c.exit(s.Handler.Run(ctx, p))
	}()
	return nil
}

// length counts as Windows does, in UTF-16 code units.
func length(s string) int { return len(utf16Bytes(s)) / 2 }
