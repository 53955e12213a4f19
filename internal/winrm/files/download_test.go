package files

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

func TestADownloadGoesOnAfterAFault(t *testing.T) {
	g := start(t, winsim.Scenario{}, nil)
	content := random(3 << 20)
	g.put("x.bin", content)
	tr := g.transfer()
	for _, do := range []wsman.Effect{wsman.Close, wsman.Reset, wsman.Lose} {
		reads := g.count("Command")
		g.server.Faults.Inject(wsman.Rule{Action: "Receive", Skip: 7, Times: 1, Do: do})
		var back bytes.Buffer
		if _, err := tr.Download(t.Context(), `C:\x.bin`, &back, Bounds{}, nil); err != nil || !bytes.Equal(back.Bytes(), content) {
			t.Errorf("%d bytes, %v", back.Len(), err)
		}
		if n := g.count("Command") - reads; n > 3+1+2 {
			t.Errorf("%d commands for 3 pieces, one of them twice, and the script", n)
		}
	}
	g.clean(tr)
}

func TestWhatCannotBeDownloaded(t *testing.T) {
	g := start(t, winsim.Scenario{}, nil)
	g.put("big.bin", random(3000))
	tr := g.transfer()
	for path, want := range map[string]error{`C:\none.bin`: fs.ErrNotExist, `C:\none\none.bin`: fs.ErrNotExist, `C:\Windows`: fs.ErrPermission, `C:\big.bin`: ErrTooBig} {
		var out bytes.Buffer
		_, err := tr.Download(t.Context(), path, &out, Bounds{Most: 2999}, nil)
		if !errors.Is(err, want) || out.Len() > 0 || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %d bytes, %v", path, out.Len(), err)
		}
	}
	for _, path := range []string{"", `C:x`, `C:\a?b`, "C:\\a\nb", `C:\a:b`} {
		if _, err := tr.Download(t.Context(), path, io.Discard, Bounds{}, nil); err == nil || !strings.Contains(err.Error(), "no path") {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// TestALogThatGrowsOrIsReplaced changes a file between two pieces.
func TestALogThatGrowsOrIsReplaced(t *testing.T) {
	g := start(t, winsim.Scenario{}, nil)
	content := random(3 << 20)
	tr := g.transfer()
	g.put("x.log", content)
	var once sync.Once
	var got bytes.Buffer
	_, err := tr.Download(t.Context(), `C:\x.log`, writer(func(p []byte) {
		got.Write(p)
		once.Do(func() { g.put("x.log", append(slices.Clone(content), "more"...)) })
	}), Bounds{}, nil)
	if err != nil || !bytes.Equal(got.Bytes(), content) {
		t.Errorf("a log that grows: %d bytes, %v", got.Len(), err)
	}
	once = sync.Once{}
	_, err = tr.Download(t.Context(), `C:\x.log`, writer(func([]byte) { once.Do(func() { g.put("x.log", content[:100]) }) }), Bounds{}, nil)
	if !errors.Is(err, ErrChanged) {
		t.Errorf("a log that is cut: %v", err)
	}
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }

// FuzzDocument reads what a guest may write.
func FuzzDocument(f *testing.F) {
	for _, text := range []string{
		`{"script":"receive","schema":1,"ok":true,"have":3,"complete":true,"sha256":null}`, "\ufeff\r\nnoise {\r\n{\"script\":\"receive\",\"ok\":false,\"error\":{\"name\":\"io\"}}", "",
		`{"script":"receive","ok":true,"have":"x"}`, `{"script":"read","ok":true}`, "SHA256 hash of x:\r\n" + strings.Repeat("ab ", 32),
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		var d received
		err := document("receive", out, &d, func() string { return "nothing" })
		if !bytes.Contains(bytes.ReplaceAll(out, []byte{0}, nil), []byte(`{"script":`)) && err == nil {
			t.Errorf("a document is found in %q", out)
		}
		if sum := hashIn(string(out)); sum != "" && len(sum) != 64 {
			t.Errorf("a hash %q", sum)
		}
	})
}
