package winimage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// What a disk may cost that is made to be costly, counted and not timed.
const (
	hostileSize   = 40        // per cent
	mostRead      = 96 << 20  // bytes of the image
	mostAllocated = 768 << 20 // bytes of memory, over all of the work
	mostShown     = 128 << 10 // bytes of the report
)

// A disk that is made to keep its reader busy costs a bounded amount of work,
// and what was left unread is named and proves nothing.
func TestADiskThatIsMadeToKeepItsReaderBusyDoesNot(t *testing.T) {
	for _, h := range winimagetest.Hostiles() {
		t.Run(h.Name, func(t *testing.T) {
			spec := h.Spec(hostileSize)
			spec.Generalized = true
			f, err := os.Open(winimagetest.Disk(t, spec))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			st, err := f.Stat()
			if err != nil {
				t.Fatal(err)
			}
			c := &counter{ReaderAt: f}
			d := open(t, c, st.Size())
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			r, err := Inspect(context.Background(), d, Options{Space: true})
			if err != nil {
				t.Fatal(err)
			}
			proof := Prove(r, Expectation{})
			lines := shown(r, proof)
			runtime.ReadMemStats(&after)

			allocated := after.TotalAlloc - before.TotalAlloc
			text, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d KiB read, %d MiB allocated, %d bytes of report, limits %q", c.bytes.Load()>>10, allocated>>20, len(text), r.Windows[0].Limits)
			// Under the race detector package regexp allocates its machines anew.
			if c.bytes.Load() > mostRead || allocated > mostAllocated && !testutil.Race {
				t.Errorf("%d bytes were read, %d MiB of memory allocated", c.bytes.Load(), allocated>>20)
			}
			if shown := strings.Join(lines, "\n"); len(shown) > mostShown || len(text) > mostShown {
				t.Errorf("%d bytes are shown, %d in the report", len(shown), len(text))
			}
			limited := slices.ContainsFunc(finding.Failed(proof, finding.Fail), func(a finding.Finding) bool { return a.ID == limitsID })
			if limited != h.Limited || limited && proven(proof) {
				t.Errorf("limited: %t (%q), want %t; proven: %t", limited, r.Windows[0].Limits, h.Limited, proven(proof))
			}
		})
	}
}

// ending is a context that ends after some looks at it.
type ending struct {
	context.Context
	looks int
}

func (e *ending) Err() error {
	if e.looks--; e.looks < 0 {
		return context.Canceled
	}
	return nil
}

// Every loop looks at the context: after it has ended the readers do next to
// nothing.
func TestAnInspectionThatIsCancelledReadsNoFurther(t *testing.T) {
	for _, h := range winimagetest.Hostiles() {
		t.Run(h.Name, func(t *testing.T) {
			spec := h.Spec(2)
			spec.Generalized = true
			path := winimagetest.Disk(t, spec)
			for _, looks := range []int{0, 3, 30, 300, 1000} {
				d, err := diskimage.Open(path)
				if err != nil {
					t.Fatal(err)
				}
				ctx := &ending{t.Context(), looks}
				_, err = Inspect(ctx, d, Options{})
				d.Close()
				if ctx.looks < 0 && !errors.Is(err, context.Canceled) {
					t.Errorf("after %d looks: error %v", looks, err)
				}
				if ctx.looks < -2000 {
					t.Errorf("after its end the context was asked %d times more", -ctx.looks)
				}
			}
		})
	}
}

// A disk of many installations is not read to its end: it is not proven anyway.
func TestOnlyTheFirstInstallationsAreRead(t *testing.T) {
	const count, start, length = 8, 2 << 20, 4 << 20 // where the fixture has its volume
	b := fixture(t)
	path := filepath.Join(t.TempDir(), "disk.raw")
	disk := make([]byte, (count+1)*length+2<<20)
	args := []string{"-o"}
	for i := range count {
		at := 1<<20 + i*length
		copy(disk[at:], b[start:start+length])
		args = append(args, "-n", fmt.Sprintf("%d:%d:%d", i+1, at/512, (at+length)/512-1), "-t", fmt.Sprintf("%d:0700", i+1))
	}
	if err := os.WriteFile(path, disk, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(testutil.Tool(t, "sgdisk"), append(args, path)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r := inspectPath(t, path)
	if len(r.Windows) != maxInstallations || len(r.Limits) != 1 || !strings.Contains(r.Limits[0], "more than 4 Windows installations") {
		t.Errorf("%d installations, limits %q, problems %q", len(r.Windows), r.Limits, r.Problems)
	}
	p := Prove(r, Expectation{})
	if proven(p) || !slices.ContainsFunc(finding.Failed(p, finding.Fail), func(a finding.Finding) bool { return a.ID == limitsID }) {
		t.Errorf("proven %t, failed %+v", proven(p), finding.Failed(p, finding.Fail))
	}
}
