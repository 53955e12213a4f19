package answerfile

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// canonicalizer is the independent judge of a round trip: Python's parser
// (expat) and its canonical XML 2.0, with prefixes rewritten. Only white space
// between elements is dropped, text in values counts to the last blank. Each
// pair of arguments is compared; what differs is printed.
const canonicalizer = `
import sys, xml.etree.ElementTree as ET
def canonical(path):
    root = ET.fromstring(open(path, "rb").read())
    for e in root.iter():
        if len(e):
            if not (e.text or "").strip(" \t\r\n"): e.text = None
            for c in e:
                if not (c.tail or "").strip(" \t\r\n"): c.tail = None
    return ET.canonicalize(ET.tostring(root, encoding="unicode"), rewrite_prefixes=True)
names = sys.argv[1:]
for a, b in zip(names[::2], names[1::2]):
    if canonical(a) != canonical(b):
        print("differ:", a)
print("compared", len(names) // 2)
`

// compareCanonically holds before against after, both by file name.
func compareCanonically(t *testing.T, before, after map[string][]byte) {
	t.Helper()
	python := testutil.Tool(t, "python3")
	dir := t.TempDir()
	args := []string{"-c", canonicalizer}
	for name, data := range before {
		for suffix, content := range map[string][]byte{".before": data, ".after": after[name]} {
			if err := os.WriteFile(filepath.Join(dir, name+suffix), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		args = append(args, filepath.Join(dir, name+".before"), filepath.Join(dir, name+".after"))
	}
	out, err := exec.CommandContext(t.Context(), python, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("running the canonicalizer: %v\n%s", err, out)
	}
	if got := strings.TrimSpace(string(out)); strings.Contains(got, "differ") || !strings.HasPrefix(got, "compared") {
		t.Error(got)
	} else {
		t.Log(got)
	}
}

func roundTrip(t *testing.T, files map[string][]byte) {
	t.Helper()
	after := map[string][]byte{}
	for name, data := range files {
		file, err := Parse(data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		after[name] = file.Marshal()
		again, err := Parse(after[name])
		if err != nil {
			t.Fatalf("%s: reading what was written: %v", name, err)
		}
		if !same(file.Root, again.Root) {
			t.Errorf("%s: what was written reads differently", name)
		}
	}
	compareCanonically(t, files, after)
}

func TestPublishedAnswerFilesKeepTheirMeaning(t *testing.T) {
	files := corpusFiles(t)
	for name := range brokenInCorpus {
		delete(files, name)
	}
	roundTrip(t, files)
}

func TestOwnAnswerFilesKeepTheirMeaning(t *testing.T) { roundTrip(t, ownFiles(t)) }

func TestTheCanonicalizerSeesADifference(t *testing.T) {
	python := testutil.Tool(t, "python3")
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for name, text := range map[string]string{a: "<x><y>1</y></x>", b: "<x><y>1 </y></x>"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), python, "-c", canonicalizer, a, b).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("differ")) {
		t.Errorf("got %s, %v, want a difference by one blank", out, err)
	}
}

func TestMarshalKeepsTextTightAndDeclaresNamespaces(t *testing.T) {
	file, err := Parse([]byte(`<unattend xmlns="urn:schemas-microsoft-com:unattend"><!-- gone --><settings pass="specialize"><component name="a"` +
		` xmlns:w="http://schemas.microsoft.com/WMIConfig/2002/State"><L w:action="add"><V> a &amp; b&#xD;</V><E/></L></component></settings>` +
		`<o:offlineImage o:source="wim:&quot;x" xmlns:o="urn:schemas-microsoft-com:cpi"/></unattend>`))
	if err != nil {
		t.Fatal(err)
	}
	want := `<?xml version="1.0" encoding="utf-8"?>
<unattend xmlns="urn:schemas-microsoft-com:unattend" xmlns:wcm="http://schemas.microsoft.com/WMIConfig/2002/State" xmlns:cpi="urn:schemas-microsoft-com:cpi">
  <settings pass="specialize">
    <component name="a">
      <L wcm:action="add">
        <V> a &amp; b&#xD;</V>
        <E />
      </L>
    </component>
  </settings>
  <cpi:offlineImage cpi:source="wim:&quot;x" />
</unattend>
`
	if got := string(file.Marshal()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
