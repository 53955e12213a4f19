package winrm

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// recorded is a request of another client, and what a real Windows answered.
type recorded struct {
	request, text string
	status        int
}

// recordings reads the exchanges of each recording, by the name of its file. All
// have one shape: a list of request and response, each a scalar on one line.
func recordings(t testing.TB) map[string][]recorded {
	t.Helper()
	all := map[string][]recorded{}
	for name, text := range recordedFiles(t) {
		if strings.HasSuffix(name, ".yml") {
			all[name] = exchangesIn(text)
		}
	}
	return all
}

// recordedFiles reads every file of the recordings, unpacked, and leaves out the
// list of them.
func recordedFiles(t testing.TB) map[string]string {
	t.Helper()
	dir := testutil.Corpus(t, "outputs", "winrm")
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, file := range files {
		name := file.Name()
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".gz") {
			z, err := gzip.NewReader(bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if text, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		}
		if name != "INDEX.tsv" {
			all[strings.TrimSuffix(name, ".gz")] = string(text)
		}
	}
	return all
}

// exchangesIn joins the lines of a scalar as YAML does, with blanks.
func exchangesIn(text string) []recorded {
	var all []recorded
	var within *string
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimRight(line, "\r ")
		if rest, ok := strings.CutPrefix(line, "    "); ok {
			switch {
			case strings.HasPrefix(rest, "code: "):
				all[len(all)-1].status = http.StatusInternalServerError
			case within != nil:
				*within += " " + strings.TrimLeft(rest, " ")
			}
			continue
		}
		key, value, _ := strings.Cut(line, ": ")
		switch strings.TrimLeft(key, "- ") {
		case "request":
			all = append(all, recorded{request: value, status: http.StatusOK})
			within = &all[len(all)-1].request
		case "response":
			all[len(all)-1].text = value
			within = &all[len(all)-1].text
		default:
			within = nil
		}
	}
	for i := range all {
		for _, scalar := range []*string{&all[i].request, &all[i].text} {
			if strings.HasPrefix(*scalar, "'") {
				*scalar = strings.ReplaceAll(strings.Trim(*scalar, "'"), "''", "'")
			}
		}
	}
	return all
}

// answeredIn are the exchanges that have an answer: in one, the test of the
// other client put an error in its place.
func answeredIn(all []recorded) []recorded {
	return slices.DeleteFunc(slices.Clone(all), func(x recorded) bool { return !strings.HasPrefix(x.text, "<") })
}

// ofACmdShell says whether a recording is of our kind of shell.
func ofACmdShell(all []recorded) bool {
	return len(all) > 0 && strings.Contains(all[0].request, cmdShell+"<")
}

// TestWhatWindowsAnsweredIsRead reads every recorded answer, and each fault by
// its code.
func TestWhatWindowsAnsweredIsRead(t *testing.T) {
	read, faults := 0, map[uint32]int{}
	code := regexp.MustCompile(` Code="(\d+)"`)
	for name, all := range recordings(t) {
		for i, x := range answeredIn(all) {
			r, err := parseReply([]byte(x.text))
			if err != nil {
				t.Errorf("%s, answer %d: %v", name, i, err)
				continue
			}
			read++
			f := r.fault(x.status, "Receive", "guest")
			m := code.FindStringSubmatch(x.text)
			if (f != nil) != strings.Contains(x.text, "Fault>") || f != nil && m != nil && fmt.Sprint(f.Code) != m[1] {
				t.Errorf("%s, answer %d: %+v", name, i, f)
			}
			if f != nil {
				faults[f.Code]++
				if f.Reason == "" || f.SOAPCode == "" || f.Subcode == "" || len(f.Error()) > 800 {
					t.Errorf("%s, answer %d: %+v", name, i, f)
				}
			}
		}
	}
	// Time-outs, a shell that is not there, an invalid header, a program that is not there.
	for _, want := range []uint32{2150858793, 2150858843, 2150858767, 2147942402} {
		if faults[want] == 0 {
			t.Errorf("no fault %d was read", want)
		}
	}
	if read < 250 {
		t.Errorf("only %d answers were read", read)
	}
	t.Logf("%d answers, faults %v", read, faults)
}

// replay answers each request with the next recorded answer to its kind.
type replay struct {
	t     *testing.T
	mu    sync.Mutex
	queue map[string][]recorded // by action
	seen  map[string]int
}

func (r *replay) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	m := regexp.MustCompile(`<a:Action[^>]*>[^<]*/(\w+)</a:Action>`).FindStringSubmatch(string(body))
	r.mu.Lock()
	defer r.mu.Unlock()
	if m == nil || len(r.queue[m[1]]) == 0 {
		r.t.Errorf("Windows was not asked for this: %.300s", body)
		w.WriteHeader(http.StatusTeapot)
		return
	}
	next := r.queue[m[1]][0]
	r.queue[m[1]] = r.queue[m[1]][1:]
	r.seen[m[1]]++
	w.Header().Set("Content-Type", soapType)
	w.WriteHeader(next.status)
	_, _ = io.WriteString(w, next.text)
}

var (
	streamForm = regexp.MustCompile(`<rsp:Stream Name="(\w+)"[^>]*>([^<]*)<`)
	exitForm   = regexp.MustCompile(`<rsp:ExitCode>(-?\d+)<`)
	actionForm = regexp.MustCompile(`<a:Action>[^<]*/(\w+)Response</a:Action>`)
)

// TestTheClientReadsASessionOfRealWindows runs a command against what Windows
// answered to another client in each recording of a cmd shell.
func TestTheClientReadsASessionOfRealWindows(t *testing.T) {
	ran := 0
	for name, all := range recordings(t) {
		if !ofACmdShell(all) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			r := &replay{t: t, queue: map[string][]recorded{}, seen: map[string]int{}}
			want := map[string]string{}
			for _, x := range answeredIn(all) {
				action := "Receive" // only its faults do not tell
				if m := actionForm.FindStringSubmatch(x.text); m != nil {
					action = m[1]
				} else if strings.Contains(x.text, "2147942402") {
					action = "Command"
				}
				if action == "Receive" && want["exit"] != "" {
					continue // of a second command
				}
				r.queue[action] = append(r.queue[action], x)
				for _, m := range streamForm.FindAllStringSubmatch(x.text, -1) {
					data, err := base64.StdEncoding.DecodeString(m[2])
					if err != nil {
						t.Fatal(err)
					}
					want[m[1]] += string(data)
				}
				if m := exitForm.FindStringSubmatch(x.text); m != nil && want["exit"] == "" {
					want["exit"] = m[1]
				}
			}
			front := httptest.NewServer(r)
			defer front.Close()
			host, port := split(t, front.Listener.Addr().String())
			c, err := New(Config{Host: host, Port: port, User: "u", Auth: AuthBasic, AllowUnencrypted: true, Limits: quick})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			shell, err := c.OpenShell(t.Context(), ShellOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if len(r.queue["Receive"]) > 0 {
				stdout, stderr, code, err := say(t.Context(), shell, "x", nil)
				if fault := new(Fault); errors.As(err, &fault) && fault.Code == 2147942402 { // of the first attempt in one
					stdout, stderr, code, err = say(t.Context(), shell, "x", nil)
				}
				if err != nil || stdout != want["stdout"] || stderr != want["stderr"] || fmt.Sprint(code) != want["exit"] {
					t.Errorf("%.200q, %.200q, exit %d, %v; want %.200q", stdout, stderr, code, err, want)
				}
				ran++
			}
			if err := shell.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	if ran < 8 {
		t.Errorf("only %d commands", ran)
	}
}
