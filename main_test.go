package main

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Packer starts the plugin several times for each of its own commands. What a package makes
// for its variables at a start is counted by the runtime, the same on every machine: nothing
// that can be made when it is used first belongs there (sync.OnceValue, internal/lazyregexp).
const (
	maxAllocations = 400       // of each package of ours
	maxBytes       = 64 << 10  // the same
	maxAllBytes    = 200 << 10 // of all of ours
	maxEverything  = 1700 << 10
)

// clouds are the clients that the SDK's package of common steps links: a third of the program,
// which Packer hashes whenever it runs, and 3 MB of tables at every start.
var clouds = regexp.MustCompile(`^(?:github\.com/aws/aws-sdk-go/|cloud\.google\.com/go/storage|google\.golang\.org/grpc)`)

// starts are counted: what the runtime makes for itself meanwhile is counted as a package's too.
const starts = 3

// aStart starts the program and returns what each package made: bytes and allocations.
func aStart(t *testing.T, self string) map[string][2]int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self)
	// Under this name: what only tests do at a start (internal/lazyregexp) is left out.
	cmd.Args = []string{"packer-plugin-sysprep", "-test.run", "^TestAStartMakesLittle$"}
	cmd.Env = append(os.Environ(), started+"=1", "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	made := map[string][2]int{}
	for _, m := range traced.FindAllStringSubmatch(string(out), -1) {
		bytes, _ := strconv.Atoi(m[2])
		allocations, _ := strconv.Atoi(m[3])
		made[m[1]] = [2]int{bytes, allocations}
	}
	return made
}

// traced is a line of the runtime: init PACKAGE @.. ms, .. ms clock, .. bytes, .. allocs
var traced = regexp.MustCompile(`(?m)^init (\S+) @.*clock, (\d+) bytes, (\d+) allocs`)

const started = "SYSPREP_TEST_STARTED"

func TestAStartMakesLittle(t *testing.T) {
	if os.Getenv(started) != "" {
		return // the packages are there
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	least := map[string][2]int{} // bytes and allocations of a package
	for range starts {
		for name, made := range aStart(t, self) {
			if seen, ok := least[name]; !ok || made[0] < seen[0] {
				least[name] = made
			}
		}
	}
	own, ours, all, packages := "github.com/packer-plugin-sysprep/", 0, 0, 0
	for name, made := range least {
		bytes, allocations := made[0], made[1]
		all += bytes
		if clouds.MatchString(name) {
			t.Errorf("%s is linked: what imports it (go list -deps), and can it do without?", name)
		}
		if !strings.HasPrefix(name, own) {
			continue
		}
		packages++
		ours += bytes
		if allocations > maxAllocations || bytes > maxBytes {
			t.Errorf("%s makes %d bytes in %d allocations at every start, more than %d in %d: make it when it is used first", name, bytes, allocations, maxBytes, maxAllocations)
		}
	}
	if packages < 10 {
		t.Fatalf("the runtime tells of %d packages of ours: %v", packages, least)
	}
	if ours > maxAllBytes {
		t.Errorf("our packages make %d bytes at every start, more than %d", ours, maxAllBytes)
	}
	if all > maxEverything {
		t.Errorf("a start makes %d bytes, more than %d: which package of others is new? GODEBUG=inittrace=1 packer-plugin-sysprep describe", all, maxEverything)
	}
	t.Logf("ours: %d bytes, all: %d bytes", ours, all)
}
