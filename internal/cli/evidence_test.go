package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidence/evidencetest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// TestInspectStatesWhatItProved: beside the image, signed or not, the same each time, and
// with what became of the identity of the source.
func TestInspectStatesWhatItProved(t *testing.T) {
	t.Parallel()
	image, source := winimagetest.Disk(t, winimagetest.Spec{Generalized: true}), winimagetest.Disk(t, winimagetest.Spec{})
	plain := filepath.Join(t.TempDir(), "plain")
	texts := []string{}
	for range 2 {
		code, stdout, stderr := run(t, "inspect", image, "--evidence", plain)
		if code != OK || !strings.Contains(stdout, "evidence:      "+plain+".statement.json\n") {
			t.Fatalf("%d\n%s\n%s", code, stdout, stderr)
		}
		texts = append(texts, evidencetest.Read(t, plain+".statement.json", nil).Text)
	}
	if texts[0] != texts[1] {
		t.Errorf("made twice:\n%s\n%s", texts[0], texts[1])
	}
	if strings.Contains(texts[0], "sysprepIdentity") || strings.Contains(texts[0], "source-disk") {
		t.Errorf("a source that was not named: %s", texts[0])
	}

	key, public := evidencetest.Key(t)
	code, stdout, stderr := run(t, "inspect", "--json", image, "--evidence-key", key, "--against", source)
	if code != OK || strings.Contains(stdout, "evidence: ") {
		t.Fatalf("%d\n%s\n%s", code, stdout, stderr)
	}
	s := evidencetest.Read(t, image+".intoto.json", public)
	if len(s.Subject) != 1 || s.Subject[0].Name != filepath.Base(image) || s.Subject[0].Digest["sha256"] != evidencetest.Sum(t, image, 0) {
		t.Errorf("%s", s.Text)
	}
	if from := s.Of("source-disk"); len(from) != 1 || from[0].Digest["sha256"] != evidencetest.Sum(t, source, 0) {
		t.Errorf("%+v", from)
	}
	if proof := s.Of("proof"); len(proof) != 1 || proof[0].Annotations["sysprepIdentity"] == nil || !strings.Contains(s.Text, `{"name":"KMS client id","state":"unknown"}`) {
		t.Errorf("the identity: %s", s.Text)
	}
	if _, err := os.Stat(image + ".intoto.sigstore.json"); err != nil {
		t.Error(err)
	}
	if strings.Contains(s.Text, filepath.Dir(image)) || strings.Contains(s.Text, filepath.ToSlash(filepath.Dir(source))) {
		t.Errorf("a path of this machine: %s", s.Text)
	}
}

// TestInspectStatesNothingElse: the exit code tells why.
func TestInspectStatesNothingElse(t *testing.T) {
	t.Parallel()
	good, inUse := winimagetest.Disk(t, winimagetest.Spec{Generalized: true}), winimagetest.Disk(t, winimagetest.Spec{})
	key, _ := evidencetest.Key(t)
	folder := t.TempDir()
	prefix, mine := filepath.Join(folder, "x"), filepath.Join(folder, "mine")
	if err := os.WriteFile(mine+".intoto.json", []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args   []string
		code   int
		stderr string
	}{
		"not proven":             {[]string{inUse, "--evidence", prefix}, NotOK, "no evidence was written: the image is not proven"},
		"not proven, signed":     {[]string{inUse, "--evidence", prefix, "--evidence-key", key}, NotOK, "is not proven"},
		"not what was expected":  {[]string{good, "--audit", "--evidence", prefix}, NotOK, "is not proven"},
		"no disk":                {[]string{key, "--evidence", prefix}, CannotDo, "cannot tell whether"},
		"no image":               {[]string{prefix + ".none", "--evidence", prefix}, CannotDo, "cannot tell whether"},
		"several images":         {[]string{good, inUse, "--evidence", prefix}, CannotDo, "one image at a time"},
		"standard input":         {[]string{"-", "--evidence", prefix}, CannotDo, "a file on this machine"},
		"a web server":           {[]string{"https://example.com/disk.vhd", "--evidence-key", key}, CannotDo, "a file on this machine"},
		"no key":                 {[]string{good, "--evidence", prefix, "--evidence-key", prefix + ".pem"}, CannotDo, "--evidence-key: "},
		"an image for a key":     {[]string{good, "--evidence", prefix, "--evidence-key", good}, CannotDo, "--evidence-key: "},
		"another file is there":  {[]string{good, "--evidence", mine}, CannotDo, "is no evidence"},
		"the result replaces it": {[]string{good, "--evidence", prefix, "-o", prefix + ".statement.json"}, CannotDo, "is the same file as"},
		"the result is the key":  {[]string{good, "--evidence", prefix, "--evidence-key", key, "-o", key}, CannotDo, "is the same file as"},
	} {
		code, stdout, stderr := run(t, append([]string{"inspect"}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%s: %d, want %d and %q\n%s\n%s", name, code, c.code, c.stderr, stdout, stderr)
		}
		if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
			t.Errorf("%s: left %v, %v", name, entries, err)
		}
	}
	evidencetest.WantNone(t, filepath.Dir(inUse))
	evidencetest.WantNone(t, filepath.Dir(good))

	// That of an earlier disk is named, for it looks as if it were of this one.
	if code, _, stderr := run(t, "inspect", "-q", good, "--evidence", prefix); code != OK || stderr != "" {
		t.Fatalf("%d %s", code, stderr)
	}
	if code, _, stderr := run(t, "inspect", "-q", inUse, "--evidence", prefix); code != NotOK || !strings.Contains(stderr, prefix+".statement.json is of an earlier time") || strings.Contains(stderr, "intoto") {
		t.Errorf("%d %s", code, stderr)
	}
}
