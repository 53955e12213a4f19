package vhd

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

// shellCreated is the part of MS-WSMV's CreateResponse that the client reads.
const shellCreated = `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" ` +
	`xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:rsp="http://schemas.microsoft.com/wbem/wsman/1/windows/shell">` +
	`<s:Header><a:Action>http://schemas.xmlsoap.org/ws/2004/09/transfer/CreateResponse</a:Action></s:Header><s:Body><rsp:Shell><rsp:ShellId>1</rsp:ShellId></rsp:Shell>` +
	`<w:SelectorSet><w:Selector Name="ShellId">1</w:Selector></w:SelectorSet></s:Body></s:Envelope>`

func TestLoginTellsAWrongPasswordFromAnotherFailure(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	for _, c := range []struct {
		name    string
		serve   http.HandlerFunc
		ntlm    bool
		ok      bool
		refused bool
	}{
		{name: "taken", ok: true, serve: func(w http.ResponseWriter, r *http.Request) {
			if user, password, ok := r.BasicAuth(); !ok || user != "Administrator" || password != "secret" {
				t.Errorf("got %q %v", user, ok)
			}
			w.Header().Set("Content-Type", "application/soap+xml")
			_, _ = io.WriteString(w, shellCreated)
		}},
		{name: "refused", refused: true, serve: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }},
		{name: "refused with NTLM", ntlm: true, refused: true, serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", "Negotiate")
			w.WriteHeader(http.StatusUnauthorized)
		}},
		{name: "another service", serve: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }},
		{name: "silent", serve: func(http.ResponseWriter, *http.Request) { <-hang }},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(c.serve)
			defer server.CloseClientConnections()
			address, err := url.Parse(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			port, _ := strconv.Atoi(address.Port())
			b := newBench(t, map[string]any{"winrm_use_ntlm": c.ntlm})
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			err = login(ctx, b.run, hypervisor.Endpoint{Host: address.Hostname(), Port: port})
			if (err == nil) != c.ok || errors.Is(err, errRefused) != c.refused {
				t.Errorf("got %v", err)
			}
		})
	}
}
