package guest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
)

func TestTheWayToAskFollowsFromWhatWasLost(t *testing.T) {
	for _, test := range []struct {
		pending       int
		resting, back bool
		want          Way
	}{
		{0, false, false, WayLong}, {0, false, true, WayLong}, {0, true, false, WayResting}, {1, true, false, WayResting}, {1, true, true, WayResting},
		{1, false, false, WayShort}, {1, false, true, WayShort},
		{2, false, false, WayNone}, {2, true, true, WayNone}, {2, true, false, WayNone}, {2, false, true, WayShort},
		{3, false, true, WayNone}, {4, true, true, WayNone},
	} {
		if got := way(test.pending, test.resting, test.back); got != test.want {
			t.Errorf("%+v: got %d", test, got)
		}
	}
}

func TestRestsGrowAndAreBounded(t *testing.T) {
	for _, test := range []struct {
		lost          int
		longest, want time.Duration
	}{
		{0, time.Hour, 0}, {1, longestRest, 30 * time.Second}, {2, longestRest, time.Minute}, {3, longestRest, 2 * time.Minute}, {4, longestRest, 2 * time.Minute},
		{1 << 30, longestRest, longestRest}, {1, 5 * time.Second, 5 * time.Second}, {-1, time.Minute, 0}, {3, 0, 0},
	} {
		if got := rest(test.lost, test.longest); got != test.want {
			t.Errorf("%+v: got %s", test, got)
		}
	}
}

// lossy is a session whose first command never comes back before release is
// closed, on a clock of its own.
func lossy(t *testing.T) (s *Session, f *fake, clock *time.Time, release chan struct{}) {
	release = make(chan struct{})
	clock = &time.Time{}
	*clock = time.Unix(1000, 0)
	begun := make(chan struct{})
	f = &fake{start: func(_ context.Context, cmd *packersdk.RemoteCmd) error {
		if cmd.Command == "lost" {
			close(begun)
			<-release
		}
		cmd.SetExited(0)
		return nil
	}}
	s = New(f, "id")
	s.now = func() time.Time { return *clock }
	fire := make(chan time.Time, 1)
	fire <- time.Time{}
	s.timer = func(time.Duration) (<-chan time.Time, func() bool) { return fire, func() bool { return true } }
	if _, err := s.Run(t.Context(), "lost", time.Minute); !errors.Is(err, ErrAbandoned) {
		t.Fatal(err)
	}
	<-begun
	return s, f, clock, release
}

func TestNothingIsAskedForAWhileAfterARequestWasLost(t *testing.T) {
	s, f, clock, release := lossy(t)
	defer close(release)
	for range 1000 {
		if _, err := s.Run(t.Context(), "x", time.Minute); !errors.Is(err, ErrResting) {
			t.Fatal(err)
		}
	}
	if s.Way() != WayResting || len(f.lines()) != 1 {
		t.Fatalf("way %d after %d commands", s.Way(), len(f.lines()))
	}
	*clock = clock.Add(firstRest)
	if s.Way() != WayShort {
		t.Errorf("after the rest the way is %d", s.Way())
	}
	if _, err := s.Run(t.Context(), "x", time.Minute); err != nil || len(f.lines()) != 2 {
		t.Errorf("after the rest: %v, %d commands", err, len(f.lines()))
	}
}

func TestALostRequestThatComesBackEndsTheRest(t *testing.T) {
	s, _, _, release := lossy(t)
	close(release)
	for s.Way() != WayLong {
		if t.Context().Err() != nil {
			t.Fatal("it still rests")
		}
	}
}

func TestCleaningUpDoesNotWaitForTheRest(t *testing.T) {
	s, f, _, release := lossy(t)
	defer close(release)
	_, _ = s.Cleanup(t.Context(), Leftovers{Files: []string{`C:\secret`}}, time.Minute)
	if lines := f.lines(); len(lines) != 2 || !strings.Contains(lines[1], `del /f /q "C:\secret"`) {
		t.Errorf("asked %q", lines)
	}
}

// Packer's communicator goes on with an upload that was cancelled: what it writes
// must not come after the cleanup.
func TestACleanupComesAfterTheUploadThatWasCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var order []string
		f := &fake{
			upload: func(string, []byte) error {
				<-release
				order = append(order, "upload")
				return nil
			},
			start: func(context.Context, *packersdk.RemoteCmd) error {
				order = append(order, "cleanup")
				return errors.New("enough")
			},
		}
		s := endless(New(f, "id"))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := s.Upload(ctx, `C:\secret`, nil, time.Minute); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		go func() { _, _ = s.Cleanup(t.Context(), Leftovers{Files: []string{`C:\secret`}}, time.Minute) }()
		synctest.Wait()
		if len(order) > 0 {
			t.Errorf("before the upload came to its end: %q", order)
		}
		close(release)
		synctest.Wait()
		if !slices.Equal(order, []string{"upload", "cleanup"}) {
			t.Errorf("in the order %q", order)
		}
	})
}

func TestAnAnswerWithoutAnEndIsLeftBehind(t *testing.T) {
	for name, piece := range map[string][]byte{
		"one long line": bytes.Repeat([]byte("a"), 64<<10), "short lines": bytes.Repeat([]byte("a\n"), 32<<10), "empty lines": bytes.Repeat([]byte("\n"), 64<<10),
		"documents": []byte(`{"script":"read","schema":1,"ok":true}` + "\n"),
	} {
		for _, kind := range []string{"command", "script"} {
			t.Run(name+" of a "+kind, func(t *testing.T) {
				taken, ended := 0, make(chan error, 1)
				f := &fake{start: func(_ context.Context, cmd *packersdk.RemoteCmd) error {
					for {
						n, err := cmd.Stdout.Write(piece)
						taken += n
						if err != nil {
							ended <- err
							select {} // as Packer's client, whose pipe nobody empties
						}
					}
				}}
				s := endless(New(f, "id"))
				var err error
				if kind == "command" {
					_, err = s.Run(t.Context(), "x", time.Minute)
				} else {
					err = s.Script(t.Context(), "read", nil, func([]byte) {}, time.Minute)
				}
				if !errors.Is(err, ErrTooMuch) {
					t.Fatal(err)
				}
				if <-ended; taken > maxStream+len(piece) {
					t.Errorf("%d bytes were taken", taken)
				}
				if s.Way() != WayResting {
					t.Error("it goes on being asked")
				}
			})
		}
	}
}

func TestALeftRequestIsCutOffWhenItGoesOnAnswering(t *testing.T) {
	s := &sink{over: newOverflow()}
	s.end()
	total := 0
	for range 1000 {
		n, err := s.Write(make([]byte, 64<<10))
		total += n
		if err != nil {
			if total > maxLate {
				t.Errorf("%d bytes", total)
			}
			return
		}
	}
	t.Error("it never fails")
}

// reader is a guest whose read.ps1 answers as a test says.
func reader(answer func(call int, offset, bytes int64) map[string]any) *fake {
	f := &fake{}
	calls := 0
	f.start = func(_ context.Context, cmd *packersdk.RemoteCmd) error {
		calls++
		raw, err := decodeArgument(cmd.Command)
		if err != nil {
			return err
		}
		var p struct{ Offset, Bytes int64 }
		if err := json.Unmarshal(raw, &p); err != nil {
			return err
		}
		doc := answer(calls, p.Offset, p.Bytes)
		doc["script"], doc["schema"], doc["ok"] = "read", 1, true
		out, err := json.Marshal(doc)
		if err != nil {
			return err
		}
		_, _ = cmd.Stdout.Write(append(out, '\n'))
		cmd.SetExited(0)
		return nil
	}
	return f
}

func TestAFileWithoutAnEndIsNotReadForEver(t *testing.T) {
	const max = 8 << 20
	const huge = int64(1) << 40
	for name, test := range map[string]struct {
		answer   func(call int, offset, bytes int64) map[string]any
		err      error
		requests int
	}{
		"a byte at a time": {func(_ int, offset, _ int64) map[string]any {
			if offset < 0 {
				offset = huge + offset
			}
			return map[string]any{"length": huge, "offset": offset, "next": offset + 1, "data": []byte("x")}
		}, ErrTooMuch, max/readChunk + 1 + fewChunks},
		"the same chunk for ever": {func(int, int64, int64) map[string]any {
			return map[string]any{"length": huge, "offset": huge - max, "next": huge - max + 5, "data": []byte("again")}
		}, ErrUnreadable, 2},
		"no progress": {func(int, int64, int64) map[string]any {
			return map[string]any{"length": huge, "offset": huge - max, "next": huge - max, "data": []byte("again")}
		}, ErrUnreadable, 1},
		"backwards": {func(int, int64, int64) map[string]any {
			return map[string]any{"length": huge, "offset": huge - max, "next": -5, "data": []byte("again")}
		}, ErrUnreadable, 1},
		"more than was asked for": {func(_ int, _, bytes int64) map[string]any {
			return map[string]any{"length": huge, "offset": huge - max, "next": huge - max + bytes + 1, "data": make([]byte, bytes+1)}
		}, ErrUnreadable, 1},
		"a length below what it gave": {func(int, int64, int64) map[string]any {
			return map[string]any{"length": 3, "offset": 0, "next": 5, "data": []byte("again")}
		}, ErrUnreadable, 1},
		"a file that grows all the time": {func(call int, offset, bytes int64) map[string]any {
			if offset < 0 {
				offset = 0
			}
			return map[string]any{"length": offset + bytes + 100, "offset": offset, "next": offset + bytes, "data": make([]byte, bytes)}
		}, nil, max / readChunk},
	} {
		t.Run(name, func(t *testing.T) {
			f := reader(test.answer)
			got, err := endless(New(f, "id")).Fetch(t.Context(), `C:\x.log`, max)
			if !errors.Is(err, test.err) || test.err == nil && err != nil {
				t.Errorf("got %v", err)
			}
			if n := len(f.lines()); n != test.requests || len(got) > max {
				t.Errorf("%d requests, %d bytes", n, len(got))
			}
		})
	}
}

func TestAFileThatDripsIsGivenUpInTime(t *testing.T) {
	clock := time.Unix(0, 0)
	f := reader(func(_ int, offset, bytes int64) map[string]any {
		clock = clock.Add(50 * time.Second)
		return map[string]any{"length": 8 << 20, "offset": max(0, offset), "next": max(0, offset) + 10, "data": []byte("0123456789")}
	})
	s := endless(New(f, "id"))
	s.now = func() time.Time { return clock }
	if got, err := s.Fetch(t.Context(), `C:\x.log`, 8<<20); !errors.Is(err, ErrAbandoned) || len(got) != 40 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestAnAnswerInPartsIsBounded(t *testing.T) {
	text := strings.Repeat("packer-part:files\r\n0\r\n", 20_000) + "packer-part:end\r\n"
	if _, _, err := parseState(text); !errors.Is(err, ErrUnreadable) {
		t.Errorf("got %v", err)
	}
	f := scripted("packer-part:pointer\r\npacker-part:files\r\n0\r\n0\r\npacker-part:end\r\n", "", 0)
	if _, err := endless(New(f, "id")).AnswerFiles(t.Context()); !errors.Is(err, ErrUnreadable) {
		t.Errorf("a place that is named twice: %v", err)
	}
}
