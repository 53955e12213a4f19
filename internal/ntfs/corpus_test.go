package ntfs

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// image is a disk image in memory whose equal blocks are kept once: most of
// the corpus is zeros or one pattern.
type image struct {
	blocks [][]byte
	size   int64
}

const imageBlock = 64 << 10

func readImage(t testing.TB, r io.Reader) *image {
	t.Helper()
	m := &image{}
	known := map[string][]byte{}
	buf := make([]byte, imageBlock)
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			clear(buf[n:])
			b, ok := known[string(buf)]
			if !ok {
				b = bytes.Clone(buf)
				known[string(buf)] = b
			}
			m.blocks = append(m.blocks, b)
			m.size += int64(n)
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return m
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (m *image) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) && off < m.size {
		c := copy(p[n:], m.blocks[off/imageBlock][off%imageBlock:])
		c = int(min(int64(c), m.size-off))
		n += c
		off += int64(c)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func gunzip(t testing.TB, path string) *image {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return readImage(t, z)
}

// corpusImage opens an image of the corpus, whatever it is packed in.
func corpusImage(t testing.TB, name string) (io.ReaderAt, int64) {
	t.Helper()
	path := testutil.Corpus(t, "disks", name)
	var file string
	switch {
	case strings.HasSuffix(name, "gz") && !strings.Contains(name, ".t"):
		m := gunzip(t, path)
		return m, m.size
	case strings.HasSuffix(name, "gz"):
		dir := t.TempDir()
		if out, err := exec.Command(testutil.Tool(t, "tar"), "-xSf", path, "-C", dir).CombinedOutput(); err != nil {
			t.Fatalf("tar: %v\n%s", err, out)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*.raw"))
		if err != nil || len(files) != 1 {
			t.Fatalf("%v in %s, %v", files, name, err)
		}
		file = files[0]
	default:
		if strings.HasSuffix(name, ".zip") {
			dir := t.TempDir()
			if out, err := exec.Command(testutil.Tool(t, "unzip"), "-q", path, "-d", dir).CombinedOutput(); err != nil {
				t.Fatalf("unzip: %v\n%s", err, out)
			}
			files, err := filepath.Glob(filepath.Join(dir, "*.vhdx"))
			if err != nil || len(files) != 1 {
				t.Fatalf("%v in %s, %v", files, name, err)
			}
			path = files[0]
		}
		file = filepath.Join(t.TempDir(), "raw")
		if out, err := exec.Command(testutil.Tool(t, "qemu-img"), "convert", "-O", "raw", path, file).CombinedOutput(); err != nil {
			t.Fatalf("qemu-img: %v\n%s", err, out)
		}
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return f, info.Size()
}

func TestFilesOfTheCorpusAreAsTheSleuthKitSees(t *testing.T) {
	for _, c := range []struct {
		image, expected string
		sector          int64
		deleted         string // listed there although no index entry names it
	}{
		{"velociraptor-partition_image.raw.gz", "velociraptor-partition_image.raw.tsv", 0, ""},
		{"velociraptor-test.vhdx.zip", "velociraptor-test.vhdx.tsv", 128, ""},
		{"dfvfs-windows_volume.qcow2", "dfvfs-windows_volume.tsv", 0, ""},
		{"dfir_ntfs-ntfs3.raw.gz", "dfir_ntfs-ntfs3.raw.tsv", 0, "test/1.txt"},
		{"dfir_ntfs-ntfs_index.raw.gz", "dfir_ntfs-ntfs_index.raw.tsv", 128, ""},
		{"sleuthkit-imageformat_mmls_1.raw.gz", "sleuthkit-imageformat_mmls_1.p1.tsv", 128, ""},
		{"sleuthkit-imageformat_mmls_1.raw.gz", "sleuthkit-imageformat_mmls_1.p2.tsv", 55424, ""},
		{"ntfs-ptrn.raw.gz", "ntfs-ptrn.raw.tsv", 128, ""},
		{"ntfs-si-vs-fn.raw.gz", "ntfs-si-vs-fn.raw.tsv", 128, ""},
		{"ntfs-20h1-64g.tgz", "ntfs-20h1-64g.tsv", 2048, ""},
	} {
		t.Run(strings.TrimSuffix(c.expected, ".tsv"), func(t *testing.T) {
			r, size := corpusImage(t, c.image)
			v, err := Open(r, c.sector*512, size-c.sector*512)
			if err != nil {
				t.Fatal(err)
			}
			compareWithTSV(t, v, testutil.Corpus(t, "disks", "expected", c.expected), c.deleted)
		})
	}
}

func compareWithTSV(t *testing.T, v *Volume, path, deleted string) {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	type stream struct {
		size int64
		sum  string
	}
	want := map[string]stream{}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")[1:]
	for _, line := range lines {
		f := strings.Split(line, "\t")
		id := strings.Split(f[1], "-")
		number, err := strconv.ParseInt(id[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		kind, err := strconv.Atoi(id[1])
		if err != nil {
			t.Fatal(err)
		}
		if kind == kindData {
			s := stream{-1, ""}
			if f[2] != "" {
				s.sum = f[3]
				if s.size, err = strconv.ParseInt(f[2], 10, 64); err != nil {
					t.Fatal(err)
				}
			}
			want[f[0]] = s
			continue
		}
		// The root of an index of $Extend, named after its colon.
		_, name, _ := strings.Cut(f[0], ":")
		rec, err := v.record(number)
		if err != nil {
			t.Fatal(err)
		}
		pieces, err := (&file{v, rec}).pieces(uint32(kind), name)
		if err != nil {
			t.Errorf("%s: %v", f[0], err)
			continue
		}
		sum := sha256.Sum256(pieces[0].value)
		if strconv.Itoa(len(pieces[0].value)) != f[2] || hex.EncodeToString(sum[:]) != f[3] {
			t.Errorf("%s: %d bytes, want %s", f[0], len(pieces[0].value), f[2])
		}
	}
	delete(want, deleted)
	root, err := v.root()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	walk(t, v, root, "", func(path string, file *file) {
		streams, err := streamsOf(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range streams {
			full := path
			if name != "" {
				full += ":" + name
			}
			w, ok := want[full]
			if !ok {
				t.Errorf("%s is not expected", full)
				continue
			}
			seen++
			if w.size < 0 {
				continue // $BadClus
			}
			s, err := file.open(name)
			if err != nil {
				t.Errorf("%s: %v", full, err)
				continue
			}
			if s.size != w.size {
				t.Errorf("%s: %d bytes, want %d", full, s.size, w.size)
			} else if got := hashOf(t, full, s); got != w.sum {
				t.Errorf("%s: content differs", full)
			}
		}
	})
	if seen != len(want) {
		t.Errorf("%d of %d expected streams found", seen, len(want))
	}
}

func TestTwoMiBClustersAreRead(t *testing.T) {
	r, size := corpusImage(t, "ntfs-2m.raw.gz")
	v, err := Open(r, 128*512, size-128*512)
	if err != nil {
		t.Fatal(err)
	}
	if v.cluster != 2<<20 || v.clusters != 510 {
		t.Errorf("%d clusters of %d bytes", v.clusters, v.cluster)
	}
	var names []string
	dir, err := v.find("system volume information")
	if err != nil {
		t.Fatal(err)
	}
	walk(t, v, dir, "", func(path string, f *file) {
		info, err := f.info(path)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprintf("%s %d %s", path, info.Size(), info.ModTime().Format("2006-01-02")))
	})
	if got := strings.Join(names, ", "); got != "IndexerVolumeGuid 76 2019-04-22, WPSettings.dat 12 2019-04-22" {
		t.Error(got)
	}
}

func TestBitLockerVolumesAreRefusedByName(t *testing.T) {
	dir := testutil.Corpus(t, "disks")
	images, err := filepath.Glob(filepath.Join(dir, "bitlk-*.img.gz"))
	if err != nil || len(images) < 10 {
		t.Fatalf("%d images, %v", len(images), err)
	}
	for _, path := range append(images, filepath.Join(dir, "util-linux-bitlocker-win7.img.gz")) {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1<<20)
		n, _ := io.ReadFull(z, b)
		f.Close()
		r := bytes.NewReader(b[:n])
		if is, err := BitLocker(r, 0); err != nil || !is {
			t.Errorf("%s: BitLocker %v, %v", filepath.Base(path), is, err)
		}
		if _, err := Open(r, 0, int64(n)); !errors.Is(err, ErrBitLocker) {
			t.Errorf("%s: %v", filepath.Base(path), err)
		}
	}
}

func TestStateOfRealVolumes(t *testing.T) {
	for _, c := range []struct {
		image     string
		offset    int64
		shadows   int
		elsewhere bool
	}{
		{"dfir_ntfs-vss_1_vol.tar.gz", 67584 * 512, 0, true},
		{"dfir_ntfs-vss_2_stor.tar.gz", 67584 * 512, 3, false},
		{"ntfs-20h1-64g.tgz", 2048 * 512, 2, false},
		{"ntfs-2m.raw.gz", 128 * 512, 0, false},
		{"dfir_ntfs-ntfs_index.raw.gz", 128 * 512, 0, false},
		{"velociraptor-partition_image.raw.gz", 0, 0, false},
		{"util-linux-ntfs.img.gz", 0, 0, false},
	} {
		t.Run(c.image, func(t *testing.T) {
			r, size := corpusImage(t, c.image)
			v, err := Open(r, c.offset, size-c.offset)
			if err != nil {
				t.Fatal(err)
			}
			s, err := v.ShadowCopies()
			clean, lerr := v.LogClean()
			hib, herr := v.Hibernation()
			if err != nil || lerr != nil || herr != nil {
				t.Fatal(err, lerr, herr)
			}
			if len(s.Stores) != c.shadows || s.Elsewhere != c.elsewhere {
				t.Errorf("%d stores, elsewhere %v", len(s.Stores), s.Elsewhere)
			}
			if hib != HibernationNone {
				t.Errorf("hibernation %s", hib)
			}
			if v.Dirty() || !clean {
				t.Errorf("dirty %v, log clean %v", v.Dirty(), clean)
			}
			if _, err = v.FreeMap(t.Context()); s.Any() != errors.Is(err, ErrUnsettled) || !s.Any() && err != nil {
				t.Errorf("map of free clusters: %v", err)
			}
		})
	}
}
