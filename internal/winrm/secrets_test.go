package winrm

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"golang.org/x/crypto/md4" //nolint:staticcheck // NTLM is made of it (MS-NLMP 3.3)

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// forms are the ways in which a text may stand somewhere: as it is, in UTF-16,
// and as the hash that NTLM makes of a password, each in bytes, in hexadecimal
// digits, and in base64 wherever that begins.
func forms(text string) map[string][]byte {
	var wide []byte
	for _, u := range utf16.Encode([]rune(text)) {
		wide = binary.LittleEndian.AppendUint16(wide, u)
	}
	hash := md4.New()
	hash.Write(wide)
	all := map[string][]byte{}
	for name, b := range map[string][]byte{"plain": []byte(text), "UTF-16": wide, "NT hash": hash.Sum(nil)} {
		all[name] = b
		all[name+" in hexadecimal"] = []byte(hex.EncodeToString(b))
		all[name+" in HEXADECIMAL"] = bytes.ToUpper(all[name+" in hexadecimal"])
		for shift := range 3 {
			b64 := base64.StdEncoding.EncodeToString(append(make([]byte, shift), b...))
			// The first and last groups depend on their neighbours.
			all[fmt.Sprint(name, " in base64 at ", shift)] = []byte(b64[4 : len(b64)-len(b64)%4-4])
		}
	}
	return all
}

// shows says in what form a text stands in what is printed of a value, empty
// when in none.
func shows(value any, text string) string {
	printed := new(bytes.Buffer)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(printed, verb+"\n", value)
	}
	if b, err := json.Marshal(value); err == nil {
		printed.Write(b)
	}
	for form, b := range forms(text) {
		if bytes.Contains(printed.Bytes(), b) {
			return form
		}
	}
	return ""
}

// silence answers the beginning of a request and no more.
func silence(t *testing.T, answer string) (string, int) {
	return listener(t, func(c net.Conn) {
		defer c.Close()
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, answer)
		_, _ = io.Copy(io.Discard, c)
	})
}

func ended(t *testing.T, linger int) (string, int) {
	return listener(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_ = c.(*net.TCPConn).SetLinger(linger)
		c.Close()
	})
}

// failures makes an error of every kind, over what makes it: where it is, and how
// the settings differ.
func failures(t *testing.T) map[string]func(*Config) {
	at := func(host string, port int) func(*Config) { return func(c *Config) { c.Host, c.Port = host, port } }
	all := map[string]func(*Config){
		"silence": at(silence(t, "")), "half an answer": at(silence(t, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")),
		"FIN": at(ended(t, -1)), "RST": at(ended(t, 0)),
		"no connection in time": func(c *Config) {
			c.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, os.ErrDeadlineExceeded }
		},
		"no route": func(c *Config) {
			c.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no route") }
		},
	}
	all["nobody listens"] = at(split(t, testutil.ClosedAddr(t)))
	for code := range faultKinds {
		all[fmt.Sprint("fault ", code)] = at(raw(t, answering("500 Oh", "", enveloped(fmt.Sprintf(`<s:Fault><s:Detail><f:WSManFault xmlns:f="%s" Code="%d"/></s:Detail></s:Fault>`, nsFault, code)))))
	}
	for status, header := range map[string]string{"401 No": "WWW-Authenticate: Basic\r\nWWW-Authenticate: Negotiate\r\n", "401 Other": "WWW-Authenticate: Kerberos\r\n", "403 No": "", "413 Oh": "", "503 Oh": "", "404 Oh": ""} {
		all[status] = at(raw(t, answering(status, header, "")))
	}
	good := issue(t, nil)
	expired := issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	named := issue(t, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"other.example"} })
	for name, its := range map[string]struct {
		*identity
		tls *TLS
	}{"expired": {expired, &TLS{CA: expired.ca}}, "another name": {named, &TLS{CA: named.ca}}, "another CA": {good, &TLS{CA: named.ca}}, "another pin": {good, &TLS{Pin: named.pin}}, "no TLS": {nil, &TLS{}}} {
		g := begin(t, honest(), its.identity)
		all[name] = func(c *Config) { c.Port, c.TLS = g.port, its.tls }
	}
	return all
}

// TestNoErrorShowsThePassword makes the client fail in every way that has a name,
// and looks at what it says, prints and logs.
func TestNoErrorShowsThePassword(t *testing.T) {
	logged := new(bytes.Buffer)
	log.SetOutput(logged)
	defer log.SetOutput(os.Stderr)
	if shows(fmt.Errorf("x %w", errors.New("login with "+testPassword)), testPassword) == "" || shows(forms(testPassword)["NT hash"], testPassword) == "" {
		t.Fatal("this finds nothing")
	}
	var mu sync.Mutex
	met := map[string]bool{}
	check := func(what string, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			t.Errorf("%s: no error", what)
		}
		met[strings.TrimSuffix(outcome(err), "?")] = true
		if form := shows(err, testPassword); form != "" {
			t.Errorf("%s: the password is shown (%s): %v", what, form, err)
		}
	}
	limits := short
	limits.Connect, limits.Header, limits.Body = 5*time.Second, 100*time.Millisecond, 100*time.Millisecond
	try := func(name string, config Config) {
		c, err := New(config)
		if err != nil {
			t.Error(err)
			return
		}
		_, err = c.Login(t.Context())
		check(name, err)
		session := NewSession(c, ShellOptions{})
		_, err = session.Run(t.Context(), Command{Line: "x"})
		check(name+" for a command", err)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = c.Login(ctx)
		check("given up", err)
		for _, value := range []any{config, &config, c, session} {
			if form := shows(value, testPassword); form != "" {
				t.Errorf("%s: %T shows the password (%s)", name, value, form)
			}
		}
		c.Close()
		_, err = c.Login(t.Context())
		check("closed", err)
	}
	var all sync.WaitGroup
	for name, change := range failures(t) {
		for way, auth := range map[string]Auth{"Basic": AuthBasic, "NTLM": AuthNTLM, "Negotiate": AuthNegotiate} {
			config := Config{Host: "127.0.0.1", User: testUser, Password: NewSecret(testPassword), Auth: auth, AllowUnencrypted: true, Limits: limits}
			change(&config)
			all.Go(func() { try(name+" by "+way, config) })
		}
	}
	all.Wait()
	for _, o := range outcomes {
		// A deadline has a narrower name always.
		if !met[o.name] && o.kind != ErrDeadline {
			t.Errorf("no error was of the kind %q", o.name)
		}
	}
	if form := shows(logged.String(), testPassword); form != "" {
		t.Errorf("the log shows the password (%s)", form)
	}
}
