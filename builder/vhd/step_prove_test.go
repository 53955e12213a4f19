package vhd

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

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
