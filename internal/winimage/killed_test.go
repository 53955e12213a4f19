package winimage

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// records are the offsets of the MFT records that hold a name.
func records(disk []byte, name string) (at []int) {
	var wide []byte
	for _, u := range utf16.Encode([]rune(name)) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	for i := 0; i+1024 <= len(disk); i += 512 {
		if bytes.HasPrefix(disk[i:], []byte("FILE0\x00")) && bytes.Contains(disk[i:i+1024], wide) {
			at = append(at, i)
		}
	}
	return at
}

func TestAKilledMachineIsNamedAndNotTakenForNoWindows(t *testing.T) {
	for _, hive := range []string{"SYSTEM", "SOFTWARE"} {
		b := fixture(t)
		found := records(b, hive)
		if len(found) == 0 {
			t.Fatal("the hive was not found")
		}
		for _, at := range found {
			copy(b[at:], "BAAD") // what NTFS makes of a record that was torn
		}
		r, err := Inspect(context.Background(), open(t, bytes.NewReader(b), int64(len(b))), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(r.Problems, func(p string) bool {
			return strings.HasPrefix(p, "partition 2: a Windows folder whose hives cannot be read: the machine was killed")
		}) {
			t.Errorf("%s: %q", hive, r.Problems)
		}
		one := Prove(r, Expectation{})[0]
		if one.ID != WindowsID || one.Holds || !slices.Equal(one.Remedy, powerOff) || !strings.Contains(one.Found, "whose hives cannot be read") {
			t.Errorf("%s: %+v", hive, one)
		}
	}
}

// TestAFolderCalledWindowsIsNoKilledMachine: data disks have all kinds of
// folders.
func TestAFolderCalledWindowsIsNoKilledMachine(t *testing.T) {
	b := fixture(t)
	for _, hive := range []string{"SYSTEM", "SOFTWARE"} {
		var from, to []byte
		for _, c := range hive {
			from, to = append(from, byte(c), 0), append(to, byte('X'), 0)
		}
		b = bytes.ReplaceAll(b, from, to)
	}
	r, err := Inspect(context.Background(), open(t, bytes.NewReader(b), int64(len(b))), Options{})
	if err != nil || len(r.Windows) != 0 {
		t.Fatal(err, r.Windows)
	}
	for _, p := range r.Problems {
		if strings.Contains(p, "killed") {
			t.Errorf("%q", p)
		}
	}
	if one := Prove(r, Expectation{})[0]; slices.Equal(one.Remedy, powerOff) {
		t.Errorf("%+v", one)
	}
}

func TestADirtyVolumeWithoutAWindowsFolderIsNoKilledMachine(t *testing.T) {
	b, err := os.ReadFile(winimagetest.Disk(t, winimagetest.Spec{DirtyVolume: true}))
	if err != nil {
		t.Fatal(err)
	}
	var from, to []byte
	for _, c := range "Windows" {
		from, to = append(from, byte(c), 0), append(to, byte(c)^1, 0)
	}
	b = bytes.ReplaceAll(b, from, to)
	r, err := Inspect(context.Background(), open(t, bytes.NewReader(b), int64(len(b))), Options{})
	if err != nil || len(r.Windows) != 0 || len(r.Problems) != 0 {
		t.Errorf("%v, %d Windows, %q", err, len(r.Windows), r.Problems)
	}
	if found := Prove(r, Expectation{})[0].Found; !strings.Contains(found, `holds files (NTFS), but no folder \Windows`) {
		t.Error(found)
	}
}

// One hive is there and the other is not, on a volume that was closed cleanly: a disk that
// was not copied whole, and no disk without Windows.
func TestAHiveThatIsNotThereIsNamed(t *testing.T) {
	for _, hive := range []string{"SYSTEM", "SOFTWARE"} {
		path := hivePath(hive)
		b := fixtureBytes(t, winimagetest.Spec{Generalized: true, Remove: []string{path}})
		r, err := Inspect(context.Background(), open(t, bytes.NewReader(b), int64(len(b))), Options{})
		if err != nil {
			t.Fatal(err)
		}
		one := Prove(r, Expectation{})[0]
		if one.Holds || !strings.Contains(one.Found, "a Windows folder without all hives: "+path+" is not there") || !slices.Equal(one.Remedy, damaged) {
			t.Errorf("%s: %+v", hive, one)
		}
	}
}

func fixtureBytes(t *testing.T, s winimagetest.Spec) []byte {
	t.Helper()
	b, err := os.ReadFile(winimagetest.Disk(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
