package winsim

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/cmdshell"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/console"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/machinestate"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/winfs"
)

// service is one service of the seeded machine. Start: 1 system, 2 automatic,
// 3 on demand, 4 disabled.
type service struct {
	name    string
	start   uint32
	running bool
}

var services = []service{
	{"AppXSvc", 3, false}, {"BITS", 3, false}, {"DoSvc", 3, false}, {"EventLog", 2, true}, {"MSDTC", 2, true}, {"Schedule", 2, true},
	{"sppsvc", 2, false}, {"TrustedInstaller", 3, false}, {"UsoSvc", 2, true}, {"WinDefend", 2, true}, {"Winmgmt", 2, true},
	{"WinRM", 2, true}, {"wuauserv", 3, false}, {"cdrom", 1, true},
}

// sc is sc.exe with QUERY and START of one service.
func (g *Guest) sc(_ context.Context, c *call) int {
	args := c.Argv()
	if len(args) == 2 && strings.EqualFold(args[0], "start") {
		return g.scStart(c, args[1])
	}
	if len(args) != 2 || !strings.EqualFold(args[0], "query") {
		return g.badSyntax(c, "sc")
	}
	azure, isAzure := g.azureService(args[1])
	if !isAzure && !g.reg.Has(keyServices+`\`+args[1]) {
		c.say("[SC] EnumQueryServicesStatus:OpenService FAILED 1060:\r\n\r\nThe specified service does not exist as an installed service.\r\n")
		return 1060
	}
	runs := azure.running
	if !isAzure {
		runs = g.serviceRuns(args[1])
	}
	state, accepts := "1  STOPPED ", ""
	if runs {
		state, accepts = "4  RUNNING ", "\r\n                                (STOPPABLE, NOT_PAUSABLE, ACCEPTS_SHUTDOWN)"
	}
	c.say("\r\nSERVICE_NAME: %s \r\n        TYPE               : 30  WIN32  \r\n        STATE              : %s%s\r\n        WIN32_EXIT_CODE    : 0  (0x0)\r\n        SERVICE_EXIT_CODE  : 0  (0x0)\r\n        CHECKPOINT         : 0x0\r\n        WAIT_HINT          : 0x0", args[1], state, accepts)
	return 0
}

// scStart is sc.exe START.
func (g *Guest) scStart(c *call, name string) int {
	switch mode := g.startMode(name); {
	case mode == "":
		c.say("[SC] StartService: OpenService FAILED 1060:\r\n\r\nThe specified service does not exist as an installed service.\r\n")
		return 1060
	case mode == "Disabled":
		c.say("[SC] StartService FAILED 1058:\r\n\r\nThe service cannot be started, either because it is disabled or because it has no enabled devices associated with it.\r\n")
		return 1058
	case g.serviceRuns(name):
		c.say("[SC] StartService FAILED 1056:\r\n\r\nAn instance of the service is already running.\r\n")
		return 1056
	}
	if err := g.machine.Change(func(s *machinestate.State) { s.Running[name] = true }); err != nil {
		c.fail("%v", err)
		return 1
	}
	c.say("\r\nSERVICE_NAME: %s \r\n        TYPE               : 30  WIN32  \r\n        STATE              : 2  START_PENDING \r\n", name)
	return 0
}

// serviceRuns says whether a service of that name runs.
func (g *Guest) serviceRuns(name string) (runs bool) {
	if azure, ok := g.azureService(name); ok {
		return azure.running
	}
	g.machine.View(func(s *machinestate.State) {
		for service, running := range s.Running {
			runs = runs || running && strings.EqualFold(service, name)
		}
	})
	return runs
}

func (g *Guest) hostname(_ context.Context, c *call) int {
	if c.Args != "" {
		return g.badSyntax(c, "hostname")
	}
	c.say(ComputerName)
	return 0
}

// machineSID is the same on every simulated machine.
const machineSID = "S-1-5-21-1004336348-1177238915-682003330"

func (g *Guest) whoami(_ context.Context, c *call) int {
	name, token := strings.ToLower(ComputerName+`\`+account(c.user)), g.token(c.user, c.filtered)
	if isSystem(c.user) {
		name = `nt authority\system`
	}
	switch strings.ToLower(strings.Join(c.Argv(), " ")) {
	case "":
		c.say("%s", name)
	case "/user /fo csv /nh":
		c.say(`"%s","%s"`, name, token.SID)
	case "/groups /fo csv /nh":
		for _, sid := range token.Groups {
			c.say(`"A group","Well-known group","%s","Mandatory group, Enabled by default, Enabled group"`, sid)
		}
	case "/priv /fo csv /nh":
		for _, right := range token.Privileges {
			c.say(`"%s","A right","Enabled"`, right)
		}
	default:
		return g.badSyntax(c, "whoami")
	}
	return 0
}

// ping is used as a pause: -n N takes N-1 seconds.
func (g *Guest) ping(ctx context.Context, c *call) int {
	args := c.Argv()
	n, target := 4, ""
	for i := 0; i < len(args); i++ {
		switch a := strings.ToLower(args[i]); {
		case (a == "-n" || a == "/n") && i+1 < len(args):
			i++
			v, err := strconv.Atoi(args[i])
			if err != nil || v < 1 {
				return g.badSyntax(c, "ping")
			}
			n = v
		case target == "" && (a == "127.0.0.1" || a == "localhost"):
			target = "127.0.0.1"
		default:
			return g.badSyntax(c, "ping")
		}
	}
	if target == "" {
		return g.badSyntax(c, "ping")
	}
	c.say("\r\nPinging %s with 32 bytes of data:", target)
	for i := range n {
		if i > 0 && !g.sleep(ctx, time.Second) {
			return 1
		}
		c.say("Reply from %s: bytes=32 time<1ms TTL=128", target)
	}
	c.say("\r\nPing statistics for %s:\r\n    Packets: Sent = %d, Received = %d, Lost = 0 (0%% loss),\r\nApproximate round trip times in milli-seconds:\r\n    Minimum = 0ms, Maximum = 0ms, Average = 0ms", target, n, n)
	return 0
}

// timeout waits. On Windows it refuses when stdin is no console, which some
// WinRM sessions have; that is left out.
func (g *Guest) timeout(ctx context.Context, c *call) int {
	args := slices.DeleteFunc(c.Argv(), func(a string) bool { return strings.EqualFold(a, "/nobreak") })
	if len(args) == 2 && strings.EqualFold(args[0], "/t") {
		args = args[1:]
	}
	if len(args) != 1 {
		return g.badSyntax(c, "timeout")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 0 {
		return g.badSyntax(c, "timeout")
	}
	g.sleep(ctx, time.Duration(n)*time.Second)
	return 0
}

func (g *Guest) where(_ context.Context, c *call) int {
	args := c.Argv()
	if len(args) != 1 || strings.HasPrefix(args[0], "/") {
		return g.badSyntax(c, "where")
	}
	for _, folder := range append([]string{c.Dir}, g.onPath()...) {
		for _, ext := range []string{"", ".com", ".exe", ".bat", ".cmd"} {
			if path := folder + `\` + args[0] + ext; g.drive.IsFile(path) {
				c.say("%s", path)
				return 0
			}
		}
	}
	c.fail("INFO: Could not find files for the given pattern(s).")
	return 1
}

// wevtutil lists, reads and clears event logs.
func (g *Guest) wevtutil(_ context.Context, c *call) int {
	args := c.Argv()
	switch {
	case len(args) == 1 && (strings.EqualFold(args[0], "el") || strings.EqualFold(args[0], "enum-logs")):
		entries, _ := g.drive.ReadDir(folderEvents)
		for _, e := range entries {
			c.say("%s", strings.TrimSuffix(e.Name(), ".evtx"))
		}
		return 0
	case len(args) == 2 && (strings.EqualFold(args[0], "cl") || strings.EqualFold(args[0], "clear-log")):
		path := folderEvents + `\` + args[1] + ".evtx"
		if !g.drive.IsFile(path) {
			c.fail("Failed to clear log %s. The specified channel could not be found.", args[1])
			return 15007
		}
		if err := g.clearEventLog(path); err != nil {
			c.fail("Failed to clear log %s. %v", args[1], err)
			return 5
		}
		return 0
	case len(args) > 2 && (strings.EqualFold(args[0], "qe") || strings.EqualFold(args[0], "query-events")):
		if g.queryEvents(c, args[1:]) {
			return 0
		}
	}
	return g.badSyntax(c, "wevtutil")
}

func (g *Guest) clearEventLog(path string) error {
	return g.drive.WriteFile(path, []byte("ElfFile\x00"))
}

// input opens the files of a filter, or its stdin, and calls f for each line.
func (g *Guest) input(c *call, names []string, f func(line string)) bool {
	readers := []io.Reader{c.Stdin}
	if len(names) > 0 {
		readers = nil
	}
	for _, name := range names {
		full, err := winfs.Clean(name, c.Dir)
		var content []byte
		if err == nil {
			content, err = g.drive.ReadFile(full)
		}
		if err != nil {
			return false
		}
		readers = append(readers, strings.NewReader(string(content)))
	}
	lines := bufio.NewScanner(io.MultiReader(readers...))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		f(strings.TrimSuffix(lines.Text(), "\r"))
	}
	return lines.Err() == nil
}

// more prints a file or its input; more +N leaves out the first N lines.
func (g *Guest) more(_ context.Context, c *call) int {
	if s := g.scenario; c.Console.CodePage == console.UTF8 && (s.MoreFails || s.release().oldMore) {
		c.say("Not enough memory.")
		return 1
	}
	skip := 0
	var names []string
	for _, a := range c.Argv() {
		n, err := strconv.Atoi(strings.TrimPrefix(a, "+"))
		switch {
		case strings.HasPrefix(a, "+") && err == nil:
			skip = n
		case strings.HasPrefix(a, "/"):
			return g.badSyntax(c, "more")
		default:
			names = append(names, a)
		}
	}
	n := 0
	if !g.input(c, names, func(line string) {
		if n++; n > skip {
			c.say("%s", line)
		}
	}) {
		c.fail("Cannot access file %s", strings.Join(names, " "))
		return 1
	}
	return 0
}

// find is find.exe: lines that hold a text in quotes.
func (g *Guest) find(_ context.Context, c *call) int {
	// The text must be quoted, which Argv does not tell.
	before, rest, ok := strings.Cut(c.Args, `"`)
	text, after, closed := strings.Cut(rest, `"`)
	if !ok || !closed {
		c.fail("FIND: Parameter format not correct")
		return 2
	}
	invert, count, number, fold := false, false, false, false
	var names []string
	for _, a := range append(cmdshell.SplitArgs(before), cmdshell.SplitArgs(after)...) {
		switch strings.ToLower(a) {
		case "/v":
			invert = true
		case "/c":
			count = true
		case "/n":
			number = true
		case "/i":
			fold = true
		default:
			if strings.HasPrefix(a, "/") {
				return g.badSyntax(c, "find")
			}
			names = append(names, a)
		}
	}
	hits := 0
	n := 0
	match := func(line string) {
		n++
		in, what := line, text
		if fold {
			in, what = strings.ToLower(in), strings.ToLower(what)
		}
		if hit := text != "" && strings.Contains(in, what); hit == invert { // no line has ""
			return
		}
		hits++
		if count {
			return
		}
		if number {
			line = fmt.Sprintf("[%d]%s", n, line)
		}
		c.say("%s", line)
	}
	if len(names) == 0 {
		names = []string{""}
	}
	for _, name := range names {
		hitsBefore := hits
		n = 0
		var files []string
		if name != "" {
			files = []string{name}
			if !count {
				c.say("\r\n---------- %s", strings.ToUpper(name))
			}
		}
		if !g.input(c, files, match) {
			c.fail("File not found - %s", strings.ToUpper(name))
			return 2
		}
		if count && name != "" {
			c.say("\r\n---------- %s: %d", strings.ToUpper(name), hits-hitsBefore)
		} else if count {
			c.say("%d", hits)
		}
	}
	if hits == 0 {
		return 1
	}
	return 0
}

// findstr is findstr.exe with literal texts; its regular expressions are not
// simulated.
func (g *Guest) findstr(_ context.Context, c *call) int {
	var texts, names []string
	fold, invert, literal, whole := false, false, false, false
	for _, a := range c.Argv() {
		switch low := strings.ToLower(a); {
		case low == "/i":
			fold = true
		case low == "/v":
			invert = true
		case low == "/l":
			literal = true
		case low == "/x":
			whole = true
		case strings.HasPrefix(low, "/c:"):
			texts = append(texts, a[3:])
		case strings.HasPrefix(a, "/"):
			return g.badSyntax(c, "findstr")
		case texts == nil:
			texts = strings.Fields(a)
		default:
			names = append(names, a)
		}
	}
	for _, t := range texts {
		if !literal && strings.ContainsAny(t, `.*[]^$\`) {
			return g.badSyntax(c, "findstr")
		}
	}
	if len(texts) == 0 || len(names) > 1 {
		return g.badSyntax(c, "findstr")
	}
	hits := 0
	if !g.input(c, names, func(line string) {
		in := line
		if fold {
			in = strings.ToLower(in)
		}
		hit := slices.ContainsFunc(texts, func(t string) bool {
			if fold {
				t = strings.ToLower(t)
			}
			if whole {
				return in == t
			}
			return strings.Contains(in, t)
		})
		if hit != invert {
			hits++
			c.say("%s", line)
		}
	}) {
		c.fail("FINDSTR: Cannot open %s", strings.Join(names, " "))
		return 1
	}
	if hits == 0 {
		return 1
	}
	return 0
}
