package wsman

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	testUser     = "vagrant"
	testPassword = "Pässw0rd!"
)

// shout is a handler that knows a few lines.
var shout = HandlerFunc(func(ctx context.Context, p *Process) int {
	word, rest, _ := strings.Cut(p.Line, " ")
	switch word {
	case "echo":
		fmt.Fprintf(p.Stdout, "%s\r\n", rest)
	case "complain":
		fmt.Fprintf(p.Stderr, "%s\r\n", rest)
		return 7
	case "cat":
		if _, err := io.Copy(p.Stdout, p.Stdin); err != nil {
			return 1
		}
	case "fill":
		n, _ := strconv.Atoi(rest)
		if _, err := p.Stdout.Write([]byte(strings.Repeat("x", n))); err != nil {
			return 1
		}
	case "wait":
		<-ctx.Done()
		return 1
	default:
		return 9009
	}
	return 0
})

// honest returns a server on which everything is allowed.
func honest() *Server {
	return &Server{Users: map[string]string{testUser: testPassword}, Basic: true, NTLM: true, AllowUnencrypted: true, Handler: shout}
}

// serve starts a server and returns its address; the end of the test closes it.
func serve(t testing.TB, s *Server, cert *tls.Certificate) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		if cert != nil {
			ended <- s.ServeTLS(l, *cert)
		} else {
			ended <- s.Serve(l)
		}
	}()
	for taken := false; !taken; runtime.Gosched() { // ClosePort works from then on
		s.Faults.mu.Lock()
		taken = len(s.Faults.listeners) > 0
		s.Faults.mu.Unlock()
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return l.Addr().(*net.TCPAddr)
}

var testCertificate = sync.OnceValues(func() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
})

func certificate(t testing.TB) *tls.Certificate {
	t.Helper()
	c, err := testCertificate()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// peer is the plainest of clients: every request is written out.
type peer struct {
	t        testing.TB
	url      string
	user     string
	password string
	client   *http.Client
}

func newPeer(t testing.TB, addr net.Addr) *peer {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &peer{t: t, url: "http://" + addr.String() + "/wsman", user: testUser, password: testPassword, client: &http.Client{Transport: tr, Timeout: 20 * time.Second}}
}

// message is a request; zero fields get what a proper client sends.
type message struct {
	action   string // last part
	resource string
	shell    string
	timeout  string
	envelope string
	options  string // XML
	headers  string // XML, added
	body     string // XML
}

func (m message) xml() string {
	def := func(v, d string) string {
		if v == "" {
			return d
		}
		return v
	}
	ns := nsShell
	switch m.action {
	case "Create", "Delete", "Get":
		ns = nsTransfer
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<s:Envelope xmlns:s="%s" xmlns:a="%s" xmlns:w="%s" xmlns:p="%s" xmlns:rsp="%s"><s:Header>`, nsSOAP, nsAddress, nsWSMan, nsMSWSMan, nsShell)
	fmt.Fprintf(&b, `<a:Action s:mustUnderstand="true">%s/%s</a:Action><a:To>http://guest:5985/wsman</a:To><a:MessageID>uuid:1</a:MessageID>`, ns, m.action)
	fmt.Fprintf(&b, `<a:ReplyTo><a:Address s:mustUnderstand="true">%s</a:Address></a:ReplyTo><w:ResourceURI>%s</w:ResourceURI>`, anonymous, def(m.resource, cmdShell))
	fmt.Fprintf(&b, `<w:MaxEnvelopeSize>%s</w:MaxEnvelopeSize><w:OperationTimeout>%s</w:OperationTimeout>`, def(m.envelope, "153600"), def(m.timeout, "PT20S"))
	if m.shell != "" {
		fmt.Fprintf(&b, `<w:SelectorSet><w:Selector Name="ShellId">%s</w:Selector></w:SelectorSet>`, m.shell)
	}
	if m.options != "" {
		fmt.Fprintf(&b, `<w:OptionSet>%s</w:OptionSet>`, m.options)
	}
	return b.String() + m.headers + `</s:Header><s:Body>` + m.body + `</s:Body></s:Envelope>`
}

// answer is a reply.
type answer struct {
	status int
	size   int
	env    *node
	code   uint32 // of the fault
}

func (a answer) body() *node { return a.env.child(nsSOAP, "Body") }

// try posts raw XML and returns the reply or the error of the connection.
func (p *peer) try(raw string) (answer, error) {
	req, err := http.NewRequest(http.MethodPost, p.url, strings.NewReader(raw))
	if err != nil {
		return answer{}, err
	}
	req.SetBasicAuth(p.user, p.password)
	req.Header.Set("Content-Type", "application/soap+xml;charset=UTF-8")
	resp, err := p.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: resp.StatusCode, size: len(b), env: &node{}}
	if len(b) > 0 {
		if a.env, err = parseXML(b); err != nil {
			return a, err
		}
	}
	f := a.body().child(nsSOAP, "Fault").child(nsSOAP, "Detail").child("http://schemas.microsoft.com/wbem/wsman/1/wsmanfault", "WSManFault")
	if c := f.attr("Code"); c != "" {
		n, err := strconv.ParseUint(c, 10, 32)
		if err != nil {
			return a, err
		}
		a.code = uint32(n)
	}
	return a, nil
}

func (p *peer) post(raw string) answer {
	p.t.Helper()
	a, err := p.try(raw)
	if err != nil {
		p.t.Fatal(err)
	}
	return a
}

func (p *peer) send(m message) answer { p.t.Helper(); return p.post(m.xml()) }

// must fails the test when the reply is a fault.
func (p *peer) must(m message) answer {
	p.t.Helper()
	a := p.send(m)
	if a.status != http.StatusOK {
		p.t.Fatalf("%s: HTTP %d, fault %d", m.action, a.status, a.code)
	}
	return a
}

// wantFault fails the test unless the reply is that fault.
func (p *peer) wantFault(m message, code uint32) {
	p.t.Helper()
	if a := p.send(m); a.status != http.StatusInternalServerError || a.code != code {
		p.t.Fatalf("%s: HTTP %d, fault %d; want 500 and %d", m.action, a.status, a.code, code)
	}
}

const (
	shellBody   = `<rsp:Shell><rsp:InputStreams>stdin</rsp:InputStreams><rsp:OutputStreams>stdout stderr</rsp:OutputStreams></rsp:Shell>`
	receiveBody = `<rsp:Receive><rsp:DesiredStream CommandId="%s">stdout stderr</rsp:DesiredStream></rsp:Receive>`
	signalBody  = `<rsp:Signal CommandId="%s"><rsp:Code>` + nsShell + `/signal/%s</rsp:Code></rsp:Signal>`
	sendBody    = `<rsp:Send><rsp:Stream Name="stdin" CommandId="%s" End="%v">%s</rsp:Stream></rsp:Send>`
)

func (p *peer) open() string {
	p.t.Helper()
	return p.must(message{action: "Create", body: shellBody}).body().child(nsShell, "Shell").child(nsShell, "ShellId").value()
}

func commandBody(line string) string {
	return `<rsp:CommandLine><rsp:Command>` + escape(line) + `</rsp:Command></rsp:CommandLine>`
}

func (p *peer) run(shell, line string) string {
	p.t.Helper()
	return p.must(message{action: "Command", shell: shell, body: commandBody(line)}).body().child(nsShell, "CommandResponse").child(nsShell, "CommandId").value()
}

func (p *peer) delete(shell string) { p.t.Helper(); p.must(message{action: "Delete", shell: shell}) }

// result is what one Receive brought.
type result struct {
	stdout, stderr string
	done           bool
	code           int
	size           int
}

func (p *peer) receive(m message, command string) result {
	p.t.Helper()
	m.action, m.body = "Receive", fmt.Sprintf(receiveBody, command)
	a := p.send(m)
	if a.code == codeTimedOut {
		return result{}
	}
	if a.status != http.StatusOK {
		p.t.Fatalf("Receive: HTTP %d, fault %d", a.status, a.code)
	}
	r := result{size: a.size}
	for _, k := range a.body().child(nsShell, "ReceiveResponse").kids {
		switch k.name.Local {
		case "Stream":
			data, err := base64.StdEncoding.DecodeString(k.value())
			if err != nil {
				p.t.Fatal(err)
			}
			if k.attr("Name") == "stdout" {
				r.stdout += string(data)
			} else {
				r.stderr += string(data)
			}
		case "CommandState":
			if r.done = strings.HasSuffix(k.attr("State"), "/Done"); r.done {
				var err error
				if r.code, err = strconv.Atoi(k.child(nsShell, "ExitCode").value()); err != nil {
					p.t.Fatal(err)
				}
			}
		}
	}
	return r
}

// finish receives until the command is done; like every client it asks again
// after a time-out.
func (p *peer) finish(shell, command string) result {
	p.t.Helper()
	var all result
	for !all.done {
		r := p.receive(message{shell: shell}, command)
		all.stdout, all.stderr, all.done, all.code = all.stdout+r.stdout, all.stderr+r.stderr, r.done, r.code
	}
	return all
}
