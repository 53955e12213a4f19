package evidencefile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidence"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidence/evidencetest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// stocked is a generalized Windows with a program.
func stocked() winimagetest.Spec {
	return winimagetest.Spec{Generalized: true, Software: func(root *hivewrite.Key) {
		root.Path(`Microsoft\Windows\CurrentVersion\Uninstall\{1}`).SetString("DisplayName", "Agent").SetString("DisplayVersion", "2.0")
	}}
}

// opens opens a disk of a Windows, as a component does.
func opens(path string) func(context.Context) (diskimage.Disk, error) {
	return func(ctx context.Context) (diskimage.Disk, error) { return diskimage.Open(path, diskimage.Until(ctx)) }
}

func said() (*bytes.Buffer, packersdk.Ui) {
	var b bytes.Buffer
	return &b, &packersdk.BasicUi{Writer: &b, ErrorWriter: &b}
}

func TestTheBillOfMaterialsOfADisk(t *testing.T) {
	one := stocked()
	two := one
	two.Beside = &one
	bare := winimagetest.Disk(t, winimagetest.Spec{Generalized: true})
	lost := one
	lost.Files = map[string]string{`\Users\Default\NTUSER.DAT`: strings.Repeat("garbage!", 2000)}
	plain, both, broken := winimagetest.Disk(t, one), winimagetest.Disk(t, two), winimagetest.Disk(t, lost)
	for name, c := range map[string]struct {
		disk, windows string
		wrong, says   string // empty: nothing
	}{
		"the only one":             {plain, "all", "", ""},
		"by its partition":         {plain, "1", "", ""},
		"another partition":        {plain, "7", "in each of the partitions 1, and a bill of materials is of one; set verify.windows", ""},
		"two":                      {both, "all", "sbom: the disk has a Windows in each of the partitions 1, 2, and a bill of materials is of one; set verify.windows", ""},
		"one of two":               {both, "2", "", ""},
		"a place that is not read": {broken, "all", "", `Warning: the bill of materials lacks what could not be read: \Users\Default\NTUSER.DAT: `},
		"nothing in it":            {bare, "all", "sbom: a Windows was found, but not one of its packages", ""},
		"no disk":                  {filepath.Join(t.TempDir(), "none"), "all", "sbom: ", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, ui := said()
			bill, err := Bill(t.Context(), ui, c.windows, opens(c.disk))
			if (err == nil) != (c.wrong == "") || err != nil && (!strings.Contains(err.Error(), c.wrong) || bill != nil) {
				t.Fatalf("%v", err)
			}
			if c.says == "" && b.Len() > 0 || !strings.Contains(b.String(), c.says) {
				t.Errorf("said %q", b)
			}
			if c.wrong != "" {
				return
			}
			var doc struct{ BomFormat, SpecVersion string }
			if err := json.Unmarshal(bill, &doc); err != nil || doc.BomFormat != "CycloneDX" || doc.SpecVersion != "1.6" || !bytes.Contains(bill, []byte(`"Windows Server 2022 Standard"`)) || !bytes.Contains(bill, []byte(`"Agent"`)) {
				t.Errorf("%v\n%.500s", err, bill)
			}
			if again, err := Bill(t.Context(), ui, c.windows, opens(c.disk)); err != nil || !bytes.Equal(bill, again) {
				t.Errorf("made twice it is another one (%v)", err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, ui := said()
	bill, err := Bill(ctx, ui, "all", func(ctx context.Context) (diskimage.Disk, error) {
		cancel()
		return opens(plain)(ctx)
	})
	if !errors.Is(err, context.Canceled) || bill != nil {
		t.Errorf("after a cancel: %v", err)
	}
}

func TestSeveralWindowsAreRefusedAsSoonAsTheyAreKnown(t *testing.T) {
	r := proof.Result{Facts: winimage.Facts{Windows: []winimage.Windows{{Partition: 2}, {Partition: 4}}}}
	for _, c := range []struct {
		wanted  bool
		windows string
		ok      bool
	}{{false, "all", true}, {true, "all", false}, {true, "", false}, {true, "4", true}, {true, "3", false}} {
		if err := CheckWindows(c.wanted, c.windows, r); (err == nil) != c.ok || err != nil && !strings.Contains(err.Error(), "partitions 2, 4,") {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if errs := append(PrepareSBOM(true, true), PrepareSBOM(false, false)...); len(errs) > 0 {
		t.Error(errs)
	}
	if errs := PrepareSBOM(true, false); len(errs) != 1 || !strings.Contains(errs[0].Error(), "sbom, verify.enabled: ") {
		t.Error(errs)
	}
}

// TestTheBillIsWrittenAndStated: alone or with a statement that names its digest, never of
// what is not proven, and what writes it anew is said where it cannot be written.
func TestTheBillIsWrittenAndStated(t *testing.T) {
	_, ui := said()
	bill, err := Bill(t.Context(), ui, "all", opens(winimagetest.Disk(t, stocked())))
	if err != nil {
		t.Fatal(err)
	}
	good := about(finding.Finding{ID: "windows", Severity: finding.Fail, Holds: true})
	good.SBOM = bill
	key, of := evidencetest.Key(t)
	signed := &Config{Key: key}
	if errs := signed.Prepare(true); len(errs) > 0 {
		t.Fatal(errs)
	}
	for name, c := range map[string]struct {
		config *Config
		files  []string
	}{
		"alone":            {nil, []string{".cdx.json"}},
		"with a statement": {&Config{}, []string{".statement.json", ".cdx.json"}},
		"signed":           {signed, []string{".intoto.json", ".intoto.sigstore.json", ".cdx.json"}},
	} {
		prefix := filepath.Join(t.TempDir(), "disk.vhd")
		documents, err := c.config.Make(prefix, good)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second is written over the first
			if errs := CheckSBOM(true, prefix); len(errs) > 0 {
				t.Error(errs)
			}
			b, ui := said()
			paths := c.config.Write(t.Context(), ui, prefix, documents)
			want := []string{}
			for _, suffix := range c.files {
				want = append(want, prefix+suffix)
			}
			if strings.Join(paths, " ") != strings.Join(want, " ") || !strings.Contains(b.String(), "Bill of materials: "+prefix+".cdx.json") {
				t.Errorf("%s: %q\n%s", name, paths, b)
			}
		}
		if got, err := os.ReadFile(prefix + ".cdx.json"); err != nil || !bytes.Equal(got, bill) {
			t.Errorf("%s: another one was written (%v)", name, err)
		}
		statement, listed := Named([]string{prefix + c.files[0], prefix + ".cdx.json"})
		if listed != prefix+".cdx.json" || (statement == "") != (len(c.files) == 1) {
			t.Errorf("%s: %q, %q", name, statement, listed)
		}
		if statement == "" {
			continue
		}
		public := of
		if c.config != signed {
			public = nil
		}
		s := evidencetest.Read(t, statement, public)
		if of := s.Of(evidence.RoleSBOM); len(of) != 1 || of[0].Name != "disk.vhd.cdx.json" || of[0].Digest["sha256"] != fmt.Sprintf("%x", sha256.Sum256(bill)) || len(s.Subject) != 2 {
			t.Errorf("%s: %s", name, s.Text)
		}
	}
	bad := good
	bad.Result.Findings = []finding.Finding{{ID: "tag", Severity: finding.Fail}}
	var none *Config
	if documents, err := none.Make("x", bad); !errors.Is(err, evidence.ErrNotProven) || documents != nil {
		t.Errorf("of what is not proven: %v, %v", documents, err)
	}
	prefix := filepath.Join(t.TempDir(), "disk.vhd")
	if err := os.WriteFile(prefix+".cdx.json", []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if errs := CheckSBOM(true, prefix); len(errs) != 1 || !strings.Contains(errs[0].Error(), "sbom: "+prefix+".cdx.json exists already") {
		t.Error(errs)
	}
	if errs := append(CheckSBOM(false, prefix), CheckSBOM(true, "<unknown>.vhd")...); len(errs) > 0 {
		t.Error(errs)
	}
	for config, want := range map[*Config]string{
		nil:    "its bill of materials could not be written: ",
		signed: "its evidence or its bill of materials could not be written: ",
	} {
		documents, err := config.Make(prefix, good)
		if err != nil {
			t.Fatal(err)
		}
		b, ui := said()
		if paths := config.Write(t.Context(), ui, prefix, documents); paths != nil || !strings.Contains(b.String(), want) || !strings.Contains(b.String(), "packer-plugin-sysprep sbom DISK -o "+prefix+".cdx.json") {
			t.Errorf("%q\n%s", paths, b)
		}
		if entries, err := os.ReadDir(filepath.Dir(prefix)); err != nil || len(entries) != 1 {
			t.Errorf("left: %v, %v", entries, err)
		}
	}
}
