package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// measured names the program that this binary runs and measures instead of
// tests. A process counts the memory of the one that started it as its own, and
// that of a benchmark is large.
const measured = "SYSPREP_BENCH_INSPECT"

func TestMain(m *testing.M) {
	if ports := os.Getenv(crowd); ports != "" {
		if err := visitAll(ports); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(ownPeak())
		return
	}
	program := os.Getenv(measured)
	if program == "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command(program, "inspect", "--json", os.Args[1])
	start := time.Now()
	_ = cmd.Run() // proven or not is for the tests
	fmt.Println(cmd.ProcessState.ExitCode(), time.Since(start).Seconds(), peakMemory(cmd.ProcessState))
}

// BenchmarkHostile runs `inspect` on disks of 1 GiB that are made to keep it
// busy: seconds, and MiB of memory at most (0 where the host does not tell).
// Targets: 10 s, 128 MiB.
func BenchmarkHostile(b *testing.B) {
	program := filepath.Join(b.TempDir(), "plugin.exe")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = testutil.Root()
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for _, h := range winimagetest.Hostiles() {
		b.Run(h.Name, func(b *testing.B) {
			spec := h.Spec(100)
			spec.Generalized, spec.Volume = true, 1<<30-2<<20
			disk := winimagetest.Disk(b, spec)
			for b.Loop() {
				cmd := exec.Command(os.Args[0], disk)
				cmd.Env = append(os.Environ(), measured+"="+program)
				out, err := cmd.Output()
				var code int
				var seconds, mib float64
				if err == nil {
					_, err = fmt.Sscan(string(out), &code, &seconds, &mib)
				}
				if err != nil || code != 0 && code != 1 {
					b.Fatalf("exit code %d, %v: %s", code, err, out)
				}
				b.ReportMetric(seconds, "s")
				b.ReportMetric(mib, "MiB")
			}
		})
	}
}
