package vhd

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
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
	return inspectSource(context.Background(), d, path, inspectLimit, false)
}

func TestASourceSaysWhatItHasDriversFor(t *testing.T) {
	for _, c := range []struct {
		name     string
		spec     winimagetest.Spec
		warnings []string // a part of each, in order
	}{
		{name: "in use, MBR"},
		{name: "in use, GPT", spec: winimagetest.Spec{GPT: true}},
		{name: "generalized", spec: winimagetest.Spec{Generalized: true}, warnings: []string{"generalized already"}},
		{name: "killed", spec: winimagetest.Spec{DirtyVolume: true, BitLocker: true}, warnings: []string{"BitLocker", "not unmounted cleanly"}},
		{name: "without Windows", spec: winimagetest.Spec{Empty: true}, warnings: []string{"no Windows installation was found"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := inspectFile(t, winimagetest.Disk(t, c.spec))
			if err != nil {
				t.Fatal(err)
			}
			// The names that the drivers of hypervisors look for.
			storage, network := []string{"atapi", "intelide", "pciide", "storahci", "stornvme"}, []string{"E1G60", "e1iexpress"}
			if c.spec.Empty {
				storage, network = nil, nil
			}
			got := f.Drivers
			slices.Sort(got.Storage)
			slices.Sort(got.Network)
			if !slices.Equal(got.Storage, storage) || !slices.Equal(got.Network, network) || got.Known == c.spec.Empty {
				t.Errorf("drivers %+v, want %v and %v", got, storage, network)
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
	sata := hypervisor.GuestDrivers{Known: true, Storage: []string{"storahci"}}
	for _, c := range []struct {
		name     string
		change   func(r *winimage.Facts, w *winimage.Windows)
		drivers  hypervisor.GuestDrivers
		warnings []string
	}{
		{"nothing changed", func(*winimage.Facts, *winimage.Windows) {}, sata, nil},
		{"virtio only", func(_ *winimage.Facts, w *winimage.Windows) {
			w.Drivers = winimage.Drivers{Storage: drivers("viostor"), Network: drivers("NETKVM")}
		}, hypervisor.GuestDrivers{Known: true, Storage: []string{"viostor"}, Network: []string{"NETKVM"}}, nil},
		{"a driver that does not start at boot", func(_ *winimage.Facts, w *winimage.Windows) { w.Drivers.Storage[0].Start = 3 }, hypervisor.GuestDrivers{Known: true}, nil},
		{"a network driver that is disabled", func(_ *winimage.Facts, w *winimage.Windows) {
			w.Drivers.Network = []winimage.Driver{{Name: "E1G60", Start: 4}, {Name: "e1iexpress", Start: 3}}
		}, hypervisor.GuestDrivers{Known: true, Storage: []string{"storahci"}, Network: []string{"e1iexpress"}}, nil},
		{"drivers that cannot be read", func(_ *winimage.Facts, w *winimage.Windows) {
			w.Drivers, w.Hives = winimage.Drivers{}, []winimage.Hive{{Name: "SYSTEM", Problem: "corrupt"}}
		}, hypervisor.GuestDrivers{}, []string{"SYSTEM cannot be read: corrupt"}},
		{"a hive that was not flushed", func(_ *winimage.Facts, w *winimage.Windows) { w.Hives = []winimage.Hive{{Name: "SOFTWARE"}} }, sata, []string{"SOFTWARE was not flushed"}},
		{"undeployable", func(_ *winimage.Facts, w *winimage.Windows) { w.Setup.ImageState = "IMAGE_STATE_UNDEPLOYABLE" }, sata, []string{"UNDEPLOYABLE"}},
		{"setup not finished", func(_ *winimage.Facts, w *winimage.Windows) {
			w.Setup.ImageState = "IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE"
		}, sata, []string{"not finished"}},
		{"audit mode", func(_ *winimage.Facts, w *winimage.Windows) {
			w.Setup.ImageState = "IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT"
		}, sata, nil},
		{"upgraded and hibernated", func(_ *winimage.Facts, w *winimage.Windows) {
			w.Setup.Upgraded, w.Volume.Hibernated = true, true
		}, sata, []string{"upgraded", "hibernated"}},
		{"no EFI system partition", func(r *winimage.Facts, _ *winimage.Windows) { r.Disk.Generation = 0 }, sata, []string{"an EFI system partition"}},
		{"no active partition", func(r *winimage.Facts, _ *winimage.Windows) { r.Disk.Scheme, r.Disk.Generation = "mbr", 0 }, sata, []string{"an active partition in the MBR"}},
		{"two installations", func(r *winimage.Facts, w *winimage.Windows) { r.Windows = append(r.Windows, *w) }, hypervisor.GuestDrivers{}, []string{"2 Windows"}},
		{"damage", func(r *winimage.Facts, _ *winimage.Windows) {
			r.Windows, r.Problems = nil, []string{"partition 2: corrupt"}
		}, hypervisor.GuestDrivers{}, []string{"partition 2: corrupt"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := winimage.Facts{
				Disk:    winimage.Disk{Scheme: "gpt", Generation: 2},
				Windows: []winimage.Windows{{Volume: winimage.Volume{LogClean: true}, Drivers: winimage.Drivers{Storage: drivers("storahci")}}},
			}
			c.change(&r, &r.Windows[0])
			f := factsOf(r, false)
			if !reflect.DeepEqual(f.Drivers, c.drivers) {
				t.Errorf("drivers %+v, want %+v", f.Drivers, c.drivers)
			}
			checkWarnings(t, f.Warnings, c.warnings)
		})
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
