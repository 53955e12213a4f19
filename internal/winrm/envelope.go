package winrm

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Namespaces (MS-WSMV 2.2.1).
const (
	nsSOAP     = "http://www.w3.org/2003/05/soap-envelope"
	nsAddress  = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
	nsTransfer = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
	nsWSMan    = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
	nsIdentity = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"
	nsShell    = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
	nsFault    = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"

	cmdShell = nsShell + "/cmd"
)

// request is one message to the service.
type request struct {
	name    string // Create, Command, Send, Receive, Signal, Delete
	shell   string // selector, empty for Create
	options []option
	body    string        // XML
	input   *piece        // of a Send, in place of a body
	timeout time.Duration // OperationTimeout
}

type option struct{ name, value string }

func (r *request) action() string {
	switch r.name {
	case "Create", "Delete":
		return nsTransfer + "/" + r.name
	}
	return nsShell + "/" + r.name
}

// envelope writes r (MS-WSMV 3.1.4.1) with the headers that a service needs, or
// that every client sends which is known to work. Left out are mustUnderstand
// (pywinrm and masterzen/winrm write an attribute of that name in no namespace,
// which says nothing to SOAP, and are answered), DataLocale (Windows itself did not
// send it before KB968930: note 48) and SessionId (nor it before Windows 8: note 97).
// Locale is in every message, because those of one shell have to agree (3.1.4.5.2).
func (r *request) envelope(to string, maxEnvelope int) []byte {
	var b bytes.Buffer
	b.Grow(len(r.body) + r.input.size() + 2048)
	fmt.Fprintf(&b, `<s:Envelope xmlns:s="%s" xmlns:a="%s" xmlns:w="%s"`, nsSOAP, nsAddress, nsWSMan)
	if r.body != "" || r.input != nil {
		b.WriteString(` xmlns:r="` + nsShell + `"`)
	}
	b.WriteString(`><s:Header>`)
	fmt.Fprintf(&b, `<a:To>%s</a:To><a:ReplyTo><a:Address>%s/role/anonymous</a:Address></a:ReplyTo>`, escape(to), nsAddress)
	fmt.Fprintf(&b, `<a:Action>%s</a:Action><a:MessageID>uuid:%s</a:MessageID>`, r.action(), newID())
	fmt.Fprintf(&b, `<w:ResourceURI>%s</w:ResourceURI><w:MaxEnvelopeSize>%d</w:MaxEnvelopeSize>`, cmdShell, maxEnvelope)
	fmt.Fprintf(&b, `<w:OperationTimeout>%s</w:OperationTimeout><w:Locale xml:lang="en-US"/>`, duration(r.timeout))
	if r.shell != "" {
		fmt.Fprintf(&b, `<w:SelectorSet><w:Selector Name="ShellId">%s</w:Selector></w:SelectorSet>`, escape(r.shell))
	}
	if len(r.options) > 0 {
		b.WriteString(`<w:OptionSet>`)
		for _, o := range r.options {
			fmt.Fprintf(&b, `<w:Option Name="%s">%s</w:Option>`, o.name, o.value)
		}
		b.WriteString(`</w:OptionSet>`)
	}
	b.WriteString(`</s:Header><s:Body>` + r.body)
	r.input.write(&b)
	b.WriteString(`</s:Body></s:Envelope>`)
	return b.Bytes()
}

// createBody asks for a shell (MS-WSMV 2.2.4.39 and 3.1.4.5.2).
func createBody(o ShellOptions) string {
	var b strings.Builder
	b.WriteString(`<r:Shell>`)
	if o.WorkingDirectory != "" {
		b.WriteString(`<r:WorkingDirectory>` + escape(o.WorkingDirectory) + `</r:WorkingDirectory>`)
	}
	if len(o.Env) > 0 {
		b.WriteString(`<r:Environment>`)
		for _, name := range slices.Sorted(maps.Keys(o.Env)) {
			fmt.Fprintf(&b, `<r:Variable Name="%s">%s</r:Variable>`, escape(name), escape(o.Env[name]))
		}
		b.WriteString(`</r:Environment>`)
	}
	if o.IdleTimeout > 0 {
		b.WriteString(`<r:IdleTimeOut>` + duration(o.IdleTimeout) + `</r:IdleTimeOut>`)
	}
	b.WriteString(`<r:InputStreams>stdin</r:InputStreams><r:OutputStreams>stdout stderr</r:OutputStreams></r:Shell>`)
	return b.String()
}

// commandBody starts a command (MS-WSMV 2.2.4.7).
func commandBody(line string, args []string) string {
	var b strings.Builder
	b.WriteString(`<r:CommandLine><r:Command>` + escapeText(line) + `</r:Command>`)
	for _, a := range args {
		b.WriteString(`<r:Arguments>` + escapeText(a) + `</r:Arguments>`)
	}
	b.WriteString(`</r:CommandLine>`)
	return b.String()
}

// piece is input of a command (MS-WSMV 2.2.4.38). It is encoded where it is
// written: a hundred guests at once have no room for copies.
type piece struct {
	command string
	data    []byte
	end     bool
}

func (p *piece) size() int {
	if p == nil {
		return 0
	}
	return base64.StdEncoding.EncodedLen(len(p.data))
}

func (p *piece) write(b *bytes.Buffer) {
	if p == nil {
		return
	}
	last := ""
	if p.end {
		last = ` End="true"`
	}
	b.WriteString(`<r:Send><r:Stream Name="stdin" CommandId="` + escape(p.command) + `"` + last + `>`)
	b.Write(base64.StdEncoding.AppendEncode(b.AvailableBuffer(), p.data))
	b.WriteString(`</r:Stream></r:Send>`)
}

func receiveBody(command string) string {
	return `<r:Receive><r:DesiredStream CommandId="` + escape(command) + `">stdout stderr</r:DesiredStream></r:Receive>`
}

// terminateBody ends a command, or makes the service forget one that has ended
// (MS-WSMV 3.1.4.12).
func terminateBody(command string) string {
	return `<r:Signal CommandId="` + escape(command) + `"><r:Code>` + nsShell + `/signal/terminate</r:Code></r:Signal>`
}

// duration writes an xs:duration, in milliseconds at the finest.
func duration(d time.Duration) string {
	ms := max(d.Round(time.Millisecond).Milliseconds(), 1)
	return "PT" + strconv.FormatFloat(float64(ms)/1000, 'f', -1, 64) + "S"
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder does not fail
	return b.String()
}

// escapeText is for a text between tags, where a quote is one character.
var escapeText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\t", "&#x9;", "\n", "&#xA;", "\r", "&#xD;").Replace

// inXML says whether XML can carry a text: EscapeText would put other
// characters in place of those that it cannot (XML 1.0, 2.2).
func inXML(s string) bool {
	for _, r := range s {
		if r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
			return false
		}
	}
	return utf8.ValidString(s)
}

// newID returns a random UUID in upper case, as Windows writes them.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%X-%X-%X-%X-%X", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
