package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// A test that failed beside others is run again alone; a race, a crash or many failures are not.
func TestFewFailuresAreRunAgain(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("SKIPPED: bash is not installed, which the tools are written for")
	}
	for name, c := range map[string]struct{ log, second, want string }{
		"one":             {"--- FAIL: TestA (1.00s)\n    --- FAIL: TestA/b (1.00s)\nFAIL\nFAIL\texample.com/a\t1.20s\nok  \texample.com/b\t1s\n", "exit 0", "make -run ^(TestA) example.com/a P=example.com/a\nFLAKY: TestA failed beside other tests, and passed alone\n"},
		"two":             {"--- FAIL: TestA (1.00s)\nFAIL\texample.com/a\t1.20s\n--- FAIL: TestC (1.00s)\nFAIL\texample.com/c\t1.20s\n", "exit 0", "make -run ^(TestA|TestC) example.com/a example.com/c P=example.com/a example.com/c\nFLAKY: TestA failed beside other tests, and passed alone\nFLAKY: TestC failed beside other tests, and passed alone\n"},
		"again":           {"--- FAIL: TestA (1.00s)\nFAIL\texample.com/a\t1.20s\n", "exit 1", "make -run ^(TestA) example.com/a P=example.com/a\n"},
		"four":            {"--- FAIL: TestA (1.00s)\n--- FAIL: TestB (1.00s)\n--- FAIL: TestC (1.00s)\n--- FAIL: TestD (1.00s)\n", "exit 0", ""},
		"a race":          {"WARNING: DATA RACE\n--- FAIL: TestA (1.00s)\n", "exit 0", ""},
		"a panic":         {"--- FAIL: TestA (1.00s)\npanic: no\n", "exit 0", ""},
		"does not build":  {"--- FAIL: TestA (1.00s)\nFAIL\texample.com/a [build failed]\n", "exit 0", ""},
		"no test failed":  {"FAIL\texample.com/a\t0.1s\n", "exit 0", ""},
		"only a sub-test": {"    --- FAIL: TestA/b (1.00s)\n", "exit 0", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(path, []byte(c.log), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := exec.CommandContext(t.Context(), bash, "../../tools/again", path, bash, "-c", `echo "$@"; `+c.second, "sh", "make", "-run", "{}", "{packages}", "P={packages}").Output()
			if passed := strings.Contains(c.want, "FLAKY"); string(got) != c.want || (err == nil) != passed {
				t.Errorf("it prints %q and ends with %v, want %q", got, err, c.want)
			}
		})
	}
}
