package winsim

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/cmdshell"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/registry"
)

// fakeState is a machine of internal/guest/scripts/test/states, in which the
// goldens were made.
type fakeState struct {
	Registry        map[string]map[string]any
	Files           map[string]string
	Folders         []string
	Processes       []fakeProcess
	Throws          []string
	Timeline        []step
	Services        map[string]string
	Cim             map[string][]map[string]any
	Appx            []fakeApp
	Provisioned     []struct{ Name, PackageName, Version string }
	NoNonRemovable  bool
	ReservedStorage string
	Features        []string
	Switches        []string
	RadiusClients   []string
	AbsentCommands  []string
	Programs        map[string]struct {
		Code int
		Out  []string
	}
}

type fakeProcess struct {
	Name  string
	ID    int
	Start *time.Time
}

type fakeApp struct {
	Name, FullName, Family, Version, Signature, Location string
	Framework, Resource, NonRemovable                    bool
	Users                                                []struct{ SID, Name, State string }
}

type step struct {
	Tick      int
	Registry  map[string]map[string]any
	Append    map[string]string
	Processes *[]fakeProcess
}

func readState(t *testing.T, name string) fakeState {
	t.Helper()
	text, err := json.Marshal(mergedState(t, name))
	var s fakeState
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// mergedState is a state with all that it extends, as stubs.ps1 merges them.
func mergedState(t *testing.T, name string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testutil.Root(), "internal", "guest", "scripts", "test", "states", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	s := map[string]any{}
	if err := json.Unmarshal(bytes.ReplaceAll(text, []byte("{C}"), []byte("C:")), &s); err != nil {
		t.Fatal(err)
	}
	base, ok := s["extends"].(string)
	if !ok {
		return s
	}
	delete(s, "extends")
	merged := mergedState(t, base)
	merge(merged, s)
	return merged
}

func merge(into, over map[string]any) {
	for name, v := range over {
		a, isMap := into[name].(map[string]any)
		b, both := v.(map[string]any)
		switch {
		case v == nil:
			delete(into, name)
		case isMap && both:
			merge(a, b)
		default:
			into[name] = v
		}
	}
}

// setRegistry puts keys into a registry.
func setRegistry(r *registry.Registry, keys map[string]map[string]any) {
	for key, values := range keys {
		key := strings.Replace(key, "HKLM:", "HKLM", 1)
		r.Create(key)
		for name, v := range values {
			switch v := v.(type) {
			case string:
				kind := registry.StringValue
				if strings.Contains(v, "%") {
					kind = registry.ExpandValue
				}
				r.Set(key, kind(name, v))
			case float64:
				r.Set(key, registry.DWordValue(name, uint32(int64(v))))
			case []any:
				var texts []string
				var bytes []byte
				for _, item := range v {
					switch item := item.(type) {
					case string:
						texts = append(texts, item)
					case float64:
						bytes = append(bytes, byte(item))
					}
				}
				if bytes != nil {
					r.Set(key, registry.Value{Name: name, Kind: registry.Binary, Data: bytes})
				} else {
					r.Set(key, registry.MultiValue(name, texts...))
				}
			}
		}
	}
}

func windowsPath(name string) string { return `C:\` + strings.ReplaceAll(name, "/", `\`) }

// inState makes a guest like that machine, whose time passes only where the
// twins pause.
func inState(t *testing.T, name string, scenario Scenario) *Guest {
	t.Helper()
	g := newGuest(t, Options{Scenario: scenario})
	s := readState(t, name)
	set := func(keys map[string]map[string]any) { setRegistry(g.reg, keys) }
	processes := func(list []fakeProcess) {
		for _, p := range g.processes("sysprep.exe") {
			g.removeProcess(p)
		}
		for _, p := range list {
			q := g.addProcess("sysprep.exe", "", "packer", 0)
			g.mu.Lock()
			delete(g.procs, q.pid)
			q.pid = p.ID
			g.procs[q.pid] = q
			g.mu.Unlock()
		}
	}
	crlf := func(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }
	set(s.Registry)
	for name, text := range s.Files {
		if err := g.drive.WriteFile(windowsPath(name), crlf(text)); err != nil {
			t.Fatal(err)
		}
	}
	processes(s.Processes)
	throws := s.Throws
	g.throws = func(cmdlet string) error {
		if slices.Contains(throws, cmdlet) || slices.Contains(throws, "*") {
			return errors.New(cmdlet + ": Access is denied.")
		}
		return nil
	}
	tick := 0
	g.pause = func(context.Context, time.Duration) {
		tick++
		for _, step := range s.Timeline {
			if step.Tick != tick {
				continue
			}
			set(step.Registry)
			for name, text := range step.Append {
				if err := g.drive.Append(windowsPath(name), crlf(text)); err != nil {
					t.Error(err)
				}
			}
			if step.Processes != nil {
				processes(*step.Processes)
			}
		}
	}
	return g
}

// runScript uploads a guest script and runs it as the contract says.
func runScript(t *testing.T, g *Guest, name string, parameters any, stdin string) (out string, code int) {
	t.Helper()
	path := g.full(`\Windows\Temp\packer-script.ps1`)
	if err := g.drive.WriteFile(path, scripts.Text(name)); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(parameters)
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	c := &cmdshell.Call{
		Name: "powershell.exe", Dir: g.profile(), Env: g.environment("packer"), Stdin: strings.NewReader(stdin), Stdout: &stdout, Stderr: &stderr,
		Args: "-NoProfile -NonInteractive -ExecutionPolicy Bypass -InputFormat None -File " + path + " -Json " + base64.StdEncoding.EncodeToString(b),
	}
	_, run := g.prepare(context.Background(), c, "packer")
	code = run()
	if stderr.Len() > 0 {
		t.Errorf("stderr of %s: %s", name, stderr.String())
	}
	return stdout.String(), code
}

// normal makes equal what differs from run to run, as test/run.ps1 does.
func normal(s string) string {
	for _, r := range [][2]string{
		{`"ms":\d+`, `"ms":0`}, {`"line":\d+`, `"line":0`}, {`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z`, `2026-01-02T03:04:05.0000000Z`},
		{`\d{8}T\d{6}Z`, `20260102T030405Z`},
	} {
		s = regexp.MustCompile(r[0]).ReplaceAllString(s, r[1])
	}
	return strings.ReplaceAll(s, "\r\n", "\n")
}

func golden(t *testing.T, name string) string {
	t.Helper()
	want, err := os.ReadFile(filepath.Join(testutil.Root(), "internal", "guest", "scripts", "golden", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(want)
}

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	g, w := strings.Split(normal(got), "\n"), strings.Split(golden(t, name), "\n")
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			t.Fatalf("line %d\n got %s\nwant %s", i+1, a, b)
		}
	}
}

type m = map[string]any

const goldenArguments = `/generalize /oobe /quit /quiet /unattend:C:\Windows\System32\Sysprep\packer-unattend.xml`

func answerFile(t *testing.T, g *Guest) {
	t.Helper()
	if err := g.drive.WriteFile(folderSysprep+`\packer-unattend.xml`, []byte(`<?xml version="1.0"?><unattend xmlns="urn:schemas-microsoft-com:unattend"/>`)); err != nil {
		t.Fatal(err)
	}
}

var pid = regexp.MustCompile(`"(pid|id)":\d+`)
