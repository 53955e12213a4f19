package hypervisor

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// EventsKey names the build value by which the builder tells the sysprep
// provisioner, another process of the same host, where an EventLog is.
const EventsKey = "SysprepMachineEvents"

// EventKind is what happened to a machine.
type EventKind string

// The kinds of an Event.
const (
	EventRestart EventKind = "restart" // it was reset, by its guest or from outside
	EventPause   EventKind = "pause"   // it stands still
	EventResume  EventKind = "resume"
	EventOff     EventKind = "off"   // the guest powered itself off
	EventCrash   EventKind = "crash" // it ended, and not by its guest
)

// Event is something a driver saw.
type Event struct {
	Kind   EventKind `json:"kind"`
	Detail string    `json:"detail,omitempty"` // the hypervisor's word for it, in a person's words
	When   time.Time `json:"when"`
}

const (
	maxEvents    = 1000 // a machine that restarts for ever must not fill the disk
	maxEventText = 64 << 10
)

// EventLog is a file of events, one line of JSON each. The zero value
// keeps them in memory only. It is safe for concurrent use.
type EventLog struct {
	mu     sync.Mutex
	path   string
	events []Event
}

// Write begins to keep the events in a new file, with those so far.
func (l *EventLog) Write(path string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return fmt.Errorf("keeping the machine's events: %w", err)
	}
	l.path = path
	for _, e := range l.events {
		if err := l.append(e); err != nil {
			return err
		}
	}
	return nil
}

// Add appends an event.
func (l *EventLog) Add(e Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.events) >= maxEvents {
		return nil
	}
	l.events = append(l.events, e)
	if l.path == "" {
		return nil
	}
	return l.append(e)
}

func (l *EventLog) append(e Event) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("keeping the machine's events: %w", err)
	}
	f, err := os.OpenFile(l.path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("keeping the machine's events: %w", err)
	}
	if _, err = f.Write(append(line, '\n')); err != nil {
		f.Close()
		return fmt.Errorf("keeping the machine's events: %w", err)
	}
	return f.Close()
}

// Events returns what was added so far.
func (l *EventLog) Events() []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Event(nil), l.events...)
}

// ReadEvents reads the file of an EventLog that another process writes. A line
// that is still being written is left for the next time.
func ReadEvents(path string) ([]Event, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the machine's events: %w", err)
	}
	defer f.Close()
	var events []Event
	lines := bufio.NewScanner(io.LimitReader(f, maxEvents*maxEventText))
	lines.Buffer(nil, maxEventText)
	for lines.Scan() && len(events) < maxEvents {
		var e Event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		events = append(events, e)
	}
	return events, nil
}

// Standing is what a row of events adds up to.
type Standing struct {
	Restarts    int
	LastRestart time.Time
	Paused      string // why; empty: it runs
	Off         bool
	Crashed     string // why; empty: it did not
}

// Sum adds events up.
func Sum(events []Event) Standing {
	var s Standing
	for _, e := range events {
		switch e.Kind {
		case EventRestart:
			s.Restarts++
			s.LastRestart, s.Paused = e.When, ""
		case EventPause:
			s.Paused = cmp.Or(e.Detail, "no reason given")
		case EventResume:
			s.Paused = ""
		case EventOff:
			s.Off = true
		case EventCrash:
			s.Crashed = cmp.Or(e.Detail, "no reason given")
		}
	}
	return s
}
