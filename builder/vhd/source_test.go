package vhd

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

func inspectFile(t *testing.T, path string) (sourceFacts, error) {
	t.Helper()
	d, err := diskimage.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	return inspectSource(context.Background(), d, path)
}

func TestASourceSaysHowItWantsToBeBooted(t *testing.T) {
	for _, c := range []struct {
		name          string
		spec          winimagetest.Spec
		disk, network string
		warnings      []string // a part of each, in order
	}{
		{name: "in use, MBR", disk: "ide", network: "e1000"},
		{name: "in use, GPT", spec: winimagetest.Spec{GPT: true}, disk: "sata", network: "e1000"},
		{name: "generalized", spec: winimagetest.Spec{Generalized: true}, disk: "ide", network: "e1000", warnings: []string{"generalized already"}},
		{name: "killed", spec: winimagetest.Spec{DirtyVolume: true, BitLocker: true}, disk: "ide", network: "e1000", warnings: []string{"BitLocker", "not unmounted cleanly"}},
		{name: "without Windows", spec: winimagetest.Spec{Empty: true}, warnings: []string{"0 Windows installations"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := inspectFile(t, winimagetest.Disk(t, c.spec))
			if err != nil {
				t.Fatal(err)
			}
			if f.DiskInterface != c.disk || f.NetworkInterface != c.network {
				t.Errorf("disk %q, network %q", f.DiskInterface, f.NetworkInterface)
			}
			if (f.Windows == "") != c.spec.Empty {
				t.Errorf("Windows is %q", f.Windows)
			}
			checkWarnings(t, f.Warnings, c.warnings)
		})
	}
}

func checkWarnings(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d warnings, want %d: %q", len(got), len(want), got)
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("warning %q, want it to say %q", got[i], want[i])
		}
	}
}

func TestFactsFollowTheReport(t *testing.T) {
	drivers := func(names ...string) (list []winimage.Driver) {
		for _, name := range names {
			list = append(list, winimage.Driver{Name: name})
		}
		return list
	}
	for _, c := range []struct {
		name          string
		change        func(r *winimage.Report, w *winimage.Windows)
		disk, network string
		warnings      []string
	}{
		{"nothing changed", func(*winimage.Report, *winimage.Windows) {}, "sata", "", nil},
		{"virtio only", func(_ *winimage.Report, w *winimage.Windows) {
			w.Drivers = winimage.Drivers{Storage: drivers("viostor"), Network: drivers("NETKVM")}
		}, "virtio", "virtio", nil},
		{"Windows 7", func(_ *winimage.Report, w *winimage.Windows) { w.Drivers.Storage = drivers("msahci") }, "sata", "", nil},
		{"Hyper-V only", func(_ *winimage.Report, w *winimage.Windows) { w.Drivers.Storage = drivers("storvsc", "vmbus") }, "", "", []string{"storvsc, vmbus"}},
		{"a driver that does not start at boot", func(_ *winimage.Report, w *winimage.Windows) { w.Drivers.Storage[0].Start = 3 }, "", "", []string{"(there are: none)"}},
		{"a network driver that is disabled", func(_ *winimage.Report, w *winimage.Windows) {
			w.Drivers.Network = []winimage.Driver{{Name: "E1G60", Start: 4}, {Name: "e1iexpress", Start: 3}}
		}, "sata", "e1000e", nil},
		{"drivers that cannot be read", func(_ *winimage.Report, w *winimage.Windows) {
			w.Drivers, w.Hives = winimage.Drivers{}, []winimage.Hive{{Name: "SYSTEM", Problem: "corrupt"}}
		}, "", "", []string{"SYSTEM cannot be read: corrupt"}},
		{"a hive that was not flushed", func(_ *winimage.Report, w *winimage.Windows) { w.Hives = []winimage.Hive{{Name: "SOFTWARE"}} }, "sata", "", []string{"SOFTWARE was not flushed"}},
		{"undeployable", func(_ *winimage.Report, w *winimage.Windows) { w.Setup.ImageState = "IMAGE_STATE_UNDEPLOYABLE" }, "sata", "", []string{"UNDEPLOYABLE"}},
		{"setup not finished", func(_ *winimage.Report, w *winimage.Windows) {
			w.Setup.ImageState = "IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE"
		}, "sata", "", []string{"not finished"}},
		{"audit mode", func(_ *winimage.Report, w *winimage.Windows) {
			w.Setup.ImageState = "IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT"
		}, "sata", "", nil},
		{"upgraded and hibernated", func(_ *winimage.Report, w *winimage.Windows) {
			w.Setup.Upgraded, w.Volume.Hibernated = true, true
		}, "sata", "", []string{"upgraded", "hibernated"}},
		{"no EFI system partition", func(r *winimage.Report, _ *winimage.Windows) { r.Disk.Generation = 0 }, "sata", "", []string{"an EFI system partition"}},
		{"no active partition", func(r *winimage.Report, _ *winimage.Windows) { r.Disk.Scheme, r.Disk.Generation = "mbr", 0 }, "sata", "", []string{"an active partition in the MBR"}},
		{"two installations", func(r *winimage.Report, w *winimage.Windows) { r.Windows = append(r.Windows, *w) }, "", "", []string{"2 Windows"}},
		{"damage", func(r *winimage.Report, _ *winimage.Windows) {
			r.Windows, r.Problems = nil, []string{"partition 2: corrupt"}
		}, "", "", []string{"partition 2: corrupt"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := winimage.Report{
				Disk:    winimage.Disk{Scheme: "gpt", Generation: 2},
				Windows: []winimage.Windows{{Volume: winimage.Volume{LogClean: true}, Drivers: winimage.Drivers{Storage: drivers("storahci")}}},
			}
			c.change(&r, &r.Windows[0])
			f := factsOf(r)
			if f.DiskInterface != c.disk || f.NetworkInterface != c.network {
				t.Errorf("disk %q, network %q; want %q, %q", f.DiskInterface, f.NetworkInterface, c.disk, c.network)
			}
			checkWarnings(t, f.Warnings, c.warnings)
		})
	}
}

func TestEveryChoiceIsAboutADriverThatIsReported(t *testing.T) {
	f, err := inspectFile(t, winimagetest.Disk(t, winimagetest.Spec{}))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"storahci", "stornvme", "atapi", "intelide", "pciide"}
	got := slices.Clone(f.StorageDrivers)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("boot-start drivers %v, want %v", got, want)
	}
}

// What Windows says of the hardware clock comes from its registry.
func TestASourceSaysHowItTakesTheHardwareClock(t *testing.T) {
	const zone = `ControlSet001\Control\TimeZoneInformation`
	west, east := uint32(480), uint32(1<<32-840)
	for _, c := range []struct {
		name   string
		system func(*hivewrite.Key)
		want   winimage.Clock
	}{
		{"says nothing", nil, winimage.Clock{}},
		{"west of Greenwich", func(k *hivewrite.Key) {
			k.Path(zone).SetDWord("ActiveTimeBias", west).SetString("TimeZoneKeyName", "Pacific Standard Time")
		}, winimage.Clock{ActiveBias: minutes(480), TimeZone: "Pacific Standard Time"}},
		{"east of Greenwich", func(k *hivewrite.Key) { k.Path(zone).SetDWord("ActiveTimeBias", east) }, winimage.Clock{ActiveBias: minutes(-840)}},
		{"in UTC", func(k *hivewrite.Key) { k.Path(zone).SetDWord("RealTimeIsUniversal", 1) }, winimage.Clock{UTC: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := inspectFile(t, winimagetest.Disk(t, winimagetest.Spec{System: c.system}))
			if err != nil || !reflect.DeepEqual(f.Clock, c.want) {
				t.Errorf("%+v, want %+v (%v)", f.Clock, c.want, err)
			}
		})
	}
}

func minutes(n int32) *int32 { return &n }
