package qemu

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/packer-plugin-sdk/template/config"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

func TestOptionsArePreparedTogether(t *testing.T) {
	for _, c := range []struct {
		name     string
		options  Options
		settings hypervisor.Settings
		want     []string
	}{
		{"not known yet", Options{Accelerator: "<unknown>", DiskInterface: "<unknown>", MachineType: "<unknown>"}, hypervisor.Settings{Firmware: "<unknown>"}, nil},
		{"IDE with UEFI on pc", Options{MachineType: "pc", DiskInterface: "ide"}, hypervisor.Settings{Firmware: "uefi"}, nil},
		{"IDE on a versioned q35", Options{MachineType: "pc-q35-7.2", DiskInterface: "ide"}, hypervisor.Settings{Firmware: "bios"}, []string{"no IDE controller"}},
		{"everything at once", Options{Accelerator: "fast", DiskInterface: "scsi", NetworkInterface: "x", EFIFirmwareCode: "c"},
			hypervisor.Settings{Firmware: "bios", Communicator: "ssh", Guest: hypervisor.Endpoint{Host: "192.0.2.1"}},
			[]string{"accelerator: ", "disk_interface: ", "network_interface: ", "belong together", `firmware is "bios"`, "ssh_host: QEMU's guest"}},
	} {
		o := c.options
		warnings, errs := o.Prepare(c.settings)
		got := errors.Join(errs...)
		if len(warnings) != 0 || len(errs) != len(c.want) || o.Headless != config.TriTrue || o.MachineType == "" {
			t.Errorf("%s: %+v, %q, %v", c.name, o, warnings, got)
		}
		for _, want := range c.want {
			if got == nil || !strings.Contains(got.Error(), want) {
				t.Errorf("%s: %q is missing in: %v", c.name, want, got)
			}
		}
	}
}

func TestWhatIsNotSetIsLeftToTheDriver(t *testing.T) {
	var o Options
	want := Options{Accelerator: "auto", MachineType: "auto", DiskInterface: "auto", NetworkInterface: "auto", Headless: config.TriTrue}
	for range 2 { // Packer prepares twice
		warnings, errs := o.Prepare(hypervisor.Settings{Firmware: "auto"})
		if len(warnings)+len(errs) != 0 || !reflect.DeepEqual(o, want) {
			t.Errorf("%+v, %q, %v", o, warnings, errs)
		}
	}
}

// A source that QEMU would read in another way than we do, or not at all, is copied
// by us.
func TestQEMUIsNotLeftToGuess(t *testing.T) {
	for _, c := range []struct {
		source       diskimage.Info
		format, copy string
	}{
		{diskimage.Info{Format: diskimage.Raw}, "raw", ""},
		{diskimage.Info{Format: diskimage.QCOW2}, "qcow2", ""},
		{diskimage.Info{Format: diskimage.VHDX, Type: diskimage.Dynamic}, "vhdx", ""},
		{diskimage.Info{Format: diskimage.VHD, Type: diskimage.Dynamic}, "vpc", ""},
		{diskimage.Info{Format: diskimage.VHD, Type: diskimage.Fixed}, "raw", ""},
		{diskimage.Info{Format: diskimage.VHD, Type: diskimage.Dynamic, FooterDamaged: true}, "", "one of its two footers is damaged"},
		{diskimage.Info{Format: diskimage.VHDX, LogReplayed: true}, "", "it was not closed cleanly and QEMU replays"},
		{diskimage.Info{Format: diskimage.VHD, Type: diskimage.Differencing, Files: []string{"a", "b"}}, "", "QEMU does not read differencing disks"},
		{diskimage.Info{Format: diskimage.QCOW2, Files: []string{"a", "b"}, Parents: []diskimage.Link{{Type: diskimage.Differencing}}}, "", "QEMU does not read differencing disks"},
		{diskimage.Info{Format: diskimage.QCOW2, Files: []string{"a", "b"}, GuessedFormat: true}, "", "QEMU would guess"},
		{diskimage.Info{Format: diskimage.VMDK, Files: []string{"a"}}, "", "QEMU does not read all kinds of VMDK"},
		{diskimage.Info{Format: diskimage.QCOW2, Files: []string{"a", "b"}, Parents: []diskimage.Link{{Format: diskimage.VMDK}}}, "", "QEMU does not read all kinds of VMDK"},
		{diskimage.Info{Format: diskimage.QCOW2, Files: []string{"a"}, Member: "b"}, "", "it lies in an OVA"},
	} {
		format, why := new(Options).Backing(c.source)
		if format != c.format || (why == "") != (c.copy == "") || !strings.Contains(why, c.copy) {
			t.Errorf("%+v: %q, %q", c.source, format, why)
		}
	}
}
