package winrm

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// raw answers every request with a text, whatever was asked.
func raw(t *testing.T, text string) (host string, port int) {
	t.Helper()
	return listener(t, func(c net.Conn) {
		defer c.Close()
		r := bufio.NewReader(c)
		for {
			request, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, request.Body)
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
		}
	})
}

func answering(status, header, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s", status, len(body), header, body)
}

func enveloped(body string) string {
	return `<s:Envelope xmlns:s="` + nsSOAP + `" xmlns:rsp="` + nsShell + `"><s:Body>` + body + `</s:Body></s:Envelope>`
}

// TestWhatIsNoAnswerHasItsName lets a service answer with anything but what
// was asked for.
func TestWhatIsNoAnswerHasItsName(t *testing.T) {
	huge := strings.Repeat("x", 700_000)
	for name, test := range map[string]struct{ answer, want string }{
		"SSH":                    {"SSH-2.0-x\r\n\r\n", "not WinRM"},
		"a page":                 {answering("200 OK", "", "<html><body>hello"), "not WinRM"},
		"a well-formed page":     {answering("200 OK", "", "<html></html>"), "not WinRM"},
		"nothing":                {answering("200 OK", "", ""), "not WinRM"},
		"another answer":         {answering("200 OK", "", enveloped("<x/>")), "not WinRM"},
		"no shell in it":         {answering("200 OK", "", enveloped("<rsp:Shell/>")), "not WinRM"},
		"a redirection":          {answering("301 Moved", "Location: http://x/\r\n", ""), "not WinRM"},
		"not found":              {answering("404 Not Found", "", ""), "not WinRM"},
		"a proxy's error":        {answering("502 Bad Gateway", "", "no"), "not WinRM"},
		"500 without a fault":    {answering("500 Oh", "", ""), "not WinRM"},
		"500 with an answer":     {answering("500 Oh", "", enveloped("<rsp:Shell><rsp:ShellId>1</rsp:ShellId></rsp:Shell>")), "not WinRM"},
		"403":                    {answering("403 Forbidden", "", ""), "access denied"},
		"413":                    {answering("413 Too Large", "", ""), "too large"},
		"503":                    {answering("503 Unavailable", "", ""), "unavailable"},
		"401":                    {answering("401 No", "WWW-Authenticate: Basic\r\n", ""), "unauthorized"},
		"401 and nothing":        {answering("401 No", "", ""), "unauthorized"},
		"401 without Basic":      {answering("401 No", "WWW-Authenticate: Kerberos\r\n", ""), "not offered"},
		"a document type":        {answering("200 OK", "", `<!DOCTYPE x [<!ENTITY a "b">]>`+enveloped("")), "not WinRM"},
		"an instruction":         {answering("200 OK", "", `<?x y?>`+enveloped("")), "not WinRM"},
		"deep":                   {answering("200 OK", "", enveloped(strings.Repeat("<x>", 1000)+strings.Repeat("</x>", 1000))), "not WinRM"},
		"more than was asked":    {answering("200 OK", "", huge), "too large"},
		"less than it says":      {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nabc", "body deadline"},
		"a head without end":     {"HTTP/1.1 200 OK\r\nX: " + huge, "EOF"},
		"continue for ever":      {strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 10_000), "not WinRM"},
		"continue once":          {"HTTP/1.1 100 Continue\r\n\r\n" + answering("503 Unavailable", "", ""), "unavailable"},
		"a fault without detail": {answering("500 Oh", "", enveloped("<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>w:AccessDenied</s:Value></s:Subcode></s:Code></s:Fault>")), "access denied"},
		"a fault with a sign":    {answering("500 Oh", "", enveloped(`<s:Fault><s:Detail><f:WSManFault xmlns:f="`+nsFault+`" Code="-2147024891"/></s:Detail></s:Fault>`)), "access denied"},
		"a fault in a 400":       {answering("400 Oh", "", enveloped(`<s:Fault><s:Detail><f:WSManFault xmlns:f="`+nsFault+`" Code="5"/></s:Detail></s:Fault>`)), "access denied"},
		"shell by its selector": {answering("200 OK", "", enveloped(`<x:ResourceCreated xmlns:x="`+nsTransfer+`"><a:ReferenceParameters xmlns:a="`+nsAddress+`"><w:SelectorSet xmlns:w="`+nsWSMan+
			`"><w:Selector Name="ShellId"> 1 </w:Selector></w:SelectorSet></a:ReferenceParameters></x:ResourceCreated>`)), "ok"},
	} {
		t.Run(name, func(t *testing.T) {
			host, port := raw(t, test.answer)
			c, err := New(Config{Host: host, Port: port, User: "u", Auth: AuthBasic, AllowUnencrypted: true, Limits: short})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			shell, err := c.OpenShell(t.Context(), ShellOptions{})
			if got := outcome(err); got != test.want {
				t.Errorf("got %q, want %q: %.300v", got, test.want, err)
			}
			if err == nil && shell.ID() != "1" {
				t.Errorf("shell %q", shell.ID())
			}
			if err != nil && (len(err.Error()) > 700 || strings.Contains(err.Error(), "\n")) {
				t.Errorf("the error is no line: %.1000q", err)
			}
		})
	}
}

// TestOutputThatIsNoneEndsTheCommand answers Receive with anything.
func TestOutputThatIsNoneEndsTheCommand(t *testing.T) {
	state := `<rsp:CommandState State="` + nsShell + `/CommandState/Done">`
	for name, body := range map[string]string{
		"another answer":   "<x/>",
		"no base64":        `<rsp:ReceiveResponse><rsp:Stream Name="stdout">*</rsp:Stream></rsp:ReceiveResponse>`,
		"another stream":   `<rsp:ReceiveResponse><rsp:Stream Name="pr">AA==</rsp:Stream></rsp:ReceiveResponse>`,
		"another command":  `<rsp:ReceiveResponse><rsp:Stream Name="stdout" CommandId="2">AA==</rsp:Stream></rsp:ReceiveResponse>`,
		"no exit code":     `<rsp:ReceiveResponse>` + state + `</rsp:CommandState></rsp:ReceiveResponse>`,
		"no number":        `<rsp:ReceiveResponse>` + state + `<rsp:ExitCode>x</rsp:ExitCode></rsp:CommandState></rsp:ReceiveResponse>`,
		"too large number": `<rsp:ReceiveResponse>` + state + `<rsp:ExitCode>4294967296</rsp:ExitCode></rsp:CommandState></rsp:ReceiveResponse>`,
	} {
		r, err := parseReply([]byte(enveloped(body)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if out, err := r.output("1"); err == nil {
			t.Errorf("%s: %+v", name, out)
		}
	}
	for text, want := range map[string]int{"0": 0, " 7 ": 7, "-1073741502": -1073741502, "3221225794": -1073741502} {
		r, err := parseReply([]byte(enveloped(`<rsp:ReceiveResponse>` + state + `<rsp:ExitCode>` + text + `</rsp:ExitCode></rsp:CommandState></rsp:ReceiveResponse>`)))
		if err != nil {
			t.Fatal(err)
		}
		if out, err := r.output("1"); err != nil || !out.done || out.code != want {
			t.Errorf("exit code %s: %+v, %v", text, out, err)
		}
	}
}

// challengeBytes is a CHALLENGE_MESSAGE with flags and no target.
func challengeBytes(flags uint32) []byte {
	m := append([]byte("NTLMSSP\x00\x02\x00\x00\x00"), make([]byte, 44)...)
	binary.LittleEndian.PutUint32(m[20:], flags)
	return m
}

func challenge(flags uint32) string {
	return "WWW-Authenticate: Negotiate " + base64.StdEncoding.EncodeToString(challengeBytes(flags)) + "\r\n"
}

// TestNothingIsSentThatIsNotSealed meets a service, or somebody on the way, that
// grants no seal or a weak one.
func TestNothingIsSentThatIsNotSealed(t *testing.T) {
	const unicode = 0x1
	for name, flags := range map[string]uint32{"no seal": sealFlags &^ 0x20, "56 bits": sealFlags &^ 0x20000000, "no session security": sealFlags &^ 0x80000, "no key exchange": sealFlags &^ 0x40000000} {
		host, port := raw(t, answering("401 No", challenge(flags|unicode), ""))
		c, err := New(Config{Host: host, Port: port, User: "u", Auth: AuthNTLM, Limits: short})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Login(t.Context()); outcome(err) != "not offered" || !errors.Is(err, errNoSeal) {
			t.Errorf("%s: %v", name, err)
		}
		c.Close()
	}
	for name, test := range map[string]struct{ answer, want string }{
		"no challenge":         {answering("401 No", "WWW-Authenticate: Basic\r\n", ""), "not offered"},
		"a login is not asked": {answering("200 OK", "", enveloped("")), "not WinRM"},
		"garbage":              {answering("401 No", "WWW-Authenticate: Negotiate AAAA\r\n", ""), "not offered"},
		"no base64":            {answering("401 No", "WWW-Authenticate: Negotiate *\r\n", ""), "not offered"},
		"it closes":            {answering("401 No", "Connection: close\r\n"+challenge(sealFlags|unicode), ""), "not WinRM"},
	} {
		host, port := raw(t, test.answer)
		c, err := New(Config{Host: host, Port: port, User: "u", Auth: AuthNTLM, Limits: short})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Login(t.Context()); outcome(err) != test.want {
			t.Errorf("%s: %v", name, err)
		}
		c.Close()
	}
}

// TestAGuestThatOffersOnlyWhatIsNotSpoken says what it offers, and what to do.
func TestAGuestThatOffersOnlyWhatIsNotSpoken(t *testing.T) {
	const allow = `allow NTLM in the guest (winrm set winrm/config/service/auth @{Negotiate="true"}), or Basic and use it over TLS`
	for name, test := range map[string]struct {
		offers []string
		auth   Auth
		parts  []string
	}{
		"Kerberos":                {[]string{"Kerberos"}, AuthNegotiate, []string{"it offers Kerberos; Kerberos and CredSSP are not spoken", allow}},
		"Kerberos for NTLM":       {[]string{"Kerberos"}, AuthNTLM, []string{"it offers Kerberos; Kerberos and CredSSP are not spoken", allow}},
		"Kerberos for Basic":      {[]string{"Kerberos"}, AuthBasic, []string{"it offers Kerberos; Kerberos and CredSSP are not spoken", allow}},
		"CredSSP":                 {[]string{"CredSSP"}, AuthNegotiate, []string{"it offers CredSSP; Kerberos and CredSSP are not spoken", allow}},
		"both":                    {[]string{"Kerberos", "CredSSP"}, AuthNegotiate, []string{"it offers Kerberos, CredSSP; Kerberos and CredSSP are not spoken", allow}},
		"Negotiate without NTLM":  {[]string{"Negotiate", "Kerberos"}, AuthNegotiate, []string{"no challenge came; it offers Negotiate, Kerberos", "Kerberos only, which is not spoken", "Restrict NTLM"}},
		"Negotiate in Kerberos's": {[]string{"Negotiate", "Kerberos"}, AuthNTLM, []string{"no challenge came; it offers Negotiate, Kerberos", "Kerberos only, which is not spoken", "Restrict NTLM"}},
		"Negotiate for Basic":     {[]string{"Negotiate", "Kerberos"}, AuthBasic, []string{"it offers Negotiate, Kerberos"}},
		"Basic in the clear":      {[]string{"Basic", "Kerberos"}, AuthNegotiate, []string{"it offers Basic, Kerberos; Basic over HTTP sends the password in the clear: use TLS"}},
		"nothing":                 {nil, AuthNegotiate, []string{"it offers nothing"}},
	} {
		t.Run(name, func(t *testing.T) {
			header := ""
			for _, scheme := range test.offers {
				header += "WWW-Authenticate: " + scheme + "\r\n"
			}
			host, port := raw(t, answering("401 No", header, ""))
			c, err := New(Config{Host: host, Port: port, User: "u", Password: NewSecret(testPassword), Auth: test.auth, AllowUnencrypted: test.auth == AuthBasic, Limits: short})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, err = c.Login(t.Context())
			if outcome(err) != "not offered" || strings.Contains(err.Error(), "...") {
				t.Errorf("got %v", err)
			}
			for _, part := range test.parts {
				if err != nil && !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in: %v", part, err)
				}
			}
			if _, shell := c.OpenShell(t.Context(), ShellOptions{}); outcome(shell) != "not offered" {
				t.Errorf("a shell: %v", shell)
			}
		})
	}
}

// spoiler changes what comes from the guest, once told to.
type spoiler struct {
	net.Conn
	change func([]byte)
}

func (s *spoiler) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	s.change(p[:n])
	return n, err
}

// TestASealThatIsBrokenIsNotBelieved changes sealed answers on the way.
func TestASealThatIsBrokenIsNotBelieved(t *testing.T) {
	for name, change := range map[string]func([]byte){
		"a bit":     func(b []byte) { b[len(b)-len(boundary)-20] ^= 1 },
		"its MIME":  func(b []byte) { copy(b, strings.ReplaceAll(string(b), "octet-stream", "octet-strEam")) },
		"its kind":  func(b []byte) { copy(b, strings.ReplaceAll(string(b), "multipart/encrypted", "multipart/encryptex")) },
		"unchanged": func([]byte) {},
	} {
		g := start(t, honest(), nil)
		spoil := false
		c := g.client(func(c *Config) {
			c.Auth = AuthNTLM
			c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, address)
				return &spoiler{conn, func(b []byte) {
					if spoil && len(b) > 500 {
						change(b)
					}
				}}, err
			}
		})
		shell := g.shell(c)
		spoil = true
		_, err := shell.Run(t.Context(), Command{Line: "exit 0"})
		if want := map[bool]string{true: "ok", false: "not WinRM?"}[name == "unchanged"]; outcome(err) != want {
			t.Errorf("%s: %v", name, err)
		}
		if want := "answers a sealed request in the clear"; name == "its kind" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSealsAreCutWhereTheySayTheyEnd(t *testing.T) {
	part := func(length int, data string) string {
		return fmt.Sprintf("%s\r\n\tContent-Type: application/HTTP-SPNEGO-session-encrypted\r\n\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=%d\r\n%s\r\n\t%s\x10\x00\x00\x00%s%s",
			boundary, length, boundary, octets, strings.Repeat("s", 16), data)
	}
	const tricky = "x" + boundary + "--\r\n" + octets
	sealed, signature, rest, err := cutSealed([]byte(part(len(tricky), tricky) + part(1, "y") + boundary + "--\r\n"))
	if err != nil || string(sealed) != tricky || string(signature) != strings.Repeat("s", 16) || !strings.HasPrefix(string(rest), boundary+"\r\n") {
		t.Errorf("%q, %q, %q, %v", sealed, signature, rest, err)
	}
	if sealed, _, rest, err = cutSealed(rest); err != nil || string(sealed) != "y" || string(rest) != boundary+"--\r\n" {
		t.Errorf("%q, %q, %v", sealed, rest, err)
	}
	for _, bad := range []string{"", part(2, "y"), part(-1, "y"), part(0, "y"), "Length=1\r\n" + octets, strings.ReplaceAll(part(1, "y")+boundary+"--", "\x10", "\x11")} {
		if _, _, _, err := cutSealed([]byte(bad)); !errors.Is(err, errSeal) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestAnEarlyAnswerIsHeard(t *testing.T) {
	host, port := listener(t, func(c net.Conn) {
		_, _ = io.ReadFull(c, make([]byte, 100)) // and no more
		_, _ = io.WriteString(c, answering("413 Too Large", "Connection: close\r\n", ""))
		time.Sleep(50 * time.Millisecond)
		c.Close()
	})
	c, err := New(Config{Host: host, Port: port, User: "u", Auth: AuthBasic, AllowUnencrypted: true, Limits: quick})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.OpenShell(t.Context(), ShellOptions{}); outcome(err) != "too large" {
		t.Errorf("got %v", err)
	}
}
