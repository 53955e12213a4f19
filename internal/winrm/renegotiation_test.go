package winrm

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// transcript is what a program says.
type transcript struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text.Write(p)
	close(t.changed)
	t.changed = make(chan struct{})
	return len(p), nil
}

// has waits until the program has said something.
func (t *transcript) has(ctx context.Context, what string) error {
	for {
		t.mu.Lock()
		found, changed := strings.Contains(t.text.String(), what), t.changed
		t.mu.Unlock()
		if found {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("it does not say %q: %w", what, ctx.Err())
		}
	}
}

// keyPair writes a certificate and its key as PEM.
func keyPair(t *testing.T, c tls.Certificate) string {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pair.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	for _, der := range c.Certificate {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestACertificateIsGivenWhenItIsAskedForLate lets OpenSSL do what HTTP.sys does:
// ask for the client's certificate by renegotiation once it has the request
// (masterzen/winrm#102).
func TestACertificateIsGivenWhenItIsAskedForLate(t *testing.T) {
	openssl := testutil.Tool(t, "openssl")
	if version, err := exec.Command(openssl, "version").Output(); err != nil || !bytes.HasPrefix(version, []byte("OpenSSL ")) {
		testutil.Missing(t, fmt.Sprintf("openssl is %s, not OpenSSL: %v", bytes.TrimSpace(version), err))
	}
	its, mine := issue(t, nil), issue(t, func(c *x509.Certificate) {
		c.Subject.CommonName, c.ExtKeyUsage = "late-certificate", []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
	host, port := split(t, testutil.FreeAddr(t))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, openssl, "s_server", "-accept", net.JoinHostPort(host, strconv.Itoa(port)), "-cert", keyPair(t, its.certificate), "-key", keyPair(t, its.certificate), "-tls1_2")
	said := &transcript{changed: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = said, said
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = cmd.Wait() // it was killed
	}()
	if err := said.has(ctx, "ACCEPT"); err != nil {
		t.Fatalf("%v:\n%s", err, said.text.String())
	}
	answered := make(chan error, 1)
	go func() {
		answered <- func() error {
			if err := said.has(ctx, "wsmid:Identify/>"); err != nil {
				return err
			}
			if _, err := io.WriteString(in, "R\n"); err != nil { // ask for the certificate
				return err
			}
			if err := said.has(ctx, "late-certificate"); err != nil {
				return err
			}
			_, err := io.WriteString(in, answering("200 OK", "", enveloped(`<i:IdentifyResponse xmlns:i="`+nsIdentity+`"><i:ProductVendor>late</i:ProductVendor></i:IdentifyResponse>`)))
			return err
		}()
	}()
	c, err := New(Config{Host: host, Port: port, TLS: &TLS{CA: its.ca}, Auth: AuthCertificate, Certificate: &mine.certificate})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	id, err := c.Login(ctx)
	if err != nil || id.Vendor != "late" {
		t.Errorf("%+v, %v", id, err)
	}
	if err := <-answered; err != nil {
		t.Errorf("%v:\n%s", err, said.text.String())
	}
}
