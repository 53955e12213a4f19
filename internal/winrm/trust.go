package winrm

import (
	"crypto"
	"crypto/sha256"
	_ "crypto/sha512" // the hashes of channel bindings
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/bodgit/ntlmssp"
)

// tlsConfig is what crypto/tls is told, nil for HTTP.
func (c *Config) tlsConfig() (*tls.Config, error) {
	if c.TLS == nil {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.TLS.ServerName}
	if t.ServerName == "" {
		t.ServerName = c.Host
	}
	if c.Auth == AuthCertificate && c.Certificate != nil { // without one check says so
		// Windows asks for the certificate by renegotiation, once it has read the
		// request; TLS 1.3 has none, and its successor is not in crypto/tls.
		t.Certificates, t.MaxVersion, t.Renegotiation = []tls.Certificate{*c.Certificate}, tls.VersionTLS12, tls.RenegotiateOnceAsClient
	}
	if len(c.TLS.CA) > 0 {
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(c.TLS.CA) {
			return nil, errors.New("TLS.CA holds no certificate: give a file in PEM")
		}
	}
	switch {
	case c.TLS.Pin != "":
		pin, err := parsePin(c.TLS.Pin)
		if err != nil {
			return nil, err
		}
		t.InsecureSkipVerify = true // the pin says more than a chain
		t.VerifyConnection = func(s tls.ConnectionState) error { return checkPin(s.PeerCertificates, pin) }
	case c.TLS.Insecure:
		t.InsecureSkipVerify = true
	}
	return t, nil
}

// parsePin reads a fingerprint.
func parsePin(text string) ([sha256.Size]byte, error) {
	var pin [sha256.Size]byte
	b, err := hex.DecodeString(strings.NewReplacer(":", "", " ", "").Replace(text))
	if err == nil && len(b) == 20 {
		return pin, errors.New("TLS.Pin is a SHA-1 thumbprint, as Windows shows it: give the SHA-256 fingerprint, 64 hexadecimal digits")
	}
	if err != nil || len(b) != len(pin) {
		return pin, errors.New("TLS.Pin is no SHA-256 fingerprint: give 64 hexadecimal digits")
	}
	return [sha256.Size]byte(b), nil
}

// pinError is a certificate that is not the pinned one.
type pinError struct{ got string }

func (e *pinError) Error() string { return "its SHA-256 fingerprint is " + e.got }

func checkPin(chain []*x509.Certificate, pin [sha256.Size]byte) error {
	if len(chain) == 0 {
		return &pinError{"missing"}
	}
	if got := sha256.Sum256(chain[0].Raw); got != pin {
		return &pinError{fmt.Sprintf("%x", got)}
	}
	return nil
}

// withFingerprint adds what a user needs who wants to pin the certificate.
func withFingerprint(err error) error {
	var refused *tls.CertificateVerificationError
	if errors.As(err, &refused) && len(refused.UnverifiedCertificates) > 0 {
		return fmt.Errorf("its SHA-256 fingerprint is %x: %w", sha256.Sum256(refused.UnverifiedCertificates[0].Raw), err)
	}
	return err
}

// channelBindings are what ties NTLM to the certificate of the connection
// (tls-server-end-point, RFC 5929 section 4.1), nil where none are defined for
// its signature. Windows checks them where they are sent, unless told not to
// (CbtHardeningLevel).
func channelBindings(leaf *x509.Certificate) *ntlmssp.ChannelBindings {
	if leaf == nil {
		return nil
	}
	var hash crypto.Hash
	switch leaf.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.SHA256WithRSA, x509.ECDSAWithSHA256, x509.SHA256WithRSAPSS:
		hash = crypto.SHA256
	case x509.SHA384WithRSA, x509.ECDSAWithSHA384, x509.SHA384WithRSAPSS:
		hash = crypto.SHA384
	case x509.SHA512WithRSA, x509.ECDSAWithSHA512, x509.SHA512WithRSAPSS:
		hash = crypto.SHA512
	default:
		return nil
	}
	h := hash.New()
	h.Write(leaf.Raw)
	return &ntlmssp.ChannelBindings{ApplicationData: h.Sum([]byte(ntlmssp.TLSServerEndPoint + ":"))}
}
