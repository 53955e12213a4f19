package vhd

import (
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/record"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// What sysprep was run with is asserted in our own builds: the provisioner, in
// another process, says what that was.
func TestTheImageHasToShowWhatSysprepWasRunWith(t *testing.T) {
	for name, c := range map[string]struct {
		ran    *record.Run
		warned []string
	}{
		"another program ran it":            {nil, nil},
		"with what the image shows":         {&record.Run{ID: "x", AnswerFile: true}, nil},
		"without an answer file":            {&record.Run{ID: "x"}, []string{"cached-answer-file"}},
		"with /mode:vm, which left no sign": {&record.Run{ID: "x", AnswerFile: true, VMMode: true}, []string{"vm-mode"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := started(t, map[string]any{"verify": map[string]any{"severities": map[string]string{"cached-answer-file": "warn", "vm-mode": "warn"}}})
			b.run.disk.Path = winimagetest.Disk(t, winimagetest.Spec{Generalized: true})
			b.run.scratch = t.TempDir()
			b.run.share(b)
			if c.ran != nil {
				path, _ := b.Get(generatedKey).(map[string]any)[record.Key].(string)
				if err := c.ran.Write(t.Context(), path); err != nil {
					t.Fatal(err)
				}
			}
			b.wantContinue(t, new(stepProve).Run(t.Context(), b))
			for _, id := range []string{"cached-answer-file", "vm-mode"} {
				warned := false
				for _, said := range b.said.SayMessages {
					warned = warned || strings.Contains(said.Message, "warning "+id)
				}
				wanted := strings.Contains(strings.Join(c.warned, " "), id)
				if warned != wanted {
					t.Errorf("%s warned: %t", id, warned)
				}
			}
		})
	}
}
