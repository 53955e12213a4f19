package winrm

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
)

// tap records what crosses the network, in both directions.
type tap struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (t *tap) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	return &tapped{c, t}, err
}

func (t *tap) add(p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all.Write(p)
}

type tapped struct {
	net.Conn
	to *tap
}

func (c *tapped) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.to.add(p[:n])
	return n, err
}

func (c *tapped) Write(p []byte) (int, error) {
	c.to.add(p)
	return c.Conn.Write(p)
}

// TestASealedSessionTellsNothing looks for everything that was said on the wire
// of a sealed session, and finds it on that of one in the clear.
func TestASealedSessionTellsNothing(t *testing.T) {
	const line, input, place, variable = "cat arguments-of-the-command", "standard-input-of-the-command", `C:\where-it-begins`, "what-the-environment-holds"
	// A file goes as base64 through an input that is base64 itself, in several Sends.
	const content = "a-line-of-a-file-that-is-uploaded"
	upload := strings.Repeat(base64.StdEncoding.EncodeToString([]byte(content+strings.Repeat("-", 21)))+"\r\n", 6000)
	for name, auth := range map[string]Auth{"sealed": AuthNTLM, "clear": AuthBasic} {
		t.Run(name, func(t *testing.T) {
			g := start(t, honest(), nil)
			wire := new(tap)
			c := g.client(func(c *Config) { c.Auth, c.Dial = auth, wire.dial })
			shell, err := c.OpenShell(t.Context(), ShellOptions{WorkingDirectory: place, Env: map[string]string{"x": variable}})
			if err != nil {
				t.Fatal(err)
			}
			for _, in := range []string{input, upload} {
				if stdout, _, _, err := say(t.Context(), shell, line, strings.NewReader(in)); stdout != in || err != nil {
					t.Fatalf("%.100q, %v", stdout, err)
				}
			}
			if n := g.count("Send"); n < 3 {
				t.Errorf("%d Sends", n)
			}
			if _, stderr, _, err := say(t.Context(), shell, "complain error-output-of-the-command", nil); stderr == "" || err != nil {
				t.Fatal(err)
			}
			if _, err := shell.Run(t.Context(), Command{Line: "fill 1000", Stdout: writerFunc(func([]byte) (int, error) { return 0, errors.New("full") })}); err == nil {
				t.Fatal("it is not signalled")
			}
			if err := shell.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.Close()
			found := map[string]bool{}
			for what, text := range map[string]string{"password": testPassword, "command": line, "program": "arguments", "input and output": input, "shell": shell.ID(), "namespace": nsShell,
				"login": testUser + ":" + testPassword, "file": upload[:70], "line of a file": content, "error output": "error-output-of-the-command", "directory": place, "environment": variable,
				"envelope": "s:Envelope", "signal": "/signal/terminate"} {
				for form, b := range forms(text) {
					if bytes.Contains(wire.all.Bytes(), b) {
						found[what] = true
						if auth == AuthNTLM {
							t.Errorf("the %s stands on the wire in %s", what, form)
						}
					}
				}
			}
			if auth == AuthBasic && len(found) < 12 { // a line of a file is base64 of base64
				t.Errorf("this finds only %v", found)
			}
			if !bytes.Contains(wire.all.Bytes(), []byte("POST /wsman")) {
				t.Error("nothing was recorded")
			}
		})
	}
}

// wireOfTheGuest is what the simulated guest answers, one of each kind.
func wireOfTheGuest(t testing.TB) []string {
	g := begin(t, honest(), nil)
	wire := new(tap)
	c := g.client(func(c *Config) { c.Dial = wire.dial })
	if _, err := c.Login(t.Context()); err != nil {
		t.Fatal(err)
	}
	shell := g.shell(c)
	if _, _, _, err := say(t.Context(), shell, "cat", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	g.Faults.LoseShells()
	if _, err := shell.Run(t.Context(), Command{Line: "exit 0"}); outcome(err) != "shell lost" {
		t.Fatal(err)
	}
	var all []string
	for part := range strings.SplitSeq(wire.all.String(), "HTTP/1.1 ") {
		if _, body, ok := strings.Cut(part, "\r\n\r\n"); ok && !strings.Contains(part, "User-Agent") || strings.Contains(part, "Microsoft-HTTPAPI") {
			body, _, _ = strings.Cut(body, "POST /wsman")
			all = append(all, body)
		}
	}
	return all
}
