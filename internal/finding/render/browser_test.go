//go:build unix

package render

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// browserLimit bounds everything that is done in the browser, which takes seconds.
const browserLimit = 5 * time.Minute

// browser is a headless Chromium, told over a pipe what to do (Chrome DevTools
// Protocol: JSON messages that end with a NUL byte).
type browser struct {
	t       testing.TB
	ctx     context.Context
	to      io.Writer
	answers chan message
	session string
	next    int

	mu     sync.Mutex
	events []message
}

type message struct {
	ID      int             `json:"id,omitempty"`
	Method  string          `json:"method,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// findBrowser skips the test where there is none.
func findBrowser(t testing.TB) string {
	if path := os.Getenv("SYSPREP_BROWSER"); path != "" {
		return path
	}
	for _, name := range []string{"chromium-headless-shell", "chromium", "google-chrome", "chromium-browser"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	testutil.Missing(t, "there is no Chromium to look at the HTML report with; on Debian `tools/install --all` installs it, elsewhere SYSPREP_BROWSER names it")
	return ""
}

func startBrowser(t testing.TB) *browser {
	t.Helper()
	program := findBrowser(t)
	ctx, cancel := context.WithTimeout(context.Background(), browserLimit)
	t.Cleanup(cancel)
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	// What is done to the sandbox of a page of our own does not matter, and root,
	// whom CI often is, cannot have one. No name is resolved: nothing of the page,
	// nor of the browser itself, gets out.
	cmd := exec.CommandContext(ctx, program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--no-first-run", "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND", "--user-data-dir="+t.TempDir(), "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // its files 3 and 4
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	b := &browser{t: t, ctx: ctx, to: ourOut, answers: make(chan message, 1)}
	read := make(chan struct{})
	go func() { defer close(read); b.read(ourIn) }()
	t.Cleanup(func() {
		ourOut.Close() // it ends when nobody talks to it
		ourIn.Close()
		cancel()
		_ = cmd.Wait() // killed
		<-read
		if t.Failed() {
			t.Logf("the browser said: %s", said.String())
		}
	})
	var made struct {
		TargetID string `json:"targetId"`
	}
	b.do("Target.createTarget", map[string]any{"url": "about:blank"}, &made)
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	b.do("Target.attachToTarget", map[string]any{"targetId": made.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Network", "Log", "Runtime"} {
		b.do(domain+".enable", nil, nil)
	}
	return b
}

// read sorts what the browser says into answers and events.
func (b *browser) read(from io.Reader) {
	defer close(b.answers)
	r := bufio.NewReader(from)
	for {
		text, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(text[:len(text)-1], &m) != nil {
			continue
		}
		if m.ID != 0 {
			select {
			case b.answers <- m:
			case <-b.ctx.Done():
				return
			}
			continue
		}
		b.mu.Lock()
		b.events = append(b.events, m)
		b.mu.Unlock()
	}
}

// do runs a command and waits for its answer.
func (b *browser) do(method string, params map[string]any, result any) {
	b.t.Helper()
	b.next++
	if params == nil {
		params = map[string]any{}
	}
	text, err := json.Marshal(map[string]any{"id": b.next, "method": method, "params": params})
	if err == nil && b.session != "" {
		text, err = json.Marshal(map[string]any{"id": b.next, "method": method, "params": params, "sessionId": b.session})
	}
	if err == nil {
		_, err = b.to.Write(append(text, 0))
	}
	if err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	select {
	case m, ok := <-b.answers:
		if !ok || m.ID != b.next || m.Error != nil {
			b.t.Fatalf("%s: answer %d of %d: %+v", method, m.ID, b.next, m.Error)
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				b.t.Fatalf("%s: %v", method, err)
			}
		}
	case <-b.ctx.Done():
		b.t.Fatalf("%s: %v", method, b.ctx.Err())
	}
}

// seen takes the events of some kinds.
func (b *browser) seen(methods ...string) (found []message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.events {
		for _, method := range methods {
			if m.Method == method {
				found = append(found, m)
			}
		}
	}
	return found
}

// eval runs a line of script beside the page, whose own policy allows none.
func (b *browser) eval(script string, into any) {
	b.t.Helper()
	var got struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		ExceptionDetails json.RawMessage `json:"exceptionDetails"`
	}
	b.do("Runtime.evaluate", map[string]any{"expression": script, "returnByValue": true, "awaitPromise": true}, &got)
	if got.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", script, got.ExceptionDetails)
	}
	if err := json.Unmarshal(got.Result.Value, into); err != nil {
		b.t.Fatalf("%s: %v", script, err)
	}
}

// open shows a file and waits until it is complete, with its fonts and pictures.
func (b *browser) open(path string) {
	b.t.Helper()
	b.mu.Lock()
	b.events = nil
	b.mu.Unlock()
	b.do("Page.navigate", map[string]any{"url": (&url.URL{Scheme: "file", Path: path}).String()}, nil)
	var done bool
	b.eval(`new Promise(done => { const ready = () => document.fonts.ready.then(() => done(location.protocol === "file:")); document.readyState === "complete" ? ready() : addEventListener("load", ready) })`, &done)
	if !done {
		b.t.Fatal("the page was not shown")
	}
}

func (b *browser) look(width, height int, scheme string, phone bool) {
	b.do("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}, nil)
	b.do("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// keep writes a picture of the whole page where SYSPREP_SHOTS says.
func (b *browser) keep(name string) {
	folder := os.Getenv("SYSPREP_SHOTS")
	if folder == "" {
		return
	}
	var shot struct{ Data string }
	b.do("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &shot)
	b.write(filepath.Join(folder, name), shot.Data)
}

func (b *browser) write(path, encoded string) {
	content, err := base64.StdEncoding.DecodeString(encoded)
	if err == nil {
		err = os.WriteFile(path, content, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// measured is a page as it lies in its window.
type measured struct {
	ScrollWidth, ClientWidth, Height float64
	Outside                          []string // elements that end beyond the window
	Pale                             []string // texts that can hardly be read on what is behind them
	Small                            []string // texts of less than 12 pixels
	Pictures                         int      // those that are shown
	Words                            int
}

// measure has the contrast of WCAG 2.2, 1.4.3: 4.5 to 1 for texts of usual size.
const measure = `(() => {
  const out = { scrollWidth: document.documentElement.scrollWidth, clientWidth: document.documentElement.clientWidth, height: document.documentElement.scrollHeight, outside: [], pale: [], small: [], pictures: 0, words: document.body.innerText.split(/\s+/).length };
  const rgb = c => (c.match(/[\d.]+/g) || []).map(Number);
  const light = c => { const [r, g, b] = c.map(v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  for (const e of document.body.querySelectorAll("*")) {
    const box = e.getBoundingClientRect(), style = getComputedStyle(e);
    const what = e.tagName + "." + e.className + ": " + e.innerText.slice(0, 40);
    if (!box.width || style.position === "absolute" && e.tagName === "THEAD" || e.closest("thead") && getComputedStyle(e.closest("thead")).position === "absolute") continue;
    if (box.right > out.clientWidth + 0.5 || box.left < -0.5 || e.scrollWidth > e.clientWidth + 1 && style.display !== "inline" && e.clientWidth) out.outside.push(what);
    if (e.tagName === "IMG" && e.complete && e.naturalWidth > 0) out.pictures++;
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    let back = e, ground = [];
    while (back && (ground = rgb(getComputedStyle(back).backgroundColor), ground.length < 3 || ground[3] === 0)) back = back.parentElement;
    const a = light(rgb(style.color)), b = light(back ? ground : [255, 255, 255]);
    if ((Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5) out.pale.push(what);
    if (parseFloat(style.fontSize) < 12) out.small.push(what);
  }
  return out;
})()`

var pdfPage = regexp.MustCompile(`/Type\s*/Page\b[^s]`)

func TestThePageInABrowser(t *testing.T) {
	b := startBrowser(t)
	hostile := badRun().Each(func(s string) string {
		if len(s) > 20 { // words that mean something stay
			return hostileText + strings.Repeat("W", 300) + s
		}
		return s
	})
	for name, run := range map[string]report.Run{"good": goodRun(), "bad": badRun(), "hostile": hostile} {
		path := filepath.Join(t.TempDir(), "a report of "+name+".html")
		if err := os.WriteFile(path, []byte(rendered(t, HTML, run)), 0o644); err != nil {
			t.Fatal(err)
		}
		b.look(1280, 800, "light", false)
		b.open(path)
		pictures := 0
		if run.Picture != nil {
			pictures = 1
		}
		for _, look := range []struct {
			name   string
			width  int
			scheme string
			phone  bool
		}{{"desktop", 1280, "light", false}, {"dark", 1280, "dark", false}, {"phone", 390, "light", true}, {"dark-phone", 390, "dark", true}, {"narrow", 320, "light", true}} {
			b.look(look.width, 844, look.scheme, look.phone)
			var m measured
			b.eval(measure, &m)
			where := name + ", " + look.name
			if m.ClientWidth != float64(look.width) || m.ScrollWidth > m.ClientWidth {
				t.Errorf("%s: %v wide in a window of %v (%d were asked for)", where, m.ScrollWidth, m.ClientWidth, look.width)
			}
			if len(m.Outside) > 0 || len(m.Pale) > 0 || len(m.Small) > 0 {
				t.Errorf("%s: beyond the window %q, pale %q, small %q", where, m.Outside, m.Pale, m.Small)
			}
			if m.Pictures != pictures || m.Words < 60 {
				t.Errorf("%s: %d pictures, %d words", where, m.Pictures, m.Words)
			}
			b.keep(name + "-" + look.name + ".png")
		}
		b.print(name)
		// The page itself is the one thing that was asked for; data: is no request.
		for _, e := range b.seen("Network.requestWillBeSent") {
			var p struct {
				Request struct{ URL string }
			}
			if err := json.Unmarshal(e.Params, &p); err != nil || !strings.HasPrefix(p.Request.URL, "data:") && !strings.HasPrefix(p.Request.URL, "file:") || strings.HasPrefix(p.Request.URL, "file:") && !strings.Contains(p.Request.URL, "report%20of") {
				t.Errorf("%s: asked for %.200s, %v", name, e.Params, err)
			}
		}
		for _, e := range b.seen("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Page.javascriptDialogOpening", "Page.downloadWillBegin") {
			t.Errorf("%s: %s: %.400s", name, e.Method, e.Params)
		}
		if n := len(b.seen("Network.requestWillBeSent")); n == 0 {
			t.Errorf("%s: no request was seen, so that none can be found", name)
		}
	}
}

// print makes a PDF of the page and counts its sheets.
func (b *browser) print(name string) {
	b.t.Helper()
	var pdf struct{ Data string }
	b.do("Page.printToPDF", map[string]any{"preferCSSPageSize": true, "printBackground": false}, &pdf)
	content, err := base64.StdEncoding.DecodeString(pdf.Data)
	if err != nil || !bytes.HasPrefix(content, []byte("%PDF-")) {
		b.t.Fatalf("%s: no PDF: %v", name, err)
	}
	if n := len(pdfPage.FindAll(content, -1)); n < 1 || n > 60 {
		b.t.Errorf("%s: the PDF has %d pages", name, n)
	}
	if folder := os.Getenv("SYSPREP_SHOTS"); folder != "" {
		b.write(filepath.Join(folder, name+".pdf"), pdf.Data)
	}
	// What is folded on the screen is on paper.
	b.do("Emulation.setEmulatedMedia", map[string]any{"media": "print"}, nil)
	var folded string
	b.eval(`(() => { const d = document.querySelector("details dl"); return d ? String(d.getBoundingClientRect().height > 0 && d.checkVisibility()) : "none" })()`, &folded)
	if folded != "true" {
		b.t.Errorf("%s: facts on paper: %s", name, folded)
	}
	b.do("Emulation.setEmulatedMedia", map[string]any{"media": ""}, nil)
}
