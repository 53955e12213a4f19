package httpdisk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

const secret = "sig=TopSecretSignature"

func content(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL + "/images/disk.vhd?" + secret
}

func file(data []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"one"`)
		http.ServeContent(w, r, "disk.vhd", time.Unix(1e9, 0), bytes.NewReader(data))
	}
}

func TestReadsAnywhereAsAFileWould(t *testing.T) {
	data := content(3*blockSize + 777)
	f, err := Open(t.Context(), serve(t, file(data)))
	if err != nil {
		t.Fatal(err)
	}
	if f.Size() != int64(len(data)) {
		t.Fatalf("size %d, want %d", f.Size(), len(data))
	}
	for _, c := range []struct{ off, n int }{
		{0, 1}, {0, len(data)}, {blockSize - 1, 2}, {blockSize, blockSize}, {2*blockSize + 5, blockSize + 700}, {len(data) - 1, 1}, {len(data) - 1, 10}, {len(data), 1},
	} {
		got, want := make([]byte, c.n), make([]byte, c.n)
		n, err := f.ReadAt(got, int64(c.off))
		wantN, wantErr := bytes.NewReader(data).ReadAt(want, int64(c.off))
		if n != wantN || !errors.Is(err, wantErr) || !bytes.Equal(got, want) {
			t.Errorf("ReadAt(%d bytes, %d) = %d, %v, want %d, %v", c.n, c.off, n, err, wantN, wantErr)
		}
	}
}

func TestEveryBlockIsFetchedOnce(t *testing.T) {
	data := content(4 * blockSize)
	f, err := Open(t.Context(), serve(t, file(data)))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := io.Copy(io.Discard, io.NewSectionReader(f, 0, f.Size())); err != nil {
			t.Fatal(err)
		}
	}
	if requests, n := f.Traffic(); requests != 4 || n != int64(len(data)) {
		t.Errorf("%d requests, %d bytes for 4 blocks of %d", requests, n, blockSize)
	}
}

func TestAnErrorThatPassesIsTriedAgain(t *testing.T) {
	data, calls := content(blockSize), atomic.Int32{}
	f, err := Open(t.Context(), serve(t, func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		file(data)(w, r)
	}))
	if err != nil || f.Size() != blockSize || calls.Load() != 3 {
		t.Errorf("after %d calls: %v", calls.Load(), err)
	}
}

func TestErrorsSayWhatIsWrongAndHideTheQuery(t *testing.T) {
	data := content(3 * blockSize)
	changed := atomic.Int32{}
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		want    string
	}{
		{"a server without ranges", func(w http.ResponseWriter, _ *http.Request) { w.Write(data) }, "does not support range requests"},
		{"a missing file", http.NotFound, "404 Not Found"},
		{"a refused signature", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, "403 Forbidden"},
		{"a Content-Range of nonsense", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes x-y/z")
			w.WriteHeader(http.StatusPartialContent)
		}, "Content-Range"},
		{"a file that changes", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", fmt.Sprintf(`"%d"`, changed.Add(1)))
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		}, "changed on the server"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := Open(t.Context(), serve(t, c.handler))
			if err == nil {
				_, err = f.ReadAt(make([]byte, 1), 2*blockSize)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if strings.Contains(fmt.Sprint(err), "TopSecret") {
				t.Errorf("the error tells the query: %v", err)
			}
		})
	}
}

func TestNoServerIsToldWithoutTheQuery(t *testing.T) {
	address := "http://" + testutil.ClosedAddr(t) + "/disk.vhd?" + secret
	_, err := Open(t.Context(), address)
	if err == nil || strings.Contains(err.Error(), "TopSecret") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
	if _, err := Open(t.Context(), "ht tp://x?"+secret); err == nil || strings.Contains(err.Error(), "TopSecret") {
		t.Errorf("got %v", err)
	}
}

func TestReadsEndWithTheContext(t *testing.T) {
	data := content(2 * blockSize)
	ctx, cancel := context.WithCancel(t.Context())
	calls := atomic.Int32{}
	f, err := Open(ctx, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			file(data)(w, r)
			return
		}
		cancel()
		<-r.Context().Done()
	}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(make([]byte, 1), blockSize); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of the context", err)
	}
}

func TestNginxServesRangesAsExpected(t *testing.T) {
	nginx := testutil.Tool(t, "nginx")
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	data := content(5*blockSize + 123)
	if err := os.WriteFile(filepath.Join(dir, "disk.vhd"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	address := testutil.FreeAddr(t)
	config := fmt.Sprintf("daemon off; master_process off; worker_processes 1; pid %[1]s/pid; error_log %[1]s/error.log;\nevents {}\nhttp { access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;\n server { listen %[2]s; root %[1]s; } }\n", dir, address)
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), nginx, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })

	// The retries of Open bridge the moment until nginx listens.
	f, err := Open(t.Context(), fmt.Sprintf("http://%s/disk.vhd?%s", address, secret))
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("read %d bytes, %v; want the %d of the file", len(got), err, len(data))
	}
}
