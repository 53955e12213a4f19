package evidence

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// verify is a verifier of our own that shares no code with the package: it holds a file
// against an envelope or a bundle, as docs/evidence.md says.
func verify(path, file string, public crypto.PublicKey) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	type dsse struct {
		Payload, PayloadType string
		Signatures           []struct{ Sig string }
	}
	var e dsse
	if strings.HasSuffix(file, ".sigstore.json") {
		var b struct {
			MediaType string
			Envelope  dsse `json:"dsseEnvelope"`
		}
		if err := json.Unmarshal(content, &b); err != nil {
			return err
		}
		if b.MediaType != "application/vnd.dev.sigstore.bundle.v0.3+json" {
			return errors.New("media type " + b.MediaType)
		}
		e = b.Envelope
	} else if err := json.Unmarshal(content, &e); err != nil {
		return err
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil {
		return err
	}
	if len(e.Signatures) != 1 || e.PayloadType != "application/vnd.in-toto+json" {
		return errors.New("envelope")
	}
	sig, err := base64.StdEncoding.DecodeString(e.Signatures[0].Sig)
	if err != nil {
		return err
	}
	signed := bytes.Join([][]byte{[]byte("DSSEv1"), []byte(strconv.Itoa(len(e.PayloadType))), []byte(e.PayloadType), []byte(strconv.Itoa(len(payload))), payload}, []byte(" "))
	sum := sha256.Sum256(signed)
	good := false
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		good = ecdsa.VerifyASN1(k, sum[:], sig)
	case ed25519.PublicKey:
		good = ed25519.Verify(k, signed, sig)
	case *rsa.PublicKey:
		good = rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], sig) == nil
	}
	if !good {
		return errors.New("signature")
	}
	var s struct {
		Type          string `json:"_type"`
		PredicateType string
		Subject       []struct {
			Name   string
			Digest map[string]string
		}
		Predicate struct{ Result string }
	}
	if err := json.Unmarshal(payload, &s); err != nil {
		return err
	}
	if s.Type != "https://in-toto.io/Statement/v1" || s.PredicateType != "https://in-toto.io/attestation/test-result/v0.1" || s.Predicate.Result == "FAILED" {
		return errors.New("statement")
	}
	disk, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, subject := range s.Subject {
		if subject.Digest["sha256"] == fmt.Sprintf("%x", sha256.Sum256(disk)) {
			if subject.Name != filepath.Base(path) {
				return errors.New("name")
			}
			return nil
		}
	}
	return errors.New("digest")
}

// fails says whether an error is of a kind, by its first word; "" stands for none.
func fails(t *testing.T, what string, err error, kind string) {
	t.Helper()
	if kind == "" && err != nil || kind != "" && (err == nil || !strings.HasPrefix(err.Error(), kind)) {
		t.Errorf("%s: %v, want %q", what, err, kind)
	}
}
