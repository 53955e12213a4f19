package capture

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/ntfs"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/partition"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/wim"
)

// volumesOf are the NTFS volumes of a disk.
func volumesOf(t *testing.T, d diskimage.Disk) (volumes [][]byte) {
	t.Helper()
	table, err := partition.Read(d, d.Size(), 0)
	if err != nil {
		t.Fatal(err)
	}
	parts := table.Partitions
	if table.Scheme == partition.None {
		parts = []partition.Partition{{Length: d.Size()}}
	}
	for _, p := range parts {
		if p.Length > 256<<20 {
			continue
		}
		if _, err := ntfs.Open(d, p.Start, p.Length); err != nil {
			continue
		}
		b := make([]byte, p.Length)
		if _, err := d.ReadAt(b, p.Start); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		volumes = append(volumes, b)
	}
	return volumes
}

func TestVolumesOfRealWindowsAreCapturedAsWimlibDoes(t *testing.T) {
	for _, name := range []string{"dfvfs-windows_volume.qcow2", "dfir_ntfs-ntfs_index.raw.gz", "util-linux-ntfs.img.gz"} {
		t.Run(name, func(t *testing.T) {
			path := testutil.Corpus(t, "disks", name)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if z, err := gzip.NewReader(bytes.NewReader(b)); err == nil {
				if b, err = io.ReadAll(z); err != nil {
					t.Fatal(err)
				}
			}
			d, err := diskimage.OpenReader(bytes.NewReader(b), int64(len(b)))
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			volumes := volumesOf(t, d)
			if len(volumes) == 0 {
				t.Fatal("no NTFS volume")
			}
			for _, volume := range volumes {
				path, r := captured(t, volume, wim.XPRESS)
				wimlib(t, "verify", path)
				got := entries(t, path)
				for _, d := range differences(entries(t, theirs(t, written(t, volume))), got, func(string) bool { return false }) {
					t.Error(d)
				}
				t.Logf("%d entries, left out: %q", len(got), r.Excluded)
			}
		})
	}
}
