package guest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Leftovers are what a run brought into the guest, besides Folder.
type Leftovers struct {
	Files, Folders, Tasks []string
	// IfEmpty are folders that go when nothing else is in them.
	IfEmpty []string
}

// With returns both, each name once: a start may be tried many times, and all of
// it has to fit on one command line.
func (l Leftovers) With(m Leftovers) Leftovers {
	return Leftovers{union(l.Files, m.Files), union(l.Folders, m.Folders), union(l.Tasks, m.Tasks), union(l.IfEmpty, m.IfEmpty)}
}

func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, name := range b {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// None says that there is nothing to remove.
func (l Leftovers) None() bool {
	return len(l.Files)+len(l.Folders)+len(l.Tasks)+len(l.IfEmpty) == 0
}

// Brought says whether Folder holds something, as far as the session knows.
func (s *Session) Brought() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.brought) > 0
}

// Cleanup removes the leftovers and the session's own folder in one cmd.exe
// line, because Windows may be about to shut down. It returns what is still
// there.
func (s *Session) Cleanup(ctx context.Context, l Leftovers, limit time.Duration) ([]string, error) {
	left, _, err := s.clean(ctx, l, limit, command{})
	return left, err
}

// CleanupAndPoll also asks for the state, in the same line.
func (s *Session) CleanupAndPoll(ctx context.Context, l Leftovers, limit time.Duration) ([]string, Status, error) {
	left, a, err := s.clean(ctx, l, limit, askState())
	if err != nil {
		return left, Status{}, err
	}
	return left, readState(a), nil
}

func (s *Session) clean(ctx context.Context, l Leftovers, limit time.Duration, then command) ([]string, answer, error) {
	s.transport.Settle(ctx)
	// From here on nothing in the guest is known to be ours.
	s.forget()
	var remove, check []command
	for _, task := range l.Tasks {
		remove = append(remove, call("schtasks /delete /f /tn ?", task))
		check = append(check, call("schtasks /query /tn ?", task).then(isLeft(len(check))))
	}
	for _, path := range l.Files {
		remove = append(remove, call("del /f /q ?", path))
	}
	for _, folder := range l.IfEmpty {
		remove = append(remove, call("rd ?", folder))
	}
	folders := append(slices.Clip(l.Folders), s.Folder())
	for _, folder := range folders {
		remove = append(remove, call("rd /s /q ?", folder))
	}
	for _, path := range slices.Concat(l.Files, folders) {
		check = append(check, when(path, isLeft(len(check))))
	}
	names := s.Names(l)
	a, err := s.ask(ctx, all(all(remove...), all(check...), then), limit)
	if err != nil {
		return names, a, fmt.Errorf("removing our files: %w", err)
	}
	return stillThere(a, names), a, nil
}

// Names are the leftovers and the session's own folder, for a person.
func (s *Session) Names(l Leftovers) (names []string) {
	for _, task := range l.Tasks {
		names = append(names, "scheduled task "+task)
	}
	return slices.Concat(names, l.Files, l.Folders, []string{s.Folder()})
}

// isLeft says that the nth of Names, of what was to be removed is still there, and
// stillThere reads that.
func isLeft(n int) command { return echo(fmt.Sprintf("left=%d", n)) }

func stillThere(a answer, names []string) (left []string) {
	for i, name := range names {
		if slices.Contains(a.values["left"], strconv.Itoa(i)) {
			left = append(left, name)
		}
	}
	return left
}

// forget: nothing in the guest is known to be ours any more.
func (s *Session) forget() {
	s.mu.Lock()
	clear(s.brought)
	s.mu.Unlock()
}
