package vhd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the output cannot be is known before anything is downloaded or started; the
// defaults of format and vhd_type count.
func TestAnOutputThatCannotBeIsRefusedAtOnce(t *testing.T) {
	large := make([]byte, 16<<10) // a disk in sectors of 4096 bytes, by its GPT
	copy(large[4096:], "EFI PART")
	source := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(source, large, 0o600); err != nil {
		t.Fatal(err)
	}
	azure := map[string]any{"target": "azure"}
	for name, c := range map[string]struct {
		options map[string]any
		says    string // "": it is taken
	}{
		"Azure, the defaults":         {map[string]any{"verify": azure}, ""},
		"Azure, a dynamic VHD":        {map[string]any{"verify": azure, "vhd_type": "dynamic"}, "verify.target, format: azure takes fixed, not dynamic vhd"},
		"Azure, a qcow2":              {map[string]any{"verify": azure, "format": "qcow2"}, "verify.target, format: azure takes vhd, not qcow2"},
		"large sectors, the defaults": {map[string]any{"source_path": source}, `source_path, format: the output cannot be made of ` + source},
		"large sectors, a VHDX":       {map[string]any{"source_path": source, "format": "vhdx"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := new(Config).prepare(valid(t, c.options))
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}
