package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// What CI shows of a failed run is what the failing tests said, and nothing of those that passed.
func TestOfAFailedRunTheFailingTestsAreShown(t *testing.T) {
	const log = `=== RUN   TestGood
=== PAUSE TestGood
=== RUN   TestBad
=== PAUSE TestBad
=== CONT  TestGood
=== CONT  TestBad
=== RUN   TestBad/two_words
=== NAME  TestGood
    a_test.go:3: a good line
=== NAME  TestBad/two_words
    a_test.go:9: why it failed
    a_test.go:4: of the child
--- FAIL: TestBad (0.01s)
    --- FAIL: TestBad/two_words (0.01s)
--- PASS: TestGood (0.00s)
FAIL
FAIL	example.com/a	0.012s
=== RUN   TestBad
    b_test.go:1: the same name in a package that passed
--- PASS: TestBad (0.00s)
ok  	example.com/b	0.002s
=== RUN   TestCrash
panic: index out of range
goroutine 1 [running]:
FAIL	example.com/c	0.001s
`
	const want = `    a_test.go:9: why it failed
    a_test.go:4: of the child
--- FAIL: TestBad (0.01s)
    --- FAIL: TestBad/two_words (0.01s)
FAIL	example.com/a	0.012s
panic: index out of range
goroutine 1 [running]:
FAIL	example.com/c	0.001s
`
	awk, err := exec.LookPath("awk")
	if err != nil {
		t.Skip("SKIPPED: awk is not installed, which every Unix has")
	}
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := exec.CommandContext(t.Context(), awk, "-f", "../../tools/failures", path).CombinedOutput()
	if err != nil || string(got) != want {
		t.Errorf("tools/failures prints (%v):\n%s\nand should print:\n%s", err, got, want)
	}
}
