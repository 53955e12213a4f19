package vhd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// served is a web server with one file. It counts the bytes it hands out.
func served(t *testing.T, path string, ranges, head bool) (address string, sent *atomic.Int64) {
	t.Helper()
	sent = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead && !head {
			http.Error(w, "signed for GET only", http.StatusForbidden)
			return
		}
		if !ranges {
			r.Header.Del("Range")
		}
		counted := &countingWriter{w, sent}
		f, err := os.Open(path)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer f.Close()
		if !ranges {
			w.Header().Set("Accept-Ranges", "none")
			st, err := f.Stat()
			if err != nil {
				return
			}
			w.Header().Set("Content-Length", fmt.Sprint(st.Size()))
			if r.Method == http.MethodHead {
				return
			}
		}
		http.ServeContent(counted, r, "", time.Time{}, f)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/disk.img?sig=TopSecret", sent
}

type countingWriter struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *countingWriter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return c.ResponseWriter.Write(b)
}

func TestADownloadThatCannotEndWellIsRefusedBeforeIt(t *testing.T) {
	huge := rawDisk(t, 1<<20, nil)
	if err := os.Truncate(huge, 2041<<30); err != nil {
		testutil.Missing(t, "the file system has no files of 2041 GiB: "+err.Error())
		return
	}
	small := rawDisk(t, 1<<20, nil)
	archive := filepath.Join(t.TempDir(), "disk.gz")
	if err := os.WriteFile(archive, []byte("\x1f\x8b\x08"+strings.Repeat("x", 1<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	const lots = 100 << 40
	for _, c := range []struct {
		name          string
		path          string
		ranges, head  bool
		output, cache int64 // bytes free there
		cached        bool
		part          int64    // bytes of what is cached
		wants         []string // nil: it goes on
	}{
		{name: "a small disk", path: small, ranges: true, head: true, output: lots, cache: lots},
		{name: "one too large for a VHD", path: huge, ranges: true, head: true, output: lots, cache: lots, wants: []string{"the output cannot be made of it: ", "a VHD holds at most 2040 GiB", `format = "vhdx"`}},
		{name: "the same, signed for GET only", path: huge, ranges: true, output: lots, cache: lots, wants: []string{"a VHD holds at most 2040 GiB"}},
		{name: "no room for the output", path: small, ranges: true, head: true, output: 1<<20 - 1, cache: lots, wants: []string{"it has 0.0 GiB, and output_directory ", "choose a directory on another disk"}},
		{name: "no room for the download", path: small, ranges: true, head: true, output: lots, cache: 1<<20 - 1, wants: []string{"the folder of Packer's downloads ", "PACKER_CACHE_DIR"}},
		{name: "no room, and it was downloaded before", path: small, ranges: true, head: true, output: lots, cache: 0, cached: true, part: 1 << 20},
		{name: "no room for the rest of one that was cut off", path: small, ranges: true, head: true, output: lots, cache: 1<<10 - 1, cached: true, part: 1<<20 - 1<<10, wants: []string{"PACKER_CACHE_DIR"}},
		{name: "room for the rest of one that was cut off", path: small, ranges: true, head: true, output: lots, cache: 1 << 10, cached: true, part: 1<<20 - 1<<10},
		{name: "no room, and the download has failed before", path: small, ranges: true, head: true, output: lots, cache: 1<<20 - 1, cached: true, wants: []string{"PACKER_CACHE_DIR"}},
		{name: "only the length is known", path: small, head: true, output: lots, cache: 1<<20 - 1, wants: []string{"PACKER_CACHE_DIR"}},
		{name: "nothing is known", path: small, output: 0, cache: 0},
		{name: "an archive", path: archive, ranges: true, head: true, output: lots, cache: lots},
		{name: "an archive, and no room", path: archive, ranges: true, head: true, output: 0, cache: lots, wants: []string{"output_directory"}},
		{name: "not there", path: filepath.Join(t.TempDir(), "none"), ranges: true, head: true, output: 0, cache: 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			address, sent := served(t, c.path, c.ranges, c.head)
			b := newBench(t, nil)
			b.run.config.SourceURL, b.run.config.SourcePath = address, ""
			target := filepath.Join(t.TempDir(), "cache", "target")
			if c.cached {
				if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
					t.Fatal(err)
				}
				write(t, target)
				if err := os.Truncate(target, c.part); err != nil {
					t.Fatal(err)
				}
			}
			step := &stepCheckDownload{
				free: func(dir string) (int64, error) {
					if strings.HasPrefix(target, dir) {
						return c.cache, nil
					}
					return c.output, nil
				},
				target: func() (string, error) { return target, nil },
			}
			action := step.Run(t.Context(), b)
			if c.wants == nil {
				b.wantContinue(t, action)
				said := len(b.said.SayMessages) > 0 && strings.HasSuffix(b.said.SayMessages[0].Message, "/disk.img?*** has 0.0 GiB")
				if known := c.output > 0 || c.cached; said != known {
					t.Errorf("said %v", b.said.SayMessages)
				}
			} else {
				b.wantHalt(t, action, append(c.wants, "source_url: http://127.0.0.1:")...)
				if err, _ := b.Get("error").(error); err != nil && strings.Contains(err.Error(), "TopSecret") {
					t.Errorf("it shows the signature: %v", err)
				}
			}
			if sent.Load() > 200<<10 && c.ranges {
				t.Errorf("%d bytes were fetched", sent.Load())
			}
		})
	}
}

// A server that does not answer holds the build up for a moment only, and refuses
// nothing; what is no web address is not asked.
func TestAServerThatDoesNotAnswerRefusesNothing(t *testing.T) {
	end := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-end }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(end) })
	for _, address := range []string{server.URL + "/x.vhd", "s3::https://s3.amazonaws.com/b/x.vhd", "file:///none/x.vhd", "/none/x.vhd", "http://%zz/"} {
		b := newBench(t, nil)
		b.run.config.SourceURL = address
		step := &stepCheckDownload{limit: 50 * time.Millisecond, target: func() (string, error) { return "", errors.New("asked") }, free: func(string) (int64, error) { return 0, nil }}
		began := time.Now()
		b.wantContinue(t, step.Run(t.Context(), b))
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: it took %s", address, took)
		}
	}
}

// It comes before the download, and asks where Packer itself will put the file.
func TestTheServerIsAskedBeforeTheDownload(t *testing.T) {
	t.Setenv("PACKER_CACHE_DIR", t.TempDir())
	b := Builder{config: Config{SourceURL: "https://example.com/x.vhd?checksum=md5:00", SourceChecksum: "none"}}
	steps := b.steps()
	check := slices.IndexFunc(steps, func(s multistep.Step) bool { _, ok := s.(*stepCheckDownload); return ok })
	download := slices.IndexFunc(steps, func(s multistep.Step) bool { _, ok := s.(*stepDownload); return ok })
	if check < 0 || check > download {
		t.Fatalf("check %d, download %d", check, download)
	}
	got, err := steps[check].(*stepCheckDownload).target()
	if err != nil || filepath.Dir(got) != os.Getenv("PACKER_CACHE_DIR") {
		t.Errorf("%s, %v", got, err)
	}
	if want, err := steps[download].(*stepDownload).source.Path(); err != nil || want != got {
		t.Errorf("%s is looked at, the download goes to %s, %v", got, want, err)
	}
}

func TestTheNearestFolderThatIsThereIsAsked(t *testing.T) {
	dir := t.TempDir()
	if got := existing(filepath.Join(dir, "a", "b")); got != dir {
		t.Error(got)
	}
	if got := existing(dir); got != dir {
		t.Error(got)
	}
}

// Validation looks at a source, but not for ever.
func TestValidationDoesNotWaitForStorageThatHangs(t *testing.T) {
	before := openSource
	end := make(chan struct{})
	t.Cleanup(func() { close(end); openSource = before })
	openSource = func(string, ...diskimage.Option) (diskimage.Disk, error) { <-end; return nil, context.Canceled }
	began := time.Now()
	if info := infoWithin(20*time.Millisecond, "x", nil); info != nil {
		t.Errorf("%+v", info)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestValidationLooksAtALocalSourceURLToo(t *testing.T) {
	path := rawDisk(t, 1<<20, nil)
	if err := os.Truncate(path, 2041<<30); err != nil {
		testutil.Missing(t, "the file system has no files of 2041 GiB: "+err.Error())
		return
	}
	var c Config
	_, err := c.prepare(valid(t, map[string]any{"source_path": nil, "source_url": "file:///" + strings.TrimPrefix(filepath.ToSlash(path), "/"), "source_checksum": "none"}))
	if err == nil || !strings.Contains(err.Error(), "source_url, format: ") || !strings.Contains(err.Error(), "2040 GiB") {
		t.Errorf("%v", err)
	}
}
