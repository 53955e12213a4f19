package ntfs

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// pieces is a volume of which only some kilobytes are known; the rest is not
// to be read.
type pieces map[int64][]byte

func (p pieces) ReadAt(b []byte, off int64) (int, error) {
	for start, data := range p {
		if start <= off && off+int64(len(b)) <= start+int64(len(data)) {
			return copy(b, data[off-start:]), nil
		}
	}
	return 0, fmt.Errorf("bytes %#x+%d are not known", off, len(b))
}

// readPieces opens a volume of the corpus that was kept in pieces named by
// their offset; golden are the runs another reader found.
func readPieces(t *testing.T, name string) (*Volume, string) {
	t.Helper()
	f, err := os.Open(testutil.Corpus(t, "disks", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	known, golden := pieces{}, ""
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		base := path.Base(h.Name)
		if strings.HasSuffix(base, ".golden") {
			golden = string(b)
		}
		if hex, ok := strings.CutSuffix(base, ".bin"); ok {
			off, err := strconv.ParseInt(hex, 0, 64)
			if err != nil {
				t.Fatal(err)
			}
			known[off] = b
		}
	}
	v := &Volume{r: known, size: 1 << 40}
	boot := known[0]
	if err := v.parseBoot(boot); err != nil {
		t.Fatal(err)
	}
	if err := v.openMFT(int64(le.Uint64(boot[48:]))); err != nil {
		t.Fatal(err)
	}
	return v, golden
}

func TestRunsOfAFragmentedMFT(t *testing.T) {
	v, golden := readPieces(t, "go-ntfs-highly_fragmented_mft.tar.gz")
	var want []run
	for _, line := range strings.Split(golden, "\n") {
		var i, depth int
		var r run
		if n, _ := fmt.Sscanf(line, "%d %d MappedReader: FileOffset %d -> DiskOffset %d (Length %d,", &i, &depth, &r.VCN, &r.LCN, &r.Count); n == 5 && depth == 1 {
			want = append(want, r)
		}
	}
	if len(want) < 170 || len(want) != len(v.mft.runs) {
		t.Fatalf("%d runs, want %d", len(v.mft.runs), len(want))
	}
	for i, r := range v.mft.runs {
		if r != want[i] {
			t.Errorf("run %d is %v, want %v", i, r, want[i])
		}
	}
	if v.mft.size != 7203717120 {
		t.Errorf("$MFT of %d bytes", v.mft.size)
	}
}

func TestContentBehindTheInitializedSizeIsZero(t *testing.T) {
	v, _ := readPieces(t, "go-ntfs-large_file_small_init.tar.gz")
	rec, err := v.record(46)
	if err != nil {
		t.Fatal(err)
	}
	s, err := (&file{v, rec}).open("")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.runs) != 1 || s.runs[0] != (run{0, 69787, 256}) || s.size != 1<<20 || s.initialized != 4096 {
		t.Errorf("runs %v, size %d, initialized %d", s.runs, s.size, s.initialized)
	}
	b := []byte{1, 2, 3}
	if err := s.readFull(b, 4096); err != nil || b[0]|b[1]|b[2] != 0 {
		t.Errorf("%v, %v", b, err)
	}
}
