package vhd

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/footprint"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/record"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

func TestOnlyAGeneralizedDiskIsHandedOn(t *testing.T) {
	b := newBench(t, nil)
	b.run.disk.Path = winimagetest.Disk(t, winimagetest.Spec{})
	b.wantHalt(t, new(stepProve).Run(t.Context(), b), "IMAGE_STATE_COMPLETE")
	if b.run.report != "" {
		t.Errorf("a report %s is to be handed on", b.run.report)
	}

	b = newBench(t, nil)
	b.run.disk.Path = winimagetest.Disk(t, winimagetest.Spec{Generalized: true})
	b.wantContinue(t, new(stepProve).Run(t.Context(), b))
	if _, err := os.Stat(b.run.config.beside("report.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a report claims a proof before there is an image: %v", err)
	}
}

// What the source had tells a tag of this build from an old one; the clocks of
// guest and host have nothing to say.
func TestTheTagIsHeldAgainstTheSource(t *testing.T) {
	disk := winimagetest.Disk(t, winimagetest.Spec{Generalized: true, TagTime: time.Now().Add(-48 * time.Hour)})
	b := newBench(t, map[string]any{"source_path": disk})
	b.wantContinue(t, new(stepInspectSource).Run(t.Context(), b))
	b.run.disk.Path = disk
	b.wantHalt(t, new(stepProve).Run(t.Context(), b), "tag")
	if !strings.Contains(joined(b), "came with the source disk") {
		t.Errorf("the reason was not said:\n%s", joined(b))
	}

	b = newBench(t, map[string]any{"source_path": winimagetest.Disk(t, winimagetest.Spec{})})
	b.wantContinue(t, new(stepInspectSource).Run(t.Context(), b))
	b.run.disk.Path = disk
	b.wantContinue(t, new(stepProve).Run(t.Context(), b))
}

// What sysprep was run with is asserted in our own builds: the provisioner, in
// another process, says what that was.
func TestTheImageHasToShowWhatSysprepWasRunWith(t *testing.T) {
	left := footprint.Mark.Path("x")
	for name, c := range map[string]struct {
		ran    *record.Run
		remove []string
		warned []string
	}{
		"another program ran it":            {nil, nil, nil},
		"with what the image shows":         {&record.Run{ID: "x", AnswerFile: true}, nil, nil},
		"without an answer file":            {&record.Run{ID: "x"}, nil, nil},
		"with an answer file, not cached":   {&record.Run{ID: "x", AnswerFile: true}, []string{winimagetest.Cached}, []string{"cached-answer-file"}},
		"with /mode:vm, which left no sign": {&record.Run{ID: "x", AnswerFile: true, VMMode: true}, nil, []string{"vm-mode"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := started(t, map[string]any{"verify": map[string]any{"severities": map[string]string{"cached-answer-file": "warn", "vm-mode": "warn"}}})
			b.run.disk.Path = winimagetest.Disk(t, winimagetest.Spec{Generalized: true, Remove: c.remove, Files: map[string]string{`\Windows` + left: ""}})
			b.run.scratch = t.TempDir()
			b.run.share(b)
			if c.ran != nil {
				path, _ := b.Get(generatedKey).(map[string]any)[record.Key].(string)
				if err := c.ran.Write(t.Context(), path); err != nil {
					t.Fatal(err)
				}
			}
			b.wantContinue(t, new(stepProve).Run(t.Context(), b))
			if ours := strings.Contains(joined(b), left+" (of this build)"); ours != (c.ran != nil) {
				t.Errorf("what this build left is told to be of it: %t", ours)
			}
			for _, id := range []string{"cached-answer-file", "vm-mode"} {
				warned := false
				for _, said := range b.said.SayMessages {
					warned = warned || strings.Contains(said.Message, "["+id)
				}
				wanted := strings.Contains(strings.Join(c.warned, " "), id)
				if warned != wanted {
					t.Errorf("%s warned: %t", id, warned)
				}
			}
		})
	}
}

// Where the provisioner's word cannot be read, less is asked for, and that is said.
func TestARecordThatCannotBeReadIsSaid(t *testing.T) {
	b := started(t, nil)
	b.run.disk.Path = winimagetest.Disk(t, winimagetest.Spec{Generalized: true})
	b.run.scratch = t.TempDir()
	if err := os.WriteFile(b.run.recordPath(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.wantContinue(t, new(stepProve).Run(t.Context(), b))
	if !strings.Contains(joined(b), "Warning: reading what sysprep was run with: ") {
		t.Errorf("said:\n%s", joined(b))
	}
}
