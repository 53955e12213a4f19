package qemu

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

const greeting = `{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "x"}, "capabilities": ["oob"]}}` + "\n"

// peer plays QEMU: it sends the greeting, and for every command what answer
// returns ("%d" stands for the id).
func peer(t *testing.T, hello string, answer func(command string) string) net.Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	go func() {
		if _, err := theirs.Write([]byte(hello)); err != nil {
			return
		}
		lines := bufio.NewScanner(theirs)
		for lines.Scan() {
			var request struct {
				Execute string `json:"execute"`
				ID      int    `json:"id"`
			}
			if json.Unmarshal(lines.Bytes(), &request) != nil {
				return
			}
			text := answer(request.Execute)
			if text == "hang up" {
				theirs.Close()
				return
			}
			if strings.Contains(text, "%d") {
				text = fmt.Sprintf(text, request.ID)
			}
			if _, err := theirs.Write([]byte(text)); err != nil {
				return
			}
		}
	}()
	return ours
}

const done = `{"return": {}, "id": %d}` + "\n"

func TestMonitor(t *testing.T) {
	var events []event
	m, err := openMonitor(t.Context(), peer(t, greeting, func(command string) string {
		switch command {
		case "bad":
			return `{"id": %d, "error": {"class": "GenericError", "desc": "no such thing"}}` + "\n"
		case "late":
			return `{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}, "timestamp": {"seconds": 1}}` + "\n" +
				`{"event": "ODD", "data": [1]}` + "\n" + `{"return": {}, "id": 99}` + "\n" + done
		case "die":
			return "hang up"
		}
		return done
	}), func(e event) { events = append(events, e) })
	if err != nil {
		t.Fatal(err)
	}
	if !m.version.atLeast(7, 1) || !m.version.atLeast(6, 9) || m.version.atLeast(7, 3) || m.version.atLeast(8, 0) {
		t.Errorf("version %+v", m.version)
	}
	if err := m.execute(t.Context(), "late", nil); err != nil {
		t.Error(err)
	}
	if len(events) != 2 || !events[0].Guest || events[0].Reason != "guest-shutdown" || events[1].Name != "ODD" {
		t.Errorf("events %+v", events)
	}
	err = m.execute(t.Context(), "bad", nil)
	if refusal := (*commandError)(nil); !errors.As(err, &refusal) || refusal.Class != "GenericError" || !strings.Contains(err.Error(), "QMP command bad: no such thing") {
		t.Errorf("got %v", err)
	}
	if err := m.execute(t.Context(), "die", nil); !errors.Is(err, errMonitorClosed) {
		t.Errorf("got %v", err)
	}
	if err := m.execute(t.Context(), "more", nil); !errors.Is(err, errMonitorClosed) {
		t.Errorf("got %v", err)
	}
	<-m.closed
}

func TestMonitorNeverWaitsForEver(t *testing.T) {
	soon, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := openMonitor(soon, peer(t, "", func(string) string { return "" }), func(event) {}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no greeting: %v", err)
	}
	silent := peer(t, greeting, func(command string) string {
		if command == "qmp_capabilities" {
			return done
		}
		return ""
	})
	m, err := openMonitor(t.Context(), silent, func(event) {})
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.execute(ended, "anything", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("no answer: %v", err)
	}
	m.close()
	<-m.closed
}

func TestMonitorRefusesGarbage(t *testing.T) {
	for _, hello := range []string{"SSH-2.0-OpenSSH\r\n", "{}\n", strings.Repeat("x", messageLimit+1) + "\n"} {
		if _, err := openMonitor(t.Context(), peer(t, hello, func(string) string { return done }), func(event) {}); !errors.Is(err, errMonitorClosed) {
			t.Errorf("%.20q: %v", hello, err)
		}
	}
	if _, err := openMonitor(t.Context(), peer(t, greeting, func(string) string { return "hang up" }), func(event) {}); !errors.Is(err, errMonitorClosed) {
		t.Errorf("got %v", err)
	}
}

func FuzzParseMessage(f *testing.F) {
	f.Add([]byte(greeting))
	f.Add([]byte(`{"event": "RESET", "data": {"guest": true, "reason": "guest-reset"}}`))
	f.Add([]byte(`{"id": 1, "error": {"class": "a", "desc": "b"}}`))
	f.Add([]byte(`{"return": null, "id": 18446744073709551615}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		m, err := parseMessage(line)
		if err != nil {
			return
		}
		if m.Greeting == nil && m.Return == nil && m.Error == nil && m.Event == "" {
			t.Error("an empty message was accepted")
		}
		if m.Event != "" && parseEvent(m).Name != m.Event {
			t.Error("an event lost its name")
		}
	})
}
