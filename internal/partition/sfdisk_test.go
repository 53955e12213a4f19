package partition

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// sfdiskJSON is what sfdisk says of a disk, in sectors.
type sfdiskJSON struct {
	PartitionTable struct {
		Label      string
		Partitions []struct {
			Node        string
			Start, Size int64
			Type        string
			Bootable    bool
		}
	}
}

// compareWithSfdisk holds a table against sfdisk's reading of the same disk.
func compareWithSfdisk(t *testing.T, path string) *Table {
	t.Helper()
	out, err := exec.Command(testutil.Tool(t, "sfdisk"), "--json", path).Output()
	if err != nil {
		t.Fatalf("sfdisk: %v", err)
	}
	var want sfdiskJSON
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Read(f, info.Size(), 0)
	if err != nil {
		t.Fatal(err)
	}
	w := want.PartitionTable
	if label := map[Scheme]string{MBR: "dos", GPT: "gpt"}[got.Scheme]; label != w.Label || len(got.Partitions) != len(w.Partitions) {
		t.Fatalf("%+v, sfdisk says %s", got, out)
	}
	for i, p := range got.Partitions {
		q := w.Partitions[i]
		typ := p.Type
		if got.Scheme == MBR {
			typ = strings.TrimPrefix(typ, "0")
		}
		if p.Start != q.Start*512 || p.Length != q.Size*512 || typ != q.Type || !strings.HasSuffix(q.Node, fmt.Sprint(p.Index)) || got.Scheme == MBR && p.Bootable != q.Bootable {
			t.Errorf("%+v, sfdisk says %+v", p, q)
		}
	}
	return got
}

func TestTablesOfOtherToolsAreReadAsSfdiskReadsThem(t *testing.T) {
	empty := func(t *testing.T) string {
		path := filepath.Join(t.TempDir(), "disk")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, 200<<20); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Run("sgdisk", func(t *testing.T) {
		path := empty(t)
		out, err := exec.Command(testutil.Tool(t, "sgdisk"), "-n", "1:2048:+100M", "-t", "1:ef00", "-n", "2:0:+16M", "-t", "2:0c01", "-n", "5:0:0", "-t", "5:0700", path).CombinedOutput()
		if err != nil {
			t.Fatalf("sgdisk: %v\n%s", err, out)
		}
		table := compareWithSfdisk(t, path)
		if p := table.Partitions; !p[0].IsESP() || p[1].Type != typeMSR || p[2].Type != typeBasicData || table.BackupDamage != nil {
			t.Errorf("%+v", table)
		}
	})
	t.Run("sfdisk with logical drives", func(t *testing.T) {
		path := empty(t)
		c := exec.Command(testutil.Tool(t, "sfdisk"), "-q", path)
		c.Stdin = strings.NewReader("label: dos\n2048 20480 7 *\n,40960,27\n,,5\n,20480,7\n,10240,b\n,,7\n")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("sfdisk: %v\n%s", err, out)
		}
		table := compareWithSfdisk(t, path)
		if p := table.Partitions; len(p) != 6 || !p[0].Bootable || p[1].Type != "27" || p[4].Index != 6 || p[5].Index != 7 {
			t.Errorf("%+v", table)
		}
	})
}

func TestDisksOfTheCorpusAreReadAsSfdiskReadsThem(t *testing.T) {
	for _, c := range []struct {
		name       string
		scheme     Scheme
		partitions int
	}{
		{"dfir_ntfs-gpt-512-3p.raw.gz", GPT, 3},
		{"dfir_ntfs-mbr-win-512.raw.tgz", MBR, 8},
		{"sleuthkit-imageformat_mmls_1.raw.gz", MBR, 2},
		{"dfir_ntfs-ntfs_index.raw.gz", MBR, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := os.Open(testutil.Corpus(t, "disks", c.name))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			var r io.Reader
			if strings.HasSuffix(c.name, ".tgz") {
				files := tar.NewReader(f)
				if _, err := files.Next(); err != nil {
					t.Fatal(err)
				}
				r = files
			} else if r, err = gzip.NewReader(f); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "disk")
			out, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(out, r); err != nil {
				t.Fatal(err)
			}
			if err := out.Close(); err != nil {
				t.Fatal(err)
			}
			table := compareWithSfdisk(t, path)
			if table.Scheme != c.scheme || len(table.Partitions) != c.partitions {
				t.Errorf("%+v", table)
			}
		})
	}
}
