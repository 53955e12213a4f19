package winrm

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// Messages of the PowerShell Remoting Protocol (MS-PSRP 2.2.1).
const (
	createPipeline = 0x21006
	pipelineOutput = 0x41004
)

// fragment is a piece of a message (MS-PSRP 2.2.4).
type fragment struct {
	kind uint32 // of the message, 0 where the fragment is not its first
	size int    // with its header
	text string
}

func fragmentsIn(t testing.TB, scalar string) []fragment {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(scalar)
	if err != nil {
		t.Fatal(err)
	}
	var all []fragment
	for len(b) > 0 {
		const head, message = 21, 40
		if len(b) < head {
			t.Fatalf("a fragment of %d bytes", len(b))
		}
		first, length := b[16]&1 != 0, int(binary.BigEndian.Uint32(b[17:]))
		blob := b[head : head+length]
		f := fragment{size: head + length, text: string(blob)}
		if first {
			f.kind, f.text = binary.LittleEndian.Uint32(blob[4:]), strings.TrimPrefix(string(blob[message:]), "\ufeff")
		}
		all, b = append(all, f), b[head+length:]
	}
	return all
}

// cost is what a session of commands takes.
type cost struct {
	requests, first int // round trips until the first output
	sent, received  int // bytes of envelopes
	bare            int // bytes sent with our headers in place of theirs
}

// remoting is a recorded session of PowerShell remoting.
type remoting struct {
	cost
	opening   cost
	scripts   []string
	outputs   []string
	fragments []int
	each      []int // requests of each pipeline
}

var (
	streamText = regexp.MustCompile(`(?:<rsp:Stream [^>]*>|<rsp:Arguments>|<creationXml[^>]*>)([^<]+)<`)
	scriptText = regexp.MustCompile(`N="Cmd">([^<]*)<`)
	outputText = regexp.MustCompile(`^<(?:S|I32|B)>([^<]*)<`)
	bodyText   = regexp.MustCompile(`(?s)<s:Body.*</s:Body>|<s:Body ?/>`)
)

// header is how many bytes we send around a body, without one.
func header(name string) int {
	r := &request{name: name, shell: "4283CBDC-3706-415B-88BD-B385F3E51A53", body: " "}
	return len(r.envelope("http://192.168.56.11:5985/wsman", 512000)) - len("<s:Body> </s:Body>")
}

// measured reads a recording, false when it is no plain session: one shell, and
// pipelines one after the other.
func measured(t testing.TB, all []recorded) (*remoting, bool) {
	t.Helper()
	r := new(remoting)
	for i, x := range all {
		name := requestName(x.request)
		switch {
		case i == 0 && name != "Create" || i == len(all)-1 && name != "Delete",
			i > 0 && i < len(all)-1 && name != "Command" && name != "Receive" && name != "Send",
			name == "Send" && len(r.scripts) == 0, !strings.HasPrefix(x.text, "<"):
			return nil, false
		}
		r.requests, r.sent, r.received = r.requests+1, r.sent+len(x.request), r.received+len(x.text)
		r.bare += header(name) + len(bodyText.FindString(x.request))
		if name == "Command" {
			r.scripts, r.outputs, r.each = append(r.scripts, ""), append(r.outputs, ""), append(r.each, 0)
		}
		last := len(r.scripts) - 1
		if last < 0 {
			r.opening = r.cost
		} else if name != "Delete" {
			r.each[last]++
		}
		for _, text := range []string{x.request, x.text} {
			for _, m := range streamText.FindAllStringSubmatch(text, -1) {
				for _, f := range fragmentsIn(t, m[1]) {
					r.fragments = append(r.fragments, f.size)
					switch {
					case f.kind == createPipeline:
						for _, m := range scriptText.FindAllStringSubmatch(f.text, -1) {
							r.scripts[last] += m[1] + "\n"
						}
					case f.kind == pipelineOutput && last >= 0:
						if r.first == 0 {
							r.first = r.requests
						}
						output := f.text // of an object, in place of what would show it
						if m := outputText.FindStringSubmatch(f.text); m != nil {
							output = m[1]
						}
						r.outputs[last] += output + "\r\n"
					case f.kind == 0 && last >= 0:
						r.outputs[last] += f.text
					}
				}
			}
		}
	}
	return r, r.first > 0
}

func requestName(envelope string) string {
	m := regexp.MustCompile(`Action[^>]*>[^<]*/(\w+)<`).FindStringSubmatch(envelope)
	if m == nil {
		return ""
	}
	return m[1]
}

// encoded is a line that runs a script.
func encoded(script string) string {
	var wide []byte
	for _, u := range utf16.Encode([]rune(script)) {
		wide = binary.LittleEndian.AppendUint16(wide, u)
	}
	return "powershell.exe -NoProfile -NonInteractive -EncodedCommand " + base64.StdEncoding.EncodeToString(wide)
}

// heard keeps what comes from the guest.
type heard struct {
	net.Conn
	to *strings.Builder
}

func (h heard) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	h.to.Write(p[:n])
	return n, err
}

// ours runs the same scripts with the same output in a cmd shell.
func ours(t *testing.T, r *remoting) cost {
	t.Helper()
	next := 0
	s := honest()
	s.Handler = wsman.HandlerFunc(func(_ context.Context, p *wsman.Process) int {
		_, _ = p.Stdout.Write([]byte(r.outputs[next]))
		next++
		return 0
	})
	g := start(t, s, nil)
	answers := new(strings.Builder)
	session := NewSession(g.client(func(c *Config) {
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			return heard{conn, answers}, err
		}
	}), ShellOptions{})
	for i, script := range r.scripts {
		if stdout, _, code, err := say(t.Context(), session, encoded(script), nil); stdout != r.outputs[i] || code != 0 || err != nil {
			t.Fatalf("%.100q, exit %d, %v", stdout, code, err)
		}
	}
	if err := session.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Create, Command, Receive, and Delete at the end: a Receive that met a command
	// before its end is not counted, there is none in the recordings.
	c := cost{requests: 2 + 2*len(r.scripts), first: 3}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.events {
		c.sent += e.Bytes
	}
	for _, m := range regexp.MustCompile(`(?i)Content-Length: (\d+)`).FindAllStringSubmatch(answers.String(), -1) {
		n, _ := strconv.Atoi(m[1])
		c.received += n
	}
	return c
}

// TestPowerShellRemotingIsDearer is why there is no client of MS-PSRP here: what
// recorded sessions of it took of Windows, against the same work in our shell. It
// saves the start of PowerShell for each script after the first, which no
// recording tells; a run has few, and cmd.exe does what comes often.
func TestPowerShellRemotingIsDearer(t *testing.T) {
	all := recordings(t)
	sessions := 0
	for _, name := range slices.Sorted(maps.Keys(all)) {
		r, plain := (*remoting)(nil), false
		if !ofACmdShell(all[name]) {
			r, plain = measured(t, all[name])
		}
		if !plain || len(encoded(r.scripts[0])) > 8191 {
			continue
		}
		sessions++
		us := ours(t, r)
		t.Logf("%s: %d scripts", strings.TrimSuffix(name, ".yml"), len(r.scripts))
		t.Logf("  remoting %2d requests, first output after %d, sent %5d B (%5d B with our headers), received %5d B; opening %d requests, %d B; requests of each script %v; fragments %d to %d B",
			r.requests, r.first, r.sent, r.bare, r.received, r.opening.requests, r.opening.sent, r.each, slices.Min(r.fragments), slices.Max(r.fragments))
		t.Logf("  cmd shell %1d requests, first output after %d, sent %5d B, received %5d B", us.requests, us.first, us.sent, us.received)
		switch {
		case us.requests >= r.requests:
			t.Errorf("%s: we send %d requests, remoting %d", name, us.requests, r.requests)
		case us.first >= r.first:
			t.Errorf("%s: our first output comes after %d requests, theirs after %d", name, us.first, r.first)
		case us.sent >= r.bare:
			t.Errorf("%s: we send %d bytes, remoting %d with our headers", name, us.sent, r.bare)
		case slices.Min(r.each) < 2:
			t.Errorf("%s: a pipeline took %v requests, which is fewer than a command of ours", name, r.each)
		}
	}
	if sessions < 5 {
		t.Errorf("only %d sessions were measured", sessions)
	}
}

// TestEveryRecordingIsUsed says for what, and counts.
func TestEveryRecordingIsUsed(t *testing.T) {
	uses := map[string]int{}
	for name, text := range recordedFiles(t) {
		use := "?"
		switch exchanges := exchangesIn(text); {
		case strings.HasSuffix(name, ".xml") && strings.HasPrefix(text, "#< CLIXML"):
			use = "PowerShell's stderr: crosses unchanged"
			crosses(t, text)
		case name == "_template.yml":
			use = "the form of the others"
		case len(exchanges) == 0:
		case ofACmdShell(exchanges):
			use = "cmd shell: requests compared, answers read, sessions replayed"
		case strings.Contains(exchanges[0].request, "/powershell/") || len(exchanges) > 1 && strings.Contains(exchanges[1].request, "/powershell/"):
			use = "PowerShell remoting: answers and faults read, cost measured"
		case strings.Contains(exchanges[0].request, "/wsman/1/config<"):
			use = "settings: answers read"
		}
		if uses[use]++; use == "?" {
			t.Errorf("nothing reads %s", name)
		}
	}
	want := map[string]int{
		"cmd shell: requests compared, answers read, sessions replayed": 9,
		"PowerShell remoting: answers and faults read, cost measured":   24,
		"settings: answers read":                 2,
		"PowerShell's stderr: crosses unchanged": 2,
		"the form of the others":                 1,
	}
	if !maps.Equal(uses, want) {
		t.Errorf("got %v", fmt.Sprint(uses))
	}
}

// crosses sends a text through a command.
func crosses(t *testing.T, text string) {
	t.Helper()
	s := honest()
	s.Handler = wsman.HandlerFunc(func(_ context.Context, p *wsman.Process) int {
		_, _ = p.Stderr.Write([]byte(text))
		return 1
	})
	g := begin(t, s, nil)
	if _, stderr, code, err := say(t.Context(), g.shell(g.client(nil)), "powershell", nil); stderr != text || code != 1 || err != nil {
		t.Errorf("%.100q, exit %d, %v", stderr, code, err)
	}
}
