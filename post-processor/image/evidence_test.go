package image

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/hcl/v2/hclparse"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidence/evidencetest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// with is the block evidence, with a key.
func with(key string) map[string]any {
	if key == "" {
		return map[string]any{}
	}
	return map[string]any{"key": key}
}

func TestEvidenceOnAConvertedDisk(t *testing.T) {
	key, public := evidencetest.Key(t)
	b := newBench(t, winimagetest.Spec{Generalized: true}, map[string]any{
		"format": "vhd", "output": "out/x.vhd", "evidence": with(key), "packer_core_version": "1.15.1",
		"report": map[string]any{"json": "run.json"},
	})
	made, _, _, err := b.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := evidencetest.Read(t, "out/x.vhd.intoto.json", public)
	want := []evidencetest.Resource{
		{Name: "x.vhd", Digest: map[string]string{"sha256": evidencetest.Sum(t, "out/x.vhd", 0)}},
		{Name: "x.raw", Digest: map[string]string{"sha256": evidencetest.Sum(t, "out/x.vhd", 512)}},
	}
	if !reflect.DeepEqual(s.Subject, want) || s.Predicate.Result != "PASSED" && s.Predicate.Result != "WARNED" || len(s.Predicate.PassedTests) < 10 {
		t.Errorf("%s", s.Text)
	}
	source := s.Of("source-disk")
	if len(source) != 1 || source[0].Name != "windows.raw" || source[0].Digest["sha256"] != evidencetest.Sum(t, b.input.files[0], 0) {
		t.Errorf("the source: %+v", source)
	}
	if tools := s.Of("tool"); len(tools) != 1 || tools[0].Annotations["sysprepVersion"] != "1.15.1" {
		t.Errorf("%+v", tools)
	}
	if strings.Contains(s.Text, filepath.Dir(b.input.files[0])) || strings.Contains(s.Text, "out/") || strings.Contains(s.Text, key) {
		t.Errorf("a path is in %s", s.Text)
	}
	if report, err := os.ReadFile("run.json"); err != nil || !strings.Contains(string(report), want[0].Digest["sha256"]) || !strings.Contains(string(report), "x.vhd.intoto.sigstore.json") {
		t.Errorf("the report on the run knows nothing of it: %v", err)
	}
	if made.State("sysprep_evidence") != "out/x.vhd.intoto.json" {
		t.Errorf("%v", made.State("sysprep_evidence"))
	}
	if !slices.Equal(made.Files(), []string{"out/x.vhd"}) {
		t.Errorf("importers take the first file: %v", made.Files())
	}
	secret, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(secret), "\n") {
		if len(line) == 64 && strings.Contains(b.said.String(), line[:30]) {
			t.Error("the key was said")
		}
	}
	if err := made.Destroy(); err != nil || !slices.Equal(here(t), []string{"run.json"}) {
		t.Errorf("after Destroy (%v) there is %v", err, here(t))
	}
}

// TestEvidenceOnADiskThatStays: unsigned, and the same bytes whenever it is made.
func TestEvidenceOnADiskThatStays(t *testing.T) {
	b := newBench(t, winimagetest.Spec{Generalized: true}, map[string]any{"evidence": with("")})
	const path = "output-b-image/windows.raw.statement.json"
	texts := []string{}
	for range 2 {
		if _, _, _, err := b.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := evidencetest.Read(t, path, nil)
		if len(s.Subject) != 1 || s.Subject[0].Name != "windows.raw" || s.Subject[0].Digest["sha256"] != evidencetest.Sum(t, b.input.files[0], 0) || len(s.Of("source-disk")) != 0 {
			t.Errorf("%s", s.Text)
		}
		texts = append(texts, s.Text)
	}
	if texts[0] != texts[1] {
		t.Errorf("made twice:\n%s\n%s", texts[0], texts[1])
	}
	if left := dirOf(t, b.input.files[0]); len(left) != 1 {
		t.Errorf("beside the builder's disk: %v", left)
	}
	// The disk is another one now, and not generalized: what was stated goes.
	b.input.files[0] = winimagetest.Disk(t, winimagetest.Spec{})
	if _, _, _, err := b.run(t.Context()); err == nil {
		t.Fatal("proven")
	}
	evidencetest.WantNone(t, ".")
}

// touching changes a disk as soon as it is told to be proven.
type touching struct {
	bytes.Buffer
	disk string
}

func (w *touching) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("Proven: ")) {
		_ = os.Chtimes(w.disk, time.Time{}, time.Now().Add(time.Hour))
	}
	return w.Buffer.Write(p)
}

func TestNoEvidenceOnADiskThatChangedAfterItsProof(t *testing.T) {
	b := newBench(t, winimagetest.Spec{Generalized: true}, map[string]any{"evidence": with("")})
	said := &touching{disk: b.input.files[0]}
	b.ui = &packersdk.BasicUi{Writer: said}
	_, _, _, err := b.run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "was written to after it was proven") {
		t.Errorf("%v\n%s", err, said)
	}
	evidencetest.WantNone(t, "output-b-image")
}

func TestNoEvidenceOnWhatIsNotProven(t *testing.T) {
	key, _ := evidencetest.Key(t)
	for _, options := range []map[string]any{{}, {"format": "vhd"}} {
		options["evidence"] = with(key)
		b := newBench(t, winimagetest.Spec{}, options)
		if _, _, _, err := b.run(t.Context()); err == nil {
			t.Fatal("proven")
		}
		evidencetest.WantNone(t, ".")
	}
	ctx, cancel := context.WithCancel(t.Context())
	b := newBench(t, winimagetest.Spec{Generalized: true}, map[string]any{"format": "vhd", "evidence": with(key)})
	b.ui = listener{b.ui, func(text string) {
		if strings.Contains(text, "Converted") {
			cancel()
		}
	}}
	if _, _, _, err := b.run(ctx); err == nil {
		t.Fatal("succeeded")
	}
	evidencetest.WantNone(t, ".")
}

// TestNoEvidenceUnlessAsked, nor of the disk that was replaced.
func TestNoEvidenceUnlessAsked(t *testing.T) {
	const old = `{"_type":"https://in-toto.io/Statement/v1","old":true}`
	for _, evidence := range []any{nil, map[string]any{"enabled": false}} {
		options := map[string]any{"format": "raw", "output": "x.raw", "packer_force": true}
		if evidence != nil {
			options["evidence"] = evidence
		}
		b := newBench(t, winimagetest.Spec{Generalized: true}, options)
		put(t, "x.raw", "old")
		put(t, "x.raw.statement.json", old)
		if _, _, _, err := b.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		evidencetest.WantNone(t, ".")
	}
}

func TestEvidenceIsCheckedBeforeAnythingIsDone(t *testing.T) {
	key, _ := evidencetest.Key(t)
	broken := put(t, filepath.Join(t.TempDir(), "broken.pem"), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
	t.Chdir(t.TempDir())
	put(t, "mine.vhd.intoto.json", "mine")
	for name, c := range map[string]struct {
		options map[string]any
		want    string
	}{
		"a key that is not there":     {map[string]any{"evidence": with("absent.pem")}, "evidence.key: "},
		"a damaged key":               {map[string]any{"evidence": with(broken)}, "evidence.key: " + broken + " cannot be read as a private key"},
		"without a proof":             {map[string]any{"format": "vhd", "evidence": with(""), "verify": map[string]any{"enabled": false}}, "evidence, verify.enabled: "},
		"another file in the way":     {map[string]any{"format": "vhd", "output": "mine.vhd", "evidence": with(key)}, "evidence: mine.vhd.intoto.json exists already"},
		"the output is the key":       {map[string]any{"format": "raw", "output": "x.raw", "verify": map[string]any{"report": key}, "evidence": with(key)}, "is the same file as"},
		"nothing, not known yet":      {map[string]any{"evidence": with("<unknown>")}, ""},
		"nothing, it is switched off": {map[string]any{"evidence": map[string]any{"enabled": false, "key": "absent.pem"}}, ""},
	} {
		err := new(PostProcessor).Configure(c.options, map[string]any{"packer_build_name": "b"})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestTheBlockIsAskedForByBeingThere: an empty one makes evidence, and none makes none.
func TestTheBlockIsAskedForByBeingThere(t *testing.T) {
	for text, want := range map[string]bool{"": false, "evidence {}": true, "evidence {\nenabled = true\n}": true, "evidence {\nenabled = false\n}": false} {
		file, diags := hclparse.NewParser().ParseHCL([]byte(text), "t.hcl")
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		var p PostProcessor
		value, diags := hcldec.Decode(file.Body, p.ConfigSpec(), nil)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		for range 2 { // Packer does it twice
			if err := p.Configure(value, map[string]any{"packer_build_name": "b"}); err != nil {
				t.Fatal(err)
			}
		}
		if got := p.config.Evidence.Wanted(); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}
