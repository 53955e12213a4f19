package winsim

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// process is one running program.
type process struct {
	pid         int
	image       string // sysprep.exe
	commandLine string
	user        string
	session     int
	start       time.Time
	cancel      context.CancelFunc
	once        sync.Once
	done        chan struct{}
}

// addProcess puts a program into the process list that does nothing by
// itself until it is killed.
func (g *Guest) addProcess(image, commandLine, user string, session int) *process {
	return g.addRunning(image, commandLine, user, session, g.now(), func() {})
}

// addRunning is addProcess for what was started at some time and is ended by cancel. It is
// in the list at once, where a power-off may find it: nothing of it is set afterwards.
func (g *Guest) addRunning(image, commandLine, user string, session int, start time.Time, cancel context.CancelFunc) *process {
	p := &process{image: image, commandLine: commandLine, user: user, session: session, start: start, done: make(chan struct{}), cancel: cancel}
	g.mu.Lock()
	g.nextPID += 4
	p.pid = g.nextPID - 4
	g.procs[p.pid] = p
	g.mu.Unlock()
	return p
}

func (g *Guest) removeProcess(p *process) {
	g.mu.Lock()
	if g.procs[p.pid] == p {
		delete(g.procs, p.pid)
	}
	g.mu.Unlock()
	p.once.Do(func() { close(p.done) })
}

// Runs says whether a program with that image name runs.
func (g *Guest) Runs(image string) bool { return len(g.processes(image)) > 0 }

// processes returns the running programs with that image name, or all.
func (g *Guest) processes(image string) []*process {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []*process
	for _, p := range g.procs {
		if image == "" || strings.EqualFold(p.image, image) {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b *process) int { return cmp.Compare(a.pid, b.pid) })
	return list
}

func (g *Guest) kill(p *process) {
	p.cancel()
	g.removeProcess(p)
}
