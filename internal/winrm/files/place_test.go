package files

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

const secretText = "<Value>zq7Wtr-secret</Value>"

// someFiles are scripts of ours, an empty file, and one that nobody else may read.
func someFiles() []File {
	return []File{
		{Path: `%SystemRoot%\Temp\x\a.ps1`, Content: bytes.Repeat([]byte("Write-Output 'a'\r\n"), 700)},
		{Path: `C:\Data\with blank\größe.bin`, Content: random(70_000)},
		{Path: `C:\Data\empty`},
		{Path: `C:\Windows\System32\Sysprep\packer-unattend-x\unattend.xml`, Content: []byte(secretText), Private: true},
	}
}

// arrivedAll fails the test unless every file is there, alone, and the private one
// protected.
func (g *guest) arrivedAll(files []File) {
	g.t.Helper()
	for _, f := range files {
		path := strings.ReplaceAll(strings.ReplaceAll(f.Path, "%SystemRoot%", `C:\Windows`), `\`, "/")[3:]
		g.holds(path, f.Content)
		acl := g.sim.ACL(folderOf(f.Path))
		if private := len(acl) == 2 && strings.Contains(acl[0]+acl[1], "(OI)(CI)F"); private != f.Private {
			g.t.Errorf("%s: %q is granted on its folder", f.Path, acl)
		}
	}
	_ = filepath.WalkDir(g.root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains("|.zip|.b64|.part|", "|"+filepath.Ext(path)+"|") && filepath.Ext(path) != "" {
			g.t.Errorf("%s is left", path)
		}
		return nil
	})
}

// overheard notes the lines that a guest runs, also what is in their base64.
type overheard struct {
	mu    sync.Mutex
	lines []string
}

func (o *overheard) wrap(change func(p *wsman.Process)) func(wsman.Handler) wsman.Handler {
	return handler(func(ctx context.Context, p *wsman.Process, inner wsman.Handler) int {
		o.mu.Lock()
		o.lines = append(o.lines, p.Line)
		o.mu.Unlock()
		if change != nil {
			change(p)
		}
		return inner.Run(ctx, p)
	})
}

func (o *overheard) say(text string) bool {
	for _, line := range o.lines {
		for word := range strings.FieldsSeq(line) {
			b, _ := base64.StdEncoding.DecodeString(word)
			if strings.Contains(string(b), text) {
				return true
			}
		}
		if strings.Contains(line, text) {
			return true
		}
	}
	return false
}

func TestFilesArePlacedByOneCommand(t *testing.T) {
	o := &overheard{}
	g := start(t, winsim.Scenario{}, o.wrap(nil))
	g.put("Data/empty", []byte("an older one"))
	g.put("Windows/System32/Sysprep/packer-unattend-x/planted", []byte("by another"))
	tr := g.transfer()
	if err := tr.Place(t.Context(), someFiles()...); err != nil {
		t.Fatal(err)
	}
	g.arrivedAll(someFiles())
	if commands, sends := g.count("Command"), g.count("Send"); commands != 1 || sends != 1 {
		t.Errorf("%d commands and %d Sends", commands, sends)
	}
	if o.say("secret") {
		t.Errorf("a command line holds what is secret: %q", o.lines)
	}
	if _, err := os.Stat(g.host("Windows/System32/Sysprep/packer-unattend-x/planted")); err == nil {
		t.Error("a private folder still holds what was in it")
	}
	if g.noted() != "" {
		t.Error(g.noted())
	}
	g.clean(tr)
}

func TestFilesArePlacedTheClassicWay(t *testing.T) {
	for name, test := range map[string]struct {
		scenario winsim.Scenario
		change   func(p *wsman.Process)
		rule     *wsman.Rule
		want     string
	}{
		"constrained language": {scenario: winsim.Scenario{Unkind: winsim.Unkind{ConstrainedLanguage: true}}, want: "language mode"},
		"PowerShell 2":         {scenario: winsim.Scenario{Unkind: winsim.Unkind{PowerShellVersion: "2"}}, want: "ConvertFrom-Json"},
		"blocked":              {scenario: winsim.Scenario{Unkind: winsim.Unkind{BlockedScripts: []string{"place"}}}, want: "malicious content"},
		"no input arrives":     {change: func(p *wsman.Process) { p.Stdin = strings.NewReader("") }, want: "nothing came"},
		"garbled input":        {change: func(p *wsman.Process) { p.Stdin = strings.NewReader("%%%\r\n") }, want: "Base-64"},
		"input is cut":         {change: func(p *wsman.Process) { p.Stdin = io.LimitReader(p.Stdin, 60_000) }, want: "hash-mismatch"},
		"stdin is refused":     {rule: &wsman.Rule{Action: "Send", Do: wsman.Fail, Code: 2150858816}, want: "refuses input"},
	} {
		t.Run(name, func(t *testing.T) {
			o := &overheard{}
			g := start(t, test.scenario, o.wrap(test.change))
			if test.rule != nil {
				g.server.Faults.Inject(*test.rule)
			}
			tr := g.transfer()
			for range 2 {
				if err := tr.Place(t.Context(), someFiles()...); err != nil {
					t.Fatal(err)
				}
				g.arrivedAll(someFiles())
			}
			// A line that was given up may run after its successor has done its work.
			late := slices.IndexFunc(o.lines, func(line string) bool { return strings.Contains(line, "icacls") })
			if late < 0 {
				t.Fatal("no line makes a folder private")
			}
			if _, err := tr.line(t.Context(), o.lines[late]); err != nil {
				t.Error(err)
			}
			g.arrivedAll(someFiles())
			if len(g.notes) != 1 || !strings.Contains(g.notes[0], test.want) {
				t.Errorf("it says %q", g.notes)
			}
			if !o.say("secret") { // so the test for that can fail
				t.Error("no command line holds what is secret")
			}
			g.clean(tr)
		})
	}
}

// A connection that breaks at any request costs another try.
func TestFilesArePlacedInSpiteOfABrokenConnection(t *testing.T) {
	for _, action := range []string{"Command", "Send", "Receive"} {
		t.Run(action, func(t *testing.T) {
			g := start(t, winsim.Scenario{}, nil)
			g.server.Faults.Inject(wsman.Rule{Action: action, Times: 1, Do: wsman.Reset})
			tr := g.transfer()
			if err := tr.Place(t.Context(), someFiles()...); err != nil {
				t.Fatal(err)
			}
			g.arrivedAll(someFiles())
			if g.noted() != "" {
				t.Error(g.noted())
			}
			g.clean(tr)
		})
	}
}

func TestWhatCannotBePlaced(t *testing.T) {
	g := start(t, winsim.Scenario{Unkind: winsim.Unkind{FilteredToken: true}}, nil)
	tr := g.transfer()
	if err := tr.Place(t.Context(), someFiles()...); err == nil || !strings.Contains(err.Error(), "for administrators only") {
		t.Errorf("without rights: %v", err)
	}
	if _, err := os.Stat(g.host("Windows/System32/Sysprep/packer-unattend-x/unattend.xml")); err == nil {
		t.Error("the secret is in a folder that others can read")
	}
	if err := tr.Place(t.Context(), File{Path: "C:\\a|b"}); err == nil || !strings.Contains(err.Error(), "no path of a file") {
		t.Errorf("no path: %v", err)
	}
	g.put("Data/folder/file", nil)
	if err := g.transfer().Place(t.Context(), File{Path: `C:\Data\folder`, Content: []byte("x")}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("in place of a folder: %v", err)
	}
	_, err := os.Stat(g.host("Data/folder/file"))
	if err != nil {
		t.Errorf("what was there has gone: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var failed *winrm.CommandError
	if err := tr.Place(ctx, someFiles()...); err == nil || errors.As(err, &failed) && failed.MayHaveRun {
		t.Errorf("cancelled: %v", err)
	}
}

// TestAFileInUseMakesNothingPublic: the classic way does not get on there either,
// and would have what is private in a command line.
func TestAFileInUseMakesNothingPublic(t *testing.T) {
	o := &overheard{}
	g := start(t, winsim.Scenario{LogLocked: true}, o.wrap(nil))
	const locked = `C:\Windows\System32\Sysprep\Panther\setupact.log`
	g.put("Windows/System32/Sysprep/Panther/setupact.log", []byte("as it was"))
	tr := g.transfer()
	err := tr.Place(t.Context(), append(someFiles(), File{Path: locked, Content: []byte("x")})...)
	if err == nil || !strings.Contains(err.Error(), locked) || !strings.Contains(err.Error(), "the guest cannot do it: io") {
		t.Errorf("it says %v", err)
	}
	if o.say("secret") || g.noted() != "" {
		t.Errorf("a command line holds what is secret; %s", g.noted())
	}
	if n := g.count("Command"); n != tries {
		t.Errorf("%d commands: it may be in use for a moment only", n)
	}
}

// TestALostShellMakesNothingPublic: that a request for input fails with its shell
// does not say that the guest takes no input.
func TestALostShellMakesNothingPublic(t *testing.T) {
	o := &overheard{}
	g := start(t, winsim.Scenario{}, o.wrap(nil))
	g.server.Faults.Inject(wsman.Rule{Action: "Send", Times: tries, Do: wsman.Fail, Code: 995})
	if err := g.transfer().Place(t.Context(), someFiles()...); !errors.Is(err, winrm.ErrShellLost) {
		t.Errorf("it says %v", err)
	}
	if o.say("secret") || g.noted() != "" {
		t.Errorf("a command line holds what is secret; %s", g.noted())
	}
}
