package guest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fake is a transport that does what a test says.
type fake struct {
	start  func(ctx context.Context, r Request) error
	upload func(path string, content []byte) error
	mu     sync.Mutex
	ran    []string // with "insists: " and "settle", where that was said
}

func (f *fake) Run(ctx context.Context, r Request) error {
	f.mu.Lock()
	if r.Insist {
		r.Line = "insists: " + r.Line
	}
	f.ran = append(f.ran, r.Line)
	f.mu.Unlock()
	return f.start(ctx, r)
}

func (f *fake) Upload(_ context.Context, path string, content []byte) error {
	if f.upload == nil {
		return nil
	}
	return f.upload(path, content)
}

func (f *fake) Steady() bool { return true }
func (f *fake) Probed(bool)  {}

func (f *fake) Settle(context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ran = append(f.ran, "settle")
}

func (f *fake) lines() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.ran...)
}

// quickly runs a test in which no pause takes time.
func quickly(t *testing.T, name string, do func(*testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, do) })
}

// says ends a command at once with an output.
func says(stdout, stderr string) func(context.Context, Request) error {
	return func(_ context.Context, r Request) error {
		io.WriteString(r.Stdout, stdout)
		io.WriteString(r.Stderr, stderr)
		return nil
	}
}

func TestOutputIsBounded(t *testing.T) {
	s := New(&fake{start: func(_ context.Context, r Request) error {
		for range 5 {
			r.Stdout.Write(bytes.Repeat([]byte("a"), 1<<20))
		}
		io.WriteString(r.Stderr, "err")
		return nil
	}}, "id")
	out, errs, err := s.run(t.Context(), call("x"), Request{}, time.Minute)
	if err != nil || len(out.kept) != maxOutput || !out.cut || string(errs.kept) != "err" || errs.cut {
		t.Fatalf("%d bytes, cut %v, %q, %v", len(out.kept), out.cut, errs.kept, err)
	}
}

// A request that is not answered ends, however long its caller would wait.
func TestEveryRequestHasALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{start: func(ctx context.Context, r Request) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}}
		s := New(f, "id")
		s.Hurry(10)
		begun := time.Now()
		if _, err := s.Poll(t.Context()); !errors.Is(err, ErrNoAnswer) || !Unanswered(err) || time.Since(begun) != CommandLimit/10 {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Poll(ctx); !errors.Is(err, context.DeadlineExceeded) || Unanswered(err) {
			t.Errorf("what the caller ends says nothing about the guest: %v", err)
		}
	})
}

// script answers uploads and one script with documents.
func scripted(stdout, stderr string) *fake { return &fake{start: says(stdout, stderr)} }

func TestAScriptIsUploadedOnceAndCalledAsItsContractSays(t *testing.T) {
	uploads := 0
	f := scripted("{\"script\":\"read\",\"schema\":1,\"ok\":true}\r\n", "")
	f.upload = func(path string, content []byte) error {
		uploads++
		if path != `C:\Windows\Temp\packer-sysprep-id\read.ps1` || !bytes.Contains(content, []byte("param([string]$Json")) {
			return fmt.Errorf("unexpected upload of %d bytes to %s", len(content), path)
		}
		return nil
	}
	s := New(f, "id")
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
		s := New(&fake{start: func(_ context.Context, r Request) error {
			io.WriteString(r.Stdout, text[:cut])
			io.WriteString(r.Stdout, text[cut:])
			return nil
		}}, "id")
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
			s := New(scripted(test.stdout, test.stderr), "id")
			err := s.Script(t.Context(), "launch", nil, func([]byte) { t.Error("a document") }, time.Minute)
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestParametersThatDoNotFitOnALineAreRefused(t *testing.T) {
	f := scripted("", "")
	err := New(f, "id").Script(t.Context(), "read", map[string]string{"path": strings.Repeat("x", 6000)}, nil, time.Minute)
	if err == nil || !strings.Contains(err.Error(), "do not fit on a command line") || len(f.lines()) != 0 {
		t.Fatalf("got %v, %q", err, f.lines())
	}
}

func TestQueryLinesFitOnACommandLine(t *testing.T) {
	s := New(scripted("", ""), "id")
	s.putBoot()
	for _, line := range []command{s.askWith("C:\\mark"), askLook()} {
		if len(line.text) > 8000 {
			t.Errorf("%d characters", len(line.text))
		}
	}
}
