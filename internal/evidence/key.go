package evidence

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
)

const (
	// maxKey bounds a key file, in bytes.
	maxKey = 64 << 10
	// minRSA is the least size of an RSA key, in bits.
	minRSA = 2048
)

// makeKey is how to get a key that is taken.
const makeKey = "make one with: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem"

// elsewhere is how to sign with what is not taken here.
const elsewhere = "leave the key out and sign the statement with the tool that holds it: cosign attest-blob --statement"

// Key signs statements. Printing it in any form shows its public half only.
type Key struct {
	path   string
	id     string
	signer crypto.Signer
}

// LoadKey reads a private key: PEM, without a passphrase, of ECDSA over P-256, Ed25519
// or RSA with 2048 bits or more. No error shows anything of its content.
func LoadKey(path string) (*Key, error) {
	content, err := hostfile.ReadRegular(path, maxKey)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; name a private key in PEM form, or %s", err, makeKey)
	}
	if err != nil {
		return nil, err
	}
	signer, err := parseKey(content)
	if err != nil {
		return nil, fmt.Errorf("%s %w", path, err)
	}
	public, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return nil, fmt.Errorf("%s has a public key that cannot be written: %w", path, err)
	}
	id := sha256.Sum256(public)
	return &Key{path: path, id: hex.EncodeToString(id[:]), signer: signer}, nil
}

// parseKey reads the first private key of a PEM file. Its errors follow a file's name.
func parseKey(content []byte) (crypto.Signer, error) {
	for {
		var block *pem.Block
		if block, content = pem.Decode(content); block == nil {
			return nil, errors.New("holds no private key in PEM form; name the private key, or " + makeKey)
		}
		var key any
		var err error
		switch {
		case strings.HasPrefix(block.Type, "ENCRYPTED SIGSTORE") || strings.HasPrefix(block.Type, "ENCRYPTED COSIGN"):
			return nil, errors.New("is a key of cosign, which only cosign decrypts; " + elsewhere)
		case strings.HasPrefix(block.Type, "ENCRYPTED"), strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return nil, errors.New("is protected by a passphrase, which is not asked for here; take it off (openssl pkey -in key.pem -out plain.pem), or " + elsewhere)
		case block.Type == "OPENSSH PRIVATE KEY":
			return nil, errors.New("is a key in the form of OpenSSH; convert a copy of it (ssh-keygen -p -m PKCS8 -N \"\" -f copy), or " + makeKey)
		case block.Type == "PUBLIC KEY", block.Type == "CERTIFICATE":
			return nil, fmt.Errorf("holds a %s; name the private key that belongs to it", strings.ToLower(block.Type))
		case block.Type == "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case block.Type == "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case block.Type == "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		default:
			continue // such as the EC PARAMETERS that openssl ecparam writes first
		}
		if err != nil {
			return nil, errors.New("cannot be read as a private key: it is damaged, or of a kind that is not known; " + makeKey)
		}
		return supported(key)
	}
}

// supported are the kinds that every verifier in docs/evidence.md takes.
func supported(key any) (crypto.Signer, error) {
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		if k.Curve == elliptic.P256() {
			return k, nil
		}
		return nil, fmt.Errorf("is an ECDSA key over %s; only P-256 is taken, as verifiers differ on the others; %s", k.Params().Name, makeKey)
	case ed25519.PrivateKey:
		return k, nil
	case *rsa.PrivateKey:
		if k.N.BitLen() >= minRSA {
			return k, nil
		}
		return nil, fmt.Errorf("is an RSA key of %d bits; take one of %d bits or more, or %s", k.N.BitLen(), minRSA, makeKey)
	}
	return nil, errors.New("is a key of a kind that cannot sign here; " + makeKey)
}

// ID is the SHA-256 of the public key (its DER form), in hexadecimal digits.
func (k *Key) ID() string { return k.id }

// Path is the file that it was read from.
func (k *Key) Path() string { return k.path }

// Format implements fmt.Formatter, so that no verb shows the private half.
func (k *Key) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "signing key %s", k.id) }

// MarshalJSON is for whoever writes a structure that holds a key.
func (k *Key) MarshalJSON() ([]byte, error) { return []byte(`"` + k.id + `"`), nil }

// sign signs a message. The same message gets the same signature: RSA (PKCS #1 v1.5)
// and Ed25519 know no others, and ECDSA without a source of chance follows RFC 6979.
func (k *Key) sign(message []byte) ([]byte, error) {
	if _, ok := k.signer.(ed25519.PrivateKey); ok {
		return k.signer.Sign(nil, message, crypto.Hash(0))
	}
	sum := sha256.Sum256(message)
	return k.signer.Sign(nil, sum[:], crypto.SHA256)
}
