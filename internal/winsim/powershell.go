package winsim

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/cmdshell"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/stocktext"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/winfs"
)

// noFile is the exit code of powershell.exe when the -File is not there.
const noFile = -196608

// powershell is powershell.exe. It interprets nothing: texts are recognised.
func (g *Guest) powershell(ctx context.Context, c *call) int {
	if d := g.scenario.PowerShellStarts; d > 0 && !g.sleep(ctx, time.Duration(d)) {
		return 1
	}
	end := g.scenario.PowerShell.take(c)
	defer end()
	if g.scenario.ConstrainedLanguage && !strings.Contains(strings.ToLower(c.Args), "-encodedcommand") {
		c.fail("Cannot invoke method. Method invocation is supported only on core types in this language mode.")
		return 1
	}
	rest := c.Args
	for {
		rest = strings.TrimLeft(rest, " \t")
		word, after, _ := strings.Cut(rest, " ")
		switch strings.ToLower(word) {
		case "-noprofile", "-noninteractive", "-nologo":
			rest = after
		case "-executionpolicy", "-inputformat", "-outputformat":
			value, tail, _ := strings.Cut(strings.TrimLeft(after, " "), " ")
			known := map[string]string{"-executionpolicy": "bypass", "-inputformat": "none", "-outputformat": "text"}
			if !strings.EqualFold(value, known[strings.ToLower(word)]) {
				return g.unknownPowerShell(c, c.Args)
			}
			rest = tail
		case "-encodedcommand":
			script, err := stocktext.DecodeCommand(strings.TrimSpace(after))
			if err != nil {
				c.fail("Cannot process the command because the value specified with -EncodedCommand is not properly encoded. The value must be Base64 encoded.")
				return 1
			}
			for _, name := range scripts.Inlines() {
				if script == scripts.Inline(name) {
					return g.inline(ctx, c, name)
				}
			}
			return g.script(ctx, c, script)
		case "-file":
			return g.scriptFile(ctx, c, cmdshell.SplitArgs(after))
		case "-command":
			return g.script(ctx, c, unquote(after))
		case "":
			g.refuse("powershell without a command")
			return 1
		default:
			if strings.HasPrefix(word, "-") {
				return g.unknownPowerShell(c, c.Args)
			}
			return g.script(ctx, c, unquote(rest))
		}
	}
}

// unquote is what the C run-time library leaves of one quoted argument.
func unquote(s string) string {
	s = strings.TrimSpace(s)
	if args := cmdshell.SplitArgs(s); strings.HasPrefix(s, `"`) && len(args) == 1 {
		return args[0]
	}
	return s
}

func (g *Guest) unknownPowerShell(c *call, text string) int {
	g.refuse("powershell: %s", text)
	c.fail("simulator: this PowerShell is not known here: %.200s", text)
	return 1
}

// scriptFile runs a script by its content.
func (g *Guest) scriptFile(ctx context.Context, c *call, args []string) int {
	if len(args) == 0 {
		return g.unknownPowerShell(c, c.Args)
	}
	full, err := winfs.Clean(args[0], c.Dir)
	var text []byte
	if err == nil {
		text, err = g.drive.ReadFile(full)
	}
	if err != nil {
		c.fail("The argument '%s' to the -File parameter does not exist. Provide the path to an existing '.ps1' file as an argument to the -File parameter.", args[0])
		return noFile
	}
	if code, known := g.agentScript(ctx, c, full, args[1:]); known {
		return code
	}
	sum := sha256.Sum256(text)
	for _, name := range scripts.Names() {
		if s := hex.EncodeToString(sum[:]); s != scripts.Sum(name) && s != scripts.InlineSum(name) {
			continue
		}
		if len(args) != 3 || !strings.EqualFold(args[1], "-Json") {
			return g.unknownPowerShell(c, c.Args)
		}
		if g.scenario.release().powershell == "2" {
			c.fail("Unable to find type [ordered]: make sure that the assembly containing this type is loaded.")
			return 1
		}
		if g.blocked(c, name) {
			return 1
		}
		return g.twin(ctx, c, name, args[2])
	}
	if len(args) > 1 {
		return g.unknownPowerShell(c, c.Args)
	}
	return g.script(ctx, c, string(text))
}

// dotRun is the command Packer wraps around a script file: it loads a file of
// environment variables, runs the script and ends with its exit code.
var dotRun = regexp.MustCompile(`\A& \{ if \(Test-Path variable:global:ProgressPreference\)\{set-variable -name variable:global:ProgressPreference -value 'SilentlyContinue'\};\. ([^;{}]+); &'([^']+)'; exit \$LastExitCode \}\z`)

// script runs a whole text that is known.
func (g *Guest) script(ctx context.Context, c *call, text string) int {
	if m := dotRun.FindStringSubmatch(text); m != nil {
		return g.dotRun(ctx, c, m[1], m[2])
	}
	library, err := stocktext.Recorded()
	if err != nil {
		c.fail("simulator: %v", err)
		g.refuse("powershell: %v", err)
		return 1
	}
	kind, vars, err := library.Match(ctx, text)
	if err != nil {
		c.fail("simulator: %v", err)
		g.refuse("powershell: %v", err)
		return 1
	}
	temporary := c.Env.Get("TEMP") + `\` + vars["temporary"]
	switch kind {
	case stocktext.Restore:
		return g.restore(c, temporary, vars["target"])
	case stocktext.Remove:
		if err := g.drive.Remove(temporary); err != nil {
			g.logf("removing %s: %v", temporary, err) // as SilentlyContinue
		}
		return 0
	case stocktext.Download:
		content, err := g.read(c, vars["path"])
		if err != nil {
			c.fail("#< CLIXML")
			return 1
		}
		c.say("%s", base64.StdEncoding.EncodeToString(content))
		return 0
	case stocktext.Connected:
		c.say("WinRM connected.")
		return 0
	case stocktext.Restarted:
		c.say("%s restarted.", ComputerName)
		return 0
	case stocktext.Elevated:
		return g.elevated(ctx, c, vars)
	case stocktext.Inline:
		return g.statements(c, vars["body"])
	}
	return g.statements(c, text)
}

func (g *Guest) read(c *call, path string) ([]byte, error) {
	full, err := winfs.Clean(strings.Trim(path, "'"), c.Dir)
	if err != nil {
		return nil, err
	}
	return g.drive.ReadFile(full)
}

// dotRun runs a script file after the variables of an environment file.
func (g *Guest) dotRun(ctx context.Context, c *call, vars, script string) int {
	text, err := g.read(c, strings.ReplaceAll(vars, "${env:SYSTEMROOT}", g.full(folderWindows)))
	if err != nil {
		c.fail("simulator: %v", err)
		return 1
	}
	if rest := setVariables(c.Env, string(text)); strings.TrimSpace(rest) != "" {
		return g.unknownPowerShell(c, rest)
	}
	return g.scriptFile(ctx, c, []string{script})
}

var variable = regexp.MustCompile("\\A\\s*\\$env:([A-Za-z_][A-Za-z0-9_]*)\\s?=\\s?\"((?:[^\"`\r\n]|`.)*)\";?[ \t]*")

var backticks = regexp.MustCompile("`(.)")

// setVariables takes the assignments to $env: off the front of a text.
func setVariables(env cmdshell.Env, text string) (rest string) {
	for {
		m := variable.FindStringSubmatch(text)
		if m == nil {
			return text
		}
		env.Set(m[1], backticks.ReplaceAllString(m[2], "$1"))
		text = text[len(m[0]):]
	}
}

// restore is the second half of an upload by winrmcp.
func (g *Guest) restore(c *call, temporary, target string) int {
	target = strings.ReplaceAll(target, "$env:TEMP", c.Env.Get("TEMP"))
	full, err := winfs.Clean(strings.Trim(target, "'"), c.Dir)
	if err != nil || g.drive.IsDir(full) {
		return 1
	}
	encoded, err := g.drive.ReadFile(temporary)
	if err != nil {
		// An empty source: `echo $null > file` writes this.
		if err := g.drive.WriteFile(full, []byte("\xff\xfe\r\x00\n\x00")); err != nil {
			c.fail("%v", err)
			return 1
		}
		return 0
	}
	var content []byte
	for line := range strings.Lines(string(encoded)) {
		b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
		if err != nil {
			c.fail("Exception calling \"FromBase64String\" with \"1\" argument(s): \"%v\"", err)
			return 1
		}
		content = append(content, b...)
	}
	if err := g.drive.WriteFile(full, content); err != nil {
		c.fail("%v", err)
		return 1
	}
	return 0
}

// elevated registers a task that runs a command as another user, shows its
// output as it comes and ends with its result.
func (g *Guest) elevated(ctx context.Context, c *call, v map[string]string) int {
	user, password := backticks.ReplaceAllString(v["user"], "$1"), backticks.ReplaceAllString(v["password"], "$1")
	// The same text stands in the task's XML.
	named, err := xmlText(v["user"])
	if err != nil {
		c.fail("Cannot convert value to type \"System.Xml.XmlDocument\". Error: \"%v\"", err)
		return 1
	}
	if named != user {
		return g.unknownPowerShell(c, "a task whose XML names another user than its registration")
	}
	command, err := xmlText(v["command"])
	if err != nil {
		c.fail("Cannot convert value to type \"System.Xml.XmlDocument\". Error: \"%v\"", err)
		return 1
	}
	if known, ok := g.password(user); !isSystem(user) && (!ok || password != known) {
		c.fail("The user name or password is incorrect. (Exception from HRESULT: 0x8007052E)")
		return 1
	}
	output := folderWindows + `\Temp\` + v["task"] + ".out"
	t := &task{Name: v["task"], User: user, Command: "cmd /c " + command + " > %SYSTEMROOT%/Temp/" + v["task"] + ".out 2>&1"}
	if err := g.addTask(t, true); err != nil {
		c.fail("%v", err)
		return 1
	}
	done := g.runTask(t)
	shown := 0
	show := func() {
		content, err := g.drive.ReadFile(output)
		if err != nil || len(content) <= shown {
			return
		}
		text := string(content[shown:])
		end := strings.LastIndexByte(text, '\n') + 1
		fmt.Fprint(c.Stdout, text[:end])
		shown += end
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-ctx.Done():
			return 1 // task, script and output stay, as on Windows
		case <-done:
			running = false
		case <-tick.C:
		}
		show()
	}
	_, result := g.taskState(t)
	for _, file := range []string{output, strings.ReplaceAll(v["script"], "/", `\`)} {
		if err := g.drive.Remove(file); err != nil {
			g.logf("removing %s: %v", file, err)
		}
	}
	if err := g.deleteTask(t); err != nil {
		g.logf("deleting task %s: %v", t.Name, err)
	}
	return int(int32(result))
}

// xmlText is what an XML parser makes of a text between two tags.
func xmlText(raw string) (string, error) {
	var text string
	return text, xml.Unmarshal([]byte("<t>"+raw+"</t>"), &text)
}

// The statements of user scripts that tests and the demo use, each a whole
// line.
var (
	stWrite    = regexp.MustCompile(`\A(?:Write-Output|Write-Host|echo) (?:"([^"$` + "`" + `]*)"|'([^']*)')\z`)
	stVariable = regexp.MustCompile(`\A(?:Write-Output|echo) "?\$env:([A-Za-z_][A-Za-z0-9_]*)"?\z`)
	stExit     = regexp.MustCompile(`\Aexit (\d+)\z`)
	stMkdir    = regexp.MustCompile(`\ANew-Item -ItemType Directory(?: -Force)? -Path "?([A-Za-z]:[\\/][^"$;|<>*?]*?)"?(?: -Force)?(?: \| Out-Null)?\z`)
	stContent  = regexp.MustCompile(`\ASet-Content -Path "?([A-Za-z]:[\\/][^"$;|<>*? ]*)"? -Value (?:"([^"$` + "`" + `]*)"|'([^']*)')\z`)
	stRemove   = regexp.MustCompile(`\Aif \(Test-Path ([^\s()]+)\) \{Remove-Item ([^\s{}]+)\}\z`)
)

// statements runs a text line by line; the first line that is not known ends
// it.
func (g *Guest) statements(c *call, text string) int {
	text = setVariables(c.Env, text)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		var err error
		path := func(p string) string {
			full, problem := winfs.Clean(p, c.Dir)
			if problem != nil {
				err = problem
			}
			return full
		}
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case stWrite.MatchString(line):
			m := stWrite.FindStringSubmatch(line)
			c.say("%s%s", m[1], m[2])
		case stVariable.MatchString(line):
			c.say("%s", c.Env.Get(stVariable.FindStringSubmatch(line)[1]))
		case stExit.MatchString(line):
			n, _ := strconv.Atoi(stExit.FindStringSubmatch(line)[1])
			return n
		case stMkdir.MatchString(line):
			full := path(stMkdir.FindStringSubmatch(line)[1])
			if err == nil && g.drive.IsDir(full) && !strings.Contains(line, "-Force") {
				err = fmt.Errorf("an item with the specified name %s already exists", full)
			}
			if err == nil {
				err = g.drive.MkdirAll(full)
			}
		case stContent.MatchString(line):
			m := stContent.FindStringSubmatch(line)
			full := path(m[1])
			if err == nil && !g.drive.IsDir(full[:strings.LastIndexByte(full, '\\')+1]) {
				err = fmt.Errorf("could not find a part of the path '%s'", full)
			}
			if err == nil {
				err = g.drive.WriteFile(full, []byte(m[2]+m[3]+"\r\n"))
			}
		case stRemove.MatchString(line) && stRemove.ReplaceAllString(line, "$1") == stRemove.ReplaceAllString(line, "$2"):
			full := path(stRemove.FindStringSubmatch(line)[1])
			if err == nil && g.drive.IsFile(full) {
				err = g.drive.Remove(full)
			}
		default:
			c.fail("simulator: this PowerShell is not known here: %.200s", line)
			g.refuse("powershell: %s\nin:\n%s", line, text)
			return 1
		}
		if err != nil {
			c.fail("%v", err)
			return 1
		}
	}
	return 0
}
