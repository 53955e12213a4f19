package winrm

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

func split(t *testing.T, address string) (string, int) {
	t.Helper()
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

// listener accepts connections and hands each to serve.
func listener(t *testing.T, serve func(net.Conn)) (string, int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return split(t, l.Addr().String())
}

func TestAnyHTTPAnswerMeansOpen(t *testing.T) {
	for _, status := range []int{200, 401, 405, 500} {
		for _, secure := range []bool{false, true} {
			var sawIdentify bool
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				sawIdentify = r.Method == http.MethodPost && r.URL.Path == "/wsman" && r.Header.Get("Authorization") == ""
				w.WriteHeader(status)
			})
			server := httptest.NewUnstartedServer(handler)
			if secure {
				server.StartTLS()
			} else {
				server.Start()
			}
			host, port := split(t, server.Listener.Addr().String())
			reach, err := Probe(context.Background(), host, port)
			server.Close()
			if reach != Open || err != nil {
				t.Errorf("status %d, TLS %v: got %v, %v", status, secure, reach, err)
			}
			// A plain request to a TLS port is answered by the TLS server itself.
			if !secure && !sawIdentify {
				t.Errorf("status %d: no Identify without credentials was seen", status)
			}
		}
	}
}

func TestARefusedConnectionMeansClosed(t *testing.T) {
	host, port := split(t, testutil.ClosedAddr(t))
	reach, err := Probe(context.Background(), host, port)
	if reach != Closed || err == nil {
		t.Fatalf("got %v, %v; want closed with its reason", reach, err)
	}
}

func TestAnAcceptedConnectionThatEndsWithoutAnAnswerMeansSilent(t *testing.T) {
	host, port := listener(t, func(c net.Conn) { c.Close() })
	reach, err := Probe(context.Background(), host, port)
	if reach != Silent || err == nil {
		t.Fatalf("got %v, %v; want silent with its reason", reach, err)
	}
}

func TestAnAnswerThatIsNotHTTPMeansSilent(t *testing.T) {
	host, port := listener(t, func(c net.Conn) {
		c.Write([]byte("SSH-2.0-x\r\n"))
		c.Close()
	})
	if reach, err := Probe(context.Background(), host, port); reach != Silent || err == nil {
		t.Fatalf("got %v, %v; want silent with its reason", reach, err)
	}
}

func TestACancelEndsAProbeOfASilentEndpoint(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	host, port := listener(t, func(net.Conn) { cancel() })
	reach, err := Probe(ctx, host, port)
	if reach != Unreachable || !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, %v; want the cancel", reach, err)
	}
}

func TestAnUnknownHostMeansUnreachable(t *testing.T) {
	if reach, err := Probe(context.Background(), "no-such-host.invalid", 5985); reach != Unreachable || err == nil {
		t.Fatalf("got %v, %v; want unreachable with its reason", reach, err)
	}
}
