package evidence

import (
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// verifiers are programs that others wrote, each with its part of the evidence. The first
// hashes the disk too, the second does not.
type verifiers struct{ dsse, node, script string }

// others builds and finds them, and skips the test where they are absent.
func others(t *testing.T) verifiers {
	t.Helper()
	folder := filepath.Join(testutil.Root(), "tools", "verifiers")
	v := verifiers{dsse: filepath.Join(t.TempDir(), "verifiers.exe"), node: testutil.Tool(t, "node"), script: filepath.Join(folder, "verify.mjs")}
	if _, err := os.Stat(filepath.Join(folder, "node_modules")); err != nil {
		testutil.Missing(t, "Sigstore's verifier is not installed: npm ci --ignore-scripts --prefix tools/verifiers")
	}
	build := exec.Command(testutil.Tool(t, "go"), "build", "-o", v.dsse, ".")
	build.Dir = folder
	if out, err := build.CombinedOutput(); err != nil {
		testutil.Missing(t, "the verifier of go-securesystemslib cannot be built: "+strings.TrimSpace(string(out)))
	}
	return v
}

// says runs a verifier, and returns what is wrong, "" for nothing.
func says(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	switch {
	case err == nil && text == "verified":
		return ""
	case err == nil || text == "verified" || text == "":
		t.Fatalf("%s: %v, %s", name, err, text)
	}
	return text
}

// publicFile writes a public key as PEM.
func publicFile(t *testing.T, key crypto.PublicKey) string {
	t.Helper()
	return pemFile(t, &pem.Block{Type: "PUBLIC KEY", Bytes: must[[]byte](t)(x509.MarshalPKIXPublicKey(key))})
}

// TestOthersVerifyTheEvidence: what our own verifier says of each tampering they say too,
// the second one of what it looks at.
func TestOthersVerifyTheEvidence(t *testing.T) {
	v := others(t)
	ec, other := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P256())
	good, bad := publicFile(t, &ec.PublicKey), publicFile(t, &other.PublicKey)
	key := keyFile(t, ec, "PRIVATE KEY")
	for _, c := range tamperings {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			disk, files := written(t, key)
			disk = c.do(t, disk, files)
			public := good
			if c.otherKey {
				public = bad
			}
			if got := says(t, v.dsse, files[0], public, disk); c.ours == "" && got != "" || !strings.HasPrefix(got, c.ours) {
				t.Errorf("go-securesystemslib and in-toto: %q, want %q", got, c.ours)
			}
			want := ""
			if c.ours == "signature" {
				want = "SIGNATURE_ERROR"
			}
			if got := says(t, v.node, v.script, files[1], public); want == "" && got != "" || !strings.HasPrefix(got, want) {
				t.Errorf("sigstore-js: %q, want %q", got, want)
			}
		})
	}
	t.Run("other kinds of key", func(t *testing.T) {
		t.Parallel()
		_, ed, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		rs := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, minRSA))
		for name, key := range map[string]crypto.Signer{"Ed25519": ed, "RSA": rs} {
			disk, files := written(t, keyFile(t, key, "PRIVATE KEY"))
			public := publicFile(t, key.Public())
			if got := says(t, v.node, v.script, files[1], public); got != "" {
				t.Errorf("%s: sigstore-js: %s", name, got)
			}
			// That library knows RSA in another scheme only.
			if got := says(t, v.dsse, files[0], public, disk); got != "" && name != "RSA" {
				t.Errorf("%s: go-securesystemslib: %s", name, got)
			}
		}
	})
}
