package house

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// TestTheContainerHasWhatTheTestsUse holds the versions of container/Containerfile, which nobody
// builds here, against those of the modules.
func TestTheContainerHasWhatTheTestsUse(t *testing.T) {
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(testutil.Root(), filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	find := func(name, pattern string) string {
		t.Helper()
		m := regexp.MustCompile(pattern).FindStringSubmatch(read(name))
		if m == nil {
			t.Fatalf("%s has nothing like %s", name, pattern)
		}
		return m[1]
	}
	if got, want := find("container/Containerfile", `(?m)^ARG PACKER_VERSION=(.*)$`), find("tools/packer/go.mod", `(?m)^require github.com/hashicorp/packer v(\S+)$`); got != want {
		t.Errorf("the container has Packer %s, the tests use %s", got, want)
	}
	if got, want := find("container/Containerfile", `(?m)^FROM \S+/golang:([\d.]+)-`), find("go.mod", `(?m)^go (\S+)$`); got != want {
		t.Errorf("the container builds with Go %s, go.mod asks for %s", got, want)
	}
	pinned := regexp.MustCompile(`^FROM [\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}( AS \w+)?$`)
	for _, line := range strings.Split(read("container/Containerfile"), "\n") {
		if strings.HasPrefix(line, "FROM ") && !pinned.MatchString(line) {
			t.Errorf("%q is not pinned by digest", line)
		}
	}
}
