package ntfs

import (
	"fmt"
	"os"
	"path"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

func TestBootSectorsOfWindows(t *testing.T) {
	for _, c := range []struct {
		name                    string
		cluster, record, length int64
	}{
		{"dfir_ntfs-4k.boot", 4096, 1024, 0x76ec7ff * 512},
		{"dfir_ntfs-4kn.boot", 4096, 4096, 0x37ff * 4096},
		{"dfir_ntfs-512.boot", 512, 1024, 0x1fe7ff * 512},
		{"dfir_ntfs-64k.boot", 65536, 1024, 0x3ffe7ff * 512},
	} {
		b, err := os.ReadFile(testutil.Corpus(t, "disks", c.name))
		if err != nil {
			t.Fatal(err)
		}
		v := &Volume{size: 1 << 40}
		if err := v.parseBoot(b); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if v.cluster != c.cluster || v.recordSize != c.record || v.clusters != c.length/c.cluster {
			t.Errorf("%s: clusters of %d, records of %d, %d clusters", c.name, v.cluster, v.recordSize, v.clusters)
		}
	}
}

// records decodes all records of an $MFT taken from a volume.
func records(t *testing.T, name string, size int) []*record {
	t.Helper()
	b, err := os.ReadFile(testutil.Corpus(t, "disks", name))
	if err != nil {
		t.Fatal(err)
	}
	var out []*record
	for i := 0; (i+1)*size <= len(b); i++ {
		raw := b[i*size : (i+1)*size]
		if le.Uint32(raw) == 0 { // never used
			out = append(out, nil)
			continue
		}
		rec, err := parseRecord(raw, int64(i))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		out = append(out, rec)
	}
	return out
}

func TestRecordsOfRealMFTsAreAsTheSleuthKitListsThem(t *testing.T) {
	for _, c := range []struct {
		name string
		size int
	}{{"dfir_ntfs-unicode", 1024}, {"dfir_ntfs-4k-large", 4096}} {
		recs := records(t, c.name+".mft", c.size)
		b, err := os.ReadFile(testutil.Corpus(t, "disks", c.name+".fls"))
		if err != nil {
			t.Fatal(err)
		}
		checked := 0
		for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
			f := strings.Split(line, "\t")
			var number, kind, id int
			_, inode, _ := strings.Cut(f[0], " ")
			if n, _ := fmt.Sscanf(inode, "%d-%d-%d:", &number, &kind, &id); n != 3 {
				continue
			}
			if number >= len(recs) { // $OrphanFiles
				continue
			}
			rec := recs[number]
			whole, stream, _ := strings.Cut(f[1], ":")
			found := false
			for _, a := range rec.attributes {
				switch {
				case a.kind == kindFileName && a.value[65] != namespaceDOS:
					if got := string(utf16.Decode(keyName(a.value))); got != path.Base(whole) {
						t.Errorf("%s: record %d is %q, not %q", c.name, number, got, whole)
					}
				case int(a.kind) == kind && int(a.id) == id:
					size := int64(len(a.value))
					if a.nonResident {
						size = a.size
					}
					// The size of a directory is not that of its index root.
					found = kind != kindData || fmt.Sprint(size) == f[6]
					if kind == kindData && a.name != stream {
						t.Errorf("%s: stream %q, not %q", c.name, a.name, stream)
					}
				}
			}
			// Only the name of $BadClus has its size on another attribute.
			if (!found && !strings.HasPrefix(whole, "$BadClus")) || !rec.inUse {
				t.Errorf("%s: %s is not in its record", c.name, line)
			}
			checked++
		}
		if checked < 35 {
			t.Errorf("%s: only %d lines were checked", c.name, checked)
		}
	}
}

func TestRunsOfOddRealRecordsDecode(t *testing.T) {
	v := &Volume{cluster: 4096, clusters: 1 << 40}
	for name, want := range map[string]int{"dfir_ntfs-compressed_sparse.mft": 1, "dfir_ntfs-mapping_pairs_2.mft": 0} {
		compressed, streams := 0, 0
		for _, rec := range records(t, name, 1024) {
			if rec == nil {
				continue
			}
			for _, a := range rec.attributes {
				if !a.nonResident {
					continue
				}
				if _, err := v.decodeRuns(a, nil); err != nil {
					t.Errorf("%s: record %d: %v", name, rec.number, err)
				}
				streams++
				if a.flags&flagCompressed != 0 {
					compressed++
				}
			}
		}
		if streams < 10 || compressed < want {
			t.Errorf("%s: %d streams, %d of them compressed", name, streams, compressed)
		}
	}
	if recs := records(t, "dfir_ntfs-boot.mftmirr", 1024); len(recs) != 4 {
		t.Errorf("%d records in $MFTMirr", len(recs))
	}
}
