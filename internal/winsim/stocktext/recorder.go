package stocktext

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf16"

	"github.com/masterzen/winrm"
	"github.com/masterzen/winrm/soap"
)

// recorder is a transport for the WinRM client that answers by itself: every
// command ends at once with exit code 0 and the given output.
type recorder struct {
	output string
	mu     sync.Mutex
	lines  []string
}

// Transport is part of winrm.Transporter.
func (r *recorder) Transport(*winrm.Endpoint) error { return nil }

// Post is part of winrm.Transporter.
func (r *recorder) Post(_ *winrm.Client, m *soap.SoapMessage) (string, error) {
	var request struct {
		Action    string   `xml:"Header>Action"`
		Command   string   `xml:"Body>CommandLine>Command"`
		Arguments []string `xml:"Body>CommandLine>Arguments"`
	}
	if err := xml.Unmarshal([]byte(m.String()), &request); err != nil {
		return "", fmt.Errorf("recording: %w", err)
	}
	const shell = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
	body := ""
	switch request.Action[strings.LastIndexByte(request.Action, '/')+1:] {
	case "Create":
		body = `<rsp:ShellId>1</rsp:ShellId>`
	case "Command":
		r.mu.Lock()
		r.lines = append(r.lines, strings.Join(append([]string{request.Command}, request.Arguments...), " "))
		r.mu.Unlock()
		body = `<rsp:CommandId>1</rsp:CommandId>`
	case "Receive":
		body = `<rsp:ReceiveResponse><rsp:Stream Name="stdout" CommandId="1">` + base64.StdEncoding.EncodeToString([]byte(r.output)) +
			`</rsp:Stream><rsp:CommandState CommandId="1" State="` + shell + `/CommandState/Done"><rsp:ExitCode>0</rsp:ExitCode></rsp:CommandState></rsp:ReceiveResponse>`
	}
	return `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:rsp="` + shell +
		`"><s:Header><a:Action>` + request.Action + `Response</a:Action></s:Header><s:Body>` + body + `</s:Body></s:Envelope>`, nil
}

func (r *recorder) taken() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.lines...)
}

var errEncoding = errors.New("not properly encoded")

// DecodeCommand returns the script of -EncodedCommand: base64 of UTF-16LE.
func DecodeCommand(s string) (string, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b)%2 != 0 {
		return "", errEncoding
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = uint16(b[2*i]) | uint16(b[2*i+1])<<8
	}
	return string(utf16.Decode(units)), nil
}

// encoded returns the script of a line `powershell.exe -EncodedCommand …`.
func encoded(line string) (string, bool) {
	rest, ok := strings.CutPrefix(line, "powershell.exe -EncodedCommand ")
	if !ok {
		return "", false
	}
	script, err := DecodeCommand(rest)
	return script, err == nil
}
