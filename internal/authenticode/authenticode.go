// Package authenticode reads who signed a program of the PE format, an EFI one for
// instance, and whether the signature fits it: a leaf, by the standard library
// alone. It knows no authority and trusts none; dates are not judged, because UEFI
// firmware does not (UEFI Specification 2.10, 32.2.4).
package authenticode

import (
	"bytes"
	"crypto"
	_ "crypto/sha1" // what such signatures hash with
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
)

// Signature is one of those that a program carries.
type Signature struct {
	// Signer and Authority are the names (CN) of who signed and of who has issued
	// the signer's certificate.
	Signer    string
	Authority string
	// Err says why the signature is not one of this program; nil where it is.
	Err error
}

// What is read at most. Signatures of Windows have some 10 KB.
const (
	maxHead     = 4096
	maxTable    = 256 << 10
	maxEntries  = 8 // of the table
	maxSigners  = 4 // of an entry
	maxProgram  = 64 << 20
	certEntry   = 8
	kindPKCS7   = 2
	headerMagic = 0x10b // PE32; 0x20b is PE32+
)

var (
	// ErrNoProgram is for what is no PE program.
	ErrNoProgram = errors.New("it is no program of the PE format")
	// ErrCut is for a program that ends before its signature does.
	ErrCut = errors.New("its signature lies behind its end: it is cut off")
)

// layout is where a program has what its hash leaves out (Microsoft, "Windows
// Authenticode Portable Executable Signature Format", "Calculating the PE Image
// Hash").
type layout struct {
	checksum, entry int64 // offsets of the checksum and of the entry of data directory 4
	table, length   int64 // the certificate table; length 0: there is none
	size            int64
}

func read(r io.ReaderAt, size int64) (l layout, err error) {
	head := make([]byte, min(maxHead, max(size, 0)))
	n, err := r.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return l, fmt.Errorf("reading header: %w", err)
	}
	head = head[:n]
	le := binary.LittleEndian
	if len(head) < 64 || string(head[:2]) != "MZ" {
		return l, ErrNoProgram
	}
	at := int64(le.Uint32(head[60:])) + 24 // behind PE\0\0 and the COFF header
	if at+2 > int64(len(head)) || string(head[at-24:at-20]) != "PE\x00\x00" {
		return l, ErrNoProgram
	}
	directories := at + 112
	if le.Uint16(head[at:]) == headerMagic {
		directories = at + 96
	}
	l = layout{checksum: at + 64, entry: directories + 4*8, size: size}
	if l.entry+8 > int64(len(head)) {
		return l, ErrNoProgram
	}
	if le.Uint32(head[directories-4:]) <= 4 { // NumberOfRvaAndSizes
		return l, nil
	}
	l.table, l.length = int64(le.Uint32(head[l.entry:])), int64(le.Uint32(head[l.entry+4:]))
	switch {
	case l.table == 0 || l.length == 0:
		l.length = 0
	case l.table+l.length > size:
		return l, ErrCut
	case l.table < l.entry+8:
		return l, fmt.Errorf("its signature lies in its header")
	}
	return l, nil
}

// Table returns the certificate table of a program, at most 256 KiB of it; nil where
// it is not signed.
func Table(r io.ReaderAt, size int64) ([]byte, error) {
	l, err := read(r, size)
	if err != nil || l.length == 0 {
		return nil, err
	}
	return l.certificates(r)
}

func (l layout) certificates(r io.ReaderAt) ([]byte, error) {
	b := make([]byte, min(l.length, maxTable))
	if _, err := r.ReadAt(b, l.table); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading signature: %w", err)
	}
	return b, nil
}

// Read returns the signatures of a program of size bytes, none where it is not
// signed. It reads the program as a whole. The error is for what is no program, is
// cut off, or cannot be read; what is wrong with a signature stands in it.
func Read(r io.ReaderAt, size int64) (list []Signature, err error) {
	l, err := read(r, size)
	if err != nil || l.length == 0 {
		return nil, err
	}
	if l.length > maxTable || size > maxProgram {
		return nil, fmt.Errorf("it has %d bytes with %d of signatures: that is too much to check", size, l.length)
	}
	table, err := l.certificates(r)
	if err != nil {
		return nil, err
	}
	sums := map[crypto.Hash][]byte{}
	sum := func(h crypto.Hash) ([]byte, error) {
		if known := sums[h]; known != nil {
			return known, nil
		}
		made, err := l.hash(r, h)
		sums[h] = made
		return made, err
	}
	for n := 0; len(table) >= certEntry && n < maxEntries; n++ {
		length := int(binary.LittleEndian.Uint32(table))
		if length < certEntry || length > len(table) {
			return append(list, Signature{Err: errors.New("an entry of the certificate table is longer than the table")}), nil
		}
		if binary.LittleEndian.Uint16(table[6:]) == kindPKCS7 {
			list = append(list, signatures(table[certEntry:length], sum)...)
		}
		table = table[min(len(table), (length+7)&^7):]
	}
	return list, nil
}

// hash is the hash of a program without its checksum and its signatures.
func (l layout) hash(r io.ReaderAt, h crypto.Hash) ([]byte, error) {
	sum := h.New()
	for _, part := range [][2]int64{{0, l.checksum}, {l.checksum + 4, l.entry}, {l.entry + 8, l.table}, {l.table + l.length, l.size}} {
		if part[1] <= part[0] {
			continue
		}
		if _, err := io.Copy(sum, io.NewSectionReader(r, part[0], part[1]-part[0])); err != nil {
			return nil, fmt.Errorf("reading the program: %w", err)
		}
	}
	return sum.Sum(nil), nil
}

// The structures of PKCS #7 (RFC 2315) and of the content that Authenticode signs.
type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"explicit,optional,tag:0"`
}

type signedData struct {
	Version      int
	Algorithms   asn1.RawValue
	Inner        contentInfo
	Certificates asn1.RawValue `asn1:"optional,tag:0"`
	CRLs         asn1.RawValue `asn1:"optional,tag:1"`
	Signers      []signerInfo  `asn1:"set"`
}

type signerInfo struct {
	Version int
	Of      struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
	Digest    pkix.AlgorithmIdentifier
	Signed    asn1.RawValue `asn1:"optional,tag:0"`
	Algorithm pkix.AlgorithmIdentifier
	Value     []byte
	Unsigned  asn1.RawValue `asn1:"optional,tag:1"`
}

type indirectData struct {
	Data   asn1.RawValue
	Digest struct {
		Algorithm pkix.AlgorithmIdentifier
		Sum       []byte
	}
}

type attribute struct {
	Type   asn1.ObjectIdentifier
	Values asn1.RawValue `asn1:"set"`
}

// messageDigest is the attribute that holds the digest of the content.
var messageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}

var hashes = map[string]struct {
	hash       crypto.Hash
	rsa, ecdsa x509.SignatureAlgorithm
}{
	"1.3.14.3.2.26":          {crypto.SHA1, x509.SHA1WithRSA, x509.ECDSAWithSHA1},
	"2.16.840.1.101.3.4.2.1": {crypto.SHA256, x509.SHA256WithRSA, x509.ECDSAWithSHA256},
	"2.16.840.1.101.3.4.2.2": {crypto.SHA384, x509.SHA384WithRSA, x509.ECDSAWithSHA384},
	"2.16.840.1.101.3.4.2.3": {crypto.SHA512, x509.SHA512WithRSA, x509.ECDSAWithSHA512},
}

// signatures are those of an entry of the table.
func signatures(der []byte, sum func(crypto.Hash) ([]byte, error)) (list []Signature) {
	broken := func(what string, err error) []Signature {
		return append(list, Signature{Err: fmt.Errorf("reading %s: %w", what, err)})
	}
	var outer contentInfo
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		return broken("signature", err)
	}
	var signed signedData
	if _, err := asn1.Unmarshal(outer.Content.Bytes, &signed); err != nil {
		return broken("signature", err)
	}
	certificates, err := x509.ParseCertificates(signed.Certificates.Bytes)
	if err != nil {
		return broken("certificates", err)
	}
	var of indirectData
	content := signed.Inner.Content.Bytes
	if _, err := asn1.Unmarshal(content, &of); err != nil {
		return broken("what is signed", err)
	}
	for i, s := range signed.Signers {
		if i == maxSigners {
			return append(list, Signature{Err: fmt.Errorf("there are more than %d signers", maxSigners)})
		}
		list = append(list, s.check(certificates, of, content, sum))
	}
	return list
}

// check holds a signature against the program, the signed content and the signer's
// certificate.
func (s signerInfo) check(certificates []*x509.Certificate, of indirectData, content []byte, sum func(crypto.Hash) ([]byte, error)) (out Signature) {
	var leaf, authority *x509.Certificate
	for _, c := range certificates {
		if s.Of.Serial != nil && c.SerialNumber.Cmp(s.Of.Serial) == 0 && bytes.Equal(c.RawIssuer, s.Of.Issuer.FullBytes) {
			leaf = c
		}
	}
	if leaf == nil {
		return Signature{Err: errors.New("the signer's certificate is missing")}
	}
	out = Signature{Signer: leaf.Subject.CommonName, Authority: leaf.Issuer.CommonName}
	for _, c := range certificates {
		if bytes.Equal(c.RawSubject, leaf.RawIssuer) {
			authority = c
		}
	}
	fileHash, known := hashes[of.Digest.Algorithm.Algorithm.String()]
	digest, knownToo := hashes[s.Digest.Algorithm.String()]
	if !known || !knownToo {
		out.Err = fmt.Errorf("it hashes by an algorithm that is not known here (%s, %s)", of.Digest.Algorithm.Algorithm, s.Digest.Algorithm)
		return out
	}
	have, err := sum(fileHash.hash)
	switch {
	case err != nil:
		out.Err = err
	case !bytes.Equal(have, of.Digest.Sum):
		out.Err = errors.New("the program was changed after it was signed")
	case !s.covers(content, digest.hash):
		out.Err = errors.New("the signature is of something else")
	default:
		out.Err = s.verify(leaf, authority, digest.rsa, digest.ecdsa)
	}
	return out
}

// covers reports whether the attributes hold the digest of the content, which is
// counted without its tag and length.
func (s signerInfo) covers(content []byte, h crypto.Hash) bool {
	var inside asn1.RawValue
	if _, err := asn1.Unmarshal(content, &inside); err != nil {
		return false
	}
	sum := h.New()
	sum.Write(inside.Bytes)
	want := sum.Sum(nil)
	for rest := s.Signed.Bytes; len(rest) > 0; {
		var a attribute
		var err error
		if rest, err = asn1.Unmarshal(rest, &a); err != nil {
			return false
		}
		var value []byte
		if a.Type.Equal(messageDigest) {
			_, err = asn1.Unmarshal(a.Values.Bytes, &value)
			return err == nil && bytes.Equal(value, want)
		}
	}
	return false
}

func (s signerInfo) verify(leaf, authority *x509.Certificate, rsa, ecdsa x509.SignatureAlgorithm) error {
	algorithm := rsa
	if leaf.PublicKeyAlgorithm == x509.ECDSA {
		algorithm = ecdsa
	}
	if len(s.Signed.FullBytes) == 0 {
		return errors.New("it signs no attributes")
	}
	// The attributes are signed as a SET, whatever their tag in the file is.
	const set = 0x31
	signed := append([]byte{set}, s.Signed.FullBytes[1:]...)
	if err := leaf.CheckSignature(algorithm, signed, s.Value); err != nil {
		return fmt.Errorf("the signature is not that of %s: %w", leaf.Subject.CommonName, err)
	}
	if authority == nil { // its certificate need not be in the file: firmware has it
		return nil
	}
	if err := authority.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature); err != nil {
		return fmt.Errorf("the certificate of %s is not by the %s in the file: %w", leaf.Subject.CommonName, authority.Subject.CommonName, err)
	}
	return nil
}
