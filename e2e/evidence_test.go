//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidence/evidencetest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// wantEvidence holds the evidence of a good build against the files that it is about: the
// disk, its content as qemu-img sees it, the source and the answer file. Nothing of the
// build machine is in it.
func wantEvidence(t *testing.T, p *packerRun, public *ecdsa.PublicKey, file, source, answers string) {
	t.Helper()
	s := evidencetest.Read(t, file+".intoto.json", public)
	raw := filepath.Join(t.TempDir(), "image.raw")
	format := map[string]string{".vhd": "vpc", ".vhdx": "vhdx"}[filepath.Ext(file)]
	tool(t, "qemu-img", "convert", "-f", format, "-O", "raw", file, raw)
	if len(s.Subject) != 2 || s.Subject[0].Name != filepath.Base(file) || s.Subject[0].Digest["sha256"] != sum(t, file) ||
		s.Subject[1].Name != "image.raw" || s.Subject[1].Digest["sha256"] != sum(t, raw) {
		t.Errorf("subjects %+v, want %s and %s", s.Subject, sum(t, file), sum(t, raw))
	}
	for role, path := range map[string]string{"source-disk": source, "answer-file": answers} {
		if of := s.Of(role); len(of) != 1 || of[0].Digest["sha256"] != sum(t, path) {
			t.Errorf("%s: %+v, want %s", role, of, sum(t, path))
		}
	}
	if versions := s.Of("tool"); len(versions) != 1 || versions[0].Annotations["sysprepVersion"] == "" {
		t.Errorf("Packer: %+v", versions)
	}
	for _, no := range []string{p.dir, testutil.Root(), answerFileSecret, guestPassword} {
		if strings.Contains(s.Text, no) {
			t.Errorf("%s is in %s", no, s.Text)
		}
	}
}
