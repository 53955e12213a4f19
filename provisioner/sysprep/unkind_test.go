package sysprep

import (
	"context"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// stoppedComm is the connection to a guest that stands still for a while: what
// is under way then never comes back, and nothing more is heard of it.
type stoppedComm struct {
	packersdk.Communicator
	still atomic.Bool
	end   chan struct{}
}

func (c *stoppedComm) Start(ctx context.Context, cmd *packersdk.RemoteCmd) error {
	if c.still.Load() {
		<-c.end
		return io.ErrUnexpectedEOF
	}
	var lost atomic.Bool
	quiet := &packersdk.RemoteCmd{Command: cmd.Command, Stdout: cutOff{cmd.Stdout, c, &lost}, Stderr: cutOff{cmd.Stderr, c, &lost}}
	if err := c.Communicator.Start(ctx, quiet); err != nil {
		return err
	}
	code := quiet.Wait()
	if lost.Load() || c.still.Load() {
		<-c.end
		return io.ErrUnexpectedEOF
	}
	cmd.SetExited(code)
	return nil
}

// cutOff lets nothing through once the guest stood still.
type cutOff struct {
	w    io.Writer
	c    *stoppedComm
	lost *atomic.Bool
}

func (o cutOff) Write(p []byte) (int, error) {
	if o.c.still.Load() {
		o.lost.Store(true)
	}
	if o.lost.Load() {
		return len(p), nil
	}
	return o.w.Write(p)
}

// freezes stops a guest at a line of the user interface, for some time. All
// limits on the way to it are six times as short as a user's.
func (g *guestRun) freezes(at string, d time.Duration) *stoppedComm {
	c := &stoppedComm{end: make(chan struct{})}
	g.t.Cleanup(func() { close(c.end) })
	g.wrap = func(inner packersdk.Communicator) packersdk.Communicator {
		c.Communicator = inner
		return c
	}
	g.adjust = func(r *run) {
		r.hurry(faultHurry, r.config.StallTimeout/4)
		r.slack = 2 * time.Second
		probe := r.probe
		r.probe = func(ctx context.Context, host string, port int) (winrm.Reach, error) {
			if c.still.Load() {
				return winrm.Unreachable, nil
			}
			return probe(ctx, host, port)
		}
	}
	g.ui.onSay = func(line string) {
		if strings.Contains(line, at) && c.still.CompareAndSwap(false, true) {
			time.AfterFunc(d, func() { c.still.Store(false) })
		}
	}
	return c
}

// A freeze longer than two requests are waited for (130 s at a user's limits)
// is no loss: the guest is asked again when its service answers again.
func TestAGuestThatStandsStillForAWhileIsNotLost(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ action, at string }{
		{"quit", "working on app packages"}, {"quit", "validating"}, {"shutdown", "validating"},
	} {
		t.Run(test.action+", "+test.at, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{Generalize: seconds(30), ShutdownTakes: seconds(30)}, map[string]any{"action": test.action, "stall_timeout": "50s", "shutdown_timeout": "6s"})
			if test.action == "shutdown" {
				g.scenario.Generalize = seconds(200)
			}
			g.freezes(test.at, 16*time.Second)
			if err := g.provision(); err != nil {
				t.Fatal(err)
			}
			want(t, g.ui.text(), "Windows is generalized")
		})
	}
}

func TestAGuestThatStandsStillBeforeTheStartIsWaitedFor(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{}, map[string]any{"stall_timeout": "50s"})
	g.freezes("Looking at the guest", 16*time.Second)
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	want(t, g.ui.text(), "Waiting: the guest did not answer", "Windows is generalized")
}

// A service that answers all the while, to a plugin that has given up, is asked
// once more before the guest counts as lost.
func TestTheGuestIsAskedOnceMoreBeforeItIsLost(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{Generalize: seconds(30)}, map[string]any{"stall_timeout": "48s"})
	g.freezes("working on app packages", 36*time.Second)
	adjust := g.adjust
	g.adjust = func(r *run) {
		adjust(r)
		r.probe = func(context.Context, string, int) (winrm.Reach, error) { return winrm.Open, nil }
	}
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
}

func TestAPortThatIsClosedForAWhileIsNoPowerOff(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"quit", "shutdown", "reboot"} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{WinRMDies: winsim.WinRMClosed, WinRMBack: seconds(70), Generalize: seconds(120), ShutdownTakes: seconds(30)},
				map[string]any{"action": action, "stall_timeout": "30s", "shutdown_timeout": "4s"})
			if err := g.provision(); err != nil {
				t.Fatal(err)
			}
			want(t, g.ui.text(), "Windows is generalized")
		})
	}
}

// The port is closed for longer than a service takes to restart, while Windows
// boots into the first boot of the image.
func TestARestartThatTakesItsTimeIsNoPowerOff(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{RestartsInstead: true, FirstBoot: winsim.FirstBootDone, BootTakes: seconds(50)}, map[string]any{"action": "shutdown", "shutdown_timeout": "60s"})
	wantExplained(t, g, "the guest restarted instead of powering off: it is not generalized any more", "do not use its disk")
}

const oldFailure = "2025-07-22 21:55:30, Info       [0x0f004d] SYSPRP The time is now 2025-07-22 21:55:30\r\n" +
	"2025-07-22 21:55:31, Info       [0x0f004e] SYSPRP Initialized SysPrep log at C:\\Windows\\System32\\Sysprep\\Panther\r\n" +
	"2025-07-22 21:55:35, Error      [0x0f0082] SYSPRP Hit failure while pre-validate sysprep cleanup internal providers; hr = 0x80073cf2\r\n"

// An earlier run failed in a log that cannot be moved, and the answer to the
// launch gets lost: its time is not known.
func TestTheFailureInAnOldLogEndsNoSysprep(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{LogLocked: true}, nil)
	g.start()
	if err := os.WriteFile(g.file("Windows", "System32", "Sysprep", "Panther", "setupact.log"), []byte(oldFailure), 0o600); err != nil {
		t.Fatal(err)
	}
	g.wrap = func(c packersdk.Communicator) packersdk.Communicator {
		return &losesTheAnswer{Communicator: c, text: "launch.ps1"}
	}
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	want(t, g.ui.text(), "The answer to the start was lost")
	if strings.Contains(g.ui.text(), "Ended sysprep.exe") {
		t.Error("a healthy sysprep was ended")
	}
}

// The same as it is seen before sysprep writes its first line.
func TestAnOldLogIsNoneOfThisRun(t *testing.T) {
	ui := &recordUI{}
	r := newRun(Config{Action: actionQuit}, ui, nil, nil)
	r.plan = r.config.plan(`C:\Windows`, "id")
	r.begun = r.now()
	state := verdict.Begin(r.begun, r.plan.Expect)
	n := int64(len(oldFailure))
	sample := guest.Sample{Status: guest.Status{ImageState: windows.StateComplete, Processes: []int{4711}, Tag: new(bool)}, LogRead: true, LogLength: n, LogNext: n, Log: []byte(oldFailure)}
	for range 3 {
		var v *verdict.Verdict
		if state, v = state.Step(r.take(t.Context(), sample)); v != nil {
			t.Fatalf("%s: %s", v.Class, v.Reason)
		}
		sample.Log = nil
	}
	if r.ownLog(r.tracker.Progress()) || len(ui.text()) > 0 {
		t.Errorf("it is told of as of this run: %q", ui.text())
	}
}

// recordingComm takes every command and answers nothing.
type recordingComm struct {
	packersdk.Communicator
	lines []string
}

func (c *recordingComm) Start(_ context.Context, cmd *packersdk.RemoteCmd) error {
	c.lines = append(c.lines, cmd.Command)
	cmd.SetExited(0)
	return nil
}

func TestNoSysprepIsEndedOnTheEvidenceOfALogOfUnknownAge(t *testing.T) {
	comm := &recordingComm{}
	r := newRun(Config{Action: actionQuit}, &recordUI{}, comm, nil)
	r.answering, r.launched.PID = true, 4711
	for own, asked := range map[verdict.Tri]bool{verdict.Unknown: false, verdict.Yes: true} {
		comm.lines = nil
		r.stopOwn(t.Context(), &verdict.Verdict{Class: verdict.Refused, StillRunning: true, OwnLog: own})
		if (len(comm.lines) > 0) != asked {
			t.Errorf("own log %s: sent %q", own, comm.lines)
		}
	}
}

func TestALogThatWasNotCountedMayBeOld(t *testing.T) {
	for launched, want := range map[*guest.Launched]bool{
		{}: false, {OldLines: 3}: true, {WithoutPowerShell: true}: true, {WithoutPowerShell: true, OldUncounted: true}: false,
	} {
		r := newRun(Config{}, &recordUI{}, nil, nil)
		if r.launched = *launched; r.fresh() != want {
			t.Errorf("%+v: fresh is %v", launched, !want)
		}
	}
}
