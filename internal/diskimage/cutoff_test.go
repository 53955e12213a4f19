package diskimage

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var missing = regexp.MustCompile(`the file was cut off: it has (\d+) bytes, its tables reach to (\d+), so (\d+) are missing; copy or download it again`)

// saysCut checks that an error says how much is missing of a file of have bytes
// that had full, give or take a unit of its format.
func saysCut(t *testing.T, name string, err error, have, full, unit int64) {
	t.Helper()
	if err == nil || !errors.Is(err, ErrCorrupt) {
		t.Errorf("%s: %v", name, err)
		return
	}
	m := missing.FindStringSubmatch(err.Error())
	if len(m) != 4 || m[3] == "" {
		t.Errorf("%s: what is missing is not said: %v", name, err)
		return
	}
	lacks, _ := strconv.ParseInt(m[3], 10, 64)
	if m[1] != strconv.FormatInt(have, 10) || lacks <= 0 || lacks < full-have-unit || lacks > full-have+unit {
		t.Errorf("%s of %d bytes, cut from %d: %v", name, have, full, err)
	}
}

func TestACutOffFileSaysHowMuchIsMissing(t *testing.T) {
	for name, b := range fixtures(t) {
		full := int64(len(b))
		unit := map[string]int64{"qcow2": 64 * kib, "vhd-dynamic": copyUnit, "vhdx": copyUnit, "vmdk-sparse": testGrain, "vmdk-ova": 2 * kib}[name]
		have := full - full/4
		if name == "vhd-fixed" {
			// Its footer is at its end: a disk that is too large for the file.
			b = append(bytes.Clone(b[:512*kib]), b[full-footerSize:]...)
			have = int64(len(b))
		}
		_, err := openBytes(b[:have])
		// Its log knows the size as well; and what is not read here says it.
		if name == "vhdx-dirty" || name == "vmdk-stream" {
			if err == nil || !strings.Contains(err.Error(), "cut off") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		saysCut(t, name, err, have, full, unit)
	}
}

func TestACutOffQcow2OfQEMUIsTold(t *testing.T) {
	raw := writeFile(t, "disk.raw", pattern(30<<20))
	for name, args := range map[string][]string{
		"v3": nil, "v2": {"-o", "compat=0.10"}, "clusters of 512": {"-o", "cluster_size=512"}, "clusters of 2 MiB": {"-o", "cluster_size=2M"}, "compressed": {"-c"},
		"extended": {"-o", "extended_l2=on"}, "counts of one bit": {"-o", "refcount_bits=1"}, "counts of 64 bits": {"-o", "refcount_bits=64"},
	} {
		path := filepath.Join(t.TempDir(), "disk.qcow2")
		run(t, "qemu-img", append(append([]string{"convert", "-f", "raw", "-O", "qcow2"}, args...), raw, path)...)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := openBytes(b); err != nil {
			t.Errorf("%s, whole: %v", name, err)
		}
		full := int64(len(b))
		for _, have := range []int64{full / 2, full - full/8} {
			have = have / 512 * 512
			_, err := openBytes(b[:have])
			saysCut(t, name, err, have, full, 2*mib)
		}
	}
}

// TestAClusterThatIsOnlyCountedIsNoCutOff: QEMU counts a cluster before it is
// used; a crash in between leaves a count of what is not in the file.
func TestAClusterThatIsOnlyCountedIsNoCutOff(t *testing.T) {
	b := fixtures(t)["qcow2"]
	table := be.Uint64(b[48:])
	block := be.Uint64(b[table:])
	used := uint64(len(b)+64<<10-1) / (64 << 10)
	if be.Uint16(b[block+2*(used-1):]) == 0 || be.Uint16(b[block+2*used:]) != 0 {
		t.Fatal("the counts are not where the test looks for them")
	}
	be.PutUint16(b[block+2*(used+5):], 1)
	if _, err := openBytes(b); err != nil {
		t.Error(err)
	}
}

func TestAQcow2WithoutItsReferenceCountsWasCutOff(t *testing.T) {
	b := fixtures(t)["qcow2"] // they come last, behind their table
	for _, have := range []int{len(b) - 64<<10, len(b) - 128<<10} {
		_, err := openBytes(b[:have])
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "qcow2 reference counts: the file was cut off") {
			t.Errorf("%d of %d bytes: %v", have, len(b), err)
		}
	}
}
