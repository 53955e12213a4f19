package sysprep

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/record"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// Our own builder holds the image against what sysprep was run with. A run that
// started nothing says nothing.
func TestOurBuilderIsToldWhatWasRun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scenario winsim.Scenario
		options  map[string]any
		want     *record.Run
	}{
		"with an answer file": {winsim.Scenario{}, map[string]any{"answer_file_content": testAnswer}, &record.Run{AnswerFile: true, AnswerFileSHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(testAnswer)))}},
		"with /mode:vm":       {winsim.Scenario{}, map[string]any{"vm_mode": true}, &record.Run{VMMode: true}},
		"that sysprep broke":  {winsim.Scenario{Outcome: winsim.Refused, Class: "F01"}, nil, &record.Run{}},
		"not started":         {winsim.Scenario{Start: winsim.Generalized}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, c.scenario, c.options)
			path, id := filepath.Join(t.TempDir(), "run.json"), ""
			g.adjust = func(r *run) { r.record, id = path, r.id }
			_ = g.provision() // how it ends is not what is asked here
			got, err := record.Read(path)
			if err != nil || (got == nil) != (c.want == nil) {
				t.Fatalf("%+v, %v", got, err)
			}
			if c.want == nil {
				return
			}
			if c.want.ID = id; *got != *c.want {
				t.Errorf("%+v, want %+v", *got, *c.want)
			}
		})
	}
}
