package target

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

// fixed is what Azure takes.
func fixed() Image {
	return Image{
		Info:   diskimage.Info{Format: diskimage.VHD, Type: diskimage.Fixed, VirtualSize: 40 << 30, FileSize: 40<<30 + 512, SectorSize: 512},
		Scheme: "gpt", Generation: 2,
	}
}

func broken(list []finding.Finding) (ids []string) {
	for _, f := range list {
		if !f.Holds {
			ids = append(ids, f.ID)
		}
	}
	return ids
}

func TestEachRuleIsBrokenByADiskThatBreaksOnlyIt(t *testing.T) {
	vhdx := func(i *Image) { i.Format, i.Type, i.FileSize = diskimage.VHDX, diskimage.Dynamic, 1<<30 }
	raw := func(i *Image) { i.Format, i.Type, i.FileSize = diskimage.Raw, "", i.VirtualSize }
	qcow2 := func(i *Image) { i.Format, i.Type, i.FileSize = diskimage.QCOW2, "", 1<<30 }
	covered := map[string]bool{}
	for _, c := range []struct {
		name   string
		target Target
		id     string // "": nothing is broken
		change func(i *Image)
	}{
		{"a fixed VHD", Azure, "", func(*Image) {}},
		{"of generation 1", Azure, "", func(i *Image) { i.Generation, i.Scheme = 1, "mbr" }},
		{"of 2040 GiB", Azure, "", func(i *Image) { i.VirtualSize, i.FileSize = 2040<<30, 2040<<30+512 }},
		{"a VHDX", Azure, "azure-format", vhdx},
		{"a qcow2", Azure, "azure-format", qcow2},
		{"a raw disk", Azure, "azure-format", raw},
		{"a dynamic VHD", Azure, "azure-fixed", func(i *Image) { i.Type, i.FileSize = diskimage.Dynamic, 1<<30 }},
		{"a differencing VHD", Azure, "azure-fixed", func(i *Image) { i.Type, i.FileSize = diskimage.Differencing, 1<<30 }},
		{"a footer that is not in the last sector", Azure, "azure-footer", func(i *Image) { raw(i); i.StrayFooter = 1 << 20 }},
		{"a raw disk called .vhd", Azure, "azure-footer", func(i *Image) { raw(i); i.NamedVHD = true }},
		{"bytes before the footer", Azure, "azure-exact", func(i *Image) { i.FileSize += 512 }},
		{"half a MiB", Azure, "azure-whole-mib", func(i *Image) { i.VirtualSize += 512 << 10; i.FileSize += 512 << 10 }},
		{"2041 GiB", Azure, "azure-size", func(i *Image) { i.VirtualSize, i.FileSize = 2041<<30, 2041<<30+512 }},
		{"2040 GiB and a MiB", Azure, "azure-size", func(i *Image) { i.VirtualSize, i.FileSize = 2040<<30+1<<20, 2040<<30+1<<20+512 }},
		{"nothing to start from", Azure, "azure-generation", func(i *Image) { i.Generation = 0 }},
		{"a table in sectors of 4096", Azure, "azure-sectors", func(i *Image) { i.TableSector = 4096 }},

		{"a VHDX", HyperV, "", vhdx},
		{"a dynamic VHD of generation 1", HyperV, "", func(i *Image) { i.Type, i.FileSize, i.Generation = diskimage.Dynamic, 1<<30, 1 }},
		{"a VHDX with sectors of 4096", HyperV, "", func(i *Image) { vhdx(i); i.SectorSize = 4096 }},
		{"a VHDX of 4 TiB", HyperV, "", func(i *Image) { vhdx(i); i.VirtualSize = 4 << 40 }},
		{"a qcow2", HyperV, "hyperv-format", qcow2},
		{"a footer that is not in the last sector", HyperV, "hyperv-footer", func(i *Image) { raw(i); i.StrayFooter, i.Generation = 1<<20, 1 }},
		{"bytes before the footer", HyperV, "hyperv-exact", func(i *Image) { i.FileSize += 512; i.Generation = 1 }},
		{"a VHD of 4 TiB", HyperV, "hyperv-size", func(i *Image) { i.VirtualSize, i.FileSize, i.Generation = 4<<40, 4<<40+512, 1 }},
		{"nothing to start from", HyperV, "hyperv-generation", func(i *Image) { vhdx(i); i.Generation = 0 }},
		{"a VHD of generation 2", HyperV, "hyperv-uefi-vhdx", func(*Image) {}},
		{"a table in sectors of 4096", HyperV, "hyperv-sectors", func(i *Image) { vhdx(i); i.TableSector = 4096 }},

		{"of 2 TiB, which Azure has as an OS disk", Azure, "azure-size", func(i *Image) { i.VirtualSize, i.FileSize = 2<<40, 2<<40+512 }},

		{"a raw disk", AWS, "", raw},
		{"a VHDX of generation 1", AWS, "", func(i *Image) { vhdx(i); i.Generation, i.Scheme = 1, "mbr" }},
		{"a raw disk of generation 2", AWS, "", raw},
		{"a VMDK", AWS, "aws-format", func(i *Image) { i.Format, i.Type = "vmdk", "" }},
		{"a dynamic VHD", AWS, "", func(i *Image) { i.Type, i.FileSize = diskimage.Dynamic, 1<<30 }},
		{"a qcow2", AWS, "aws-format", qcow2},
		{"a compressed VMDK", AWS, "", func(i *Image) { i.Format, i.Type = diskimage.VMDK, diskimage.StreamOptimized }},
		{"another VMDK", AWS, "aws-format", func(i *Image) { i.Format, i.Type = diskimage.VMDK, "monolithicSparse" }},
		{"a footer that is not in the last sector", AWS, "aws-footer", func(i *Image) { raw(i); i.StrayFooter = 1 << 20 }},
		{"a differencing VHD", AWS, "aws-alone", func(i *Image) { i.Type, i.Parents = diskimage.Differencing, make([]diskimage.Link, 1) }},
		{"nothing to start from", AWS, "aws-generation", func(i *Image) { i.Generation = 0 }},
		{"sectors of 4096", AWS, "aws-sectors", func(i *Image) { vhdx(i); i.SectorSize = 4096 }},

		{"a qcow2", OpenStack, "", qcow2},
		{"a raw disk with sectors of 4096", OpenStack, "openstack-sectors", func(i *Image) { raw(i); i.SectorSize = 4096 }},
		{"something else", OpenStack, "openstack-format", func(i *Image) { i.Format, i.Type = "vmdk", "" }},
		{"a footer that is not in the last sector", OpenStack, "openstack-footer", func(i *Image) { raw(i); i.StrayFooter = 1 << 20 }},
		{"an overlay", OpenStack, "openstack-alone", func(i *Image) { qcow2(i); i.Parents = make([]diskimage.Link, 1) }},
		{"nothing to start from", OpenStack, "openstack-generation", func(i *Image) { i.Generation = 0 }},
		{"a table in sectors of 4096", OpenStack, "openstack-sectors", func(i *Image) { i.TableSector = 4096 }},
	} {
		i := fixed()
		c.change(&i)
		var want []string
		if c.id != "" {
			want = []string{c.id}
			covered[c.id] = true
		}
		made := Judge(c.target, i, finding.Fail)
		if got := broken(made); !slices.Equal(got, want) {
			t.Errorf("%s for %s breaks %v, want %v", c.name, c.target, got, want)
		}
		for _, f := range made {
			if f.Severity != finding.Fail || f.Source == "" || f.Expected == "" || f.Found == "" || f.Subject != finding.Disk || (f.Remedy == nil) != f.Holds {
				t.Errorf("%s: %+v", c.name, f)
			}
		}
	}
	for _, id := range IDs() {
		if !covered[id] {
			t.Errorf("no disk breaks %s", id)
		}
	}
}

func TestOurOwnOutputIsTakenByAzureWhateverItsSize(t *testing.T) {
	dir := t.TempDir()
	for n := range int64(25) {
		size := 1<<20 + n*(127<<9) + n%3*(1<<20)
		if n%5 == 0 {
			size += 300 << 9
		}
		src, err := diskimage.OpenReader(strings.NewReader(strings.Repeat("\x00\x01", int(size/2))), size)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, fmt.Sprint(n, ".vhd"))
		if _, err := diskimage.Convert(t.Context(), src, path, diskimage.Options{Format: diskimage.VHD, AlignMiB: true}); err != nil {
			t.Fatal(err)
		}
		d, err := diskimage.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		i := Image{Info: d.Info(), Scheme: "mbr", Generation: 1}
		d.Close()
		made := Judge(Azure, i, finding.Fail)
		if ids := broken(made); len(ids) > 0 || len(made) != 8 {
			t.Errorf("%d bytes: %d rules, broken %v", size, len(made), ids)
		}
	}
}

func TestAFormatThatATargetDoesNotTakeIsKnownBeforeTheBuild(t *testing.T) {
	for _, c := range []struct {
		target Target
		format diskimage.Format
		kind   string
		says   string // "": it is taken
	}{
		{Azure, diskimage.VHD, "fixed", ""}, {Azure, diskimage.VHD, "dynamic", "azure takes fixed, not dynamic vhd"}, {Azure, diskimage.VHDX, "", "azure takes vhd, not vhdx"},
		{HyperV, diskimage.VHDX, "", ""}, {HyperV, diskimage.QCOW2, "", "hyperv takes vhd or vhdx, not qcow2"},
		{AWS, diskimage.Raw, "", ""}, {AWS, diskimage.QCOW2, "", "aws takes vhd, vhdx, raw or streamOptimized vmdk, not qcow2"}, {OpenStack, diskimage.QCOW2, "", ""},
	} {
		err := Takes(c.target, c.format, c.kind)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s, %s %s: %v", c.target, c.kind, c.format, err)
		}
	}
}

func TestTheDocumentationNamesEveryRule(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "post-processors", "image.mdx"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Names() {
		for _, r := range rules[Target(name)] {
			if row := fmt.Sprintf("| `%s-%s` | %s | %s | %s |\n", name, r.id, r.title, r.expected, r.remedy[0]); !strings.Contains(string(page), row) {
				t.Errorf("docs/post-processors/image.mdx lacks the row\n%s", row)
			}
		}
	}
}

// No advice ends in a format that the target refuses.
func TestNoAdviceNamesAFormatThatTheTargetRefuses(t *testing.T) {
	for _, name := range Names() {
		for _, r := range rules[Target(name)] {
			for _, format := range diskimage.Outputs() {
				if !strings.Contains(r.remedy[0], fmt.Sprintf("format = %q", format)) {
					continue
				}
				if err := Takes(Target(name), diskimage.Format(format), string(diskimage.Fixed)); err != nil {
					t.Errorf("%s-%s: %v", name, r.id, err)
				}
			}
		}
	}
}

// What a target takes under a condition, or takes elsewhere, is said beside the rule.
func TestAFindingSaysUnderWhatConditionItCounts(t *testing.T) {
	note := func(target Target, id string, change func(i *Image)) string {
		i := fixed()
		change(&i)
		list := Judge(target, i, finding.Fail)
		at := slices.IndexFunc(list, func(f finding.Finding) bool { return f.ID == id })
		if at < 0 {
			t.Fatalf("%s is not asserted", id)
		}
		return list[at].Note
	}
	for _, c := range []struct {
		target Target
		id     string
		change func(i *Image)
		says   string // "": nothing
	}{
		{Azure, "azure-size", func(*Image) {}, ""},
		{Azure, "azure-size", func(i *Image) { i.VirtualSize = 4 << 40 }, "4095 GiB"},
		{AWS, "aws-generation", func(*Image) {}, "--boot-mode uefi"},
		{AWS, "aws-generation", func(i *Image) { i.Generation = 1 }, ""},
		{AWS, "aws-generation", func(i *Image) { i.Generation = 0 }, ""},
		{OpenStack, "openstack-sectors", func(*Image) {}, ""},
		{OpenStack, "openstack-sectors", func(i *Image) { i.SectorSize = 4096 }, "bare-metal"},
	} {
		if got := note(c.target, c.id, c.change); (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
			t.Errorf("%s: %q, want %q", c.id, got, c.says)
		}
	}
	for id := range notes {
		if !slices.Contains(IDs(), id) {
			t.Errorf("a note is for %s, which is no finding", id)
		}
	}
}
