package winrm

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestWhichCertificatesAreBelieved(t *testing.T) {
	good := issue(t, nil)
	expired := issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	future := issue(t, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(30 * time.Minute) })
	named := issue(t, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"other.example"} })
	colons := strings.ToLower(good.pin[:2] + ":" + good.pin[2:])
	for name, test := range map[string]struct {
		its  *identity
		tls  *TLS
		want string
	}{
		"by its CA":                   {good, &TLS{CA: good.ca}, "ok"},
		"by another CA":               {good, &TLS{CA: expired.ca}, "unknown authority"},
		"by the system":               {good, &TLS{}, "unknown authority"},
		"expired":                     {expired, &TLS{CA: expired.ca}, "expired"},
		"not yet valid":               {future, &TLS{CA: future.ca}, "expired"},
		"wrong name":                  {named, &TLS{CA: named.ca}, "wrong name"},
		"the name it has":             {named, &TLS{CA: named.ca, ServerName: "other.example"}, "ok"},
		"pinned":                      {good, &TLS{Pin: good.pin}, "ok"},
		"pinned, written with colons": {good, &TLS{Pin: colons}, "ok"},
		"pinned, whatever else":       {expired, &TLS{Pin: expired.pin}, "ok"},
		"another pin":                 {good, &TLS{Pin: named.pin}, "wrong pin"},
		"another pin, right CA":       {good, &TLS{Pin: named.pin, CA: good.ca, Insecure: true}, "wrong pin"},
		"insecure":                    {expired, &TLS{Insecure: true}, "ok"},
		"no TLS on the port":          {nil, &TLS{CA: good.ca}, "TLS"},
		"TLS on the port":             {good, nil, "not WinRM"},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, honest(), test.its)
			c := g.client(func(c *Config) { c.TLS = test.tls })
			_, err := c.Login(t.Context())
			if got := outcome(err); got != test.want {
				t.Errorf("got %q, want %q: %v", got, test.want, err)
			}
			if test.want != "ok" && test.want != "not WinRM" && !errors.Is(err, ErrTLS) {
				t.Errorf("it is none of TLS: %v", err)
			}
			t.Log(err)
		})
	}
}

// TestAClientCertificateLogsIn puts what HTTP.sys does, asking for the
// certificate and mapping it to an account, in front of the simulated service.
func TestAClientCertificateLogsIn(t *testing.T) {
	goroutines(t)
	its, mine := issue(t, nil), issue(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	s := honest()
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(mine.ca)
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) == 0 || r.Header.Get("Authorization") != "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		r.SetBasicAuth(testUser, testPassword)
		s.ServeHTTP(w, r)
	}))
	front.TLS = &tls.Config{Certificates: []tls.Certificate{its.certificate}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: trusted}
	front.StartTLS()
	defer front.Close()
	host, port := split(t, front.Listener.Addr().String())
	settings := Config{Host: host, Port: port, TLS: &TLS{CA: its.ca}, Auth: AuthCertificate, Certificate: &mine.certificate, Limits: quick}
	for want, certificate := range map[string]*tls.Certificate{"ok": &mine.certificate, "TLS": &its.certificate} {
		settings.Certificate = certificate
		c, err := New(settings)
		if err != nil {
			t.Fatal(err)
		}
		shell, err := c.OpenShell(t.Context(), ShellOptions{})
		if got := outcome(err); got != want {
			t.Errorf("got %q, want %q: %v", got, want, err)
		}
		if err == nil {
			if stdout, _, _, err := say(t.Context(), shell, "echo x", nil); stdout != "x\r\n" || err != nil {
				t.Errorf("%q, %v", stdout, err)
			}
			if err := shell.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
		c.Close()
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestChannelBindingsAreForTheCertificate(t *testing.T) {
	if b := channelBindings(nil); b != nil {
		t.Errorf("over HTTP: %v", b)
	}
	leaf, err := x509.ParseCertificate(issue(t, nil).certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for algorithm, size := range map[x509.SignatureAlgorithm]int{x509.SHA1WithRSA: 32, x509.SHA256WithRSA: 32, x509.ECDSAWithSHA384: 48, x509.SHA512WithRSA: 64, x509.PureEd25519: -1} {
		leaf.SignatureAlgorithm = algorithm
		b := channelBindings(leaf)
		if size < 0 && b != nil || size > 0 && (b == nil || len(b.ApplicationData) != len("tls-server-end-point:")+size) {
			t.Errorf("%v: %v", algorithm, b)
		}
	}
}
