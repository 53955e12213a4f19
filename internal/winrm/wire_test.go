package winrm

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"
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

// forms are the ways in which a text may stand on the wire: as it is, in
// UTF-16, and in base64 wherever it begins.
func forms(text string) map[string][]byte {
	var wide []byte
	for _, u := range utf16.Encode([]rune(text)) {
		wide = binary.LittleEndian.AppendUint16(wide, u)
	}
	all := map[string][]byte{"plain": []byte(text), "UTF-16": wide}
	for shift := range 3 {
		b := base64.StdEncoding.EncodeToString(append(make([]byte, shift), text...))
		// The first and last groups depend on their neighbours.
		all[fmt.Sprint("base64 at ", shift)] = []byte(b[4 : len(b)-len(b)%4-4])
	}
	return all
}

// TestASealedSessionTellsNothing looks for everything that was said on the wire
// of a sealed session, and finds it on that of one in the clear.
func TestASealedSessionTellsNothing(t *testing.T) {
	const line, input = "cat arguments-of-the-command", "standard-input-of-the-command"
	for name, auth := range map[string]Auth{"sealed": AuthNTLM, "clear": AuthBasic} {
		t.Run(name, func(t *testing.T) {
			g := start(t, honest(), nil)
			wire := new(tap)
			c := g.client(func(c *Config) { c.Auth, c.Dial = auth, wire.dial })
			shell := g.shell(c)
			if stdout, _, _, err := say(t.Context(), shell, line, strings.NewReader(input)); stdout != input || err != nil {
				t.Fatalf("%q, %v", stdout, err)
			}
			if err := shell.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.Close()
			found := map[string]bool{}
			for what, text := range map[string]string{"password": testPassword, "command": line, "program": "arguments", "input and output": input, "shell": shell.ID(), "namespace": nsShell,
				"login": testUser + ":" + testPassword} {
				for form, b := range forms(text) {
					if bytes.Contains(wire.all.Bytes(), b) {
						found[what] = true
						if auth == AuthNTLM {
							t.Errorf("the %s stands on the wire in %s", what, form)
						}
					}
				}
			}
			if auth == AuthBasic && len(found) < 6 {
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
