package compact

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

func TestFreeSpaceIsLeftOutOnlyWhereNothingSpeaksAgainstIt(t *testing.T) {
	for _, c := range []struct {
		name, reason string
		spec         winimagetest.Spec
	}{
		{"settled", "", winimagetest.Spec{Generalized: true}},
		{"settled, GPT with an EFI partition", "", winimagetest.Spec{GPT: true}},
		{"dirty", "dirty", winimagetest.Spec{DirtyVolume: true}},
		{"hibernated", "hiberfil.sys", winimagetest.Spec{Files: map[string]string{`\hiberfil.sys`: "hibr" + strings.Repeat("x", 4092)}}},
		{"BitLocker", "BitLocker", winimagetest.Spec{BitLocker: true}},
		{"a shadow copy", "shadow copies", winimagetest.Spec{Files: map[string]string{winimagetest.ShadowStore: "x"}}},
		{"a crash dump", "crash dump", winimagetest.Spec{Files: map[string]string{`\pagefile.sys`: "PAGEDU64" + strings.Repeat("x", 8192)}}},
		{"a crash dump of 32 bits", "crash dump", winimagetest.Spec{Files: map[string]string{`\pagefile.sys`: "PAGEDUMP" + strings.Repeat("x", 8192)}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := diskimage.Open(winimagetest.Disk(t, c.spec))
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			space, err := FreeSpace(context.Background(), d)
			if c.reason != "" {
				if !errors.Is(err, errKeepAll) || !strings.Contains(err.Error(), c.reason) {
					t.Errorf("error %v, want errKeepAll over %q", err, c.reason)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if space.Free < 8<<20 || space.PageFiles != 1<<20 {
				t.Errorf("%d bytes free, %d in page files", space.Free, space.PageFiles)
			}
			if space.Skippable(0, 512) || space.Skippable(1<<20, 512) || space.Skippable(d.Size()-512, 512) {
				t.Error("the partition table or the boot sector would be left out")
			}
		})
	}
}

// A damaged name beside where the stores of shadow copies would be says nothing of
// them.
func TestADamagedNameIsNoReasonToKeepEverything(t *testing.T) {
	disk := winimagetest.Disk(t, winimagetest.Spec{Files: map[string]string{`\System Volume Information\` + winimagetest.OddName: "x"}})
	winimagetest.WithSlash(t, disk)
	d, err := diskimage.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := FreeSpace(context.Background(), d); err != nil {
		t.Error(err)
	}
}

func TestACancelIsNoReasonToKeepEverything(t *testing.T) {
	d, err := diskimage.Open(winimagetest.Disk(t, winimagetest.Spec{}))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := FreeSpace(ctx, d); !errors.Is(err, context.Canceled) || errors.Is(err, errKeepAll) {
		t.Errorf("error %v, want the cancel", err)
	}
}
