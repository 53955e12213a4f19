package guest

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

const end = "\r\npacker-part:end\r\n"

func TestAnAgentIsBroughtForAdministratorsOnly(t *testing.T) {
	const folder = `C:\Windows\System32\Sysprep\packer-sysprep-id\agent`
	for _, quiet := range []bool{true, false} {
		p := &placing{fake: &fake{start: says("packer-part:there=yes"+end, "")}}
		s := New(p, "id")
		s.Durable()
		err := s.BringAgent(t.Context(), Agent{Lines: []string{"first", "second"}, Quiet: quiet})
		if err != nil || len(p.placed) != 1 || len(p.placed[0]) != 2 {
			t.Fatalf("%v, %v", err, p.placed)
		}
		for _, f := range p.placed[0] {
			if !f.Private || folderOf(f.Path) != folder {
				t.Errorf("%s: private %v", f.Path, f.Private)
			}
		}
		if got := string(p.placed[0][0].Content); got != "@echo off\r\nfirst\r\nsecond\r\n" {
			t.Errorf("lines %q", got)
		}
		run := string(p.placed[0][1].Content)
		if strings.Contains(run, ">nul 2>&1") != quiet || strings.Contains(run, `>`+folder+`\output 2>&1`) == quiet {
			t.Errorf("quiet %v: %q", quiet, run)
		}
		if path, arguments := s.program(Launch{Agent: true}); path != `C:\Windows\System32\cmd.exe` || arguments != "/d /c "+folder+`\run.cmd` {
			t.Errorf("starts %s %s", path, arguments)
		}
	}
}

// A stretch of the watch must not end while the agent has not started sysprep.
func TestAWatchWaitsForTheAgent(t *testing.T) {
	for _, agent := range []bool{true, false} {
		s := New(&fake{}, "id")
		s.brought = map[string]bool{s.scriptFile("watch"): true}
		s.agent = agent
		line, err := Watching{Interval: time.Second, For: time.Minute, Remove: Leftovers{Tasks: []string{"t"}}}.line(t.Context(), s, Cursor{}, false)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(line.text, "& echo")
		p := parameters(t, first)
		if got := fmt.Sprint(p["stopWhen"]); strings.Contains(got, "agentEnded:true") != agent || !strings.Contains(got, "process:false") {
			t.Errorf("agent %v: %s", agent, got)
		}
		if got := p["agent"]; (got == `C:\Windows\Temp\packer-sysprep-id\agent\exit`) != agent {
			t.Errorf("agent %v: %v", agent, got)
		}
	}
}

func TestServicesThatAreOffAreNotWaitedFor(t *testing.T) {
	for answer, want := range map[string]map[string]bool{
		"": {},
		"packer-part:service=0\r\npacker-part:service=1\r\npacker-part:runs=1": {"a": false, "b": true},
		"packer-part:service=0\r\npacker-part:off=0":                           {},
		"packer-part:service=0\r\npacker-part:runs=0\r\npacker-part:off=0":     {"a": true},
	} {
		got, err := New(&fake{start: says(answer+end, "")}, "id").Services(t.Context(), "a", "b")
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%q: %v, %v", answer, got, err)
		}
	}
	if _, err := New(&fake{start: says("packer-part:service=7"+end, "")}, "id").Services(t.Context(), "a"); err == nil {
		t.Error("a service that was not asked for")
	}
}

func TestWhatBecameOfAnAgentIsRead(t *testing.T) {
	for answer, want := range map[string]string{
		"":                     "<nil>",
		"packer-part:agent=no": "<nil>", "packer-part:agent=no\r\npacker-part:agent-there=no": "<nil>",
		"packer-part:agent=no\r\npacker-part:agent-there=yes":      "false -",
		"packer-part:agent=yes\r\npacker-part:exit\r\n-1073741510": "true -1073741510",
		"packer-part:agent=yes\r\npacker-part:exit\r\nwhat":        "true -",
	} {
		got := "<nil>"
		if a := readAgent(readAnswer(answer)); a != nil {
			got = fmt.Sprint(a.Ended) + " -"
			if a.Exit != nil {
				got = fmt.Sprint(a.Ended, *a.Exit)
			}
		}
		if got != want {
			t.Errorf("%q: %s, want %s", answer, got, want)
		}
	}
}
