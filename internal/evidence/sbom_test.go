package evidence

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// billText is the beginning of a bill of materials as package sbom writes it.
const billText = `{
 "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
 "bomFormat": "CycloneDX",
 "specVersion": "1.6",
 "serialNumber": "urn:uuid:8a6dd9a2-5e53-8e0c-a1d1-2f9ee4d1c1b0",
 "version": 1,
 "metadata": {
  "timestamp": "2026-01-02T03:04:05Z",
  "tools": {
   "components": [
    {
     "type": "application",
     "name": "packer-plugin-sysprep",
     "version": "1.2.3"
    }
   ]
  }
 }
}
`

// TestTheBillOfMaterialsIsNamed between what the image was made of and the proof.
func TestTheBillOfMaterialsIsNamed(t *testing.T) {
	p := proven()
	without := string(stated(t, image, p))
	p.SBOM = Material{Name: "disk.vhd.cdx.json", SHA256: strings.Repeat("c", 64)}
	descriptor := `{"name":"disk.vhd.cdx.json","digest":{"sha256":"` + p.SBOM.SHA256 + `"},"mediaType":"application/vnd.cyclonedx+json","annotations":{"sysprepRole":"sbom"}},`
	if got, want := string(stated(t, image, p)), strings.Replace(without, `{"name":"proof",`, descriptor+`{"name":"proof",`, 1); got != want || got == without {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	p.SBOM.SHA256 = "x"
	if b, err := Statement(image, p); err == nil {
		t.Errorf("without a digest: %s", b)
	}
}

// TestABillOfMaterialsGoesWithTheEvidence, or alone: all or none, and each kind replaces
// only its own.
func TestABillOfMaterialsGoesWithTheEvidence(t *testing.T) {
	statement := must[[]byte](t)(Statement(image, proven()))
	start := func(t *testing.T) (disk string, bill Document, both []Document) {
		disk = filepath.Join(t.TempDir(), "disk.vhd")
		bill = Document{disk + SBOMSuffix, []byte(billText)}
		return disk, bill, append(must[[]Document](t)(Documents(disk, statement, nil)), bill)
	}
	disk, bill, both := start(t)
	folder := filepath.Dir(disk)
	holds := func(when string, want ...string) {
		t.Helper()
		if got := names(t, folder); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q", when, got)
		}
	}
	for range 2 { // over an earlier one too
		if err := Write(t.Context(), disk, both); err != nil {
			t.Fatal(err)
		}
		holds("both", "disk.vhd.cdx.json", "disk.vhd.statement.json")
	}
	if got := Left(disk); len(got) != 1 || got[0] != disk+StatementSuffix {
		t.Errorf("the evidence that is left: %q", got)
	}
	if err := Remove(t.Context(), disk); err != nil {
		t.Error(err)
	}
	holds("the evidence is removed", "disk.vhd.cdx.json")
	if err := Write(t.Context(), disk, both[:1]); err != nil {
		t.Error(err)
	}
	holds("evidence alone leaves the bill", "disk.vhd.cdx.json", "disk.vhd.statement.json")
	if err := Write(t.Context(), disk, []Document{bill}); err != nil {
		t.Error(err)
	}
	holds("a bill alone leaves the evidence", "disk.vhd.cdx.json", "disk.vhd.statement.json")
	if err := RemoveSBOM(t.Context(), disk); err != nil {
		t.Error(err)
	}
	holds("the bill is removed", "disk.vhd.statement.json")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Write(ctx, disk, both); err == nil {
		t.Error("written after a cancel")
	}
	if got := names(t, folder); len(got) != 0 {
		t.Errorf("after a cancel: %q", got)
	}
	// The statement cannot be written, and so the bill that it names is not there.
	long := []Document{{filepath.Join(folder, strings.Repeat("x", 300)), statement}, bill}
	if err := Write(t.Context(), disk, long); err == nil {
		t.Error("a file of 300 letters was written")
	}
	if got := names(t, folder); len(got) != 0 {
		t.Errorf("after a failure: %q", got)
	}
}

// TestOtherBillsOfMaterialsAreNeverReplaced: those of other programs are somebody's.
func TestOtherBillsOfMaterialsAreNeverReplaced(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		ours    bool
	}{
		"ours":              {billText, true},
		"ours, in a line":   {strings.Join(strings.Fields(billText), ""), true},
		"empty":             {"", true},
		"another program's": {strings.Replace(billText, "packer-plugin-sysprep", "syft", 1), false},
		"no tool at all":    {`{"$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", "components": [{"name": "packer-plugin-sysprep"}]}`, false},
		"ours, named later": {strings.Replace(billText, `"type": "application"`, `"type": "application", "name": "syft"}, {"type": "application"`, 1), false},
		"something else":    {"mine", false},
	} {
		disk := filepath.Join(t.TempDir(), "disk.vhd")
		put(t, disk+SBOMSuffix, c.content)
		if err := CheckSBOM(disk); (err == nil) != c.ours || err != nil && !strings.Contains(err.Error(), "exists already and is no bill of materials of this plugin") {
			t.Errorf("%s: %v", name, err)
		}
		err := Write(t.Context(), disk, []Document{{disk + SBOMSuffix, []byte(billText)}})
		want := billText
		if !c.ours {
			want = c.content
		}
		if got := string(must[[]byte](t)(os.ReadFile(disk + SBOMSuffix))); (err == nil) != c.ours || got != want {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
	}
	if err := CheckSBOM("disk.vhd", "disk.vhd.cdx.json"); err == nil {
		t.Error("an input is replaced")
	}
}
