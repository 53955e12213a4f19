// Package evidencetest reads evidence for the tests of who makes it, and makes keys.
package evidencetest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Statement is what a statement says.
type Statement struct {
	Type          string `json:"_type"`
	PredicateType string
	Subject       []Resource
	Predicate     struct {
		Result        string
		Configuration []Resource
		PassedTests   []string
		WarnedTests   []string
		FailedTests   []string
	}
	// Text is the JSON that it was read from.
	Text string `json:"-"`
}

// Resource is a descriptor of in-toto.
type Resource struct {
	Name, URI   string
	Digest      map[string]string
	Annotations map[string]any
}

// Of returns the descriptors of a role.
func (s Statement) Of(role string) (list []Resource) {
	for _, r := range s.Predicate.Configuration {
		if r.Annotations["sysprepRole"] == role {
			list = append(list, r)
		}
	}
	return list
}

// Key makes a key, and returns the path of its file and its public half.
func Key(t testing.TB) (path string, public *ecdsa.PublicKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, &key.PublicKey
}

// Read reads a statement, plain or in an envelope, whose signature has to be good; and
// without a key, that there is none.
func Read(t testing.TB, path string, public *ecdsa.PublicKey) (s Statement) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var e struct {
		Payload, PayloadType string
		Signatures           []struct{ Sig string }
	}
	if public != nil {
		if err := json.Unmarshal(content, &e); err != nil || len(e.Signatures) != 1 {
			t.Fatalf("%s: %v, %d signatures", path, err, len(e.Signatures))
		}
		payload, err := base64.StdEncoding.DecodeString(e.Payload)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := base64.StdEncoding.DecodeString(e.Signatures[0].Sig)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(e.PayloadType), e.PayloadType, len(payload), payload))
		if !ecdsa.VerifyASN1(public, sum[:], sig) {
			t.Errorf("%s: the signature is not that of the key", path)
		}
		content = payload
	}
	if err := json.Unmarshal(content, &s); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	s.Text = string(bytes.TrimSpace(content))
	return s
}

// Sum is the SHA-256 of a file, less some bytes at its end, in hexadecimal digits.
func Sum(t testing.TB, path string, less int64) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(b[:int64(len(b))-less]))
}

// WantNone checks that no file of evidence is in a folder, or below it.
func WantNone(t testing.TB, folder string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, _ os.DirEntry, err error) error {
		for _, suffix := range []string{".statement.json", ".intoto.json", ".sigstore.json"} {
			if strings.HasSuffix(path, suffix) || strings.Contains(path, suffix+"-") {
				t.Errorf("%s is there", path)
			}
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}
