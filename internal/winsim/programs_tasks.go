package winsim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// parseSwitches reads /name and /name value pairs, each at most once. Names in
// valued take a value, those in flags none.
func parseSwitches(args []string, valued, flags []string) (map[string]string, bool) {
	got := map[string]string{}
	for i := 0; i < len(args); i++ {
		name := strings.ToLower(args[i])
		if strings.HasPrefix(name, "-") {
			name = "/" + name[1:]
		}
		if _, twice := got[name]; twice {
			return nil, false
		}
		switch {
		case slices.Contains(flags, name):
			got[name] = ""
		case slices.Contains(valued, name) && i+1 < len(args):
			i++
			got[name] = args[i]
		default:
			return nil, false
		}
	}
	return got, true
}

// schtasks is schtasks.exe.
func (g *Guest) schtasks(_ context.Context, c *call) int {
	args := c.Argv()
	if len(args) == 0 {
		return g.badSyntax(c, "schtasks")
	}
	verb := strings.ToLower(args[0])
	valued := map[string][]string{
		"/create": {"/tn", "/tr", "/sc", "/st", "/sd", "/ru", "/rp", "/rl"},
		"/run":    {"/tn"}, "/end": {"/tn"}, "/delete": {"/tn"}, "/query": {"/tn", "/fo"},
	}
	flags := map[string][]string{"/create": {"/f", "/np", "/z"}, "/delete": {"/f"}, "/query": {"/nh", "/v"}}
	if valued[verb] == nil {
		return g.badSyntax(c, "schtasks")
	}
	o, ok := parseSwitches(args[1:], valued[verb], flags[verb])
	if !ok || (verb != "/query" && o["/tn"] == "") {
		return g.badSyntax(c, "schtasks")
	}
	if verb == "/create" {
		return g.taskCreate(c, o)
	}
	var t *task
	if o["/tn"] != "" {
		if t = g.task(o["/tn"]); t == nil {
			c.fail("ERROR: The system cannot find the file specified.")
			return 1
		}
	}
	switch verb {
	case "/run":
		g.runTask(t)
		c.say("SUCCESS: Attempted to run the scheduled task %q.", t.Name)
	case "/end":
		g.stopTask(t)
		c.say("SUCCESS: The scheduled task %q has been terminated successfully.", t.Name)
	case "/delete":
		if _, force := o["/f"]; !force {
			return g.badSyntax(c, "schtasks") // it would ask
		}
		if err := g.deleteTask(t); err != nil {
			c.fail("ERROR: %v", err)
			return 1
		}
		c.say("SUCCESS: The scheduled task %q was successfully deleted.", t.Name)
	case "/query":
		return g.taskQuery(c, o, t)
	}
	return 0
}

func (g *Guest) taskCreate(c *call, o map[string]string) int {
	schedule := strings.ToLower(o["/sc"])
	_, hasTime := o["/st"]
	if o["/tr"] == "" || !slices.Contains([]string{"once", "onstart"}, schedule) || (schedule == "once" && !hasTime) || len(o["/tr"]) > 261 {
		return g.badSyntax(c, "schtasks")
	}
	if level, given := o["/rl"]; given && !strings.EqualFold(level, "highest") && !strings.EqualFold(level, "limited") {
		return g.badSyntax(c, "schtasks")
	}
	if strings.EqualFold(o["/rl"], "highest") && c.filtered || !g.isAdmin(c.user, c.filtered) && o["/ru"] != "" {
		c.fail("ERROR: Access is denied.")
		return 1
	}
	user := c.user
	if o["/ru"] != "" {
		user = o["/ru"]
	}
	if password, given := o["/rp"]; given && !isSystem(user) && password != g.opt.Password {
		c.fail("ERROR: The user name or password is incorrect.")
		return 1
	}
	_, force := o["/f"]
	if err := g.addTask(&task{Name: strings.TrimPrefix(o["/tn"], `\`), Command: o["/tr"], User: user, Filtered: c.filtered}, force); err != nil {
		if errors.Is(err, errTaskExists) {
			return g.badSyntax(c, "schtasks") // it would ask
		}
		c.fail("ERROR: %v", err)
		return 1
	}
	c.say("SUCCESS: The scheduled task %q has successfully been created.", o["/tn"])
	return 0
}

func (g *Guest) taskQuery(c *call, o map[string]string, only *task) int {
	list := g.taskList()
	if only != nil {
		list = []*task{only}
	}
	_, bare := o["/nh"]
	_, verbose := o["/v"]
	format := strings.ToLower(o["/fo"])
	if verbose && format != "list" && format != "csv" {
		return g.badSyntax(c, "schtasks")
	}
	switch format {
	case "csv":
		if !bare && !verbose {
			c.say(`"TaskName","Next Run Time","Status"`)
		} else if !bare {
			c.say(`"HostName","TaskName","Next Run Time","Status","Last Result","Task To Run","Run As User"`)
		}
	case "", "table":
		c.say("\r\nFolder: \\")
		if !bare {
			c.say("%-40s %-22s %-15s\r\n%s %s %s", "TaskName", "Next Run Time", "Status", strings.Repeat("=", 40), strings.Repeat("=", 22), strings.Repeat("=", 15))
		}
	case "list":
	default:
		return g.badSyntax(c, "schtasks")
	}
	for _, t := range list {
		running, result := g.taskState(t)
		status := "Ready"
		if running {
			status = "Running"
		}
		switch {
		case format == "csv" && verbose:
			c.say(`"%s","\%s","N/A","%s","%d","%s","%s"`, ComputerName, t.Name, status, int32(result), t.Command, t.User)
		case format == "csv":
			c.say(`"\%s","N/A","%s"`, t.Name, status)
		case format == "list":
			c.say("\r\nFolder: \\\r\nHostName:      %s\r\nTaskName:      \\%s\r\nNext Run Time: N/A\r\nStatus:        %s", ComputerName, t.Name, status)
			if verbose {
				c.say("Last Result:   %d\r\nTask To Run:   %s\r\nRun As User:   %s", int32(result), t.Command, t.User)
			}
		default:
			c.say("%-40s %-22s %-15s", t.Name, "N/A", status)
		}
	}
	return 0
}

// tasklist is tasklist.exe with the filters on image name and process id.
func (g *Guest) tasklist(_ context.Context, c *call) int {
	o, ok := parseSwitches(c.Argv(), []string{"/fi", "/fo"}, []string{"/nh"})
	format := strings.ToLower(o["/fo"])
	if !ok || !slices.Contains([]string{"", "table", "csv", "list"}, format) {
		return g.badSyntax(c, "tasklist")
	}
	list := g.processes("")
	if filter, given := o["/fi"]; given {
		f := strings.Fields(filter)
		if len(f) != 3 || !strings.EqualFold(f[1], "eq") || (!strings.EqualFold(f[0], "imagename") && !strings.EqualFold(f[0], "pid")) {
			return g.badSyntax(c, "tasklist")
		}
		list = slices.DeleteFunc(list, func(p *process) bool {
			if strings.EqualFold(f[0], "pid") {
				return strconv.Itoa(p.pid) != f[2]
			}
			return !strings.EqualFold(p.image, f[2])
		})
	}
	if len(list) == 0 {
		c.say("INFO: No tasks are running which match the specified criteria.")
		return 0
	}
	_, bare := o["/nh"]
	if !bare {
		switch format {
		case "csv":
			c.say(`"Image Name","PID","Session Name","Session#","Mem Usage"`)
		case "", "table":
			c.say("\r\nImage Name                     PID Session Name        Session#    Mem Usage")
			c.say("========================= ======== ================ =========== ============")
		}
	}
	for _, p := range list {
		session := "Services"
		if p.session > 0 {
			session = "Console"
		}
		const memory = "12,340 K"
		switch format {
		case "csv":
			c.say(`"%s","%d","%s","%d","%s"`, p.image, p.pid, session, p.session, memory)
		case "list":
			c.say("\r\nImage Name:   %s\r\nPID:          %d\r\nSession Name: %s\r\nSession#:     %d\r\nMem Usage:    %s", p.image, p.pid, session, p.session, memory)
		default:
			c.say("%-25s %8d %-16s %11d %12s", p.image, p.pid, session, p.session, memory)
		}
	}
	return 0
}

// taskkill is taskkill.exe.
func (g *Guest) taskkill(_ context.Context, c *call) int {
	o, ok := parseSwitches(c.Argv(), []string{"/pid", "/im"}, []string{"/f", "/t"})
	_, byPID := o["/pid"]
	_, byName := o["/im"]
	if !ok || byPID == byName {
		return g.badSyntax(c, "taskkill")
	}
	var list []*process
	what := o["/im"]
	if byName {
		list = g.processes(what)
	} else {
		what = o["/pid"]
		for _, p := range g.processes("") {
			if strconv.Itoa(p.pid) == what {
				list = append(list, p)
			}
		}
	}
	if len(list) == 0 {
		c.fail("ERROR: The process %q not found.", what)
		return 128
	}
	for _, p := range list {
		if _, force := o["/f"]; !force {
			c.fail("ERROR: The process with PID %d could not be terminated.\r\nReason: This process can only be terminated forcefully (with /F option).", p.pid)
			return 1
		}
		g.kill(p)
		name := ""
		if byName {
			name = fmt.Sprintf(" %q", p.image)
			c.say("SUCCESS: The process%s with PID %d has been terminated.", name, p.pid)
			continue
		}
		c.say("SUCCESS: The process with PID %d has been terminated.", p.pid)
	}
	return 0
}
