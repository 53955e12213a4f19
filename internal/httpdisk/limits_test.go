package httpdisk

import (
	"context"
	"crypto/tls"
	"errors"
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
		{"https to a port without", strings.Replace(plain, "http:", "https:", 1), "HTTP response to HTTPS client; the address of a server without TLS begins with http://"},
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
