package winrm

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// TestInputIsNotSentTwice: an answer that is too large is not a refusal of the
// request. What it had may have reached the command.
func TestInputIsNotSentTwice(t *testing.T) {
	var asked atomic.Int32
	dial := func(context.Context, string, string) (net.Conn, error) {
		ours, its := net.Pipe()
		go func() {
			defer its.Close()
			r, err := http.ReadRequest(bufio.NewReader(its))
			if err == nil {
				_, err = io.Copy(io.Discard, r.Body)
			}
			if err == nil {
				asked.Add(1)
				_, _ = io.WriteString(its, "HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n"+strings.Repeat("x", 900_000)) // as much as is read
			}
		}()
		return ours, nil
	}
	c, err := New(Config{Host: "guest", User: "u", Auth: AuthBasic, AllowUnencrypted: true, Dial: dial})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in := &input{shell: &Shell{client: c, id: "x"}, command: "y", size: fits(c.limits.MaxEnvelopeSize)}
	if err := in.send(t.Context(), make([]byte, 100_000), true); !errors.Is(err, ErrTooLarge) || asked.Load() != 1 {
		t.Errorf("%d requests, %v", asked.Load(), err)
	}
}
