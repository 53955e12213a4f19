package httpdisk

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
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
		{"a server that is always busy", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, "503 Service Unavailable (4 attempts)", 4},
		{"a server that wants an hour", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
		}, "no other request for 1h0m0s; try again then", 1},
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

// A reader of a format may take a failed read for an absent fact; the file
// remembers.
func TestALostServerIsRemembered(t *testing.T) {
	gone := atomic.Bool{}
	calls := atomic.Int32{}
	f, err := open(t.Context(), serve(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if gone.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		part(w, r, 64*blockSize, nil, zeros)
	}), quick, transport())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	gone.Store(true)
	for block := range int64(20) {
		if _, err := f.ReadAt(make([]byte, 1), (block+10)*blockSize); err == nil {
			t.Fatal("read without a server")
		}
	}
	if f.Err() == nil || calls.Load() > 5 {
		t.Errorf("%d requests, then %v", calls.Load(), f.Err())
	}
}

func TestAFileHasAByteLimit(t *testing.T) {
	l := quick
	l.bytes = 10 * blockSize
	f, err := open(t.Context(), serve(t, func(w http.ResponseWriter, r *http.Request) { part(w, r, 1000*blockSize, nil, zeros) }), l, transport())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, io.NewSectionReader(f, 0, f.Size()))
	if !errors.Is(err, ErrTooMuch) || !errors.Is(f.Err(), ErrTooMuch) {
		t.Errorf("got %v", err)
	}
	if _, n := f.Traffic(); n > l.bytes {
		t.Errorf("%d bytes", n)
	}
}

// A server that goes silent, before its answer or in it.
func TestAServerThatStallsIsGivenUpAfterTwoAttempts(t *testing.T) {
	for name, c := range map[string]struct {
		body bool
		want string
	}{
		"an answer that never begins": {false, "the server did not answer within 30s (2 attempts)"},
		"a body that never ends":      {true, "the server sent 1 of 16384 bytes within 30s (2 attempts)"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, calls := time.Now(), 0
				_, err := open(t.Context(), "http://h/x?"+secret, defaults, roundTrip(func(r *http.Request) (*http.Response, error) {
					calls++
					if !c.body {
						<-r.Context().Done()
						return nil, r.Context().Err()
					}
					rec := httptest.NewRecorder()
					part(rec, r, 8*blockSize, nil, zeros)
					resp := rec.Result()
					resp.Body = io.NopCloser(&drip{ctx: r.Context()})
					return resp, nil
				}))
				if err == nil || !strings.Contains(err.Error(), c.want) || calls != 2 || time.Since(began) > time.Minute+time.Second {
					t.Errorf("%d calls in %s: %v", calls, time.Since(began), err)
				}
			})
		})
	}
}

// drip is a body of one byte that does not end.
type drip struct {
	ctx  context.Context
	done bool
}

func (d *drip) Read(p []byte) (int, error) {
	if !d.done {
		d.done = true
		return 1, nil
	}
	<-d.ctx.Done()
	return 0, d.ctx.Err()
}

// A server that answers every request in 25 seconds is within every limit but
// that on the whole.
func TestAFileHasATimeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		f, err := open(t.Context(), "http://h/x?"+secret, defaults, roundTrip(func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(25 * time.Second):
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
			rec := httptest.NewRecorder()
			part(rec, r, 1000*blockSize, nil, zeros)
			return rec.Result(), nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		for off := int64(0); err == nil; off += 10 * blockSize {
			_, err = f.ReadAt(make([]byte, 1), off)
		}
		if !errors.Is(err, ErrTooMuch) || time.Since(began) > defaults.total || strings.Contains(err.Error(), "TopSecret") {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		f.Close()
		synctest.Wait() // no goroutine is left
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRetryAfterIsHeededWithinReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, calls := time.Now(), 0
		f, err := open(t.Context(), "http://h/x", defaults, roundTrip(func(r *http.Request) (*http.Response, error) {
			rec := httptest.NewRecorder()
			if calls++; calls == 1 {
				rec.Header().Set("Retry-After", "20")
				rec.WriteHeader(http.StatusServiceUnavailable)
			} else {
				part(rec, r, blockSize, nil, zeros)
			}
			return rec.Result(), nil
		}))
		if err != nil || calls != 2 || time.Since(began) != 20*time.Second {
			t.Fatalf("%d calls in %s: %v", calls, time.Since(began), err)
		}
		f.Close()
	})
	now := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "x": 0, "-5": 0, "7": 7 * time.Second, "Sat, 28 Nov 2026 00:01:00 GMT": time.Minute, "Sat, 28 Nov 2020 00:01:00 GMT": 0,
		"9223372036854775807": 366 * 24 * time.Hour,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("Retry-After: %s is %s, want %s", header, got, want)
		}
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

func TestErrorsThatStayAreNotTriedAgain(t *testing.T) {
	connections := atomic.Int32{}
	listen := func(t *testing.T, change func(*httptest.Server)) string {
		s := httptest.NewUnstartedServer(file(content(blockSize)))
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				connections.Add(1)
			}
		}
		s.Config.ErrorLog = nil
		change(s)
		t.Cleanup(s.Close)
		return s.URL
	}
	plain := listen(t, func(s *httptest.Server) { s.Start() })
	for _, c := range []struct{ name, address, want string }{
		{"a certificate of nobody", listen(t, func(s *httptest.Server) { s.StartTLS() }), "has to be signed by an authority"},
		{"old TLS", listen(t, func(s *httptest.Server) {
			s.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10} //nolint:gosec // what is to be refused
			s.StartTLS()
		}), "TLS 1.2"},
		{"https to a port without", strings.Replace(plain, "http:", "https:", 1), "HTTP response to HTTPS client"},
	} {
		t.Run(c.name, func(t *testing.T) {
			connections.Store(0)
			_, err := open(t.Context(), c.address+"/x?"+secret, quick, transport())
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "TopSecret") {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if n := connections.Load(); n > 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
	calls := 0
	_, err := open(t.Context(), "http://nowhere.invalid/x?"+secret, quick, roundTrip(func(*http.Request) (*http.Response, error) {
		calls++
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "nowhere.invalid", IsNotFound: true}}
	}))
	if err == nil || calls != 1 || !strings.Contains(err.Error(), "check the name") {
		t.Errorf("%d calls: %v", calls, err)
	}
}

func TestClosingEndsWhatIsUnderWay(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	waiting := make(chan struct{}, 100)
	calls := atomic.Int32{}
	f, err := Open(ctx, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			part(w, r, 64*blockSize, nil, zeros)
			return
		}
		waiting <- struct{}{}
		<-r.Context().Done()
	}))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := f.ReadAt(make([]byte, 1), 20*blockSize)
		done <- err
	}()
	<-waiting
	f.Close()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
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
