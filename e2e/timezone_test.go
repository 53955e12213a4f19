//go:build e2e

package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/partition"
)

// A guest takes its hardware clock for what it likes: its clock may be as far
// off the host's as the host is from Greenwich, in either direction. The image
// is proven all the same.
func TestABuildIsProvenInEveryTimeZoneOfTheHost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ zone, source string }{
		{"PST8", `rtc_time_base = "local"`},
		{"<+14>-14", `rtc_time_base = "local"`},
		{"Asia/Kolkata", ""},
		{"UTC", `rtc_time_base = "UTC"`},
	} {
		t.Run(c.zone, func(t *testing.T) {
			t.Parallel()
			p := machine{zone: c.zone, source: c.source}.start(t)
			p.expect(0, "tag created", "Proven: ")
			report, proof := proof(t, filepath.Join(p.dir, "output", "image.vhd"))
			if !proven(proof) {
				t.Errorf("not proven: %+v", finding.Failed(proof, finding.Fail))
			}
			if tag := report.Windows[0].Tag; tag == nil || tag.Record == 0 || tag.Sequence == 0 {
				t.Errorf("tag %+v", tag)
			}
		})
	}
}

// staleSource is the guest's disk with a tag of an earlier run on it.
func staleSource(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	disk, err := os.ReadFile(built("guest-bios.raw"))
	if err != nil {
		t.Fatal(err)
	}
	table, err := partition.Read(bytes.NewReader(disk), int64(len(disk)), 512)
	if err != nil {
		t.Fatal(err)
	}
	volume, tag := filepath.Join(dir, "volume"), filepath.Join(dir, "tag")
	p := table.Partitions[slices.IndexFunc(table.Partitions, func(p partition.Partition) bool {
		return string(disk[p.Start+3:p.Start+7]) == "NTFS"
	})]
	for path, content := range map[string][]byte{volume: disk[p.Start : p.Start+p.Length], tag: nil} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tool(t, "ntfscp", "-f", volume, tag, "/Windows/System32/Sysprep/Sysprep_succeeded.tag")
	changed, err := os.ReadFile(volume)
	if err != nil {
		t.Fatal(err)
	}
	copy(disk[p.Start:], changed)
	path := filepath.Join(dir, "stale.raw")
	if err := os.WriteFile(path, disk, 0o600); err != nil {
		t.Fatal(err)
	}
	name, err := filepath.Rel(built(""), path)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// A tag that came with the source is told from the one that sysprep makes,
// whatever the host's time zone makes of the guest's clock.
func TestAStaleTagOfTheSourceIsToldFromANewOne(t *testing.T) {
	t.Parallel()
	const zone = "<+14>-14"
	source := staleSource(t)
	t.Run("sysprep ran", func(t *testing.T) {
		t.Parallel()
		p := machine{zone: zone, disk: source, source: `rtc_time_base = "local"`}.start(t)
		p.expect(0, "tag created", "Proven: ")
	})
	t.Run("sysprep did not run", func(t *testing.T) {
		t.Parallel()
		p := machine{zone: zone, disk: source, source: `shutdown_command = "shutdown /s /t 0"`, builders: "\n"}.start(t)
		p.expect(1, "error: tag: ", "the tag came with the source disk")
	})
}
