package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// TestAnotherHashIsAnError changes the source between hashing and sending.
func TestAnotherHashIsAnError(t *testing.T) {
	for name, scenario := range map[string]winsim.Scenario{"over stdin": {}, "the classic way": {Unkind: winsim.Unkind{ConstrainedLanguage: true}}} {
		t.Run(name, func(t *testing.T) {
			g := start(t, scenario, nil)
			g.put("x.bin", []byte("old"))
			tr := g.transfer()
			s, err := take(bytes.NewReader(random(50_000)))
			if err != nil {
				t.Fatal(err)
			}
			s.from = bytes.NewReader(make([]byte, 50_000))
			if err := tr.upload(t.Context(), `C:\x.bin`, s, report(nil, s.size)); !errors.Is(err, ErrHash) {
				t.Errorf("%v", err)
			}
			g.holds("x.bin", []byte("old"))
		})
	}
}

// TestAPartThatIsWrongIsSentAgain lets the probe after a fault find a part of the
// right name with other bytes.
func TestAPartThatIsWrongIsSentAgain(t *testing.T) {
	content := random(1 << 20)
	s, err := take(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	var g *guest
	wrong := 0
	g = start(t, winsim.Scenario{}, handler(func(ctx context.Context, p *wsman.Process, inner wsman.Handler) int {
		if bytes.Contains(storing(p), []byte(`"probe":true`)) {
			g.put("x.bin."+s.sum[:8]+".part", make([]byte, 500_000))
			wrong++
		}
		return inner.Run(ctx, p)
	}))
	g.server.Faults.Inject(wsman.Rule{Action: "Send", Skip: 1, Times: 1, Do: wsman.Reset})
	tr := g.transfer()
	if err := tr.upload(t.Context(), `C:\x.bin`, s, report(nil, s.size)); err != nil {
		t.Fatal(err)
	}
	if wrong != 1 {
		t.Errorf("%d probes", wrong)
	}
	g.holds("x.bin", content)
}

// TestAScriptThatIsNoFileMayBeBlocked: the one that is a file is brought then.
func TestAScriptThatIsNoFileMayBeBlocked(t *testing.T) {
	g := start(t, winsim.Scenario{Unkind: winsim.Unkind{BlockedScripts: []string{"store"}}}, nil)
	tr := g.transfer()
	for range 2 {
		content := random(1 << 20)
		if err := tr.Upload(t.Context(), `C:\x.bin`, bytes.NewReader(content), nil); err != nil {
			t.Fatal(err)
		}
		g.holds("x.bin", content)
	}
	if n := g.count("Command"); n != 1+1+2 || g.noted() != "" { // blocked, brought, used
		t.Errorf("%d commands; %s", n, g.noted())
	}
	g.clean(tr)
}

func TestTheClassicWayAndWhy(t *testing.T) {
	deaf := handler(func(ctx context.Context, p *wsman.Process, inner wsman.Handler) int {
		p.Stdin = strings.NewReader("")
		return inner.Run(ctx, p)
	})
	garbled := handler(func(ctx context.Context, p *wsman.Process, inner wsman.Handler) int {
		p.Stdin = strings.NewReader("%%%\r\n")
		return inner.Run(ctx, p)
	})
	for name, test := range map[string]struct {
		scenario winsim.Scenario
		wrap     func(wsman.Handler) wsman.Handler
		rule     *wsman.Rule
		want     string
	}{
		"constrained language": {scenario: winsim.Scenario{Unkind: winsim.Unkind{ConstrainedLanguage: true}}, want: "language mode"},
		"blocked scripts":      {scenario: winsim.Scenario{Unkind: winsim.Unkind{BlockedScripts: []string{"store", "receive"}}}, want: "malicious content"},
		"no input arrives":     {wrap: deaf, want: "gets no input"},
		"garbled input":        {wrap: garbled, want: "another input"},
		"stdin is refused":     {rule: &wsman.Rule{Action: "Send", Do: wsman.Fail, Code: 2150858816}, want: "refuses input"},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, test.scenario, test.wrap)
			if test.rule != nil {
				g.server.Faults.Inject(*test.rule)
			}
			tr := g.transfer()
			for _, size := range []int{0, 1, 5_000, 6_000, 50_000} {
				content := random(size)
				path := fmt.Sprintf("Data/odd & name (1)/%d %%x.bin", size)
				var last atomic.Int64
				if err := tr.Upload(t.Context(), `C:\`+strings.ReplaceAll(path, "/", `\`), bytes.NewReader(content), func(done, _ int64) { last.Store(done) }); err != nil {
					t.Fatal(err)
				}
				g.holds(path, content)
				if last.Load() != int64(size) {
					t.Errorf("%d bytes, told %d", size, last.Load())
				}
			}
			var back bytes.Buffer
			_, err := tr.Download(t.Context(), `C:\Data\odd & name (1)\50000 %x.bin`, &back, Bounds{}, nil)
			if err != nil || !bytes.Equal(back.Bytes(), random(50_000)) {
				t.Errorf("download: %d bytes, %v", back.Len(), err)
			}
			if note := g.noted(); !strings.Contains(note, test.want) || len(g.notes) != 1 {
				t.Errorf("it says %q", g.notes)
			}
			g.clean(tr)
		})
	}
}

func TestTheClassicWayBeginsAgain(t *testing.T) {
	g := start(t, winsim.Scenario{Unkind: winsim.Unkind{ConstrainedLanguage: true}}, nil)
	tr := g.transfer()
	g.server.Faults.Inject(wsman.Rule{Action: "Command", Skip: 6, Times: 1, Do: wsman.Reset})
	content := random(40_000)
	if err := tr.Upload(t.Context(), `C:\x.bin`, bytes.NewReader(content), nil); err != nil {
		t.Fatal(err)
	}
	g.holds("x.bin", content)
}

// constrained is a guest whose PowerShell is of no use.
var constrained = winsim.Scenario{Unkind: winsim.Unkind{ConstrainedLanguage: true}}

func TestADownloadWithoutPowerShell(t *testing.T) {
	g := start(t, constrained, nil)
	tr := g.transfer()
	for _, size := range []int{0, 1, 2, 3, 47, 48, 49, 300_000} {
		content := random(size)
		g.put("Data/odd & name (1).bin", content)
		var back bytes.Buffer
		var last atomic.Int64
		n, err := tr.Download(t.Context(), `C:\Data\odd & name (1).bin`, &back, Bounds{Most: int64(size)}, func(done, _ int64) { last.Store(done) })
		if err != nil || n != int64(size) || !bytes.Equal(back.Bytes(), content) || last.Load() != n {
			t.Errorf("%d bytes: %d came back, told %d, %v", size, n, last.Load(), err)
		}
	}
	for path, want := range map[string]error{`C:\none.bin`: fs.ErrNotExist, `C:\none\none.bin`: fs.ErrNotExist, `C:\Windows`: fs.ErrPermission, `C:\Data\odd & name (1).bin`: ErrTooBig} {
		var out bytes.Buffer
		if _, err := tr.Download(t.Context(), path, &out, Bounds{Most: 2999}, nil); !errors.Is(err, want) || out.Len() > 0 || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %d bytes, %v", path, out.Len(), err)
		}
	}
	if len(g.notes) != 1 || !strings.Contains(g.noted(), "language mode") {
		t.Errorf("it says %q", g.notes)
	}
	g.clean(tr)
}

// TestADownloadWithoutPowerShellGoesOn breaks the connection, and lets the file grow
// meanwhile.
func TestADownloadWithoutPowerShellGoesOn(t *testing.T) {
	for _, do := range []wsman.Effect{wsman.Close, wsman.Reset, wsman.Lose} {
		content := random(2_000_000)
		g := start(t, constrained, nil)
		g.put("x.log", content)
		tr := g.transfer()
		var back bytes.Buffer
		n, err := tr.Download(t.Context(), `C:\x.log`, writer(func(p []byte) {
			if back.Len() == 0 {
				g.server.Faults.Inject(wsman.Rule{Action: "Receive", Skip: 1, Times: 1, Do: do})
				g.put("x.log", random(3_000_000))
			}
			back.Write(p)
		}), Bounds{}, nil)
		if err != nil || n != int64(len(content)) || !bytes.Equal(back.Bytes(), content) {
			t.Errorf("%d bytes, %d told, %v", back.Len(), n, err)
		}
		g.clean(tr)
	}
}

// FuzzArmour reads what certutil.exe may write.
func FuzzArmour(f *testing.F) {
	for _, text := range []string{"-----BEGIN CERTIFICATE-----\r\nYWJj\r\nZGU=\r\n-----END CERTIFICATE-----\r\n", "", "YQ", "Y\nW\nJ\nj", "====", strings.Repeat("a", 2000)} {
		f.Add([]byte(text), 3)
	}
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		var once, twice bytes.Buffer
		read := func(to *bytes.Buffer, parts ...[]byte) error {
			a := &armour{to: to, most: 1 << 20, at: func(int64) {}, still: func() {}}
			a.begin()
			for _, p := range parts {
				if _, err := a.Write(p); err != nil {
					return err
				}
			}
			return a.flush()
		}
		cut = max(0, min(cut, len(text)))
		if first, second := read(&once, text), read(&twice, text[:cut], text[cut:]); first == nil && second == nil && !bytes.Equal(once.Bytes(), twice.Bytes()) {
			t.Errorf("%q and %q", once.Bytes(), twice.Bytes())
		}
	})
}

// TestAFolderInTheWay: move would put the file into it, and report success.
func TestAFolderInTheWay(t *testing.T) {
	for name, scenario := range map[string]winsim.Scenario{"over stdin": {}, "the classic way": constrained} {
		t.Run(name, func(t *testing.T) {
			g := start(t, scenario, nil)
			g.put("Data/x.bin/inside.txt", nil)
			tr := g.transfer()
			for _, path := range []string{`C:\Data\x.bin`, "%TEMP%"} {
				if err := tr.Upload(t.Context(), path, strings.NewReader("content"), nil); !errors.Is(err, fs.ErrPermission) {
					t.Errorf("%s: %v", path, err)
				}
			}
			g.holds("Data/x.bin/inside.txt", nil)
			g.clean(tr)
			_ = filepath.WalkDir(g.root, func(path string, _ fs.DirEntry, err error) error {
				if err == nil && strings.HasSuffix(path, ".part") {
					t.Errorf("%s is left", path)
				}
				return nil
			})
		})
	}
}

// runner runs commands by a function.
type runner func(ctx context.Context, c winrm.Command) (int, error)

func (r runner) Run(ctx context.Context, c winrm.Command) (int, error) { return r(ctx, c) }

// TestAGuestThatIsGoneIsNotTidiedForLong: who gives up a download has not to wait
// for the deletion of what it made.
func TestAGuestThatIsGoneIsNotTidiedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		deleted := false
		tr := New(runner(func(ctx context.Context, c winrm.Command) (int, error) {
			switch {
			case strings.HasPrefix(c.Line, "if not exist"):
				_, err := io.WriteString(c.Stdout, "Input Length = 3\r\n"+strings.Repeat("ab", 32)+"\r\n")
				return 0, err
			case strings.HasPrefix(c.Line, "type "):
				cancel()
			case strings.HasPrefix(c.Line, "del "):
				deleted = true
			}
			<-ctx.Done()
			return 0, ctx.Err()
		}), Options{})
		tr.engine = &unfit{why: "a test"}
		begin := time.Now()
		_, err := tr.Download(ctx, `C:\x.log`, io.Discard, Bounds{}, nil)
		if took := time.Since(begin); !errors.Is(err, context.Canceled) || !deleted || took > 10*time.Second {
			t.Errorf("it ended %s after it was given up, deletion tried: %t, %v", took, deleted, err)
		}
	})
}
