package wsman

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// FuzzEnvelope sends foreign bytes to a server with a shell and a command: it
// must answer with well-formed XML, and run nothing that is not a command.
func FuzzEnvelope(f *testing.F) {
	const shellID, commandID = "AAAAAAAA-0000-4000-8000-000000000000", "BBBBBBBB-0000-4000-8000-000000000000"
	for _, m := range []message{
		{action: "Create", body: shellBody},
		{action: "Create", body: strings.Replace(shellBody, "</rsp:Shell>", `<rsp:Environment><rsp:Variable Name="a">b</rsp:Variable></rsp:Environment></rsp:Shell>`, 1)},
		{action: "Command", shell: shellID, body: commandBody("echo x"), options: `<w:Option Name="WINRS_SKIP_CMD_SHELL">TRUE</w:Option>`},
		{action: "Receive", shell: shellID, body: fmt.Sprintf(receiveBody, commandID)},
		{action: "Send", shell: shellID, body: fmt.Sprintf(sendBody, commandID, true, "YWJj")},
		{action: "Signal", shell: shellID, body: fmt.Sprintf(signalBody, commandID, "terminate")},
		{action: "Delete", shell: shellID},
		{action: "Get", resource: nsShell, shell: shellID},
	} {
		f.Add(m.xml())
	}
	f.Add(fmt.Sprintf(`<s:Envelope xmlns:s="%s"><s:Header/><s:Body><i:Identify xmlns:i="%s"/></s:Body></s:Envelope>`, nsSOAP, nsIdentity))
	f.Add(`<!DOCTYPE x><x/>`)
	f.Add("\ufeff<a/>")
	f.Fuzz(func(t *testing.T, raw string) {
		if len(raw) > 64*1024 {
			return // refused before it is read as XML
		}
		s := honest()
		s.Limits.MaxTimeoutms = time.Millisecond
		s.Limits.MaxEnvelopeSizekb = 64
		s.Handler = HandlerFunc(func(_ context.Context, p *Process) int {
			if p.Line == "" {
				t.Error("an empty command was run")
			}
			return 0
		})
		s.init()
		sh := &shell{id: shellID, user: testUser, commands: map[string]*command{}, idleTimeout: time.Hour}
		if err := s.add(sh); err != nil {
			t.Fatal(err)
		}
		c := newCommand()
		c.id, c.cancel = commandID, func() {}
		sh.commands[commandID] = c
		r := httptest.NewRequest(http.MethodPost, "/wsman", strings.NewReader(raw))
		r.Header.Set("Content-Type", "application/soap+xml")
		r.SetBasicAuth(testUser, testPassword)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != http.StatusOK && w.Code != http.StatusInternalServerError {
			t.Errorf("HTTP %d", w.Code)
		}
		if _, err := parseXML(w.Body.Bytes()); err != nil {
			t.Errorf("the reply: %v in %s", err, w.Body)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
