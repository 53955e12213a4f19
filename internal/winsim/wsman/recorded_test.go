package wsman

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// exchange is a request sent to a real Windows and what that answered.
type exchange struct {
	request, response string
	status            int
}

// readExchanges reads the one shape the recordings have: a list of request and
// response, each a scalar on one line, plain or in single quotes.
func readExchanges(t *testing.T, path string) []exchange {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []exchange
	for i, line := range strings.Split(string(b), "\n") {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\r "), ": ")
		if strings.HasPrefix(value, "'") && strings.HasSuffix(value, "'") {
			value = strings.ReplaceAll(value[1:len(value)-1], "''", "'")
		}
		switch key {
		case "- request":
			all = append(all, exchange{request: value, status: http.StatusOK})
		case "  response":
			all[len(all)-1].response = value
		case "    code":
			if all[len(all)-1].status, err = strconv.Atoi(value); err != nil {
				t.Fatal(err)
			}
		case "messages:", "  transport_error:", "    protocol", "":
		default:
			t.Fatalf("%s:%d: not the shape this reads: %.40s", filepath.Base(path), i+1, line)
		}
	}
	return all
}

// script plays the process of a recording: what it writes, and when it ends,
// is told by the test.
type script struct {
	steps    chan func(*Process) (code int, done bool)
	notFound bool // of the next program
}

func (s *script) Find(*Process) error {
	if s.notFound {
		return ErrNotFound
	}
	return nil
}

func (s *script) Run(ctx context.Context, p *Process) int {
	for {
		select {
		case step := <-s.steps:
			if code, done := step(p); done {
				return code
			}
		case <-ctx.Done():
			return 1
		}
	}
}

// TestRepliesAreThoseOfRealWindows sends what a client once sent to Windows and
// compares elements, attributes, headers, fault codes and texts of the replies.
func TestRepliesAreThoseOfRealWindows(t *testing.T) {
	dir := testutil.Corpus(t, "outputs", "winrm")
	files, err := filepath.Glob(filepath.Join(dir, "test_*.yml"))
	if err != nil {
		t.Fatal(err)
	}
	compared, sessions := 0, 0
	for _, file := range files {
		if text, err := os.ReadFile(file); err != nil || !bytes.Contains(text[:min(len(text), 2000)], []byte(cmdShell+"<")) {
			continue // of PowerShell, whose shell this server does not have
		}
		sessions++
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yml"), func(t *testing.T) {
			handler := &script{steps: make(chan func(*Process) (int, bool))}
			s := honest()
			s.Users["vagrant-domain"] = testPassword
			s.Handler = handler
			s.Limits.MaxTimeoutms = 20 * time.Millisecond
			addr := serve(t, s, nil)
			client := newPeer(t, addr).client
			ids := map[string]string{}
			for i, x := range readExchanges(t, file) {
				recorded := parsed(t, x.response)
				action := recorded.child(nsSOAP, "Header").child(nsAddress, "Action").value()
				handler.notFound = strings.Contains(x.response, `Code="2147942402"`)
				if strings.HasSuffix(action, "/ReceiveResponse") {
					play(t, s, handler, recorded, ids)
				}
				status, body := postRecorded(t, client, addr.String(), mapped(x.request, ids))
				for _, name := range []string{"ShellId", "CommandId"} {
					if theirs, ours := identifier(x.response, name), identifier(body, name); theirs != "" && ours != "" {
						ids[theirs] = ours
					}
				}
				if status != x.status {
					t.Errorf("exchange %d (%s): HTTP %d, Windows %d", i, action, status, x.status)
				}
				compare(t, fmt.Sprintf("exchange %d (%s)", i, action), parsed(t, body), parsed(t, mapped(x.response, ids)))
				compared++
			}
		})
	}
	t.Run("faults", func(t *testing.T) {
		addr := serve(t, honest(), nil)
		client := newPeer(t, addr).client
		for _, name := range []string{"test_psrp_is_alive_invalid_selectors.yml", "test_psrp_is_alive_other_wsman_error.yml"} {
			for _, x := range readExchanges(t, filepath.Join(dir, name)) {
				if !strings.Contains(x.response, "WSManFault") {
					continue // PowerShell remoting, which this server does not speak
				}
				status, body := postRecorded(t, client, addr.String(), x.request)
				if status != x.status {
					t.Errorf("%s: HTTP %d, Windows %d", name, status, x.status)
				}
				compare(t, name, parsed(t, body), parsed(t, x.response))
				compared++
			}
		}
	})
	if sessions != 9 || compared < 50 {
		t.Errorf("only %d exchanges of %d sessions were compared", compared, sessions)
	}
	t.Logf("%d exchanges of %d sessions compared", compared, sessions)
}

// play lets the process write what it once wrote, and end if it ended.
func play(t *testing.T, s *Server, handler *script, recorded *node, ids map[string]string) {
	t.Helper()
	var id string
	applied := make(chan error, 1)
	answer := recorded.child(nsSOAP, "Body").child(nsShell, "ReceiveResponse")
	state := answer.child(nsShell, "CommandState")
	id = ids[state.attr("CommandId")]
	done := strings.HasSuffix(state.attr("State"), "/Done")
	handler.steps <- func(p *Process) (int, bool) {
		for _, k := range answer.kids {
			if k.name.Local != "Stream" || k.value() == "" {
				continue
			}
			data, err := base64.StdEncoding.DecodeString(k.value())
			if err != nil {
				applied <- err
				return 1, true
			}
			to := map[string]io.Writer{"stdout": p.Stdout, "stderr": p.Stderr}[k.attr("Name")]
			if _, err := to.Write(data); err != nil {
				applied <- err
				return 1, true
			}
		}
		applied <- nil
		code, _ := strconv.Atoi(state.child(nsShell, "ExitCode").value())
		return code, done
	}
	if err := <-applied; err != nil {
		t.Fatal(err)
	}
	if !done {
		return
	}
	s.mu.Lock()
	var c *command
	for _, sh := range s.shells {
		if sh.commands[id] != nil {
			c = sh.commands[id]
		}
	}
	s.mu.Unlock()
	for !c.ended() {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		if !c.ended() {
			<-changed
		}
	}
}

func parsed(t *testing.T, raw string) *node {
	t.Helper()
	n, err := parseXML([]byte(raw))
	if err != nil {
		t.Fatalf("%v in %.200s", err, raw)
	}
	return n
}

// mapped replaces the recorded identifiers with ours.
func mapped(text string, ids map[string]string) string {
	for theirs, ours := range ids {
		text = strings.ReplaceAll(text, theirs, ours)
	}
	return text
}

func identifier(text, name string) string {
	m := regexp.MustCompile(`<rsp:` + name + `>([^<]+)<`).FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return m[1]
}

// postRecorded sends a recorded request under the host name it was sent to.
func postRecorded(t *testing.T, client *http.Client, addr, raw string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+addr+"/wsman", strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	to := parsed(t, raw).child(nsSOAP, "Header").child(nsAddress, "To").value()
	req.Host = regexp.MustCompile(`://([^/]+)/`).FindStringSubmatch(to)[1]
	req.SetBasicAuth(testUser, testPassword)
	req.Header.Set("Content-Type", "application/soap+xml;charset=UTF-8")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	related := func(raw, header string) string {
		return parsed(t, raw).child(nsSOAP, "Header").child(nsAddress, header).value()
	}
	if got, want := related(string(b), "RelatesTo"), related(raw, "MessageID"); got != want {
		t.Errorf("the reply relates to %s, want %s", got, want)
	}
	return resp.StatusCode, string(b)
}

// compare compares two documents without what differs by nature: message
// identifiers (one recording relates to a request it does not hold), addresses,
// owners. ActivityId came with Windows 8.
func compare(t *testing.T, what string, ours, theirs *node) {
	t.Helper()
	a, b := outline(ours, ""), outline(theirs, "")
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			t.Errorf("%s: we lack %s", what, b[i])
		case i >= len(b):
			t.Errorf("%s: Windows lacks %s", what, a[i])
		case a[i] != b[i]:
			t.Errorf("%s:\n   we      %s\n   Windows %s", what, a[i], b[i])
		default:
			continue
		}
		return
	}
}

func outline(n *node, path string) []string {
	if n.name.Local == "ActivityId" {
		return nil
	}
	path += "/" + n.name.Space + " " + n.name.Local
	var attrs []string
	for name, value := range n.attrs {
		if n.name.Local == "Variable" {
			value = strings.ReplaceAll(value, `\`, "") // Windows lost the backslash in the name it repeats
		}
		attrs = append(attrs, fmt.Sprintf("%s %s=%q", name.Space, name.Local, value))
	}
	slices.Sort(attrs)
	text := n.text
	switch n.name.Local {
	case "MessageID", "RelatesTo", "Owner", "ClientIP":
		text = "..."
	}
	lines := []string{fmt.Sprintf("%s %v %q", path, attrs, text)}
	for _, k := range n.kids {
		lines = append(lines, outline(k, path)...)
	}
	return lines
}
