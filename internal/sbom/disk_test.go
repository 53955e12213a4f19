package sbom_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/inventory"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/sbom"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/sbom/cyclonedxtest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// realDisk is a disk with the two hives of a Windows 7 in use for a year, 54 MB, and with
// folders of 200 drivers.
func realDisk(t testing.TB) string {
	t.Helper()
	hive := func(name string) string {
		f, err := os.Open(testutil.Corpus(t, "hives", name+".gz"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if _, err := io.Copy(&b, z); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	files := map[string]string{
		`\Windows\System32\config\SOFTWARE`: hive("plaso-SOFTWARE-win7-x86"),
		`\Windows\System32\config\SYSTEM`:   hive("plaso-SYSTEM-win7"),
	}
	for i := range 200 {
		files[fmt.Sprintf(`\Windows\System32\DriverStore\FileRepository\driver%04d.inf_x86_%016x\driver.inf`, i, uint64(i)*0x9e3779b97f4a7c15)] = "x"
	}
	return winimagetest.Disk(t, winimagetest.Spec{Generalized: true, Volume: 128 << 20, Files: files})
}

// counter counts what is read of an image.
type counter struct {
	io.ReaderAt
	bytes atomic.Int64
}

func (c *counter) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.bytes.Add(int64(n))
	return n, err
}

// billOf makes the document of a disk and counts the bytes that it took.
func billOf(t testing.TB, disk string) (document []byte, read int64) {
	t.Helper()
	f, err := os.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{ReaderAt: f}
	d, err := diskimage.OpenReader(c, st.Size())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	drives, problems, err := winimage.Drives(context.Background(), d)
	if err != nil || len(drives) != 1 || len(problems) != 0 {
		t.Fatalf("%d drives, %q, %v", len(drives), problems, err)
	}
	inv, err := inventory.ReadDrive(context.Background(), drives[0].Files)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := sbom.New(inv, "packer-plugin-sysprep", "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	if document, err = doc.Bytes(); err != nil {
		t.Fatal(err)
	}
	return document, c.bytes.Load()
}

func TestTheBillOfRealHivesReadsLessThan20MB(t *testing.T) {
	if testutil.Race {
		t.Skip("SKIPPED: under the race detector hives of real machines take a minute, and one goroutine reads them")
	}
	disk := realDisk(t)
	first, read := billOf(t, disk)
	second, _ := billOf(t, disk)
	if !bytes.Equal(first, second) {
		t.Error("two runs give two documents")
	}
	if read > 20e6 {
		t.Errorf("%d bytes were read", read)
	}
	if err := cyclonedxtest.Check(t, first); err != nil {
		t.Error(err)
	}
	for kind, want := range map[string]int{
		`"bom-ref": "package:`: 524, `"bom-ref": "update:`: 83, `"bom-ref": "program:`: 41, `"bom-ref": "dotnet:`: 4, `"bom-ref": "driver:`: 200, `"bom-ref": "service:`: 88,
	} {
		if got := bytes.Count(first, []byte(kind)); got != want {
			t.Errorf("%s: %d, want %d", kind, got, want)
		}
	}
	t.Logf("%.1f MB read, a document of %d kB", float64(read)/1e6, len(first)/1000)
}

// BenchmarkBill is the bill of the same disk: the time of one, and what was read. Target:
// 1 s, 20 MB.
func BenchmarkBill(b *testing.B) {
	disk := realDisk(b)
	var read int64
	start := time.Now()
	b.ResetTimer()
	for range b.N {
		_, read = billOf(b, disk)
	}
	b.ReportMetric(float64(time.Since(start).Milliseconds())/float64(b.N), "ms")
	b.ReportMetric(float64(read)/1e6, "MB-read")
}
