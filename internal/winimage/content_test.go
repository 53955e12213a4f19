package winimage

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/partition"
)

// A disk without Windows says what it holds instead, so that a wrong disk is told
// from a damaged one.
func TestAPartitionWithoutFilesOfWindowsIsNamed(t *testing.T) {
	whole := partition.Partition{Length: 128 << 10}
	with := func(at int, mark string) []byte {
		b := bytes.Repeat([]byte{1}, 128<<10)
		copy(b[at:], mark)
		return b
	}
	for want, c := range map[string]struct {
		content []byte
		part    partition.Partition
		scheme  partition.Scheme
	}{
		"the disk, which has no partition table, holds an ext file system (Linux)":                       {with(1080, "\x53\xef"), whole, partition.None},
		"partition 3 holds an XFS file system (Linux)":                                                   {with(0, "XFSB"), partition.Partition{Index: 3, Length: 4096}, partition.GPT},
		"partition 1 holds a Btrfs file system (Linux)":                                                  {with(64<<10+64, "_BHRfS_M"), partition.Partition{Index: 1, Length: 128 << 10}, partition.GPT},
		"partition 2 holds a physical volume of LVM (Linux)":                                             {with(512, "LABELONE"), partition.Partition{Index: 2, Length: 4096}, partition.MBR},
		"partition 2 begins with zeros: it was never written, or not copied":                             {make([]byte, 4096), partition.Partition{Index: 2, Length: 4096, Type: "07"}, partition.MBR},
		"the disk, which has no partition table, begins with zeros: it was never written, or not copied": {make([]byte, 128<<10), whole, partition.None},
		"partition 1 is of the type of NTFS and holds none: it is encrypted or damaged":                  {with(0, "x"), partition.Partition{Index: 1, Length: 4096, Type: "07"}, partition.MBR},
		"partition 4 holds an ReFS file system, which is not read here":                                  {with(3, "ReFS\x00\x00\x00\x00"), partition.Partition{Index: 4, Length: 4096}, partition.GPT},
		"partition 5 holds an exFAT file system":                                                         {with(3, "EXFAT   "), partition.Partition{Index: 5, Length: 4096}, partition.MBR},
		"the disk, which has no partition table, holds a FAT file system":                                {with(82, "FAT32   "), whole, partition.None},
		"partition 1 is a part of a dynamic disk (LDM), which is not read here":                          {make([]byte, 4096), partition.Partition{Index: 1, Length: 4096, Type: "42"}, partition.MBR},
		"partition 2 is a part of a dynamic disk (LDM), which is not read here":                          {with(0, "x"), partition.Partition{Index: 2, Length: 4096, Type: "AF9B60A0-1431-4F62-BC68-3311714A69AD"}, partition.GPT},
		"partition 2 is a part of a pool of Storage Spaces, which is not read here":                      {make([]byte, 4096), partition.Partition{Index: 2, Length: 4096, Type: "E75CAF8F-F680-4CEE-AFA3-B001E56EFC2D"}, partition.GPT},
		"the disk, which has no partition table, holds a GPT whose first sector was erased, without which neither Windows nor UEFI reads it: write a new protective MBR (gdisk: w)": {with(512, "EFI PART"), whole, partition.None},
		"": {make([]byte, 4096), partition.Partition{Index: 2, Length: 4096, Type: microsoftReserved}, partition.GPT},
	} {
		if got := contentOf(bytes.NewReader(c.content), c.part, c.scheme); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	if got := contentOf(bytes.NewReader(nil), partition.Partition{Index: 1, Length: 0}, partition.MBR); got != "" {
		t.Errorf("an empty partition: %q", got)
	}
}

func TestADiskWithoutWindowsSaysWhatItHolds(t *testing.T) {
	linux := make([]byte, 4<<20)
	copy(linux[1080:], "\x53\xef")
	r, err := Inspect(context.Background(), open(t, bytes.NewReader(linux), int64(len(linux))), Options{})
	if err != nil {
		t.Fatal(err)
	}
	one := Prove(r, Expectation{})[0]
	if one.ID != WindowsID || one.Holds || !strings.Contains(one.Found, "none (the disk, which has no partition table, holds an ext file system (Linux))") {
		t.Errorf("%+v", one)
	}
	r = Facts{Disk: Disk{BitLocker: []int{3}}}
	if one := Prove(r, Expectation{})[0]; !strings.Contains(one.Found, "partition 3 is encrypted with BitLocker") || !slices.Equal(one.Remedy, decrypt) {
		t.Errorf("%+v", one)
	}
}

// A disk that was copied in part has a Windows folder and hives of zeros. That is
// no machine on which sysprep did not run.
func TestAnUnreadableHiveIsNotAGeneralizeThatDidNotRun(t *testing.T) {
	r := good()
	for i := range r.Windows[0].Hives {
		r.Windows[0].Hives[i] = Hive{Name: r.Windows[0].Hives[i].Name, Problem: "no regf signature", Broken: true}
	}
	r.Windows[0].Setup = Setup{}
	seen := 0
	for _, f := range Prove(r, Expectation{}) {
		if f.Holds {
			continue
		}
		switch f.ID {
		case "hives-clean":
			seen++
			if f.Found != "SYSTEM and SOFTWARE: no regf signature" || !slices.Equal(f.Remedy, damaged) {
				t.Errorf("%+v", f)
			}
		case "image-state", "generalization-state", "setup-type", "setup-command":
			seen++
			if f.Found != notRead || !slices.Equal(f.Remedy, damaged) || !strings.Contains(f.Note, "cannot be read") {
				t.Errorf("%+v", f)
			}
		}
		if slices.Equal(f.Remedy, rerun) {
			t.Errorf("%s: %v", f.ID, f.Remedy)
		}
	}
	if seen != 5 {
		t.Errorf("%d of 5 failed", seen)
	}
}

// A disk that was made larger keeps its backup GPT where it was.
func TestSpaceBehindTheBackupGPTIsTold(t *testing.T) {
	b := fixture(t)
	for _, grown := range []int{0, 3 << 20} {
		r, err := Inspect(context.Background(), open(t, bytes.NewReader(append(slices.Clone(b), make([]byte, grown)...)), int64(len(b)+grown)), Options{})
		if err != nil {
			t.Fatal(err)
		}
		told := slices.ContainsFunc(r.Disk.Warnings, func(w string) bool {
			return strings.Contains(w, "backup GPT is not in the last sector") && strings.Contains(w, fmt.Sprintf("%d bytes", grown))
		})
		if told != (grown > 0) {
			t.Errorf("%d bytes more: %q", grown, r.Disk.Warnings)
		}
	}
}
