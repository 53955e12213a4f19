package winimage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// Each of two Windows on a disk has to be generalized; one may be chosen.
func TestEachOfTwoWindowsIsProven(t *testing.T) {
	for _, c := range []struct{ first, second bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
		t.Run(fmt.Sprintf("%t, %t", c.first, c.second), func(t *testing.T) {
			r := inspectPath(t, winimagetest.Disk(t, winimagetest.Spec{
				Generalized: c.first, Volume: 8 << 20,
				Beside: &winimagetest.Spec{Generalized: c.second, Volume: 8 << 20},
			}))
			if len(r.Windows) != 2 || r.Windows[0].Partition != 1 || r.Windows[1].Partition != 2 {
				t.Fatalf("%+v", r.Windows)
			}
			for partition, want := range map[int]bool{0: c.first && c.second, 1: c.first, 2: c.second, 3: false} {
				list := Prove(r, Expectation{Partition: partition, AnswerFile: true, Source: &Source{}})
				if proven(list) != want {
					t.Errorf("partition %d is proven: %t", partition, !want)
				}
				for _, f := range finding.Failed(list, finding.Fail) {
					at := strings.Join(f.Where.Path, "")
					switch {
					case partition == 0 && (c.first && at == "partition 1" || c.second && at == "partition 2" || at == ""):
						t.Errorf("%s fails in %q", f.ID, at)
					case partition == 1 || partition == 2:
						if at != "" {
							t.Errorf("%s is said to be in %q, and there is one", f.ID, at)
						}
					}
				}
				if partition == 3 && (len(list) == 0 || list[0].Holds || list[0].Expected != "an installation in partition 3" || list[0].Found != "none") {
					t.Errorf("%+v", list)
				}
			}
			// What only a run can tell is asked of neither, and of the disk once.
			counts := map[string]int{}
			for _, f := range Prove(r, Expectation{AnswerFile: true, Source: &Source{}}) {
				counts[f.ID]++
			}
			for id, want := range map[string]int{"windows": 1, "boots": 1, "limits": 1, "bitlocker": 1, "tag": 2, "secrets": 2, "cached-answer-file": 0, "vm-mode": 0} {
				if counts[id] != want {
					t.Errorf("%s is asserted %d times", id, counts[id])
				}
			}
		})
	}
}

func TestWindowsAreNamedWithTheirPartitions(t *testing.T) {
	one, two := Windows{Partition: 2, OS: OS{ProductName: "A"}}, Windows{Partition: 4, OS: OS{ProductName: "B", Build: "7"}}
	for want, list := range map[string][]Windows{"": nil, "A": {one}, "A in partition 2 and B build 7 in partition 4": {one, two}} {
		if got := Names(list); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A volume without Windows may hold what Windows reads, or what was forgotten.
func TestSecretsOnOtherVolumesAreFound(t *testing.T) {
	r := inspectPath(t, winimagetest.Disk(t, winimagetest.Spec{
		Generalized: true, Volume: 8 << 20,
		Beside: &winimagetest.Spec{Empty: true, Volume: 4 << 20, Files: map[string]string{
			`\Autounattend.xml`: autologonAnswers(), `\openstack\latest\user_data`: "net user a " + canary, `\notes.txt`: "nothing",
			`\Users\packer` + psHistory: "net user a " + canary, // of a Windows that is not there
		}},
	}))
	list := Prove(r, Expectation{})
	f := ofID(list, "secrets")
	var paths []string
	for _, s := range r.Secrets {
		if paths = append(paths, s.Path); s.Partition != 2 || !strings.Contains(f.Found, "partition 2: "+s.Path) {
			t.Errorf("%+v, found %s", s, f.Found)
		}
	}
	if !slices.Equal(paths, []string{`\Autounattend.xml`, `\openstack\latest\user_data`}) || f.Holds || !proven(list) {
		t.Errorf("%q, %+v", paths, f)
	}
	silent(t, r, list)
}

// A FAT volume is searched as an NTFS one is: an EFI partition, a recovery
// partition, a configuration drive.
func TestSecretsOnFATVolumesAreFound(t *testing.T) {
	secret := map[string]string{
		`\Autounattend.xml`: autologonAnswers(), `\unattend.bak`: autologonAnswers(), `\openstack\latest\user_data`: "net user a " + canary, `\user-data`: "passwd: " + canary,
		`\Recovery\AutoApply\unattend.xml`: autologonAnswers(), `\Recovery\OEM\setup.cmd`: "net user a " + canary, `\setup.cmd`: wide16("net user a " + canary),
		`\notes.txt`: "nothing",
	}
	harmless := map[string]string{`\Autounattend.xml`: winimagetest.AnswerFile, `\setup.cmd`: "echo hello\r\n"}
	for name, c := range map[string]struct {
		spec      winimagetest.Spec
		partition int
		found     int
	}{
		"an EFI partition":               {winimagetest.Spec{GPT: true, ESP: secret}, 1, 7},
		"a data partition":               {winimagetest.Spec{Beside: &winimagetest.Spec{Empty: true, FAT: true, Files: secret}}, 2, 7},
		"an EFI partition without any":   {winimagetest.Spec{GPT: true, ESP: harmless}, 1, 0},
		"a data partition without any":   {winimagetest.Spec{Beside: &winimagetest.Spec{Empty: true, FAT: true, Files: harmless}}, 2, 0},
		"an EFI partition as it is made": {winimagetest.Spec{GPT: true}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.spec.Generalized, c.spec.Volume = true, 8<<20
			r := inspectPath(t, winimagetest.Disk(t, c.spec))
			list := Prove(r, Expectation{})
			f := ofID(list, "secrets")
			for _, s := range r.Secrets {
				if s.Partition != c.partition || len(s.Where) == 0 || s.Problem != "" || !strings.Contains(f.Found, fmt.Sprintf("partition %d: %s", c.partition, s.Path)) {
					t.Errorf("%+v, found %s", s, f.Found)
				}
			}
			if len(r.Secrets) != c.found || f.Holds != (c.found == 0) || !proven(list) {
				t.Errorf("%+v, %+v", r.Secrets, f)
			}
			silent(t, r, list)
		})
	}
}

// "None" is said of a disk only when each of its volumes was searched.
func TestAVolumeThatCannotBeSearchedIsNoVolumeWithoutSecrets(t *testing.T) {
	disk := func(change func(volume []byte)) []byte {
		path := winimagetest.Disk(t, winimagetest.Spec{Generalized: true, Volume: 8 << 20, Beside: &winimagetest.Spec{Empty: true, FAT: true}})
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		change(b[9<<20:])
		return b
	}
	for name, c := range map[string]struct {
		change func(volume []byte)
		says   string
	}{
		"as it is":       {func([]byte) {}, ""},
		"zeros":          {func(v []byte) { clear(v) }, ""},
		"another's":      {func(v []byte) { clear(v); copy(v[1080:], "\x53\xef") }, ""},
		"exFAT":          {func(v []byte) { copy(v, "\xeb\x76\x90EXFAT   "); clear(v[11:64]) }, "it is an exFAT volume"},
		"ReFS":           {func(v []byte) { copy(v, "\x00\x00\x00ReFS\x00\x00\x00\x00"); clear(v[11:64]) }, "it is an ReFS volume"},
		"a damaged FAT":  {func(v []byte) { v[19], v[20] = 0xff, 0xff }, "corrupt FAT volume"},
		"a damaged NTFS": {func(v []byte) { copy(v[3:], "NTFS    "); v[13] = 3 }, "sectors"},
		"a damaged root": {func(v []byte) {
			copy(v[fatRoot(v):], "OPENSTAC   \x10")
			v[fatRoot(v)+26] = 0xff
			v[fatRoot(v)+27] = 0xff
		}, ""},
		"a damaged folder": {func(v []byte) {
			copy(v[fatRoot(v):], "RECOVERY   \x10")
			v[fatRoot(v)+26] = 0xff
			v[fatRoot(v)+27] = 0x0f
		}, ""},
	} {
		b := disk(c.change)
		r, err := Inspect(t.Context(), open(t, bytes.NewReader(b), int64(len(b))), Options{})
		if err != nil {
			t.Fatal(err)
		}
		f := ofID(Prove(r, Expectation{}), "secrets")
		if c.says == "" {
			if !f.Holds || len(r.Secrets) > 0 {
				t.Errorf("%s: %+v", name, r.Secrets)
			}
			continue
		}
		if len(r.Secrets) != 1 || !strings.Contains(r.Secrets[0].Problem, c.says) || f.Holds || !strings.Contains(f.Found, `partition 2: \ could not be read`) {
			t.Errorf("%s: %+v, found %s", name, r.Secrets, f.Found)
		}
	}
}

// fatRoot is where the root folder of a FAT12 volume begins (fatgen103).
func fatRoot(v []byte) int {
	le := binary.LittleEndian
	return (int(le.Uint16(v[14:])) + int(v[16])*int(le.Uint16(v[22:]))) * int(le.Uint16(v[11:]))
}
