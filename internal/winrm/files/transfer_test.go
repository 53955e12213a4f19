package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// stream is a reader that cannot go back.
type stream struct{ io.Reader }

var sizes = []int{0, 1, 23_999, 24_000, 24_001, 10_000, 1 << 20, testutil.Fewer(10 << 20)}

func TestUploadAndDownloadCarryEveryByte(t *testing.T) {
	g := start(t, winsim.Scenario{}, nil)
	tr := g.transfer()
	for _, size := range sizes {
		content := random(size)
		path := fmt.Sprintf("Data/new folder/%d.bin", size)
		for name, from := range map[string]io.Reader{"again": bytes.NewReader(content), "once": stream{bytes.NewReader(content)}} {
			if err := tr.Upload(t.Context(), `C:\`+strings.ReplaceAll(path, "/", `\`), from, nil); err != nil {
				t.Fatalf("%d bytes, to be read %s: %v", size, name, err)
			}
			g.holds(path, content)
		}
		var back bytes.Buffer
		if n, err := tr.Download(t.Context(), "c:/"+path, &back, Bounds{}, nil); err != nil || n != int64(size) || !bytes.Equal(back.Bytes(), content) {
			t.Errorf("%d bytes: %d came back, %v", size, n, err)
		}
	}
	if g.noted() != "" {
		t.Error(g.noted())
	}
	g.clean(tr)
}

func TestAnUploadTakesFewRequests(t *testing.T) {
	g := start(t, winsim.Scenario{}, nil)
	tr := g.transfer()
	for size, most := range map[int]int{0: 1, 10_000: 1, 1 << 20: 4, 10 << 20: 37} {
		before, commands := g.count("Send"), g.count("Command")
		if err := tr.Upload(t.Context(), `C:\x.bin`, bytes.NewReader(random(size)), nil); err != nil {
			t.Fatal(err)
		}
		if sends := g.count("Send") - before; sends > most {
			t.Errorf("%d bytes took %d Sends, want %d at most", size, sends, most)
		}
		if n := g.count("Command") - commands; n != 1 {
			t.Errorf("%d bytes took %d commands", size, n)
		}
	}
	if left, _ := filepath.Glob(g.host("Windows/Temp/packer-*")); len(left) > 0 {
		t.Errorf("%v is in the guest", left)
	}
}

// TestWhatWasThereStaysUntilAllHasArrived breaks an upload over an older file.
func TestWhatWasThereStaysUntilAllHasArrived(t *testing.T) {
	g := start(t, winsim.Scenario{}, nil)
	g.put("Data/x.bin", []byte("old"))
	tr := g.transfer()
	ctx, cancel := context.WithCancel(t.Context())
	content := random(2 << 20)
	err := tr.Upload(ctx, `C:\Data\x.bin`, bytes.NewReader(content), func(done, _ int64) {
		if done > 0 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("given up: %v", err)
	}
	if got, err := os.ReadFile(g.host("Data/x.bin")); string(got) != "old" {
		t.Errorf("the old file is %.20q, %v", got, err)
	}
	if err := tr.Upload(t.Context(), `C:\Data\x.bin`, bytes.NewReader(content), nil); err != nil {
		t.Fatal(err)
	}
	g.holds("Data/x.bin", content)
}

// TestATransferGoesOnAfterAFault lets faults come in the middle, and counts what
// is sent again.
func TestATransferGoesOnAfterAFault(t *testing.T) {
	for name, rules := range map[string][]wsman.Rule{
		"FIN":                  {{Action: "Send", Skip: 3, Times: 1, Do: wsman.Close}},
		"RST":                  {{Action: "Send", Skip: 3, Times: 1, Do: wsman.Reset}},
		"FIN at the answer":    {{Action: "Receive", Skip: 3, Times: 1, Do: wsman.Close}},
		"RST twice":            {{Action: "Send", Skip: 1, Times: 1, Do: wsman.Reset}, {Action: "Send", Skip: 4, Times: 1, Do: wsman.Reset}},
		"shell lost":           {{Action: "Send", Skip: 3, Times: 1, Do: wsman.Lose}},
		"RST at the beginning": {{Action: "Command", Times: 1, Do: wsman.Reset}},
		"RST at the probe":     {{Action: "Send", Skip: 3, Times: 1, Do: wsman.Reset}, {Action: "Command", Skip: 1, Times: 1, Do: wsman.Reset}},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, winsim.Scenario{}, nil)
			for _, r := range rules {
				g.server.Faults.Inject(r)
			}
			tr := g.transfer()
			content := random(3 << 20)
			if err := tr.Upload(t.Context(), `C:\x.bin`, bytes.NewReader(content), nil); err != nil {
				t.Fatal(err)
			}
			g.holds("x.bin", content)
			// 12 Sends carry it.
			if sends, most := g.count("Send"), 12+3*len(rules); sends > most {
				t.Errorf("%d Sends, want %d at most", sends, most)
			}
			if g.noted() != "" {
				t.Error(g.noted())
			}
			if err := g.server.Faults.Clear(); err != nil { // on a quick machine one is left
				t.Error(err)
			}
			g.clean(tr)
		})
	}
}

// TestALongTransferGoesOnAfterAFault has a fault come when a transfer has taken
// longer than it is tried again.
func TestALongTransferGoesOnAfterAFault(t *testing.T) {
	var g *guest
	var once sync.Once
	g = start(t, winsim.Scenario{}, handler(func(ctx context.Context, p *wsman.Process, inner wsman.Handler) int {
		if strings.HasPrefix(p.Line, "powershell") {
			once.Do(func() {
				time.Sleep(2 * pause)
				g.server.Faults.ResetConnections()
			})
		}
		return inner.Run(ctx, p)
	}))
	tr := g.transfer()
	tr.options.Patience = 2*pause - pause/2
	content := random(1 << 20)
	if err := tr.Upload(t.Context(), `C:\x.bin`, bytes.NewReader(content), nil); err != nil {
		t.Fatal(err)
	}
	g.holds("x.bin", content)
}

func TestATransferIsNotTriedForEver(t *testing.T) {
	g := start(t, winsim.Scenario{}, nil)
	tr := g.transfer()
	tr.options.Patience = 2 * pause
	if err := tr.Upload(t.Context(), `C:\x.bin`, strings.NewReader("x"), nil); err != nil {
		t.Fatal(err)
	}
	g.server.Faults.Inject(wsman.Rule{Action: "Command", Do: wsman.Reset})
	before := g.count("")
	begin := time.Now()
	if err := tr.Upload(t.Context(), `C:\y.bin`, strings.NewReader("y"), nil); err == nil {
		t.Error("it went well")
	}
	if _, err := tr.Download(t.Context(), `C:\x.bin`, io.Discard, Bounds{}, nil); err == nil {
		t.Error("the download went well")
	}
	if d := time.Since(begin); d > 20*pause { // a busy machine's; without an end it is minutes
		t.Errorf("it took %s", d)
	}
	if n := g.count("") - before; n > 40 {
		t.Errorf("%d requests", n)
	}
	if err := g.server.Faults.Clear(); err != nil {
		t.Fatal(err)
	}
}

func TestPathsAsPackerGivesThem(t *testing.T) {
	g := start(t, winsim.Scenario{}, nil)
	tr := g.transfer()
	for to, want := range map[string]string{
		"c:/Windows/Temp/a.ps1": "Windows/Temp/a.ps1", `${env:SYSTEMROOT}/Temp/b.ps1`: "Windows/Temp/b.ps1", `$env:TEMP\c.ps1`: "Users/packer/AppData/Local/Temp/c.ps1",
		"d.ps1": "Users/packer/d.ps1", `\e.ps1`: "e.ps1", `%windir%\Temp\f.ps1`: "Windows/Temp/f.ps1", `'C:\with blank\g.ps1'`: "with blank/g.ps1",
	} {
		if err := tr.Upload(t.Context(), to, strings.NewReader("x"), nil); err != nil {
			t.Errorf("%s: %v", to, err)
			continue
		}
		g.holds(want, []byte("x"))
	}
	if tooLong := `C:\` + strings.Repeat("x", 7000); tr.Upload(t.Context(), tooLong, strings.NewReader("x"), nil) == nil {
		t.Error("a path that is too long went well")
	}
}

// TestProgressSlowsNothing has nobody come back from the first call.
func TestProgressSlowsNothing(t *testing.T) {
	g := start(t, winsim.Scenario{}, nil)
	tr := g.transfer()
	hold := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- tr.Upload(t.Context(), `C:\x.bin`, bytes.NewReader(random(3<<20)), func(int64, int64) { <-hold })
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the copy waits for who is told")
	}
	close(hold)
	var last, total atomic.Int64
	steady := true
	size := testutil.Fewer(3 << 20)
	if err := tr.Upload(t.Context(), `C:\x.bin`, bytes.NewReader(random(size)), func(done, all int64) {
		steady = steady && done >= last.Load() && done <= all
		last.Store(done)
		total.Store(all)
	}); err != nil {
		t.Fatal(err)
	}
	if last.Load() != int64(size) || total.Load() != int64(size) || !steady {
		t.Errorf("told %d of %d, steady %v", last.Load(), total.Load(), steady)
	}
}

// TestAGuestThatStalls takes input and says nothing.
func TestAGuestThatStalls(t *testing.T) {
	g := start(t, winsim.Scenario{}, handler(func(ctx context.Context, p *wsman.Process, inner wsman.Handler) int {
		if strings.HasPrefix(p.Line, "powershell") {
			<-ctx.Done()
			return 1
		}
		return inner.Run(ctx, p)
	}))
	tr := g.transfer()
	tr.options.Stall = 500 * time.Millisecond
	if err := tr.Upload(t.Context(), `C:\x.bin`, strings.NewReader("x"), nil); !errors.Is(err, ErrStalled) {
		t.Errorf("upload: %v", err)
	}
	if _, err := tr.Download(t.Context(), `C:\x.bin`, io.Discard, Bounds{}, nil); !errors.Is(err, ErrStalled) {
		t.Errorf("download: %v", err)
	}
}

// TestAStreamIsKeptOnDiskAndNotLeft takes a stream larger than memory is given.
func TestAStreamIsKeptOnDiskAndNotLeft(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("TMP", os.Getenv("TMPDIR"))
	content := random(inMemory + 100_000)
	s, err := take(stream{bytes.NewReader(content)})
	if err != nil {
		t.Fatal(err)
	}
	left := func() int {
		list, _ := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*"))
		return len(list)
	}
	got, err := io.ReadAll(io.NewSectionReader(s.from, 0, s.size))
	whole, _ := take(bytes.NewReader(content))
	if err != nil || !bytes.Equal(got, content) || s.sum != whole.sum || left() != 1 {
		t.Errorf("%d bytes, %v, %d files", len(got), err, left())
	}
	s.drop()
	if left() != 0 {
		t.Errorf("%d files are left", left())
	}
	// From where a file stands.
	r := bytes.NewReader(content)
	_, _ = r.Seek(int64(len(content)-10), io.SeekStart)
	if tail, err := take(r); err != nil || tail.size != 10 {
		t.Errorf("%+v, %v", tail, err)
	}
}

func TestSeveralAtOnce(t *testing.T) {
	g := start(t, winsim.Scenario{}, nil)
	tr := g.transfer()
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			content, path := random(100_000+i), fmt.Sprintf(`C:\%d.bin`, i)
			var back bytes.Buffer
			err := tr.Upload(t.Context(), path, bytes.NewReader(content), nil)
			if err == nil {
				_, err = tr.Download(t.Context(), path, &back, Bounds{}, nil)
			}
			if err != nil || !bytes.Equal(back.Bytes(), content) {
				t.Errorf("%s: %d bytes, %v", path, back.Len(), err)
			}
		})
	}
	all.Wait()
	g.clean(tr)
}
