package evidence

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

func proven() Proof {
	w := winimage.Windows{Partition: 2, OS: winimage.OS{ProductName: "Windows Server 2022 Standard", EditionID: "ServerStandard", Build: "20348", Revision: 2700, Architecture: "amd64"}, Setup: winimage.Setup{ImageState: "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"}}
	return Proof{
		Plugin: "1.2.3", Packer: "1.15.1",
		Findings: []finding.Finding{
			{ID: "windows", Severity: finding.Fail, Holds: true, Summary: "there is a Windows", Expected: "one", Found: "one"},
			{ID: "state", Severity: finding.Fail, Holds: true, Summary: "generalized", Where: finding.Place{Path: []string{"partition 2"}}},
			{ID: "azure-size", Severity: finding.Info, Summary: "whole MiB", Found: "<1 & 2>"},
		},
		Facts:     winimage.Facts{Disk: winimage.Disk{Path: "/home/builder/output/disk.vhd"}, Windows: []winimage.Windows{w}},
		Materials: []Material{{RoleSource, "base.vhdx", strings.Repeat("a", 64)}, {RoleAnswerFile, "unattend.xml", strings.Repeat("b", 64)}},
	}
}

// p256 is the curve that is taken.
var p256 = elliptic.P256()

var image = Image{Name: "disk.vhd", File: strings.Repeat("1", 64), Content: strings.Repeat("2", 64)}

func stated(t *testing.T, i Image, p Proof) []byte {
	t.Helper()
	b, err := Statement(i, p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestTheStatementIsTheSchema holds the whole of a statement against the specification.
func TestTheStatementIsTheSchema(t *testing.T) {
	p := proven()
	p.Facts.Against = []winimage.Change{{Name: "machine SID", State: "changed", Was: "S-1-5-21-1-2-3", Is: "S-1-5-21-4-5-6", Note: "at length"}}
	const want = `{"_type":"https://in-toto.io/Statement/v1",` +
		`"subject":[{"name":"disk.vhd","digest":{"sha256":"1111111111111111111111111111111111111111111111111111111111111111"}},` +
		`{"name":"disk.raw","digest":{"sha256":"2222222222222222222222222222222222222222222222222222222222222222"}}],` +
		`"predicateType":"https://in-toto.io/attestation/test-result/v0.1",` +
		`"predicate":{"result":"PASSED","configuration":[` +
		`{"name":"packer-plugin-sysprep","uri":"https://github.com/packer-plugin-sysprep/packer-plugin-sysprep","annotations":{"sysprepRole":"verifier","sysprepVersion":"1.2.3"}},` +
		`{"name":"packer","uri":"https://github.com/hashicorp/packer","annotations":{"sysprepRole":"tool","sysprepVersion":"1.15.1"}},` +
		`{"name":"base.vhdx","digest":{"sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},"annotations":{"sysprepRole":"source-disk"}},` +
		`{"name":"unattend.xml","digest":{"sha256":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"},"annotations":{"sysprepRole":"answer-file"}},` +
		`{"name":"proof","uri":"https://github.com/packer-plugin-sysprep/packer-plugin-sysprep/blob/main/docs/evidence.md","annotations":{` +
		`"sysprepAssertions":[{"id":"windows","severity":"fail","holds":true,"summary":"there is a Windows","expected":"one","found":"one"},` +
		`{"id":"state","where":"partition 2","severity":"fail","holds":true,"summary":"generalized"},` +
		`{"id":"azure-size","severity":"info","holds":false,"summary":"whole MiB","found":"<1 & 2>"}],` +
		`"sysprepIdentity":[{"name":"machine SID","state":"changed","was":"S-1-5-21-1-2-3","is":"S-1-5-21-4-5-6"}],` +
		`"sysprepRole":"proof",` +
		`"sysprepWindows":[{"partition":2,"product":"Windows Server 2022 Standard","edition":"ServerStandard","build":"20348.2700","architecture":"amd64","image_state":"IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"}]}}],` +
		`"passedTests":["windows","state (partition 2)"],"warnedTests":[],"failedTests":[]}}`
	if got := string(stated(t, image, p)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if !bytes.Equal(stated(t, image, p), stated(t, image, p)) {
		t.Error("the same image gives other bytes")
	}
}

func TestTheResultOfAStatement(t *testing.T) {
	warned, failed, none := proven(), proven(), proven()
	warned.Findings = append(warned.Findings, finding.Finding{ID: "autologon", Severity: finding.Warn})
	failed.Findings = append(failed.Findings, finding.Finding{ID: "tag", Severity: finding.Fail})
	none.Findings = nil
	var s statement
	if err := json.Unmarshal(stated(t, image, warned), &s); err != nil {
		t.Fatal(err)
	}
	if s.Predicate.Result != Warned || !reflect.DeepEqual(s.Predicate.Warned, []string{"autologon"}) || len(s.Predicate.Passed) != 2 {
		t.Errorf("%+v", s.Predicate)
	}
	for _, p := range []Proof{failed, none} {
		if b, err := Statement(image, p); !errors.Is(err, ErrNotProven) || b != nil {
			t.Errorf("of an image that is not proven: %s, %v", b, err)
		}
	}
	for _, i := range []Image{{Name: "a"}, {Name: "a", File: image.File}, {Name: "a", File: image.File[1:] + "G", Content: image.Content}} {
		if b, err := Statement(i, proven()); err == nil {
			t.Errorf("%+v: %s", i, b)
		}
	}
}

// TestNothingOfTheBuildMachineIsStated: neither its paths nor the secrets it knows.
func TestNothingOfTheBuildMachineIsStated(t *testing.T) {
	p := proven()
	p.Findings[0].Found = "password swordfish\x1b[31m"
	p.Hide = func(s string) string { return strings.ReplaceAll(s, "swordfish", "<sensitive>") }
	got := string(stated(t, image, p))
	for _, no := range []string{"builder", "output/", "swordfish", "\x1b", `\u001b`} {
		if strings.Contains(got, no) {
			t.Errorf("%q is in %s", no, got)
		}
	}
}

func TestTheSubjectsHaveNamesOfTheirOwn(t *testing.T) {
	same := Image{Name: "disk.raw", File: image.File, Content: image.File}
	for name, c := range map[string]struct {
		image Image
		want  []string
	}{
		"a VHD":                 {image, []string{"disk.vhd", "disk.raw"}},
		"raw":                   {same, []string{"disk.raw"}},
		"a VHD of another name": {Image{"disk.raw", image.File, image.Content}, []string{"disk.raw", "disk.raw.raw"}},
		"no extension":          {Image{"disk", image.File, image.Content}, []string{"disk", "disk.raw"}},
	} {
		var got []string
		for _, s := range subjects(c.image) {
			got = append(got, s.Name)
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestThePAEIsThatOfTheSpecification: the example in protocol.md of DSSE v1.0.0, with
// its key and, as that is deterministic too, its signature.
func TestThePAEIsThatOfTheSpecification(t *testing.T) {
	const kind, body = "http://example.com/HelloWorld", "hello world"
	if got := string(pae(kind, []byte(body))); got != "DSSEv1 29 http://example.com/HelloWorld 11 hello world" {
		t.Error(got)
	}
	if got := string(pae("", nil)); got != "DSSEv1 0  0 " {
		t.Error(got)
	}
	number := func(s string) *big.Int {
		n, _ := new(big.Int).SetString(s, 10)
		return n
	}
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), number("97358161215184420915383655311931858321456579547487070936769975997791359926199").Bytes())
	if err != nil {
		t.Fatal(err)
	}
	sig, err := (&Key{signer: private}).sign(pae(kind, []byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(sig, &rs); err != nil {
		t.Fatal(err)
	}
	raw := append(rs.R.FillBytes(make([]byte, 32)), rs.S.FillBytes(make([]byte, 32))...)
	if got := base64.StdEncoding.EncodeToString(raw); got != "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA==" {
		t.Error(got)
	}
}

// keyFile writes a key as PEM, in the form that is asked for.
func keyFile(t testing.TB, key any, form string) string {
	t.Helper()
	var der []byte
	var err error
	switch form {
	case "EC PRIVATE KEY":
		der, err = x509.MarshalECPrivateKey(key.(*ecdsa.PrivateKey))
	case "RSA PRIVATE KEY":
		der = x509.MarshalPKCS1PrivateKey(key.(*rsa.PrivateKey))
	default:
		der, err = x509.MarshalPKCS8PrivateKey(key)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pemFile(t, &pem.Block{Type: form, Bytes: der})
}

func pemFile(t testing.TB, blocks ...*pem.Block) string {
	t.Helper()
	var b []byte
	for _, block := range blocks {
		b = append(b, pem.EncodeToMemory(block)...)
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// written writes a disk and its evidence, and returns the paths.
func written(t testing.TB, key string) (disk string, files []string) {
	t.Helper()
	disk = filepath.Join(t.TempDir(), "disk.vhd")
	content := append(make([]byte, 1<<16), []byte("footer")...)
	if err := os.WriteFile(disk, content, 0o600); err != nil {
		t.Fatal(err)
	}
	sum := func(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
	p := proven()
	p.SBOM = Material{Name: "disk.vhd.cdx.json", SHA256: sum([]byte(billText))}
	statement := must[[]byte](t)(Statement(Image{"disk.vhd", sum(content), sum(content[:1<<16])}, p))
	k := must[*Key](t)(LoadKey(key))
	documents := append(must[[]Document](t)(Documents(disk, statement, k)), Document{disk + SBOMSuffix, []byte(billText)})
	if err := Write(t.Context(), disk, documents); err != nil {
		t.Fatal(err)
	}
	for _, d := range documents {
		if !d.IsSBOM() {
			files = append(files, d.Path)
		}
	}
	return disk, files
}

// TestEveryKindOfKeySigns, in every form it comes in, and the same way each time.
func TestEveryKindOfKeySigns(t *testing.T) {
	ec := ecKey(t, elliptic.P256())
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 2048))
	params := &pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}}
	sec1, _ := x509.MarshalECPrivateKey(ec)
	for name, c := range map[string]struct {
		path   string
		public crypto.PublicKey
	}{
		"P-256, PKCS #8":              {keyFile(t, ec, "PRIVATE KEY"), &ec.PublicKey},
		"P-256, SEC 1":                {keyFile(t, ec, "EC PRIVATE KEY"), &ec.PublicKey},
		"P-256 as of openssl ecparam": {pemFile(t, params, &pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}), &ec.PublicKey},
		"Ed25519":                     {keyFile(t, ed, "PRIVATE KEY"), ed.Public()},
		"RSA, PKCS #8":                {keyFile(t, rs, "PRIVATE KEY"), &rs.PublicKey},
		"RSA, PKCS #1":                {keyFile(t, rs, "RSA PRIVATE KEY"), &rs.PublicKey},
	} {
		disk, files := written(t, c.path)
		if len(files) != 2 || !strings.HasSuffix(files[0], "disk.vhd.intoto.json") || !strings.HasSuffix(files[1], "disk.vhd.intoto.sigstore.json") {
			t.Fatalf("%s: %q", name, files)
		}
		_, again := written(t, c.path)
		private := strings.Split(string(must[[]byte](t)(os.ReadFile(c.path))), "\n") // in lines of 64 letters
		for i, file := range files {
			fails(t, name+", "+filepath.Base(file), verify(disk, file, c.public), "")
			content, same := must[[]byte](t)(os.ReadFile(file)), must[[]byte](t)(os.ReadFile(again[i]))
			if !bytes.Equal(content, same) {
				t.Errorf("%s: signed twice, %s is not the same", name, filepath.Base(file))
			}
			for _, line := range private {
				if len(line) == 64 && bytes.Contains(content, []byte(line[10:40])) {
					t.Errorf("%s: the private key is in %s", name, file)
				}
			}
		}
	}
}

// TestTampering is the table of what a verifier has to notice. What others make of the
// same files is in foreign_test.go.
func TestTampering(t *testing.T) {
	ec, other := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P256())
	for _, c := range tamperings {
		disk, files := written(t, keyFile(t, ec, "PRIVATE KEY"))
		disk = c.do(t, disk, files)
		public := &ec.PublicKey
		if c.otherKey {
			public = &other.PublicKey
		}
		for _, file := range files {
			fails(t, c.name+", "+filepath.Base(file), verify(disk, file, public), c.ours)
		}
	}
}

// tampering is done to a disk and its evidence. ours is what our own verifier says, ""
// that it finds nothing wrong.
type tampering struct {
	name     string
	ours     string
	otherKey bool
	// do returns the path of the disk.
	do func(t *testing.T, disk string, files []string) string
}

var tamperings = []tampering{
	{name: "nothing", do: func(_ *testing.T, disk string, _ []string) string { return disk }},
	{name: "a byte of the disk, in a hole", ours: "digest", do: edit(func(b []byte) []byte { b[40000] ^= 1; return b })},
	{name: "a byte of the footer", ours: "digest", do: edit(func(b []byte) []byte { b[1<<16] ^= 1; return b })},
	{name: "truncated", ours: "digest", do: edit(func(b []byte) []byte { return b[:1<<16-1] })},
	{name: "renamed", ours: "name", do: func(t *testing.T, disk string, _ []string) string {
		to := filepath.Join(filepath.Dir(disk), "renamed.vhd")
		if err := os.Rename(disk, to); err != nil {
			t.Fatal(err)
		}
		return to
	}},
	{name: "converted to raw", do: func(t *testing.T, disk string, _ []string) string {
		to := filepath.Join(filepath.Dir(disk), "disk.raw")
		b := must[[]byte](t)(os.ReadFile(disk))
		if err := os.WriteFile(to, b[:1<<16], 0o600); err != nil {
			t.Fatal(err)
		}
		return to
	}},
	{name: "the statement", ours: "signature", do: func(t *testing.T, disk string, files []string) string {
		for _, file := range files {
			b := must[[]byte](t)(os.ReadFile(file))
			old := b[bytes.Index(b, []byte(`"payload":"`))+11:]
			old = old[:bytes.IndexByte(old, '"')]
			payload := must[[]byte](t)(base64.StdEncoding.DecodeString(string(old)))
			changed := bytes.Replace(payload, []byte("20348.2700"), []byte("20348.9999"), 1)
			if bytes.Equal(changed, payload) {
				t.Fatal("nothing was changed")
			}
			if err := os.WriteFile(file, bytes.Replace(b, old, []byte(base64.StdEncoding.EncodeToString(changed)), 1), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return disk
	}},
	{name: "another key", ours: "signature", otherKey: true, do: func(_ *testing.T, disk string, _ []string) string { return disk }},
}

// edit changes the content of the disk.
func edit(change func([]byte) []byte) func(*testing.T, string, []string) string {
	return func(t *testing.T, disk string, _ []string) string {
		t.Helper()
		if err := os.WriteFile(disk, change(must[[]byte](t)(os.ReadFile(disk))), 0o600); err != nil {
			t.Fatal(err)
		}
		return disk
	}
}

// TestKeysThatAreNotTaken: each is refused with what to do, and shows nothing of itself.
func TestKeysThatAreNotTaken(t *testing.T) {
	weak := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 1024))
	p256 := ecKey(t, elliptic.P256())
	public := must[[]byte](t)(x509.MarshalPKIXPublicKey(&p256.PublicKey))
	der := must[[]byte](t)(x509.MarshalPKCS8PrivateKey(p256))
	secret := base64.StdEncoding.EncodeToString(der)
	text := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(text, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	big := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(big, make([]byte, maxKey+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, want string }{
		"none":                {filepath.Join(t.TempDir(), "absent.pem"), "openssl genpkey"},
		"a folder":            {t.TempDir(), "a folder"},
		"too large":           {big, "larger than"},
		"no PEM":              {text, "no private key in PEM form"},
		"P-384":               {keyFile(t, ecKey(t, elliptic.P384()), "PRIVATE KEY"), "only P-256"},
		"RSA of 1024 bits":    {keyFile(t, weak, "PRIVATE KEY"), "1024 bits; take one of 2048"},
		"passphrase, PKCS #8": {pemFile(t, &pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}), "passphrase"},
		"passphrase, old":     {pemFile(t, &pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}, Bytes: der}), "passphrase"},
		"cosign":              {pemFile(t, &pem.Block{Type: "ENCRYPTED SIGSTORE PRIVATE KEY", Bytes: der}), "cosign attest-blob --statement"},
		"an older cosign":     {pemFile(t, &pem.Block{Type: "ENCRYPTED COSIGN PRIVATE KEY", Bytes: der}), "cosign attest-blob --statement"},
		"OpenSSH":             {pemFile(t, &pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: der}), "ssh-keygen"},
		"a public key":        {pemFile(t, &pem.Block{Type: "PUBLIC KEY", Bytes: public}), "holds a public key; name the private key"},
		"a certificate":       {pemFile(t, &pem.Block{Type: "CERTIFICATE", Bytes: public}), "holds a certificate; name the private key"},
		"damaged":             {pemFile(t, &pem.Block{Type: "PRIVATE KEY", Bytes: der[1:]}), "damaged"},
		"only parameters":     {pemFile(t, &pem.Block{Type: "EC PARAMETERS", Bytes: der[:8]}), "no private key"},
	} {
		k, err := LoadKey(c.path)
		if k != nil || err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.path) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), secret[60:90]) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
}

func TestAKeyIsNeverPrinted(t *testing.T) {
	ec := ecKey(t, elliptic.P256())
	k := must[*Key](t)(LoadKey(keyFile(t, ec, "PRIVATE KEY")))
	d := must[[]byte](t)(ec.Bytes())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		got := fmt.Sprintf(verb, struct{ K *Key }{k}) + fmt.Sprintf(verb, k)
		for _, secret := range []string{fmt.Sprintf("%x", d), fmt.Sprint(new(big.Int).SetBytes(d)), fmt.Sprintf("%d", d)} {
			if strings.Contains(got, strings.Trim(secret, "[]")) {
				t.Errorf("%s: %s", verb, got)
			}
		}
		if !strings.Contains(got, k.ID()) && verb != "%#v" {
			t.Errorf("%s: %s does not name the key", verb, got)
		}
	}
	if b, err := json.Marshal(struct{ K *Key }{k}); err != nil || string(b) != `{"K":"`+k.ID()+`"}` {
		t.Errorf("%s, %v", b, err)
	}
}
