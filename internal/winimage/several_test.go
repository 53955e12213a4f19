package winimage

import (
	"fmt"
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
