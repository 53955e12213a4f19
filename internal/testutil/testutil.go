// Package testutil finds what tests need beside the project and says plainly
// when it is missing.
package testutil

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// Strict reports whether a missing tool is a failure: continuous integration
// installs everything and sets SYSPREP_NO_SKIP=1, so that nothing is skipped
// unseen there.
func Strict() bool { return os.Getenv("SYSPREP_NO_SKIP") == "1" }

// Missing skips the test with its reason, or fails it where nothing may be
// skipped.
func Missing(t testing.TB, reason string) {
	t.Helper()
	if Strict() {
		t.Fatalf("SYSPREP_NO_SKIP=1: %s", reason)
	}
	t.Skipf("SKIPPED: %s", reason)
}

// Tool returns the path of a program, or ends the test by Missing.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, name+" is not installed; on Debian `make tools` installs what the tests use")
	}
	return path
}

// Symlink makes a symbolic link, or ends the test by Missing: Windows lets only
// some users make one, and Wine 8 says that it did and makes none.
func Symlink(t testing.TB, target, link string) {
	t.Helper()
	err := os.Symlink(target, link)
	if _, absent := os.Lstat(link); err == nil && absent != nil {
		err = absent
	}
	switch {
	case err != nil && runtime.GOOS == "windows":
		Missing(t, fmt.Sprintf("symbolic links cannot be made here: %v", err))
	case err != nil:
		t.Fatal(err)
	}
}

// Root returns the root of the checkout.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Corpus returns a path below the folder of artefacts made by real Windows.
// It is read beside the project (../shared/corpus) or where SYSPREP_CORPUS
// points; where it is absent the test is skipped, also in continuous
// integration: the corpus is not ours to distribute.
func Corpus(t testing.TB, elem ...string) string { return beside(t, "SYSPREP_CORPUS", "corpus", elem) }

// Reference returns a path below the folder of reference tables, found like
// the corpus (../shared/reference or SYSPREP_REFERENCE).
func Reference(t testing.TB, elem ...string) string {
	return beside(t, "SYSPREP_REFERENCE", "reference", elem)
}

// Cases is the folder of inputs from public reports with what is right for each,
// as Corpus.
func Cases(t testing.TB, elem ...string) string { return beside(t, "SYSPREP_CASES", "cases", elem) }

func beside(t testing.TB, env, folder string, elem []string) string {
	t.Helper()
	dir := os.Getenv(env)
	if dir == "" {
		dir = filepath.Join(filepath.Dir(Root()), "shared", folder)
	}
	path := filepath.Join(append([]string{dir}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("SKIPPED: %s is not beside the project (set %s to where it is)", filepath.Join(append([]string{folder}, elem...)...), env)
	}
	return path
}

// Fewer is n, or a part of it under the race detector: random input that is read
// by one goroutine has nothing to race with.
func Fewer(n int) int {
	if Race {
		return (n + 7) / 8
	}
	return n
}
