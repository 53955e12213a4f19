package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// side is one of the plugins that are compared.
type side struct {
	name    string // in templates
	program string
	// installed is Packer's copy of it: how a linker writes a file makes its start half a
	// millisecond slower until it is copied, or read from the disk again.
	installed string
	dir       string // of Packer's plugins, template and cache
	took      []time.Duration
	cpu       []time.Duration // of the program and of what it started, user and system
}

// BenchmarkDailyUse compares the plugin with four of tools/emptyplugin, all built as a release
// is: one has no code but the SDK's, one reads options by the SDK, as every plugin does that has
// any, one has the SDK's download step, as every builder has that boots a disk, and one has no code
// but the SDK's and noise behind it up to the size of ours: what Packer, which computes the SHA-256
// of each plugin twice a run, spends on the size alone. Measured are
// the size of the program; its start, by describe; packer validate of a template that uses it;
// packer build of one that requires it. They take turns, in any order, and each time is the shortest of its
// runs: what other programs add is not ours. The time of the processors is the figure that a
// busy machine changes least.
func BenchmarkDailyUse(b *testing.B) {
	packer := filepath.Join(testutil.Root(), "build", "packer")
	if _, err := os.Stat(packer); err != nil {
		testutil.Missing(b, "Packer is not built: make packer")
	}
	sides := []*side{
		newSide(b, "sysprep", "."),
		newSide(b, "empty", "./tools/emptyplugin"),
		newSide(b, "options", "./tools/emptyplugin", "-tags", "options"),
		newSide(b, "download", "./tools/emptyplugin", "-tags", "download"),
		newSide(b, "filled", "./tools/emptyplugin"),
	}
	fill(b, sides[4], sides[0])
	for _, s := range sides {
		s.install(b, packer)
	}
	b.Run("size", func(b *testing.B) {
		for b.Loop() {
		}
		report(b, sides, "MB", func(s *side) float64 { return megabytes(b, s.program) })
	})
	for _, use := range []struct {
		name string
		runs int // of each side
		line func(s *side) []string
	}{
		{"describe", 100, func(s *side) []string { return []string{s.installed, "describe"} }},
		{"validate", 25, func(s *side) []string { return []string{packer, "validate", s.template("validate")} }},
		{"build", 25, func(s *side) []string { return []string{packer, "build", s.template("build")} }},
	} {
		b.Run(use.name, func(b *testing.B) {
			for b.Loop() {
				for _, s := range sides {
					s.took, s.cpu = nil, nil
				}
				shuffled := rand.New(rand.NewPCG(1, 1)) // a large program slows down the one after it
				for range use.runs {
					for _, i := range shuffled.Perm(len(sides)) {
						sides[i].run(b, use.line(sides[i]))
					}
				}
			}
			report(b, sides, "ms", func(s *side) float64 { return ms(slices.Min(s.took)) })
			report(b, sides, "cpu-ms", func(s *side) float64 { return ms(slices.Min(s.cpu)) })
		})
	}
}

// report gives each side's figure, and how many times those of the others ours is.
func report(b *testing.B, sides []*side, unit string, figure func(*side) float64) {
	b.Helper()
	b.ReportMetric(0, "ns/op")
	for i, s := range sides {
		b.ReportMetric(figure(s), s.name+"-"+unit)
		if i > 0 {
			b.ReportMetric(figure(sides[0])/figure(s), "x-"+s.name+"-"+unit)
		}
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func megabytes(b *testing.B, path string) float64 {
	b.Helper()
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	return float64(info.Size()) / 1e6
}

func newSide(b *testing.B, name, source string, flags ...string) *side {
	b.Helper()
	s := &side{name: name, dir: b.TempDir()}
	s.program = filepath.Join(s.dir, "packer-plugin-"+name)
	if runtime.GOOS == "windows" {
		s.program += ".exe"
	}
	line := append([]string{"go", "build", "-trimpath", "-ldflags", "-s -w", "-o", s.program}, flags...)
	command(b, 20*time.Minute, testutil.Root(), []string{"CGO_ENABLED=0"}, append(line, source)...)
	for kind, block := range map[string]string{
		"validate": fmt.Sprintf("provisioner %q {}", name), // which starts it
		"build":    "",
	} {
		text := fmt.Sprintf(`packer {
  required_plugins {
    %s = { source = "github.com/example/%s", version = ">= 0.1.0" }
  }
}
source "null" "x" {
  communicator = "none"
}
build {
  sources = ["source.null.x"]
  %s
}
`, name, name, block)
		if err := os.WriteFile(s.template(kind), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

func (s *side) install(b *testing.B, packer string) {
	b.Helper()
	s.run(b, []string{packer, "plugins", "install", "--path", s.program, "github.com/example/" + s.name})
	found, err := filepath.Glob(filepath.Join(s.dir, "plugins", "github.com", "example", s.name, "packer-plugin-*"+filepath.Ext(s.program)))
	found = slices.DeleteFunc(found, func(path string) bool { return strings.HasSuffix(path, "_SHA256SUM") })
	if err != nil || len(found) != 1 {
		b.Fatalf("Packer installed %q, %v", found, err)
	}
	s.installed = found[0]
}

// fill appends noise to a side's program until it is as large as the other's.
func fill(b *testing.B, s, other *side) {
	b.Helper()
	info, err := os.Stat(other.program)
	if err != nil {
		b.Fatal(err)
	}
	program, err := os.ReadFile(s.program)
	if err != nil {
		b.Fatal(err)
	}
	noise := make([]byte, max(0, info.Size()-int64(len(program))))
	rand.NewChaCha8([32]byte{}).Read(noise)
	if err := os.WriteFile(s.program, append(program, noise...), 0o700); err != nil {
		b.Fatal(err)
	}
}

func (s *side) template(kind string) string { return filepath.Join(s.dir, kind+".pkr.hcl") }

// run measures a command line.
func (s *side) run(b *testing.B, line []string) {
	b.Helper()
	started := time.Now()
	ended := command(b, time.Minute, s.dir, []string{
		"PACKER_PLUGIN_PATH=" + filepath.Join(s.dir, "plugins"), "PACKER_CONFIG_DIR=" + s.dir, "HOME=" + s.dir, "CHECKPOINT_DISABLE=1", "PACKER_LOG=",
	}, line...)
	s.took, s.cpu = append(s.took, time.Since(started)), append(s.cpu, ended.UserTime()+ended.SystemTime())
}

func command(b *testing.B, limit time.Duration, dir string, env []string, line ...string) *os.ProcessState {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, append(os.Environ(), env...), 5*time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", strings.Join(line, " "), err, out)
	}
	return cmd.ProcessState
}
