package guest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
)

// fake is a communicator that does what a test says.
type fake struct {
	start  func(ctx context.Context, cmd *packersdk.RemoteCmd) error
	upload func(path string, content []byte) error
	mu     sync.Mutex
	ran    []string
}

func (f *fake) Start(ctx context.Context, cmd *packersdk.RemoteCmd) error {
	f.mu.Lock()
	f.ran = append(f.ran, cmd.Command)
	f.mu.Unlock()
	return f.start(ctx, cmd)
}

func (f *fake) Upload(path string, r io.Reader, _ *os.FileInfo) error {
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if f.upload == nil {
		return nil
	}
	return f.upload(path, content)
}

func (f *fake) lines() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.ran...)
}

// says ends a command at once with an output.
func says(stdout, stderr string, exit int) func(context.Context, *packersdk.RemoteCmd) error {
	return func(_ context.Context, cmd *packersdk.RemoteCmd) error {
		io.WriteString(cmd.Stdout, stdout)
		io.WriteString(cmd.Stderr, stderr)
		cmd.SetExited(exit)
		return nil
	}
}

// expiring makes every limit expire at once.
func expiring(s *Session) *Session {
	s.RestAtMost(0)
	s.timer = func(time.Duration) (<-chan time.Time, func() bool) {
		c := make(chan time.Time, 1)
		c <- time.Time{}
		return c, func() bool { return true }
	}
	return s
}

// endless makes no limit expire.
func endless(s *Session) *Session {
	s.timer = func(time.Duration) (<-chan time.Time, func() bool) { return nil, func() bool { return true } }
	s.pause = func(context.Context, time.Duration) error { return nil }
	return s
}

func TestRunReturnsWhatACommandLeaves(t *testing.T) {
	s := endless(New(&fake{start: says("out", "err", 3)}, "id"))
	r, err := s.Run(t.Context(), "x", time.Minute)
	if err != nil || r.Exit != 3 || string(r.Stdout) != "out" || string(r.Stderr) != "err" || r.Truncated {
		t.Fatalf("got %+v, %v", r, err)
	}
}

func TestOutputsAreNeverNil(t *testing.T) {
	s := endless(New(&fake{start: func(_ context.Context, cmd *packersdk.RemoteCmd) error {
		if cmd.Stdout == nil || cmd.Stderr == nil || cmd.Stdin != nil {
			return errors.New("this would end the builder")
		}
		cmd.SetExited(0)
		return nil
	}}, "id"))
	if _, err := s.Run(t.Context(), "x", time.Minute); err != nil {
		t.Fatal(err)
	}
}

func TestAFailedStartIsNeverWaitedFor(t *testing.T) {
	// Across the plugin boundary nobody calls SetExited then.
	failed := errors.New("unknown error Post: EOF")
	s := endless(New(&fake{start: func(_ context.Context, cmd *packersdk.RemoteCmd) error {
		io.WriteString(cmd.Stdout, "some")
		return failed
	}}, "id"))
	r, err := s.Run(t.Context(), "x", time.Minute)
	if !errors.Is(err, failed) || string(r.Stdout) != "some" || r.Exit != 0 {
		t.Fatalf("got %+v, %v", r, err)
	}
}

func TestAnExitStatusBesideAnErrorIsNotBelieved(t *testing.T) {
	s := endless(New(&fake{start: func(_ context.Context, cmd *packersdk.RemoteCmd) error {
		cmd.SetExited(16001)
		return errors.New("EOF")
	}}, "id"))
	if r, err := s.Run(t.Context(), "x", time.Minute); err == nil || r.Exit != 0 {
		t.Fatalf("got %+v, %v", r, err)
	}
}

func TestACommandThatNeverReturnsIsLeftBehindAndTheThirdRefused(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	f := &fake{start: func(context.Context, *packersdk.RemoteCmd) error { <-release; return nil }}
	s := expiring(New(f, "id"))
	for i := range 2 {
		if _, err := s.Run(t.Context(), "x", time.Minute); !errors.Is(err, ErrAbandoned) {
			t.Fatalf("command %d: %v", i, err)
		}
	}
	if _, err := s.Run(t.Context(), "x", time.Minute); !errors.Is(err, ErrGivenUp) {
		t.Fatalf("the third: %v", err)
	}
	if err := s.Upload(t.Context(), "p", nil, time.Minute); !errors.Is(err, ErrGivenUp) {
		t.Fatalf("an upload: %v", err)
	}
}

func TestACommandThatExitsNeverIsLeftBehind(t *testing.T) {
	// Start returned, as over SSH, and the program goes on for ever.
	cmds := make(chan *packersdk.RemoteCmd, 1)
	s := expiring(New(&fake{start: func(_ context.Context, cmd *packersdk.RemoteCmd) error { cmds <- cmd; return nil }}, "id"))
	if _, err := s.Run(t.Context(), "x", time.Minute); !errors.Is(err, ErrAbandoned) {
		t.Fatal(err)
	}
	(<-cmds).SetExited(0)
}

func TestALateReturnMakesTheConnectionUsableAgain(t *testing.T) {
	release := make(chan struct{})
	s := expiring(New(&fake{start: func(_ context.Context, cmd *packersdk.RemoteCmd) error {
		<-release
		cmd.SetExited(0)
		return nil
	}}, "id"))
	for range 2 {
		if _, err := s.Run(t.Context(), "x", time.Minute); !errors.Is(err, ErrAbandoned) {
			t.Fatal(err)
		}
	}
	close(release)
	for {
		s.mu.Lock()
		pending := s.pending
		s.mu.Unlock()
		if pending == 0 {
			break
		}
		if t.Context().Err() != nil {
			t.Fatal("the late commands still count")
		}
	}
	endless(s)
	if _, err := s.Run(t.Context(), "x", time.Minute); err != nil {
		t.Fatal(err)
	}
}

func TestACancelReturnsAtOnceAndDoesNotCountAgainstTheConnection(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		s := endless(New(&fake{start: func(context.Context, *packersdk.RemoteCmd) error { cancel(); <-release; return nil }}, "id"))
		if _, err := s.Run(ctx, "x", time.Minute); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if s.pending != 0 {
			t.Fatalf("%d pending", s.pending)
		}
	}
}

func TestNothingIsStartedAfterACancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f := &fake{start: says("", "", 0)}
	if _, err := New(f, "id").Run(ctx, "x", time.Minute); !errors.Is(err, context.Canceled) || len(f.lines()) != 0 {
		t.Fatalf("%v, started %q", err, f.lines())
	}
}

func TestOutputOfAnAbandonedCommandGoesNowhere(t *testing.T) {
	cmds := make(chan *packersdk.RemoteCmd, 1)
	s := expiring(New(&fake{start: func(_ context.Context, cmd *packersdk.RemoteCmd) error { cmds <- cmd; return nil }}, "id"))
	r, err := s.Run(t.Context(), "x", time.Minute)
	if !errors.Is(err, ErrAbandoned) {
		t.Fatal(err)
	}
	cmd := <-cmds
	if n, err := io.WriteString(cmd.Stdout, "late"); n != 4 || err != nil {
		t.Errorf("a late write must not fail: %d, %v", n, err)
	}
	cmd.SetExited(0)
	if len(r.Stdout) != 0 {
		t.Errorf("got %q", r.Stdout)
	}
}

func TestOutputIsBounded(t *testing.T) {
	s := endless(New(&fake{start: func(_ context.Context, cmd *packersdk.RemoteCmd) error {
		for range 5 {
			cmd.Stdout.Write(bytes.Repeat([]byte("a"), 1<<20))
		}
		cmd.SetExited(0)
		return nil
	}}, "id"))
	r, err := s.Run(t.Context(), "x", time.Minute)
	if err != nil || len(r.Stdout) != maxOutput || !r.Truncated {
		t.Fatalf("%d bytes, truncated %v, %v", len(r.Stdout), r.Truncated, err)
	}
}

// script answers uploads and one script with documents.
func scripted(stdout, stderr string, exit int) *fake { return &fake{start: says(stdout, stderr, exit)} }

func TestAScriptIsUploadedOnceAndCalledAsItsContractSays(t *testing.T) {
	uploads := 0
	f := scripted("{\"script\":\"read\",\"schema\":1,\"ok\":true}\r\n", "", 0)
	f.upload = func(path string, content []byte) error {
		uploads++
		if path != `C:\Windows\Temp\packer-sysprep-id\read.ps1` || !bytes.Contains(content, []byte("param([string]$Json")) {
			return fmt.Errorf("unexpected upload of %d bytes to %s", len(content), path)
		}
		return nil
	}
	s := endless(New(f, "id"))
	docs := 0
	for range 2 {
		if err := s.Script(t.Context(), "read", map[string]any{"path": "x"}, func([]byte) { docs++ }, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if uploads != 1 || docs != 2 {
		t.Errorf("%d uploads, %d documents", uploads, docs)
	}
	m := regexp.MustCompile(`^powershell\.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -InputFormat None -File C:\\Windows\\Temp\\packer-sysprep-id\\read\.ps1 -Json ([A-Za-z0-9+/=]+)$`).FindStringSubmatch(f.lines()[0])
	if m == nil {
		t.Fatalf("the line is %q", f.lines()[0])
	}
	raw, err := base64.StdEncoding.DecodeString(m[1])
	if err != nil || string(raw) != `{"path":"x"}` {
		t.Errorf("parameters %q, %v", raw, err)
	}
}

func TestDocumentsComeAsTheyAreWritten(t *testing.T) {
	// Cut anywhere, with a byte order mark, blank lines and an engine's chatter.
	text := "\ufeff{\"script\":\"watch\",\"schema\":1,\"ok\":true,\"seq\":0}\r\n\r\nWARNING: x\r\n{\"script\":\"other\",\"schema\":1,\"ok\":true}\n" +
		"{\"script\":\"watch\",\"schema\":1,\"ok\":true,\"seq\":1}"
	for cut := range len(text) {
		s := endless(New(&fake{start: func(_ context.Context, cmd *packersdk.RemoteCmd) error {
			io.WriteString(cmd.Stdout, text[:cut])
			io.WriteString(cmd.Stdout, text[cut:])
			cmd.SetExited(0)
			return nil
		}}, "id"))
		var seq []int
		err := s.Script(t.Context(), "watch", nil, func(raw []byte) {
			var doc struct{ Seq int }
			if err := json.Unmarshal(raw, &doc); err != nil {
				t.Error(err)
			}
			seq = append(seq, doc.Seq)
		}, time.Minute)
		if err != nil || len(seq) != 2 || seq[0] != 0 || seq[1] != 1 {
			t.Fatalf("cut at %d: %v, %v", cut, seq, err)
		}
	}
}

func TestALineThatIsTooLongIsDropped(t *testing.T) {
	var got []string
	l := &lines{take: func(b []byte) { got = append(got, string(b)) }}
	for range 3 {
		l.Write(bytes.Repeat([]byte("x"), 1<<20))
	}
	l.Write([]byte("tail\nnext\n"))
	l.end()
	l.Write([]byte("late\n"))
	if strings.Join(got, ",") != "next" {
		t.Fatalf("got %d lines", len(got))
	}
}

func TestScriptFailuresAreTold(t *testing.T) {
	refusal := `{"script":"launch","schema":1,"ok":false,"error":{"name":"already-running","message":"a sysprep\nprocess"}}`
	for _, test := range []struct {
		name           string
		stdout, stderr string
		want           error
		text           string
	}{
		{"a refusal has its name", refusal, "", &ScriptError{Name: "already-running"}, "guest script launch: already-running"},
		{"no document at all", "", "cannot be loaded because running scripts is disabled", ErrNoDocument, `"cannot be loaded because running scripts is disabled"`},
		{"another text instead", "'powershell.exe' is not recognized", "", ErrNoDocument, "is not recognized"},
		{"progress records are no reason", "", "#< CLIXML\r\n<Objs><Obj S=\"progress\"/></Objs>", ErrNoDocument, `document: ""`},
		{"a document of a later contract", `{"script":"launch","schema":2,"ok":true}`, "", ErrNoDocument, "schema"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := endless(New(scripted(test.stdout, test.stderr, 1), "id"))
			err := s.Script(t.Context(), "launch", nil, func([]byte) { t.Error("a document") }, time.Minute)
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestParametersThatDoNotFitOnALineAreRefused(t *testing.T) {
	f := scripted("", "", 0)
	err := New(f, "id").Script(t.Context(), "read", map[string]string{"path": strings.Repeat("x", 6000)}, nil, time.Minute)
	if err == nil || !strings.Contains(err.Error(), "do not fit on a command line") || len(f.lines()) != 0 {
		t.Fatalf("got %v, %q", err, f.lines())
	}
}

func TestQueryLinesFitOnACommandLine(t *testing.T) {
	for _, line := range []string{pollLine("C:\\mark"), lookLine} {
		if len(line) > 8000 {
			t.Errorf("%d characters", len(line))
		}
	}
}
