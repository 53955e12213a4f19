package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

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
		reads    bool // PowerShell can be used to read
	}{
		"constrained language": {scenario: winsim.Scenario{Unkind: winsim.Unkind{ConstrainedLanguage: true}}, want: "language mode"},
		"blocked scripts":      {scenario: winsim.Scenario{Unkind: winsim.Unkind{BlockedScripts: []string{"store", "receive"}}}, want: "malicious content"},
		"no input arrives":     {wrap: deaf, want: "gets no input", reads: true},
		"garbled input":        {wrap: garbled, want: "another input", reads: true},
		"stdin is refused":     {rule: &wsman.Rule{Action: "Send", Do: wsman.Fail, Code: 2150858816}, want: "refuses input", reads: true},
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
			if content := random(50_000); test.reads == (err != nil) || test.reads && !bytes.Equal(back.Bytes(), content) {
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
