package house

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// A tag of an action can be moved by whoever gets into its repository; a commit cannot.
var (
	uses   = regexp.MustCompile(`(?m)^\s*(?:- )?uses:\s*(.*)$`)
	pinned = regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
)

// unpinned are the actions of a workflow that are not pinned by commit, with the version as
// a comment.
func unpinned(workflow string) (all []string) {
	for _, m := range uses.FindAllStringSubmatch(workflow, -1) {
		if action := strings.TrimSpace(m[1]); !strings.HasPrefix(action, "./") && !pinned.MatchString(action) {
			all = append(all, action)
		}
	}
	return all
}

func TestUnpinned(t *testing.T) {
	for workflow, want := range map[string]int{
		"- uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1\n": 0,
		"  uses: ./local\n":               0,
		"- uses: actions/checkout@v4\n":   1,
		"- uses: actions/checkout@main\n": 1,
		"- uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1\n":                   1, // which version is that?
		"uses: a/b@3d3c42e # v1.0.0\n- uses: a/b@v1\n":                                          2,
		"- uses: a/b/sub/folder@3d3c42e5aac5ba805825da76410c181273ba90b1 # v1.2.3\nrun: true\n": 0,
	} {
		if got := unpinned(workflow); len(got) != want {
			t.Errorf("%q: %q, want %d", workflow, got, want)
		}
	}
}

func TestActionsArePinnedAndMayDoLittle(t *testing.T) {
	workflows, err := filepath.Glob(filepath.Join(testutil.Root(), ".github", "workflows", "*.yml"))
	if err != nil || len(workflows) == 0 {
		t.Fatalf("%d workflows, %v", len(workflows), err)
	}
	for _, path := range append(workflows, filepath.Join(testutil.Root(), "action.yml")) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(path)
		for _, action := range unpinned(string(text)) {
			t.Errorf("%s: %q; pin it by commit, with its version as a comment", name, action)
		}
		if name == "action.yml" {
			continue // it has the permissions of the job that uses it
		}
		// Without it a workflow has whatever the repository allows.
		if m := regexp.MustCompile(`(?m)^permissions:(.*(?:\n .*)?)`).FindStringSubmatch(string(text)); m == nil {
			t.Errorf("%s: no permissions at its top; write permissions: {} or contents: read there, and more in the job that needs it", name)
		} else if strings.Contains(m[1], "write") {
			t.Errorf("%s: permissions at its top are %q; give them to the job that needs them", name, m[1])
		}
		if n, kept := strings.Count(string(text), "actions/checkout@"), strings.Count(string(text), "persist-credentials: false"); n != kept {
			t.Errorf("%s: %d checkouts, %d of them with persist-credentials: false", name, n, kept)
		}
	}
}
