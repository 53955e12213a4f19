package winsim

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/cmdshell"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/console"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/winfs"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// program is an executable of the guest.
type program func(g *Guest, ctx context.Context, c *call) int

// call is a running program with who runs it.
type call struct {
	*cmdshell.Call
	proc *process
	user string
	// filtered: UAC has filtered the token.
	filtered bool
	// lives is the context of what it starts and nobody waits for.
	lives context.Context
}

func (c *call) fail(format string, args ...any) {
	fmt.Fprint(c.Stderr, c.Console.Text(format, args...)+"\r\n")
}

func (c *call) say(format string, args ...any) {
	fmt.Fprint(c.Stdout, c.Console.Text(format, args...)+"\r\n")
}

// programs are found in folders of the PATH, sysprep only in its own.
var programs map[string]struct {
	folder string
	run    program
}

func init() {
	programs = map[string]struct {
		folder string
		run    program
	}{}
	add := func(folder string, list map[string]program) {
		for name, run := range list {
			programs[name] = struct {
				folder string
				run    program
			}{folder, run}
		}
	}
	add(folderSystem32, map[string]program{
		"certutil.exe": (*Guest).certutil, "cmd.exe": (*Guest).cmd, "fc.exe": (*Guest).fc, "find.exe": (*Guest).find, "findstr.exe": (*Guest).findstr, "hostname.exe": (*Guest).hostname, "icacls.exe": (*Guest).icacls, "more.com": (*Guest).more,
		"ping.exe": (*Guest).ping, "reg.exe": (*Guest).regexe, "net.exe": (*Guest).net, "sc.exe": (*Guest).sc, "schtasks.exe": (*Guest).schtasks, "shutdown.exe": (*Guest).shutdownexe,
		"tar.exe": (*Guest).tar, "taskkill.exe": (*Guest).taskkill, "tasklist.exe": (*Guest).tasklist, "timeout.exe": (*Guest).timeout, "wevtutil.exe": (*Guest).wevtutil,
		"where.exe": (*Guest).where, "whoami.exe": (*Guest).whoami,
	})
	add(folderOpenSSH, map[string]program{"scp.exe": (*Guest).scp})
	add(folderSystem32+`\WindowsPowerShell\v1.0`, map[string]program{"powershell.exe": (*Guest).powershell})
	add(folderEC2v2, map[string]program{"ec2launch.exe": (*Guest).ec2launchV2})
	add(folderSysprep, map[string]program{"sysprep.exe": (*Guest).sysprep})
}

// onPath are the folders searched for a bare name.
func (g *Guest) onPath() []string {
	folders := []string{g.full(folderSystem32), g.full(folderWindows), g.full(folderSystem32) + `\WindowsPowerShell\v1.0`}
	if g.scenario.SSH.Shell != "" {
		folders = append(folders, g.full(folderOpenSSH))
	}
	return folders
}

type found struct {
	image string
	run   program
}

// findProgram finds an executable as CreateProcess and cmd.exe do; the file
// must be there.
func (g *Guest) findProgram(name, dir string) *found {
	folders := g.onPath()
	if strings.ContainsAny(name, `\/:`) {
		full, err := winfs.Clean(name, dir)
		if err != nil {
			return nil
		}
		// 64-bit programs see no other System32; a 32-bit one would.
		i := strings.LastIndexByte(full, '\\')
		folders, name = []string{full[:i]}, full[i+1:]
	} else {
		folders = append([]string{dir}, folders...)
	}
	for _, folder := range folders {
		for _, ext := range []string{"", ".com", ".exe"} {
			image := strings.ToLower(name + ext)
			p, ok := programs[image]
			if ok && strings.EqualFold(g.full(p.folder), folder) && g.drive.IsFile(folder+`\`+image) {
				return &found{image, p.run}
			}
		}
	}
	return nil
}

// prepare puts a program into the process list and returns what runs it. The
// program must have been found.
func (g *Guest) prepare(ctx context.Context, c *cmdshell.Call, user string) (pid int, run func() int) {
	return g.prepareAs(ctx, c, user, false)
}

func (g *Guest) prepareAs(ctx context.Context, c *cmdshell.Call, user string, filtered bool) (pid int, run func() int) {
	return g.prepareIn(ctx, ctx, c, user, filtered)
}

func (g *Guest) prepareIn(ctx, lives context.Context, c *cmdshell.Call, user string, filtered bool) (pid int, run func() int) {
	f := g.findProgram(c.Name, c.Dir)
	ctx, cancel := context.WithCancel(ctx)
	p := g.addRunning(f.image, strings.TrimSpace(`"`+c.Name+`" `+c.Args), user, 0, g.now(), cancel)
	return p.pid, func() int {
		defer cancel()
		defer g.removeProcess(p)
		code := f.run(g, ctx, &call{Call: c, proc: p, user: user, filtered: filtered, lives: lives})
		if ctx.Err() != nil && code == 0 {
			return 1 // ended by TerminateProcess
		}
		return code
	}
}

// host lets cmd.exe run programs for one user and shell.
type host struct {
	g        *Guest
	user     string
	filtered bool
	// lives is the context of a program that nobody waits for: that of the
	// shell, or of the session where programs outlive the shell.
	lives context.Context
}

func (h *host) Refuse(format string, args ...any) { h.g.refuse(format, args...) }

func (h *host) Exec(ctx context.Context, c *cmdshell.Call) (int, bool) {
	if h.g.findProgram(c.Name, c.Dir) == nil {
		return 0, false
	}
	if h.g.startsNothing() {
		return cmdshell.NotStarted, true
	}
	h.g.thaw(ctx)
	if c.Detached {
		c.Stdin, c.Stdout, c.Stderr = strings.NewReader(""), io.Discard, io.Discard
		_, run := h.g.prepareIn(h.lives, h.lives, c, h.user, h.filtered)
		h.g.goDo(func() { run() })
		return 0, true
	}
	if h.g.scenario.ShellProcessesSurvive {
		ctx = h.lives
	}
	_, run := h.g.prepareIn(ctx, h.lives, c, h.user, h.filtered)
	return run(), true
}

// Creates is part of cmdshell.Creator.
func (h *host) Creates() bool { return !h.g.startsNothing() }

// handler is the guest as the WinRM service sees it.
type handler struct{ g *Guest }

func (h handler) Run(ctx context.Context, p *wsman.Process) int { return h.g.run(ctx, p) }

// Find is part of wsman.Finder: without cmd.exe a missing program is a fault.
func (h handler) Find(p *wsman.Process) error {
	name, _ := splitCommand(p.Line)
	if h.g.findProgram(name, h.g.profile()) == nil {
		h.g.refuse("no such program: %s", p.Line)
		return wsman.ErrNotFound
	}
	return nil
}

// run runs one command of a WinRM client.
func (g *Guest) run(ctx context.Context, p *wsman.Process) int {
	if g.startsNothing() {
		g.logf("no process is created, Windows shuts down: %.60s", p.Line)
		return cmdshell.NotStarted
	}
	g.thaw(ctx)
	g.replayAsked(ctx)
	session := g.session()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(session, cancel)()
	env := g.environment(p.User)
	for name, value := range p.Env {
		env.Set(name, value)
	}
	dir := g.profile()
	if p.Dir != "" {
		full, err := winfs.Clean(p.Dir, dir)
		if err != nil || !g.drive.IsDir(full) {
			g.refuse("a shell in the folder %s", p.Dir)
			fmt.Fprint(p.Stderr, g.console(p.CodePage).Text("The directory name is invalid.")+"\r\n")
			return 1
		}
		dir = full
	}
	h := &host{g: g, user: p.User, filtered: g.scenario.FilteredToken, lives: ctx}
	if g.scenario.ShellProcessesSurvive {
		h.lives = session
	}
	if p.SkipCmd {
		name, args := splitCommand(p.Line)
		code, _ := h.Exec(ctx, &cmdshell.Call{Name: name, Args: args, Dir: dir, Env: env, Stdin: p.Stdin, Stdout: p.Stdout, Stderr: p.Stderr, Console: g.console(p.CodePage)})
		return code // Find has seen that it is there
	}
	s := &cmdshell.Shell{Drive: g.drive, Host: h, Dir: dir, Env: env, Stdin: p.Stdin, Stdout: p.Stdout, Stderr: p.Stderr, Console: g.console(p.CodePage), Version: g.ver()}
	fmt.Fprint(p.Stdout, g.scenario.AutoRun)
	return s.Run(ctx, p.Line)
}

// console is what a program writes to under a code page.
func (g *Guest) console(codePage string) console.Console {
	return console.Console{Language: g.scenario.Language, CodePage: codePage}
}

// ver is the version as cmd.exe prints it.
func (g *Guest) ver() string {
	r := g.scenario.release()
	if r.kernel != "10.0" {
		return r.version()
	}
	return fmt.Sprintf("%s.%d", r.version(), r.update)
}

// environment is the block a new logon of that user gets.
func (g *Guest) environment(user string) cmdshell.Env {
	env := cmdshell.Env{}
	profile, name, drive, windows := g.profile(), account(user), g.drive.Name(), g.full(folderWindows)
	temp := cmp.Or(g.scenario.Temp, profile+`\AppData\Local\Temp`)
	if isSystem(user) {
		profile, name, temp = windows+`\System32\config\systemprofile`, ComputerName+"$", windows+`\TEMP`
	}
	for _, v := range [][2]string{
		{"ALLUSERSPROFILE", drive + `\ProgramData`}, {"APPDATA", profile + `\AppData\Roaming`}, {"COMPUTERNAME", ComputerName},
		{"ComSpec", windows + `\System32\cmd.exe`}, {"LOCALAPPDATA", profile + `\AppData\Local`}, {"NUMBER_OF_PROCESSORS", "2"}, {"OS", "Windows_NT"},
		{"Path", strings.Join(g.onPath(), ";")}, {"PATHEXT", ".COM;.EXE;.BAT;.CMD"}, {"PROCESSOR_ARCHITECTURE", "AMD64"}, {"ProgramData", drive + `\ProgramData`},
		{"ProgramFiles", drive + `\Program Files`}, {"PROMPT", "$P$G"}, {"PUBLIC", drive + `\Users\Public`}, {"SystemDrive", drive}, {"SystemRoot", windows},
		{"TEMP", temp}, {"TMP", temp}, {"USERDOMAIN", ComputerName}, {"USERNAME", name}, {"USERPROFILE", profile}, {"windir", windows},
	} {
		env.Set(v[0], v[1])
	}
	return env
}

// expandEnv replaces %NAME% as ExpandEnvironmentVariables does.
func expandEnv(env cmdshell.Env, s string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(s, "%")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		name, after, closed := strings.Cut(rest, "%")
		if v, known := env[strings.ToUpper(name)]; closed && known {
			b.WriteString(v.Value)
			s = after
			continue
		}
		b.WriteByte('%')
		s = rest
	}
}

// cmd is cmd.exe started as a program.
func (g *Guest) cmd(ctx context.Context, c *call) int {
	args, autoRun, strip := c.Args, g.scenario.AutoRun, stripQuotes
	for sw := ""; sw != "/c"; {
		args = strings.TrimLeft(args, " \t")
		sw = strings.ToLower(args[:min(2, len(args))])
		if sw != "/c" && sw != "/q" && sw != "/d" && sw != "/s" {
			g.refuse("cmd.exe %s", c.Args)
			c.fail("simulator: %v: cmd.exe %s", cmdshell.ErrUnsupported, c.Args)
			return 1
		}
		switch sw {
		case "/d":
			autoRun = ""
		case "/s":
			strip = stripOuter
		}
		args = args[2:]
	}
	fmt.Fprint(c.Stdout, autoRun)
	s := &cmdshell.Shell{
		Drive: g.drive, Host: &host{g: g, user: c.user, filtered: c.filtered, lives: c.lives}, Dir: c.Dir, Env: c.Env, Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr,
		Console: c.Console, Version: g.ver(),
	}
	return s.Run(ctx, strip(strings.TrimLeft(args, " \t")))
}

// stripQuotes is the rule of cmd /? for what follows /C: the first and last
// quote go, unless there are exactly two, nothing special is between them and
// they enclose a name with a blank.
func stripQuotes(s string) string {
	if !strings.HasPrefix(s, `"`) {
		return s
	}
	if strings.Count(s, `"`) == 2 {
		inner, _, _ := strings.Cut(s[1:], `"`)
		if !strings.ContainsAny(inner, "&<>()@^|") && strings.ContainsAny(inner, " \t") {
			return s
		}
	}
	return stripOuter(s)
}

// stripOuter is the rule with /S: the first and the last quote always go.
func stripOuter(s string) string {
	i := strings.LastIndexByte(s, '"')
	if !strings.HasPrefix(s, `"`) || i == 0 {
		return s
	}
	return s[1:i] + s[i+1:]
}
