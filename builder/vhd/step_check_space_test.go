package vhd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
)

func TestSpaceIsCheckedBeforeTheWork(t *testing.T) {
	for _, c := range []struct {
		name   string
		free   int64
		err    error
		taken  bool
		format string // of the disk that boots
		kind   diskimage.Type
		halts  bool
	}{
		{name: "enough", free: 5 << 20},
		{name: "room for the output but not for the changes", free: 4<<20 + 1, halts: true},
		{name: "an existing machine changes its own disk", free: 4 << 20, taken: true},
		{name: "nothing left", halts: true},
		{name: "room for a copy", free: 8 << 20, format: "vhdx"},
		{name: "room for an overlay but not for a copy", free: 5 << 20, format: "vhdx", halts: true},
		{name: "room for a file that is compressed, but not for what is in it", free: 5 << 20, kind: diskimage.StreamOptimized, halts: true},
		{name: "room for what is compressed, at most the disk", free: 10 << 20, kind: diskimage.StreamOptimized},
		{name: "not known", err: errors.New("no such call")},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, nil)
			full := filepath.Join(t.TempDir(), "full")
			if err := os.WriteFile(full, []byte(strings.Repeat("x", 4<<20)), 0o600); err != nil {
				t.Fatal(err)
			}
			b.run.source = diskimage.Info{Files: []string{full}, VirtualSize: 8 << 20, Type: c.kind}
			if c.format != "" {
				b.run.driver = fakeMaker{format: c.format}
			}
			if c.taken {
				b.run.driver = fakeTaker{}
			}
			action := (&stepCheckSpace{free: func(string) (int64, error) { return c.free, c.err }}).Run(t.Context(), b)
			if c.halts {
				b.wantHalt(t, action, "free some space, or choose")
			} else {
				b.wantContinue(t, action)
			}
		})
	}
	if n, err := freeSpace(t.TempDir()); err != nil || n <= 0 {
		t.Errorf("free space %d, %v", n, err)
	}
}
