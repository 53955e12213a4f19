package guest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnAnswerWithoutAnEndIsNotTaken(t *testing.T) {
	for name, piece := range map[string][]byte{
		"one long line": bytes.Repeat([]byte("a"), 64<<10), "short lines": bytes.Repeat([]byte("a\n"), 32<<10), "empty lines": bytes.Repeat([]byte("\n"), 64<<10),
		"documents": []byte(`{"script":"read","schema":1,"ok":true}` + "\n"),
	} {
		for _, kind := range []string{"command", "script"} {
			t.Run(name+" of a "+kind, func(t *testing.T) {
				taken := 0
				f := &fake{start: func(_ context.Context, r Request) error {
					for {
						n, err := r.Stdout.Write(piece)
						taken += n
						if err != nil {
							return err
						}
					}
				}}
				s := New(f, "id")
				var err error
				if kind == "command" {
					_, _, err = s.run(t.Context(), call("x"), Request{}, time.Minute)
				} else {
					err = s.Script(t.Context(), "read", nil, func([]byte) {}, time.Minute)
				}
				if !errors.Is(err, ErrTooMuch) {
					t.Fatal(err)
				}
				if taken > maxStream+len(piece) {
					t.Errorf("%d bytes were taken", taken)
				}
			})
		}
	}
}

// reader is a guest whose read.ps1 answers as a test says.
func reader(answer func(call int, offset, bytes int64) map[string]any) *fake {
	f := &fake{}
	calls := 0
	f.start = func(_ context.Context, r Request) error {
		calls++
		raw, err := decodeArgument(r.Line)
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
		_, _ = r.Stdout.Write(append(out, '\n'))
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
			got, err := New(f, "id").Fetch(t.Context(), `C:\x.log`, max)
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
	synctest.Test(t, func(t *testing.T) {
		f := reader(func(_ int, offset, bytes int64) map[string]any {
			time.Sleep(50 * time.Second) // of the bubble
			return map[string]any{"length": 8 << 20, "offset": max(0, offset), "next": max(0, offset) + 10, "data": []byte("0123456789")}
		})
		if got, err := New(f, "id").Fetch(t.Context(), `C:\x.log`, 8<<20); !errors.Is(err, ErrNoAnswer) || len(got) != 40 {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
}

func TestAnAnswerInPartsIsBounded(t *testing.T) {
	text := strings.Repeat("packer-part:file=0\r\n", 20_000) + "packer-part:end\r\n"
	if _, err := wholeAnswer(text, ""); !errors.Is(err, ErrUnreadable) {
		t.Errorf("got %v", err)
	}
	f := scripted("packer-part:pointer\r\npacker-part:files\r\npacker-part:file=0\r\npacker-part:file=0\r\npacker-part:end\r\n", "")
	if _, err := New(f, "id").AnswerFiles(t.Context()); !errors.Is(err, ErrUnreadable) {
		t.Errorf("a place that is named twice: %v", err)
	}
}
