package communicator

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

func TestUploadAndDownload(t *testing.T) {
	g := start(t, winsim.ServerOptions{}, nil)
	file := filepath.Join(t.TempDir(), "name.bin")
	content := text(300_000)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	for to, where := range map[string]string{
		"c:/Windows/Temp/script-1.ps1": "Windows/Temp/script-1.ps1", `C:\Data\`: "Data/name.bin", "C:/Other/": "Other/name.bin", "${env:TEMP}/x.ps1": "Users/packer/AppData/Local/Temp/x.ps1",
	} {
		if err := g.comm.Upload(to, stream{strings.NewReader(content)}, &info); err != nil {
			t.Errorf("%s: %v", to, err)
			continue
		}
		g.holds(where, content)
	}
	if err := g.comm.Upload(`C:\Data\`, strings.NewReader("x"), nil); err == nil {
		t.Error("a file without a name went well")
	}
	if err := g.comm.Upload(`C:\Data`, strings.NewReader("x"), nil); err == nil {
		t.Error("a folder was replaced")
	}
	var back bytes.Buffer
	if err := g.comm.Download("C:/Data/name.bin", &back); err != nil || back.String() != content {
		t.Errorf("%d bytes came back, %v", back.Len(), err)
	}
	if err := g.comm.Download("C:/none.bin", io.Discard); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	g.clean()
}

func TestUploadDir(t *testing.T) {
	g := start(t, winsim.ServerOptions{}, nil)
	src := filepath.Join(t.TempDir(), "tree")
	for name, content := range map[string]string{"a.txt": "a", "sub/b.bin": text(70_000), "sub/ä ö.txt": "ö", "skip/c.txt": "c", "d.log": "d"} {
		path := filepath.Join(src, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(src, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dst, src, where string
		exclude         []string
	}{
		{"C:/One", src, "One/tree", nil}, {`C:\Two\`, src, "Two/tree", nil}, {"C:/Three", src + "/", "Three", []string{"skip", "*.log"}},
	} {
		if err := g.comm.UploadDir(c.dst, c.src, c.exclude); err != nil {
			t.Fatal(err)
		}
		g.holds(c.where+"/a.txt", "a")
		g.holds(c.where+"/sub/b.bin", text(70_000))
		g.holds(c.where+"/sub/ä ö.txt", "ö")
		if info, err := os.Stat(g.host(c.where + "/empty")); err != nil || !info.IsDir() {
			t.Errorf("%s: the empty folder: %v", c.dst, err)
		}
		for _, name := range []string{"/skip", "/d.log"} {
			if _, err := os.Stat(g.host(c.where + name)); (err == nil) != (c.exclude == nil) {
				t.Errorf("%s%s: %v", c.where, name, err)
			}
		}
	}
	if err := g.comm.UploadDir("C:/x", src+"-none", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing folder: %v", err)
	}
	if err := g.comm.UploadDir("C:/x", filepath.Join(src, "a.txt"), nil); err == nil {
		t.Error("a file went as a folder")
	}
	g.clean()
}

func TestDownloadDir(t *testing.T) {
	g := start(t, winsim.ServerOptions{}, nil)
	for name, content := range map[string]string{"Data/a.log": "a", "Data/sub/deep/b.bin": text(70_000), "Data/sub/ä.log": "ä", "Data/skip/c.txt": "c"} {
		g.put(name, content)
	}
	if err := os.MkdirAll(g.host("Data/empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		src     string
		exclude []string
		want    []string
	}{
		{"C:/Data", []string{"skip"}, []string{"Data", "Data/a.log", "Data/empty", "Data/sub", "Data/sub/deep", "Data/sub/deep/b.bin", "Data/sub/ä.log"}},
		{"C:/Data/", []string{"sub/deep", "*.txt"}, []string{"a.log", "empty", "skip", "sub", "sub/ä.log"}},
		{`%SystemDrive%\Data\sub\*.log`, nil, []string{"ä.log"}},
	} {
		dst := filepath.Join(t.TempDir(), "new")
		if err := g.comm.DownloadDir(c.src, dst, c.exclude); err != nil {
			t.Errorf("%s: %v", c.src, err)
			continue
		}
		var got []string
		if err := fs.WalkDir(os.DirFS(dst), ".", func(name string, _ fs.DirEntry, err error) error {
			if name != "." {
				got = append(got, name)
			}
			return err
		}); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v", c.src, got, err)
		}
		if content, err := os.ReadFile(filepath.Join(dst, "Data/sub/deep/b.bin")); c.src == "C:/Data" && (err != nil || string(content) != text(70_000)) {
			t.Errorf("%d bytes, %v", len(content), err)
		}
	}
	for src, want := range map[string]error{"C:/none/": fs.ErrNotExist, "C:/Data/*.none": fs.ErrNotExist, "C:/D*/x/": nil, `C:/x/"&calc`: nil} {
		if err := g.comm.DownloadDir(src, t.TempDir(), nil); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v", src, err)
		}
	}
	if err := g.comm.DownloadDir("C:/Data/", t.TempDir(), []string{"["}); err == nil {
		t.Error("a wrong pattern went well")
	}
	g.clean()
}

// TestTheEndOfATransferTakesNothingFromAnother: while one is under way nothing is
// removed, and while something is removed none begins.
func TestTheEndOfATransferTakesNothingFromAnother(t *testing.T) {
	g := start(t, winsim.ServerOptions{}, nil)
	g.comm.carrying.RLock()
	if err := g.comm.UploadDir(`C:\Data`, t.TempDir(), nil); err != nil { // it needs a script in the guest
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(g.host("Windows/Temp/packer-files-*")); len(left) != 1 {
		t.Errorf("%v is there while a transfer is under way", left)
	}
	g.comm.carrying.RUnlock()
	g.comm.carrying.Lock()
	before, done := g.all(), make(chan error, 1)
	go func() { done <- g.comm.Upload(`C:\y.bin`, strings.NewReader("y"), nil) }()
	time.Sleep(100 * time.Millisecond)
	if n := g.all() - before; n > 0 {
		t.Errorf("%d requests while something is removed", n)
	}
	g.comm.carrying.Unlock()
	if err := <-done; err != nil {
		t.Error(err)
	}
	g.holds("y.bin", "y")
	g.clean()
}

// TestATransferCanBeStopped: Packer gives it no context.
func TestATransferCanBeStopped(t *testing.T) {
	g := start(t, winsim.ServerOptions{}, nil)
	g.alive()
	why := errors.New("the build was cancelled")
	g.Faults.Inject(wsman.Rule{Action: "Send", Skip: 1, Do: wsman.Hang, For: 100 * time.Millisecond})
	done := make(chan error, 1)
	go func() { done <- g.comm.Upload(`C:\x.bin`, strings.NewReader(text(8<<20)), nil) }()
	for g.requests("Send") < 2 {
		time.Sleep(time.Millisecond)
	}
	g.comm.StopTransfers(why)
	if err := <-done; !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	if err := g.Faults.Clear(); err != nil {
		t.Fatal(err)
	}
	if err := g.comm.Upload(`C:\y.bin`, strings.NewReader("y"), nil); err != nil {
		t.Errorf("the next one: %v", err)
	}
	g.clean()
}

// bar is a Ui that counts.
type bar struct {
	made, closed atomic.Int32
	total, read  atomic.Int64
}

type counting struct {
	b    *bar
	body io.ReadCloser
}

func (b *bar) TrackProgress(_ string, _, total int64, body io.ReadCloser) io.ReadCloser {
	b.made.Add(1)
	b.total.Store(total)
	return counting{b, body}
}

func (c counting) Read(p []byte) (int, error) {
	n, err := c.body.Read(p)
	c.b.read.Add(int64(n))
	return n, err
}

func (c counting) Close() error {
	c.b.closed.Add(1)
	return c.body.Close()
}

func TestALargeFileHasABar(t *testing.T) {
	b := &bar{}
	g := start(t, winsim.ServerOptions{}, func(o *Options) { o.UI = b })
	if err := g.comm.Upload(`C:\small`, strings.NewReader("x"), nil); err != nil || b.made.Load() != 0 {
		t.Errorf("%v, %d bars for a small file", err, b.made.Load())
	}
	if err := g.comm.Upload(`C:\x.bin`, strings.NewReader(text(2<<20)), nil); err != nil {
		t.Fatal(err)
	}
	if b.made.Load() != 1 || b.closed.Load() != 1 || b.read.Load() != 2<<20 || b.total.Load() != 2<<20 {
		t.Errorf("%d bars, %d closed, %d of %d bytes", b.made.Load(), b.closed.Load(), b.read.Load(), b.total.Load())
	}
}

func FuzzReadListing(f *testing.F) {
	f.Add("C:\\Data\r\nC:\\Data\\sub\r\n?files?\r\nC:\\Data\\a.txt\r\n", true)
	f.Add("C:\\\r\n?files?\r\na.txt\r\n", false)
	f.Add("C:\\Data\r\n?files?\r\nC:\\Data\\..\\..\\x\r\n", true)
	f.Add("", true)
	f.Fuzz(func(t *testing.T, said string, full bool) {
		tree, err := readListing(said, full)
		if err != nil {
			return
		}
		for _, name := range slices.Concat(tree.files, tree.folders) {
			if !filepath.IsLocal(filepath.FromSlash(name)) {
				t.Errorf("%q leaves the folder", name)
			}
		}
	})
}
