package winsim

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/machinestate"
)

// Hygiene is what becomes of a clean-up.
type Hygiene struct {
	// CleanTakes is how long an item takes.
	CleanTakes Duration `json:"clean_takes,omitempty"`
	// ComponentStoreExit is the exit code of dism.exe; 3010 works, and wants a restart.
	ComponentStoreExit int `json:"component_store_exit,omitempty"`
	// Temp is TEMP and TMP of the accounts that log in; empty: a folder of their profile.
	Temp string `json:"temp,omitempty"`
	// Junctions are folders that lead elsewhere, which the simulation does not follow.
	Junctions []string `json:"junctions,omitempty"`
}

// cleaning is a run of hygiene.ps1.
type cleaning struct {
	*twin
	keep    string
	left    int
	trouble string
	restart bool
	// refused are folders that are left alone, and why, each once.
	refused []string
}

var hygieneItems = []string{"temp", "update-cache", "recycle-bin", "powershell-history", "transcripts", "packer-leftovers", "event-logs", "shadow-copies", "component-store"}

var (
	oursInTemp    = regexp.MustCompile(`(?i)^(packer-|winrmcp-.*\.tmp$|script-.*\.(ps1|bat|cmd)$)`)
	oursInSysprep = regexp.MustCompile(`(?i)^(packer-|Panther\.packer-)`)
	oursInPanther = regexp.MustCompile(`(?i)^(packer-.*\.mark(\.part)?$|setupact\.packer-.*\.log$)`)
	transcript    = regexp.MustCompile(`(?i)^PowerShell_transcript\..*\.txt$`)
	history       = regexp.MustCompile(`(?i)_history\.txt$`)
	eightDigits   = regexp.MustCompile(`^\d{8}$`)
	anything      = regexp.MustCompile(`.`)
)

// hygiene is the twin of hygiene.ps1.
func (t *twin) hygiene(encoded string) int {
	p := struct {
		Items             []string
		Keep              string
		DryRun, ResetBase bool
	}{}
	err := parameters(encoded, &p)
	if err == nil && len(p.Items) == 0 {
		err = thrown("items is missing")
	}
	for _, item := range p.Items {
		if err == nil && !contains(hygieneItems, item) {
			err = thrown("unknown item '%s'", item)
		}
	}
	if err != nil {
		t.write(failed("hygiene", "bad-parameters", err))
		return 2
	}
	for _, item := range p.Items {
		c := &cleaning{twin: t, keep: p.Keep}
		var before, after any = c.measure(item), nil
		if d := t.g.scenario.CleanTakes; d > 0 && !p.DryRun && !t.g.sleep(t.ctx, time.Duration(d)) {
			return 1
		}
		if !p.DryRun {
			c.clean(item)
			after = c.measure(item)
		}
		for _, why := range c.refused {
			c.fail(why)
		}
		var trouble any
		if c.trouble != "" {
			trouble = c.trouble
		}
		t.write(document{
			{"script", "hygiene"}, {"schema", 1}, {"ok", true}, {"item", item}, {"dryRun", p.DryRun}, {"before", before}, {"after", after},
			{"left", c.left}, {"restart", c.restart}, {"problem", trouble}, {"ms", 0},
		})
	}
	return 0
}

func size(bytes int64, count int) document { return document{{"bytes", bytes}, {"count", count}} }

func (c *cleaning) fail(text string) {
	c.left++
	if c.trouble == "" {
		c.trouble = text
	}
}

// measure is Measure-Item.
func (c *cleaning) measure(item string) document {
	var bytes int64
	count := 0
	switch item {
	case "event-logs":
		for _, log := range c.filledLogs() {
			bytes += log.Size()
			count++
		}
	case "shadow-copies":
		c.g.machine.View(func(s *machinestate.State) {
			for _, n := range s.Shadows {
				bytes += n
				count++
			}
		})
	case "component-store":
		c.g.machine.View(func(s *machinestate.State) { bytes = s.Disk.Free })
	default:
		for _, target := range c.targets(item) {
			for _, path := range c.tree(target) {
				if info, err := c.g.drive.Stat(path); err == nil && !info.IsDir() {
					bytes += info.Size()
					count++
				}
			}
		}
		if item == "packer-leftovers" {
			count += len(c.foreignTasks())
		}
	}
	return size(bytes, count)
}

func (c *cleaning) clean(item string) {
	switch item {
	case "event-logs":
		for _, log := range c.filledLogs() {
			path := folderEvents + `\` + log.Name()
			if err := c.g.drive.WriteFile(path, append([]byte("ElfFile\x00"), make([]byte, 65536)...)); err != nil {
				c.fail(err.Error())
			}
		}
		return
	case "shadow-copies", "component-store":
		err := c.g.machine.Change(func(s *machinestate.State) {
			if item == "shadow-copies" {
				s.Shadows = nil
				return
			}
			switch code := c.g.scenario.ComponentStoreExit; code {
			case 0, 3010:
				c.restart = code == 3010
				s.Disk.Free, s.Superseded = s.Disk.Free+s.Superseded, 0
			default:
				c.fail(fmt.Sprintf("exit code %d: The operation failed.", code))
			}
		})
		if err != nil {
			c.fail(err.Error())
		}
		if c.restart {
			c.g.reg.Create(keyRebootPending)
		}
		return
	case "update-cache":
		r := &repairing{twin: c.twin}
		for _, name := range []string{"wuauserv", "BITS"} {
			if err := r.stopService(name); err != nil {
				c.fail(err.Error())
			}
		}
	}
	for _, target := range c.targets(item) {
		for _, path := range c.tree(target) {
			folder := c.g.drive.IsDir(path)
			if err := c.g.drive.Remove(path); err != nil && !folder {
				c.fail("The process cannot access the file because it is being used by another process.")
			}
		}
	}
	if item == "packer-leftovers" {
		for _, name := range c.foreignTasks() {
			remove := func() error { return c.g.drive.Remove(folderTasks + `\` + name) } // one that is there from the start
			if t := c.g.task(name); t != nil {
				remove = func() error { return c.g.deleteTask(t) }
			}
			if err := remove(); err != nil {
				c.fail(err.Error())
			}
		}
	}
}

// filledLogs are the event logs that hold something.
func (c *cleaning) filledLogs() (logs []os.FileInfo) {
	entries, _ := c.g.drive.ReadDir(folderEvents)
	for _, e := range entries {
		content, err := c.g.drive.ReadFile(folderEvents + `\` + e.Name())
		info, statErr := e.Info()
		if err == nil && statErr == nil && len(content) > 8 && len(bytes.Trim(content[8:], "\x00")) > 0 {
			logs = append(logs, info)
		}
	}
	return logs
}

// names is Select-Name.
func (c *cleaning) names(folder string, pattern *regexp.Regexp) (paths []string) {
	if c.junction(folder) {
		return nil
	}
	entries, _ := c.g.drive.ReadDir(folder)
	for _, e := range entries {
		if pattern.MatchString(e.Name()) {
			paths = append(paths, folder+`\`+e.Name())
		}
	}
	return paths
}

// foreign is Select-Foreign.
func (c *cleaning) foreign(folder string, pattern *regexp.Regexp) []string {
	return slices.DeleteFunc(c.names(folder, pattern), func(path string) bool { return c.keep != "" && strings.Contains(path, c.keep) })
}

func (c *cleaning) foreignTasks() (names []string) {
	for _, path := range c.foreign(folderTasks, oursInSysprep) {
		if name := path[strings.LastIndexByte(path, '\\')+1:]; oursInTemp.MatchString(name) {
			names = append(names, name)
		}
	}
	return names
}

// tree is Get-Tree.
func (c *cleaning) tree(path string) (paths []string) {
	if c.g.drive.IsDir(path) && !c.junction(path) {
		for _, entry := range c.names(path, anything) {
			paths = append(paths, c.tree(entry)...)
		}
	}
	return append(paths, path)
}

// targets is Get-Target.
func (c *cleaning) targets(item string) (paths []string) {
	users := append(c.names(c.g.full(`\Users`), anything), c.full(`%windir%\System32\config\systemprofile`))
	users = slices.DeleteFunc(users, c.junction)
	switch item {
	case "temp":
		for _, folder := range c.temps() {
			paths = append(paths, slices.DeleteFunc(c.names(folder, anything), func(path string) bool {
				return oursInTemp.MatchString(path[strings.LastIndexByte(path, '\\')+1:])
			})...)
		}
	case "update-cache":
		return c.own(c.full(`%windir%\SoftwareDistribution\Download`))
	case "recycle-bin":
		return c.own(c.g.full(`\$Recycle.Bin`))
	case "powershell-history":
		for _, user := range users {
			paths = append(paths, c.names(user+`\AppData\Roaming\Microsoft\Windows\PowerShell\PSReadLine`, history)...)
		}
	case "transcripts":
		for _, user := range users {
			paths = append(paths, c.names(user+`\Documents`, transcript)...)
			for _, day := range c.names(user+`\Documents`, eightDigits) {
				paths = append(paths, c.names(day, transcript)...)
			}
		}
		if output, ok := c.text(keyTranscription, "OutputDirectory").(string); ok && output != "" {
			for _, folder := range c.own(c.full(output)) {
				paths = append(paths, slices.DeleteFunc(c.tree(folder), func(path string) bool {
					return !transcript.MatchString(path[strings.LastIndexByte(path, '\\')+1:])
				})...)
			}
		}
	case "packer-leftovers":
		for _, folder := range c.temps() {
			paths = append(paths, c.foreign(folder, oursInTemp)...)
		}
		paths = append(paths, c.foreign(c.full(`%windir%\System32\Sysprep`), oursInSysprep)...)
		paths = append(paths, c.foreign(c.full(`%windir%\System32\Sysprep\Panther`), oursInPanther)...)
	}
	return paths
}

const keyTranscription = `HKLM\SOFTWARE\Policies\Microsoft\Windows\PowerShell\Transcription`

// password is the twin of password.ps1.
func (t *twin) password() int {
	if err := t.g.machine.Change(func(s *machinestate.State) { s.RandomPasswords++ }); err != nil {
		t.inlineFailed("password", err)
		return 1
	}
	t.write(document{{"script", "password"}, {"schema", 1}, {"ok", true}})
	return 0
}

// net is net.exe with what disables an account.
func (g *Guest) net(_ context.Context, c *call) int {
	args := c.Argv()
	if len(args) != 3 || !strings.EqualFold(args[0], "user") || !strings.EqualFold(args[2], "/active:no") {
		return g.badSyntax(c, "net")
	}
	if !g.isAdmin(c.user, c.filtered) {
		c.fail("System error 5 has occurred.\r\n\r\nAccess is denied.")
		return 2
	}
	if _, known := g.password(args[1]); !known {
		c.fail("The user name could not be found.\r\n\r\nMore help is available by typing NET HELPMSG 2221.")
		return 2
	}
	if err := g.machine.Change(func(s *machinestate.State) { s.Off = append(s.Off, args[1]) }); err != nil {
		c.fail("%v", err)
		return 2
	}
	c.say("The command completed successfully.")
	return 0
}
