//go:build !windows

package adopt

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// TestDiffsApply gives each diff to git, which has to come to the same text.
func TestDiffsApply(t *testing.T) {
	git := testutil.Tool(t, "git")
	for _, name := range []string{"azure.pkr.hcl", "between.pkr.hcl", "shutdown.pkr.hcl", "scripts.json", "agents.json", "none.json"} {
		for _, end := range []string{"\n", "\r\n", ""} {
			text, err := readTest(name)
			if err != nil {
				t.Fatal(err)
			}
			if end == "" { // no end of the last line
				text = bytes.TrimSuffix(text, []byte("\n"))
			} else {
				text = bytes.ReplaceAll(text, []byte("\n"), []byte(end))
			}
			r, err := Template(name, text, Folder{}, readTest)
			if err != nil || r.Diff == "" {
				t.Fatalf("%s: %v, %s", name, err, r.Diff)
			}
			path := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), git, "apply", "-p0", "--whitespace=nowarn", "-")
			cmd.Dir, cmd.Stdin = filepath.Dir(path), bytes.NewReader([]byte(r.Diff))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s with %q: %v %s\n%s", name, end, err, out, r.Diff)
				continue
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, r.After) {
				t.Errorf("%s with %q: %v\n%s", name, end, err, got)
			}
		}
	}
}
