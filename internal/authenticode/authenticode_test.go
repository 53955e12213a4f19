package authenticode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// program is one in the form of PE32+ whose certificate table holds a text.
func program(text string) []byte {
	b := make([]byte, 512)
	copy(b, "MZ")
	le := binary.LittleEndian
	le.PutUint32(b[60:], 128)
	copy(b[128:], "PE")
	le.PutUint16(b[152:], 0x20b)
	le.PutUint32(b[152+108:], 16)
	le.PutUint32(b[152+112+32:], 512)
	le.PutUint32(b[152+112+36:], uint32(len(text)))
	return append(b, text...)
}

func TestTheSignatureIsWhereTheHeaderSays(t *testing.T) {
	le := binary.LittleEndian
	pe32 := program("here")
	le.PutUint16(pe32[152:], 0x10b)
	clear(pe32[152+108 : 152+112])
	le.PutUint32(pe32[152+92:], 16)
	copy(pe32[152+96+32:], pe32[152+112+32:152+112+40])
	clear(pe32[152+112+32 : 152+112+40])
	far := program("here")
	le.PutUint32(far[152+112+36:], 0xffffffff)
	unsigned := program("here")
	clear(unsigned[152+112+36 : 152+112+40])
	early := program("here")
	le.PutUint32(early[152+112+32:], 140)
	none := program("here")
	le.PutUint32(none[152+108:], 4)
	for name, c := range map[string]struct {
		program []byte
		want    string
		err     string
	}{
		"PE32+": {program("here"), "here", ""}, "PE32": {pe32, "here", ""},
		"longer than the file": {far, "", "cut off"}, "one byte is missing": {program("here")[:515], "", "cut off"},
		"not signed": {unsigned, "", ""}, "no directory": {none, "", ""}, "no program": {[]byte("MZ"), "", "no program"},
		"a script": {bytes.Repeat([]byte("#!"), 100), "", "no program"}, "in the header": {early, "", "in its header"},
		"a header outside": {append([]byte("MZ"), bytes.Repeat([]byte{0xff}, 100)...), "", "no program"},
		"nothing":          {nil, "", "no program"},
	} {
		got, err := Table(bytes.NewReader(c.program), int64(len(c.program)))
		if string(got) != c.want || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// signedPrograms are real EFI programs that others signed: Debian's shim, by both of
// Microsoft's authorities, and its helpers.
func signedPrograms(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("/usr/lib/shim/*.efi.signed")
	if err != nil || len(paths) == 0 {
		testutil.Missing(t, "no signed EFI program is there: install shim-signed")
	}
	return paths
}

func file(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var commonName = regexp.MustCompile(`CN=([^/\n]*)`)

// sbverify names the authorities of each signature under a heading of its own.
func TestSignaturesOfRealProgramsAreReadAsSbverifyReadsThem(t *testing.T) {
	sbverify := testutil.Tool(t, "sbverify")
	both := 0
	for _, path := range signedPrograms(t) {
		out, err := exec.Command(sbverify, "--list", path).Output()
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, part := range strings.Split(string(out), "image signature issuers:")[1:] {
			issuers, _, _ := strings.Cut(part, "image signature certificates:")
			for _, m := range commonName.FindAllStringSubmatch(issuers, -1) {
				want = append(want, m[1])
			}
		}
		b := file(t, path)
		list, err := Read(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range list {
			if got = append(got, s.Authority); s.Err != nil || s.Signer == "" {
				t.Errorf("%s: %+v", path, s)
			}
		}
		if len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("%s: authorities %q, sbverify has %q", path, got, want)
		}
		if len(got) == 2 {
			both++
		}
	}
	if both == 0 {
		t.Error("no program with two signatures was among them")
	}
}

func TestAnyChangeOfASignedProgramIsSeen(t *testing.T) {
	path := signedPrograms(t)[0]
	whole := file(t, path)
	at, err := read(bytes.NewReader(whole), int64(len(whole)))
	if err != nil || at.length == 0 {
		t.Fatal(at, err)
	}
	valid := func(b []byte) bool {
		list, err := Read(bytes.NewReader(b), int64(len(b)))
		return err == nil && len(list) > 0 && !slices.ContainsFunc(list, func(s Signature) bool { return s.Err != nil })
	}
	if !valid(whole) {
		t.Fatal("it is not valid as it is")
	}
	for name, c := range map[string]struct {
		offset int64
		same   bool // firmware does not look at it
	}{
		"the first byte behind the header": {at.entry + 8, false}, "the middle": {at.table / 2, false}, "the last byte": {at.table - 1, false},
		"the checksum": {at.checksum, true}, "the signature's structure": {at.table + 8 + 3, false}, "what is signed": {at.table + 8 + 100, false},
		"the end of the signature": {at.table + int64(binary.LittleEndian.Uint32(whole[at.table:])) - 20, false},
	} {
		b := bytes.Clone(whole)
		b[c.offset] ^= 1
		if valid(b) != c.same {
			t.Errorf("%s: valid is %t", name, !c.same)
		}
	}
	if !valid(whole[:len(whole):len(whole)]) {
		t.Error("the original was changed")
	}
	if _, err := Read(bytes.NewReader(whole[:len(whole)-1]), int64(len(whole)-1)); !errors.Is(err, ErrCut) {
		t.Errorf("a byte less: %v", err)
	}
	if list, err := Read(bytes.NewReader(append(bytes.Clone(whole), make([]byte, 8)...)), int64(len(whole)+8)); err != nil || list[0].Err == nil {
		t.Errorf("8 bytes more: %+v, %v", list, err)
	}
}

// FuzzRead reads the certificate table of any program. The seeds have the table of a
// real one, where that is there.
func FuzzRead(f *testing.F) {
	f.Add(program("here"))
	f.Add(program("\x10\x00\x00\x00\x00\x02\x02\x00\x30\x82\x01\x00\x06\x00\x00\x00"))
	f.Add(program("")[:200])
	if paths, _ := filepath.Glob("/usr/lib/shim/mm*.efi.signed"); len(paths) > 0 {
		if b, err := os.ReadFile(paths[0]); err == nil {
			if table, err := Table(bytes.NewReader(b), int64(len(b))); err == nil {
				f.Add(program(string(table)))
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := Read(bytes.NewReader(b), int64(len(b)))
		if err != nil && list != nil || len(list) > maxEntries*(maxSigners+1)+1 {
			t.Errorf("%d signatures, %v", len(list), err)
		}
	})
}
