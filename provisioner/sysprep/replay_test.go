package sysprep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/replay"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// replayComm is a communicator to a guest in this process, which is reached as its
// moments say. All that it waits for is of a synctest bubble.
type replayComm struct {
	guest  *winsim.Guest
	upload string // why no file can be put
	over   chan struct{}

	mu      sync.Mutex
	now     winsim.Moment
	changed chan struct{}
}

func (c *replayComm) becomes(m winsim.Moment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = m
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *replayComm) state() (winsim.Moment, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now, c.changed
}

var errReplayOver = errors.New("the replay is over")

// reached waits until a command is answered, or says why it is not.
func (c *replayComm) reached() error {
	for {
		now, changed := c.state()
		switch now.Reach {
		case winsim.Answers:
			return nil
		case winsim.Silent, winsim.Hangs:
		default:
			why := now.Why
			if why == "" || strings.Contains(why, "no answer in time") {
				why = "connection refused"
			}
			return errors.New(why)
		}
		select {
		case <-changed:
		case <-c.over:
			return errReplayOver
		}
	}
}

// gated holds back what a guest says that does not answer.
type gated struct {
	io.Writer
	comm *replayComm
}

func (g gated) Write(p []byte) (int, error) {
	if now, _ := g.comm.state(); now.Reach == winsim.Refuses && now.Why == string(winsim.WinRMNoShells) {
		return g.Writer.Write(p) // open shells live on
	}
	if err := g.comm.reached(); err != nil {
		return 0, err
	}
	return g.Writer.Write(p)
}

func (c *replayComm) Start(ctx context.Context, cmd *packersdk.RemoteCmd) error {
	if err := c.reached(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		stdin := cmd.Stdin
		if stdin == nil {
			stdin = strings.NewReader("")
		}
		cmd.SetExited(c.guest.Handler().Run(ctx, &wsman.Process{User: simUser, Line: cmd.Command, Env: map[string]string{}, CodePage: "65001", Stdin: stdin, Stdout: gated{cmd.Stdout, c}, Stderr: gated{cmd.Stderr, c}}))
	}()
	began, changed := c.state()
	go func() { // a connection that breaks ends what runs over it
		for now := began; ; now, changed = c.state() {
			if now.At == began.At && now.Reach == began.Reach {
				now.Foreign, now.Rebooted = false, false // what it was when it began
			}
			if now.Reach == winsim.Closed || now.Reach == winsim.Refuses && now.Why != string(winsim.WinRMNoShells) || now.Foreign || now.Rebooted {
				cancel()
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			case <-c.over:
				cancel()
				return
			}
		}
	}()
	return nil
}

func (c *replayComm) Upload(path string, r io.Reader, _ *os.FileInfo) error {
	if err := c.reached(); err != nil {
		return err
	}
	if c.upload != "" {
		return errors.New(c.upload)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	host := c.guest.Host(path)
	if err := os.MkdirAll(filepath.Dir(host), 0o755); err != nil {
		return err
	}
	return os.WriteFile(host, content, 0o600)
}

func (*replayComm) UploadDir(string, string, []string) error   { return errors.New("not used") }
func (*replayComm) Download(string, io.Writer) error           { return errors.New("not used") }
func (*replayComm) DownloadDir(string, string, []string) error { return errors.New("not used") }

func (c *replayComm) probe(ctx context.Context, _ string, _ int) (winrm.Reach, error) {
	now, _ := c.state()
	switch now.Reach {
	case winsim.Closed:
		return winrm.Closed, errors.New("connection refused")
	case winsim.Silent:
		return winrm.Silent, errors.New("no answer")
	}
	return winrm.Open, ctx.Err()
}

// replayOptions are those of the run, with something in the place of what is not
// written down.
func replayOptions(l runlog.Log) map[string]any {
	raw := map[string]any{"packer_builder_type": l.Builder, "packer_build_name": "replay", "winrm": map[string]any{"mode": winrmCommunicator}}
	for name, value := range l.Options {
		if text, ok := value.(string); ok && text == isSet || name == "winrm" {
			continue
		}
		raw[name] = value
	}
	delete(raw, "extra_arguments_count")
	delete(raw, "before_shutdown_lines")
	if l.Options["answer_file"] != nil || l.Options["answer_file_content"] != nil || l.Options["answer_file_in_guest"] != nil || l.Options["unattend"] != nil {
		raw["answer_file_content"] = testAnswer
	}
	if l.Options["elevated_user"] != nil {
		raw["elevated_user"] = simUser
	}
	if l.Options["elevated_password"] != nil {
		raw["elevated_password"] = simPassword
	}
	if l.Options["command"] != nil {
		raw["command"] = `C:\Windows\System32\Sysprep\sysprep.exe /generalize /oobe /quit /quiet`
	}
	if n, ok := l.Options["before_shutdown_lines"]; ok {
		var lines []string
		for i := range number(n) {
			line := "ver >nul"
			if b := l.BeforeShutdown; b != nil && b.Failed != nil && *b.Failed == i && b.Code != nil {
				line = fmt.Sprintf("exit %d", *b.Code)
			}
			lines = append(lines, line)
		}
		raw["before_shutdown"] = lines
	}
	return raw
}

// number is one that may have come through JSON.
func number(v any) int {
	if f, ok := v.(float64); ok {
		return int(f)
	}
	return v.(int)
}

// replayed runs the provisioner again, against a guest that answers as the recorded one
// did.
func replayed(t *testing.T, recorded runlog.Log) (again runlog.Log) {
	t.Helper()
	scenario, err := replay.Scenario(recorded)
	if err != nil {
		t.Fatal(err)
	}
	b := &bubbleRun{scenario: scenario, options: replayOptions(recorded), begins: recorded.Begun}
	for _, o := range recorded.Observations.List {
		b.machine = b.machine || o.Restarts > 0 || o.Paused != "" || o.Off || o.Crashed != ""
	}
	b.cancels = func(r *run, cancel func()) { cancelAs(r, recorded, cancel) }
	return b.do(t)
}

// cancelAs cancels the run where the recorded one was cancelled: at its distance from
// the start of sysprep, or in the phase before it.
func cancelAs(r *run, recorded runlog.Log, cancel func()) {
	if recorded.CancelledMS == nil {
		return
	}
	at := *recorded.CancelledMS
	in := recorded.Phases[slices.IndexFunc(recorded.Phases, func(p runlog.Phase) bool { return p.Outcome == runlog.Cancelled })]
	r.book.begins = func(phase string) {
		if phase != in.Name {
			return
		}
		if phase == "sysprep" || phase == "finish" || phase == "audit" {
			time.AfterFunc(time.Duration(at-in.BeginMS)*time.Millisecond+2*r.config.PollInterval+100*time.Millisecond, cancel)
			return
		}
		cancel()
	}
}

var (
	variable = regexp.MustCompile(`\b\d+(?:\.\d+)?(?:ms|µs|ns|h|m|s)(?:\d+(?:\.\d+)?(?:m|s|ms))*\b|process id \d+|packer-[a-z]+-[0-9a-f]+|\b\d{2}:\d{2}:\d{2}\b|\d{4}-\d{2}-\d{2}|\b\d+ bytes`)
)

// headline is a line up to its first colon.
func headline(line string) string {
	head, _, _ := strings.Cut(line, ": ")
	return head
}

// likeness is what has to be the same of two verdicts: times, process ids and names
// of a run differ.
func likeness(v *runlog.Verdict) string {
	if v == nil {
		return "none"
	}
	if !v.Failed && v.Class == "generalized" { // how its end was seen rests on milliseconds
		v = &runlog.Verdict{Class: v.Class, FirstLine: headline(v.FirstLine)}
	}
	return fmt.Sprintf("%s/%s/%s failed=%v: %s", v.Class, v.Cause, v.CauseID, v.Failed, variable.ReplaceAllString(v.FirstLine, "#"))
}

// wantReplay replays a run, and wants its verdict again.
func wantReplay(t *testing.T, recorded runlog.Log) {
	t.Helper()
	again := replayed(t, recorded)
	if got, want := likeness(again.Verdict), likeness(recorded.Verdict); got != want {
		t.Errorf("REPLAY of %s\n got %s\nwant %s", recorded.ID, got, want)
	}
}
