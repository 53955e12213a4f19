package guest

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
)

// placing is a fake that places files.
type placing struct {
	*fake
	place  func(ctx context.Context, files []File) error
	placed [][]File
}

func (p *placing) Place(ctx context.Context, files ...File) error {
	p.placed = append(p.placed, files)
	if p.place == nil {
		return nil
	}
	return p.place(ctx, files)
}

func TestBringBringsWhatAStartNeedsAtOnce(t *testing.T) {
	p := &placing{fake: &fake{start: answers{{"sysprep.exe", "packer-part:marked\r\npacker-part:end", ""}, {".mark", "packer-part:lines\r\n---------- X: 7\r\npacker-part:marked\r\npacker-part:end", ""}}.start}}
	s := New(p, "id")
	answer := File{Path: `C:\a\unattend.xml`, Content: []byte("x"), Private: true}
	if err := s.Bring(t.Context(), CommandLimit, answer); err != nil || len(p.placed) != 1 {
		t.Fatalf("%v, %d times", err, len(p.placed))
	}
	var paths []string
	for _, f := range p.placed[0] {
		paths = append(paths, f.Path)
		if f.Private != (f.Path == answer.Path) {
			t.Errorf("%s: private %t", f.Path, f.Private)
		}
	}
	want := []string{answer.Path, `C:\Windows\Temp\packer-sysprep-id\launch.ps1`, `C:\Windows\Temp\packer-sysprep-id\watch.ps1`, s.markFile()}
	if strings.Join(paths, "|") != strings.Join(want, "|") {
		t.Errorf("got %q\nwant %q", paths, want)
	}
	if !s.there(s.scriptFile(scripts.Launch)) || !s.Brought() {
		t.Error("the session does not know what is there")
	}
	// The mark is for one start.
	if marked, lines := s.putMark(t.Context()); !marked || lines != 0 || len(p.lines()) != 0 {
		t.Errorf("first start: %t, %d, %q", marked, lines, p.lines())
	}
	if marked, lines := s.putMark(t.Context()); !marked || lines != 7 || len(p.lines()) != 1 {
		t.Errorf("second start: %t, %d, %q", marked, lines, p.lines())
	}
	// What is there is not brought again, but for files and the mark.
	if err := s.Bring(t.Context(), CommandLimit); err != nil || len(p.placed[1]) != 1 || p.placed[1][0].Path != s.markFile() {
		t.Errorf("%v, %v", err, p.placed[1])
	}
}

func TestBringThatFailed(t *testing.T) {
	for name, c := range map[string]struct {
		err           error
		brought, late bool
	}{
		"nothing was run":    {ErrNotSent, false, false},
		"no answer":          {ErrNoAnswer, true, true},
		"it broke off":       {errors.New("the connection was reset"), true, true},
		"no answer, not run": {fmt.Errorf("%w: %w", ErrNotSent, ErrNoAnswer), false, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := &placing{fake: &fake{start: says("packer-part:marked\r\npacker-part:end", "")}, place: func(context.Context, []File) error { return c.err }}
			s := New(p, "id")
			if err := s.Bring(t.Context(), CommandLimit); !errors.Is(err, c.err) {
				t.Errorf("got %v", err)
			}
			if s.Brought() != c.brought || s.there(s.scriptFile(scripts.Launch)) {
				t.Errorf("brought %t", s.Brought())
			}
			// A mark that may come at any time says nothing.
			if marked, _ := s.putMark(t.Context()); marked == c.late || len(p.lines()) != 1 {
				t.Errorf("marked %t, %q", marked, p.lines())
			}
		})
	}
}

// An upload that broke off may have made the folder, and written a part.
func TestAnUploadThatBrokeOffIsCleanedUpAfter(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		left bool
	}{"it broke off": {errors.New("the connection was reset"), true}, "nothing was run": {ErrNotSent, false}} {
		s := New(&placing{fake: &fake{upload: func(string, []byte) error { return c.err }}}, "id")
		if err := s.Script(t.Context(), scripts.Read, nil, nil, CommandLimit); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
		if s.Brought() != c.left {
			t.Errorf("%s: something is left: %t", name, s.Brought())
		}
	}
}

func TestBringDoesNothingWhereFilesAreNotPlaced(t *testing.T) {
	f := &fake{upload: func(path string, _ []byte) error { return errors.New(path) }}
	s := New(f, "id")
	if err := s.Bring(t.Context(), CommandLimit); err != nil || s.Places() || s.Brought() || len(f.lines()) != 0 {
		t.Errorf("%v, %q", err, f.lines())
	}
}

// fetched is what fetch.ps1 says of a zip.
func fetched(t *testing.T, results string, size int, contents ...string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, content := range contents {
		w, err := z.Create(`C:\x.log`)
		if err == nil {
			_, err = w.Write([]byte(content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	half := b.Len() / 2
	data := func(part []byte) string {
		return `{"script":"fetch","schema":1,"ok":true,"data":"` + base64.StdEncoding.EncodeToString(part) + `"}` + "\r\n"
	}
	return data(b.Bytes()[:half]) + data(b.Bytes()[half:]) + fmt.Sprintf(`{"script":"fetch","schema":1,"ok":true,"size":%d,"results":[%s]}`, b.Len()+size, results) + "\r\n"
}

func TestFilesAreReadDirectly(t *testing.T) {
	paths := []string{`C:\a.log`, `C:\none`, `C:\locked`, `C:\b.log`}
	f := &fake{start: says("banner\r\n"+fetched(t, `"ok","FileNotFoundException","IOException","ok"`, 0, "first", ""), "")}
	got, err := New(&placing{fake: f}, "id").FetchAll(t.Context(), paths, 5)
	if err == nil || err.Error() != `fetching C:\locked: IOException` {
		t.Errorf("got %v", err)
	}
	if len(got) != 2 || string(got[`C:\a.log`]) != "first" || got[`C:\b.log`] == nil {
		t.Errorf("got %q", got)
	}
	line := f.lines()[0]
	argument, _, _ := strings.Cut(strings.TrimPrefix(line, "echo "), "|powershell.exe ")
	raw, err := base64.StdEncoding.DecodeString(argument)
	if want := `{"bytes":5,"files":["C:\\a.log","C:\\none","C:\\locked","C:\\b.log"],"total":67108864}`; err != nil || string(raw) != want {
		t.Errorf("%v, got %s\nwant %s", err, raw, want)
	}
	if len(f.lines()) != 1 || !strings.HasSuffix(line, " -EncodedCommand "+scripts.Encoded(scripts.Fetch)) {
		t.Errorf("got %q", f.lines())
	}
}

func TestAFileIsReadDirectlyOrAbsent(t *testing.T) {
	p := &placing{fake: &fake{start: says(fetched(t, `"DirectoryNotFoundException"`, 0), "")}}
	if _, err := New(p, "id").Fetch(t.Context(), `C:\none\x`, 10); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	p.start = says(fetched(t, `"ok"`, 0, "0123456789"), "")
	if got, err := New(p, "id").Fetch(t.Context(), `C:\x`, 10); err != nil || string(got) != "0123456789" {
		t.Errorf("%q, %v", got, err)
	}
}

// damaged changes a byte of the content.
func damaged(t *testing.T, said string) string {
	t.Helper()
	pieces := strings.Split(said, `"`)
	for i, piece := range pieces {
		if piece == "data" {
			raw, err := base64.StdEncoding.DecodeString(pieces[i+2])
			if err != nil {
				t.Fatal(err)
			}
			raw[30+len(`C:\x.log`)+2] ^= 0x10
			pieces[i+2] = base64.StdEncoding.EncodeToString(raw)
			break
		}
	}
	return strings.Join(pieces, `"`)
}

func TestAnAnswerThatDoesNotFitIsNotBelieved(t *testing.T) {
	whole := fetched(t, `"ok"`, 0, "0123456789")
	for name, said := range map[string]string{
		"cut off":         whole[:strings.LastIndex(whole, `{"script"`)],
		"a piece is lost": whole[strings.Index(whole, "\n")+1:],
		"another size":    fetched(t, `"ok"`, 1, "0123456789"),
		"no results":      fetched(t, ``, 0, "0123456789"),
		"no file":         fetched(t, `"ok"`, 0),
		"a longer file":   fetched(t, `"ok"`, 0, "0123456789A"),
		"another content": damaged(t, whole),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := New(&placing{fake: &fake{start: says(said, "")}}, "id").FetchAll(t.Context(), []string{`C:\x`}, 10); !errors.Is(err, ErrUnreadable) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// Scripts that are files in the guest are the other way, and text the last.
func TestWhereNothingIsReadDirectly(t *testing.T) {
	for name, said := range map[string]string{"no PowerShell": "", "it failed": `{"script":"fetch","schema":1,"ok":false,"error":{"name":"failed","message":"x"}}` + "\r\n"} {
		t.Run(name, func(t *testing.T) {
			f := &fake{start: answers{{"-EncodedCommand", said, "refused"}, {"type", "packer-part:text\r\nlog\r\npacker-part:end", ""}, {"powershell.exe", "", "refused"}}.start}
			got, err := New(&placing{fake: f}, "id").FetchAll(t.Context(), []string{`C:\x`}, 100)
			if err != nil || !strings.HasPrefix(string(got[`C:\x`]), "log") {
				t.Errorf("%q, %v, %q", got, err, f.lines())
			}
		})
	}
}
