package diskimage

import (
	"archive/zip"
	"compress/bzip2"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// unpack writes a stored image of the corpus into a folder of the test.
func unpack(t *testing.T, name string) string {
	t.Helper()
	stored := testutil.Corpus(t, "disks", name)
	f, err := os.Open(stored)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	switch filepath.Ext(name) {
	case ".bz2":
		r = bzip2.NewReader(f)
	case ".zip":
		z, err := zip.OpenReader(stored)
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		if r, err = z.File[0].Open(); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "image")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.Copy(out, r); err != nil {
		t.Fatal(err)
	}
	return path
}

// digest is the SHA-256 of a disk; holes are hashed without being read.
func digest(t *testing.T, d Disk) string {
	t.Helper()
	h := sha256.New()
	buf, zero := make([]byte, 4<<20), make([]byte, 4<<20)
	for off := int64(0); off < d.Size(); {
		start, end, err := d.NextData(off)
		if err != nil {
			t.Fatal(err)
		}
		for ; off < start; off += min(int64(len(zero)), start-off) {
			h.Write(zero[:min(int64(len(zero)), start-off)])
		}
		for off < end {
			p := buf[:min(int64(len(buf)), end-off)]
			if err := readFull(d, p, off); err != nil {
				t.Fatal(err)
			}
			h.Write(p)
			off += int64(len(p))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func TestImagesMadeByWindowsAreReadAsQEMUReadsThem(t *testing.T) {
	for name, want := range map[string]Info{
		"d2v-zerofilled.vhd.bz2":          {Format: VHD, Type: Dynamic, VirtualSize: 263454720},
		"iotest-dirtylog-10G-4M.vhdx.bz2": {Format: VHDX, Type: Dynamic, VirtualSize: 10 << 30, LogReplayed: true},
		"iotest-dynamic-1G.vhdx.bz2":      {Format: VHDX, Type: Dynamic, VirtualSize: 1 << 30},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, unpack(t, name))
			i := d.Info()
			if i.Format != want.Format || i.Type != want.Type || i.VirtualSize != want.VirtualSize || i.LogReplayed != want.LogReplayed {
				t.Errorf("info %+v, want %+v", i, want)
			}
			text, err := os.ReadFile(testutil.Corpus(t, "disks", "expected", strings.TrimSuffix(name, ".bz2")+".guest.txt"))
			if err != nil {
				t.Fatal(err)
			}
			var bytes int64
			var sum string
			if _, err := fmt.Sscanf(string(text), "guest_bytes=%d\nguest_sha256=%s", &bytes, &sum); err != nil {
				t.Fatal(err)
			}
			if d.Size() != bytes {
				t.Errorf("size %d, want %d", d.Size(), bytes)
			}
			if got := digest(t, d); got != sum {
				t.Errorf("content %s, want %s", got, sum)
			}
		})
	}
}

func TestVirtualPCDiskIsReadByCurrentSize(t *testing.T) {
	d := open(t, unpack(t, "virtualpc-dynamic.vhd.bz2"))
	start, end, err := d.NextData(0)
	if err != nil || start != d.Size() || end != d.Size() {
		t.Errorf("an empty disk has data at %d to %d, %v", start, end, err)
	}
	// The geometry gives 136363130880 bytes, which QEMU reads.
	if d.Size() != 136365211648 || !strings.Contains(strings.Join(d.Info().Warnings, "\n"), "136363130880") {
		t.Errorf("size %d, warnings %q", d.Size(), d.Info().Warnings)
	}
}

func TestOtherImagesOfTheCorpusConvertToWhatQEMUReads(t *testing.T) {
	for _, name := range []string{"velociraptor-test.vhdx.zip", "dfvfs-windows_volume.qcow2"} {
		t.Run(name, func(t *testing.T) {
			src := unpack(t, name)
			for _, o := range outputs {
				dst := filepath.Join(t.TempDir(), "out")
				convertTo(t, src, dst, o)
				compare(t, open(t, src).Format(), src, o.Format, dst)
			}
		})
	}
}
