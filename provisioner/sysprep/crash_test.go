package sysprep

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report/schematest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// heardLog is the log of this process, for tests that run one after the other.
type heardLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (h *heardLog) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.b.Write(p)
}

func hearLog(t *testing.T) (text func() string) {
	h, before := &heardLog{}, log.Writer()
	log.SetOutput(io.MultiWriter(before, h))
	t.Cleanup(func() { log.SetOutput(before) })
	return func() string {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.b.String()
	}
}

// A defect of our own ends a run with an error, run.json and the reports, which claim
// nothing that was not seen, and with its stack in the log.
func TestARunThatCrashesLeavesItsReports(t *testing.T) {
	for name, c := range map[string]struct {
		line  string // of the output, at which it crashes
		head  string
		phase string
		want  []string
	}{
		"before sysprep":      {"Warning: there is no answer file", "[not-started] ", "answers", []string{"sysprep was not started"}},
		"at the start":        {"Starting sysprep", "[lost] ", "sysprep", []string{"sysprep may have been started"}},
		"while it is watched": {"  working on app packages", "[lost] ", "sysprep", []string{"its end was not seen"}},
		"after success":       {"Windows is generalized", "[at-the-end] ", "finish", []string{"sysprep had succeeded"}},
	} {
		t.Run(name, func(t *testing.T) {
			said := hearLog(t)
			folder, paths := t.TempDir(), reportPaths(t)
			b := &bubbleRun{scenario: winsim.Scenario{Validate: seconds(30), Generalize: seconds(120)}, options: map[string]any{
				"packer_builder_type": "null", "packer_build_name": "test", "winrm": map[string]any{"mode": winrmCommunicator}, "log_directory": folder, "report": paths, "action": "quit",
				"elevated_user": "other", "elevated_password": canaryElevated, "preflight": map[string]any{"enabled": false}}, accounts: map[string]string{"other": canaryElevated}}
			left := 1
			b.onSay = func(line string, _ func()) {
				if left > 0 && strings.HasPrefix(line, c.line) && !strings.HasPrefix(line, "Report on") {
					left--
					panic("of a test, with " + canaryElevated)
				}
			}
			l := b.do(t)
			if left == 1 {
				t.Fatal("it did not crash")
			}
			if v := l.Verdict; !l.Complete || v == nil || !v.Failed || "["+v.Class+"] " != c.head || !strings.Contains(v.FirstLine, "a defect in the plugin ended the run while it was") {
				t.Errorf("complete %v, %+v", l.Complete, v)
			}
			if p := l.Phases[len(l.Phases)-1]; p.Name != c.phase || p.Outcome != runlog.Failed || p.EndMS == nil {
				t.Errorf("%+v", p)
			}
			written, err := runlog.Read(filepath.Join(folder, runlog.RunFile))
			if err != nil || !written.Complete || written.Verdict.FirstLine != l.Verdict.FirstLine {
				t.Errorf("%v, %+v", err, written.Verdict)
			}
			text, run := readReport(t, paths["json"])
			schematest.Valid(t, []byte(text))
			if o := run.Outcome; o.Good || "["+o.Class+"] " != c.head {
				t.Errorf("%+v", o)
			}
			want(t, run.Outcome.Summary, append(c.want, "a defect in the plugin", "of a test", "next: report it")...)
			for _, path := range paths {
				content, err := os.ReadFile(path.(string))
				if err != nil || strings.Contains(string(content), "C4nary") {
					t.Errorf("%v: %s", err, content)
				}
			}
			want(t, said(), "of a test, with <sensitive>", "crash_test.go", "goroutine ")
			if strings.Contains(said(), "C4nary") {
				t.Error("the log has the password")
			}
		})
	}
}

// What watches runs in goroutines of its own, whose panic would end the plugin.
func TestAPanicOfTheWatchIsHandedOn(t *testing.T) {
	said := hearLog(t)
	events := make(chan event)
	go carried(t.Context(), events, func() { panic("of a test") })
	err := edge.Guard("watching sysprep", func() error {
		if e := <-events; e.crash != nil {
			panic(e.crash)
		}
		return nil
	})
	var c *edge.Crash
	if !errors.As(err, &c) || c.Value != "of a test" || !strings.Contains(string(c.Stack), "carried") {
		t.Errorf("%v", err)
	}
	want(t, said(), "of a test", "carried")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	carried(ctx, events, func() { panic("too late") }) // nobody takes it
	want(t, said(), "too late")
	if err := edge.Guard("x", func() error { return io.EOF }); err != io.EOF {
		t.Errorf("%v", err)
	}
}

// What panics again while it cleans up, or waits for what is locked, ends too.
func TestACrashThatCannotBeCleanedUpIsSaid(t *testing.T) {
	said := hearLog(t)
	r := newRun(Config{}, &recordUI{}, nil, map[string]any{})
	r.scrub = newScrubber(nil)
	r.session = nil
	err := r.crashed(t.Context(), &edge.Crash{In: "looking at the guest", Value: "of a test"})
	wantError(t, err, "[not-started] a defect in the plugin ended the run while it was looking at the guest: of a test; sysprep was not started; what was brought into the guest may be there still (", "cleaning up after it")
	want(t, said(), "nil pointer")
}

// A crash outside of the phases is no success either.
func TestACrashAtTheEdgeIsReported(t *testing.T) {
	paths := reportPaths(t)
	var p Provisioner
	if err := p.Prepare(map[string]any{"report": paths}); err != nil {
		t.Fatal(err)
	}
	r := newRun(p.config, &recordUI{}, brokenUpload{}, map[string]any{})
	r.config.WinRM = nil // which overrideLogin does not expect
	err := r.provision(t.Context())
	wantError(t, err, "[not-started] a defect in the plugin", "next: report it")
	if _, run := readReport(t, paths["json"]); run.Outcome.Good || run.Outcome.Class != "not-started" {
		t.Errorf("%+v", run.Outcome)
	}
}
