package guest

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	startedDoc = `{"script":"launch","schema":1,"ok":true,"started":true,"start":{"pid":4000}}` + "\r\n"
	watchedDoc = `{"script":"watch","schema":1,"ok":true,"type":"sample","tag":true,"imageState":"IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"}` + "\r\n"
	lastPart   = "packer-part:last\r\n" + setupKey + "packer-part:end\r\n"
)

func watchAll() *Watching {
	return &Watching{Interval: time.Second, For: time.Hour, AnswerFile: `C:\a\unattend.xml`, AnswerFolder: `C:\a`, Remove: Leftovers{Folders: []string{`C:\a`}}}
}

// One line starts sysprep, watches, removes what is ours and asks for the rest.
func TestOneCommandDoesAll(t *testing.T) {
	f := &fake{start: append(answers{{"launch.ps1", startedDoc + watchedDoc + "packer-part:removed\r\npacker-part:left=1\r\n" + lastPart, ""}}, marks...).start}
	s := New(f, "id")
	l, err := s.Launch(t.Context(), Launch{Arguments: "/oobe", Logon: LogonS4U, User: "adm", Watch: watchAll()})
	if err != nil || l.PID != 4000 || l.Follow == nil {
		t.Fatalf("got %+v, %v", l, err)
	}
	var samples []Sample
	var left [][]string
	if _, err := l.Follow.Watch(t.Context(), Hears{func(s Sample) { samples = append(samples, s) }, func(l []string) { left = append(left, l) }}); err != nil {
		t.Fatal(err)
	}
	if len(samples) != 2 || samples[1].SetupType == nil || *samples[1].SetupType != 2 {
		t.Errorf("samples %+v", samples)
	}
	if len(left) != 1 || !slices.Equal(left[0], []string{`C:\Windows\System32\Sysprep\Panther\packer-id.mark`}) {
		t.Errorf("left are %q", left)
	}
	if s.Brought() || s.mark() != "" {
		t.Error("what was removed is still taken for ours")
	}
	lines := f.lines()
	line := lines[len(lines)-1]
	if len(lines) != 2 || len(line) > mostLine {
		t.Errorf("%d commands, the last with %d characters", len(lines), len(line))
	}
	at := 0
	for _, part := range []string{"launch.ps1", `& (if not exist "C:\Windows\System32\Sysprep\Panther\packer-id.mark" (`, "watch.ps1", "IMAGE_STATE_UNDEPLOYABLE",
		`fc /b "C:\a\unattend.xml" "C:\Windows\Panther\unattend.xml"`, `schtasks /delete /f /tn "packer-sysprep-id"`, "watch.ps1",
		`if exist "C:\Windows\System32\Sysprep\Sysprep_succeeded.tag"`, `rd /s /q "C:\a"`, "packer-^part:removed", "packer-^part:last", "reg query", "packer-^part:end"} {
		i := strings.Index(line[at:], part)
		if i < 0 {
			t.Fatalf("%q is missing, or at the wrong place, in %q", part, line)
		}
		at += i + len(part)
	}
}

// A guest that shows each line that it runs says nothing by that.
func TestALineThatIsShownIsNoAnswer(t *testing.T) {
	var line string
	f := &fake{start: func(ctx context.Context, r Request) error {
		if !strings.Contains(r.Line, "launch.ps1") {
			return marks.start(ctx, r)
		}
		line = r.Line
		return says("cmd /c "+line+"\r\n"+startedDoc+watchedDoc+lastPart, "")(ctx, r)
	}}
	l, err := New(f, "id").Launch(t.Context(), Launch{Arguments: "/oobe", Watch: watchAll()})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if _, err := l.Follow.Watch(t.Context(), Hears{func(Sample) { n++ }, func([]string) { t.Error("nothing was removed") }}); err != nil || n != 2 {
		t.Errorf("%d samples, %v", n, err)
	}
}

func TestALineThatIsTooLongOnlyStarts(t *testing.T) {
	f := &fake{start: append(answers{{"launch.ps1", startedDoc, ""}}, marks...).start}
	l, err := New(f, "id").Launch(t.Context(), Launch{Arguments: "/oobe " + strings.Repeat("x", 4500), Watch: watchAll()})
	if err != nil || l.Follow != nil || l.PID != 4000 {
		t.Fatalf("got %+v, %v", l, err)
	}
	lines := f.lines()
	if line := lines[len(lines)-1]; strings.Contains(line, "watch.ps1") || len(line) > mostLine {
		t.Errorf("the line has %d characters", len(line))
	}
}

// The start is answered long before the command ends.
func TestTheStartIsNotWaitedForToTheEnd(t *testing.T) {
	end := make(chan struct{})
	var changed <-chan struct{}
	f := &fake{start: func(ctx context.Context, r Request) error {
		if !strings.Contains(r.Line, "launch.ps1") {
			return marks.start(ctx, r)
		}
		changed = r.Changed
		io.WriteString(r.Stdout, startedDoc)
		<-end
		return errCut
	}}
	s := New(f, "id")
	l, err := s.Launch(t.Context(), Launch{Arguments: "/oobe", Watch: watchAll()})
	if err != nil || l.Follow == nil {
		t.Fatalf("got %+v, %v", l, err)
	}
	select {
	case <-changed:
	default:
		t.Error("a cleanup would wait for the end of the watch")
	}
	close(end)
	if _, err := l.Follow.Watch(t.Context(), hears(func(Sample) {})); !errors.Is(err, errCut) {
		t.Errorf("got %v", err)
	}
}

// A guest that watches has started what was to be started, though its answer is
// missing: the watch goes on, and no end of it is waited for.
func TestAStartWhoseAnswerIsMissingIsWatched(t *testing.T) {
	end := make(chan struct{})
	f := &fake{start: func(ctx context.Context, r Request) error {
		if !strings.Contains(r.Line, "launch.ps1") {
			return marks.start(ctx, r)
		}
		io.WriteString(r.Stdout, "Access is denied.\r\n"+watchedDoc)
		<-end
		return says(watchedDoc+lastPart, "")(ctx, r)
	}}
	s := New(f, "id")
	l, err := s.Launch(t.Context(), Launch{Arguments: "/oobe", Watch: watchAll()})
	if err != nil || l.Follow == nil || l.Unsaid == "" || l.Lost != "" || l.PID != 0 {
		t.Fatalf("got %+v, %v", l, err)
	}
	close(end)
	n := 0
	if _, err := l.Follow.Watch(t.Context(), hears(func(Sample) { n++ })); err != nil || n != 3 {
		t.Errorf("%d samples, %v", n, err)
	}
}

// Windows may not have its copy of the answer file yet: it is tried again.
func TestTheAnswerFileIsRemovedOnceWindowsHasIt(t *testing.T) {
	for answer, want := range map[string]bool{"packer-part:there=yes\r\n": false, "packer-part:there=no\r\n": true, "": false} {
		f := &fake{start: says(answer+"packer-part:end\r\n", "")}
		if gone, err := New(f, "id").RemoveCopied(t.Context(), *watchAll()); err != nil || gone != want {
			t.Errorf("%q: gone %v, %v", answer, gone, err)
		}
	}
}

func TestAnOldLogThatStaysIsLeftOut(t *testing.T) {
	const doc = `{"script":"launch","schema":1,"ok":true,"started":true,"start":{"pid":4000},"logs":[{"path":"C:\\Windows\\System32\\Sysprep\\Panther\\setupact.log","moved":MOVED}]}` + "\r\n"
	for moved, want := range map[string]int{"false": 321, "true": 0} {
		// AutoRun may print a number, too.
		replies := answers{{"(echo packer)>", "Active code page: 65001\r\npacker-part:lines\r\n\r\n---------- C:\\WINDOWS\\SETUPACT.LOG: 321\r\npacker-part:marked\r\npacker-part:end\r\n", ""}, {"launch.ps1", strings.Replace(doc, "MOVED", moved, 1) + lastPart, ""}}
		l, err := New(&fake{start: replies.start}, "id").Launch(t.Context(), Launch{Arguments: "/oobe", Watch: watchAll()})
		if err != nil || l.OldLines != want || l.Follow.at.skip != want {
			t.Errorf("moved %s: %+v, %v", moved, l, err)
		}
	}
}

// Where WMI may not start a process a task does, once, and only where nothing
// was started.
func TestATaskStartsWhatWMIMayNot(t *testing.T) {
	const (
		refused = `{"script":"launch","schema":1,"ok":true,"started":false,"start":{"returnValue":2,"meaning":"access denied","pid":null}}`
		thrown  = `{"script":"launch","schema":1,"ok":false,"error":{"name":"script","message":"Access denied","id":"HRESULT 0x80041003,Microsoft.Management.Infrastructure.CimCmdlets.InvokeCimMethodCommand"}}`
		running = "packer-part:tasks\r\n\"sysprep.exe\",\"4321\",\"x\"\r\npacker-part:listed\r\npacker-part:mark=no\r\npacker-part:end\r\n"
	)
	for name, test := range map[string]struct {
		first, tasks, user, instead string
		starts                      int
		err                         error
	}{
		"a return value":           {refused, "", "packer", "Win32_Process.Create returned 2 (access denied)", 2, nil},
		"an error of CIM":          {thrown, "", "packer", "Win32_Process.Create is refused: Access denied", 2, nil},
		"nobody to run it as":      {refused, "", "", "", 1, ErrNotStarted},
		"an error, and it runs":    {thrown, running, "packer", "", 1, nil},
		"an error, nobody can say": {thrown, "garbage", "packer", "", 1, &ScriptError{Name: "script"}},
	} {
		quickly(t, name, func(t *testing.T) {
			starts := 0
			f := &fake{start: func(ctx context.Context, r Request) error {
				switch {
				case strings.Contains(r.Line, "launch.ps1"):
					if starts++; starts == 1 {
						return says(test.first, "")(ctx, r)
					}
					return says(startedDoc, "")(ctx, r)
				case test.tasks != "" && strings.Contains(r.Line, "tasklist"):
					return says(test.tasks, "")(ctx, r)
				}
				return marks.start(ctx, r)
			}}
			l, err := New(f, "id").Launch(t.Context(), Launch{Arguments: "/oobe", User: test.user})
			if !errors.Is(err, test.err) || test.err == nil && err != nil || starts != test.starts || l.Instead != test.instead {
				t.Errorf("%d starts, %+v, %v", starts, l, err)
			}
			if test.starts == 2 && l.Task != "packer-sysprep-id" {
				t.Errorf("the task is %q", l.Task)
			}
		})
	}
}

// The guest says something at every heartbeat: one that does not is not waited
// for to the end of the watch.
func TestAWatchThatFallsSilentEnds(t *testing.T) {
	const silence = 5*time.Second + watchSlack
	for name, test := range map[string]struct {
		beats int
		want  time.Duration
	}{"at once": {0, silence}, "after a while": {100, 100*silence*9/10 + silence}} {
		quickly(t, name, func(t *testing.T) {
			f := &fake{start: func(ctx context.Context, r Request) error {
				for range test.beats {
					time.Sleep(silence * 9 / 10)
					io.WriteString(r.Stdout, "-\r\n")
				}
				<-ctx.Done()
				return context.Cause(ctx)
			}}
			begun := time.Now()
			_, err := New(f, "id").Watch(t.Context(), Cursor{}, *watchAll(), hears(func(Sample) {}))
			if took := time.Since(begun); !errors.Is(err, ErrNoAnswer) || took != test.want {
				t.Errorf("%v after %s, want %s", err, took, test.want)
			}
		})
	}
}

func TestTheLastLookInsists(t *testing.T) {
	f := scripted("packer-part:tag=no\r\npacker-part:end\r\n", "")
	if state, err := New(f, "id").PollRegardless(t.Context(), time.Minute); err != nil || state.Tag == nil || *state.Tag || !strings.HasPrefix(f.lines()[0], "insists: ") {
		t.Errorf("%+v, %v, %q", state, err, f.lines())
	}
}
