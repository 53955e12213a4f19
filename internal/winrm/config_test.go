package winrm

import (
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

func TestNoPrintShowsASecret(t *testing.T) {
	const password = "s3cr3t-p4ssw0rd"
	config := Config{Host: "guest", User: "u", Password: NewSecret(password), TLS: &TLS{}}
	client, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	hides := struct{ deep []map[string]Config }{[]map[string]Config{{"x": config}}}
	for _, value := range []any{config, &config, config.Password, &config.Password, hides, &hides, client, client.config, []Secret{config.Password}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%X"} {
			text := fmt.Sprintf(verb, value)
			if strings.Contains(text, password) || strings.Contains(strings.ToLower(text), fmt.Sprintf("%x", password)) {
				t.Errorf("%s of %T shows it", verb, value)
			}
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if text := fmt.Sprintf(verb, config.Password); text != hidden {
			t.Errorf("%s: %s", verb, text)
		}
	}
	if b, err := json.Marshal(map[string]any{"p": config.Password}); err != nil || string(b) != `{"p":"\u003chidden\u003e"}` {
		t.Errorf("%s, %v", b, err)
	}
	if config.Password.text() != password || (Secret{}).text() != "" {
		t.Error("it is lost")
	}
}

func TestSettingsThatAreWrongAreTold(t *testing.T) {
	good := func() Config { return Config{Host: "guest", User: "u", Auth: AuthNTLM} }
	for want, change := range map[string]func(*Config){
		"Host is empty":                      func(c *Config) { c.Host = "" },
		"Port is 70000":                      func(c *Config) { c.Port = 70000 },
		"Limits.Poll is -1s":                 func(c *Config) { c.Limits.Poll = -time.Second },
		"Limits.MaxEnvelopeSize is 100":      func(c *Config) { c.Limits.MaxEnvelopeSize = 100 },
		"Limits.Commands is -1":              func(c *Config) { c.Limits.Commands = -1 },
		"there is no User":                   func(c *Config) { c.User = "" },
		"over HTTP, Basic authentication":    func(c *Config) { c.Auth = AuthBasic },
		"the User has a colon":               func(c *Config) { c.Auth, c.User, c.TLS = AuthBasic, "a:b", &TLS{} },
		"Auth is 9":                          func(c *Config) { c.Auth = 9 },
		"a client certificate needs TLS":     func(c *Config) { c.Auth, c.Certificate = AuthCertificate, &tls.Certificate{} },
		"a client certificate needs TLS and": func(c *Config) { c.Auth, c.TLS = AuthCertificate, &TLS{} },
		"TLS.CA holds no certificate":        func(c *Config) { c.TLS = &TLS{CA: []byte("x")} },
		"TLS.Pin is no SHA-256 fingerprint":  func(c *Config) { c.TLS = &TLS{Pin: "x"} },
		"TLS.Pin is a SHA-1 thumbprint":      func(c *Config) { c.TLS = &TLS{Pin: strings.Repeat("AB", 20)} },
	} {
		c := good()
		change(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
	if _, err := New(Config{Auth: AuthBasic}); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("not everything at once: %v", err)
	}
	for port, secure := range map[int]*TLS{5985: nil, 5986: {}} {
		c := good()
		c.TLS = secure
		client, err := New(c)
		if err != nil || client.addr != fmt.Sprint("guest:", port) {
			t.Errorf("%v, %v", client, err)
		}
	}
}

func TestUsersAreReadAsWindowsWritesThem(t *testing.T) {
	// An AUTHENTICATE_MESSAGE has domain and user in UTF-16 (MS-NLMP 2.2.1.3).
	for user, want := range map[string][2]string{"vagrant": {"", "vagrant"}, `DOMAIN\u`: {"DOMAIN", "u"}, "u@example.com": {"", "u@example.com"}, `.\u`: {"", "u"}} {
		n, err := newNTLM(user, "p", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.negotiate(); err != nil {
			t.Fatal(err)
		}
		m, err := n.client.Authenticate(challengeBytes(sealFlags|1), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]string{fieldOf(m, 28), fieldOf(m, 36)}; got != want {
			t.Errorf("%s: %q", user, got)
		}
	}
}

// fieldOf is the text of a field of a message.
func fieldOf(m []byte, at int) string {
	length, offset := binary.LittleEndian.Uint16(m[at:]), binary.LittleEndian.Uint32(m[at+4:])
	var u []uint16
	for b := m[offset : offset+uint32(length)]; len(b) > 1; b = b[2:] {
		u = append(u, binary.LittleEndian.Uint16(b))
	}
	return string(utf16.Decode(u))
}
