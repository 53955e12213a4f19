package hypervisor

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestEventsReachAnotherProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	var log EventLog
	when := time.Now().Round(time.Second)
	for i, e := range []Event{{Kind: EventResume}, {Kind: EventRestart, Detail: "a\n\x1b[0m\"b\"", When: when}, {Kind: EventPause}} {
		if i == 1 { // what came before is there too
			if err := log.Write(path); err != nil {
				t.Fatal(err)
			}
		}
		if err := log.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"kind":"o`); err != nil { // still being written
		t.Fatal(err)
	}
	f.Close()
	events, err := ReadEvents(path)
	if err != nil || len(events) != 3 || events[1].Detail != "a\n\x1b[0m\"b\"" || !events[1].When.Equal(when) || len(log.Events()) != 3 {
		t.Fatalf("got %+v, %v", events, err)
	}
	if _, err := ReadEvents(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no error for a file that is not there")
	}
}

func TestAMachineThatRestartsForEverFillsNoDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	var log EventLog
	if err := log.Write(path); err != nil {
		t.Fatal(err)
	}
	for range maxEvents + 500 {
		if err := log.Add(Event{Kind: EventRestart}); err != nil {
			t.Fatal(err)
		}
	}
	if events, err := ReadEvents(path); err != nil || len(events) != maxEvents || len(log.Events()) != maxEvents {
		t.Errorf("%d events, %v", len(events), err)
	}
}

func TestEventsAddUp(t *testing.T) {
	at := time.Unix(7, 0)
	for name, test := range map[string]struct {
		events []Event
		want   Standing
	}{
		"nothing":                  {nil, Standing{}},
		"a start":                  {[]Event{{Kind: EventResume}}, Standing{}},
		"two restarts":             {[]Event{{Kind: EventRestart}, {Kind: EventRestart, When: at}}, Standing{Restarts: 2, LastRestart: at}},
		"paused":                   {[]Event{{Kind: EventPause, Detail: "why"}}, Standing{Paused: "why"}},
		"paused without a reason":  {[]Event{{Kind: EventPause}}, Standing{Paused: "no reason given"}},
		"resumed":                  {[]Event{{Kind: EventPause, Detail: "why"}, {Kind: EventResume}}, Standing{}},
		"off":                      {[]Event{{Kind: EventOff}}, Standing{Off: true}},
		"a crash":                  {[]Event{{Kind: EventCrash, Detail: "killed"}}, Standing{Crashed: "killed"}},
		"a crash without a reason": {[]Event{{Kind: EventCrash}}, Standing{Crashed: "no reason given"}},
		"something of the future":  {[]Event{{Kind: "teleport"}}, Standing{}},
		"paused again after a run": {[]Event{{Kind: EventPause}, {Kind: EventResume}, {Kind: EventPause, Detail: "x"}}, Standing{Paused: "x"}},
	} {
		if got := Sum(test.events); got != test.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func FuzzReadEvents(f *testing.F) {
	f.Add([]byte(`{"kind":"restart","when":"2026-01-02T03:04:05Z"}` + "\n"))
	f.Add([]byte("{}\n[]\n\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "events")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		events, err := ReadEvents(path)
		if err != nil || len(events) > maxEvents {
			t.Errorf("%d events, %v", len(events), err)
		}
		Sum(events)
	})
}
