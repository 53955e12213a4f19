//go:build release

package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// codeHost stands in for the hosts that Packer 1.15 takes plugins from. Their names are fixed
// in Packer (packer/plugin-getter); it is reached as a proxy, with a certificate of its own.
type codeHost struct {
	proxy       string // address for HTTPS_PROXY
	certificate string // file for SSL_CERT_FILE
	files       string // a folder with the files of the release

	mu    sync.Mutex
	asked []string // host and path of every request
}

const (
	apiHost   = "api.github.com"
	filesHost = "github.com"
	// Packer asks HashiCorp's own site first, and goes on where it has nothing.
	releasesHost = "releases.hashicorp.com"
)

// startHost serves the release in the folder under its tag, until the test ends.
func startHost(t *testing.T, files, version string) *codeHost {
	t.Helper()
	h := &codeHost{files: files}
	certificate := h.newCertificate(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.proxy = "http://" + listener.Addr().String()
	inner := &oneByOne{conns: make(chan net.Conn), closed: make(chan struct{})}
	site := &http.Server{Handler: h.site(version), ReadHeaderTimeout: time.Minute}
	proxy := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, port, _ := net.SplitHostPort(r.Host)
		if r.Method != http.MethodConnect || port != "443" || !slices.Contains([]string{apiHost, filesHost, releasesHost}, host) {
			h.note("refused: " + r.Method + " " + r.Host)
			http.Error(w, "not in this test", http.StatusForbidden)
			return
		}
		// Taken over before the answer: once that is out, the first byte of TLS may come, and
		// the server, which looks out for it, would keep it.
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
			conn.Close()
			return
		}
		inner.give(tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}))
	})}
	var running sync.WaitGroup
	running.Go(func() { proxy.Serve(listener) })
	running.Go(func() { site.Serve(inner) })
	t.Cleanup(func() {
		proxy.Close()
		site.Close()
		running.Wait()
	})
	return h
}

// site answers as the three hosts do.
func (h *codeHost) site(version string) http.Handler {
	repository := "packer-plugin-sysprep/packer-plugin-sysprep"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+apiHost+"/repos/"+repository+"/git/matching-refs/tags", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode([]map[string]string{{"ref": "refs/tags/v" + version}})
	})
	mux.Handle("GET "+filesHost+"/"+repository+"/releases/download/v"+version+"/",
		http.StripPrefix("/"+repository+"/releases/download/v"+version+"/", http.FileServer(http.Dir(h.files))))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.note(r.Host + r.URL.Path)
		mux.ServeHTTP(w, r)
	})
}

func (h *codeHost) note(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, what)
}

// requests are those since the last call.
func (h *codeHost) requests() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	asked := h.asked
	h.asked = nil
	return asked
}

// env makes Packer find the host, and nothing but the host.
func (h *codeHost) env(plugins, home string) []string {
	return append(os.Environ(),
		"HTTPS_PROXY="+h.proxy, "HTTP_PROXY="+h.proxy, "https_proxy=", "http_proxy=", "NO_PROXY=", "no_proxy=", "SSL_CERT_FILE="+h.certificate, "SSL_CERT_DIR="+home,
		"PACKER_PLUGIN_PATH="+plugins, "HOME="+home, "PACKER_CONFIG_DIR="+home, "PACKER_CACHE_DIR="+filepath.Join(home, "cache"),
		"CHECKPOINT_DISABLE=1", "PACKER_NO_COLOR=1", "PACKER_GITHUB_API_TOKEN=")
}

func (h *codeHost) newCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "release-check"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		DNSNames: []string{apiHost, filesHost, releasesHost},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	h.certificate = filepath.Join(t.TempDir(), "certificate.pem")
	var text bytes.Buffer
	if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.certificate, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// oneByOne is a listener whose connections come from the proxy.
type oneByOne struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *oneByOne) give(c net.Conn) {
	select {
	case l.conns <- c:
	case <-l.closed:
		c.Close()
	}
}

func (l *oneByOne) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, errors.Join(net.ErrClosed, io.EOF)
	}
}

func (l *oneByOne) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *oneByOne) Addr() net.Addr { return &net.TCPAddr{} }
