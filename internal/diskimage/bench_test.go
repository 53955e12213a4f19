package diskimage

import (
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// BenchmarkConvert converts a sparse disk of 8 GiB with 384 MiB of data in
// pieces of every size, once with Convert and once with qemu-img convert, in
// turns on the same machine. ratio is qemu-img's time over ours: above 1, ours
// is faster. Both sync their output. Seconds of a shared machine mean little,
// the ratio does.
func BenchmarkConvert(b *testing.B) {
	tool := testutil.Tool(b, "qemu-img")
	dir := b.TempDir()
	src := sparseDisk(b, filepath.Join(dir, "src.raw"))
	inputs := map[Format]string{Raw: src}
	for _, o := range []Options{{Format: VHD, Type: Dynamic}, {Format: QCOW2}} {
		inputs[o.Format] = filepath.Join(dir, "src."+string(o.Format))
		convertTo(b, src, inputs[o.Format], o)
	}
	for _, c := range []struct {
		name string
		from Format
		to   Options
		args []string
	}{
		{"raw-to-fixed-vhd", Raw, Options{Format: VHD}, []string{"-O", "vpc", "-o", "subformat=fixed,force_size=on"}},
		{"raw-to-dynamic-vhd", Raw, Options{Format: VHD, Type: Dynamic}, []string{"-O", "vpc", "-o", "subformat=dynamic,force_size=on"}},
		{"raw-to-vhdx", Raw, Options{Format: VHDX}, []string{"-O", "vhdx"}},
		{"raw-to-qcow2", Raw, Options{Format: QCOW2}, []string{"-O", "qcow2"}},
		{"dynamic-vhd-to-fixed", VHD, Options{Format: VHD}, []string{"-O", "vpc", "-o", "subformat=fixed,force_size=on"}},
		{"qcow2-to-fixed-vhd", QCOW2, Options{Format: VHD}, []string{"-O", "vpc", "-o", "subformat=fixed,force_size=on"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			dst, other := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
			args := append(append([]string{"convert", "-f", c.from.QEMU()}, c.args...), inputs[c.from], other)
			var ours, theirs time.Duration
			for i := 0; b.Loop(); i++ {
				// In turns, so that neither always finds the other's pages in
				// the cache.
				for turn := range 2 {
					os.Remove(dst)
					os.Remove(other)
					t := time.Now()
					if turn == i%2 {
						convertTo(b, inputs[c.from], dst, c.to)
						ours += time.Since(t)
						continue
					}
					if out, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
						b.Fatalf("qemu-img: %v\n%s", err, out)
					}
					if err := syncFile(other); err != nil {
						b.Fatal(err)
					}
					theirs += time.Since(t)
				}
			}
			b.ReportMetric(ours.Seconds()/float64(b.N), "ours-s/op")
			b.ReportMetric(theirs.Seconds()/float64(b.N), "qemu-s/op")
			b.ReportMetric(theirs.Seconds()/ours.Seconds(), "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func sparseDisk(b *testing.B, path string) string {
	b.Helper()
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(8 << 30); err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewSource(1))
	buf := make([]byte, 4<<20)
	for left := 384 << 20; left > 0; {
		n := 4096 << r.Intn(11)
		r.Read(buf[:n])
		if _, err := f.WriteAt(buf[:n], r.Int63n(8<<30-4<<20)&^4095); err != nil {
			b.Fatal(err)
		}
		left -= n
	}
	return path
}
