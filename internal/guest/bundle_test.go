package guest

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// packed is a bundle with its document.
func packed(t testing.TB, files map[string]string) (content []byte, doc string) {
	t.Helper()
	var b bytes.Buffer
	archive := zip.NewWriter(&b)
	var entries []string
	for path, text := range files {
		name := strings.NewReplacer(":", "", `\`, "/").Replace(path)
		w, err := archive.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		entries = append(entries, fmt.Sprintf(`{"path":%q,"entry":%q}`, path, name))
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), fmt.Sprintf(`{"script":"bundle","schema":1,"ok":true,"sha256":"%x","entries":[%s],"skipped":[{"path":"C:\\absent.log","reason":"not-found"},{"path":"C:\\locked.log","reason":"unreadable"}]}`,
		sha256.Sum256(b.Bytes()), strings.Join(entries, ","))
}

// guestWith answers bundle.ps1 and read.ps1.
func guestWith(content []byte, doc string) *fake {
	return &fake{start: func(_ context.Context, r Request) error {
		if strings.Contains(r.Line, "bundle.ps1") {
			return says(doc, "")(context.Background(), r)
		}
		raw, err := json.Marshal(map[string]any{"script": "read", "schema": 1, "ok": true, "length": len(content), "offset": 0, "next": len(content), "data": content})
		if err != nil {
			return err
		}
		return says(string(raw), "")(context.Background(), r)
	}}
}

func TestLogsAreFetchedByOneCommand(t *testing.T) {
	files := map[string]string{`C:\Windows\Panther\setupact.log`: "one\r\n", `C:\Windows\Panther\other.log`: "not asked for"}
	content, doc := packed(t, files)
	f := guestWith(content, doc)
	got, err := New(f, "id").FetchAll(t.Context(), []string{`c:\windows\panther\SETUPACT.LOG`, `C:\absent.log`, `C:\locked.log`}, 3)
	if len(got) != 1 || string(got[`c:\windows\panther\SETUPACT.LOG`]) != "one" {
		t.Errorf("got %q", got)
	}
	if err == nil || err.Error() != `fetching C:\locked.log: unreadable` {
		t.Errorf("got %v", err)
	}
	if lines := f.lines(); len(lines) != 2 {
		t.Errorf("%d commands: %q", len(lines), lines)
	}
}

func TestABundleThatChangedIsNotRead(t *testing.T) {
	content, doc := packed(t, map[string]string{`C:\x.log`: "text"})
	for name, test := range map[string]struct {
		content []byte
		doc     string
	}{
		"another content": {append([]byte("x"), content...), doc},
		"no archive":      {[]byte("text"), fmt.Sprintf(`{"script":"bundle","schema":1,"ok":true,"sha256":"%x","entries":[]}`, sha256.Sum256([]byte("text")))},
		"no such entry":   {content, strings.Replace(doc, `"entry":"C/x.log"`, `"entry":"C/../y.log"`, 1)},
	} {
		files, err := New(guestWith(test.content, test.doc), "id").FetchAll(t.Context(), []string{`C:\x.log`}, 100)
		if !errors.Is(err, ErrUnreadable) || len(files) > 0 {
			t.Errorf("%s: %q, %v", name, files, err)
		}
	}
}

func TestWithoutPowerShellLogsAreShown(t *testing.T) {
	f := &fake{start: answers{{"powershell.exe", "", noPowerShell}, {`type "C:\x.log"`, "packer-part:text\r\nline\r\n", ""}, {"if exist", "packer-part:absent\r\n", ""}}.start}
	got, err := New(f, "id").FetchAll(t.Context(), []string{`C:\x.log`, `C:\y.log`}, 100)
	if err != nil || len(got) != 1 || string(got[`C:\x.log`]) != "line\r\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func FuzzBundle(f *testing.F) {
	content, doc := packed(f, map[string]string{`C:\x.log`: "text", `C:\y.log`: strings.Repeat("more ", 100)})
	f.Add(content, doc)
	f.Add([]byte("PK"), doc)
	f.Fuzz(func(t *testing.T, content []byte, doc string) {
		var d bundleDocument
		if json.Unmarshal([]byte(doc), &d) != nil {
			return
		}
		const most = 1000
		files, _ := d.files(content, []string{`C:\x.log`, `C:\y.log`}, most)
		for path, text := range files {
			if len(text) > most || path != `C:\x.log` && path != `C:\y.log` {
				t.Errorf("%q with %d bytes", path, len(text))
			}
		}
	})
}
