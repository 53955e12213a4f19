package httpdisk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// quick are limits for servers that have to be given up.
var quick = limits{bytes: 1 << 20, total: time.Minute, request: 30 * time.Second, pause: time.Millisecond, wait: time.Second, attempts: 4, stalls: 2}

// raw answers with bytes that net/http would not send, until write says stop.
func raw(w http.ResponseWriter, write func(io.Writer) bool) {
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	defer c.Close()
	for write(c) {
	}
}

// once writes a text and ends the connection.
func once(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		raw(w, func(to io.Writer) bool { io.WriteString(to, text); return false })
	}
}

// part answers a request's range with these headers and this body.
func part(w http.ResponseWriter, r *http.Request, size int64, headers map[string]string, body func(length int64) []byte) {
	var first, last int64
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last); err != nil {
		panic(err)
	}
	last = min(last, size-1)
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, size))
	for k, v := range headers {
		w.Header().Set(k, v)
	}
	w.WriteHeader(http.StatusPartialContent)
	w.Write(body(last - first + 1))
}

func zeros(n int64) []byte { return make([]byte, n) }

func TestAServerThatLiesOrStallsIsGivenUp(t *testing.T) {
	const size = 8 * blockSize
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		want    string
		// requests is how many the server may see at most.
		requests int32
	}{
		{"headers without end", func(w http.ResponseWriter, _ *http.Request) {
			raw(w, func(to io.Writer) bool {
				_, err := io.WriteString(to, "HTTP/1.1 206 x\r\n"+strings.Repeat("X-A: "+strings.Repeat("y", 1000)+"\r\n", 200))
				return err == nil
			})
		}, "header", 1},
		{"interim answers without end", func(w http.ResponseWriter, _ *http.Request) {
			raw(w, func(to io.Writer) bool {
				_, err := io.WriteString(to, "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n")
				return err == nil
			})
		}, "exceeded", 1},
		{"redirects without end", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"x?"+secret, http.StatusFound)
		}, "redirects more than 5 times", 6},
		{"a redirect to a file", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		}, `unsupported protocol scheme "file"`, 1},
		{"a redirect to nowhere", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://%zz\x1b[31m?"+secret)
			w.WriteHeader(http.StatusFound)
		}, "Location", 1},
		{"another range than asked for", func(w http.ResponseWriter, r *http.Request) {
			part(w, r, size, map[string]string{"Content-Range": "bytes 1-16384/131072"}, zeros)
		}, "sends bytes 1 to 16384 where 0 to 16383 were asked for", 1},
		{"a range that ends too early", func(w http.ResponseWriter, r *http.Request) {
			part(w, r, size, map[string]string{"Content-Range": "bytes 0-99/131072"}, func(int64) []byte { return make([]byte, 100) })
		}, "sends bytes 0 to 99", 1},
		{"a range behind the end", func(w http.ResponseWriter, r *http.Request) {
			part(w, r, size, map[string]string{"Content-Range": "bytes 0-16383/100"}, zeros)
		}, "Content-Range", 1},
		{"a length that is not the range's", func(w http.ResponseWriter, r *http.Request) {
			part(w, r, size, map[string]string{"Content-Length": "20000"}, func(int64) []byte { return make([]byte, 20000) })
		}, "announces 20000 bytes for a range of 16384", 1},
		{"more than asked for", func(w http.ResponseWriter, r *http.Request) {
			part(w, r, size, nil, zeros)
			for w.(http.Flusher).Flush(); r.Context().Err() == nil; {
				if _, err := w.Write(zeros(1 << 16)); err != nil {
					return
				}
			}
		}, "sends more than the 16384 bytes", 1},
		{"an exabyte", func(w http.ResponseWriter, r *http.Request) { part(w, r, 1<<62, nil, zeros) }, "more than any disk image", 1},
		{"a compressed form", func(w http.ResponseWriter, r *http.Request) {
			part(w, r, size, map[string]string{"Content-Encoding": "gzip"}, zeros)
		}, `the encoding "gzip"`, 1},
		{"several parts", func(w http.ResponseWriter, r *http.Request) {
			part(w, r, size, map[string]string{"Content-Type": "multipart/byteranges; boundary=x"}, zeros)
		}, "several parts", 1},
		{"no HTTP", once("SSH-2.0-OpenSSH_9.6\r\n"), "malformed HTTP", 1},
		{"a status of commands", once("HTTP/1.1 404 \x1b]0;PWNED\x07##vso[task.setvariable variable=x]y \r::error::pwn\r\n\r\n"), `404 \x1b]0;PWNED\x07\x23#vso[task`, 1},
		{"a missing file", http.NotFound, "404 Not Found; check the path", 1},
		{"a refused signature", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, "its expiry", 1},
		{"a server that is always busy", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, "503 Service Unavailable (4 attempts); check host and port", 4},
		{"a status without a rule", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }, "teapot; check the address", 1},
		{"a server that wants an hour", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
		}, "asks clients to wait 1h0m0s; try again after that", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			calls := atomic.Int32{}
			address := serve(t, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				c.handler(w, r)
			})
			f, err := open(t.Context(), address, quick, transport())
			if err == nil {
				f.Close()
				t.Fatal("no error")
			}
			text := err.Error()
			if !strings.Contains(text, c.want) || strings.Contains(text, "TopSecret") || strings.ContainsAny(text, "\x1b\r\n\a") {
				t.Errorf("got %q, want %q", text, c.want)
			}
			if n := calls.Load(); n > c.requests {
				t.Errorf("%d requests, want at most %d", n, c.requests)
			}
		})
	}
}

func TestChangedContentIsNoticedByWhateverTheServerSends(t *testing.T) {
	const size = 8 * blockSize
	for _, c := range []struct {
		name          string
		before, after map[string]string
		grow          int64
		same          bool
	}{
		{name: "a strong ETag", before: map[string]string{"ETag": `"1"`}, after: map[string]string{"ETag": `"2"`}},
		{name: "a weak ETag", before: map[string]string{"ETag": `W/"1"`}, after: map[string]string{"ETag": `W/"2"`}},
		{name: "an ETag that goes", before: map[string]string{"ETag": `"1"`}},
		{name: "a date", before: map[string]string{"Last-Modified": "Mon, 02 Nov 2026 10:00:00 GMT"}, after: map[string]string{"Last-Modified": "Mon, 02 Nov 2026 10:00:01 GMT"}},
		{name: "a date that comes", after: map[string]string{"Last-Modified": "Mon, 02 Nov 2026 10:00:01 GMT"}},
		{name: "a date beside a weak ETag", before: map[string]string{"ETag": `W/"1"`, "Last-Modified": "a"}, after: map[string]string{"ETag": `W/"1"`, "Last-Modified": "b"}},
		{name: "a size", grow: 512},
		{name: "a smaller size", grow: -512},
		{name: "nothing but the bytes"},
		{name: "two servers with one strong ETag", before: map[string]string{"ETag": `"1"`, "Last-Modified": "a"}, after: map[string]string{"ETag": `"1"`, "Last-Modified": "b"}, same: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed := atomic.Bool{}
			f, err := Open(t.Context(), serve(t, func(w http.ResponseWriter, r *http.Request) {
				if !changed.Load() {
					part(w, r, size, c.before, zeros)
					return
				}
				part(w, r, size+c.grow, c.after, func(n int64) []byte {
					if c.same {
						return zeros(n)
					}
					return bytes.Repeat([]byte{7}, int(n))
				})
			}))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			changed.Store(true)
			_, err = f.ReadAt(make([]byte, 10), size-blockSize)
			if err == nil {
				err = f.Unchanged()
			}
			if errors.Is(err, ErrChanged) == c.same {
				t.Errorf("got %v", err)
			}
			if !errors.Is(f.Err(), err) {
				t.Errorf("Err is %v", f.Err())
			}
		})
	}
}

func TestARedirectTellsTheNextServerNothing(t *testing.T) {
	data := content(blockSize)
	var seen http.Header
	next := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		file(data)(w, r)
	}))
	defer next.Close()
	first := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "packer" || password != "TopSecret" {
			t.Errorf("the first server got user %q", user)
		}
		http.Redirect(w, r, strings.Replace(next.URL, "127.0.0.1", "localhost", 1)+"/x", http.StatusFound)
	})
	f, err := Open(t.Context(), strings.Replace(first, "http://", "HTTP://packer:TopSecret@", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if text := fmt.Sprint(seen); seen == nil || strings.Contains(text, "TopSecret") || seen.Get("Authorization")+seen.Get("Referer")+seen.Get("Cookie") != "" {
		t.Errorf("the next server was told %s", text)
	}
	if strings.Contains(f.Name(), "TopSecret") {
		t.Errorf("the name is %s", f.Name())
	}
}

func TestNoWayLeadsOutOfHTTPS(t *testing.T) {
	plain := serve(t, file(content(blockSize)))
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, plain, http.StatusFound)
	}))
	defer secure.Close()
	// The way begins without TLS and goes through it.
	start := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, secure.URL, http.StatusFound) })
	for _, address := range []string{secure.URL, start} {
		_, err := open(t.Context(), address, quick, secure.Client().Transport)
		if err == nil || !strings.Contains(err.Error(), "from https to http") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func FuzzHead(f *testing.F) {
	for _, seed := range []string{"bytes 0-9/10", "bytes 0-9/*", "bytes */10", "x", "bytes 5-4/10", "bytes 0-9223372036854775807/9223372036854775807", "bytes=0-1/2", "bytes -1-5/9"} {
		f.Add(seed, "120", `"a"`, "", 206)
	}
	f.Add("bytes 0-9/10", "Sat, 28 Nov 2026 00:01:00 GMT", `W/"a"`, "gzip", 503)
	f.Fuzz(func(t *testing.T, span, after, etag, encoding string, status int) {
		resp := &http.Response{StatusCode: status, Status: span, ContentLength: -1, Header: http.Header{
			"Content-Range": {span}, "Retry-After": {after}, "Etag": {etag}, "Content-Encoding": {encoding},
		}}
		now, n, err := readHead(resp, 0, blockSize, nil)
		if err == nil && (n <= 0 || n > blockSize || now.size < n || now.size > maxSize) {
			t.Fatalf("%q: %d bytes of %+v", span, n, now)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\x00\x1b\r\n") {
			t.Fatalf("%q", err)
		}
	})
}
