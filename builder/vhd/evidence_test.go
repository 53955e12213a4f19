package vhd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidence/evidencetest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/record"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// TestTheEvidenceOfABuild, in a format that is hashed as it is written and in one that is
// hashed afterwards: the disk, its source and the answer file.
func TestTheEvidenceOfABuild(t *testing.T) {
	key, public := evidencetest.Key(t)
	for format, footer := range map[string]int64{"vhd": 512, "qcow2": -1} {
		b := generalized(t, winimagetest.Spec{}, map[string]any{
			"source_path": winimagetest.Disk(t, winimagetest.Spec{}), "format": format, "evidence": map[string]any{"key": key}, "packer_core_version": "1.15.1",
		})
		disk := b.run.disk.Path
		b.wantContinue(t, new(stepInspectSource).Run(t.Context(), b))
		b.run.disk.Path = disk
		ran := record.Run{AnswerFile: true, AnswerFileSHA256: strings.Repeat("c", 64)}
		if err := ran.Write(t.Context(), b.run.recordPath()); err != nil {
			t.Fatal(err)
		}
		b.wantContinue(t, new(stepProve).Run(t.Context(), b))
		b.wantContinue(t, new(stepConvert).Run(t.Context(), b))

		path := b.run.output.path
		s := evidencetest.Read(t, path+".intoto.json", public)
		if len(s.Subject) != 2 || s.Subject[0].Name != filepath.Base(path) || s.Subject[0].Digest["sha256"] != evidencetest.Sum(t, path, 0) || s.Subject[1].Name != "packer-win.raw" {
			t.Errorf("%s: %s", format, s.Text)
		}
		if footer >= 0 && s.Subject[1].Digest["sha256"] != evidencetest.Sum(t, path, footer) {
			t.Errorf("the content: %s", s.Text)
		}
		source, answers := s.Of("source-disk"), s.Of("answer-file")
		if len(source) != 1 || source[0].Digest["sha256"] != evidencetest.Sum(t, b.run.config.SourcePath, 0) || source[0].Name != filepath.Base(b.run.config.SourcePath) {
			t.Errorf("the source: %+v", source)
		}
		if len(answers) != 1 || answers[0].Digest["sha256"] != ran.AnswerFileSHA256 {
			t.Errorf("the answer file: %+v", answers)
		}
		for _, no := range []string{filepath.Dir(b.run.config.SourcePath), b.run.config.OutputDirectory, key} {
			if strings.Contains(s.Text, filepath.ToSlash(no)) || strings.Contains(s.Text, no) {
				t.Errorf("%s is in %s", no, s.Text)
			}
		}
		a := newArtifact(b.run, nil)
		if a.State("sysprep_evidence") != path+".intoto.json" || len(a.Files()) != 1 {
			t.Errorf("%v, %v", a.State("sysprep_evidence"), a.Files())
		}
		if made := b.run.reported(t.Context(), nil); !strings.Contains(strings.Join(made.Files, " "), ".intoto.sigstore.json") {
			t.Errorf("the report on the build knows nothing of it: %q", made.Files)
		}
		if err := a.Destroy(); err != nil {
			t.Error(err)
		}
		evidencetest.WantNone(t, b.run.config.OutputDirectory)
	}
}

// TestABuildThatFailsLeavesNoEvidence: nor one whose disk is not proven.
func TestABuildThatFailsLeavesNoEvidence(t *testing.T) {
	key, _ := evidencetest.Key(t)
	options := map[string]any{"evidence": map[string]any{"key": key}}
	b := generalized(t, winimagetest.Spec{Remove: []string{winimagetest.Tag}}, options)
	b.wantHalt(t, new(stepConvert).Run(t.Context(), b), "was proven before the conversion")
	evidencetest.WantNone(t, b.run.config.OutputDirectory)

	b = generalized(t, winimagetest.Spec{}, options)
	step := new(stepOutputDirectory)
	b.wantContinue(t, step.Run(t.Context(), b))
	b.wantContinue(t, new(stepProve).Run(t.Context(), b))
	b.wantContinue(t, new(stepConvert).Run(t.Context(), b))
	if _, err := os.Stat(b.run.output.path + ".intoto.json"); err != nil {
		t.Fatal(err)
	}
	b.Put("halted", true) // something after it failed
	step.Cleanup(b)
	evidencetest.WantNone(t, b.run.config.OutputDirectory)
}

func TestEvidenceIsPreparedForEverything(t *testing.T) {
	key, _ := evidencetest.Key(t)
	mine := t.TempDir()
	write(t, filepath.Join(mine, "packer-win.vhd.intoto.json"))
	for name, c := range map[string]struct {
		options map[string]any
		want    string
	}{
		"a key":                    {map[string]any{"evidence": map[string]any{"key": key}}, ""},
		"not known yet":            {map[string]any{"evidence": map[string]any{"key": "<unknown>"}}, ""},
		"a key that is not there":  {map[string]any{"evidence": map[string]any{"key": filepath.Join(mine, "absent")}}, "evidence.key: "},
		"without a proof":          {map[string]any{"evidence": map[string]any{}, "verify": map[string]any{"enabled": false}}, "evidence, verify.enabled: "},
		"another file in the way":  {map[string]any{"evidence": map[string]any{}, "output_directory": mine, "packer_force": true}, "is no evidence"},
		"the report is the key":    {map[string]any{"evidence": map[string]any{"key": key}, "verify": map[string]any{"report": key}}, "is the same file as"},
		"a report is the evidence": {map[string]any{"evidence": map[string]any{}, "output_directory": filepath.Join(mine, "o"), "report": map[string]any{"json": filepath.Join(mine, "o", "packer-win.vhd.statement.json")}}, "is the same file as"},
	} {
		for range 2 {
			_, err := new(Config).prepare(valid(t, c.options))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", name, err, c.want)
			}
		}
	}
}

func TestTheNameOfADownloadedSource(t *testing.T) {
	for address, want := range map[string]string{
		"https://user:secret@example.com/images/ws2022.vhdx?sig=secret": "ws2022.vhdx",
		"https://example.com/":                "cached.vhdx",
		"https://example.com":                 "cached.vhdx",
		"s3::https://s3.example.com/b/k.vhdx": "cached.vhdx",
		"%zz":                                 "cached.vhdx",
	} {
		if got := nameOfURL(address, "cached.vhdx"); got != want {
			t.Errorf("%s: %s", address, got)
		}
	}
}
