package download

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/multistep/commonsteps"
)

// progress is a listener that counts.
type progress struct{ started atomic.Int32 }

func (p *progress) TrackProgress(_ string, _, _ int64, stream io.ReadCloser) io.ReadCloser {
	p.started.Add(1)
	return stream
}

func sum(content string) string {
	s := sha256.Sum256([]byte(content))
	return "sha256:" + hex.EncodeToString(s[:])
}

// fetch is what a user sees of a download into a cache of its own.
func fetch(t *testing.T, s Source) (path, said string, err error) {
	t.Helper()
	var screen strings.Builder
	path, err = s.Fetch(t.Context(), new(progress), func(text string) { screen.WriteString(text + "\n") })
	return path, screen.String(), err
}

func content(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// What a user has downloaded with an earlier version, or another builder, is found.
func TestTheFileHasTheNameThatTheSDKGives(t *testing.T) {
	t.Setenv("PACKER_CACHE_DIR", t.TempDir())
	for _, s := range []Source{
		{"https://example.com/x.vhd", ""},
		{"https://example.com/x.vhd", "none"},
		{"https://example.com/x.vhd", "sha256:00"},
		{"https://example.com/x.vhd?checksum=md5:00&y=1", "none"},
		{"https://example.com/x.vhd?archive=zip", "file:https://example.com/SUMS"},
		{"s3::https://s3.amazonaws.com/b/x.vhd", "none"},
		{"file:///a//b.vhd", "none"},
		{"/a/b.vhd", ""},
		{`\\server\share\x.vhd`, "none"},
	} {
		got, err := s.Path()
		_, want, wantErr := (&commonsteps.StepDownload{Checksum: s.Checksum}).UseSourceToFindCacheTarget(s.Address)
		if got != want || (err == nil) != (wantErr == nil) {
			t.Errorf("%+v: %s, %v; the SDK: %s, %v", s, got, err, want, wantErr)
		}
	}
	if _, err := (Source{Address: "http://%zz"}).Path(); err == nil {
		t.Error("an address that is none is taken")
	}
}

func TestADownloadIsCheckedAndKept(t *testing.T) {
	t.Setenv("PACKER_CACHE_DIR", t.TempDir())
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			asked.Add(1)
		}
		switch r.URL.Path {
		case "/x.vhd":
			http.ServeContent(w, r, "x.vhd", time.Time{}, strings.NewReader("disk"))
		case "/SUMS":
			fmt.Fprintf(w, "%s  x.vhd\n", strings.TrimPrefix(sum("disk"), "sha256:"))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	good := Source{server.URL + "/x.vhd", sum("disk")}
	for range 2 {
		path, said, err := fetch(t, good)
		if err != nil || content(t, path) != "disk" || !strings.Contains(said, "Trying "+server.URL) || !strings.Contains(said, "=> "+path) {
			t.Fatalf("%s, %v\n%s", path, err, said)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the file was fetched %d times", n)
	}
	if path, _, err := fetch(t, Source{server.URL + "/x.vhd", "file:" + server.URL + "/SUMS"}); err != nil || content(t, path) != "disk" {
		t.Errorf("by a list: %s, %v", path, err)
	}
	bad := Source{server.URL + "/x.vhd", sum("another")}
	_, _, err := fetch(t, bad)
	if !errors.Is(err, ErrChecksum) || !strings.Contains(err.Error(), "Checksums did not match") {
		t.Errorf("%v", err)
	}
	path, err := bad.Path()
	if _, there := os.Stat(path); err != nil || !os.IsNotExist(there) {
		t.Errorf("what has another checksum stays: %v, %v", err, there)
	}
	if _, _, err := fetch(t, Source{server.URL + "/none.vhd", "none"}); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("%v", err)
	}
}

// A file of the user's own is read where it lies, and stays whatever its checksum.
func TestAFileOfThisHostStaysWhereItIs(t *testing.T) {
	t.Setenv("PACKER_CACHE_DIR", t.TempDir())
	path := filepath.ToSlash(filepath.Join(t.TempDir(), "a b.vhd"))
	if err := os.WriteFile(path, []byte("disk"), 0o600); err != nil {
		t.Fatal(err)
	}
	doubled := filepath.ToSlash(filepath.Dir(path)) + "//a b.vhd"
	rooted := func(p string) string { return "file:///" + strings.TrimPrefix(p, "/") }
	for _, address := range []string{path, rooted(path), doubled, rooted(doubled)} {
		got, _, err := fetch(t, Source{address, sum("disk")})
		if err != nil || content(t, got) != "disk" || filepath.Clean(got) != filepath.Clean(path) {
			t.Errorf("%s: %s, %v", address, got, err)
		}
		if _, _, err := fetch(t, Source{address, sum("another")}); !errors.Is(err, ErrChecksum) {
			t.Errorf("%s: %v", address, err)
		}
		content(t, path)
	}
	if _, _, err := fetch(t, Source{rooted(path) + ".none", "none"}); err == nil {
		t.Error("a file that is not there was fetched")
	}
}

func TestADownloadWaitsForAnotherAsLongAsTheBuildRuns(t *testing.T) {
	t.Setenv("PACKER_CACHE_DIR", t.TempDir())
	s := Source{"http://127.0.0.1:1/x.vhd", "none"}
	path, err := s.Path()
	if err != nil {
		t.Fatal(err)
	}
	free, err := lock(t.Context(), path+".lock")
	if err != nil {
		t.Fatal(err)
	}
	ended := errors.New("the build was cancelled")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, ended)
	defer cancel()
	if _, err := s.Fetch(ctx, nil, func(string) {}); !errors.Is(err, ended) {
		t.Errorf("%v", err)
	}
	free()
	if free, err := lock(t.Context(), path+".lock"); err != nil {
		t.Error(err)
	} else {
		free()
	}
}

// go-getter alone says that it cannot, and nothing else.
func TestAnAddressOfNoKnownKindSaysWhichAreKnown(t *testing.T) {
	t.Setenv("PACKER_CACHE_DIR", t.TempDir())
	for address, unknown := range map[string]bool{"ftp://127.0.0.1/x.vhd": true, "nfs://host/x.vhd": true, "http://127.0.0.1:1/x.vhd": false} {
		_, _, err := fetch(t, Source{address, "none"})
		if err == nil || strings.Contains(err.Error(), "no address of this kind is known; give one that begins with https://") != unknown {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestTheTimeoutIsPackers(t *testing.T) {
	for text, want := range map[string]time.Duration{"": readTimeout, "45m": 45 * time.Minute, "x": 0, "45": 0} {
		got, err := timeout(text)
		if got != want || (err == nil) != (want > 0) || err != nil && !strings.Contains(err.Error(), "PACKER_GETTER_READ_TIMEOUT") {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	t.Setenv("PACKER_CACHE_DIR", t.TempDir())
	t.Setenv("PACKER_GETTER_READ_TIMEOUT", "soon")
	if _, _, err := fetch(t, Source{"http://127.0.0.1:1/x", "none"}); err == nil || !strings.Contains(err.Error(), "set it to a duration") {
		t.Errorf("%v", err)
	}
}

// The log is what -debug shows, and where a user looks for a download that waits.
func TestTheLogTellsOfTheLock(t *testing.T) {
	t.Setenv("PACKER_CACHE_DIR", t.TempDir())
	var logged bytes.Buffer
	before := log.Writer()
	log.SetOutput(&logged)
	defer log.SetOutput(before)
	_, _, err := fetch(t, Source{"/none.vhd", "none"})
	if err == nil || !strings.Contains(logged.String(), "Acquiring lock for: /none.vhd") {
		t.Errorf("%v\n%s", err, logged.String())
	}
}
