package winsim

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/sshd"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

const folderOpenSSH = folderSystem32 + `\OpenSSH`

// SSH is the OpenSSH server of the guest. Without a shell there is none.
type SSH struct {
	// Shell is the default shell: "cmd", which Microsoft's server has, or
	// "powershell", by HKLM\SOFTWARE\OpenSSH, DefaultShell.
	Shell string `json:"shell,omitempty"`
	// NoSCP: scp.exe is missing. NoSFTP: the server has no such subsystem.
	NoSCP  bool `json:"no_scp,omitempty"`
	NoSFTP bool `json:"no_sftp,omitempty"`
	// Silent is how many lines it answers with nothing.
	Silent int `json:"silent,omitempty"`
}

func (s SSH) check() error {
	switch {
	case s.Shell != "" && s.Shell != "cmd" && s.Shell != "powershell":
		return fmt.Errorf("ssh: the shell %q is not cmd or powershell", s.Shell)
	case s.Shell == "" && s != SSH{}:
		return errors.New("ssh: without a shell there is no server")
	case s.Silent < 0:
		return fmt.Errorf("ssh: silent is %d", s.Silent)
	}
	return nil
}

// SSHServer is the guest's SSH service at an address, nil where it has none. Whoever
// asks for it opens it, and shuts it when the machine goes down.
func (g *Guest) SSHServer(addr string) *sshd.Server {
	s := g.scenario.SSH
	if s.Shell == "" {
		return nil
	}
	users := map[string]string{g.opt.User: g.opt.Password}
	for name, password := range g.opt.Accounts {
		users[name] = password
	}
	return &sshd.Server{Addr: addr, Users: users, LetsIn: g.LetsIn, Run: g.sshLine, Path: g.drive.Path, NoSFTP: s.NoSFTP, Silent: s.Silent, Log: g.logf}
}

// installSSH puts what the server brings where it lies in Windows.
func (g *Guest) installSSH() error {
	if g.scenario.SSH.Shell == "" {
		return nil
	}
	scp := folderOpenSSH + `\scp.exe`
	if g.scenario.SSH.NoSCP {
		if g.drive.IsFile(scp) {
			return g.drive.Remove(scp)
		}
		return nil
	}
	return g.drive.WriteFile(scp, []byte("MZ"))
}

// sshLine runs a line as sshd's default shell does: cmd.exe /c "LINE", or
// powershell.exe -c "LINE" with its quotes escaped (w32-doexec.c of
// PowerShell/openssh-portable).
func (g *Guest) sshLine(ctx context.Context, p *sshd.Process) int {
	process := &wsman.Process{Line: p.Line, User: p.User, Stdin: p.Stdin, Stdout: p.Stdout, Stderr: p.Stderr}
	if g.scenario.SSH.Shell == "cmd" {
		if g.scenario.SSH.NoSCP && strings.HasPrefix(p.Line, "scp ") {
			fmt.Fprint(p.Stderr, g.console("").Text("'%s' is not recognized as an internal or external command,\r\noperable program or batch file.", "scp")+"\r\n")
			return 1
		}
		return g.run(ctx, process)
	}
	return g.powershellLine(ctx, process)
}

// What PowerShell is sent is recognised, as everywhere in this guest.
var (
	psEcho = regexp.MustCompile(`\Aecho ([^\s'"` + "`" + `;|&<>(){}@#,]*)\$\(\$PSVersionTable\.PSVersion\.Major\)\z`)
	psCmd  = regexp.MustCompile(`\Acmd\.exe /d /s /c \('((?:[^'‘’‚‛]|''|‘‘|’’|‚‚|‛‛)*)'-replace'([~#@!;])',\[char\]34\)\z`)
	psSCP  = regexp.MustCompile(`\Ascp -[rvtf]+ [A-Za-z0-9:/\\._-]+\z`)
)

// powershellLine is PowerShell with a line of a client. For a native program
// PowerShell 5.1 puts quotes around an argument with a blank outside of quotes, and
// does not escape those in it (NativeCommandParameterBinder.NeedQuotes).
func (g *Guest) powershellLine(ctx context.Context, p *wsman.Process) int {
	if m := psEcho.FindStringSubmatch(p.Line); m != nil {
		major, _, _ := strings.Cut(g.scenario.release().powershell, ".")
		fmt.Fprintf(p.Stdout, "%s%s\r\n", m[1], major)
		return 0
	}
	if m := psCmd.FindStringSubmatch(p.Line); m != nil {
		text := m[1]
		for _, quote := range []string{"'", "‘", "’", "‚", "‛"} {
			text = strings.ReplaceAll(text, quote+quote, quote)
		}
		text = strings.ReplaceAll(text, m[2], `"`)
		if !strings.HasPrefix(text, " ") || strings.HasSuffix(text, `\`) {
			g.refuse("ssh: PowerShell and cmd.exe do not agree on the quotes of %.200q", p.Line)
			return 1
		}
		p.Line, p.SkipCmd = `cmd.exe /d /s /c "`+text+`"`, true
		return g.run(ctx, p)
	}
	if psSCP.MatchString(p.Line) {
		p.SkipCmd = true
		if (handler{g}).found(p.Line) {
			return g.run(ctx, p)
		}
		fmt.Fprint(p.Stderr, "scp : The term 'scp' is not recognized as the name of a cmdlet, function, script file, or operable program.\r\n")
		return 1
	}
	g.refuse("ssh: PowerShell as the default shell does not know here: %.200s", p.Line)
	return 1
}

// found says whether the program of a line is there.
func (h handler) found(line string) bool {
	name, _ := splitCommand(line)
	return h.g.findProgram(name, h.g.profile()) != nil
}
