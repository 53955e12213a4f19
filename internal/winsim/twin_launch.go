package winsim

import (
	"bufio"
	"encoding/base64"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/cmdshell"
)

var taskName = regexp.MustCompile(`\A[A-Za-z0-9-]*\z`)

// createMeaning are the return values of Win32_Process.Create.
var createMeaning = map[int]string{
	0: "success", 2: "access denied", 3: "insufficient privilege", 8: "unknown failure", 9: "path not found", 21: "invalid parameter",
}

type launchParameters struct {
	Arguments, Mode, Logon, User, TaskName, Program string
	DryRun                                          bool
}

func (p *launchParameters) check() error {
	p.Arguments = strings.TrimSpace(p.Arguments)
	if p.Mode == "" {
		p.Mode = "process"
	}
	if p.Logon == "" {
		p.Logon = "s4u"
	}
	switch {
	case p.Arguments == "":
		return thrown("arguments is missing: without any, sysprep opens a window and waits for ever")
	case strings.ContainsAny(p.Arguments, "\r\n\x00"):
		return thrown("arguments holds a line break")
	case !slices.Contains([]string{"process", "task"}, p.Mode):
		return thrown("unknown mode '%s'", p.Mode)
	case !slices.Contains([]string{"s4u", "password", "system"}, p.Logon):
		return thrown("unknown logon '%s'", p.Logon)
	case p.Mode == "task" && p.Logon != "system" && p.User == "":
		return thrown("user is missing")
	case !taskName.MatchString(p.TaskName):
		return thrown("taskName holds other than letters, digits and hyphens")
	case strings.ContainsAny(p.Program, "\r\n\x00\""):
		return thrown("program holds a quote or a line break")
	}
	return nil
}

func (t *twin) launch(encoded string) int {
	var p launchParameters
	err := parameters(encoded, &p)
	if err == nil {
		err = p.check()
	}
	if err != nil {
		t.write(failed("launch", "bad-parameters", err))
		return 2
	}
	stamp := t.g.now().UTC().Format("20060102T150405Z")
	if p.TaskName == "" {
		p.TaskName = "packer-sysprep-" + stamp
	}
	if err := t.start(p, stamp); err != nil {
		d := failed("launch", "script", err, member{"started", false}, member{"task", nil})
		if p.Mode == "task" {
			d[4].value = p.TaskName
		}
		t.write(d)
		return 1
	}
	return 0
}

func (t *twin) refusal(name, message string, extra member) {
	t.write(document{{"script", "launch"}, {"schema", 1}, {"ok", false}, {"started", false}, {"error", document{{"name", name}, {"message", message}}}, extra})
}

// start is launch.ps1 from the point where its parameters are good.
func (t *twin) start(p launchParameters, stamp string) error {
	g := t.g
	if g.replay != nil {
		if next := g.nextStart(false); next != nil && next.Refused != nil {
			g.nextStart(true)
			t.write(failed("launch", next.Refused.Name, &psError{next.Refused.Name, next.Refused.Message, next.Refused.Type, next.Refused.ID}, member{"started", false}, member{"task", nil}))
			return nil
		}
	}
	exe := g.full(folderSysprep) + `\sysprep.exe`
	if !g.drive.IsFile(exe) {
		t.refusal("sysprep-missing", "sysprep.exe is not there", member{"exe", exe})
		return nil
	}
	if running := t.sysprepProcesses(); len(running) > 0 {
		t.refusal("already-running", "a sysprep process is running", member{"processes", running})
		return nil
	}
	if p.Program != "" {
		exe = p.Program
	}
	before := document{{"imageState", t.text(keyState, "ImageState")}, {"generalizationState", t.number("GeneralizationState")}, {"cleanupState", t.number("CleanupState")}}
	hadTag := g.drive.IsFile(fileTag)
	if hadTag && !p.DryRun {
		err := t.try("Remove-Item")
		if err == nil {
			err = g.drive.Remove(fileTag)
		}
		if err != nil {
			t.refusal("tag-not-deleted", err.Error(), member{"path", g.full(fileTag)})
			return nil
		}
	}
	target := g.full(folderSysprep) + `\Panther.packer-` + stamp
	d := document{
		{"script", "launch"}, {"schema", 1}, {"ok", true}, {"started", false}, {"dryRun", p.DryRun}, {"mode", p.Mode}, {"time", utc(g.now())},
		{"commandLine", `"` + exe + `" ` + p.Arguments}, {"before", before}, {"tagDeleted", hadTag && !p.DryRun}, {"logFolder", target},
		{"logs", t.moveLogs(target, p.DryRun)}, {"start", nil}, {"alive", nil}, {"process", nil},
	}
	set := func(name string, v any) {
		d[slices.IndexFunc(d, func(m member) bool { return m.name == name })].value = v
	}
	if p.DryRun {
		t.write(d)
		return nil
	}
	by := t.byProcess
	if p.Mode == "task" {
		by = func(exe, _ string) (document, any, error) { return t.byTask(p, exe) }
	}
	started, pid, err := by(exe, p.Arguments)
	if err != nil {
		return err
	}
	set("start", started)
	ran := slices.ContainsFunc(started, func(m member) bool { return m.name == "ran" })
	set("started", pid != nil || ran)
	if pid != nil || ran {
		g.pause(t.ctx, 300*time.Millisecond)
		mine := slices.DeleteFunc(t.sysprepProcesses(), func(q document) bool { return q[0].value != pid })
		set("alive", len(mine) > 0)
		if len(mine) > 0 {
			set("process", mine[0])
		}
	}
	t.write(d)
	return nil
}

func (t *twin) sysprepProcesses() []document {
	list := []document{}
	for _, p := range t.g.processes("sysprep.exe") {
		list = append(list, document{{"id", p.pid}, {"session", p.session}, {"start", utc(p.start)}})
	}
	return list
}

func (t *twin) moveLogs(target string, dry bool) []document {
	list := []document{}
	entries, _ := t.g.drive.ReadDir(folderPanther)
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		from, to := t.g.full(folderPanther)+`\`+e.Name(), target+`\`+e.Name()
		moved, problem := false, any(nil)
		if !dry {
			err := t.try("Move-Item")
			if err == nil {
				err = t.g.drive.MkdirAll(target)
			}
			if err == nil {
				err = t.g.drive.Rename(from, to)
			}
			if moved = err == nil; !moved {
				problem = err.Error()
			}
		}
		list = append(list, document{{"path", from}, {"to", to}, {"moved", moved}, {"error", problem}})
	}
	return list
}

// byProcess is Win32_Process.Create: the WMI service is the parent, no shell
// takes the program with it.
func (t *twin) byProcess(exe, arguments string) (document, any, error) {
	if text := t.g.scenario.CreateError; text != "" {
		return nil, nil, &psError{message: text, kind: "Microsoft.Management.Infrastructure.CimException", id: "HRESULT 0x80041003,Microsoft.Management.Infrastructure.CimCmdlets.InvokeCimMethodCommand"}
	}
	code := t.g.scenario.CreateReturn
	meaning, known := createMeaning[code]
	if !known {
		meaning = "unknown"
	}
	var pid any
	if code == 0 {
		c := &cmdshell.Call{Name: exe, Args: arguments, Dir: t.g.full(folderSysprep), Env: t.g.environment(t.c.user), Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard}
		id, run := t.g.prepareAs(t.g.session(), c, t.c.user, t.c.filtered)
		pid = id
		t.g.goDo(func() { run() })
	}
	return document{{"returnValue", code}, {"meaning", meaning}, {"pid", pid}}, pid, nil
}

func (t *twin) byTask(p launchParameters, exe string) (document, any, error) {
	user := p.User
	switch p.Logon {
	case "system":
		user = "S-1-5-18"
	case "password":
		line, _ := bufio.NewReader(t.c.Stdin).ReadString('\n')
		if line = strings.TrimSpace(line); line == "" {
			return nil, nil, thrown("no password on stdin")
		}
		secret, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return nil, nil, err
		}
		if known, ok := t.g.password(user); !ok || string(secret) != known {
			return nil, nil, &psError{message: "The user name or password is incorrect.", kind: "Microsoft.Management.Infrastructure.CimException", id: "HRESULT 0x8007052e,Register-ScheduledTask"}
		}
	}
	if !isSystem(user) && !t.g.isAdmin(user, false) {
		return nil, nil, &psError{message: "No mapping between account names and security IDs was done.", kind: "Microsoft.Management.Infrastructure.CimException", id: "HRESULT 0x80070534,Register-ScheduledTask"}
	}
	if t.c.filtered {
		return nil, nil, &psError{message: "Access is denied.", kind: "Microsoft.Management.Infrastructure.CimException", id: "HRESULT 0x80070005,Register-ScheduledTask"}
	}
	j := &task{Name: p.TaskName, Command: `"` + exe + `" ` + p.Arguments, User: user}
	if err := t.g.addTask(j, false); err != nil {
		return nil, nil, &psError{message: err.Error(), kind: "Microsoft.Management.Infrastructure.CimException", id: "HRESULT 0x800700b7,Register-ScheduledTask"}
	}
	t.g.runTask(j)
	var pid any
	for waited := time.Duration(0); waited < 15*time.Second && t.ctx.Err() == nil; waited += 250 * time.Millisecond {
		running, result := t.g.taskState(j)
		if found := t.sysprepProcesses(); len(found) > 0 {
			return document{{"task", j.Name}, {"pid", found[0][0].value}, {"lastTaskResult", int64(result)}}, found[0][0].value, nil
		}
		if p.Program != "" && (running || result == 0) {
			return document{{"task", j.Name}, {"pid", nil}, {"lastTaskResult", int64(result)}, {"ran", true}}, nil, nil
		}
		if !running {
			break
		}
		t.g.pause(t.ctx, 250*time.Millisecond)
	}
	_, result := t.g.taskState(j)
	return document{{"task", j.Name}, {"pid", pid}, {"lastTaskResult", int64(result)}}, pid, nil
}
