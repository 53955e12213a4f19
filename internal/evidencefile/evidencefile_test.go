package evidencefile

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/template/config"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidence"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidence/evidencetest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
)

func about(findings ...finding.Finding) About {
	return About{
		Disk: filepath.Join("somewhere", "disk.vhd"), Digests: diskimage.Digests{File: strings.Repeat("1", 64), Content: strings.Repeat("2", 64)},
		Result: proof.Result{Findings: findings}, Hide: func(s string) string { return strings.ReplaceAll(s, "swordfish", "<sensitive>") },
	}
}

func TestABlockThatIsNotThereAsksForNothing(t *testing.T) {
	var none *Config
	off := &Config{Key: "absent.pem", Enabled: config.TriFalse}
	for _, c := range []*Config{none, off} {
		documents, err := c.Make("x", about())
		if c.Wanted() || len(c.Prepare(false)) > 0 || len(c.Check("x")) > 0 || c.Inputs() != nil || documents != nil || err != nil || c.CheckDisk(diskimage.Info{Files: []string{"a", "b"}}, "") != nil {
			t.Errorf("%+v", c)
		}
	}
}

func TestADiskInSeveralFilesIsRefused(t *testing.T) {
	err := (&Config{}).CheckDisk(diskimage.Info{Files: []string{"child.qcow2", "base.qcow2"}}, "set format")
	if err == nil || !strings.Contains(err.Error(), "child.qcow2 is only a part of the disk") || !strings.Contains(err.Error(), "set format") {
		t.Error(err)
	}
	if err := (&Config{}).CheckDisk(diskimage.Info{Files: []string{"disk.vhd"}}, ""); err != nil {
		t.Error(err)
	}
}

// TestEvidenceThatCannotBeWrittenIsSaid with the command that makes it, and leaves
// nothing. Neither the key nor a secret is in what is said or written.
func TestEvidenceThatCannotBeWrittenIsSaid(t *testing.T) {
	key, public := evidencetest.Key(t)
	c := &Config{Key: key}
	if errs := c.Prepare(true); len(errs) > 0 {
		t.Fatal(errs)
	}
	folder := t.TempDir()
	prefix := filepath.Join(folder, "disk.vhd")
	good := finding.Finding{ID: "windows", Severity: finding.Fail, Holds: true, Found: "swordfish"}
	documents, err := c.Make(prefix, about(good))
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	ui := &packersdk.BasicUi{Writer: &said, ErrorWriter: &said}
	if err := os.WriteFile(prefix+evidence.BundleSuffix, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if paths := c.Write(t.Context(), ui, prefix, documents); paths != nil || !strings.Contains(said.String(), "inspect DISK --evidence-key "+key) {
		t.Errorf("%q, said: %s", paths, &said)
	}
	if _, err := os.Stat(prefix + evidence.EnvelopeSuffix); !os.IsNotExist(err) {
		t.Errorf("half of it was written: %v", err)
	}
	if err := os.Remove(prefix + evidence.BundleSuffix); err != nil {
		t.Fatal(err)
	}
	if paths := c.Write(t.Context(), ui, prefix, documents); len(paths) != 2 {
		t.Errorf("%q, said: %s", paths, &said)
	}
	if s := evidencetest.Read(t, prefix+evidence.EnvelopeSuffix, public); strings.Contains(s.Text, "swordfish") || !strings.Contains(s.Text, "<sensitive>") || s.Subject[0].Name != "disk.vhd" {
		t.Errorf("%s", s.Text)
	}
	if documents, err := c.Make(prefix, about(good, finding.Finding{ID: "tag", Severity: finding.Fail})); err == nil || documents != nil {
		t.Errorf("of what is not proven: %v, %v", documents, err)
	}
}
