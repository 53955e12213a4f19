package winsim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/cmdshell"
)

// Results of a task that is no exit code (winerror.h, SCHED_S_*).
const (
	taskRunning   = 267009
	taskNeverRan  = 267011
	taskNoProgram = 2147942402 // 0x80070002, file not found
)

// task is one scheduled task. Only starting on demand is simulated.
type task struct {
	Name    string
	Command string // program and arguments
	User    string
	// Filtered: registered without the highest run level by a session whose token
	// is filtered.
	Filtered bool
	Result   uint32
	running  bool
	proc     *process
}

var errTaskExists = errors.New("the task exists already")

func taskFile(name string) string { return folderTasks + `\` + name }

// addTask registers a task and leaves the trace that Windows leaves, a file
// of that name.
func (g *Guest) addTask(t *task, replace bool) error {
	if t.Name == "" || strings.ContainsAny(t.Name, `\/:*?"<>|`) {
		return fmt.Errorf("%q is no task name", t.Name)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	id := strings.ToLower(t.Name)
	if _, ok := g.tasks[id]; ok && !replace {
		return errTaskExists
	}
	t.Result = taskNeverRan
	// Not the XML of the Task Scheduler: nobody reads it but this guest.
	content, err := json.Marshal(t)
	if err != nil {
		return err
	}
	if err := g.drive.WriteFile(taskFile(t.Name), content); err != nil {
		return err
	}
	g.tasks[id] = t
	return nil
}

// loadTasks finds the tasks of an earlier session.
func (g *Guest) loadTasks() error {
	entries, err := g.drive.ReadDir(folderTasks)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		content, err := g.drive.ReadFile(taskFile(e.Name()))
		t := &task{}
		if err == nil && json.Unmarshal(content, t) == nil && t.Name != "" {
			g.tasks[strings.ToLower(t.Name)] = t
		}
	}
	return nil
}

func (g *Guest) task(name string) *task {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.tasks[strings.ToLower(strings.TrimPrefix(name, `\`))]
}

func (g *Guest) taskList() []*task {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []*task
	for _, id := range slices.Sorted(maps.Keys(g.tasks)) {
		list = append(list, g.tasks[id])
	}
	return list
}

func (g *Guest) deleteTask(t *task) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.tasks, strings.ToLower(t.Name))
	return g.drive.Remove(taskFile(t.Name))
}

// taskState returns what may change while a task runs.
func (g *Guest) taskState(t *task) (running bool, result uint32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return t.running, t.Result
}

// runTask starts a task; it runs detached from every shell. done is closed at
// its end.
func (g *Guest) runTask(t *task) (done <-chan struct{}) {
	ended := make(chan struct{})
	g.mu.Lock()
	if t.running {
		g.mu.Unlock()
		close(ended)
		return ended
	}
	t.running, t.Result = true, taskRunning
	ctx, cancel := context.WithCancel(g.boot)
	t.proc = &process{cancel: cancel}
	g.mu.Unlock()
	g.logf("task %s as %s: %s", t.Name, t.User, t.Command)
	name, args := splitCommand(t.Command)
	c := &cmdshell.Call{Name: name, Args: args, Dir: g.full(folderSystem32), Env: g.environment(t.User), Stdin: &bytes.Buffer{}, Stdout: io.Discard, Stderr: io.Discard, Console: g.console("")}
	finish := func(result uint32) {
		g.mu.Lock()
		t.running, t.Result = false, result
		g.mu.Unlock()
		cancel()
		close(ended)
	}
	if g.scenario.TasksFail || g.findProgram(name, c.Dir) == nil {
		finish(taskNoProgram)
		return ended
	}
	// The program is in the process list before the starter goes on.
	_, run := g.prepareAs(ctx, c, t.User, t.Filtered)
	g.goDo(func() { finish(uint32(int32(run()))) })
	return ended
}

func (g *Guest) stopTask(t *task) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.running {
		t.proc.cancel()
	}
}

// splitCommand splits a command line into program and the rest, as
// CreateProcess and the Task Scheduler do.
func splitCommand(line string) (name, args string) {
	line = strings.TrimSpace(line)
	if rest, ok := strings.CutPrefix(line, `"`); ok {
		name, args, _ = strings.Cut(rest, `"`)
		return name, strings.TrimSpace(args)
	}
	name, args, _ = strings.Cut(line, " ")
	return name, strings.TrimSpace(args)
}
