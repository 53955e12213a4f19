package winimage

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// counter counts what is read of an image.
type counter struct {
	io.ReaderAt
	reads, bytes atomic.Int64
}

func (c *counter) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.reads.Add(1)
	c.bytes.Add(int64(n))
	return n, err
}

// classes fills a SOFTWARE hive with n classes, of about 400 bytes each.
func classes(n int) func(*hivewrite.Key) {
	return func(root *hivewrite.Key) {
		for i := range n {
			k := root.Path(fmt.Sprintf(`Classes\CLSID\{%08x-0000-4000-8000-%012x}`, uint32(i)*2654435761, i))
			k.SetString("", "a class of a component").Path("InprocServer32").SetString("ThreadingModel", "Both")
		}
	}
}

// A proof reads next to nothing, whatever the size of disk and hive: an image
// in blob storage is proven where it lies.
func TestAProofReadsAboutAMegabyteInEveryFormat(t *testing.T) {
	run := winimagetest.GoodLog
	noise := strings.Repeat("2026-11-23 12:00:00, Info                  SYSPRP ActionPlatform::GetValue: a line of an earlier run\r\n", 20000)
	d, err := diskimage.Open(winimagetest.Disk(t, winimagetest.Spec{
		Generalized: true, GPT: true, Volume: 4 << 30, Software: classes(20000),
		Files: map[string]string{winimagetest.Log: winimagetest.RefusedLog + noise + run},
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for name, o := range conversions {
		t.Run(name, func(t *testing.T) {
			f := convert(t, d, o)
			st, err := os.Stat(f.Name())
			if err != nil {
				t.Fatal(err)
			}
			c := &counter{ReaderAt: f}
			image := open(t, c, st.Size())
			defer image.Close()
			r, err := Inspect(context.Background(), image, Options{})
			if err != nil || !proven(Prove(r, Expectation{})) {
				t.Fatalf("not proven: %v", err)
			}
			if w := r.Windows[0]; !w.Log.TagCreated || w.Log.Runs != 1 || len(finding.Failed(Prove(r, Expectation{}), finding.Warn)) != 0 {
				t.Errorf("log %+v", w.Log)
			}
			t.Logf("%d reads, %d bytes", c.reads.Load(), c.bytes.Load())
			if c.bytes.Load() > 1.4e6 {
				t.Errorf("%d bytes were read", c.bytes.Load())
			}
		})
	}
}

func TestALastRunThatIsLongIsReadWhole(t *testing.T) {
	long := strings.Repeat("2026-11-23 12:00:00, Info                  SYSPRP ActionPlatform::GetValue: a line of the last run\r\n", 5000)
	end := strings.LastIndex(winimagetest.GoodLog, "2026-11-23")
	utf16 := func(s string) string {
		var b strings.Builder
		for _, r := range s {
			b.WriteString(string([]byte{byte(r), byte(r >> 8)}))
		}
		return b.String()
	}
	text := winimagetest.RefusedLog + winimagetest.GoodLog[:end] + long + winimagetest.GoodLog[end:]
	for name, log := range map[string]string{"UTF-8": text, "UTF-16": utf16(text)} {
		t.Run(name, func(t *testing.T) {
			r := inspectPath(t, winimagetest.Disk(t, winimagetest.Spec{Generalized: true, Files: map[string]string{winimagetest.Log: log}}))
			got := r.Windows[0].Log
			if !got.TagCreated || got.Runs != 2 || len(got.Options) != 3 {
				t.Errorf("tag created: %t, %d runs, options %v, problems %q", got.TagCreated, got.Runs, got.Options, r.Windows[0].Problems)
			}
		})
	}
}
