package compact

import (
	"path/filepath"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/partition"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

func TestADiskThatIsMadeLargerKeepsItsBackupGPTAtItsEnd(t *testing.T) {
	const unit = 7 << 20 // no size of a test disk is a multiple of it
	for name, c := range map[string]struct {
		spec  winimagetest.Spec
		moved bool
	}{"GPT": {winimagetest.Spec{GPT: true}, true}, "MBR": {winimagetest.Spec{}, false}} {
		d, err := diskimage.Open(winimagetest.Disk(t, c.spec))
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if same, said, err := Grown(d, 512); err != nil || same.Size() != d.Size() || said != "" {
			t.Errorf("%s of whole units: %q, %v", name, said, err)
		}
		grown, said, err := Grown(d, unit)
		if err != nil || (said != "") != c.moved {
			t.Fatalf("%s: %q, %v", name, said, err)
		}
		if !c.moved {
			continue
		}
		path := filepath.Join(t.TempDir(), "x.vhd")
		if _, err := diskimage.Convert(t.Context(), grown, path, diskimage.Options{Format: diskimage.VHD, AlignMiB: true, Compare: true}); err != nil {
			t.Fatal(err)
		}
		out, err := diskimage.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		header := make([]byte, 8)
		if _, err := out.ReadAt(header, out.Size()-512); err != nil || string(header) != "EFI PART" || out.Size()%unit != 0 || out.Size() <= d.Size() {
			t.Errorf("the last sector of %d bytes begins with %q, %v", out.Size(), header, err)
		}
		if table, err := partition.Read(out, out.Size(), 512); err != nil || table.PrimaryDamage != nil || table.BackupDamage != nil {
			t.Errorf("%+v, %v", table, err)
		}
	}
}
